"""One pass over a set: its prompts, and of every pair the little that the cheap figures need; texts of a sample only.

Rows are streamed. A row whose only fault is that it names no category or level is audited all the same, since duplicates and
leaks do not depend on them; a row that makes no record is counted.
"""

from __future__ import annotations

import functools
import hashlib
import heapq
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from cvalues.datasets import starter
from cvalues.datasets.formats import convert, set_name
from cvalues.datasets.loading import open_set
from cvalues.datasets.pairing import comparison_of, comparisons_of
from cvalues.datasets.registry import KnownSet, cached_files, find, known_sets
from cvalues.datasets.row import Place, Row, place
from cvalues.datasets.shapes import Comparison, GradedPrompt, Item
from cvalues.errors import DataError, unknown_name
from cvalues.records import derive_seed
from cvalues.schema import Choice, Prompt
from cvalues.scoring.audit.settings import Auditing, leak_patterns, measures
from cvalues.taxonomy import Taxonomy
from cvalues.text import fingerprint

PAIRS = ("safe/unsafe", "responsible/safe", "responsible/unsafe", "all")
"""Pair types; `all` holds the pairs of sets that do not grade their replies."""
UNGRADED = PAIRS.index("all")
_UNKNOWN = "-"
_LABELS = 20  # a tag with more different values is no label
_QUOTED = 8  # letters and digits from which a reply inside a question is no accident


class Text(NamedTuple):
    """A prompt of the set (or a benign twin) and what duplicates are reported by."""

    id: str
    text: str
    split: str
    parent: str
    """Id of the prompt of which it is the benign twin; empty for a prompt."""


class Sampled(NamedTuple):
    """A pair whose texts are kept for the fitted models: its place in the columns of `Pairs`, and the two replies."""

    place: int
    better: str
    worse: str


class Pairs:
    """All pairs of a set as columns, and the texts of a sample of prompts for each pair type."""

    def __init__(self) -> None:
        """Holds no pair yet."""
        self.prompt = array("q")
        """Code of the prompt, the cluster."""
        self.kind = array("b")
        """Place in `PAIRS`."""
        self.level = array("b")
        """Level of the prompt's collection, 0 where it is not known."""
        self.longer = array("d")
        """1 where the better reply is the longer one, 0 where it is the shorter, 0.5 for a tie."""
        self.refusals = array("d")
        """The same for the number of refusal words."""
        self.hard = array("b")
        """1 hard, 0 another difficulty, -1 where the set does not say."""
        self.sampled: dict[int, dict[int, list[Sampled]]] = defaultdict(dict)
        """Pair type → prompt code → pairs."""

    def __len__(self) -> int:
        """The number of pairs."""
        return len(self.kind)


class Material:
    """What an audit knows of a set after one pass over its rows."""

    def __init__(self, settings: Auditing, seed: int) -> None:
        """Samples at most `settings.sample` prompts of each pair type, those with the smallest seeded hash of their id."""
        self.texts: list[Text] = []
        self.pairs = Pairs()
        self.rows = 0
        self.unread = 0
        self.categories: dict[int, Counter[str]] = defaultdict(Counter)
        self.splits: Counter[str] = Counter()
        self.split_categories: dict[str, Counter[str]] = defaultdict(Counter)
        self.tags: dict[str, Counter[str]] = defaultdict(Counter)
        self.orders: dict[bytes, list[int]] = {}
        """Digest of the pair id → how often the better reply was shown first, second; of choices only."""
        self.declines: dict[int, list[int]] = defaultdict(lambda: [0, 0])
        """Level → responsible replies that decline too, responsible replies of which it is said."""
        self.prompts_of_pairs: Counter[int] = Counter()
        """Pair type → prompts that have such a pair."""
        self.leaks: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)
        """(Where, what) → ids of the prompts whose texts give the answer away, in the order found."""
        self.repeated: set[tuple[bytes, int]] = set()
        """Replies that an earlier prompt has too, once for every later prompt."""
        self._settings = settings
        self._seed = seed
        self._codes: dict[str, int] = {}
        self._ids: list[str] = []
        self._pairs_seen: set[bytes] = set()
        self._replies: dict[bytes, int] = {}
        self._heaps: dict[int, list[tuple[int, int]]] = defaultdict(list)
        self._counted: set[tuple[int, int]] = set()
        self._no_labels: set[str] = set()

    def prompt_id(self, code: int) -> str:
        """Returns the id of the prompt with this code."""
        return self._ids[code]

    def add(self, item: Item, *, placed: bool = True) -> None:
        """Takes a record in; `placed` is False where its category and level were not in the row."""
        self.rows += 1
        match item:
            case GradedPrompt():
                self._graded(item, placed)
            case Prompt():
                self._prompt(item.id, item, item.text, placed=placed, parent=(item.parent or "") if item.benign else "")
                self._question(item.id, item.text)
            case Choice():
                orders = self.orders.setdefault(_digest(item.pair_id), [0, 0])
                orders[item.better - 1] += 1
                self._comparison(comparison_of(item), placed)
            case Comparison():
                self._comparison(item, placed)

    def _graded(self, item: GradedPrompt, placed: bool) -> None:
        prompt = item.prompt
        code = self._prompt(prompt.id, prompt, prompt.text, placed=placed)
        self._question(prompt.id, prompt.text)
        if item.twin is not None:
            self.texts.append(Text(f"{prompt.id}:twin", item.twin.text, prompt.split, prompt.id))
        if item.responsible_declines is not None and "responsible" in item.replies:
            for level in {0, prompt.level if placed else 0}:
                self.declines[level][0] += item.responsible_declines
                self.declines[level][1] += 1
        for text in item.replies.values():
            self._reply(code, prompt.id, prompt.text, text)
        for pair in comparisons_of(item):
            if self._new(pair):
                self._pair(code, pair, prompt.level if placed else 0)

    def _comparison(self, pair: Comparison, placed: bool) -> None:
        code = self._codes.get(pair.prompt_id)
        if code is None:
            code = self._prompt(pair.prompt_id, pair, pair.question, placed=placed)
            self._question(pair.prompt_id, pair.question)
        if self._new(pair):
            for text in (pair.better.text, pair.worse.text):
                self._reply(code, pair.prompt_id, pair.question, text)
            self._pair(code, pair, (pair.collection or 0) if placed else 0)

    def _new(self, pair: Comparison) -> bool:
        key = _digest(pair.id)
        if key in self._pairs_seen:
            return False
        self._pairs_seen.add(key)
        return True

    def _prompt(self, identity: str, subject: Prompt | Comparison, text: str, *, placed: bool, parent: str = "") -> int:
        code = len(self._ids)
        self._ids.append(identity)
        self._codes.setdefault(identity, code)
        self.texts.append(Text(identity, text, subject.split, parent))
        level = subject.level if isinstance(subject, Prompt) else subject.collection or 0
        if subject.category not in {"", _UNKNOWN}:
            self.categories[level if placed else 0][subject.category] += 1
        if subject.split:
            self.splits[subject.split] += 1
            self.split_categories[subject.split][subject.category] += 1
        for name, value in subject.tags.items():
            self._tag(name, value)
        return code

    def _tag(self, name: str, value: str) -> None:
        if name in self._no_labels:
            return
        counts = self.tags[name]
        counts[value] += 1
        if len(counts) > _LABELS:
            self._no_labels.add(name)
            del self.tags[name]

    def _pair(self, code: int, pair: Comparison, level: int) -> None:
        pairs, kind = self.pairs, _kind(pair)
        place_in = len(pairs)
        better, worse = pair.better.text.strip(), pair.worse.text.strip()
        pairs.prompt.append(code)
        pairs.kind.append(kind)
        pairs.level.append(level)
        pairs.longer.append(_half(len(better), len(worse)))
        pairs.refusals.append(_half(_facts(pair.better.text).refusals, _facts(pair.worse.text).refusals))
        pairs.hard.append(-1 if not pair.difficulty else pair.difficulty == "hard")
        if (kind, code) not in self._counted:
            self._counted.add((kind, code))
            self.prompts_of_pairs[kind] += 1
        self._sample(kind, code, Sampled(place_in, pair.better.text, pair.worse.text))

    def _sample(self, kind: int, code: int, pair: Sampled) -> None:
        """Keeps the pair when its prompt is among those with the smallest hashes; what is kept does not depend on the order of rows."""
        kept, heap = self.pairs.sampled[kind], self._heaps[kind]
        if code in kept:
            kept[code].append(pair)
            return
        rank = derive_seed(self._seed, "audit sample", self._ids[code])
        if len(heap) < self._settings.sample:
            heapq.heappush(heap, (-rank, code))
        elif rank < -heap[0][0]:
            del kept[heapq.heapreplace(heap, (-rank, code))[1]]
        else:
            return
        kept[code] = [pair]

    def _reply(self, code: int, identity: str, question: str, reply: str) -> None:
        facts = _facts(reply)
        key = _digest(facts.mark)
        if facts.mark and self._replies.setdefault(key, code) != code:
            self.repeated.add((key, code))
        if _QUOTED <= len(facts.mark) <= len(question) and facts.mark in fingerprint(question):
            self.leaks["question", "reply_in_question"][identity] = None
        for name in facts.leaks:
            self.leaks["reply", name][identity] = None

    def _question(self, identity: str, text: str) -> None:
        for entry, pattern in leak_patterns():
            if entry.where in {"question", "both"} and pattern.search(text):
                self.leaks["question", entry.name][identity] = None


class _Facts(NamedTuple):
    """What is read off a reply once, since it stands in two of three pairs."""

    mark: str
    refusals: int
    leaks: tuple[str, ...]


@functools.lru_cache(maxsize=4096)
def _facts(text: str) -> _Facts:
    lower = text.lower()
    return _Facts(
        fingerprint(text),
        sum(word in lower for word in measures().refusal.words),
        tuple(
            entry.name
            for entry, pattern in leak_patterns()
            if entry.where in {"reply", "both"} and pattern.search(text)
        ),
    )


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).digest()


def _kind(pair: Comparison) -> int:
    name = f"{pair.better.grade}/{pair.worse.grade}"
    return PAIRS.index(name) if name in PAIRS else UNGRADED


def _half(first: int, second: int) -> float:
    return 0.5 if first == second else float(first > second)


def gather(source: str | Path, taxonomy: Taxonomy, settings: Auditing, seed: int) -> Material:
    """Returns what one pass over a known set or a file shows; an empty file of a known format gives empty material.

    Raises:
        DataError: the set is not in the cache, the file cannot be read, or none of its first rows fits a known format.
        UsageError: neither a set nor a file has this name.
    """
    material = Material(settings, seed)
    found = None if isinstance(source, Path) else find(source)
    if found is not None and found[0].builtin:
        _starter(material, *found)
        return material
    for path, where in _files(source, found, taxonomy, settings):
        for item, placed in _items(path, where, settings):
            if item is None:
                material.unread += 1
            else:
                material.add(item, placed=placed)
    return material


def _starter(material: Material, known_set: KnownSet, part: str) -> None:
    for entry in starter.graded(part or None):
        twin = starter.twin_of(entry)
        if known_set.name == "starter-choice":
            material.add(entry)
        elif known_set.name == "starter-prompts":
            material.add(entry.prompt)
        elif twin is not None:
            material.add(twin)


def _files(
    source: str | Path, found: tuple[KnownSet, str] | None, taxonomy: Taxonomy, settings: Auditing
) -> Iterator[tuple[Path, Place]]:
    """Yields each file of the source with the facts of its rows."""
    if found is None:
        path = Path(source)
        if not path.exists() and isinstance(source, str) and path.suffix == "" and "/" not in source:
            raise unknown_name("data set or file", source, [known_set.name for known_set in known_sets()])
        yield path, place(str(path), set_name(path.stem), taxonomy, defaults=settings.defaults)
        return
    for file, path in cached_files(*found):
        where = place(str(path), found[0].name, taxonomy, defaults=settings.defaults)
        yield path, where._replace(licence=found[0].licence, split=file.split)


def _items(path: Path, where: Place, settings: Auditing) -> Iterator[tuple[Item | None, bool]]:
    """Yields (record or None, whether the row itself names category and level) of every row that is not an empty form."""
    opened = open_set(path, settings.columns)
    for number, raw in enumerate(opened.rows, 1):
        if raw.fields is None:
            yield None, False
            continue
        fields = opened.names.rename(raw.fields)
        row = Row(fields, raw.line, number, where)
        item = convert(opened.format, row)
        if item is not None:
            yield item, True
            continue
        if any(fault.code == "unfilled" for fault in row.faults):
            continue
        named = any(fields.get(name) for name in ("category", "domain_en", "domain_zh"))
        patched = {**fields, "level": 1} if named else {**fields, "level": 1, "category": _UNKNOWN}
        row = Row(patched, raw.line, number, where)
        yield convert(opened.format, row), False


def texts_of(source: str | Path, taxonomy: Taxonomy, settings: Auditing) -> list[Text]:
    """Returns the prompts of another set, for the search of texts in both; errors as `gather`."""
    small = msgspec.structs.replace(settings, sample=settings.least)
    material = gather(source, taxonomy, small, 0)
    if not material.texts:
        raise DataError(f"{source}: holds no prompts to compare with; see its rows with  cvalues data check {source}")
    return material.texts
