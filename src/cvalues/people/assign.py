"""Who gets which task next: claims and leases.

A lease only keeps a slot from being given to somebody else for a while; it is never a permission to submit. A lease that has run out
needs no sweeper: the next claim takes the slot. An item that a person has met once, in whatever way it ended, never comes up again
for that person, except their own that they have not answered, and what is returned to them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from cvalues.people import queries
from cvalues.people.accounts import merged
from cvalues.people.campaigns import day_of, decode_campaign, load_campaign, no_campaign
from cvalues.people.desk import Desk, Tx
from cvalues.people.errors import NoSuch
from cvalues.people.exposures import expose, exposure_of, show, show_material
from cvalues.people.forms import Assignment, Campaign, Duty, Nothing
from cvalues.people.rules import RING, due_for_gold
from cvalues.people.tasks import lock_task, material_of
from cvalues.records import derive_seed
from cvalues.study import tables

ROLES_FOR: dict[tuple[str, str], tuple[str, ...]] = {
    ("attack", "work"): ("annotator",),
    ("expert", "work"): ("expert",),
    ("judge-safety", "work"): ("annotator", "expert"),
    ("judge-responsibility", "work"): ("annotator", "expert"),
    ("expert", "review"): ("expert", "adjudicator"),
}
"""Which roles may take which duty; adjudicators adjudicate everywhere."""


class _Seeker:
    """A person who asks for work: the campaign, the person's row in it, and which categories are open to them."""

    def __init__(self, campaign: Campaign, member: sa.Row[Any], categories: list[str] | None, duty: Duty) -> None:
        self.campaign = campaign
        self.member = member
        self.person: str = member.person
        self.categories = categories
        self.duty = duty


def claim_next(desk: Desk, person: str, campaign: str, duty: Duty = "work") -> Assignment | Nothing:
    """Returns the next task for a person, leased to them, or why there is none.

    What the person holds already comes first (a reload and a second tab so show the same task), then what was returned to them,
    then practice and qualification, hidden gold now and then, slots whose lease ran out, and open slots.

    Raises:
        NoSuch: there is no such campaign or person.
    """
    return desk.write(lambda tx: _claim(tx, person, campaign, duty))


def _claim(tx: Tx, person: str, name: str, duty: Duty) -> Assignment | Nothing:
    seeker = _stand(tx, person, name, duty)
    if isinstance(seeker, Nothing):
        return seeker
    there = {"campaign": name, "who": person, "duty": duty, "now": tx.now}
    first, last, lapsed, held = tx.connection.execute(queries.survey(), there).one()
    found: Assignment | Nothing | None = _held(tx, seeker) if held is not None else None
    if found is None and duty == "work":
        found = _practice(tx, seeker) or _capped(seeker.campaign, seeker, tx.now) or _gold(tx, seeker)
    if found is not None:
        return found
    slot = _pick(tx, seeker, first, last, lapsed)
    if slot is not None:
        return _give(tx, seeker, slot)
    return Nothing(reason="nothing-open" if seeker.categories is None else "nothing-open-in-scenarios")


def _stand(tx: Tx, person: str, name: str, duty: Duty) -> _Seeker | Nothing:
    """Returns a person, their row in the campaign locked, as a seeker of work, or why they can get none there at all."""
    who = {"campaign": name, "who": person}
    known = tx.all(queries.standing(member=True), **who)
    rows = known or tx.all(queries.standing(member=False), **who)
    if not rows:
        raise no_campaign(tx.connection, name)
    if rows[0].campaign_state != "open":
        return Nothing(reason=f"campaign-{rows[0].campaign_state}")
    if rows[0].person_state is None:
        raise NoSuch(f"there is no person '{person}'; see  cvalues people status")
    if rows[0].person_state != "active":
        return Nothing(reason=f"person-{rows[0].person_state}")
    campaign = decode_campaign(rows[0].campaign_body)
    roles = merged(row for row in rows if row.role is not None)
    wanted = ("adjudicator",) if duty == "adjudicate" else ROLES_FOR.get((campaign.kind, duty), ())
    held = [roles[role] for role in wanted if role in roles]
    if not held:
        return Nothing(reason="role", values={"roles": ", ".join(wanted) or "-"})
    return _seek(tx, campaign, known[0] if known else _join(tx, campaign, person), held, duty)


def join_campaign(tx: Tx, campaign: Campaign, person: str) -> sa.Row[Any]:
    """Returns the person's row in a campaign, locked until the transaction ends; made where there is none."""
    return tx.first(queries.member(), campaign=campaign.name, who=person) or _join(tx, campaign, person)


def _join(tx: Tx, campaign: Campaign, person: str) -> sa.Row[Any]:
    new = tx.put(
        tables.membership,
        campaign=campaign.name, person=person, state="active", consent=None, scenarios=None, qualified=0, attempt=1, claimed=0,
        submitted=0, skipped=0, gold_right=0, gold_total=0, since_gold=0, day=day_of(campaign, tx.now), day_items=0, day_sensitive=0,
        day_seconds=0.0, place=derive_seed("place", campaign.seed, campaign.name, person) % RING,
    )  # fmt: skip
    return new or tx.connection.execute(queries.member(), {"campaign": campaign.name, "who": person}).one()


def _seek(
    tx: Tx, campaign: Campaign, member: sa.Row[Any], held: Sequence[tuple[str, ...]], duty: Duty
) -> _Seeker | Nothing:
    """Returns a person who has roles with these categories (empty: all) as a seeker of work, or why they can get none at all."""
    if member.state != "active":
        return Nothing(reason="paused")
    if campaign.consent and member.consent is None:
        return Nothing(reason="consent")
    scope = None if any(not categories for categories in held) else sorted({code for part in held for code in part})
    if member.scenarios is not None:
        chosen = msgspec.json.decode(member.scenarios, type=list[str])
        scope = sorted(set(chosen) & set(scope) if scope is not None else set(chosen))
        if not scope:
            return Nothing(reason="opted-out")
    day = day_of(campaign, tx.now)
    if member.day == day and member.day_sensitive >= campaign.daily_sensitive and campaign.sensitive and duty == "work":
        scope = [
            code
            for code in (scope if scope is not None else _categories(tx, campaign))
            if code not in campaign.sensitive
        ]
    return _Seeker(campaign, member, scope, duty)


def _categories(tx: Tx, campaign: Campaign) -> list[str]:
    t = tables.task.c
    return list(tx.connection.execute(sa.select(t.category).where(t.campaign == campaign.name).distinct()).scalars())


def _capped(campaign: Campaign, seeker: _Seeker, now: float) -> Nothing | None:
    member = seeker.member
    if member.day != day_of(campaign, now):
        return None
    if member.day_items >= campaign.daily_items:
        return Nothing(reason="cap-items", values={"items": campaign.daily_items})
    if member.day_seconds >= 60 * campaign.daily_minutes:
        return Nothing(reason="cap-minutes", values={"minutes": campaign.daily_minutes})
    if seeker.categories == [] and member.day_sensitive >= campaign.daily_sensitive:
        return Nothing(reason="cap-sensitive", values={"items": campaign.daily_sensitive})
    return None


# --- what is held already ---------------------------------------------------------------------------------------------------


def _held(tx: Tx, seeker: _Seeker) -> Assignment | None:
    """Returns what was returned to the person or is still theirs to answer; what was given away meanwhile is let go."""
    for row in tx.all(queries.pending(), campaign=seeker.campaign.name, who=seeker.person, duty=seeker.duty):
        lease = tx.now + 60 * seeker.campaign.lease_minutes
        if row.outcome == "returned":
            return show(tx, seeker.campaign, row, lease)
        slot = tx.first(queries.slot(), task=row.task, n=row.slot)
        mine = slot is not None and slot.state == "leased" and slot.person == seeker.person
        if slot is not None and (mine or slot.state == "open"):
            given = {"of": row.task, "nth": row.slot, "who": seeker.person, "until": lease}
            tx.connection.execute(queries.lease(), given)
            return show(tx, seeker.campaign, row, lease)
        _let_go(tx, row)
    return None


def _let_go(tx: Tx, row: sa.Row[Any]) -> None:
    e = tables.exposure.c
    tx.update(tables.exposure, (e.person == row.person) & (e.task == row.task), outcome="lapsed")


# --- picking ----------------------------------------------------------------------------------------------------------------


def _pick(tx: Tx, seeker: _Seeker, first: int | None, last: int | None, lapsed: float | None) -> sa.Row[Any] | None:
    again = _lapsed(tx, seeker) if lapsed is not None else None
    if again is not None:
        return again
    for n in _levels(seeker.campaign, first, last):
        for category in _rotation(seeker):
            for low, high in ((seeker.member.place, RING), (-1, seeker.member.place)):
                found = _open(tx, seeker, n, category, (low, high))
                if found is not None:
                    return found
    return None


def _lapsed(tx: Tx, seeker: _Seeker) -> sa.Row[Any] | None:
    values: dict[str, Any] = {
        "campaign": seeker.campaign.name,
        "duty": seeker.duty,
        "now": tx.now,
        "who": seeker.person,
    }
    if seeker.categories is None:
        return tx.first(queries.lapsed_slot(by_category=False), **values)
    return tx.first(queries.lapsed_slot(by_category=True), **values, categories=seeker.categories)


def _levels(campaign: Campaign, first: int | None, last: int | None) -> list[int]:
    """Returns the numbers of open slots, in the order in which they are given out."""
    if first is None:
        return []
    levels = list(range(first, (first if last is None else last) + 1))  # others may have taken all meanwhile
    return levels if campaign.order == "breadth" else levels[::-1]


def _rotation(seeker: _Seeker) -> Sequence[str | None]:
    """Returns the categories to look in, from another one each time; a single None where all are open."""
    if seeker.categories is None:
        return (None,)
    if not seeker.categories:
        return ()
    start = derive_seed("rotation", seeker.person, seeker.member.claimed) % len(seeker.categories)
    return [*seeker.categories[start:], *seeker.categories[:start]]


def _open(tx: Tx, seeker: _Seeker, n: int, category: str | None, span: tuple[int, int]) -> sa.Row[Any] | None:
    values = {
        "campaign": seeker.campaign.name, "duty": seeker.duty, "n": n, "low": span[0], "high": span[1], "who": seeker.person,
    }  # fmt: skip
    if category is None:
        return tx.first(queries.open_slot(by_category=False), **values)
    return tx.first(queries.open_slot(by_category=True), **values, category=category)


def _give(tx: Tx, seeker: _Seeker, slot: sa.Row[Any]) -> Assignment:
    """Leases a slot to the person and returns the task."""
    lease = tx.now + 60 * seeker.campaign.lease_minutes
    task, texts = material_of(tx.connection, slot.task)
    row = expose(tx, seeker.campaign, seeker.person, slot, list(texts), seeker.member.claimed)
    given = {"of": slot.task, "nth": slot.n, "who": seeker.person, "until": lease}
    tx.connection.execute(queries.lease(), given)
    since = 0 if slot.duty == "gold" else seeker.member.since_gold + 1
    place = slot.rnd if slot.duty == "work" else seeker.member.place
    counted = {
        "of": seeker.campaign.name,
        "who": seeker.person,
        "count": seeker.member.claimed + 1,
        "since": since,
        "at": place,
    }
    tx.connection.execute(queries.claimed(), counted)
    return show_material(tx, seeker.campaign, row, lease, (task, texts), fresh=True)


# --- gold, practice, qualification ----------------------------------------------------------------------------------------------


def _gold(tx: Tx, seeker: _Seeker) -> Assignment | None:
    member = seeker.member
    if not due_for_gold(seeker.campaign, seeker.person, member.claimed, member.since_gold):
        return None
    return _special(tx, seeker, "gold", own_order=False)


def _special(tx: Tx, seeker: _Seeker, kind: str, *, own_order: bool) -> Assignment | None:
    """Gives an unseen gold, practice or qualification task; everybody may get each of these, so its slot is made now."""
    t, e, s = tables.task.c, tables.exposure.c, tables.slot.c
    seen = sa.select(e.task).where(e.person == seeker.person, e.task == t.id)
    query = (
        sa.select(t.id, t.rnd)
        .where(t.campaign == seeker.campaign.name, t.kind == kind, t.state == "open", ~seen.exists(), t.author != seeker.person)
    )  # fmt: skip
    if seeker.categories is not None and kind == "gold":
        query = query.where(t.category.in_(seeker.categories))
    found = tx.all(query)
    if not found:
        return None
    chosen = min(
        found,
        key=lambda row: derive_seed(seeker.person, row.id) if own_order else (row.rnd - seeker.member.place) % RING,
    )
    task = lock_task(tx, chosen.id)
    last = tx.connection.execute(sa.select(sa.func.max(s.n)).where(s.task == task.id)).scalar()
    row = {
        "task": task.id, "n": 0 if last is None else last + 1, "campaign": task.campaign, "duty": "gold", "category": task.category,
        "author": task.author, "rnd": task.rnd, "state": "leased", "person": seeker.person, "lease": tx.now,
    }  # fmt: skip
    tx.insert(tables.slot, **row)
    slot = tx.connection.execute(sa.select(tables.slot).where(s.task == task.id, s.n == row["n"])).one()
    return _give(tx, seeker, slot)


def _practice(tx: Tx, seeker: _Seeker) -> Assignment | Nothing | None:
    """Returns a practice or qualification task for who has not qualified yet; None for who has, and where nobody need to."""
    campaign = seeker.campaign
    if not campaign.qualify_items or seeker.member.qualified >= campaign.major:
        return None
    for kind in ("train", "qualify"):
        found = _special(tx, seeker, kind, own_order=True)
        if found is not None:
            return found
    return Nothing(reason="not-qualified", values={"items": campaign.qualify_items, "needed": campaign.qualify_pass})


# --- again --------------------------------------------------------------------------------------------------------------


def look_again(desk: Desk, person: str, task: str) -> Assignment:
    """Returns a task that the person has met, to look at or to correct; errors as `exposure_of`.

    A correction is an ordinary submission: it becomes the next revision, and the old one stays.
    """

    def work(tx: Tx) -> Assignment:
        row = exposure_of(tx.connection, person, task)
        campaign, _ = load_campaign(tx.connection, row.campaign)
        return show(tx, campaign, row, tx.now + 60 * campaign.lease_minutes)

    return desk.write(work)
