"""Krippendorff's alpha for nominal, ordinal and interval ratings and for sets."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from cvalues.errors import UsageError
from cvalues.schema import Estimate
from cvalues.stats.coefficients import (
    Coefficient,
    all_equal,
    distances_of,
    divided,
    estimate,
    few_values,
    pair_weights,
    weighted_counts,
)
from cvalues.stats.intervals import Floats, Labels
from cvalues.stats.ratings import Coded, as_ratings, coded
from cvalues.stats.resampling import DEFAULT, Margins, Resampling

Level = Literal["nominal", "ordinal", "interval"]
_MARGINS = Margins(0.35, 0.05, accelerated=False)


def _coincidence_scale(total: Floats, pairs: Floats) -> Floats:
    """Returns what makes the pairs of an item sum up to its ratings: 1/(m − 1) for m ratings of weight 1."""
    return np.divide(total, pairs, out=np.zeros(len(total)), where=pairs > 0)


def _fixed_alpha(given: Coded, distances: Floats) -> Coefficient:
    """α for distances that do not depend on the ratings. Rows: disagreement, then how often each value occurs."""

    def rows(weights: Floats | None) -> Floats:
        counts, squares = weighted_counts(given, weights)
        total, pairs = pair_weights(counts, squares)
        observed = ((counts @ distances) * counts).sum(axis=1) * _coincidence_scale(total, pairs)
        return np.column_stack([observed, counts * (pairs > 0)[:, None]])

    def statistic(sums: Floats) -> Floats:
        counts = sums[:, 1:]
        expected = ((counts @ distances) * counts).sum(axis=1)
        return 1 - divided(sums[:, 0] * (counts.sum(axis=1) - 1), expected)

    held = rows(None)
    whole = held.sum(axis=0)
    mean = whole[1:] / max(int((held[:, 1:].sum(axis=1) > 0).sum()), 1)
    each = float(mean.sum())
    unanimous = np.zeros(len(mean))
    if len(mean):
        unanimous[int(np.argmax(distances @ mean))] = each
    chance = float(mean @ distances @ mean) / max(each, 1.0)
    return Coefficient("alpha", rows, statistic, np.append([chance], mean), np.append([0.0], unanimous), _MARGINS)


def _ordinal_alpha(given: Coded) -> Coefficient:
    """α with Krippendorff's ordinal distance. Rows: coincidences of each two different values, then counts of values."""
    first, second = np.triu_indices(len(given.values), 1)

    def rows(weights: Floats | None) -> Floats:
        counts, squares = weighted_counts(given, weights)
        total, pairs = pair_weights(counts, squares)
        scale = _coincidence_scale(total, pairs)[:, None]
        return np.column_stack([2 * counts[:, first] * counts[:, second] * scale, counts * (pairs > 0)[:, None]])

    def statistic(sums: Floats) -> Floats:
        observed, counts = sums[:, : len(first)], sums[:, len(first) :]
        ranks = np.cumsum(counts, axis=1) - counts / 2
        squares = (ranks[:, first] - ranks[:, second]) ** 2
        expected = 2 * (counts[:, first] * counts[:, second] * squares).sum(axis=1)
        return 1 - divided((observed * squares).sum(axis=1) * (counts.sum(axis=1) - 1), expected)

    held = rows(None)
    mean = held[:, len(first) :].sum(axis=0) / max(int((held[:, len(first) :].sum(axis=1) > 0).sum()), 1)
    each = float(mean.sum())
    ranks = np.cumsum(mean) - mean / 2
    unanimous = np.zeros(len(mean))
    if len(mean):
        unanimous[int(np.argmax(((ranks[:, None] - ranks[None, :]) ** 2) @ mean))] = each
    low = np.concatenate([2 * mean[first] * mean[second] / max(each, 1.0), mean])
    return Coefficient("alpha", rows, statistic, low, np.concatenate([np.zeros(len(first)), unanimous]), _MARGINS)


def _interval_alpha(matrix: Floats) -> Coefficient:
    """α with squared differences. Rows: disagreement, number, sum and sum of squares of the ratings."""
    there = ~np.isnan(matrix)
    centre = float(matrix[there].mean()) if there.any() else 0.0
    values = np.where(there, matrix - centre, 0.0)

    def rows(weights: Floats | None) -> Floats:
        each = np.ones(matrix.shape[1]) if weights is None else weights
        total, first, second = there @ each, values @ each, values**2 @ each
        pairs = total**2 - there @ each**2
        observed = 2 * np.maximum(total * second - first**2, 0.0) * _coincidence_scale(total, pairs)
        return np.column_stack([observed, total, first, second]) * (pairs > 0)[:, None]

    def statistic(sums: Floats) -> Floats:
        expected = 2 * (sums[:, 1] * sums[:, 3] - sums[:, 2] ** 2)
        return 1 - divided(sums[:, 0] * (sums[:, 1] - 1), expected)

    held = rows(None)
    mean = held.sum(axis=0) / max(int((held[:, 1] > 0).sum()), 1)
    size = max(float(mean[1]), 1.0)
    middle = mean[2] / size
    used = values[there & (there.sum(axis=1) > 1)[:, None]]
    far = float(used[int(np.argmax(np.abs(used - middle)))]) if len(used) else 0.0
    chance = 2 * (mean[1] * mean[3] - mean[2] ** 2) / size
    low = np.array([chance, mean[1], mean[2], mean[3]])
    return Coefficient("alpha", rows, statistic, low, np.array([0.0, size, size * far, size * far**2]), _MARGINS)


def krippendorff_alpha(
    ratings: npt.ArrayLike,
    *,
    level: Level = "nominal",
    clusters: Labels | None = None,
    resampling: Resampling = DEFAULT,
) -> Estimate:
    """Returns Krippendorff's alpha; undefined when all labels are equal or no item has two ratings.

    α = 1 − Dₒ/Dₑ with Dₒ = 1/n Σ_u 1/(m_u − 1) Σ_{c,k} n_uc n_uk δ²_ck and Dₑ = 1/(n(n − 1)) Σ_{c,k} n_c n_k δ²_ck over items
    with m_u ≥ 2 (Krippendorff, Content Analysis, 2004, ch. 11). δ² is 1 for different values (nominal), (c − k)²
    (interval), or (Σ_{g=c}^{k} n_g − (n_c + n_k)/2)² (ordinal).

    Raises:
        UsageError: an unknown level, or more than 100 different values of a nominal or ordinal criterion.
    """
    if level == "interval":
        matrix = as_ratings(ratings)
        present = ~np.isnan(matrix)
        used = matrix[(present.sum(axis=1) > 1)[:, None] & present]
        if len(used) and float(np.ptp(used)) == 0:
            return all_equal(present, resampling)
        return estimate(present, _interval_alpha(matrix), clusters, resampling)
    given = coded(ratings)
    few_values(given)
    used_codes = given.codes[(given.present.sum(axis=1) > 1)[:, None] & given.present]
    if len(used_codes) and int(np.ptp(used_codes)) == 0:
        return all_equal(given.present, resampling)
    if level == "ordinal":
        return estimate(given.present, _ordinal_alpha(given), clusters, resampling)
    if level == "nominal":
        return estimate(
            given.present, _fixed_alpha(given, distances_of(given.values, "identity")), clusters, resampling
        )
    raise UsageError(f"level: expected nominal, ordinal or interval, got {level}")


def set_distance(one: frozenset[str], other: frozenset[str], kind: Literal["masi", "jaccard"]) -> float:
    """Returns how far two sets differ, from 0 (equal, also both empty) to 1 (nothing in common).

    Jaccard: 1 − |A∩B|/|A∪B|. MASI: 1 − M·|A∩B|/|A∪B| with M = 1 for equal sets, ⅔ where one holds the other, ⅓ where they
    overlap, 0 where they do not (Passonneau, LREC 2006).
    """
    if one == other:
        return 0.0
    share = len(one & other) / len(one | other)
    if kind == "jaccard":
        return 1 - share
    return 1 - share * (2 / 3 if one < other or other < one else 1 / 3)


def set_alpha(
    choices: Sequence[Sequence[Collection[str] | None]],
    *,
    distance: Literal["masi", "jaccard"] = "masi",
    clusters: Labels | None = None,
    resampling: Resampling = DEFAULT,
) -> Estimate:
    """Returns Krippendorff's alpha of sets, such as which of three replies are best; undefined as `krippendorff_alpha`.

    `choices` holds a row per item with the set that each rater chose, None where one did not judge it; the empty set is
    the choice of none. The distance δ² of two sets is `set_distance` (Passonneau, LREC 2006).

    Raises:
        UsageError: rows differ in length, or the distance is unknown.
    """
    if distance not in {"masi", "jaccard"}:
        raise UsageError(f"distance: expected masi or jaccard, got {distance}")
    if len({len(row) for row in choices}) > 1:
        raise UsageError("choices: expected one entry per rater in each row, None where a rater did not judge the item")
    sets = [[None if chosen is None else frozenset(chosen) for chosen in row] for row in choices]
    kinds = sorted({chosen for row in sets for chosen in row if chosen is not None}, key=sorted)
    place = {chosen: code for code, chosen in enumerate(kinds)}
    codes = np.array(
        [[-1 if chosen is None else place[chosen] for chosen in row] for row in sets], dtype=np.int64
    ).reshape(len(sets), -1)
    given = Coded(codes, np.arange(len(kinds), dtype=np.float64))
    few_values(given)
    if len(kinds) == 1:
        return all_equal(given.present, resampling)
    distances = np.array([[set_distance(one, other, distance) for other in kinds] for one in kinds])
    return estimate(given.present, _fixed_alpha(given, distances.reshape(len(kinds), len(kinds))), clusters, resampling)
