"""How many items, people and votes a question needs: tables to plan a campaign by. Pure; formulas stand with each function."""

from __future__ import annotations

import math
from collections.abc import Sequence

from cvalues.errors import UsageError
from cvalues.people.words import phrase
from cvalues.schema import Cell, Estimate, Record, Table
from cvalues.stats import smallest_detectable, wilson
from cvalues.stats.intervals import normal_quantile

SIZES = (100, 200, 300, 400, 650, 800, 1300)


class Plan(Record, frozen=True, kw_only=True):
    """What is assumed, and asked for."""

    items: tuple[int, ...] = SIZES
    rate: float = 0.1
    """Expected share of unsafe replies."""
    models: int = 2
    discordance: float = 0.1
    """Share of prompts on which two models differ."""
    people: int = 8
    votes: int = 3
    accuracy: float = 0.9
    """Chance that one vote is right."""
    item_sd: float = 1.8
    person_sd: float = 0.6
    residual_sd: float = 1.2
    seconds: float = 40.0
    """Active time of one judgement."""
    gold: int = 20
    gold_pass: int = 16


def tables(plan: Plan, language: str) -> list[Table]:
    """Returns the planner's tables in `zh` or `en`.

    Raises:
        UsageError: an assumption is out of range.
    """
    _check(plan)
    return [_precision(plan, language), _points(plan, language), _votes(plan, language), _gold(plan, language)]


def _check(plan: Plan) -> None:
    for name in ("rate", "discordance", "accuracy"):
        if not 0 <= getattr(plan, name) <= 1:
            raise UsageError(f"{name}: expected a share from 0 to 1, got {getattr(plan, name)}")
    if min(plan.items, default=0) < 1 or plan.models < 2 or plan.people < 1 or plan.votes < 1 or plan.seconds <= 0:
        raise UsageError("the plan: expected items, people, votes and seconds above 0, and two models or more")
    if (
        max(plan.items) > 10_000_000
        or plan.people > 1_000_000
        or plan.votes > 999
        or plan.models > 10_000
        or plan.seconds > 1e6
    ):
        raise UsageError(
            "the plan: expected at most 10,000,000 items, 1,000,000 people, 999 votes, 10,000 models and 1,000,000 seconds"
        )
    if not 0 < plan.gold_pass <= plan.gold:
        raise UsageError("gold: expected a number to pass from 1 to the number of items")


def _table(name: str, columns: Sequence[str], rows: Sequence[tuple[Cell, ...]], language: str) -> Table:
    return Table(
        title=phrase(f"plan.{name}", language),
        columns=tuple(phrase(f"plan.column-{column}", language) for column in columns),
        rows=tuple(rows),
        notes=(phrase(f"plan.{name}-note", language),),
    )


def share_precision(rate: float, items: int) -> Estimate:
    """Returns the 95 % interval that a share of `rate` would have on so many items (Wilson, at the nearest whole count)."""
    return wilson(round(rate * items), items)


def _precision(plan: Plan, language: str) -> Table:
    pairs = plan.models * (plan.models - 1) // 2
    rows: list[tuple[Cell, ...]] = []
    for items in plan.items:
        one = smallest_detectable(items, discordance=plan.discordance)
        all_pairs = smallest_detectable(items, discordance=plan.discordance, alpha=0.05 / pairs)
        hours = items * plan.votes * plan.seconds / 3600
        rows.append(
            (
                items,
                share_precision(plan.rate, items),
                _points_of(one),
                _points_of(all_pairs),
                round(hours, 1),
                round(hours / plan.people, 1),
            )
        )
    return _table("share", ("items", "interval", "difference", "pairs", "hours", "each"), rows, language)


def _points_of(value: float | None) -> str | None:
    return None if value is None else f"{100 * value:.1f}"


def mean_half_width(plan: Plan, items: int, people: int, votes: int) -> float:
    """Returns the 95 % half-width of a model's mean points: z·√(σ²_item/n + σ²_person/k + σ²_rest/(n·v)).

    n items, k people, v votes per item, each person judging n·v/k of them (variance of a two-way random-effects mean; Brennan,
    Generalizability Theory, 2001, ch. 2).
    """
    spread = plan.item_sd**2 / items + plan.person_sd**2 / people + plan.residual_sd**2 / (items * votes)
    return normal_quantile(0.975) * math.sqrt(spread)


def difference_half_width(plan: Plan, items: int, votes: int) -> float:
    """Returns the 95 % half-width of the difference of two models on the same items by the same people: z·√(2·σ²_rest/(n·v))."""
    return normal_quantile(0.975) * math.sqrt(2 * plan.residual_sd**2 / (items * votes))


def _points(plan: Plan, language: str) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for items in plan.items:
        counts = sorted({plan.people, 2 * plan.people, 3 * plan.people})
        widths = [f"±{mean_half_width(plan, items, people, 1):.2f}" for people in counts]
        widths += [f"±{difference_half_width(plan, items, votes):.2f}" for votes in (1, 3)]
        rows.append((items, *widths))
    people = [phrase("plan.people", language, count=factor * plan.people) for factor in (1, 2, 3)]
    head = _table("points", ("items",), [], language)
    differences = [phrase("plan.column-difference-votes", language, votes=votes) for votes in (1, 3)]
    return Table(title=head.title, columns=(*head.columns, *people, *differences), rows=tuple(rows), notes=head.notes)


def majority_error(accuracy: float, votes: int) -> float:
    """Returns the chance that the majority of an odd number of independent votes is wrong: Σ_{k > v/2} C(v, k)(1 − a)^k a^{v − k}.

    Of an even number a tie counts as half an error.
    """
    wrong = 1 - accuracy
    chances = [math.comb(votes, k) * wrong**k * accuracy ** (votes - k) for k in range(votes + 1)]
    return sum(chance for k, chance in enumerate(chances) if 2 * k > votes) + sum(
        chance / 2 for k, chance in enumerate(chances) if 2 * k == votes
    )


def adaptive_votes(accuracy: float) -> float:
    """Returns the votes per item of "two, and a third if they differ": 2 + 2a(1 − a). Its error is that of three."""
    return 2 + 2 * accuracy * (1 - accuracy)


def _votes(plan: Plan, language: str) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for accuracy in sorted({0.8, 0.85, 0.9, 0.95, plan.accuracy}):
        errors = [f"{100 * majority_error(accuracy, votes):.1f}" for votes in (1, 3, 5)]
        rows.append((f"{100 * accuracy:.0f} %", *errors, f"{adaptive_votes(accuracy):.2f}"))
    return _table("votes", ("accuracy", "one", "three", "five", "adaptive"), rows, language)


def fails_gate(accuracy: float, items: int, needed: int) -> float:
    """Returns the chance to get fewer than `needed` of `items` right: Σ_{k < needed} C(n, k) a^k (1 − a)^{n − k}."""
    return sum(math.comb(items, k) * accuracy**k * (1 - accuracy) ** (items - k) for k in range(needed))


def _gold(plan: Plan, language: str) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for accuracy in (0.7, 0.8, 0.9, 0.95):
        chance = fails_gate(accuracy, plan.gold, plan.gold_pass)
        rows.append((f"{100 * accuracy:.0f} %", f"{plan.gold_pass}/{plan.gold}", f"{100 * chance:.1f}"))
    return _table("gold", ("accuracy", "gate", "fails"), rows, language)
