"""Coefficients of agreement: published examples, second implementations, the krippendorff and statsmodels packages, invariants."""

from __future__ import annotations

import itertools
import time

import krippendorff
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from statsmodels.stats import inter_rater

from cvalues.errors import UsageError
from cvalues.stats.agreement import (
    Resampling,
    cohen_kappa,
    fleiss_kappa,
    gwet_ac,
    icc,
    krippendorff_alpha,
    prevalence,
    rating_counts,
    raw_agreement,
    set_alpha,
    set_distance,
)
from cvalues.stats.ratings import rating_matrix

NAN = float("nan")
# Krippendorff, Computing Krippendorff's Alpha-Reliability (2011), section C/E: four observers, twelve units, values 1–5.
KRIPPENDORFF = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, NAN, NAN, NAN],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NAN, 3],
        [NAN, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NAN],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NAN],
    ]
).T
# Shrout and Fleiss (1979), table 2: six targets, four judges.
SHROUT_FLEISS = np.array(
    [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], dtype=float
)
# Fleiss (1971) as it is usually reproduced: ten subjects, fourteen raters, five categories.
FLEISS = np.array(
    [
        [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
    ]
)  # fmt: skip

matrices = st.integers(2, 4).flatmap(
    lambda raters: st.lists(
        st.lists(st.one_of(st.none(), st.integers(0, 3)), min_size=raters, max_size=raters), min_size=2, max_size=12
    )
)


def matrix(rows: list[list[int | None]]) -> np.ndarray:
    """A matrix of ratings with NaN for None."""
    return np.array([[NAN if cell is None else float(cell) for cell in row] for row in rows])


def expanded(table: np.ndarray) -> np.ndarray:
    """Ratings with these counts of categories per item."""
    return np.array([np.repeat(np.arange(len(row)), row) for row in table], dtype=float)


def quick(**more: object) -> Resampling:
    """Few draws, where the interval does not matter."""
    return Resampling(draws=100, **more)  # type: ignore[arg-type]


def alpha_by_pairs(ratings: np.ndarray, distance: object) -> float:
    """Alpha written out over pairs of ratings."""
    units = [[value for value in row if not np.isnan(value)] for row in ratings]
    units = [unit for unit in units if len(unit) > 1]
    pool = [value for unit in units for value in unit]
    observed = sum(
        distance(a, b) / (len(unit) - 1)
        for unit in units
        for a, b in itertools.permutations(unit, 2)  # type: ignore[operator]
    ) / len(pool)
    expected = sum(distance(a, b) for a, b in itertools.permutations(pool, 2)) / (len(pool) * (len(pool) - 1))  # type: ignore[operator]
    return 1 - observed / expected


@pytest.mark.parametrize(("level", "published"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)])
def test_alpha_of_krippendorffs_example(level: str, published: float) -> None:
    """Krippendorff's own example with missing data gives the three values that he printed."""
    found = krippendorff_alpha(KRIPPENDORFF, level=level)  # type: ignore[arg-type]
    assert found.value == pytest.approx(published, abs=5e-4)
    assert found.value == pytest.approx(
        krippendorff.alpha(reliability_data=KRIPPENDORFF.T, level_of_measurement=level), abs=1e-12
    )
    # Unit 12 has one rating and does not count: 40 pairable values of 11 units.
    assert (found.n, found.clusters) == (40, 11)


@given(matrices, st.sampled_from(["nominal", "ordinal", "interval"]))
@settings(max_examples=60, deadline=None)
def test_alpha_witness(rows: list[list[int | None]], level: str) -> None:
    """Alpha agrees with the krippendorff package on any matrix, and is undefined, in words, where that gives no number."""
    ratings = matrix(rows)
    found = krippendorff_alpha(ratings, level=level, resampling=quick())  # type: ignore[arg-type]
    pairable = ratings[(~np.isnan(ratings)).sum(axis=1) > 1]
    values = pairable[~np.isnan(pairable)]
    if not len(values):
        assert found.value is None
        assert found.method == "undefined: no item has two ratings"
    elif len(set(values)) == 1:
        assert found.value is None
        assert found.method == "undefined: all labels equal"
    else:
        theirs = krippendorff.alpha(reliability_data=pairable.T, level_of_measurement=level)
        assert found.value == pytest.approx(theirs, abs=1e-9)


def test_alpha_by_hand() -> None:
    """Three items of two raters give the alpha worked by hand."""
    # ratings (0,0), (0,1), (1,1): n = 6, three 0 and three 1; D_o = 2·1/6 = 1/3; D_e = 2·3·3/(6·5) = 0.6; α = 1 − 0.5556
    assert krippendorff_alpha([[0, 0], [0, 1], [1, 1]]).value == pytest.approx(4 / 9)


def test_fleiss_published() -> None:
    """Fleiss' kappa of the classical fourteen raters is 0.210, mean agreement .378, as printed and as statsmodels says."""
    ratings = expanded(FLEISS)
    assert fleiss_kappa(ratings).value == pytest.approx(0.210, abs=5e-4)
    assert fleiss_kappa(ratings).value == pytest.approx(inter_rater.fleiss_kappa(FLEISS), abs=1e-12)
    assert raw_agreement(ratings).value == pytest.approx(0.378, abs=5e-4)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=2, max_size=40))
@settings(max_examples=60, deadline=None)
def test_cohen_witness(pairs: list[tuple[int, int]]) -> None:
    """Cohen's kappa agrees with statsmodels, unweighted and with both kinds of weights."""
    table = np.zeros((3, 3))
    for one, two in pairs:
        table[one, two] += 1
    assume(all((table.sum(axis=0) + table.sum(axis=1)) > 0))
    for ours, theirs in (("identity", None), ("linear", "linear"), ("quadratic", "quadratic")):
        with np.errstate(all="ignore"):
            expected = inter_rater.cohens_kappa(table, wt=theirs, return_results=False)
        found = cohen_kappa(np.array(pairs, dtype=float), weights=ours, resampling=quick())  # type: ignore[arg-type]
        if np.isfinite(expected):
            assert found.value == pytest.approx(expected, abs=1e-9)


def gwet_by_hand(ratings: np.ndarray, weights: np.ndarray, count: int) -> float:
    """AC1 and AC2 written out over items and pairs."""
    agreements, shares = [], []
    for row in ratings:
        seen = [int(value) for value in row if not np.isnan(value)]
        if seen:
            shares.append([seen.count(c) / len(seen) for c in range(count)])
        if len(seen) > 1:
            pairs = list(itertools.permutations(seen, 2))
            agreements.append(sum(weights[a, b] for a, b in pairs) / len(pairs))
    share = np.mean(shares, axis=0)
    chance = weights.sum() / (count * (count - 1)) * float((share * (1 - share)).sum())
    return (float(np.mean(agreements)) - chance) / (1 - chance)


@given(matrices)
@settings(max_examples=60, deadline=None)
def test_gwet_second_implementation(rows: list[list[int | None]]) -> None:
    """AC1 and AC2 equal a version written out over pairs, with missing ratings and categories that do not occur."""
    ratings = matrix(rows)
    assume(((~np.isnan(ratings)).sum(axis=1) > 1).any())
    gaps = np.abs(np.subtract.outer(np.arange(4), np.arange(4))) / 3
    for name, weights in (("identity", np.eye(4)), ("linear", 1 - gaps), ("quadratic", 1 - gaps**2)):
        found = gwet_ac(ratings, weights=name, categories=range(4), resampling=quick())  # type: ignore[arg-type]
        assert found.value == pytest.approx(gwet_by_hand(ratings, weights, 4), abs=1e-9)


def test_gwet_paradox() -> None:
    """Where 118 of 125 items are agreed and one label is rare, kappa is near 0 and AC1 is high (the kappa paradox)."""
    # cells 118, 5, 2, 0: p_a = .944; kappa = (.944 − .9449)/(1 − .9449); AC1: π = (.984 + .96)/2 = .972, p_e = 2·.972·.028
    ratings = np.array([[0, 0]] * 118 + [[0, 1]] * 5 + [[1, 0]] * 2, dtype=float)
    assert raw_agreement(ratings).value == pytest.approx(0.944)
    chance = 2 * 0.972 * 0.028
    assert gwet_ac(ratings).value == pytest.approx((0.944 - chance) / (1 - chance))
    kappa = cohen_kappa(ratings).value
    assert kappa is not None
    assert -0.03 < kappa < 0


def test_icc_published() -> None:
    """Shrout and Fleiss' table gives .29 for ICC(2,1) and .62 for ICC(2,4)."""
    assert icc(SHROUT_FLEISS).value == pytest.approx(0.29, abs=5e-3)
    assert icc(SHROUT_FLEISS, of="mean").value == pytest.approx(0.62, abs=5e-3)


@given(st.integers(0, 10**6), st.integers(2, 5), st.integers(3, 10))
@settings(max_examples=40, deadline=None)
def test_icc_is_the_analysis_of_variance(seed: int, raters: int, items: int) -> None:
    """On complete data the ICCs are those of the mean squares, with no value where the variances do not add up to more than 0."""
    ratings = np.random.default_rng(seed).normal(size=(items, raters)) + np.arange(items)[:, None]
    grand = ratings.mean()
    rows = raters * float(((ratings.mean(axis=1) - grand) ** 2).sum()) / (items - 1)
    columns = items * float(((ratings.mean(axis=0) - grand) ** 2).sum()) / (raters - 1)
    rest = ratings - ratings.mean(axis=1, keepdims=True) - ratings.mean(axis=0) + grand
    error = float((rest**2).sum()) / ((items - 1) * (raters - 1))
    single = (rows - error) / (rows + (raters - 1) * error + raters * (columns - error) / items)
    mean = (rows - error) / (rows + (columns - error) / items)
    positive = [rows + (raters - 1) * error + raters * (columns - error) / items, rows + (columns - error) / items]
    for of, expected, whole in (("single", single, positive[0]), ("mean", mean, positive[1])):
        found = icc(ratings, of=of, resampling=quick()).value
        assert found == (pytest.approx(expected, rel=1e-8) if whole > 0 else None)


def test_icc_with_missing_scores_finds_the_planted_one() -> None:
    """With six of ten scores missing at random the moments give the planted ICC within its interval's reach."""
    rng = np.random.default_rng(4)
    scores = rng.normal(0, 1.8, (600, 1)) + rng.normal(0, 0.6, (1, 10)) + rng.normal(0, 1.2, (600, 10))
    scores[rng.random(scores.shape) < 0.6] = NAN
    found = icc(scores)
    assert found.value == pytest.approx(1.8**2 / (1.8**2 + 0.6**2 + 1.2**2), abs=0.08)
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.value < found.high  # type: ignore[operator]


def test_set_distances() -> None:
    """MASI and Jaccard distances are those of their definitions."""
    one, two, three = frozenset("1"), frozenset("12"), frozenset("23")
    assert set_distance(one, one, "masi") == 0
    assert set_distance(frozenset(), frozenset(), "jaccard") == 0
    assert set_distance(one, two, "masi") == pytest.approx(1 - 1 / 2 * 2 / 3)
    assert set_distance(two, three, "masi") == pytest.approx(1 - 1 / 3 * 1 / 3)
    assert set_distance(two, three, "jaccard") == pytest.approx(2 / 3)
    assert set_distance(one, frozenset("3"), "masi") == set_distance(one, frozenset(), "jaccard") == 1


sets = st.lists(
    st.lists(st.one_of(st.none(), st.frozensets(st.sampled_from("123"))), min_size=3, max_size=3),
    min_size=2,
    max_size=8,
)


@given(sets, st.sampled_from(["masi", "jaccard"]))
@settings(max_examples=40, deadline=None)
def test_set_alpha_second_implementation(rows: list[list[frozenset[str] | None]], kind: str) -> None:
    """Alpha of sets equals a version written out over pairs of sets."""
    kinds = sorted({chosen for row in rows for chosen in row if chosen is not None}, key=sorted)
    codes = np.array([[NAN if chosen is None else kinds.index(chosen) for chosen in row] for row in rows], dtype=float)
    pairable = codes[(~np.isnan(codes)).sum(axis=1) > 1]
    found = set_alpha(rows, distance=kind, resampling=quick())  # type: ignore[arg-type]
    if len(set(pairable[~np.isnan(pairable)])) < 2:
        assert found.value is None
        assert found.method.startswith("undefined: ")
        return
    expected = alpha_by_pairs(pairable, lambda a, b: set_distance(kinds[int(a)], kinds[int(b)], kind))  # type: ignore[arg-type]
    assert found.value == pytest.approx(expected, abs=1e-9)


@given(matrices, st.permutations(range(4)))
@settings(max_examples=30, deadline=None)
def test_names_do_not_matter(rows: list[list[int | None]], names: list[int]) -> None:
    """Relabelled values, shuffled items and shuffled raters leave nominal coefficients as they are."""
    ratings = matrix(rows)
    renamed = np.array([[NAN if np.isnan(cell) else names[int(cell)] for cell in row] for row in ratings])[::-1, ::-1]
    for function in (raw_agreement, fleiss_kappa, gwet_ac, krippendorff_alpha):
        one, two = function(ratings, resampling=quick()), function(renamed, resampling=quick())
        assert one.value == (None if two.value is None else pytest.approx(two.value, abs=1e-9))


@given(matrices)
@settings(max_examples=30, deadline=None)
def test_limits_hold_the_value(rows: list[list[int | None]]) -> None:
    """Whatever the ratings, limits lie on both sides of the value and no coefficient exceeds 1."""
    ratings = matrix(rows)
    for function in (raw_agreement, fleiss_kappa, gwet_ac, krippendorff_alpha):
        found = function(ratings, resampling=quick())
        if found.value is not None and found.low is not None and found.high is not None:
            assert found.low <= found.value <= found.high <= 1 + 1e-9


def test_full_agreement_is_not_certain() -> None:
    """Twenty items on which all agree leave room below 1, and the more items the less."""
    few = krippendorff_alpha([[0, 0, 0]] * 14 + [[1, 1, 1]] * 6)
    many = krippendorff_alpha([[0, 0, 0]] * 140 + [[1, 1, 1]] * 60)
    assert few.value == many.value == few.high == 1
    assert few.low is not None
    assert many.low is not None
    assert 0.5 < few.low < 0.9 < many.low < 1


def test_all_labels_equal() -> None:
    """Where every label is the same, alpha and kappas say that they are undefined, AC1 and raw agreement are 1."""
    same = np.zeros((5, 3))
    for function in (fleiss_kappa, krippendorff_alpha, lambda r: cohen_kappa(r[:, :2])):
        assert function(same).value is None
        assert function(same).method == "undefined: all labels equal"
    assert raw_agreement(same).value == gwet_ac(same).value == 1
    assert icc(same).method == "undefined: all scores equal"


@pytest.mark.parametrize("empty", [np.zeros((0, 3)), np.full((4, 2), NAN), np.array([[1.0, NAN], [NAN, 0.0]])])
def test_nothing_to_compare(empty: np.ndarray) -> None:
    """Without an item with two ratings every coefficient says so."""
    functions = [raw_agreement, fleiss_kappa, gwet_ac, krippendorff_alpha, icc]
    if empty.shape[1] == 2:
        functions.append(cohen_kappa)
    for function in functions:
        assert function(empty).value is None
        assert function(empty).method == "undefined: no item has two ratings"


def test_seeds_and_clusters() -> None:
    """The same seed gives the same limits, another seed others; items of one prompt as a cluster widen the interval."""
    rng = np.random.default_rng(1)
    prompts = rng.random(30) < 0.4
    labels = np.repeat(np.arange(30), 8)
    ratings = (rng.random((240, 3)) < np.where(prompts, 0.9, 0.1)[labels][:, None]).astype(float)
    one, again = krippendorff_alpha(ratings), krippendorff_alpha(ratings)
    other = krippendorff_alpha(ratings, resampling=Resampling(seed="other"))
    assert one == again
    assert one.low != other.low
    clustered = krippendorff_alpha(ratings, clusters=labels)
    assert clustered.value == one.value
    assert (clustered.clusters, clustered.unit) == (30, "cluster")
    both = krippendorff_alpha(ratings, resampling=Resampling(over="items-and-raters"))
    assert both.unit == "item and rater"
    width = [high - low for low, high in ((e.low, e.high) for e in (one, clustered, both))]  # type: ignore[operator]
    assert width[2] > width[0]


def test_a_rater_is_not_compared_with_itself() -> None:
    """Raters who guess keep an agreement near chance when raters are drawn anew, although one may be drawn twice."""
    ratings = (np.random.default_rng(3).random((400, 4)) < 0.5).astype(float)
    found = krippendorff_alpha(ratings, resampling=Resampling(over="items-and-raters", draws=400))
    assert found.high is not None
    assert found.high < 0.12


def test_ten_thousand_items_are_quick() -> None:
    """Alpha of 10,000 items × 3 with 2,000 draws takes less than two seconds of one core, even with ten values."""
    rng = np.random.default_rng(0)
    votes = (rng.random((10_000, 3)) < 0.1).astype(float)
    points = rng.integers(1, 11, (10_000, 3)).astype(float)
    for ratings, level in ((votes, "nominal"), (points, "ordinal"), (points, "interval")):
        start = time.process_time()
        krippendorff_alpha(ratings, level=level)  # type: ignore[arg-type]
        assert time.process_time() - start < 2


def test_counts_and_prevalence() -> None:
    """Items, pairs and ratings are counted, and prevalence is the share of all ratings with limits over items."""
    ratings = [[1, 1, NAN], [0, NAN, NAN], [0, 1, 0], [NAN, NAN, NAN]]
    counts = rating_counts(ratings)
    assert (counts.items, counts.overlapping, counts.raters, counts.ratings, counts.pairs) == (3, 2, 3, 6, 4)
    found = prevalence(ratings, 1)
    assert found.value == pytest.approx(3 / 6)
    assert (found.n, found.clusters) == (6, 3)
    assert prevalence(np.full((2, 2), NAN), 1).value is None


def test_matrix_from_single_ratings() -> None:
    """Single ratings become a matrix in order of first appearance; a second rating by one rater is refused."""
    found, items, raters = rating_matrix(["a", "b", "a"], ["x", "x", "y"], [1, 0, 1])
    assert items == ("a", "b")
    assert raters == ("x", "y")
    np.testing.assert_array_equal(found, [[1, 1], [0, NAN]])
    with pytest.raises(UsageError, match="at most one rating of an item by a rater"):
        rating_matrix(["a", "a"], ["x", "x"], [1, 0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: raw_agreement([1, 2]), "matrix of items"),
        (lambda: raw_agreement([["a"]]), "expected numbers"),
        (lambda: krippendorff_alpha([[0, 1]], level="ratio"), "expected nominal, ordinal or interval"),  # type: ignore[arg-type]
        (lambda: cohen_kappa(np.zeros((2, 3))), "two raters"),
        (lambda: cohen_kappa([[0, 1]], resampling=Resampling(over="items-and-raters")), "two given raters"),
        (lambda: icc(SHROUT_FLEISS, resampling=Resampling(over="items-and-raters")), "variance of raters"),
        (lambda: gwet_ac([[0, 5]], categories=[0, 1]), "categories"),
        (lambda: gwet_ac([[0, 1]], weights="cubic"), "identity, linear or quadratic"),  # type: ignore[arg-type]
        (lambda: set_alpha([[{"1"}, None], [{"1"}]]), "one entry per rater"),
        (lambda: set_alpha([[{"1"}]], distance="cosine"), "masi or jaccard"),  # type: ignore[arg-type]
        (lambda: fleiss_kappa(np.arange(400.0).reshape(200, 2)), "at most 100 different values"),
        (lambda: Resampling(draws=10), "at least 100"),
        (lambda: Resampling(confidence=95), "between 0 and 1"),
    ],
)  # fmt: skip
def test_wrong_input(call: object, message: str) -> None:
    """Input that makes no sense is refused with a message that says what was expected."""
    with pytest.raises(UsageError, match=message):
        call()  # type: ignore[operator]
