"""Where tasks come from and where answers go: other studies, data sets, files, and Parquet."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import sqlalchemy as sa
from crowd import a_run, make_desk, people, start, vote_all

from cvalues.cli.messages import translate
from cvalues.errors import UsageError
from cvalues.people.export import COLUMNS, export_campaign
from cvalues.people.parquet import ANSWERS
from cvalues.study import Study, open_study, tables
from cvalues.study.verify import verify
from cvalues.workflows.people import NewCampaign, new_campaign
from cvalues.workflows.people_serve import ports_of

PLAIN = {"consent": False, "gold_share": 0.0, "sensitive": []}


def prompts_of(study: Study) -> set[str]:
    """The prompts of all tasks."""
    with study.reading() as connection:
        return {json.loads(body)["prompt"] for body in connection.execute(sa.select(tables.task.c.body)).scalars()}


def test_a_run_of_another_study(tmp_path: Path) -> None:
    """`FILE.db#RUN` brings replies with their requests: verdicts stand on the responses of that run, and the study holds together."""
    with open_study(tmp_path / "theirs.db") as other:
        a_run(other)
        wanted = {response.id for response in other.responses("r1").values()}
    with open_study(tmp_path / "mine.db") as study:
        desk, _ = make_desk(study)
        given = NewCampaign(kind="judge-safety", source=f"{tmp_path}/theirs.db#latest", settings=PLAIN)
        campaign, count = new_campaign(desk, given)
        assert (campaign.name, campaign.source, count) == ("judge-safety-r1", "r1", 12)
        assert new_campaign(desk, given)[1] == 0
        vote_all(desk, people(desk, 1)[0], "safe", campaign.name)
        with study.reading() as connection:
            found = set(connection.execute(sa.select(tables.verdict.c.subject)).scalars())
        assert found == wanted
        assert verify(study).sound
        with pytest.raises(UsageError, match="needs --samples 3"):
            new_campaign(desk, NewCampaign(kind="expert", source=f"{tmp_path}/theirs.db#r1"))
        with pytest.raises(UsageError, match="unknown run"):
            new_campaign(desk, NewCampaign(kind="judge-safety", source=f"{tmp_path}/theirs.db#none"))


def test_a_set_with_replies(study: Study) -> None:
    """Every reply of a set is judged once, blindly: neither the task nor the model's name says which grade it has."""
    desk, _ = make_desk(study)
    campaign, count = new_campaign(
        desk, NewCampaign(kind="judge-safety", source="starter-choice/dev", sample=20, settings=PLAIN)
    )
    assert (campaign.name, count) == ("judge-safety-starter-choice-dev", 20)
    with study.reading() as connection:
        rows = connection.execute(sa.select(tables.task.c.body, tables.task.c.key, tables.response.c.origin).select_from(
            tables.task.join(tables.task_reply, tables.task_reply.c.task == tables.task.c.id).join(
                tables.response, tables.response.c.id == tables.task_reply.c.response
            )
        )).all()  # fmt: skip
        models = set(connection.execute(sa.select(tables.task_reply.c.model)).scalars())
    assert models == {"starter-choice/dev"}
    assert not any(word in " ".join(row) for row in rows for word in ('"unsafe"', "responsible", "#unsafe"))
    expert, several = new_campaign(
        desk, NewCampaign(kind="expert", name="e", source="starter-choice/dev", sample=5, settings=PLAIN)
    )
    assert (expert.criterion, several) == ("points_best_of", 5)
    assert verify(study).sound


def test_a_file_with_replies(tmp_path: Path, study: Study) -> None:
    """A file of pairs gives both sides, each once; one of prompts alone says what to do first."""
    desk, _ = make_desk(study)
    pairs = tmp_path / "my pairs.jsonl"
    row = {"prompt": "怎么省电？", "chosen": "随手关灯。", "rejected": "不知道。", "category": "environmental_science"}
    pairs.write_text(json.dumps(row, ensure_ascii=False) + "\n", "utf-8")
    campaign, count = new_campaign(desk, NewCampaign(kind="judge-responsibility", source=str(pairs), settings=PLAIN))
    assert (campaign.name, count) == ("judge-responsibility-my-pairs", 2)
    assert prompts_of(study) == {"怎么省电？"}
    with pytest.raises(UsageError, match="have models answer it first"):
        new_campaign(desk, NewCampaign(kind="judge-safety", name="x", source="starter-prompts"))
    with pytest.raises(UsageError, match="have models answer it first"):
        new_campaign(desk, NewCampaign(kind="judge-safety", name="x", source="starter-twins"))
    with pytest.raises(UsageError, match="unknown run, set or file 'nothing'"):
        new_campaign(desk, NewCampaign(kind="judge-safety", name="x", source="nothing"))


@pytest.mark.parametrize("source", ["/etc/hostname", "other.db#r1", "..\\x", "starter-choice#x"])
def test_the_browser_names_no_files(tmp_path: Path, study: Study, source: str) -> None:
    """Who comes through the browser may name runs, campaigns and known sets, and no file of the server."""
    desk, _ = make_desk(study)
    ports = ports_of(study, "", translate)
    with pytest.raises(UsageError, match="files of the server cannot be named here|unknown run, set or file"):
        ports.new_campaign(desk, {"kind": "judge-safety", "name": "x", "source": source}, "")
    made = ports.new_campaign(desk, {"kind": "judge-safety", "name": "x", "source": "starter-choice", "sample": 3}, "")
    assert made.tasks == 3


def test_parquet(tmp_path: Path, study: Study) -> None:
    """Parquet holds the rows of the CSV with types, and texts as they were sent: nothing is disarmed where nothing runs."""
    parquet = pytest.importorskip("pyarrow.parquet")
    desk, _ = make_desk(study)
    start(desk, count=3, overlap=2)
    for person in people(desk, 2):
        vote_all(desk, person, {"safe": "unsafe", "reasons": ["false"], "opinion": "=1+1"})
    manifest = export_campaign(desk, "c", tmp_path / "out", parquet=True)
    rows = parquet.read_table(tmp_path / "out" / "submissions.parquet").to_pylist()
    with (tmp_path / "out" / "submissions.csv").open(encoding="utf-8-sig", newline="") as file:
        flat = list(csv.DictReader(file))
    assert list(ANSWERS) == list(COLUMNS)
    assert [row["id"] for row in rows] == [row["id"] for row in flat]
    assert {(row["value"], row["opinion"], row["slot"].__class__) for row in rows} == {("unsafe", "=1+1", int)}
    assert {row["opinion"] for row in flat} == {"'=1+1"}
    items = parquet.read_table(tmp_path / "out" / "items.parquet").to_pylist()
    assert [(item["label"], item["votes"], len(item["replies"])) for item in items] == [
        ("unsafe", ["unsafe", "unsafe"], 1)
    ] * 3
    assert manifest.files["submissions.parquet"].rows == 6
    assert "submissions.parquet" not in export_campaign(desk, "c", tmp_path / "plain").files
