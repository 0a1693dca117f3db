"""Error messages in Chinese. Messages are raised in English; the catalogue `data/words/errors.toml` maps their patterns."""

from __future__ import annotations

import functools
import re
import tomllib
from importlib import resources

_FIELD = re.compile(r"\{(\w+)\}")


@functools.cache
def catalogue() -> tuple[tuple[re.Pattern[str], str], ...]:
    """Returns (pattern of the English message, Chinese template), longest first; a `{name}` of the file matches any text."""
    body = resources.files("cvalues").joinpath("data/words/errors.toml").read_text(encoding="utf-8")
    entries = tomllib.loads(body)["message"]
    entries.sort(key=lambda entry: -len(_FIELD.sub("", entry["en"])))
    return tuple((_pattern(entry["en"]), entry["zh"]) for entry in entries)


def _parts(template: str) -> list[tuple[int, str]]:
    """Returns the pieces of a template: (0, text) and (1, field name) in turn."""
    return [(index % 2, part) for index, part in enumerate(_FIELD.split(template))]


def _pattern(text: str) -> re.Pattern[str]:
    seen: set[str] = set()
    parts = []
    last = 0
    for field in _FIELD.finditer(text):
        parts.append(re.escape(text[last : field.start()]))
        name = field[1]
        parts.append(f"(?P={name})" if name in seen else f"(?P<{name}>.*?)")
        seen.add(name)
        last = field.end()
    return re.compile("".join(parts) + re.escape(text[last:]), re.DOTALL)


def translate(message: str, language: str) -> str:
    """Returns an error message in `zh`, with its names and values kept; the English text for `en` and where no pattern fits."""
    if language != "zh":
        return message
    for pattern, template in catalogue():
        match = pattern.fullmatch(message)
        if match:
            found = match.groupdict()
            return "".join(found.get(part, part) if odd else part for odd, part in _parts(template))
    return message
