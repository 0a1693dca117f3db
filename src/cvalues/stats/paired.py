"""Paired comparison of two measurements of the same items, and corrections for many comparisons."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from cvalues.errors import UsageError
from cvalues.records import generator
from cvalues.schema import NO_DATA, Estimate, Record
from cvalues.stats.intervals import Floats, Labels, as_floats, cluster_codes, cluster_sums, clustered_mean, mean_parts

_ENUMERATED = 16
"""Up to this many clusters that differ, all 2^G sign patterns are looked at."""
_MERGE = 100_000_000
"""Multiplications that one exact convolution may cost."""
_CHUNK = 4_000_000
_LARGEST_MULTIPLE = 64
_TOLERANCE = 1e-9
_SMALLEST = float(np.finfo(np.float64).tiny)


class FlipTest(Record, frozen=True, kw_only=True):
    """Result of a sign-flip test."""

    p: float | None
    """Two-sided p value; None without any observation, 1 when nothing differs."""
    method: str
    """`sign-flip-exact` or `sign-flip-monte-carlo`."""


class PairedDifference(Record, frozen=True, kw_only=True):
    """How far two measurements of the same items differ."""

    difference: Estimate
    """Mean of a − b over observations."""
    p: float | None
    """Two-sided p value of the sign-flip test over clusters; None without data."""
    method: str = ""
    wins: int = 0
    """Clusters in which a is above b."""
    losses: int = 0
    ties: int = 0
    sd: float | None = None
    """Standard deviation that one cluster contributes: standard error times √G; None with fewer than two clusters."""


def paired_difference(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    clusters: Labels | None = None,
    *seed_parts: object,
    span: float | None = None,
    confidence: float = 0.95,
    unit: str = "cluster",
) -> PairedDifference:
    """Returns the mean of a − b, its cluster-robust interval, and the sign-flip p value over clusters.

    a and b are two measurements of the same observations in the same order. `span` is the largest possible absolute
    difference (1 for shares); it keeps the interval from collapsing when nothing differs (see `clustered_mean`).
    Empty input gives NO_DATA and p None; one cluster gives no limits and p 1.

    Raises:
        UsageError: lengths differ.
    """
    first, second = as_floats(a, "a"), as_floats(b, "b")
    if len(first) != len(second):
        raise UsageError(
            f"a and b: expected two measurements of the same items, got {len(first)} and {len(second)} values"
        )
    if not len(first):
        return PairedDifference(difference=NO_DATA, p=None)
    gaps = first - second
    codes, count = cluster_codes(clusters, len(gaps))
    bounds = None if span is None else (-span, span)
    sums = cluster_sums(codes, count, gaps)
    test = sign_flip(sums, *seed_parts)
    clear = np.abs(sums) > _TOLERANCE * max(1.0, float(np.abs(first).max()), float(np.abs(second).max()))
    error = mean_parts(sums, cluster_sums(codes, count), bounds)[2]
    return PairedDifference(
        difference=clustered_mean(gaps, codes, span=bounds, confidence=confidence, unit=unit),
        p=test.p,
        method=test.method,
        wins=int((clear & (sums > 0)).sum()),
        losses=int((clear & (sums < 0)).sum()),
        ties=int((~clear).sum()),
        sd=None if error is None else error * float(np.sqrt(count)),
    )


def sign_flip(differences: npt.ArrayLike, *seed_parts: object, draws: int = 99_999) -> FlipTest:
    """Returns the two-sided p value that independent differences are symmetric about 0, by flipping their signs.

    p is the share of the 2^G sign patterns whose sum is at least as far from 0 as the observed one (Fisher, The
    Design of Experiments, 1935, §21). Differences of 0 do not matter. It is exact when the absolute differences are
    whole multiples of one or two steps (all counts of right answers are), or when at most 16 differ. Otherwise
    `draws` patterns are drawn from a generator derived from `seed_parts` and p = (1 + hits) / (1 + draws) (Phipson
    and Smyth, SAGMB 9, 2010). No difference gives None, only zeros give 1.
    """
    array = as_floats(differences, "differences")
    if not len(array):
        return FlipTest(p=None, method="")
    scale = float(np.abs(array).max())
    scaled = np.round(array / scale, 12) if scale else array
    moved = scaled[scaled != 0]
    if not len(moved):
        return FlipTest(p=1.0, method="sign-flip-exact")
    # Rounding adds up over clusters; steps of a lattice are far wider than this.
    target = abs(float(moved.sum())) - 1e-11 * (len(moved) + 100)
    sizes, counts = np.unique(np.abs(moved), return_counts=True)
    if target <= 0:
        return FlipTest(p=1.0, method="sign-flip-exact")
    lattices = _lattices(sizes, counts)
    if len(lattices) <= 2:
        p = _tail(lattices, target)
    elif len(moved) <= _ENUMERATED:
        totals = np.zeros(1)
        for size in np.abs(moved):
            totals = np.concatenate([totals - size, totals + size])
        p = float(np.mean(np.abs(totals) >= target))
    else:
        hits = _drawn_hits(sizes, counts, target, draws, seed_parts)
        return FlipTest(p=(1 + hits) / (1 + draws), method="sign-flip-monte-carlo")
    return FlipTest(p=min(1.0, max(p, _SMALLEST)), method="sign-flip-exact")


def _flips(count: int) -> Floats:
    """Returns the chances of the sums −count … count of `count` random signs."""
    from scipy.special import gammaln

    ones = np.arange(count + 1)
    logs = gammaln(count + 1) - gammaln(ones + 1) - gammaln(count - ones + 1) - count * np.log(2)
    chances: Floats = np.zeros(2 * count + 1)
    chances[::2] = np.exp(logs)
    return chances


def _lattices(sizes: Floats, counts: npt.NDArray[np.int64]) -> list[tuple[float, Floats]]:
    """Returns (step, chances of −R … R steps) per group of sizes that are multiples of one step; stops after three."""
    found: list[tuple[float, Floats]] = []
    for size, count in zip(sizes.tolist(), counts.tolist(), strict=True):
        for at, (step, chances) in enumerate(found):
            multiple = round(size / step)
            length = 2 * count * multiple + 1
            if (
                multiple <= _LARGEST_MULTIPLE
                and abs(size / step - multiple) < _TOLERANCE
                and length * len(chances) <= _MERGE
            ):
                spread = np.zeros(length)
                spread[::multiple] = _flips(count)
                found[at] = (step, np.convolve(chances, spread))
                break
        else:
            if len(found) == 3:
                break
            found.append((size, _flips(count)))
    return found


def _tail(lattices: list[tuple[float, Floats]], target: float) -> float:
    """Returns the chance that the absolute sum of one or two independent lattice variables reaches a target above 0."""

    def support(step: float, chances: Floats) -> Floats:
        return step * np.arange(-(len(chances) // 2), len(chances) // 2 + 1, dtype=np.float64)

    step, chances = lattices[0]
    above = np.append(np.cumsum(chances[::-1])[::-1], 0.0)
    places = support(step, chances)
    if len(lattices) == 1:
        return 2 * float(above[np.searchsorted(places, target)])
    other_step, other = lattices[1]
    needed = target - support(other_step, other)
    return 2 * float(other @ above[np.searchsorted(places, needed)])


def _drawn_hits(
    sizes: Floats, counts: npt.NDArray[np.int64], target: float, draws: int, seed_parts: tuple[object, ...]
) -> int:
    """Returns how many of `draws` random sign patterns reach the target; equal sizes are drawn as one binomial."""
    rng = generator("sign-flip", *seed_parts)
    step = max(1, _CHUNK // len(sizes))
    hits = 0
    for start in range(0, draws, step):
        ups = rng.binomial(counts, 0.5, size=(min(step, draws - start), len(sizes)))
        hits += int((np.abs((2 * ups - counts) @ sizes) >= target).sum())
    return hits


def mcnemar_exact(b: int, c: int) -> float:
    """Returns the exact two-sided p value of McNemar's test (1947) from the two discordant counts.

    min(1, 2·P(X ≤ min(b, c))) with X binomial of b + c trials and chance ½; 1 when nothing is discordant.
    """
    from scipy.special import bdtr

    if b < 0 or c < 0:
        raise UsageError(f"b and c: expected counts of at least 0, got {b} and {c}")
    if b + c == 0:
        return 1.0
    return min(1.0, max(2 * float(bdtr(min(b, c), b + c, 0.5)), _SMALLEST))


def _p_array(p_values: Sequence[float]) -> Floats:
    array = as_floats(p_values, "p_values")
    if ((array < 0) | (array > 1)).any():
        raise UsageError("p_values: expected numbers from 0 to 1")
    return array


def holm(p_values: Sequence[float]) -> list[float]:
    """Returns the p values adjusted by Holm's step-down method (1979), in the order given; empty for empty input.

    The i-th smallest of m becomes max over j ≤ i of (m − j + 1)·p_(j), at most 1. Controls the chance of any false
    finding whatever the dependence.
    """
    array = _p_array(p_values)
    order = np.argsort(array, kind="stable")
    steps = np.maximum.accumulate(array[order] * np.arange(len(array), 0, -1)) if len(array) else array
    adjusted = np.empty(len(array))
    adjusted[order] = np.minimum(steps, 1.0)
    return [float(value) for value in adjusted]


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Returns the p values adjusted by the step-up method of Benjamini and Hochberg (1995), in the order given.

    The i-th smallest of m becomes min over j ≥ i of m·p_(j)/j, at most 1. Controls the expected share of false
    findings for independent or positively dependent tests.
    """
    array = _p_array(p_values)
    count = len(array)
    order = np.argsort(array, kind="stable")
    ranked = array[order] * count / np.arange(1, count + 1)
    adjusted = np.empty(count)
    adjusted[order] = np.minimum(np.minimum.accumulate(ranked[::-1])[::-1], 1.0) if count else ranked
    return [float(value) for value in adjusted]
