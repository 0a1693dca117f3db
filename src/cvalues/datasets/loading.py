"""Records of known sets and of users' files: as a list, or streamed with memory that does not grow with the rows' texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NamedTuple, overload

import msgspec

from cvalues.datasets import starter
from cvalues.datasets.columns import Names
from cvalues.datasets.formats import DEFAULT_KIND, EXPECTED, FATAL, Format, convert, recognise, set_name
from cvalues.datasets.pairing import both_orders, comparison_of, comparisons_of
from cvalues.datasets.registry import KnownSet, by_file_name, cached_files, find, known_sets
from cvalues.datasets.row import Place, Row, fault_at, place
from cvalues.datasets.shapes import KINDS, Answered, Comparison, GradedPrompt, Item, Kind
from cvalues.datasets.tabular import Problem, Raw, layout, rows
from cvalues.errors import DataError, unknown_name
from cvalues.frames import Rows
from cvalues.schema import Choice, Prompt
from cvalues.taxonomy import Taxonomy, builtin

_LOOK = 100  # rows that may be broken before a format is recognised


class Opened(NamedTuple):
    """A data file with its format recognised and its rows at hand."""

    format: Format
    rows: Iterator[Raw]
    names: Names


def is_header(fields: Mapping[str, Any]) -> bool:
    """Whether a row is the header object of our own files (`{"cvalues": "starter", …}`), which is no record."""
    return isinstance(fields.get("cvalues"), str)


def open_set(path: Path, columns: Mapping[str, str] | None = None) -> Opened:
    """Returns the file's format and all its raw rows (header objects left out).

    Raises:
        DataError: the file cannot be read, is empty, or none of its first rows fits a known format.
    """
    how = layout(path)
    names = Names(columns)
    source = (raw for raw in rows(path, how) if raw.fields is None or not is_header(raw.fields))
    seen: list[Raw] = []
    found: list[str] = []
    for raw in islice(source, _LOOK):
        seen.append(raw)
        if raw.fields is None:
            continue
        form = recognise(names.rename(raw.fields))
        if form is not None:
            return Opened(form, _chain(seen, source), names)
        found = found or list(raw.fields)
    if not seen:
        raise DataError(f"{path}: holds no rows; expected {EXPECTED}")
    if not found:
        raise DataError(str(fault_at(str(path), seen[0].line, seen[0].problem or _NO_FORMAT)))
    shown = ", ".join(name or "(no name)" for name in found)
    raise DataError(f"{path}: fits no known format; expected the fields {EXPECTED}; found {shown}")


_NO_FORMAT = Problem("format", "", EXPECTED, "none of these")


def _chain(seen: list[Raw], rest: Iterator[Raw]) -> Iterator[Raw]:
    yield from seen
    yield from rest


def items(opened: Opened, where: Place) -> Iterator[tuple[Row, Item]]:
    """Yields (row, record) of every row.

    Raises:
        DataError: a row has a fault that leaves nothing to load, or an id that an earlier row has.
    """
    given: dict[str, int] = {}
    made: dict[str, int] = {}
    for number, raw in enumerate(opened.rows, 1):
        if raw.fields is None:
            raise _error(where.file, raw)
        row = Row(opened.names.rename(raw.fields), raw.line, number, where)
        item = convert(opened.format, row)
        real = [fault for fault in row.faults if fault.severity == "fault"]
        fault = next((fault for fault in real if fault.code in FATAL), real[0] if real and item is None else None)
        if fault is not None:
            raise DataError(f"{fault}; all faults:  cvalues data check {where.file}")
        if item is None:
            continue
        name = item.prompt.id if isinstance(item, GradedPrompt) else item.id
        if row.has("id"):
            if name in given:
                raise DataError(
                    f"{where.file}:{raw.line}: id: expected each id once, found '{name}' again (first at line {given[name]})"
                )
            given[name] = raw.line
        else:
            made[name] = made.get(name, 0) + 1
            if made[name] > 1:  # a row that the publisher repeated: same pair, another item
                item = msgspec.structs.replace(item, id=f"{name}~{made[name]}")
        yield row, item


def _error(file: str, raw: Raw) -> DataError:
    problem = raw.problem or _NO_FORMAT
    return DataError(f"{fault_at(file, raw.line, problem)}; all faults:  cvalues data check {file}")


def as_kind(item: Item, kind: Kind) -> Iterable[Item] | None:
    """Returns what a record is as another kind: none, one or several records; None where it can never be that kind."""
    found: Iterable[Item] | None = None
    match kind, item:
        case ("prompt", Prompt()) | ("choice", Choice()) | ("comparison", Comparison()) | ("graded", GradedPrompt()):
            found = (item,)
        case "prompt", GradedPrompt():
            found = (item.prompt,)
        case "prompt", Choice() | Comparison():
            found = (_prompt_of(item),)
        case "comparison", GradedPrompt():
            found = tuple(comparisons_of(item))
        case "comparison", Choice():
            found = (comparison_of(item),)
        case "choice", Comparison():
            found = both_orders(item)
        case "choice", GradedPrompt():
            found = tuple(choice for pair in comparisons_of(item) for choice in both_orders(pair))
        case _:
            pass
    return found


def _prompt_of(item: Choice | Comparison) -> Prompt:
    return Prompt(
        id=item.prompt_id,
        text=item.question,
        level=item.collection or item.level,
        category=item.category,
        language=item.language,
        source=item.source,
        split=item.split,
    )


def _stream_file(path: Path, where: Place, kind: Kind | None, columns: Mapping[str, str] | None) -> Iterator[Item]:
    opened = open_set(path, columns)
    wanted = kind or DEFAULT_KIND[opened.format]
    once: set[str] = set()  # prompts of choices and pairs of choices come up several times
    for _, item in items(opened, where):
        found = as_kind(item, wanted)
        if found is None:
            raise DataError(
                f"{path}: holds items of the format '{opened.format}', which cannot be read as kind '{wanted}'"
            )
        for record in found:
            if type(record) is not type(item) and isinstance(record, Prompt | Comparison):
                if record.id in once:
                    continue
                once.add(record.id)
            yield record


def stream(
    source: str | Path,
    *,
    kind: Kind | None = None,
    taxonomy: Taxonomy | None = None,
    columns: Mapping[str, str] | None = None,
    defaults: Mapping[str, str] | None = None,
) -> Iterator[Item]:
    """Yields the records of a known set or a file, one after the other; arguments and errors as `load`."""
    if kind is not None and kind not in KINDS:
        raise unknown_name("kind", kind, KINDS)
    found = None if isinstance(source, Path) else find(source)
    if found is None:
        path = Path(source)
        if not path.exists() and isinstance(source, str) and path.suffix == "" and "/" not in source:
            raise unknown_name("data set or file", source, [known_set.name for known_set in known_sets()])
        where = place(str(path), set_name(path.stem), taxonomy or builtin(), defaults=defaults)
        named = by_file_name(path)
        where = where._replace(told=named[0].told) if named else where
        yield from _stream_file(path, where, kind, columns)
        return
    known_set, part = found
    if known_set.builtin:
        yield from _stream_starter(known_set, part, kind)
        return
    for file, path in cached_files(known_set, part):
        where = place(str(path), known_set.name, taxonomy or builtin(), defaults=defaults)
        where = where._replace(licence=known_set.licence, split=file.split, told=known_set.told)
        yield from _stream_file(path, where, kind or known_set.kind, columns)


def _stream_starter(known_set: KnownSet, part: str, kind: Kind | None) -> Iterator[Item]:
    if known_set.name == "starter-twins":
        if kind not in {None, "prompt"}:
            raise DataError(f"starter-twins holds prompts and cannot be read as kind '{kind}'")
        yield from starter.twins(part or None)
        return
    for graded in starter.graded(part or None):
        yield from as_kind(graded, kind or known_set.kind) or ()


@overload
def load(source: str | Path, *, kind: Literal["prompt"], taxonomy: Taxonomy | None = ..., columns: Mapping[str, str] | None = ...,
         defaults: Mapping[str, str] | None = ...) -> Rows[Prompt]: ...  # fmt: skip
@overload
def load(source: str | Path, *, kind: Literal["choice"], taxonomy: Taxonomy | None = ..., columns: Mapping[str, str] | None = ...,
         defaults: Mapping[str, str] | None = ...) -> Rows[Choice]: ...  # fmt: skip
@overload
def load(source: str | Path, *, kind: Literal["comparison"], taxonomy: Taxonomy | None = ...,
         columns: Mapping[str, str] | None = ..., defaults: Mapping[str, str] | None = ...) -> Rows[Comparison]: ...  # fmt: skip
@overload
def load(source: str | Path, *, kind: Literal["graded"], taxonomy: Taxonomy | None = ..., columns: Mapping[str, str] | None = ...,
         defaults: Mapping[str, str] | None = ...) -> Rows[GradedPrompt]: ...  # fmt: skip
@overload
def load(source: str | Path, *, kind: None = None, taxonomy: Taxonomy | None = ..., columns: Mapping[str, str] | None = ...,
         defaults: Mapping[str, str] | None = ...) -> Rows[Prompt] | Rows[Choice]: ...  # fmt: skip
def load(
    source: str | Path,
    *,
    kind: Kind | None = None,
    taxonomy: Taxonomy | None = None,
    columns: Mapping[str, str] | None = None,
    defaults: Mapping[str, str] | None = None,
) -> Any:
    """Returns the records of a known set or a file, in its order; a notebook shows the list as a table.

    Args:
        source: the name of a known set (`NAME` or `NAME/PART`), else the path of a file.
        kind: what to return; prompts for a file of prompts, choices for every file with replies when None. Choices come in both
            orders where the file has pairs; prompts and comparisons made from choices come once each.
        taxonomy: names and levels of categories; the built-in one when None.
        columns: field → name of the column that holds it, where the file names it in a way of its own.
        defaults: field → value for rows that do not hold it, for example `{"level": "1"}`.

    Raises:
        DataError: the set is not in the cache, the file cannot be read, or a row leaves nothing to load; the message begins with
            file:line and names field, expectation and finding.
        UsageError: neither a set nor a file has this name.
    """
    return Rows(stream(source, kind=kind, taxonomy=taxonomy, columns=columns, defaults=defaults))


def answered(
    source: str | Path, *, taxonomy: Taxonomy | None = None, columns: Mapping[str, str] | None = None
) -> Iterator[Answered]:
    """Yields every choice of a file together with its row's `response` and `pred` (the public evaluation format).

    Raises:
        DataError: as `load`; also when the file holds no choices, or a response is no text.
    """
    found = None if isinstance(source, Path) else find(source)
    pairs = [(Path(source), set_name(Path(source).stem))]
    if found is not None:
        pairs = [(path, found[0].name) for _, path in cached_files(*found)]
    for path, name in pairs:
        opened = open_set(path, columns)
        where = place(str(path), name, taxonomy or builtin())
        if opened.format not in {"mc", "choices"}:
            raise DataError(
                f"{path}: holds no choices with responses; expected the fields prompt, label, meta_info, response"
            )
        for row, item in items(opened, where):
            if isinstance(item, Choice):
                yield Answered(
                    choice=item, response=_said(row, "response"), pred=_said(row, "pred"), line=row.line, row=row.number
                )


def _said(row: Row, name: str) -> str | None:
    value = row.fields.get(name)
    if value is None or isinstance(value, str):
        return value
    raise DataError(
        f"{row.place.file}:{row.line}: {name}: expected a text or null, found {type(value).__name__}; write the reply as a string"
    )
