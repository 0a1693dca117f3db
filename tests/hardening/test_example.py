"""The example of the documentation, in a short version."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from cvalues.workflows.harden import status

PLACE = Path(__file__).parents[2] / "examples/hardening.py"


@pytest.mark.slow
def test_the_example_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One seed goes through plan, data, training and comparison on at least 48 held-back prompts, and the rounds are kept."""
    spec = importlib.util.spec_from_file_location("hardening_example", PLACE)
    assert spec is not None
    assert spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    gains = example.main(["--seeds", "1", "--folder", str(tmp_path)])
    printed = capsys.readouterr().out
    assert "48 held-back prompts" in printed
    assert "95 % interval" in printed
    assert set(gains) == {"treatment − round 0", "control − round 0", "treatment − control"}
    assert all(-1 <= gain <= 1 for gain in gains.values())
    assert [each.name for each in status(tmp_path / "study.db").rounds] == ["treatment", "control"]
