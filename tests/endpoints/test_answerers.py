"""The built-in models that write: what they retrieve, what they choose, and the order that is known of them."""

from __future__ import annotations

import asyncio

import pytest

from cvalues.datasets import starter
from cvalues.endpoints.answerers import DESCRIPTIONS, Answerer
from cvalues.endpoints.baselines import DESCRIPTIONS as ALL
from cvalues.endpoints.baselines import baseline
from cvalues.errors import CallError
from cvalues.judging.embedded import embedded, grade_model
from cvalues.judging.refusal import detect_all
from cvalues.schema import GRADES, Message, Mode, Option, Request

NAMES = ("careless", "guarded", "careful")
"""From the worst to the best."""


def request(
    text: str, *, mode: Mode = "generate", options: tuple[str, ...] = (), sample: int = 0, question: str = ""
) -> Request:
    """A request with a system prompt, an earlier turn and one last user message."""
    turns = (("system", "你是助手。"), ("user", "早。"), ("assistant", "早上好。"), ("user", text))
    return Request(
        mode=mode,
        model="m",
        messages=tuple(Message(role=role, content=content) for role, content in turns),  # type: ignore[arg-type]
        options=tuple(Option(label=f"回复{place}", text=option) for place, option in enumerate(options, 1)),
        question=question,
        sample=sample,
    )


def ask(name: str, asked: Request) -> str:
    """The text of the answer."""
    return asyncio.run(baseline(name).ask(asked)).text


@pytest.fixture(scope="module")
def replies() -> dict[str, list[str]]:
    """What each answerer says to the held-out prompts."""
    models = {name: Answerer(name) for name in NAMES}
    return {name: [model.reply(prompt.text) for prompt in starter.prompts("heldout")] for name, model in models.items()}


def test_they_are_listed_and_can_do_both() -> None:
    """The three answerers stand in the list of built-in models, write and choose, and are known by what they hold."""
    assert set(DESCRIPTIONS) == set(NAMES) < set(ALL)
    models = [baseline(name) for name in NAMES]
    assert all(model.modes == {"generate", "choose"} for model in models)
    assert len({model.revision for model in models}) == 3
    assert [model.revision for model in models] == [baseline(name).revision for name in NAMES]
    assert [model.name for model in models] == [f"baseline:{name}" for name in NAMES]


def test_they_know_the_train_split_alone(replies: dict[str, list[str]]) -> None:
    """Every reply is one of the train split: of its own grade to an alarming prompt, or to a benign twin."""
    entries = starter.graded("train")
    for name, grade in zip(NAMES, GRADES[:1] + GRADES[1:], strict=True):
        own = {entry.replies[grade] for entry in entries}
        twins = {entry.twin.refusal if name == "guarded" else entry.twin.helpful for entry in entries if entry.twin}
        assert set(replies[name]) <= own | twins
        assert len(set(replies[name]) & own) > 20


def test_the_last_user_message_is_answered_as_the_nearest_other_prompt() -> None:
    """A prompt of the train split in other words gets its reply; the very prompt gets that of another; earlier turns do not count."""
    entry = starter.graded("train")[0]
    assert ask("careful", request(entry.prompt.text + "请问。")) == entry.replies["responsible"]
    assert ask("guarded", request(entry.prompt.text + "请问。")) == entry.replies["safe"]
    assert ask("careless", request(entry.prompt.text + "请问。")) == entry.replies["unsafe"]
    assert ask("careless", request(entry.prompt.text)) != entry.replies["unsafe"]


def test_samples_go_down_the_list() -> None:
    """Sample k is the reply of the k-th nearest prompt: all differ at first, the same number gives the same, and the list starts again."""
    model = Answerer("careful")
    prompt = starter.prompts("heldout")[0].text
    samples = [model.reply(prompt, number) for number in range(5)]
    assert len(set(samples)) == 5
    assert samples == [ask("careful", request(prompt, sample=number)) for number in range(5)]
    size = len(model._entries)
    assert model.reply(prompt, size) == samples[0]


def test_they_choose_what_is_nearer_to_their_own_reply() -> None:
    """The option that is their reply wins in both orders, with scores; equal options name none."""
    prompt = starter.prompts("heldout")[1].text
    own = Answerer("guarded").reply(prompt)
    for options, label in (
        ((own, "别的话。"), "回复1"),
        (("别的话。", own), "回复2"),
        ((own, own), ""),
        (("", ""), ""),
    ):
        answer = asyncio.run(baseline("guarded").ask(request("全文", mode="choose", options=options, question=prompt)))
        assert answer.text == label
        assert set(answer.option_scores) == {"回复1", "回复2"}


def test_what_cannot_be_answered_is_a_failed_call() -> None:
    """No message and a wrong number of options are explained; neither is a response."""
    with pytest.raises(CallError, match="was asked nothing"):
        ask("careful", request("  "))
    with pytest.raises(CallError, match="chooses between two replies and was given 1"):
        ask("careful", request("问", mode="choose", options=("一",)))


def test_any_text_is_answered() -> None:
    """A prompt that shares nothing with the train split still gets a reply, the same every time."""
    for text in ("zzzz", "😂", "?" * 100_000, "{0} %s ../../etc"):
        assert ask("careful", request(text)) == ask("careful", request(text)) != ""


def test_the_known_order_holds_on_both_levels(replies: dict[str, list[str]]) -> None:
    """As judged by the grade model and by the known grades: careless < guarded < careful on level 2, careless below both on level 1."""
    known = {entry.replies[grade]: grade for entry in starter.graded("train") for grade in GRADES}
    for grades in (
        {name: grade_model().grades(texts) for name, texts in replies.items()},
        {name: [known[text] for text in texts if text in known] for name, texts in replies.items()},
    ):
        means = {name: sum(GRADES.index(grade) for grade in found) / len(found) for name, found in grades.items()}
        safe = {name: sum(grade != "unsafe" for grade in found) / len(found) for name, found in grades.items()}
        assert means["careless"] + 0.3 < means["guarded"] < means["careful"] - 0.3
        assert safe["careless"] + 0.5 < min(safe["guarded"], safe["careful"])


def test_the_guarded_one_refuses_most(replies: dict[str, list[str]]) -> None:
    """As the detector reads them, guarded refuses more than careful, and careful more than careless; on benign twins as well."""
    shares = {name: sum(reading.value != "none" for reading in detect_all(texts)) for name, texts in replies.items()}
    assert shares["guarded"] > shares["careful"] > shares["careless"]
    twins = [twin.text for twin in starter.twins("heldout")]
    refused = {
        name: sum(reading.value != "none" for reading in detect_all([Answerer(name).reply(text) for text in twins]))
        for name in NAMES
    }
    assert refused["guarded"] > 2 * max(refused["careful"], refused["careless"])


def test_every_embedded_judge_sees_the_order(replies: dict[str, list[str]]) -> None:
    """Each judge of `safe` calls careless unsafe more often than the other two."""
    for name in ("rule:safety", "baseline:grade"):
        judge = embedded(name)
        unsafe = {
            each: sum(verdict["safe"][0] == "unsafe" for verdict in judge.judge("", texts))
            for each, texts in replies.items()
        }
        assert unsafe["careless"] > max(unsafe["guarded"], unsafe["careful"])
