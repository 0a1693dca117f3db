"""Who met which task, and what they see of it.

A person meets a task once, in whatever way that ends: the row of `exposure` is the permission to answer it, for ever.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from cvalues.people import queries
from cvalues.people.blinding import mask
from cvalues.people.campaigns import is_sensitive
from cvalues.people.desk import Tx
from cvalues.people.errors import NeverAssigned
from cvalues.people.forms import Assignment, Campaign, Duty, ShownReply, Submission
from cvalues.people.rules import shown_order
from cvalues.people.tasks import body_of, material_of
from cvalues.study import tables

_SUBMISSION = msgspec.json.Decoder(Submission)


class Met(NamedTuple):
    """That a person met a task: a row of `exposure`."""

    person: str
    task: str
    campaign: str
    author: str
    duty: Duty
    slot: int | None
    ord: str
    guideline: str
    claimed: float
    opened: float | None
    revealed: float | None
    outcome: str
    note: str


def expose(tx: Tx, campaign: Campaign, person: str, slot: sa.Row[Any], ids: Sequence[str], nth: int) -> Met:
    """Notes that a person meets a task with these replies and returns that row.

    The database refuses a second time, and an author's own.
    """
    order = shown_order(campaign, person, slot.task, len(ids), nth)
    met = Met(
        person=person, task=slot.task, campaign=campaign.name, author=slot.author,
        duty=slot.duty if slot.duty in {"adjudicate", "review"} else "work", slot=slot.n,
        ord=msgspec.json.encode([ids[place] for place in order]).decode(), guideline=campaign.guideline_version, claimed=tx.now,
        opened=None, revealed=None, outcome="open", note="",
    )  # fmt: skip
    tx.connection.execute(queries.meet(), met._asdict())
    return met


def exposure_of(connection: sa.Connection, person: str, task: str, *, lock: bool = False) -> sa.Row[Any]:
    """Returns the row of a person who met a task; raises NeverAssigned when they never did, or must not."""
    query = queries.exposure()
    row = connection.execute(query.with_for_update() if lock else query, {"who": person, "task": task}).first()
    if row is None or row.outcome == "barred":
        raise NeverAssigned(f"task '{task}' was never given to {person}")
    return row


def show(tx: Tx, campaign: Campaign, row: sa.Row[Any], lease: float) -> Assignment:
    """Returns a task as the person of this exposure may see it."""
    return show_material(tx, campaign, row, lease, material_of(tx.connection, row.task), fresh=False)


def show_material(
    tx: Tx,
    campaign: Campaign,
    row: sa.Row[Any] | Met,
    lease: float,
    material: tuple[sa.Row[Any], dict[str, str]],
    *,
    fresh: bool,
) -> Assignment:
    """Returns a task with its texts as the person of this exposure may see it; a `fresh` one has neither draft nor answers."""
    task, texts = material
    shown = msgspec.json.decode(row.ord, type=list[str])
    mine = {"who": row.person, "task": row.task}
    draft = None if fresh else tx.connection.execute(queries.draft(), mine).scalar()
    earlier = [] if fresh else list(tx.connection.execute(queries.revisions(), mine).scalars())
    replies = []
    for position, response in enumerate(shown, 1):
        text, masked = mask(texts.get(response, ""))
        replies.append(ShownReply(position=position, text=text, masked=masked))
    body = body_of(task)
    return Assignment(
        task=row.task, campaign=campaign.name, kind=campaign.kind, duty=row.duty, criterion=campaign.criterion, prompt=body.prompt,
        category=task.category, replies=tuple(replies), lease_until=lease, sensitive=is_sensitive(campaign, task.category),
        practice=task.kind if task.kind in {"train", "qualify"} else "", rev=len(earlier),
        note=row.note if row.outcome == "returned" else "",
        draft=msgspec.json.decode(draft) if draft is not None else None,
        previous=_SUBMISSION.decode(earlier[-1]).answer if earlier else None,
        work=tuple(_reviewed(tx, row)) if row.duty == "review" else (),
    )  # fmt: skip


def _reviewed(tx: Tx, row: sa.Row[Any] | Met) -> Iterator[dict[str, Any]]:
    """Yields the latest answers of a task for its reviewer, with the replies named by the reviewer's positions."""
    u = tables.submission.c
    latest: dict[str, Submission] = {}
    for body in tx.connection.execute(
        sa.select(u.body).where(u.task == row.task).order_by(u.received, u.rev)
    ).scalars():
        submission = _SUBMISSION.decode(body)
        latest[submission.person] = submission
    shown = msgspec.json.decode(row.ord, type=list[str])
    for submission in latest.values():
        places = {position: shown.index(response) + 1 for position, response in enumerate(submission.shown, 1)}
        answer = dict(submission.answer)
        answer["best"] = [places[position] for position in answer.get("best", [])]
        if answer.get("from_reply"):
            answer["from_reply"] = places[answer["from_reply"]]
        yield answer
