"""Scores as item + rater + error: means of items that no longer depend on who judged them, and how severe each rater is."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from cvalues.schema import NO_DATA, Estimate
from cvalues.stats.icc import component_rows, components
from cvalues.stats.intervals import Floats, student_quantile, upper_tail
from cvalues.stats.ratings import as_ratings

_LEAST = 1e-6
"""Least variance of the error, as a share of the whole: scores without any error would divide by 0."""


class Additive(NamedTuple):
    """A fitted additive model."""

    mean: Estimate
    """The mean of scores, for items and raters like these."""
    items: tuple[float | None, ...]
    """Mean of each item, freed of its raters' severity and shrunk towards the mean; None without a rating."""
    severity: tuple[Estimate, ...]
    """How far each rater lies above the others, shrunk towards 0; below 0 is severe."""
    item_variance: float
    rater_variance: float
    error_variance: float


class _Solved(NamedTuple):
    mean: float
    effects: Floats
    """Of the active raters."""
    covariance: Floats
    """Of the mean and the prediction errors of the effects."""


def additive_model(ratings: npt.ArrayLike, *, confidence: float = 0.95) -> Additive:
    """Returns the model x = μ + item + rater + error with random items and raters, fitted to incomplete scores.

    Variances by Henderson's method 1 (`icc.components`), negative ones taken as 0; then generalised least squares for μ
    and best linear unbiased prediction of items and raters (Henderson, Biometrics 31, 1975), so that a rater with few
    scores is taken for an average one. Limits of severity are ± t·√(prediction error variance) against the mean of
    these raters; those of μ hold the variance of items, raters and error, with Satterthwaite's degrees of freedom, so
    with few raters they are wide: the mean depends on who judged. Without a rating all is NO_DATA; where variances
    cannot be told apart (one rater, or no item with two ratings) the raters' is 0.
    """
    upper = upper_tail(confidence)
    matrix = as_ratings(ratings)
    there = np.logical_not(np.isnan(matrix))
    raters = matrix.shape[1]
    n = int(there.sum())
    if not n:
        return Additive(NO_DATA, (None,) * len(matrix), (NO_DATA,) * raters, 0.0, 0.0, 0.0)
    item, rater, error = _variances(matrix, there)
    active = np.flatnonzero(there.sum(axis=0))
    values = np.where(there, matrix, 0.0)
    solved = _solve(there[:, active].astype(np.float64), values[:, active], (item, rater, error))
    effects = np.zeros(raters)
    effects[active] = solved.effects
    per_item = there.sum(axis=1)
    gaps = np.where(there, matrix - solved.mean - effects, 0.0).sum(axis=1)
    ratio = error / item if item > 0 else np.inf
    means = solved.mean + gaps / (per_item + ratio)
    half = student_quantile(upper, _freedom(there, (item, rater, error))) * float(np.sqrt(solved.covariance[0, 0]))
    mean = Estimate(
        value=solved.mean, low=solved.mean - half, high=solved.mean + half, confidence=confidence, method="additive-gls",
        n=n, clusters=len(active), unit="rater",
    )  # fmt: skip
    return Additive(
        mean,
        tuple(float(mean) if count else None for mean, count in zip(means, per_item, strict=True)),
        _severities(there, active, solved, upper, confidence),
        item,
        rater,
        error,
    )


def _variances(matrix: Floats, there: npt.NDArray[np.bool_]) -> tuple[float, float, float]:
    """Returns the variances of items, raters and error, none below 0 and that of the error above it."""
    sums = component_rows(matrix[there.any(axis=1)]).sum(axis=0)
    found = components(sums[None])
    whole = float(np.var(matrix[there]))
    item, rater, error = (float(part[0]) for part in found)
    if not np.isfinite([item, rater, error]).all():
        return 0.0, 0.0, max(whole, 1e-12)
    return max(item, 0.0), max(rater, 0.0), max(error, _LEAST * whole, 1e-12)


def _solve(there: Floats, values: Floats, variances: tuple[float, float, float]) -> _Solved:
    """Solves Henderson's mixed model equations with the items eliminated; one row per item, one column per active rater."""
    item, rater, error = variances
    per_item = there.sum(axis=1)
    weight = 1 / (per_item + (error / item if item > 0 else np.inf))
    total = values.sum(axis=1)
    raters = there.shape[1]
    left = np.zeros((raters + 1, raters + 1))
    left[0, 0] = float((per_item - per_item**2 * weight).sum())
    left[0, 1:] = left[1:, 0] = there.T @ (1 - per_item * weight)
    left[1:, 1:] = np.diag(there.sum(axis=0)) - (there * weight[:, None]).T @ there
    right = np.concatenate(
        [[float((total - per_item * weight * total).sum())], values.sum(axis=0) - there.T @ (weight * total)]
    )
    # Without variance of raters the ratio is so large that their effects vanish.
    left[1:, 1:] += np.eye(raters) * (error / rater if rater > 0 else 1e12 * (1 + float(left[0, 0])))
    inverse = np.linalg.inv(left)
    found = inverse @ right
    return _Solved(float(found[0]), found[1:], inverse * error)


def _freedom(there: npt.NDArray[np.bool_], variances: tuple[float, float, float]) -> int:
    """Returns Satterthwaite's degrees of freedom of the mean's variance, at least 1."""
    per_item, per_rater = there.sum(axis=1), there.sum(axis=0)
    n = float(per_item.sum())
    items, raters = int((per_item > 0).sum()), int((per_rater > 0).sum())
    item, rater, error = variances
    parts = (
        (item * float((per_item**2).sum()) / n**2, items - 1),
        (rater * float((per_rater**2).sum()) / n**2, raters - 1),
        (error / n, n - items - raters + 1),
    )
    whole = sum(part for part, _ in parts)
    bottom = sum(part**2 / max(free, 1) for part, free in parts)
    return max(1, int(whole**2 / bottom)) if bottom > 0 else 1


def _severities(
    there: npt.NDArray[np.bool_], active: npt.NDArray[np.int64], solved: _Solved, upper: float, confidence: float
) -> tuple[Estimate, ...]:
    counts = there.sum(axis=0)
    found = [NO_DATA] * there.shape[1]
    spread = solved.covariance[1:, 1:]
    # Against the mean of these raters: what all of them share belongs to the mean.
    against = np.eye(len(active)) - 1 / len(active)
    errors = np.sqrt(np.maximum(np.diag(against @ spread @ against), 0.0))
    free = int(there.sum()) - int(there.any(axis=1).sum()) - len(active) + 1
    critical = student_quantile(upper, max(1, free))
    for place, rater in enumerate(active.tolist()):
        value = float(solved.effects[place])
        half = critical * float(errors[place])
        found[rater] = Estimate(
            value=value, low=value - half, high=value + half, confidence=confidence, method="additive-blup",
            n=int(counts[rater]), clusters=int(counts[rater]), unit="item",
        )  # fmt: skip
    return tuple(found)
