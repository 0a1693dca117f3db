"""Paired comparison and leaderboard."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvalues.errors import NotEnoughData, UsageError
from cvalues.scoring import ItemOutcome, compare, leaderboard, score
from cvalues.stats import holm, mcnemar_exact, paired_difference
from scoring.items import ANSWERS, pair


def simulated(model: str, rate: float, seed: int, pairs: int = 200, **fields: object) -> list[ItemOutcome]:
    """Returns a model that is right at this rate, on items whose difficulty all models with one seed share."""
    hardness = np.random.default_rng(seed).random((pairs, 2))
    return [
        item
        for at, (one, two) in enumerate(hardness)
        for item in pair(
            f"p{at}",
            ["1" if one < rate else "2", "2" if two < rate else "1"],
            **{"model": model, "level": 1 + at % 2, "category": ("law", "crimes")[at % 2]} | fields,
        )
    ]


def test_compare_by_hand() -> None:
    """Six pairs right for the candidate alone give the difference, counts and p worked by hand."""
    items = [
        item
        for at in range(10)
        for model, answers in (("old", ["2", "2"] if at < 6 else ["1", "2"]), ("new", ["1", "2"]))
        for item in pair(f"p{at}", answers, model=model)
    ]
    found = compare(items, "old", "new").overall
    # old is wrong in order 12 of 6 pairs: acc 14/20 against 1, difference 6/20; p = 2·(1/2)^6
    assert (found.acc.baseline, found.acc.candidate) == (0.7, 1.0)
    assert found.acc.test.difference.value == pytest.approx(0.3)
    assert found.acc.test.p == pytest.approx(2 / 64)
    assert (found.acc.test.wins, found.acc.test.losses, found.acc.test.ties) == (6, 0, 4)
    assert found.acc.verdict == "better"
    # pairs right in both orders: 4 of 10 against 10 of 10, which is McNemar with 6 against 0
    assert (found.both_orders.baseline, found.both_orders.candidate) == (0.4, 1.0)
    assert found.both_orders.test.p == pytest.approx(mcnemar_exact(6, 0))
    assert (found.items, found.pairs) == (20, 10)


def test_shared_choices_only() -> None:
    """Choices of one model alone are left out and counted; calls that failed are outside acc but not right in both orders."""
    items = [
        *pair("p", ["1", "2"], model="a"),
        *pair("p", ["1", "2"], model="b"),
        *pair("q", ["1", "2"], model="a"),
        *pair("q", ["1", None], model="b"),
        *pair("only-a", ["2", "1"], model="a"),
    ]
    found = compare(items, "a", "b")
    assert (found.shared, found.unshared, found.unanswered) == (4, 2, 1)
    assert (found.overall.items, found.overall.acc.baseline, found.overall.acc.candidate) == (3, 1, 1)
    assert (found.overall.pairs, found.overall.both_orders.baseline, found.overall.both_orders.candidate) == (2, 1, 0.5)


def test_pair_in_one_shared_order() -> None:
    """A pair of which the models share one order only counts for acc and not for both orders."""
    items = [*pair("p", ["1", "2"], model="a"), *pair("p", ["1"], model="b")]
    found = compare(items, "a", "b").overall
    assert (found.items, found.pairs) == (1, 0)
    assert found.both_orders.candidate is None
    assert (found.both_orders.verdict, found.both_orders.smallest_detectable) == ("cannot tell", None)


def test_holm_over_groups() -> None:
    """The adjusted p values of the groups are Holm's of their own, and a difference in one category is found there."""
    items = [
        item
        for at in range(40)
        for name in ("law", "crimes", "privacy")
        for model in ("a", "b")
        for item in pair(
            f"{name}{at}",
            ["1", "2"] if at % 3 or (name == "law" and model == "b") else ["2", "2"],
            model=model,
            category=name,
        )
    ]
    found = compare(items, "a", "b")
    assert [row.group for row in found.groups] == [{"category": name} for name in ("crimes", "law", "privacy")]
    assert [row.acc.verdict for row in found.groups] == ["cannot tell", "better", "cannot tell"]
    raw = [row.acc.test.p for row in found.groups]
    assert [row.acc.p_adjusted for row in found.groups] == pytest.approx(holm([p for p in raw if p is not None]))
    assert found.overall.acc.p_adjusted == found.overall.acc.test.p


@given(st.lists(st.tuples(*[st.sampled_from(ANSWERS)] * 4), min_size=1, max_size=25))
@settings(deadline=None)
def test_mirror(answers: list[tuple[object, ...]]) -> None:
    """Swapping baseline and candidate turns every sign and verdict and keeps every p value."""
    items = [
        item
        for at, row in enumerate(answers)
        for model, both in (("a", row[:2]), ("b", row[2:]))
        for item in pair(f"p{at}", both, model=model, category="xyz"[at % 3])  # type: ignore[arg-type]
    ]
    try:
        one = compare(items, "a", "b")
    except NotEnoughData:
        assert not any(row[at] and row[at + 2] for row in answers for at in (0, 1))
        return
    two = compare(items, "b", "a")
    turned = {"better": "worse", "worse": "better", "cannot tell": "cannot tell"}
    for left, right in zip((one.overall, *one.groups), (two.overall, *two.groups), strict=True):
        for change, other in ((left.acc, right.acc), (left.both_orders, right.both_orders)):
            assert other.p_adjusted == pytest.approx(change.p_adjusted)
            assert other.verdict == turned[change.verdict]
            assert (other.baseline, other.candidate) == (change.candidate, change.baseline)
            assert other.smallest_detectable == pytest.approx(change.smallest_detectable)


def test_witness_paired_difference() -> None:
    """Acc's test is the paired difference of right answers over pairs."""
    items = [*simulated("a", 0.6, 1), *simulated("b", 0.7, 2)]
    right = {model: [item.correct for item in items if item.model == model] for model in "ab"}
    direct = paired_difference(right["b"], right["a"], [at // 2 for at in range(400)], span=1.0, unit="pair")
    assert compare(items, "a", "b", by="level").overall.acc.test == direct


def test_smallest_detectable_promises_the_truth() -> None:
    """Of simulated candidates that are better by the smallest detectable difference about 80 % are called better."""
    rng = np.random.default_rng(3)
    old = rng.random((100, 2)) < 0.6
    base = [item for at, both in enumerate(old) for item in pair(f"p{at}", answer(both), model="a")]
    gain = 0.13
    found, promised = 0, []
    for _ in range(60):
        new = np.where(
            old, rng.random(old.shape) > 0.05, rng.random(old.shape) < (gain + 0.05 * old.mean()) / (~old).mean()
        )
        items = [*base, *(item for at, both in enumerate(new) for item in pair(f"p{at}", answer(both), model="b"))]
        change = compare(items, "a", "b", by="set").overall.acc
        found += change.verdict == "better"
        promised.append(change.smallest_detectable)
    assert np.mean(promised) < gain
    assert found / 60 > 0.75


def answer(right: np.ndarray) -> list[object]:
    """Returns the two answers of a pair that is right where `right` says so."""
    return ["1" if right[0] else "2", "2" if right[1] else "1"]


def test_compare_refuses() -> None:
    """Unknown, equal and disjoint models, keys and levels of significance are refused with what to do."""
    items = [*pair("p", ["1"], model="alpha"), *pair("q", ["1"], model="beta"), *pair("p", [None], model="down")]
    for error, message, call in (
        (UsageError, "unknown model 'alpah'; did you mean alpha", lambda: compare(items, "alpah", "beta")),
        (UsageError, "two different models", lambda: compare(items, "beta", "beta")),
        (UsageError, "unknown key", lambda: compare(items, "alpha", "down", by="colour")),
        (UsageError, "alpha: expected", lambda: compare(items, "alpha", "beta", alpha=5)),
        (NotEnoughData, "run both on one set", lambda: compare(items, "alpha", "beta")),
        (NotEnoughData, "share no choice that both answered", lambda: compare(items, "alpha", "down")),
    ):
        with pytest.raises(error, match=message):
            call()


def test_leaderboard_order_and_groups() -> None:
    """Models come by the mean of their levels' acc; two near ones share a letter, the far ones do not."""
    rates = {"low": 0.4, "mid": 0.6, "near": 0.603, "top": 0.9}
    items = [item for model, rate in rates.items() for item in simulated(model, rate, 5)]
    board = leaderboard(items)
    assert [row.model for row in board.standings] == ["top", "near", "mid", "low"]
    assert [row.letters for row in board.standings] == ["a", "b", "b", "c"]
    assert [row.ranks for row in board.standings] == [(1, 1), (2, 3), (2, 3), (4, 4)]
    assert board.groups == (("top",), ("near", "mid"), ("low",))
    assert len(board.tests) == 6
    accs = {(found.group["model"], found.group["level"]): found.acc for found in score(items, ("level",))}
    for row in board.standings:
        first, second = accs[row.model, 1], accs[row.model, 2]
        assert row.levels == {"1": first, "2": second}
        assert row.score.value == pytest.approx(((first.value or 0) + (second.value or 0)) / 2)
        assert row.score.low is not None
        assert row.score.low < (row.score.value or 0)


def test_levels_weigh_the_same() -> None:
    """A level with many items weighs no more than one with few, in the score and in the test."""
    items = [
        item
        for model, many, few in (("a", ["1", "2"], ["2", "1"]), ("b", ["2", "1"], ["1", "2"]))
        for at in range(66)
        for item in pair(f"p{at}", many if at < 60 else few, model=model, level=1 if at < 60 else 2)
    ]
    board = leaderboard(items)
    assert [row.score.value for row in board.standings] == [0.5, 0.5]
    (test,) = board.tests
    assert test.difference == pytest.approx(0, abs=1e-12)
    assert test.p == 1


def test_partial_model_changes_nothing_for_others() -> None:
    """A model without responses at a level is shown without score, letter and rank, and the others stay as they were."""
    full = [item for model, rate in (("a", 0.9), ("b", 0.5)) for item in simulated(model, rate, 1)]
    partial = [item for item in simulated("c", 0.99, 1) if item.level == 1]
    alone, together = leaderboard(full), leaderboard([*partial, *full])
    assert together.standings[:2] == alone.standings
    last = together.standings[2]
    assert (last.model, last.score.value, last.letters, last.ranks) == ("c", None, "", None)
    assert set(last.levels) == {"1"}


def test_models_without_shared_choices() -> None:
    """Models that were asked different choices cannot be told apart however far their scores lie apart."""
    items = [*simulated("a", 0.95, 1, set="one"), *simulated("b", 0.2, 1, set="two")]
    board = leaderboard(items)
    assert [row.letters for row in board.standings] == ["a", "a"]
    assert [test.p_adjusted for test in board.tests] == [None]


def test_many_equal_models_are_rarely_told_apart() -> None:
    """Ten models of the same rate on the same items: Holm keeps all in one group."""
    items = [item for at in range(10) for item in simulated(f"m{at}", 0.7, at)]
    board = leaderboard(items)
    assert len(board.groups) == 1
    assert {row.ranks for row in board.standings} == {(1, 10)}
    assert len(board.tests) == len(list(itertools.combinations(range(10), 2)))


def test_empty_leaderboard() -> None:
    """No outcomes give an empty board; a model whose calls all failed has a row without score."""
    assert leaderboard([]).standings == ()
    (row,) = leaderboard(pair("p", [None, None])).standings
    assert (row.score.value, row.ranks) == (None, None)
