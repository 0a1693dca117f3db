"""The Chinese of generated parts of the documentation, cell by cell."""

from __future__ import annotations

import functools
import re
import tomllib
from pathlib import Path

from cvalues.datasets.shapes import CODES
from cvalues.taxonomy import builtin

HERE = Path(__file__).parent
WORDS = HERE.parent / "src" / "cvalues" / "data" / "words"
_BAR = re.compile(r"(?<!\\)\|")
_SENTENCE = re.compile(r"[A-Za-z]{2,} [a-z]{2,}")
_CODE = re.compile(r"`[^`]*`")
_MEASURED = re.compile(r"(<!-- ([a-z]+) -->\n)(.*?)(<!-- end (?:of )?\2 -->)", re.DOTALL)
_REMARK = re.compile(r"^(`[^`]+`) \((.+)\)$")
_TEMPLATE = re.compile(r"^(`\w+` \(`\w+@\w+`\)): (.+\.)$")


def _read(path: Path) -> dict[str, str]:
    return tomllib.loads(path.read_text(encoding="utf-8"))


@functools.cache
def phrases() -> dict[str, str]:
    """English → Chinese: what the package itself knows, and docs_zh.toml over it."""
    codes: dict[str, str] = _read(WORDS / "faults.toml")["codes"]  # type: ignore[assignment]
    texts: dict[str, str] = _read(WORDS / "models.toml")["zh"]  # type: ignore[assignment]
    kept = {category.en: category.en for category in builtin().categories}  # stands beside its Chinese name
    return {**texts, **{text: codes[code] for code, text in CODES.items()}, **kept, **_read(HERE / "docs_zh.toml")}


def cell(text: str) -> str:
    """The Chinese of one cell; a name or number stays as it is, and a sentence that nobody translated is an error."""
    found = phrases().get(text.replace("\\|", "|"))
    if found is not None:
        return found.replace("|", "\\|")
    remark = _REMARK.match(text)
    if remark:
        return f"{remark[1]}（{cell(remark[2])}）"
    if _SENTENCE.search(_CODE.sub("", text)):
        raise AssertionError(
            f"no Chinese for “{text}”: add it to tests/docs_zh.toml, then run python tests/test_docs.py"
        )
    return text


def line(text: str) -> str:
    """One line of a generated part in Chinese."""
    if text.startswith("| ") and not text.startswith("| ---"):
        return "| " + " | ".join(cell(part.strip()) for part in _BAR.split(text)[1:-1]) + " |"
    template = _TEMPLATE.match(text)
    return f"{template[1]}：{cell(template[2])}" if template else text


def chinese(text: str) -> str:
    """A generated part in Chinese; what stands in a fenced block stays as it is."""
    parts = re.split(r"(^````text\n.*?^````\n)", text, flags=re.DOTALL | re.MULTILINE)
    return "".join(
        part if part.startswith("````") else "\n".join(line(one) for one in part.split("\n")) for part in parts
    )


def with_measured(text: str, original: str) -> str:
    """A Chinese page with the tables that measurements write into its twin (tools/measure_embedded.py, benchmarks/coverage.py)."""
    tables = {part[2]: part[3] for part in _MEASURED.finditer(original)}
    return _MEASURED.sub(lambda part: part[1] + chinese(tables[part[2]]) + part[4], text)
