"""The words of the pages in Chinese and English, and which of the two a visitor reads."""

from __future__ import annotations

import functools
from importlib import resources
from typing import Any

import msgspec

from cvalues.people import words as people_words

LANGUAGES = ("zh", "en")
COOKIE = "cvalues_lang"


@functools.cache
def phrases() -> dict[str, dict[str, str]]:
    """Returns every phrase of the pages by its key `section.name`, in each language."""
    body = resources.files("cvalues").joinpath("data/people/web/words.toml").read_bytes()
    sections = msgspec.toml.decode(body, type=dict[str, dict[str, dict[str, str]]])
    return {f"{section}.{name}": entry for section, entries in sections.items() for name, entry in entries.items()}


def text(key: str, language: str, **values: Any) -> str:
    """Returns a phrase with its values put in as they are: of the pages, else of `people.words`; KeyError for neither."""
    if key not in phrases():
        return people_words.phrase(key, language, **values)
    found = phrases()[key]["zh" if language == "zh" else "en"]
    for name, value in values.items():
        found = found.replace("{" + name + "}", str(value))
    return found


@functools.cache
def scripts(language: str) -> dict[str, str]:
    """Returns the phrases that the scripts show, by name."""
    return {
        key.removeprefix("script."): entry[language] for key, entry in phrases().items() if key.startswith("script.")
    }


def choose(cookie: str | None, locale: str | None, accepted: str) -> str:
    """Returns the language of a visitor: their account's, else their cookie's, else the browser's first of the two, else Chinese."""
    for given in (locale, cookie):
        if given in LANGUAGES:
            return str(given)
    for part in accepted.lower().split(","):
        code = part.strip()[:2]
        if code in LANGUAGES:
            return code
    return "zh"
