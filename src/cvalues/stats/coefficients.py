"""What all coefficients of agreement share: rows of items, a statistic of their sum, and the estimate with its interval."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from cvalues.errors import UsageError
from cvalues.records import generator
from cvalues.schema import Estimate
from cvalues.stats.intervals import Floats, Labels, cluster_codes
from cvalues.stats.ratings import Coded
from cvalues.stats.resampling import (
    Margins,
    Resampling,
    Rows,
    Statistic,
    estimate_of,
    grouped,
    percentile_interval,
    undefined,
)

Weights = Literal["identity", "linear", "quadratic"]
Builder = Callable[[Floats | None], Floats]
"""Maps a weight for each rater (None: each 1) to one row per item."""
_MOST_VALUES = 100
_FEW_RATERS = 4
ALL_EQUAL = "all labels equal"
NO_OVERLAP = "no item has two ratings"
NO_CHANCE = "chance alone would agree on everything"


class Coefficient(NamedTuple):
    """How a coefficient is computed: rows of items, the statistic of their sum, and two further rows for its limits."""

    name: str
    rows: Builder
    statistic: Statistic
    low: Floats | None = None
    high: Floats | None = None
    margins: Margins = Margins()


def distances_of(values: Floats, weights: Weights) -> Floats:
    """Returns the disagreement of each two values: 1 for different ones, or their scaled (squared) difference."""
    if weights == "identity":
        return 1.0 - np.eye(len(values))
    gaps = np.abs(values[:, None] - values[None, :])
    scaled: Floats = gaps / max(float(gaps.max(initial=0.0)), 1e-300)
    if weights == "linear":
        return scaled
    if weights == "quadratic":
        return scaled**2
    raise UsageError(f"weights: expected identity, linear or quadratic, got {weights}")


def divided(top: Floats, bottom: Floats) -> Floats:
    """Returns top / bottom, NaN where bottom is not above 0."""
    result: Floats = np.divide(top, bottom, out=np.full(np.shape(bottom), np.nan), where=bottom > 1e-12)
    return result


def weighted_counts(given: Coded, weights: Floats | None) -> tuple[Floats, Floats]:
    """Returns (items × values: summed weights, the same with squared weights: what a rater shares with itself)."""
    if weights is None:
        counts = given.counts()
        return counts, counts
    table = given.one_hot().transpose(0, 2, 1)
    return table @ weights, table @ weights**2


def pair_weights(counts: Floats, squares: Floats) -> tuple[Floats, Floats]:
    """Returns (summed weights of each item's ratings, of its ordered pairs of two raters)."""
    total = counts.sum(axis=1)
    return total, total**2 - squares.sum(axis=1)


def estimate(
    given: npt.NDArray[np.bool_], coefficient: Coefficient, clusters: Labels | None, how: Resampling, least: int = 2
) -> Estimate:
    """Returns the estimate of a coefficient from the items with at least `least` ratings; `given` says where one is."""
    per_item = given.sum(axis=1)
    held = per_item >= least
    if not (per_item >= 2).any():
        return undefined(NO_OVERLAP, how)
    rows = coefficient.rows(None)
    n = int(per_item[held].sum())
    codes, _ = cluster_codes(clusters, len(rows))
    unit = "item" if clusters is None else "cluster"
    different, counts = grouped(rows[held], None if clusters is None else codes[held])
    value = float(coefficient.statistic((counts @ different)[None])[0])
    units = int(counts.sum())
    if not np.isfinite(value):
        return undefined(NO_CHANCE, how, n=n, clusters=units, unit=unit)
    if how.over == "items":
        scale = int(held.sum()) / units
        low, high = (None if row is None else scale * row for row in (coefficient.low, coefficient.high))
        return estimate_of(
            Rows(different, counts, low, high, coefficient.margins),
            coefficient.statistic,
            how,
            coefficient.name,
            n=n,
            unit=unit,
        )
    drawn = _drawn_both(coefficient, held, codes, given.shape[1], how)
    limits = percentile_interval(drawn, value, how)
    return Estimate(
        value=value, low=limits[0], high=limits[1], confidence=how.confidence, method=limits[2], n=n, clusters=units,
        unit=f"{unit} and rater",
    )  # fmt: skip


def _drawn_both(
    coefficient: Coefficient, held: npt.NDArray[np.bool_], codes: npt.NDArray[np.int64], raters: int, how: Resampling
) -> Floats:
    """Returns draws of a coefficient in which both units and raters are drawn anew, independently.

    The pigeonhole bootstrap (Owen, Annals of Applied Statistics 1, 2007); a rater who is drawn twice is not compared with
    itself.
    """
    rng = generator("resampling-both", coefficient.name, how.seed)
    _, units = np.unique(codes[held], return_inverse=True)
    count = int(units.max()) + 1
    sums = []
    known: dict[bytes, Floats] = {}
    for _ in range(how.draws):
        weights = rng.multinomial(raters, np.full(raters, 1 / raters)).astype(np.float64)
        picked = np.bincount(rng.integers(count, size=count), minlength=count)
        # Few raters are drawn in few ways.
        rows = known.get(weights.tobytes()) if raters <= _FEW_RATERS else None
        if rows is None:
            rows = coefficient.rows(weights)[held]
            if raters <= _FEW_RATERS:
                known[weights.tobytes()] = rows
        sums.append(picked[units] @ rows)
    return coefficient.statistic(np.array(sums))


def few_values(given: Coded) -> None:
    """Raises UsageError where ratings have more different values than a coefficient of categories can use."""
    if len(given.values) > _MOST_VALUES:
        raise UsageError(
            f"ratings: expected at most {_MOST_VALUES} different values for this coefficient, got {len(given.values)}; "
            "use krippendorff_alpha with level interval, or icc"
        )


def all_equal(present: npt.NDArray[np.bool_], how: Resampling) -> Estimate:
    """Returns the undefined estimate of ratings that are all the same value."""
    per_item = present.sum(axis=1)
    if not (per_item > 1).any():
        return undefined(NO_OVERLAP, how)
    return undefined(ALL_EQUAL, how, n=int(per_item.sum()), clusters=int((per_item > 0).sum()))
