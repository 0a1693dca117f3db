"""Tasks and their slots: added before anybody works, so that more votes than slots cannot exist."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import msgspec
import sqlalchemy as sa

from cvalues.people import queries
from cvalues.people.campaigns import load_campaign
from cvalues.people.desk import Desk, Tx
from cvalues.people.errors import BadAnswer, NoSuch
from cvalues.people.forms import Campaign, NewTask, TaskBody
from cvalues.people.rules import RING, wants_second
from cvalues.records import canonical, content_hash, derive_seed
from cvalues.schema import Response, scrub
from cvalues.study import Received, tables
from cvalues.study.rows import response_row

CHUNK = 500
"""Tasks of one transaction, so that people who work meanwhile are not kept waiting."""
_BODY = msgspec.json.Decoder(TaskBody)
_RESPONSE = msgspec.json.Decoder(Response)


def task_id(campaign: str, key: str) -> str:
    """Returns the id of a task: sixteen digits of the hash of campaign and key."""
    return content_hash((campaign, key))[3:19]


def task_key(new: NewTask) -> str:
    """Returns what makes a task the same one again: its own key, else kind and replies, else kind and prompt."""
    if new.key:
        return new.key
    return content_hash((new.kind, [reply.id for reply in new.replies] or new.prompt))[3:]


def add_tasks(desk: Desk, campaign: str, new: Iterable[NewTask], *, actor: str = "") -> int:
    """Adds tasks with their slots and returns how many were new; adding one again changes nothing.

    Tasks stream in transactions of 500.

    Raises:
        NoSuch: there is no such campaign.
        BadAnswer: a task has the wrong number of replies for the campaign, or a gold value that is none of its answers.
    """
    source = iter(new)
    added = 0
    while chunk := list(islice(source, CHUNK)):
        added += desk.write(lambda tx, chunk=chunk: add_in(tx, load_campaign(tx.connection, campaign)[0], chunk, actor))  # type: ignore[misc]
    return added


def add_in(tx: Tx, campaign: Campaign, new: Sequence[NewTask], actor: str) -> int:
    """Adds tasks inside a transaction and returns how many were new; see `add_tasks`."""
    rows = {task_id(campaign.name, key): (entry, key) for entry in new for key in (task_key(entry),)}
    known = set(
        tx.connection.execute(sa.select(tables.task.c.id).where(tx.study.among(tables.task.c.id, list(rows)))).scalars()
    )
    fresh = {identity: pair for identity, pair in rows.items() if identity not in known}
    if not fresh:
        return 0
    for entry, _ in fresh.values():
        check_task(campaign, entry)
    responses = [
        reply.response for entry, _ in fresh.values() for reply in entry.replies if isinstance(reply.response, Response)
    ]
    add_responses(tx, responses)
    _check_responses(tx, [reply.id for entry, _ in fresh.values() for reply in entry.replies])
    tx.add(tables.task, [_task_row(campaign, identity, key, entry) for identity, (entry, key) in fresh.items()])
    tx.add(
        tables.task_reply,
        [
            {"task": identity, "n": n, "response": reply.id, "model": reply.model}
            for identity, (entry, _) in fresh.items()
            for n, reply in enumerate(entry.replies)
        ],
    )
    slots = [row for identity, (entry, key) in fresh.items() for row in _slot_rows(campaign, identity, key, entry)]
    tx.add(tables.slot, slots)
    tx.log(actor, "tasks", campaign.name, count=len(fresh))
    return len(fresh)


def _check_responses(tx: Tx, wanted: Sequence[str]) -> None:
    r = tables.response.c.id
    missing = set(wanted) - set(
        tx.connection.execute(sa.select(r).where(tx.study.among(r, list(set(wanted))))).scalars()
    )
    if missing:
        raise BadAnswer(f"response {min(missing)} is not in this study; give the response itself with the task")


def add_responses(tx: Tx, responses: Sequence[Response]) -> None:
    """Stores responses that belong to no request of a run."""
    tx.add(tables.response, [{**response_row(Received("", response)), "request": None} for response in responses])


def check_task(campaign: Campaign, new: NewTask) -> None:
    """Raises BadAnswer when a task does not fit its campaign."""
    several = campaign.criterion == "points_best_of"
    count = len(new.replies)
    shown = scrub({"prompt": new.prompt[:40]})["prompt"]
    if new.kind != "written" and (count < 2 if several else count != 1):
        raise BadAnswer(f"task «{shown}»: expected {'two or more replies' if several else 'one reply'}, found {count}")
    if new.kind in {"gold", "qualify", "train"} and new.gold is None:
        raise BadAnswer(f"task «{shown}»: a gold item needs its right answer")
    if new.gold is not None:
        allowed = (
            new.gold.value in {"safe", "unsafe", "unsure"}
            if campaign.criterion == "safe"
            else new.gold.value in range(1, 11)
        )
        if not allowed:
            raise BadAnswer(f"task «{shown}»: '{new.gold.value}' is no answer of criterion {campaign.criterion}")


def _overlap(campaign: Campaign, key: str, new: NewTask) -> int:
    if new.kind != "work" or campaign.kind == "adjudicate":
        return 0
    if new.overlap is not None:
        return new.overlap
    if campaign.kind == "expert" and wants_second(campaign, key):
        return max(2, campaign.overlap)
    return campaign.overlap


def _task_row(campaign: Campaign, identity: str, key: str, new: NewTask) -> dict[str, Any]:
    body = TaskBody(prompt=scrub({"t": new.prompt})["t"], prompt_id=new.prompt_id, level=new.level, gold=new.gold)
    return {
        "id": identity, "campaign": campaign.name, "key": key, "kind": new.kind, "category": new.category, "author": new.author,
        "parent": new.parent, "rnd": ring(campaign, key), "need": _overlap(campaign, key, new), "done": 0,
        "state": "disputed" if campaign.kind == "adjudicate" and new.kind == "work" else "open", "body": canonical(body).decode(),
    }  # fmt: skip


def ring(campaign: Campaign, key: str) -> int:
    """Returns the place of a task on the ring: fixed by seed, campaign and key."""
    return derive_seed("ring", campaign.seed, campaign.name, key) % RING


def _slot_rows(campaign: Campaign, identity: str, key: str, new: NewTask) -> Iterator[dict[str, Any]]:
    base = {
        "task": identity, "campaign": campaign.name, "category": new.category, "author": new.author, "rnd": ring(campaign, key),
        "state": "open", "person": None, "lease": None,
    }  # fmt: skip
    if campaign.kind == "adjudicate" and new.kind == "work":
        yield {**base, "n": -1, "duty": "adjudicate"}
    for n in range(_overlap(campaign, key, new)):
        yield {**base, "n": n, "duty": "work"}


def more_votes(tx: Tx, task: sa.Row[Any], count: int = 1) -> None:
    """Adds slots to a task inside a transaction that has locked it."""
    rows = [
        {
            "task": task.id, "n": task.need + extra, "campaign": task.campaign, "duty": "work", "category": task.category,
            "author": task.author, "rnd": task.rnd, "state": "open", "person": None, "lease": None,
        }
        for extra in range(count)
    ]  # fmt: skip
    tx.connection.execute(sa.insert(tables.slot), rows)
    tx.update(tables.task, tables.task.c.id == task.id, need=task.need + count)


def add_votes(desk: Desk, task: str, count: int = 1, *, actor: str = "") -> int:
    """Asks for more votes on a task and returns how many it needs now; the task is open again unless it was decided.

    Raises:
        NoSuch: there is no such task.
        BadAnswer: it is not a task that people vote on.
    """

    def work(tx: Tx) -> int:
        row = lock_task(tx, task)
        if row.kind != "work" or count < 1:
            raise BadAnswer(f"task {task} takes no more votes")
        more_votes(tx, row, count)
        if row.state in {"enough", "disputed"}:
            s = tables.slot.c
            tx.update(tables.slot, (s.task == task) & (s.n == -1) & (s.state == "open"), state="void")
            tx.update(tables.task, tables.task.c.id == task, state="open")
        tx.log(actor, "votes", task, count=count)
        return int(row.need) + count

    return desk.write(work)


def void_task(desk: Desk, task: str, *, actor: str = "", why: str = "") -> None:
    """Takes a task out of the queue and of the headline; answers to it are kept, and still taken when they come."""

    def work(tx: Tx) -> None:
        lock_task(tx, task)
        s = tables.slot.c
        tx.update(tables.slot, (s.task == task) & s.state.in_(("open", "leased")), state="void", lease=None)
        tx.update(tables.task, tables.task.c.id == task, state="void")
        tx.log(actor, "void", task, why=why[:200])

    desk.write(work)


def lock_task(tx: Tx, task: str) -> sa.Row[Any]:
    """Returns the row of a task, locked until the transaction ends; raises NoSuch."""
    # FOR NO KEY UPDATE: claims of the same task, which only refer to it, need not wait.
    row = tx.first(sa.select(tables.task).where(tables.task.c.id == task).with_for_update(key_share=True))
    if row is None:
        raise NoSuch(f"there is no task '{task}'")
    return row


def body_of(row: sa.Row[Any]) -> TaskBody:
    """Returns what of a task never changes."""
    return _BODY.decode(row.body)


def decode_body(text: str) -> TaskBody:
    """Returns what of a task never changes, from its column."""
    return _BODY.decode(text)


def material_of(connection: sa.Connection, task: str) -> tuple[sa.Row[Any], dict[str, str]]:
    """Returns a task and the texts of its replies by response id, in their stored order; empty texts while none has come."""
    rows = connection.execute(queries.material(), {"task": task}).all()
    replies = [_RESPONSE.decode(row.reply) for row in rows if row.reply is not None]
    return rows[0], {reply.id: reply.text for reply in replies}


def replies_of(connection: sa.Connection, task: str) -> list[tuple[Response, str]]:
    """Returns (response, model) of a task in their stored order; empty while none has come."""
    rows = connection.execute(queries.replies(), {"task": task})
    return [(_RESPONSE.decode(row.body), row.model) for row in rows]
