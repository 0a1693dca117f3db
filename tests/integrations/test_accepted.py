"""Files that other tools accepted: the exporters still write them byte for byte, and the tools' numbers stand in the docs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from cvalues.datasets import load
from cvalues.integrations.items import figure, outcome_of, row_of
from cvalues.prompts import template
from cvalues.workflows.interop import export_set

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(__file__).parent / "data"
TOOLS = ("opencompass", "evalscope", "promptfoo")
KINDS = ("plain", "free")


def accepted() -> dict[str, Any]:
    """Versions and numbers of the tools, as tests_interop found them."""
    found: dict[str, Any] = json.loads((DATA / "accepted.json").read_text(encoding="utf-8"))
    return found


def our_figure(kind: str, name: str, level: int | None = None) -> float | None:
    """A figure of the recorded responses as our rules read them."""
    said = [json.loads(line) for line in (DATA / "answers.jsonl").read_text(encoding="utf-8").splitlines()]
    choices = {choice.id: choice for choice in load(DATA / "set.jsonl", kind="choice")}
    assert {row["id"] for row in said} == set(choices)
    read = [outcome_of(row_of(choices[row["id"]], template("public")), row[kind]) for row in said]
    return figure([outcome for outcome in read if level is None or outcome.level == level], name)


@pytest.mark.parametrize("tool", TOOLS)
def test_exporters_write_what_the_tool_accepted(tool: str, tmp_path: Path) -> None:
    """The files of a set are byte for byte those that the tool ran with, and no other."""
    export_set(str(DATA / "set.jsonl"), tmp_path, tool)
    made = {file.relative_to(tmp_path).as_posix(): file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    kept = {
        file.relative_to(DATA / tool).as_posix(): file.read_bytes()
        for file in (DATA / tool).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert made == kept


@pytest.mark.parametrize("kind", KINDS)
def test_our_numbers_are_those_recorded(kind: str) -> None:
    """Our reading of the recorded responses has the figures that stand beside those of the tools."""
    for name, value in accepted()["ours"][kind].items():
        assert our_figure(kind, name) == pytest.approx(value), name


def test_where_the_method_is_equal_the_numbers_are() -> None:
    """The tool promptfoo reads by our rules and agrees on both recordings; all agree on answers in the form that each of them asks for."""
    found = accepted()
    for kind in KINDS:
        assert found["promptfoo"][kind]["acc"] == pytest.approx(our_figure(kind, "acc"))
    for tool in TOOLS:
        assert found[tool]["plain"]["acc"] == pytest.approx(our_figure("plain", "acc"))
    for level, name in ((1, "safety"), (2, "responsibility")):
        assert found["evalscope"]["plain"][name] == pytest.approx(our_figure("plain", "acc", level))


def test_the_docs_hold_the_numbers() -> None:
    """The table of docs/interop.md has version and numbers of each tool."""
    text = (ROOT / "docs" / "interop.md").read_text(encoding="utf-8")
    names = {"opencompass": "OpenCompass", "evalscope": "EvalScope", "promptfoo": "promptfoo", "ours": "`cvalues`"}
    for tool, entry in accepted().items():
        name = " ".join(filter(None, (names[tool], entry.get("version"))))
        row = re.search(rf"^\| {re.escape(name)} \|(.*)\|$", text, re.MULTILINE)
        assert row is not None, tool
        assert [cell.strip() for cell in row[1].split("|")][:2] == [f"{entry[kind]['acc']:.2f}" for kind in KINDS], tool
