"""Intervals: hand-worked values, invariants, coverage, and statsmodels as witness."""

from __future__ import annotations

import math

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t as student
from statsmodels.stats.proportion import proportion_confint

from cvalues.errors import UsageError
from cvalues.schema import NO_DATA, Estimate
from cvalues.stats import clopper_pearson, clustered_mean, clustered_proportion, mean_of, ratio, wilson

labelled = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 6)), min_size=1, max_size=40)


def limits(estimate: Estimate) -> tuple[float, float]:
    """Returns the limits of an estimate that has them."""
    assert estimate.low is not None
    assert estimate.high is not None
    return estimate.low, estimate.high


def clustered_draws(seed: int, sizes: np.ndarray, rate: float, icc: float, studies: int) -> np.ndarray:
    """Returns successes by study and cluster from a beta-binomial with this rate and intra-cluster correlation."""
    rng = np.random.default_rng(seed)
    shape = (studies, len(sizes))
    weight = 1 / icc - 1 if icc else 0
    chance = rng.beta(rate * weight, (1 - rate) * weight, shape) if icc else np.full(shape, rate)
    return rng.binomial(sizes, chance)


def test_wilson_by_hand() -> None:
    """Wilson's limits of 2 of 10 are those worked by hand."""
    # z² = 3.841459; centre = (0.2 + 3.841459/20) / (1 + 0.3841459) = 0.392073 / 1.384146 = 0.283260
    # half = 1.959964·√(0.2·0.8/10 + 3.841459/400) / 1.384146 = 1.959964·0.160011 / 1.384146 = 0.226578
    low, high = limits(wilson(2, 10))
    assert low == pytest.approx(0.283260 - 0.226578, abs=2e-6)
    assert high == pytest.approx(0.283260 + 0.226578, abs=2e-6)


def test_clopper_pearson_by_hand() -> None:
    """The exact interval of 0 of 10 ends where 10 failures in a row have chance 2.5 %."""
    # (1 − u)^10 = 0.025, so u = 1 − 0.025^0.1 = 0.308497
    low, high = limits(clopper_pearson(0, 10))
    assert low == 0
    assert high == pytest.approx(1 - 0.025**0.1)


@given(
    st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.sampled_from([0.8, 0.95, 0.99])
)
def test_witness_statsmodels_proportions(counts: tuple[int, int], confidence: float) -> None:
    """Wilson and Clopper-Pearson agree with statsmodels for any counts and confidence."""
    k, n = counts
    for ours, method in ((wilson, "wilson"), (clopper_pearson, "beta")):
        theirs = proportion_confint(k, n, alpha=1 - confidence, method=method)
        assert limits(ours(k, n, confidence=confidence)) == pytest.approx(theirs, abs=1e-9)


@given(st.integers(1, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_mirror(counts: tuple[int, int]) -> None:
    """Swapping success and failure mirrors every interval for a proportion."""
    k, n = counts
    for make in (wilson, clopper_pearson):
        low, high = limits(make(k, n))
        other = limits(make(n - k, n))
        assert other == pytest.approx((1 - high, 1 - low), abs=1e-12)


def test_clustered_proportion_by_hand() -> None:
    """Four pairs (2, 1, 0, 2 right of 2) give the limits worked by hand."""
    # p = 5/8; residuals 2 − 1.25 = .75, −.25, −1.25, .75, squares .5625 + .0625 + 1.5625 + .5625 = 2.75
    # D = 2.75 / (8·0.625·0.375) = 1.466667; d₁ = 4·2²/8 = 2; 3 clusters hold a right item, 2 a wrong one, so k = 2.
    # D^(1 + 10/4) is bounded by 2^0.6 = 1.515717, so D* = 1.515717;
    # d' = 1 + 0.5 + 0.2/9 = 1.522222; (8·D* + 1.5·d')/9.5 = 1.516744, 0.841535 of it estimated.
    # n_eff = 8/1.516744·3/4 = 3.955843; degrees of freedom 3/0.841535² = 4.236205, t = 2.716444; Wilson: centre 0.543625, half 0.399000
    # Both limits let expect less than 1.5 of the other answer in n_eff, and a pair is worth 0.99 items: each is one-tailed.
    # Without caution deff = (8·1.466667 + 1.5·1.522222)/9.5 = 1.475439, n = 6/1.475439·(1.644854/2.098148)² = 2.499267;
    # quantiles of 5 %: B(1.562042 + 0.5, 0.937225 + 0.5) = 0.182429; of the other answer, less than one hit, of which half is
    # added: B(0.937225 + 0.468612, 1.562042 + 0.531388) = 0.062753.
    values, pairs = [1, 1, 1, 0, 0, 0, 1, 1], list("aabbccdd")
    result = clustered_proportion(values, pairs, unit="pair")
    assert result.value == 0.625
    assert limits(result) == pytest.approx((0.182429, 1 - 0.062753), abs=2e-6)
    assert (result.n, result.clusters, result.unit) == (8, 4, "pair")


@pytest.mark.parametrize("value", [0, 1])
def test_extremes_do_not_collapse(value: int) -> None:
    """At 0 % and 100 % the other limit lies between that of as many independent clusters and that of as many independent items."""
    ends = [
        limits(clustered_proportion([value] * len(labels), labels))
        for labels in ([*range(20)], [at // 10 for at in range(200)], [*range(200)])
    ]
    assert all(end[value] == value for end in ends)
    far = [abs(end[1 - value] - value) for end in ends]
    assert far[0] > 0.15
    assert far[0] > 1.3 * far[1] > 6 * far[2]


def test_many_singletons_are_wilson() -> None:
    """With thousands of clusters of one item the interval is Wilson's."""
    values = [1] * 300 + [0] * 9700
    assert limits(clustered_proportion(values)) == pytest.approx(limits(wilson(300, 10_000)), abs=1e-5)


@given(labelled)
def test_proportion_invariants(rows: list[tuple[int, int]]) -> None:
    """Limits stay in [0, 1] around the share, whatever the labels and the order, and mirror when 0 and 1 are swapped."""
    values, labels = [value for value, _ in rows], [label for _, label in rows]
    first = clustered_proportion(values, labels)
    low, high = limits(first)
    assert first.value is not None
    assert 0 <= low <= first.value <= high <= 1
    renamed = clustered_proportion(values[::-1], [f"pair {9 - label}" for label in labels[::-1]])
    assert limits(renamed) == pytest.approx((low, high))
    swapped = clustered_proportion([1 - value for value in values], labels)
    assert limits(swapped) == pytest.approx((1 - high, 1 - low))


@given(labelled)
def test_repeated_clusters_add_nothing(rows: list[tuple[int, int]]) -> None:
    """Asking every cluster again with the same result leaves the mean's interval, and does not narrow a share's that is neither 0 nor 1."""
    values, labels = [value for value, _ in rows], [label for _, label in rows]
    once, twice = clustered_mean(values, labels), clustered_mean(values * 2, labels * 2)
    if once.low is not None and twice.low is not None:
        assert limits(twice) == pytest.approx(limits(once))
    agreed = {label: value for value, label in rows}
    double, more = (clustered_proportion(list(agreed.values()) * times, list(agreed) * times) for times in (2, 10))
    if double.value not in (0, 1):
        (low, high), (first, last) = limits(more), limits(double)
        assert low <= first + 1e-9
        assert high >= last - 1e-9


def test_few_clusters() -> None:
    """One cluster says nothing of the spread: a share gets 0 to 1, a mean no limits; two clusters give wide limits."""
    assert limits(clustered_proportion([1, 1, 0], ["a"] * 3)) == (0, 1)
    assert clustered_mean([1, 1, 0], ["a"] * 3).low is None
    assert clustered_mean([1, 1, 0], ["a"] * 3).value == pytest.approx(2 / 3)
    low, high = limits(clustered_proportion([1, 1, 0, 0], list("aabb")))
    assert high - low > 0.95


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("icc", [0.0, 0.3, 0.7])
@pytest.mark.parametrize("setting", [(20, 2, 0.02), (20, 2, 0.5), (20, 5, 0.1), (100, 2, 0.02), (8, 2, 0.2)])
def test_proportion_coverage(seed: int, icc: float, setting: tuple[int, int, float]) -> None:
    """The 95 % interval covers in at least 93.5 % of 2,000 simulated studies, at 20 clusters and rates of 2 % too."""
    clusters, size, rate = setting
    sizes = np.full(clusters, size)
    covered = 0
    for sums in clustered_draws(seed, sizes, rate, icc, 2000):
        low, high = limits(ratio(sums, sizes, share=True))
        covered += low <= rate <= high
    assert covered / 2000 >= 0.935


@pytest.mark.parametrize("seed", [1, 2])
def test_proportion_coverage_with_unequal_clusters(seed: int) -> None:
    """Coverage and width stay sane in clusters of 1 to 8 items that agree strongly: 93.5 % at most 1.5 times the ideal."""
    sizes = np.tile([1, 2, 4, 8], 5)
    covered, width = 0, 0.0
    for sums in clustered_draws(seed, sizes, 0.1, 0.7, 2000):
        low, high = limits(ratio(sums, sizes, share=True))
        covered += low <= 0.1 <= high
        width += (high - low) / 2000
    effective = sizes.sum() / (1 + ((sizes**2).sum() / sizes.sum() - 1) * 0.7)
    assert covered / 2000 >= 0.935
    assert width < 1.5 * 2 * 1.96 * math.sqrt(0.09 / effective)


def test_clustered_mean_by_hand() -> None:
    """Three pairs with means 1, 2, 6 give mean 3 ± t(2)·√(7/3)."""
    # sums − 2·3 = −4, −2, 6; squares 56; V = 3/2·56/36 = 7/3; t(2) = 4.302653
    result = clustered_mean([0, 2, 2, 2, 5, 7], list("aabbcc"))
    half = 4.302653 * math.sqrt(7 / 3)
    assert (result.value, *limits(result)) == pytest.approx((3, 3 - half, 3 + half), abs=1e-5)


@given(st.lists(st.tuples(st.integers(-50, 50), st.integers(0, 8)), min_size=4, max_size=60))
@settings(max_examples=50)
def test_witness_cluster_robust_regression(rows: list[tuple[int, int]]) -> None:
    """The mean's interval is that of statsmodels' regression on a constant with clustered errors."""
    values, labels = np.array([value for value, _ in rows], float), np.array([label for _, label in rows])
    ours = clustered_mean(values, labels)
    if len(set(labels.tolist())) < 2:
        assert ours.low is None
        return
    fit = sm.OLS(values, np.ones(len(values))).fit(
        cov_type="cluster", cov_kwds={"groups": labels, "use_correction": True}, use_t=True
    )
    # statsmodels also multiplies by (n − 1)/(n − 1) = 1 for one coefficient, so nothing is left to correct.
    assert limits(ours) == pytest.approx(tuple(fit.conf_int()[0]), abs=1e-8)


def test_adjusted_mean_by_hand() -> None:
    """With a span the limits are those of Bonett and Price's adjustment, with t and the small-sample factor."""
    # 10 pairs, differences +1 ×3, −1 ×1, 0 ×6: with one of each added p12 = 4/12, p21 = 2/12, centre 1/6
    # variance (6/12 − 1/36)/12 = 0.0393519, times 12/11 = 0.0429293; t(9) = 2.262157; half = 0.468705
    result = clustered_mean([1, 1, 1, -1, 0, 0, 0, 0, 0, 0], span=(-1, 1))
    assert result.value == pytest.approx(0.2)
    assert limits(result) == pytest.approx((1 / 6 - 0.468705, 1 / 6 + 0.468705), abs=1e-5)


def test_adjusted_mean_does_not_collapse() -> None:
    """Where all clusters agree the plain interval has no width, the adjusted one has, and stays in its span."""
    assert limits(clustered_mean([0.0] * 20)) == (0, 0)
    assert limits(clustered_mean([8.1] * 20, within=(1, 10))) == limits(clustered_mean([8.1] * 20, span=(1, 10)))
    assert limits(clustered_mean([9.5, 10, 10], within=(1, 10)))[1] == 10
    assert limits(clustered_mean([4.0, 5, 7], within=(1, 10))) == limits(clustered_mean([4.0, 5, 7]))
    with pytest.raises(UsageError, match="expected numbers from 1 to 10"):
        clustered_mean([0.0, 5.0], within=(1, 10))
    low, high = limits(clustered_mean([0.0] * 20, span=(-1, 1)))
    assert -0.25 < low < -0.1
    assert 0.1 < high < 0.25
    assert limits(clustered_mean([1.0] * 20, span=(-1, 1)))[1] == 1


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize(("wins", "losses"), [(0.02, 0.02), (0.1, 0.02), (0.3, 0.1)])
def test_adjusted_mean_coverage(seed: int, wins: float, losses: float) -> None:
    """The adjusted interval of a paired difference covers in at least 93.5 % of studies of 20 pairs."""
    rng = np.random.default_rng(seed)
    draws = rng.choice([1.0, -1.0, 0.0], p=[wins, losses, 1 - wins - losses], size=(2000, 20))
    inside = [limits(clustered_mean(values, span=(-1, 1))) for values in draws]
    assert np.mean([low <= wins - losses <= high for low, high in inside]) >= 0.935


def test_ratio_by_hand() -> None:
    """Sums 3/4, 1/4, 2/2 give 0.6 ± t(2)·√V with V from the residuals."""
    # residuals 3 − 2.4 = .6, 1 − 2.4 = −1.4, 2 − 1.2 = .8; squares .36 + 1.96 + .64 = 2.96; V = 3/2·2.96/100 = 0.0444
    result = ratio([3, 1, 2], [4, 4, 2])
    half = 4.302653 * math.sqrt(0.0444)
    assert (result.value, *limits(result)) == pytest.approx((0.6, 0.6 - half, 0.6 + half), abs=1e-5)


def test_ratio_ignores_empty_clusters() -> None:
    """A cluster without denominator changes nothing: it was never asked."""
    assert ratio([3, 1, 2, 0], [4, 4, 2, 0]) == ratio([3, 1, 2], [4, 4, 2])
    assert ratio([1, 0], [1, 0], share=True) == ratio([1], [1], share=True)


def test_ratio_of_ones_is_the_mean() -> None:
    """With denominators of 1 the ratio is the clustered mean and the share is the clustered proportion."""
    values, labels = [1, 0, 0, 1, 1, 0, 1], [1, 1, 2, 2, 3, 4, 4]
    ones = [1] * 7
    assert limits(ratio(values, ones, labels)) == pytest.approx(limits(clustered_mean(values, labels)))
    assert ratio(values, ones, labels, share=True) == clustered_proportion(values, labels)


@pytest.mark.parametrize("seed", [1, 2])
def test_ratio_coverage(seed: int) -> None:
    """The linearised interval covers in at least 93.5 % of studies in which numerator and denominator are random."""
    rng = np.random.default_rng(seed)
    answered = rng.binomial(4, 0.8, size=(2000, 40))
    right = rng.binomial(answered, rng.beta(6, 4, size=answered.shape))
    for share in (False, True):
        inside = [limits(ratio(top, bottom, share=share)) for top, bottom in zip(right, answered, strict=True)]
        assert np.mean([low <= 0.6 <= high for low, high in inside]) >= 0.935


def test_mean_of_by_hand() -> None:
    """MOVER adds the distances to the limits in squares, each side for itself."""
    # below: √((0.1/2)² + (0.2/2)²) = √0.0125; above: √((0.05/2)² + (0.1/2)²) = √0.003125
    parts = [
        Estimate(value=0.9, low=0.8, high=0.95, n=10, clusters=5),
        Estimate(value=0.5, low=0.3, high=0.6, n=20, clusters=10),
    ]
    result = mean_of(parts)
    assert (result.value, *limits(result)) == pytest.approx((0.7, 0.7 - math.sqrt(0.0125), 0.7 + math.sqrt(0.003125)))
    assert (result.n, result.clusters) == (30, 15)
    assert mean_of(parts[:1]) == parts[0]
    assert mean_of([*parts, NO_DATA]) == NO_DATA


def test_no_data_and_bad_input() -> None:
    """Nothing in gives NO_DATA out; what is no measurement is refused with what was expected."""
    assert wilson(0, 0) == clopper_pearson(0, 0) == NO_DATA
    assert clustered_mean([]) == clustered_proportion([]) == ratio([], []) == mean_of([]) == NO_DATA
    assert ratio([0, 0], [0, 0], share=True) == NO_DATA
    parts = [Estimate(value=0.5, low=0.4, high=0.6, confidence=level) for level in (0.9, 0.95)]
    for message, call in (
        ("between 0 and n = 3", lambda: wilson(4, 3)),
        ("share between 0 and 1", lambda: wilson(1, 3, confidence=95)),
        ("zeros and ones", lambda: clustered_proportion([0.5])),
        ("one label for each of the 2", lambda: clustered_mean([1, 2], ["a"])),
        ("finite numbers", lambda: clustered_mean([1, math.nan])),
        ("expected numbers", lambda: clustered_mean(["x"])),
        ("from 0 to 1", lambda: clustered_mean([2.0, 0.0], span=(0, 1))),
        ("same length", lambda: ratio([1], [1, 2])),
        ("no numerator above", lambda: ratio([2], [1], share=True)),
        ("one confidence", lambda: mean_of(parts)),
    ):
        with pytest.raises(UsageError, match=message):
            call()


def test_confidence_and_student() -> None:
    """A higher confidence widens the interval, by Student's quantile with one degree of freedom less than clusters."""
    narrow, wide = (limits(clustered_mean([1, 2, 4, 9], confidence=level)) for level in (0.9, 0.99))
    expected = student.ppf(0.995, 3) / student.ppf(0.95, 3)
    assert (wide[1] - wide[0]) / (narrow[1] - narrow[0]) == pytest.approx(expected)
