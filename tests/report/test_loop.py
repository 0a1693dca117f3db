"""Rounds of hardening and the gate's answers in the report."""

from __future__ import annotations

import re

import msgspec
import pytest
from measured import measurement

from cvalues.hardening.decisions import Decision
from cvalues.hardening.rounds import Round
from cvalues.report import ReportInput, html
from cvalues.report.facts import Facts
from cvalues.report.loop import loop_parts
from cvalues.report.markdown import render
from cvalues.report.words import LANGUAGES, Words
from cvalues.scoring.gate import DEFAULT, GateConfig, Point, Rule, gate
from cvalues.taxonomy import builtin

POINTS = {f"p{n}": Point(f"p{n}", "law", float(n % 4 > 0)) for n in range(80)}
READINGS = {"choice/1": POINTS, "choice/2": POINTS, "choice_coverage": POINTS}
CHANGE = {"measure": "choice/2", "part": "sampled", "value": 0.12, "low": 0.04, "high": 0.2}
ROUND = Round(
    name="1",
    steps={"plan": [{"weak": ["law"], "write": 40}], "compare": [{"changes": [CHANGE], "worse": 0, "better": 1}]},
    start="2026-01-02T03:04:05Z",
)


def decided(*, choice_only: bool, config: GateConfig = DEFAULT, candidate: str = "new") -> Decision:
    """What the gate answers on two models that are the same, on choices alone."""
    result = gate(READINGS, READINGS, config, names=(candidate, "old"), choice_only=choice_only)
    return Decision(
        result=result, candidate_runs=("n1",), baseline_runs=("o1",), changed_sets=("starter-choice",), unasked=3,
        time="2026-01-02T03:04:05Z",
    )  # fmt: skip


def reported(**parts: object) -> ReportInput:
    """A measurement with rounds, answers of the gate, or both."""
    return msgspec.structs.replace(measurement(20), **parts)


def looped() -> ReportInput:
    """A measurement with a round and an answer of the gate by choices alone."""
    return reported(rounds=(ROUND,), decisions=(decided(choice_only=True),))


def test_without_rounds_and_answers_there_is_no_part() -> None:
    """A study without rounds and without the gate has no such part."""
    assert loop_parts(measurement(6), Words("en", builtin())) == []
    assert "Rounds of hardening" not in render(Facts(measurement(6)), Words("en", builtin()))


@pytest.mark.parametrize("language", LANGUAGES)
def test_rounds_stand_as_a_chart_and_a_table(language: str) -> None:
    """All rounds stand in one chart, which says the change in words too, and in one table; Markdown has the table."""
    data = reported(rounds=(ROUND,))
    words = Words("zh" if language == "zh" else "en", builtin())
    (part,) = loop_parts(data, words)
    assert (part.name, len(part.charts), len(part.grids[0].rows)) == ("rounds", 1, 1)
    assert "+12.0 [+4.0, +20.0]" in part.charts[0].svg
    page = html.render(Facts(data), [words.language])
    assert f'id="{language}-rounds"' in page
    assert str(part.charts[0].svg) in page
    assert "+12.0" in render(Facts(data), words)


def test_a_plan_without_a_comparison_has_no_chart() -> None:
    """A round that is only planned stands in the table, without a chart."""
    bare = Round(name="1", steps={"plan": [{"weak": [], "write": 3}]}, start="2026-01-02T03:04:05Z")
    (part,) = loop_parts(reported(rounds=(bare,)), Words("en", builtin()))
    assert part.charts == ()
    assert len(part.grids[0].rows) == 1


@pytest.mark.parametrize(
    ("choice_only", "said"), [(True, "rests on multiple choice alone"), (False, "Only multiple choice was measured")]
)
def test_an_answer_by_choices_alone_says_so(choice_only: bool, said: str) -> None:
    """The report warns above the table where an answer rests on multiple choice alone, in HTML and Markdown."""
    config = GateConfig(rule=(Rule(measure="choice/2", margin=0.4),))
    data = reported(decisions=(decided(choice_only=choice_only, config=config),))
    (part,) = loop_parts(data, Words("en", builtin()))
    answer = "PASS" if choice_only else "NOT ENOUGH DATA"
    assert len(part.warnings) == 1
    assert said in part.warnings[0]
    assert answer in part.warnings[0]
    assert not any(said in note for grid in part.grids for note in grid.notes), "said twice"
    page = html.render(Facts(data), ["en"])
    assert re.search(rf'<p class="warning">[^<]*{said}', page)
    assert said in render(Facts(data), Words("en", builtin()))


def test_the_latest_answer_comes_first_with_what_it_rests_on() -> None:
    """Answers stand from the latest to the oldest, each with its rules, its runs, its time and what differed between the two sides."""
    data = reported(decisions=(decided(choice_only=True, candidate="a"), decided(choice_only=True, candidate="b")))
    (part,) = loop_parts(data, Words("en", builtin()))
    heads = [grid for grid in part.grids if not grid.folded]
    assert ["candidate b" in grid.head for grid in heads] == [True, False]
    assert len(heads[0].rows) == len(DEFAULT.rule)
    notes = " ".join(heads[0].notes)
    assert "starter-choice" in notes
    assert "3 items" in notes
    assert "2026-01-02 03:04 UTC; runs of the candidate: n1; runs of the baseline: o1" in notes


def test_hostile_names_stay_text() -> None:
    """A model or round with markup in its name makes no markup."""
    name = "<script>alert(1)</script>|{x}"
    hostile = msgspec.structs.replace(ROUND, name=name)
    data = reported(rounds=(hostile,), decisions=(decided(choice_only=True, candidate=name),))
    assert "<script>alert" not in html.render(Facts(data), ["en", "zh"])
    assert "<script>" not in render(Facts(data), Words("en", builtin())).replace(r"\<script\>", "")
