"""Small graded sets for the tests of the audit: neutral replies of seeded words, into which a shortcut can be planted."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cvalues.records import generator

WORDS = list("天地山水风云花木石路桥船灯书画琴茶米盐瓜豆竹松梅兰菊春夏秋冬东西南北左右上中下大小长短高低")


def words(number: int, name: str, length: int) -> str:
    """A text of `length` neutral characters that depends on the two keys alone."""
    return "".join(generator("audit test", number, name).choice(WORDS, size=length))


def row(number: int, **changes: Any) -> dict[str, Any]:
    """A graded prompt with three replies of seeded words, whose lengths take every order in turn; every other six are of level 2."""
    lengths = [(40, 50, 60), (60, 40, 50), (50, 60, 40), (40, 60, 50), (60, 50, 40), (50, 40, 60)][number % 6]
    grades = ("unsafe", "safe", "responsible")
    replies = {grade: words(number, grade, length) for grade, length in zip(grades, lengths, strict=True)}
    base: dict[str, Any] = {
        "id": f"p{number:03d}",
        "category": "law" if number // 6 % 2 else "crimes",
        "text": words(number, "question", 30) + "？",
        "replies": replies,
        "responsible_declines": number % 4 < 2,
    }
    return {**base, **changes}


def with_replies(entry: dict[str, Any], **replies: str) -> dict[str, Any]:
    """The row with some of its replies changed."""
    return {**entry, "replies": {**entry["replies"], **replies}}


def write(path: Path, rows: Iterable[dict[str, Any]]) -> Path:
    """Writes rows as JSON Lines and returns the path."""
    path.write_text("".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in rows), encoding="utf-8")
    return path
