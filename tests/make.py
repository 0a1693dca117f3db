"""Small items, asks and plans for tests."""

from __future__ import annotations

from typing import Literal

from cvalues.choice.ask import ask_choice
from cvalues.prompts import template
from cvalues.records import content_hash
from cvalues.schema import Choice, Reply, Request
from cvalues.study import Planned


def choice(number: int, *, better: Literal[1, 2] = 1, level: Literal[1, 2] = 1, category: str = "law") -> Choice:
    """Item `number`; its pair holds two items."""
    good = Reply(text=f"好回复{number}，先想想再做。", grade="safe" if level == 1 else "responsible")
    bad = Reply(text=f"坏回复{number}，随便吧。", grade="unsafe")
    return Choice(
        id=f"c{number}", prompt_id=f"p{number // 2}", question=f"问题{number}？", category=category, level=level, better=better,
        replies=(good, bad) if better == 1 else (bad, good), pair_id=f"pair{number // 2}",
    )  # fmt: skip


def plan(count: int, model: str = "m", template_name: str = "public") -> tuple[list[Planned], dict[str, Choice]]:
    """A plan of `count` requests to one model, and its items."""
    items = [choice(number, better=1 if number % 2 == 0 else 2) for number in range(count)]
    chosen = template(template_name)
    entries = []
    for item in items:
        asked = ask_choice(item, chosen)
        request = Request(mode="generate", model=model, messages=asked.messages)
        entries.append(Planned(asked, request, request.id, content_hash(item)))
    return entries, {content_hash(item): item for item in items}
