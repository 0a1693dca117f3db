"""The hooks of the documentation site: every module and every page has a place, and nothing is loaded from another host."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parents[1]


def load() -> ModuleType:
    """The hooks, which are a file of tools/ and no package."""
    spec = importlib.util.spec_from_file_location("docs_site_hooks", ROOT / "tools" / "docs_site.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


HOOKS = load()
PAGES = st.lists(
    st.sampled_from(["a.md", "b.md", "zh/c.md", "decisions/0001-d.md", "reference/e.md", "README.md"]), unique=True
)


def test_the_reference_has_every_public_module() -> None:
    """Each module with a docstring stands in the reference exactly once, under its part of the package."""
    found = HOOKS.modules()
    names = [name for inner in found.values() for name in inner]
    assert len(names) == len(set(names))
    assert {"cvalues", "cvalues.runner", "cvalues.stats.intervals", "cvalues.choice.ask"} <= set(names)
    assert not any("__main__" in name or "migrations" in name for name in names)
    assert all(name == part or name.startswith(f"{part}.") for part, inner in found.items() for name in inner)


def test_a_reference_page_asks_for_each_module() -> None:
    """A page has its part as heading and one directive a module."""
    page = HOOKS.reference_page("cvalues.stats", ["cvalues.stats", "cvalues.stats.power"])
    assert page.startswith("# cvalues.stats\n")
    assert re.findall(r"^::: (.+)$", page, re.MULTILINE) == ["cvalues.stats", "cvalues.stats.power"]


@given(listed=PAGES, present=PAGES)
def test_every_page_stands_once_in_the_navigation(listed: list[str], present: list[str]) -> None:
    """Whatever is listed and whatever is there, the navigation holds exactly the pages that are there, each once."""
    nav = HOOKS.complete([{"Start": listed}, {"More": []}, {"中文": []}], present)
    assert sorted(HOOKS.leaves(nav)) == sorted(present)
    assert all(inner for part in nav for inner in part.values())


def test_a_page_that_nobody_listed_goes_to_its_part() -> None:
    """A decision goes to the decisions, a Chinese page to the Chinese ones, any other page to the last part."""
    nav = HOOKS.complete([{"Start": ["a.md"]}], ["a.md", "b.md", "zh/c.md", "decisions/0009-x.md"])
    assert nav == [
        {"Start": ["a.md"]},
        {"More": ["b.md"]},
        {"Decisions": ["decisions/0009-x.md"]},
        {"中文": ["zh/c.md"]},
    ]


def test_a_part_keeps_its_sections() -> None:
    """Sections inside a part stay sections; a section of which no page is there goes, and so does a page that is not there."""
    nav = [{"中文": ["zh/a.md", {"入门": ["zh/b.md", "zh/gone.md"]}, {"空": ["zh/gone.md"]}]}]
    assert HOOKS.complete(nav, ["zh/a.md", "zh/b.md", "zh/c.md"]) == [
        {"中文": ["zh/a.md", {"入门": ["zh/b.md"]}, "zh/c.md"]}
    ]


def test_a_link_to_a_folder_leads_to_its_page(tmp_path: Path) -> None:
    """In the site a link to a folder becomes a link to its list; other links and folders outside stay as they are."""
    (tmp_path / "docs" / "decisions").mkdir(parents=True)
    page = SimpleNamespace(file=SimpleNamespace(src_uri="README.md"))
    config = SimpleNamespace(docs_dir=str(tmp_path / "docs"))
    text = "[a](decisions) [b](decisions/) [c](running.md) [d](../src)"
    (tmp_path / "src").mkdir()
    expected = "[a](decisions/index.md) [b](decisions/index.md) [c](running.md) [d](../src)"
    assert HOOKS.on_page_markdown(text, page=page, config=config, files=None) == expected


def test_chinese_pages_have_a_chinese_frame() -> None:
    """The words around a page under zh/ are Chinese, and those of the next page English again."""
    config: Any = SimpleNamespace(theme={})
    for uri, language in (("zh/tutorial.md", "zh"), ("tutorial.md", "en")):
        page = SimpleNamespace(file=SimpleNamespace(src_uri=uri))
        HOOKS.on_page_context({}, page=page, config=config, nav=None)
        assert config.theme["language"] == language


@pytest.mark.parametrize(
    ("text", "suffix", "found"),
    [
        ('<script src="https://cdn.example/a.js"></script>', ".html", ["https://cdn.example/a.js"]),
        ("<img alt='x' src=//cdn.example/a.png>", ".html", ["//cdn.example/a.png"]),
        ('<link href="https://f.example/x.css" rel="stylesheet">', ".html", ["https://f.example/x.css"]),
        ('<link rel="preconnect" href="https://f.example" crossorigin>', ".html", ["https://f.example"]),
        ("<style>@import 'https://f.example/y.css';</style>", ".html", ["https://f.example/y.css"]),
        ("a { background: url(https://f.example/z.png) }", ".css", ["https://f.example/z.png"]),
        ('<a href="https://example.org">link</a><code>url(https://x.example)</code>', ".html", []),
        ('<script src="assets/a.js"></script><link rel="canonical" href="https://x.example/">', ".html", []),
        ("a { background: url(data:image/svg+xml;base64,AAAA) }", ".css", []),
    ],
)
def test_what_a_browser_would_fetch_is_found(text: str, suffix: str, found: list[str]) -> None:
    """Scripts, images, styles and hints of other hosts are found; links that a reader may follow are not."""
    assert HOOKS.loads(text, suffix) == found


def test_a_site_that_loads_something_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The check exits 1 for one foreign script, 0 without, and 1 for a folder without pages."""
    assert HOOKS.check(tmp_path) == 1
    (tmp_path / "index.html").write_text("<p>", encoding="utf-8")
    assert HOOKS.check(tmp_path) == 0
    (tmp_path / "b.html").write_text('<script src="https://x.example/a.js">', encoding="utf-8")
    assert HOOKS.check(tmp_path) == 1
    assert "b.html: https://x.example/a.js" in capsys.readouterr().out


def test_the_site_is_told_to_load_nothing() -> None:
    """mkdocs.yml switches the theme's fonts off, sends readers nowhere to count them, and lists pages that exist."""
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert re.search(r"^  font: false$", text, re.MULTILINE)
    assert not re.search(r"analytics|repo_url|https?://", text)
    listed = re.findall(r"^ +- ([\w/.-]+\.md)$", text, re.MULTILINE)
    assert len(listed) > 15
    assert [name for name in listed if not (ROOT / "docs" / name).exists()] == []
