"""Every phrase of people's work in Chinese and English, from `data/people/words.toml`."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from importlib import resources
from typing import Any

import msgspec


@functools.cache
def phrases() -> dict[str, dict[str, str]]:
    """Returns every phrase by its key `section.name`, in each language."""
    body = resources.files("cvalues").joinpath("data/people/words.toml").read_bytes()
    sections = msgspec.toml.decode(body, type=dict[str, dict[str, dict[str, str]]])
    return {f"{section}.{name}": entry for section, entries in sections.items() for name, entry in entries.items()}


def phrase(key: str, language: str, **values: Any) -> str:
    """Returns a phrase in `zh` or `en` with its values put in as they are; KeyError for a key that does not exist."""
    text = phrases()[key]["zh" if language == "zh" else "en"]
    for name, value in values.items():
        text = text.replace("{" + name + "}", str(value))
    return text


def why(reason: str, values: Mapping[str, Any], language: str) -> str:
    """Returns the reason of `Nothing` or `explain` in words; the code itself where there are none."""
    return phrase(f"why.{reason}", language, **values) if f"why.{reason}" in phrases() else reason
