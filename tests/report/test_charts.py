"""Charts: geometry, words and escaping."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from cvalues.report import charts
from cvalues.schema import NO_DATA, Estimate

SHARES = st.floats(0, 1)
NAMES = st.text(st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="\ufffe\uffff"))


def parse(markup: str) -> ET.Element:
    """The chart as XML."""
    return ET.fromstring(str(markup))  # noqa: S314 - our own markup


def at(element: ET.Element | None, name: str) -> float:
    """An attribute as a number of percent."""
    assert element is not None
    return float(element.attrib[name].rstrip("%"))


def test_rate_geometry() -> None:
    """A bar of 80 % with interval 70–90 % fills 80 %, its whisker runs from 70 to 90, chance stands at 50, the floor at 60."""
    root = parse(charts.rate(Estimate(value=0.8, low=0.7, high=0.9), title="t", desc="d", floor=0.6))
    assert at(root.find("rect[@class='fill']"), "width") == 80
    whisker = root.find("g[@class='whisker']/line")
    assert (at(whisker, "x1"), at(whisker, "x2")) == (70, 90)
    assert at(root.find("line[@class='chance']"), "x1") == 50
    assert at(root.find("line[@class='floor']"), "x1") == 60


def test_difference_geometry() -> None:
    """On an axis of ±20 points, a difference of +10 stands at 75 % of the width: 0.5 + 0.1 / 0.4."""
    root = parse(charts.difference(Estimate(value=0.1, low=0.0, high=0.2), reach=0.2, title="t", desc="d"))
    assert at(root.find("circle"), "cx") == 75
    whisker = root.find("g[@class='whisker']/line")
    assert (at(whisker, "x1"), at(whisker, "x2")) == (50, 100)


def test_span_geometry() -> None:
    """The band runs from low to high, the tick stands at the value."""
    root = parse(charts.span(0.25, 0.75, 0.5, title="t", desc="d"))
    band = root.find("rect[@class='band']")
    assert (at(band, "x"), at(band, "width")) == (25, 50)
    assert at(root.find("line"), "x1") == 50


def test_no_data_draws_no_value() -> None:
    """Without data there is no bar, point, band or whisker, only the empty scale."""
    for markup in (
        charts.rate(NO_DATA, title="t", desc="d"),
        charts.difference(NO_DATA, reach=0.1, title="t", desc="d"),
        charts.span(None, None, None, title="t", desc="d"),
        charts.stacked([], title="t"),
    ):
        found = {element.attrib.get("class") for element in parse(markup).iter()}
        assert not found & {"fill", "point", "band", "tick", "whisker", "o-1"}


@given(st.lists(st.tuples(st.sampled_from(["1", "2", "other", "failed"]), st.integers(0, 500), NAMES), max_size=8))
def test_stacked_widths_add_up(parts: list[tuple[str, int, str]]) -> None:
    """Segments lie end to end and fill the bar; those of count 0 are left out of the bar and of the words."""
    root = parse(charts.stacked([charts.Part(*part) for part in parts], title="t"))
    segments = root.findall("rect")
    assert len(segments) == sum(count > 0 for _, count, _ in parts)
    end = 0.0
    for segment in segments:
        assert abs(at(segment, "x") - end) < 0.01
        end = at(segment, "x") + at(segment, "width")
    assert not segments or abs(end - 100) < 0.01


@given(SHARES, SHARES, SHARES, NAMES, NAMES)
def test_well_formed_with_any_words(value: float, low: float, high: float, title: str, desc: str) -> None:
    """Any title and description come back from the parsed chart as they were; nothing lies outside the drawing."""
    estimate = Estimate(value=value, low=min(low, value), high=max(high, value))
    for markup in (
        charts.rate(estimate, title=title, desc=desc),
        charts.difference(estimate, reach=0.05, title=title, desc=desc),
        charts.span(estimate.low, estimate.high, value, title=title, desc=desc),
    ):
        root = parse(markup)
        assert (root.findtext("title"), root.findtext("desc")) == (title, desc)
        for element in root.iter():
            for name in ("x", "x1", "x2", "cx", "width"):
                assert 0 <= float(element.attrib.get(name, "0").rstrip("%")) <= 100
