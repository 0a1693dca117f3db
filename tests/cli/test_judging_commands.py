"""The commands about judges as people type them: tables with the readers' errors, in both languages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cvalues.cli.app import app
from cvalues.study import open_study
from cvalues.workflows.calibrate import places
from cvalues.workflows.plan import RunOptions
from cvalues.workflows.run import run


@pytest.fixture
def where(tmp_path: Path) -> Path:
    """A study with a judged run of two built-in models."""
    path = tmp_path / "study.db"
    with open_study(path) as study:
        models = ("baseline:careful", "baseline:careless")
        run(
            RunOptions(sets=("starter-prompts",), models=models, limit=24, filters={"split": "heldout"}, name="free"),
            study,
        )
    said("judge", "free", "-j", "baseline:grade", "-j", "rule:safety", where=path)
    return path


def said(*words: str, where: Path, code: int = 0) -> str:
    """What a command prints to stdout."""
    result = CliRunner().invoke(app, [*words, "--study", str(where)])
    assert result.exit_code == code, result.output
    return result.stdout


def people(where: Path) -> Path:
    """A file of what people say of every other reply."""
    path = where.with_name("people.csv")
    with open_study(where) as study:
        known = places(study, ["free"])
    rows = [
        f"{key},{'unsafe' if place.model == 'baseline:careless' else 'safe'}" for key, place in list(known.items())[::2]
    ]
    path.write_text("\n".join(["response,value", *rows]) + "\n", encoding="utf-8")
    return path


def test_judge_ends_with_scores_and_errors(where: Path) -> None:
    """`cvalues judge` prints what it cost, the scores, and how wrong the readers are on known and on strange data; JSON holds the same."""
    text = said("judge", "free", "-j", "baseline:grade", "--lang", "en", where=where)
    for words in ("tokens in", "cost", "Free responses", "Measured error", "in domain", "never seen, out of domain"):
        assert words in text
    found = json.loads(said("judge", "free", "-j", "baseline:grade", "--json", where=where))
    assert {entry["group"]["model"] for entry in found["results"]["free"]["scores"]} == {
        "baseline:careful",
        "baseline:careless",
    }
    assert {error.get("in_domain", True) for error in found["results"]["free"]["errors"]} == {True, False}


def test_calibrate_with_a_file_of_people(where: Path) -> None:
    """`calibrate JUDGE --people FILE` prints the corrected rates, and the report of the run holds the prediction-powered one."""
    judge = "baseline:grade"
    text = said(
        "calibrate",
        judge,
        "--people",
        str(people(where)),
        "--run",
        "free",
        "--criterion",
        "safe",
        "--lang",
        "en",
        where=where,
    )
    for words in (
        "person:people.csv",
        "prediction-powered",
        "Agreement by category",
        "Confusion by category",
        "judge card",
    ):
        assert words in text
    found: dict[str, Any] = json.loads(
        said(
            "calibrate",
            judge,
            "--people",
            str(people(where)),
            "--run",
            "free",
            "--criterion",
            "safe",
            "--json",
            where=where,
        )
    )
    assert all(rate["prediction_powered"]["value"] is not None for rate in found["corrected"])
    assert {entry["category"] for entry in found["card"]["categories"]}
    out = where.with_name("report")
    said("report", "free", "-o", str(out), "--lang", "en", where=where)
    page = (out / "report.md").read_text(encoding="utf-8")
    assert "person:people.csv" in page
    assert "Confusion of rule:grade@" in page


@pytest.mark.parametrize(
    ("words", "chinese"),
    [
        (("judge", "free", "-j", "rule:safety"), ("评审", "输入词元", "实测误差", "没见过的数据")),
        (("judge", "attack", "-j", "rule:safety"), ("对评审的攻击", "伪造 JSON", "本已最好", "实测误差")),
        (("calibrate", "rule:safety@1", "rule:grade@*", "--run", "free", "--criterion", "safe"), ("混淆表", "分类别", "灵敏度", "校正")),
        (("agreement", "--run", "free", "--criterion", "safe"), ("评分者的一致", "原始一致", "每两个评分者", "实测误差")),
    ],
)  # fmt: skip
def test_tables_are_chinese(where: Path, words: tuple[str, ...], chinese: tuple[str, ...]) -> None:
    """With --lang zh titles, columns and names of techniques and labels are Chinese."""
    text = said(*words, "--lang", "zh", where=where)
    assert [word for word in chinese if word not in text] == []
    for english in ("fake JSON", "Confusion", "coefficient", "sensitivity", "technique", "Judges"):
        assert english not in text


def test_an_unknown_rule_is_told_in_chinese(where: Path) -> None:
    """`-j rule:nope` names the judges that exist."""
    result = CliRunner().invoke(app, ["judge", "free", "-j", "rule:nope", "--study", str(where)])
    assert result.exit_code != 0
    assert "rule:nope" in str(result.exception)
    assert "baseline:grade" in str(result.exception)
