"""Typed values out of one row."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cvalues.datasets.columns import FIELDS, Names, fold
from cvalues.datasets.row import Row, place
from cvalues.datasets.shapes import CODES, WARNINGS, abbreviate
from cvalues.taxonomy import builtin


def row(max_length: int = 50, **fields: Any) -> Row:
    """A row of a file called f."""
    names = Names()
    return Row(names.rename(fields), 7, 1, place("f", "mine", builtin(), max_length=max_length))


def codes(entry: Row) -> list[str]:
    """The codes of all faults."""
    return [fault.code for fault in entry.faults]


@pytest.mark.parametrize(
    ("name", "field"),
    [("提示", "text"), ("问题", "question"), ("类别", "category"), ("层级", "level"), ("回复1", "reply_1"), ("回复２", "reply_2"),
     ("Reply 1", "reply_1"), ("TEXT", "text"), (" ID ", "id"), ("拒绝&正向建议", "responsible"), ("License", "licence"),
     ("主题", "主题")],
)  # fmt: skip
def test_names_are_understood(name: str, field: str) -> None:
    """Chinese and English names, in any width and case, mean their field; other names stay."""
    assert Names()[name] == field


def test_a_users_column_goes_before_the_table() -> None:
    """A column that the user names takes the field's place, and one of that very name becomes a tag."""
    names = Names({"text": "Frage"})
    renamed = names.rename({"Frage": "a", "text": "b"})
    assert renamed == {"text": "a", "text*": "b"}


def test_of_two_names_for_one_field_the_filled_one_counts() -> None:
    """An empty 提示 beside a filled `text` does not hide it."""
    assert Names().rename({"提示": "", "text": "a"}) == {"text": "a"}
    assert Names().rename({"提示": "x", "text": "a"}) == {"text": "x"}


@given(st.sampled_from(sorted(FIELDS)))
def test_every_field_means_itself(field: str) -> None:
    """A field name is its own meaning unless it is another field's alias."""
    assert Names()[field] in FIELDS
    assert fold(field) == field


@pytest.mark.parametrize(
    ("value", "code"),
    [("", "empty"), ("  ", "empty"), (None, "empty"), (3, "type"), ("a\x00b", "control"), ("a\ufffd", "control"),
     (" a", "stray_space"), ("a\n", "stray_space"), ("a" * 51, "overlong"), ("a\tb\nc", "")],
)  # fmt: skip
def test_texts_are_checked(value: object, code: str) -> None:
    """Each way in which a text can be wrong has its code; tabs and line ends inside a text are allowed."""
    entry = row(text=value)
    text = entry.text("text")
    assert codes(entry) == ([code] if code else [])
    assert "\x00" not in text
    assert not any(0xD800 <= ord(char) < 0xE000 for char in text)


def test_lone_surrogates_are_control_characters() -> None:
    """A lone surrogate is a fault and becomes U+FFFD, so that the text can be stored."""
    entry = row(text="a" + chr(0xD800))
    assert entry.text("text") == "a\ufffd"
    assert codes(entry) == ["control"]


def test_an_absent_text_is_missing() -> None:
    """A field that is not there at all is called missing."""
    entry = row()
    assert not entry.text("text")
    assert codes(entry) == ["missing"]


@pytest.mark.parametrize(
    ("value", "side"), [("1", 1), (2, 2), ("回复1", 1), ("[回复2]", 2), ("回复２", 2), ("B", 2), ("a", 1)]
)
def test_sides_are_read(value: object, side: int) -> None:
    """Numbers, 回复1/2 in any width or brackets, and letters name a reply."""
    assert row(better=value).side("better") == side


@pytest.mark.parametrize(
    ("value", "grade"),
    [
        ("拒绝&正向建议", "responsible"),
        ("拒绝＆正向建议", "responsible"),
        ("拒绝为主", "safe"),
        ("风险回复", "unsafe"),
        ("SAFE", "safe"),
    ],
)
def test_grades_are_read(value: str, grade: str) -> None:
    """The three types of CValues-Comparison and our own words are grades."""
    assert row(g=value).grade("g") == grade


def test_a_word_outside_its_list_is_a_fault() -> None:
    """A value that a table does not hold is None with a fault that says what may stand there."""
    entry = row(better="3", level="x", benign="maybe")
    assert entry.side("better") is None
    assert entry.level("") is None
    assert entry.truth("benign") is None
    assert codes(entry) == ["value", "value", "value"]
    assert str(entry.faults[0]) == "f:7: better: expected 1 or 2 (回复1 or 回复2), found '3' [value]"


@pytest.mark.parametrize("name", ["law", "法理学", "Law", " LAW "])
def test_categories_go_by_code_and_by_name(name: str) -> None:
    """Code, Chinese and English name mean the same category."""
    assert row(category=name).category(needed=True) == "law"


def test_an_unknown_category_keeps_its_name() -> None:
    """A category outside the taxonomy is a fault with the nearest name, and stays as written."""
    entry = row(category="laws")
    assert entry.category(needed=True) == "laws"
    assert codes(entry) == ["unknown_category"]
    assert "did you mean law?" in str(entry.faults[0])


def test_levels_come_from_the_row_or_the_category() -> None:
    """The row's own level counts, the category's stands in, a contradiction is a warning, neither is a block."""
    assert row(level="责任").level("") == 2
    assert row().level("law") == 2
    entry = row(level=1)
    assert entry.level("law") == 1
    assert codes(entry) == ["level"]
    assert "level" in WARNINGS
    entry = row()
    entry.need_level("")
    assert entry.blocked


def test_bare_numbers_get_the_name_of_the_set() -> None:
    """A number alone is no id across sets; any other id is kept."""
    assert row(id_=12).given_id() == "mine/12"
    assert row(id="x-12").given_id() == "x-12"
    assert not row().given_id()


def test_tags_hold_what_nobody_read() -> None:
    """Fields left over become tags as strings, nested ones as JSON; tags may be an object, JSON or name=value."""
    entry = row(text="a", topic=" x ", n=3, deep={"b": 1}, none=None, tags="k=v；l=w")
    entry.text("text")
    assert entry.rest() == {"topic": "x", "n": "3", "deep": '{"b":1}', "k": "v", "l": "w"}
    assert row(tags='{"a": 1}').rest() == {"a": "1"}
    assert row(tags={"a": "b"}).rest() == {"a": "b"}
    assert codes(entry).count("stray_space") == 1


def test_a_misspelt_field_is_warned_of() -> None:
    """A name that is nearly a field's is a warning that names it; another name is only new."""
    entry = row(catagory="law", colour="red")
    entry.rest()
    assert codes(entry) == ["unknown_field", "new_field"]
    assert "did you mean category?" in str(entry.faults[0])
    assert all(fault.severity == "warning" for fault in entry.faults)


def test_every_warning_is_a_code_with_a_meaning() -> None:
    """Warnings are a part of the codes, and every code has a meaning."""
    assert set(CODES) >= WARNINGS
    assert all(CODES.values())


@given(st.text())
def test_messages_can_be_shown(text: str) -> None:
    """An abbreviated value is printable, encodable and short."""
    shown = abbreviate(text)
    assert shown.isprintable()
    shown.encode()
    assert len(shown) < 450
