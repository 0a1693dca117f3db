"""Rows of any pair file as pairs or faults, one after the other; no text is kept.

JSON Lines with the public field names take a short way (a typed decoder, no intermediate row); every other form goes through
`datasets`, so CSV, GB18030, multi-line cells, graded prompts and choices are read as everywhere else.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from cvalues.datasets import starter
from cvalues.datasets.formats import convert, set_name
from cvalues.datasets.loading import as_kind, open_set
from cvalues.datasets.pairing import comparisons_of
from cvalues.datasets.registry import KnownSet, cached_files, find, known_sets
from cvalues.datasets.row import Place, Row, place
from cvalues.datasets.shapes import WARNINGS, Comparison, GradedPrompt, Item
from cvalues.datasets.tabular import Raw, layout
from cvalues.errors import DataError, unknown_name
from cvalues.pairs.faults import PairFault, wrong_with
from cvalues.pairs.pair import Line, Pair, grade_of, level_of_pair, pair_id, pair_of, prompt_key
from cvalues.records import clean, open_bytes
from cvalues.schema import Prompt, Reply
from cvalues.taxonomy import Taxonomy, builtin

LONGEST_LINE = 16 << 20
"""Bytes of the longest line that is read; a longer one is a fault."""
_UNKNOWN = "-"
_LINE = msgspec.json.Decoder(Line)
_OBJECT = msgspec.json.Decoder(dict)


class Read(NamedTuple):
    """One row: where it stands, its text for a quarantine, and its pairs (most rows hold one) or what is wrong with it."""

    file: str
    line: int
    raw: str | bytes
    """The row as it stands in the file: bytes where it was good and not decoded for itself; empty for the starter set."""
    pairs: tuple[Pair, ...]
    fault: PairFault | None = None


def read(source: str | Path, *, taxonomy: Taxonomy | None = None) -> Iterator[Read]:
    """Yields every row of a known set or a file, broken ones too.

    Raises:
        DataError: the set is not in the cache, the file cannot be read, or it holds no pairs.
        UsageError: neither a set nor a file has this name.
    """
    found = None if isinstance(source, Path) else find(source)
    chosen = taxonomy or builtin()
    if found is None:
        path = Path(source)
        if not path.exists() and isinstance(source, str) and path.suffix == "" and "/" not in source:
            raise unknown_name("data set or file", source, [entry.name for entry in known_sets()])
        yield from _file(path, place(str(path), set_name(path.stem), chosen))
        return
    known, part = found
    if known.builtin:
        yield from _starter(known, part)
        return
    for file, path in cached_files(known, part):
        where = place(str(path), known.name, chosen)
        yield from _file(path, where._replace(licence=known.licence, split=file.split))


def _starter(known: KnownSet, part: str) -> Iterator[Read]:
    if known.name == "starter-twins":
        raise DataError(f"{known.name}: holds no pairs; use starter-choice")
    for number, graded in enumerate(starter.graded(part or None), 1):
        pairs = tuple(pair_of(pair, licence=graded.prompt.licence) for pair in comparisons_of(graded))
        yield Read("starter", number, "", pairs)


def _file(path: Path, where: Place) -> Iterator[Read]:
    how = layout(path)
    if how.container == "jsonl" and how.encoding in {"utf-8", "utf-8-sig"} and _is_public(path):
        yield from _public(path, where)
        return
    opened = open_set(path)
    if opened.format == "prompts":
        first = next((raw.fields for raw in opened.rows if raw.fields is not None), {})
        if "answer" in opened.names.rename(first):
            raise DataError(
                f"{path}: holds prompts and no pairs of replies; make pairs of it with  cvalues pairs build {path} --rewrite MODEL"
            )
        raise DataError(
            f"{path}: holds prompts and no replies; have a model answer first:  cvalues run {path} -m MODEL --name free , then judge "
            "and build:  cvalues judge free -j JUDGE ,  cvalues pairs build --from free"
        )
    shown: set[str] = set()  # a choice shows its pair in one of two orders; the pair is read once
    for number, raw in enumerate(opened.rows, 1):
        fields = opened.names.rename(raw.fields) if raw.fields is not None else None
        row = _general(raw, opened.format, number, fields, where)
        if opened.format in {"mc", "choices"} and row.pairs:
            again = row.pairs[0].id in shown
            shown.add(row.pairs[0].id)
            row = row._replace(pairs=()) if again else row
        yield row


def _is_public(path: Path) -> bool:
    """Whether the first object of the file has the fields prompt, pos_resp and neg_resp under just these names."""
    with open_bytes(path) as file:
        for _ in range(100):
            line = file.readline(LONGEST_LINE)
            if not line:
                return False
            try:
                value = _OBJECT.decode(line.lstrip(b"\xef\xbb\xbf"))
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue
            return {"prompt", "pos_resp", "neg_resp"} <= value.keys()
    return False


def _lines(file: io.BufferedReader) -> Iterator[tuple[int, bytes]]:
    """Yields (line number, line) of lines that are not blank; a line that is too long is cut and comes once."""
    number = 0
    while line := file.readline(LONGEST_LINE):
        number += 1
        if not line.endswith(b"\n") and len(line) == LONGEST_LINE:
            while (rest := file.readline(LONGEST_LINE)) and not rest.endswith(b"\n"):
                pass
        if line.strip(b"\r\n\t \xef\xbb\xbf"):
            yield number, line


def _public(path: Path, where: Place) -> Iterator[Read]:
    with open_bytes(path) as file:
        for number, line in _lines(file):
            body = line.lstrip(b"\xef\xbb\xbf")
            try:
                row = _LINE.decode(body)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                fault = _broken(where.file, number, body, error)
                yield Read(where.file, number, body.decode("utf-8", "replace").rstrip("\r\n"), (), fault)
                continue
            pair = _pair(row, where)
            wrong = wrong_with(pair, types=(row.pos_type, row.neg_type))
            if wrong is None:
                yield Read(where.file, number, body, (pair,))
                continue
            code, field, found = wrong
            fault = PairFault(file=where.file, line=number, code=code, field=field, found=found)
            yield Read(where.file, number, body.decode("utf-8", "replace").rstrip("\r\n"), (), fault)


def _broken(file: str, line: int, body: bytes, error: Exception) -> PairFault:
    """Returns the fault of a line that is no row: what it lacks, or where its JSON breaks off."""
    if len(body) >= LONGEST_LINE and not body.endswith(b"\n"):
        return PairFault(file=file, line=line, code="overlong")
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as broken:
        code = "encoding" if isinstance(error, UnicodeDecodeError) else "broken_json"
        if not body.endswith(b"\n") and (code == "encoding" or "truncated" in str(broken)):
            code = "truncated"
        return PairFault(file=file, line=line, code=code, found=str(error))
    if not isinstance(value, dict):
        return PairFault(file=file, line=line, code="not_object")
    for field in ("prompt", "pos_resp", "neg_resp"):
        if value.get(field) is None:
            return PairFault(file=file, line=line, code="missing", field=field)
    return PairFault(file=file, line=line, code="type", found=str(error))


def _pair(row: Line, where: Place) -> Pair:
    name = where.set_name
    better, worse = grade_of(row.pos_type), grade_of(row.neg_type)
    collection = where.levels.get(row.category)
    given = str(row.id)
    same = better is not None and better == worse
    ranks = not same and not (better == "unsafe" or (better, worse) == ("safe", "responsible"))
    stated = {"1": 1, "2": 2}.get(str(row.level), collection)
    pair = Pair(
        id=(f"{name}/{given}" if given.isdecimal() else given) or pair_id(name, row.prompt, row.pos_resp, row.neg_resp),
        prompt_id=row.prompt_id or prompt_key(name, row.prompt),
        question=row.prompt,
        better=Reply(text=row.pos_resp, grade=better),
        worse=Reply(text=row.neg_resp, grade=worse),
        level=level_of_pair(better, worse, stated) if ranks else 2,
        category=row.category,
        collection=collection,
        difficulty=row.difficulty,
        language=row.language,
        split=row.split or where.split,
        source=row.source or name,
        tags=row.tags,
        licence=row.licence or where.licence,
    )
    return pair_of_tags(pair) if row.tags else pair


def pair_of_tags(pair: Pair) -> Pair:
    """Returns a pair whose tags of cluster, margin, licence and lineage have become fields."""
    fields = {name: getattr(pair, name) for name in Comparison.__struct_fields__}
    return pair_of(Comparison(**fields), licence=pair.licence)


def _general(raw: Raw, form: str, number: int, fields: dict[str, object] | None, where: Place) -> Read:
    if fields is None:
        problem = raw.problem
        code, found = (problem.code, problem.found) if problem else ("broken_json", "")
        return Read(
            where.file, raw.line, raw.text, (), PairFault(file=where.file, line=raw.line, code=code, found=found)
        )
    item, row = converted(form, fields, raw.line, number, where)
    real = [fault for fault in row.faults if fault.code not in WARNINGS]
    comparisons = tuple(as_kind(item, "comparison") or ()) if item is not None else ()
    pairs = tuple(_licensed(found, row) for found in comparisons if isinstance(found, Comparison))
    if not pairs:
        first = real[0] if real else None
        code, field, found = (first.code, first.field, first.found) if first else ("no_pair", "", "")
        if code == "rank" and len(set(found.split(" and "))) == 1:
            code = "equal_grades"
        fault = PairFault(file=where.file, line=raw.line, code=code, field=field, found=clean(found))
        return Read(where.file, raw.line, raw.text, (), fault)
    for pair in pairs:
        if (wrong := wrong_with(pair)) is not None:
            fault = PairFault(file=where.file, line=raw.line, code=wrong[0], field=wrong[1], found=wrong[2])
            return Read(where.file, raw.line, raw.text, (), fault)
    return Read(where.file, raw.line, raw.text, pairs)


def _licensed(found: Comparison, row: Row) -> Pair:
    return pair_of(found, licence=str(row.fields.get("licence") or row.place.licence))


def converted(form: str, fields: dict[str, object], line: int, number: int, where: Place) -> tuple[Item | None, Row]:
    """Converts a row; one that names no category or level is read all the same, since pairs do not need them."""
    row = Row(dict(fields), line, number, where)
    item = convert(form, row)  # type: ignore[arg-type]  # a format that `open_set` recognised
    if item is not None:
        return item, row
    named = any(fields.get(name) for name in ("category", "domain_en", "domain_zh"))
    patched = Row({**fields, "level": 1, **({} if named else {"category": _UNKNOWN})}, line, number, where)
    item = convert(form, patched)  # type: ignore[arg-type]  # as above
    if item is None:
        return None, row
    return _without_category(item), patched


def _without_category(item: Item) -> Item:
    if isinstance(item, Comparison) and item.category == _UNKNOWN:
        return msgspec.structs.replace(item, category="")
    if isinstance(item, Prompt) and item.category == _UNKNOWN:
        return msgspec.structs.replace(item, category="")
    if isinstance(item, GradedPrompt) and item.prompt.category == _UNKNOWN:
        return msgspec.structs.replace(item, prompt=msgspec.structs.replace(item.prompt, category=""))
    return item
