"""The Chinese pages: each page of docs/ has its twin in docs/zh/, and the two say the same.

A twin has the same headings, code, tables, numbers in tables, links and lists; prose is compared by the numbers that stand in it as
digits. A page without a twin is named in `UNTRANSLATED`.
"""

from __future__ import annotations

import calendar
import re
from collections import Counter
from pathlib import Path

import pytest

from test_docs import ROOT, blocks, outside

DOCS = ROOT / "docs"
UNTRANSLATED: frozenset[str] = frozenset()
"""Pages of docs/ that exist in English alone, for now."""

TWINS = sorted(path.name for path in (DOCS / "zh").glob("*.md") if (DOCS / path.name).exists())
_COMMENT = re.compile(r"(^|\s+)#\s.*$", re.MULTILINE)
_NUMBER = re.compile(r"(?<![\w.#-])(\d[\d,]*(?:\.\d+)?)(?:st|nd|rd|th|( million| 万))?(?!\w)", re.ASCII)
_FACTOR = {"": 1, " million": 1_000_000, " 万": 10_000}
_MONTHS = {name: f"{number} " for number, name in enumerate(calendar.month_name) if name}
_MONTH = re.compile(rf"\b({'|'.join(_MONTHS)}) (?=\d{{4}}\b)")
_RULE = re.compile(r"^\|(?: *:?-+:? *\|)+$")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_GENERATED = re.compile(r"<!-- generated: (.+?) -->.*?<!-- end generated -->", re.DOTALL)


def texts(name: str) -> tuple[str, str]:
    """The Chinese and the English page."""
    return (DOCS / "zh" / name).read_text(encoding="utf-8"), (DOCS / name).read_text(encoding="utf-8")


def written(text: str) -> str:
    """A page without its generated parts, which other tests hold against the code."""
    return _GENERATED.sub("", text)


def code(text: str) -> list[tuple[str, ...]]:
    """The blocks of a page with their marks; comments of shell blocks may be in either language."""
    found: list[tuple[str, ...]] = []
    for block in blocks(written(text)):
        body = _COMMENT.sub("", block.text) if block.language in {"bash", "console"} else block.text
        found.append((block.language, block.mark, block.value if block.mark != "not run" else "", body))
    return found


def headings(text: str) -> list[int]:
    """The depth of each heading in order."""
    return [len(line) - len(line.lstrip("#")) for line in outside(text) if line.startswith("#")]


def names(text: str) -> Counter[str]:
    """The code in backticks; the space bar has a name in both languages."""
    return Counter(name.replace("Space", "空格") for name in re.findall(r"`[^`]+`", text))


def numbers(text: str) -> Counter[str]:
    """The numbers of a text, without those in code, tags and addresses."""
    plain = re.sub(r"`[^`]*`|\]\([^)]*\)|<[^>]*>", " ", text)
    found = _NUMBER.findall(_MONTH.sub(lambda month: _MONTHS[month[1]], plain))
    return Counter(f"{float(number.replace(',', '')) * _FACTOR[factor]:.12g}" for number, factor in found)


def tables(text: str) -> list[list[str]]:
    """The tables of a page, each a list of its rows."""
    found: list[list[str]] = []
    before = ""
    for line in outside(written(text)):
        row = line.strip()
        if row.startswith("|"):
            if not before.startswith("|"):
                found.append([])
            found[-1].append(row)
        before = row
    return found


def cells(row: str) -> list[str]:
    """The cells of a row; an escaped bar is text."""
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", row.strip("|"))]


def sections(text: str) -> list[str]:
    """The prose of a page by heading, without tables and code."""
    found = [""]
    for line in outside(written(text)):
        if line.startswith("#"):
            found.append("")
        elif not line.startswith("|"):
            found[-1] += line + "\n"
    return found


def targets(text: str) -> Counter[str]:
    """What a section links to, without anchors and as seen from docs/; a page and its twin count as one."""
    links = [link.partition("#")[0] for link in _LINK.findall(text)]
    plain = [re.sub(r"^(\.\./|zh/)+", "", link) for link in links if link]
    return Counter(link for link in plain if not link.startswith(("http:", "https:")))


def test_every_page_has_a_twin() -> None:
    """Each page of docs/ has its Chinese page, except those that are listed, and a listed page has none."""
    pages = {path.name for path in DOCS.glob("*.md")}
    twins = {path.name for path in (DOCS / "zh").glob("*.md")}
    assert sorted(pages - twins) == sorted(UNTRANSLATED)
    assert twins <= pages


@pytest.mark.parametrize("folder", [DOCS, DOCS / "zh"], ids=["en", "zh"])
def test_the_index_lists_every_page(folder: Path) -> None:
    """The first page of either language links to every other page in that language."""
    linked = set(_LINK.findall((folder / "README.md").read_text(encoding="utf-8")))
    assert {path.name for path in folder.glob("*.md")} - {"README.md"} <= linked


@pytest.mark.parametrize("name", TWINS)
def test_twins_link_to_each_other(name: str) -> None:
    """Each page says above its first section where the same stands in the other language."""
    ours, theirs = (sections(text)[1] for text in texts(name))
    assert f"[English](../{name})" in ours
    assert f"[中文](zh/{name})" in theirs


@pytest.mark.parametrize("name", TWINS)
def test_a_twin_has_the_same_code_and_headings(name: str) -> None:
    """A Chinese page has the blocks, generated parts and heading depths of the English one, in the same order."""
    ours, theirs = texts(name)
    assert code(ours) == code(theirs)
    assert headings(ours) == headings(theirs)
    parts = [[re.sub(r" (zh|en)$", "", part) for part in _GENERATED.findall(text)] for text in (ours, theirs)]
    assert parts[0] == parts[1]


@pytest.mark.parametrize("name", TWINS)
def test_a_twin_has_the_same_tables(name: str) -> None:
    """A Chinese page has as many tables, rows and cells, and in each row the numbers and the code of the English one."""
    ours, theirs = (tables(text) for text in texts(name))
    assert [len(table) for table in ours] == [len(table) for table in theirs]
    for one, other in zip(ours, theirs, strict=True):
        for row, twin in zip(one, other, strict=True):
            assert len(cells(row)) == len(cells(twin)), f"{row}\n{twin}"
            assert numbers(row) == numbers(twin), f"{row}\n{twin}"
            if not _RULE.match(row):
                assert names(row) == names(twin), f"{row}\n{twin}"


@pytest.mark.parametrize("name", TWINS)
def test_a_twin_has_the_same_numbers_names_and_links(name: str) -> None:
    """In each section both pages have the same numbers, the same code in backticks, and links to the same pages."""
    for ours, theirs in zip(*(sections(text) for text in texts(name)), strict=True):
        assert numbers(ours) == numbers(theirs), ours
        assert set(names(ours)) == set(names(theirs)), ours
        assert targets(ours) == targets(theirs), ours
