"""The statements of the hot path, built once: a claim is a dozen of them, and building one costs more than SQLite's work on it.

Conditions of partial indexes stand as literals: a bound value cannot be matched to an index's WHERE when the statement is prepared.
"""

from __future__ import annotations

import functools
from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam

from cvalues.study import tables

OPEN: sa.ColumnElement[str] = sa.literal_column("'open'")
LEASED: sa.ColumnElement[str] = sa.literal_column("'leased'")
PENDING = sa.text("outcome in ('open', 'returned')")


def _unseen() -> sa.ColumnElement[bool]:
    s, e = tables.slot.c, tables.exposure.c
    seen = sa.select(e.task).where(e.person == bindparam("who"), e.task == s.task)
    return sa.and_(s.author != bindparam("who"), ~seen.exists())


@functools.cache
def open_slot(*, by_category: bool) -> sa.Select[Any]:
    """The first open slot of a level (`n`) between two places of the ring that `who` has not met."""
    s = tables.slot.c
    query = sa.select(tables.slot).where(
        s.campaign == bindparam("campaign"), s.duty == bindparam("duty"), s.state == OPEN, s.n == bindparam("n"),
        s.rnd > bindparam("low"), s.rnd <= bindparam("high"), _unseen(),
    )  # fmt: skip
    if by_category:
        query = query.where(s.category == bindparam("category"))
    return query.order_by(s.rnd).limit(1).with_for_update(skip_locked=True)


@functools.cache
def lapsed_slot(*, by_category: bool) -> sa.Select[Any]:
    """The slot whose lease ran out first that `who` has not met."""
    s = tables.slot.c
    query = sa.select(tables.slot).where(
        s.campaign == bindparam("campaign"), s.duty == bindparam("duty"), s.state == LEASED, s.lease < bindparam("now"), _unseen()
    )  # fmt: skip
    if by_category:
        query = query.where(s.category.in_(bindparam("categories", expanding=True)))
    return query.order_by(s.lease).limit(1).with_for_update(skip_locked=True)


@functools.cache
def survey() -> sa.Select[Any]:
    """What there is for `who`: the lowest and the highest number of an open slot, a lease that ran out, a task they hold; NULL for none."""
    s, e = tables.slot.c, tables.exposure.c
    here = (s.campaign == bindparam("campaign"), s.duty == bindparam("duty"))
    first = sa.select(s.n).where(*here, s.state == OPEN).order_by(s.n).limit(1)
    last = sa.select(s.n).where(*here, s.state == OPEN).order_by(s.n.desc()).limit(1)
    lapsed = sa.select(s.lease).where(*here, s.state == LEASED, s.lease < bindparam("now")).order_by(s.lease).limit(1)
    held = sa.select(e.task).where(*_given(), PENDING).limit(1)
    return sa.select(*(each.scalar_subquery() for each in (first, last, lapsed, held)))


def _given() -> tuple[sa.ColumnElement[bool], ...]:
    e = tables.exposure.c
    return e.campaign == bindparam("campaign"), e.person == bindparam("who"), e.duty == bindparam("duty")


@functools.cache
def pending() -> sa.Select[Any]:
    """What a person was given and has not answered, returned tasks first."""
    e = tables.exposure.c
    return sa.select(tables.exposure).where(*_given(), PENDING).order_by(e.outcome.desc(), e.claimed)


@functools.cache
def exposure() -> sa.Select[Any]:
    """Who met which task."""
    e = tables.exposure.c
    return sa.select(tables.exposure).where(e.person == bindparam("who"), e.task == bindparam("task"))


@functools.cache
def member() -> sa.Select[Any]:
    """A person's row in a campaign, locked."""
    m = tables.membership.c
    query = sa.select(tables.membership).where(m.campaign == bindparam("campaign"), m.person == bindparam("who"))
    return query.with_for_update()


@functools.cache
def roles() -> sa.Select[Any]:
    """A person's roles in a campaign and in all of them."""
    g = tables.role_grant.c
    return sa.select(g.role, g.categories).where(
        g.person == bindparam("who"), g.campaign.in_(("", bindparam("campaign"))), g.revoked.is_(None)
    )


@functools.cache
def standing(*, member: bool) -> sa.Select[Any]:
    """A campaign and a person with their states, a row for each of the person's roles there; NULL for no person and no role.

    With `member`, the person's row in the campaign too, locked; then nobody is found who has none yet.
    """
    c, p, g, m = tables.campaign, tables.person, tables.role_grant, tables.membership
    granted = sa.and_(g.c.person == p.c.id, g.c.campaign.in_(("", c.c.name)), g.c.revoked.is_(None))
    told = (
        c.c.body.label("campaign_body"), c.c.state.label("campaign_state"), p.c.state.label("person_state"), g.c.role, g.c.categories,
    )  # fmt: skip
    if not member:
        joined = c.outerjoin(p, p.c.id == bindparam("who")).outerjoin(g, granted)
        return sa.select(*told).select_from(joined).where(c.c.name == bindparam("campaign"))
    joined = m.join(c, c.c.name == m.c.campaign).join(p, p.c.id == m.c.person).outerjoin(g, granted)
    mine = (m.c.campaign == bindparam("campaign"), m.c.person == bindparam("who"))
    return sa.select(m, *told).select_from(joined).where(*mine).with_for_update(of=m)


@functools.cache
def campaign() -> sa.Select[Any]:
    """A campaign and its state."""
    c = tables.campaign.c
    return sa.select(c.body, c.state).where(c.name == bindparam("campaign"))


@functools.cache
def replies() -> sa.Select[Any]:
    """A task's replies with their models."""
    r, t = tables.response.c, tables.task_reply.c
    return (
        sa.select(r.body, t.model)
        .join(tables.task_reply, t.response == r.id)
        .where(t.task == bindparam("task"))
        .order_by(t.n)
    )


@functools.cache
def material() -> sa.Select[Any]:
    """A task, once for each of its replies in their stored order; the reply is NULL where it has none yet."""
    t, q, r = tables.task, tables.task_reply, tables.response
    joined = t.outerjoin(q, q.c.task == t.c.id).outerjoin(r, r.c.id == q.c.response)
    return sa.select(t, r.c.body.label("reply")).select_from(joined).where(t.c.id == bindparam("task")).order_by(q.c.n)


@functools.cache
def revisions() -> sa.Select[Any]:
    """A person's answers to a task, oldest first."""
    u = tables.submission.c
    return sa.select(u.body).where(u.task == bindparam("task"), u.person == bindparam("who")).order_by(u.rev)


@functools.cache
def votes() -> sa.Select[Any]:
    """Everybody's answers to a task, in the order of revisions."""
    u = tables.submission.c
    return sa.select(u.body).where(u.task == bindparam("task")).order_by(u.rev)


@functools.cache
def draft() -> sa.Select[Any]:
    """A person's draft of a task."""
    d = tables.draft.c
    return sa.select(d.body).where(d.person == bindparam("who"), d.task == bindparam("task"))


@functools.cache
def slot() -> sa.Select[Any]:
    """A slot, locked."""
    s = tables.slot.c
    return sa.select(tables.slot).where(s.task == bindparam("task"), s.n == bindparam("n")).with_for_update()


@functools.cache
def lease() -> sa.Update:
    """Gives a slot to a person until a moment."""
    s = tables.slot.c
    return (
        sa.update(tables.slot)
        .where(s.task == bindparam("of"), s.n == bindparam("nth"))
        .values(state="leased", person=bindparam("who"), lease=bindparam("until"))
    )


@functools.cache
def claimed() -> sa.Update:
    """Counts a claim of a person in a campaign, and where on the ring the next one begins."""
    m = tables.membership.c
    return (
        sa.update(tables.membership)
        .where(m.campaign == bindparam("of"), m.person == bindparam("who"))
        .values(claimed=bindparam("count"), since_gold=bindparam("since"), place=bindparam("at"))
    )


@functools.cache
def meet() -> sa.Insert:
    """Notes that a person meets a task."""
    return sa.insert(tables.exposure)
