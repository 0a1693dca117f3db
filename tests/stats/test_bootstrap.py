"""The bootstrap over clusters."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import bootstrap, norm
from scipy.stats import t as student

from cvalues.errors import UsageError
from cvalues.schema import NO_DATA
from cvalues.stats import bootstrap_mean, clustered_mean


def test_all_resamples_by_hand() -> None:
    """Of two clusters with means 0 and 1 a quarter of the resamples is 0 and a quarter 1, so the limits are 0 and 1."""
    # chances: both first ¼, both second ¼, mixed ½; the 2.5 % and 97.5 % points are 0 and 1
    result = bootstrap_mean([0, 0, 1, 1], list("aabb"), 7)
    assert (result.value, result.low, result.high) == (0.5, 0, 1)


def test_witness_scipy() -> None:
    """On skewed values the limits are scipy's BCa at the expanded confidence, within the noise of the draws."""
    values = np.random.default_rng(5).exponential(size=60)
    expanded = 2 * norm.cdf(student.ppf(0.975, 59) * np.sqrt(60 / 59)) - 1
    ours = bootstrap_mean(values, None, "witness", draws=20_000)
    rng = np.random.default_rng(1)
    theirs = bootstrap(
        (values,), np.mean, n_resamples=20_000, rng=rng, method="BCa", confidence_level=expanded
    ).confidence_interval
    width = theirs.high - theirs.low
    assert ours.low == pytest.approx(theirs.low, abs=0.03 * width)
    assert ours.high == pytest.approx(theirs.high, abs=0.03 * width)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 5)), min_size=2, max_size=30))
@settings(max_examples=40, deadline=None)
def test_labels_and_order_do_not_matter(rows: list[tuple[int, int]]) -> None:
    """One seed gives one interval whatever the labels and the order of the observations; another seed may not."""
    values, labels = [value for value, _ in rows], [label for _, label in rows]
    first = bootstrap_mean(values, labels, 3, draws=200)
    assert bootstrap_mean(values[::-1], [f"p{9 - label}" for label in labels[::-1]], 3, draws=200) == first


@pytest.mark.parametrize("seed", [1, 2])
def test_coverage(seed: int) -> None:
    """Over 40 clusters of skewed points the interval covers the mean in at least 93 % of 500 studies."""
    rng = np.random.default_rng(seed)
    covered = 0
    for study in range(500):
        values = (rng.gamma(4, 0.25, size=40)[:, None] + rng.normal(scale=0.5, size=(40, 2))).ravel()
        result = bootstrap_mean(values, np.repeat(np.arange(40), 2), seed, study, draws=400)
        assert result.low is not None
        assert result.high is not None
        covered += result.low <= 1 <= result.high
    assert covered / 500 >= 0.93


def test_close_to_the_formula_where_both_hold() -> None:
    """On many well-behaved clusters the bootstrap and the formula agree within 5 % of the width."""
    values = np.random.default_rng(3).normal(size=400)
    formula, drawn = clustered_mean(values), bootstrap_mean(values, None, 1)
    assert formula.low is not None
    assert formula.high is not None
    assert drawn.low == pytest.approx(formula.low, abs=0.05 * (formula.high - formula.low))
    assert drawn.high == pytest.approx(formula.high, abs=0.05 * (formula.high - formula.low))


def test_edges() -> None:
    """Nothing is NO_DATA, one cluster has no limits, equal clusters have no width, few draws are refused."""
    assert bootstrap_mean([]) == NO_DATA
    assert bootstrap_mean([1, 2], ["a", "a"]).low is None
    same = bootstrap_mean([2, 2, 2])
    assert (same.low, same.value, same.high) == (2, 2, 2)
    with pytest.raises(UsageError, match="at least 100"):
        bootstrap_mean([1, 2], draws=10)
