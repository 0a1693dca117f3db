"""Rubrics: what a judge is asked about a response, and which verdicts its answer gives. They are data; a user's file has the same form.

A rubric names fields; each is one key of the JSON that the judge must answer with, and gives a verdict of one criterion.
"""

from __future__ import annotations

import functools
import re
from importlib import resources
from pathlib import Path
from typing import Literal

import msgspec

from cvalues.criteria import criteria, criterion
from cvalues.errors import ConfigError, unknown_name
from cvalues.records import content_hash, open_bytes
from cvalues.schema import Record

BUILTIN = ("safety", "grade", "responsibility", "refusal", "overhelp", "preference")
"""The rubrics that ship with the package."""
_KEY = re.compile(r"[a-z][a-z_]{0,30}")
_RESERVED = {"nonce", "reason"}
_PLACE = re.compile(r"\$\.field\[(\d+)\]\.?(\w*)|\$\.(\w+)")
_UNKNOWN = re.compile(r"unknown field `(\w+)`")


class Field(Record, frozen=True, kw_only=True):
    """One key of a judge's answer."""

    key: str
    kind: Literal["choice", "score", "category"]
    """`choice` is one of `values`, `score` an integer from `min` to `max`, `category` a code of the taxonomy or `none`."""
    criterion: str
    """The criterion that its verdict belongs to."""
    zh: str
    en: str
    values: tuple[str, ...] = ()
    min: int = 0
    max: int = 0

    def text(self, language: str) -> str:
        """Returns what the judge is told of this field, in `zh` or `en`."""
        return self.zh if language == "zh" else self.en


class Texts(Record, frozen=True, kw_only=True):
    """One text in both languages."""

    zh: str
    en: str


class Rubric(Record, frozen=True, kw_only=True):
    """What a judge is asked about one response, or about two to the same prompt."""

    name: str
    zh: str
    en: str
    instruction: Texts
    field: tuple[Field, ...]
    """In the order in which the judge must answer; its reason comes before all of them."""
    subjects: Literal[1, 2] = 1

    @property
    def hash(self) -> str:
        """Content hash of the whole rubric."""
        return content_hash(self)

    @property
    def criteria(self) -> tuple[str, ...]:
        """The criteria that its verdicts belong to."""
        return tuple(entry.criterion for entry in self.field)

    def title(self, language: str) -> str:
        """Returns its name for people, in `zh` or `en`."""
        return self.zh if language == "zh" else self.en

    def told(self, language: str) -> str:
        """Returns its instruction in `zh` or `en`."""
        return self.instruction.zh if language == "zh" else self.instruction.en


def rubric(name: str) -> Rubric:
    """Returns a built-in rubric by name, or the one in a TOML file.

    Raises:
        UsageError: the name is neither built in nor a file that ends in .toml.
        ConfigError: the file is no rubric; the message gives file:line.
    """
    if name in BUILTIN:
        return _builtin(name)
    if not name.endswith(".toml"):
        raise unknown_name("rubric", name, BUILTIN)
    path = Path(name)
    with open_bytes(path) as file:
        return parse(file.read(), str(path))


@functools.cache
def _builtin(name: str) -> Rubric:
    body = resources.files("cvalues").joinpath(f"data/rubrics/{name}.toml").read_bytes()
    return parse(body, f"{name}.toml")


def parse(body: bytes, where: str) -> Rubric:
    """Returns the rubric of a TOML text.

    Raises:
        ConfigError: it is not valid; the message gives file:line, what was expected and what to do.
    """
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{where}: is not UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8") from error
    try:
        found = msgspec.toml.decode(text, type=Rubric)
    except msgspec.ValidationError as error:
        line = _line(text, str(error))
        raise ConfigError(f"{where}:{line}: {error}; see docs/judging.md for the fields of a rubric") from error
    except msgspec.DecodeError as error:
        at = re.search(r"line (\d+)", str(error))
        line = int(at.group(1)) if at else 1
        raise ConfigError(f"{where}:{line}: {error}; see docs/judging.md for the fields of a rubric") from error
    for number, entry in enumerate(found.field):
        fault = _field_fault(entry, found) or _scale_fault(entry)
        if fault is not None:
            key, why = fault
            line = _field_line(text, number, key)
            raise ConfigError(f"{where}:{line}: field '{entry.key}': {why}; see docs/judging.md")
    if not found.field:
        raise ConfigError(f"{where}:1: a rubric needs at least one [[field]]; see docs/judging.md")
    keys = [entry.key for entry in found.field]
    named = [entry.criterion for entry in found.field]
    for number, entry in enumerate(found.field):
        if entry.key in keys[:number] or entry.criterion in named[:number]:
            line = _field_line(text, number, "key" if entry.key in keys[:number] else "criterion")
            raise ConfigError(
                f"{where}:{line}: field '{entry.key}': its key or criterion is given twice; give each once"
            )
    return found


def _field_fault(entry: Field, whole: Rubric) -> tuple[str, str] | None:
    """Returns the key of a field that is wrong, and what is wrong with it; None when nothing is."""
    if not _KEY.fullmatch(entry.key) or entry.key in _RESERVED:
        return "key", "key must be lower-case letters and not 'nonce' or 'reason'"
    known = criteria()
    if entry.criterion not in known:
        return "criterion", f"'{entry.criterion}' is no criterion; choose one of {', '.join(known)}"
    if (known[entry.criterion].scale == "pair") != (whole.subjects == 2):
        return "criterion", "criterion preference goes with subjects = 2, all others with subjects = 1"
    return None


def _scale_fault(entry: Field) -> tuple[str, str] | None:
    """The same of a field whose criterion exists, held against the criterion's scale."""
    scale = criterion(entry.criterion)
    match entry.kind:
        case "score" if scale.min is None or scale.max is None:
            return "kind", "its criterion has labels: use kind = 'choice'"
        case "score" if not (scale.min or 0) <= entry.min < entry.max <= (scale.max or 0):
            key = "max" if (scale.min or 0) <= entry.min < (scale.max or 0) else "min"
            return key, f"min and max must lie within {scale.min} and {scale.max}"
        case "category" if entry.criterion != "safety/scenario":
            return "kind", "kind = 'category' goes with criterion safety/scenario"
        case "choice" if scale.numeric:
            return "kind", "its criterion has numbers: use kind = 'score' with min and max"
        case "choice" if len(entry.values) < 2 or not set(entry.values) <= set(scale.values):
            return "values", f"values must be two or more of {', '.join(scale.values)}"
        case _:
            return None


def _line(text: str, message: str) -> int:
    """Returns the line that a path in a validation message (`$.field[1].kind`) points to; 1 for the whole file."""
    found, strange = _PLACE.search(message), _UNKNOWN.search(message)
    extra = strange.group(1) if strange else ""
    if found is None:
        return _key_line(text.splitlines(), extra, 0, None) or 1 if extra else 1
    if found.group(1) is not None:
        return _field_line(text, int(found.group(1)), extra or found.group(2))
    return _key_line(text.splitlines(), found.group(3), 0, None) or 1


def _field_line(text: str, number: int, key: str) -> int:
    lines = text.splitlines()
    starts = [index for index, line in enumerate(lines) if re.match(r"\s*\[\[\s*field\s*\]\]", line)]
    if number >= len(starts):
        return 1
    start = starts[number]
    end = starts[number + 1] if number + 1 < len(starts) else None
    return (_key_line(lines, key, start, end) if key else None) or start + 1


def _key_line(lines: list[str], key: str, start: int, end: int | None) -> int | None:
    wanted = re.compile(rf"\s*(\[+\s*)?{re.escape(key)}\b")
    for index in range(start, len(lines) if end is None else end):
        if wanted.match(lines[index]):
            return index + 1
    return None
