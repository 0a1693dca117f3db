"""The report as Markdown: the same sentences and tables, without charts and items."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from cvalues.report import doing, free_sentences, further, knowing, sentences
from cvalues.report.draw import Draw
from cvalues.report.facts import Facts, Row
from cvalues.report.loop import loop_parts
from cvalues.report.parts import Part
from cvalues.report.words import Words, visible
from cvalues.schema import Cell, Estimate, Table

__all__ = ["free_parts", "render", "tables"]

_SPECIAL = re.compile(r"([\\`*_\[\]<>|~#!$&])")


def render(facts: Facts, w: Words) -> str:
    """Returns the report as Markdown in the language of `w`; names of models and sets are escaped."""
    lines = [f"# {free_sentences.title(facts, w)}", "", _plain(sentences.subtitle(facts, w)), ""]
    choices = [sentences] if facts.outcomes or not facts.free else []
    for part in [*choices, *([free_sentences] if facts.free else [])]:
        lines += [f"**{_plain(part.headline(facts, w))}**", "", _plain(part.context(facts, w)), ""]
    lines += [f"## {w('section.limits')}", "", w("limits.lead"), ""]
    lines += [
        f"- **{_plain(limit.head)}**{w('page.colon')}{_plain(limit.text)}" for limit in sentences.limits(facts, w)
    ]
    for table in tables(facts, w) if choices else ():
        lines += ["", *_table(table, w)]
    for part_of in free_parts(facts, w):
        lines += _part(part_of, w)
    lines += ["", f"## {w('section.method')}", ""]
    for section in sentences.method(facts, w):
        lines += [f"### {section.head}", "", *(f"- {_plain(line)}" for line in section.lines), ""]
    lines += [f"### {w('method.sets_head')}", ""]
    lines += [f"- {_plain(visible(each.name))} · {each.items} · `{_code(each.hash)}`" for each in facts.sets]
    lines += ["", f"### {w('method.runs_head')}", ""]
    for run in facts.runs:
        versions = w("page.semicolon").join(f"{key} {value}" for key, value in sorted(run.versions.items()))
        state = w(f"state.{run.state}")
        told = f"{run.name} · {run.start or '–'} – {run.end or '–'} · {state} · {versions}"
        lines.append(f"- {_plain(visible(told))}")
    lines += ["", w("markdown.generated"), ""]
    return "\n".join(lines)


def tables(facts: Facts, w: Words) -> Iterator[Table]:
    """Yields the tables of the report in order, with estimates and words of one language."""
    draw, board = Draw(facts), facts.board

    def made(name: str, columns: Iterable[str], cells: Iterable[Sequence[Cell]], *notes: str) -> Table:
        rows = tuple((_name(row, w), *found) for row, found in zip(board, cells, strict=True))
        return Table(title=w(f"section.{name}"), columns=(w("page.model"), *columns), rows=rows, notes=notes)

    names = [w(f"board.acc_level{level}") for level in facts.levels]
    rest = [w(f"board.{name}") for name in ("both", "star", "answered", "coverage", "group")]
    yield made(
        "leaderboard",
        [w("board.rank"), *names, *rest],
        [
            (row.rank_range, *(row.acc(level) for level in facts.levels), row.score.both_orders, row.score.acc_star,
             row.score.answered.value, row.score.coverage.value, row.groups or "–")
            for row in board
        ],
        w("board.group_note"), w("board.definitions"),
    )  # fmt: skip
    yield made(
        "cross",
        [draw.cell_name(w, *cell) for cell in facts.cross_cells],
        [[facts.cross(row.model, cell) for cell in facts.cross_cells] for row in board],
        w("cross.lead"),
    )
    yield _heat(facts, w)
    kinds = facts.outcome_kinds
    counts = [[row.count(kind) for kind in kinds] for row in board]
    yield made("outcomes", [w(f"outcome.{kind}") for kind in kinds], counts)
    yield made(
        "position",
        [w(f"position.{name}") for name in ("first", "reading", "consistency", "both")],
        [(row.score.first_position, w(f"position.lean_{row.lean}") if row.lean else None, row.score.consistency,
          row.score.both_orders) for row in board],
    )  # fmt: skip
    if facts.difficulties:
        columns = [w("hard.whole"), *(draw.difficulty(w, name) for name in facts.difficulties)]
        cells = [
            [row.score.acc, *(facts.by_difficulty(row.model, name) for name in facts.difficulties)] for row in board
        ]
        yield made("hard", columns, cells)
    yield _differences(facts, w)
    yield made(
        "bounds",
        [w(f"bounds.{name}") for name in ("acc", "range", "planned", "responded", "failed")],
        [(row.score.acc.value, f"{w.percent(row.bounds[0])} – {w.percent(row.bounds[1])}", row.score.planned,
          row.score.responded, row.score.planned - row.score.responded) for row in board],
        w("bounds.lead"),
    )  # fmt: skip


def _heat(facts: Facts, w: Words) -> Table:
    columns = (w("heat.category"), *(_name(row, w) for row in facts.board), w("heat.n"), w("heat.detect"))
    codes: list[str | None] = [None, *(code for _, group in facts.categories for code in group)]
    rows = []
    for code in codes:
        values: list[Cell] = []
        for row in facts.board:
            estimate = facts.in_category(row.model, code)
            below = code is not None and facts.surely_below(row.model, code)
            values.append(f"{w.estimate(estimate)} ▼" if below else estimate)
        detect = facts.detectable(code)
        pairs = facts.pairs if code is None else facts.category_pairs(code)
        name = w("heat.overall") if code is None else w.category(code)
        rows.append((name, *values, pairs, None if detect is None else w.points(detect)))
    return Table(title=w("section.heat"), columns=columns, rows=tuple(rows), notes=(w("heat.below_note"),))


def _differences(facts: Facts, w: Words) -> Table:
    columns = tuple(w(f"differences.{name}") for name in ("pair", "difference", "p", "verdict", "shared"))
    rows: list[tuple[Cell, ...]] = []
    for each in facts.differences:
        pair = w("differences.versus", a=visible(each.a), b=visible(each.b))
        interval = w.interval(each.estimate, sign=True)
        gap = w.points(each.estimate.value, sign=True) + (f" ({interval})" if interval else "")
        rows.append((pair, gap, w.p_value(each.p), w(f"differences.{each.verdict}"), each.shared))
    note = w("differences.note", n=len(facts.differences))
    return Table(title=w("section.differences"), columns=columns, rows=tuple(rows), notes=(note,))


def _name(row: Row, w: Words) -> str:
    name = visible(row.model)
    return f"{name} ({w('board.baseline')})" if row.baseline else name


def free_parts(facts: Facts, w: Words) -> list[Part]:
    """Returns the parts on free responses, pairs, rounds and the gate that this measurement has, in their order; empty for none."""
    pairs, last = further.pairs(facts.data, w), loop_parts(facts.data, w)
    after = [*([pairs] if pairs is not None else []), *last]
    if not facts.free:
        return after
    made = (
        doing.scores(facts, w), doing.categories(facts, w), doing.plane(facts, w), knowing.telling(facts, w),
        knowing.sources(facts, w), knowing.agreement(facts, w), knowing.order(facts, w), knowing.duels(facts, w),
    )  # fmt: skip
    return [*(part for part in made if part is not None), *after]


def _part(part: Part, w: Words) -> Iterator[str]:
    """Yields a part on free responses: its sentences and grids; charts stand in the HTML file alone."""
    yield from ("", f"## {_plain(part.title)}", "")
    for line in (*part.lead, *part.warnings):
        yield from (_plain(line), "")
    for grid in part.grids:
        if grid.head:
            yield from (f"### {_plain(grid.head)}", "")
        heads = [column.title + (f" ({column.sub})" if column.sub else "") for column in grid.columns]
        yield "| " + " | ".join(_plain(head) for head in heads) + " |"
        yield "| " + " | ".join("---" for _ in heads) + " |"
        for row in grid.rows:
            name = f"{row.name} ({w('board.baseline')})" if row.baseline else row.name
            cells = [cell.line for cell in row.cells] or [""] * (len(heads) - 1)
            yield "| " + " | ".join(_plain(cell) for cell in (name, *cells)) + " |"
        yield ""
        for note in grid.notes:
            yield from (_plain(note), "")
    for note in part.notes:
        yield from (_plain(note), "")


def _table(table: Table, w: Words) -> Iterator[str]:
    yield f"## {_plain(table.title)}"
    yield ""
    yield "| " + " | ".join(_plain(column) for column in table.columns) + " |"
    yield "| " + " | ".join("---" for _ in table.columns) + " |"
    for row in table.rows:
        yield "| " + " | ".join(_plain(_cell(cell, w)) for cell in row) + " |"
    for note in table.notes:
        yield ""
        yield _plain(note)


def _cell(cell: Cell, w: Words) -> str:
    match cell:
        case None:
            return "–"
        case Estimate():
            return w.estimate(cell)
        case float():
            return w.percent(cell)
        case _:
            return str(cell)


def _plain(text: str) -> str:
    """Text in which no character makes markup, on one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def _code(text: str) -> str:
    return visible(text).replace("`", "'").replace("\n", " ")
