"""The words of tables on judges, in Chinese and English, from `data/words/judging.toml`."""

from __future__ import annotations

import functools
from importlib import resources

import msgspec


@functools.cache
def words() -> dict[str, dict[str, dict[str, str]]]:
    """Returns the phrases by section and name, in `zh` and `en`."""
    body = resources.files("cvalues").joinpath("data/words/judging.toml").read_bytes()
    return msgspec.toml.decode(body, type=dict[str, dict[str, dict[str, str]]])


def say(key: str, language: str, **gaps: object) -> str:
    """Returns the phrase `section.name` with its gaps `{name}` filled; KeyError for a key that does not exist, a fault of the package."""
    section, _, name = key.partition(".")
    text = words()[section][name]["zh" if language == "zh" else "en"]
    for gap, value in gaps.items():
        text = text.replace("{" + gap + "}", str(value))
    return text


def named(section: str, name: str, language: str) -> str:
    """Returns the phrase `section.name`, or the name itself where there is none."""
    return say(f"{section}.{name}", language) if name in words()[section] else name


def columns(language: str, *names: str) -> tuple[str, ...]:
    """Returns the heads of columns."""
    return tuple(say(f"column.{name}", language) for name in names)
