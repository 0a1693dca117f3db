"""Inspect AI runs our tasks: the same responses get the same scores, its logs come back as responses, its providers answer for us."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import inspect_ai
import pytest
from inspect_ai.log import EvalLog, list_eval_logs, read_eval_log

from cvalues.datasets import load
from cvalues.endpoints.recorded import RecordedEndpoint
from cvalues.integrations.inspect_logs import import_log
from cvalues.integrations.inspect_tasks import task_of
from cvalues.integrations.items import FIGURES
from cvalues.records import derive_seed
from cvalues.schema import Choice
from cvalues.scoring import score
from cvalues.study import open_study
from cvalues.workflows.api import outcomes, run
from server import ChatServer, completion

ANSWERS = (
    "回复1",
    "我认为回复2更好，因为它更安全。",
    "两个回复都不好。",
    "抱歉，我无法回答这个问题。",
    "回复1不如回复2。",
    "嗯。",
    "选择：A",
    "**回复1**更负责任。",
)
SPLIT = "dev"
FILTERS = {"level": "2", "split": SPLIT}


def answer(body: dict[str, Any], _number: int) -> dict[str, Any]:
    """One of the answers, by the hash of what was asked; some are cut off."""
    put = body["messages"][-1]["content"]
    text = ANSWERS[derive_seed("answer", put) % len(ANSWERS)]
    return completion(text, "length" if derive_seed("cut", put) % 7 == 0 else "stop")


@pytest.fixture(scope="module")
def server() -> Any:
    """A chat server that gives every prompt its own answer, always the same."""
    with ChatServer(answer) as running:
        yield running


@pytest.fixture(scope="module")
def log(server: ChatServer, tmp_path_factory: pytest.TempPathFactory) -> EvalLog:
    """The log of `inspect eval cvalues/choice_responsibility`, run by its command line."""
    folder = tmp_path_factory.mktemp("logs")
    environment = {**os.environ, "MOCK_API_KEY": "none", "MOCK_BASE_URL": server.url}
    command = [str(Path(sys.executable).parent / "inspect"), "eval", "cvalues/choice_responsibility", "--model", "openai-api/mock/mock-1",
               "-T", f"split={SPLIT}", "--log-dir", str(folder), "--display", "plain"]  # fmt: skip
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    [entry] = list_eval_logs(str(folder))
    return read_eval_log(entry)


def test_the_same_responses_get_the_same_scores(log: EvalLog, server: ChatServer, tmp_path: Path) -> None:
    """Each figure and each outcome of Inspect's log equals that of `cvalues run` on the same server."""
    choices = [
        choice for choice in load("starter-choice", kind="choice") if choice.level == 2 and choice.split == SPLIT
    ]
    with open_study(tmp_path / "s.db") as study:
        finished = run("starter-choice", f"openai:mock-1@{server.url}", study=study, filters=FILTERS, template="public")
        ours = outcomes(finished)
    assert {outcome.choice for outcome in ours} == {choice.id for choice in choices}
    assert log.samples is not None
    theirs = {sample.id: sample.scores["reader"] for sample in log.samples if sample.scores}
    assert {outcome.choice: outcome.outcome for outcome in ours} == {key: found.answer for key, found in theirs.items()}
    assert len({outcome.outcome for outcome in ours}) >= 5
    [figures] = score(ours)
    assert log.results is not None
    metrics = log.results.scores[0].metrics
    for name in FIGURES:
        expected = getattr(figures, name).value
        assert metrics[name].value == pytest.approx(expected, abs=1e-12), name
        assert not math.isnan(metrics[name].value)


@pytest.mark.parametrize("form", ["eval", "json"])
def test_logs_import_as_responses(log: EvalLog, form: str, tmp_path: Path) -> None:
    """A log of either form becomes recorded responses that the same rules read to the same outcomes."""
    source = Path(log.location.removeprefix("file://"))
    if form == "json":
        folder = tmp_path / "json"
        command = [
            str(Path(sys.executable).parent / "inspect"),
            "log",
            "convert",
            str(source),
            "--to",
            "json",
            "--output-dir",
            str(folder),
        ]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
        [source] = folder.glob("*.json")
    out = tmp_path / "responses.jsonl"
    assert import_log(source, out) == len(log.samples or [])
    assert RecordedEndpoint("mock-1", out).revision.startswith("sha256:")
    with open_study(tmp_path / "s.db") as study:
        finished = run("starter-choice", f"recorded:{out}", study=study, filters=FILTERS)
        ours = {outcome.choice: outcome.outcome for outcome in outcomes(finished)}
    assert log.samples is not None
    assert ours == {sample.id: sample.scores["reader"].answer for sample in log.samples if sample.scores}


def test_a_provider_of_inspect_answers_for_us(
    server: ChatServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`inspect:PROVIDER/MODEL` gives the outcomes that our own client gives at the same server, finish reasons included."""
    monkeypatch.setenv("MOCK_API_KEY", "none")
    monkeypatch.setenv("MOCK_BASE_URL", server.url)
    found = []
    for spec in ("inspect:openai-api/mock/mock-1", f"openai:mock-1@{server.url}"):
        with open_study(tmp_path / f"{len(found)}.db") as study:
            found.append([outcome.outcome for outcome in outcomes(run("starter-choice", spec, study=study, limit=30))])
    assert found[0] == found[1]
    assert "truncated" in found[0]


def test_a_provider_that_does_not_exist_is_a_failed_call(tmp_path: Path) -> None:
    """An unknown provider leaves every item without a response, and the reason in the study."""
    with open_study(tmp_path / "s.db") as study:
        finished = run("starter-choice", "inspect:nobody/nothing", study=study, limit=2)
        failures = study.failures(finished.run.name)
        assert [outcome.outcome for outcome in outcomes(finished)] == [None, None]
    assert all(attempt.kind == "rejected" for attempt in failures.values())


def test_an_exported_folder_runs(tmp_path: Path, server: ChatServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """`cvalues data export --format inspect` writes a task that Inspect runs from its file."""
    from cvalues.workflows.interop import export_set

    monkeypatch.setenv("MOCK_API_KEY", "none")
    monkeypatch.setenv("MOCK_BASE_URL", server.url)
    export_set("starter-choice/heldout", tmp_path / "task", "inspect")
    monkeypatch.chdir(tmp_path / "task")
    [done] = inspect_ai.eval("task.py", model="openai-api/mock/mock-1", limit=5, log_dir=str(tmp_path), display="none")
    assert done.status == "success"
    assert done.samples is not None
    assert len(done.samples) == 5


def test_tasks_cover_the_levels() -> None:
    """The task of a level asks its choices alone; all choices of the set are in one of both."""
    everything = [choice for choice in load("starter-choice", kind="choice") if isinstance(choice, Choice)]
    sizes = [len(task_of(level=level).dataset) for level in (1, 2, None)]
    assert sizes[0] + sizes[1] == sizes[2] == len(everything)
    assert min(sizes) > 0
