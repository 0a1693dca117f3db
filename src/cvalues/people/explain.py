"""Why a person gets nothing, and why a task is not finished: each reason with the figures behind it. Reads only."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa

from cvalues.people.accounts import roles_in
from cvalues.people.assign import ROLES_FOR
from cvalues.people.campaigns import day_of, load_campaign
from cvalues.people.desk import Desk
from cvalues.people.errors import NoSuch
from cvalues.people.forms import Campaign
from cvalues.people.progress import Why
from cvalues.study import tables


def explain_person(desk: Desk, campaign: str, person: str) -> list[Why]:
    """Returns every reason that keeps a person from work in a campaign, or how much there is for them.

    Raises:
        NoSuch: there is no such campaign or person.
    """
    with desk.reading() as connection:
        found, state = load_campaign(connection, campaign)
        who = connection.execute(sa.select(tables.person.c.state).where(tables.person.c.id == person)).scalar()
        if who is None:
            raise NoSuch(f"there is no person '{person}'; see  cvalues people status")
        reasons = [] if state == "open" else [Why(reason=f"campaign-{state}")]
        if who != "active":
            reasons.append(Why(reason=f"person-{who}"))
        roles = roles_in(connection, person, campaign)
        wanted = ROLES_FOR.get((found.kind, "work"), ("adjudicator",))
        if not any(role in roles for role in wanted):
            reasons.append(Why(reason="role", values={"roles": ", ".join(wanted)}))
        m = tables.membership.c
        member = connection.execute(
            sa.select(tables.membership).where(m.campaign == campaign, m.person == person)
        ).one_or_none()
        reasons += _member(found, member, desk.now)
        reasons += _queue(connection, found, person, desk.now, _scope(member))
    return reasons


def _scope(member: sa.Row[tuple[object, ...]] | None) -> list[str] | None:
    if member is None or member.scenarios is None:
        return None
    return msgspec.json.decode(member.scenarios, type=list[str])


def _member(campaign: Campaign, member: sa.Row[tuple[object, ...]] | None, now: float) -> list[Why]:
    if member is None:
        return [Why(reason="consent")] if campaign.consent else []
    reasons = []
    if member.state != "active":
        reasons.append(Why(reason="paused", values={"right": member.gold_right, "total": member.gold_total}))
    if campaign.consent and member.consent is None:
        reasons.append(Why(reason="consent"))
    if campaign.qualify_items and member.qualified < campaign.major:
        needed: dict[str, str | int | float] = {"items": campaign.qualify_items, "needed": campaign.qualify_pass}
        reasons.append(Why(reason="not-qualified", values=needed))
    if member.day == day_of(campaign, now):
        if member.day_items >= campaign.daily_items:
            reasons.append(Why(reason="cap-items", values={"items": campaign.daily_items}))
        if member.day_seconds >= 60 * campaign.daily_minutes:
            reasons.append(Why(reason="cap-minutes", values={"minutes": campaign.daily_minutes}))
        if member.day_sensitive >= campaign.daily_sensitive and campaign.sensitive:
            reasons.append(Why(reason="cap-sensitive", values={"items": campaign.daily_sensitive}))
    return reasons


def _queue(
    connection: sa.Connection, campaign: Campaign, person: str, now: float, scope: list[str] | None
) -> list[Why]:
    """Returns how the open slots of a campaign look to one person."""
    s, e = tables.slot.c, tables.exposure.c
    seen = sa.select(e.task).where(e.person == person, e.task == s.task).exists()
    inside = s.category.in_(scope) if scope is not None else sa.true()
    free = sa.or_(s.state == "open", sa.and_(s.state == "leased", s.lease < now))
    own = s.author == person

    def tally(condition: sa.ColumnElement[bool]) -> sa.Label[int]:
        return sa.func.coalesce(sa.func.sum(sa.case((condition, 1), else_=0)), 0)  # type: ignore[return-value]

    duty = "adjudicate" if campaign.kind == "adjudicate" else "work"
    row = connection.execute(
        sa.select(
            tally(sa.and_(free, ~seen, ~own, inside)).label("for_you"),
            tally(sa.and_(free, seen)).label("seen"),
            tally(sa.and_(free, ~seen, own)).label("own"),
            tally(sa.and_(free, ~seen, ~own, ~inside)).label("outside"),
            tally(sa.and_(s.state == "leased", s.lease >= now)).label("held"),
        ).where(s.campaign == campaign.name, s.duty == duty, s.state.in_(("open", "leased")))
    ).one()
    counts = (
        ("slots-for-you", row.for_you), ("slots-seen", row.seen), ("slots-own", row.own), ("slots-opted-out", row.outside),
        ("slots-held", row.held),
    )  # fmt: skip
    found = [Why(reason=reason, values={"count": int(count)}) for reason, count in counts if count]
    return found or [Why(reason="nothing-open")]


def explain_task(desk: Desk, task: str) -> list[Why]:
    """Returns where a task stands and what it waits for.

    Raises:
        NoSuch: there is no such task.
    """
    t, s, e = tables.task.c, tables.slot.c, tables.exposure.c
    with desk.reading() as connection:
        row = connection.execute(sa.select(tables.task).where(t.id == task)).one_or_none()
        if row is None:
            raise NoSuch(f"there is no task '{task}'")
        campaign, _ = load_campaign(connection, row.campaign)
        slots = connection.execute(sa.select(tables.slot).where(s.task == task).order_by(s.n)).all()
        skipped = connection.execute(
            sa.select(sa.func.count()).select_from(tables.exposure).where(e.task == task, e.outcome == "skipped")
        ).scalar_one()
        able = _able(connection, campaign, row)
    reasons = [Why(reason=f"task-{row.state}", values={"done": row.done, "need": row.need})]
    for slot in slots:
        if slot.state == "leased" and slot.duty != "gold":
            lapsed = (slot.lease or 0) < desk.now
            minutes = round(abs((slot.lease or 0) - desk.now) / 60, 1)
            values: dict[str, str | int | float] = {"person": slot.person, "minutes": minutes, "duty": slot.duty}
            reasons.append(Why(reason="lease-lapsed" if lapsed else "lease-held", values=values))
        if slot.state == "open":
            reasons.append(Why(reason=f"slot-open-{slot.duty}"))
    if skipped:
        reasons.append(Why(reason="was-skipped", values={"count": skipped}))
    if any(slot.state in {"open", "leased"} and slot.duty == "work" for slot in slots):
        reasons.append(Why(reason="people-able", values={"count": able}) if able else Why(reason="nobody-able"))
    return reasons


def _able(connection: sa.Connection, campaign: Campaign, task: sa.Row[tuple[object, ...]]) -> int:
    """Returns how many active people with the role could still take a task."""
    g, p, e = tables.role_grant.c, tables.person.c, tables.exposure.c
    roles = ROLES_FOR.get((campaign.kind, "work"), ("adjudicator",))
    met = sa.select(e.person).where(e.task == task.id)
    query = (
        sa.select(sa.func.count(sa.distinct(g.person)))
        .join(tables.person, p.id == g.person)
        .where(g.role.in_(roles), g.campaign.in_(("", campaign.name)), g.revoked.is_(None), p.state == "active")
        .where(g.person.not_in(met), g.person != task.author)
    )
    return int(connection.execute(query).scalar_one())


def stuck(desk: Desk, campaign: str, limit: int = 50) -> list[tuple[str, list[Why]]]:
    """Returns the tasks that nobody can take any more, or that were skipped three times or more, with the reasons; empty for none."""
    t, e = tables.task.c, tables.exposure.c
    with desk.reading() as connection:
        found, _ = load_campaign(connection, campaign)
        open_ = connection.execute(
            sa.select(tables.task)
            .where(t.campaign == campaign, t.kind == "work", t.state == "open")
            .order_by(t.done.desc(), t.id)
            .limit(5000)
        ).all()
        skips: dict[str, int] = {
            row[0]: row[1]
            for row in connection.execute(
                sa.select(e.task, sa.func.count())
                .where(e.campaign == campaign, e.outcome == "skipped")
                .group_by(e.task)
            )
        }
        suspects = []
        for row in open_:
            if skips.get(row.id, 0) >= 3 or not _able(connection, found, row):
                suspects.append(row.id)
            if len(suspects) >= limit:
                break
    return [(task, explain_task(desk, task)) for task in suspects]
