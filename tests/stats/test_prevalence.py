"""Corrected rates: hand-worked values, boundaries, invariants, and a useless or perfect judge."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvalues.errors import UsageError
from cvalues.schema import Estimate
from cvalues.stats.intervals import clustered_mean, wilson
from cvalues.stats.prevalence import CardCounts, HumanSample, prediction_powered, rogan_gladen

CARD = CardCounts(true_positive=90, false_negative=10, true_negative=190, false_positive=10)


def limits(estimate: Estimate) -> tuple[float, float]:
    """The limits of an estimate that has them."""
    assert estimate.low is not None
    assert estimate.high is not None
    return estimate.low, estimate.high


def test_rogan_gladen_by_hand() -> None:
    """A judge's rate of 20 % with sensitivity .9 and specificity .95 is a rate of (.2 + .95 − 1)/.85 = 17.6 %."""
    found = rogan_gladen([1] * 20 + [0] * 80, CARD)
    assert found.value == pytest.approx(0.15 / 0.85)
    low, high = limits(found)
    assert 0.05 < low < found.value < high < 0.32  # type: ignore[operator]


def test_rogan_gladen_limits_solve_their_equation() -> None:
    """At both limits the squared distance is t² times the variance of the docstring, without clusters of more than one."""
    from scipy.stats import t as student

    found = rogan_gladen([1] * 60 + [0] * 140, CARD)
    se, false = 90.5 / 101, 10.5 / 201
    n = 200 * 199 / 200
    rate = (0.3 - false) / (se - false)
    variances = se * (1 - se) / 101, false * (1 - false) / 201

    def parts(pi: float) -> tuple[float, float]:
        q = pi * se + (1 - pi) * false
        return q * (1 - q) / n, pi**2 * variances[0] + (1 - pi) ** 2 * variances[1]

    judged, card = parts(rate)
    # Of clusters of one reply no design effect is estimated: the judge's part has as good as no end of degrees of freedom.
    t = student.ppf(0.975, 1e6 * (judged + card) ** 2 / judged**2)
    for limit in limits(found):
        q = limit * se + (1 - limit) * false
        assert (0.3 - q) ** 2 == pytest.approx(t**2 * sum(parts(limit)), rel=1e-6)


def test_a_sure_judge_leaves_the_judged_share() -> None:
    """With a huge faultless card the value is the judge's share and the interval nearly that of Wilson with t."""
    card = CardCounts(true_positive=10**7, false_negative=0, true_negative=10**7, false_positive=0)
    found = rogan_gladen([1] * 30 + [0] * 270, card)
    assert found.value == pytest.approx(0.1)
    assert limits(found) == pytest.approx(limits(wilson(30, 300)), abs=2e-3)


def test_rates_at_the_edges() -> None:
    """A judge who calls less than its false alarms gives 0 with an upper limit above it, one who calls all gives 1."""
    none = rogan_gladen([0] * 200, CARD)
    assert none.value == 0
    assert none.low == 0
    assert 0 < limits(none)[1] < 0.05
    every = rogan_gladen([1] * 200, CARD)
    assert every.value == 1
    assert every.high == 1
    assert 0.9 < limits(every)[0] < 1
    assert rogan_gladen([], CARD).value is None


@pytest.mark.parametrize(
    ("counts", "why"),
    [
        ((0, 0, 10, 1), "needs positive and negative"),
        ((5, 5, 5, 5), "no better than chance"),
        ((0, 4, 9, 1), "no better"),
    ],
)
def test_cards_that_cannot_correct(counts: tuple[int, ...], why: str) -> None:
    """A card without both kinds of replies, or of a judge that guesses, gives no value and says why."""
    names = ("true_positive", "false_negative", "true_negative", "false_positive")
    found = rogan_gladen([1, 0, 0], CardCounts(**dict(zip(names, counts, strict=True))))
    assert found.value is None
    assert found.method.startswith("undefined: ")
    assert why in found.method


def test_a_small_card_bounds_little() -> None:
    """With three positive and three negative replies on the card nearly every rate is possible; a larger card narrows it."""
    judged = [1] * 30 + [0] * 70
    widths = []
    for size in (3, 30, 300):
        card = CardCounts(true_positive=size, false_negative=0, true_negative=size, false_positive=0)
        low, high = limits(rogan_gladen(judged, card))
        widths.append(high - low)
    assert widths == sorted(widths, reverse=True)
    assert widths[0] > 0.35


@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 5)), min_size=2, max_size=40),
    st.tuples(*[st.integers(1, 30)] * 4),
)
@settings(max_examples=60, deadline=None)
def test_rogan_gladen_invariants(rows: list[tuple[int, int]], counts: tuple[int, int, int, int]) -> None:
    """Limits lie in [0, 1] around the value; order and names of clusters do not matter; swapping labels mirrors them."""
    values, labels = [value for value, _ in rows], [label for _, label in rows]
    names = ("true_positive", "false_negative", "true_negative", "false_positive")
    found = rogan_gladen(values, CardCounts(**dict(zip(names, counts, strict=True))), labels)
    if found.value is None:
        return
    low, high = limits(found)
    assert 0 <= low <= found.value <= high <= 1
    tp, fn, tn, fp = counts
    swapped = CardCounts(true_positive=tn, false_negative=fp, true_negative=tp, false_positive=fn)
    mirrored = rogan_gladen([1 - value for value in values[::-1]], swapped, [f"p{label}" for label in labels[::-1]])
    assert mirrored.value == pytest.approx(1 - found.value)
    assert limits(mirrored) == pytest.approx((1 - high, 1 - low), abs=1e-7)


def sample_of(seed: int, n: int, rest: int, *, noise: float) -> tuple[HumanSample, np.ndarray, float]:
    """(human sample, judge's other values, mean of all) of scores with a judge of this noise."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(6, 1.5, n + rest)
    judge = truth + 1 + rng.normal(0, noise, n + rest)
    return HumanSample(human=tuple(truth[:n]), judge=tuple(judge[:n])), judge[n:], 6.0


def test_prediction_powered_by_hand() -> None:
    """Value and limits of five replies and four judged ones are those worked by formula."""
    human, judge, others = np.array([1.0, 2, 3, 4, 6]), np.array([2.0, 2, 3, 5, 6]), np.array([1.0, 4, 4, 5])
    found = prediction_powered(HumanSample(human=tuple(human), judge=tuple(judge)), others)
    a = np.append((human - human.mean()) / 5, np.zeros(4))
    b = np.append((judge - judge.mean()) / 5, -(others - others.mean()) / 4)
    tuning = float(a @ b / (b @ b))
    value = human.mean() - tuning * (judge.mean() - others.mean())
    assert found.value == pytest.approx(value)
    half = 3.182446 * np.sqrt(5 / 3 * float(((a - tuning * b) ** 2).sum()))  # t(3)
    assert limits(found) == pytest.approx((value - half, value + half), rel=1e-5)


def test_a_good_judge_narrows_and_a_useless_one_costs_little() -> None:
    """Beside 50 human scores, 2,000 of a good judge make the interval at least a third narrower, of a useless one hardly wider."""
    for noise, least, most in ((0.3, 0.15, 0.45), (50.0, 0.9, 1.1)):
        sample, others, _ = sample_of(1, 50, 2000, noise=noise)
        low, high = limits(prediction_powered(sample, others))
        plain = limits(clustered_mean(sample.human))
        assert least < (high - low) / (plain[1] - plain[0]) < most


def test_prediction_powered_share_edges() -> None:
    """Shares stay in [0, 1]: no unsafe reply among the human ones still leaves room above, and few clusters say nothing."""
    found = prediction_powered(HumanSample(human=(0,) * 40, judge=(0,) * 38 + (1, 1)), [0] * 900 + [1] * 50, share=True)
    assert found.value == 0
    low, high = limits(found)
    assert low == 0
    assert 0.02 < high < 0.2
    two = HumanSample(human=(1, 0, 0, 1), judge=(1, 0, 0, 1), clusters=("a", "a", "b", "b"))
    assert limits(prediction_powered(two, [0, 1], share=True)) == (0, 1)
    assert prediction_powered(two, [0, 1]).low is None
    assert prediction_powered(HumanSample(human=(), judge=()), [1]).value is None
    alone = prediction_powered(HumanSample(human=(1, 2, 3, 4), judge=(1, 2, 3, 4)), [])
    assert alone.value == pytest.approx(2.5)


def test_shared_clusters_are_recognised() -> None:
    """When the judged replies come from the prompts that people rated, the interval is wider than if they were others."""
    rng = np.random.default_rng(3)
    prompts = rng.normal(0, 1, 40)
    human = prompts + rng.normal(0, 0.2, 40)
    sample = HumanSample(human=tuple(human), judge=tuple(human + rng.normal(0, 0.1, 40)), clusters=tuple(range(40)))
    others = np.repeat(prompts, 3) + rng.normal(0, 0.2, 120)
    same = limits(prediction_powered(sample, others, np.repeat(np.arange(40), 3)))
    apart = limits(prediction_powered(sample, others, np.repeat(np.arange(100, 140), 3)))
    assert same[1] - same[0] > apart[1] - apart[0]


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=4, max_size=30), st.integers(1, 40))
@settings(max_examples=50, deadline=None)
def test_prediction_powered_invariants(pairs: list[tuple[int, int]], rest: int) -> None:
    """Limits hold the value and the order does not matter; adding a constant to the judge changes nothing."""
    human, judge = zip(*pairs, strict=True)
    others = [at % 2 for at in range(rest)]
    found = prediction_powered(HumanSample(human=human, judge=judge), others, share=True)
    low, high = limits(found)
    assert 0 <= low <= found.value <= high <= 1  # type: ignore[operator]
    shifted = HumanSample(human=human[::-1], judge=tuple(value + 5 for value in judge[::-1]))
    again = prediction_powered(shifted, [value + 5 for value in others[::-1]], share=True)
    assert again.value == pytest.approx(found.value, abs=1e-9)
    assert limits(again) == pytest.approx((low, high), abs=1e-9)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: rogan_gladen([0.5], CARD), "zeros and ones"),
        (lambda: CardCounts(true_positive=-1, false_negative=0, true_negative=0, false_positive=0), "at least 0"),
        (lambda: HumanSample(human=(1,), judge=()), "one human value"),
        (lambda: prediction_powered(HumanSample(human=(2,), judge=(1,)), [1], share=True), "zeros and ones"),
        (lambda: prediction_powered(HumanSample(human=(2,), judge=(1,)), [1], [1, 2]), "one label for each"),
        (lambda: rogan_gladen([1], CARD, confidence=2), "between 0 and 1"),
    ],
)
def test_wrong_input_of_corrections(call: object, message: str) -> None:
    """Input that makes no sense is refused with a message that says what was expected."""
    with pytest.raises(UsageError, match=message):
        call()  # type: ignore[operator]
