"""Intervals for rates, means and ratios whose observations come in clusters, such as the two orders of a pair.

Every function returns an `Estimate`; no observation gives `NO_DATA`. `clusters` names the cluster of each observation
with any hashable labels; None makes each observation its own. Labels and the order of the observations do not matter.
"""

from __future__ import annotations

import functools
import statistics
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cvalues.errors import UsageError
from cvalues.schema import NO_DATA, Estimate
from cvalues.stats.design import effective_share, share_limits

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Labels = Sequence[Hashable] | npt.NDArray[Any]


@functools.lru_cache(maxsize=4096)
def normal_quantile(probability: float) -> float:
    """Returns the standard normal quantile of a probability strictly between 0 and 1."""
    return statistics.NormalDist().inv_cdf(probability)


@functools.lru_cache(maxsize=4096)
def student_quantile(probability: float, df: int) -> float:
    """Returns Student's t quantile of a probability strictly between 0 and 1 with `df` ≥ 1 degrees of freedom."""
    from scipy.special import stdtrit

    return float(stdtrit(df, probability))


def as_floats(values: npt.ArrayLike, what: str) -> Floats:
    """Returns the values as a one-dimensional array of floats.

    Raises:
        UsageError: they are not one-dimensional finite numbers; `what` names them in the message.
    """
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{what}: expected numbers ({error}); leave out what is missing") from error
    if array.ndim != 1 or not np.isfinite(array).all():
        raise UsageError(f"{what}: expected a flat list of finite numbers; leave out what is missing instead of NaN")
    return array


def cluster_codes(clusters: Labels | None, n: int) -> tuple[Ints, int]:
    """Returns (code from 0 of each observation's cluster, number of clusters); UsageError when lengths differ."""
    if clusters is None:
        return np.arange(n, dtype=np.int64), n
    if len(clusters) != n:
        raise UsageError(f"clusters: expected one label for each of the {n} observations, got {len(clusters)}")
    if isinstance(clusters, np.ndarray) and clusters.dtype.kind in "iu":
        found, inverse = np.unique(clusters, return_inverse=True)
        return inverse.astype(np.int64), len(found)
    seen: dict[Hashable, int] = {}
    codes = np.fromiter((seen.setdefault(label, len(seen)) for label in clusters), dtype=np.int64, count=n)
    return codes, len(seen)


def cluster_sums(codes: Ints, count: int, values: Floats | None = None) -> Floats:
    """Returns the sum of the values in each cluster, or its number of observations where no values are given."""
    return np.bincount(codes, weights=values, minlength=count).astype(np.float64, copy=False)


def upper_tail(confidence: float) -> float:
    """Returns the upper probability of a two-sided interval, 0.975 for 0.95; raises UsageError outside 0 to 1."""
    if not 0 < confidence < 1:
        raise UsageError(f"confidence: expected a share between 0 and 1 such as 0.95, got {confidence}")
    return 0.5 + confidence / 2


def _check_counts(successes: int, n: int) -> None:
    if not 0 <= successes <= n:
        raise UsageError(f"successes: expected a count between 0 and n = {n}, got {successes}")


def _score_interval(rate: float, n: float, critical: float) -> tuple[float, float]:
    """Returns the Wilson limits of `rate` for an effective n, clipped to [0, 1] and never beside the rate."""
    square = critical * critical
    scale = 1 + square / n
    centre = (rate + square / (2 * n)) / scale
    half = critical * float(np.sqrt(rate * (1 - rate) / n + square / (4 * n * n))) / scale
    return max(0.0, min(centre - half, rate)), min(1.0, max(centre + half, rate))


def wilson(successes: int, n: int, *, confidence: float = 0.95, unit: str = "item") -> Estimate:
    """Returns a rate with the score interval of Wilson (1927), for n independent trials; NO_DATA when n is 0.

    Limits are (p + z²/2n ± z·√(p(1−p)/n + z²/4n²)) / (1 + z²/n), z the two-sided normal quantile. At 0 or n successes
    one limit is exactly 0 or 1 and the other is inside.
    """
    upper = upper_tail(confidence)
    _check_counts(successes, n)
    if n == 0:
        return NO_DATA
    rate = successes / n
    low, high = _score_interval(rate, n, normal_quantile(upper))
    return Estimate(value=rate, low=low, high=high, confidence=confidence, method="wilson", n=n, clusters=n, unit=unit)


def clopper_pearson(successes: int, n: int, *, confidence: float = 0.95, unit: str = "item") -> Estimate:
    """Returns a rate with the exact binomial interval of Clopper and Pearson (1934); NO_DATA when n is 0.

    The limits are beta quantiles: B(α/2; k, n−k+1) and B(1−α/2; k+1, n−k), 0 when k = 0 and 1 when k = n. Never below
    the stated coverage, hence wider than Wilson's.
    """
    from scipy.special import betaincinv

    upper = upper_tail(confidence)
    _check_counts(successes, n)
    if n == 0:
        return NO_DATA
    low = float(betaincinv(successes, n - successes + 1, 1 - upper)) if successes else 0.0
    high = float(betaincinv(successes + 1, n - successes, upper)) if successes < n else 1.0
    return Estimate(
        value=successes / n,
        low=low,
        high=high,
        confidence=confidence,
        method="clopper-pearson",
        n=n,
        clusters=n,
        unit=unit,
    )


def ratio(
    numerators: npt.ArrayLike,
    denominators: npt.ArrayLike,
    clusters: Labels | None = None,
    *,
    share: bool = False,
    confidence: float = 0.95,
    unit: str = "cluster",
) -> Estimate:
    """Returns Σ numerators / Σ denominators, both random over clusters; NO_DATA when the denominators sum to 0.

    With R the ratio and e_g = N_g − R·D_g the residual of cluster g, V = G/(G−1) · Σ e_g² / (Σ D_g)² (linearisation;
    Cochran, Sampling Techniques, 1977, §6.3). Clusters without denominator carry no information and are not counted
    in G.

    `share=False`: R ± t(G−1)·√V; no limits with one cluster. n is the number of observations.

    `share=True`, for counts with 0 ≤ N ≤ D such as correct of answered: Wilson's limits for the effective n and the
    degrees of freedom of `design.effective_share`, which is cautious where few clusters hold the rarer answer; one-tailed
    where the other tail cannot miss (`design.one_tailed`). At rates of 0 and 1 the limits do not collapse. With one cluster
    they are 0 and 1. n is ΣD. Coverage and width: docs/statistics.md.

    Raises:
        UsageError: lengths differ, a denominator is negative, or a share lies outside 0 to 1.
    """
    upper = upper_tail(confidence)
    top, bottom = as_floats(numerators, "numerators"), as_floats(denominators, "denominators")
    if len(top) != len(bottom):
        raise UsageError(f"numerators and denominators: expected the same length, got {len(top)} and {len(bottom)}")
    if (bottom < 0).any() or (share and ((top < 0) | (top > bottom)).any()):
        raise UsageError("denominators: expected none below 0, and for a share no numerator above its own or below 0")
    sums, sizes = _asked(top, bottom, clusters)
    if not len(sizes):
        return NO_DATA
    count, total = len(sizes), float(sizes.sum())
    value = float(sums.sum()) / total
    low: float | None = None
    high: float | None = None
    if share:
        low, high = _share_limits(sums, sizes, upper)
    elif count > 1:
        squares = float(np.square(sums - value * sizes).sum())
        half = student_quantile(upper, count - 1) * float(np.sqrt(squares * count / (count - 1))) / total
        low, high = value - half, value + half
    return Estimate(
        value=value,
        low=low,
        high=high,
        confidence=confidence,
        method="wilson-clustered" if share else "ratio-clustered",
        n=round(total) if share else int((bottom > 0).sum()),
        clusters=count,
        unit=unit,
    )


def _asked(top: Floats, bottom: Floats, clusters: Labels | None) -> tuple[Floats, Floats]:
    """Returns the sums of both by cluster, of the clusters that hold any denominator."""
    if clusters is not None:
        codes, count = cluster_codes(clusters, len(top))
        top, bottom = cluster_sums(codes, count, top), cluster_sums(codes, count, bottom)
    held = bottom > 0
    return (top, bottom) if held.all() else (top[held], bottom[held])


def _share_limits(sums: Floats, sizes: Floats, upper: float) -> tuple[float, float]:
    """Returns the limits that `ratio(share=True)` documents, from the sums and sizes of the clusters."""
    if len(sizes) == 1:
        return 0.0, 1.0
    low, high = share_limits(effective_share(sums[None], sizes[None]), upper)
    return float(low[0]), float(high[0])


def clustered_proportion(
    values: npt.ArrayLike, clusters: Labels | None = None, *, confidence: float = 0.95, unit: str = "cluster"
) -> Estimate:
    """Returns the share of ones among values 0 and 1 with Wilson-type limits over clusters; NO_DATA when empty.

    Formula and source: `ratio(share=True)` with every denominator 1. Limits lie in [0, 1] and do not collapse at 0 %
    and 100 %; one cluster gives 0 to 1.
    """
    array = as_floats(values, "values")
    if ((array != 0) & (array != 1)).any():
        raise UsageError("values: expected zeros and ones; use clustered_mean for other numbers")
    return ratio(array, np.ones(len(array)), clusters, share=True, confidence=confidence, unit=unit)


def clustered_mean(
    values: npt.ArrayLike,
    clusters: Labels | None = None,
    *,
    span: tuple[float, float] | None = None,
    within: tuple[float, float] | None = None,
    confidence: float = 0.95,
    unit: str = "cluster",
) -> Estimate:
    """Returns the mean of values with a cluster-robust t interval; NO_DATA when empty, no limits with one cluster.

    V = G/(G−1) · Σ_g (Σ_{i∈g} (x_i − x̄))² / n², critical value t(G−1) (CR1; Liang and Zeger, Biometrika 73, 1986;
    Cameron and Miller, Journal of Human Resources 50, 2015). With clusters of one value it is the ordinary t
    interval.

    `span`, the lowest and highest possible value, keeps the interval from collapsing when all clusters agree: mean
    and V of the limits are those of the data plus one cluster of mean size at either end, and the limits are clipped
    to the span and hold the mean. For a difference of paired shares in (−1, 1) this is the adjusted Wald interval of
    Bonett and Price (Journal of Educational and Behavioral Statistics 37, 2012) with t for z and G/(G−1).

    `within`, for means on a scale such as points from 1 to 10, clips the limits to the scale: such means seldom come near an
    end, and there the interval without `span` keeps its level at less width (docs/statistics.md). Only where all clusters agree,
    and it would have no width, `within` stands in for `span`.

    Raises:
        UsageError: a value lies outside `span` or `within`, or lengths differ.
    """
    upper = upper_tail(confidence)
    array = as_floats(values, "values")
    if not len(array):
        return NO_DATA
    codes, count = cluster_codes(clusters, len(array))
    sums, sizes = cluster_sums(codes, count, array), cluster_sums(codes, count)
    mean, centre, error = mean_parts(sums, sizes, span)
    ends = span or within
    if within is not None and error is not None and error < 1e-12:
        span = within
        mean, centre, error = mean_parts(sums, sizes, span)
    if ends is not None and ((array < ends[0] - 1e-9) | (array > ends[1] + 1e-9)).any():
        raise UsageError(f"values: expected numbers from {ends[0]} to {ends[1]}")
    low: float | None = None
    high: float | None = None
    if error is not None:
        half = student_quantile(upper, count - 1) * error
        low, high = centre - half, centre + half
        if ends is not None:
            low, high = max(ends[0], min(low, mean)), min(ends[1], max(high, mean))
    method = "mean-clustered" if span is None else "mean-clustered-adjusted"
    return Estimate(
        value=mean, low=low, high=high, confidence=confidence, method=method, n=len(array), clusters=count, unit=unit
    )


def mean_parts(sums: Floats, sizes: Floats, span: tuple[float, float] | None) -> tuple[float, float, float | None]:
    """Returns (mean, centre of the interval, standard error or None with one cluster) from sums and sizes of clusters.

    Centre and error are those of the data plus the two clusters that `span` adds (see `clustered_mean`).
    """
    mean = float(sums.sum() / sizes.sum())
    if len(sums) < 2:
        return mean, mean, None
    if span is not None:
        size = float(np.mean(sizes))
        sums = np.append(sums, [span[0] * size, span[1] * size])
        sizes = np.append(sizes, [size, size])
    total, count = float(sizes.sum()), len(sums)
    centre = float(sums.sum()) / total
    squares = float(np.square(sums - centre * sizes).sum())
    return mean, centre, float(np.sqrt(squares * count / (count - 1))) / total


def mean_of(estimates: Sequence[Estimate]) -> Estimate:
    """Returns the unweighted mean of independent estimates; NO_DATA when there is none or one has no value or limits.

    Limits by MOVER (Zou and Donner, Statistics in Medicine 27, 2008): m − √Σ((v_i − low_i)/k)² and m + √Σ((high_i −
    v_i)/k)². They keep the asymmetry of the parts, and do not collapse where those do not. The parts must rest on
    different clusters and one confidence.
    """
    values: list[tuple[float, float, float]] = []
    for part in estimates:
        if part.value is None or part.low is None or part.high is None:
            return NO_DATA
        values.append((part.value, part.low, part.high))
    if not values:
        return NO_DATA
    if len({part.confidence for part in estimates}) > 1:
        raise UsageError("estimates: expected one confidence for all; compute them with the same one")
    if len(values) == 1:
        return estimates[0]
    array = np.array(values)
    mean = float(array[:, 0].mean())
    below, above = (float(np.sqrt(np.square(array[:, 0] - array[:, side]).sum())) / len(values) for side in (1, 2))
    return Estimate(
        value=mean,
        low=mean - below,
        high=mean + above,
        confidence=estimates[0].confidence,
        method="mover",
        n=sum(part.n for part in estimates),
        clusters=sum(part.clusters for part in estimates),
        unit=estimates[0].unit,
    )
