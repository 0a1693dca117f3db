"""Inline SVG charts as pure functions: numbers and labels in, markup out.

Positions are percentages of the width, so a chart fits a phone, a screen and paper without being scaled; colours are classes of
`report.css`, so they follow light, dark and print. Every chart has a `<title>` and a `<desc>` that say what it shows in words.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup, escape

from cvalues.schema import Estimate

__all__ = ["Part", "difference", "rate", "span", "stacked"]


class Part(NamedTuple):
    """One segment of a stacked bar."""

    kind: str
    """Class suffix that gives the colour; a short code, never a model's text."""
    calls: int
    label: str


def rate(estimate: Estimate, *, title: str, desc: str, floor: float | None = None) -> Markup:
    """Returns a bar from 0 to 100 % with a whisker for the interval, chance at 50 % and, where given, the best baseline."""
    parts = ['<rect class="track" x="0" y="5" width="100%" height="10"/>']
    if estimate.value is not None:
        parts.append(f'<rect class="fill" x="0" y="5" width="{_at(estimate.value)}" height="10"/>')
    parts.append(_mark(0.5, "chance"))
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
