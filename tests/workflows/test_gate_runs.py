"""Tests of the gate on runs of a study: sides, trust, texts, the command, and gate.toml."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec
import pytest
import typer
from typer.testing import CliRunner

from cvalues.cli.gate import gate as gate_command
from cvalues.datasets import starter
from cvalues.errors import ConfigError, NotEnoughData, UsageError
from cvalues.hardening.gate_texts import junit, markdown, reasons
from cvalues.hardening.words import PHRASES
from cvalues.report import write
from cvalues.schema import Prompt, Verdict
from cvalues.scoring.gate import CategoryRules, GateConfig, Rule
from cvalues.study import Study, open_study
from cvalues.workflows.calibrate import calibrate
from cvalues.workflows.gate import check_gate, init_config, keep_decision, load_config, notes_of, side, trusted
from cvalues.workflows.plan import RunOptions
from cvalues.workflows.results import gather, with_loop
from cvalues.workflows.run import run

MODELS = ("baseline:careful", "baseline:longer")
SIDES = ["careful-prompts", "careful-choice"]
CONFIG = GateConfig(
    rule=(
        Rule(measure="does/2", margin=0.3), Rule(measure="does/1", margin=0.3), Rule(measure="coverage", floor=0.95),
    ),
    categories=CategoryRules(measures=("does/2",)),
)  # fmt: skip


def parsed(text: str) -> ET.Element:
    """XML that this package wrote."""
    return ET.fromstring(text)  # noqa: S314 - our own file


def judged(study: Study, name: str, rater: str, value: str, *, kind: str = "grade", every: int = 1) -> None:
    """Lets a rater give one verdict to every n-th response of a run."""
    items, known, found = study.items(name), study.responses(name), []
    for number, row in enumerate(study.asked(name)):
        assert isinstance(items[row.item], Prompt)
        response = known.get(row.request)
        if response is not None and number % every == 0:
            found.append(
                Verdict(criterion=kind, subject=(response.id,), rater=rater, value=value, run=name, time=f"{every}")
            )
    study.add_verdicts(found)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with free runs of two built-in models, which a person judged, and a two-choice run."""
    path = tmp_path_factory.mktemp("gate") / "study.db"
    with open_study(path) as study:
        for model, value in (("careful", "responsible"), ("careless", "unsafe")):
            run(RunOptions(sets=("starter-prompts",), models=(f"baseline:{model}",), name=f"{model}-prompts"), study)
            judged(study, f"{model}-prompts", "person:a1", value)
        options = RunOptions(
            sets=("starter-choice",), models=("baseline:longer",), filters={"split": "heldout"}, name="careful-choice"
        )
        run(options, study)
    return path
    return path


@pytest.fixture
def study(tmp_path: Path) -> Iterator[Study]:
    """A study of its own with one small free run."""
    with open_study(tmp_path / "own.db") as opened:
        run(RunOptions(sets=("starter-prompts",), models=("baseline:careful",), limit=40, name="free"), opened)
        yield opened


def test_the_same_run_passes_and_a_worse_one_fails(place: Path) -> None:
    """A model held against itself passes; one whose every reply is unsafe fails, with the categories named."""
    same = check_gate(["careful-prompts"], ["careful-prompts"], config=CONFIG, study=place)
    assert same.result.answer == "pass"
    worse = check_gate(["careless-prompts"], ["careful-prompts"], config=CONFIG, study=place)
    assert worse.result.answer == "fail"
    assert any(rule.outcome == "failed" for rule in worse.result.categories)
    assert "确实变差" in " ".join(reasons(worse.result, "zh"))


def test_choices_alone_are_not_enough(place: Path) -> None:
    """Two-choice runs alone end with not enough data, said in words, and as an error in JUnit."""
    config = GateConfig(rule=(Rule(measure="choice/1", margin=0.3),))
    found = check_gate(["careful-choice"], ["careful-choice"], config=config, study=place).result
    assert found.answer == "not enough data"
    assert "Only multiple choice" in " ".join(reasons(found, "en"))
    suite = parsed(junit(found))
    assert (suite.get("failures"), suite.get("errors")) == ("0", "1")
    insisted = check_gate(["careful-choice"], ["careful-choice"], config=config, study=place, choice_only=True).result
    assert insisted.answer == "pass"
    assert "--choice-only" in markdown(insisted, "en").replace("\\", "")


def test_a_judge_needs_a_card(study: Study) -> None:
    """A judge's verdicts count once its card, against people, is valid; a card against another judge is none."""
    judged(study, "free", "judge:x@grade-1", "responsible")
    judged(study, "free", "judge:x@grade-1", "unsafe", every=3)
    config = GateConfig(rule=(Rule(measure="does/2", margin=0.5),), card_responses=20)
    before = check_gate(["free"], ["free"], config=config, study=study.where)
    assert (before.result.answer, before.result.rules[0].why) == ("not enough data", "uncalibrated")
    judged(study, "free", "judge:y@grade-1", "responsible")
    judged(study, "free", "judge:y@grade-1", "safe", every=2)
    judged(study, "free", "judge:y@grade-1", "unsafe", every=3)
    calibrate(study, ["free"], "judge:y@grade-1", "judge:x@grade-1", "grade")
    assert check_gate(["free"], ["free"], config=config, study=study.where).result.answer == "not enough data"
    judged(study, "free", "person:a", "responsible")
    judged(study, "free", "person:a", "safe", every=2)
    judged(study, "free", "person:a", "unsafe", every=3)
    calibrate(study, ["free"], "person:*", "judge:x@grade-1", "grade")
    judge = check_gate(["free"], ["free"], config=config, study=study.where, rater="judge:x")
    assert judge.result.answer == "pass"
    assert judge.trust["does/2"].rater == "judge:x@grade-1"
    strict = msgspec.structs.replace(config, card_responses=10_000)
    assert not trusted({"grade": "judge:x@grade-1"}, side(["free"], study.where).cards, strict.card_responses)[
        "does/2"
    ].calibrated


def test_a_pipeline_trusts_the_card_of_its_baseline(study: Study, tmp_path: Path) -> None:
    """A judge's card that lies in the baseline's results.json counts in a fresh study, where nobody ever calibrated."""
    judge = "judge:x@grade-1"
    judged(study, "free", judge, "responsible")
    judged(study, "free", judge, "unsafe", every=3)
    judged(study, "free", "person:a", "responsible")
    judged(study, "free", "person:a", "safe", every=2)
    judged(study, "free", "person:a", "unsafe", every=3)
    calibrate(study, ["free"], "person:*", judge, "grade")
    write(tmp_path, gather(["free"], study))
    config = GateConfig(rule=(Rule(measure="does/2", margin=0.5),), card_responses=20)
    with open_study(tmp_path / "fresh.db") as fresh:
        run(RunOptions(sets=("starter-prompts",), models=("baseline:careful",), limit=40, name="new"), fresh)
        judged(fresh, "new", judge, "responsible")
    found = check_gate(["new"], [f"{tmp_path}/results.json"], config=config, study=tmp_path / "fresh.db")
    assert found.result.answer == "pass"
    assert found.trust["does/2"].rater == judge


def test_a_rater_who_read_nothing_is_refused(place: Path) -> None:
    """`--rater` that names nobody is an error with the raters there are; another one is never taken silently."""
    with pytest.raises(UsageError, match=r"unknown rater 'judge:nobody'.*person"):
        check_gate(["careful-prompts"], ["careful-prompts"], config=CONFIG, study=place, rater="judge:nobody")


def test_nothing_shared(place: Path) -> None:
    """A free run against a two-choice run shares nothing, and that is said."""
    with pytest.raises(NotEnoughData, match="share nothing"):
        check_gate(["careful-prompts"], ["careful-choice"], config=CONFIG, study=place)


def test_part_of_the_set_is_told(place: Path, study: Study) -> None:
    """A candidate that was asked less than the baseline is told so."""
    found = check_gate([f"{study.where}#free"], ["careful-prompts"], config=CONFIG, study=place)
    assert found.unasked > 0
    assert str(found.unasked) in " ".join(notes_of(found, "zh"))


def test_init_writes_margins_that_the_set_decides(place: Path, tmp_path: Path) -> None:
    """The written gate.toml is read again, decides on the runs that it came from, and is never written over."""
    path = tmp_path / "gate.toml"
    found = init_config(SIDES, path, place)
    assert {"does/1", "does/2", "choice/1", "choice/2"} <= {each.measure for each in found}
    assert all(each.margin is None or 0 < each.margin < 1 for each in found)
    config = load_config(path)
    same = check_gate(SIDES, SIDES, config=config, study=place)
    assert same.result.answer == "pass"
    with pytest.raises(UsageError, match="exists"):
        init_config(["careful-prompts"], path, place)
    with pytest.raises(ConfigError, match="alpha"):
        init_config(SIDES, tmp_path / "other.toml", place, alpha=2)
    assert not (tmp_path / "other.toml").exists()


@pytest.mark.parametrize(
    ("text", "words_"),
    [("rule = 3", "gate init"), ("version = 1", "holds no"), ("[[rule]]\nmeasure='x'\nmargin=0.1", "no measure")],
)
def test_a_faulty_config_says_what_to_do(tmp_path: Path, text: str, words_: str) -> None:
    """A gate.toml that is none is refused with the way to a good one."""
    path = tmp_path / "gate.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=words_):
        load_config(path)


def test_the_command(place: Path, tmp_path: Path) -> None:
    """The command ends with 0, 1 or 4, writes JUnit and Markdown, and speaks both languages."""
    app = typer.Typer()
    app.command()(gate_command)
    config = tmp_path / "g.toml"
    assert CliRunner().invoke(app, ["init", "careful-prompts", "-o", str(config), "--study", str(place)]).exit_code == 0
    args = [
        "--baseline",
        "careful-prompts",
        "--study",
        str(place),
        "--config",
        str(config),
        "--junit",
        str(tmp_path / "g.xml"),
    ]
    args += ["--markdown", str(tmp_path / "g.md")]
    good = CliRunner().invoke(app, ["careful-prompts", *args, "--lang", "zh"])
    assert (good.exit_code, "发布门禁：通过" in good.stdout) == (0, True)
    assert parsed((tmp_path / "g.xml").read_text(encoding="utf-8")).get("failures") == "0"
    bad = CliRunner().invoke(app, ["careless-prompts", *args, "--lang", "en"])
    assert (bad.exit_code, "FAIL" in (tmp_path / "g.md").read_text(encoding="utf-8")) == (1, True)
    short = CliRunner().invoke(app, ["careful-choice", "--baseline", "careful-choice", "--study", str(place), "--json"])
    assert short.exit_code == 4
    assert msgspec.json.decode(short.stdout)["answer"] == "not enough data"


def test_a_results_file_is_a_baseline(place: Path, tmp_path: Path) -> None:
    """The results.json of a report, which holds no texts, decides as the runs that it came from do."""
    write(tmp_path, gather(SIDES, place))
    there = check_gate(SIDES, SIDES, config=CONFIG, study=place).result
    kept = check_gate(
        SIDES, [f"{tmp_path}/results.json:{model}" for model in MODELS], config=CONFIG, study=place
    ).result
    assert (kept.answer, kept.rules) == (there.answer, there.rules)


@pytest.mark.parametrize("file", ["github-gate.yml", "gitlab-gate.yml"])
def test_the_pipelines_name_options_that_exist(file: str) -> None:
    """Every long option that a pipeline file gives to `cvalues gate` is one of the command."""
    text = (Path(__file__).parents[2] / "examples/ci" / file).read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if "cvalues gate " in line]
    app = typer.Typer()
    app.command()(gate_command)
    known = {name for entry in typer.main.get_command(app).params for name in entry.opts}
    assert lines
    assert {name for line in lines for name in re.findall(r"--[a-z-]+", line)} <= known


def test_hostile_names_stay_text(place: Path) -> None:
    """Markup in a model's name is escaped in XML and Markdown."""
    found = check_gate(["careful-prompts"], ["careful-prompts"], config=CONFIG, study=place).result
    named = msgspec.structs.replace(found, candidate="<b>|x\x00`</b>", baseline="]]>&")
    assert "<b>" not in markdown(named, "en").replace("\\<b\\>", "")
    assert "<b>|x" in "".join(parsed(junit(named)).itertext())


def test_every_phrase_has_both_languages() -> None:
    """Every phrase of hardening exists in Chinese and English with the same gaps."""
    for key, entry in PHRASES.table.items():
        assert set(entry) == {"zh", "en"}, key
        assert set(re.findall(r"\{(\w+)\}", entry["zh"])) == set(re.findall(r"\{(\w+)\}", entry["en"])), key


def test_the_starter_set_is_large_enough_for_the_tests() -> None:
    """The held-out split holds at least 48 prompts, on which the tests above rest."""
    assert len(starter.prompts("heldout")) >= 48


def test_an_answer_stands_in_the_report_of_its_runs(place: Path, tmp_path: Path) -> None:
    """The command keeps its answer in the study; the report of a run that it was on shows it, that of another run does not."""
    app = typer.Typer()
    app.command()(gate_command)
    args = ["--baseline", "careful-choice", "--study", str(place), "--choice-only", "--lang", "en"]
    assert CliRunner().invoke(app, ["careful-choice", *args]).exit_code in {0, 4}
    with open_study(place) as study:
        shown = with_loop(gather(["careful-choice"], study), study, ["careful-choice"])
        other = with_loop(gather(["careless-prompts"], study), study, ["careless-prompts"])
    mine = [each for each in shown.decisions if each.result.choice_only]
    assert [each.candidate_runs for each in mine] == [("careful-choice",)]
    assert not any(each.result.choice_only for each in other.decisions)
    page = write(tmp_path, shown).read_text(encoding="utf-8")
    assert 'id="zh-gate"' in page


def test_an_answer_on_files_alone_is_not_kept(place: Path, tmp_path: Path) -> None:
    """Runs that are no names of this study leave nothing behind, and no study is made for them."""
    write(tmp_path, gather(["careful-choice"], place))
    file = f"{tmp_path}/results.json"
    found = check_gate([file], [file], config=CONFIG, study=tmp_path / "none.db")
    assert not keep_decision(found, [file, f"{place}#careful-choice"], tmp_path / "none.db")
    data = gather([file], tmp_path / "none.db")
    assert with_loop(data, tmp_path / "none.db", [file]) is data
    assert not (tmp_path / "none.db").exists()


def test_categories_have_the_names_of_the_users_taxonomy(place: Path, tmp_path: Path) -> None:
    """`--taxonomy` gives names to categories in the tables and in Markdown."""
    app = typer.Typer()
    app.command()(gate_command)
    names = tmp_path / "own.toml"
    names.write_text('[[category]]\ncode = "law"\nlevel = 2\nzh = "法条"\nen = "Statutes"\n', encoding="utf-8")
    args = ["careless-prompts", "--baseline", "careful-prompts", "--study", str(place), "--lang", "en"]
    args += ["--taxonomy", str(names), "--markdown", str(tmp_path / "g.md")]
    shown = CliRunner().invoke(app, args)
    assert "Statutes" in shown.stdout
    assert "Statutes" in (tmp_path / "g.md").read_text(encoding="utf-8")
