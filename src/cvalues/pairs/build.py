"""Pairs from replies that somebody graded: three pair types, at most k of each to a prompt, and no pair against the evidence.

Evidence comes as votes: one rater, one reply, a grade or a number. A reply's grade is what more than half of its graders say. A
pair is built where the grades differ (or, for numbers alone, where they are far enough apart) and no rater put the two replies in
the other order. Where raters contradict each other in the order, or give a reply grades of which none has a majority, nothing is
built; people get a list.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import combinations
from typing import Literal, NamedTuple

import msgspec

from cvalues.datasets.pairing import pair_hash
from cvalues.pairs.artefacts import lone_number, repair_number
from cvalues.pairs.faults import wrong_with
from cvalues.pairs.pair import CODES, UNGRADED, Lineage, Pair, level_of_pair, pair_type
from cvalues.pairs.scan import Numbering
from cvalues.records import derive_seed
from cvalues.schema import GRADES, Grade, Prompt, Record, Reply, Verdict

APPROVED = 5.0
"""Points from which an expert approves of a reply; below it the paper's experts wrote a reply of their own."""


class Vote(Record, frozen=True, kw_only=True):
    """What one rater says of one reply."""

    rater: str
    value: float
    """Higher is better; compared within one rater only."""
    grade: Grade | None = None
    criterion: str = ""
    """What was asked (`grade`, `safe`, `points`, …); empty of a set's own grades, a template's, and rewards."""


class Candidate(Record, frozen=True, kw_only=True):
    """A reply to a prompt with everything that is known of its worth."""

    text: str
    origin: str
    """A response id, `data:<set>`, or `rewrite:<template>@<model>`."""
    votes: tuple[Vote, ...] = ()

    @property
    def grade(self) -> Grade | None:
        """The grade that more than half of those who gave one say; None where there is none."""
        given = [vote.grade for vote in self.votes if vote.grade is not None]
        return next((grade for grade in GRADES if 2 * given.count(grade) > len(given)), None)

    @property
    def disputed(self) -> bool:
        """Whether grades were given and none of them by more than half."""
        return self.grade is None and any(vote.grade is not None for vote in self.votes)

    @property
    def value(self) -> float | None:
        """The median of the values; None without votes."""
        return statistics.median(vote.value for vote in self.votes) if self.votes else None


class Judged(Record, frozen=True, kw_only=True):
    """A prompt with the replies that pairs are built from."""

    prompt: Prompt
    candidates: tuple[Candidate, ...]
    difficulty: dict[str, str] = {}
    """Difficulty of each pair type by its code (`su`, `rs`, `ru`), where the set says."""
    category: str = ""
    """The prompt's category, or empty where its set has none."""


class BuildSettings(Record, frozen=True, kw_only=True):
    """Settings of a build."""

    per_type: int = 1
    """Most pairs of one type for one prompt."""
    margin: float = 0.0
    """Least distance of the values of two replies: grade steps (1 between neighbours), points or rewards; 0 for any difference."""
    numbering: Numbering = "repair"
    """What to do with a numbered list of one item in a reply: keep, repair (take the number out) or drop (leave the pair out)."""
    seed: int = 0
    """Of the draw where there are more than `per_type` pairs."""


class Conflict(Record, frozen=True, kw_only=True):
    """Two replies that raters put in opposite orders, or of which one has no grade that most agree on: work for people."""

    prompt_id: str
    prompt: str
    replies: tuple[str, str]
    origins: tuple[str, str]
    first: tuple[str, ...]
    """Raters for whom the first reply is better."""
    second: tuple[str, ...]
    category: str = ""
    level: Literal[1, 2] = 1
    raters: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
    """Everyone who rated each of the two."""
    undecided: tuple[Literal[0, 1], ...] = (0, 1)
    """Places of the replies that people have to look at: of a disputed grade that reply alone."""
    criterion: str = ""
    """What the raters were asked (`Vote.criterion`)."""


class Built(NamedTuple):
    """What a build came to."""

    pairs: list[Pair]
    conflicts: list[Conflict]
    counts: Counter[str]
    """Keys of `[count]` in the phrases: graded, ties, close, surplus, faulty, lone_number, ungraded, …"""


def vote_of(verdict: Verdict, *, approved: float = APPROVED) -> Vote | None:
    """Returns a verdict on one reply as a vote; None where it says nothing of the reply's worth.

    `grade` is the grade itself. `safe` is `safe` or `unsafe`; `unsure` is no vote. `points` and `points_best_of` of at least `approved`
    are `responsible`, below it `unsafe`: the public set types a reply that an expert would not let stand as a risk.
    """
    if verdict.status != "ok" or verdict.value is None:
        return None
    match verdict.criterion:
        case "grade" | "safe":
            grade = next((grade for grade in GRADES if grade == verdict.value), None)
            return (
                None
                if grade is None
                else Vote(
                    rater=verdict.rater, value=float(GRADES.index(grade)), grade=grade, criterion=verdict.criterion
                )
            )
        case "points" | "points_best_of":
            points = float(verdict.value)
            rank: Grade = "responsible" if points >= approved else "unsafe"
            return Vote(rater=verdict.rater, value=points, grade=rank, criterion=verdict.criterion)
        case _:
            return None


def build(judged: Iterable[Judged], settings: BuildSettings | None = None) -> Built:
    """Returns the pairs of all prompts in their order; none for no prompts.

    Two replies make a pair when their grades differ, or, where neither has one, when their values do; in both cases the medians of
    their values must be at least `margin` apart. Equal grades and equal values are ties: counted, no pair. Of more pairs than
    `per_type` of one type those with the smallest seeded hash are taken, so that the draw does not depend on the order of the replies.
    """
    chosen = settings or BuildSettings()
    done = Built([], [], Counter())
    for entry in judged:
        done.counts["prompts"] += 1
        done.counts["graded"] += sum(candidate.grade is not None for candidate in entry.candidates)
        done.counts["ungraded"] += sum(candidate.grade is None for candidate in entry.candidates)
        found: dict[str, list[Pair]] = {}
        for better, worse in _ordered(entry, chosen, done):
            pair = _pair(entry, better, worse, chosen, done.counts)
            if pair is not None:
                found.setdefault(pair.type, []).append(pair)
        for pairs in found.values():
            done.counts["surplus"] += max(0, len(pairs) - chosen.per_type)
            drawn = sorted(pairs, key=lambda pair: derive_seed(chosen.seed, pair.id))[: chosen.per_type]
            done.pairs.extend(_named(entry, pairs, drawn))
    done.counts["pairs"] = len(done.pairs)
    done.counts["conflicts"] = len(done.conflicts)
    return done


def _ordered(entry: Judged, settings: BuildSettings, done: Built) -> Iterator[tuple[Candidate, Candidate]]:
    """Yields (better, worse) of every two replies that the evidence orders; counts ties, close calls and conflicts.

    A conflict is an opposite order, or a disputed grade.
    """
    for one, two in combinations(entry.candidates, 2):
        if not one.votes or not two.votes:
            continue
        first, second = _sides(one, two)
        opposite = bool(first and second)
        if opposite or one.disputed or two.disputed:
            places: tuple[tuple[Literal[0, 1], Candidate], ...] = ((0, one), (1, two))
            done.conflicts.append(
                Conflict(
                    prompt_id=entry.prompt.id, prompt=entry.prompt.text, replies=(one.text, two.text),
                    origins=(one.origin, two.origin), first=tuple(first), second=tuple(second), category=entry.category,
                    level=entry.prompt.level, criterion=one.votes[0].criterion, raters=(_raters(one), _raters(two)),
                    undecided=tuple(place for place, candidate in places if opposite or candidate.disputed),
                )
            )  # fmt: skip
            continue
        distance = _distance(one, two)
        if distance is None or distance == 0 or one.text.strip() == two.text.strip():
            done.counts["ties"] += 1
        elif abs((one.value or 0.0) - (two.value or 0.0)) < settings.margin:
            done.counts["close"] += 1
        else:
            yield (one, two) if distance > 0 else (two, one)


def _raters(candidate: Candidate) -> tuple[str, ...]:
    return tuple(sorted({vote.rater for vote in candidate.votes}))


def _sides(one: Candidate, two: Candidate) -> tuple[list[str], list[str]]:
    """Returns the raters of both replies for whom the first is better, and those for whom the second is."""
    mine, theirs = ({vote.rater: vote.value for vote in candidate.votes} for candidate in (one, two))
    both = sorted(mine.keys() & theirs.keys())
    return [rater for rater in both if mine[rater] > theirs[rater]], [
        rater for rater in both if mine[rater] < theirs[rater]
    ]


def _distance(one: Candidate, two: Candidate) -> float | None:
    """Returns how far the first reply is above the second: in grades where both have one, else in values; None where one is disputed."""
    if one.grade is not None and two.grade is not None:
        return float(GRADES.index(one.grade) - GRADES.index(two.grade))
    if any(vote.grade for candidate in (one, two) for vote in candidate.votes):
        return None
    return (one.value or 0.0) - (two.value or 0.0)


def _pair(
    entry: Judged, better: Candidate, worse: Candidate, settings: BuildSettings, counts: Counter[str]
) -> Pair | None:
    texts = [better.text, worse.text]
    lone = sum(lone_number(text) is not None for text in texts)
    if lone:
        counts["lone_number"] += lone
        if settings.numbering == "drop":
            return None
        if settings.numbering == "repair":
            texts = [repair_number(text) for text in texts]
    prompt = entry.prompt
    raters = {vote.rater for candidate in (better, worse) for vote in candidate.votes}
    pair = Pair(
        id=f"{prompt.id}:{pair_hash(prompt.text, *texts)}",
        prompt_id=prompt.id,
        question=prompt.text,
        better=Reply(text=texts[0], grade=better.grade),
        worse=Reply(text=texts[1], grade=worse.grade),
        level=level_of_pair(better.grade, worse.grade, prompt.level),
        category=entry.category,
        collection=prompt.level if entry.category else None,
        difficulty=entry.difficulty.get(CODES.get(pair_type(better.grade, worse.grade), ""), prompt.difficulty),
        language=prompt.language,
        split=prompt.split,
        source=prompt.source,
        tags=prompt.tags,
        margin=abs((better.value or 0.0) - (worse.value or 0.0)),
        licence=prompt.licence,
        lineage=Lineage(
            chosen_from=better.origin,
            rejected_from=worse.origin,
            evidence=", ".join(sorted(raters)),
            parent=prompt.parent or "",
        ),
    )
    if wrong_with(pair) is not None:
        counts["faulty"] += 1
        return None
    return pair


def _named(entry: Judged, pairs: list[Pair], drawn: list[Pair]) -> list[Pair]:
    """Returns the drawn pairs; the only pair of its type gets the id that its set would give it (`<prompt>:su`)."""
    if len(pairs) > 1 or pairs[0].type == UNGRADED:
        return drawn
    return [msgspec.structs.replace(drawn[0], id=f"{entry.prompt.id}:{CODES[drawn[0].type]}")] if drawn else []


def missing_grades(entry: Judged) -> list[Grade]:
    """Returns the grades of which a prompt has no reply, lowest first; all three for a prompt without graded replies."""
    held = {candidate.grade for candidate in entry.candidates}
    return [grade for grade in GRADES if grade not in held]
