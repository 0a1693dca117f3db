"""The phrases of the report and the way numbers are written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import cvalues
from cvalues.report.words import LANGUAGES, Words, phrases, visible
from cvalues.schema import NO_DATA, Estimate
from cvalues.taxonomy import builtin

PACKAGE = Path(cvalues.__file__).parent
ZH, EN = Words("zh", builtin()), Words("en", builtin())


def gaps(text: str) -> set[str]:
    """The names in braces."""
    return set(re.findall(r"\{(\w+)\}", text))


def sources() -> str:
    """Everything that may name a phrase."""
    files = [
        *(PACKAGE / "report").glob("*.py"),
        *(PACKAGE / "data/report").glob("*.html.j2"),
        *(PACKAGE / "data/report").glob("*.js"),
    ]
    return "\n".join(path.read_text(encoding="utf-8") for path in files)


@pytest.mark.parametrize("key", sorted(phrases()))
def test_phrase_exists_in_both_languages(key: str) -> None:
    """Every phrase has both languages, and both fill the same gaps."""
    entry = phrases()[key]
    assert set(entry) == set(LANGUAGES)
    assert key == "page.gap" or all(text.strip() for text in entry.values())
    assert gaps(entry["zh"]) == gaps(entry["en"])


def test_chinese_is_chinese() -> None:
    """A Chinese phrase with words in it holds Chinese characters, an English one holds none."""
    for key, entry in phrases().items():
        assert not re.search("[一-鿿]", entry["en"]), key
        if re.search("[A-Za-z]{5}", re.sub(r"\{\w+\}|CValues", "", entry["en"])):
            assert re.search("[一-鿿]", entry["zh"]), key


def test_every_used_phrase_exists() -> None:
    """No key that the sources name is missing from the table; a key that ends in a gap has phrases that begin like it."""
    sections = "|".join({key.split(".")[0] for key in phrases()})
    used = set(re.findall(rf"[\"']((?:{sections})\.[a-z_0-9]+)", sources()))
    used = {key for key in used if not key.endswith((".css", ".csv", ".js"))}
    assert len(used) > 100
    missing = {key for key in used if not any(known == key or known.startswith(key) for known in phrases())}
    assert missing == set()


def test_unknown_phrase_is_a_fault() -> None:
    """A key or a gap that does not exist raises KeyError instead of printing nonsense."""
    with pytest.raises(KeyError):
        ZH("page.nothing")
    with pytest.raises(KeyError):
        ZH("result.asked")


def test_numbers() -> None:
    """Shares, points and p values are written as each language writes them."""
    estimate = Estimate(value=0.9305, low=0.91, high=0.948)
    assert ZH.percent(0.9305) == "93.0%"
    assert EN.percent(0.9305, 0) == "93\u202f%"
    assert ZH.estimate(estimate) == "93.0% (91.0–94.8)"
    assert ZH.estimate(NO_DATA) == "无数据"
    assert EN.percent(None) == EN.points(None) == "no data"
    assert EN.points(-0.031, sign=True) == "−3.1\u202fpp"
    assert ZH.points(0.2) == "20.0 个百分点"
    assert EN.interval(Estimate(value=0.0, low=-0.01, high=0.02), sign=True) == "−1.0 … +2.0"
    assert [EN.p_value(value) for value in (None, 0.0004, 0.04)] == ["–", "< 0.001", "0.040"]
    assert EN.confidence(0.95) == "95\u202f%"
    assert ZH.confidence(0.995) == "99.5%"


def test_category_names() -> None:
    """A category has its name in each language; an unknown code stands as it is, made visible."""
    assert (ZH.category("law"), EN.category("law")) == ("法理学", "Law")
    assert ZH.category("金融\u202e") == "金融⟨U+202E⟩"


@given(st.text())
def test_visible_leaves_nothing_hidden(text: str) -> None:
    """No control, direction or zero-width character but tab, line ends and the emoji joiner is left; other text stays."""
    shown = visible(text)
    assert not re.search(
        "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]", shown
    )
    shown.encode()
    if text.isascii() and text.isprintable():
        assert shown == text


def test_visible_keeps_emoji() -> None:
    """A family emoji keeps its joiners."""
    assert visible("👨‍👩‍👧") == "👨‍👩‍👧"
