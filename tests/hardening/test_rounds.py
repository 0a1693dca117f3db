"""Tests of comparison and of rounds as table and chart."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from cvalues.errors import NotEnoughData, UsageError
from cvalues.hardening.comparison import Compared, compare_readings, comparison_tables
from cvalues.hardening.rounds import current, fact, rounds_chart, rounds_of, rounds_table
from cvalues.schema import Audit
from cvalues.scoring.gate import Point


def points(values: list[float], category: str = "law", name: str = "sampled") -> dict[str, Point]:
    """One value a prompt of a set."""
    return {
        f"{name}\x1f{category}{at}": Point(f"{name}\x1f{category}{at}", category, value)
        for at, value in enumerate(values)
    }


def test_what_got_worse_stands_first() -> None:
    """A category that surely lost comes before one that surely gained, and over-refusal that rose counts as worse."""
    before = {"does/2": {**points([1.0] * 30), **points([0.0] * 30, "psychology")}, "over_refusal": points([0.0] * 30)}
    after = {"does/2": {**points([0.0] * 30), **points([1.0] * 30, "psychology")}, "over_refusal": points([1.0] * 30)}
    rows = compare_readings(before, after)
    assert [row.verdict for row in rows][:3] == ["worse", "worse", "worse"]
    assert {(row.measure, row.category) for row in rows if row.verdict == "better"} == {("does/2", "psychology")}
    assert rows[-1].verdict == "cannot tell"
    assert rows[-1].test.difference.value == 0


def test_generalisation_stands_apart() -> None:
    """Prompts of the sets named as generalisation are compared by themselves."""
    before = {"does/2": {**points([0.0] * 20), **points([0.0] * 20, name="new")}}
    after = {"does/2": {**points([1.0] * 20), **points([0.0] * 20, name="new")}}
    rows = {(row.part, row.category): row for row in compare_readings(before, after, generalisation=["new"])}
    assert rows["sampled", ""].test.difference.value == 1
    assert rows["generalisation", ""].test.difference.value == 0
    assert rows["sampled", ""].prompts == 20


def test_categories_are_corrected_for() -> None:
    """With many categories a single loss that would count alone does not after Holm."""
    before = {"does/2": {key: point for at in range(12) for key, point in points([1.0] * 7, f"c{at}").items()}}
    after = {
        "does/2": {
            key: Point(point.cluster, point.category, 0.0) if point.category == "c0" else point
            for key, point in before["does/2"].items()
        }
    }
    rows = {row.category: row for row in compare_readings(before, after)}
    assert rows["c0"].test.p == pytest.approx(2 / 2**7)
    assert rows["c0"].verdict == "cannot tell"


def test_nothing_shared_and_tables() -> None:
    """Nothing shared is said; tables exist in both languages."""
    with pytest.raises(NotEnoughData, match="share nothing"):
        compare_readings({"does/2": points([1.0])}, {"does/2": points([1.0], name="other")})
    rows = compare_readings({"points": points([3.0] * 9)}, {"points": points([8.0] * 9)})
    found = Compared(before="a", after="b", alpha=0.05, rows=tuple(rows), shared=9, unshared=0)
    assert comparison_tables(found, "zh")[1].rows[0][5].startswith("+5.00")  # type: ignore[union-attr]


CHANGE = {"measure": "does/2", "part": "sampled", "value": 0.18, "low": 0.09, "high": 0.27}


def facts() -> list[Audit]:
    """Two rounds, the second not compared yet."""
    return [
        fact("plan", "1", {"weak": ["law"], "write": 40}, "2026-01-01T00:00:00.000Z"),
        fact("data", "1", {"examples": 30}, "2026-01-02T00:00:00.000Z"),
        fact("data", "1", {"examples": 12}, "2026-01-03T00:00:00.000Z"),
        fact("compare", "1", {"changes": [CHANGE], "worse": 0, "better": 3}, "2026-01-04T00:00:00.000Z"),
        Audit(verb="export-heldout", object="x", time="2026-01-04T00:00:00.000Z"),
        fact("plan", "2<b>", {"weak": []}, "2026-02-01T00:00:00.000Z"),
    ]


def test_rounds_are_read_from_facts() -> None:
    """Facts of one round are put together in time, other facts are left alone, and the next step goes to the open round."""
    rounds = rounds_of(reversed(facts()))
    assert [each.name for each in rounds] == ["1", "2<b>"]
    assert rounds[0].total("data", "examples") == 42
    assert (current(rounds), current(rounds[:1]), current(rounds, "own"), current([])) == ("2<b>", "2", "own", "1")
    with pytest.raises(UsageError, match="needs a name"):
        fact("plan", " ", {}, "t")


def test_table_and_chart() -> None:
    """One row a round in both languages; the chart is well-formed, escaped, and says its numbers in words."""
    rounds = rounds_of([*facts(), fact("compare", "2<b>", {"changes": [CHANGE]}, "2026-02-02T00:00:00.000Z")])
    assert len(rounds_table(rounds, "zh").rows) == 2
    assert "+18.0 [+9.0, +27.0]" in str(rounds_table(rounds, "en").rows[0])
    svg = str(rounds_chart(rounds, "en"))
    root = ET.fromstring(svg)  # noqa: S314 - our own chart
    assert "+18.0 [+9.0, +27.0]" in (root.findtext("desc") or "")
    assert "<b>" not in svg
    assert rounds_chart([], "en") == ""
    assert "harden plan" in rounds_table([], "en").notes[0]
