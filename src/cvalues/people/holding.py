"""What a person does with a task that they hold: keep it, draft, skip; what a manager does with it: return it; and consent.

A heartbeat only moves the lease; none of these is needed to submit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from cvalues.people.assign import join_campaign
from cvalues.people.campaigns import load_campaign
from cvalues.people.desk import Desk, Tx
from cvalues.people.errors import BadAnswer
from cvalues.people.exposures import exposure_of
from cvalues.people.forms import SKIP_REASONS
from cvalues.records import canonical
from cvalues.schema import scrub
from cvalues.study import tables


def heartbeat(desk: Desk, person: str, task: str, *, opened: bool = False, revealed: bool = False) -> float | None:
    """Extends the lease of a task and returns until when; None when the slot was given to somebody else meanwhile.

    Send it every 60 s while the page is visible and in use. The person may go on and submit in either case.

    Raises:
        NeverAssigned: the task was never given to this person.
    """

    def work(tx: Tx) -> float | None:
        row = exposure_of(tx.connection, person, task, lock=True)
        e, s = tables.exposure.c, tables.slot.c
        seen = {"opened": tx.now} if opened and row.opened is None else {}
        shown = {"revealed": tx.now} if revealed and row.revealed is None else {}
        if seen or shown:
            tx.update(tables.exposure, (e.person == person) & (e.task == task), **seen, **shown)
        campaign, _ = load_campaign(tx.connection, row.campaign)
        lease = tx.now + 60 * campaign.lease_minutes
        mine = (s.task == task) & (s.person == person) & (s.state == "leased")
        return lease if tx.update(tables.slot, mine, lease=lease) else None

    return desk.write(work)


def release(desk: Desk, person: str, task: str) -> bool:
    """Lets go of a task that was not touched (the page was closed) and returns whether it was held; its person gets it back first."""

    def work(tx: Tx) -> bool:
        s = tables.slot.c
        mine = (s.task == task) & (s.person == person) & (s.state == "leased") & (s.duty != "gold")
        return bool(tx.update(tables.slot, mine, state="open", person=None, lease=None))

    return desk.write(work)


def save_draft(desk: Desk, person: str, task: str, body: dict[str, Any], revision: int) -> int:
    """Keeps an unfinished answer and returns the revision that is kept; an older one than that is ignored.

    Raises:
        NeverAssigned: the task was never given to this person.
        BadAnswer: the draft is longer than 64 KiB.
    """
    text = canonical(scrub(body)).decode()
    if len(text) > 65_536:
        raise BadAnswer("the draft is longer than 64 KiB; shorten it")

    def work(tx: Tx) -> int:
        exposure_of(tx.connection, person, task, lock=True)
        d = tables.draft.c
        mine = (d.person == person) & (d.task == task)
        kept = tx.connection.execute(sa.select(d.revision).where(mine)).scalar()
        if kept is None:
            tx.insert(tables.draft, person=person, task=task, revision=revision, updated=tx.now, body=text)
        elif revision > kept:
            tx.update(tables.draft, mine, revision=revision, updated=tx.now, body=text)
        else:
            return int(kept)
        return revision

    return desk.write(work)


def skip(desk: Desk, person: str, task: str, reason: str, note: str = "") -> None:
    """Skips a task: its slot is free for others at once, and this person never gets it again. No quality figure counts it.

    May be repeated.

    Raises:
        NeverAssigned: the task was never given to this person.
        BadAnswer: the reason is not one of `forms.SKIP_REASONS`, or the task has been answered.
    """
    if reason not in SKIP_REASONS:
        raise BadAnswer(f"there is no reason '{reason}'; choose {', '.join(SKIP_REASONS)}")

    def work(tx: Tx) -> None:
        campaign, _ = load_campaign(tx.connection, exposure_of(tx.connection, person, task).campaign)
        join_campaign(tx, campaign, person)
        row = exposure_of(tx.connection, person, task, lock=True)
        if row.outcome in {"judged", "returned"}:
            raise BadAnswer("this task was answered already; correct the answer instead of skipping it")
        if row.outcome == "skipped":
            return
        e, s, m = tables.exposure.c, tables.slot.c, tables.membership.c
        kept = f"{reason}: {scrub({'t': note})['t'][:1000]}" if note else reason
        tx.update(tables.exposure, (e.person == person) & (e.task == task), outcome="skipped", note=kept)
        mine = (s.task == task) & (s.person == person) & (s.state == "leased")
        tx.update(tables.slot, mine & (s.duty == "gold"), state="void", lease=None)
        tx.update(tables.slot, mine, state="open", person=None, lease=None)
        who = (m.campaign == row.campaign) & (m.person == person)
        tx.update(tables.membership, who, skipped=m.skipped + 1)
        d = tables.draft.c
        tx.connection.execute(sa.delete(tables.draft).where(d.person == person, d.task == task))
        tx.log(person, "skip", task, reason=reason)

    desk.write(work)


def return_task(desk: Desk, task: str, person: str, comment: str, *, actor: str) -> None:
    """Returns a task to who answered it, to be looked at again; their next answer is a new revision, the old one stays.

    Raises:
        NeverAssigned: the task was never given to that person.
        BadAnswer: that person has not answered it.
    """
    desk.write(lambda tx: return_in(tx, task, person, comment, actor))


def return_in(tx: Tx, task: str, person: str, comment: str, actor: str) -> None:
    """Returns a task inside a transaction; see `return_task`."""
    row = exposure_of(tx.connection, person, task, lock=True)
    if row.outcome not in {"judged", "returned"}:
        raise BadAnswer(f"{person} has not answered task {task}; there is nothing to return")
    e = tables.exposure.c
    note = scrub({"t": comment})["t"][:2000]
    tx.update(tables.exposure, (e.person == person) & (e.task == task), outcome="returned", note=note)
    tx.log(actor, "return", task, person=person)


def give_consent(desk: Desk, person: str, campaign: str, scenarios: Sequence[str] | None, *, version: str = "") -> None:
    """Notes that a person read the disclosure and which scenarios they chose (None: all); may be changed at any time, without a reason.

    Raises:
        NoSuch: there is no such campaign.
    """

    def work(tx: Tx) -> None:
        found, _ = load_campaign(tx.connection, campaign)
        join_campaign(tx, found, person)
        m = tables.membership.c
        chosen = None if scenarios is None else msgspec.json.encode(sorted(set(scenarios))).decode()
        mine = (m.campaign == campaign) & (m.person == person)
        tx.update(tables.membership, mine, consent=f"{tx.time} {version or found.guideline_version}", scenarios=chosen)
        tx.log(person, "consent", campaign, scenarios=None if scenarios is None else len(set(scenarios)))

    desk.write(work)


def set_member_state(desk: Desk, campaign: str, person: str, state: str, *, actor: str = "", why: str = "") -> None:
    """Makes a person `active` or `paused` in one campaign; raises BadAnswer for another state."""
    if state not in {"active", "paused"}:
        raise BadAnswer(f"there is no state '{state}' in a campaign; choose active or paused")

    def work(tx: Tx) -> None:
        found, _ = load_campaign(tx.connection, campaign)
        join_campaign(tx, found, person)
        m = tables.membership.c
        tx.update(tables.membership, (m.campaign == campaign) & (m.person == person), state=state)
        tx.log(actor, f"member-{state}", campaign, person=person, why=why[:200])

    desk.write(work)
