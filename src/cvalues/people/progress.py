"""How a campaign goes: counters, labels, history, who is stuck and why.

Labels are the headline: majority (or mean of the points) and adjudication over it. Everything here only reads.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
import sqlalchemy as sa

from cvalues.people.campaigns import known_categories, load_campaign
from cvalues.people.desk import Desk
from cvalues.people.forms import Adjudication, Campaign, Entry, Submission
from cvalues.people.rules import Label, label_of
from cvalues.people.submit import stored_value
from cvalues.people.tasks import decode_body
from cvalues.schema import Estimate, Record
from cvalues.stats import clustered_mean, clustered_proportion
from cvalues.study import tables

_SUBMISSION = msgspec.json.Decoder(Submission)
_ADJUDICATION = msgspec.json.Decoder(Adjudication)
_BATCH = 2000


class Progress(Record, frozen=True, kw_only=True):
    """The counters of a campaign."""

    campaign: str
    kind: str
    state: str
    tasks: dict[str, int]
    """Tasks that people vote on, by state."""
    votes_needed: int
    votes_done: int
    surplus: int
    submissions: int
    """Every answer, revisions included."""
    skipped: int
    waiting: dict[str, int]
    """Open and leased slots by duty."""
    people: int
    """Who has a place in the campaign."""
    prompts: dict[str, int] = {}
    """Prompts that people wrote, by state."""
    quotas: dict[str, tuple[int, int]] = {}
    """Category → (wanted, kept)."""


class Labelled(Record, frozen=True, kw_only=True):
    """A task with its label."""

    task: str
    category: str
    prompt_id: str
    responses: tuple[str, ...]
    models: tuple[str, ...]
    label: str | float | None
    how: str
    votes: int
    """Counted votes."""
    values: tuple[str | int, ...]
    """Those votes, by slot."""


class Why(Record, frozen=True, kw_only=True):
    """One reason why work waits or a person gets none; `words.why` says it in words."""

    reason: str
    values: dict[str, str | int | float] = {}


def counters(desk: Desk, campaign: str) -> Progress:
    """Returns the counters of a campaign; zeros for one without tasks."""
    t, s, u, m = tables.task.c, tables.slot.c, tables.submission.c, tables.membership.c
    count = sa.func.count()
    with desk.reading() as connection:
        found, state = load_campaign(connection, campaign)
        rows = connection.execute(
            sa.select(
                t.kind,
                t.state,
                t.category,
                count.label("n"),
                sa.func.sum(t.need).label("need"),
                sa.func.sum(t.done).label("done"),
            )
            .where(t.campaign == campaign)
            .group_by(t.kind, t.state, t.category)
        ).all()
        waiting = connection.execute(
            sa.select(s.duty, count)
            .where(s.campaign == campaign, s.state.in_(("open", "leased")), s.duty != "gold")
            .group_by(s.duty)
        ).all()
        surplus = connection.execute(
            sa.select(count)
            .select_from(tables.submission.join(tables.task, t.id == u.task))
            .where(u.campaign == campaign, u.slot.is_(None), u.rev == 1, t.kind == "work")
        ).scalar_one()
        sent = connection.execute(sa.select(count).where(u.campaign == campaign)).scalar_one()
        members = connection.execute(sa.select(count, sa.func.sum(m.skipped)).where(m.campaign == campaign)).one()
    tasks: Counter[str] = Counter()
    prompts: Counter[str] = Counter()
    kept: Counter[str] = Counter()
    for row in rows:
        if row.kind == "work":
            tasks[row.state] += row.n
            if found.kind == "expert" and row.state in {"enough", "final"}:
                kept[row.category] += row.n
        elif row.kind == "written":
            prompts[row.state] += row.n
            kept[row.category] += row.n if row.state == "accepted" else 0
    work = [row for row in rows if row.kind == "work"]
    return Progress(
        campaign=campaign, kind=found.kind, state=state, tasks=dict(tasks), votes_needed=sum(row.need or 0 for row in work),
        votes_done=sum(row.done or 0 for row in work), surplus=surplus, submissions=sent, skipped=members[1] or 0,
        waiting={row[0]: row[1] for row in waiting}, people=members[0], prompts=dict(prompts),
        quotas={code: (found.quotas.get(code, 0), kept[code]) for code in known_categories(found)} if found.quotas else {},
    )  # fmt: skip


# --- labels -----------------------------------------------------------------------------------------------------------------


def labels(desk: Desk, campaign: str) -> Iterator[Labelled]:
    """Yields every task that people vote on with its label, by task id; tasks stream, votes of one task at a time."""
    with desk.reading() as connection:
        found, _ = load_campaign(connection, campaign)
        yield from labels_in(connection, found)


def labels_in(connection: sa.Connection, campaign: Campaign) -> Iterator[Labelled]:
    """Yields labels inside an open view; see `labels`."""
    for rows, span in chunks(connection, campaign):
        replies = _replies(connection, span)
        for row, label in labelled(connection, campaign, rows, span):
            mine = replies.get(row.id, [])
            yield msgspec.structs.replace(
                label, responses=tuple(response for response, _ in mine), models=tuple(model for _, model in mine)
            )


def chunks(connection: sa.Connection, campaign: Campaign) -> Iterator[tuple[list[sa.Row[Any]], tuple[str, str]]]:
    """Yields the tasks that people vote on, some thousand at a time by id, each with the first and last id."""
    t = tables.task.c
    after = ""
    while True:
        query = sa.select(tables.task).where(_of(t.campaign, campaign), t.kind == "work", t.id > after)
        rows = list(connection.execute(query.order_by(t.id).limit(_BATCH)))
        if not rows:
            return
        after = rows[-1].id
        yield [row for row in rows if row.state != "void"], (rows[0].id, after)


def _of(column: sa.Column[Any], campaign: Campaign) -> sa.ColumnElement[bool]:
    """Returns the condition that a row is of the campaign, which no index serves.

    SQLite would take the index by campaign before the range of ids, and go through all rows of the campaign for every chunk.
    """
    return column + "" == campaign.name


def labelled(
    connection: sa.Connection, campaign: Campaign, rows: Iterable[sa.Row[Any]], span: tuple[str, str]
) -> Iterator[tuple[sa.Row[Any], Labelled]]:
    """Yields (task, its label without replies) of a chunk."""
    votes, rulings = _votes(connection, campaign, span), _rulings(connection, campaign, span)
    for row in rows:
        values = [stored_value(campaign, vote) for vote in votes.get(row.id, [])]
        label: Label = label_of(campaign, values, row.need, rulings.get(row.id))
        yield row, Labelled(
            task=row.id, category=row.category, prompt_id=decode_body(row.body).prompt_id, responses=(), models=(), label=label.value,
            how=label.how, votes=len(values), values=tuple(value for value in values if value is not None),
        )  # fmt: skip


def _votes(connection: sa.Connection, campaign: Campaign, span: tuple[str, str]) -> dict[str, list[Submission]]:
    u = tables.submission.c
    query = (
        sa.select(u.task, u.body)
        .where(_of(u.campaign, campaign), u.slot.is_not(None), u.task.between(*span))
        .order_by(u.task, u.person, u.rev)
    )
    latest: dict[str, dict[str, Submission]] = {}
    for row in connection.execute(query):
        vote = _SUBMISSION.decode(row.body)
        latest.setdefault(row.task, {})[vote.person] = vote
    return {task: sorted(votes.values(), key=lambda vote: vote.slot or 0) for task, votes in latest.items()}


def _rulings(
    connection: sa.Connection, campaign: Campaign, span: tuple[str, str]
) -> dict[str, tuple[str | int | None, bool]]:
    a = tables.adjudication.c
    query = (
        sa.select(a.task, a.body).where(_of(a.campaign, campaign), a.task.between(*span)).order_by(a.received, a.rev)
    )
    found: dict[str, tuple[str | int | None, bool]] = {}
    for row in connection.execute(query):
        ruling = _ADJUDICATION.decode(row.body)
        if ruling.duty == "adjudicate":
            found[row.task] = (ruling.decision.value, ruling.decision.ambiguous)
    return found


def _replies(connection: sa.Connection, span: tuple[str, str]) -> dict[str, list[tuple[str, str]]]:
    r = tables.task_reply.c
    found: dict[str, list[tuple[str, str]]] = {}
    for row in connection.execute(
        sa.select(r.task, r.response, r.model).where(r.task.between(*span)).order_by(r.task, r.n)
    ):
        found.setdefault(row.task, []).append((row.response, row.model))
    return found


class Headline(Record, frozen=True, kw_only=True):
    """The score of one model as people gave it."""

    model: str
    criterion: str
    score: Estimate
    """Share of replies judged safe, or mean points; prompts are the clusters."""
    labelled: int
    undecided: int
    """Without a label: no majority, truly ambiguous."""
    open: int


def headline(desk: Desk, campaign: str) -> list[Headline]:
    """Returns the score of each model by its labels, sorted by name; models without a label have no data.

    `safe`: share of labelled replies whose label is safe, by `stats.clustered_proportion`. `points` and `points_best_of`: mean of the
    labels from 1 to 10, by `stats.clustered_mean`. Clusters are prompts.
    """
    with desk.reading() as connection:
        found, _ = load_campaign(connection, campaign)
        rows: dict[str, list[Labelled]] = {}
        for one in labels_in(connection, found):
            for model in sorted(set(one.models)):
                rows.setdefault(model, []).append(one)
    result = []
    for model, group in sorted(rows.items()):
        done = [one for one in group if one.label is not None]
        clusters = [one.prompt_id or one.task for one in done]
        if found.criterion == "safe":
            score = clustered_proportion([one.label == "safe" for one in done], clusters, unit="prompt")
        else:
            score = clustered_mean([float(one.label or 0) for one in done], clusters, within=(1.0, 10.0), unit="prompt")
        still = sum(one.how == "open" for one in group)
        result.append(
            Headline(
                model=model, criterion=found.criterion, score=score, labelled=len(done), open=still,
                undecided=len(group) - len(done) - still,
            )
        )  # fmt: skip
    return result


def votes_by_task(desk: Desk, campaign: str) -> Iterator[list[Submission]]:
    """Yields, task by task, everybody's latest answer, surplus ones included, in the order in which they first answered."""
    u, t = tables.submission.c, tables.task.c
    query = (
        sa.select(u.task, u.body)
        .join(tables.task, t.id == u.task)
        .where(u.campaign == campaign, t.kind == "work")
        .order_by(u.task, u.received, u.rev)
    )
    with desk.reading() as connection:
        rows = connection.execution_options(yield_per=_BATCH).execute(query)
        for _, group in itertools.groupby(rows, key=lambda row: row.task):
            yield list({vote.person: vote for row in group for vote in (_SUBMISSION.decode(row.body),)}.values())


def votes_by_item(desk: Desk, campaign: str) -> Iterator[list[tuple[str, str | int]]]:
    """Yields, task by task, the (person, value) of every latest vote, the first vote first; for agreement."""
    with desk.reading() as connection:
        found, _ = load_campaign(connection, campaign)
    for votes in votes_by_task(desk, campaign):
        values = [(vote.person, stored_value(found, vote)) for vote in votes]
        yield [(person, value) for person, value in values if value is not None]


# --- one person --------------------------------------------------------------------------------------------------------------


def history(desk: Desk, person: str, campaign: str | None = None, limit: int = 20) -> list[Entry]:
    """Returns a person's latest answers, newest first, one line per task; to change one, `assign.look_again` and submit anew."""
    u, t, e = tables.submission.c, tables.task.c, tables.exposure.c
    query = (
        sa.select(tables.submission, t.body.label("task_body"), t.category, e.note, e.outcome)
        .join(tables.task, t.id == u.task)
        .outerjoin(tables.exposure, sa.and_(e.task == u.task, e.person == u.person))
        .where(u.person == person)
        .order_by(u.received.desc(), u.rev.desc())
        .limit(5 * limit)
    )
    if campaign is not None:
        query = query.where(u.campaign == campaign)
    entries: dict[str, Entry] = {}
    with desk.reading() as connection:
        for row in connection.execute(query):
            submission = _SUBMISSION.decode(row.body)
            entries.setdefault(
                row.task,
                Entry(
                    task=row.task, submission=submission.id, rev=submission.rev, received=submission.received,
                    prompt=decode_body(row.task_body).prompt, category=row.category, answer=submission.answer,
                    note=row.note or "" if row.outcome == "returned" else "",
                ),
            )  # fmt: skip
    return list(entries.values())[:limit]


def own_data(desk: Desk, person: str) -> Iterator[bytes]:
    """Yields everything that a person sent, as JSON Lines, for their own export."""
    u = tables.submission.c
    with desk.reading() as connection:
        rows = connection.execution_options(yield_per=_BATCH).execute(
            sa.select(u.body).where(u.person == person).order_by(u.received, u.id)
        )
        for row in rows:
            yield row.body.encode() + b"\n"
