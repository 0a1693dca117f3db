"""Normalisation, refusal phrases, reasoning and near-duplicates."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cvalues.text import (
    aligned,
    find_refusal,
    fingerprint,
    near_duplicates,
    ngrams,
    normalise,
    refusal_phrases,
    similarity,
    split_reasoning,
)


@pytest.mark.parametrize(
    ("written", "folded"),
    [
        ("", ""),
        ("［回复１］：更好，（Ａ）", "[回复1]:更好,(A)"),
        ("①②❶⑵", "1212"),
        ("1️⃣ 🅰", "1 A"),
        ("\ufeff回\u200b复\u00ad1\x00", "回复1"),
        ("a\u3000\u00a0\tb\r\nc\rd", "a b\nc\nd"),
        ("我認為回覆１較為負責任，沒有風險", "我认为回覆1较为负责任,没有风险"),
        ("【回复一】’s", "[回复一]'s"),
    ],
)
def test_normalise_folds_what_readers_meet(written: str, folded: str) -> None:
    """Width, circled digits, keycaps, invisible characters, spaces, line ends and traditional characters are folded."""
    assert normalise(written) == folded


@given(st.text())
def test_normalise_is_idempotent(text: str) -> None:
    """Normalising twice changes nothing more."""
    once = normalise(text)
    assert normalise(once) == once


@given(st.text(alphabet=st.characters(codec="utf-8")))
def test_aligned_keeps_places(text: str) -> None:
    """The folded form has the length of the cleaned text, so that evidence can be quoted as written."""
    raw, folded = aligned(text)
    assert len(raw) == len(folded)


def test_traditional_table_is_stable_and_large() -> None:
    """The table holds more than a thousand characters and no simplified character is itself replaced."""
    traditional = "臺灣學習責任與風險評價選擇兩個後者"
    assert normalise(traditional) == "台湾学习责任与风险评价选择两个后者"


def test_fingerprint_drops_case_spaces_and_punctuation() -> None:
    """Two spellings of one prompt have one fingerprint, and punctuation alone has an empty one."""
    assert fingerprint("Ｈello，  世界！") == fingerprint("hello 世界") == "hello世界"
    assert fingerprint("…！") == ""


def test_ngrams_and_their_edges() -> None:
    """Runs of n characters; a shorter text is its own run, an empty one has none, n below 1 is refused."""
    assert ngrams("abcd", 3) == {"abc", "bcd"}
    assert ngrams("ab", 3) == {"ab"}
    assert ngrams("", 3) == frozenset()
    with pytest.raises(ValueError, match="n must be >= 1, got 0"):
        ngrams("abc", 0)


def test_similarity_is_jaccard_of_trigrams() -> None:
    """A hand-worked value: {abc, bcd} and {bcd, cde} share one of three."""
    assert similarity("abcd", "bcde") == pytest.approx(1 / 3)
    assert similarity("", "!") == 1.0
    assert similarity("abc", "") == 0.0


def test_near_duplicates_finds_close_and_equal_texts() -> None:
    """Equal fingerprints pair with the first at 1.0; close texts pair with their exact similarity; others do not."""
    base = "怎样礼貌地提醒邻居晚上不要大声说话以免影响孩子休息"
    texts = [base, "完全不同的一个问题在这里", base + "？", base.replace("孩子", "老人"), ""]
    found = near_duplicates(texts, 0.5)
    assert found == [(0, 2, 1.0), (0, 3, similarity(texts[0], texts[3]))]
    assert near_duplicates([]) == []
    assert near_duplicates(["", "a"]) == []


@given(st.lists(st.text(alphabet="abc好", max_size=12), max_size=12), st.sampled_from([0.6, 0.8, 1.0]))
def test_near_duplicates_are_verified(texts: list[str], threshold: float) -> None:
    """Every pair found has the similarity stated, at or above the threshold, in order and once."""
    found = near_duplicates(texts, threshold)
    assert found == sorted({(i, j): (i, j, s) for i, j, s in found}.values())
    assert all(i < j and s == similarity(texts[i], texts[j]) >= threshold for i, j, s in found)


@pytest.mark.parametrize("threshold", [0.0, 1.5])
def test_near_duplicates_refuses_a_senseless_threshold(threshold: float) -> None:
    """The message says the range and the value."""
    with pytest.raises(ValueError, match="threshold must be in"):
        near_duplicates(["a"], threshold)


@pytest.mark.slow
def test_near_duplicates_of_150_000_prompts() -> None:
    """A data set of 150,000 short prompts of one template, the worst case, takes under a minute of one processor."""
    texts = [f"如果遇到第{i % 500}种情况{i * 7919 % 100_003}应该怎么办才好" for i in range(150_000)]
    start = time.process_time()
    near_duplicates(texts)
    assert time.process_time() - start < 60


@pytest.mark.parametrize(
    ("text", "answer", "reasoning"),
    [
        ("", "", ""),
        ("回复1", "回复1", ""),
        ("<think>a</think>b", "b", "a"),
        ("a</think>\n\nb", "b", "a"),
        ("<think>a", "", "a"),
        ("<thinking>a</thinking>b", "b", "a"),
        ("<|begin_of_thought|>a<|end_of_thought|><|begin_of_solution|>b<|end_of_solution|>", "b", "a"),
        ("<think>a</think>b<think>c</think>d", "d", "ab" + "c"),
        ("◁think▷a◁/think▷b", "b", "a"),
        ("1 < 2 [x]", "1 < 2 [x]", ""),
    ],
)
def test_split_reasoning(text: str, answer: str, reasoning: str) -> None:
    """What stands after the last closing tag is the answer; an unclosed tag leaves none."""
    assert split_reasoning(text) == (answer, reasoning)


def test_refusal_phrases_are_named_once() -> None:
    """Names are unique, both languages are there and every kind is known."""
    phrases = refusal_phrases()
    assert len({phrase.name for phrase in phrases}) == len(phrases)
    assert {phrase.language for phrase in phrases} == {"zh", "en"}
    assert {phrase.kind for phrase in phrases} == {"engage", "choose", "weak"}


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("抱歉，我無法回答這個問題。", "engage"),
        ("我不能在兩者之間做出選擇", "choose"),
        ("I’m sorry, but I can’t assist with that.", "engage"),
        ("作为AI语言模型，我认为回复1更好", "weak"),
        ("回复1更好。", None),
        ("", None),
    ],
)
def test_find_refusal(text: str, kind: str | None) -> None:
    """Strong phrases come before a mere disclaimer, in both scripts and with curly apostrophes."""
    found = find_refusal(text)
    assert (found.kind if found else None) == kind
