"""Lines of Chinese text for a terminal: wide characters take two columns, and no line begins with a closing mark."""

from __future__ import annotations

import re
from collections.abc import Iterator

_OPENING = "（“‘《「『【"
_CLOSING = "，。；：、！？）”’》」』】…—"
_UNIT = re.compile(rf"\s|[\[({_OPENING}]*(?:[^\s\u2e80-\uffff{_OPENING}{_CLOSING}]+|\S)[{_CLOSING}\]),.;:]*", re.DOTALL)
"""What stays on one line: a Latin word or one other character, with the marks that belong to it."""
_ENDS = ("。；：", "，、（")
"""Marks at which a line may end before its text does: those after which nothing is missed, then the others."""


def columns(text: str) -> int:
    """Returns how many columns a text takes in a terminal."""
    from rich.cells import cell_len

    return cell_len(text)


def wrap(text: str, width: int) -> list[str]:
    """Returns the lines of a text, none wider than `width` columns except for the wide character of a width of 1; [] for ''.

    Lines are broken at spaces and between Chinese characters; a word that is longer than a line is cut.
    """
    lines, line = [], ""
    for unit in _units(text, width):
        if columns(line + unit.rstrip()) > width:
            lines.append(line.rstrip())
            line = ""
        line += unit if line or not unit.isspace() else ""
    return [*lines, line.rstrip()] if line.strip() else lines


def _units(text: str, width: int) -> Iterator[str]:
    """Yields what stays together, cut where it is wider than a line."""
    for unit in _UNIT.findall(" ".join(text.split())):
        rest = unit
        while columns(rest) > width and len(rest) > 1:
            cut = next(at for at in range(1, len(rest)) if columns(rest[: at + 1]) > width)
            yield rest[:cut]
            rest = rest[cut:]
        yield rest


def fit(text: str, width: int) -> str:
    """Returns a text that stands in one line: whole, up to a mark where a thought ends, or cut with `…`.

    A cut leaves at least a third of the line, so that a mark near the beginning does not end it.
    """
    if columns(text) <= width:
        return text.removesuffix("。")
    line = next(iter(wrap(text, width - 1)), "")
    for marks, tail in zip(_ENDS, ("", "…"), strict=True):
        place = max(line.rfind(mark) for mark in marks)
        if place > 0 and columns(line[:place]) * 3 >= width:
            return line[:place] + tail
    return line + "…"
