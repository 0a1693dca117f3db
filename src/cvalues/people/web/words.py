"""The words of the pages in Chinese and English, and which of the two a visitor reads."""

from __future__ import annotations

import functools

from cvalues.phrases import Phrases

LANGUAGES = ("zh", "en")
COOKIE = "cvalues_lang"


PAGES = Phrases("people/web/words.toml")
text = Phrases("people/words.toml", "people/web/words.toml").say
"""Returns a phrase of the pages, else of `people.words`, with its values put in as they are."""


@functools.cache
def scripts(language: str) -> dict[str, str]:
    """Returns the phrases that the scripts show, by name."""
    return {
        key.removeprefix("script."): entry[language] for key, entry in PAGES.table.items() if key.startswith("script.")
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
