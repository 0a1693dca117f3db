"""Tests of the one-sided limits that gates decide by."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from cvalues.errors import UsageError
from cvalues.stats.bounded import BoundedMean, paired_means, smallest_margin


def shares(hits: int, n: int) -> BoundedMean:
    """`hits` ones among n items of their own."""
    return BoundedMean([1.0] * hits + [0.0] * (n - hits), [1.0] * n, (0.0, 1.0))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 300), st.floats(0, 1), st.floats(0.01, 0.99))
def test_zeros_and_ones_are_binomial(n: int, share: float, rate: float) -> None:
    """For zeros and ones, one a cluster, the p values are those of the exact binomial tests."""
    hits = round(share * n)
    mean = shares(hits, n)
    assert mean.p_above(rate) == pytest.approx(binom.sf(hits - 1, n, rate), abs=2e-6)
    assert mean.p_below(rate) == pytest.approx(binom.cdf(hits, n, rate), abs=2e-6)


def test_limits_of_no_difference_follow_from_the_number_of_clusters() -> None:
    """Twenty clusters without a difference exclude, at 5 %, a loss of 1 − 0.05^(1/20) = 13.9 points and no smaller one."""
    low, high = BoundedMean([0.0] * 20, [1.0] * 20, (-1.0, 1.0)).limits(0.05)
    assert (-low, high) == pytest.approx((0.1391, 0.1391), abs=1e-4)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from([-1.0, 0.0, 0.5, 1.0]), min_size=2, max_size=60), st.randoms(use_true_random=False))
def test_order_and_labels_do_not_matter(values: list[float], rng: object) -> None:
    """The order of the clusters changes nothing, and turning all signs turns the limits."""
    turned = BoundedMean.of([-value for value in values], None, (-1.0, 1.0)).limits(0.05)
    there = BoundedMean.of(values, None, (-1.0, 1.0)).limits(0.05)
    back = BoundedMean.of(values[::-1], list(range(len(values))), (-1.0, 1.0)).limits(0.05)
    assert there == pytest.approx(back, abs=1e-4)
    assert turned == pytest.approx((-there[1], -there[0]), abs=1e-4)
    assert there[0] <= BoundedMean.of(values, None, (-1.0, 1.0)).value <= there[1]


def test_against_random_weights() -> None:
    """The p value is the chance that flat Dirichlet weights put the mean, with one cluster at the low end, below the threshold."""
    rng = np.random.default_rng(3)
    sums, sizes = rng.uniform(0, 3, 40), np.full(40, 3.0)
    mean = BoundedMean(sums, sizes, (0.0, 1.0))
    weights = rng.exponential(size=(200_000, 41))
    residuals = np.append(sums - 0.45 * sizes, (0 - 0.45) * 3.0)
    assert mean.p_above(0.45) == pytest.approx(float((weights @ residuals <= 0).mean()), abs=0.004)


def test_many_clusters_come_near_the_t_interval() -> None:
    """With 2,000 clusters the limits are those of the normal interval to a few hundredths of a standard error."""
    rng = np.random.default_rng(5)
    values = rng.choice([-1.0, 0.0, 1.0], p=[0.1, 0.75, 0.15], size=2000)
    low, high = BoundedMean.of(values, None, (-1.0, 1.0)).limits(0.05)
    error = values.std(ddof=1) / 2000**0.5
    assert low == pytest.approx(values.mean() - 1.645 * error, abs=0.1 * error)
    assert high == pytest.approx(values.mean() + 1.645 * error, abs=0.1 * error)


def test_clusters_that_agree_with_themselves_count_once() -> None:
    """Three equal items in each of 30 prompts say no more than one."""
    one = BoundedMean.of([1.0] * 27 + [0.0] * 3, None, (0.0, 1.0))
    three = BoundedMean.of(([1.0] * 27 + [0.0] * 3) * 3, list(range(30)) * 3, (0.0, 1.0))
    assert three.limits(0.05) == pytest.approx(one.limits(0.05), abs=1e-4)


def test_the_number_that_is_named_decides() -> None:
    """With the number of prompts that is named, the same mean decides in about 80 % of samples."""
    seen = shares(34, 40)
    needed = seen.needed(0.75, alpha=0.05, power=0.8)
    assert needed is not None
    rate = (34 + 0.0) / 40.5
    least = next(hits for hits in range(needed + 1) if shares(hits, needed).p_above(0.75) <= 0.05)
    assert 0.72 <= binom.sf(least - 1, needed, rate) <= 0.92
    assert seen.needed(0.85) is None or seen.needed(0.85) > 10_000  # type: ignore[operator]


def test_smallest_margin_falls_with_the_root_of_the_number() -> None:
    """Four times as many prompts decide about half the margin; one prompt decides none."""
    few, many = smallest_margin(shares(85, 100)), smallest_margin(shares(340, 400))
    assert few is not None
    assert many is not None
    assert 1.8 < few / many < 2.3
    assert smallest_margin(shares(1, 1)) is None


def test_faulty_input() -> None:
    """Values outside the span, and no value at all, are refused in words."""
    with pytest.raises(UsageError, match="from 0.0 to 1.0"):
        BoundedMean([2.0], [1.0], (0.0, 1.0))
    with pytest.raises(UsageError, match="at least one cluster"):
        BoundedMean.of([], None, (0.0, 1.0))
    assert paired_means([1.0, 0.0], [0.0, 0.0], None).value == 0.5
