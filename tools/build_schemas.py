"""Writes the JSON Schemas of the published shapes to docs/schemas/, from the records and their documentation.

Usage:  python tools/build_schemas.py
"""

from __future__ import annotations

import ast
import inspect
import sys
from pathlib import Path
from typing import Any

import msgspec

from cvalues import schema
from cvalues.datasets import shapes
from cvalues.datasets.shapes import BenignTwin, Comparison, DataCard, Splits
from cvalues.hardening import decisions
from cvalues.hardening.decisions import GateAnswer
from cvalues.schema import Choice, Prompt
from cvalues.scoring import gate
from cvalues.scoring.gate import GateConfig

TARGET = Path(__file__).parents[1] / "docs" / "schemas"
SHAPES: dict[str, tuple[type[Any], str, str]] = {
    "prompts": (Prompt, "CValues prompt", "One line of a file of prompts: something that a person may ask a model."),
    "choices": (Choice, "CValues choice", "One line of a file of two-choice items: which of two replies is better."),
    "pairs": (Comparison, "CValues pair", "One line of a file of pairs: a better and a worse reply to one question."),
    "twins": (
        BenignTwin,
        "CValues benign twin",
        "One line of a file of benign twins: a prompt with alarming words and a harmless intent, on which refusing is the fault.",
    ),
    "splits": (Splits, "CValues splits", "The split of every prompt of a set, one object for the set."),
    "card": (DataCard, "CValues data card", "What a set is and what an audit measured of it, one object for the set."),
    "gate": (
        GateConfig,
        "CValues gate.toml",
        "Rules that a candidate has to keep; the file is TOML, and this is its content.",
    ),
    "gate-result": (
        GateAnswer,
        "CValues gate result",
        "What  cvalues gate --json  prints: pass, fail or not enough data, with every test that it rests on.",
    ),
}
"""File name → (record, title, description)."""


def field_notes() -> dict[str, dict[str, str]]:
    """Returns record → field → the string under the field, from the source of the modules that define the records."""
    found: dict[str, dict[str, str]] = {}
    for module in (schema, shapes, gate, decisions):
        for node in ast.parse(inspect.getsource(module)).body:
            if isinstance(node, ast.ClassDef):
                inherited = {
                    field: note
                    for base in node.bases
                    if isinstance(base, ast.Name)
                    for field, note in found.get(base.id, {}).items()
                }
                found[node.name] = inherited | dict(_notes(node))
    return found


def _notes(node: ast.ClassDef) -> list[tuple[str, str]]:
    notes = []
    for field, after in zip(node.body, node.body[1:], strict=False):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(after, ast.Expr)
            and isinstance(after.value, ast.Constant)
            and isinstance(after.value.value, str)
        ):
            notes.append((field.target.id, " ".join(after.value.value.split())))
    return notes


def build(name: str) -> dict[str, Any]:
    """Returns the JSON Schema (draft 2020-12) of one shape; KeyError for a name that is none."""
    record, title, description = SHAPES[name]
    (top,), definitions = msgspec.json.schema_components([record], ref_template="#/$defs/{name}")
    notes = field_notes()
    for kind, definition in definitions.items():
        for field, note in notes.get(kind, {}).items():
            if field in definition.get("properties", {}):
                definition["properties"][field]["description"] = note
    body = definitions.pop(top["$ref"].rpartition("/")[2])
    built = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **body,
        "title": title,
        "description": description,
    }
    if definitions:
        built["$defs"] = definitions
    return built


def text(name: str) -> str:
    """Returns the file of one shape: indented JSON, keys sorted, with a final newline."""
    body = msgspec.json.encode(build(name), order="sorted")
    return msgspec.json.format(body, indent=2).decode() + "\n"


def main() -> None:
    """Writes all files."""
    TARGET.mkdir(parents=True, exist_ok=True)
    for name in SHAPES:
        path = TARGET / f"{name}.schema.json"
        path.write_text(text(name), encoding="utf-8")
        sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main()
