"""What can be wrong with a pair or with its file, each with the line where it stands."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Literal

from cvalues.datasets.shapes import abbreviate
from cvalues.pairs.artefacts import control_token
from cvalues.pairs.pair import Pair
from cvalues.pairs.words import named, say
from cvalues.schema import GRADES, Record

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffd\ud800-\udfff]")
NOTES = frozenset({"order", "lone_number"})
"""Codes of notes: the row is kept."""


class PairFault(Record, frozen=True, kw_only=True):
    """One thing wrong with a row: where, what, and what stands there."""

    file: str
    line: int
    """Physical line from 1; 0 for the file as a whole."""
    code: str
    field: str = ""
    found: str = ""

    @property
    def severity(self) -> Literal["fault", "note"]:
        """`fault`: the row is set aside. `note`: it is kept."""
        return "note" if self.code in NOTES else "fault"

    def text(self, language: str = "en", found: str | None = None) -> str:
        """Returns `file:line: field: what is wrong: what stands there [code]` in `zh` or `en`.

        Args:
            language: of the sentence.
            found: what stands there in that language; as it was found when None.
        """
        place = f"{self.file}:{self.line}" if self.line else self.file
        field = f"{self.field}: " if self.field else ""
        gap = "：" if language == "zh" else ": "
        shown = self.found if found is None else found
        tail = f"{gap}{shown}" if shown else ""
        return f"{place}: {field}{named('fault', self.code, language)}{tail} [{self.code}]"

    def __str__(self) -> str:
        """The English text."""
        return self.text()


class Ledger:
    """Counts faults and keeps the first ones, in bounded memory."""

    def __init__(self, keep: int = 200) -> None:
        """Keeps at most `keep` faults and as many notes."""
        self.keep = keep
        self.faults: list[PairFault] = []
        self.notes: list[PairFault] = []
        self.counts: Counter[str] = Counter()

    def add(self, fault: PairFault) -> None:
        """Counts a fault and keeps it where there is room."""
        self.counts[fault.code] += 1
        kept = self.notes if fault.severity == "note" else self.faults
        if len(kept) < self.keep:
            kept.append(fault)

    @property
    def fault_count(self) -> int:
        """Number of faults, notes not counted."""
        return sum(count for code, count in self.counts.items() if code not in NOTES)

    def lines(self, language: str, told: Callable[[str], str] | None = None) -> Iterator[str]:
        """Yields the kept faults and notes one a line, then how many are not shown; `told` says in that language what was found."""
        for fault in [*self.faults, *self.notes]:
            yield fault.text(language, told(fault.found) if told is not None else None)
        hidden = sum(self.counts.values()) - len(self.faults) - len(self.notes)
        if hidden:
            yield say("line.hidden", language, count=hidden)


def wrong_with(pair: Pair, *, types: tuple[str, str] = ("", "")) -> tuple[str, str, str] | None:
    """Returns (code, field, what was found) of the first thing wrong with a pair by itself; None for a good one.

    Args:
        pair: the pair.
        types: the grades as its file writes them; a name that is no grade is a fault.
    """
    better, worse = pair.better, pair.worse
    texts = (("prompt", pair.question), ("pos_resp", better.text), ("neg_resp", worse.text))
    found: tuple[str, str, str] | None = None
    for field, text in texts:
        if not text.strip():
            found = ("empty" if field == "prompt" else "empty_reply", field, "")
        elif token := control_token(text):
            found = ("control_token", field, abbreviate(token))
        elif control := _CONTROL.search(text):
            found = ("control", field, f"U+{ord(control.group()):04X}")
        if found:
            return found
    if better.text.strip() == worse.text.strip():
        return ("identical", "neg_resp", "")
    for field, name, grade in (("pos_type", types[0], better.grade), ("neg_type", types[1], worse.grade)):
        if name and grade is None:
            return ("unknown_grade", field, abbreviate(name))
    if better.grade is not None and worse.grade is not None:
        steps = GRADES.index(better.grade) - GRADES.index(worse.grade)
        if steps == 0:
            return ("equal_grades", "neg_type", better.grade)
        if steps < 0:
            return ("rank", "pos_type", f"{better.grade} < {worse.grade}")
    return None
