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
def levels() -> sa.Select[Any]:
    """The lowest and the highest number of an open slot; (NULL, NULL) without one."""
    s = tables.slot.c
    where = (s.campaign == bindparam("campaign"), s.duty == bindparam("duty"), s.state == OPEN)
    first = sa.select(s.n).where(*where).order_by(s.n).limit(1).scalar_subquery()
    last = sa.select(s.n).where(*where).order_by(s.n.desc()).limit(1).scalar_subquery()
    return sa.select(first, last)


@functools.cache
def pending() -> sa.Select[Any]:
    """What a person was given and has not answered, returned tasks first."""
    e = tables.exposure.c
    return (
        sa.select(tables.exposure)
        .where(e.campaign == bindparam("campaign"), e.person == bindparam("who"), e.duty == bindparam("duty"))
        .where(sa.text("outcome in ('open', 'returned')"))
        .order_by(e.outcome.desc(), e.claimed)
    )


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
def person_state() -> sa.Select[Any]:
    """Whether a person is active."""
    return sa.select(tables.person.c.state).where(tables.person.c.id == bindparam("who"))


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
def task() -> sa.Select[Any]:
    """A task."""
    return sa.select(tables.task).where(tables.task.c.id == bindparam("task"))


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
def meet() -> sa.Insert:
    """Notes that a person meets a task."""
    return sa.insert(tables.exposure)
