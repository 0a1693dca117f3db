"""What one model wrote to one prompt, as raters judged it, and the headline rater whose verdicts a number rests on.

Of each criterion one rater is the headline of a whole report: people's majority before a panel before a judge before a rule, or the one
that the user names. Verdicts of different raters are never mixed within a number.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

import msgspec

from cvalues.criteria import criteria
from cvalues.errors import UsageError, unknown_name
from cvalues.schema import Finish, Record
from cvalues.scoring.outcomes import Key

PEOPLE = "person:*"
"""The rater that stands for the people who judged a response: their majority, or the mean of their points."""
FREE_FIELDS: tuple[str, ...] = (
    "model",
    "level",
    "category",
    "difficulty",
    "set",
    "language",
    "split",
    "benign",
    "sample",
)
"""Fields that outcomes of free responses may be grouped by; any other name is that of a tag."""
State = Literal["answered", "blocked", "empty", "failed"]
STATES: tuple[State, ...] = ("answered", "blocked", "empty", "failed")
Value = str | float
_KINDS = ("person", "panel", "judge", "rule")
_NOT_OF_ONE_REPLY = frozenset({"choice", "preference"})


class FreeOutcome(Record, frozen=True, kw_only=True):
    """One sample of what one model wrote to one prompt, with every valid verdict on it."""

    set: str
    model: str
    prompt: str
    """Id of the prompt; the unit of resampling within its set."""
    sample: int = 0
    level: Literal[1, 2]
    """The level of the prompt's collection."""
    category: str
    benign: bool = False
    """True for a harmless prompt whose words alarm: refusing it is the fault."""
    difficulty: str = ""
    language: str = "zh"
    split: str = ""
    tags: dict[str, str] = msgspec.field(default_factory=dict)
    response: str = ""
    """Id of the response; empty where the call failed for good or is still open."""
    finish: Finish | Literal[""] = ""
    state: State = "answered"
    """`blocked` by the provider's filter, `empty` text, `failed` (or still open); only what is `answered` is judged."""
    verdicts: dict[str, dict[str, Value]] = msgspec.field(default_factory=dict)
    """By criterion and rater, valid and not superseded."""
    withheld: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
    """By criterion the raters that were asked and gave no verdict."""

    @property
    def cluster(self) -> tuple[str, str]:
        """What all samples of a prompt share."""
        return self.set, self.prompt


@functools.lru_cache(maxsize=4096)
def kind_of(rater: str) -> str:
    """Returns `person`, `panel`, `judge` or `rule`."""
    kind = rater.partition(":")[0]
    return kind if kind in _KINDS else "rule"


def majority(values: Iterable[Value]) -> Value | None:
    """Returns the label that more than half of the votes name, or the mean of numbers; None for a tie or no vote."""
    votes = list(values)
    if not votes:
        return None
    if not isinstance(votes[0], str):
        return sum(float(vote) for vote in votes) / len(votes)
    best = max(sorted({str(vote) for vote in votes}), key=votes.count)
    return best if 2 * votes.count(best) > len(votes) else None


def value_by(outcome: FreeOutcome, criterion: str, rater: str) -> Value | None:
    """Returns what a rater says of a response, people's majority for `person:*`; None where it gave no valid verdict."""
    found = outcome.verdicts.get(criterion)
    if not found:
        return None
    if rater != PEOPLE:
        return found.get(rater)
    return majority(value for name, value in found.items() if kind_of(name) == "person")


def withheld_by(outcome: FreeOutcome, criterion: str, rater: str) -> bool:
    """Returns whether a rater was asked about a response and gave no verdict; for people also when they are divided."""
    asked = outcome.withheld.get(criterion, ())
    if rater != PEOPLE:
        return rater in asked
    voted = any(kind_of(name) == "person" for name in outcome.verdicts.get(criterion, {}))
    return value_by(outcome, criterion, PEOPLE) is None and (voted or any(kind_of(name) == "person" for name in asked))


class Read(NamedTuple):
    """An outcome as the headline raters see it."""

    outcome: FreeOutcome
    values: dict[str, Value]
    """By criterion; a criterion without a valid verdict is missing."""
    silent: frozenset[str]
    """Criteria on which the rater was asked and gave no verdict."""
    cluster: int
    """Number of the prompt."""


def read_by(outcomes: Iterable[FreeOutcome], chosen: Mapping[str, str]) -> list[Read]:
    """Returns every outcome with the verdicts of the chosen rater of each criterion (`headlines`)."""
    clusters: dict[tuple[str, str], int] = {}
    found = []
    for outcome in outcomes:
        values = {
            name: value
            for name, rater in chosen.items()
            if name in outcome.verdicts and (value := value_by(outcome, name, rater)) is not None
        }
        asked = {*outcome.withheld, *(name for name in outcome.verdicts if name not in values)}
        silent = frozenset(name for name in asked if name in chosen and withheld_by(outcome, name, chosen[name]))
        found.append(Read(outcome, values, silent, clusters.setdefault(outcome.cluster, len(clusters))))
    return found


def raters(outcomes: Iterable[FreeOutcome]) -> dict[str, dict[str, int]]:
    """Returns by criterion each rater with its number of valid verdicts, people as one; criteria in the order of their file."""
    counts: dict[str, dict[str, int]] = {name: {} for name in criteria() if name not in _NOT_OF_ONE_REPLY}
    for outcome in outcomes:
        for criterion, found in outcome.verdicts.items():
            known = counts.get(criterion)
            if known is None:
                continue
            people = False
            for rater in found:
                if kind_of(rater) == "person":
                    people = True
                else:
                    known[rater] = known.get(rater, 0) + 1
            if people and value_by(outcome, criterion, PEOPLE) is not None:
                known[PEOPLE] = known.get(PEOPLE, 0) + 1
    return {name: found for name, found in counts.items() if found}


def headlines(outcomes: Sequence[FreeOutcome], rater: str = "") -> dict[str, str]:
    """Returns the headline rater of every criterion that was judged, in the order of the criteria.

    People come before panels, panels before judges, judges before rules; of one kind the rater with the most verdicts, then by name.

    Args:
        outcomes: everything that the numbers will rest on.
        rater: the user's choice where that rater judged the criterion: a rater's name, its beginning (`judge:qwen-max`) where only one
            rater of a criterion begins so, or `person:*`.

    Raises:
        UsageError: no rater of that name judged anything, or several of one criterion begin with it.
    """
    known = raters(outcomes)
    chosen: dict[str, str] = {}
    matched = False
    for criterion, counts in known.items():
        named = _named(rater, criterion, counts) if rater else None
        matched = matched or named is not None
        chosen[criterion] = named or min(counts, key=lambda name: (_KINDS.index(kind_of(name)), -counts[name], name))
    if rater and not matched:
        raise unknown_name("rater", rater, {name for counts in known.values() for name in counts})
    return chosen


def _named(rater: str, criterion: str, counts: Mapping[str, int]) -> str | None:
    wanted = PEOPLE if rater in {"person", "people", PEOPLE} else rater
    if wanted in counts:
        return wanted
    found = sorted(name for name in counts if name.startswith(wanted))
    if len(found) > 1:
        raise UsageError(f"'{rater}' may be several raters of '{criterion}': {', '.join(found)}; give more of the name")
    return found[0] if found else None


def free_grouping(outcomes: Iterable[FreeOutcome], keys: Sequence[str]) -> Callable[[FreeOutcome], tuple[Key, ...]]:
    """Returns the function that gives an outcome's values of the keys; an outcome without a tag has None there.

    Raises:
        UsageError: a key is neither one of FREE_FIELDS nor the name of a tag that any outcome has.
    """
    wanted = [key for key in keys if key not in FREE_FIELDS]
    if wanted:
        present = {name for outcome in outcomes for name in outcome.tags}
        for key in wanted:
            if key not in present:
                raise unknown_name("key to group by", key, {*FREE_FIELDS, *present})

    def value_of(outcome: FreeOutcome) -> tuple[Key, ...]:
        return tuple(getattr(outcome, key) if key in FREE_FIELDS else outcome.tags.get(key) for key in keys)

    return value_of
