"""Majority, means with and without raters, Dawid and Skene, the additive model, annotator reports."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvalues.errors import UsageError
from cvalues.stats.aggregation import majority, majority_rate, mean_score
from cvalues.stats.annotators import drift, gaps_to_others, leave_one_out_agreement, straight_lining
from cvalues.stats.dawid_skene import DawidSkeneSettings, dawid_skene
from cvalues.stats.intervals import wilson
from cvalues.stats.severity import additive_model

NAN = float("nan")


def votes(seed: int, items: int, raters: int, *, rate: float = 0.2, each: int = 3) -> tuple[np.ndarray, ...]:
    """(ratings with missing ones, truth, sensitivities, specificities) of raters who err independently."""
    rng = np.random.default_rng(seed)
    truth = rng.random(items) < rate
    sensitivity, specificity = rng.uniform(0.7, 0.95, raters), rng.uniform(0.85, 0.98, raters)
    ratings = np.full((items, raters), NAN)
    for item in range(items):
        chosen = rng.choice(raters, each, replace=False)
        chance = np.where(truth[item], sensitivity[chosen], 1 - specificity[chosen])
        ratings[item, chosen] = rng.random(each) < chance
    return ratings, truth.astype(float), sensitivity, specificity


def test_majority() -> None:
    """More than half decides; ties, *unsure* and missing votes stay open, and the order of values never decides."""
    ratings = [[0, 0, 1, NAN], [0, 1, NAN, NAN], [1, 1, 0, 0], [2, 2, 0, NAN], [0, 1, 2, NAN], [NAN] * 4]
    found = majority(ratings, quorum=3, undecided=[2])
    assert [one.status for one in found] == ["decided", "short", "tie", "tie", "tie", "short"]
    assert [one.value for one in found] == [0, None, None, None, None, None]
    assert (found[0].votes, found[0].winning) == (3, 2)
    assert majority([[1, 1, NAN]], quorum=2)[0].value == 1


@given(st.lists(st.lists(st.sampled_from([0.0, 1.0, NAN]), min_size=3, max_size=3), max_size=10))
def test_majority_ignores_the_order_of_raters(rows: list[list[float]]) -> None:
    """Decisions do not depend on which column a vote stands in, and mirror when the labels are swapped."""
    ratings = np.array(rows).reshape(-1, 3)
    found = majority(ratings)
    assert majority(ratings[:, ::-1]) == found
    for one, other in zip(found, majority(1 - ratings), strict=True):
        assert one.status == other.status
        assert other.value == (None if one.value is None else 1 - one.value)


def test_majority_rate() -> None:
    """The rate is of decided items, with their count beside it and bounds in which every tie falls one way."""
    found = majority_rate(majority([[1, 1, 1], [0, 0, 1], [0, 1, NAN], [0, 0, 0], [2, 1, 0]]), 1)
    assert (found.decided, found.ties, found.short) == (3, 1, 1)
    assert found.rate.value == pytest.approx(1 / 3)
    assert (found.lowest, found.highest) == (1 / 4, 2 / 4)
    empty = majority_rate([], 1)
    assert (empty.rate.value, empty.lowest) == (None, None)


def test_mean_with_and_without_each_rater() -> None:
    """Items weigh the same; leaving the severe rater out raises the mean by what is worked by hand."""
    ratings = [[8, 4], [6, 2], [7, NAN], [NAN, NAN]]
    found = mean_score(ratings)
    assert found.mean.value == pytest.approx((6 + 4 + 7) / 3)
    assert found.mean.n == 3
    first, second = found.without
    assert second.mean.value == pytest.approx(7)
    assert second.shift == pytest.approx(7 - 17 / 3)
    assert (second.rater, second.ratings) == (1, 2)
    assert first.mean.value == pytest.approx(3)
    assert mean_score([[5], [6]]).without[0].shift is None


def em_by_hand(ratings: np.ndarray, steps: int, how: DawidSkeneSettings) -> tuple[list[float], float]:
    """Dawid and Skene with the same priors in plain loops over labels 0 and 1."""
    items, raters = ratings.shape
    chance = [(np.nansum(row) + 0.5) / (np.sum(~np.isnan(row)) + 1) for row in ratings]
    rate = 0.5
    for _ in range(steps):
        posterior = [[1 - p, p] for p in chance]
        rate = (sum(p[1] for p in posterior) + how.rate) / (items + 2 * how.rate)
        seen = [[[0.0, 0.0], [0.0, 0.0]] for _ in range(raters)]
        for item in range(items):
            for rater in range(raters):
                if not math.isnan(ratings[item, rater]):
                    for c in (0, 1):
                        seen[rater][c][int(ratings[item, rater])] += posterior[item][c]
        pooled = []
        for c in (0, 1):
            row = [
                sum(s[c][label] for s in seen) + how.top * (how.right if label == c else 1 - how.right)
                for label in (0, 1)
            ]
            pooled.append([cell / sum(row) for cell in row])
        for item in range(items):
            like = [1 - rate, rate]
            for rater in range(raters):
                if not math.isnan(ratings[item, rater]):
                    for c in (0, 1):
                        row = [seen[rater][c][label] + how.strength * pooled[c][label] for label in (0, 1)]
                        like[c] *= row[int(ratings[item, rater])] / sum(row)
            chance[item] = like[1] / sum(like)
    return chance, rate


def test_dawid_skene_second_implementation() -> None:
    """After the same number of steps posteriors and rate equal those of plain loops."""
    ratings = votes(3, 40, 5)[0]
    for steps in (1, 7):
        found = dawid_skene(ratings, settings=DawidSkeneSettings(iterations=steps))
        chance, rate = em_by_hand(ratings, steps, DawidSkeneSettings())
        np.testing.assert_allclose(found.posterior[:, 1], chance, atol=1e-10)
        assert found.rates[1].value == pytest.approx(rate, abs=1e-10)
        assert not found.converged


def test_dawid_skene_finds_what_was_planted() -> None:
    """Rates and error rates of twelve raters come out near the planted ones, most intervals hold them."""
    inside = []
    errors = []
    for seed in range(8):
        ratings, truth, sensitivity, specificity = votes(seed, 500, 10)
        found = dawid_skene(ratings)
        assert found.converged
        errors.append((found.rates[1].value or 0) - truth.mean())
        assert np.mean((found.posterior[:, 1] > 0.5) == truth) > 0.93
        for rater, (safe, unsafe) in enumerate(found.recall):
            inside.append(unsafe.low <= sensitivity[rater] <= unsafe.high)  # type: ignore[operator]
            inside.append(safe.low <= specificity[rater] <= safe.high)  # type: ignore[operator]
    assert abs(float(np.mean(errors))) < 0.02
    assert np.mean(inside) > 0.9


def test_dawid_skene_is_blind_to_names() -> None:
    """Shuffled raters and items and swapped labels give the same model in another order."""
    ratings = votes(5, 80, 6)[0]
    one, two = dawid_skene(ratings), dawid_skene(1 - ratings[::-1, ::-1])
    np.testing.assert_allclose(one.posterior[:, 1], two.posterior[::-1, 0], atol=1e-6)
    assert one.rates[1].value == pytest.approx(two.rates[0].value, abs=1e-6)
    assert one.recall[0][1].value == pytest.approx(two.recall[5][0].value, abs=1e-6)


def test_gold_is_kept() -> None:
    """Gold labels are not overruled, teach the error rates, and are no part of the rate."""
    ratings = np.array([[1.0, 1.0, 1.0]] * 10 + [[0.0, 0.0, 0.0]] * 60)
    gold = np.array([0.0] * 40 + [NAN] * 30)
    found = dawid_skene(ratings, gold=gold)
    np.testing.assert_array_equal(found.posterior[:40, 0], 1)
    assert found.rates[1].n == 30
    assert found.rates[1].value is not None
    assert found.rates[1].value < 0.1
    plain = dawid_skene(ratings)
    assert found.recall[0][0].value < plain.recall[0][0].value  # type: ignore[operator]


def test_dawid_skene_with_three_labels_and_empty_input() -> None:
    """Three labels work, an item without ratings has the rates, and no item gives finite shares of nothing."""
    rng = np.random.default_rng(2)
    truth = rng.integers(0, 3, 200)
    ratings = np.where(rng.random((200, 4)) < 0.8, truth[:, None], rng.integers(0, 3, (200, 4))).astype(float)
    ratings[0] = NAN
    found = dawid_skene(ratings)
    assert found.values == (0, 1, 2)
    np.testing.assert_allclose(found.posterior[0], [rate.value for rate in found.rates], atol=1e-6)
    np.testing.assert_allclose(found.confusion.sum(axis=2), 1)
    for rate in found.rates:
        assert 0 < rate.low < rate.value < rate.high < 1  # type: ignore[operator]
    empty = dawid_skene(np.zeros((0, 2)), values=[0, 1])
    assert empty.rates[0].value is None
    everything_gold = dawid_skene([[0.0], [1.0]], gold=[0, 1])
    assert everything_gold.rates[0].method == "undefined: every item is gold"


def dense_blup(ratings: np.ndarray, variances: tuple[float, float, float]) -> tuple[float, np.ndarray, np.ndarray]:
    """Mean, items and raters by the inverse of the whole covariance matrix."""
    rows, columns = np.nonzero(~np.isnan(ratings))
    values = ratings[rows, columns]
    z, w = np.eye(len(ratings))[rows], np.eye(ratings.shape[1])[columns]
    item, rater, error = variances
    inverse = np.linalg.inv(item * z @ z.T + rater * w @ w.T + error * np.eye(len(values)))
    ones = np.ones(len(values))
    mean = float(ones @ inverse @ values / (ones @ inverse @ ones))
    rest = inverse @ (values - mean)
    return mean, mean + item * z.T @ rest, rater * w.T @ rest


@given(st.integers(0, 10**6))
@settings(max_examples=25, deadline=None)
def test_additive_model_second_implementation(seed: int) -> None:
    """Mean, item means and severities equal best linear prediction with the full covariance matrix."""
    rng = np.random.default_rng(seed)
    ratings = 6 + 2 * rng.normal(size=(12, 1)) + rng.normal(size=(1, 5)) + rng.normal(size=(12, 5))
    ratings[rng.random(ratings.shape) < 0.4] = NAN
    found = additive_model(ratings)
    if found.item_variance <= 0 or found.rater_variance <= 0 or np.isnan(ratings).all(axis=0).any():
        return
    mean, items, raters = dense_blup(ratings, (found.item_variance, found.rater_variance, found.error_variance))
    assert found.mean.value == pytest.approx(mean, abs=1e-8)
    np.testing.assert_allclose([one.value for one in found.severity], raters, atol=1e-8)
    for ours, theirs, row in zip(found.items, items, ratings, strict=True):
        assert ours == (None if np.isnan(row).all() else pytest.approx(theirs, abs=1e-8))


def test_additive_model_frees_items_of_severity() -> None:
    """An item that only the severe rater saw is lifted towards what the others would have said."""
    rng = np.random.default_rng(7)
    quality = 6 + rng.normal(0, 1.5, 200)
    severity = np.array([-2.0, 0.5, 0.7, 0.8])
    ratings = quality[:, None] + severity + rng.normal(0, 0.5, (200, 4))
    ratings[:50, 1:] = NAN
    found = additive_model(ratings)
    assert np.mean(np.nanmean(ratings, axis=1)[:50] - quality[:50]) < -1.8
    assert abs(np.mean([found.items[at] - quality[at] for at in range(50)])) < 0.8  # type: ignore[operator]
    assert found.severity[0].high < -0.5  # type: ignore[operator]
    assert found.rater_variance > 0.5


def test_additive_model_without_spread() -> None:
    """Equal scores, one rater and no score at all have a sensible model."""
    same = additive_model(np.full((4, 3), 5.0))
    assert same.mean.value == pytest.approx(5)
    assert same.items == pytest.approx((5,) * 4)
    alone = additive_model([[3.0], [5.0]])
    assert alone.mean.value == pytest.approx(4)
    assert alone.severity[0].value == pytest.approx(0, abs=1e-6)
    nothing = additive_model(np.full((2, 2), NAN))
    assert nothing.mean.value is None
    assert nothing.items == (None, None)


def test_the_mean_knows_that_raters_are_few() -> None:
    """The interval of the mean holds the true mean in at least 90 % of studies with six raters, where items alone would not."""
    rng = np.random.default_rng(11)
    inside = items_only = 0
    for _ in range(200):
        ratings = 5 + rng.normal(0, 1.5, (60, 1)) + rng.normal(0, 0.8, (1, 6)) + rng.normal(0, 1, (60, 6))
        found = additive_model(ratings).mean
        inside += found.low <= 5 <= found.high  # type: ignore[operator]
        plain = mean_score(ratings).mean
        items_only += plain.low <= 5 <= plain.high  # type: ignore[operator]
    assert inside >= 180
    assert items_only < 170


def test_leave_one_out_agreement() -> None:
    """A rater is held against the majority of the others, where there is one."""
    ratings = [[1, 1, 0], [0, 0, 0], [1, 0, 1], [1, NAN, 1]]
    found = leave_one_out_agreement(ratings)
    # rater 0: items 0 (others 1, 0: tie), 1 (0: yes), 2 (0, 1: tie), 3 (one other: too few) → 1 of 1
    assert found[0] == wilson(1, 1)
    # rater 2: items 0 (1, 1: no), 1 (yes), 2 (tie), 3 (one other) → 1 of 2
    assert found[2] == wilson(1, 2)
    assert leave_one_out_agreement([[NAN, 1.0]])[0].value is None


def test_runs_by_enumeration() -> None:
    """Mean and variance of runs are those over all orders of the answers."""
    import itertools

    answers = "aaabbc"
    counts = [1 + sum(a != b for a, b in itertools.pairwise(order)) for order in itertools.permutations(answers)]
    found = straight_lining(answers)
    assert found.expected == pytest.approx(np.mean(counts))
    z = (found.runs + 0.5 - np.mean(counts)) / np.std(counts)
    assert found.p == pytest.approx(0.5 * (1 + math.erf(z / math.sqrt(2))))
    assert (found.runs, found.longest) == (3, 3)


def test_straight_lining_signs() -> None:
    """Long runs have a small p, alternation a large one, and one answer for all no p at all."""
    assert straight_lining([1] * 30 + [0] * 30).p < 1e-6  # type: ignore[operator]
    assert straight_lining([0, 1] * 20).p > 0.99  # type: ignore[operator]
    assert straight_lining([1] * 20).p is None
    assert straight_lining([]).answers == 0


def test_drift() -> None:
    """A rater who grows two points milder per 100 items has a slope whose interval holds 2, and blocks that rise."""
    rng = np.random.default_rng(1)
    gaps = np.arange(200) * 0.02 + rng.normal(0, 1, 200)
    found = drift(gaps)
    assert found.slope.low < 2 < found.slope.high  # type: ignore[operator]
    means = [block.value for block in found.blocks]
    assert means == sorted(means)  # type: ignore[type-var]
    assert drift([1.0]).slope.value is None
    assert gaps_to_others([[5, 3, 4], [2, NAN, NAN], [6, NAN, 4]], 0) == pytest.approx((1.5, 2))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: majority([[1]], quorum=0), "at least 1 vote"),
        (lambda: majority_rate(majority([[1, 1, 1]]), 1, [1, 2]), "one label for each"),
        (lambda: mean_score([[1]], [1, 2]), "one label for each"),
        (lambda: dawid_skene([[0.0, 1.0]], gold=[1, 2]), "one label or NaN"),
        (lambda: dawid_skene([[0.0, 2.0]], values=[0, 1]), "every label that occurs"),
        (lambda: dawid_skene([[0.0]]), "at least two different labels"),
        (lambda: DawidSkeneSettings(strength=0), "above 0"),
        (lambda: drift([1.0], blocks=0), "at least 1"),
        (lambda: gaps_to_others([[1.0, 2.0]], 2), "from 0 to 1"),
    ],
)
def test_wrong_input_of_aggregation(call: object, message: str) -> None:
    """Input that makes no sense is refused with a message that says what was expected."""
    with pytest.raises(UsageError, match=message):
        call()  # type: ignore[operator]
