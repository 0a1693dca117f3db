"""What a part of the report is made of: sentences, charts and grids of figures, the same for HTML and Markdown."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import urlencode

from markupsafe import Markup

from cvalues.criteria import criteria
from cvalues.records import clean
from cvalues.report import charts
from cvalues.report.draw import band
from cvalues.report.words import Words, visible
from cvalues.schema import Estimate
from cvalues.scoring.free import PEOPLE

__all__ = [
    "Chart",
    "Column",
    "Fig",
    "Grid",
    "GridRow",
    "Part",
    "criterion_name",
    "fig",
    "number",
    "plain",
    "rater_name",
    "raters_named",
    "shade",
]


class Fig(NamedTuple):
    """A cell: a figure, what stands under it in small, and how it is drawn."""

    text: str
    sub: str = ""
    """The interval."""
    extra: str = ""
    """A second line in small, for example the corrected figure."""
    bar: Markup = Markup("")
    band: str = ""
    """Colour class of a heat map."""
    href: str = ""
    """Where it leads within the page, without `#`."""
    numeric: bool = False

    @property
    def line(self) -> str:
        """The cell in one line, for Markdown."""
        return self.text + (f" ({self.sub})" if self.sub else "") + (f"; {self.extra}" if self.extra else "")


class Column(NamedTuple):
    """The head of a column, and in small whose verdicts its figures rest on."""

    title: str
    sub: str = ""


class GridRow(NamedTuple):
    """A row: its name and its cells; a row without cells is a heading over those below it."""

    name: str
    cells: tuple[Fig, ...] = ()
    baseline: bool = False
    anchor: str = ""


class Grid(NamedTuple):
    """A table of figures."""

    columns: tuple[Column, ...]
    """The first is that of the row names."""
    rows: tuple[GridRow, ...]
    head: str = ""
    notes: tuple[str, ...] = ()
    heat: bool = False
    folded: bool = False
    """Shown when its heading is opened; always whole in Markdown."""


class Chart(NamedTuple):
    """A chart with the words beside its axes and a key from numbers to models."""

    svg: Markup
    x: str
    y: str
    head: str = ""
    key: tuple[tuple[str, str], ...] = ()


class Part(NamedTuple):
    """One part of the report."""

    name: str
    title: str
    lead: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    charts: tuple[Chart, ...] = ()
    grids: tuple[Grid, ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    """(words, where within the page, without `#`)."""
    notes: tuple[str, ...] = ()


def plain(text: object) -> Fig:
    """Returns a cell of words."""
    return Fig(str(text))


def number(value: int, w: Words) -> Fig:
    """Returns a cell of a count."""
    return Fig(w.count(value), numeric=True)


def fig(estimate: Estimate, w: Words, *, points: bool = False, sign: bool = False, extra: str = "") -> Fig:
    """Returns the cell of an estimate: a share in per cent, or with `points` a number; `sign` writes + and −."""
    if points:
        return Fig(w.number(estimate.value), w.range(estimate), extra)
    text = w.points(estimate.value, sign=True) if sign else w.percent(estimate.value)
    return Fig(text, w.interval(estimate, sign=sign), extra)


def drawn(cell: Fig, estimate: Estimate, w: Words, title: str) -> Fig:
    """Returns the cell of a share with a bar."""
    desc = w.estimate(estimate)
    return cell._replace(bar=charts.rate(estimate, title=title, desc=desc, chance=None))


def shade(cell: Fig, value: float | None, **query: str) -> Fig:
    """Returns the cell of a heat map: coloured by a share, leading to the responses that it counts."""
    told = {key: clean(text) for key, text in query.items()}
    return cell._replace(band=band(value), href=f"free&{urlencode(told)}" if told else "")


def rater_name(rater: str, w: Words) -> str:
    """Returns a rater's name as the report writes it."""
    return w("does.people") if rater == PEOPLE else visible(rater)


def criterion_name(name: str, w: Words) -> str:
    """Returns a criterion's name in the language of the report."""
    found = criteria().get(name)
    return visible(name) if found is None else found.name(w.language)


def raters_named(pairs: Iterable[tuple[str, str]], w: Words) -> str:
    """Returns `criterion rater` of several criteria as an enumeration."""
    return w.join(
        [w("does.rater_of", criterion=criterion_name(name, w), rater=rater_name(rater, w)) for name, rater in pairs]
    )
