"""Supervised examples: a prompt and the answer to learn, with where both came from; the guard; the forms of trainers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from cvalues.errors import UsageError
from cvalues.records import content_hash
from cvalues.schema import Record
from cvalues.text import near_duplicates

Origin = Literal["expert", "pack", "principles"]
THRESHOLD = 0.7
"""Similarity from which a prompt counts as a near-duplicate of one that is held back."""


class ExampleLineage(Record, frozen=True, kw_only=True):
    """Where an example came from."""

    seed: str = ""
    """Id of the prompt that the prompt was grown from; empty where an expert wrote it."""
    principles: str = ""
    """`principles@VERSION-HASH` that the answer was written by."""
    model: str = ""
    """The model that wrote the answer."""
    response: str = ""
    """Id of the response in the study."""
    rater: str = ""
    """Who found the answer good enough."""
    value: str = ""
    """What the rater said."""
    person: str = ""
    """Pseudonym of the expert."""
    file: str = ""
    """Name of the file it was read from, with the line."""


class Example(Record, frozen=True, kw_only=True):
    """A prompt and the answer that a model shall learn to give; the prompt holds no principles."""

    prompt: str
    answer: str
    category: str
    origin: Origin
    lineage: ExampleLineage = ExampleLineage()
    licence: str = ""

    @property
    def id(self) -> str:
        """Depends on prompt and answer alone."""
        return f"example/{content_hash((self.prompt, self.answer))[3:19]}"


class Guarded(NamedTuple):
    """Examples after the guard."""

    kept: list[Example]
    refused: list[tuple[Example, str]]
    """Examples whose prompt is held back or nearly so, with the held-back prompt that it is like."""
    repeated: int
    """Examples of one prompt and answer beyond the first."""


def guard(examples: Iterable[Example], held: Sequence[str], threshold: float = THRESHOLD) -> Guarded:
    """Returns the examples whose prompt is neither held back nor a near-duplicate of a held-back prompt.

    Args:
        examples: what somebody wants to train on.
        held: texts of the prompts that models are measured on.
        threshold: similarity from which two prompts are near-duplicates (`text.near_duplicates`).
    """
    seen: dict[str, Example] = {}
    total = 0
    for example in examples:
        total += 1
        seen.setdefault(example.id, example)
    chosen = list(seen.values())
    texts = [*held, *(example.prompt for example in chosen)]
    start = len(held)
    # Equal texts are listed with the first of them only, so a prompt may be like a held-back one through another example.
    like: dict[int, int] = {place: place for place in range(start)}
    pairs = near_duplicates(texts, threshold)
    grown = True
    while grown:
        grown = False
        for first, second, score in pairs:
            for one, other in ((first, second), (second, first)):
                if one in like and other not in like and (one < start or score == 1.0):
                    like[other] = like[one]
                    grown = True
    kept, refused = [], []
    for place, example in enumerate(chosen, start):
        if place in like:
            refused.append((example, texts[like[place]]))
        else:
            kept.append(example)
    return Guarded(kept, refused, total - len(chosen))


def need_kept(found: Guarded) -> list[Example]:
    """Returns the kept examples; raises UsageError when there is none."""
    if not found.kept:
        raise UsageError(
            f"no example is left: {len(found.refused)} have prompts that are held back for measuring, or nearly so; "
            "write new prompts for training"
        )
    return found.kept


def _said(role: str, text: str) -> dict[str, str]:
    return {"role": role, "content": text}


def _messages(example: Example) -> list[dict[str, str]]:
    return [_said("user", example.prompt), _said("assistant", example.answer)]


FORMS: Mapping[str, Callable[[Example], dict[str, Any]]] = {
    "trl": lambda example: {"prompt": example.prompt, "completion": example.answer},
    "trl-chat": lambda example: {"messages": _messages(example)},
    "llama-factory": lambda example: {"instruction": example.prompt, "input": "", "output": example.answer},
    "ms-swift": lambda example: {"messages": _messages(example)},
    "openrlhf": lambda example: {"input": example.prompt, "output": example.answer},
    "public": lambda example: {"prompt": example.prompt, "answer": example.answer},
}
"""Forms of a file of supervised examples, one JSON object a line."""
