"""Tasks, gold items and older judgements from files: streamed, and the same file again adds nothing.

A row of JSON Lines: `prompt`, `reply` (or `replies`: texts), and if wanted `category`, `id`, `model`, `kind` (work, gold, qualify,
train), `gold` (the right value), `reason`, `votes` (a list of `{"person": label, "answer": {…}, "time": ISO}`). Who voted elsewhere
becomes a person with the handle `imported.LABEL` who cannot sign in.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec
import sqlalchemy as sa

from cvalues.people.accounts import add_person, find_person
from cvalues.people.assign import join_campaign
from cvalues.people.campaigns import get_campaign, load_campaign
from cvalues.people.desk import Desk, Tx
from cvalues.people.errors import NoSuch, PeopleError
from cvalues.people.exposures import expose
from cvalues.people.forms import Campaign, Gold, NewReply, NewTask, Sending, TaskKind
from cvalues.people.rules import read_answer
from cvalues.people.submit import submit
from cvalues.people.tasks import add_tasks, check_task, lock_task, material_of, task_id, task_key
from cvalues.records import clean, content_hash, read_lines
from cvalues.schema import Record, Response, response_id
from cvalues.study import tables

_MOST_SHOWN = 100


class _Vote(Record, frozen=True, kw_only=True):
    person: str
    answer: dict[str, Any]
    time: str = ""


class _Row(Record, frozen=True, kw_only=True):
    prompt: str
    reply: str | None = None
    replies: tuple[str, ...] = ()
    category: str = ""
    id: str = ""
    model: str = ""
    models: tuple[str, ...] = ()
    kind: Literal["work", "gold", "qualify", "train"] = "work"
    gold: str | int | None = None
    reason: str = ""
    level: int = 1
    votes: tuple[_Vote, ...] = ()


class Rejected(Record, frozen=True, kw_only=True):
    """A row that could not be taken, and why."""

    line: int
    why: str


class ImportReport(Record, frozen=True, kw_only=True):
    """What an import came to."""

    rows: int
    tasks: int
    """New ones."""
    votes: int
    """New ones."""
    rejected: int
    rejects: tuple[Rejected, ...]
    """The first hundred."""


def import_file(desk: Desk, campaign: str, path: Path, *, dry_run: bool = False, actor: str = "") -> ImportReport:
    """Adds the rows of a JSON Lines file to a campaign and returns what came of it; a bad row stops nothing.

    Args:
        desk: the desk.
        campaign: its name.
        path: the file; its name is part of the identity of replies.
        dry_run: check the rows and write nothing.
        actor: who imports, for the ledger.

    Raises:
        NoSuch: there is no such campaign.
        DataError: the file cannot be read.
    """
    found, _ = get_campaign(desk, campaign)
    rejects: list[Rejected] = []
    count = {"rows": 0, "rejected": 0, "tasks": 0, "votes": 0}

    def reject(line: int, why: str) -> None:
        count["rejected"] += 1
        if len(rejects) < _MOST_SHOWN:
            rejects.append(Rejected(line=line, why=why))

    def good() -> Iterator[tuple[int, _Row, NewTask]]:
        for number, text in read_lines(path):
            count["rows"] += 1
            try:
                row = msgspec.json.decode(text.encode("utf-8", "replace"), type=_Row)
                new = _task(path.stem, row)
                check_task(found, new)
                for vote in row.votes:
                    read_answer(vote.answer, found.criterion, len(new.replies), found)
                yield number, row, new
            except (msgspec.DecodeError, PeopleError) as error:
                reject(number, str(error))

    batch: list[tuple[int, _Row, NewTask]] = []
    for entry in good():
        batch.append(entry)
        if len(batch) >= 200:
            _take(desk, found, batch, count, actor, dry_run=dry_run)
            batch = []
    _take(desk, found, batch, count, actor, dry_run=dry_run)
    return ImportReport(
        rows=count["rows"],
        tasks=count["tasks"],
        votes=count["votes"],
        rejected=count["rejected"],
        rejects=tuple(rejects),
    )


def _task(source: str, row: _Row) -> NewTask:
    texts = row.replies or ((row.reply,) if row.reply is not None else ())
    prompt_id = row.id or content_hash(row.prompt)[3:19]
    models = row.models or (row.model,) * len(texts)
    replies = []
    for text, model in zip(texts, (*models, *[""] * len(texts)), strict=False):
        origin = f"data:{source}#{content_hash((row.prompt, text, model))[3:19]}"
        response = Response(id=response_id(origin), origin=origin, text=clean(text), prompt_id=prompt_id, model=model)
        replies.append(NewReply(response=response, model=model))
    kind: TaskKind = "gold" if row.gold is not None and row.kind == "work" else row.kind
    return NewTask(
        prompt=row.prompt, replies=tuple(replies), category=row.category, prompt_id=prompt_id, level=row.level, kind=kind,
        gold=Gold(value=row.gold, reason=row.reason) if row.gold is not None else None,
    )  # fmt: skip


def _take(
    desk: Desk,
    campaign: Campaign,
    batch: list[tuple[int, _Row, NewTask]],
    count: dict[str, int],
    actor: str,
    *,
    dry_run: bool,
) -> None:
    if dry_run or not batch:
        return
    count["tasks"] += add_tasks(desk, campaign.name, [new for _, _, new in batch], actor=actor)
    for _, row, new in batch:
        task = task_id(campaign.name, task_key(new))
        for vote in row.votes:
            count["votes"] += _vote(desk, campaign.name, task, vote)


def _vote(desk: Desk, campaign: str, task: str, vote: _Vote) -> int:
    """Stores a judgement from elsewhere under a key made from what it says; returns 1 for a new one."""
    person = _person(desk, vote.person)
    key = content_hash((campaign, task, vote.person, vote.answer, vote.time))[3:]

    def give(tx: Tx) -> None:
        found, _ = load_campaign(tx.connection, campaign)
        e, s = tables.exposure.c, tables.slot.c
        if tx.first(sa.select(e.task).where(e.person == person, e.task == task)) is not None:
            return
        lock_task(tx, task)
        join_campaign(tx, found, person)
        slot = tx.first(
            sa.select(tables.slot).where(s.task == task, s.n >= 0).order_by(s.state != "open", s.n).limit(1)
        )
        if slot is not None:
            expose(tx, found, person, slot, list(material_of(tx.connection, task)[1]), 0)

    desk.write(give)
    receipt = submit(desk, person, Sending(key=key, task=task, answer=vote.answer, sent=vote.time[:40]))
    return int(not receipt.replayed)


def _person(desk: Desk, label: str) -> str:
    handle = "imported." + (re.sub(r"[^\w.-]", "-", label)[:40] or "nobody")
    try:
        return find_person(desk, handle)
    except NoSuch:
        return add_person(desk, handle, name=label[:200], actor="import")
