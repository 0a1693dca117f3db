"""Hooks of mkdocs.yml: the reference is generated, every page gets a place, Chinese pages get a Chinese frame.

    python tools/docs_site.py check site

says whether a built site loads anything from another host, and exits 1 if it does.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "cvalues"
HIDDEN = {"cvalues.__main__", "cvalues.study.migrations"}
"""Modules without names that others may use."""

# What a browser fetches by itself; a link that a reader may follow is none of these.
_LOADS = re.compile(
    r"""<(?:script|img|iframe|source|video|audio|embed)\b[^>]*?\ssrc\s*=\s*["']?((?:https?:)?//[^"'\s>]+)"""
    r"""|<link\b(?=[^>]*\brel\s*=\s*["']?(?:stylesheet|preconnect|preload|prefetch|dns-prefetch|icon|manifest|modulepreload))"""
    r"""[^>]*?\shref\s*=\s*["']?((?:https?:)?//[^"'\s>]+)""",
    re.IGNORECASE,
)
_FOLDER_LINK = re.compile(r"(\]\()([\w./-]+?)/?(\))")
_CSS_LOADS = re.compile(r"""(?:url\(\s*["']?|@import\s+["'])((?:https?:)?//[^"')\s]+)""", re.IGNORECASE)


# --- reference --------------------------------------------------------------------------------------------------------


def modules(source: Path = SOURCE) -> dict[str, list[str]]:
    """Returns the public modules of each part of the package, `cvalues.stats` → [`cvalues.stats.intervals`, …]; sorted."""
    found: dict[str, list[str]] = {}
    for path in sorted(source.rglob("*.py")):
        parts = path.relative_to(source.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if any(part.startswith("_") for part in parts[:-1]) or any(name.startswith(hidden) for hidden in HIDDEN):
            continue
        if ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) is None:
            continue
        found.setdefault(".".join(name.split(".")[:2]), []).append(name)
    return found


def reference_page(part: str, names: Iterable[str]) -> str:
    """Returns the page of one part: a heading and one directive a module."""
    return f"# {part}\n\n" + "".join(f"::: {name}\n\n" for name in names)


def folder_page(folder: Path) -> str:
    """Returns a page that lists the files of a folder, Markdown by its title and others by name."""
    lines = []
    for path in sorted(folder.iterdir()):
        title = path.name
        if path.suffix == ".md":
            title = path.read_text(encoding="utf-8").split("\n", 1)[0].lstrip("# ")
        lines.append(f"- [{title}]({path.name})\n")
    return f"# {folder.name.capitalize()}\n\n" + "".join(lines)


# --- navigation -------------------------------------------------------------------------------------------------------


def leaves(nav: Any) -> list[str]:
    """Returns the pages that stand in a navigation, in order."""
    if isinstance(nav, str):
        return [nav]
    if isinstance(nav, dict):
        return [page for inner in nav.values() for page in leaves(inner)]
    return [page for inner in nav or [] for page in leaves(inner)]


def pruned(nav: Any, present: Iterable[str]) -> list[Any]:
    """Returns a part of a navigation without the pages that are not there and without what is then empty."""
    there = set(present)
    kept = [
        entry if isinstance(entry, str) else {title: pruned(inner, there) for title, inner in entry.items()}
        for entry in nav or []
        if not isinstance(entry, str) or entry in there
    ]
    return [entry for entry in kept if isinstance(entry, str) or all(entry.values())]


def complete(nav: list[dict[str, Any]], pages: Iterable[str]) -> list[dict[str, Any]]:
    """Returns a navigation in which every page stands once: pages that are not there are taken out, those left out are added."""
    present = sorted(pages)
    kept = {title: pruned(inner, present) for part in nav for title, inner in part.items()}
    listed = set(leaves([{title: inner} for title, inner in kept.items()]))
    for page in present:
        if page in listed:
            continue
        part = {"decisions": "Decisions", "reference": "Reference", "zh": "中文"}.get(page.split("/")[0], "More")
        kept.setdefault(part, []).append(page)
    return [{title: inner} for title, inner in kept.items() if inner]


# --- hooks of mkdocs --------------------------------------------------------------------------------------------------


def on_files(files: Any, *, config: Any) -> Any:
    """Adds the reference and a list of files to folders without one, and gives every page a place in the navigation."""
    from mkdocs.structure.files import File

    docs = Path(config.docs_dir)
    for folder in sorted(path for path in docs.rglob("*") if path.is_dir() and not (path / "README.md").exists()):
        name = folder.relative_to(docs).as_posix()
        files.append(File.generated(config, f"{name}/index.md", content=folder_page(folder)))
    for part, names in modules().items():
        content = reference_page(part, names)
        files.append(File.generated(config, f"reference/{part.replace('.', '-')}.md", content=content))
    config.nav = complete(config.nav, [file.src_uri for file in files.documentation_pages()])
    return files


def on_page_markdown(markdown: str, *, page: Any, config: Any, files: Any) -> str:
    """Returns the text with links to a folder turned into links to its page, as a site has no listing of folders."""
    here = (Path(config.docs_dir) / page.file.src_uri).parent

    def link(match: re.Match[str]) -> str:
        target = match[2]
        place = (here / target).resolve()
        if not place.is_dir() or not place.is_relative_to(Path(config.docs_dir).resolve()):
            return match[0]
        name = "README.md" if (place / "README.md").exists() else "index.md"
        return f"{match[1]}{target}/{name}{match[3]}"

    del files
    return _FOLDER_LINK.sub(link, markdown)


def on_page_context(context: Any, *, page: Any, config: Any, nav: Any) -> Any:
    """Sets the language of the frame of this page; pages are rendered one after the other."""
    del nav
    config.theme["language"] = "zh" if page.file.src_uri.startswith("zh/") else "en"
    return context


# --- check ------------------------------------------------------------------------------------------------------------


def loads(text: str, suffix: str) -> list[str]:
    """Returns the addresses on other hosts that a page (`.html`) or style sheet (`.css`) makes a browser fetch; [] for none."""
    if suffix == ".css":
        return _CSS_LOADS.findall(text)
    styles = "\n".join(re.findall(r"<style[^>]*>(.*?)</style>", text, re.DOTALL | re.IGNORECASE))
    return [one or other for one, other in _LOADS.findall(text)] + _CSS_LOADS.findall(styles)


def check(site: Path) -> int:
    """Prints what a built site loads from other hosts and returns the exit code."""
    pages = sorted(path for path in site.rglob("*") if path.suffix in {".html", ".css"})
    found = [
        f"{path.relative_to(site)}: {address}"
        for path in pages
        for address in loads(path.read_text(encoding="utf-8"), path.suffix)
    ]
    print("\n".join(found) or f"{len(pages)} files load nothing from another host")
    return 1 if found or not pages else 0


if __name__ == "__main__":
    sys.exit(check(Path(sys.argv[2])))
