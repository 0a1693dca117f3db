"""Answers come in: stored for good, counted once, turned into verdicts, all in one transaction.

An answer to a task that a person was ever given is never refused for being late: when its slot is gone and no other is open it is kept as
surplus. The same key with the same answer is acknowledged again (a double click, a retry, a second tab); the same key with another
answer is `KeyTaken`. A further answer to the same task under a new key is the next revision.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
import sqlalchemy as sa

from cvalues.people import queries
from cvalues.people.assign import join_campaign
from cvalues.people.attack_rules import settle_attack
from cvalues.people.campaigns import day_of, is_sensitive, load_campaign
from cvalues.people.desk import Desk, Tx, iso
from cvalues.people.errors import BadAnswer, KeyTaken
from cvalues.people.exposures import exposure_of
from cvalues.people.forms import Campaign, Feedback, Receipt, Sending, Submission
from cvalues.people.rules import Answer, matches, read_answer, settle, value_of
from cvalues.people.tasks import add_responses, body_of, decode_body, lock_task, more_votes
from cvalues.people.verdicts import verdicts_of, written_by
from cvalues.records import canonical
from cvalues.schema import scrub
from cvalues.stats import wilson
from cvalues.study import tables
from cvalues.study.rows import verdict_row

_SUBMISSION = msgspec.json.Decoder(Submission)
_LONGEST_PAUSE = 600.0
"""Seconds of one item that count for the daily minutes at most."""
_GOLD_LEAST = 8
"""Gold items before somebody is paused for them."""


def submit(desk: Desk, person: str, sending: Sending | dict[str, Any]) -> Receipt:
    """Stores an answer and returns its receipt; when this returns the answer is durable.

    Raises:
        NeverAssigned: the task was never given to this person.
        KeyTaken: the key stands for another answer already.
        BadAnswer: the answer is incomplete or out of range, or the task was given for adjudication or review.
    """
    given = read_sending(sending)
    return desk.write(lambda tx: _submit(tx, person, given))


def read_sending(sending: Sending | dict[str, Any]) -> Sending:
    """Returns what a client sent, checked and with every text storable; raises BadAnswer."""
    raw: dict[str, Any] = msgspec.to_builtins(sending) if isinstance(sending, Sending) else sending
    try:
        return msgspec.convert(scrub(raw), Sending)
    except msgspec.ValidationError as error:
        raise BadAnswer(f"what was sent is not complete: {error}") from error


def _submit(tx: Tx, person: str, given: Sending) -> Receipt:
    exposure = exposure_of(tx.connection, person, given.task)
    campaign, _ = load_campaign(tx.connection, exposure.campaign)
    # The lock comes before the look-up: two copies of one request so find each other.
    member = join_campaign(tx, campaign, person)
    again = replay(tx, person, given)
    if again is not None:
        return again
    if exposure.duty != "work":
        raise BadAnswer("this task was given for a decision; send a decision")
    task = lock_task(tx, given.task)
    shown = tuple(msgspec.json.decode(exposure.ord, type=list[str]))
    answer = read_answer(given.answer, campaign.criterion, len(shown), campaign)
    votes = _votes(tx.connection, given.task)  # the task is locked: no vote can come in between
    earlier = [vote for vote in votes if vote.person == person]
    submission = Submission(
        id=given.key, campaign=campaign.name, task=task.id, kind=task.kind, person=person, rev=len(earlier) + 1,
        slot=earlier[0].slot if earlier else _slot_for(tx, exposure, task), answer=given.answer, shown=shown,
        guideline=exposure.guideline, active_ms=given.active_ms, wall_ms=given.wall_ms, confidence=given.confidence, sent=given.sent,
        # A clock that went back must not make an answer older than its task or than the answer before.
        received=max([iso(max(tx.now, exposure.claimed)), *(one.received for one in earlier)]),
    )  # fmt: skip
    store(tx, submission)
    _derive(tx, campaign, [*earlier, submission], answer, task)
    if not earlier:
        _first(tx, campaign, submission, task, member)
    _close(tx, campaign, submission, exposure)
    value = value_of(answer)
    feedback = _special(tx, campaign, submission, task, value) if task.kind != "work" else None
    if task.kind == "work" and submission.slot is not None:
        _resettle(tx, campaign, task, latest_of([*votes, submission]))
    tx.log(person, "submit", submission.id, task=task.id, rev=submission.rev, counted=submission.slot is not None)
    return receipt(submission, feedback)


def receipt(submission: Submission, feedback: Feedback | None = None, *, replayed: bool = False) -> Receipt:
    """Returns the acknowledgement of a submission."""
    return Receipt(
        id=submission.id, task=submission.task, rev=submission.rev, digest=digest_of(submission.answer),
        counted=submission.slot is not None, replayed=replayed, feedback=feedback,
    )  # fmt: skip


def digest_of(answer: dict[str, Any]) -> str:
    """Returns `sha256:…` of the canonical JSON of an answer (UTF-8, sorted keys, no spaces), which a browser can compute too."""
    return "sha256:" + hashlib.sha256(canonical(answer)).hexdigest()


def replay(tx: Tx, person: str, given: Sending) -> Receipt | None:
    """Returns the receipt of an answer that came before under this key; None for a new key; raises KeyTaken for another answer."""
    body = tx.connection.execute(
        sa.select(tables.submission.c.body).where(tables.submission.c.id == given.key)
    ).scalar()
    if body is None:
        return None
    stored = _SUBMISSION.decode(body)
    if (stored.person, stored.task) != (person, given.task) or stored.answer != given.answer:
        raise KeyTaken(f"the key {given.key} stands for another answer; send this one under a new key")
    return receipt(stored, replayed=True)


def revisions(connection: sa.Connection, person: str, task: str) -> list[Submission]:
    """Returns a person's answers to a task, oldest first; empty for none."""
    rows = connection.execute(queries.revisions(), {"task": task, "who": person}).scalars()
    return [_SUBMISSION.decode(body) for body in rows]


def _votes(connection: sa.Connection, task: str) -> list[Submission]:
    """Returns everybody's answers to a task, in the order of revisions."""
    return [_SUBMISSION.decode(body) for body in connection.execute(queries.votes(), {"task": task}).scalars()]


def latest_votes(connection: sa.Connection, task: str, *, counted: bool = True) -> list[Submission]:
    """Returns the latest answer of each person to a task, by slot; only those that count, or all."""
    return latest_of(_votes(connection, task), counted=counted)


def latest_of(answers: list[Submission], *, counted: bool = True) -> list[Submission]:
    """Returns of answers in the order of revisions the latest of each person, by slot; only those that count, or all."""
    latest = {vote.person: vote for vote in answers}
    votes = [vote for vote in latest.values() if not counted or vote.slot is not None]
    return sorted(votes, key=lambda vote: (vote.slot is None, vote.slot or 0, vote.received, vote.id))


def stored_value(campaign: Campaign, submission: Submission) -> str | int | None:
    """Returns what a stored answer comes to, as `rules.value_of`; it was read when it came, so its fields are as they must be."""
    value: str | int | None = submission.answer.get("safe" if campaign.criterion == "safe" else "points")
    return value


def _slot_for(tx: Tx, exposure: sa.Row[Any], task: sa.Row[Any]) -> int | None:
    """Returns the slot that a first answer takes: the person's own, or another that is open; None when there is none left."""
    s = tables.slot.c
    own = tx.first(sa.select(tables.slot).where(s.task == task.id, s.n == exposure.slot).with_for_update())
    if own is not None and own.person == exposure.person and own.state == "leased":
        return int(own.n)
    duty = own.duty if own is not None else "work"
    spare = tx.first(
        sa.select(s.n).where(s.task == task.id, s.state == "open", s.duty == duty).order_by(s.n).limit(1)
        .with_for_update(skip_locked=True)
    )  # fmt: skip
    return None if spare is None else int(spare.n)


def store(tx: Tx, submission: Submission) -> None:
    """Writes a submission."""
    tx.insert(
        tables.submission, id=submission.id, campaign=submission.campaign, task=submission.task, person=submission.person,
        rev=submission.rev, slot=submission.slot, received=submission.received, body=canonical(submission).decode(),
    )  # fmt: skip


def _derive(tx: Tx, campaign: Campaign, all_revisions: list[Submission], answer: Answer, task: sa.Row[Any]) -> None:
    """Writes the verdict of the latest revision, and what the person wrote as a response."""
    verdicts = verdicts_of(campaign, all_revisions)
    tx.add(tables.verdict, [verdict_row(verdict) for verdict in verdicts[-1:]])
    response = written_by(all_revisions[-1], answer, body_of(task))
    if response is not None:
        add_responses(tx, [response])


def _first(tx: Tx, campaign: Campaign, submission: Submission, task: sa.Row[Any], member: sa.Row[Any]) -> None:
    """Takes the slot of a first answer and counts it; the person's row in the campaign is locked."""
    s, t, m = tables.slot.c, tables.task.c, tables.membership.c
    if submission.slot is not None:
        taken = (s.task == task.id) & (s.n == submission.slot)
        tx.update(tables.slot, taken, state="done", person=submission.person, lease=None)
        tx.update(tables.task, t.id == task.id, done=task.done + 1)
    who = (m.campaign == campaign.name) & (m.person == submission.person)
    day, seconds = day_of(campaign, tx.now), min(submission.active_ms / 1000, _LONGEST_PAUSE)
    same = member.day == day
    tx.update(
        tables.membership, who, submitted=member.submitted + 1, day=day, day_items=(member.day_items if same else 0) + 1,
        day_sensitive=(member.day_sensitive if same else 0) + is_sensitive(campaign, task.category),
        day_seconds=(member.day_seconds if same else 0.0) + seconds,
    )  # fmt: skip


def _close(tx: Tx, campaign: Campaign, submission: Submission, exposure: sa.Row[Any]) -> None:
    """Ends the exposure and the draft; a corrected answer that was reviewed goes back to its reviewer."""
    e, d = tables.exposure.c, tables.draft.c
    mine = (e.person == submission.person) & (e.task == submission.task)
    tx.update(tables.exposure, mine, outcome="judged", note=exposure.note)
    tx.connection.execute(sa.delete(tables.draft).where(d.person == submission.person, d.task == submission.task))
    if submission.rev > 1 and campaign.review:
        reviewer = (e.task == submission.task) & (e.duty == "review") & (e.outcome == "judged")
        tx.update(tables.exposure, reviewer, outcome="returned", note="revised")


def _special(
    tx: Tx, campaign: Campaign, submission: Submission, task: sa.Row[Any], value: str | int | None
) -> Feedback | None:
    """Counts an item whose answer is known; returns the feedback of a practice item."""
    gold = body_of(task).gold
    if gold is None:
        return None
    right = matches(gold, value, campaign)
    m = tables.membership.c
    who = (m.campaign == campaign.name) & (m.person == submission.person)
    member = tx.connection.execute(sa.select(tables.membership).where(who)).one()
    if task.kind == "gold" and submission.rev == 1:
        hits, total = member.gold_right + right, member.gold_total + 1
        tx.update(tables.membership, who, gold_right=hits, gold_total=total)
        upper = wilson(hits, total).high
        if total >= _GOLD_LEAST and upper is not None and upper < campaign.gold_gate:
            tx.update(tables.membership, who, state="paused")
            tx.log("", "auto-pause", campaign.name, person=submission.person, right=hits, total=total)
    if task.kind == "qualify" and submission.rev == 1:
        _qualify(tx, campaign, submission.person, member.attempt)
    return Feedback(right=right, value=gold.value, reason=gold.reason) if task.kind == "train" else None


def _qualify(tx: Tx, campaign: Campaign, person: str, attempt: int) -> None:
    """Decides an attempt when its last item is in: first revisions only, in the order in which they came."""
    t, u, m = tables.task.c, tables.submission.c, tables.membership.c
    query = (
        sa.select(u.body, t.body.label("task"))
        .join(tables.task, t.id == u.task)
        .where(u.campaign == campaign.name, u.person == person, u.rev == 1, t.kind == "qualify")
        .order_by(u.received, u.id)
    )
    rows = tx.all(query)
    size = campaign.qualify_items
    if not size or len(rows) < attempt * size:
        return
    right = 0
    for row in rows[(attempt - 1) * size : attempt * size]:
        submission = _SUBMISSION.decode(row.body)
        gold = decode_body(row.task).gold
        right += gold is not None and matches(gold, stored_value(campaign, submission), campaign)
    passed = right >= campaign.qualify_pass
    who = (m.campaign == campaign.name) & (m.person == person)
    tx.update(tables.membership, who, **({"qualified": campaign.major} if passed else {"attempt": attempt + 1}))
    tx.log(person, "qualified" if passed else "not-qualified", campaign.name, right=right, of=size)


def _resettle(tx: Tx, campaign: Campaign, row: sa.Row[Any], latest: list[Submission]) -> None:
    """Brings the state of a locked task in line with its latest votes: open, one more vote, enough, disputed or in review."""
    if row.state in {"final", "void"}:
        return
    votes = [stored_value(campaign, vote) for vote in latest]
    settled = settle(campaign, votes, row.need)
    state = settled.state
    if settled.more:
        more_votes(tx, row)
    duty = "adjudicate" if state == "disputed" else "review" if state == "enough" and campaign.review else ""
    _second(tx, row, duty)
    shown = "review" if duty == "review" else state
    if shown != row.state:
        tx.update(tables.task, tables.task.c.id == row.id, state=shown)
    if row.parent:
        settle_attack(tx, campaign, row.parent)


def _second(tx: Tx, task: sa.Row[Any], duty: str) -> None:
    """Opens the slot of an adjudicator or reviewer where one is needed, and takes it back where it is not any more."""
    s = tables.slot.c
    where = (s.task == task.id) & (s.n == -1)
    slot = tx.first(sa.select(tables.slot).where(where))
    if slot is None and duty:
        tx.insert(
            tables.slot, task=task.id, n=-1, campaign=task.campaign, duty=duty, category=task.category, author=task.author,
            rnd=task.rnd, state="open", person=None, lease=None,
        )  # fmt: skip
    elif slot is not None and duty and slot.state == "void":
        tx.update(tables.slot, where, state="open", person=None, lease=None)
    elif slot is not None and not duty and slot.state == "open":
        tx.update(tables.slot, where, state="void")
