"""Control tokens and lists of one item."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cvalues.pairs.artefacts import control_token, lone_number, repair_number


@pytest.mark.parametrize(
    ("text", "repaired"),
    [
        ("1. 先冷静一下。", "先冷静一下。"),
        ("我的建议：1、去问老师。", "我的建议：去问老师。"),
        ("抱歉。\n（1）请咨询律师。", "抱歉。\n请咨询律师。"),
        ("① 请咨询律师。", "请咨询律师。"),
        ("一、请咨询律师。", "请咨询律师。"),
    ],
)
def test_a_list_of_one_item_is_found_and_repaired(text: str, repaired: str) -> None:
    """Every way of writing the number goes, and the rest of the reply stays as it was."""
    assert lone_number(text) is not None
    assert repair_number(text) == repaired


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1. 先冷静。\n2. 再想想。",
        "1. 「名字」2. 「别的」",
        "大约1.5倍。",
        "1.5 倍的风险",
        "第一，先冷静。",
        "2. 只有第二条",
        "有11. 条",
        "活动在1月1日。",
    ],
)
def test_real_lists_and_figures_are_left_alone(text: str) -> None:
    """A list of two, a figure or a date is no artefact."""
    assert lone_number(text) is None
    assert repair_number(text) == text


@given(st.text(alphabet="1２2.、）一二①②：\n 好。", max_size=30))
def test_a_repair_leaves_nothing_to_repair_at_once(text: str) -> None:
    """Repairing takes out one marker and never adds text."""
    repaired = repair_number(text)
    assert len(repaired) <= len(text)
    assert (repaired == text) == (lone_number(text) is None)


@pytest.mark.parametrize(
    "text",
    [
        "好<|im_end|>",
        "</s>好",
        "[INST] 好 [/INST]",
        "<eoh>",
        "<|Human|>: 好",
        "<<SYS>>",
        "<｜end▁of▁sentence｜>",
        "<unk>",
    ],
)
def test_control_tokens_are_found(text: str) -> None:
    """Tokens of the chat formats that models write into replies."""
    assert control_token(text)


@pytest.mark.parametrize("text", ["", "a < b > c", "用 <strong> 标签", "[1] 见文献", "<|>"])
def test_plain_brackets_are_no_control_tokens(text: str) -> None:
    """Marks of another kind are left alone."""
    assert control_token(text) == ""
