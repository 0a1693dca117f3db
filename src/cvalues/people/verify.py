"""Checks the promises about people's work: that counters, states and verdicts are what the facts say."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import msgspec
import sqlalchemy as sa

from cvalues.people.campaigns import load_campaign
from cvalues.people.desk import Desk, iso
from cvalues.people.forms import Submission
from cvalues.people.rules import settle
from cvalues.people.submit import stored_value
from cvalues.people.verdicts import verdicts_of
from cvalues.study import ledger, tables
from cvalues.study.verify import Fault, Verification

_SUBMISSION = msgspec.json.Decoder(Submission)
_BATCH = 2000


def verify_people(desk: Desk) -> Verification:
    """Returns what does not hold of people's work; records 0 and no fault where there is none.

    Checked are: no more counted answers than slots, and as many as each task counts; every finished slot has its answer; every answer
    was given out before and to nobody who wrote the prompt; counters of people; states of tasks against their votes; every answer's
    verdict; and the ledger's chain.
    """
    faults: list[Fault] = []
    with desk.reading() as connection:
        records = _counts(connection, faults)
        _exposures(connection, faults)
        _members(connection, faults)
        for row in connection.execute(sa.select(tables.campaign.c.name)).all():
            _answers(connection, row.name, faults)
        for found in ledger.breaks(connection):
            problem = f"the chain of the ledger is broken here: expected {found.expected}, found {found.found}"
            faults.append(Fault(table="ledger", id=found.place, problem=problem))
    return Verification(records=records, faults=tuple(faults))


def _counts(connection: sa.Connection, faults: list[Fault]) -> int:
    t, s, u = tables.task.c, tables.slot.c, tables.submission.c
    counted = (
        sa.select(u.task, sa.func.count().label("found"))
        .where(u.rev == 1, u.slot.is_not(None))
        .group_by(u.task)
        .subquery()
    )
    wrong = sa.select(t.id, t.done, sa.func.coalesce(counted.c.found, 0).label("found")).outerjoin(
        counted, counted.c.task == t.id
    )
    faults += [
        Fault(table="task", id=row.id, problem=f"counts {row.done} answers, but {row.found} stand")
        for row in connection.execute(wrong.where(t.done != sa.func.coalesce(counted.c.found, 0)))
    ]
    slots = sa.select(s.task, sa.func.count().label("found")).where(s.duty == "work").group_by(s.task).subquery()
    over = sa.select(t.id, t.need, slots.c.found).join(slots, slots.c.task == t.id).where(t.need != slots.c.found)
    faults += [
        Fault(table="task", id=row.id, problem=f"needs {row.need} answers, but has {row.found} slots")
        for row in connection.execute(over)
    ]
    match = sa.and_(u.task == s.task, u.slot == s.n, u.rev == 1)
    open_ = sa.select(s.task, s.n).outerjoin(tables.submission, match).where(s.n >= 0)
    unsent = open_.where(s.state == "done", sa.or_(u.id.is_(None), u.person != s.person))
    faults += [
        Fault(table="slot", id=f"{row.task}/{row.n}", problem="is finished, but has no answer of its person")
        for row in connection.execute(unsent)
    ]
    early = open_.where(s.state.in_(("open", "leased")), u.id.is_not(None))
    faults += [
        Fault(table="slot", id=f"{row.task}/{row.n}", problem="is not finished, but has an answer")
        for row in connection.execute(early)
    ]
    return int(connection.execute(sa.select(sa.func.count()).select_from(tables.submission)).scalar_one())


def _exposures(connection: sa.Connection, faults: list[Fault]) -> None:
    e, u, t, a = tables.exposure.c, tables.submission.c, tables.task.c, tables.adjudication.c
    for fact, what in ((u, tables.submission), (a, tables.adjudication)):
        query = (
            sa.select(fact.id, fact.person, fact.received, e.claimed, e.task.label("met"), t.author, t.kind)
            .join(tables.task, t.id == fact.task)
            .outerjoin(tables.exposure, sa.and_(e.task == fact.task, e.person == fact.person))
        )
        for row in connection.execute(query):
            if row.kind == "written":
                continue
            if row.met is None:
                faults.append(Fault(table=what.name, id=row.id, problem="was never given to its person"))
            elif iso(row.claimed) > row.received:
                faults.append(
                    Fault(table=what.name, id=row.id, problem="is older than the moment at which it was given out")
                )
            if row.author == row.person:
                faults.append(Fault(table=what.name, id=row.id, problem="is of the person who wrote the prompt"))


def _members(connection: sa.Connection, faults: list[Fault]) -> None:
    m, u, e, t = tables.membership.c, tables.submission.c, tables.exposure.c, tables.task.c
    sent = sa.select(sa.func.count()).select_from(tables.submission.join(tables.task, t.id == u.task))
    sent = sent.where(u.campaign == m.campaign, u.person == m.person, u.rev == 1, t.kind != "written")
    gold = sent.where(t.kind == "gold")
    left = sa.select(sa.func.count()).select_from(tables.exposure)
    left = left.where(e.campaign == m.campaign, e.person == m.person, e.outcome == "skipped")
    query = sa.select(
        m.campaign, m.person, m.submitted, m.gold_total, m.skipped, sent.scalar_subquery().label("sent"),
        gold.scalar_subquery().label("gold"), left.scalar_subquery().label("left"),
    )  # fmt: skip
    for row in connection.execute(query):
        pairs = (("submitted", row.submitted, row.sent), ("gold_total", row.gold_total, row.gold))
        for name, counter, found in pairs:
            if counter != found:
                problem = f"counts {counter} as {name}, but {found} stand"
                faults.append(Fault(table="membership", id=f"{row.campaign}/{row.person}", problem=problem))
        if row.skipped < row.left:  # an item that was skipped and answered later is counted as both
            problem = f"counts {row.skipped} as skipped, but {row.left} stand"
            faults.append(Fault(table="membership", id=f"{row.campaign}/{row.person}", problem=problem))


def _answers(connection: sa.Connection, name: str, faults: list[Fault]) -> None:
    """Checks, task by task, that states follow from votes and that every answer has its verdict."""
    campaign, _ = load_campaign(connection, name)
    t, u, v = tables.task.c, tables.submission.c, tables.verdict.c
    query = (
        sa.select(u.body, u.task, t.state, t.need, t.kind)
        .join(tables.task, t.id == u.task)
        .where(u.campaign == name, t.kind != "written")
        .order_by(u.task, u.rev)
    )
    wanted: list[tuple[str, str]] = []
    rows = connection.execution_options(yield_per=_BATCH).execute(query)
    for task, group in itertools.groupby(rows, key=lambda row: row.task):
        found = list(group)
        submissions = [_SUBMISSION.decode(row.body) for row in found]
        people: dict[str, list[Submission]] = {}
        for one in submissions:
            people.setdefault(one.person, []).append(one)
        for own in people.values():
            wanted += [(verdict.id, one.id) for verdict, one in zip(verdicts_of(campaign, own), own, strict=True)]
        first = found[0]
        if (
            first.kind == "work"
            and campaign.kind != "adjudicate"
            and first.state in {"open", "enough", "disputed", "review"}
        ):
            latest = [own[-1] for own in people.values() if own[-1].slot is not None]
            latest.sort(key=lambda one: one.slot or 0)
            settled = settle(campaign, [stored_value(campaign, one) for one in latest], first.need)
            fits = first.state == settled.state or (
                first.state == "review" and settled.state == "enough" and campaign.review
            )
            if not fits and not settled.more:
                problem = f"is '{first.state}', but its votes make it '{settled.state}'"
                faults.append(Fault(table="task", id=task, problem=problem))
    for batch in _batched(wanted):
        ids = [verdict for verdict, _ in batch]
        listed = sa.func.json_each(msgspec.json.encode(ids).decode()).table_valued("value").c.value
        among = (
            v.id.in_(sa.select(listed))
            if connection.dialect.name == "sqlite"
            else v.id == sa.any_(sa.literal(ids, sa.ARRAY(sa.String)))
        )
        known = set(connection.execute(sa.select(v.id).where(among)).scalars())
        for verdict, submission in batch:
            if verdict not in known:
                faults.append(Fault(table="submission", id=submission, problem=f"has no verdict {verdict}"))


def _batched(items: list[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    for start in range(0, len(items), _BATCH):
        yield items[start : start + _BATCH]
