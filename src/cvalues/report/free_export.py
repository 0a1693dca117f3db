"""The part on free responses as files: `free_scores.csv`, `responses.csv`, `verdicts.csv` and `telling.csv`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cvalues.criteria import criteria
from cvalues.report.export import safe_cell, write_csv
from cvalues.report.facts import Facts
from cvalues.report.free import FREE_GROUPS
from cvalues.schema import Estimate
from cvalues.scoring.free import STATES

__all__ = ["FILES", "write_free"]

FILES = ("free_scores.csv", "responses.csv", "verdicts.csv", "telling.csv")
_SHARES = (
    "safe", "unsure", "at_least_safe", "responsible", "points", "over_refusal", "over_refused_full", "false_compliance", "harm_detail",
)  # fmt: skip
_BOUNDED = ("safe", "at_least_safe", "responsible", "over_refusal", "false_compliance")
_VERDICT = ["response", "criterion", "rater", "value", "status", "reason", "run", "time"]
_KEYS = tuple(dict.fromkeys(key for keys in FREE_GROUPS.values() for key in keys))
_ENDS = ("", "_low", "_high")


def write_free(folder: Path, facts: Facts) -> list[Path]:
    """Writes the files on free responses into `folder`, each atomically, and returns their paths; none where none were asked."""
    if not facts.free:
        return []
    numeric = [name for name, entry in criteria().items() if entry.numeric and name != "points"]
    shown = [*_SHARES, *(f"refusal_{value}" for value in criteria()["refusal"].values), *numeric]
    columns = ["model", "grouping", *_KEYS, "planned", "prompts", "benign_planned", *STATES]
    columns += [name + end for name in shown for end in _ENDS]
    columns += [f"bound_{end}_{name}" for name in _BOUNDED for end in ("low", "high")]
    return [
        write_csv(folder / "free_scores.csv", [*columns, "raters"], _score_rows(facts, numeric)),
        write_csv(folder / "responses.csv", [
            "set", "model", "prompt", "sample", "level", "category", "benign", "difficulty", "language", "state", "finish", "response",
            "question", "text", "reasoning", "failure", *facts.free.raters,
        ], _response_rows(facts)),
        write_csv(folder / "verdicts.csv", _VERDICT, _verdict_rows(facts)),
        write_csv(folder / "telling.csv", [
            "model", "prompt", "level", "collection", "category", "tells", "does", "samples", "knows_but_errs", "question", "better_reply",
            "failing_response", "failing_text",
        ], _told_rows(facts)),
    ]  # fmt: skip


def _limits(estimate: Estimate | None) -> list[object]:
    return [None] * 3 if estimate is None else [estimate.value, estimate.low, estimate.high]


def _score_rows(facts: Facts, numeric: list[str]) -> Iterator[list[object]]:
    for grouping, scores in facts.free.scores.items():
        for each in scores:
            row: list[object] = [safe_cell(each.group["model"]), grouping, *(safe_cell(each.group.get(key)) for key in _KEYS)]  # fmt: skip
            row += [each.planned, each.prompts, each.benign_planned, *(each.states[state] for state in STATES)]
            for name in _SHARES:
                row += _limits(getattr(each, name))
            for value in criteria()["refusal"].values:
                row += _limits(each.refusal.get(value))
            for name in numeric:
                row += _limits(each.means.get(name))
            for name in _BOUNDED:
                row += each.bounds.get(name, (None, None))
            yield [*row, safe_cell("; ".join(f"{name}={rater}" for name, rater in each.raters.items()))]


def _response_rows(facts: Facts) -> Iterator[list[object]]:
    data = facts.data
    for read in facts.free.read:
        each = read.outcome
        response, prompt = data.responses.get(each.response), data.free.prompts.get(each.cluster)
        failure = data.free.failures.get((each.model, each.prompt, each.sample), "")
        headline = [read.values.get(name) for name in facts.free.raters]
        cells = [
            each.set, each.model, each.prompt, each.sample, each.level, each.category, int(each.benign), each.difficulty, each.language,
            each.state, each.finish, each.response, prompt.text if prompt else "", response.text if response else "",
            response.reasoning if response else "", failure, *headline,
        ]  # fmt: skip
        yield [safe_cell(cell) for cell in cells]


def _verdict_rows(facts: Facts) -> Iterator[list[object]]:
    for each in facts.free.outcomes:
        for verdict in facts.data.free.verdicts.get(each.response, ()):
            cells = (
                each.response, verdict.criterion, verdict.rater, verdict.value, verdict.status, verdict.reason, verdict.run, verdict.time,
            )  # fmt: skip
            yield [safe_cell(cell) for cell in cells]


def _told_rows(facts: Facts) -> Iterator[list[object]]:
    data = facts.data
    texts = {prompt.id: prompt.text for prompt in data.free.prompts.values()}
    for each in facts.free.told:
        choice = next((data.items[ident] for ident in each.choices if ident in data.items), None)
        failing = each.failing[0] if each.failing else ""
        response = data.responses.get(failing)
        cells = (
            each.model, each.prompt, each.level, each.collection, each.category, int(each.tells), each.does, each.samples,
            each.knows_but_errs, texts.get(each.prompt, ""), choice.replies[choice.better - 1].text if choice else "", failing,
            response.text if response else "",
        )  # fmt: skip
        yield [safe_cell(cell) for cell in cells]
