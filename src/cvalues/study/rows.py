"""What goes into the study's tables: planned asks and finished calls, and each record as a table row."""

from __future__ import annotations

from typing import Any, NamedTuple

from cvalues.records import canonical, content_hash
from cvalues.schema import Ask, Attempt, Choice, Prompt, Request, Response, Verdict


class Planned(NamedTuple):
    """One ask of a plan with the request that serves it and the item that it is about."""

    ask: Ask
    request: Request
    request_id: str
    item: str
    """Content hash of the prompt or choice."""


class Asked(NamedTuple):
    """One row of a run: which request serves which ask."""

    model: str
    ask: str
    position: int
    item: str
    subject: str
    order: str
    sample: int
    template: str
    request: str


class Received(NamedTuple):
    """A finished call on its way into the study: the response, and the raw bytes where its text had to be cleaned."""

    request: str
    response: Response
    raw: bytes | None = None


def ask_id(ask: Ask) -> str:
    """Returns the id of an ask within a run: the hash of subject, order, template and sample number."""
    return content_hash((ask.subject, ask.order, ask.template, ask.sample))


def item_row(key: str, item: Prompt | Choice) -> dict[str, Any]:
    """Returns the table row of an item."""
    return {
        "hash": key,
        "kind": "prompt" if isinstance(item, Prompt) else "choice",
        "id": item.id,
        "body": canonical(item).decode(),
    }


def asked_row(run: str, position: int, entry: Planned) -> dict[str, Any]:
    """Returns the table row of an ask of a run."""
    return {
        "run": run,
        "model": entry.request.model,
        "ask": ask_id(entry.ask),
        "position": position,
        "item": entry.item,
        "subject": entry.ask.subject,
        "ord": entry.ask.order,
        "sample": entry.ask.sample,
        "template": entry.ask.template,
        "request": entry.request_id,
    }


def response_row(entry: Received) -> dict[str, Any]:
    """Returns the table row of a finished call."""
    response = entry.response
    return {
        "id": response.id,
        "origin": response.origin,
        "request": entry.request,
        "prompt_id": response.prompt_id,
        "finish": response.finish,
        "model": response.model,
        "time": response.time,
        "body": canonical(response).decode(),
        "raw": entry.raw,
    }


def attempt_row(attempt: Attempt) -> dict[str, Any]:
    """Returns the table row of a failed attempt."""
    return {
        "request": attempt.request,
        "kind": attempt.kind,
        "final": int(attempt.final),
        "time": attempt.time,
        "body": canonical(attempt).decode(),
    }


def verdict_row(verdict: Verdict) -> dict[str, Any]:
    """Returns the table row of a verdict."""
    return {
        "id": verdict.id,
        "criterion": verdict.criterion,
        "subject": verdict.subject[0],
        "rater": verdict.rater,
        "value": None if verdict.value is None else str(verdict.value),
        "status": verdict.status,
        "run": verdict.run,
        "time": verdict.time,
        "body": canonical(verdict).decode(),
    }
