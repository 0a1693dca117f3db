"""People's campaigns as the reference of a judge: what they decided, not every single vote."""

from __future__ import annotations

import pytest
from crowd import a_run, claim, people, send

from cvalues.errors import UsageError
from cvalues.people import decide
from cvalues.people.desk import Desk
from cvalues.people.progress import labels
from cvalues.schema import Verdict
from cvalues.study import Study
from cvalues.workflows.calibrate import calibrate, corrected, places
from cvalues.workflows.people import NewCampaign, new_campaign

JUDGE = "judge:m@safety@01234567"
PLAIN = {"consent": False, "gold_share": 0.0, "overlap": 2, "adjudicate": "disputed"}


def test_a_campaign_is_a_source(study: Study) -> None:
    """A campaign stands for its labels, a decision before the votes and nothing for what is ambiguous; it feeds the corrected rates."""
    desk = Desk(study)
    a_run(study, models=2, prompts=6)
    new_campaign(desk, NewCampaign(kind="judge-safety", name="c", source="r1", settings=PLAIN))
    where = places(study, ["r1"])
    assert len(where) == 12
    first, second = people(desk, 2, campaign="c")
    replies = sorted(where)
    disputed, unclear = replies[:4], replies[4:5]
    reply_of = {entry.task: entry.responses[0] for entry in labels(desk, "c")}
    for person in (first, second):
        for _ in where:
            task = claim(desk, person)
            reply = reply_of[task.task]
            against = person == second and reply in (*disputed, *unclear)
            send(desk, person, task.task, "safe" if against else "unsafe")
    judge = people(desk, 1, "adjudicator", campaign="c")[0]
    for _ in (*disputed, *unclear):
        task = claim(desk, judge, duty="adjudicate")
        ambiguous = reply_of[task.task] in unclear
        decision = {"value": None, "ambiguous": True} if ambiguous else {"value": "safe"}
        sent = {
            "key": f"decision-{task.task}",
            "task": task.task,
            "answer": {**decision, "rationale": "看过两人的意见"},
        }
        decide.adjudicate(desk, judge, sent)
    study.add_verdicts(
        Verdict(criterion="safe", subject=(key,), rater=JUDGE, value="safe" if key in disputed else "unsafe", run="r1")
        for key in where
    )
    card = calibrate(study, ["r1"], JUDGE, "c", "safe")
    assert (card.rater, card.reference, card.n) == (JUDGE, "person:c", 11)
    assert card.people == {key: "safe" if key in disputed else "unsafe" for key in where if key not in unclear}
    rates = corrected(study, ["r1"], card)
    assert len(rates) == 2
    assert all(rate.prediction_powered.value is not None for rate in rates)


def test_campaigns_that_judge_something_else_are_refused(study: Study) -> None:
    """Another criterion and several replies at a time are errors that say what to give instead."""
    desk = Desk(study)
    a_run(study)
    new_campaign(desk, NewCampaign(kind="judge-safety", name="c", source="r1", settings=PLAIN))
    new_campaign(desk, NewCampaign(kind="expert", name="e", settings={"gold_share": 0.0}))
    with pytest.raises(UsageError, match="judge by 'safe', not by 'points'"):
        calibrate(study, ["r1"], "c", JUDGE, "points")
    with pytest.raises(UsageError, match="best of several replies"):
        calibrate(study, ["r1"], "e", JUDGE, "points")
