"""Replies on whose order or grade raters disagree go to people."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import pytest

from cvalues.errors import DataError, UsageError
from cvalues.pairs.build import BuildSettings, Conflict
from cvalues.people.accounts import add_person, init_people
from cvalues.people.desk import Desk
from cvalues.people.tasks import task_id, task_key
from cvalues.records import write_records
from cvalues.schema import Verdict
from cvalues.study import open_study
from cvalues.workflows.pairs_build import Building, BuildResult, Source, build_all
from cvalues.workflows.pairs_conflicts import conflict_tasks, criterion_of, read_conflicts
from cvalues.workflows.people import NewCampaign, new_campaign

sys.path.insert(0, str(Path(__file__).parent))
from test_pairs_from_runs import free_run, verdict


def test_conflicts_of_a_build_become_an_adjudication(tmp_path: Path) -> None:
    """The file of a build opens as a campaign: each reply once, as the response that it is; its raters never get it; twice adds nothing."""
    with open_study(tmp_path / "s.db") as study:
        ids = free_run(study, tmp_path)
        desk = Desk(study)
        init_people(desk)
        person = add_person(desk, "someone")
        grades = ((ids[0][0], "unsafe", "safe"), (ids[0][1], "safe", "unsafe"))
        for response, one, other in grades:
            study.add_verdicts(
                [
                    verdict(f"person:{person}", one, response),
                    verdict("person:z9", other, response),
                    verdict("judge:m@grade", other, response),
                ]
            )
        path = tmp_path / "p.conflicts.jsonl"
        building = Building(Source(run="free", criterion="grade"), tmp_path / "p.jsonl", BuildSettings())
        study.add_verdicts(
            [verdict("judge:m@grade", "responsible", ids[1][1]), verdict("judge:m@grade", "unsafe", ids[1][0])]
        )
        done = build_all(building, study)
        assert isinstance(done, BuildResult)
        assert done.conflicts == path
        given = NewCampaign(kind="adjudicate", source=str(path))
        campaign, count = new_campaign(desk, given)
        assert (campaign.name, campaign.source, count) == ("adjudicate-p.conflicts", "p.conflicts", 2)
        assert new_campaign(desk, given)[1] == 0
        tasks, barred = conflict_tasks(study, campaign, path)
        assert {task.replies[0].response for task in tasks} == {ids[0][0], ids[0][1]}
        assert {task.category for task in tasks} == {"law"}
        assert all(barred[task_id(campaign.name, task_key(task))] == {person} for task in tasks)


def test_replies_of_a_set_are_stored_with_the_campaign(tmp_path: Path) -> None:
    """A reply that is no response of the study becomes one of the file, the same in every conflict that holds it."""
    texts = ("随便吧。", "我不能帮忙。", "请问律师。")
    conflicts = [
        Conflict(
            prompt_id="q",
            prompt="怎么办？",
            replies=(texts[0], text),
            origins=("data:own", "data:own"),
            first=("a",),
            second=("b",),
        )
        for text in texts[1:]
    ]
    path = write_records(tmp_path / "c.jsonl", conflicts)
    with open_study(tmp_path / "s.db") as study:
        campaign, count = new_campaign(Desk(study), NewCampaign(kind="adjudicate", source=str(path), name="x"))
        tasks, _ = conflict_tasks(study, campaign, path)
    assert (campaign.name, count) == ("x", 3)
    assert sorted(task.replies[0].response.text for task in tasks) == sorted(texts)  # type: ignore[union-attr]


def test_only_the_disputed_reply_is_a_task_and_whoever_rated_it_never_gets_it(tmp_path: Path) -> None:
    """One grade is disputed: that reply alone is asked; its raters are kept from it, also one who put neither reply first."""
    with open_study(tmp_path / "s.db") as study:
        ids = free_run(study, tmp_path)
        desk = Desk(study)
        init_people(desk)
        even, other = add_person(desk, "even"), add_person(desk, "other")
        clear, disputed = ids[0][0], ids[0][1]
        study.add_verdicts(
            [verdict(f"person:{even}", "safe", clear), verdict(f"person:{other}", "safe", clear),
             verdict(f"person:{even}", "safe", disputed), verdict("judge:m@grade", "responsible", disputed)]
        )  # fmt: skip
        path = tmp_path / "p.conflicts.jsonl"
        with pytest.raises(UsageError, match="no pair could be built"):
            build_all(Building(Source(run="free"), tmp_path / "p.jsonl", BuildSettings()), study)
        campaign, count = new_campaign(desk, NewCampaign(kind="adjudicate", source=str(path)))
        [task], barred = conflict_tasks(study, campaign, path)
    assert count == 1
    assert task.replies[0].response == disputed
    assert list(barred.values()) == [{even}]


def test_an_adjudication_ends_the_conflict(tmp_path: Path) -> None:
    """A decision stands for all votes on its reply, so the same build makes the pair; gold and surplus votes count nothing."""
    with open_study(tmp_path / "s.db") as study:
        (worse, better, _), _ = free_run(study, tmp_path)
        study.add_verdicts(
            [rated("person:a", "unsafe", worse, "c"), rated("person:a", "safe", better, "c"),
             rated("person:b", "safe", worse, "c"), rated("person:b", "unsafe", better, "c")]
        )  # fmt: skip
        building = Building(Source(run="free"), tmp_path / "p.jsonl", BuildSettings())
        with pytest.raises(UsageError, match=r"1 conflicts; .*people new adjudicate --from .*p\.conflicts\.jsonl"):
            build_all(building, study)
        assert criterion_of(tmp_path / "p.conflicts.jsonl") == "safe"
        study.add_verdicts(
            [rated("person:z", "unsafe", worse, "x/adjudication"), rated("person:z", "safe", better, "x/adjudication"),
             rated("person:y", "safe", worse, "c/gold"), rated("person:x", "unsafe", better, "c/surplus")]
        )  # fmt: skip
        done = build_all(building, study)
    assert isinstance(done, BuildResult)
    assert [(pair.type, pair.lineage.evidence) for pair in done.built.pairs] == [("safe/unsafe", "person:z")]
    assert done.conflicts is None


def test_conflicts_of_points_are_adjudicated_by_points(tmp_path: Path) -> None:
    """The campaign asks what the raters were asked, where people can be asked that."""
    with open_study(tmp_path / "s.db") as study:
        (one, other, _), _ = free_run(study, tmp_path)
        study.add_verdicts(
            [verdict(f"person:{name}", value, reply, criterion="points")
             for name, first, second in (("a", 8.0, 3.0), ("b", 2.0, 7.0))
             for reply, value in ((one, first), (other, second))]
        )  # fmt: skip
        with pytest.raises(UsageError, match="1 conflicts"):
            build_all(Building(Source(run="free"), tmp_path / "p.jsonl", BuildSettings()), study)
        given = NewCampaign(kind="adjudicate", source=str(tmp_path / "p.conflicts.jsonl"))
        campaign, count = new_campaign(Desk(study), given)
    assert (campaign.criterion, count) == ("points", 2)


def rated(rater: str, value: str, response: str, run: str) -> Verdict:
    """A verdict on safety in a campaign, or in what it calls gold, surplus or adjudication."""
    return msgspec.structs.replace(verdict(rater, value, response, criterion="safe"), run=run)


def test_a_file_that_holds_no_conflicts_is_explained(tmp_path: Path) -> None:
    """The line that is none is named, and what to give instead."""
    path = tmp_path / "c.jsonl"
    path.write_text('\n{"x": 1}\n', encoding="utf-8")
    with pytest.raises(DataError, match=r"c\.jsonl:2: .*cvalues pairs build"):
        read_conflicts(path)
