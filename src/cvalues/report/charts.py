"""Inline SVG charts as pure functions: numbers and labels in, markup out.

Positions are percentages of the width, so a chart fits a phone, a screen and paper without being scaled; colours are classes of
`report.css`, so they follow light, dark and print. Every chart has a `<title>` and a `<desc>` that say what it shows in words.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup, escape

from cvalues.schema import Estimate

__all__ = ["Dot", "Part", "difference", "rate", "scatter", "span", "stacked"]


class Part(NamedTuple):
    """One segment of a stacked bar."""

    kind: str
    """Class suffix that gives the colour; a short code, never a model's text."""
    calls: int
    label: str


class Dot(NamedTuple):
    """One model of a scatter: its number in the table beside it, both shares with their intervals, and what hovering says."""

    label: str
    x: Estimate
    y: Estimate
    tip: str
    kind: str = ""
    """Class suffix: empty, or `baseline`."""


def rate(
    estimate: Estimate, *, title: str, desc: str, floor: float | None = None, chance: float | None = 0.5
) -> Markup:
    """Returns a bar from 0 to 100 % with a whisker for the interval, a line at chance and, where given, at the best baseline."""
    parts = ['<rect class="track" x="0" y="5" width="100%" height="10"/>']
    if estimate.value is not None:
        parts.append(f'<rect class="fill" x="0" y="5" width="{_at(estimate.value)}" height="10"/>')
    if chance is not None:
        parts.append(_mark(chance, "chance"))
    if floor is not None:
        parts.append(_mark(floor, "floor"))
    parts.append(_whisker(estimate.low, estimate.high))
    return _svg(parts, title, desc)


def difference(estimate: Estimate, *, reach: float, title: str, desc: str) -> Markup:
    """Returns a point with its whisker on an axis from −`reach` to +`reach`, with a line at zero."""
    parts = [_axis(), _mark(0.5, "zero")]
    if estimate.value is not None:
        parts.append(_whisker(_centred(estimate.low, reach), _centred(estimate.high, reach)))
        parts.append(f'<circle class="point" cx="{_at(_centred(estimate.value, reach))}" cy="10" r="4"/>')
    return _svg(parts, title, desc)


def span(low: float | None, high: float | None, value: float | None, *, title: str, desc: str) -> Markup:
    """Returns a band from `low` to `high` on 0 to 100 % with a tick at `value`."""
    parts = ['<rect class="track" x="0" y="5" width="100%" height="10"/>']
    if low is not None and high is not None:
        width = max(0.0, _clip(high) - _clip(low))
        parts.append(f'<rect class="band" x="{_at(low)}" y="5" width="{100 * width:.2f}%" height="10"/>')
    if value is not None:
        parts.append(f'<line class="tick" x1="{_at(value)}" x2="{_at(value)}" y1="2" y2="18"/>')
    return _svg(parts, title, desc)


def stacked(parts: Sequence[Part], *, title: str) -> Markup:
    """Returns one bar split by counts; each segment has its own title, the description lists them all. Empty for no counts."""
    total = sum(part.calls for part in parts)
    drawn: list[str] = []
    start = 0.0
    for part in parts:
        if part.calls <= 0:
            continue
        width = part.calls / total
        tip = escape(f"{part.label}: {part.calls} ({100 * width:.1f} %)")
        drawn.append(
            f'<rect class="o-{part.kind}" x="{100 * start:.3f}%" y="1" width="{100 * width:.3f}%" height="20">'
            f"<title>{tip}</title></rect>"
        )
        start += width
    desc = "; ".join(f"{part.label} {part.calls}" for part in parts if part.calls > 0)
    return _svg(drawn, title, desc, kind="stack", height=22)


def scatter(dots: Sequence[Dot], *, title: str, desc: str, diagonal: bool = False) -> Markup:
    """Returns models as numbered points on 0 to 100 % of both axes, each with the whiskers of its intervals and a tip.

    `diagonal` draws the line on which both shares are equal. Dots without both values are left out.
    """
    side, left, top = 300, 10, 12
    parts = [f'<rect class="plane" x="0" y="0" width="100%" height="{side}"/>']
    if diagonal:
        parts.append(f'<line class="diagonal" x1="0" y1="{side}" x2="100%" y2="0"/>')
    for step in (0.25, 0.5, 0.75):
        height = f"{side * (1 - step):.1f}"
        parts.append(f'<line class="grid" x1="{_at(step)}" x2="{_at(step)}" y1="0" y2="{side}"/>')
        parts.append(f'<line class="grid" x1="0" x2="100%" y1="{height}" y2="{height}"/>')
    for step in (0.0, 0.25, 0.5, 0.75, 1.0):
        parts.append(
            f'<text class="tickmark" x="{_at(step)}" y="{side + 18}" text-anchor="middle">{100 * step:.0f}</text>'
        )
        height = f"{side * (1 - step) + 4:.1f}"
        parts.append(f'<text class="tickmark" x="0" dx="-12" y="{height}" text-anchor="end">{100 * step:.0f}</text>')
    parts += [_dot(dot, side) for dot in dots if dot.x.value is not None and dot.y.value is not None]
    inner = f'<svg x="{left}%" y="{top}" width="{98 - left}%" height="{side}" overflow="visible">{"".join(parts)}</svg>'
    return _svg([inner], title, desc, kind="scatter", height=side + top + 26)


def _dot(dot: Dot, side: int) -> str:
    def down(value: float | None) -> str:
        return f"{side * (1 - _clip(value)):.1f}"

    x, y = dot.x, dot.y
    lines = ""
    if x.low is not None and x.high is not None:
        lines += f'<line x1="{_at(x.low)}" x2="{_at(x.high)}" y1="{down(y.value)}" y2="{down(y.value)}"/>'
    if y.low is not None and y.high is not None:
        lines += f'<line x1="{_at(x.value)}" x2="{_at(x.value)}" y1="{down(y.low)}" y2="{down(y.high)}"/>'
    place = f'x="{_at(x.value)}" y="{down(y.value)}"'
    circle = f'<circle class="dot" cx="{_at(x.value)}" cy="{down(y.value)}" r="9"/>'
    label = f'<text class="dotmark" {place} dy="4" text-anchor="middle">{escape(dot.label)}</text>'
    kind = f"mark {dot.kind}".strip()
    return f'<g class="{kind}"><title>{escape(dot.tip)}</title><g class="whisker">{lines}</g>{circle}{label}</g>'


def _clip(value: float | None) -> float:
    return min(1.0, max(0.0, value or 0.0))


def _at(value: float | None) -> str:
    return f"{100 * _clip(value):.2f}%"


def _centred(value: float | None, reach: float) -> float | None:
    return None if value is None else 0.5 + value / (2 * reach)


def _axis() -> str:
    return '<line class="axis" x1="0" x2="100%" y1="10" y2="10"/>'


def _mark(value: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{_at(value)}" x2="{_at(value)}" y1="0" y2="20"/>'


def _whisker(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return ""
    left, right = _at(low), _at(high)
    ends = "".join(f'<line x1="{x}" x2="{x}" y1="7" y2="13"/>' for x in (left, right))
    return f'<g class="whisker"><line x1="{left}" x2="{right}" y1="10" y2="10"/>{ends}</g>'


def _svg(parts: Sequence[str], title: str, desc: str, *, kind: str = "bar", height: int = 20) -> Markup:
    """Wraps pieces that this module made (numbers and fixed names only) and escapes the words."""
    head = f"<title>{escape(title)}</title><desc>{escape(desc)}</desc>"
    body = f'<svg class="{kind}" role="img" width="100%" height="{height}">{head}{"".join(parts)}</svg>'
    return Markup(body)  # noqa: S704 - title, desc and tips are escaped above; the rest is numbers and fixed names
