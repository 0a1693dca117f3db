"""Tests of rubrics, principles and criteria: data that is right, and errors that say where it is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from cvalues.criteria import criteria, criterion
from cvalues.errors import ConfigError, UsageError
from cvalues.judging import principles
from cvalues.judging.rubric import BUILTIN, parse, rubric
from cvalues.taxonomy import builtin

GOOD = """name = "own"
zh = "自定"
en = "Own"

[instruction]
zh = "判断"
en = "Decide"

[[field]]
key = "verdict"
kind = "choice"
criterion = "safe"
values = ["safe", "unsafe"]
zh = "结论"
en = "verdict"
"""


@pytest.mark.parametrize("name", BUILTIN)
def test_builtin_rubrics_are_whole(name: str) -> None:
    """Every built-in rubric parses, speaks both languages, and names only criteria that exist."""
    found = rubric(name)
    assert found.name == name
    assert found.told("zh") != found.told("en")
    assert set(found.criteria) <= set(criteria())
    assert all(entry.zh and entry.en for entry in found.field)


def test_responsibility_has_anchors() -> None:
    """The responsibility rubric describes the points 1, 3, 5, 7 and 10 and scores each of the six criteria, points last."""
    found = rubric("responsibility")
    for language in ("zh", "en"):
        assert all(f"\n{anchor} = " in found.told(language) for anchor in (1, 3, 5, 7, 10))
    assert len([name for name in found.criteria if name.startswith("quality/")]) == 6
    assert found.criteria[-1] == "points"


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ('kind = "choice"', 'kind = "guess"', 11, "guess"),
        ('criterion = "safe"', 'criterion = "sanity"', 12, "is no criterion"),
        ('values = ["safe", "unsafe"]', 'values = ["safe"]', 13, "two or more of"),
        ('values = ["safe", "unsafe"]', 'values = ["safe", "bad"]', 13, "two or more of"),
        ('key = "verdict"', 'key = "nonce"', 10, "lower-case letters"),
        ('criterion = "safe"', 'criterion = "points"', 11, "use kind = 'score'"),
        ('name = "own"', "name = 3", 1, "str"),
        ('zh = "自定"', "zh = [", 3, ""),
        ('en = "verdict"', 'en = "verdict"\nweight = 3', 16, "weight"),
        ("[instruction]", "subjects = 2\n[instruction]", 13, "subjects = 2"),
    ],
)
def test_a_fault_names_its_line(old: str, new: str, line: int, words: str) -> None:
    """A rubric with a fault is refused with file:line and what is wrong."""
    with pytest.raises(ConfigError) as caught:
        parse(GOOD.replace(old, new, 1).encode(), "own.toml")
    assert str(caught.value).startswith(f"own.toml:{line}:")
    assert words in str(caught.value)


def test_a_score_must_fit_its_criterion() -> None:
    """A score field outside its criterion's range is refused."""
    bad = GOOD.replace('kind = "choice"', 'kind = "score"').replace('criterion = "safe"', 'criterion = "points"')
    with pytest.raises(ConfigError, match="within 1 and 10"):
        parse(bad.replace('values = ["safe", "unsafe"]', "min = 0\nmax = 10").encode(), "own.toml")


def test_a_key_twice_is_refused() -> None:
    """Two fields of one key or criterion are refused at the second."""
    field = GOOD[GOOD.index("[[field]]") :]
    with pytest.raises(ConfigError, match=r"own\.toml:18: .*given twice"):
        parse(f"{GOOD}\n{field}".encode(), "own.toml")


def test_a_rubric_of_ones_own(tmp_path: Path) -> None:
    """A rubric file is read from its path, with BOM too, and another wording is another hash; unknown names are told the known."""
    path = tmp_path / "own.toml"
    path.write_text(GOOD, encoding="utf-8-sig")
    found = rubric(str(path))
    assert found.criteria == ("safe",)
    path.write_text(GOOD.replace("判断", "请判断"), encoding="utf-8")
    assert rubric(str(path)).hash != found.hash
    with pytest.raises(UsageError, match="safety"):
        rubric("saftey")


def test_not_utf8_is_told() -> None:
    """A rubric in another encoding is refused with the byte."""
    with pytest.raises(ConfigError, match="is not UTF-8"):
        parse(GOOD.encode("gb18030"), "own.toml")


def test_every_category_has_principles() -> None:
    """Every scenario and domain has principles of its own, in both languages and equally many."""
    known = principles.builtin()
    for category in builtin().categories:
        assert len(known.of(category.code, "zh")) >= 4
        assert len(known.of(category.code, "en")) == len(known.of(category.code, "zh"))


def test_own_principles_add_or_replace(tmp_path: Path) -> None:
    """A file of principles adds to the built-in ones, or replaces them when it says so, and changes the id."""
    path = tmp_path / "p.toml"
    path.write_text('version = 2\n[[set]]\nid = "x"\ncategories = ["law"]\nzh = ["先问清事实"]\n', encoding="utf-8")
    added = principles.load(path)
    assert added.of("law")[-1] == "先问清事实"
    assert added.of("law", "en")[-1] == "先问清事实"
    assert added.id != principles.builtin().id
    path.write_text(f"replace = true\n{path.read_text(encoding='utf-8')}", encoding="utf-8")
    assert principles.load(path).of("law") == ("先问清事实",)
    assert principles.load(path).of("crimes") == ()


@pytest.mark.parametrize("body", ["version = 'x'", 'version = 1\n[[set]]\nid = "x"\ncategories = []\nzh = ["a"]'])
def test_wrong_principles_are_refused(tmp_path: Path, body: str) -> None:
    """A file of principles that is not one is refused with its path."""
    path = tmp_path / "p.toml"
    path.write_text(body, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"p\.toml"):
        principles.load(path)


def test_criteria_code_their_values() -> None:
    """Labels are coded by their place, numbers stay, and anything else has no code."""
    assert criterion("grade").code("responsible") == 2.0
    assert criterion("points").code(7) == 7.0
    assert criterion("safe").code("nonsense") is None
    assert criterion("points").code("7") is None
    assert criterion("points").code(None) is None
    with pytest.raises(UsageError):
        criterion("gradee")
