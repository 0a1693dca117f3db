"""Every phrase of people's work in Chinese and English, from `data/people/words.toml`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cvalues.phrases import Phrases

PHRASES = Phrases("people/words.toml")
phrase = PHRASES.say


def why(reason: str, values: Mapping[str, Any], language: str) -> str:
    """Returns the reason of `Nothing` or `explain` in words; the code itself where there are none."""
    return phrase(f"why.{reason}", language, **values) if f"why.{reason}" in PHRASES else reason
