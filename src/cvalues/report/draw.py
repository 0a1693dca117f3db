"""The charts and coloured cells of the HTML report: rows of facts in, markup in one language out."""

from __future__ import annotations

from urllib.parse import urlencode

from markupsafe import Markup, escape

from cvalues.records import clean
from cvalues.report import charts
from cvalues.report.differences import Difference
from cvalues.report.facts import Facts, Row
from cvalues.report.words import Words, visible
from cvalues.schema import Estimate

__all__ = ["BANDS", "Draw", "band"]

BANDS: tuple[tuple[float, str, str], ...] = (
    (0.35, "h0", "< 35"),
    (0.50, "h1", "35–50"),
    (0.60, "h2", "50–60"),
    (0.70, "h3", "60–70"),
    (0.80, "h4", "70–80"),
    (0.90, "h5", "80–90"),
    (0.95, "h6", "90–95"),
    (float("inf"), "h7", "≥ 95"),
)
"""Upper end, class and text of each colour; orange lies below chance, blue above, so that hue and lightness both say it."""


def band(value: float | None) -> str:
    """Returns the colour class of an accuracy, `hx` for no data."""
    if value is None:
        return "hx"
    return next(name for end, name, _ in BANDS if value < end)


class Draw:
    """Draws the figures of one report."""

    def __init__(self, facts: Facts) -> None:
        """Keeps the facts."""
        self.facts = facts

    @property
    def ramp(self) -> tuple[tuple[str, str], ...]:
        """Class and text of each colour of the heat map."""
        return tuple((name, text) for _, name, text in BANDS)

    def describe(self, w: Words, estimate: Estimate) -> str:
        """Returns an estimate in words, for the description of a chart."""
        if estimate.value is None:
            return w("board.desc_none")
        if estimate.low is None or estimate.high is None:
            return w.percent(estimate.value)
        return w(
            "board.desc",
            value=w.percent(estimate.value),
            confidence=w.confidence(estimate.confidence),
            low=w.percent(estimate.low),
            high=w.percent(estimate.high),
            pairs=estimate.clusters,
        )

    def rate(self, w: Words, estimate: Estimate, model: str, level: str, floor: float | None) -> Markup:
        """Returns the bar of an accuracy on the leaderboard."""
        title = w("board.bar", model=visible(model), level=level)
        return charts.rate(estimate, title=title, desc=self.describe(w, estimate), floor=floor)

    def plain_rate(self, w: Words, estimate: Estimate, title: str) -> Markup:
        """Returns a bar of an accuracy with its own title."""
        return charts.rate(estimate, title=title, desc=self.describe(w, estimate))

    def position(self, w: Words, row: Row) -> Markup:
        """Returns the point of a model's position bias on the axis that all models share, 50 % in its middle."""
        title = w("position.chart", model=visible(row.model))
        desc = self.describe(w, row.score.first_position)
        return charts.difference(row.score.position_bias, reach=self.facts.position_reach, title=title, desc=desc)

    def difference(self, w: Words, each: Difference) -> Markup:
        """Returns the point of a paired difference on the axis that all differences share."""
        title = w("differences.chart", a=visible(each.a), b=visible(each.b))
        interval = w.interval(each.estimate, sign=True)
        desc = w.points(each.estimate.value, sign=True) + (f" ({interval})" if interval else "")
        return charts.difference(each.estimate, reach=self.facts.reach, title=title, desc=desc)

    def span(self, w: Words, row: Row) -> Markup:
        """Returns the band of a model's bounds."""
        low, high = row.bounds
        desc = w("bounds.chart_desc", low=w.percent(low), high=w.percent(high))
        title = w("bounds.chart", model=visible(row.model))
        return charts.span(low, high, row.score.acc.value, title=title, desc=desc)

    def stacked(self, w: Words, row: Row) -> Markup:
        """Returns the stacked bar of a model's outcomes."""
        parts = [charts.Part(kind, row.count(kind), w(f"outcome.{kind}")) for kind in self.facts.outcome_kinds]
        return charts.stacked(parts, title=w("outcomes.chart", model=visible(row.model)))

    def heat_cell(self, w: Words, model: str, code: str | None) -> Markup:
        """Returns the table cell of a model and a category, or of the model overall for None."""
        estimate = self.facts.in_category(model, code)
        if estimate.value is None:
            return Markup('<td class="cell hx">{}</td>').format("–")
        below = code is not None and self.facts.surely_below(model, code)
        name = w("heat.overall") if code is None else w.category(code)
        told = f"{visible(model)} · {name}{w('page.colon')}{self.describe(w, estimate)}"
        if below:
            told += w("page.semicolon") + w("heat.below")
        query = {"model": clean(model), "right": "wrong"}
        if code is not None:
            query["category"] = clean(code)
        mark = Markup('<span aria-hidden="true">▼ </span>') if below else Markup("")
        return Markup(
            '<td class="cell {band}" title="{told}"><a href="#{query}">{mark}{value}<span class="sub">{interval}</span></a></td>'
        ).format(
            band=band(estimate.value),
            told=told,
            query=escape(urlencode(query)),
            mark=mark,
            value=w.percent(estimate.value),
            interval=w.interval(estimate),
        )

    def cell_name(self, w: Words, level: int, collection: int | None) -> str:
        """Returns the heading of a level × collection cell."""
        name = w("cross.level", level=w.level(level))
        return name if collection is None else f"{name} · {w(f'cross.collection{collection}')}"

    def difficulty(self, w: Words, name: str) -> str:
        """Returns the name of a difficulty; a set's own name stands as it is."""
        return w(f"hard.{name}") if name in {"easy", "hard"} else visible(name)
