"""Preference between two models' responses to one prompt, each pair shown to the rater in both orders."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from cvalues.schema import Estimate, Record
from cvalues.stats.intervals import ratio

Choice = Literal["1", "2", "tie"]
_UNIT = "prompt"
_EVEN = 0.5
TOLERATED = 0.15
"""How far from a half the share of first places may surely lie and still count as even."""


class Preferred(Record, frozen=True, kw_only=True):
    """What a rater preferred of two responses in the order shown."""

    rater: str
    prompt: str
    subject: tuple[str, str]
    """Response ids in the order shown."""
    models: tuple[str, str]
    value: Choice
    """The place of the better one, or `tie`."""


class Duel(Record, frozen=True, kw_only=True):
    """How two models did against each other in the eyes of one rater; shares of the pairs asked in both orders."""

    rater: str
    a: str
    b: str
    pairs: int
    """Pairs of responses with a verdict in both orders."""
    single_order: int
    """Pairs with a verdict in one order only; in no share."""
    a_wins: Estimate
    """Named better in more orders than the other: both, or one with a tie in the other."""
    ties: Estimate
    """Named better equally often: two ties, or the orders contradict each other."""
    b_wins: Estimate
    consistent: Estimate
    """Pairs whose two orders give the same result."""
    first: Estimate
    """Share of verdicts `1` among those that are no tie; 0.5 is a rater without position bias."""

    @property
    def state(self) -> Literal["even", "biased", "few"]:
        """Whether the rater looks at the position.

        `biased` where the interval of `first` leaves out 0.5, `even` where it lies within 0.5 ± `TOLERATED`, `few` where there are too few
        pairs to say, which is no evidence against the rater.
        """
        low, high = self.first.low, self.first.high
        if low is None or high is None:
            return "few"
        if low > _EVEN or high < _EVEN:
            return "biased"
        return "even" if low >= _EVEN - TOLERATED and high <= _EVEN + TOLERATED else "few"


def duels(found: Iterable[Preferred]) -> list[Duel]:
    """Returns one duel per rater and pair of models, by their names; empty for no preference.

    Win and tie rates rest on pairs asked in both orders, clustered by prompt (`stats.intervals.ratio`).
    """
    grouped: dict[tuple[str, str, str], dict[tuple[str, str], list[Preferred]]] = {}
    for each in found:
        if each.models[0] == each.models[1]:
            continue
        a, b = sorted(each.models)
        pair = (min(each.subject), max(each.subject))
        grouped.setdefault((each.rater, a, b), {}).setdefault(pair, []).append(each)
    return [_duel(key, list(pairs.values())) for key, pairs in sorted(grouped.items())]


def _duel(key: tuple[str, str, str], pairs: list[list[Preferred]]) -> Duel:
    rater, a, b = key
    both = [pair for pair in pairs if len({each.subject for each in pair}) == 2]
    prompts = [pair[0].prompt for pair in both]
    points = [[_points(each, a) for each in pair] for pair in both]
    sums = [sum(values) for values in points]
    named = [(each.value == "1", pair[0].prompt) for pair in both for each in pair if each.value != "tie"]

    def share(hits: list[bool], clusters: list[str]) -> Estimate:
        return ratio([float(hit) for hit in hits], [1.0] * len(hits), clusters, share=True, unit=_UNIT)

    return Duel(
        rater=rater,
        a=a,
        b=b,
        pairs=len(both),
        single_order=len(pairs) - len(both),
        a_wins=share([total > 0 for total in sums], prompts),
        ties=share([total == 0 for total in sums], prompts),
        b_wins=share([total < 0 for total in sums], prompts),
        consistent=share([len(set(values)) == 1 for values in points], prompts),
        first=share([hit for hit, _ in named], [prompt for _, prompt in named]),
    )


def _points(each: Preferred, a: str) -> int:
    """Returns 1 when model `a` is preferred, −1 when the other is, 0 for a tie."""
    if each.value == "tie":
        return 0
    return 1 if each.models[int(each.value) - 1] == a else -1
