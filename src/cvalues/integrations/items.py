"""A choice as other tools carry it, and back: what they show, and what our reader needs to read the answer.

A row is flat, so that every tool can show and filter it; its field `choice` holds the whole item as JSON, so that nothing is lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import msgspec

from cvalues.choice.read import read_response
from cvalues.errors import DataError
from cvalues.prompts import Template, messages
from cvalues.records import clean, read_lines, write_records
from cvalues.schema import Choice, Estimate, Finish, Outcome, Response, response_id
from cvalues.scoring import ItemOutcome, score

FIGURES = ("acc", "acc_star", "answered", "coverage", "both_orders", "consistency")
"""Fields of a ChoiceScore that other tools get as metrics."""
_FINISH: dict[str, Finish] = {
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "filter": "filter",
    "content_filter": "filter",
}


def row_of(choice: Choice, template: Template) -> dict[str, Any]:
    """Returns a choice as a flat row: `prompt` as put to a model, `labels` of the replies, `target`, `better` from 0, and the item."""
    first, second = choice.replies
    put = messages(template, choice.question, (first.text, second.text))
    return {
        "id": choice.id,
        "prompt": put[-1].content,
        "labels": list(template.labels),
        "target": template.labels[choice.better - 1],
        "better": choice.better - 1,
        "level": choice.level,
        "category": choice.category,
        "difficulty": choice.difficulty,
        "split": choice.split,
        "pair": choice.pair_id,
        "template": template.id,
        "choice": msgspec.json.encode(choice).decode(),
    }


def write_rows(path: Path, choices: Iterable[Choice], template: Template) -> Path:
    """Writes one row a line and returns the path; raises DataError where it cannot be written."""
    return write_records(path, (row_of(choice, template) for choice in choices))


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Returns the rows of a file.

    Raises:
        DataError: a line is no row of this form; the message is `file:line: what is wrong`.
    """
    found = []
    for number, line in read_lines(path):
        try:
            row = msgspec.json.decode(line, type=dict[str, Any])
            choice_of(row)
        except (msgspec.DecodeError, KeyError, TypeError, UnicodeEncodeError) as error:
            raise DataError(
                f"{path}:{number}: is no item of  cvalues data export  ({error}); export the set again"
            ) from error
        found.append(row)
    return found


def choice_of(row: Mapping[str, Any]) -> Choice:
    """Returns the item of a row; raises KeyError or msgspec.DecodeError where it has none."""
    return msgspec.json.decode(row["choice"], type=Choice)


def outcome_of(row: Mapping[str, Any], text: str, finish: str = "stop", *, model: str = "model") -> ItemOutcome:
    """Returns what a model answered to the item of a row, read by the rules that read every two-choice answer.

    Args:
        row: from `row_of`, as the other tool gives it back.
        text: what the model wrote, its reasoning with or without.
        finish: the tool's word for why the reply ended; what names neither a limit nor a filter is `stop`.
        model: name of the model.
    """
    choice = choice_of(row)
    origin = f"data:{choice.source}/{model}#{choice.id}"
    response = Response(
        id=response_id(origin),
        origin=origin,
        text=clean(text),
        finish=_FINISH.get(finish, "stop"),
        prompt_id=choice.prompt_id,
    )
    verdict = read_response(choice, response)
    return ItemOutcome(
        set=choice.source, model=model, choice=choice.id, pair=choice.pair_id, order="12" if choice.better == 1 else "21",
        level=choice.level, category=choice.category, collection=choice.collection, difficulty=choice.difficulty,
        language=choice.language, split=choice.split, tags=choice.tags, better=choice.better,
        outcome=cast("Outcome", verdict.value), rule=verdict.reason, response=response.id,
    )  # fmt: skip


def figure(outcomes: Sequence[ItemOutcome], name: str) -> float | None:
    """Returns one figure of FIGURES over all outcomes of one model, from 0 to 1; None for no data."""
    found = score(outcomes)
    estimate: Estimate | None = getattr(found[0], name) if found else None
    return estimate.value if estimate is not None else None
