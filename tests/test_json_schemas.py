"""The published JSON Schemas: they are those of the records, and every starter record is valid under them."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator

from cvalues.datasets import starter
from cvalues.datasets.pairing import comparisons_of
from cvalues.datasets.shapes import CardFigure, DataCard, Splits, Twin, twin_record
from cvalues.hardening.decisions import GateAnswer
from cvalues.scoring.gate import DEFAULT, Point, gate
from cvalues.workflows.gate import Gated

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))

import build_schemas  # noqa: E402  # a script of the repository, not of the package

NAMES = ("prompts", "choices", "pairs", "twins", "splits", "card", "gate", "gate-result")


def published(name: str) -> dict[str, Any]:
    """The committed schema of a shape."""
    body: dict[str, Any] = msgspec.json.decode((ROOT / f"docs/schemas/{name}.schema.json").read_bytes())
    return body


def faults(name: str, records: Iterable[object]) -> list[str]:
    """What the committed schema finds wrong with records, at most a few."""
    validator = Draft202012Validator(published(name))
    found: list[str] = []
    for record in records:
        plain = msgspec.json.decode(msgspec.json.encode(record))
        found += [f"{plain.get('id', '')}: {error.message}" for error in validator.iter_errors(plain)]
    return found[:5]


def example_splits() -> Splits:
    """The splits of the starter set."""
    chosen = {prompt.id: prompt.split for prompt in starter.prompts()}
    return msgspec.convert({"set": "starter", "rule": "by prompt cluster", "splits": chosen}, Splits)


def test_there_are_eight_shapes() -> None:
    """Exactly these shapes are published, one file each."""
    assert tuple(build_schemas.SHAPES) == NAMES
    assert {path.name for path in (ROOT / "docs/schemas").glob("*.json")} == {f"{name}.schema.json" for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_committed_schemas_are_the_generated_ones(name: str) -> None:
    """A record that changes without its schema fails here; `python tools/build_schemas.py` writes the files again."""
    assert (ROOT / f"docs/schemas/{name}.schema.json").read_text(encoding="utf-8") == build_schemas.text(name)


@pytest.mark.parametrize("name", NAMES)
def test_each_schema_is_sound_and_explained(name: str) -> None:
    """Each is a valid draft 2020-12 schema with a title, a description, and no room for unknown fields."""
    found = published(name)
    Draft202012Validator.check_schema(found)
    assert found["title"].startswith("CValues ")
    assert len(found["description"]) > 20
    assert found["additionalProperties"] is False
    assert any("description" in field for field in found["properties"].values())


def test_every_starter_record_is_valid() -> None:
    """All starter prompts, twins as prompts, choices and pairs fit their published schema."""
    graded = starter.graded()
    assert faults("prompts", [*starter.prompts(), *starter.twins()]) == []
    assert faults("choices", starter.choices()) == []
    assert faults("pairs", [pair for entry in graded for pair in comparisons_of(entry)]) == []
    twins = [twin for entry in graded if (twin := twin_record(entry)) is not None]
    assert len(twins) == len(starter.twins())
    assert faults("twins", twins) == []
    assert faults("splits", [example_splits()]) == []


def test_a_card_is_valid() -> None:
    """A data card with figures, one of them without data, fits its schema."""
    card = DataCard(
        name="starter", version="1", licence="CC-BY-4.0", language="zh", canary="c", prompts=2, twins=1, pairs=6,
        categories={"law": 2}, splits={"train": 2}, authors=("batch",),
        figures=(CardFigure(name="longer", pair="safe/unsafe", level=1, value=0.5, low=0.4, high=0.6), CardFigure(name="ngram")),
    )  # fmt: skip
    assert faults("card", [card]) == []


def gate_result() -> GateAnswer:
    """An answer of the gate on made-up readings, with rules passed, open and left out, and a category."""
    points = {f"p{n}": Point(f"p{n}", "law", float(n % 4 > 0)) for n in range(60)}
    readings = {"choice/1": points, "choice/2": points, "choice_coverage": points}
    result = gate(readings, readings, choice_only=True)
    return Gated(result, {}, ("starter-choice",), 3).printed()


def test_the_gates_rules_and_answers_are_valid() -> None:
    """The default rules and an answer fit their schemas, and the schema lists the three answers."""
    assert faults("gate", [DEFAULT]) == []
    assert faults("gate-result", [gate_result()]) == []
    assert set(published("gate-result")["properties"]["answer"]["enum"]) == {"pass", "fail", "not enough data"}


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("prompts", {"level": 3}),
        ("prompts", {"colour": "red"}),
        ("choices", {"better": 0}),
        ("choices", {"replies": [{"text": "only one"}]}),
        ("pairs", {"better": {"text": "x", "grade": "good"}}),
        ("twins", {"helpful": None}),
        ("splits", {"splits": {"p": "test"}}),
        ("card", {"prompts": "two"}),
        ("gate", {"version": 2}),
        ("gate", {"rule": [{"measure": "does/2", "least": 0.6}]}),
        ("gate-result", {"answer": "maybe"}),
        ("gate-result", {"rules": [{"measure": "does/2"}]}),
    ],
)
def test_wrong_records_are_rejected(name: str, change: dict[str, Any]) -> None:
    """A level, field, side, reply, grade or split that does not exist is found by the schema."""
    graded = next(entry for entry in starter.graded() if entry.twin is not None)
    right: dict[str, object] = {
        "prompts": graded.prompt,
        "choices": starter.choices()[0],
        "pairs": next(comparisons_of(graded)),
        "twins": twin_record(graded),
        "splits": example_splits(),
        "gate": DEFAULT,
        "gate-result": gate_result(),
        "card": DataCard(name="s", version="1", licence="l", language="zh", canary="c", prompts=1, twins=0, pairs=3,
                         categories={}, splits={}),
    }  # fmt: skip
    plain = msgspec.json.decode(msgspec.json.encode(right[name]))
    assert faults(name, [plain]) == []
    assert faults(name, [{**plain, **change}])


def test_a_twin_becomes_a_row_of_its_own() -> None:
    """The row of a twin names its parent and keeps level, category, split and licence; a prompt without one gives none."""
    graded = next(entry for entry in starter.graded() if entry.twin is not None)
    found = twin_record(graded)
    assert found is not None
    assert (found.id, found.parent) == (f"{graded.prompt.id}:twin", graded.prompt.id)
    assert (found.level, found.category, found.split, found.licence) == (
        graded.prompt.level, graded.prompt.category, graded.prompt.split, graded.prompt.licence,
    )  # fmt: skip
    assert Twin(text=found.text, helpful=found.helpful, refusal=found.refusal) == graded.twin
    assert twin_record(msgspec.structs.replace(graded, twin=None)) is None
