"""Scores as tables for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from cvalues.schema import Cell, Table
from cvalues.scoring import ChoiceScore, Comparison, ItemOutcome, score
from cvalues.scoring.compare import GroupChange


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
