"""The Markdown report."""

from __future__ import annotations

import msgspec
from measured import measurement

from cvalues.report import ReportInput
from cvalues.report.facts import Facts
from cvalues.report.markdown import render, tables
from cvalues.report.words import Words
from cvalues.taxonomy import builtin

EN = Words("en", builtin())


def test_every_part_is_there() -> None:
    """Result, limits, every table and the method stand in order, in the language asked for."""
    text = render(Facts(measurement(90)), EN)
    heads = [line[3:] for line in text.splitlines() if line.startswith("## ")]
    assert heads == [
        "What this report does not show", "Leaderboard", "Question level × collection", "Model × category",
        "What became of each answer", "Position bias and consistency", "Hard questions beside the whole", "Paired differences",
        "Bounds for what was not read", "Method and versions",
    ]  # fmt: skip
    assert render(Facts(measurement(90)), Words("zh", builtin())).startswith("# 价值观二选一测评报告")


def test_tables_are_rectangular() -> None:
    """Every row of a table has as many cells as its head."""
    for table in tables(Facts(measurement(90)), EN):
        assert {len(row) for row in table.rows} == {len(table.columns)}


def test_names_make_no_markup() -> None:
    """A model's name with pipes, links, HTML and line ends stays one cell of text."""
    name = "a|b](http://x)<img src=x>`*_\nc"
    text = render(Facts(measurement(12, {name: 0.9, "b": 0.5})), EN)
    escaped = r"a\|b\](http://x)\<img src=x\>\`\*\_ c"
    row = next(line for line in text.splitlines() if line.startswith(f"| {escaped} |"))
    assert row.replace(r"\|", "").count("|") == 10
    assert "<img" not in text.replace(r"\<img", "")


def test_no_data_is_said() -> None:
    """Without any outcome the report still says what it cannot show; without answers cells say `no data`."""
    assert EN("result.nothing") in render(Facts(ReportInput(taxonomy=builtin())), EN)
    data = measurement(6)
    silent = [msgspec.structs.replace(outcome, outcome=None) for outcome in data.outcomes]
    assert "| no data |" in render(Facts(msgspec.structs.replace(data, outcomes=silent)), EN)
