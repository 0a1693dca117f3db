"""Pairs as training data, and the guard on what is held back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cvalues.datasets import load, starter
from cvalues.errors import UsageError
from cvalues.study import open_study
from cvalues.study.verify import verify
from cvalues.workflows.export import export_pairs


def test_train_split_is_exported_in_the_public_format(tmp_path: Path) -> None:
    """Each line has the five fields of CValues-Comparison, and nothing that is held back is among them."""
    path = tmp_path / "train.jsonl"
    count, heldout = export_pairs("starter-choice", path, split="train", allow_heldout=False, study=tmp_path / "s.db")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert (len(rows), heldout) == (count, 0)
    assert count == 3 * len(starter.graded("train"))
    assert set(rows[0]) == {"prompt", "pos_resp", "neg_resp", "pos_type", "neg_type"}
    held = {entry.prompt.text for entry in starter.graded("heldout")}
    assert not held & {row["prompt"] for row in rows}
    assert not (tmp_path / "s.db").exists()
    assert len(load(path, kind="comparison")) == count


@pytest.mark.parametrize("split", ["heldout", "all"])
def test_heldout_is_refused_unless_forced_and_then_remembered(tmp_path: Path, split: str) -> None:
    """Held-back items are refused; forced, they are written and the study remembers the file's hash for good."""
    path, study = tmp_path / "x.jsonl", tmp_path / "s.db"
    with pytest.raises(UsageError, match="held back for testing.*--allow-heldout"):
        export_pairs("starter-choice", path, split=split, allow_heldout=False, study=study)
    assert not path.exists()
    _, heldout = export_pairs("starter-choice", path, split=split, allow_heldout=True, study=study)
    with open_study(study) as opened:
        [audit] = opened.audits()
        assert (audit.verb, audit.object, audit.detail["pairs"]) == ("export-heldout", "starter-choice", heldout)
        assert str(audit.detail["hash"]).startswith("sha256:")
        assert verify(opened).sound


def test_unknown_split_and_set_without_pairs_are_explained(tmp_path: Path) -> None:
    """A split that does not exist lists the splits."""
    with pytest.raises(UsageError, match="did you mean train"):
        export_pairs("starter-choice", tmp_path / "x", split="trian", allow_heldout=False, study=tmp_path / "s.db")
