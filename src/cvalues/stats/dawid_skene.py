"""The model of Dawid and Skene with priors: true labels, error rates of raters and the rate, from ratings alone.

A sensitivity line beside the majority, not a replacement: it rests on raters who err independently given the truth.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from cvalues.errors import UsageError
from cvalues.schema import Estimate, Record
from cvalues.stats.intervals import Floats, as_floats, normal_quantile, upper_tail
from cvalues.stats.ratings import as_ratings


class DawidSkeneSettings(Record, frozen=True, kw_only=True):
    """Priors and when to stop."""

    strength: float = 4.0
    """Ratings that the pooled error rates are worth in the row of one rater and one true label."""
    top: float = 10.0
    """Ratings that the belief below is worth in the pooled error rates."""
    right: float = 0.8
    """Believed share of right labels before any data; the rest is spread evenly."""
    rate: float = 0.5
    """Items added to each true label in the rates."""
    tolerance: float = 1e-9
    iterations: int = 2000
    confidence: float = 0.95

    def __post_init__(self) -> None:
        """Refuses priors that are none."""
        upper_tail(self.confidence)
        if (
            min(self.strength, self.top, self.rate, self.tolerance) <= 0
            or not 0 < self.right < 1
            or self.iterations < 1
        ):
            raise UsageError("settings: expected strength, top, rate and tolerance above 0 and right between 0 and 1")


class DawidSkene(NamedTuple):
    """A fitted model; labels are in the order of `values`."""

    values: tuple[float, ...]
    posterior: Floats
    """Items × labels: chance of each true label; rows of gold items are 0 and 1, of items without ratings the rates."""
    rates: tuple[Estimate, ...]
    """Share of each true label among the items that are not gold."""
    confusion: Floats
    """Raters × true labels × labels given."""
    recall: tuple[tuple[Estimate, ...], ...]
    """For each rater and true label the chance to call it so: of the unsafe label this is the sensitivity, of the safe one
    the specificity. `n` is the expected number of rated items with this label."""
    iterations: int
    converged: bool


class _Fit(NamedTuple):
    posterior: Floats
    rates: Floats
    rows: Floats
    prior: Floats
    steps: int
    converged: bool


def dawid_skene(
    ratings: npt.ArrayLike,
    *,
    values: npt.ArrayLike | None = None,
    gold: npt.ArrayLike | None = None,
    settings: DawidSkeneSettings | None = None,
) -> DawidSkene:
    """Returns true labels, rates and error rates fitted by EM with Dirichlet priors on the rows of the confusion matrices.

    Model (Dawid and Skene, Applied Statistics 28, 1979): item u has label c with chance π_c, rater r calls it l with chance
    θ_rcl. E step: T_uc ∝ π_c Π_r θ_rc,x_ur. M step: π_c ∝ Σ_u T_uc + `rate`; θ_rcl ∝ Σ_u T_uc[x_ur = l] + `strength`·θ̄_cl, where
    θ̄ are the rows pooled over raters, θ̄_cl ∝ Σ_ru T_uc[x_ur = l] + `top`·b_cl, b the belief that `right` of the labels are
    right. So a rater with few ratings is taken for an average one. T starts at the shares of votes.

    `values` are the possible labels (None: those that occur); `gold` holds the known label of each item, NaN where unknown:
    it is kept and teaches the error rates, but not the rates, because gold items are chosen. Intervals are Wald's on
    the logit scale, from the observed information (Louis, JRSS B 44, 1982) and the prior: they hold the uncertainty of the
    true labels. For the rates they speak of a population that the items were drawn from.

    Raises:
        UsageError: shapes differ, a rating or gold label is none of `values`, or there are fewer than two values.
    """
    how = settings or DawidSkeneSettings()
    matrix = as_ratings(ratings)
    known = np.full(len(matrix), np.nan) if gold is None else np.asarray(gold, dtype=np.float64)
    if known.shape != (len(matrix),):
        raise UsageError(f"gold: expected one label or NaN for each of the {len(matrix)} items")
    there = np.concatenate([matrix[~np.isnan(matrix)], known[~np.isnan(known)]])
    labels = np.unique(there if values is None else as_floats(values, "values"))
    if not np.isin(there, labels).all():
        raise UsageError("values: expected every label that occurs among the ratings and the gold")
    if len(labels) < 2:
        raise UsageError("values: expected at least two different labels; name those that do not occur, too")
    given = (matrix[:, :, None] == labels).astype(np.float64)
    clamped = known[:, None] == labels
    fit = _em(given, clamped, how)
    spread = _covariance(given, clamped, fit, how)
    return DawidSkene(
        values=tuple(float(label) for label in labels),
        posterior=fit.posterior,
        rates=_rates(fit, clamped, spread, how),
        confusion=fit.rows,
        recall=_recalls(given, fit, spread, how),
        iterations=fit.steps,
        converged=fit.converged,
    )


def _em(given: Floats, clamped: npt.NDArray[np.bool_], how: DawidSkeneSettings) -> _Fit:
    items, raters, count = given.shape
    flat = given.reshape(items, raters * count)
    fixed = clamped.sum(axis=1) > 0
    belief = np.full((count, count), (1 - how.right) / (count - 1))
    np.fill_diagonal(belief, how.right)
    votes = given.sum(axis=1) + 1 / count
    posterior = np.where(fixed[:, None], clamped, votes / votes.sum(axis=1, keepdims=True))
    rates = np.full(count, 1 / count)
    rows = pooled = belief
    for step in range(1, how.iterations + 1):
        free = posterior[~fixed]
        rates = (free.sum(axis=0) + how.rate) / (len(free) + count * how.rate)
        seen = (posterior.T @ flat).reshape(count, raters, count).transpose(1, 0, 2)
        pooled = seen.sum(axis=0) + how.top * belief
        pooled = pooled / pooled.sum(axis=1, keepdims=True)
        rows = seen + how.strength * pooled
        rows = rows / rows.sum(axis=2, keepdims=True)
        logs = np.log(rates) + flat @ np.log(rows).transpose(0, 2, 1).reshape(-1, count)
        logs -= logs.max(axis=1, keepdims=True)
        updated = np.exp(logs)
        updated /= updated.sum(axis=1, keepdims=True)
        updated = np.where(fixed[:, None], clamped, updated)
        change = float(np.abs(updated - posterior).max(initial=0.0))
        posterior = updated
        if change < how.tolerance:
            return _Fit(posterior, rates, rows, pooled, step, converged=True)
    return _Fit(posterior, rates, rows, pooled, how.iterations, converged=False)


def _covariance(given: Floats, clamped: npt.NDArray[np.bool_], fit: _Fit, how: DawidSkeneSettings) -> Floats:
    """Returns the covariance of the log-odds of rates and rows against their last label, by Louis' formula.

    Information = that of the completed data − the variance of its score given the data, + that of the prior.
    """
    items, raters, count = given.shape
    short = count - 1
    size = short + raters * count * short
    free = 1.0 - np.asarray(clamped.any(axis=1), dtype=np.float64)

    def block(chances: Floats, weight: float) -> Floats:
        found: Floats = weight * (np.diag(chances) - np.outer(chances, chances))[:short, :short]
        return found

    information = np.zeros((size, size))
    information[:short, :short] = block(fit.rates, float(free.sum()) + count * how.rate)
    seen = np.einsum("uc,url->rc", fit.posterior, given) + how.strength
    for rater in range(raters):
        for label in range(count):
            start = short + (rater * count + label) * short
            information[start : start + short, start : start + short] = block(
                fit.rows[rater, label], float(seen[rater, label])
            )
    rated = np.asarray(given.sum(axis=2))
    step = max(1, 2_000_000 // (count * size))
    for start in range(0, items, step):
        part = slice(start, start + step)
        scores = np.zeros((len(given[part]), count, size))
        for label in range(count):
            point = (np.arange(count) == label).astype(np.float64)
            scores[:, label, :short] = np.outer(free[part], point[:short] - fit.rates[:short])
            own = np.zeros((len(given[part]), raters, count, short))
            own[:, :, label, :] = (given[part] - rated[part, :, None] * fit.rows[None, :, label, :])[:, :, :short]
            scores[:, label, short:] = own.reshape(len(own), -1)
        chances = fit.posterior[part]
        mean = np.einsum("uc,ucd->ud", chances, scores)
        weighted = scores * np.sqrt(chances)[:, :, None]
        flat = weighted.reshape(-1, size)
        information -= flat.T @ flat - mean.T @ mean
    values, vectors = np.linalg.eigh(information)
    # Directions on which the data say nothing have a variance without bound; their limits become 0 and 1.
    kept: Floats = (vectors / np.maximum(values, 1e-6)) @ vectors.T
    return kept


def _logit_limits(chances: Floats, spread: Floats, place: int, critical: float) -> tuple[float, float]:
    """Returns limits of one of several chances, given the covariance of their log-odds against the last."""
    short = len(chances) - 1
    point = (np.arange(len(chances)) == place).astype(np.float64)
    slope = (point - chances)[:short] / (1 - chances[place])
    centre = float(np.log(chances[place] / (1 - chances[place])))
    half = critical * float(np.sqrt(max(0.0, float(slope @ spread @ slope))))
    low, high = (1 / (1 + np.exp(-np.clip(centre + side * half, -700, 700))) for side in (-1, 1))
    return float(low), float(high)


def _rates(fit: _Fit, clamped: npt.NDArray[np.bool_], spread: Floats, how: DawidSkeneSettings) -> tuple[Estimate, ...]:
    short = len(fit.rates) - 1
    free = int((clamped.sum(axis=1) == 0).sum())
    critical = normal_quantile(upper_tail(how.confidence))
    found = []
    for place, rate in enumerate(fit.rates):
        low, high = _logit_limits(fit.rates, spread[:short, :short], place, critical)
        found.append(
            Estimate(
                value=float(rate) if free else None,
                low=low if free else None,
                high=high if free else None,
                confidence=how.confidence,
                method="dawid-skene-map" if free else "undefined: every item is gold",
                n=free,
                clusters=free,
                unit="item",
            )
        )
    return tuple(found)


def _recalls(given: Floats, fit: _Fit, spread: Floats, how: DawidSkeneSettings) -> tuple[tuple[Estimate, ...], ...]:
    raters, count = fit.rows.shape[:2]
    short = count - 1
    critical = normal_quantile(upper_tail(how.confidence))
    seen = np.einsum("uc,url->rc", fit.posterior, given)
    found = []
    for rater in range(raters):
        row = []
        for label in range(count):
            start = short + (rater * count + label) * short
            part = spread[start : start + short, start : start + short]
            low, high = _logit_limits(fit.rows[rater, label], part, label, critical)
            row.append(
                Estimate(
                    value=float(fit.rows[rater, label, label]),
                    low=low,
                    high=high,
                    confidence=how.confidence,
                    method="dawid-skene-map",
                    n=round(float(seen[rater, label])),
                    clusters=round(float(seen[rater, label])),
                    unit="item",
                )
            )
        found.append(tuple(row))
    return tuple(found)
