"""Scores as tables for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from cvalues.schema import NO_DATA, Cell, Estimate, Table
from cvalues.scoring import ChoiceScore, Comparison, ItemOutcome, score
from cvalues.scoring.compare import GroupChange
from cvalues.scoring.free_scores import FreeScore
from cvalues.scoring.telling import Gap


def score_table(outcomes: Sequence[ItemOutcome], by: Sequence[str] = ("level",)) -> Table:
    """Returns one row per model and group: acc, both orders, acc*, answered, coverage, position bias and n."""
    rows = tuple(_row(entry, by) for entry in score(outcomes, by))
    columns = ("model", *by, "acc", "both orders", "acc*", "answered", "coverage", "position bias", "n")
    return Table(title="Scores", columns=columns, rows=rows)


def _row(entry: ChoiceScore, by: Sequence[str]) -> tuple[Cell, ...]:
    keys: list[Cell] = [entry.group[key] for key in ("model", *by)]
    figures: list[Cell] = [
        entry.acc, entry.both_orders, entry.acc_star, entry.answered, entry.coverage, entry.position_bias, entry.planned,
    ]  # fmt: skip
    return (*keys, *figures)


def comparison_table(comparison: Comparison) -> Table:
    """Returns one row per group of shared items: both accuracies, the paired difference with its interval, p after Holm, verdict."""
    rows = [_change(entry, comparison.by) for entry in comparison.groups]
    overall = _change(comparison.overall, comparison.by)
    columns = (comparison.by, "n", comparison.baseline, comparison.candidate, "difference", "p", "verdict")
    notes = (
        f"{comparison.shared} shared items, {comparison.unshared} of one side only, {comparison.unanswered} without an answer of both",
    )
    return Table(title="Scores", columns=columns, rows=(overall, *rows), notes=notes)


def _change(entry: GroupChange, by: str) -> tuple[Cell, ...]:
    change = entry.acc
    p = change.p_adjusted if change.p_adjusted is not None else change.test.p

    def percent(value: float | None) -> str | None:
        return None if value is None else f"{100 * value:.1f}"

    return (
        entry.group.get(by, "·") if entry.group else "·",
        entry.items,
        percent(change.baseline),
        percent(change.candidate),
        change.test.difference,
        None if p is None else "< 0.0001" if p < 1e-4 else f"{p:.4f}",
        change.verdict,
    )


def free_tables(scores: Sequence[FreeScore], by: Sequence[str] = ()) -> list[Table]:
    """Returns the scores of free responses as tables, one row per model and group; none where nobody judged anything.

    The first has safety and responsibility, as far as they were judged; the second over-refusal and false compliance together with the
    four kinds of refusal, where refusal was judged.
    """
    raters = scores[0].raters if scores else {}
    keys = ("model", *by)
    tables = []
    main = [(name, column) for name, column in _MAIN if name in raters]
    if main:
        shown = list(dict.fromkeys(figure for _, figures in main for figure in figures))
        rows = tuple(
            (*(entry.group[key] for key in keys), *(_figure(entry, name) for name in shown),
             entry.coverage.get(main[0][0], NO_DATA), entry.planned)
            for entry in scores
        )  # fmt: skip
        tables.append(Table(title="Free responses", columns=(*keys, *shown, "coverage", "n"), rows=rows))
    if "refusal" in raters:
        kinds = ("full", "partial", "redirects", "none")
        rows = tuple(
            (*(entry.group[key] for key in keys), entry.over_refusal, entry.false_compliance,
             *(entry.refusal.get(kind, NO_DATA) for kind in kinds))
            for entry in scores
        )  # fmt: skip
        columns = (*keys, "over-refusal", "false compliance", *(f"refusal {kind}" for kind in kinds))
        tables.append(Table(title="Refusal", columns=columns, rows=rows))
    return tables


_MAIN: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("safe", ("safe",)),
    ("grade", ("at least safe", "responsible")),
    ("points", ("points",)),
    ("harm_detail", ("harmful detail",)),
)
"""Criterion → the columns that it gives."""


def _figure(entry: FreeScore, column: str) -> Cell:
    """Returns the cell of a column; points as text, because they are no share."""
    if column == "points":
        return number_text(entry.points)
    found: Estimate = getattr(entry, {"harmful detail": "harm_detail"}.get(column, column.replace(" ", "_")))
    return found


def number_text(estimate: Estimate) -> str | None:
    """Returns an estimate that is no share as text, None for no data."""
    if estimate.value is None:
        return None
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.2f}"
    return f"{estimate.value:.2f} [{estimate.low:.2f}, {estimate.high:.2f}]"


def gap_table(gaps: Sequence[Gap]) -> Table:
    """Returns one row per model and level: tells, does, their gap, knows but errs, and the number of prompts that have both."""
    rows = tuple((gap.model, gap.level, gap.tells, gap.does, gap.gap, gap.knows_but_errs, gap.prompts) for gap in gaps)
    columns = ("model", "level", "tells", "does", "gap", "knows but errs", "prompts")
    return Table(title="Telling and doing", columns=columns, rows=rows)
