"""One-sided tests and limits for the mean of bounded numbers, made for gates: few clusters, rates near 0 and 1, rare differences.

The limit is Gaffke's: with one more cluster at the bad end of the span, and weights drawn from a flat Dirichlet distribution over
the clusters, the lower limit is the alpha quantile of the weighted mean (Gaffke, Mathematical Methods of Statistics 14, 2005;
Learned-Miller and Thomas, arXiv 1905.06208; Phan, Thomas and Learned-Miller, ICML 2021). For zeros and ones, one a cluster, it is
exactly the limit of Clopper and Pearson, for many clusters nearly that of the t interval. No distribution is known for which it errs
more often than alpha; that none exists is a conjecture, which `benchmarks/gate_errors.py` tries on the settings of a gate. The
interval of Bonett and Price in `stats.paired` errs more often than stated where differences are rare (8 % for 5 % with 20 clusters and
a margin of 12 points), which is why a gate does not decide by it.

Clusters of unequal size: the mean is Σ sums / Σ sizes, tested through the residuals sum − threshold·size, and the added cluster is as
large as the largest.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Self

import numpy as np
import numpy.typing as npt

from cvalues.errors import UsageError
from cvalues.stats.intervals import Floats, Labels, as_floats, cluster_codes, cluster_sums, normal_quantile

MOST_CLUSTERS = 1_000_000
"""Beyond this many clusters no number is named."""
_SURE = 40.0
"""Standard deviations beyond which a probability counts as 0 or 1."""
_NEGLIGIBLE = 28.0
_STEPS = 40
_LIMIT_STEPS = 17
"""Halvings of the span: limits are right to 1e-5 of it."""


class BoundedMean:
    """The mean of bounded numbers that come in clusters, with its one-sided tests and limits."""

    def __init__(
        self, sums: npt.ArrayLike, sizes: npt.ArrayLike, span: tuple[float, float], counts: npt.ArrayLike | None = None
    ) -> None:
        """Takes the sum and size of each cluster, the lowest and highest possible number, and how often each cluster counts (once).

        Raises:
            UsageError: there is no cluster, lengths differ, or a mean lies outside the span.
        """
        self.sums, self.sizes, self.span = as_floats(sums, "sums"), as_floats(sizes, "sizes"), span
        self.counts = np.ones(len(self.sums)) if counts is None else as_floats(counts, "counts")
        if not len(self.sums) or not len(self.sums) == len(self.sizes) == len(self.counts):
            raise UsageError("sums, sizes and counts: expected one of each for at least one cluster")
        slack = 1e-9 * max(1.0, *map(abs, span))
        means = self.sums / self.sizes
        if (means < span[0] - slack).any() or (means > span[1] + slack).any():
            raise UsageError(f"values: expected numbers from {span[0]} to {span[1]}")

    @classmethod
    def of(cls, values: npt.ArrayLike, clusters: Labels | None, span: tuple[float, float]) -> Self:
        """Returns the mean of values whose clusters are named by labels (each its own for None); errors as the class."""
        array = as_floats(values, "values")
        codes, count = cluster_codes(clusters, len(array))
        return cls(cluster_sums(codes, count, array), cluster_sums(codes, count), span)

    @property
    def value(self) -> float:
        """The mean over observations."""
        return float(self.counts @ self.sums / (self.counts @ self.sizes))

    @property
    def clusters(self) -> float:
        """Number of clusters."""
        return float(self.counts.sum())

    def p_above(self, threshold: float, scale: float = 1.0) -> float:
        """Returns the one-sided p value against a mean of at most `threshold`; 1 where nothing speaks for more.

        Args:
            threshold: within the span.
            scale: as if there were this many times as many clusters like these.
        """
        worst = (self.span[0] - threshold) * float(self.sizes.max())
        return _below_zero(self.sums - threshold * self.sizes, scale * self.counts, worst)

    def p_below(self, threshold: float, scale: float = 1.0) -> float:
        """Returns the one-sided p value against a mean of at least `threshold`; arguments as `p_above`."""
        worst = (threshold - self.span[1]) * float(self.sizes.max())
        return _below_zero(threshold * self.sizes - self.sums, scale * self.counts, worst)

    def limits(self, alpha: float) -> tuple[float, float]:
        """Returns the lower and the upper limit, each one-sided at alpha: the thresholds at which the tests just reject."""
        value, (low, high) = self.value, self.span
        return (
            _edge(lambda at: self.p_above(at) <= alpha, low, value, steps=_LIMIT_STEPS),
            _edge(lambda at: self.p_below(at) <= alpha, high, value, steps=_LIMIT_STEPS),
        )

    def padded(self) -> BoundedMean:
        """Returns the mean with a quarter of a cluster more at either end of the span, so that its spread is never 0."""
        size = float(self.counts @ self.sizes / self.counts.sum())
        return BoundedMean(
            np.append(self.sums, [self.span[0] * size, self.span[1] * size]),
            np.append(self.sizes, [size, size]),
            self.span,
            np.append(self.counts, [0.25, 0.25]),
        )

    def spread(self) -> float:
        """Returns the standard deviation that one cluster contributes: standard error × √clusters."""
        residuals = self.sums - self.value * self.sizes
        size = float(self.counts @ self.sizes / self.clusters)
        return math.sqrt(float(self.counts @ np.square(residuals)) / self.clusters) / size

    def decides(self, threshold: float, *, alpha: float, power: float, scale: float = 1.0) -> bool:
        """Returns whether, with `scale` times as many clusters like these, the test rejects in a share `power` of samples.

        The estimate is moved towards the threshold by z_power standard errors and tested there.
        """
        above = self.value > threshold
        move = normal_quantile(power) * self.spread() / math.sqrt(scale * self.clusters)
        moved = threshold + move if above else threshold - move
        if not self.span[0] <= moved <= self.span[1] or (self.value <= moved if above else self.value >= moved):
            return False
        return (self.p_above(moved, scale) if above else self.p_below(moved, scale)) <= alpha

    def needed(self, threshold: float, *, alpha: float = 0.05, power: float = 0.8) -> int | None:
        """Returns how many clusters decide on which side of the threshold the mean is, if it is what it seems to be.

        A quarter of a cluster at either end is added first (`padded`). None where the mean seems to lie on the threshold, or where
        more than `MOST_CLUSTERS` were needed.
        """
        seems = self.padded()
        if seems.value == threshold or (seems.value > threshold) != (self.value > threshold):
            seems = self
        base, top = self.clusters, 1.0
        while not seems.decides(threshold, alpha=alpha, power=power, scale=top):
            top *= 2
            if base * top > MOST_CLUSTERS:
                return None
        found = _edge(
            lambda scale: not seems.decides(threshold, alpha=alpha, power=power, scale=scale), 1 / base, top, steps=14
        )
        return max(2, math.ceil(found * base))


def smallest_margin(mean: BoundedMean, *, alpha: float = 0.05, power: float = 0.8) -> float | None:
    """Returns the smallest margin by which these clusters find a model not inferior that is as good as the measured one.

    The differences between the two models are taken to be as the measured model's own deviations from its mean, either way as often:
    what they are where the models' values correlate by ½. A quarter of a cluster at either end is added first. None where there are fewer
    than two clusters or no margin within the span does.
    """
    if mean.clusters < 2:
        return None
    seen = mean.padded()
    # The added part of a cluster widens the spread; the number of clusters stays what it is.
    counts = seen.counts * (mean.clusters / seen.clusters) / 2
    residuals = seen.sums - seen.value * seen.sizes
    width = mean.span[1] - mean.span[0]
    equal = BoundedMean(
        np.append(residuals, -residuals), np.append(seen.sizes, seen.sizes), (-width, width), np.append(counts, counts)
    )
    if not equal.decides(-width * 0.999, alpha=alpha, power=power):
        return None
    return _edge(lambda margin: not equal.decides(-margin, alpha=alpha, power=power), 0.0, width)


def _edge(holds: Callable[[float], bool], start: float, end: float, steps: int = _STEPS) -> float:
    """Returns where a condition that holds at the start and not at the end stops holding; the start where it does not hold near it."""
    near, far = start, end
    for _ in range(steps):
        middle = (near + far) / 2
        if holds(middle):
            near = middle
        else:
            far = middle
    return (near + far) / 2


def _below_zero(residuals: Floats, counts: Floats, worst: float) -> float:
    """Returns P(Σ E_g·r_g + E_0·worst ≤ 0), the E independent exponentials; a count k makes E a gamma variable of shape k.

    By the inversion formula of Gil-Pelaez (Biometrika 38, 1951): ½ − (1/π)∫ sin θ(u) / (u·ρ(u)) du with θ = Σ k·atan(c·u) and
    ρ = Π(1 + c²u²)^{k/2}, in ln u by the trapezoidal rule, whose error is far below 1e-6 here.
    """
    scale = max(float(np.abs(residuals).max(initial=0.0)), abs(worst))
    if scale == 0:
        return 1.0
    rounded = np.round(np.append(residuals, worst) / scale, 9)
    values, inverse = np.unique(rounded, return_inverse=True)
    shapes = np.bincount(inverse, weights=np.append(counts, 1.0))
    kept = (values != 0) & (shapes > 0)
    values, shapes = values[kept], shapes[kept]
    if not (values > 0).any():
        return 1.0
    if not (values < 0).any():
        return 0.0
    deviation = math.sqrt(float(shapes @ np.square(values)))
    mean = float(shapes @ values) / deviation
    if abs(mean) > _SURE:
        return 0.0 if mean > 0 else 1.0
    return _inverted(values / deviation, shapes, mean)


def _inverted(values: Floats, shapes: Floats, mean: float) -> float:
    start, end = -9.0, 2.0

    def weight(at: float) -> float:
        return float(shapes @ np.log1p(np.square(values * math.exp(at)))) / 2

    while weight(end) < _NEGLIGIBLE and end < _STEPS:
        end += 0.5
    rough = np.exp(np.linspace(start, end, 60))[:, None] * values
    turning = (np.abs(rough) / (1 + rough**2)) @ shapes
    alive = np.log1p(rough**2) @ shapes / 2 < _NEGLIGIBLE
    step = min(0.02, 0.4 / max(1.0, float(turning[alive].max(initial=1.0))))
    grid = np.linspace(start, end, max(200, math.ceil((end - start) / step)))
    total = math.exp(start) * mean
    heights = np.empty(len(grid))
    chunk = max(1, 2_000_000 // len(values))
    for first in range(0, len(grid), chunk):
        points = np.exp(grid[first : first + chunk])[:, None] * values
        phase = np.arctan(points) @ shapes
        heights[first : first + chunk] = np.sin(phase) * np.exp(-(np.log1p(points * points) @ shapes) / 2)
    total += float(((heights[1:] + heights[:-1]) / 2 * np.diff(grid)).sum())
    return min(1.0, max(0.0, 0.5 - total / math.pi))


def paired_means(
    first: Sequence[float], second: Sequence[float], clusters: Labels | None, width: float = 1.0
) -> BoundedMean:
    """Returns the mean of first − second, two measurements of the same observations, whose difference is at most `width`."""
    gaps = as_floats(first, "first") - as_floats(second, "second")
    return BoundedMean.of(gaps, clusters, (-width, width))
