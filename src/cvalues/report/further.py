"""Tables of other workflows as parts of the report: comparison pairs and reward models."""

from __future__ import annotations

from cvalues.report.data import ReportInput
from cvalues.report.parts import Column, Fig, Grid, GridRow, Part, fig, number, plain
from cvalues.report.words import Words
from cvalues.schema import Cell, Estimate, Table


def pairs(data: ReportInput, w: Words) -> Part | None:
    """Returns the part on comparison pairs, None where the report has none; the first table stands open, the others are folded."""
    tables = data.pairs.get(w.language, ())
    if not tables:
        return None
    grids = tuple(grid(table, w, folded=place > 0) for place, table in enumerate(tables))
    return Part("pairs", w("part.pairs"), lead=(w("further.pairs"),), grids=grids)


def grid(table: Table, w: Words, *, folded: bool) -> Grid:
    """Returns a table of another workflow as a grid; its first column names the rows."""
    rows = tuple(GridRow(str(row[0]), tuple(_cell(value, w) for value in row[1:])) for row in table.rows)
    columns = tuple(Column(name) for name in table.columns)
    return Grid(columns, rows, head=table.title, notes=table.notes, folded=folded)


def _cell(value: Cell, w: Words) -> Fig:
    match value:
        case Estimate():
            return fig(value, w)
        case None:
            return plain("–")
        case bool():
            return plain("✓" if value else "")
        case int():
            return number(value, w)
        case float():
            return plain(f"{value:.3g}")
        case _:
            return plain(value)
