"""Agreement and the figures of people: sets of best replies, first votes alone, pairs, severity, drift, skips."""

from __future__ import annotations

import pytest
from crowd import claim, make_desk, people, question, send, start, work

from cvalues.people import holding, tasks
from cvalues.people.agreeing import agreement
from cvalues.people.quality import FEWEST_GAPS, quality
from cvalues.stats import set_alpha
from cvalues.study import Study, open_study
from cvalues.workflows.people import status, status_tables


def best_of(shown: tuple[str, ...], chosen: set[str]) -> list[int]:
    """Positions, in one person's order, of the replies that end so."""
    return [place for place, text in enumerate(shown, 1) if text[-1] in chosen]


@pytest.mark.parametrize("language", ["zh", "en"])
def test_sets_of_best_replies(tmp_path: object, language: str) -> None:
    """α of the sets compares replies, whatever order each expert saw them in; two who name the same replies agree fully."""
    with open_study(f"{tmp_path}/s.db") as study:
        desk, _ = make_desk(study)
        start(desk, "expert", count=0, overlap=2)
        tasks.add_tasks(desk, "c", [question(number) for number in range(6)])
        choices: list[list[set[str] | None]] = []
        for person in people(desk, 2, "expert"):
            for _ in range(6):
                given = claim(desk, person)
                number = int(given.prompt[-1])
                chosen = {"0", "1"} if number % 2 else {"2"}
                texts = tuple(one.text for one in given.replies)
                send(desk, person, given.task, {"best": best_of(texts, chosen), "points": 7 + number % 2})
        found = agreement(desk, "c")
        assert found.best is not None
        assert found.best.value == pytest.approx(1)
        assert found.icc is not None
        assert found.icc.value == pytest.approx(1)
        choices = [[{"a"}, {"a"}], [{"a"}, {"b"}]]
        # Observed: item 1 agrees, item 2 differs by 1, so D_o = 2/4. Expected: three a and one b in 4·3 ordered pairs: 6/12. α = 0.
        assert set_alpha(choices).value == pytest.approx(0)
        tables = status_tables(status(desk, "c"), language)
        assert any("MASI" in str(row[0]) for table in tables for row in table.rows)


def test_an_expert_who_differs_lowers_alpha(study: Study) -> None:
    """Naming another set than the first expert on half of the questions is seen."""
    desk, _ = make_desk(study)
    start(desk, "expert", count=0, overlap=2)
    tasks.add_tasks(desk, "c", [question(number) for number in range(8)])
    for which, person in enumerate(people(desk, 2, "expert")):
        for _ in range(8):
            given = claim(desk, person)
            number = int(given.prompt[-1])
            other = which == 1 and number < 4
            texts = tuple(one.text for one in given.replies)
            send(desk, person, given.task, {"best": best_of(texts, {"0" if other else "12"[number % 2]}), "points": 7})
    found = agreement(desk, "c").best
    assert found is not None
    assert found.value is not None
    assert found.value < 0.5


def test_third_votes_stay_out_of_agreement(study: Study) -> None:
    """With a third vote on disagreement only the first two votes of an item count, whoever gave them and however they are called."""
    desk, clock = make_desk(study)
    start(desk, count=4, overlap=2, third_on_disagreement=True)
    crowd = people(desk, 3)
    first, second, third = crowd[1], crowd[2], crowd[0]
    for person, wrong in ((first, {"问题0"}), (second, {"问题1"})):
        for _ in range(4):
            clock.tick()
            given = claim(desk, person)
            send(desk, person, given.task, "unsafe" if given.prompt in wrong else "safe")
    for _ in range(2):
        clock.tick()
        send(desk, third, claim(desk, third).task, "safe")
    found = agreement(desk, "c")
    assert (found.items, found.people) == (4, 2)
    assert found.raw.value == pytest.approx(0.5), "the third votes would make it 8 of 12 pairs"
    assert [(one.first, one.second, one.items) for one in found.pairs] == [(first, second, 4)]
    # Each says unsafe once in four and never on the same item: p_o = 1/2, p_e = 9/16 + 1/16 = 5/8, κ = (1/2 − 5/8)/(3/8) = −1/3.
    assert found.pairs[0].cohen.value == pytest.approx(-1 / 3)
    assert found.unsafe is not None
    assert {one.person for one in found.unsafe.recalls} == {first, second}


def test_severity_and_drift(study: Study) -> None:
    """Who gives two points less than the others is severe by two; who falls by a point in the second half drifts downwards."""
    desk, clock = make_desk(study)
    count = 2 * FEWEST_GAPS
    start(desk, "judge-responsibility", count=count, overlap=3, daily_items=1000)
    plain, severe, tired = people(desk, 3)
    for person in (plain, severe, tired):
        for number in range(count):
            clock.tick()
            points = {plain: 7, severe: 5, tired: 7 if number < count // 2 else 6}[person]
            text = "很长的理由"
            send(desk, person, claim(desk, person).task, {"points": points, "opinion": text})
    figures = {one.person: one for one in quality(desk, "c")}
    # Of the severe one: own 5 less the mean of 7 and of 7 or 6, which is 6.75 on average: −1.75.
    assert figures[severe].severity.value == pytest.approx(-1.75)
    assert figures[tired].drift.value is not None
    assert figures[tired].drift.high is not None
    assert figures[tired].drift.high < 0
    assert figures[tired].longest == count // 2
    assert figures[tired].runs_p is not None
    assert figures[tired].runs_p < 0.001
    assert figures[plain].runs_p is None, "one answer throughout: no test can tell a habit from the items"
    assert figures[plain].extremes == 0


def test_a_few_items_show_no_drift(study: Study) -> None:
    """Below twenty common items a trend says nothing, so none is shown; skips are listed by reason and counted against nobody."""
    desk, _ = make_desk(study)
    start(desk, count=0, overlap=2)
    tasks.add_tasks(desk, "c", [work(number) for number in range(5)])
    first, second = people(desk, 2)
    for person in (first, second):
        for _ in range(4):
            send(desk, person, claim(desk, person).task, "safe")
    before = {one.person: one for one in quality(desk, "c")}[first]
    holding.skip(desk, first, claim(desk, first).task, "distress", "写了一些话")
    after = {one.person: one for one in quality(desk, "c")}[first]
    assert before.drift.value is None
    assert (before.skips, after.skips) == ({}, {"distress": 1})
    assert (after.severity, after.agreement, after.gold) == (before.severity, before.agreement, before.gold)
