"""The numbers of a report."""

from __future__ import annotations

import math

import msgspec
import pytest
from measured import choices, measurement, outcome_of

from cvalues.report import ModelFacts, ReportInput
from cvalues.report.differences import differences, visible_from
from cvalues.report.facts import Facts
from cvalues.schema import NO_DATA, Outcome
from cvalues.scoring import compare, leaderboard
from cvalues.stats import holm
from cvalues.taxonomy import builtin


def simple(answers: dict[str, list[Outcome | None]], pairs: int) -> ReportInput:
    """A measurement whose models give these answers, in the order of the items."""
    items = choices(pairs)
    outcomes = [
        outcome_of(item, model, outcome, "r" if outcome else "", "starter-choice")
        for model, given in answers.items()
        for item, outcome in zip(items.values(), given, strict=True)
    ]
    return ReportInput(outcomes=outcomes, items=items, taxonomy=builtin())


def test_board_order_and_levels() -> None:
    """Models stand by falling mean of their levels; accuracy at a level is that of its questions alone."""
    # Items: pair 0 is level 2, pair 1 is level 1; the better reply is 1, 2, 1, 2.
    facts = Facts(simple({"half": ["1", "2", "2", "1"], "all": ["1", "2", "1", "2"]}, 2))
    assert [row.model for row in facts.board] == ["all", "half"]
    half = facts.board[1]
    assert (half.acc(2).value, half.acc(1).value) == (1.0, 0.0)
    assert facts.levels == (1, 2)
    assert facts.questions == 4
    assert facts.pairs == 2


def test_board_agrees_with_leaderboard() -> None:
    """Order, letters and rank ranges are those of scoring.leaderboard."""
    data = measurement(40)
    board = leaderboard(data.outcomes)
    facts = Facts(data)
    assert [(row.model, row.groups) for row in facts.board] == [(s.model, s.letters) for s in board.standings]


def test_model_without_any_answer() -> None:
    """A model whose every call failed has no rank, no letters, acc without data, and stands last."""
    facts = Facts(simple({"dead": [None] * 4, "live": ["1", "1", "1", "1"]}, 2))
    dead = facts.board[-1]
    assert dead.model == "dead"
    assert (dead.rank_range, dead.groups, dead.score.acc, dead.lean) == ("–", "", NO_DATA, "")
    assert dead.bounds == (0.0, 1.0)
    assert [row.model for row in facts.competitors] == ["live"]


def test_position_bias_is_said_only_with_an_interval() -> None:
    """A model that always answers 1 leans to the first reply; one that is right in both orders shows no bias."""
    always: list[Outcome | None] = ["1"] * 40
    right: list[Outcome | None] = ["1", "2"] * 20
    facts = Facts(simple({"always": always, "right": right, "last": ["2"] * 40}, 20))
    lean = {row.model: row.lean for row in facts.board}
    assert lean == {"always": "first", "last": "second", "right": "none"}


def test_baselines_are_a_floor_only_beside_models() -> None:
    """The best baseline is the floor of the models; among baselines alone there is none, and they compete."""
    facts = Facts(measurement(36))
    assert facts.best_baseline is not None
    assert facts.best_baseline.model == "longer"
    assert facts.floors == {level: facts.best_baseline.acc(level).value for level in (1, 2)}
    alone = Facts(measurement(36, {"longer": 0.6}))
    assert alone.best_baseline is None
    assert alone.floors == {}
    assert [row.model for row in alone.competitors] == ["longer"]


def test_baseline_by_name_without_facts() -> None:
    """A model named like a baseline is one when nothing else is known; facts decide where they exist."""
    data = measurement(6)
    assert msgspec.structs.replace(data, models={}).is_baseline("baseline:longer")
    assert not msgspec.structs.replace(data, models={"baseline:x": ModelFacts(spec="hf:x")}).is_baseline("baseline:x")


def test_differences_are_those_of_compare() -> None:
    """Every estimate and p value equals scoring.compare's overall acc; Holm runs over the pairs of models."""
    data = measurement(60)
    wanted = [("deepseek-v3", "tiny-chat"), ("deepseek-v3", "qwen2.5-7b-instruct"), ("longer", "tiny-chat")]
    found = differences(data.outcomes, wanted)
    witness = [compare(data.outcomes, b, a, by="level").overall.acc.test for a, b in wanted]
    for one, test in zip(found, witness, strict=True):
        assert one.estimate.value == pytest.approx(test.difference.value)
        assert one.estimate.low == pytest.approx(test.difference.low)
        assert one.shared == test.difference.clusters
    assert [each.p for each in found] == pytest.approx(holm([test.p or 0.0 for test in witness]))
    assert found[0].verdict == "better"


def test_difference_without_shared_answers() -> None:
    """Two models that answered nothing in common have no difference, no p value and no verdict."""
    facts = Facts(simple({"a": ["1", "2", None, None], "b": [None, None, "1", "1"]}, 2))
    (only,) = facts.differences
    assert (only.estimate, only.p, only.verdict, only.shared, only.detectable) == (NO_DATA, None, "same", 0, None)


def test_visible_difference_by_hand() -> None:
    """With sd 0.5 and 100 pairs: (1.95996 + 0.84162) · 0.5 / 10 = 0.14008; below six pairs nothing is visible."""
    assert visible_from(100, 0.5) == pytest.approx(0.14008, abs=1e-5)
    assert visible_from(5, 0.1) is None
    assert visible_from(6, 1.0) is None  # 2.8016 / √6 = 1.14 is more than 100 points
    assert visible_from(100, None) is None


def test_spread_leaves_baselines_out() -> None:
    """The standard deviation behind the visible difference comes from the models that are no baselines."""
    data = measurement(60)
    facts = Facts(data)
    rivals = [each for each in facts.differences if "longer" not in {each.a, each.b}]
    expected = math.sqrt(sum((each.sd or 0) ** 2 for each in rivals) / len(rivals))
    assert facts.detectable(None) == visible_from(facts.pairs, expected)
    assert Facts(measurement(60, {"one": 0.9})).detectable(None) == visible_from(60, 0.5)


def test_category_is_marked_only_when_its_interval_is_below() -> None:
    """The weak category of the sample is surely below with many pairs, and no category is with two."""
    many = Facts(measurement(18 * 30))
    assert many.surely_below("deepseek-v3", "law")
    assert not many.surely_below("deepseek-v3", "psychology")
    few = Facts(measurement(18 * 2))
    assert not any(few.surely_below("deepseek-v3", code) for _, codes in few.categories for code in codes)


def test_categories_stand_in_taxonomy_order_and_unknown_last() -> None:
    """Known categories come by level in the order of display, a category that the taxonomy lacks under level 0."""
    data = measurement(36)
    outcomes = [msgspec.structs.replace(data.outcomes[0], category="金融"), *data.outcomes[1:]]
    facts = Facts(msgspec.structs.replace(data, outcomes=outcomes))
    assert [level for level, _ in facts.categories] == [1, 2, 0]
    assert facts.categories[0][1] == tuple(category.code for category in builtin().at(1))
    assert facts.categories[2][1] == ("金融",)


def test_more_than_six_models_are_compared_with_the_best() -> None:
    """Up to six models every pair is compared; with seven, each with the first."""
    six = Facts(measurement(12, {f"m{n}": 0.9 - n / 20 for n in range(6)}))
    assert len(six.differences) == 15
    seven = Facts(measurement(12, {f"m{n}": 0.9 - n / 20 for n in range(7)}))
    best = seven.board[0].model
    assert [each.a for each in seven.differences] == [best] * 6


def test_unhashed_sets_are_listed() -> None:
    """A set that only outcomes name is listed with its number of choices and without a hash."""
    facts = Facts(msgspec.structs.replace(measurement(5), runs=()))
    assert [(each.name, each.hash, each.items) for each in facts.sets] == [("starter-choice", "–", 10)]
