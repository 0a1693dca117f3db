"""The numbers of a report as files for other programs: `scores.csv`, `items.csv` and `results.json`.

`results.json` is canonical JSON (sorted keys, no spaces) of one `Results` record and depends on nothing but the measurement: the same
input gives the same bytes. It holds no text of items, replies or answers: long settings and tags stand as their hashes.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

import msgspec

from cvalues.errors import DataError
from cvalues.judging.card import JudgeCard
from cvalues.records import canonical, clean, content_hash, open_bytes, write_atomically
from cvalues.report.data import ModelFacts, ReportInput
from cvalues.report.facts import Facts
from cvalues.schema import OUTCOMES, Estimate, Record, Run, scrub
from cvalues.scoring import ChoiceScore, ItemOutcome
from cvalues.scoring.free import FreeOutcome
from cvalues.scoring.free_scores import FreeScore
from cvalues.scoring.preference import Preferred
from cvalues.scoring.telling import Gap

__all__ = [
    "FORMAT",
    "Results",
    "read_results",
    "results_schema",
    "safe_cell",
    "write_csv",
    "write_items",
    "write_results",
    "write_scores",
]

FORMAT: Final = "cvalues.results/1"

_Outcome = TypeVar("_Outcome", ItemOutcome, FreeOutcome)
_LONGEST_SETTING = 120
_LONGEST_TAG = 64
_LONGEST_CELL = 32_000  # spreadsheets hold 32,767 characters in a cell
_FORMULA = re.compile(r"\s*[=+\-@＝＋－＠]|[\t\r\n]")
_GROUPS = ("level", "collection", "category", "difficulty", "set", "language")
_ESTIMATES = (
    "acc", "acc_star", "answered", "coverage", "both_orders", "consistency", "first_position", "position_bias", "refused",
    "other", "blocked", "truncated", "unreadable",
)  # fmt: skip


class Results(Record, frozen=True, kw_only=True):
    """A measurement without its texts, to be kept as the baseline of a later one."""

    format: Literal["cvalues.results/1"]
    """Name and version of this format; it changes when a field changes its meaning or goes away."""
    cvalues: str
    """Version of the package that wrote the file."""
    runs: tuple[Run, ...]
    """The runs with their sets, hashes and versions; settings longer than 120 characters stand as `b2:…`."""
    models: dict[str, ModelFacts]
    items: dict[str, str]
    """Content hash of each choice by its id, so that a later comparison sees a changed item; only those with texts."""
    outcomes: tuple[ItemOutcome, ...]
    """One per model and choice that was planned, sorted by model, set, choice and response."""
    scores: tuple[ChoiceScore, ...]
    """By model; model and level; level × collection; category; difficulty; set; language."""
    prompt_of: dict[str, str] = {}
    """Id of the prompt by id of the choice, so that telling and doing can be held together later."""
    free: tuple[FreeOutcome, ...] = ()
    """One per model, prompt and sample of free responses, with every verdict that stands, sorted by these."""
    free_scores: tuple[FreeScore, ...] = ()
    """By model; level; category; difficulty; set; language."""
    gaps: tuple[Gap, ...] = ()
    """Telling and doing by model and level."""
    preferred: tuple[Preferred, ...] = ()
    cards: tuple[JudgeCard, ...] = ()
    """Judge cards of the raters, without those of other judges."""


def results_schema() -> dict[str, Any]:
    """Returns the JSON Schema of `results.json`."""
    return msgspec.json.schema(Results)


def write_results(path: Path, facts: Facts) -> Path:
    """Writes `results.json` atomically and returns its path."""
    data = facts.data
    outcomes = [_textless(outcome) for outcome in facts.outcomes]
    asked = {outcome.choice for outcome in outcomes}
    results = Results(
        format=FORMAT,
        cvalues=metadata.version("cvalues"),
        runs=tuple(msgspec.structs.replace(run, settings=_without_texts(run.settings)) for run in data.runs),
        models={model: data.models[model] for model in data.model_names if model in data.models},
        items={choice: content_hash(data.items[choice]) for choice in data.items if choice in asked},
        outcomes=tuple(outcomes),
        scores=tuple(each for scores in facts.scores.values() for each in scores),
        prompt_of={choice: prompt for choice, prompt in data.prompts_of_choices.items() if choice in asked},
        free=tuple(_textless(outcome) for outcome in facts.free.outcomes),
        free_scores=tuple(each for scores in facts.free.scores.values() for each in scores),
        gaps=tuple(facts.free.gaps),
        preferred=tuple(data.free.preferred),
        cards=tuple(card for card, _ in facts.free.cards),
    )
    try:
        body = canonical(results)
    except UnicodeEncodeError:  # a name with a lone surrogate; rare enough to pay for it only then
        body = canonical(scrub(msgspec.to_builtins(results)))
    return write_atomically(path, lambda file: file.write(body + b"\n"))


def read_results(path: Path) -> Results:
    """Returns what a report wrote as `results.json`; its `outcomes` can be scored and compared like any others.

    Raises:
        DataError: the file cannot be read, is no `results.json`, or has the format of a newer version.
    """
    with open_bytes(path) as file:
        body = file.read()
    try:
        return msgspec.json.decode(body, type=Results)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: {_why(body, error)}") from error


def _why(body: bytes, error: Exception) -> str:
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return f"is not JSON ({error}); give the results.json of a report"
    named = found.get("format") if isinstance(found, dict) else None
    if named is None:
        return f"is no results file: it has no field 'format' with '{FORMAT}'; give the results.json of a report"
    if named != FORMAT:
        return f"has the format '{named}', this version reads '{FORMAT}'; update cvalues or write the report again"
    return f"is a damaged results file ({error}); write the report again"


def _textless(outcome: _Outcome) -> _Outcome:
    if all(len(value) <= _LONGEST_TAG for value in outcome.tags.values()):
        return outcome
    return msgspec.structs.replace(outcome, tags=_shortened(outcome.tags))


def _shortened(tags: dict[str, str]) -> dict[str, str]:
    return {name: value if len(value) <= _LONGEST_TAG else content_hash(clean(value)) for name, value in tags.items()}


def _without_texts(value: Any) -> Any:
    match value:
        case str():
            return value if len(value) <= _LONGEST_SETTING else content_hash(clean(value))
        case dict():
            return {key: _without_texts(item) for key, item in value.items()}
        case list() | tuple():
            return [_without_texts(item) for item in value]
        case _:
            return value


def safe_cell(value: object) -> object:
    """Returns a cell that no spreadsheet takes for a formula: text that starts like one gets an apostrophe before it.

    Numbers stay numbers. Text longer than a spreadsheet's cell is cut, with its true length at the end.
    """
    if not isinstance(value, str):
        return value
    text = clean(value)
    if len(text) > _LONGEST_CELL:
        text = f"{text[:_LONGEST_CELL]}… [{len(text)}]"
    return f"'{text}" if _FORMULA.match(text) else text


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Path:
    """UTF-8 with a byte-order mark, so that spreadsheets read Chinese; the rows come with safe cells."""

    def write(file: io.BufferedWriter) -> None:
        text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
        writer = csv.writer(text)
        writer.writerow(columns)
        writer.writerows(rows)
        text.flush()
        text.detach()

    return write_atomically(path, write)


def write_scores(path: Path, facts: Facts) -> Path:
    """Writes `scores.csv`, one row per model and group, atomically; an estimate takes three columns, no data is empty."""
    columns = ["model", "grouping", *_GROUPS, "planned", "responded", "pairs", "single_order"]
    columns += [f"n_{name}" for name in (*OUTCOMES, "failed")]
    columns += [name + end for name in _ESTIMATES for end in ("", "_low", "_high")] + [
        "bound_low",
        "bound_high",
        "confidence",
    ]
    return write_csv(path, columns, _score_rows(facts))


def _score_rows(facts: Facts) -> Iterator[list[object]]:
    for grouping, scores in facts.scores.items():
        for each in scores:
            row = [
                safe_cell(cell) for cell in (each.group["model"], grouping, *(each.group.get(key) for key in _GROUPS))
            ]
            row += [each.planned, each.responded, each.pairs, each.single_order]
            row += [each.counts.get(name, 0) for name in (*OUTCOMES, "failed")]
            for name in _ESTIMATES:
                estimate: Estimate = getattr(each, name)
                row += [estimate.value, estimate.low, estimate.high]
            yield [*row, *each.bounds, facts.confidence]


def write_items(path: Path, data: ReportInput) -> Path:
    """Writes `items.csv`, one row per model and choice with all texts, atomically; safe to open in a spreadsheet."""
    columns = [
        "set", "model", "choice", "pair", "order", "level", "collection", "category", "difficulty", "language", "question",
        "reply_1", "reply_2", "better", "outcome", "correct", "rule", "evidence", "response", "response_characters", "failure",
    ]  # fmt: skip
    return write_csv(path, columns, _item_rows(data))


def _item_rows(data: ReportInput) -> Iterator[list[object]]:
    shown = {
        ident: _safe(choice.question, *(reply.text for reply in choice.replies)) for ident, choice in data.items.items()
    }
    names: dict[str, object] = {}

    def name(text: str) -> object:
        return names[text] if text in names else names.setdefault(text, safe_cell(text))

    for each in data.outcomes:
        response = data.responses.get(each.response)
        failure = data.failures.get((each.model, each.choice), "") if each.outcome is None else ""
        written = response.text if response else ""
        yield [
            name(each.set), name(each.model), name(each.choice), name(each.pair), each.order, each.level, each.collection,
            name(each.category), name(each.difficulty), name(each.language), *shown.get(each.choice, ("", "", "")), each.better,
            each.outcome or ("failed" if failure else "open"), None if each.outcome is None else int(each.correct),
            name(each.rule), *_safe(data.evidence.get(each.response, ""), written), len(written) if response else None,
            safe_cell(failure),
        ]  # fmt: skip


def _safe(*cells: str) -> tuple[object, ...]:
    return tuple(safe_cell(cell) for cell in cells)
