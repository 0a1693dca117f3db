"""What only pages read: campaigns of a person, today's counts, invitations, the queue of disputes, and the ledger."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from cvalues.people.accounts import roles_in
from cvalues.people.campaigns import day_of, known_categories, list_campaigns, load_campaign
from cvalues.people.desk import Desk
from cvalues.people.forms import Campaign
from cvalues.people.tasks import decode_body
from cvalues.schema import Record, Verdict
from cvalues.study import tables
from cvalues.taxonomy import builtin

_VERDICT = msgspec.json.Decoder(Verdict)


class Place(Record, frozen=True, kw_only=True):
    """A campaign as one person stands in it."""

    campaign: Campaign
    state: str
    roles: tuple[str, ...]
    member: str = "active"
    consented: bool = False
    scenarios: tuple[str, ...] | None = None
    """Chosen scenarios; None: all."""
    qualified: int = 0
    submitted: int = 0
    today_items: int = 0
    today_sensitive: int = 0
    today_minutes: float = 0.0
    returned: int = 0
    """Tasks that came back to be looked at again."""


class Link(Record, frozen=True, kw_only=True):
    """An invitation as managers see it; its token is not stored."""

    mark: str
    campaign: str
    role: str
    uses: int
    most_uses: int
    expires: float
    state: str
    """open, used, expired or revoked."""


class Waiting(Record, frozen=True, kw_only=True):
    """A task that waits for an adjudicator or reviewer, without its votes."""

    task: str
    category: str
    duty: str
    votes: int
    held_by: str = ""


class Deed(Record, frozen=True, kw_only=True):
    """One line of the ledger."""

    place: str
    time: str
    actor: str
    verb: str
    what: str
    detail: str


_BEARINGS = (
    sa.select(tables.person.c.name, tables.person.c.handle, tables.role_grant.c.role)
    .outerjoin(
        tables.role_grant,
        (tables.role_grant.c.person == tables.person.c.id)
        & (tables.role_grant.c.role == "manager")
        & tables.role_grant.c.revoked.is_(None),
    )
    .where(tables.person.c.id == sa.bindparam("who"))
)


def bearings(desk: Desk, person: str) -> tuple[str, bool]:
    """Returns what a person is called (name, else handle, else pseudonym) and whether they manage a campaign."""
    with desk.glancing() as connection:
        row = connection.execute(_BEARINGS, {"who": person}).first()
    return (str(row.name or row.handle or person), row.role is not None) if row is not None else (person, False)


def managed(desk: Desk, person: str) -> list[str]:
    """Returns the campaigns that an active person manages, the empty name for all of them; empty for none."""
    g, p = tables.role_grant.c, tables.person.c
    query = (
        sa.select(g.campaign).join(tables.person, p.id == g.person)
        .where(g.person == person, g.role == "manager", g.revoked.is_(None), p.state == "active").order_by(g.campaign)
    )  # fmt: skip
    with desk.glancing() as connection:
        return list(connection.execute(query).scalars())


def place_of(desk: Desk, person: str, campaign: str) -> Place:
    """Returns how a person stands in a campaign; raises NoSuch for none."""
    with desk.glancing() as connection:
        return _place(connection, person, campaign, desk.now)


def places_of(desk: Desk, person: str) -> list[Place]:
    """Returns the campaigns in which a person has a role, oldest first; empty for none."""
    names = [entry.name for entry in list_campaigns(desk)]
    with desk.glancing() as connection:
        found = [_place(connection, person, name, desk.now) for name in names]
    return [place for place in found if place.roles]


def _place(connection: sa.Connection, person: str, name: str, now: float) -> Place:
    campaign, state = load_campaign(connection, name)
    m, e = tables.membership.c, tables.exposure.c
    row = connection.execute(sa.select(tables.membership).where(m.campaign == name, m.person == person)).first()
    returned = connection.execute(
        sa.select(sa.func.count()).where(e.campaign == name, e.person == person, e.outcome == "returned")
    ).scalar_one()
    place = Place(
        campaign=campaign, state=state, roles=tuple(sorted(roles_in(connection, person, name))), returned=returned
    )
    if row is None:
        return place
    today = row.day == day_of(campaign, now)
    return msgspec.structs.replace(
        place, member=row.state, consented=row.consent is not None, qualified=row.qualified, submitted=row.submitted,
        scenarios=None if row.scenarios is None else tuple(msgspec.json.decode(row.scenarios)),
        today_items=row.day_items if today else 0, today_sensitive=row.day_sensitive if today else 0,
        today_minutes=row.day_seconds / 60 if today else 0.0,
    )  # fmt: skip


def task_campaign(desk: Desk, person: str, task: str) -> tuple[str, str]:
    """Returns (campaign, duty) of a task that a person met; empty texts when they did not."""
    e = tables.exposure.c
    with desk.glancing() as connection:
        row = connection.execute(sa.select(e.campaign, e.duty).where(e.person == person, e.task == task)).first()
    return (row.campaign, row.duty) if row is not None else ("", "")


def invitations(desk: Desk, campaigns: list[str] | None = None) -> list[Link]:
    """Returns the invitations, those that end last first; of some campaigns or of all."""
    i = tables.invitation.c
    query = sa.select(tables.invitation).order_by(i.expires.desc(), i.id).limit(200)
    if campaigns is not None:
        query = query.where(i.campaign.in_(campaigns))
    with desk.reading() as connection:
        rows = connection.execute(query).all()
    return [
        Link(
            mark=row.id[:12], campaign=row.campaign, role=row.role, uses=row.uses, most_uses=row.most_uses, expires=row.expires,
            state="revoked" if row.revoked else "used" if row.uses >= row.most_uses else "expired" if row.expires <= desk.now else "open",
        )
        for row in rows
    ]  # fmt: skip


def revoke_by_mark(desk: Desk, mark: str, campaigns: list[str] | None, *, actor: str) -> bool:
    """Makes the invitation whose hash begins so void and returns whether there was one among these campaigns."""
    i = tables.invitation.c
    where = i.id.startswith(mark, autoescape=True) & i.revoked.is_(None)
    if campaigns is not None:
        where &= i.campaign.in_(campaigns)

    def work(tx: Any) -> bool:
        changed = len(mark) == 12 and tx.update(tables.invitation, where, revoked=tx.time) > 0
        if changed:
            tx.log(actor, "invitation-revoked", mark)
        return changed

    return bool(desk.write(work))


def waiting(desk: Desk, campaign: str, limit: int = 100) -> list[Waiting]:
    """Returns the tasks that wait for an adjudicator or reviewer, most votes first; empty for none."""
    s, t = tables.slot.c, tables.task.c
    query = (
        sa.select(s.task, s.duty, s.state, s.person, t.category, t.done).join(tables.task, t.id == s.task)
        .where(s.campaign == campaign, s.duty.in_(("adjudicate", "review")), s.state.in_(("open", "leased")))
        .order_by(t.done.desc(), s.task).limit(limit)
    )  # fmt: skip
    with desk.reading() as connection:
        rows = connection.execute(query).all()
    return [
        Waiting(
            task=row.task, category=row.category, duty=row.duty, votes=row.done,
            held_by=row.person if row.state == "leased" and row.person else "",
        )
        for row in rows
    ]  # fmt: skip


def prompt_of(desk: Desk, task: str) -> str:
    """Returns the prompt of a task, empty when there is no such task."""
    with desk.reading() as connection:
        body = connection.execute(sa.select(tables.task.c.body).where(tables.task.c.id == task)).scalar()
    return decode_body(body).prompt if body is not None else ""


def deeds(desk: Desk, before: int | None = None, limit: int = 100) -> list[Deed]:
    """Returns the lines of this study's own chain of the ledger, newest first, below a number; empty for none."""
    line = tables.ledger.c
    with desk.reading() as connection:
        chain = connection.execute(sa.select(tables.desk.c.chain)).scalar()
        query = sa.select(tables.ledger).where(line.chain == chain).order_by(line.seq.desc()).limit(limit)
        if before is not None:
            query = query.where(line.seq < before)
        rows = connection.execute(query).all()
    return [
        Deed(place=str(row.seq), time=row.time, actor=row.actor, verb=row.verb, what=row.object, detail=row.body)
        for row in rows
    ]


def scenarios(desk: Desk, campaign: Campaign) -> list[str]:
    """Returns the categories that somebody can meet in a campaign: of its tasks and those in which it collects."""
    t = tables.task.c
    with desk.reading() as connection:
        present = connection.execute(
            sa.select(t.category).where(t.campaign == campaign.name, t.category != "").distinct()
        ).scalars()
        found = set(present)
    wanted = known_categories(campaign) if campaign.kind in {"attack", "expert"} else campaign.categories
    order = [entry.code for entry in builtin().categories]
    return sorted(found | set(wanted), key=lambda code: (order.index(code) if code in order else len(order), code))


def other_verdicts(desk: Desk, task: str, campaign: str) -> list[Verdict]:
    """Returns the verdicts on the replies of a task that stand in no run of this campaign; for who has decided it."""
    v, r = tables.verdict.c, tables.task_reply.c
    replies = sa.select(r.response).where(r.task == task)
    query = sa.select(v.body).where(
        v.subject.in_(replies), v.criterion.in_(("safe", "points", "points_best_of")), v.status == "ok"
    )
    with desk.reading() as connection:
        found = [_VERDICT.decode(body) for body in connection.execute(query.order_by(v.time)).scalars()]
    return [verdict for verdict in found if verdict.run.partition("/")[0] != campaign]
