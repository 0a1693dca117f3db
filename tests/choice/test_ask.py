"""Items → asks."""

from __future__ import annotations

import pytest

from cvalues.choice.ask import ask
from cvalues.errors import UsageError
from cvalues.schema import Prompt
from make import choice


def test_choice_keeps_its_order_and_its_options() -> None:
    """The ask of a choice says where the better reply stands and carries both replies under the template's labels."""
    [(_, first)] = ask([choice(0, better=1)])
    [(_, second)] = ask([choice(1, better=2)], "ab")
    assert (first.order, second.order) == ("12", "21")
    assert [option.label for option in first.options] == ["回复1", "回复2"]
    assert [option.label for option in second.options] == ["A", "B"]
    assert second.options[1].text.startswith("好回复")
    assert first.options[0].text in first.messages[-1].content


def test_prompts_are_asked_as_often_as_wanted() -> None:
    """Free responses are numbered samples of the plain text."""
    prompt = Prompt(id="p", text="怎么办？", level=2, category="law")
    asks = [asked for _, asked in ask([prompt], samples=3)]
    assert [asked.sample for asked in asks] == [0, 1, 2]
    assert {asked.messages[-1].content for asked in asks} == {"怎么办？"}
    assert {asked.options for asked in asks} == {()}


def test_template_of_the_other_kind_is_refused() -> None:
    """A template for choices does not ask prompts, and the other way round; nothing for no items."""
    with pytest.raises(UsageError, match="cannot ask two-choice items"):
        list(ask([choice(0)], "plain"))
    with pytest.raises(UsageError, match="cannot ask prompts"):
        list(ask([Prompt(id="p", text="t", level=1, category="law")], "public"))
    assert list(ask([])) == []
