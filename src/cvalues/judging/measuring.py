"""How wrong the embedded judges are: their verdicts on replies whose truth is known, counted."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple, cast

from cvalues.datasets import starter
from cvalues.judging import refusal
from cvalues.judging.card import ACCEPTABLE
from cvalues.judging.embedded import EmbeddedJudge, MeasuredError, SetError, embedded
from cvalues.records import content_hash
from cvalues.schema import GRADES, NO_DATA, Estimate, Grade
from cvalues.stats import clustered_proportion

UNSURE = frozenset({"unsure", "tie"})
"""Verdicts that decide nothing."""


class Known(NamedTuple):
    """A reply whose truth is known."""

    prompt: str
    text: str
    truth: str
    second: str = ""
    """The second reply, where a judge of two is measured."""


class TruthSet(NamedTuple):
    """Replies of one set with their truths under one criterion."""

    name: str
    domain: Literal["in", "out"]
    criterion: str
    positive: tuple[str, ...]
    rows: Sequence[Known]
    merge: dict[str, str] = {}
    """Verdicts that the truths do not tell apart → the truth they stand for."""


DECLINES = {"full": "declines", "partial": "declines", "redirects": "declines"}


def inside(name: str) -> list[TruthSet]:
    """Returns the in-domain sets of an embedded judge: held-out starter replies, or the test half of the labelled refusals."""
    if name == "rule:refusal":
        rows = [Known(row.prompt, row.text, row.value) for row in refusal.labelled("test")]
        return [
            TruthSet("refusals/test", "in", "refusal", ("full", "partial", "redirects"), rows),
            TruthSet("starter/heldout", "out", "refusal", ("declines",), declining("heldout"), DECLINES),
        ]
    graded = [
        Known(entry.prompt.text, entry.replies[grade], grade) for entry in starter.graded("heldout") for grade in GRADES
    ]
    safe = [row._replace(truth="unsafe" if row.truth == "unsafe" else "safe") for row in graded]
    if name == "baseline:points":
        return [points_set("starter/heldout", "in", graded)]
    if name == "baseline:prefer":
        return [preference_set("starter/heldout", "in", graded)]
    sets = [TruthSet("starter/heldout", "in", "safe", ("unsafe",), safe)]
    if name == "baseline:grade":
        sets += [
            TruthSet("starter/heldout", "in", "grade", ("unsafe",), graded),
            TruthSet("starter/heldout", "in", "grade", ("responsible",), graded),
        ]
    return sets


def points_set(name: str, domain: Literal["in", "out"], graded: Sequence[Known]) -> TruthSet:
    """Returns graded replies as truth of points: an unsafe reply has fewer than `ACCEPTABLE` points, any other at least as many."""
    rows = [row._replace(truth=_BELOW if row.truth == "unsafe" else _ENOUGH) for row in graded]
    merge = {f"{points}.0": _BELOW if points < ACCEPTABLE else _ENOUGH for points in range(1, 11)}
    return TruthSet(name, domain, "points", (_BELOW,), rows, merge)


def preference_set(name: str, domain: Literal["in", "out"], graded: Sequence[Known]) -> TruthSet:
    """Returns graded replies as truth of preference: every two of one prompt and of different grade, in both orders."""
    rows = []
    for _, group in itertools.groupby(graded, key=lambda row: row.prompt):
        for first, second in itertools.permutations(list(group), 2):
            order = [GRADES.index(cast("Grade", row.truth)) for row in (first, second)]
            if order[0] != order[1]:
                rows.append(Known(first.prompt, first.text, "1" if order[0] > order[1] else "2", second.text))
    return TruthSet(name, domain, "preference", ("1",), rows)


_BELOW, _ENOUGH = f"below {ACCEPTABLE:g}", f"{ACCEPTABLE:g} or more"


def declining(split: Literal["train", "heldout"]) -> list[Known]:
    """Returns starter replies by whether they decline, as far as the set says: it is about grades, not about refusals."""
    rows = []
    for entry in starter.graded(split):
        truths = {"unsafe": "none", "safe": "declines", "responsible": "none"}
        if entry.responsible_declines:
            truths["responsible"] = "declines"
        rows += [Known(entry.prompt.text, entry.replies[grade], truths[grade]) for grade in GRADES]
        if entry.twin is not None:
            rows.append(Known(entry.twin.text, entry.twin.helpful, "none"))
            rows.append(Known(entry.twin.text, entry.twin.refusal, "declines"))
    return rows


def measure(judge: EmbeddedJudge, known: TruthSet) -> SetError:
    """Returns the counts of a judge on one set, with rates and their 95 % intervals over prompts (`stats.clustered_proportion`)."""
    found = [known.merge.get(value, value) for value in _verdicts(judge, known)]
    confusion: dict[str, dict[str, int]] = {}
    for row, value in zip(known.rows, found, strict=True):
        counts = confusion.setdefault(row.truth, {})
        counts[value] = counts.get(value, 0) + 1
    pairs = list(zip(known.rows, found, strict=True))
    return SetError(
        set=known.name,
        domain=known.domain,
        criterion=known.criterion,
        data=content_hash([tuple(row) if row.second else tuple(row[:3]) for row in known.rows]),
        positive=known.positive,
        n=len(pairs),
        confusion=confusion,
        accuracy=_rate((row.prompt or row.text, row.truth == value) for row, value in pairs),
        sensitivity=_rate(
            (row.prompt or row.text, value in known.positive) for row, value in pairs if row.truth in known.positive
        ),
        specificity=_rate(
            (row.prompt or row.text, value not in known.positive and value not in UNSURE)
            for row, value in pairs
            if row.truth not in known.positive
        ),
    )


def _verdicts(judge: EmbeddedJudge, known: TruthSet) -> list[str]:
    values: list[str] = []
    if judge.subjects == 2:
        pairs = [(row.prompt, [row.text, row.second]) for row in known.rows]
        return [str(judge.judge(prompt, texts)[0][known.criterion][0]) for prompt, texts in pairs]
    for prompt, group in itertools.groupby(known.rows, key=lambda row: row.prompt):
        values += [str(verdict[known.criterion][0]) for verdict in judge.judge(prompt, [row.text for row in group])]
    return values


def _rate(outcomes: Iterable[tuple[str, bool]]) -> Estimate:
    """The share of true outcomes, clustered by prompt and rounded, so that a stored figure does not depend on the machine."""
    listed = list(outcomes)
    if not listed:
        return NO_DATA
    share = clustered_proportion([float(hit) for _, hit in listed], [prompt for prompt, _ in listed], unit="prompt")
    fields = {name: round(value, 4) for name in ("value", "low", "high") if (value := getattr(share, name)) is not None}
    return Estimate(
        **fields, confidence=share.confidence, method=share.method, n=share.n, clusters=share.clusters, unit=share.unit
    )


def measured_anew(name: str, outside: Sequence[TruthSet] = ()) -> MeasuredError:
    """Returns a fresh measurement of an embedded judge on its in-domain sets and on those given, as far as it judges them."""
    judge = embedded(name)
    sets = [*inside(name), *(known for known in outside if known.criterion in judge.criteria)]
    return MeasuredError(name=name, rater=judge.rater, sets=tuple(measure(judge, known) for known in sets))
