"""The table that a team fills to make a set of its own."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Literal

from cvalues.records import write_atomically
from cvalues.taxonomy import Taxonomy, builtin

_HEADS = {
    "zh": ("编号", "类别", "domain_zh", "层级", "提示", "风险回复", "拒绝回复", "负责任回复", "陷阱", "备注"),
    "en": ("id", "category", "domain_zh", "level", "text", "unsafe", "safe", "responsible", "trap", "note"),
}


def template_rows(taxonomy: Taxonomy | None = None, *, language: Literal["zh", "en"] = "zh") -> list[list[str]]:
    """Returns the header and one row to fill for every category: id, code, name and level stand there, the rest is empty.

    A row that stays empty is left out when the file is loaded. Without the three replies the file is a set of prompts.
    """
    rows = [list(_HEADS[language])]
    for category in (taxonomy or builtin()).categories:
        filled = [f"{category.code}-001", category.code, category.zh, str(category.level)]
        rows.append(filled + [""] * (len(rows[0]) - len(filled)))
    return rows


def write_template(path: Path, taxonomy: Taxonomy | None = None, *, language: Literal["zh", "en"] = "zh") -> Path:
    """Writes the template as CSV (TSV where the name says so) in UTF-8 with BOM, which Excel opens, and returns the path.

    Raises:
        DataError: the file cannot be written.
    """
    text = io.StringIO()
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    csv.writer(text, delimiter=delimiter, lineterminator="\r\n").writerows(template_rows(taxonomy, language=language))
    return write_atomically(path, lambda file: file.write(text.getvalue().encode("utf-8-sig")))
