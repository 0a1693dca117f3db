"""What a campaign shows of each person's work: gold, agreement, severity, drift, pace. Signs to talk about, never verdicts on a person."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from cvalues.people.campaigns import load_campaign
from cvalues.people.desk import Desk
from cvalues.people.forms import Campaign, Submission
from cvalues.people.progress import votes_by_task
from cvalues.people.rules import majority
from cvalues.people.submit import stored_value
from cvalues.schema import NO_DATA, Estimate, Record
from cvalues.stats import clustered_mean, wilson
from cvalues.study import tables

READING_SPEED = 12.0
"""Characters per second below which nobody reads with care; faster answers are counted as hasty."""
FEWEST_GAPS = 20
"""Items judged together with others below which a trend says nothing."""


class Quality(Record, frozen=True, kw_only=True):
    """One person's work in one campaign. Every figure begins a conversation; none of them is a verdict on a person."""

    person: str
    state: str
    claimed: int
    submitted: int
    skipped: int
    gold: Estimate
    agreement: Estimate
    """With the majority of the others, where there is one."""
    mean: float | None
    """Of the points, or the share of `unsafe`."""
    seconds: float | None
    """Median active time of one item."""
    hasty: float | None
    """Share of items answered faster than their reply can be read."""
    corrected: int
    """Answers changed after they were sent."""
    severity: Estimate = NO_DATA
    """Mean of own score − mean of the others on the item: points, or the share of `unsafe`; below 0 in points the person is severe."""
    drift: Estimate = NO_DATA
    """How that gap moves per 100 items in the order of work; from 20 such items on."""
    longest: int = 0
    """Longest run of equal answers."""
    runs_p: float | None = None
    """One-sided p value of `stats.straight_lining`: small where equal answers come in longer runs than chance makes them."""
    extremes: float | None = None
    """Share of 1 and 10 among the points; of points only."""
    skips: dict[str, int] = {}
    """Reasons given for skipped items; skipping is never counted against anybody."""


class _Work:
    """What a pass over all votes found of one person."""

    def __init__(self) -> None:
        self.votes: list[Submission] = []
        self.hits: list[bool] = []
        self.gaps: list[tuple[str, float]] = []
        """(when received, own score − mean of the others)."""


def quality(desk: Desk, campaign: str) -> list[Quality]:
    """Returns the figures of every person in a campaign, by pseudonym; empty for none."""
    m, u, t, e = tables.membership.c, tables.submission.c, tables.task.c, tables.exposure.c
    with desk.reading() as connection:
        found, _ = load_campaign(connection, campaign)
        members = connection.execute(sa.select(tables.membership).where(m.campaign == campaign)).all()
        texts = sa.select(tables.task_reply.c.task, sa.func.sum(sa.func.length(tables.response.c.body)).label("n"))
        texts = texts.join(tables.response, tables.response.c.id == tables.task_reply.c.response)
        texts = texts.join(tables.task, t.id == tables.task_reply.c.task).where(t.campaign == campaign)
        lengths = {row.task: row.n for row in connection.execute(texts.group_by(tables.task_reply.c.task))}
        again = sa.select(u.person, sa.func.count()).join(tables.task, t.id == u.task)
        again = again.where(u.campaign == campaign, t.kind == "work", u.rev > 1).group_by(u.person)
        corrected = {row[0]: row[1] for row in connection.execute(again)}
        skipped = sa.select(e.person, e.note, sa.func.count()).where(e.campaign == campaign, e.outcome == "skipped")
        skips: dict[str, Counter[str]] = {}
        for person, note, count in connection.execute(skipped.group_by(e.person, e.note)):
            skips.setdefault(person, Counter())[str(note or "").partition(":")[0].strip() or "other"] += count
    everybody: dict[str, _Work] = {}
    for votes in votes_by_task(desk, campaign):
        _note(found, votes, everybody)
    return sorted(
        (
            msgspec.structs.replace(
                _quality(found, row, everybody.get(row.person, _Work()), lengths),
                corrected=corrected.get(row.person, 0),
                skips=dict(sorted(skips.get(row.person, Counter()).items())),
            )
            for row in members
        ),
        key=lambda entry: (len(entry.person), entry.person),
    )


def _note(campaign: Campaign, votes: Sequence[Submission], everybody: dict[str, _Work]) -> None:
    """Takes the votes on one item into what is known of each person."""
    values = {vote.person: stored_value(campaign, vote) for vote in votes}
    scores = {person: score for person, value in values.items() if (score := _score(campaign, value)) is not None}
    for vote in votes:
        work = everybody.setdefault(vote.person, _Work())
        work.votes.append(vote)
        own = scores.get(vote.person)
        if own is not None and len(scores) > 1:
            work.gaps.append((vote.received, own - (sum(scores.values()) - own) / (len(scores) - 1)))
        if campaign.criterion == "safe" and len(values) > 2:
            others = majority([other for who, other in values.items() if who != vote.person])
            if others is not None:
                work.hits.append(values[vote.person] == others)


def _score(campaign: Campaign, value: str | int | None) -> float | None:
    """Returns points, or 1 for `unsafe` and 0 for `safe`; None for `unsure`, which lies on no side."""
    if campaign.criterion == "safe":
        return {"unsafe": 1.0, "safe": 0.0}.get(str(value))
    return float(value) if isinstance(value, int) else None


def _quality(campaign: Campaign, row: sa.Row[Any], work: _Work, lengths: dict[str, int]) -> Quality:
    from cvalues.stats.annotators import drift, straight_lining

    votes = sorted(work.votes, key=lambda vote: (vote.received, vote.task))
    values = [value for vote in votes if (value := stored_value(campaign, vote)) is not None]
    points = [value for value in values if isinstance(value, int)]
    safe = campaign.criterion == "safe"
    numbers = [float(value == "unsafe") for value in values] if safe else [float(value) for value in points]
    timed = [vote for vote in votes if vote.active_ms > 0]
    hasty = [vote.active_ms / 1000 < lengths.get(vote.task, 0) / 3 / READING_SPEED for vote in timed]
    gaps = [gap for _, gap in sorted(work.gaps)]
    runs = straight_lining(values)
    span = (-1.0, 1.0) if safe else (-9.0, 9.0)
    return Quality(
        person=row.person, state=row.state, claimed=row.claimed, submitted=row.submitted, skipped=row.skipped,
        gold=wilson(row.gold_right, row.gold_total), agreement=wilson(sum(work.hits), len(work.hits)),
        mean=statistics.fmean(numbers) if numbers else None,
        seconds=statistics.median(vote.active_ms / 1000 for vote in timed) if timed else None,
        hasty=statistics.fmean(hasty) if hasty else None, corrected=0,
        severity=clustered_mean(gaps, span=span, unit="item") if gaps else NO_DATA,
        drift=drift(gaps).slope if len(gaps) >= FEWEST_GAPS else NO_DATA,
        longest=runs.longest, runs_p=runs.p,
        extremes=statistics.fmean(value in {1, 10} for value in points) if points else None,
    )  # fmt: skip
