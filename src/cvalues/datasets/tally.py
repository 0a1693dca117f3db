"""What a check counts over the rows of a file: duplicates, orders, balance, labels, and the figures known of a public file."""

from __future__ import annotations

import difflib
import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Mapping
from itertools import combinations
from typing import Any

from cvalues.datasets.pairing import pair_hash
from cvalues.datasets.registry import KnownFile
from cvalues.datasets.row import Row, fault_at
from cvalues.datasets.shapes import Comparison, Fault, GradedPrompt, Item, abbreviate
from cvalues.datasets.tabular import Problem
from cvalues.schema import Choice

_LABELS = 200  # a column with more different values is no label
_LABEL_LENGTH = 30
_LINE_BITS = 40


def _digest(*parts: str) -> bytes:
    text = "\x1f".join(parts).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(text, digest_size=16).digest()


class Tally:
    """Counts over the rows of one file; what must be unique is compared with the files before it too."""

    def __init__(self, total: Tally | None = None) -> None:
        """Counts into `total` as well, whose ids and texts the rows must not repeat."""
        self._total = total
        self.pair_count = 0
        self.categories: Counter[str] = Counter()
        self.labels: Counter[str] = Counter()
        self.difficulty: Counter[str] = Counter()
        self.first_places: dict[bytes, int] = total.first_places if total else {}
        self.files: list[str] = total.files if total else []
        self._orders: dict[str, dict[int, int]] = {}
        self._words: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._no_labels: set[str] = set()

    def add(self, item: Item | None, row: Row) -> list[Fault]:
        """Counts a record (None for a row that makes none) and returns its faults that only the other rows show."""
        found: list[Fault] = []
        name = row.own_id
        if name:
            first = self._before(row, _digest("id", name))
            if first:
                found.append(_again(row, "duplicate_id", "id", "each id once", f"{abbreviate(name)}, as at {first}"))
        if isinstance(item, Choice | Comparison):
            first, code, field = self._before(row, self._pair(item, row)), "duplicate_item", "replies"
        else:
            field = row.first("text", "prompt", "question")
            text = row.fields.get(field)
            known = isinstance(text, str) and bool(text.strip())
            first, code = self._before(row, _digest("text", str(text).strip())) if known else "", "duplicate_text"
        if first:
            found.append(_again(row, code, field, "each one once", f"the same as at {first}"))
        if item is not None:
            self.count(item)
            if self._total is not None:
                self._total.count(item)
        return found

    def _pair(self, item: Choice | Comparison, row: Row) -> bytes:
        """The digest of an item; notes in which order a choice shows its pair."""
        if isinstance(item, Comparison):
            return _digest("item", item.question, item.better.text, item.worse.text)
        better, worse = item.replies if item.better == 1 else item.replies[::-1]
        pair = item.pair_id if row.has("pair_id") else pair_hash(item.question, better.text, worse.text)
        self._orders.setdefault(pair, {}).setdefault(item.better, row.line)
        return _digest("item", item.question, better.text, worse.text, str(item.better))

    def _before(self, row: Row, key: bytes) -> str:
        """Where the key came up first, empty when this is the place; a place is kept as file number and line in one integer."""
        if not self.files or self.files[-1] != row.place.file:
            self.files.append(row.place.file)
        here = (len(self.files) - 1) << _LINE_BITS | row.line
        first = self.first_places.setdefault(key, here)
        if first == here:
            return ""
        return f"{self.files[first >> _LINE_BITS]}:{first & ((1 << _LINE_BITS) - 1)}"

    def count(self, item: Item) -> None:
        """Counts a record by category, difficulty and place of the better reply."""
        subject = item.prompt if isinstance(item, GradedPrompt) else item
        if subject.category:
            self.categories[subject.category] += 1
        if subject.difficulty:
            self.difficulty[subject.difficulty] += 1
        if isinstance(item, Choice):
            self.labels[str(item.better)] += 1
        if isinstance(item, Comparison):
            self.pair_count += 1

    def words(self, fields: Mapping[str, Any]) -> None:
        """Counts short values per column as written, for labels that are nearly alike."""
        for name in fields.keys() - self._no_labels:
            value = fields[name]
            if not isinstance(value, str):
                continue
            counts = self._words[name]
            counts[value] += 1
            if len(value) > _LABEL_LENGTH or len(counts) > _LABELS:
                self._no_labels.add(name)
                del self._words[name]

    def ends(self, file: str) -> list[Fault]:
        """Returns the faults that stand at the end of a file: orders, balance, labels that are nearly alike."""
        found: list[Fault] = []
        for orders in self._orders.values():
            if len(orders) == 1:
                ((place, line),) = orders.items()
                expected = "the pair in both orders"
                found.append(
                    fault_at(
                        file, line, Problem("order_missing", "replies", expected, f"the better reply only as {place}")
                    )
                )
        self.pair_count += len(self._orders)
        if self._total is not None:
            self._total.pair_count += len(self._orders)
        return found + self._balance(file) + self._near_labels(file)

    def _balance(self, file: str) -> list[Fault]:
        n, first = self.labels.total(), self.labels["1"]
        if n < 20 or abs(first / n - 0.5) <= 1.5 / math.sqrt(n):  # three standard errors of a fair coin: 3 · 0.5 / √n
            return []
        found = f"{first} of {n} with the better reply first"
        return [fault_at(file, 0, Problem("label_balance", "better", "about half of the better replies first", found))]

    def _near_labels(self, file: str) -> list[Fault]:
        found: list[Fault] = []
        for name, counts in self._words.items():
            if len(counts) * 3 > counts.total():  # labels come up again and again; other columns are texts
                continue
            for one, other in combinations(sorted(counts), 2):
                if _nearly(one, other):
                    what = f"{abbreviate(one)} ({counts[one]} rows) and {abbreviate(other)} ({counts[other]} rows)"
                    found.append(fault_at(file, 0, Problem("near_label", name, "one label for one thing", what)))
        return found

    def against(self, file: str, known: KnownFile, rows: int) -> list[Fault]:
        """Returns a fault for every figure that differs from the known one of a public file of which `rows` rows were read."""
        found: list[Fault] = []

        def compare(what: str, expected: int, actual: int) -> None:
            if expected != actual:
                found.append(fault_at(file, 0, Problem("count", what, f"{expected} rows", str(actual))))

        compare("rows", known.rows, rows)
        tables = (("category", known.categories, self.categories), ("better", known.labels, self.labels),
                  ("difficulty", known.difficulty, self.difficulty))  # fmt: skip
        for title, expected, actual in tables:
            for name in sorted({*expected, *actual}) if expected else ():
                compare(f"{title} {name}", expected.get(name, 0), actual.get(name, 0))
        if known.pairs:
            compare("pairs in both orders", known.pairs, sum(len(orders) == 2 for orders in self._orders.values()))
        return found


def _again(row: Row, code: str, field: str, expected: str, found: str) -> Fault:
    return fault_at(row.place.file, row.line, Problem(code, field, expected, found))


def _nearly(one: str, other: str) -> bool:
    """Whether two labels differ by blanks alone, or by one character of at least four (eight in Latin script)."""
    if not one.strip() or not other.strip() or one.isdecimal() or other.isdecimal():
        return False
    one, other = "".join(one.split()), "".join(other.split())
    if one == other:
        return True
    longest, shortest = max(len(one), len(other)), min(len(one), len(other))
    if shortest < (8 if one.isascii() else 4) or longest - shortest > 1:
        return False
    blocks = difflib.SequenceMatcher(None, one, other, autojunk=False).get_matching_blocks()
    return sum(block.size for block in blocks) >= longest - 1
