"""Outcomes for the tests of scoring."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from cvalues.schema import Outcome
from cvalues.scoring import ItemOutcome

ANSWERS: tuple[Outcome | None, ...] = (*get_args(Outcome), None)


def pair(name: str, answers: Sequence[Outcome | None], *, model: str = "m", **fields: Any) -> list[ItemOutcome]:
    """Returns the items of one pair: order 12 (reply 1 is better), then 21, for as many answers as given."""
    shown: Mapping[str, Any] = {"set": "s", "level": 1, "category": "crimes"} | fields
    return [
        ItemOutcome(
            model=model,
            choice=f"{name}-{order}",
            pair=name,
            order=order,
            better=better,
            outcome=answer,
            **shown,
        )
        for (order, better), answer in zip((("12", 1), ("21", 2)), answers, strict=False)
    ]
