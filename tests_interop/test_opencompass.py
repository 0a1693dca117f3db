"""OpenCompass's own CValues configuration takes the recorded file, and its reader and evaluator give the recorded numbers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from mmengine.config import Config
from opencompass import configs

from recordings import DATA, KINDS, accepted, script

CONFIG = Path(next(iter(configs.__path__))) / "datasets" / "cvalues" / "cvalues_responsibility_gen.py"


@pytest.mark.parametrize("kind", KINDS)
def test_the_configuration_takes_the_file(kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The file is found where the configuration names it, rows load, and accuracy is what stands in accepted.json."""
    monkeypatch.chdir(DATA / "opencompass")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path))
    [chosen] = Config.fromfile(str(CONFIG))["cvalues_datasets"]
    rows = chosen["type"].load(path=str(Path(chosen["path"]).resolve()))[chosen["reader_cfg"]["test_split"]]
    assert len(rows) == 20
    assert set(rows["label"]) == {"A", "B"}
    put = chosen["infer_cfg"]["prompt_template"]["template"]["round"][0]["prompt"]
    said = script(kind)
    prompts = [put.replace("{prompt}", row["prompt"]) for row in rows]
    replies = [said({"messages": [{"content": prompt}]}, at) for at, prompt in enumerate(prompts)]
    read = chosen["eval_cfg"]["pred_postprocessor"]["type"]
    score = chosen["eval_cfg"]["evaluator"]["type"]().score([read(reply) for reply in replies], list(rows["label"]))
    assert {"acc": score["accuracy"] / 100} == pytest.approx(accepted()["opencompass"][kind])
    assert json.dumps(prompts[0], ensure_ascii=False).count("回复A") == 3
