"""Paired tests and corrections: by hand, by enumeration, and against statsmodels and scipy."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import permutation_test
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from cvalues.errors import UsageError
from cvalues.schema import NO_DATA
from cvalues.stats import benjamini_hochberg, clustered_mean, holm, mcnemar_exact, paired_difference, sign_flip

chances = st.lists(st.floats(0, 1), min_size=1, max_size=30)


def enumerated(values: list[float]) -> float:
    """Returns the sign-flip p value by looking at every sign pattern."""
    observed = abs(sum(values)) - 1e-9
    signs = itertools.product((1, -1), repeat=len(values))
    return float(np.mean([abs(sum(s * v for s, v in zip(row, values, strict=True))) >= observed for row in signs]))


def test_sign_flip_by_hand() -> None:
    """Of the 8 sign patterns of 2, 1, 1 two reach the sum 4 in absolute value: p = 2/8."""
    assert sign_flip([2, 1, 1]).p == pytest.approx(0.25)


def test_mcnemar_by_hand() -> None:
    """With 1 against 5 discordant pairs p is 2·(1 + 6)/64."""
    assert mcnemar_exact(1, 5) == pytest.approx(14 / 64)
    assert mcnemar_exact(0, 0) == 1


def test_holm_and_benjamini_hochberg_by_hand() -> None:
    """0.01, 0.04, 0.03, 0.5 become what the two methods' tables say."""
    # Holm, sorted .01 .03 .04 .5: ×4 = .04, ×3 = .09, ×2 = .08 → .09, ×1 = .5
    assert holm([0.01, 0.04, 0.03, 0.5]) == pytest.approx([0.04, 0.09, 0.09, 0.5])
    # BH: ×4/1 = .04, ×4/2 = .06, ×4/3 = .0533, ×1 = .5; from the right the least so far: .04, .0533, .0533, .5
    assert benjamini_hochberg([0.01, 0.04, 0.03, 0.5]) == pytest.approx([0.04, 0.16 / 3, 0.16 / 3, 0.5])
    assert holm([]) == benjamini_hochberg([]) == []


@given(st.integers(0, 60), st.integers(0, 60))
def test_witness_mcnemar(b: int, c: int) -> None:
    """The exact test agrees with statsmodels, and with the sign flip of as many differences of one."""
    if b + c == 0:
        return
    assert mcnemar_exact(b, c) == pytest.approx(mcnemar([[0, b], [c, 0]], exact=True).pvalue)
    assert sign_flip([1] * b + [-1] * c).p == pytest.approx(mcnemar_exact(b, c))


@given(chances)
@settings(max_examples=30, deadline=None)
def test_witness_corrections(p_values: list[float]) -> None:
    """Holm and Benjamini-Hochberg agree with statsmodels for any p values, ties included."""
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1], abs=1e-12)
    assert benjamini_hochberg(p_values) == pytest.approx(multipletests(p_values, method="fdr_bh")[1], abs=1e-12)


@given(chances)
def test_corrections_follow_their_values(p_values: list[float]) -> None:
    """A correction never lowers a p value, keeps their order, and does not depend on the order given."""
    for correct in (holm, benjamini_hochberg):
        adjusted = correct(p_values)
        assert all(after >= before - 1e-15 for before, after in zip(p_values, adjusted, strict=True))
        ranked = [after for _, after in sorted(zip(p_values, adjusted, strict=True))]
        assert ranked == sorted(ranked)
        assert correct(p_values[::-1]) == pytest.approx(adjusted[::-1])


@given(
    st.one_of(
        st.lists(st.integers(-3, 3).map(float), min_size=1, max_size=10),
        st.lists(st.sampled_from([-1 / 7, 2 / 7, 1 / 7, 1 / 9, -2 / 9]), min_size=1, max_size=10),
        st.lists(st.floats(-5, 5).map(lambda value: round(value, 3)), min_size=1, max_size=9),
    )
)
@settings(max_examples=150, deadline=None)
def test_exact_is_enumeration(values: list[float]) -> None:
    """Lattices of one or two steps and small sets of any numbers give the p value of full enumeration."""
    result = sign_flip(values)
    assert result.method == "sign-flip-exact"
    assert result.p == pytest.approx(enumerated(values))


@given(st.lists(st.integers(-4, 4), min_size=1, max_size=200))
def test_sign_flip_invariants(values: list[int]) -> None:
    """Order, a common factor, all signs turned, and zeros do not change p, which lies in (0, 1]."""
    p = sign_flip(values).p
    assert p is not None
    assert 0 < p <= 1
    for other in (values[::-1], [3.7 * value for value in values], [-value for value in values], [*values, 0, 0]):
        assert sign_flip(other).p == pytest.approx(p)


def test_witness_scipy_permutation() -> None:
    """On 100 continuous differences the drawn p value agrees with scipy's permutation test of paired samples."""
    values = np.random.default_rng(8).normal(0.1, 1, size=100)
    ours = sign_flip(values, "witness")
    theirs = permutation_test(
        (values,),
        np.mean,
        permutation_type="samples",
        n_resamples=20_000,
        rng=np.random.default_rng(1),
        vectorized=True,
    ).pvalue
    assert ours.method == "sign-flip-monte-carlo"
    assert ours.p == pytest.approx(theirs, abs=0.025)
    assert ours == sign_flip(values, "witness")
    assert ours != sign_flip(values, "another seed")


def test_huge_and_one_sided_sets() -> None:
    """Fifty thousand differences are exact and quick, and a p value too small for a float is not 0."""
    signs = np.where(np.arange(50_000) % 2 == 0, 1, -1) * np.where(np.arange(50_000) % 5 == 0, 2, 1)
    assert sign_flip(signs).method == "sign-flip-exact"
    assert 0 < (sign_flip(np.ones(5000)).p or 0) < 1e-300
    assert 0 < mcnemar_exact(0, 5000) < 1e-300


@pytest.mark.parametrize("seed", [1, 2])
def test_false_alarms(seed: int) -> None:
    """Of 1,000 comparisons without a difference at most 6.5 % are called significant at 5 %."""
    rng = np.random.default_rng(seed)
    draws = rng.binomial(2, 0.7, size=(1000, 60)) - rng.binomial(2, 0.7, size=(1000, 60))
    assert np.mean([(sign_flip(row).p or 1) < 0.05 for row in draws]) <= 0.065


def test_paired_difference_by_hand() -> None:
    """Four pairs in both orders give the difference, its interval, the discordant counts and p worked by hand."""
    # by pair: +2, +1, 0, −1 of 2 items; mean 2/8 = 0.25; sums − 0.5 = 1.5, .5, −.5, −1.5, squares 5; V = 4/3·5/64 = 0.1041667
    # t(3) = 3.182446, half = 1.027130; |Σ| ≥ 2 in 6 of 8 patterns (±2±1±1 is 0 in two of them): p = 0.75
    a, b = [1, 1, 1, 1, 1, 0, 0, 0], [0, 0, 1, 0, 1, 0, 0, 1]
    result = paired_difference(a, b, list("aabbccdd"))
    assert result.difference.value == 0.25
    assert result.difference.low == pytest.approx(0.25 - 1.027130, abs=1e-5)
    assert result.p == pytest.approx(0.75)
    assert (result.wins, result.losses, result.ties) == (2, 1, 1)
    assert result.sd == pytest.approx(math.sqrt(0.1041667 * 4), abs=1e-6)


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1), st.integers(0, 6)), min_size=1, max_size=40))
def test_paired_difference_invariants(rows: list[tuple[int, int, int]]) -> None:
    """Swapping the two turns every sign; order and labels do not matter; the interval is that of the differences' mean."""
    a, b, labels = ([row[at] for row in rows] for at in range(3))
    one, other = paired_difference(a, b, labels, span=1.0), paired_difference(b, a, labels, span=1.0)
    assert other.p == pytest.approx(one.p)
    assert (other.wins, other.losses, other.ties) == (one.losses, one.wins, one.ties)
    assert other.difference.value == pytest.approx(-(one.difference.value or 0))
    if one.difference.low is not None:
        assert other.difference.high == pytest.approx(-one.difference.low)
    moved = paired_difference(a[::-1], b[::-1], [f"p{label}" for label in labels[::-1]], span=1.0)
    assert moved.p == pytest.approx(one.p)
    assert moved.difference.low == pytest.approx(one.difference.low)
    gaps = [x - y for x, y in zip(a, b, strict=True)]
    assert one.difference == clustered_mean(gaps, labels, span=(-1, 1))


def test_pairing_gains_power() -> None:
    """Two models right on nearly the same items are told apart where independent samples could not be."""
    hard = np.random.default_rng(2).random(400) < 0.5
    a, b = (~hard).astype(float), (~hard).astype(float)
    b[np.flatnonzero(b)[:12]] = 0
    assert (paired_difference(a, b).p or 1) < 0.001


def test_edges() -> None:
    """Nothing is no data; nothing different is p 1; one cluster has no limits; bad input is named."""
    nothing = paired_difference([], [])
    assert nothing.difference == NO_DATA
    assert nothing.p is None
    assert sign_flip([]).p is None
    assert sign_flip([0, 0]).p == sign_flip([1, -1]).p == 1
    one = paired_difference([1, 1], [0, 0], ["a", "a"])
    assert (one.p, one.difference.low, one.sd) == (1, None, None)
    for message, call in (
        ("got 1 and 2", lambda: paired_difference([1], [1, 2])),
        ("at least 0", lambda: mcnemar_exact(-1, 2)),
        ("from 0 to 1", lambda: holm([1.2])),
    ):
        with pytest.raises(UsageError, match=message):
            call()
