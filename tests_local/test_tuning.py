"""Tests of tuning through TRL on a tiny model; they need the extra `train` and are skipped without it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from cvalues.datasets import starter
from cvalues.endpoints.loading import load
from cvalues.endpoints.loglikelihood import Item, token_logprobs
from cvalues.endpoints.weights import read_weights
from cvalues.errors import UsageError
from cvalues.tuning import SUMMARY, TuningSettings, tune

pytest.importorskip("trl")
pytest.importorskip("peft")
pytestmark = pytest.mark.filterwarnings("default")

SMALL = TuningSettings(
    epochs=2, learning_rate=1e-3, batch=4, accumulate=1, max_length=96, save_steps=2, max_steps=2, device="cpu"
)


def rows(path: Path, method: str) -> Path:
    """A small file in TRL's form."""
    made = []
    for entry in starter.graded("train")[:8]:
        good, bad = entry.replies["responsible"][:60], entry.replies["unsafe"][:60]
        answer = {"completion": good} if method == "sft" else {"chosen": good, "rejected": bad}
        made.append({"prompt": entry.prompt.text[:40], **answer})
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in made), encoding="utf-8")
    return path


def scores(folder: Path) -> list[float]:
    """What the weights of a folder think of a short text, token by token."""
    loaded = load(read_weights(folder), dtype="float32", device="cpu")
    tokens = loaded.tokenizer.encode("先听他说完，再一起想办法。")
    found = token_logprobs(loaded, [Item(tuple(tokens[:2]), (tuple(tokens[2:]),))])
    return found[0][0]


@pytest.mark.parametrize(("method", "adapter"), [("sft", "lora"), ("sft", "full"), ("dpo", "lora"), ("dpo", "full")])
def test_training_writes_weights_and_goes_on(
    folder_of: Callable[[str], Path], tmp_path: Path, method: str, adapter: str
) -> None:
    """A training writes weights that load again and its summary, a second call goes on from the last checkpoint, other data is refused."""
    import msgspec

    model = folder_of("qwen2")
    data = rows(tmp_path / f"{method}.jsonl", method)
    settings = msgspec.structs.replace(SMALL, method=method, adapter=adapter)
    first = tune(data, model, tmp_path / "out", settings)
    assert (first.steps, first.rows, first.resumed) == (2, 8, "")
    assert first.trained == first.parameters if adapter == "full" else first.trained < first.parameters
    assert (tmp_path / "out" / SUMMARY).exists()
    before, after = scores(model), scores(tmp_path / "out")
    assert before != after, "the new weights answer as the old ones did"
    second = tune(data, model, tmp_path / "out", msgspec.structs.replace(settings, max_steps=4))
    assert (second.steps, second.resumed) == (4, "checkpoint-2")
    assert [step.step for step in second.log] == [1, 2, 3, 4]
    assert scores(tmp_path / "out") != after
    other = rows(tmp_path / "other.jsonl", method)
    other.write_text(other.read_text(encoding="utf-8") * 2, encoding="utf-8")
    with pytest.raises(UsageError, match="other data"):
        tune(other, model, tmp_path / "out", settings)
    with pytest.raises(UsageError, match="itself"):
        tune(data, model, model, settings)


def test_a_training_that_was_cut_off_ends_as_one_that_was_not(folder_of: Callable[[str], Path], tmp_path: Path) -> None:
    """DPO in full that stops after two of four steps and goes on comes to the weights of one that was never stopped."""
    import msgspec

    data = rows(tmp_path / "dpo.jsonl", "dpo")
    whole = msgspec.structs.replace(SMALL, method="dpo", adapter="full", max_steps=4)
    tune(data, folder_of("llama"), tmp_path / "one", whole)
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    for name in ("checkpoint-4", "model.safetensors"):
        place = tmp_path / "two" / name
        if place.is_dir():
            shutil.rmtree(place)
        else:
            place.unlink()
    again = tune(data, folder_of("llama"), tmp_path / "two", whole)
    assert (again.resumed, again.steps) == ("checkpoint-2", 4)
    assert scores(tmp_path / "two") == pytest.approx(scores(tmp_path / "one"), abs=1e-5)


def test_a_tokenizer_that_reads_nothing_is_refused(folder_of: Callable[[str], Path], tmp_path: Path) -> None:
    """A folder whose tokenizer finds next to no token in the answers is refused before training, with what to do."""
    broken = tmp_path / "broken"
    shutil.copytree(folder_of("llama"), broken)
    tokenizer = json.loads((broken / "tokenizer.json").read_text(encoding="utf-8"))
    tokenizer["pre_tokenizer"] = {
        "type": "Split", "pattern": {"Regex": r"[\s\S]"}, "behavior": "Removed", "invert": False
    }  # fmt: skip
    (broken / "tokenizer.json").write_text(json.dumps(tokenizer, ensure_ascii=False), encoding="utf-8")
    with pytest.raises(UsageError, match="reads 0 tokens in 480 characters"):
        tune(rows(tmp_path / "sft.jsonl", "sft"), broken, tmp_path / "out", SMALL)
