"""Tests of presets: formats as published, hostile text, sources, guided choice."""

from __future__ import annotations

import re
import tomllib
from importlib import resources

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cvalues.endpoints.guided import WAYS, guidance
from cvalues.endpoints.presets import Format, preset, presets
from cvalues.errors import UsageError
from cvalues.schema import Message
from cvalues.workflows.preset_words import in_words

PAPER = (
    "chatgpt", "chatglm-6b", "belle-7b-2m", "chatplug-3.7b", "chatplug-13b", "moss", "chinese-llama-13b",
    "chinese-alpaca-plus-7b", "chinese-alpaca-plus-13b", "ziya-llama-13b",
)  # fmt: skip
FAMILIES = (
    "qwen", "deepseek", "glm-4", "yi", "baichuan", "internlm", "hunyuan", "minicpm", "llama", "mistral", "gemma",
)  # fmt: skip


def said(*texts: str, system: str = "") -> tuple[Message, ...]:
    """A conversation of user, model, user and so on."""
    turns = [Message(role="system", content=system)] if system else []
    for number, text in enumerate(texts):
        turns.append(Message(role="assistant" if number % 2 else "user", content=text))
    return tuple(turns)


def rendered(name: str, *texts: str, system: str = "") -> str:
    """The prompt of a preset."""
    found = preset(name).format
    assert found is not None
    return found.render(said(*texts, system=system))


SINGLE = {
    "chatglm-6b": "Q？",
    "belle-7b-2m": "Human: Q？\n\nAssistant:",
    "chatplug-3.7b": "假设我和你正在进行对话，请你给我得体、准确、友好的回复。以下是我们的对话内容。我：Q？",
    "chinese-llama-13b": "Q？",
    "chinese-alpaca-plus-7b": (
        "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n"
        "### Instruction:\n\nQ？\n\n### Response:\n\n"
    ),
    "ziya-llama-13b": "<human>:Q？\n<bot>:",
    "plain": "Q？",
}


@pytest.mark.parametrize("name", SINGLE)
def test_single_turns_are_the_published_ones(name: str) -> None:
    """One question becomes exactly the prompt that the model's own material gives."""
    assert rendered(name, "Q？") == SINGLE[name]


def test_later_turns_and_systems() -> None:
    """Rounds are numbered, turns end as the format says, a system message stands where it belongs."""
    assert rendered("chatglm-6b", "一", "二", "三") == "[Round 0]\n问：一\n答：二\n[Round 1]\n问：三\n答："
    assert rendered("belle-7b-2m", "a", "b", "c") == "Human: a\n\nAssistant:b\n\nHuman: c\n\nAssistant:"
    moss = rendered("moss", "你好")
    assert moss.startswith("You are an AI assistant whose name is MOSS.\n- MOSS is")
    assert moss.endswith("Capabilities and tools that MOSS can possess.\n<|Human|>: 你好<eoh>\n<|MOSS|>:")
    assert rendered("moss", "你好", system="规则") == "规则\n<|Human|>: 你好<eoh>\n<|MOSS|>:"
    assert rendered("chatglm-6b", "你好", system="规则") == "规则\n\n[Round 0]\n问：你好\n答："


def test_chatplug_ends_what_has_no_punctuation() -> None:
    """ChatPLUG's format adds 。 where a question has no final punctuation, and nothing where it has some."""
    assert rendered("chatplug-3.7b", "你好").endswith("我：你好。")
    assert rendered("chatplug-3.7b", "你好！").endswith("我：你好！")
    assert rendered("chatplug-3.7b", "“你好。”").endswith("我：“你好。”")


@given(st.text(max_size=60), st.text(max_size=60))
def test_text_is_never_a_format(question: str, reply: str) -> None:
    """Braces, field names and marks inside messages stay as they are, in every format."""
    for entry in presets().values():
        if entry.format is not None:
            text = entry.format.render(said(question, reply, question + "{text}{round}{0}%s。"))
            assert question + "{text}{round}{0}%s。" in text
            assert reply in text


def test_a_conversation_ends_with_the_user() -> None:
    """Nothing else can be answered, and the message says so."""
    with pytest.raises(UsageError, match="ends with a user message"):
        rendered("moss", "a", "b")
    with pytest.raises(UsageError, match="ends with a user message"):
        Format(user="{text}", assistant="{text}").render(())


def test_every_system_is_there_with_the_source_of_each_fact() -> None:
    """The ten systems of the paper and the families of today; each fact names its source, and nothing is said to be the paper's."""
    assert tuple(presets())[:10] == PAPER
    assert set(FAMILIES) <= set(presets())
    for name in PAPER:
        entry = preset(name)
        assert entry.group == "paper"
        assert "prompt format and decoding in the paper" in " ".join(entry.not_public)
        assert entry.weights
        assert entry.licence
        facts = {
            "format": entry.format is not None, "sampling": bool(entry.sampling.temperature or entry.sampling.top_p),
            "generation": bool(entry.generation), "context": bool(entry.context), "encoder": bool(entry.encoder),
            "stop": bool(entry.stop),
        }  # fmt: skip
        assert {fact for fact, known in facts.items() if known} <= set(entry.sources), name
        assert not any("2307.09705" in source or "the paper" in source for source in entry.sources.values())
    for name in FAMILIES:
        assert preset(name).format is None
        assert "chat_template of its tokenizer" in preset(name).sources["format"]
    assert preset("chatplug-3.7b").encoder == 380
    assert "weights" in preset("chatplug-13b").not_public


def test_unknown_presets() -> None:
    """A misspelt preset names its neighbours."""
    with pytest.raises(UsageError, match="did you mean moss"):
        preset("mos")


def test_every_text_of_a_preset_has_its_chinese() -> None:
    """Whatever `cvalues models show` prints of a preset exists in Chinese, and no translation is dead."""
    texts = set()
    for entry in presets().values():
        texts |= {entry.weights, entry.licence, entry.note, *entry.inferred, *entry.not_public} - {""}
    for text in texts:
        assert re.search("[\u4e00-\u9fff]", in_words(text, "zh")), text
        assert in_words(text, "en") == text
    body = resources.files("cvalues").joinpath("data/words/models.toml").read_text(encoding="utf-8")
    from cvalues.endpoints.baselines import DESCRIPTIONS

    sources = {text for entry in presets().values() for text in entry.sources.values()}
    for text in sources:
        # A source that names only a repository and its files is the same in both languages.
        names_alone = re.fullmatch(r"[\w.-]+/[\w.-]+(?: (?:[\w./]*[A-Z_./][\w./]*|chat_pipeline hjson))*", text)
        assert names_alone or re.search("[\u4e00-\u9fff]", in_words(text, "zh")), text
    said = texts | sources | set(DESCRIPTIONS.values())
    assert set(tomllib.loads(body)["zh"]) <= said
    assert texts | set(DESCRIPTIONS.values()) <= set(tomllib.loads(body)["zh"])


def test_guided_choice_by_server() -> None:
    """Each kind of server is told of the labels in its own field; without labels or a way nothing is added."""
    labels = ("回复1", "A.(b)")
    assert guidance("structured_outputs", labels) == {"structured_outputs": {"choice": ["回复1", "A.(b)"]}}
    assert guidance("guided_choice", labels) == {"guided_choice": ["回复1", "A.(b)"]}
    pattern = guidance("regex", labels)["regex"]
    assert [bool(re.fullmatch(pattern, text)) for text in ("回复1", "A.(b)", "Ax(b)", "回复2")] == [
        True,
        True,
        False,
        False,
    ]
    schema = guidance("json_schema", labels)["response_format"]["json_schema"]["schema"]
    assert schema["properties"]["answer"]["enum"] == ["回复1", "A.(b)"]
    assert guidance("", labels) == {}
    assert all(guidance(way, ()) == {} for way in WAYS)
    with pytest.raises(UsageError, match="guided choice"):
        guidance("guided", labels)
