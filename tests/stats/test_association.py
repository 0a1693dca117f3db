"""Rank correlations, error and bias, correlations across models, and confusion tables."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from cvalues.errors import UsageError
from cvalues.stats.association import across_models, bias, kendall, mean_absolute_error, score_agreement, spearman
from cvalues.stats.confusion import confusion, confusion_table
from cvalues.stats.intervals import clopper_pearson, wilson
from cvalues.stats.resampling import Resampling

scores = st.lists(st.tuples(st.integers(1, 10), st.integers(1, 10)), min_size=3, max_size=40)
FAST = Resampling(draws=100)


@given(scores)
@settings(max_examples=80, deadline=None)
def test_correlations_witness(pairs: list[tuple[int, int]]) -> None:
    """Spearman and Kendall's tau-b equal scipy's with ties, and are undefined where one side does not vary."""
    one, two = zip(*pairs, strict=True)
    if len(set(one)) == 1 or len(set(two)) == 1:
        assert spearman(one, two).value is None
        assert spearman(one, two).method == "undefined: all values of one side are equal"
        return
    assert spearman(one, two, resampling=FAST).value == pytest.approx(scipy_stats.spearmanr(one, two).statistic)
    assert kendall(one, two, resampling=FAST).value == pytest.approx(scipy_stats.kendalltau(one, two).statistic)


@given(scores)
@settings(max_examples=40, deadline=None)
def test_clusters_do_not_move_the_value(pairs: list[tuple[int, int]]) -> None:
    """Grouping items into clusters changes limits only, and increasing transformations change nothing."""
    one, two = (np.array(side, dtype=float) for side in zip(*pairs, strict=True))
    assume(np.ptp(one) > 0 and np.ptp(two) > 0)
    labels = [at // 3 for at in range(len(one))]
    for function in (spearman, kendall):
        plain = function(one, two, resampling=FAST).value
        assert function(one, two, labels, resampling=FAST).value == pytest.approx(plain)
        assert function(np.exp(one), 3 * two - 7, resampling=FAST).value == pytest.approx(plain)


def test_intervals_cover() -> None:
    """The 95 % interval of Spearman's rho covers the truth in at least 92 % of 300 studies of 60 items."""
    rng = np.random.default_rng(5)
    truth = 6 / math.pi * math.asin(0.6 / 2)
    inside = 0
    for _ in range(300):
        one = rng.normal(size=60)
        two = 0.6 * one + 0.8 * rng.normal(size=60)
        found = spearman(one, two, resampling=Resampling(draws=400))
        assert found.low is not None
        assert found.high is not None
        inside += found.low <= truth <= found.high
    assert inside >= 0.92 * 300


def test_large_scores_without_ties() -> None:
    """Thousands of different scores have a Spearman interval; Kendall's tau of so many is refused in words."""
    rng = np.random.default_rng(0)
    one = rng.normal(size=3000)
    two = one + rng.normal(size=3000)
    found = spearman(one, two)
    assert found.value == pytest.approx(scipy_stats.spearmanr(one, two).statistic)
    assert found.low is not None
    assert found.high is not None
    assert 0.02 < found.high - found.low < 0.06
    with pytest.raises(UsageError, match="at most 2000 different pairs"):
        kendall(one, two)


def test_across_models() -> None:
    """Five models with both scores are needed; one order in all draws gives no limits, and names join the scores."""
    one = {name: float(at) for at, name in enumerate("abcdefg")}
    two = one | {"a": 1.0, "b": 0.0, "z": 9.0}
    found = across_models("kendall", one, two)
    assert found.value == pytest.approx(19 / 21)  # one of 21 pairs is discordant: (20 − 1)/21
    assert (found.n, found.unit) == (7, "model")
    assert found.low is not None
    assert found.low < found.value  # type: ignore[operator]
    few = across_models("spearman", dict(list(one.items())[:4]), two)
    assert few.value is None
    assert few.method == "undefined: fewer than five models"
    same = across_models("spearman", one, one)
    assert same.value == pytest.approx(1)
    assert (same.low, same.method) == (None, "no interval: every draw has this value")


def test_error_and_bias_by_hand() -> None:
    """Mean absolute error and bias of four scores are those worked by hand, with the sign second minus first."""
    people, judge = [3, 5, 8, 6], [4, 5, 6, 9]
    assert mean_absolute_error(people, judge).value == pytest.approx((1 + 0 + 2 + 3) / 4)
    assert bias(people, judge).value == pytest.approx((1 + 0 - 2 + 3) / 4)
    assert mean_absolute_error(people, judge).low == 0.0 or mean_absolute_error(people, judge).low > 0  # type: ignore[operator]
    both = score_agreement(people, judge)
    assert both.error == mean_absolute_error(people, judge)
    assert both.spearman.value == pytest.approx(scipy_stats.spearmanr(people, judge).statistic)
    assert bias([], []).value is None


def test_confusion_by_hand() -> None:
    """Counts, rates and their intervals of a table of ten are those of its cells."""
    truth = ["unsafe"] * 4 + ["safe"] * 6
    given_ = ["unsafe", "unsafe", "unsafe", "safe", "safe", "safe", "safe", "safe", "unsafe", "safe"]
    found = confusion(truth, given_, "unsafe")
    counts = found.counts
    assert (counts.true_positive, counts.false_negative, counts.true_negative, counts.false_positive) == (3, 1, 5, 1)
    assert found.sensitivity == wilson(3, 4)
    assert found.specificity == wilson(5, 6)
    assert found.precision == wilson(3, 4)
    assert found.negative_precision == wilson(5, 6)
    assert found.accuracy == wilson(8, 10)
    assert confusion(truth, given_, "unsafe", exact=True).sensitivity == clopper_pearson(3, 4)
    clustered = confusion(truth, given_, "unsafe", clusters=[1, 1, 2, 2, 3, 3, 4, 4, 5, 5])
    assert clustered.sensitivity.value == 0.75
    assert clustered.sensitivity.clusters == 2
    assert confusion(["safe"], ["safe"], "unsafe").sensitivity.value is None


def test_confusion_table() -> None:
    """A table of several labels counts true labels in rows and given ones in columns, in the order asked for."""
    table = confusion_table(["a", "b", "b"], ["a", "a", "c"], labels=["c", "b", "a"])
    assert table.counts == ((0, 0, 0), (1, 0, 1), (0, 0, 1))
    assert (table.agreed, table.total) == (1, 3)
    assert confusion_table(["b"], ["a"]).labels == ("a", "b")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: spearman([1, 2], [1]), "scores of the same items"),
        (lambda: kendall([1, 2], [1, 2], resampling=Resampling(over="items-and-raters")), "expected items"),
        (lambda: confusion(["a"], [], "a"), "labels of the same items"),
        (lambda: confusion(["a"], ["a"], "a", clusters=[1], exact=True), "expected no clusters"),
        (lambda: confusion_table(["a"], ["b"], labels=["a"]), "'b' is missing"),
    ],
)
def test_wrong_input_of_association(call: object, message: str) -> None:
    """Input that makes no sense is refused with a message that says what was expected."""
    with pytest.raises(UsageError, match=message):
        call()  # type: ignore[operator]
