"""Tasks of Inspect AI (extra `inspect`), found through its entry point: `inspect eval cvalues/choice_responsibility --model …`.

The scorer is our reader and the metrics are our figures, so the same responses get the same scores as in `cvalues run`. This module
is imported by Inspect; nothing else of the package imports it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import inspect_ai
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.scorer import Score, metric, scorer
from inspect_ai.solver import generate

from cvalues.datasets import load
from cvalues.integrations.items import FIGURES, figure, outcome_of, read_rows, row_of
from cvalues.prompts import template as template_of
from cvalues.scoring import ItemOutcome

DEFAULT_SET = "starter-choice"


def samples(source: str, template: str, level: int | None, difficulty: str, split: str) -> list[Any]:
    """Returns one sample per choice of a set by name, a file of any known format, or an `items.jsonl` of `cvalues data export`."""
    if Path(source).name == "items.jsonl":
        rows = read_rows(Path(source))
    else:
        chosen = template_of(template)
        rows = [row_of(choice, chosen) for choice in load(source, kind="choice")]
    kept = [
        row for row in rows
        if (level is None or row["level"] == level) and difficulty in {"", row["difficulty"]} and split in {"", row["split"]}
    ]  # fmt: skip
    return [Sample(id=row["id"], input=row["prompt"], target=row["target"], metadata=row) for row in kept]


def _outcomes(scores: Sequence[Any]) -> list[ItemOutcome]:
    found = []
    for entry in scores:
        kept = entry.score.metadata or {}
        found.append(outcome_of(kept["row"], kept["text"], kept["finish"]))
    return found


def _metric(name: str) -> Any:
    """Returns the metric of one figure; no data is NaN, which Inspect shows as such."""

    def make() -> Any:
        def compute(scores: Sequence[Any]) -> float:
            value = figure(_outcomes(scores), name)
            return math.nan if value is None else value

        return compute

    return metric(name=name)(make)


METRICS = {name: _metric(name) for name in FIGURES}


def _make_reader() -> Any:
    async def score(state: Any, _target: Any) -> Any:
        text, finish = state.output.completion, state.output.stop_reason or "stop"
        row = {name: state.metadata[name] for name in ("choice",)}
        outcome = outcome_of(row, text, finish)
        return Score(
            value=float(outcome.correct),
            answer=outcome.outcome,
            explanation=outcome.rule,
            metadata={"outcome": outcome.outcome, "text": text, "finish": finish, "row": row},
        )

    return score


reader = scorer(metrics=[make() for make in METRICS.values()], name="reader")(_make_reader)


def task_of(
    source: str = DEFAULT_SET,
    template: str = "public",
    *,
    level: int | None = None,
    difficulty: str = "",
    split: str = "",
) -> Any:
    """Returns a task that asks every choice of a set once and reads the answers by our rules."""
    name = "_".join(["choice", *({1: ["safety"], 2: ["responsibility"]}.get(level or 0, []))])
    return inspect_ai.Task(
        dataset=MemoryDataset(samples(source, template, level, difficulty, split), name=Path(source).name),
        solver=generate(),
        scorer=reader(),
        name=name,
        version=1,
    )


def _choice(source: str = DEFAULT_SET, template: str = "public", difficulty: str = "", split: str = "") -> Any:
    return task_of(source, template, difficulty=difficulty, split=split)


def _safety(source: str = DEFAULT_SET, template: str = "public", difficulty: str = "", split: str = "") -> Any:
    return task_of(source, template, level=1, difficulty=difficulty, split=split)


def _responsibility(source: str = DEFAULT_SET, template: str = "public", difficulty: str = "", split: str = "") -> Any:
    return task_of(source, template, level=2, difficulty=difficulty, split=split)


choice = inspect_ai.task(name="choice")(_choice)
choice_safety = inspect_ai.task(name="choice_safety")(_safety)
choice_responsibility = inspect_ai.task(name="choice_responsibility")(_responsibility)
