"""Levels, safety scenarios and responsibility domains, from one data file; a user's file extends or replaces it.

Only three of the paper's ten scenario names are public (Dangerous Topic, Crimes, Personal Privacy); the other seven are our own
choice and marked so in the data. The eight domains are the paper's.
"""

from __future__ import annotations

import functools
from importlib import resources
from pathlib import Path
from typing import Literal

import msgspec

from cvalues.errors import ConfigError, unknown_name
from cvalues.records import open_bytes
from cvalues.schema import Record


class Category(Record, frozen=True, kw_only=True):
    """A safety scenario (level 1) or a responsibility domain (level 2)."""

    code: str
    level: Literal[1, 2]
    zh: str
    en: str
    origin: Literal["paper", "own", "user"] = "user"
    """`paper` where the name is public knowledge of the paper."""
    harm: int = 3
    """Weight from 1 to 5 for ranking weak categories; our own judgement."""

    def name(self, language: str) -> str:
        """Returns the name in `zh` or `en`."""
        return self.zh if language == "zh" else self.en


class Level(Record, frozen=True, kw_only=True):
    """One of the two levels of value."""

    code: Literal[1, 2]
    zh: str
    en: str


class _File(Record, frozen=True, kw_only=True):
    level: tuple[Level, ...] = ()
    category: tuple[Category, ...] = ()
    replace: bool = False


class Taxonomy(Record, frozen=True, kw_only=True):
    """All levels and categories in their order of display."""

    levels: tuple[Level, ...]
    categories: tuple[Category, ...]

    def category(self, code: str) -> Category:
        """Returns the category with this code; raises UsageError with the nearest codes when there is none."""
        for category in self.categories:
            if category.code == code:
                return category
        raise unknown_name("category", code, [category.code for category in self.categories])

    def at(self, level: int) -> tuple[Category, ...]:
        """Returns the categories of a level in order."""
        return tuple(category for category in self.categories if category.level == level)

    def name(self, code: str, language: str) -> str:
        """Returns the category's name in `zh` or `en`, or the code itself when the taxonomy does not hold it."""
        for category in self.categories:
            if category.code == code:
                return category.name(language)
        return code

    @property
    def codes(self) -> frozenset[str]:
        """All category codes."""
        return frozenset(category.code for category in self.categories)


def _parse(body: bytes, where: str) -> _File:
    try:
        return msgspec.toml.decode(body, type=_File)
    except msgspec.DecodeError as error:
        raise ConfigError(
            f"{where}: {error}; each [[category]] needs code, level (1 or 2), zh and en, as in docs/data.md"
        ) from error


@functools.cache
def builtin() -> Taxonomy:
    """Returns the taxonomy that ships with the package: 2 levels, 10 scenarios, 8 domains."""
    body = resources.files("cvalues").joinpath("data/taxonomy.toml").read_bytes()
    parsed = _parse(body, "taxonomy.toml")
    return Taxonomy(levels=parsed.level, categories=parsed.category)


def load(path: Path | None = None) -> Taxonomy:
    """Returns the built-in taxonomy, extended by the file at `path`, or replaced by it when the file says `replace = true`.

    A category of the file with a built-in code takes its place; a new one is added after the others of its level.

    Raises:
        ConfigError: the file is not valid, repeats a code, or leaves no category.
    """
    base = builtin()
    if path is None:
        return base
    with open_bytes(path) as file:
        parsed = _parse(file.read(), str(path))
    codes = [category.code for category in parsed.category]
    repeated = sorted({code for code in codes if codes.count(code) > 1})
    if repeated:
        raise ConfigError(f"{path}: category code given twice: {', '.join(repeated)}; give each code once")
    own = {category.code: category for category in parsed.category}
    kept = [] if parsed.replace else [own.pop(category.code, category) for category in base.categories]
    merged = sorted([*kept, *own.values()], key=lambda category: category.level)
    if not merged:
        raise ConfigError(f"{path}: holds no [[category]]; add at least one or drop 'replace = true'")
    return Taxonomy(levels=parsed.level or base.levels, categories=tuple(merged))
