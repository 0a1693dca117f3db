"""Tests of where a model is weak and what experts have to write."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvalues.errors import NotEnoughData, UsageError
from cvalues.hardening.gaps import gaps, measures_for, weakest, weights_of
from cvalues.hardening.plan import HardenPlan, needs_of, plan_tables, quotas
from cvalues.scoring.gate import Point
from cvalues.stats.power import clusters_needed
from cvalues.taxonomy import builtin


def readings(rates: dict[str, tuple[int, int]], measure: str = "does/2") -> dict[str, dict[str, Point]]:
    """By category (right, all)."""
    return {
        measure: {
            f"{code}{at}": Point(f"{code}{at}", code, float(at < right))
            for code, (right, n) in rates.items()
            for at in range(n)
        }
    }


EVEN = weights_of(builtin(), {}, {})
RATES = {"law": (20, 100), "psychology": (6, 8), "data_science": (99, 100), "barrier_free": (40, 100)}


def test_weak_unclear_and_reached_are_told_apart() -> None:
    """Surely weak come first by risk, then what nobody can tell with the number that would decide, then what reaches the goal."""
    found = gaps(readings(RATES), ["does/2"], EVEN, goal=0.8)
    assert [(gap.category, gap.verdict) for gap in found] == [
        ("law", "weak"), ("barrier_free", "weak"), ("psychology", "cannot tell"), ("data_science", "reached"),
    ]  # fmt: skip
    unclear = found[2]
    assert unclear.needed is None or unclear.needed > 8
    assert found[0].needed is None


def test_risk_is_upper_limit_times_harm_times_traffic() -> None:
    """Risk multiplies the upper limit of the failure rate with harm and the user's traffic; no traffic named means none there."""
    weights = weights_of(builtin(), {"law": 0.1, "barrier_free": 5.0}, {"law": 4.0})
    found = {gap.category: gap for gap in gaps(readings(RATES), ["does/2"], weights)}
    law = found["law"]
    assert law.score.low is not None
    assert law.risk == pytest.approx((1 - law.score.low) * 4.0 * 0.1)
    assert found["psychology"].risk == 0
    assert weakest(list(found.values()), 1) == ["barrier_free"]


def test_free_responses_count_before_choices_when_somebody_read_them() -> None:
    """A level is planned by what the model writes where its reader can be trusted, else by choices."""
    both = {**readings(RATES), **readings(RATES, "choice/2"), **readings(RATES, "choice/1")}
    assert measures_for(both, ["does/2"]) == ["choice/1", "does/2"]
    assert measures_for(both, []) == ["choice/1", "choice/2"]


@settings(max_examples=20, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["law", "psychology", "crimes"]), st.tuples(st.integers(0, 30), st.integers(1, 30)), min_size=1
    )
)
def test_every_category_is_in_one_list(rates: dict[str, tuple[int, int]]) -> None:
    """Every category appears once, and adjusted p values are never below the plain ones."""
    found = gaps(readings({code: (min(right, n), n) for code, (right, n) in rates.items()}), ["does/2"], EVEN)
    assert sorted(gap.category for gap in found) == sorted(rates)
    assert all(gap.p_adjusted >= gap.p for gap in found)


def test_what_has_to_be_written_follows_from_the_power() -> None:
    """A category lacks the prompts that the power calculation wants, at alpha shared out over the chosen categories."""
    found = gaps(readings(RATES), ["does/2"], EVEN)
    needs = {need.category: need for need in needs_of(found, change=0.15, learn=10)}
    assert set(needs) == {"law", "barrier_free", "psychology"}
    spread = next(gap.spread for gap in found if gap.category == "psychology")
    wanted = clusters_needed(0.15, sd=spread, power=0.8, alpha=0.05 / 3)
    assert needs["psychology"].wanted == wanted
    assert needs["psychology"].write_measure == wanted - 8
    assert quotas(list(needs.values()))["psychology"] == wanted - 8 + 10


def test_tables_in_both_languages() -> None:
    """The three tables exist in Chinese and English and name the categories."""
    found = gaps(readings(RATES), ["does/2"], EVEN)
    plan = HardenPlan(
        model="m",
        runs=("r",),
        goal=0.8,
        change=0.15,
        alpha=0.05,
        power=0.8,
        gaps=tuple(found),
        needs=tuple(needs_of(found, change=0.15)),
    )
    chinese, english = (plan_tables(plan, language) for language in ("zh", "en"))
    assert [len(table.rows) for table in chinese] == [2, 1, 3]
    assert chinese[0].rows[0][0] == "法理学"
    assert english[1].title == "Cannot tell"


def test_faulty_plans() -> None:
    """A goal, change or weight out of range, and runs without a score, are refused in words."""
    with pytest.raises(UsageError, match="--goal"):
        gaps(readings(RATES), ["does/2"], EVEN, goal=1.5)
    with pytest.raises(UsageError, match="--change"):
        needs_of([], change=0)
    with pytest.raises(UsageError, match="traffic of 'law'"):
        weights_of(builtin(), {"law": -1}, {})
    with pytest.raises(NotEnoughData, match="no score"):
        gaps({}, ["does/2"], EVEN)
