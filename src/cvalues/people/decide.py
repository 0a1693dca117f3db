"""Adjudication and review: a blind decision first, then the votes come into view and the decision may be revised; both are stored.

An adjudicator decides a disputed task; "truly ambiguous" is a legal outcome. A reviewer approves an expert's answer or returns it.
Who voted on a task can never adjudicate or review it: they have met it.
"""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from cvalues.people.assign import join_campaign
from cvalues.people.attack_rules import settle_attack
from cvalues.people.campaigns import load_campaign
from cvalues.people.desk import Desk, Tx, iso
from cvalues.people.errors import BadAnswer, KeyTaken, NotAllowed
from cvalues.people.exposures import exposure_of
from cvalues.people.forms import Adjudication, Campaign, Decision, Sending, Vote
from cvalues.people.holding import return_in
from cvalues.people.submit import latest_votes, read_sending
from cvalues.people.tasks import lock_task
from cvalues.people.verdicts import verdict_of_ruling
from cvalues.records import canonical
from cvalues.schema import Record, Verdict
from cvalues.study import tables
from cvalues.study.rows import verdict_row

_ADJUDICATION = msgspec.json.Decoder(Adjudication)
_VERDICT = msgspec.json.Decoder(Verdict)


class Ruled(Record, frozen=True, kw_only=True):
    """The acknowledgement of a decision, with the votes that are in view from now on."""

    id: str
    task: str
    rev: int
    votes: tuple[Vote, ...]
    others: tuple[Verdict, ...] = ()
    """What rules, judges and people of other campaigns said of the same reply."""
    replayed: bool = False


def adjudicate(desk: Desk, person: str, sending: Sending | dict[str, Any]) -> Ruled:
    """Stores a decision (`sending.answer` is a `Decision`) and returns what may be seen after it.

    The first decision is blind. A further one under a new key revises it and notes which votes were in view.

    Raises:
        NeverAssigned: the task was never given to this person.
        KeyTaken: the key stands for another decision.
        BadAnswer: the decision is incomplete, or the task was not given for one.
    """
    given = read_sending(sending)
    return desk.write(lambda tx: _decide(tx, person, given))


def _decide(tx: Tx, person: str, given: Sending) -> Ruled:
    exposure = exposure_of(tx.connection, person, given.task)
    campaign, _ = load_campaign(tx.connection, exposure.campaign)
    join_campaign(tx, campaign, person)
    decision = _read(given, campaign, exposure.duty)
    known = tx.connection.execute(
        sa.select(tables.adjudication.c.body).where(tables.adjudication.c.id == given.key)
    ).scalar()
    if known is not None:
        stored = _ADJUDICATION.decode(known)
        if (stored.person, stored.task, stored.decision) != (person, given.task, decision):
            raise KeyTaken(f"the key {given.key} stands for another answer; send this one under a new key")
        return _ruled(tx, stored, replayed=True)
    task = lock_task(tx, given.task)
    earlier = rulings_of(tx.connection, given.task, person)
    seen = tuple(vote.submission for vote in votes_in(tx.connection, given.task)) if earlier else ()
    ruling = Adjudication(
        id=given.key, campaign=campaign.name, task=task.id, person=person, duty=exposure.duty, rev=len(earlier) + 1, decision=decision,
        seen=seen, received=max([iso(max(tx.now, exposure.claimed)), *(one.received for one in earlier)]),
    )  # fmt: skip
    tx.insert(
        tables.adjudication, id=ruling.id, campaign=ruling.campaign, task=ruling.task, person=person, rev=ruling.rev,
        received=ruling.received, body=canonical(ruling).decode(),
    )  # fmt: skip
    _effects(tx, campaign, [*earlier, ruling], task)
    tx.log(person, exposure.duty, ruling.id, task=task.id, rev=ruling.rev, ambiguous=decision.ambiguous)
    return _ruled(tx, ruling)


def _read(given: Sending, campaign: Campaign, duty: str) -> Decision:
    try:
        decision = msgspec.convert(given.answer, Decision)
    except msgspec.ValidationError as error:
        raise BadAnswer(f"the decision is not complete: {error}") from error
    if duty == "work":
        raise BadAnswer("this task was given to be judged; send an answer")
    if duty == "review":
        allowed: tuple[object, ...] = ("approve", "return")
    else:
        allowed = ("safe", "unsafe") if campaign.criterion == "safe" else tuple(range(1, 11))
    fits = decision.value is None if decision.ambiguous and duty == "adjudicate" else decision.value in allowed
    if not fits or (decision.ambiguous and duty == "review"):
        shown = ", ".join(map(str, allowed))
        raise BadAnswer(f"the decision: expected one of {shown}, or (of a disputed task) ambiguous without a value")
    return decision


def _effects(tx: Tx, campaign: Campaign, rulings: list[Adjudication], task: sa.Row[Any]) -> None:
    s, e, t = tables.slot.c, tables.exposure.c, tables.task.c
    ruling = rulings[-1]
    mine = (s.task == task.id) & (s.person == ruling.person)
    tx.update(tables.slot, mine, state="done", lease=None)
    tx.update(tables.exposure, (e.task == task.id) & (e.person == ruling.person), outcome="judged")
    if ruling.duty == "review":
        _review(tx, ruling, task)
        return
    subject = tx.connection.execute(
        sa.select(tables.task_reply.c.response).where(tables.task_reply.c.task == task.id).order_by(tables.task_reply.c.n)
    ).scalars().all()  # fmt: skip
    before: str | None = None
    verdict: Verdict | None = None
    for one in rulings:
        verdict = verdict_of_ruling(campaign, one, subject, before)
        before = verdict.id if verdict is not None else before
    if verdict is not None:
        tx.add(tables.verdict, [verdict_row(verdict)])
    if task.state != "void":
        tx.update(tables.task, t.id == task.id, state="final")
    if task.parent:
        settle_attack(tx, campaign, task.parent)


def _review(tx: Tx, ruling: Adjudication, task: sa.Row[Any]) -> None:
    t = tables.task.c
    if ruling.decision.value == "approve":
        tx.update(tables.task, t.id == task.id, state="final")
        return
    tx.update(tables.task, t.id == task.id, state="review")
    for vote in latest_votes(tx.connection, task.id):
        return_in(tx, task.id, vote.person, ruling.decision.rationale, ruling.person)


def _ruled(tx: Tx, ruling: Adjudication, *, replayed: bool = False) -> Ruled:
    return Ruled(
        id=ruling.id, task=ruling.task, rev=ruling.rev, votes=tuple(votes_in(tx.connection, ruling.task)),
        others=tuple(_others(tx.connection, ruling.task, ruling.campaign)) if ruling.duty == "adjudicate" else (), replayed=replayed,
    )  # fmt: skip


def rulings_of(connection: sa.Connection, task: str, person: str | None = None) -> list[Adjudication]:
    """Returns the decisions on a task, oldest first, of one person or of all; empty for none."""
    a = tables.adjudication.c
    query = sa.select(a.body).where(a.task == task).order_by(a.received, a.rev)
    if person is not None:
        query = query.where(a.person == person)
    return [_ADJUDICATION.decode(body) for body in connection.execute(query).scalars()]


def votes_in(connection: sa.Connection, task: str) -> list[Vote]:
    """Returns the latest answers of a task with who gave them; never to be shown to who still judges it."""
    return [
        Vote(
            submission=vote.id, person=vote.person, rev=vote.rev, counted=vote.slot is not None, answer=vote.answer,
            active_ms=vote.active_ms, guideline=vote.guideline, received=vote.received,
        )
        for vote in latest_votes(connection, task, counted=False)
    ]  # fmt: skip


def _others(connection: sa.Connection, task: str, campaign: str) -> list[Verdict]:
    """Returns the verdicts on the task's replies that stand in no run of this campaign."""
    v, r = tables.verdict.c, tables.task_reply.c
    replies = sa.select(r.response).where(r.task == task)
    query = sa.select(v.body).where(
        v.subject.in_(replies), v.criterion.in_(("safe", "points", "points_best_of")), v.status == "ok"
    )
    found = [_VERDICT.decode(body) for body in connection.execute(query.order_by(v.time)).scalars()]
    return [verdict for verdict in found if verdict.run.partition("/")[0] != campaign]


def votes(desk: Desk, person: str, task: str) -> list[Vote]:
    """Returns the votes on a task for somebody who has decided it.

    Raises:
        NeverAssigned: the task was never given to this person.
        NotAllowed: they have not decided it yet.
    """
    with desk.reading() as connection:
        exposure_of(connection, person, task)
        if not rulings_of(connection, task, person):
            raise NotAllowed("decide first: the votes come into view after the blind decision")
        return votes_in(connection, task)
