"""Runs of free responses as outcomes, their report, and what commands show of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cvalues.cli.app import app
from cvalues.errors import UsageError
from cvalues.records import now
from cvalues.report import read_results, write
from cvalues.schema import Verdict
from cvalues.scoring.free import PEOPLE, headlines, value_by
from cvalues.scoring.free_scores import free_scores
from cvalues.scoring.order import order_checks
from cvalues.study import Study, open_study
from cvalues.workflows.compare import model_outcomes
from cvalues.workflows.free import free_input, free_outcomes, measured_errors
from cvalues.workflows.judge import judge
from cvalues.workflows.plan import RunOptions
from cvalues.workflows.results import gather, outcomes_of
from cvalues.workflows.run import run
from cvalues.workflows.tables import free_tables, gap_table
from server import ChatServer, completion, failure

WRITERS = ("baseline:careful", "baseline:guarded", "baseline:careless")


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study in which the built-in answerers wrote to 24 held-out prompts, were judged by the built-in readers, and chose."""
    path = tmp_path_factory.mktemp("free") / "study.db"
    with open_study(path) as study:
        common: dict[str, Any] = {"models": WRITERS, "filters": {"split": "heldout"}, "limit": 24}
        run(RunOptions(sets=("starter-prompts", "starter-twins"), name="free", samples=2, **common), study)
        prompts = [each.prompt for each in free_outcomes(study, "free") if not each.benign and not each.sample][:6]
        chosen = {"prompt_id": ",".join(dict.fromkeys(prompts))}
        run(
            RunOptions(sets=("starter-choice",), name="choice", mode="choose", models=WRITERS[:1], filters=chosen),
            study,
        )
        for name in ("rule:safety", "rule:refusal", "baseline:grade"):
            judge(study, "free", [name])
    return path


@pytest.fixture
def small(tmp_path: Path) -> Iterator[tuple[Study, str]]:
    """A study with four responses of a model whose server blocks one, says nothing to one and fails one."""

    def script(_body: dict[str, Any], number: int) -> Any:
        match number:
            case 1:
                return completion("", choice={"finish_reason": "content_filter"})
            case 2:
                return completion("  ")
            case 3:
                return failure(401, "no key")
            case _:
                return completion(f"回复 {number}")

    with open_study(tmp_path / "study.db") as study, ChatServer(script) as server:
        options = RunOptions(
            sets=("starter-prompts",), models=(f"openai:m@{server.url}",), limit=6, name="free", max_concurrency=1
        )
        run(options, study)
        yield study, "free"


def give(study: Study, response: str, value: str | None, rater: str, **changes: Any) -> Verdict:
    """Stores a verdict of safety."""
    given: dict[str, Any] = {
        "criterion": "safe",
        "run": "free",
        "time": now(),
        "status": "ok" if value else "no_verdict",
    }
    verdict = Verdict(subject=(response,), rater=rater, value=value, **(given | changes))
    study.add_verdicts([verdict])
    return verdict


def answered(study: Study, name: str) -> list[str]:
    """Ids of the responses with text."""
    return [each.response for each in free_outcomes(study, name) if each.state == "answered"]


def test_every_planned_response_is_an_outcome(small: tuple[Study, str]) -> None:
    """Blocked, empty and failed responses are outcomes with their state; the reason of a failure is kept."""
    data = free_input(*small)
    states = sorted(each.state for each in data.outcomes)
    assert len(states) == 6
    assert {"blocked", "empty", "failed", "answered"} == set(states)
    assert all("unauthorised" in reason or "401" in reason for reason in data.failures.values())
    assert len(data.prompts) == 6
    assert outcomes_of(*small) == []


def test_the_latest_verdict_with_a_value_stands(small: tuple[Study, str]) -> None:
    """A judge that failed and then answered has its answer; a later failure takes no value; what is superseded does not count."""
    study, name = small
    one, two, three = answered(study, name)[:3]
    give(study, one, None, "judge:j@safety@1", reason="no JSON", time="2026-01-01T00:00:00.000Z")
    give(study, one, "safe", "judge:j@safety@1", time="2026-01-01T00:00:01.000Z")
    give(study, one, None, "judge:j@safety@1", reason="empty", time="2026-01-01T00:00:02.000Z")
    give(study, two, None, "judge:j@safety@1", reason="empty")
    before = give(study, three, "safe", "person:a")
    give(study, three, "unsafe", "person:a", supersedes=before.id)
    found = {each.response: each for each in free_outcomes(study, name)}
    assert found[one].verdicts["safe"] == {"judge:j@safety@1": "safe"}
    assert "safe" not in found[one].withheld
    assert found[two].withheld == {"safe": ("judge:j@safety@1",)}
    assert found[three].verdicts["safe"] == {"person:a": "unsafe"}


def test_peoples_votes_count_as_their_campaign_says(small: tuple[Study, str]) -> None:
    """Votes beyond the overlap and on known items do not count; an adjudicator's decision stands for all votes."""
    study, name = small
    one, two = answered(study, name)[:2]
    for person, campaign, value in (
        ("a", "c", "safe"),
        ("b", "c", "unsafe"),
        ("d", "c/surplus", "unsafe"),
        ("e", "c/gold", "unsafe"),
    ):
        give(study, one, value, f"person:{person}", run=campaign)
        give(study, two, value, f"person:{person}", run=campaign)
    give(study, two, "unsafe", "person:chief", run="c/adjudication")
    found = {each.response: each for each in free_outcomes(study, name)}
    assert value_by(found[one], "safe", PEOPLE) is None
    assert set(found[one].verdicts["safe"]) == {"person:a", "person:b"}
    assert value_by(found[two], "safe", PEOPLE) == "unsafe"
    assert len(free_input(study, name).verdicts[two]) == 5


def test_preference_of_pairs_is_read_in_both_orders(judged: Path) -> None:
    """Preference verdicts become pairs with their models; one without a value, or about another run's response, is left out."""
    with open_study(judged) as study:
        free = free_outcomes(study, "free")
        one, two = (next(each for each in free if each.model == model) for model in WRITERS[:2])
        shared = {"criterion": "preference", "rater": "judge:j@preference@1", "run": "free", "time": now()}
        study.add_verdicts([
            Verdict(subject=(one.response, two.response), value="1", **shared),
            Verdict(subject=(two.response, one.response), value="2", **shared),
            Verdict(subject=(one.response, "b2:elsewhere"), value="2", **shared),
            Verdict(subject=(two.response, one.response), value=None, status="no_verdict", **(shared | {"rater": "judge:k"})),
        ])  # fmt: skip
        found = free_input(study, "free").preferred
    assert [(each.models, each.value) for each in found] == [(WRITERS[:2], "1"), (WRITERS[1::-1], "2")]


def test_built_in_errors_come_with_their_domain() -> None:
    """The measured errors of the built-in readers speak of shares, those of their own domain first, and none from merged labels."""
    errors = measured_errors()
    assert {error.measure for error in errors} >= {"safe", "at_least_safe", "responsible", "refusing"}
    domains = [error.in_domain for error in errors]
    assert domains == sorted(domains, reverse=True)
    assert all(error.n >= 50 for error in errors)
    assert "starter/heldout" not in {error.source for error in errors if error.measure == "refusing"}


def test_the_answerers_come_out_in_the_known_order(judged: Path) -> None:
    """Level 1: careless below both others; level 2: both others below careful, by the grade model; the report says by how much."""
    with open_study(judged) as study:
        found = free_outcomes(study, "free")
        checks = order_checks(found, {name.partition(":")[2]: name for name in WRITERS})
        data = gather(["free"], study, language="en")
    graded = [check for check in checks if check.rater.startswith("rule:grade@")]
    assert {check.level for check in graded} == {1, 2}
    assert all(check.holds for check in graded), graded
    assert all((check.difference.value or 0) > 0.2 for check in graded)
    page = write(judged.parent / "order", data).read_text(encoding="utf-8")
    assert "Order check" in page
    scores = {str(score.group["model"]): score for score in free_scores(found)}
    over = [scores[f"baseline:{name}"].over_refusal.value for name in ("careful", "guarded")]
    assert over[0] is not None
    assert over[1] is not None
    assert over[0] < over[1]


def test_both_kinds_of_run_make_one_report(judged: Path) -> None:
    """A choice run and a free run are reported together; telling and doing meet on the prompts that both asked."""
    data = gather(["free", "choice", "free"], judged)
    path = write(judged.parent / "both", data)
    kept = read_results(path.parent / "results.json")
    assert len(kept.free) == len(data.free.outcomes)
    assert {(gap.model, gap.level) for gap in kept.gaps} == {("baseline:careful", 1), ("baseline:careful", 2)}
    again = gather([str(path.parent / "results.json")], judged)
    assert free_scores(again.free.outcomes) == free_scores(data.free.outcomes)
    third = write(judged.parent / "again", again)
    assert read_results(third.parent / "results.json").gaps == kept.gaps
    assert len(gap_table(kept.gaps).rows) == 2


def test_two_runs_of_the_same_responses_are_refused(judged: Path) -> None:
    """The same model on the same prompts in two runs is told, and so is a run that a judge was asked in."""
    with open_study(judged) as study:
        options = RunOptions(
            sets=("starter-prompts",),
            models=("baseline:careful",),
            name="twice",
            filters={"split": "heldout"},
            limit=24,
        )
        run(options, study)
        with pytest.raises(UsageError, match="answered prompt 'starter/.*' in two of these runs"):
            gather(["free", "twice"], study)


def test_a_judges_own_run_is_no_measurement(tmp_path: Path) -> None:
    """What a judge was asked cannot be reported; the message says which run to name."""
    with open_study(tmp_path / "study.db") as study, ChatServer(lambda _body, _number: completion("回复")) as server:
        run(RunOptions(sets=("starter-prompts",), models=(f"openai:m@{server.url}",), limit=1, name="free"), study)
        judge(study, "free", [f"openai:j@{server.url}"])
        asked = next(each.name for each in study.runs() if each.kind == "judge")
        with pytest.raises(UsageError, match="name the run whose responses it judged"):
            gather([asked], study)


def test_the_users_rater_reaches_the_report(judged: Path) -> None:
    """`rater` decides whose verdicts the numbers rest on; an unknown one is a user's error."""
    data = gather(["free"], judged, rater="rule:safety@1")
    assert headlines(data.free.outcomes, data.free.rater)["safe"] == "rule:safety@1"
    with pytest.raises(UsageError, match="unknown rater"):
        write(judged.parent / "nobody", gather(["free"], judged, rater="nobody"))


def test_comparing_needs_choices(judged: Path) -> None:
    """A run of free responses cannot be compared item by item as choices are."""
    with pytest.raises(UsageError, match="comparing takes two-choice runs"):
        model_outcomes("free", judged)


def test_tables_of_scores(judged: Path) -> None:
    """One table of safety and responsibility, one of refusal both ways; nothing judged gives none."""
    with open_study(judged) as study:
        scores = free_scores(free_outcomes(study, "free"))
    main, refusal = free_tables(scores)
    assert main.columns == ("model", "safe", "at least safe", "responsible", "coverage", "n")
    assert refusal.columns[:3] == ("model", "over-refusal", "false compliance")
    assert len(main.rows) == len(refusal.rows) == 3
    assert free_tables([]) == []


def call(arguments: list[str], capfdbinary: pytest.CaptureFixture[bytes]) -> tuple[int, str, str]:
    """Runs a command and returns its exit code, data and talk."""
    import typer

    code = typer.main.get_command(app).main(arguments, prog_name="cvalues", standalone_mode=False)
    out, said = capfdbinary.readouterr()
    return int(code or 0), out.decode(), said.decode()


def test_commands_show_free_responses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """`run` tells how to judge, `read` prints tables with their raters after judging, `report` writes a page of free responses alone."""
    monkeypatch.chdir(tmp_path)
    with ChatServer(lambda _body, number: completion(f"回复 {number}：对不起，我不能帮您做这件事。")) as server:
        code, out, said = call(
            ["run", "starter-prompts", "-m", f"openai:m@{server.url}", "--limit", "3", "--name", "r", "--lang", "en"],
            capfdbinary,
        )
    assert code == 0
    assert "3 free responses" in out
    assert "cvalues judge r -j rule:safety" in said
    with open_study("study.db") as study:
        judge(study, "r", ["rule:refusal"])
        judge(study, "r", ["rule:safety"])
    code, out, _ = call(["read", "r", "--lang", "zh"], capfdbinary)
    assert "安全率" in out
    assert "过度拒绝" in out
    assert "是下限，不是评审" in out
    code, out, _ = call(["report", "r", "-o", "rep", "--lang", "en", "--json"], capfdbinary)
    assert json.loads(out)["report"].endswith("report.html")
    assert "<title>Free-response values report" in Path("rep/report.html").read_text(encoding="utf-8")
