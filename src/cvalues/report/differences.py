"""Paired differences of accuracy between the models of a report, corrected together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from cvalues.schema import Estimate
from cvalues.scoring import ItemOutcome
from cvalues.stats import holm, paired_difference, smallest_detectable

__all__ = ["ALPHA", "Difference", "differences", "visible_from"]

ALPHA = 0.05
_FEWEST_PAIRS = 6  # with 5 clusters a two-sided sign-flip test cannot go below p = 2/32


class Difference(NamedTuple):
    """How far model `a` lies above model `b` on the questions that both answered."""

    a: str
    b: str
    estimate: Estimate
    p: float | None
    """Holm-corrected over the differences computed together; None without shared answers."""
    verdict: Literal["better", "worse", "same"]
    shared: int
    """Pairs that the test rests on."""
    sd: float | None
    """Standard deviation of one pair's difference, see `PairedDifference.sd`."""
    detectable: float | None
    """Smallest difference that this comparison finds with 80 % power, before correction; None where it finds none."""


def differences(outcomes: Sequence[ItemOutcome], wanted: Sequence[tuple[str, str]]) -> tuple[Difference, ...]:
    """Returns the difference a − b for each (a, b), in that order, with Holm's correction over all of them.

    The same figures as `scoring.compare` gives overall (several samples of a choice averaged, sign-flip test over pairs), from
    one pass over the outcomes for all models.
    """
    models = list(dict.fromkeys(model for pair in wanted for model in pair))
    rates, pairs = _rates(outcomes, models)
    tests = []
    for a, b in wanted:
        one, two = rates[models.index(a)], rates[models.index(b)]
        held = ~np.isnan(one - two)
        tests.append(paired_difference(one[held], two[held], pairs[held], "acc", 0, span=1.0, unit="pair"))
    adjusted = iter(holm([test.p for test in tests if test.p is not None]))
    found = []
    for (a, b), test in zip(wanted, tests, strict=True):
        p = None if test.p is None else next(adjusted)
        shared = test.difference.clusters
        detectable = visible_from(shared, test.sd)
        found.append(Difference(a, b, test.difference, p, _verdict(test.difference, p), shared, test.sd, detectable))
    return tuple(found)


def visible_from(pairs: int, sd: float | None) -> float | None:
    """Returns the smallest difference between two models that this many pairs show with 80 % power at 5 % significance.

    None where no difference can be shown: fewer than six pairs, no standard deviation, or more than 100 points needed.
    """
    if pairs < _FEWEST_PAIRS or sd is None:
        return None
    found = smallest_detectable(pairs, sd=sd)
    return found if found is not None and found <= 1 else None


def _rates(
    outcomes: Sequence[ItemOutcome], models: Sequence[str]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Share of right answers by model (rows) and choice (columns), NaN where nothing was answered; the pair of each choice."""
    rows = {model: at for at, model in enumerate(models)}
    columns: dict[tuple[str, str], int] = {}
    pairs: dict[tuple[str, str], int] = {}
    pair_of: list[int] = []
    cells: list[tuple[int, int, bool]] = []
    for each in outcomes:
        if each.outcome is None or each.model not in rows:
            continue
        column = columns.setdefault((each.set, each.choice), len(columns))
        if column == len(pair_of):
            pair_of.append(pairs.setdefault((each.set, each.pair), len(pairs)))
        cells.append((rows[each.model], column, each.correct))
    right, asked = np.zeros((2, len(rows), len(columns)))
    if cells:
        row, column_of, correct = np.array(cells, dtype=np.int64).T
        np.add.at(right, (row, column_of), correct)
        np.add.at(asked, (row, column_of), 1)
    rates = np.divide(right, asked, out=np.full_like(right, np.nan), where=asked > 0)
    return rates, np.array(pair_of, dtype=np.int64)


def _verdict(estimate: Estimate, p: float | None) -> Literal["better", "worse", "same"]:
    if p is None or p >= ALPHA or not estimate.value:
        return "same"
    return "better" if estimate.value > 0 else "worse"
