"""Every phrase that hardening and the gate show, in Chinese and English, from `data/hardening/words.toml`."""

from __future__ import annotations

import functools
from importlib import resources

import msgspec


@functools.cache
def words() -> dict[str, dict[str, str]]:
    """Returns the phrases by their key `section.name`, in `zh` and `en`."""
    body = resources.files("cvalues").joinpath("data/hardening/words.toml").read_bytes()
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
    key = f"{section}.{name.replace('/', '_')}"
    return say(key, language) if key in words() else name
