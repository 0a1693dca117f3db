"""Every phrase that pairs show, in Chinese and English, from `data/words/pairs.toml`."""

from __future__ import annotations

from cvalues.phrases import Phrases

PHRASES = Phrases("words/pairs.toml")
say = PHRASES.say
named = PHRASES.named
