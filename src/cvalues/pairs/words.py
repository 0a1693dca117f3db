"""Every phrase that pairs show, in Chinese and English, from `data/words/pairs.toml`."""

from __future__ import annotations

import functools
from importlib import resources

import msgspec


@functools.cache
def words() -> dict[str, dict[str, str]]:
    """Returns the phrases by their key `section.name`, in `zh` and `en`."""
    body = resources.files("cvalues").joinpath("data/words/pairs.toml").read_bytes()
    tables = msgspec.toml.decode(body, type=dict[str, dict[str, dict[str, str]]])
    return {f"{section}.{name}": entry for section, table in tables.items() for name, entry in table.items()}


def say(key: str, language: str, **gaps: object) -> str:
    """Returns a phrase with its gaps `{name}` filled; KeyError for a key that does not exist, a fault of the package."""
    text = words()[key]["zh" if language == "zh" else "en"]
    for name, value in gaps.items():
        text = text.replace("{" + name + "}", str(value))
    return text


def named(section: str, name: str, language: str) -> str:
    """Returns the phrase `section.name`, or the name itself where there is none."""
    return say(f"{section}.{name}", language) if f"{section}.{name}" in words() else name
