"""The planner's figures against published ones and against simulation."""

from __future__ import annotations

import numpy as np
import pytest

from cvalues.errors import UsageError
from cvalues.people import planner
from cvalues.people.planner import Plan


@pytest.mark.parametrize(
    ("items", "low", "high"), [(100, 5.5, 17.4), (200, 6.6, 14.9), (400, 7.4, 13.3), (1300, 8.5, 11.8)]
)
def test_precision_of_a_share(items: int, low: float, high: float) -> None:
    """At 10 % the Wilson interval is 5.5–17.4 with 100 items, 8.5–11.8 with 1,300."""
    found = planner.share_precision(0.1, items)
    assert found.low is not None
    assert found.high is not None
    assert (round(100 * found.low, 1), round(100 * found.high, 1)) == (low, high)


@pytest.mark.parametrize(
    ("accuracy", "one", "three", "five", "votes"),
    [(0.8, 20, 10.4, 5.8, 2.32), (0.9, 10, 2.8, 0.9, 2.18), (0.95, 5, 0.7, 0.1, 2.10)],
)
def test_errors_of_a_majority(accuracy: float, one: float, three: float, five: float, votes: float) -> None:
    """With .80 the majority of 1, 3, 5 votes errs in 20, 10.4, 5.8 %: 3(.2²)(.8) + .2³ = .104; votes of 2 + 1: 2 + 2(.8)(.2) = 2.32."""
    errors = [round(100 * planner.majority_error(accuracy, n), 1) for n in (1, 3, 5)]
    assert errors == [one, three, five]
    assert round(planner.adaptive_votes(accuracy), 2) == votes


def test_majority_error_by_simulation() -> None:
    """The formula is what drawing votes gives, ties as half an error."""
    rng = np.random.default_rng(5)
    for votes in (1, 2, 3, 4, 7):
        wrong = (rng.random((200_000, votes)) > 0.85).sum(axis=1)
        found = np.mean((2 * wrong > votes) + 0.5 * (2 * wrong == votes))
        assert planner.majority_error(0.85, votes) == pytest.approx(found, abs=0.003)


def test_gold_gate() -> None:
    """20 items with gate 16 fail 4.3 % of people who are right in 90 % and 76 % of those in 70 %; 30 with 24: 2.6 % and 84 %."""
    assert round(100 * planner.fails_gate(0.9, 20, 16), 1) == 4.3
    assert round(100 * planner.fails_gate(0.7, 20, 16)) == 76
    assert round(100 * planner.fails_gate(0.9, 30, 24), 1) == 2.6
    assert round(100 * planner.fails_gate(0.7, 30, 24)) == 84


def test_points_need_experts() -> None:
    """660 items by 8 experts give ±0.45: 1.96·√(1.8²/660 + .6²/8 + 1.2²/660); 24 experts with three votes ±0.28."""
    plan = Plan()
    assert round(planner.mean_half_width(plan, 660, 8, 1), 2) == 0.45
    assert round(planner.mean_half_width(plan, 660, 24, 3), 2) == 0.28


def test_mean_half_width_by_simulation() -> None:
    """Means of simulated campaigns lie within the half-width in 95 % of them."""
    plan, rng, inside = Plan(), np.random.default_rng(11), 0
    width = planner.mean_half_width(plan, 60, 6, 2)
    for _ in range(2000):
        items, people = rng.normal(5, plan.item_sd, 60), rng.normal(0, plan.person_sd, 6)
        judges = np.array([(2 * n + np.arange(2)) % 6 for n in range(60)])
        votes = items[:, None] + people[judges] + rng.normal(0, plan.residual_sd, (60, 2))
        inside += abs(votes.mean() - 5) <= width
    assert 0.935 <= inside / 2000 <= 0.965


def test_tables_in_both_languages() -> None:
    """Every table has as many cells as columns in both languages, and more models make smaller differences harder to find."""
    for language in ("zh", "en"):
        for table in planner.tables(Plan(models=10), language):
            assert all(len(row) == len(table.columns) for row in table.rows)
    few, many = (planner.tables(Plan(models=models), "en")[0].rows[-1][3] for models in (2, 10))
    assert float(str(few)) < float(str(many))


@pytest.mark.parametrize(
    "wrong", [{"rate": 2.0}, {"items": ()}, {"models": 1}, {"gold_pass": 30}, {"accuracy": -0.1}, {"people": 0}]
)
def test_assumptions_out_of_range(wrong: dict[str, object]) -> None:
    """An assumption that makes no sense is refused by name."""
    import msgspec

    with pytest.raises(UsageError, match="expected"):
        planner.tables(msgspec.structs.replace(Plan(), **wrong), "en")
