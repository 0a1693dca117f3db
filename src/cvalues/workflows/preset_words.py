"""The words of `cvalues models` in Chinese and English, from `data/words/models.toml`."""

from __future__ import annotations

import functools
from importlib import resources

import msgspec


class _Words(msgspec.Struct, forbid_unknown_fields=True):
    named: dict[str, dict[str, str]]
    zh: dict[str, str]


@functools.cache
def _words() -> _Words:
    body = resources.files("cvalues").joinpath("data/words/models.toml").read_bytes()
    return msgspec.toml.decode(body, type=_Words)


def named(key: str, language: str) -> str:
    """Returns a word of ours in `zh` or `en`; raises KeyError for a key that does not exist."""
    return _words().named[key]["zh" if language == "zh" else "en"]


def in_words(text: str, language: str) -> str:
    """Returns a text of a preset or built-in model in the language; the text itself where it has no Chinese."""
    return _words().zh.get(text, text) if language == "zh" else text
