"""People's grades A, B and C of answers before and after: A matches what experts advocate, B in its values, C does not.

The share A + B is what the authors of the expert-principle report compare. Where both models answered the same prompts, and the grades
are given by prompt, the difference is paired; where only counts are known it is not, and its interval is wider.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from cvalues.errors import DataError
from cvalues.records import detect_encoding, open_bytes, read_lines
from cvalues.schema import NO_DATA, Estimate, Record
from cvalues.stats.intervals import wilson
from cvalues.stats.paired import paired_difference

Letter = Literal["A", "B", "C"]
LETTERS: tuple[Letter, ...] = ("A", "B", "C")


class Letters(Record, frozen=True, kw_only=True):
    """Grades of one test set before and after."""

    set: str
    before: dict[str, int]
    after: dict[str, int]
    share_before: Estimate
    """(A + B) / all, Wilson interval."""
    share_after: Estimate
    difference: Estimate
    paired: bool
    p: float | None = None
    """Sign-flip test of the paired difference; None where it is not paired."""


def from_counts(name: str, before: Mapping[str, int], after: Mapping[str, int]) -> Letters:
    """Returns the comparison of two tables of counts, unpaired.

    Interval of the difference by Newcombe's hybrid score method (Statistics in Medicine 17, 1998, method 10):
    d − √((p₁ − l₁)² + (u₂ − p₂)²) and d + √((u₁ − p₁)² + (p₂ − l₂)²), 1 after and 2 before, l and u Wilson's limits. No data on one
    side gives no difference.
    """
    old, new = _share(before), _share(after)
    return Letters(
        set=name,
        before=_counts(before),
        after=_counts(after),
        share_before=old,
        share_after=new,
        difference=_newcombe(new, old),
        paired=False,
    )


def from_pairs(name: str, grades: Sequence[tuple[str, Letter, Letter]]) -> Letters:
    """Returns the comparison of (prompt, before, after), paired over prompts; NO_DATA for none."""
    before: dict[str, int] = {letter: sum(old == letter for _, old, _ in grades) for letter in LETTERS}
    after: dict[str, int] = {letter: sum(new == letter for _, _, new in grades) for letter in LETTERS}
    good = [[float(pair[at] != "C") for pair in grades] for at in (2, 1)]
    test = paired_difference(good[0], good[1], [pair[0] for pair in grades], "letters", name, span=1.0, unit="prompt")
    return Letters(
        set=name,
        before=_counts(before),
        after=_counts(after),
        share_before=_share(before),
        share_after=_share(after),
        difference=test.difference,
        paired=True,
        p=test.p,
    )


def _counts(given: Mapping[str, int]) -> dict[str, int]:
    return {letter: given.get(letter, 0) for letter in LETTERS}


def _share(counts: Mapping[str, int]) -> Estimate:
    total = sum(counts.get(letter, 0) for letter in LETTERS)
    return wilson(total - counts.get("C", 0), total, unit="prompt")


def _newcombe(new: Estimate, old: Estimate) -> Estimate:
    if (
        new.value is None
        or old.value is None
        or new.low is None
        or new.high is None
        or old.low is None
        or old.high is None
    ):
        return NO_DATA
    difference = new.value - old.value
    return Estimate(
        value=difference,
        low=difference - math.hypot(new.value - new.low, old.high - old.value),
        high=difference + math.hypot(new.high - new.value, old.value - old.low),
        method="newcombe-10",
        n=new.n + old.n,
        clusters=new.n + old.n,
        unit="prompt",
    )


class _Row(msgspec.Struct):
    """A row of a file of grades: paired (`before` and `after`), or one model's (`model` and `grade`)."""

    prompt: str = ""
    set: str = ""
    before: str = ""
    after: str = ""
    model: str = ""
    grade: str = ""


def read_letters(path: Path) -> list[Letters]:
    """Returns the comparison of every test set of a file of grades (.csv or .jsonl), by name of the set.

    Columns: `prompt`, `before`, `after` and, where there are several test sets, `set`; or `model` (`before` or `after`), `grade` and
    `set` for grades of different prompts.

    Raises:
        DataError: a row lacks a grade, or it is none of A, B and C; the message gives file:line.
    """
    paired: dict[str, list[tuple[str, Letter, Letter]]] = {}
    counts: dict[str, dict[str, dict[str, int]]] = {}
    for line, row in _rows(path):
        name = row.set or "all"
        if row.before or row.after:
            paired.setdefault(name, []).append(
                (row.prompt or str(line), _letter(row.before, path, line), _letter(row.after, path, line))
            )
        elif row.model in {"before", "after"}:
            letter = _letter(row.grade, path, line)
            side = counts.setdefault(name, {"before": {}, "after": {}})[row.model]
            side[letter] = side.get(letter, 0) + 1
        else:
            raise DataError(f"{path}:{line}: a grade needs before and after, or model (before or after) and grade")
    found = [from_pairs(name, rows) for name, rows in paired.items()]
    found += [from_counts(name, side["before"], side["after"]) for name, side in counts.items()]
    return sorted(found, key=lambda each: each.set)


def _letter(text: str, path: Path, line: int) -> Letter:
    for letter in LETTERS:
        if text.strip().upper() == letter:
            return letter
    raise DataError(f"{path}:{line}: a grade is A, B or C, not '{text[:20]}'")


def _rows(path: Path) -> list[tuple[int, _Row]]:
    rows = []
    if path.suffix.lower() == ".csv":
        with open_bytes(path) as file:
            text = file.read().decode(detect_encoding(path))
        for number, fields in enumerate(csv.DictReader(io.StringIO(text, newline="")), 2):
            known = {name: value or "" for name, value in fields.items() if name in _Row.__struct_fields__}
            rows.append((number, _Row(**known)))
        return rows
    for number, line in read_lines(path):
        try:
            rows.append((number, msgspec.json.decode(line, type=_Row)))
        except msgspec.DecodeError as error:
            raise DataError(f"{path}:{number}: is no row of grades ({error})") from error
    return rows
