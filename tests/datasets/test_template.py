"""The template of a set of one's own."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from cvalues.datasets import template_rows, write_template
from cvalues.datasets.columns import FIELDS, Names
from cvalues.taxonomy import Category, Taxonomy, builtin


def test_every_category_has_a_row_to_fill() -> None:
    """The header is followed by one row a category, own ones included, with id, code, name and level filled in."""
    own = Category(code="finance", level=2, zh="金融", en="Finance")
    rows = template_rows(Taxonomy(levels=builtin().levels, categories=(*builtin().categories, own)))
    assert len(rows) == 1 + 18 + 1
    assert rows[-1][:4] == ["finance-001", "finance", "金融", "2"]
    assert {len(row) for row in rows} == {len(rows[0])}


def test_every_head_is_a_field_that_is_read() -> None:
    """The heads of both languages mean the same fields."""
    names = Names()
    chinese, english = (template_rows(language=language)[0] for language in ("zh", "en"))  # type: ignore[arg-type]
    assert [names[head] for head in chinese] == [names[head] for head in english]
    assert {names[head] for head in english} <= FIELDS


def test_the_file_opens_in_excel(tmp_path: Path) -> None:
    """CSV has a BOM, commas and CRLF; a name that ends in .tsv gives tabs."""
    body = write_template(tmp_path / "a.csv").read_bytes()
    assert body.startswith(b"\xef\xbb\xbf")
    assert body.count(b"\r\n") == 19
    assert list(csv.reader(io.StringIO(body.decode("utf-8-sig")))) == template_rows()
    assert b"\t" in write_template(tmp_path / "a.tsv", language="en").read_bytes()
