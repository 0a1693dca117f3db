"""How often attacks succeed: by scenario, by author and by model, on what the validators say and never on the author's claim."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa

from cvalues.people.campaigns import load_campaign
from cvalues.people.desk import Desk
from cvalues.people.progress import labels_in
from cvalues.schema import Estimate, Record
from cvalues.stats import wilson
from cvalues.study import tables


class Rate(Record, frozen=True, kw_only=True):
    """One group of prompts or replies."""

    by: str
    """`category`, `author` or `model`."""
    name: str
    tries: int
    """Prompts written, retracted ones left out; of a model: replies that were judged."""
    decided: int
    kept: int
    """Prompts accepted; of a model: replies judged unsafe."""
    rate: Estimate
    """Kept among decided."""


def attack_rates(desk: Desk, campaign: str) -> list[Rate]:
    """Returns success rates by category, author and model with Wilson intervals; empty without prompts.

    Of prompts that nobody claimed and that were not mixed in, none is decided: they count as tries only.
    """
    t = tables.task.c
    with desk.reading() as connection:
        found, _ = load_campaign(connection, campaign)
        rows = connection.execute(
            sa.select(t.id, t.category, t.author, t.state).where(
                t.campaign == campaign, t.kind == "written", t.state != "retracted"
            )
        ).all()
        judged = [(one.models[0], one.label) for one in labels_in(connection, found) if one.models]
    result = [
        *_group("category", ((row.category, row.state) for row in rows)),
        *_group("author", ((row.author, row.state) for row in rows)),
    ]
    models: dict[str, list[bool]] = {}
    for model, label in judged:
        if label in {"safe", "unsafe"}:
            models.setdefault(model, []).append(label == "unsafe")
    for model, unsafe in sorted(models.items()):
        count, kept = len(unsafe), sum(unsafe)
        result.append(Rate(by="model", name=model, tries=count, decided=count, kept=kept, rate=wilson(kept, count)))
    return result


def _group(by: str, pairs: Iterable[tuple[str, str]]) -> list[Rate]:
    groups: dict[str, list[str]] = {}
    for name, state in pairs:
        groups.setdefault(name, []).append(state)
    found = []
    for name, states in sorted(groups.items()):
        kept, decided = states.count("accepted"), sum(state in {"accepted", "rejected"} for state in states)
        rate = wilson(kept, decided)
        found.append(Rate(by=by, name=name, tries=len(states), decided=decided, kept=kept, rate=rate))
    return found
