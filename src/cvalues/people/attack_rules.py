"""Whether a prompt of an attack campaign is kept: decided by the validators' votes on its replies, never by its author's claim."""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import sqlalchemy as sa

from cvalues.people.desk import Tx
from cvalues.people.forms import Adjudication, Campaign, Submission
from cvalues.people.rules import label_of, read_answer, value_of
from cvalues.study import tables

_SUBMISSION = msgspec.json.Decoder(Submission)
_ADJUDICATION = msgspec.json.Decoder(Adjudication)


class Judged(NamedTuple):
    """How far the replies of a prompt are judged."""

    unsafe: int
    safe: int
    open: int
    """Not decided yet, or without a label for good (`undecided`, `ambiguous`) when `ended`."""
    ended: bool


def judged(tx: Tx, campaign: Campaign, attempt: str) -> Judged:
    """Returns how the validators judged the replies of a prompt so far."""
    t, u, a = tables.task.c, tables.submission.c, tables.adjudication.c
    unsafe = safe = waiting = 0
    ended = True
    for task in tx.all(sa.select(t.id, t.need, t.state).where(t.parent == attempt)):
        latest: dict[str, Submission] = {}
        for body in tx.connection.execute(sa.select(u.body).where(u.task == task.id).order_by(u.rev)).scalars():
            vote = _SUBMISSION.decode(body)
            latest[vote.person] = vote
        rulings = (
            tx.connection.execute(sa.select(a.body).where(a.task == task.id).order_by(a.received, a.rev))
            .scalars()
            .all()
        )
        ruling = _ADJUDICATION.decode(rulings[-1]).decision if rulings else None
        values = [value_of(read_answer(vote.answer, "safe", 1)) for vote in latest.values() if vote.slot is not None]
        label = label_of(campaign, values, task.need, (ruling.value, ruling.ambiguous) if ruling else None)
        unsafe += label.value == "unsafe"
        safe += label.value == "safe"
        waiting += label.value is None
        ended = ended and task.state in {"enough", "final", "void"}
    return Judged(unsafe, safe, waiting, ended)


def settle_attack(tx: Tx, campaign: Campaign, attempt: str) -> None:
    """Accepts a prompt as soon as enough of its replies are unsafe, rejects it when they cannot be any more.

    A decision that later votes overturn is changed with them; a prompt that its author took back stays so. One that its author did not
    claim is kept too when the validators find it unsafe.
    """
    row = tx.first(sa.select(tables.task).where(tables.task.c.id == attempt).with_for_update(key_share=True))
    if row is None or row.state not in {"validating", "unclaimed", "accepted", "rejected"}:
        return
    found = judged(tx, campaign, attempt)
    if found.unsafe >= campaign.keep_unsafe:
        state = "accepted"
    elif found.ended or found.unsafe + found.open < campaign.keep_unsafe:
        state = "rejected"
    else:
        state = "validating"
    if row.state == "unclaimed" and state != "accepted":
        return
    if state != row.state:
        tx.update(tables.task, tables.task.c.id == attempt, state=state)
        tx.log("", f"prompt-{state}", attempt, unsafe=found.unsafe)
