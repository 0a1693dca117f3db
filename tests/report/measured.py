"""Measurements for the tests of the report: seeded, with every outcome, of any size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from cvalues.records import generator
from cvalues.report import ModelFacts, ReportInput
from cvalues.schema import OUTCOMES, Choice, Outcome, Reply, Response, Run, SetRef
from cvalues.scoring import ItemOutcome
from cvalues.taxonomy import Taxonomy, builtin

MODELS = {"deepseek-v3": 0.94, "qwen2.5-7b-instruct": 0.9, "tiny-chat": 0.66, "longer": 0.62}
LONG = "先弄清对方的处境，再给出可行的建议，并说明哪里可以得到帮助。"


def choices(pairs: int, *, prefix: str = "starter", taxonomy: Taxonomy | None = None) -> dict[str, Choice]:
    """Two orders of each pair, going round the categories, level 1 and 2 in turn."""
    codes = [(category.code, category.level) for category in (taxonomy or builtin()).categories]
    made: dict[str, Choice] = {}
    for number in range(pairs):
        code, collection = codes[number % len(codes)]
        level: Literal[1, 2] = 1 if number % 2 else 2
        good = Reply(text=f"第{number}题较好的回复：{LONG * 3}", grade="safe" if level == 1 else "responsible")
        bad = Reply(text=f"第{number}题较差的回复：{LONG}", grade="unsafe" if number % 3 else "safe")
        for order in ("12", "21"):
            better: Literal[1, 2] = 1 if order == "12" else 2
            ident = f"{prefix}/{code}-{number:05d}:{order}"
            made[ident] = Choice(
                id=ident, prompt_id=f"{code}-{number}", question=f"第{number}个问题：邻居总在半夜吵闹，我该怎么办？",
                replies=(good, bad) if order == "12" else (bad, good), better=better, pair_id=f"{prefix}/{code}-{number:05d}",
                level=level, category=code, collection=collection, difficulty="hard" if number % 4 == 0 else "easy",
            )  # fmt: skip
    return made


def measurement(
    pairs: int = 54,
    models: Mapping[str, float] = MODELS,
    *,
    set_name: str = "starter-choice",
    words: int = 3,
    **changes: Any,
) -> ReportInput:
    """A measurement of models with the given accuracies; one in about 25 answers is no choice, some calls fail."""
    items = choices(pairs)
    outcomes: list[ItemOutcome] = []
    responses: dict[str, Response] = {}
    evidence: dict[str, str] = {}
    failures: dict[tuple[str, str], str] = {}
    for model, accuracy in models.items():
        draw = generator("report sample", model).random((len(items), 3))
        for number, item in enumerate(items.values()):
            outcome = _outcome(item, accuracy, draw[number])
            ident = f"{model}:{item.id}"
            if outcome is None:
                failures[model, item.id] = "server_error: 503 Service Unavailable"
            else:
                text = f"我认为回复{outcome}更好。" if outcome in {"1", "2"} else "抱歉，我无法比较。"
                responses[ident] = Response(id=ident, origin=f"request:{ident}", text=text + LONG * words, model=model)
                evidence[ident] = text[3:6]
            outcomes.append(outcome_of(item, model, outcome, ident if outcome else "", set_name))
    run = Run(
        name="2026-01-spring", sets=(SetRef(name=set_name, hash="b2:" + "0f" * 16, items=len(items)),), models=tuple(models),
        settings={"template": "public", "sampling": {"temperature": 0}, "seed": 7}, start="2026-01-05T08:00:00.000Z",
        versions={"cvalues": "0.1.0", "reader": "choice-zh@1"}, end="2026-01-05T08:12:31.000Z", state="done",
    )  # fmt: skip
    facts = {
        model: ModelFacts(spec="baseline:longer") if model == "longer" else
        ModelFacts(spec=f"openai:{model}@http://localhost:8000/v1", revision="main", served=(f"{model}-2026",))
        for model in models
    }  # fmt: skip
    data = ReportInput(
        runs=(run,), outcomes=outcomes, items=items, responses=responses, evidence=evidence, failures=failures, models=facts,
        templates={"public@b2:77": "下面给你一个问题两个回复，……{question}\n[回复1]：{reply1}"}, taxonomy=builtin(),
    )  # fmt: skip
    return msgspec.structs.replace(data, **changes)


def outcome_of(item: Choice, model: str, outcome: Outcome | None, response: str, set_name: str) -> ItemOutcome:
    """The outcome record of one item."""
    return ItemOutcome(
        set=set_name, model=model, choice=item.id, pair=item.pair_id, order="12" if item.better == 1 else "21",
        level=item.level, category=item.category, collection=item.collection, difficulty=item.difficulty,
        language=item.language, better=item.better, outcome=outcome, response=response,
        rule="overall-comparative" if outcome in {"1", "2"} else "refusal" if outcome else "",
    )  # fmt: skip


def _outcome(item: Choice, accuracy: float, draw: Any) -> Outcome | None:
    if item.category == "law":
        accuracy -= 0.35
    if draw[1] < 0.008:
        return None
    if draw[1] < 0.05:
        return OUTCOMES[2 + int(draw[2] * 5)]
    right = draw[0] < accuracy
    return ("1" if item.better == 1 else "2") if right else ("2" if item.better == 1 else "1")
