"""The words of the pages: each that is asked for exists in both languages, and none stands there for nothing."""

from __future__ import annotations

import re
from pathlib import Path
from string import Formatter

import pytest

from cvalues.people import words as people_words
from cvalues.people.web.words import PAGES, choose, scripts, text

SOURCE = Path(__file__).resolve().parents[3] / "src/cvalues"
DATA = SOURCE / "data/people/web"


def asked() -> tuple[set[str], set[str]]:
    """Keys that pages, scripts and handlers name in full, and beginnings of keys that end in a value."""
    whole: set[str] = set()
    begun: set[str] = set()
    for path in (DATA / "pages").glob("*.j2"):
        for key, more in re.findall(r"\bt\('([\w.\-]+)'(\s*~)?", path.read_text("utf-8")):
            (begun if more else whole).add(key)
    for path in (DATA / "static").glob("*.js"):
        script = path.read_text("utf-8")
        whole |= {f"script.{key}" for key in re.findall(r'say\("(\w+)"', script)}
        whole |= {
            f"script.{key}"
            for pair in re.findall(r'\? "(\w+)" : "(\w+)"', script)
            for key in pair
            if f"script.{key}" in PAGES
        }
        whole |= {f"script.{key}" for key in re.findall(r'(?:return|\?) \["(\w+)", "\w+"\]', script)}
        begun |= {f"script.{key}" for key in re.findall(r"say\(`(\w+)\$", script)}
    for path in [*(SOURCE / "people/web").glob("*.py"), SOURCE / "cli/people_serve.py"]:
        whole |= set(re.findall(r'(?:self|text)\("([\w]+\.[\w\-]+)"', path.read_text("utf-8")))
    return whole, begun


def test_every_word_exists() -> None:
    """What a page or script asks for is there."""
    known = set(PAGES) | set(people_words.PHRASES)
    whole, begun = asked()
    assert whole - known == set()
    assert {key for key in begun if not any(one.startswith(key) for one in known)} == set()


def test_no_word_is_dead() -> None:
    """Every word of the pages is asked for somewhere."""
    whole, begun = asked()
    dead = {key for key in PAGES if key not in whole and not any(key.startswith(one) for one in begun)}
    assert dead == set()


@pytest.mark.parametrize("key", sorted(PAGES))
def test_both_languages_hold_the_same_values(key: str) -> None:
    """Chinese and English of a phrase exist, differ, and name the same values."""
    zh, en = PAGES.table[key]["zh"], PAGES.table[key]["en"]
    assert zh
    assert en
    names = [{name for _, name, _, _ in Formatter().parse(one) if name} for one in (zh, en)]
    assert names[0] == names[1]
    assert re.search(r"[\u4e00-\u9fff]", zh)
    assert not re.search(r"[\u4e00-\u9fff]", en)


def test_choosing_a_language() -> None:
    """The account's language comes before the cookie's, that before the browser's; Chinese where none says anything known."""
    assert choose("zh", "en", "fr") == "en"
    assert choose("en", None, "zh-CN") == "en"
    assert choose(None, None, "fr-FR, en;q=0.8, zh;q=0.5") == "en"
    assert choose("xx", "yy", "") == "zh"
    assert scripts("en")["sent"] == text("script.sent", "en")
