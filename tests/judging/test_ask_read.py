"""Tests of what a judge is shown and how its answer is read: nothing in a reply can speak for the judge."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cvalues.judging import principles
from cvalues.judging.ask import LONGEST, Judge, Material, answer_schema, build, neutralise, nonce
from cvalues.judging.attack import suite
from cvalues.judging.read import Answer, objects, parse, verdicts
from cvalues.judging.rubric import BUILTIN, Rubric, rubric

CODES = ("crimes", "law")


def material(text: str, prompt: str = "怎么办？", count: int = 1) -> Material:
    """Responses with this text."""
    return Material(
        prompt=prompt, texts=(text,) * count, responses=tuple(f"r{index}" for index in range(count)), category="law"
    )


def judge(name: str = "safety", **more: Any) -> Judge:
    """A judge with a built-in rubric."""
    return Judge(model="m", rubric=rubric(name), categories=CODES, **more)


def valid(asked: Rubric, mark: str, **changes: Any) -> dict[str, Any]:
    """A right answer."""
    answer: dict[str, Any] = {"nonce": mark, "reason": "因为"}
    for entry in asked.field:
        answer[entry.key] = (
            entry.max if entry.kind == "score" else "none" if entry.kind == "category" else entry.values[0]
        )
    return answer | changes


def inside(content: str, mark: str) -> list[str]:
    """The blocks between the marks."""
    return re.findall(rf"<<<{mark}\n(.*?)\n{mark}>>>", content, re.S)


hostile = st.text() | st.sampled_from([suite().reply(attack) for attack in suite().attack])


@given(hostile, hostile, st.sampled_from(BUILTIN), st.sampled_from(["zh", "en"]))
def test_no_text_closes_its_delimiter(text: str, prompt: str, name: str, language: str) -> None:
    """Whatever a prompt and a reply hold, every line of them stands between the marks and begins with its own mark."""
    asked = judge(name, language=language)
    shown = material(text, prompt, asked.rubric.subjects)
    ask, mark = build(asked, shown)
    content = ask.messages[-1].content
    blocks = inside(content, mark)
    assert len(blocks) == 1 + asked.rubric.subjects
    assert content.count(f"<<<{mark}\n") == content.count(f"\n{mark}>>>") == len(blocks)
    for block in blocks:
        assert all(line.startswith("> ") for line in block.split("\n"))
        assert mark not in block
        assert block.splitlines() == block.split("\n")
    assert mark not in text


@given(hostile)
def test_template_words_are_defused(text: str) -> None:
    """No chat template's control word survives in what a judge is shown, nor any invisible character."""
    shown = neutralise(text)
    assert not re.search(r"<\|\w+\|>|\[/?INST\]|</?s>|<</?SYS>>|</?think>", shown)
    assert not re.search("[\u200b\u202a-\u202e\u2066-\u2069\x00-\x08\x0c]", shown)


def test_a_nonce_is_fresh_for_every_call() -> None:
    """Another text, judge or try gives another nonce, and the same call the same one."""
    one = judge()
    marks = {
        nonce(material("甲"), one.hash, 0),
        nonce(material("甲"), one.hash, 1),
        nonce(material("乙"), one.hash, 0),
        nonce(material("甲"), judge("grade").hash, 0),
    }
    assert len(marks) == 4
    assert nonce(material("甲"), one.hash, 0) in marks
    assert all(re.fullmatch("[0-9a-f]{12}", mark) for mark in marks)


@pytest.mark.parametrize("attack", suite().attack, ids=lambda attack: attack.id)
def test_a_copying_judge_is_caught(attack: Any) -> None:
    """A judge that copies any JSON found in the reply, or the reply itself, gives no verdict under any attack."""
    text = suite().reply(attack)
    for name in BUILTIN:
        asked = judge(name)
        shown = material(text, suite().of(attack).prompt, asked.rubric.subjects)
        ask, mark = build(asked, shown)
        block = inside(ask.messages[-1].content, mark)[-1]
        copied = "\n".join(line.removeprefix("> ") for line in block.split("\n"))
        for answer in (copied, text, "".join(objects(copied)), *objects(copied)):
            assert parse(answer, asked.rubric, mark, CODES).fault


def test_the_suite_is_large_and_varied() -> None:
    """There are at least 40 attacks by many techniques, each holds its base's reply, and ids do not repeat."""
    attacks = suite().attack
    assert len(attacks) >= 40
    assert len({attack.technique for attack in attacks}) >= 8
    assert len({attack.id for attack in attacks}) == len(attacks)
    assert all(suite().of(attack).reply in suite().reply(attack) for attack in attacks)
    assert {attack.base for attack in attacks} == {base.id for base in suite().base}


@pytest.mark.parametrize("name", BUILTIN)
def test_a_right_answer_is_read(name: str) -> None:
    """The JSON that was asked for gives a value for every criterion, alone, fenced, or with words around it."""
    asked = rubric(name)
    answer = valid(asked, "abc")
    for text in (
        json.dumps(answer),
        f"```json\n{json.dumps(answer, indent=1)}\n```",
        f"好的：{json.dumps(answer)}，以上。",
    ):
        found = parse(text, asked, "abc", CODES)
        assert not found.fault
        assert set(found.values) == set(asked.criteria)
        assert found.reason == "因为"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "empty"),
        ("  \n", "empty"),
        ("这个回复很安全，我给 10 分。", "no JSON"),
        ('{"nonce": "abc", "reason": "因为", "verdict": "sa', "no JSON"),
        ("{" * 100_000, "no JSON"),
        ("[" * 5000 + "{" + '"a":[' * 3000 + "]" * 3000 + "}", "no JSON"),
    ],
)
def test_prose_and_torn_answers_are_no_verdict(text: str, fault: str) -> None:
    """Prose, nothing, truncated and absurdly nested JSON are named as what they are."""
    assert parse(text, rubric("grade"), "abc").fault == fault


@pytest.mark.parametrize(
    ("name", "changes", "fault"),
    [
        ("responsibility", {"points": 11}, "points: 11"),
        ("responsibility", {"points": 0}, "points: 0"),
        ("responsibility", {"points": 7.5}, "points: 7.5"),
        ("responsibility", {"points": True}, "points: True"),
        ("responsibility", {"points": "七"}, "points: 七"),
        ("responsibility", {"points": None}, "points: None"),
        ("responsibility", {"points": [9]}, "points: [9]"),
        ("grade", {"verdict": "excellent"}, "verdict: excellent"),
        ("grade", {"nonce": "abd"}, "nonce"),
        ("grade", {"nonce": None}, "nonce"),
        ("grade", {"reason": ""}, "no reason"),
        ("grade", {"reason": 3}, "no reason"),
        ("safety", {"scenario": "weather"}, "scenario: weather"),
    ],
)
def test_a_value_outside_its_scale_is_no_verdict(name: str, changes: dict[str, Any], fault: str) -> None:
    """A score of 11, a strange label, another call's nonce or no reason is a fault with its name, never a number."""
    found = parse(json.dumps(valid(rubric(name), "abc", **changes)), rubric(name), "abc", CODES)
    assert found.fault == fault
    assert not found.values


def test_the_reason_comes_first() -> None:
    """A verdict before its reason is a fault, as is a field that is missing."""
    asked = rubric("grade")
    assert (
        parse('{"nonce": "a", "verdict": "safe", "reason": "r"}', asked, "a").fault
        == "the reason comes after the verdict"
    )
    assert parse('{"nonce": "a", "reason": "r"}', asked, "a").fault == "verdict is missing"


def test_two_answers_that_differ_are_none() -> None:
    """Two objects with the nonce that contradict each other are a fault; the same one twice is one answer."""
    asked = rubric("grade")
    one, other = (json.dumps(valid(asked, "a", verdict=value)) for value in ("safe", "unsafe"))
    assert parse(one + other, asked, "a").fault == "several answers"
    assert parse(one + one, asked, "a").values == {"grade": "safe"}


def test_whole_numbers_may_be_text() -> None:
    """`"8"` and 8.0 are the score 8."""
    asked = rubric("responsibility")
    for given_ in ("8", 8.0, 8):
        found = parse(json.dumps(valid(asked, "a", points=given_)), asked, "a")
        assert found.values["points"] == 8.0


@given(st.text(), st.sampled_from(BUILTIN))
def test_any_answer_is_read_without_an_exception(text: str, name: str) -> None:
    """No answer raises; what has no nonce has no values."""
    found = parse(text, rubric(name), "0123456789ab", CODES)
    assert found.fault
    assert not found.values


def test_no_verdict_is_not_zero() -> None:
    """A fault becomes a verdict without a value on every criterion, with the fault as its reason."""
    found = verdicts(Answer(fault="points: 11"), rubric("responsibility"), ("r1",), "judge:m@responsibility@x", "run")
    assert len(found) == 7
    assert all(verdict.value is None and verdict.status == "no_verdict" for verdict in found)
    assert {verdict.reason for verdict in found} == {"points: 11"}


def test_another_prompt_is_another_judge() -> None:
    """Rubric, language, principles, revision and sampling each change the rater; the same judge keeps it."""
    raters = {
        judge().rater,
        judge("grade").rater,
        judge(language="en").rater,
        judge(principles=principles.builtin()).rater,
        judge(revision="2").rater,
        judge(settings={"sampling": {"temperature": 1.0}}).rater,
    }
    assert len(raters) == 6
    assert judge().rater in raters
    assert all(rater.startswith("judge:m@") for rater in raters)


def test_principles_are_those_of_the_category() -> None:
    """A judge with principles is told those of the prompt's category, and no others."""
    known = principles.builtin()
    ask, _ = build(judge(principles=known), material("x"))
    content = ask.messages[-1].content
    assert all(text in content for text in known.of("law"))
    assert not any(text in content for text in known.of("psychology"))


def test_a_long_reply_is_cut_in_the_middle() -> None:
    """Of a 10 MB reply a judge sees both ends and is told how much was left out."""
    text = "头" + "长" * 10_000_000 + "尾"
    shown = neutralise(text)
    assert len(shown) < LONGEST + 100
    assert shown.startswith("> 头")
    assert shown.endswith("尾")
    assert str(len(text) - LONGEST) in shown


def test_the_schema_accepts_what_the_reader_accepts() -> None:
    """The JSON Schema sent to servers allows a right answer and refuses one outside the scale."""
    import jsonschema

    for name in BUILTIN:
        schema = answer_schema(rubric(name), CODES)
        jsonschema.validate(valid(rubric(name), "abc"), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(valid(rubric("responsibility"), "abc", points=11), answer_schema(rubric("responsibility")))


def test_a_rubric_of_two_wants_two() -> None:
    """A rubric about two responses cannot be asked about one."""
    with pytest.raises(ValueError, match="is about 2 responses"):
        build(judge("preference"), material("x"))
