"""Bootstrap intervals over clusters, for means that no formula covers well."""

from __future__ import annotations

import statistics

import numpy as np
import numpy.typing as npt

from cvalues.errors import UsageError
from cvalues.records import generator
from cvalues.schema import NO_DATA, Estimate
from cvalues.stats.intervals import (
    Floats,
    Labels,
    as_floats,
    cluster_codes,
    cluster_sums,
    normal_quantile,
    student_quantile,
    upper_tail,
)

_CHUNK = 4_000_000
"""Random numbers held at once."""


def bootstrap_mean(
    values: npt.ArrayLike,
    clusters: Labels | None = None,
    *seed_parts: object,
    draws: int = 2000,
    confidence: float = 0.95,
    unit: str = "cluster",
) -> Estimate:
    """Returns the mean with an expanded BCa bootstrap interval over clusters; NO_DATA when empty.

    Whole clusters are drawn with replacement, `draws` times, from a generator derived from `seed_parts`. Bias is
    corrected by the share of draws below the mean (ties half), acceleration by the jackknife over clusters (Efron, JASA
    82, 1987); √(G/(G−1))·t(G−1) stands in for the normal quantile, since resampled means spread too little on few
    clusters (Hesterberg, The American Statistician 69, 2015). No limits with one cluster. When all clusters have one
    mean the limits are that mean: for zeros and ones use `clustered_proportion`, which does not collapse.
    """
    upper_tail(confidence)
    array = as_floats(values, "values")
    if not len(array):
        return NO_DATA
    if draws < 100:
        raise UsageError(f"draws: expected at least 100, got {draws}")
    codes, count = cluster_codes(clusters, len(array))
    sums, sizes = cluster_sums(codes, count, array), cluster_sums(codes, count)
    mean = float(sums.sum() / sizes.sum())
    low: float | None = None
    high: float | None = None
    if count > 1:
        # In this order the draws do not depend on labels or on the order of the observations.
        order = np.lexsort((sizes, sums))
        sums, sizes = sums[order], sizes[order]
        low, high = _bca(sums, sizes, _resampled_means(sums, sizes, draws, seed_parts), confidence)
    return Estimate(
        value=mean,
        low=low,
        high=high,
        confidence=confidence,
        method="bootstrap-bca",
        n=len(array),
        clusters=count,
        unit=unit,
    )


def _resampled_means(sums: Floats, sizes: Floats, draws: int, seed_parts: tuple[object, ...]) -> Floats:
    rng = generator("bootstrap", *seed_parts)
    count = len(sums)
    chances = np.full(count, 1 / count)
    step = max(1, _CHUNK // count)
    means = []
    for start in range(0, draws, step):
        weights = rng.multinomial(count, chances, size=min(step, draws - start))
        means.append((weights @ sums) / (weights @ sizes))
    return np.concatenate(means)


def _bca(sums: Floats, sizes: Floats, means: Floats, confidence: float) -> tuple[float, float]:
    mean = float(sums.sum() / sizes.sum())
    left_out = (sums.sum() - sums) / (sizes.sum() - sizes)
    centred = left_out.mean() - left_out
    spread = float(np.square(centred).sum())
    tolerance = 1e-12 * max(1.0, float(np.abs(means).max()))
    below = float(np.mean(means < mean - tolerance) + np.mean(np.abs(means - mean) <= tolerance) / 2)
    if spread <= tolerance**2:
        return mean, mean
    edge = 0.5 / len(means)
    bias = normal_quantile(min(max(below, edge), 1 - edge))
    acceleration = float((centred**3).sum()) / (6 * spread**1.5)

    def level(quantile: float) -> float:
        shifted = bias + quantile
        return statistics.NormalDist().cdf(bias + shifted / (1 - acceleration * shifted))

    count = len(sums)
    z = student_quantile(upper_tail(confidence), count - 1) * float(np.sqrt(count / (count - 1)))
    low, high = np.quantile(means, [level(-z), level(z)])
    return float(low), float(high)
