"""Intraclass correlation of scores in the two-way random model, for complete and incomplete matrices."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from cvalues.errors import UsageError
from cvalues.schema import Estimate
from cvalues.stats.coefficients import NO_OVERLAP
from cvalues.stats.intervals import Floats, Labels
from cvalues.stats.ratings import as_ratings
from cvalues.stats.resampling import DEFAULT, Resampling, Rows, estimate_of, grouped, undefined

_HEAD = 7
"""Columns before those of single raters: 1, n, n², 1/n, sum, sum²/n and sum of squares of an item's ratings."""


class Components(NamedTuple):
    """Variances of the two-way random model; they may be negative, and NaN where they cannot be told apart."""

    items: Floats
    raters: Floats
    error: Floats


def component_rows(matrix: Floats) -> Floats:
    """Returns a row per item with what `components` needs; rows may be added up."""
    there = ~np.isnan(matrix)
    centre = float(matrix[there].mean()) if there.any() else 0.0
    values = np.where(there, matrix - centre, 0.0)
    n, total = there.sum(axis=1).astype(np.float64), values.sum(axis=1)
    some = np.maximum(n, 1)
    head = [n > 0, n, n**2, (n > 0) / some, total, total**2 / some, (values**2).sum(axis=1)]
    return np.column_stack([*head, there, values])


def components(sums: Floats) -> Components:
    """Returns the variances of items, raters and error from summed rows (draws × columns).

    Henderson's method 1 (Biometrics 9, 1953; Searle, Casella and McCulloch, Variance Components, 1992, ch. 5): sums of
    squares of items, raters and the rest are set equal to what the model x = μ + a_item + b_rater + e expects of them,
    SS_a = (N − k₁)σ²_a + (U − k₂)σ²_b + (U − 1)σ²_e, SS_b = (R − k₁)σ²_a + (N − k₂)σ²_b + (R − 1)σ²_e, SS_e = (k₁ − R)σ²_a
    + (k₂ − U)σ²_b + (N − U − R + 1)σ²_e with N ratings, U items, R raters, k₁ = Σ n_u²/N, k₂ = Σ n_r²/N. A complete
    matrix gives the analysis of variance. It takes missing ratings as missing at random.
    """
    raters = (sums.shape[1] - _HEAD) // 2
    items, n, squares, _, total, between, raw = sums[:, :_HEAD].T
    counts, totals = sums[:, _HEAD : _HEAD + raters], sums[:, _HEAD + raters :]
    number = np.maximum(n, 1)
    active = (counts > 0).sum(axis=1)
    mean = total**2 / number
    across = (totals**2 / np.maximum(counts, 1)).sum(axis=1)
    first, second = squares / number, (counts**2).sum(axis=1) / number
    left = np.stack(
        [
            np.stack([n - first, items - second, items - 1], axis=1),
            np.stack([active - first, n - second, active - 1.0], axis=1),
            np.stack([first - active, second - items, n - items - active + 1], axis=1),
        ],
        axis=1,
    )
    right = np.stack([between - mean, across - mean, raw - between - across + mean], axis=1)
    sound = np.abs(np.linalg.det(left)) > 1e-9 * number**2
    left[~sound] = np.eye(3)
    found = np.linalg.solve(left, right[:, :, None])[:, :, 0]
    found[~sound] = np.nan
    return Components(found[:, 0], found[:, 1], found[:, 2])


def icc(
    ratings: npt.ArrayLike,
    *,
    of: Literal["single", "mean"] = "single",
    clusters: Labels | None = None,
    resampling: Resampling = DEFAULT,
) -> Estimate:
    """Returns ICC(2,1), or ICC(2,k) of the mean of an item's k ratings; undefined where the model cannot be fitted.

    ICC(2,1) = σ²_item/(σ²_item + σ²_rater + σ²_error), absolute agreement with raters at random (Shrout and Fleiss,
    Psychological Bulletin 86, 1979); of a mean the last two are divided by k, the harmonic mean of the numbers of ratings.
    Variances by `components`; a negative one is kept, as in the classical formula. The interval is a BCa bootstrap over
    items for the given raters.

    Raises:
        UsageError: raters are to be resampled.
    """
    if resampling.over != "items":
        raise UsageError("over: expected items; the ICC holds the variance of raters already")
    matrix = as_ratings(ratings)
    there = ~np.isnan(matrix)
    if not (there.sum(axis=1) > 1).any():
        return undefined(NO_OVERLAP, resampling)
    held = there.any(axis=1)
    n = int(there.sum())
    different, counts = grouped(
        component_rows(matrix)[held],
        None if clusters is None else [clusters[at] for at in np.flatnonzero(held).tolist()],
    )
    unit = "item" if clusters is None else "cluster"

    def statistic(sums: Floats) -> Floats:
        found = components(sums)
        noise = found.raters + found.error
        if of == "mean":
            noise = noise * sums[:, 3] / np.maximum(sums[:, 0], 1)
        whole = found.items + noise
        result: Floats = np.divide(found.items, whole, out=np.full(len(sums), np.nan), where=whole > 1e-12)
        return result

    if float(np.ptp(matrix[there])) == 0:
        return undefined("all scores equal", resampling, n=n, clusters=int(counts.sum()), unit=unit)
    value = statistic((counts @ different)[None])[0]
    if not np.isfinite(value):
        why = "items, raters and error cannot be told apart"
        return undefined(why, resampling, n=n, clusters=int(counts.sum()), unit=unit)
    return estimate_of(Rows(different, counts), statistic, resampling, f"icc {of}", n=n, unit=unit)
