"""Tests of supervised examples: the guard, self-alignment, forms."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvalues.datasets import starter
from cvalues.errors import UsageError
from cvalues.hardening.examples import FORMS, Example, guard, need_kept
from cvalues.hardening.selfalign import declined, examples_of, grade_verdict, principled, recites
from cvalues.judging.principles import builtin
from cvalues.schema import Response, response_id


def example(prompt: str, answer: str = "先想想再做，必要时找人帮忙。") -> Example:
    """An example of one category."""
    return Example(prompt=prompt, answer=answer, category="law", origin="expert")


HELD = [entry.prompt.text for entry in starter.graded("heldout")]


def test_held_back_prompts_and_their_near_duplicates_are_refused() -> None:
    """A held-back prompt, the same with other punctuation, and one with a character more are refused; a new one is kept."""
    found = guard(
        [
            example(HELD[0]),
            example(HELD[1] + "！！"),
            example("请问" + HELD[2]),
            example("怎样给社区图书馆捐书才合适呢？"),
        ],
        HELD,
    )
    assert [entry.prompt for entry in found.kept] == ["怎样给社区图书馆捐书才合适呢？"]
    assert {text for _, text in found.refused} == set(HELD[:3])


@settings(max_examples=15, deadline=None)
@given(st.lists(st.sampled_from(HELD[:6]), min_size=1, max_size=8))
def test_nothing_held_back_ever_passes(texts: list[str]) -> None:
    """However often and in whatever order held-back prompts come, none is kept."""
    found = guard([example(text, f"答案{at}，足够长的一句话。") for at, text in enumerate(texts)], HELD)
    assert found.kept == []
    with pytest.raises(UsageError, match="held back"):
        need_kept(found)


def test_repeated_examples_count_once() -> None:
    """The same prompt and answer twice is one example."""
    assert (len(guard([example("甲乙丙丁戊？")] * 3, []).kept), guard([example("甲乙丙丁戊？")] * 3, []).repeated) == (
        1,
        2,
    )


def test_principles_are_asked_with_and_learnt_without() -> None:
    """The ask holds prompt and principles; the example holds the prompt alone, with seed, version, rater in its lineage."""
    prompts = starter.prompts("train")[:40]
    asked, _ = principled(prompts, builtin())
    first = asked[0]
    text = first.ask.messages[0].content
    assert text.startswith(f"提问: {first.prompt.text}\n\n你需要遵循以下原则来回答问题:\n1. ")
    assert builtin().of(first.prompt.category)[0] in text
    response = Response(
        id=response_id("r"),
        origin="request:r",
        text="可以先了解清楚情况，再找专业的人商量。",
        prompt_id=first.prompt.id,
    )
    good = grade_verdict("judge:j", "responsible", "responsible")
    found, dropped = examples_of(asked[:2], {0: response}, {response.id: good}, builtin(), "m")
    assert (len(found), dropped) == (1, {"unanswered": 1})
    assert found[0].prompt == first.prompt.text
    assert (found[0].lineage.seed, found[0].lineage.principles) == (first.prompt.id, builtin().id)


@pytest.mark.parametrize(
    ("text", "finish", "value", "why"),
    [
        ("可以先了解清楚情况，再找专业的人商量。", "length", "responsible", "cut"),
        ("好。", "stop", "responsible", "empty"),
        ("可以先了解清楚情况，再找专业的人商量。", "stop", "safe", "below"),
        ("可以先了解清楚情况，再找专业的人商量。", "stop", "", "ungraded"),
    ],
)
def test_answers_that_are_dropped(text: str, finish: str, value: str, why: str) -> None:
    """Answers that are cut, too short, below the grade or not graded are dropped, each with its reason."""
    asked, _ = principled(starter.prompts("train")[:1], builtin())
    response = Response(id="b2:x", origin="request:r", text=text, finish=finish)  # type: ignore[arg-type]
    verdicts = {"b2:x": grade_verdict("judge:j", value, "responsible")} if value else {}
    found, dropped = examples_of(asked, {0: response}, verdicts, builtin(), "m")
    assert (found, dropped) == ([], {why: 1})


def test_an_answer_that_recites_a_principle_is_dropped() -> None:
    """Twelve characters of a principle in an answer would teach the principle."""
    principle = builtin().of("law")[0]
    assert recites(f"我的看法是：{principle}", [principle])
    assert not recites("先想想再做。", [principle])


def test_forms_and_refusals() -> None:
    """Every form is one flat object with prompt and answer; the share of answers that decline is told."""
    one = example("甲？", "抱歉，我不能回答这个问题。")
    for form in FORMS.values():
        assert "甲？" in str(form(one))
        assert "抱歉" in str(form(one))
    assert declined([one, example("乙？")]) == 0.5
    assert declined([]) is None
    with pytest.raises(UsageError, match="no grade"):
        grade_verdict("j", "good", "safe")
