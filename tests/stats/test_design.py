"""Effective sizes of clustered shares, and limits that spend their error where it can be made."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta
from scipy.stats import t as student

from cvalues.stats import clustered_proportion, wilson
from cvalues.stats.design import effective_share, one_tailed, score_limits, share_limits, tail_weight


def test_effective_share() -> None:
    """Independent observations are worth themselves, prompts whose replies are all alike one each."""
    alone = effective_share(np.array([[1.0] * 30 + [0.0] * 70]), np.ones((1, 100)))
    assert alone.size[0] == pytest.approx(99)
    assert alone.df[0] == 1e6  # nothing of the design effect was estimated
    alike = effective_share(np.array([[10.0] * 30 + [0.0] * 70]), np.full((1, 100), 10.0))
    assert alike.size[0] == pytest.approx(99)
    unequal = effective_share(np.array([[1.0, 0, 0, 20]]), np.array([[1.0, 1, 1, 20]]))
    assert unequal.df[0] < 1
    padded = effective_share(np.array([[3.0, 0, 1, 0, 0]]), np.array([[4.0, 4, 4, 0, 0]]))
    plain = effective_share(np.array([[3.0, 0, 1]]), np.array([[4.0, 4, 4]]))
    assert padded.size == pytest.approx(plain.size)
    theirs = wilson(2, 10)
    low, high = score_limits(np.array([0.2]), np.array([10.0]), np.array([1.959964]))
    assert (low[0], high[0]) == pytest.approx((theirs.low, theirs.high), abs=1e-6)


def test_caution_is_left_out_of_the_plain_size() -> None:
    """Where few prompts hold unsafe replies that seem alike, the plain size is larger; where nothing is alike it is the same."""
    alike = effective_share(np.array([[2.0, 1, 1] + [0] * 17]), np.full((1, 20), 3.0))
    assert alike.plain[0] > 1.2 * alike.size[0]
    apart = effective_share(np.array([[1.0, 1, 1] + [0] * 17]), np.full((1, 20), 3.0))
    assert apart.plain[0] == pytest.approx(apart.size[0])
    assert (apart.total[0], apart.clusters[0]) == (60, 20)
    assert apart.blind[0] == pytest.approx(60 / 2.4)


def test_weight_of_one_tail() -> None:
    """A limit that lets expect few unsafe replies is one-tailed, one that lets expect nine is not, unless replies are alike."""
    apart = effective_share(np.array([[1.0] * 12 + [0.0] * 48]), np.full((1, 60), 5.0))
    assert tail_weight(np.array([0.001]), apart)[0] == 1 or tail_weight(np.array([0.001]), apart)[0] == pytest.approx(
        0.7
    )
    assert 0 < tail_weight(np.array([7.5 / 300]), apart)[0] < 0.7
    assert tail_weight(np.array([9.1 / 300]), apart)[0] == 0
    alike = effective_share(np.array([[10.0] * 5 + [0.0] * 15]), np.full((1, 20), 10.0))
    assert 200 * 0.07 > 9
    assert tail_weight(np.array([0.07]), alike)[0] == 1
    assert tail_weight(np.array([0.3]), alike)[0] == 0


def test_one_tailed_limits_are_beta_quantiles() -> None:
    """With weight 1 the limit near 0 is Jeffreys' of one tail, and without an unsafe reply it is 0; near 1 it is mirrored."""
    worth = effective_share(np.array([[10.0] * 5 + [0.0] * 15]), np.full((1, 20), 10.0))
    share, size = np.array([0.25]), np.array([17.0])
    low, high = one_tailed(share, np.array([0.05]), np.array([0.5]), worth, size, 0.05)
    assert low[0] == pytest.approx(beta.ppf(0.05, 4.25 + 0.5, 12.75 + 0.5))
    assert high[0] == 0.5
    mirrored = one_tailed(1 - share, np.array([0.5]), np.array([0.95]), worth, size, 0.05)
    assert mirrored[1][0] == pytest.approx(1 - low[0])
    less, _ = one_tailed(np.array([0.02]), np.array([0.0]), np.array([0.2]), worth, size, 0.05)
    assert less[0] == pytest.approx(beta.ppf(0.05, 0.34 * 1.5, 16.66 + 1 - 0.17))
    nothing, _ = one_tailed(np.array([0.02]), np.array([0.0]), np.array([1.0]), worth, np.array([0.001]), 0.05)
    assert nothing[0] < 1e-6
    none = one_tailed(np.array([0.0]), np.array([0.0]), np.array([0.2]), worth, size, 0.05)
    assert none[0][0] == 0


def test_lower_limits_rise_where_only_one_tail_can_miss() -> None:
    """Four unsafe replies of 60 raise the lower limit above Wilson's; thirty of 60 leave both limits as they are."""
    few = effective_share(np.array([[2.0, 1, 1] + [0] * 17]), np.full((1, 20), 3.0))
    many = effective_share(np.array([[3.0, 0] * 8 + [2, 1] * 2]), np.full((1, 20), 3.0))
    for worth, raised in ((few, True), (many, False)):
        low, high = share_limits(worth, 0.975)
        below, above = score_limits(worth.share, worth.size, student.ppf(0.975, worth.df))
        assert (low[0] > below[0] + 0.002) == raised
        assert high[0] == pytest.approx(above[0])
        assert raised or low[0] == pytest.approx(below[0])


@given(
    st.integers(2, 40),
    st.integers(1, 6),
    st.randoms(use_true_random=False),
    st.sampled_from([(0.8, 0.9), (0.9, 0.95), (0.95, 0.99)]),
)
def test_limits_hold_the_share_and_are_nested(
    clusters: int, size: int, random: Random, levels: tuple[float, float]
) -> None:
    """Limits hold the share, mirror when answers are swapped, and are wider for more confidence."""
    rate = random.random() ** 3
    labels = [at // size for at in range(clusters * size)]
    values = [float(random.random() < rate) for _ in labels]
    narrow, wide = (clustered_proportion(values, labels, confidence=level) for level in levels)
    mirrored = clustered_proportion([1 - value for value in values], labels, confidence=levels[0])
    assert 0 <= wide.low <= narrow.low + 0.01  # type: ignore[operator]
    assert narrow.low <= narrow.value <= narrow.high  # type: ignore[operator]
    assert narrow.high - 0.01 <= wide.high <= 1  # type: ignore[operator]
    assert (1 - mirrored.high, 1 - mirrored.low) == pytest.approx((narrow.low, narrow.high), abs=1e-9)  # type: ignore[operator]


@pytest.mark.parametrize("clusters", [2, 3, 20, 300])
def test_more_hits_move_both_limits_up(clusters: int) -> None:
    """Of independent replies each further unsafe one moves both limits up, also where the limit ceases to be one-tailed."""
    before = (-1.0, -1.0)
    for hits in range(min(clusters, 40) + 1):
        one = clustered_proportion([1.0] * hits + [0.0] * (clusters - hits))
        assert one.low is not None
        assert one.high is not None
        assert one.low >= before[0]
        assert one.high >= before[1]
        before = (one.low, one.high)
