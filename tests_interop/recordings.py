"""The recorded responses of tests/integrations/data, as a chat server that any tool can ask, whatever its prompt looks like."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cvalues.datasets import load
from cvalues.schema import Choice

DATA = Path(__file__).resolve().parents[1] / "tests" / "integrations" / "data"
KINDS = ("plain", "free")


def accepted() -> dict[str, Any]:
    """Versions and numbers of the tools, as they were when they accepted the files."""
    found: dict[str, Any] = json.loads((DATA / "accepted.json").read_text(encoding="utf-8"))
    return found


def answers(kind: str) -> dict[str, str]:
    """Item → recorded response."""
    lines = (DATA / "answers.jsonl").read_text(encoding="utf-8").splitlines()
    return {row["id"]: row[kind] for row in map(json.loads, lines)}


def asked(prompt: str, choices: list[Choice]) -> Choice:
    """The item that a prompt asks: its question stands in it, and its first reply before its second."""
    for choice in choices:
        first, second = (prompt.find(reply.text) for reply in choice.replies)
        if choice.question in prompt and 0 <= first < second:
            return choice
    raise LookupError(prompt)


def script(kind: str) -> Callable[[dict[str, Any], int], str]:
    """What `server.ChatServer` answers: the recorded response of the item that is asked."""
    choices = list(load(DATA / "set.jsonl", kind="choice"))
    said = answers(kind)

    def answer(body: dict[str, Any], _number: int) -> str:
        content = body["messages"][-1]["content"]
        text = content if isinstance(content, str) else "".join(part.get("text", "") for part in content)
        return said[asked(text, choices).id]

    return answer
