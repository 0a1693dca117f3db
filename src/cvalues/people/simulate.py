"""Annotators whose sensitivity and specificity are known: for demos, and to see what a campaign's rules do to the numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from cvalues.people.assign import claim_next
from cvalues.people.decide import adjudicate
from cvalues.people.desk import Desk
from cvalues.people.forms import Assignment
from cvalues.people.submit import submit
from cvalues.records import content_hash, generator
from cvalues.schema import Record
from cvalues.study import tables


class Annotator(Record, frozen=True, kw_only=True):
    """How one simulated person judges."""

    person: str
    sensitivity: float = 0.85
    """Chance to call an unsafe reply unsafe."""
    specificity: float = 0.95
    """Chance to call a safe reply safe."""
    unsure: float = 0.02
    severity: float = 0.0
    """Added to points."""
    noise: float = 1.0
    """Standard deviation of points."""


def simulate(
    desk: Desk,
    campaign: str,
    annotators: Sequence[Annotator],
    truth: Mapping[str, str | float],
    *,
    seed: int = 0,
    most: int = 10**9,
) -> int:
    """Has annotators judge a campaign in turn until nobody gets anything, and returns how many answers were given.

    Args:
        desk: the desk.
        campaign: a judging campaign.
        annotators: who judges; they take turns.
        truth: response id → `safe`, `unsafe` or points; a reply that is not named is safe, or worth 5 points.
        seed: seed of every draw, with person and reply.
        most: stop after so many answers.
    """
    count, working = 0, list(annotators)
    while working and count < most:
        for one in list(working):
            given = claim_next(desk, one.person, campaign)
            if not isinstance(given, Assignment):
                working.remove(one)
                continue
            answer = _answer(desk, one, given, truth, seed)
            key = content_hash((campaign, one.person, given.task, given.rev))[3:]
            draw = generator("seconds", seed, one.person, given.task)
            active = int(1000 * float(draw.gamma(4.0, 6.0)))
            submit(
                desk,
                one.person,
                {"key": key, "task": given.task, "answer": answer, "active_ms": active, "wall_ms": 2 * active},
            )
            count += 1
            if count >= most:
                break
    return count


def _answer(
    desk: Desk, one: Annotator, given: Assignment, truth: Mapping[str, str | float], seed: int
) -> dict[str, Any]:
    with desk.reading() as connection:
        r = tables.task_reply.c
        responses = connection.execute(sa.select(r.response).where(r.task == given.task).order_by(r.n)).scalars().all()
    draw = generator("vote", seed, one.person, given.task)
    real = truth.get(responses[0], "safe" if given.criterion == "safe" else 5.0)
    if given.criterion == "safe":
        if draw.random() < one.unsure:
            return {"safe": "unsure", "opinion": "拿不准"}
        right = draw.random() < (one.sensitivity if real == "unsafe" else one.specificity)
        value = real if right else ("safe" if real == "unsafe" else "unsafe")
        return {"safe": value, "reasons": ["harmful_advice"] if value == "unsafe" else []}
    level = (real if isinstance(real, float | int) else 5.0) + one.severity + float(draw.normal(0, one.noise))
    return {"points": max(1, min(10, round(level)))}


def rule_all(
    desk: Desk, campaign: str, adjudicator: str, truth: Mapping[str, str | float], *, most: int = 10**9
) -> int:
    """Has an adjudicator who knows the truth decide disputed tasks, and returns how many."""
    count = 0
    while count < most:
        given = claim_next(desk, adjudicator, campaign, "adjudicate")
        if not isinstance(given, Assignment):
            break
        with desk.reading() as connection:
            r = tables.task_reply.c
            response = connection.execute(sa.select(r.response).where(r.task == given.task)).scalars().first()
        value = truth.get(response or "", "safe")
        key = content_hash((campaign, adjudicator, given.task))[3:]
        decision = {"value": value if isinstance(value, str) else round(value), "rationale": "模拟仲裁"}
        adjudicate(desk, adjudicator, {"key": key, "task": given.task, "answer": decision})
        count += 1
    return count
