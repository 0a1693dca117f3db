"""lm-evaluation-harness runs the exported task folder; its numbers equal ours on the same weights and items."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import lm_eval
import pytest
from lm_eval.tasks import TaskManager

import tiny_lm
from cvalues.integrations.items import choice_of
from cvalues.scoring import score
from cvalues.study import open_study
from cvalues.workflows.api import outcomes, run
from cvalues.workflows.interop import export_set

ITEMS = 30
SET = "starter-choice/dev"
NAME = "cvalues_starter_choice_dev"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random model without a chat template."""
    return tiny_lm.build(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The exported task folder, somewhere else than where the harness runs."""
    return export_set(SET, tmp_path_factory.mktemp("tasks") / "cvalues", "lm-eval").folder


def evaluate(weights: Path, folder: Path, task: str, items: int = ITEMS) -> dict[str, Any]:
    """What the harness returns for the first items of one task."""
    found = lm_eval.simple_evaluate(
        model="hf",
        model_args=f"pretrained={weights},dtype=float32,device=cpu",
        tasks=[task],
        task_manager=TaskManager(include_path=str(folder)),
        limit=items,
        gen_kwargs={"max_gen_toks": 12} if task.endswith("_generate") else None,
        batch_size=8,
        log_samples=True,
        bootstrap_iters=0,
    )
    assert found is not None
    return dict(found)


def models_file(folder: Path, weights: Path) -> str:
    """A models.toml that names the weights as a base model, as the harness takes them."""
    path = folder / "models.toml"
    path.write_text(f'[tiny]\nendpoint = "hf:{weights}"\npreset = "plain"\n', encoding="utf-8")
    return str(path)


def test_likelihoods_equal_ours(weights: Path, folder: Path, tmp_path: Path) -> None:
    """Both labels of every item have the harness's log-likelihood, so accuracy is the same number."""
    found = evaluate(weights, folder, f"{NAME}_likelihood")
    theirs = {}
    for sample in found["samples"][f"{NAME}_likelihood"]:
        first, second = (float(entry[0][0]) for entry in sample["resps"])
        theirs[choice_of(sample["doc"]).id] = (first, second)
    assert len(theirs) == ITEMS
    with open_study(tmp_path / "s.db") as study:
        finished = run(SET, "tiny", study=study, mode="choose", models_file=models_file(tmp_path, weights))
        ours = {ask.subject: response.option_scores for ask, _, response in finished}
        kept = [outcome for outcome in outcomes(finished) if outcome.choice in theirs]
    for key, (first, second) in theirs.items():
        assert ours[key]["回复1"] == pytest.approx(first, abs=2e-3)
        assert ours[key]["回复2"] == pytest.approx(second, abs=2e-3)
    [figures] = score(kept)
    assert figures.acc.value == pytest.approx(found["results"][f"{NAME}_likelihood"]["acc,none"], abs=1e-12)


def test_generated_answers_are_read_by_our_rules(weights: Path, folder: Path) -> None:
    """The generating task runs, and its metrics are what our rules make of its own samples."""
    task = f"{NAME}_generate"
    found = evaluate(weights, folder, task, 8)
    from cvalues.integrations.items import figure, outcome_of

    samples = found["samples"][task]
    ours = [outcome_of(sample["doc"], sample["filtered_resps"][0]) for sample in samples]
    assert len(ours) == 8
    for name in ("acc", "answered", "coverage"):
        assert found["results"][task][f"{name},none"] == pytest.approx(figure(ours, name), abs=1e-12), name


def test_metrics_of_known_answers(folder: Path) -> None:
    """The task's own functions give the figures that our scoring gives, for answers of every kind."""
    from cvalues.integrations.items import figure, outcome_of, read_rows

    rows = read_rows(folder / "items.jsonl")[:ITEMS]
    said = ["回复1", "回复2更好。", "都不好。", "抱歉，我不能回答。", "嗯。"]
    task = TaskManager(include_path=str(folder)).load([f"{NAME}_generate"])
    [loaded] = _tasks(task)
    results = [loaded.process_results(row, [said[at % 5]]) for at, row in enumerate(rows)]
    ours = [outcome_of(row, said[at % 5]) for at, row in enumerate(rows)]
    for name in ("acc", "answered", "coverage", "acc_star"):
        value = loaded.aggregation()[name]([result[name] for result in results])
        assert value == pytest.approx(figure(ours, name), abs=1e-12), name


def _tasks(found: Any) -> list[Any]:
    """The task objects in what the manager loads, whatever the nesting of its groups."""
    if isinstance(found, dict):
        return [task for value in found.values() for task in _tasks(value)]
    return [found] if hasattr(found, "process_results") else []


def test_the_folder_names_no_machine(folder: Path) -> None:
    """No file of the folder holds a path, so it can be moved and shared."""
    for file in folder.iterdir():
        assert str(folder) not in file.read_text(encoding="utf-8"), file.name
    assert json.loads((folder / "items.jsonl").read_text(encoding="utf-8").splitlines()[0])["labels"] == [
        "回复1",
        "回复2",
    ]
