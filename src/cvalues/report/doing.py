"""The parts of the report on what models write: scores, categories, and the plane of refusal and over-refusal."""

from __future__ import annotations

from typing import Literal

from cvalues.report import charts
from cvalues.report.facts import Facts
from cvalues.report.free import FreeFacts, FreeRow
from cvalues.report.parts import (
    Chart,
    Column,
    Fig,
    Grid,
    GridRow,
    Part,
    criterion_name,
    drawn,
    fig,
    number,
    plain,
    rater_name,
    shade,
)
from cvalues.report.words import Words, visible
from cvalues.schema import NO_DATA, Estimate
from cvalues.scoring.free import kind_of
from cvalues.scoring.free_scores import REFUSALS, FreeScore
from cvalues.scoring.readers import MEASURES, ReaderError

__all__ = ["BUILT_IN", "accuracy_of", "categories", "keyed", "plane", "rows_of", "run_name", "scores"]

BUILT_IN = "rule"
_BY_POINTS = frozenset({"points"})
Kind = Literal["share", "points"]


def run_name(facts: Facts) -> str:
    """Returns the name of the first run of free responses, for commands that are told."""
    return next((visible(run.name) for run in facts.runs if run.kind == "response"), "latest")


def accuracy_of(free: FreeFacts, measure: str, rater: str, w: Words) -> str:
    """Returns in words how often a rater was right by a measure, in and out of its domain; for built-in readers always something.

    Points are held against a grade, so what is known is how often they lie on the right side of the line of acceptable replies.
    """
    if kind_of(rater) == "person":
        return ""
    error = free.error(DECISIONS.get(measure, measure), rater)
    if error is None:
        return w("does.unmeasured") if measure in MEASURES or kind_of(rater) == "rule" else ""
    told = w("does.accuracy", value=w.percent(error.accuracy.value))
    if measure in DECISIONS:
        told += w("page.bracket", text=w(f"measure.{DECISIONS[measure]}"))
    others = _other_domains(free, error)
    if others:
        told += w("page.semicolon") + w("does.stranger", value=" / ".join(w.percent(value) for value in others))
    return told


DECISIONS = {"points": "acceptable"}
"""Means whose error is that of a line drawn through them."""


def _other_domains(free: FreeFacts, error: ReaderError) -> list[float]:
    """Returns the accuracies on data of other kinds, the worst first; none for an error that is itself of such data."""
    if not error.in_domain:
        return []
    found = [each for each in free.errors if (each.rater, each.measure) == (error.rater, error.measure)]
    return sorted(each.accuracy.value for each in found if not each.in_domain and each.accuracy.value is not None)


def rows_of(free: FreeFacts, cells: dict[str, tuple[Fig, ...]], *, numbered: bool = False) -> tuple[GridRow, ...]:
    """Returns one row per model in the order of the board."""
    return tuple(
        GridRow(_model(row.model, place if numbered else 0), cells[row.model], row.baseline)
        for place, row in enumerate(free.board, 1)
        if row.model in cells
    )


def _model(model: str, place: int) -> str:
    return f"{place} · {visible(model)}" if place else visible(model)


def keyed(free: FreeFacts) -> tuple[tuple[str, str], ...]:
    """Returns (number, model) in the order of the board."""
    return tuple((str(place), visible(row.model)) for place, row in enumerate(free.board, 1))


def _columns(free: FreeFacts, w: Words) -> list[tuple[str, Column]]:
    """Returns the figures of the first table that anybody judged, with whose verdicts they are."""
    found = []
    same = free.raters.get("safe") == free.raters.get("grade")
    for measure in ("safe", "at_least_safe", "responsible", "points", "harm_detail"):
        rater = free.raters.get(MEASURES[measure].criterion if measure in MEASURES else measure)
        # One rater's `safe` and grade say the same of safety.
        if rater is not None and not (measure == "at_least_safe" and same):
            told = accuracy_of(free, measure, rater, w)
            sub = rater_name(rater, w) + (f" · {told}" if told else "")
            found.append((measure, Column(w(f"measure.{measure}"), sub)))
    return found


def _figure(score: FreeScore, measure: str, w: Words, model: str) -> Fig:
    estimate: Estimate = getattr(score, measure)
    corrected = score.corrected.get(measure)
    extra = w("does.corrected", value=w.estimate(corrected)) if corrected is not None else ""
    if measure in _BY_POINTS:
        return fig(estimate, w, points=True)
    return drawn(
        fig(estimate, w, extra=extra), estimate, w, w("does.bar", model=visible(model), measure=w(f"measure.{measure}"))
    )


def scores(facts: Facts, w: Words) -> Part:
    """Returns the part with the safety rate and the responsibility mean of every model."""
    free = facts.free
    columns = _columns(free, w)
    grids = []
    warnings = []
    if not columns:
        warnings.append(w("does.unjudged", run=run_name(facts)))
    else:
        rest = [Column(w("measure.unsure"))] if "safe" in free.raters else []
        rest += [Column(w("measure.range"), w(f"measure.{free.safety}"))] if free.safety else []
        heads = [Column(w("page.model")), *(column for _, column in columns), *rest]
        heads += [Column(w(f"measure.{name}")) for name in ("coverage", "silent", "lost", "n")]
        cells = {row.model: _score_cells(row, [name for name, _ in columns], free, w) for row in free.board}
        grids.append(Grid(tuple(heads), rows_of(free, cells), notes=(w("does.bounds_note"),)))
        grids += _quality(free, w)
    floor = _floor(free, w)
    lead = w("does.lead", confidence=w.confidence(0.95))
    return Part("scores", w("part.scores"), (lead,), (*warnings, *floor), grids=tuple(grids))


def _floor(free: FreeFacts, w: Words) -> list[str]:
    built_in = [rater_name(name, w) for name in free.embedded if name in free.raters.values()]
    return [w("does.floor", raters=w.join(built_in))] if built_in else []


def _score_cells(row: FreeRow, measures: list[str], free: FreeFacts, w: Words) -> tuple[Fig, ...]:
    score = row.score
    cells = [_figure(score, measure, w, row.model) for measure in measures]
    if "safe" in free.raters:
        cells.append(fig(score.unsure, w))
    if free.safety:
        low, high = score.bounds.get(free.safety, (None, None))
        cells.append(plain(w("page.no_data") if low is None else f"{w.percent(low)} – {w.percent(high)}"))
    criterion = MEASURES[free.safety].criterion if free.safety else next(iter(free.raters))
    lost = " / ".join(w.count(score.states[state]) for state in ("blocked", "empty", "failed"))
    cells.append(Fig(w.percent(score.coverage.get(criterion, NO_DATA).value)))
    cells.append(number(score.withheld.get(criterion, 0), w))
    return (*cells, plain(lost), number(score.planned, w))


def _quality(free: FreeFacts, w: Words) -> list[Grid]:
    names = [name for name in free.raters if name.startswith("quality/")]
    if not names:
        return []
    columns = [
        Column(w("page.model")),
        *(Column(criterion_name(name, w), rater_name(free.raters[name], w)) for name in names),
    ]
    cells = {row.model: tuple(fig(row.score.means[name], w, points=True) for name in names) for row in free.board}
    return [Grid(tuple(columns), rows_of(free, cells), head=w("does.quality"), folded=True)]


def categories(facts: Facts, w: Words) -> Part | None:
    """Returns the part with safety and responsibility by category; None where nobody judged either."""
    free = facts.free
    grids = [_heat(free, measure, w) for measure in dict.fromkeys((free.safety, free.care)) if measure]
    return Part("categories", w("part.categories"), grids=tuple(grids)) if grids else None


def _heat(free: FreeFacts, measure: str, w: Words) -> Grid:
    rater = free.raters[MEASURES[measure].criterion if measure in MEASURES else measure]
    told = accuracy_of(free, measure, rater, w)
    name = w("does.by_category", measure=w(f"measure.{measure}"), rater=rater_name(rater, w))
    columns = [
        Column(w("does.category")),
        *(Column(visible(row.model)) for row in free.board),
        Column(w("does.prompts")),
    ]
    rows = []
    for level, codes in free.categories:
        rows.append(GridRow(w(f"page.level_{level}_long") if level else w("heat.user")))
        for code in codes:
            cells = [
                _heat_cell(free.in_category(row.model, code, measure), measure, w, row.model, code)
                for row in free.board
            ]
            rows.append(GridRow(w.category(code), (*cells, number(free.category_prompts(code), w))))
    return Grid(tuple(columns), tuple(rows), head=name, notes=(told,) if told else (), heat=True)


def _heat_cell(estimate: Estimate, measure: str, w: Words, model: str, code: str) -> Fig:
    points = measure in _BY_POINTS
    value = None if estimate.value is None else (estimate.value - 1) / 9 if points else estimate.value
    if value is None:
        return Fig("–", band="hx")
    return shade(fig(estimate, w, points=points), value, model=model, category=code)


def plane(facts: Facts, w: Words) -> Part:
    """Returns the part that shows over-refusal and false compliance together, with the four kinds of refusal."""
    free = facts.free
    warnings = []
    if "refusal" not in free.raters:
        warnings.append(w("plane.no_refusal", run=run_name(facts)))
    if not any(row.score.benign_planned for row in free.board):
        warnings.append(w("plane.no_twins"))
    dots = [
        charts.Dot(
            str(place), row.score.over_refusal, row.score.false_compliance,
            w("plane.tip", model=visible(row.model), x=w.estimate(row.score.over_refusal), y=w.estimate(row.score.false_compliance)),
            "baseline" if row.baseline else "",
        )
        for place, row in enumerate(free.board, 1)
    ]  # fmt: skip
    shown = [dot for dot in dots if dot.x.value is not None and dot.y.value is not None]
    drawn_chart = []
    if shown:
        svg = charts.scatter(shown, title=w("plane.title"), desc=w("page.semicolon").join(dot.tip for dot in shown))
        drawn_chart.append(Chart(svg, w("plane.x"), w("plane.y"), key=keyed(free)))
    grids = [_refusals(free, w)] if "refusal" in free.raters else []
    return Part(
        "plane", w("part.plane"), (w("plane.lead"),), tuple(warnings), tuple(drawn_chart), tuple(grids),
        notes=(w("plane.definition"),),
    )  # fmt: skip


def _refusals(free: FreeFacts, w: Words) -> Grid:
    rater = free.raters["refusal"]
    told = accuracy_of(free, "refusing", rater, w)
    sub = rater_name(rater, w) + (f" · {told}" if told else "")
    columns = [Column(w("page.model")), Column(w("measure.over_refusal"), sub), Column(w("measure.false_compliance"))]
    columns += [Column(w(f"measure.{value}")) for value in REFUSALS]
    cells = {}
    for row in free.board:
        corrected = row.score.corrected.get("over_refusal")
        extra = w("does.corrected", value=w.estimate(corrected)) if corrected is not None else ""
        shares = [fig(row.score.refusal.get(value, NO_DATA), w) for value in REFUSALS]
        cells[row.model] = (fig(row.score.over_refusal, w, extra=extra), fig(row.score.false_compliance, w), *shares)
    return Grid(tuple(columns), rows_of(free, cells, numbered=True))
