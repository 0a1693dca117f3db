"""Both orders from one pair of replies, and choices from graded prompts. Pure functions.

They live below `cvalues.choice`, whose module `build` offers them to users, because loading a file needs them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec

from cvalues.datasets.shapes import Comparison, GradedPrompt
from cvalues.errors import DataError
from cvalues.records import content_hash
from cvalues.schema import GRADES, Choice, Grade, Reply

PAIR_TYPES: dict[str, tuple[Grade, Grade]] = {
    "su": ("safe", "unsafe"),
    "rs": ("responsible", "safe"),
    "ru": ("responsible", "unsafe"),
}
"""Code of a pair type → (grade of the better reply, grade of the worse one)."""


def level_of(better: Grade | None, worse: Grade | None) -> Literal[1, 2] | None:
    """Returns the level of the question between two grades: 1 for safe/unsafe, 2 for a pair with a responsible reply.

    None when a grade is not known.

    Raises:
        DataError: the first grade is not above the second.
    """
    if better is None or worse is None:
        return None
    if GRADES.index(better) <= GRADES.index(worse):
        raise DataError(f"a {better} reply is not better than a {worse} one; expected unsafe < safe < responsible")
    return 2 if better == "responsible" else 1


def pair_hash(question: str, better: str, worse: str) -> str:
    """Returns 16 hexadecimal digits that depend on the question and the two replies alone, not on their order in a file."""
    return content_hash((question, better, worse))[3:19]


def both_orders(pair: Comparison) -> tuple[Choice, Choice]:
    """Returns the two choices of a pair: `<pair id>:12` shows the better reply first, `<pair id>:21` second."""

    def choice(order: str, replies: tuple[Reply, Reply], better: Literal[1, 2]) -> Choice:
        return Choice(
            id=f"{pair.id}:{order}",
            prompt_id=pair.prompt_id,
            question=pair.question,
            replies=replies,
            better=better,
            pair_id=pair.id,
            level=pair.level,
            category=pair.category,
            collection=pair.collection,
            difficulty=pair.difficulty,
            language=pair.language,
            split=pair.split,
            source=pair.source,
            tags=pair.tags,
        )

    return choice("12", (pair.better, pair.worse), 1), choice("21", (pair.worse, pair.better), 2)


def comparison_of(choice: Choice) -> Comparison:
    """Returns the pair that a choice shows, the same for both of its orders."""
    first, second = choice.replies
    better, worse = (first, second) if choice.better == 1 else (second, first)
    return Comparison(
        id=choice.pair_id,
        prompt_id=choice.prompt_id,
        question=choice.question,
        better=better,
        worse=worse,
        level=choice.level,
        category=choice.category,
        collection=choice.collection,
        difficulty=choice.difficulty,
        language=choice.language,
        split=choice.split,
        source=choice.source,
        tags=choice.tags,
    )


def build_choices(
    prompt_id: str,
    question: str,
    better: Reply,
    worse: Reply,
    *,
    pair_id: str = "",
    like: Comparison | Choice | None = None,
) -> tuple[Choice, Choice]:
    """Returns the two choices of a pair of replies: the better reply first, then second.

    Args:
        prompt_id: id of the prompt that the question is.
        question: the text of the question.
        better: the better reply.
        worse: the worse reply.
        pair_id: id that both orders share; `<prompt id>:<pair_hash>` when empty.
        like: where category, collection, difficulty, language, split, source and tags come from, and the level when a grade
            is not known.

    Raises:
        DataError: the grades do not rank the replies, or the level follows from neither the grades nor `like`.
    """
    level = level_of(better.grade, worse.grade) or (like.level if like is not None else None)
    if level is None:
        raise DataError(f"{prompt_id}: the replies have no grades; give the level of the question")
    pair = Comparison(
        id=pair_id or f"{prompt_id}:{pair_hash(question, better.text, worse.text)}",
        prompt_id=prompt_id,
        question=question,
        better=better,
        worse=worse,
        level=level,
    )
    if like is not None:
        pair = msgspec.structs.replace(
            pair,
            category=like.category,
            collection=like.collection,
            difficulty=like.difficulty,
            language=like.language,
            split=like.split,
            source=like.source,
            tags=like.tags,
        )
    return both_orders(pair)


def comparisons_of(graded: GradedPrompt) -> Iterator[Comparison]:
    """Yields a pair for every pair type of which the prompt has both replies: `su`, then `rs`, then `ru`.

    Ids are `<prompt id>:<pair type>`; the tag `pair` says `safe/unsafe`, `responsible/safe` or `responsible/unsafe`.
    """
    prompt = graded.prompt
    for code, (better, worse) in PAIR_TYPES.items():
        if better not in graded.replies or worse not in graded.replies:
            continue
        yield Comparison(
            id=f"{prompt.id}:{code}",
            prompt_id=prompt.id,
            question=prompt.text,
            better=Reply(text=graded.replies[better], grade=better),
            worse=Reply(text=graded.replies[worse], grade=worse),
            level=level_of(better, worse) or 2,
            category=prompt.category,
            collection=prompt.level,
            difficulty=graded.difficulty.get(code, prompt.difficulty),
            language=prompt.language,
            split=prompt.split,
            source=prompt.source,
            tags={**prompt.tags, "pair": f"{better}/{worse}"},
        )
