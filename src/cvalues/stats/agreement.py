"""Agreement of raters: raw agreement and coefficients corrected for chance, each with a bootstrap interval.

Ratings are a matrix of items × raters with NaN where a rater did not judge an item; values of a nominal criterion are any
numbers. Where nothing is said of rows without a second rating, they are left out. A coefficient that has no value is an
`Estimate` with value None whose `method` says why. `n` is the number of ratings that count, `clusters` the number of units
that are resampled. `clusters` names the cluster of each item (for example its prompt); None makes each item its own unit.
Low prevalence makes coefficients corrected for chance low for good raters (docs/statistics.md), so show `raw_agreement`,
`gwet_ac` and `ratings.prevalence` beside them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from cvalues.errors import UsageError
from cvalues.schema import Estimate
from cvalues.stats.alpha import krippendorff_alpha, set_alpha, set_distance
from cvalues.stats.coefficients import (
    Builder,
    Coefficient,
    Weights,
    all_equal,
    distances_of,
    divided,
    estimate,
    few_values,
    pair_weights,
    weighted_counts,
)
from cvalues.stats.icc import icc
from cvalues.stats.intervals import Floats, Labels
from cvalues.stats.ratings import Coded, as_ratings, coded, prevalence, rating_counts
from cvalues.stats.resampling import DEFAULT, Margins, Resampling

__all__ = [
    "Resampling",
    "cohen_kappa",
    "fleiss_kappa",
    "gwet_ac",
    "icc",
    "krippendorff_alpha",
    "prevalence",
    "rating_counts",
    "raw_agreement",
    "set_alpha",
    "set_distance",
]


_GWET_MARGINS = Margins(1.0, 0.3)


def _mean_rows(given: Coded, distances: Floats) -> Builder:
    """Rows: has a pair, its disagreement, has a rating, share of each value."""

    def rows(weights: Floats | None) -> Floats:
        counts, squares = weighted_counts(given, weights)
        total, pairs = pair_weights(counts, squares)
        share = np.divide(((counts @ distances) * counts).sum(axis=1), pairs, out=np.zeros(len(total)), where=pairs > 0)
        parts = np.divide(counts, total[:, None], out=np.zeros_like(counts), where=total[:, None] > 0)
        return np.column_stack([pairs > 0, share, total > 0, parts])

    return rows


def _mean_coefficient(name: str, given: Coded, distances: Floats, chance: Callable[[Floats], Floats]) -> Coefficient:
    """Returns 1 − (mean disagreement of pairs) / chance(shares of the values)."""

    def statistic(sums: Floats) -> Floats:
        shares = divided(sums[:, 3:], np.broadcast_to(sums[:, 2:3], sums[:, 3:].shape))
        return 1 - divided(divided(sums[:, 1], sums[:, 0]), chance(shares))

    rows = _mean_rows(given, distances)
    whole = rows(None).sum(axis=0)
    shares = whole[3:] / max(whole[2], 1.0)
    rarest = np.zeros(len(shares))
    if len(shares):
        rarest[int(np.argmax(distances @ shares))] = 1.0
    low = np.concatenate([[1.0, float(shares @ distances @ shares), 1.0], shares])
    high = np.concatenate([[1.0, 0.0, 1.0], rarest])
    return Coefficient(name, rows, statistic, low, high)


def raw_agreement(
    ratings: npt.ArrayLike, *, clusters: Labels | None = None, resampling: Resampling = DEFAULT
) -> Estimate:
    """Returns the mean over items of the share of pairs of raters who agree; undefined without an item with two ratings.

    P̄ = 1/N Σ_u Σ_c n_uc(n_uc − 1)/(m_u(m_u − 1)) (Fleiss, Psychological Bulletin 76, 1971), over items with m_u ≥ 2.
    """
    given = coded(ratings)
    few_values(given)
    distances = distances_of(given.values, "identity")
    one = _mean_coefficient("raw", given, distances, lambda shares: np.ones(len(shares)))
    return estimate(given.present, one, clusters, resampling)


def fleiss_kappa(
    ratings: npt.ArrayLike, *, clusters: Labels | None = None, resampling: Resampling = DEFAULT
) -> Estimate:
    """Returns Fleiss' kappa; undefined when all labels are equal or no item has two ratings.

    κ = (P̄ − P̄ₑ)/(1 − P̄ₑ), P̄ as in `raw_agreement`, P̄ₑ = Σ_c π_c² with π_c the mean over items of the share of value c
    (Fleiss 1971; for unequal numbers of ratings as in Gwet, Handbook of Inter-Rater Reliability, 2014, ch. 5: items with one
    rating count in π).
    """
    given = coded(ratings)
    few_values(given)
    if given.present.any() and len(given.values) == 1:
        return all_equal(given.present, resampling)
    distances = distances_of(given.values, "identity")
    one = _mean_coefficient("fleiss", given, distances, lambda shares: ((shares @ distances) * shares).sum(axis=1))
    return estimate(given.present, one, clusters, resampling, 1)


def gwet_ac(
    ratings: npt.ArrayLike,
    *,
    weights: Weights = "identity",
    categories: Sequence[float] | None = None,
    clusters: Labels | None = None,
    resampling: Resampling = DEFAULT,
) -> Estimate:
    """Returns Gwet's AC1, or AC2 where `weights` are linear or quadratic; undefined without an item with two ratings.

    AC = (pₐ − pₑ)/(1 − pₑ) with pₐ the mean weighted agreement of pairs and pₑ = T_w/(q(q − 1)) Σ_c π_c(1 − π_c), T_w the sum
    of all weights (Gwet, British Journal of Mathematical and Statistical Psychology 61, 2008; Handbook, 2014, ch. 5).
    `categories` are the q possible values; None takes those that occur, at least two, so that it is 1 where all labels are
    equal. Weights of two values are 1 − |a − b|/range or its square form 1 − (a − b)²/range².

    Raises:
        UsageError: a rating is none of `categories`.
    """
    given = coded(ratings)
    few_values(given)
    values = given.values
    if categories is not None:
        known = np.unique(np.asarray(categories, dtype=np.float64))
        if not np.isin(values, known).all():
            raise UsageError("categories: expected every value that occurs among the ratings")
        places = np.append(np.searchsorted(known, values), -1)
        given = Coded(places[given.codes], known)
        values = known
    distances = distances_of(values, weights)
    count = max(2, len(values))
    total = count**2 - float(distances.sum()) if len(values) > 1 else 2.0

    def chance(shares: Floats) -> Floats:
        expected: Floats = total / (count * (count - 1)) * (shares * (1 - shares)).sum(axis=1)
        return 1 - expected

    one = _mean_coefficient("gwet", given, distances, chance)._replace(margins=_GWET_MARGINS)
    return estimate(given.present, one, clusters, resampling, 1)


def cohen_kappa(
    ratings: npt.ArrayLike,
    *,
    weights: Weights = "identity",
    clusters: Labels | None = None,
    resampling: Resampling = DEFAULT,
) -> Estimate:
    """Returns Cohen's kappa of two raters; undefined when all labels are equal or no item has both ratings.

    κ = 1 − Σ v_ck p_ck / Σ v_ck p_c· p_·k with v = 1 for different values (Cohen, Educational and Psychological Measurement
    20, 1960), |c − k| (linear) or (c − k)² (quadratic; Cohen, Psychological Bulletin 70, 1968).

    Raises:
        UsageError: there are not exactly two raters, or raters are to be resampled.
    """
    matrix = as_ratings(ratings)
    if matrix.shape[1] != 2:
        raise UsageError(f"ratings: expected two raters for Cohen's kappa, got {matrix.shape[1]}")
    if resampling.over != "items":
        raise UsageError("over: expected items; Cohen's kappa is of two given raters")
    both = np.isnan(matrix).sum(axis=1) == 0
    given = coded(np.where(both[:, None], matrix, np.nan))
    few_values(given)
    if both.any() and len(given.values) == 1:
        return all_equal(given.present, resampling)
    count = len(given.values)
    distances = distances_of(given.values, weights)

    def rows(_: Floats | None) -> Floats:
        table = np.zeros((len(matrix), count * count))
        table[np.flatnonzero(both), given.codes[both, 0] * count + given.codes[both, 1]] = 1.0
        return table

    def statistic(sums: Floats) -> Floats:
        tables = sums.reshape(-1, count, count)
        first, second = tables.sum(axis=2), tables.sum(axis=1)
        expected = ((first @ distances) * second).sum(axis=1)
        return 1 - divided((tables * distances).sum(axis=(1, 2)) * first.sum(axis=1), expected)

    whole = rows(None).sum(axis=0).reshape(count, count)
    shares = whole / max(float(whole.sum()), 1.0)
    first, second = shares.sum(axis=1), shares.sum(axis=0)
    unanimous = np.zeros((count, count))
    if count:
        rarest = int(np.argmax(distances @ (first + second)))
        unanimous[rarest, rarest] = 1.0
    one = Coefficient("cohen", rows, statistic, np.outer(first, second).reshape(-1), unanimous.reshape(-1))
    return estimate(given.present, one, clusters, resampling)
