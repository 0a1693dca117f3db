"""Graded replies of sets and files, by prompt: what pairs are built from when no run is asked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from cvalues.datasets import starter
from cvalues.datasets.formats import EXPECTED, set_name
from cvalues.datasets.loading import open_set
from cvalues.datasets.registry import cached_files, find, known_sets
from cvalues.datasets.row import Place, Row, fault_at, place
from cvalues.datasets.shapes import Fault, GradedPrompt
from cvalues.datasets.tabular import Problem, Raw
from cvalues.errors import DataError, UsageError, unknown_name
from cvalues.pairs.build import Candidate, Judged, Vote
from cvalues.pairs.faults import PairFault
from cvalues.pairs.pair import Pair
from cvalues.pairs.quarantine import Quarantine
from cvalues.pairs.read import converted, read
from cvalues.records import clean
from cvalues.schema import GRADES, Grade, Prompt, Reply
from cvalues.taxonomy import Taxonomy, builtin

BY_SET = "set"
"""The rater of grades that a set gives its own replies."""


def judged_of(
    source: str | Path, *, taxonomy: Taxonomy | None = None, quarantine: Quarantine | None = None
) -> Iterator[Judged]:
    """Yields every prompt of a set or file with its graded replies, in the order of the file.

    Graded prompts and pairs of graded replies give replies of each grade. Prompts with an approved answer (100PoisonMpts) give one
    `responsible` reply. Plain prompts give none. Pairs without grades cannot be built anew: import them. Faulty rows of pairs go to
    `quarantine` and are left out; a faulty row of prompts or graded prompts does so only where it writes them, and else stops.

    Raises:
        DataError: the set or file cannot be read, or its replies are not graded.
        UsageError: neither a set nor a file has this name.
    """
    chosen = taxonomy or builtin()
    found = None if isinstance(source, Path) else find(source)
    if found is not None and found[0].builtin:
        for graded in starter.graded(found[1] or None):
            yield judged_graded(graded)
        return
    path = Path(source)
    if found is None and not path.exists() and isinstance(source, str) and path.suffix == "" and "/" not in source:
        raise unknown_name("data set or file", source, [entry.name for entry in known_sets()])
    places = [(path, place(str(path), set_name(path.stem), chosen))]
    if found is not None:
        places = []
        for file, cached in cached_files(*found):
            where = place(str(cached), found[0].name, chosen)
            places.append((cached, where._replace(licence=found[0].licence, split=file.split)))
    for file_path, where in places:
        form = open_set(file_path).format
        if form in {"graded", "prompts"}:
            yield from _prompts(file_path, where, quarantine)
        else:
            yield from judged_pairs(_good(source, chosen, quarantine))
            return


def _good(source: str | Path, taxonomy: Taxonomy, quarantine: Quarantine | None) -> Iterator[Pair]:
    for row in read(source, taxonomy=taxonomy):
        if row.fault is not None and quarantine is not None:
            quarantine.add(row.fault, row.raw)
        yield from row.pairs


def judged_graded(graded: GradedPrompt) -> Judged:
    """Returns a graded prompt as prompt and candidates."""
    origin = f"data:{graded.prompt.source}"
    return Judged(
        prompt=graded.prompt,
        candidates=tuple(
            _candidate(graded.replies[grade], grade, origin) for grade in GRADES if grade in graded.replies
        ),
        difficulty=graded.difficulty,
        category=graded.prompt.category,
    )


def _candidate(text: str, grade: Grade, origin: str) -> Candidate:
    vote = Vote(rater=BY_SET, value=float(GRADES.index(grade)), grade=grade)
    return Candidate(text=text, origin=origin, votes=(vote,))


def _prompts(path: Path, where: Place, quarantine: Quarantine | None) -> Iterator[Judged]:
    opened = open_set(path)
    for number, raw in enumerate(opened.rows, 1):
        row: Row | None = None
        if raw.fields is not None:
            item, row = converted(opened.format, opened.names.rename(raw.fields), raw.line, number, where)
            if isinstance(item, GradedPrompt):
                yield judged_graded(item)
                continue
            if isinstance(item, Prompt):
                yield _answered(item, where)
                continue
            if any(fault.code == "unfilled" for fault in row.faults):
                continue
        fault = _fault(raw, row, where)
        if quarantine is None or not quarantine.writes:
            raise DataError(f"{fault}; all faults:  cvalues data check {where.file}")
        told = PairFault(file=where.file, line=raw.line, code=fault.code, field=fault.field, found=clean(fault.found))
        quarantine.add(told, raw.text)


def _answered(prompt: Prompt, where: Place) -> Judged:
    answer = prompt.tags.get("answer", "")
    tags = {name: value for name, value in prompt.tags.items() if name != "answer"}
    bare = msgspec.structs.replace(prompt, tags=tags)
    replies = (_candidate(answer, "responsible", f"data:{where.set_name}"),) if answer.strip() else ()
    return Judged(prompt=bare, candidates=replies, category=bare.category)


def _fault(raw: Raw, row: Row | None, where: Place) -> Fault:
    lacking = fault_at(where.file, raw.line, raw.problem or Problem("format", "", EXPECTED, "none of these"))
    return next((fault for fault in row.faults if fault.severity == "fault"), lacking) if row is not None else lacking


def judged_pairs(pairs: Iterable[Pair]) -> Iterator[Judged]:
    """Yields the prompts of graded pairs with their replies: three pairs of one prompt hold three replies, each twice.

    All pairs are held in memory.

    Raises:
        DataError: a reply has no grade.
    """
    prompts: dict[str, Pair] = {}
    replies: dict[str, dict[str, list[Grade]]] = {}
    difficulty: dict[str, dict[str, str]] = {}
    for pair in pairs:
        first = prompts.setdefault(pair.question, pair)
        if pair.better.grade is None or pair.worse.grade is None:
            raise DataError(
                f"{pair.source}: its replies are not graded, so no pairs can be built of them; take the pairs as they are with  "
                "cvalues pairs import"
            )
        held = replies.setdefault(first.question, {})
        for reply in (pair.better, pair.worse):
            _note(held, reply)
        difficulty.setdefault(first.question, {})
    for question, pair in prompts.items():
        yield Judged(
            prompt=Prompt(
                id=pair.prompt_id, text=question, level=pair.collection or pair.level, category=pair.category,
                language=pair.language, source=pair.source, licence=pair.licence, split=pair.split, tags=pair.tags,
                parent=pair.lineage.parent or None,
            ),
            candidates=tuple(
                Candidate(text=text, origin=f"data:{pair.source}", votes=_votes(grades)) for text, grades in replies[question].items()
            ),
            category=pair.category,
        )  # fmt: skip


def _note(held: dict[str, list[Grade]], reply: Reply) -> None:
    if reply.grade is not None and reply.grade not in held.setdefault(reply.text, []):
        held[reply.text].append(reply.grade)


def _votes(grades: list[Grade]) -> tuple[Vote, ...]:
    """Returns the grades of one text as votes; two different ones are no majority, so such a reply makes no pair."""
    return tuple(Vote(rater=BY_SET, value=float(GRADES.index(grade)), grade=grade) for grade in grades)


def need_judged(judged: Iterable[Judged], source: str | Path) -> list[Judged]:
    """Returns the prompts as a list; raises UsageError when there is none."""
    found = list(judged)
    if not found:
        raise UsageError(f"'{source}' holds no prompts to build pairs from")
    return found
