"""Error messages and data faults in Chinese.

Messages are raised in English. `data/words/errors.toml`, `errors-AREA.toml` beside it and `faults.toml` hold the Chinese of each: `en` with
`{name}` for every value, `zh` with the same names, and `{{`, `}}` for braces. `{name:word}` in `en` is a value of letters,
digits and underscores; an entry with `wraps = true` comes before the others. A name in `zh` may say what its value is:

    {name:message}   another message, translated when it is known
    {name:messages}  several of them, joined by `; `
    {name:phrase}    what a data fault expected, or a kind of name (`[[phrase]]`)
    {name:found}     what a data fault found: like a phrase, but a quoted value of the file is left alone
    {name:code}      the code of a data fault (`[codes]`)
    {name:or}        names joined by ` or `
"""

from __future__ import annotations

import functools
import re
import string
import tomllib
from collections.abc import Iterator
from importlib import resources
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from cvalues.datasets import CheckReport
    from cvalues.datasets.shapes import Fault

_WORD = re.compile(r"\w+")
_DEPTH = 6
_PREFIXES = 4


class Wording(NamedTuple):
    """A message in both languages, cut at its values."""

    literals: tuple[str, ...]
    """The English between the values: one more than there are values."""
    fields: tuple[str, ...]
    """Names of the values, in the order of the English."""
    words: frozenset[str]
    """Names of the values that must be single words."""
    zh: tuple[tuple[str, str, str], ...]
    """(Chinese before a value, name of the value, what the value is); the last has no name."""

    def values(self, text: str) -> list[str] | None:
        """Returns the values of a text of this wording, None for another text.

        Each value ends as early as it can, but a word at the end begins as late as it can. The text is gone through once,
        however often the English of the wording occurs in the values.
        """
        first, *rest = self.literals
        if not rest:
            return [] if text == first else None
        *inner, last = rest
        place, end = len(first), len(text) - len(last)
        if place > end or not text.startswith(first) or not text.endswith(last):
            return None
        found, tail = [], []
        if inner and self.fields[-1] in self.words:
            literal = inner.pop()
            start = text.rfind(literal, place, end)
            if start < 0:
                return None
            tail = [text[start + len(literal) : end]]
            end = start
        for literal in inner:
            start = text.find(literal, place, end)
            if start < 0:
                return None
            found.append(text[place:start])
            place = start + len(literal)
        found += [text[place:end], *tail]
        fits = all(
            name not in self.words or _WORD.fullmatch(value) for name, value in zip(self.fields, found, strict=True)
        )
        return found if fits else None


class Catalogue(NamedTuple):
    """The Chinese of everything, each list with the wordings that have most words of their own first."""

    messages: tuple[Wording, ...]
    """What this package says."""
    outside: tuple[Wording, ...]
    """What the system, the parsers and checks of pairs say, where it becomes part of a message."""
    phrases: tuple[Wording, ...]
    """What was expected and found, and kinds of names."""
    codes: dict[str, str]
    """Chinese of every code of a data fault."""
    lines: dict[str, str]
    """Sentences of a check that are not faults."""


@functools.cache
def catalogue() -> Catalogue:
    """Returns the Chinese of all messages and faults, as it stands in `data/words`."""
    areas = [_file(name) for name in ("errors.toml", *_areas())]
    faults = _file("faults.toml")
    return Catalogue(
        messages=_wordings([entry for area in areas for entry in area.get("message", [])]),
        outside=_wordings([entry for area in areas for entry in area.get("outside", [])] + _pair_faults()),
        phrases=_wordings(faults["phrase"]),
        codes=faults["codes"],
        lines=faults["lines"],
    )


def _areas() -> list[str]:
    """Returns the files `errors-AREA.toml`: each area of the program brings the Chinese of its own messages."""
    folder = resources.files("cvalues").joinpath("data/words")
    return sorted(entry.name for entry in folder.iterdir() if entry.name.startswith("errors-"))


def _pair_faults() -> list[dict[str, str]]:
    """Returns the faults of rows of pairs as they stand in messages, with and without what was found."""
    found = []
    for code, words in _file("pairs.toml")["fault"].items():
        found.append({"en": f"{words['en']} [{code}]", "zh": f"{words['zh']} [{code}]"})
        found.append({"en": f"{words['en']}: {{found}} [{code}]", "zh": f"{words['zh']}：{{found:found}} [{code}]"})
    return found


def _file(name: str) -> Any:
    return tomllib.loads(resources.files("cvalues").joinpath(f"data/words/{name}").read_text(encoding="utf-8"))


def _wordings(entries: list[dict[str, Any]]) -> tuple[Wording, ...]:
    found = [(not entry.get("wraps"), wording(entry["en"], entry["zh"])) for entry in entries]
    return tuple(entry for _, entry in sorted(found, key=lambda each: (each[0], -sum(map(len, each[1].literals)))))


def wording(en: str, zh: str) -> Wording:
    """Returns an entry of the catalogue from its two texts."""
    literals, fields, words = [""], [], set()
    for text, name, what, _ in string.Formatter().parse(en):
        literals[-1] += text
        if name is not None:
            fields.append(name)
            literals.append("")
            words |= {name} if what == "word" else set()
    parts = tuple((text, name or "", what or "") for text, name, what, _ in string.Formatter().parse(zh))
    return Wording(tuple(literals), tuple(fields), frozenset(words), parts)


def translate(message: str, language: str) -> str:
    """Returns an error message in `zh`, with its names and values kept; the English text for `en` and where nothing fits.

    A message without words of its own (`file:line: …`, `timeout: …`) keeps what stands before the words that are known.
    """
    return _message(message, 0) if language == "zh" else message


def phrase(text: str, language: str) -> str:
    """Returns what a data fault expected or found in `zh`; the English text for `en` and where nothing fits."""
    return _phrase(text, 0) if language == "zh" else text


def fault_text(fault: Fault, language: str) -> str:
    """Returns a fault of a data file in one line, in the form of `str(fault)` or its Chinese."""
    return translate(str(fault), language)


def check_lines(report: CheckReport, language: str) -> Iterator[str]:
    """Yields the lines of a check, as `report.lines()` does, in `zh` or `en`."""
    if language != "zh":
        yield from report.lines()
        return
    lines = catalogue().lines
    for fault in report.faults:
        yield fault_text(fault, language)
    for warning in report.warnings:
        yield lines["warning"].format(fault=fault_text(warning, language))
    hidden = report.fault_count + report.warning_count - len(report.faults) - len(report.warnings)
    if hidden:
        yield lines["hidden"].format(count=hidden)
    yield lines["summary"].format(
        source=report.source,
        rows=report.rows,
        good=report.good,
        faults=report.fault_count,
        warnings=report.warning_count,
    )


def _message(text: str, depth: int) -> str:
    known = catalogue()
    found = _first(text, (*known.messages, *known.outside), depth)
    if found is not None:
        return found
    place = -1
    for _ in range(_PREFIXES):
        place = text.find(": ", place + 1)
        if place < 0:
            break
        found = _first(text[place + 2 :], (*known.messages, *known.outside), depth)
        if found is not None:
            return text[: place + 2] + found
    return text


def _phrase(text: str, depth: int) -> str:
    known = catalogue()
    found = _first(text, (*known.phrases, *known.outside), depth)
    return text if found is None else found


def _first(text: str, wordings: tuple[Wording, ...], depth: int) -> str | None:
    """Returns the Chinese of the first wording that fits; None where none does."""
    if depth >= _DEPTH:
        return None
    for entry in wordings:
        values = entry.values(text)
        if values is not None:
            named = dict(zip(entry.fields, values, strict=True))
            return "".join(
                before + (_value(named[name], what, depth + 1) if name else "") for before, name, what in entry.zh
            )
    return None


def _value(text: str, what: str, depth: int) -> str:
    found = text
    match what:
        case "message":
            found = _message(text, depth)
        case "messages":
            found = "；".join(_message(part, depth) for part in text.split("; "))
        case "phrase":
            found = _phrase(text, depth)
        case "found" if not text.endswith("'"):
            found = _phrase(text, depth)
        case "code":
            found = catalogue().codes.get(text, text)
        case "or":
            found = text.replace(" or ", " 或 ")
        case _:
            pass
    return found
