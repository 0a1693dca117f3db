"""A reader that takes typed values out of one row of a data file and notes everything that is wrong with it."""

from __future__ import annotations

import difflib
import functools
import re
import unicodedata
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import msgspec

from cvalues.datasets.columns import FIELDS, GRADES, LEVELS, SIDES, TRUTH, Level, fold, nearest_field
from cvalues.datasets.shapes import WARNINGS, Fault, abbreviate
from cvalues.datasets.tabular import Problem
from cvalues.records import canonical, clean
from cvalues.schema import Grade
from cvalues.taxonomy import Taxonomy

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffd\ud800-\udfff]")


class Place(NamedTuple):
    """What a row reader needs to know of its file: shown name, set name, taxonomy, category names, defaults and limits."""

    file: str
    set_name: str
    taxonomy: Taxonomy
    codes: dict[str, str]
    """Folded code, zh or en name → code."""
    levels: dict[str, Level]
    defaults: dict[str, str]
    max_length: int
    licence: str = ""
    split: str = ""
    told: Mapping[str, Mapping[str, Mapping[str, str]]] = {}
    """Column → its value → what that value tells of fields that the row lacks."""


def place(
    file: str, set_name: str, taxonomy: Taxonomy, *, defaults: Mapping[str, str] | None = None, max_length: int = 20_000
) -> Place:
    """Returns the facts of a file for its rows; `max_length` is in characters."""
    codes = {}
    for category in taxonomy.categories:
        for name in (category.en, category.zh, category.code):
            codes[fold(name)] = category.code
    levels: dict[str, Level] = {category.code: category.level for category in taxonomy.categories}
    return Place(file, set_name, taxonomy, codes, levels, dict(defaults or {}), max_length)


class Row:
    """One row: typed values out, faults noted. After reading, `faults` holds all that is wrong with it."""

    __slots__ = ("_used", "blocked", "faults", "fields", "line", "number", "own_id", "place")

    def __init__(self, fields: dict[str, Any], line: int, number: int, where: Place) -> None:
        """Takes the renamed fields, the physical line, the row number from 1, and the file's facts."""
        for column, values in where.told.items():
            fields = {**values.get(str(fields.get(column)), {}), **fields}
        self.fields = fields
        self.line = line
        self.number = number
        self.place = where
        self.faults: list[Fault] = []
        self.blocked = False
        """True when something is lacking without which there is no record, whatever the faults say of it."""
        self.own_id = ""
        """The id that `given_id` found, for those who come after the converter."""
        self._used: set[str] = set()

    def fault(self, code: str, field: str, expected: str, found: str) -> None:
        """Notes a fault, or a warning where the code is one."""
        self.faults.append(fault_at(self.place.file, self.line, Problem(code, field, expected, found)))

    def has(self, name: str) -> bool:
        """Whether the row holds something under this field (or a default does)."""
        return self.get(name) is not None

    def get(self, name: str) -> Any:
        """Returns the value of a field, or its default; None when absent, null or an empty string."""
        self._used.add(name)
        value = self.fields.get(name)
        if value is None or value == "":
            value = self.place.defaults.get(name)
        return value

    def first(self, *names: str) -> str:
        """Returns the first of these fields that the row holds at all, filled or not; the first name when it holds none."""
        return next((name for name in names if name in self.fields), names[0])

    def text(self, name: str, *, empty: str = "empty") -> str:
        """Returns a text that must be there; `""` with a fault when it is absent, empty or no string."""
        self._used.add(name)
        value = self.fields.get(name)
        if value is None:
            if name in self.fields:
                self.fault(empty, name, "a text", "nothing")
            else:
                self.fault("missing", name, "a text", "no such field")
            return ""
        if not isinstance(value, str):
            self.fault("type", name, "a text", f"{type(value).__name__} {abbreviate(value)}")
            return ""
        return self.checked(value, name, empty)

    def checked(self, value: str, name: str, empty: str) -> str:
        """Returns a text in a form that can be stored, noting blanks, emptiness, control characters and length."""
        if not value or value[0].isspace() or value[-1].isspace():
            if not value.strip():
                self.fault(empty, name, "a text", "blanks only" if value else "an empty string")
                return value
            self.fault("stray_space", name, "no blanks around the text", "blanks at its start or end")
        place = _CONTROL.search(value)
        if place is not None:
            found = f"U+{ord(place.group()):04X} at character {place.start() + 1}"
            self.fault("control", name, "no control characters", found)
            value = clean(value)
        if len(value) > self.place.max_length:
            self.fault("overlong", name, f"at most {self.place.max_length} characters", f"{len(value)}")
        return value

    def label(self, name: str) -> str:
        """Returns a short optional string without outer blanks (with a warning when it had some); `""` when absent."""
        if name not in self.fields and name not in self.place.defaults:
            return ""
        value = self.get(name)
        if value is None:
            return ""
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            self.fault("type", name, "a short text", f"{type(value).__name__} {abbreviate(value)}")
            return ""
        text = str(value)
        if text != text.strip():
            self.fault("stray_space", name, "no blanks around the label", abbreviate(text))
        return clean(text.strip())

    def pick(self, name: str, table: Mapping[str, Any], expected: str) -> Any:
        """Returns what a label means by a table; None when the field is absent, None with a fault when unknown."""
        text = self.label(name)
        if not text:
            return None
        if text in table:
            return table[text]
        folded = unicodedata.normalize("NFKC", text).casefold().replace(" ", "").strip("[]【】")
        if folded not in table:
            self.fault("value", name, expected, abbreviate(text))
            return None
        return table[folded]

    def grade(self, name: str) -> Grade | None:
        """Returns the grade under a field, in our words or those of CValues-Comparison; None when absent or unknown."""
        found: Grade | None = self.pick(name, GRADES, "unsafe, safe or responsible (风险回复, 拒绝为主, 拒绝&正向建议)")
        return found

    def side(self, name: str) -> Level | None:
        """Returns which reply (1 or 2) a field names; None when absent or unreadable."""
        found: Level | None = self.pick(name, SIDES, "1 or 2 (回复1 or 回复2)")
        return found

    def truth(self, name: str) -> bool | None:
        """Returns a yes or no; None when absent or unreadable."""
        value = self.get(name)
        if isinstance(value, bool):
            return value
        found: bool | None = self.pick(name, TRUTH, "true or false (是 or 否)")
        return found

    def category(self, *, needed: bool) -> str:
        """Returns the category's code (the name as written, with a fault, when the taxonomy does not hold it)."""
        field = next((name for name in ("category", "domain_en", "domain_zh") if self.has(name)), "category")
        self._used |= {"category", "domain_en", "domain_zh"}
        name = self.label(field)
        if not name:
            if needed:
                self.fault("missing", "category", "a category of the taxonomy", "nothing")
            return ""
        code = self.place.codes.get(fold(name))
        if code is None:
            near = _nearest_category(name, tuple(self.place.codes))
            expected = f"a category of the taxonomy (did you mean {near}?)" if near else "a category of the taxonomy"
            self.fault("unknown_category", field, expected, abbreviate(name))
            return name
        return code

    def level(self, category: str) -> Level | None:
        """Returns the level that the row gives, else the category's; None, with a fault, when neither is there."""
        own: Level | None = self.pick("level", LEVELS, "1 or 2 (安全 or 责任)")
        known = self.place.levels.get(category)
        if own is not None and known is not None and own != known:
            self.fault("level", "level", f"{known}, the level of {category}", str(own))
        return own or known

    def need_level(self, category: str) -> Level:
        """Returns the level as `level` does; blocks the row when it cannot be known (an unknown category is one fault, not two)."""
        level = self.level(category)
        if level is None:
            self.blocked = True
            if not any(fault.field in {"level", "category", "domain_en", "domain_zh"} for fault in self.faults):
                self.fault("missing", "level", "1 or 2, or a category of the taxonomy", "neither")
        return level or 1

    def given_id(self, name: str = "id") -> str:
        """Returns the id that the row gives: a bare number gets the set's name before it; `""` when there is none."""
        text = self.label(name)
        given = f"{self.place.set_name}/{text}" if text.isdecimal() else text
        if name == "id":
            self.own_id = given
        return given

    def rest(self) -> dict[str, str]:
        """Returns the tags: those of the field `tags`, then every filled field that nobody has read, as strings."""
        tags = self._tags()
        for name, value in self.fields.items():
            if name in self._used or value is None or value == "":
                continue
            shown = name.removesuffix("*")
            near = nearest_field(shown)
            if near:
                self.fault("unknown_field", shown, f"a known field (did you mean {near}?)", abbreviate(shown))
            elif shown not in FIELDS:
                self.fault("new_field", shown, "a known field", "another, kept as a tag")
            if isinstance(value, str) and value != value.strip():
                self.fault("stray_space", shown, "no blanks around the label", abbreviate(value))
            tags[shown] = clean(_as_text(value))
        return tags

    def _tags(self) -> dict[str, str]:
        value = self.get("tags")
        if value is None:
            return {}
        if isinstance(value, str):
            try:
                value = msgspec.json.decode(value)
            except msgspec.DecodeError:
                value = dict(part.split("=", 1) for part in re.split("[;；]", value) if "=" in part) or None
        if not isinstance(value, dict):
            self.fault("type", "tags", 'an object {"name": "value"} or name=value; name=value', "something else")
            return {}
        return {str(name): clean(_as_text(entry)) for name, entry in value.items()}


@functools.lru_cache(maxsize=4096)
def _nearest_category(name: str, known: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return near[0] if near else ""


def _as_text(value: object) -> str:
    if isinstance(value, str):
        return value.strip()
    return canonical(value).decode("utf-8", "replace")


def fault_at(file: str, line: int, problem: Problem) -> Fault:
    """Returns a raw problem as a fault of a file, a warning where its code is one."""
    code, field, expected, found = problem
    severity: Literal["fault", "warning"] = "warning" if code in WARNINGS else "fault"
    return Fault(file=file, line=line, code=code, field=field, expected=expected, found=found, severity=severity)
