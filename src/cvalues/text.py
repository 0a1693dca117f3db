"""The one place of text normalisation, refusal phrases, reasoning and near-duplicates.

Everything here is for *matching*: what was sent and received is kept elsewhere and never edited. The traditional characters in
`data/text/traditional.txt` were generated from OpenCC's tables (Apache-2.0); see `data/text/NOTICE`.
"""

from __future__ import annotations

import functools
import re
import tomllib
import unicodedata
from collections.abc import Iterator, Sequence
from importlib import resources
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "Refusal",
    "RefusalPhrase",
    "aligned",
    "find_refusal",
    "fingerprint",
    "near_duplicates",
    "ngrams",
    "normalise",
    "refusal_phrases",
    "similarity",
    "split_reasoning",
]

# Invisible: controls except tab and newline, zero-width and bidi marks, soft hyphen, variation selectors, keycap frames,
# tags and BOM. Carriage returns go too, after "\r\n" and "\r" have become "\n".
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    "\u202a-\u202e\u2060-\u206f\u20e3\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e0fff]+"
)
_PUNCTUATION = re.compile(r"[\W_]+")
_BLANKS = re.compile(r"[ \t]+")
# Written one to one, so that a place in the folded text is the same place in the text without invisible characters.
_EXTRA = {
    "‘": "'", "’": "'", "‛": "'", "′": "'", "＇": "'", "`": "`", "【": "[", "】": "]", "〔": "[", "〕": "]", "〖": "[",
    "〗": "]", "「": "“", "」": "”", "『": "“", "』": "”", "〝": "“", "〞": "”", "‟": "“", "„": "“", "‐": "-", "‑": "-",
    "‒": "-", "−": "-", "﹣": "-", "〜": "~", "∶": ":", "︰": ":", "﹕": ":", "｡": "。", "．": ".", "›": ">",
    "‹": "<", "〉": ">", "〈": "<", "Ⅰ": "1", "Ⅱ": "2", "ⅰ": "1", "ⅱ": "2", "㈠": "一", "㈡": "二", "🅰": "A", "🅱": "B",
    "🅐": "A", "🅑": "B", "＞": ">", "≻": ">", "≺": "<", "覆": "覆",
}  # fmt: skip
# Where a compatibility character stands for one character; the ranges are those with letters, digits, punctuation or ideographs.
_COMPATIBLE = (
    (0x00A0, 0x0100), (0x2000, 0x2070), (0x2070, 0x20A0), (0x2100, 0x2150), (0x2460, 0x2500), (0x2E80, 0x2FE0),
    (0x3000, 0x3040), (0x3200, 0x3400), (0xF900, 0xFB00), (0xFE10, 0xFFF0), (0x1D400, 0x1D800), (0x1F100, 0x1F200),
    (0x2F800, 0x2FA20),
)  # fmt: skip
_NUMBERED = (  # (first code point, first number, how many): circled, parenthesised, full stop, dingbats
    (0x2460, 1, 9), (0x2474, 1, 9), (0x2488, 1, 9), (0x2776, 1, 9), (0x2780, 1, 9), (0x278A, 1, 9), (0x24F5, 1, 9),
    (0x24EA, 0, 1), (0x24FF, 0, 1),
)  # fmt: skip
_REASONING_NAMES = (
    "think(?:ing)?|thoughts?|reason(?:ing)?|reflection|analysis|scratchpad|begin_of_thought|begin_of_reasoning"
)
_OPENING = re.compile(
    rf"<\|?(?:{_REASONING_NAMES})\|?>|\[(?:think|reasoning)\]|◁think▷|<\|channel\|>analysis<\|message\|>", re.IGNORECASE
)
_CLOSING = re.compile(
    r"</\|?(?:think(?:ing)?|thoughts?|reason(?:ing)?|reflection|analysis|scratchpad)\|?>|<\|/?end_of_(?:thought|reasoning)\|>"
    r"|\[/(?:think|reasoning)\]|◁/think▷|<\|channel\|>final<\|message\|>",
    re.IGNORECASE,
)
_FRAME = re.compile(r"<\|?/?(?:begin|end)_of_(?:solution|answer)\|?>|</?answer>\s*$|<\|(?:end|return|im_end|eot_id)\|>")
_BUCKET = 8  # how many followers in a bucket each text meets, and
_MET = 12  # how many candidates each text has at most: both bound the work when thousands are alike


class RefusalPhrase(NamedTuple):
    """One named refusal phrase: its language, its kind (`engage`, `choose` or `weak`) and its pattern."""

    name: str
    language: str
    kind: str
    pattern: re.Pattern[str]
    needs: tuple[str, ...]
    """One of these stands in every text that the pattern matches, which is quicker to look for."""


class Refusal(NamedTuple):
    """Where a refusal phrase stands: its name, its kind and the half-open span in the text searched."""

    name: str
    kind: str
    start: int
    end: int


class _Folding(dict[int, int]):
    """A translation table that remembers unknown characters as themselves, which makes `str.translate` quick."""

    def __missing__(self, key: int) -> int:
        self[key] = key
        return key


@functools.cache
def _folding() -> _Folding:
    """The one-to-one table: compatibility forms, spaces, brackets, numbers and traditional characters."""
    table = _Folding()
    for start, stop in _COMPATIBLE:
        for code in range(start, stop):
            folded = unicodedata.normalize("NFKC", chr(code))
            if len(folded) == 1 and folded != chr(code):
                table[code] = ord(folded)
    for code, number, count in _NUMBERED:
        table.update({code + i: ord("0") + number + i for i in range(count)})
    for code in (*range(0x2000, 0x200B), 0x00A0, 0x1680, 0x202F, 0x205F, 0x3000):
        table[code] = ord(" ")
    for code in (0x0B, 0x0C, 0x85, 0x2028, 0x2029):
        table[code] = ord("\n")
    pairs = resources.files("cvalues").joinpath("data/text/traditional.txt").read_text(encoding="utf-8")
    simplified = {ord(line[0]): ord(line[1]) for line in pairs.splitlines() if len(line) == 2}
    table.update({ord(old): ord(new) for old, new in _EXTRA.items()})
    table.update(simplified)
    for code in list(table):  # a compatibility form of a traditional character takes two steps
        target = table[code]
        table[code] = table.get(target, target)
    return table


def aligned(text: str) -> tuple[str, str]:
    """The text without invisible characters, and its folded form of exactly the same length.

    A span found in the second is the same span of the first, so that evidence can be quoted as it was written.
    An empty text gives two empty strings.
    """
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if _INVISIBLE.search(text):
        text = _INVISIBLE.sub("", text)
    return text, text if text.isascii() and "\x0b" not in text and "\x0c" not in text else text.translate(_folding())


def normalise(text: str) -> str:
    r"""The text folded for matching: width, circled digits, spaces and traditional characters; idempotent.

    Runs of spaces and tabs become one space, line ends become `\n`, outer blanks go; letter case stays.
    An empty text gives an empty string.
    """
    return _BLANKS.sub(" ", aligned(text)[1]).strip()


def fingerprint(text: str) -> str:
    """The letters and digits of the normalised text in one case, for duplicate detection; may be empty."""
    return _PUNCTUATION.sub("", normalise(text).casefold())


def ngrams(text: str, n: int) -> frozenset[str]:
    """The distinct runs of `n` characters; the text itself when it is shorter, nothing when it is empty.

    Raises:
        ValueError: `n` is below 1.
    """
    if n < 1:
        raise ValueError(f"n must be >= 1, got {n}")
    if len(text) <= n:
        return frozenset((text,)) if text else frozenset()
    return frozenset(text[i : i + n] for i in range(len(text) - n + 1))


def similarity(a: str, b: str) -> float:
    """Jaccard similarity, 0 to 1, of the character 3-grams of two fingerprints; 1 when both are empty."""
    return _jaccard(ngrams(fingerprint(a), 3), ngrams(fingerprint(b), 3))


def _jaccard(a: frozenset[str], b: frozenset[str]) -> float:
    shared = len(a & b)
    total = len(a) + len(b) - shared
    return shared / total if total else 1.0


def near_duplicates(texts: Sequence[str], threshold: float = 0.7) -> list[tuple[int, int, float]]:
    """Pairs (i, j, similarity) with i < j whose similarity is at least `threshold`, sorted; empty for no texts.

    Texts with one fingerprint are each paired with the first of them only, at 1.0, and the first stands for all in
    other pairs. Candidates come from MinHash with 96 hashes in 24 bands (a pair at 0.7 is missed once in about 700; below
    0.5 more often) and are verified exactly. Each text meets at most 12 later ones, so
    in a crowd of texts that are all alike not every pair is listed, but the work stays linear.

    Raises:
        ValueError: `threshold` is not in (0, 1].
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold must be in (0, 1], got {threshold}")
    first: dict[str, int] = {}
    found: list[tuple[int, int, float]] = []
    for index, text in enumerate(texts):
        mark = fingerprint(text)
        if (earlier := first.setdefault(mark, index)) != index:
            found.append((earlier, index, 1.0))
    marks = [mark for mark in first if mark]
    if len(marks) > 1:
        where = [first[mark] for mark in marks]
        for i, j in _candidates(marks, threshold):
            score = _jaccard(ngrams(marks[i], 3), ngrams(marks[j], 3))
            if score >= threshold:
                found.append((where[i], where[j], score))
    return sorted(found)


def _candidates(marks: list[str], threshold: float) -> Iterator[tuple[int, int]]:
    """Pairs of places in `marks` that share a band of MinHash values, each once, in order."""
    import numpy as np

    signatures = _signatures(marks)
    count = len(marks)
    packed = np.empty(0, dtype=np.int64)
    for band in range(0, signatures.shape[0], 4):
        key = np.zeros(count, dtype=np.uint64)
        for row in signatures[band : band + 4]:
            key = (key ^ row) * np.uint64(0x9E3779B97F4A7C15)
            key ^= key >> np.uint64(29)
        order = np.argsort(key, kind="stable")
        ranked = key[order]
        parts = [packed]
        for step in range(1, min(_BUCKET, count - 1) + 1):
            same = np.flatnonzero(ranked[step:] == ranked[:-step])
            if not same.size:
                break
            a, b = order[same], order[same + step]
            parts.append(np.minimum(a, b) * np.int64(count) + np.maximum(a, b))
        packed = np.sort(np.concatenate(parts))  # np.unique hashes, which is many times slower here
        packed = packed[np.append(True, packed[1:] != packed[:-1])] if packed.size else packed
        owner = packed // np.int64(count)
        late = owner[_MET:] == owner[:-_MET]  # the thirteenth and later candidates of one text
        packed = np.concatenate((packed[:_MET], packed[_MET:][~late]))
    rows = np.ascontiguousarray(signatures.T)  # a gather of whole rows is ten times as quick as one of columns
    for start in range(0, packed.size, 4_000):
        first, second = np.divmod(packed[start : start + 4_000], np.int64(count))
        agreeing = np.count_nonzero(rows[first] == rows[second], axis=1) / rows.shape[1]
        likely = (
            agreeing >= threshold - 0.25
        )  # five standard errors of the estimate: nothing is lost that exactness keeps
        yield from zip(first[likely].tolist(), second[likely].tolist(), strict=True)


def _signatures(marks: list[str]) -> NDArray[np.uint64]:
    """The 96 MinHash values of each text (rows: hashes), from hashed 3-grams; chunked so that memory stays bounded."""
    import numpy as np

    rng = np.random.default_rng(20230719)
    factors = rng.integers(1, 2**63, size=96, dtype=np.uint64) | np.uint64(1)
    signatures = np.empty((96, len(marks)), dtype=np.uint64)
    for start in range(0, len(marks), 20_000):
        chunk = [mark if len(mark) > 2 else mark.ljust(3, "\0") for mark in marks[start : start + 20_000]]
        codes = np.frombuffer("".join(chunk).encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.uint64)
        lengths = np.array([len(mark) for mark in chunk])
        ends = np.cumsum(lengths)
        grams = codes[:-2] * np.uint64(0x100000001B3) + codes[1:-1]
        grams = grams * np.uint64(0x9E3779B97F4A7C15) + codes[2:]
        grams = (grams ^ (grams >> np.uint64(31))) * np.uint64(0xBF58476D1CE4E5B9)
        inside = np.ones(len(codes), dtype=bool)
        inside[ends - 1] = inside[ends - 2] = False  # a 3-gram must not reach into the next text
        grams = grams[inside[:-2]]
        starts = np.concatenate(([0], np.cumsum(lengths - 2)[:-1]))
        for row, factor in enumerate(factors):
            mixed = grams * factor
            signatures[row, start : start + len(chunk)] = np.minimum.reduceat(mixed ^ (mixed >> np.uint64(32)), starts)
    return signatures


def split_reasoning(text: str) -> tuple[str, str]:
    """(answer, reasoning) of a text with `<think>…</think>` or a like frame; (text, "") when it has none.

    What stands after the last closing tag is the answer, also when the opening tag is missing. An opening tag that is
    never closed makes everything after it reasoning, so the answer may be empty.
    """
    if "<" not in text and "◁" not in text and "[" not in text:
        return text, ""
    end = 0
    close = 0
    for match in _CLOSING.finditer(text):
        close, end = match.start(), match.end()
    head, tail = text[:close], text[end:]
    opening = _OPENING.search(tail)
    unclosed = ""
    if opening:
        tail, unclosed = tail[: opening.start()], tail[opening.end() :]
    if not end and not opening:
        return text, ""
    before = ""
    if end and (first := _OPENING.search(head)):
        before, head = head[: first.start()], head[first.end() :]
    answer = _FRAME.sub("", before + tail if before.strip() else tail)
    reasoning = _OPENING.sub("", _CLOSING.sub("", head))
    return answer.strip(), "\n".join(part for part in (reasoning.strip(), unclosed.strip()) if part)


@functools.cache
def refusal_phrases() -> tuple[RefusalPhrase, ...]:
    """The named refusal phrases, Chinese and English, in the order in which they are tried."""
    source = resources.files("cvalues").joinpath("data/text/refusals.toml").read_text(encoding="utf-8")
    return tuple(
        RefusalPhrase(row["name"], row["language"], row["kind"], re.compile(row["pattern"]), tuple(row["needs"]))
        for row in tomllib.loads(source)["phrase"]
    )


def find_refusal(text: str) -> Refusal | None:
    """The first phrase of the table found in the normalised text, strong kinds before `weak`; None without one.

    The span is a place in `normalise(text).lower()`. A phrase inside a description of somebody else's reply is found too:
    who speaks is the caller's question.
    """
    folded = normalise(text).lower()
    weak: Refusal | None = None
    for phrase in refusal_phrases():
        if any(word in folded for word in phrase.needs) and (match := phrase.pattern.search(folded)):
            hit = Refusal(phrase.name, phrase.kind, match.start(), match.end())
            if phrase.kind != "weak":
                return hit
            weak = weak or hit
    return weak
