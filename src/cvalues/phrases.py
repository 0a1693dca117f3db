"""Tables of phrases in Chinese and English that ship with the package: TOML files of sections, each phrase with `zh` and `en`."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from importlib import resources

import msgspec


class Phrases:
    """The phrases of one or several files below `cvalues/data`, read when the first is asked for."""

    def __init__(self, *files: str) -> None:
        """Keeps the names of the files; later ones add to earlier ones."""
        self._files = files

    @functools.cached_property
    def table(self) -> dict[str, dict[str, str]]:
        """Every phrase by its key `section.name`, in `zh` and `en`."""
        found: dict[str, dict[str, str]] = {}
        for file in self._files:
            body = resources.files("cvalues").joinpath("data", file).read_bytes()
            sections = msgspec.toml.decode(body, type=dict[str, dict[str, dict[str, str]]])
            found |= {
                f"{section}.{name}": entry for section, entries in sections.items() for name, entry in entries.items()
            }
        return found

    def __contains__(self, key: object) -> bool:
        """Returns whether there is a phrase of this key."""
        return key in self.table

    def __iter__(self) -> Iterator[str]:
        """Yields the keys in the order of the files."""
        return iter(self.table)

    def say(self, key: str, language: str, **gaps: object) -> str:
        """Returns a phrase with its gaps `{name}` filled by values as they are; KeyError for a key that is not there, our fault."""
        text = self.table[key]["zh" if language == "zh" else "en"]
        for name, value in gaps.items():
            text = text.replace("{" + name + "}", str(value))
        return text

    def named(self, section: str, name: str, language: str) -> str:
        """Returns the phrase `section.name`, or the name itself where there is none."""
        key = f"{section}.{name}"
        return self.say(key, language) if key in self else name
