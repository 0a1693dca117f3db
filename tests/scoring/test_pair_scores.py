"""Evaluation of reward models: groups, calibration, length bias, comparison."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata, spearmanr

from cvalues.errors import UsageError
from cvalues.pairs.pair import Pair
from cvalues.schema import NO_DATA, Reply
from cvalues.scoring.pairs import Facets, calibration, compare, evaluate, expected_error, facets, ranks, spearman


def of(count: int, *, per: int = 3) -> Facets:
    """Facets of `count` pairs, `per` of each prompt."""
    return Facets(
        clusters=tuple(f"p{place // per}" for place in range(count)),
        types=tuple(("safe/unsafe", "responsible/safe", "responsible/unsafe")[place % 3] for place in range(count)),
        categories=tuple(("law", "insult")[place % 2] for place in range(count)),
        lengths=tuple(place * 10 - 60 for place in range(count)),
    )


def test_groups_add_up_and_ties_count_half() -> None:
    """Six right, two ties, one wrong of nine: (6 + 2/2) / 9; groups of a kind hold every pair once."""
    margins = [1.0, 2, 0, 1, -1, 0, 1, 1, 1]
    found = evaluate("m", margins, of(9))
    assert found.overall.accuracy.value == pytest.approx(7 / 9)
    assert (found.overall.ties, found.overall.accuracy.clusters) == (2, 3)
    for kind in ("type", "category", "length"):
        assert sum(group.accuracy.n for group in found.groups if group.by == kind) == 9
    lengths = [group.value for group in found.groups if group.by == "length"]
    assert lengths == ["-100 … -20", "-20 … 20", "20 … 100"]


def test_pairs_without_a_score_are_missing_not_wrong() -> None:
    """A pair whose call failed is in no figure and is counted; nothing at all is no data."""
    found = evaluate("m", [1.0, float("nan"), -1.0], of(3))
    assert (found.missing, found.overall.accuracy.n, found.overall.accuracy.value) == (1, 2, 0.5)
    empty = evaluate("m", [], of(0))
    assert (empty.overall.accuracy, empty.ece, empty.length_bias, empty.bins) == (NO_DATA, None, NO_DATA, ())
    with pytest.raises(UsageError, match="expected one for each of the 3 pairs"):
        evaluate("m", [1.0], of(3))


def test_calibration_is_worked_by_hand() -> None:
    """Two pairs at σ = 0.75, one right, and two ties: ECE = 2/4·|0.5 − 0.75| + 2/4·|0.5 − 0.5| = 0.125."""
    sure = float(np.log(3))  # σ(log 3) = 3 / 4
    bins = calibration(np.array([sure, -sure, 0.0, 0.0]), np.arange(4))
    assert [(entry.pairs, round(entry.expected, 6), entry.right.value) for entry in bins] == [
        (2, 0.5, 0.5),
        (2, 0.75, 0.5),
    ]
    assert expected_error(bins) == pytest.approx(0.125)
    assert expected_error(()) is None
    assert evaluate("baseline:longer", [1.0, 2.0, 3.0], of(3), logits=False).ece is None


def test_a_calibrated_model_has_little_error() -> None:
    """When a pair is right with chance σ(|m|) the error goes to 0; when the margins are tripled it does not."""
    rng = np.random.default_rng(5)
    margins = rng.normal(0, 2, size=20_000)
    margins = np.abs(margins) * np.where(rng.random(20_000) < 1 / (1 + np.exp(-np.abs(margins))), 1, -1)
    clusters = np.arange(20_000)
    assert (expected_error(calibration(margins, clusters)) or 1) < 0.02
    assert (expected_error(calibration(3 * margins, clusters)) or 0) > 0.08


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(-5, 5), st.integers(-5, 5)), min_size=2, max_size=30))
def test_spearman_agrees_with_scipy(drawn: list[tuple[int, int]]) -> None:
    """Ranks and correlation are those of scipy, and the limits hold the value."""
    one, two = [x for x, _ in drawn], [y for _, y in drawn]
    assert ranks(one).tolist() == rankdata(one).tolist()
    found = spearman(one, two, np.arange(len(one)))
    if len(set(one)) == 1 or len(set(two)) == 1:
        assert found == NO_DATA
        return
    assert found.value == pytest.approx(spearmanr(one, two).statistic, abs=1e-9)
    if found.low is not None and found.high is not None:
        assert -1 <= found.low <= (found.value or 0) <= found.high <= 1


def test_length_bias_is_seen() -> None:
    """A model that scores by length has a correlation of 1, its opposite of −1."""
    pairs = of(30)
    assert evaluate("m", [float(value) for value in pairs.lengths], pairs).length_bias.value == pytest.approx(1)
    assert evaluate("m", [-float(value) for value in pairs.lengths], pairs).length_bias.value == pytest.approx(-1)


def test_two_models_are_compared_on_what_both_scored() -> None:
    """A wins 4 clusters of 4 against b: difference 1, exact p = 2 / 2⁴; the same model against itself: 0, p 1."""
    pairs = of(4, per=1)
    test = compare([1, 1, 1, 1], [-1, -1, -1, -1], pairs)
    assert (test.difference.value, test.p, test.wins) == (1.0, pytest.approx(2 / 16), 4)
    even = compare([1, -1, 1, float("nan")], [1, -1, 1, -1], pairs)
    assert (even.difference.value, even.p, even.ties) == (0.0, 1.0, 3)


def test_pairs_are_clustered_by_their_cluster_else_their_prompt() -> None:
    """Facets take cluster, type, category and length difference from the pairs."""
    pair = Pair(
        id="1",
        prompt_id="p",
        question="问",
        better=Reply(text="一二三", grade="safe"),
        worse=Reply(text="一", grade="unsafe"),
        level=1,
    )
    other = Pair(
        id="2", prompt_id="p", question="问", better=Reply(text="一"), worse=Reply(text="一二 "), level=1, cluster="c"
    )
    found = facets([pair, other])
    assert (found.clusters, found.types, found.lengths) == (("p", "c"), ("safe/unsafe", "ungraded"), (2, -1))
