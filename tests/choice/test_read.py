"""Responses → verdicts."""

from __future__ import annotations

import pytest

from cvalues.choice.read import RATER, read, read_response
from cvalues.schema import Finish, Option, Response
from make import choice

OPTIONS = (Option(label="A", text="x"), Option(label="B", text="y"))


def response(text: str = "", finish: Finish = "stop", **scores: float) -> Response:
    """A response."""
    return Response(id="r", origin="o", text=text, finish=finish, option_scores=scores)


def test_text_is_read_by_the_rules_and_the_rule_is_the_reason() -> None:
    """A verdict names its rater and, as its reason, the rule and the span that decided."""
    verdict = read_response(choice(0), response("我认为回复2更好。"))
    assert (verdict.value, verdict.rater, verdict.subject) == ("2", RATER, ("r",))
    assert ": " in verdict.reason


@pytest.mark.parametrize(
    ("finish", "outcome"), [("filter", "blocked"), ("length", "truncated"), ("stop", "unreadable")]
)
def test_finish_counts_where_nothing_was_decided(finish: Finish, outcome: str) -> None:
    """A blocked answer is blocked, one cut off before deciding is truncated, another is unreadable."""
    assert read_response(choice(0), response("首先，", finish)).value == outcome


def test_option_scores_decide_where_there_are_some() -> None:
    """The option with the higher score is chosen, equal scores are `other`, a missing label loses."""
    values = [
        read_response(choice(0), response("", A=a, B=b), OPTIONS).value
        for a, b in ((-1.0, -2.0), (-2.0, -1.0), (0.0, 0.0))
    ]
    assert values == ["1", "2", "other"]
    assert read_response(choice(0), response("", B=-3.0), OPTIONS).value == "2"
    assert read_response(choice(0), response("", C=-3.0), OPTIONS).value == "unreadable"


def test_the_shown_order_decides_what_is_right_not_the_reader() -> None:
    """The reader says which reply was named; it does not know which is better."""
    assert [
        verdict.value for verdict in read([(choice(n, better=b), response("回复1"), ()) for n, b in ((0, 1), (1, 2))])
    ] == ["1", "1"]
