"""Principles for careful answers, per category: a judge may be given them, and a model may be asked to answer by them."""

from __future__ import annotations

import functools
from importlib import resources
from pathlib import Path

import msgspec

from cvalues.errors import ConfigError
from cvalues.records import content_hash, open_bytes
from cvalues.schema import Record


class PrincipleSet(Record, frozen=True, kw_only=True):
    """The principles of one or several categories."""

    id: str
    categories: tuple[str, ...]
    zh: tuple[str, ...]
    en: tuple[str, ...] = ()

    def texts(self, language: str) -> tuple[str, ...]:
        """Returns them in `zh` or `en`; in Chinese where there is no English."""
        return self.en if language == "en" and self.en else self.zh


class Principles(Record, frozen=True, kw_only=True):
    """All principle sets with their version."""

    version: int
    set: tuple[PrincipleSet, ...] = ()
    replace: bool = False
    """In a user's file: whether it replaces the built-in sets instead of adding to them."""

    @property
    def id(self) -> str:
        """`principles@` and the version and a hash of the content."""
        return f"principles@{self.version}-{content_hash(self)[3:11]}"

    def of(self, category: str, language: str = "zh") -> tuple[str, ...]:
        """Returns the principles of a category in order; empty where there are none."""
        return tuple(text for entry in self.set if category in entry.categories for text in entry.texts(language))


@functools.cache
def builtin() -> Principles:
    """Returns the principles that ship with the package, written by us."""
    body = resources.files("cvalues").joinpath("data/principles/principles.toml").read_bytes()
    return msgspec.toml.decode(body, type=Principles)


def load(path: Path | None = None) -> Principles:
    """Returns the built-in principles, extended by a file, or replaced by it when it says `replace = true`.

    Raises:
        ConfigError: the file is not valid, or a set holds no principle.
    """
    if path is None:
        return builtin()
    with open_bytes(path) as file:
        try:
            own = msgspec.toml.decode(file.read(), type=Principles)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"{path}: {error}; each [[set]] needs id, categories and zh, as in docs/judging.md"
            ) from error
    for entry in own.set:
        if not entry.zh or not entry.categories or (entry.en and len(entry.en) != len(entry.zh)):
            raise ConfigError(
                f"{path}: set '{entry.id}' needs categories, at least one principle in zh, and as many in en or none"
            )
    if own.replace:
        return own
    return Principles(version=own.version, set=(*builtin().set, *own.set))
