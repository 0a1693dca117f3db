"""Outcomes of items and the keys that they are grouped by."""

from __future__ import annotations

import msgspec
import pytest

from cvalues.errors import UsageError
from cvalues.records import canonical
from cvalues.scoring import ItemOutcome
from cvalues.scoring.outcomes import group_order, grouping
from scoring.items import ANSWERS, pair


def test_correct_and_read() -> None:
    """Correct is the better reply's number alone; read is any outcome but unreadable and none."""
    for answer in ANSWERS:
        first, second = pair("p", [answer, answer])
        assert first.correct == (answer == "1")
        assert second.correct == (answer == "2")
        assert first.read == (answer not in {"unreadable", None})


def test_one_json_form() -> None:
    """An outcome survives its JSON, and an unknown field is refused."""
    item = pair("p", ["1"], tags={"trap": "premise"})[0]
    assert msgspec.json.decode(canonical(item), type=ItemOutcome) == item
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        msgspec.json.decode(canonical(item)[:-1] + b',"surprise":1}', type=ItemOutcome)


def test_grouping() -> None:
    """Keys give fields and tags; an item without the tag has None, which sorts last."""
    items = [*pair("p", ["1"], tags={"trap": "z"}), *pair("q", ["1"], level=2)]
    value_of = grouping(items, ("level", "trap"))
    assert [value_of(item) for item in items] == [(1, "z"), (2, None)]
    assert grouping(items, ())(items[0]) == ()
    assert sorted([(None,), ("z",), ("a",)], key=group_order) == [("a",), ("z",), (None,)]


def test_unknown_key() -> None:
    """A key that is no field and no tag is refused with the nearest names."""
    with pytest.raises(UsageError, match="unknown key to group by 'levle'; did you mean level"):
        grouping(pair("p", ["1"]), ("levle",))
