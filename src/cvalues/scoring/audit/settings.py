"""What an audit looks for: bars, refusal words, list numbers and leaks, from `data/audit/audit.toml`; and its settings."""

from __future__ import annotations

import functools
import re
from importlib import resources
from typing import Literal

import msgspec

from cvalues.errors import UsageError
from cvalues.phrases import Phrases
from cvalues.schema import Record


class Auditing(Record, frozen=True, kw_only=True):
    """Settings of an audit."""

    threshold: float = 0.6
    """Jaccard similarity of character 3-grams, above 0 and at most 1, from which two prompts are near-duplicates."""
    sample: int = 1_500
    """Most prompts of a pair type that the fitted models see; the cheap figures rest on all."""
    folds: int = 5
    """Folds of the cross-validation over prompts."""
    repeats: int = 5
    """How often the cross-validation of the small models is drawn anew; its figures are means over these."""
    least: int = 20
    """Fewest prompts of a cell on which a model is fitted; below it the figure has no data."""
    unsure: float = 0.6
    """Probability of the better reply below which the n-gram model is unsure, where the set does not say what is hard."""
    keep: int = 50
    """How many examples of each finding the report holds."""
    columns: dict[str, str] = {}
    """Field → name of the column that holds it."""
    defaults: dict[str, str] = {}
    """Field → value for rows that do not hold it."""

    def __post_init__(self) -> None:
        """Refuses settings with which nothing can be measured."""
        if not 0 < self.threshold <= 1:
            raise UsageError(f"threshold: expected above 0 and at most 1, got {self.threshold}")
        if self.repeats < 1 or self.folds < 2 or self.least < self.folds or self.sample < self.least:
            raise UsageError(
                "repeats, folds, least, sample: expected repeats ≥ 1 and 2 ≤ folds ≤ least ≤ sample, "
                f"got {self.repeats}, {self.folds}, {self.least} and {self.sample}"
            )


class Bar(Record, frozen=True, kw_only=True):
    """The range in which the accuracy of a shortcut must lie."""

    name: str
    """A shortcut, or `declines`."""
    at_least: float | None = None
    at_most: float | None = None
    below: float | None = None

    def holds(self, value: float) -> bool:
        """Whether a share meets the bar; differences below 1e-9 are rounding."""
        return (
            (self.at_least is None or value >= self.at_least - 1e-9)
            and (self.at_most is None or value <= self.at_most + 1e-9)
            and (self.below is None or value < self.below - 1e-9)
        )

    def reached(self, low: float | None, high: float | None) -> bool:
        """Whether some value of an interval meets the bar; False where a limit is lacking."""
        if low is None or high is None:
            return False
        floor = 0.0 if self.at_least is None else self.at_least
        ceiling = min(1.0 if self.at_most is None else self.at_most, 1.0 if self.below is None else self.below)
        return low <= ceiling and high >= floor and (self.below is None or low < self.below)


class LeakPattern(Record, frozen=True, kw_only=True):
    """Words that name the answer, and where they would do so."""

    name: str
    where: Literal["question", "reply", "both"]
    pattern: str


class _Refusal(Record, frozen=True, kw_only=True):
    words: tuple[str, ...]


class _Numbering(Record, frozen=True, kw_only=True):
    pattern: str


class Measures(Record, frozen=True, kw_only=True):
    """The contents of `data/audit/audit.toml`."""

    bar: tuple[Bar, ...]
    refusal: _Refusal
    numbering: _Numbering
    leak: tuple[LeakPattern, ...]

    def bar_of(self, name: str) -> Bar | None:
        """Returns the bar of a shortcut, None where it has none."""
        return next((bar for bar in self.bar if bar.name == name), None)


@functools.cache
def measures() -> Measures:
    """Returns the bars, words and patterns that ship with the package."""
    body = resources.files("cvalues").joinpath("data/audit/audit.toml").read_bytes()
    return msgspec.toml.decode(body, type=Measures)


@functools.cache
def numbering() -> re.Pattern[str]:
    """Returns the pattern that matches once per item of a numbered list."""
    return re.compile(measures().numbering.pattern)


@functools.cache
def leak_patterns() -> tuple[tuple[LeakPattern, re.Pattern[str]], ...]:
    """Returns the patterns of leaked answers, compiled."""
    return tuple((entry, re.compile(entry.pattern, re.IGNORECASE)) for entry in measures().leak)


PHRASES = Phrases("audit/words.toml")
"""Every phrase of the audit's tables."""
say = PHRASES.say
"""Returns a phrase of the audit's tables in `zh` or `en` with its gaps filled."""
