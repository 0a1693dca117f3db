"""What one model answered to one choice, and the denominators that every figure rests on.

Of the items of a group, `planned` counts all; `all` (`responded`) those with a response; `acc` = correct / all;
`acc*` = correct / (1 + 2 + other), no data when that is 0, `other` being answered and wrong; `answered` = (1 + 2 +
other) / all; `coverage` = items whose response was read (is not `unreadable`) / planned. A call that failed for good
or is still open is outside `all`, lowers coverage and counts in the bounds.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import msgspec

from cvalues.errors import unknown_name
from cvalues.schema import Outcome, Record

Key = str | int | None
"""Value of one key of a group."""

FIELDS: tuple[str, ...] = ("model", "level", "category", "difficulty", "collection", "set", "language", "split")
"""Fields that outcomes may be grouped by; any other name is that of a tag."""


class ItemOutcome(Record, frozen=True, kw_only=True):
    """What one model answered to one choice, as a rule, a judge or a reviewer read it."""

    set: str
    model: str
    choice: str
    """Id of the choice."""
    pair: str
    """Shared by the two orders of one pair within a set; the unit of resampling."""
    order: Literal["12", "21"]
    level: Literal[1, 2]
    category: str
    better: Literal[1, 2]
    collection: Literal[1, 2] | None = None
    difficulty: str = ""
    language: str = "zh"
    split: str = ""
    tags: dict[str, str] = msgspec.field(default_factory=dict)
    outcome: Outcome | None = None
    """None where the call failed for good or is still open."""
    rule: str = ""
    """Name of the rule that decided."""
    response: str = ""
    """Id of the response."""

    @property
    def correct(self) -> bool:
        """True when the answer names the better reply."""
        return self.outcome == str(self.better)

    @property
    def read(self) -> bool:
        """True when there is a response that could be read: any outcome but `unreadable`."""
        return self.outcome is not None and self.outcome != "unreadable"


def grouping(outcomes: Iterable[ItemOutcome], keys: Sequence[str]) -> Callable[[ItemOutcome], tuple[Key, ...]]:
    """Returns the function that gives an outcome's values of the keys; an outcome without a tag has None there.

    Raises:
        UsageError: a key is neither one of FIELDS nor the name of a tag that any outcome has.
    """
    wanted = [key for key in keys if key not in FIELDS]
    if wanted:
        present = {name for outcome in outcomes for name in outcome.tags}
        for key in wanted:
            if key not in present:
                raise unknown_name("key to group by", key, {*FIELDS, *present})
    if not wanted and len(keys) > 1:
        # One call in C instead of one a key: this runs once per outcome of a study.
        fields: Callable[[ItemOutcome], tuple[Key, ...]] = operator.attrgetter(*keys)
        return fields
    parts: list[Callable[[ItemOutcome], Key]] = [
        operator.attrgetter(key) if key in FIELDS else _tag(key) for key in keys
    ]
    return lambda outcome: tuple([part(outcome) for part in parts])


def _tag(name: str) -> Callable[[ItemOutcome], Key]:
    return lambda outcome: outcome.tags.get(name)


def group_order(values: Sequence[Key]) -> tuple[tuple[bool, str], ...]:
    """Returns the sort key of a group: by its values in order, absent ones last."""
    return tuple((value is None, str(value)) for value in values)
