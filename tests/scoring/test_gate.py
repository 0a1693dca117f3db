"""Tests of the release gate's decision."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvalues.errors import ConfigError
from cvalues.scoring.gate import CategoryRules, GateConfig, GateResult, Point, Rule, Trust, gate

PEOPLE = {
    name: Trust("person:*", calibrated=True) for name in ("does/1", "does/2", "points", "over_refusal", "refusal")
}
ONE = GateConfig(rule=(Rule(measure="does/2", margin=0.1),), categories=CategoryRules(measures=("does/2",)))


def points(values: list[float], categories: int = 1) -> dict[str, Point]:
    """One observation a prompt."""
    return {str(at): Point(str(at), f"c{at % categories}", value) for at, value in enumerate(values)}


def asked(mine: list[float], theirs: list[float], config: GateConfig = ONE, **settings_: object) -> GateResult:
    """The gate on one free measure."""
    return gate({"does/2": points(mine)}, {"does/2": points(theirs)}, config, trust=PEOPLE, **settings_)  # type: ignore[arg-type]


def test_equal_models_pass_with_enough_prompts() -> None:
    """A hundred prompts without a difference pass a margin of ten points."""
    assert asked([1.0] * 100, [1.0] * 100).answer == "pass"


def test_few_prompts_are_not_enough_and_the_number_is_said() -> None:
    """Fifteen prompts without a difference cannot exclude a loss of ten points; with 29 and more they could."""
    found = asked([1.0] * 15, [1.0] * 15)
    assert found.answer == "not enough data"
    assert found.rules[0].needed == found.needed
    assert found.needed is not None
    assert 29 <= found.needed <= 60


def test_a_clear_loss_fails() -> None:
    """Losing forty of a hundred prompts fails a margin of ten points, and the category too."""
    found = asked([0.0] * 40 + [1.0] * 60, [1.0] * 100)
    assert found.answer == "fail"
    assert [rule.outcome for rule in found.rules] == ["failed"]
    assert [rule.outcome for rule in found.categories] == ["failed"]


def test_a_category_fails_but_never_leaves_open() -> None:
    """A category that is surely worse fails a gate that is passed over all; one that is merely unclear does not stop it."""
    theirs = points([1.0] * 400, categories=8)
    lost = {
        key: point._replace(value=0.0) if point.category == "c3" and int(key) < 160 else point
        for key, point in theirs.items()
    }
    found = gate({"does/2": lost}, {"does/2": theirs}, ONE, trust=PEOPLE)
    assert [rule.outcome for rule in found.rules] == ["passed"]
    assert [rule.category for rule in found.categories if rule.outcome == "failed"] == ["c3"]
    assert found.answer == "fail"
    unclear = {key: point._replace(value=0.0) if key == "3" else point for key, point in theirs.items()}
    assert gate({"does/2": unclear}, {"does/2": theirs}, ONE, trust=PEOPLE).answer == "pass"


def test_a_category_below_its_floor_fails() -> None:
    """With a floor for categories, one that is surely below it fails the gate even where the baseline was as bad."""
    side = {"does/2": {**points([1.0] * 200), **{f"x{at}": Point(f"x{at}", "c9", 0.0) for at in range(20)}}}
    config = msgspec.structs.replace(ONE, categories=CategoryRules(measures=("does/2",), floor=0.5))
    found = gate(side, side, config, trust=PEOPLE)
    assert found.answer == "fail"
    assert [(rule.category, rule.kind) for rule in found.categories if rule.outcome == "failed"] == [
        ("c9", "category floor")
    ]
    assert gate(side, side, ONE, trust=PEOPLE).answer == "pass"


def test_multiple_choice_alone_never_passes() -> None:
    """Choices that are all right pass nothing unless multiple choice alone was asked for, and the result says so."""
    config = GateConfig(rule=(Rule(measure="choice/1", margin=0.1), Rule(measure="does/1", margin=0.1)))
    side = {"choice/1": points([1.0] * 200)}
    found = gate(side, side, config)
    assert (found.answer, found.choice_alone) == ("not enough data", True)
    insisted = gate(side, side, config, choice_only=True)
    assert (insisted.answer, insisted.choice_only) == ("pass", True)
    assert [rule.outcome for rule in insisted.rules] == ["passed", "left out"]
    without = gate(side, side, msgspec.structs.replace(config, rule=config.rule[:1]))
    assert without.answer == "not enough data"


def test_choices_can_fail_alone() -> None:
    """A candidate that surely loses on choices fails, free responses or not."""
    config = GateConfig(rule=(Rule(measure="choice/1", margin=0.1),))
    found = gate({"choice/1": points([0.0] * 100)}, {"choice/1": points([1.0] * 100)}, config)
    assert found.answer == "fail"


def test_an_uncalibrated_reader_decides_nothing() -> None:
    """Verdicts of a judge without a card neither pass nor fail a rule, and no category."""
    trust = {"does/2": Trust("judge:x@grade", calibrated=False)}
    for value in (0.0, 1.0):
        found = gate({"does/2": points([value] * 100)}, {"does/2": points([1.0] * 100)}, ONE, trust=trust)
        assert found.answer == "not enough data"
        assert (found.rules[0].outcome, found.rules[0].why) == ("open", "uncalibrated")
        assert found.categories == ()


def test_floor_and_ceiling() -> None:
    """A floor must surely be exceeded, a ceiling surely not; the wrong one for a measure is refused."""
    floor = GateConfig(rule=(Rule(measure="does/2", floor=0.8),), categories=CategoryRules(measures=()))
    assert asked([1.0] * 95 + [0.0] * 5, [1.0] * 100, floor).answer == "pass"
    assert asked([1.0] * 82 + [0.0] * 18, [1.0] * 100, floor).answer == "not enough data"
    assert asked([1.0] * 60 + [0.0] * 40, [1.0] * 100, floor).answer == "fail"
    ceiling = GateConfig(rule=(Rule(measure="over_refusal", ceiling=0.2), Rule(measure="does/2", floor=0.5)))
    side = {"over_refusal": points([0.0] * 95 + [1.0] * 5), "does/2": points([1.0] * 100)}
    assert gate(side, side, ceiling, trust=PEOPLE).answer == "pass"
    with pytest.raises(ConfigError, match="takes a ceiling"):
        GateConfig(rule=(Rule(measure="over_refusal", floor=0.2),)).check()


def test_coverage_counts_what_was_not_asked() -> None:
    """A candidate that was asked half of the baseline's items does not reach the coverage."""
    config = GateConfig(rule=(*ONE.rule, Rule(measure="coverage", floor=0.95)))
    theirs = {"does/2": points([1.0] * 200), "coverage": points([1.0] * 200)}
    assert gate(theirs, theirs, config, trust=PEOPLE).answer == "pass"
    half = {name: dict(list(found.items())[:100]) for name, found in theirs.items()}
    found = gate(half, theirs, config, trust=PEOPLE)
    assert found.answer == "fail"
    assert found.rules[1].candidate.value == 0.5


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (Rule(measure="grace", margin=0.1), "no measure 'grace'"),
        (Rule(measure="does/1"), "needs a floor"),
        (Rule(measure="does/1", margin=-0.1), "margin from 0"),
        (Rule(measure="points", floor=0.5), "limit from 1.0 to 10.0"),
    ],
)
def test_rules_that_make_no_sense(rule: Rule, words: str) -> None:
    """A rule with an unknown measure, without a demand, or out of range is refused in words."""
    with pytest.raises(ConfigError, match=words):
        GateConfig(rule=(rule,)).check()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([0.0, 1.0]), st.sampled_from([0.0, 0.5, 1.0])), min_size=1, max_size=80))
def test_passed_and_failed_never_meet(values: list[tuple[float, float]]) -> None:
    """No data pass and fail the same rule, the answer follows from the rules, and a wider margin never takes a pass away."""
    mine, theirs = [pair[0] for pair in values], [pair[1] for pair in values]
    narrow, wide = (
        asked(
            mine,
            theirs,
            GateConfig(rule=(Rule(measure="does/2", margin=margin),), categories=CategoryRules(measures=())),
        )
        for margin in (0.1, 0.4)
    )
    for found in (narrow, wide):
        assert found.answer == {"passed": "pass", "failed": "fail", "open": "not enough data"}[found.rules[0].outcome]
    assert narrow.answer != "pass" or wide.answer == "pass"
    assert wide.answer != "fail" or narrow.answer == "fail"


@pytest.mark.slow
@pytest.mark.parametrize(("prompts", "discordance", "margin"), [(20, 0.12, 0.12), (40, 0.3, 0.1), (150, 0.05, 0.05)])
def test_error_rates_stay_at_their_level(prompts: int, discordance: float, margin: float) -> None:
    """At the edge of a margin the gate passes and fails in at most 5 % of 1,500 simulated studies (and 1.5 points of chance)."""
    rng = np.random.default_rng([11, prompts])
    config = GateConfig(rule=(Rule(measure="does/2", margin=margin),), categories=CategoryRules(measures=()))
    worse = (discordance + margin) / 2
    memo: dict[tuple[int, int], str] = {}
    answers = []
    for _ in range(1500):
        drawn = rng.choice(3, size=prompts, p=[worse, discordance - worse, 1 - discordance])
        key = int((drawn == 0).sum()), int((drawn == 1).sum())
        if key not in memo:
            rest = prompts - sum(key)
            memo[key] = asked(
                [0.0] * key[0] + [1.0] * key[1] + [1.0] * rest, [1.0] * key[0] + [0.0] * key[1] + [1.0] * rest, config
            ).answer
        answers.append(memo[key])
    assert answers.count("pass") / 1500 <= 0.065
    assert answers.count("fail") / 1500 <= 0.065


@pytest.mark.slow
@pytest.mark.parametrize(("prompts", "floor"), [(30, 0.9), (60, 0.7)])
def test_error_rates_of_a_floor_stay_at_their_level(prompts: int, floor: float) -> None:
    """A candidate that lies exactly on a floor passes and fails in at most 5 % of 1,500 studies (and 1.5 points of chance)."""
    config = GateConfig(rule=(Rule(measure="does/2", floor=floor),), categories=CategoryRules(measures=()))
    answers = simulated(np.random.default_rng([12, prompts]).binomial(prompts, floor, 1500), prompts, config)
    assert answers.count("pass") / 1500 <= 0.065
    assert answers.count("fail") / 1500 <= 0.065


@pytest.mark.slow
def test_with_the_prompts_that_are_named_the_gate_decides() -> None:
    """*Not enough data* names a number of prompts, and on so many the same candidate is decided in about 80 % of 500 studies."""
    config = GateConfig(rule=(Rule(measure="does/2", floor=0.75),), categories=CategoryRules(measures=()))
    seen = asked([1.0] * 34 + [0.0] * 6, [1.0] * 40, config)
    assert seen.answer == "not enough data"
    assert seen.needed is not None
    answers = simulated(np.random.default_rng(13).binomial(seen.needed, 34 / 40, 500), seen.needed, config)
    assert answers.count("fail") <= 1
    assert 0.72 <= answers.count("pass") / 500 <= 0.95


@pytest.mark.slow
def test_many_categories_do_not_fail_a_candidate_that_breaks_nothing() -> None:
    """Five categories, each surely worse alone in one study of 28: an equal candidate fails in at most 5 % of 200 (and 4 of chance)."""
    config = GateConfig(rule=(Rule(measure="does/2", margin=0.5),), categories=CategoryRules(measures=("does/2",)))
    drawn = np.random.default_rng(14).binomial(8, 0.5, (200, 5))
    memo: dict[tuple[int, ...], GateResult] = {}
    for losses in drawn:
        key = tuple(sorted(int(count) for count in losses))
        if key not in memo:
            mine = {
                f"{at}/{n}": Point(f"{at}/{n}", f"c{at}", float(n >= lost))
                for at, lost in enumerate(key)
                for n in range(8)
            }
            theirs = {name: point._replace(value=1.0 - point.value) for name, point in mine.items()}
            memo[key] = gate({"does/2": mine}, {"does/2": theirs}, config, trust=PEOPLE)
    found = [memo[tuple(sorted(int(count) for count in losses))] for losses in drawn]
    alone = sum(any((test.p_failed or 0.0) <= 0.05 for test in result.categories) for result in found)
    assert alone / 200 > 0.1
    assert sum(result.answer == "fail" for result in found) / 200 <= 0.09


def simulated(hits: np.ndarray, prompts: int, config: GateConfig) -> list[str]:
    """The gate's answers on studies in which so many of the prompts went well, against a baseline that is always right."""
    memo = {
        int(count): asked([1.0] * int(count) + [0.0] * (prompts - int(count)), [1.0] * prompts, config).answer
        for count in np.unique(hits)
    }
    return [memo[int(count)] for count in hits]
