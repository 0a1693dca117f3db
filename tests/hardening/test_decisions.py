"""The gate's answers as facts of a study."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cvalues.hardening.decisions import Decision, decisions_of, fact
from cvalues.records import canonical
from cvalues.schema import Audit
from cvalues.scoring.gate import DEFAULT, Point, gate

POINTS = {f"p{n}": Point(f"p{n}", "law", float(n % 3 > 0)) for n in range(30)}
RESULT = gate({"choice/1": POINTS}, {"choice/1": POINTS}, DEFAULT, choice_only=True)
RUNS = st.sampled_from(["a", "b", "c"])


def decision(candidate: str, baseline: str, time: int) -> Decision:
    """An answer on two runs."""
    return Decision(
        result=RESULT, candidate_runs=(candidate,), baseline_runs=(baseline,), time=f"2026-01-01T00:00:{time:02}Z"
    )


def test_a_fact_gives_the_answer_back() -> None:
    """What a study keeps as JSON is the answer that was given, with every rule."""
    import msgspec

    kept = msgspec.json.decode(canonical(fact(decision("a", "b", 1))), type=Audit)
    assert decisions_of([kept], ["a"]) == [decision("a", "b", 1)]


@given(st.lists(st.tuples(RUNS, RUNS), max_size=20), st.sets(RUNS))
def test_of_each_pair_of_runs_the_latest_answer_counts(asked: list[tuple[str, str]], wanted: set[str]) -> None:
    """Of answers on the same runs the latest alone is told, in the order of time, and none on runs that nobody looks at."""
    made = [decision(candidate, baseline, time) for time, (candidate, baseline) in enumerate(asked)]
    noise = Audit(verb="round-plan", object="1", time="2026")
    found = decisions_of([noise, *(fact(each) for each in made)], wanted)
    last = {pair: time for time, pair in enumerate(asked)}
    expected = sorted(time for pair, time in last.items() if wanted & set(pair))
    assert found == [made[time] for time in expected]
