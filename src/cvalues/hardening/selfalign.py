"""Self-alignment by experts' principles: a model answers with the principles in its prompt, and learns the answers without them.

After the expert-principle report of the benchmark's authors (FACTS.md §9): new prompts grow from experts' prompts within their topic; the
same model answers each with the principles of its category; answers are filtered; the training example is the prompt without the
principles, because at inference nobody tells the model which category it is in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from cvalues.errors import UsageError
from cvalues.hardening.examples import Example, ExampleLineage
from cvalues.judging.principles import Principles
from cvalues.schema import GRADES, Ask, Grade, Message, Prompt, Response
from cvalues.text import find_refusal, normalise

Dropped = Literal["no_principles", "unanswered", "cut", "empty", "ungraded", "below", "recites"]
_SHORTEST = 8
_RECITED = 12
"""Characters of a principle that an answer may not repeat word for word: it would teach the principle instead of the behaviour."""
_INTRO = {
    "zh": ("提问: ", "你需要遵循以下原则来回答问题:"),
    "en": ("Question: ", "Answer the question by these principles:"),
}


class Principled(NamedTuple):
    """A prompt as it is put with the principles of its category."""

    prompt: Prompt
    ask: Ask


def principled(
    prompts: Sequence[Prompt], principles: Principles, language: str = ""
) -> tuple[list[Principled], list[Prompt]]:
    """Returns (the asks with principles, the prompts whose category has none).

    The prompt is put first, then the principles, numbered, as in the report.

    Args:
        prompts: what is asked.
        principles: principle sets.
        language: of the principles; that of each prompt when empty.
    """
    found, without = [], []
    for prompt in prompts:
        spoken = language or ("en" if prompt.language == "en" else "zh")
        texts = principles.of(prompt.category, spoken)
        if not texts:
            without.append(prompt)
            continue
        before, rule = _INTRO[spoken]
        listed = "\n".join(f"{number}. {text}" for number, text in enumerate(texts, 1))
        ask = Ask(
            subject=prompt.id,
            prompt_id=prompt.id,
            messages=(Message(role="user", content=f"{before}{prompt.text}\n\n{rule}\n{listed}"),),
            template=principles.id,
            question=prompt.text,
        )
        found.append(Principled(prompt, ask))
    return found, without


class Graded(NamedTuple):
    """What somebody said of a response: a grade, or a score that reaches the level that is asked for."""

    rater: str
    value: str
    good: bool


def grade_verdict(rater: str, value: str, least: Grade) -> Graded:
    """Returns a verdict of criterion `grade` as whether it reaches `least`.

    Raises:
        UsageError: the value is no grade.
    """
    grades: Sequence[str] = GRADES
    if value not in grades:
        raise UsageError(f"'{value}' is no grade; the grades are {', '.join(grades)}")
    return Graded(rater, value, grades.index(value) >= grades.index(least))


def examples_of(
    asked: Sequence[Principled],
    responses: Mapping[int, Response],
    verdicts: Mapping[str, Graded],
    principles: Principles,
    model: str,
) -> tuple[list[Example], dict[str, int]]:
    """Returns (the examples, how many answers were dropped by reason).

    Dropped are prompts without an answer, answers that were cut off or blocked, are empty, were not graded or not found good, and
    answers that repeat twelve characters of a principle.

    Args:
        asked: what was put, from `principled`.
        responses: by place in `asked`.
        verdicts: by response id.
        principles: by which the answers were written.
        model: that wrote them.
    """
    found: list[Example] = []
    dropped: dict[str, int] = {}
    for place, entry in enumerate(asked):
        response = responses.get(place)
        verdict = verdicts.get(response.id) if response is not None else None
        why = _reason(entry, response, verdict, principles)
        if why or response is None or verdict is None:
            dropped[why or "ungraded"] = dropped.get(why or "ungraded", 0) + 1
            continue
        prompt = entry.prompt
        found.append(
            Example(
                prompt=prompt.text, answer=response.text.strip(), category=prompt.category, origin="principles",
                licence=prompt.licence,
                lineage=ExampleLineage(
                    seed=prompt.parent or prompt.id, principles=principles.id, model=model, response=response.id,
                    rater=verdict.rater, value=verdict.value,
                ),
            )
        )  # fmt: skip
    return found, dropped


def _reason(
    entry: Principled, response: Response | None, verdict: Graded | None, principles: Principles
) -> Dropped | Literal[""]:
    if response is None:
        return "unanswered"
    text = response.text.strip()
    if response.finish != "stop":
        return "cut"
    if len(text) < _SHORTEST:
        return "empty"
    if recites(text, principles.of(entry.prompt.category, "zh") + principles.of(entry.prompt.category, "en")):
        return "recites"
    if verdict is None:
        return "ungraded"
    return "" if verdict.good else "below"


def recites(answer: str, principles: Sequence[str]) -> bool:
    """Returns whether an answer repeats twelve characters in a row of a principle."""
    said = normalise(answer)
    return any(
        text[start : start + _RECITED] in said
        for text in map(normalise, principles)
        for start in range(max(0, len(text) - _RECITED + 1))
    )


def declined(examples: Sequence[Example]) -> float | None:
    """Returns the share of answers that hold a phrase of refusal, to see whether training would teach refusing; None for no example."""
    if not examples:
        return None
    return sum(find_refusal(example.answer) is not None for example in examples) / len(examples)
