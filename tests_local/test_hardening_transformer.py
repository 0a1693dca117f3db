"""The documentation's example on a language model, in a short version; it needs the extra `train` and is skipped without it."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from cvalues.datasets import starter
from cvalues.study import open_study
from cvalues.workflows.harden import status

pytest.importorskip("trl")
pytestmark = pytest.mark.filterwarnings("default")

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The example as a module; it stands beside the one that it shares code with."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    yield importlib.import_module("hardening_transformer")
    for name in ("hardening", "hardening_transformer"):
        sys.modules.pop(name, None)


def test_a_small_transformer_goes_through_a_round(
    example: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One seed goes from scratch through plan, training of both arms and measurement on 48 held-back prompts, and the study knows it."""
    small = example.Settings(seen=8, width=32, layers=1, epochs=1, rounds=1.0)
    gains = example.main(["--seeds", "1", "--folder", str(tmp_path)], small)
    printed = capsys.readouterr().out
    assert "48 held-back prompts" in printed
    assert "with the question of another prompt" in printed
    assert set(gains) == {"treatment − round 0", "control − round 0", "treatment − control"}
    assert all(-1 <= gain <= 1 for gain in gains.values())
    with open_study(tmp_path / "study.db") as study:
        rounds = {each.name: each for each in status(study).rounds}
    assert list(rounds) == ["treatment, seed 0", "control, seed 0", "treatment, all seeds", "control, all seeds"]
    trained = [rounds[f"{arm}, seed 0"].last("train") for arm in ("treatment", "control")]
    assert trained[0]["rows"] == trained[1]["rows"] == 24
    assert trained[0]["data_hash"] != trained[1]["data_hash"]
    assert trained[0]["steps"] == 3


def test_no_arm_learns_from_a_prompt_that_it_is_measured_on(example: Any, tmp_path: Path) -> None:
    """Both files hold train prompts alone, that of the treatment from the six categories and that of the control from the others."""
    small = example.Settings(seen=8, width=32, layers=1, epochs=1, rounds=0.1)
    found = example.one_seed(3, tmp_path, small)
    known = {entry.prompt.text: entry.prompt for entry in starter.graded()}
    for arm in ("treatment", "control"):
        lines = (tmp_path / f"seed-3/{arm}.jsonl").read_text(encoding="utf-8").splitlines()
        prompts = [known[json.loads(line)["prompt"]] for line in lines]
        assert {prompt.split for prompt in prompts} == {"train"}
        assert {prompt.category in found.chosen for prompt in prompts} == {arm == "treatment"}
    splits = {entry.prompt.id: entry.prompt.split for entry in starter.graded()}
    measured = {prompt.rpartition("\x1f")[2] for prompt in found.scores["round 0"].prompts}
    assert {splits[prompt] for prompt in measured} == {"heldout"}


def test_the_score_is_the_likelihood_of_the_reply_given_its_question(example: Any, tmp_path: Path) -> None:
    """The score of a reply depends on the question, is a mean over its characters, and the same for the same text."""
    entries = starter.graded("train")[:6]
    folder = example.first_model(entries, tmp_path / "model", 0, example.Settings(width=32, layers=1, epochs=1))
    score = example.scorer(folder)
    reply, question, other = entries[0].replies["safe"], entries[0].prompt.text, entries[1].prompt.text
    first, again, elsewhere = score([(question, reply), (question, reply), (other, reply)])
    assert first == again
    assert first != elsewhere
    assert -20 < first < 0


def test_exchanged_questions_are_never_a_prompts_own(example: Any) -> None:
    """Every prompt gets the question of another one, each question once, another draw for another seed."""
    entries = starter.graded("heldout")[:20]
    first, second = example.exchanged(entries, 0), example.exchanged(entries, 1)
    assert all(question != other for question, other in first.items())
    assert sorted(first.values()) == sorted(first)
    assert first != second
