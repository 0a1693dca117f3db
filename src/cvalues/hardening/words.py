"""Every phrase that hardening and the gate show, in Chinese and English, from `data/hardening/words.toml`."""

from __future__ import annotations

from cvalues.phrases import Phrases

PHRASES = Phrases("hardening/words.toml")
say = PHRASES.say


def named(section: str, name: str, language: str) -> str:
    """Returns the phrase `section.name`, where a key has `_` for the `/` of a name, or the name itself where there is none."""
    key = f"{section}.{name.replace('/', '_')}"
    return say(key, language) if key in PHRASES else name
