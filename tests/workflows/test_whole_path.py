"""The whole path as a user types it, against one local OpenAI-compatible server that plays models and judge."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import typer

from cvalues.cli.app import app
from cvalues.study import open_study
from server import ChatServer

GOOD, BAD = "先冷静下来，再找家人或社区的人一起商量。", "照我说的做就行，别告诉任何人。"
PROMPTS = 12


class Play:
    """Answers as a model (`m-good`, or `m-bad`, which errs on every second prompt) or, where a nonce is told, as a judge."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.nonces: list[str] = []
        self.turn = 0

    def __call__(self, body: dict[str, Any], _number: int) -> str:
        content = body["messages"][-1]["content"]
        marks = re.findall(r"<<<([0-9a-f]{12})\n", content)
        self.asked["judge" if marks else body["model"]] += 1
        if not marks:
            return self.reply(body["model"], content)
        self.nonces.append(marks[0])
        if len(self.nonces) == 1:
            return '{"nonce": "' + marks[0] + '", "reason": "断在'
        if len(self.nonces) == 2:
            return "我觉得还可以，给 11 分。"
        answer: dict[str, Any] = {"nonce": marks[0], "reason": "按回复内容判断"}
        bad = BAD in content
        if '"verdict"' in content:
            answer["verdict"] = "unsafe" if bad else "responsible"
        else:
            answer["points"] = 2 if bad else 8
            answer |= {
                key: 1 if bad else 5 for key in re.findall(r'^- "(\w+)"', content, re.M) if key not in {"nonce", "reason", "points"}
            }  # fmt: skip
        return json.dumps(answer, ensure_ascii=False)

    def reply(self, model: str, content: str) -> str:
        if "回复1" in content or "回复2" in content:
            return "回复1"
        self.turn += model == "m-bad"
        return BAD if model == "m-bad" and self.turn % 2 else GOOD


def cvalues(capfd: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    """Runs a command and returns its exit code and what it printed to stdout."""
    code = typer.main.get_command(app).main(list(words), prog_name="cvalues", standalone_mode=False)
    return code or 0, capfd.readouterr().out


@pytest.mark.parametrize("language", ["zh", "en"])
def test_from_prompts_to_the_report(tmp_path: Path, capfd: pytest.CaptureFixture[str], language: str) -> None:
    """Run, judge, people, calibrate, choices, report: every call is made once, no nonce repeats, and the page holds the known numbers."""
    where, out = str(tmp_path / "study.db"), tmp_path / "report"
    end = ["--study", where, "--lang", language]
    play = Play()
    with ChatServer(play) as server:
        models = [f"openai:{name}@{server.url}" for name in ("m-good", "m-bad")]
        asked = ["-m", models[0], "-m", models[1], "--max-concurrency", "1", "--filter", "split=heldout"]
        judge = [
            "judge",
            "free",
            "-j",
            f"openai:j-judge@{server.url}",
            "--rubric",
            "grade",
            "--rubric",
            "responsibility",
            *end,
        ]
        assert cvalues(capfd, "run", "starter-prompts", *asked, "--limit", str(PROMPTS), "--name", "free", *end)[0] == 0
        assert play.asked == {"m-good": PROMPTS, "m-bad": PROMPTS}
        code, told = cvalues(capfd, *judge)
        assert code == 0
        assert "j-judge@grade@" in told
        calls = play.asked["judge"]
        assert calls == 2 * 2 * PROMPTS + 2
        assert len(set(play.nonces)) == calls
        assert cvalues(capfd, *judge)[0] == 0
        assert play.asked["judge"] == calls
        assert cvalues(capfd, "run", "starter-choice", *asked, "--limit", "72", "--name", "choice", *end)[0] == 0
    with open_study(where) as study:
        replies = list(study.responses("free").values())
    people = tmp_path / "people.jsonl"
    rows = [
        {"response": reply.id, "value": "unsafe" if reply.text == BAD else "responsible", "rater": f"person:{name}"}
        for reply in replies
        for name in ("a", "b")
    ]
    people.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    card = tmp_path / "card.json"
    code, _ = cvalues(
        capfd, "calibrate", "judge:j-judge@grade@*", "--people", str(people), "--run", "free", "--criterion", "grade",
        "--card", str(card), *end,
    )  # fmt: skip
    assert code == 0
    kept = json.loads(card.read_bytes())
    assert (kept["n"], kept["agreement"]["raw"]["value"]) == (2 * PROMPTS, 1.0)
    assert cvalues(capfd, "report", "free", "choice", "-o", str(out), *end)[0] == 0
    scores = {score["group"]["model"]: score for score in _scores(out)}
    assert scores["m-good"]["at_least_safe"]["value"] == 1.0
    assert scores["m-bad"]["at_least_safe"]["value"] == 0.5
    assert scores["m-bad"]["points"]["value"] == 5.0
    _check_gaps(json.loads((out / "results.json").read_bytes()), {reply.id: reply.text for reply in replies})
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "judge:j-judge@grade@" in page
    assert "person:people.jsonl" in page


def _scores(out: Path) -> list[dict[str, Any]]:
    """The scores by model of results.json."""
    found = json.loads((out / "results.json").read_bytes())
    return [score for score in found["free_scores"] if set(score["group"]) == {"model"}]


def _check_gaps(results: dict[str, Any], texts: dict[str, str]) -> None:
    """Who always says 回复1 is right in one order of each pair and tells nothing, so the gap is minus what its texts do."""
    gaps = {(gap["model"], gap["level"]): gap for gap in results["gaps"]}
    assert set(gaps) == {(model, level) for model in ("m-good", "m-bad") for level in (1, 2)}
    for (model, level), gap in gaps.items():
        prompts = {results["prompt_of"][each["choice"]] for each in results["outcomes"] if each["level"] == level}
        told = [
            texts[each["response"]] for each in results["free"] if each["model"] == model and each["prompt"] in prompts
        ]
        does = sum(text == GOOD for text in told) / len(told)
        assert gap["tells"]["value"] == gap["knows_but_errs"]["value"] == 0.0
        assert gap["gap"]["value"] == pytest.approx(-does)
        assert gap["prompts"] == len(told)
