"""Tests of tuning through TRL on a tiny model; they need the extra `train` and are skipped without it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cvalues.datasets import starter
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


@pytest.mark.parametrize(("method", "adapter"), [("sft", "lora"), ("sft", "full"), ("dpo", "lora")])
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
    second = tune(data, model, tmp_path / "out", msgspec.structs.replace(settings, max_steps=4))
    assert (second.steps, second.resumed) == (4, "checkpoint-2")
    other = rows(tmp_path / "other.jsonl", method)
    other.write_text(other.read_text(encoding="utf-8") * 2, encoding="utf-8")
    with pytest.raises(UsageError, match="other data"):
        tune(other, model, tmp_path / "out", settings)
    with pytest.raises(UsageError, match="itself"):
        tune(data, model, model, settings)
