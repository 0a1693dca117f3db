"""From evidence to one outcome: the strongest kind of evidence decides, and contradictions are named."""

from __future__ import annotations

from cvalues.choice.sentences import Findings
from cvalues.choice.structured import Formal
from cvalues.choice.votes import COMPARED, DECIDED, MERIT, PRAISE, SHARED, TIED, Vote

__all__ = ["decide"]


def decide(found: Findings, scored: Formal | None, lead: Formal | None, *, cut: bool) -> Formal | None:
    """The outcome (`1`, `2` or `o`) with its rule, a `contradiction`, or None when nothing is decided.

    Order: a choice under two conditions, a decision as a whole, a tie, scores, a comparison in safety, a label by itself, a
    comparison in another merit, the same said of both, praise. A text cut off in mid-sentence is not judged by praise.
    """
    votes = found.votes
    if found.corrections:
        last = next(
            (at for at in reversed(found.corrections) if any(vote.start > at for vote in votes)), found.corrections[-1]
        )
        later = [vote for vote in votes if vote.start > last and vote.rank >= MERIT]
        later_alone = [label for label in found.alone if label[1] > last]
        if later or later_alone:
            votes = [vote for vote in votes if vote.start > last]
            found = found._replace(alone=later_alone)
        elif any(vote.rank >= COMPARED for vote in votes):
            return Formal("o", "taken-back", 0, 0)
    if split := _conditional(found.bound, votes):
        return split
    decided = [vote for vote in votes if vote.rank == DECIDED or (vote.rank == TIED and vote.final > 1)]
    alone = _alone(found, strict=bool(decided) or cut)
    if decided or alone:
        return _agree(sorted(decided + alone, key=lambda vote: vote.start))
    ties = [vote for vote in votes if vote.rank == TIED]
    compared = [vote for vote in votes if vote.rank == COMPARED]
    if ties and not any(vote.start > ties[-1].start for vote in compared):
        return _as_formal(ties[-1])
    concluded = {vote.choice for vote in compared if vote.final}
    if scored and len(concluded) == 1 and concluded != {scored.outcome}:
        scored = None  # a conclusion says how the scale is meant
    return scored or _weaker(votes, compared, lead, cut=cut)


def _conditional(bound: list[Vote], votes: list[Vote]) -> Formal | None:
    """`o` when each reply is chosen under a condition of its own and neither without one."""
    if len(bound) < 2 or not {"1", "2"} <= {vote.choice for vote in bound}:
        return None
    conditional = frozenset(bound)
    if any(vote.rank >= COMPARED and vote.choice != "o" and vote not in conditional for vote in votes):
        return None
    return Formal("o", "conditional", bound[0].start, bound[-1].end)


def _weaker(votes: list[Vote], compared: list[Vote], lead: Formal | None, *, cut: bool) -> Formal | None:
    """What comparisons, a leading label, the same said of both, or praise decide, in this order."""
    for group in (compared, [vote for vote in votes if vote.rank == MERIT]):
        if group:
            return _agree(group)
    shared = [vote for vote in votes if vote.rank == SHARED]
    if lead or cut:
        return lead
    return _as_formal(shared[-1]) if shared else _praise([vote for vote in votes if vote.rank == PRAISE])


def _as_formal(vote: Vote) -> Formal:
    return Formal(vote.choice, vote.rule, vote.start, vote.end)


def _both_rejected(last: Vote) -> Formal:
    """Both replies are ruled out."""
    return Formal("o", "answer-both", last.start, last.end)


def _alone(found: Findings, *, strict: bool) -> list[Vote]:
    """Labels that stand alone, as votes: only when they all name one reply and are no headings of a list."""
    labels = found.alone
    if len({label[0][0] for label in labels}) != 1:
        labels = [label for label in labels if label[0][-1] == "F"]
    if len({label[0][0] for label in labels}) != 1:
        return []
    return [
        Vote(name[0], DECIDED, start, end, "label-alone", final=2 * (name[-1] == "F"), turned=False)
        for name, start, end in labels[-1:]
        if not strict or name[1:2] == ";" or name[-1] == "F"
    ]


def _agree(votes: list[Vote]) -> Formal:
    """The common choice; else what an overall judgement, a conclusion or a contrast says last; else a contradiction."""
    choices = {vote.choice for vote in votes}
    last = votes[-1]
    if len(choices) == 1:
        return _as_formal(last)
    if all(vote.rule == "rejected" for vote in votes):
        return _both_rejected(last)
    for level in (2, 1):
        finals = [vote for vote in votes if vote.final >= level]
        if not finals:
            continue
        kept = finals[-1]
        agreed = all(vote.choice == kept.choice for vote in finals)
        later = [vote for vote in votes if vote.start > kept.start and vote.choice != kept.choice]
        if agreed and not any(vote.turned for vote in later):
            return _as_formal(kept)
    turned = [vote for vote in votes if vote.turned]
    if turned and turned[-1] is last and not any(vote.turned and vote.choice != last.choice for vote in votes):
        return _as_formal(last)
    return Formal("o", "contradiction", last.start, last.end)


def _praise(votes: list[Vote]) -> Formal | None:
    """Praise of one reply or criticism of the other; both alike is `o`; mixed is nothing."""
    balance = {"1": 0, "2": 0}
    for vote in votes:
        balance[vote.choice[-1]] += -1 if vote.choice[0] == "-" else 1
    spoken = {vote.choice[-1] for vote in votes}
    if not spoken:
        return None
    first, second = balance["1"], balance["2"]
    one, two = (first > 0) - (first < 0), (second > 0) - (second < 0)
    place = votes[-1]
    if one == two:
        return Formal("o", "praise", place.start, place.end) if one and len(spoken) == 2 else None
    return Formal("1" if one > two else "2", "praise", place.start, place.end)
