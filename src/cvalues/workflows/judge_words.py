"""The words of tables on judges, in Chinese and English, from `data/words/judging.toml`."""

from __future__ import annotations

from cvalues.phrases import Phrases

PHRASES = Phrases("words/judging.toml")
say = PHRASES.say
named = PHRASES.named


def columns(language: str, *names: str) -> tuple[str, ...]:
    """Returns the heads of columns."""
    return tuple(say(f"column.{name}", language) for name in names)
