"""Every phrase of the report in Chinese and English, and how numbers are written.

The phrases stand in `data/report/words.toml` and `words-free.toml`, one table for the HTML page, its script and the Markdown file.
"""

from __future__ import annotations

import functools
from importlib import resources
from typing import Literal, get_args

import msgspec

from cvalues.frames import visible
from cvalues.schema import Estimate
from cvalues.taxonomy import Taxonomy

__all__ = ["LANGUAGES", "Language", "Words", "phrases", "visible"]

Language = Literal["zh", "en"]
LANGUAGES: tuple[Language, ...] = get_args(Language)


@functools.cache
def phrases() -> dict[str, dict[Language, str]]:
    """Returns every phrase by its key `section.name`, in each language."""
    found: dict[str, dict[Language, str]] = {}
    for file in ("words.toml", "words-free.toml"):
        body = resources.files("cvalues").joinpath("data/report", file).read_bytes()
        tables = msgspec.toml.decode(body, type=dict[str, dict[str, dict[Language, str]]])
        found |= {f"{section}.{name}": entry for section, table in tables.items() for name, entry in table.items()}
    return found


class Words:
    """The phrases and number formats of one language; calling it with a key gives the phrase with its gaps filled.

    Attributes:
        language: `zh` or `en`.
        taxonomy: where category names come from.
    """

    def __init__(self, language: Language, taxonomy: Taxonomy) -> None:
        """Keeps the language and the taxonomy."""
        self.language: Language = language
        self.taxonomy = taxonomy

    def __call__(self, key: str, /, **gaps: object) -> str:
        """Returns the phrase; KeyError for a key or gap that does not exist, which is a fault of the package."""
        return phrases()[key][self.language].format(**gaps)

    def percent(self, value: float | None, digits: int = 1) -> str:
        """Returns a share from 0 to 1 as a percentage, `no data` for None: `93.1%` in Chinese, `93.1 %` in English."""
        if value is None:
            return self("page.no_data")
        return f"{100 * value:.{digits}f}" + ("%" if self.language == "zh" else "\u202f%")

    def points(self, value: float | None, *, sign: bool = False, digits: int = 1) -> str:
        """Returns a difference of shares in percentage points."""
        if value is None:
            return self("page.no_data")
        number = f"{100 * value:{'+' if sign else ''}.{digits}f}".replace("-", "−")
        return number + (" 个百分点" if self.language == "zh" else "\u202fpp")

    def interval(self, estimate: Estimate, *, sign: bool = False) -> str:
        """Returns the interval without unit, `91.0–94.8`, or an empty string when there is none."""
        if estimate.low is None or estimate.high is None:
            return ""
        if not sign:
            return f"{100 * estimate.low:.1f}–{100 * estimate.high:.1f}"
        return f"{100 * estimate.low:+.1f} … {100 * estimate.high:+.1f}".replace("-", "−")

    def estimate(self, estimate: Estimate) -> str:
        """Returns value and interval in one string, `93.1% (91.0–94.8)`."""
        interval = self.interval(estimate)
        return self.percent(estimate.value) + (f" ({interval})" if interval else "")

    def number(self, value: float | None, digits: int = 2) -> str:
        """Returns a number that is no share, `7.42`, with a true minus sign; `no data` for None."""
        return self("page.no_data") if value is None else f"{value:.{digits}f}".replace("-", "−")

    def range(self, estimate: Estimate, digits: int = 2) -> str:
        """Returns the interval of a number that is no share, `7.10–7.70`, or an empty string when there is none."""
        if estimate.low is None or estimate.high is None:
            return ""
        gap = " … " if estimate.low < 0 else "–"
        return f"{self.number(estimate.low, digits)}{gap}{self.number(estimate.high, digits)}"

    def plain(self, estimate: Estimate, digits: int = 2) -> str:
        """Returns value and interval of a number that is no share in one string, `7.42 (7.10–7.70)`."""
        interval = self.range(estimate, digits)
        return self.number(estimate.value, digits) + (f" ({interval})" if interval else "")

    def p_value(self, value: float | None) -> str:
        """Returns a p value to three decimals, `< 0.001` below that, a dash for None."""
        if value is None:
            return "–"
        return "< 0.001" if value < 0.001 else f"{value:.3f}"

    def confidence(self, value: float) -> str:
        """Returns a confidence level, `95%` in Chinese and `95 %` in English."""
        return f"{100 * value:g}" + ("%" if self.language == "zh" else "\u202f%")

    def count(self, value: int) -> str:
        """Returns a whole number with thousands separators."""
        return f"{value:,}"

    def category(self, code: str) -> str:
        """Returns the name of a category, or its code when the taxonomy does not hold it."""
        return visible(self.taxonomy.name(code, self.language))

    def level(self, level: int) -> str:
        """Returns the short name of a level."""
        return self(f"page.level{level}")

    def join(self, names: list[str]) -> str:
        """Returns names as an enumeration in running text."""
        return self("page.comma").join(names)
