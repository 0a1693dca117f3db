"""Paired comparison of models on the choices that they share, and the leaderboard that follows from it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from cvalues.errors import NotEnoughData, UsageError, unknown_name
from cvalues.frames import word
from cvalues.schema import NO_DATA, Estimate, Record
from cvalues.scoring.levels import score
from cvalues.scoring.outcomes import ItemOutcome, Key, group_order, grouping
from cvalues.stats.intervals import mean_of
from cvalues.stats.paired import PairedDifference, holm, paired_difference, sign_flip
from cvalues.stats.power import smallest_detectable
from cvalues.stats.ranking import groups, letters, rank_range

Verdict = Literal["better", "worse", "cannot tell"]
_UNIT = "pair"
_POWER = 0.8


class Change(Record, frozen=True, kw_only=True):
    """How one figure of the candidate differs from the baseline's, candidate − baseline."""

    baseline: float | None
    candidate: float | None
    test: PairedDifference
    p_adjusted: float | None
    """After Holm over the groups; the overall row is a test of its own and not corrected."""
    verdict: Verdict
    """By the adjusted p value; never by whether intervals overlap."""
    smallest_detectable: float | None
    """Smallest true difference found with 80 % power at alpha, divided by the number of groups tested; None without data."""


class GroupChange(Record, frozen=True, kw_only=True):
    """The comparison on one group of shared choices."""

    group: dict[str, Key]
    """Empty for all shared choices together."""
    items: int
    """Shared choices with a response of both."""
    pairs: int
    """Shared pairs planned in both orders for both."""
    acc: Change
    both_orders: Change


class Comparison(Record, frozen=True, kw_only=True):
    """A candidate against a baseline on the choices that both were asked."""

    baseline: str
    candidate: str
    by: str
    alpha: float
    overall: GroupChange
    groups: tuple[GroupChange, ...]
    shared: int
    """Choices planned for both."""
    unshared: int
    """Choices planned for one of them only; left out."""
    unanswered: int
    """Shared choices without a response of one of them; outside acc, not right in both_orders."""

    def frame_rows(self) -> list[dict[str, Any]]:
        """Returns one row per figure and group, all shared choices first."""
        rows = []
        for entry in (self.overall, *self.groups):
            for figure in ("acc", "both_orders"):
                change: Change = getattr(entry, figure)
                rows.append(
                    {
                        self.by: entry.group.get(self.by) if entry.group else None,
                        "figure": figure,
                        "n": entry.items if figure == "acc" else entry.pairs,
                        "baseline": change.baseline,
                        "candidate": change.candidate,
                        "difference": change.test.difference,
                        "p": change.test.p if change.p_adjusted is None else change.p_adjusted,
                        "verdict": change.verdict,
                        "smallest_detectable": change.smallest_detectable,
                    }
                )
        return rows

    def frame_title(self, language: str) -> str:
        """Returns which candidate is held against which baseline."""
        return f"{word('title', 'Comparison', language)}: {self.candidate} − {self.baseline}"

    def frame_notes(self, language: str) -> tuple[str, ...]:
        """Returns how many choices both were asked."""
        counts = {"shared": self.shared, "unshared": self.unshared, "unanswered": self.unanswered}
        return (word("note", "shared", language, **counts),)


class PairTest(Record, frozen=True, kw_only=True):
    """The paired test between two models of a leaderboard."""

    better: str
    """The model with the higher mean on the shared choices."""
    worse: str
    difference: float | None
    """Mean over levels of the differences of acc on shared choices; None where a level has no shared choice."""
    p: float | None
    p_adjusted: float | None
    """After Holm over all pairs of ranked models."""


class Standing(Record, frozen=True, kw_only=True):
    """One row of a leaderboard."""

    model: str
    score: Estimate
    """Unweighted mean of acc over the levels; no data where the model has no response at one of them."""
    levels: dict[str, Estimate]
    """acc by level."""
    letters: str
    """Models that share a letter cannot be told apart; empty where unranked."""
    ranks: tuple[int, int] | None
    """Best and worst rank that the significant differences allow; None where unranked."""


class Leaderboard(Record, frozen=True, kw_only=True):
    """Models in order of score, with what the paired tests say of that order."""

    standings: tuple[Standing, ...]
    """Ranked models by falling score, then those without a score, each by name where equal."""
    groups: tuple[tuple[str, ...], ...]
    """Largest sets of ranked models no two of which differ significantly."""
    tests: tuple[PairTest, ...]
    alpha: float

    def frame_rows(self) -> list[dict[str, Any]]:
        """Returns one row per model in order of score: score, acc by level, letters, best and worst rank."""
        return [
            {"model": entry.model, "score": entry.score}
            | {f"level_{level}": acc for level, acc in entry.levels.items()}
            | {
                "letters": entry.letters,
                "best": (entry.ranks or (None, None))[0],
                "worst": (entry.ranks or (None, None))[1],
            }
            for entry in self.standings
        ]


class _Answers:
    """What one model answered, by choice: (right answers, responses, planned), summed over samples."""

    def __init__(self) -> None:
        self.counts: dict[tuple[str, str], list[int]] = {}
        self.items: dict[tuple[str, str], ItemOutcome] = {}

    def add(self, item: ItemOutcome) -> None:
        key = (item.set, item.choice)
        counts = self.counts.setdefault(key, [0, 0, 0])
        counts[0] += item.correct
        counts[1] += item.outcome is not None
        counts[2] += 1
        self.items.setdefault(key, item)


def _by_model(outcomes: Iterable[ItemOutcome]) -> dict[str, _Answers]:
    models: dict[str, _Answers] = {}
    for item in outcomes:
        answers = models.get(item.model)
        if answers is None:
            answers = models[item.model] = _Answers()
        answers.add(item)
    return models


def compare(
    outcomes: Iterable[ItemOutcome],
    baseline: str,
    candidate: str,
    by: str = "category",
    *,
    alpha: float = 0.05,
) -> Comparison:
    """Returns the paired comparison of two models on shared choices, overall and per value of `by`, sorted by it.

    A choice is shared when both models were asked it (same set and id). acc is compared on shared choices with a
    response of both, several samples of a choice averaged; both_orders on shared pairs asked in both orders, as the
    share of pairs with every planned item right. p values are sign-flip tests over pairs, corrected by Holm over the
    groups, acc and both_orders apart. `cannot tell` is not `equal`: smallest_detectable says what this number of
    pairs would have shown.

    Raises:
        UsageError: a model has no outcome, both are the same, or `by` is no key.
        NotEnoughData: the models share no choice that both answered.
    """
    items = outcomes if isinstance(outcomes, Sequence) else list(outcomes)
    if not 0 < alpha < _POWER:
        raise UsageError(f"alpha: expected a number between 0 and {_POWER}, got {alpha}")
    value_of = grouping(items, (by,))
    first, second = _two_models(items, baseline, candidate)
    shared = [key for key in first.counts if key in second.counts]
    answered = sum(first.counts[key][1] > 0 and second.counts[key][1] > 0 for key in shared)
    if not answered:
        raise NotEnoughData(
            f"'{baseline}' and '{candidate}' share no choice that both answered; run both on one set and compare again"
        )
    members: dict[Key, list[tuple[str, str]]] = {}
    for key in shared:
        members.setdefault(value_of(first.items[key])[0], []).append(key)
    values = sorted(members, key=lambda value: group_order((value,)))
    parts = [(_accuracies(first, second, members[value]), _both(first, second, members[value])) for value in values]
    accs, both = (_changes([part[at] for part in parts], f"{by}-{at}", alpha) for at in (0, 1))
    rows = [
        GroupChange(group={by: value}, items=len(acc.a), pairs=len(orders.a), acc=left, both_orders=right)
        for value, (acc, orders), left, right in zip(values, parts, accs, both, strict=True)
    ]
    whole, whole_both = _accuracies(first, second, shared), _both(first, second, shared)
    overall = GroupChange(
        group={},
        items=len(whole.a),
        pairs=len(whole_both.a),
        acc=_changes([whole], "acc", alpha)[0],
        both_orders=_changes([whole_both], "both", alpha)[0],
    )
    return Comparison(
        baseline=baseline,
        candidate=candidate,
        by=by,
        alpha=alpha,
        overall=overall,
        groups=tuple(rows),
        shared=len(shared),
        unshared=len(first.counts) + len(second.counts) - 2 * len(shared),
        unanswered=len(shared) - answered,
    )


def _two_models(items: Sequence[ItemOutcome], baseline: str, candidate: str) -> tuple[_Answers, _Answers]:
    models = _by_model(items)
    for name in (baseline, candidate):
        if name not in models:
            raise unknown_name("model", name, models)
    if baseline == candidate:
        raise UsageError(f"baseline and candidate are both '{baseline}'; name two different models")
    return models[baseline], models[candidate]


class _Paired:
    """Two measurements of the same things: candidate a, baseline b, and the pair of each."""

    def __init__(self, a: list[float], b: list[float], pairs: list[tuple[str, str]]) -> None:
        self.a, self.b, self.pairs = a, b, pairs


def _accuracies(first: _Answers, second: _Answers, keys: Sequence[tuple[str, str]]) -> _Paired:
    held = [key for key in keys if first.counts[key][1] and second.counts[key][1]]
    rates = [[answers.counts[key][0] / answers.counts[key][1] for key in held] for answers in (second, first)]
    return _Paired(rates[0], rates[1], [(key[0], first.items[key].pair) for key in held])


def _both(first: _Answers, second: _Answers, keys: Sequence[tuple[str, str]]) -> _Paired:
    orders: dict[tuple[str, str], set[str]] = {}
    right: dict[tuple[str, str], list[bool]] = {}
    for key in keys:
        item = first.items[key]
        pair = (item.set, item.pair)
        orders.setdefault(pair, set()).add(item.order)
        all_right = right.setdefault(pair, [True, True])
        for at, answers in enumerate((second, first)):
            counts = answers.counts[key]
            all_right[at] &= counts[0] == counts[2]
    pairs = [pair for pair, seen in orders.items() if len(seen) == 2]
    return _Paired([float(right[pair][0]) for pair in pairs], [float(right[pair][1]) for pair in pairs], pairs)


def _changes(parts: Sequence[_Paired], seed: str, alpha: float) -> list[Change]:
    tests = [
        paired_difference(part.a, part.b, part.pairs, seed, at, span=1.0, unit=_UNIT) for at, part in enumerate(parts)
    ]
    tested = [at for at, test in enumerate(tests) if test.p is not None]
    adjusted = dict(zip(tested, holm([test.p for test in tests if test.p is not None]), strict=True))
    return [
        Change(
            baseline=float(np.mean(part.b)) if part.b else None,
            candidate=float(np.mean(part.a)) if part.a else None,
            test=test,
            p_adjusted=adjusted.get(at),
            verdict=_verdict(test, adjusted.get(at), alpha),
            smallest_detectable=_detectable(test, alpha / max(1, len(tested))),
        )
        for at, (part, test) in enumerate(zip(parts, tests, strict=True))
    ]


def _verdict(test: PairedDifference, p: float | None, alpha: float) -> Verdict:
    if p is None or p >= alpha or not test.difference.value:
        return "cannot tell"
    return "better" if test.difference.value > 0 else "worse"


def _detectable(test: PairedDifference, alpha: float) -> float | None:
    if test.sd is None:
        return None
    found = smallest_detectable(test.difference.clusters, sd=test.sd, power=_POWER, alpha=alpha)
    return None if found is None else min(1.0, found)


def leaderboard(outcomes: Iterable[ItemOutcome], *, alpha: float = 0.05) -> Leaderboard:
    """Returns models sorted by the unweighted mean of their acc at each level, with groups and rank ranges.

    Levels are those that any model was asked. Two models are compared on the choices that both answered: the mean
    over levels of the difference of acc, by a sign-flip test over pairs, corrected by Holm over all pairs of ranked
    models. A model without response at a level has no score and no rank, and changes nothing for the others. Empty
    input gives an empty board.
    """
    items = outcomes if isinstance(outcomes, Sequence) else list(outcomes)
    accs: dict[str, dict[str, Estimate]] = {}
    for part in score(items, ("level",)):
        accs.setdefault(str(part.group["model"]), {})[str(part.group["level"])] = part.acc
    levels = sorted({level for by_level in accs.values() for level in by_level})
    scores = {
        model: mean_of([by_level.get(level, NO_DATA) for level in levels]) if _complete(by_level, levels) else NO_DATA
        for model, by_level in accs.items()
    }
    order = sorted(accs, key=lambda model: (scores[model].value is None, -(scores[model].value or 0.0), model))
    ranked = [model for model in order if scores[model].value is not None]
    tests = _tests(items, ranked, levels)
    p_values = {(test.better, test.worse): test.p_adjusted for test in tests}
    found = groups(ranked, p_values, alpha=alpha)
    shown, ranks = letters(ranked, found), rank_range(ranked, p_values, alpha=alpha)
    return Leaderboard(
        standings=tuple(
            Standing(
                model=model,
                score=scores[model],
                levels=accs[model],
                letters=shown.get(model, ""),
                ranks=ranks.get(model),
            )
            for model in order
        ),
        groups=tuple(found),
        tests=tuple(tests),
        alpha=alpha,
    )


def _complete(by_level: dict[str, Estimate], levels: Sequence[str]) -> bool:
    return all(by_level.get(level, NO_DATA).value is not None for level in levels)


def _tests(items: Sequence[ItemOutcome], ranked: Sequence[str], levels: Sequence[str]) -> list[PairTest]:
    """Returns the test of every two ranked models, in their order."""
    models = _by_model(items)
    places: dict[tuple[str, str], int] = {}
    level: list[int] = []
    pair: list[int] = []
    pairs: dict[tuple[str, str], int] = {}
    for model in ranked:
        for key, item in models[model].items.items():
            if key not in places:
                places[key] = len(places)
                level.append(levels.index(str(item.level)))
                pair.append(pairs.setdefault((item.set, item.pair), len(pairs)))
    rates = np.full((len(ranked), len(places)), np.nan)
    for at, model in enumerate(ranked):
        for key, (right, responses, _) in models[model].counts.items():
            if responses:
                rates[at, places[key]] = right / responses
    place = (np.array(level), np.array(pair))
    raw = [
        (one, two, *_level_test(rates[one] - rates[two], place, len(levels)))
        for one, two in combinations(range(len(ranked)), 2)
    ]
    adjusted = iter(holm([p for *_, p in raw if p is not None]))
    tests = []
    for one, two, gap, p in raw:
        better, worse = (one, two) if gap is None or gap >= 0 else (two, one)
        tests.append(
            PairTest(
                better=ranked[better],
                worse=ranked[worse],
                difference=None if gap is None else abs(gap),
                p=p,
                p_adjusted=None if p is None else next(adjusted),
            )
        )
    return tests


def _level_test(
    gaps: npt.NDArray[np.float64], place: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]], levels: int
) -> tuple[float | None, float | None]:
    """Returns (mean over levels of the mean difference, p value), both None where a level has no shared choice.

    `gaps` is NaN where one of the two has no response; `place` holds the level and the pair of each choice.
    """
    held = ~np.isnan(gaps)
    level, pair = place[0][held], place[1][held]
    sizes = np.bincount(level, minlength=levels)
    if not sizes.all():
        return None, None
    weighted = gaps[held] / (sizes[level] * levels)
    test = sign_flip(np.bincount(pair, weights=weighted), "leaderboard")
    return float(weighted.sum()), test.p
