"""TRL and `datasets` take our pairs as they are, and a reward model trained here scores as it was trained."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
import trl

import datasets
import tiny_lm
from cvalues.endpoints.sequence import encode
from cvalues.study import open_study
from cvalues.training import RewardTraining
from cvalues.workflows.interop import export_set
from cvalues.workflows.pairs import Measuring, TrainSettings, evaluate_models, training_pairs
from cvalues.workflows.pairs_export import ExportSettings, export
from cvalues.workflows.pairs_weights import train_weights

SOURCE = "starter-choice"


def exported(folder: Path, form: str) -> Path:
    """The pairs of the train split in one form."""
    path = folder / ("pairs" if form == "hf" else f"pairs-{form}.jsonl")
    export(SOURCE, path, ExportSettings(format=form), study=folder / "s.db")
    return path


def test_datasets_loads_the_parquet_folder(tmp_path: Path) -> None:
    """`load_dataset` on the exported folder gives every pair of the card, with its columns as text."""
    folder = exported(tmp_path, "hf")
    loaded = datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    assert {name: len(part) for name, part in loaded.items()} == {"train": card["pairs"]}
    assert {"prompt", "chosen", "rejected", "chosen_grade"} <= set(loaded["train"].column_names)
    assert all(row["chosen"] != row["rejected"] for row in loaded["train"])


def test_datasets_loads_an_exported_set(tmp_path: Path) -> None:
    """`load_dataset` on an exported set gives its items in the splits that the hubs know."""
    done = export_set(SOURCE, tmp_path / "set", "hf")
    loaded = datasets.load_dataset(str(done.folder), cache_dir=str(tmp_path / "cache"))
    assert sum(len(part) for part in loaded.values()) == done.items
    assert set(loaded) == {"train", "validation", "test"}
    assert set(loaded["test"]["better"]) == {1, 2}


@pytest.mark.parametrize("form", ["trl", "trl-chat"])
@pytest.mark.parametrize("kind", ["reward", "dpo"])
def test_trl_trains_on_the_exports(form: str, kind: str, tmp_path: Path) -> None:
    """RewardTrainer and DPOTrainer take one step on either form of the exported pairs."""
    weights = tiny_lm.build(tmp_path / "weights", template=tiny_lm.TEMPLATE)
    tokenizer = transformers.AutoTokenizer.from_pretrained(weights)
    loaded = datasets.load_dataset(
        "json", data_files=str(exported(tmp_path, form)), split="train", cache_dir=str(tmp_path / "cache")
    ).select(range(4))
    common: dict[str, Any] = {"output_dir": str(tmp_path / "out"), "max_steps": 1, "per_device_train_batch_size": 2, "use_cpu": True,
                              "bf16": False, "report_to": "none", "save_strategy": "no", "max_length": 2048}  # fmt: skip
    trainer: Any
    if kind == "reward":
        model = transformers.AutoModelForSequenceClassification.from_pretrained(weights, num_labels=1)
        trainer = trl.RewardTrainer(
            model=model, args=trl.RewardConfig(**common), train_dataset=loaded, processing_class=tokenizer
        )
    else:
        model = transformers.AutoModelForCausalLM.from_pretrained(weights)
        trainer = trl.DPOTrainer(
            model=model, args=trl.DPOConfig(**common), train_dataset=loaded, processing_class=tokenizer
        )
    assert trainer.train().training_loss > 0


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny reward model, trained on a few pairs of the starter set."""
    folder = tmp_path_factory.mktemp("trained")
    done, drawn = train_weights(
        SOURCE, folder / "rm", TrainSettings(sample=60), RewardTraining(batch=4), study=folder / "s.db"
    )
    assert (done.pairs, done.left_out, done.resumed) == (60, 0, False)
    assert drawn.seen > 60
    assert not (folder / "rm" / "checkpoints").exists()
    return folder / "rm"


def test_scores_are_those_of_the_saved_classifier(trained: Path, tmp_path: Path) -> None:
    """`pairs evaluate reward:FOLDER` has the margins that transformers computes alone, one text at a time; a second time asks nothing."""
    pairs, _, _ = training_pairs("starter-choice/dev", TrainSettings(split="dev"))
    tokenizer = transformers.AutoTokenizer.from_pretrained(trained)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(trained).eval()
    right = []
    for pair in pairs:
        scores = []
        for reply in (pair.better.text, pair.worse.text):
            with torch.inference_mode():
                scores.append(float(model(torch.tensor([encode(tokenizer, pair.question, reply)])).logits[0, 0]))
        right.append(1.0 if scores[0] > scores[1] else 0.0)
    for _ in range(2):
        with open_study(tmp_path / "s.db") as study:
            done = evaluate_models([f"reward:{trained}"], "starter-choice/dev", Measuring(split="dev"), study=study)
    assert done.failed == 0
    assert done.models[0].overall.accuracy.value == pytest.approx(sum(right) / len(right), abs=1e-9)


def test_training_again_returns_the_card_and_trains_nothing(trained: Path) -> None:
    """The same pairs and settings in the same folder are the same training."""
    before = (trained / "model.safetensors").stat().st_mtime_ns
    done, _ = train_weights(
        SOURCE, trained, TrainSettings(sample=60), RewardTraining(batch=4), study=trained.parent / "s.db"
    )
    assert done.pairs == 60
    assert (trained / "model.safetensors").stat().st_mtime_ns == before


KILLED = """
import sys
from pathlib import Path
from cvalues.training import RewardTraining, train_reward
from cvalues.workflows.pairs import TrainSettings, training_pairs
pairs, _, _ = training_pairs("starter-choice", TrainSettings(sample=40))
done = train_reward(pairs, Path(sys.argv[1]), RewardTraining(batch=2, save_every=2, epochs=2))
print(done.resumed, done.steps)
"""


def test_a_killed_training_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    """After kill -9 in mid-training the second call resumes and ends with the weights of a training that was never killed."""
    command = [sys.executable, "-c", KILLED]
    first = subprocess.Popen([*command, str(tmp_path / "killed")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    checkpoints = tmp_path / "killed" / "checkpoints"
    end = time.monotonic() + 200
    while time.monotonic() < end and not list(checkpoints.glob("checkpoint-*/trainer_state.json")):
        assert first.poll() is None, "the training ended before it could be killed"
        time.sleep(0.02)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    said = subprocess.run([*command, str(tmp_path / "killed")], capture_output=True, text=True, check=True).stdout
    whole = subprocess.run([*command, str(tmp_path / "whole")], capture_output=True, text=True, check=True).stdout
    assert said.split() == ["True", "40"]
    assert whole.split() == ["False", "40"]
    one, other = (
        transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / name).state_dict()
        for name in ("killed", "whole")
    )
    assert all(torch.allclose(one[name], other[name], atol=1e-6) for name in one)


def test_the_card_of_a_model_is_read_by_the_hub_library(tmp_path: Path) -> None:
    """`cvalues data card` writes results that huggingface_hub reads from a model card, with the figures of the run."""
    from huggingface_hub import ModelCard

    from cvalues.scoring import score
    from cvalues.workflows.api import outcomes, run
    from cvalues.workflows.interop import card_of

    with open_study(tmp_path / "s.db") as study:
        finished = run(SOURCE, "baseline:ngram", study=study, filters={"split": "heldout"})
        figures = {entry.group["level"]: entry.acc.value for entry in score(outcomes(finished), ("level",))}
        name = finished.run.name
    assert card_of([name], tmp_path / "s.db", tmp_path / "README.md") == ["baseline:ngram"]
    results = ModelCard.load(tmp_path / "README.md").data.eval_results
    assert results is not None
    accuracies = {entry.dataset_config: entry.metric_value for entry in results if entry.metric_type == "acc"}
    assert set(accuracies) == {"level-1", "level-2"}
    for level, value in figures.items():
        assert value is not None
        assert accuracies[f"level-{level}"] == pytest.approx(100 * value, abs=1e-3)
