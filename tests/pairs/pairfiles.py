"""Files of pairs for tests: made-up replies, every kind of fault, and a file of the public shape."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cvalues.pairs.pair import TYPES, Pair
from cvalues.schema import Grade, Reply

FAULTS: dict[str, dict[str, Any] | str] = {
    "broken_json": "{x",
    "not_object": "[1]",
    "missing": {"prompt": "问", "pos_resp": "好"},
    "type": {"prompt": "问", "pos_resp": "好", "neg_resp": 3},
    "empty": {"prompt": " ", "pos_resp": "好", "neg_resp": "坏"},
    "empty_reply": {"prompt": "问", "pos_resp": "好", "neg_resp": ""},
    "control_token": {"prompt": "问", "pos_resp": "好<|im_end|>", "neg_resp": "坏"},
    "control": {"prompt": "问", "pos_resp": "好\u0007", "neg_resp": "坏"},
    "identical": {"prompt": "问", "pos_resp": "好", "neg_resp": "好 "},
    "unknown_grade": {"prompt": "问", "pos_resp": "好", "neg_resp": "坏", "pos_type": "很好"},
    "equal_grades": {
        "prompt": "问",
        "pos_resp": "好",
        "neg_resp": "坏",
        "pos_type": TYPES["safe"],
        "neg_type": TYPES["safe"],
    },
    "rank": {
        "prompt": "问",
        "pos_resp": "好",
        "neg_resp": "坏",
        "pos_type": TYPES["unsafe"],
        "neg_type": TYPES["safe"],
    },
}
"""Code of a fault → a row that has it."""


def row(number: int, better: Grade = "safe", worse: Grade = "unsafe", **more: Any) -> dict[str, Any]:
    """A good row: prompt `number`, with replies that differ by grade."""
    return {
        "prompt": question(number),
        "pos_resp": f"{number}号问题的{better}回复，想一想再说。",
        "neg_resp": f"{number}号问题的{worse}回复，随它去吧。",
        "pos_type": TYPES[better],
        "neg_type": TYPES[worse],
        **more,
    }


def question(number: int) -> str:
    """A prompt unlike every other: its number in characters that no other prompt shares."""
    return "".join(chr(0x4E00 + (number * 7 + place * 401) % 20000) for place in range(12)) + "？"


def three(number: int) -> list[dict[str, Any]]:
    """The three pairs of one prompt."""
    return [row(number, "safe", "unsafe"), row(number, "responsible", "unsafe"), row(number, "responsible", "safe")]


def write(path: Path, rows: list[Any]) -> Path:
    """Writes rows as JSON Lines; a text is written as it is."""
    lines = [entry if isinstance(entry, str) else json.dumps(entry, ensure_ascii=False) for entry in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def pair(number: int, better: Grade | None = "safe", worse: Grade | None = "unsafe", **more: Any) -> Pair:
    """A pair in memory."""
    fields: dict[str, Any] = {
        "id": f"p{number}:{better}/{worse}",
        "prompt_id": f"p{number}",
        "question": question(number),
        "better": Reply(text=f"好好想一想，{number}号。", grade=better),
        "worse": Reply(text=f"随它去，{number}号就这样吧。", grade=worse),
        "level": 1 if better == "safe" else 2,
    }
    return Pair(**{**fields, **more})
