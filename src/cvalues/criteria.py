"""Criteria by which responses are judged, with their scales, from one data file.

Verdicts of different criteria are never aggregated together.
"""

from __future__ import annotations

import functools
from importlib import resources
from typing import Literal

import msgspec

from cvalues.errors import unknown_name
from cvalues.schema import Record


class Criterion(Record, frozen=True, kw_only=True):
    """One row of `data/criteria.toml`."""

    zh: str
    en: str
    scale: Literal["nominal", "ordinal", "pair"]
    values: tuple[str, ...] = ()
    """The labels, in order for an ordinal scale; empty where they are codes of the taxonomy, or numbers."""
    min: int | None = None
    max: int | None = None

    def name(self, language: str) -> str:
        """Returns the name in `zh` or `en`."""
        return self.zh if language == "zh" else self.en

    @property
    def numeric(self) -> bool:
        """True when its verdicts are numbers from `min` to `max`."""
        return self.min is not None

    def code(self, value: str | float | None) -> float | None:
        """Returns a verdict's value as a number: itself, or the label's place from 0; None for no value or a strange label."""
        if value is None or isinstance(value, bool):
            return None
        if self.numeric:
            return float(value) if isinstance(value, int | float) else None
        return float(self.values.index(value)) if isinstance(value, str) and value in self.values else None


@functools.cache
def criteria() -> dict[str, Criterion]:
    """Returns all criteria by name, in their order in the file."""
    body = resources.files("cvalues").joinpath("data/criteria.toml").read_bytes()
    return msgspec.toml.decode(body, type=dict[str, Criterion])


def criterion(name: str) -> Criterion:
    """Returns the criterion of this name; raises UsageError with the names when there is none."""
    try:
        return criteria()[name]
    except KeyError:
        raise unknown_name("criterion", name, criteria()) from None
