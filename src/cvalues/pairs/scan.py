"""One pass over a file of pairs: what is wrong, what the pairs are, and what shortcuts would make of them.

Reply texts pass through; what stays of a row is some thirty bytes in columns. What stays of a prompt is its text, cut to 400
characters, for the search of near-duplicates. 145,669 rows with 48,600 prompts take seconds and stay under 400 MiB.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from cvalues.errors import DataError
from cvalues.pairs.artefacts import lone_number, repair_number
from cvalues.pairs.cluster import clusters
from cvalues.pairs.faults import PairFault
from cvalues.pairs.fitted import HELDOUT, Hashes, digest
from cvalues.pairs.pair import ORDER, Pair
from cvalues.pairs.quarantine import Quarantine
from cvalues.pairs.read import Read, read
from cvalues.pairs.shortcuts import facts
from cvalues.schema import Record
from cvalues.taxonomy import Taxonomy

Ints = npt.NDArray[np.int64]
Numbering = Literal["keep", "repair", "drop"]
_KEPT = 400  # characters of a prompt that are kept for near-duplicates
SIGNS = ("longer", "refusal-words", "numbering")
"""Shortcuts whose verdict on each pair is kept: 1 right, 0 a tie, -1 wrong."""


class ScanSettings(Record, frozen=True, kw_only=True):
    """Settings of a pass."""

    numbering: Numbering = "keep"
    """What to do with a numbered list of one item: keep it, take the number out (`repair`), or leave the pair out (`drop`)."""
    threshold: float = 0.7
    """Jaccard similarity of character 3-grams from which two prompts are near-duplicates."""
    keep: int = 200
    """Faults, and notes, that are kept; all are counted."""


class Repeats:
    """Finds the pairs that came before; of each pair a hash is kept, and no text."""

    def __init__(self) -> None:
        """Nothing came before."""
        self.seen: dict[int, int] = {}
        """Hash of a pair → its line, in the order of the rows."""

    def fault(self, row: Read, pair: Pair) -> PairFault | None:
        """Returns the fault of a pair that came before, in this (`duplicate`) or the other order (`conflict`); else notes the pair."""
        parts = (digest(pair.question), digest(pair.better.text), digest(pair.worse.text))
        same = int.from_bytes(digest(b"".join(parts))[:8], "big")
        other = int.from_bytes(digest(b"".join((parts[0], parts[2], parts[1])))[:8], "big")
        if same in self.seen:
            return PairFault(file=row.file, line=row.line, code="duplicate", found=str(self.seen[same]))
        if other in self.seen:
            return PairFault(file=row.file, line=row.line, code="conflict", found=str(self.seen[other]))
        self.seen[same] = row.line
        return None


class Scan:
    """The columns of a file of pairs; they are complete when `pairs` has been gone through."""

    def __init__(
        self,
        source: str | Path,
        settings: ScanSettings | None = None,
        *,
        taxonomy: Taxonomy | None = None,
        quarantine: IO[bytes] | None = None,
    ) -> None:
        """Reads nothing yet; `quarantine` gets a JSON line for every row that is set aside."""
        self.source = source
        self.settings = settings or ScanSettings()
        self._quarantine = Quarantine(quarantine, self.settings.keep)
        self.ledger = self._quarantine.ledger
        self.rows = 0
        self.repaired = 0
        """Numbers taken out of replies."""
        self.dropped = 0
        """Pairs left out for a list of one item."""
        self.prompt = array("i")
        """Code of the prompt of each pair, in the order of the rows."""
        self.kind = array("b")
        """Place of the pair type in `ORDER`."""
        self.category = array("h")
        """Code of the category, place in `categories`."""
        self.line = array("i")
        """Line of each pair, by which a second pass finds it again."""
        self.file = array("b")
        """Place of its file in `files`."""
        self.files: list[str] = []
        self.signs = {name: array("b") for name in SIGNS}
        self.length = array("i")
        """Characters of the better reply minus those of the worse one."""
        self.texts: list[str] = []
        """The prompts by code, cut."""
        self.keys: list[bytes] = []
        """A 16-byte hash of each prompt's whole text by code."""
        self.categories: list[str] = []
        self.held: set[int] = set()
        """Codes of prompts that the file itself holds back (split `heldout`)."""
        self._taxonomy = taxonomy
        self._codes: dict[bytes, int] = {}
        self._category: dict[str, int] = {}
        self._repeats = Repeats()
        self._last_line: list[int] = []
        self._last = -1
        self._cluster: Ints | None = None

    def pairs(self) -> Iterator[Pair]:
        """Yields the good pairs in the order of the rows and fills the columns; errors as `read.read`."""
        for row in read(self.source, taxonomy=self._taxonomy):
            self.rows += 1
            if row.fault is not None:
                self._quarantine.add(row.fault, row.raw)
                continue
            for pair in row.pairs:
                fault = self._repeats.fault(row, pair)
                if fault is not None:
                    self._quarantine.add(fault, row.raw)
                    break
                kept = self._numbered(row, pair)
                if kept is not None:
                    self._take(row, kept)
                    yield kept

    def run(self) -> Scan:
        """Goes through all rows and returns itself."""
        for _ in self.pairs():
            pass
        return self

    def again(self) -> Iterator[tuple[int, Pair]]:
        """Yields (place, pair) of the good pairs in a second pass over the same source; nothing before the first pass.

        Raises:
            DataError: the file changed between the passes.
        """
        place, count = 0, len(self)
        for row in read(self.source, taxonomy=self._taxonomy):
            for pair in row.pairs:
                if place == count:
                    return
                if self.line[place] != row.line or self.files[self.file[place]] != row.file:
                    break
                kept = pair if self.settings.numbering == "keep" else self._mended(pair)[0]
                if kept is not None:
                    yield place, kept
                    place += 1
        if place < count:
            raise DataError(f"{self.source}: changed while it was read; repeat the command when nothing writes to it")

    def __len__(self) -> int:
        """The number of good pairs so far."""
        return len(self.kind)

    @property
    def aside(self) -> int:
        """Rows set aside for a fault so far."""
        return self._quarantine.count

    @property
    def cluster(self) -> Ints:
        """Cluster of each prompt, by code: the smallest code among its near-duplicates. Computed once, after the pass."""
        if self._cluster is None or len(self._cluster) != len(self.texts):
            self._cluster = clusters(self.texts, self.settings.threshold)
        return self._cluster

    def pair_clusters(self) -> Ints:
        """Returns the cluster of each pair."""
        return self.cluster[np.array(self.prompt, dtype=np.int64)] if len(self) else np.zeros(0, dtype=np.int64)

    def hashes(self) -> tuple[Hashes, Hashes]:
        """Returns (`fitted.pair_hash`, `fitted.prompt_hash`) of each pair of a pass that keeps lists of one item as they are."""
        prompts = np.array([int.from_bytes(key[:8], "big") for key in self.keys], dtype=np.uint64)
        return np.fromiter(self._repeats.seen, dtype=np.uint64), prompts[np.array(self.prompt, dtype=np.int64)]

    def _numbered(self, row: Read, pair: Pair) -> Pair | None:
        """Returns the pair as the settings want lists of one item, and counts them; None where it is left out."""
        mended, fields = self._mended(pair)
        for field in fields:
            self.ledger.add(PairFault(file=row.file, line=row.line, code="lone_number", field=field))
        if mended is None:
            self.dropped += 1
        elif self.settings.numbering == "repair":
            self.repaired += len(fields)
        return mended

    def _mended(self, pair: Pair) -> tuple[Pair | None, list[str]]:
        """Returns (the pair as the settings want it or None, the fields with a list of one item)."""
        replies = (("pos_resp", pair.better), ("neg_resp", pair.worse))
        fields = [name for name, reply in replies if lone_number(reply.text)]
        if not fields or self.settings.numbering == "keep":
            return pair, fields
        if self.settings.numbering == "drop":
            return None, fields
        better, worse = (msgspec.structs.replace(reply, text=repair_number(reply.text)) for _, reply in replies)
        if not better.text.strip() or not worse.text.strip() or better.text.strip() == worse.text.strip():
            return None, fields
        return msgspec.structs.replace(pair, better=better, worse=worse), fields

    def _take(self, row: Read, pair: Pair) -> None:
        key = digest(pair.question)
        code = self._codes.get(key)
        if code is None:
            code = self._codes[key] = len(self.texts)
            self.texts.append(pair.question[:_KEPT])
            self.keys.append(key)
            self._last_line.append(row.line)
        elif code != self._last:
            before = str(self._last_line[code])
            self.ledger.add(PairFault(file=row.file, line=row.line, code="order", found=before))
        self._last, self._last_line[code] = code, row.line
        category = self._category.setdefault(pair.category, len(self._category))
        if category == len(self.categories):
            self.categories.append(pair.category)
        better, worse = facts(pair.better.text), facts(pair.worse.text)
        self.prompt.append(code)
        self.kind.append(ORDER.index(pair.type))
        self.category.append(category)
        if not self.files or self.files[-1] != row.file:
            self.files.append(row.file)
        self.line.append(row.line)
        self.file.append(len(self.files) - 1)
        self.length.append(better.length - worse.length)
        self.signs["longer"].append(_sign(better.length - worse.length))
        self.signs["refusal-words"].append(_sign(better.refusals - worse.refusals))
        self.signs["numbering"].append(_sign(better.items - worse.items))
        if pair.split == HELDOUT:
            self.held.add(code)


def _sign(value: int) -> int:
    return (value > 0) - (value < 0)
