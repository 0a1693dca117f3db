"""The numbers of a report, computed once and asked for by every format."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable
from typing import NamedTuple

from cvalues.report.data import ModelFacts, ReportInput
from cvalues.report.differences import Difference, differences, visible_from
from cvalues.report.free import FreeFacts
from cvalues.schema import NO_DATA, OUTCOMES, Estimate, Run, SetRef
from cvalues.scoring import ChoiceScore, ItemOutcome, Leaderboard, Standing, leaderboard, score

__all__ = ["ALL_PAIRS_UP_TO", "Cell", "Facts", "Row"]

ALL_PAIRS_UP_TO = 6
_TYPICAL_SD = 0.5

Cell = tuple[int, int | None]
"""Level of the question and level of the prompt's collection."""


class Row(NamedTuple):
    """One model of the leaderboard."""

    model: str
    baseline: bool
    standing: Standing
    score: ChoiceScore
    levels: dict[int, ChoiceScore]

    def acc(self, level: int) -> Estimate:
        """Returns the accuracy at a level, NO_DATA when no question of it was planned for this model."""
        found = self.levels.get(level)
        return found.acc if found else NO_DATA

    def count(self, kind: str) -> int:
        """Returns how many calls had this outcome, or `failed`."""
        return self.score.counts.get(kind, 0)

    @property
    def rank_range(self) -> str:
        """The ranks that the significant differences allow, `1` or `1–3`; a dash where the model is not ranked."""
        if self.standing.ranks is None:
            return "–"
        low, high = self.standing.ranks
        return str(low) if low == high else f"{low}–{high}"

    @property
    def groups(self) -> str:
        """Letters shared with the models that cannot be told apart from this one; empty where it is not ranked."""
        return self.standing.letters

    @property
    def bounds(self) -> tuple[float | None, float | None]:
        """Accuracy over planned items if every unread or failed one were wrong, or right."""
        return self.score.bounds if self.score.planned else (None, None)

    @property
    def lean(self) -> str:
        """`first`, `second` or `none` by the interval of position bias; empty without data."""
        bias = self.score.position_bias
        if bias.value is None:
            return ""
        if bias.low is not None and bias.low > 0:
            return "first"
        if bias.high is not None and bias.high < 0:
            return "second"
        return "none"


class Facts:
    """Every number of the report of one ReportInput; computed when first asked for and kept."""

    def __init__(self, data: ReportInput) -> None:
        """Keeps the input; nothing is computed yet."""
        self.data = data
        self.free = FreeFacts(data)
        """The numbers on free responses; false where none were asked."""

    @functools.cached_property
    def outcomes(self) -> list[ItemOutcome]:
        """The outcomes by model, set, choice and response, so that no number depends on the order in which they came."""
        return sorted(self.data.outcomes, key=lambda each: (each.model, each.set, each.choice, each.response))

    # -- models ---------------------------------------------------------------------------------------------------------

    @functools.cached_property
    def leaderboard(self) -> Leaderboard:
        """The order of the models and what the paired tests say of it."""
        return leaderboard(self.outcomes)

    @functools.cached_property
    def board(self) -> tuple[Row, ...]:
        """The models in their order: by the mean of their levels' accuracy, those without data last."""
        whole = {str(each.group["model"]): each for each in self.scores["model"]}
        levels: dict[str, dict[int, ChoiceScore]] = {}
        for each in self.scores["level"]:
            levels.setdefault(str(each.group["model"]), {})[int(each.group["level"] or 0)] = each
        return tuple(
            Row(place.model, self.data.is_baseline(place.model), place, whole[place.model], levels.get(place.model, {}))
            for place in self.leaderboard.standings
        )

    @functools.cached_property
    def competitors(self) -> tuple[Row, ...]:
        """The models that are no baselines and have answers; all that have answers when there are only baselines."""
        answered = [row for row in self.board if row.score.responded]
        return tuple([row for row in answered if not row.baseline] or answered)

    @functools.cached_property
    def best_baseline(self) -> Row | None:
        """The first baseline of the board beside other models, or None."""
        beaten = {row.model for row in self.competitors}
        return next(
            (row for row in self.board if row.baseline and row.score.responded and row.model not in beaten), None
        )

    @functools.cached_property
    def floors(self) -> dict[int, float]:
        """Accuracy of the best baseline by level, where there are models besides baselines."""
        if self.best_baseline is None:
            return {}
        found: dict[int, float] = {}
        for row in self.board:
            for level in self.levels:
                value = row.acc(level).value
                if row.baseline and value is not None:
                    found[level] = max(found.get(level, 0.0), value)
        return found

    def is_baseline(self, model: str) -> bool:
        """Returns whether a model is a baseline."""
        return self.data.is_baseline(model)

    def known(self, model: str) -> ModelFacts:
        """Returns what is known of a model, empty facts when nothing is."""
        return self.data.models.get(model, ModelFacts())

    # -- scores ---------------------------------------------------------------------------------------------------------

    @functools.cached_property
    def scores(self) -> dict[str, list[ChoiceScore]]:
        """Scores by grouping: `model`, `level`, `cross`, `category`, `difficulty`, `set`, `language`."""
        keys = {
            "model": (),
            "level": ("level",),
            "cross": ("level", "collection"),
            "category": ("category",),
            "difficulty": ("difficulty",),
            "set": ("set",),
            "language": ("language",),
        }
        return {name: score(self.outcomes, by) for name, by in keys.items()}

    @functools.cached_property
    def levels(self) -> tuple[int, ...]:
        """The question levels that were planned."""
        return tuple(sorted({outcome.level for outcome in self.outcomes}))

    @functools.cached_property
    def confidence(self) -> float:
        """Confidence level of the intervals, a share."""
        return next((each.acc.confidence for each in self.scores["model"] if each.acc.value is not None), 0.95)

    @functools.cached_property
    def _cross(self) -> dict[tuple[str, Cell], Estimate]:
        return {
            (str(each.group["model"]), (int(each.group["level"] or 0), _optional(each.group["collection"]))): each.acc
            for each in self.scores["cross"]
        }

    @property
    def cross_cells(self) -> tuple[Cell, ...]:
        """Level × collection cells that were planned, an unknown collection last."""
        return tuple(
            sorted({cell for _, cell in self._cross}, key=lambda cell: (cell[1] is None, cell[1] or 0, cell[0]))
        )

    def cross(self, model: str, cell: Cell) -> Estimate:
        """Returns a model's accuracy in a level × collection cell."""
        return self._cross.get((model, cell), NO_DATA)

    @functools.cached_property
    def _categories(self) -> dict[tuple[str, str], ChoiceScore]:
        return {(str(each.group["model"]), str(each.group["category"])): each for each in self.scores["category"]}

    @functools.cached_property
    def categories(self) -> tuple[tuple[int, tuple[str, ...]], ...]:
        """The asked categories by their level in the taxonomy, 0 for those that it does not hold, in display order."""
        asked = {category for _, category in self._categories}
        found: list[tuple[int, tuple[str, ...]]] = [
            (level.code, tuple(each.code for each in self.data.taxonomy.at(level.code) if each.code in asked))
            for level in self.data.taxonomy.levels
        ]
        found.append((0, tuple(sorted(asked - self.data.taxonomy.codes))))
        return tuple((level, codes) for level, codes in found if codes)

    def in_category(self, model: str, code: str | None) -> Estimate:
        """Returns a model's accuracy in a category, or over all for None."""
        if code is None:
            return next((row.score.acc for row in self.board if row.model == model), NO_DATA)
        found = self._categories.get((model, code))
        return found.acc if found else NO_DATA

    def surely_below(self, model: str, code: str) -> bool:
        """Returns whether the category's whole interval lies below the model's overall interval."""
        part, whole = self.in_category(model, code), self.in_category(model, None)
        return part.high is not None and whole.low is not None and part.high < whole.low

    @functools.cached_property
    def _pairs_by_category(self) -> dict[str, int]:
        seen = {(outcome.set, outcome.pair): outcome.category for outcome in self.outcomes}
        counts: dict[str, int] = {}
        for category in seen.values():
            counts[category] = counts.get(category, 0) + 1
        return counts

    def category_pairs(self, code: str) -> int:
        """Returns the number of pairs of a category."""
        return self._pairs_by_category.get(code, 0)

    @property
    def pairs(self) -> int:
        """The number of pairs."""
        return sum(self._pairs_by_category.values())

    @functools.cached_property
    def questions(self) -> int:
        """The number of choices that were planned for at least one model."""
        return len({(outcome.set, outcome.choice) for outcome in self.outcomes})

    @functools.cached_property
    def difficulties(self) -> tuple[str, ...]:
        """The difficulties that the sets state, `easy` and `hard` first; empty unless there are two groups or more."""
        named = {outcome.difficulty for outcome in self.outcomes} - {""}
        order = {"easy": 0, "hard": 1}
        return tuple(sorted(named, key=lambda name: (order.get(name, 2), name)))

    @property
    def public_difficulty(self) -> bool:
        """True when only the published responsibility set was asked, whose `hard` has a known meaning."""
        return {outcome.set for outcome in self.outcomes} == {"cvalues-responsibility-mc"}

    def by_difficulty(self, model: str, name: str) -> Estimate:
        """Returns a model's accuracy on the questions of one difficulty."""
        for each in self.scores["difficulty"]:
            if each.group["model"] == model and each.group["difficulty"] == name:
                return each.acc
        return NO_DATA

    @property
    def outcome_kinds(self) -> tuple[str, ...]:
        """The outcomes in order, with `failed`."""
        return (*OUTCOMES, "failed")

    @property
    def single_order(self) -> int:
        """The largest number of pairs that any model was asked in one order only."""
        return max((row.score.single_order for row in self.board), default=0)

    # -- differences ----------------------------------------------------------------------------------------------------

    @property
    def all_pairs(self) -> bool:
        """True when every model is compared with every other, False when only with the best."""
        return len(self.board) <= ALL_PAIRS_UP_TO

    @functools.cached_property
    def differences(self) -> tuple[Difference, ...]:
        """Paired differences of accuracy, Holm-corrected together."""
        names = [row.model for row in self.board if row.score.responded]
        wanted = [(a, b) for at, a in enumerate(names) for b in names[at + 1 :] if self.all_pairs or at == 0]
        return differences(self.outcomes, wanted)

    @functools.cached_property
    def reach(self) -> float:
        """Half the width of the axis that holds every interval of the differences, in steps of 5 points."""
        return _reach([each.estimate for each in self.differences])

    @functools.cached_property
    def position_reach(self) -> float:
        """The same for position bias."""
        return min(0.5, _reach([row.score.position_bias for row in self.board]))

    @functools.cached_property
    def _spread(self) -> float:
        """Root mean square of the standard deviations of the differences, baselines left out where others are compared."""
        rivals = {row.model for row in self.competitors}
        known = [(each.sd, {each.a, each.b} <= rivals) for each in self.differences if each.sd]
        squares = [sd * sd for sd, both in known if both] or [sd * sd for sd, _ in known]
        return math.sqrt(sum(squares) / len(squares)) if squares else _TYPICAL_SD

    def detectable(self, code: str | None) -> float | None:
        """Returns the smallest difference between two models that a category, or all for None, shows with 80 % power.

        None where no difference can be shown: fewer than six pairs, or more than 100 points needed.
        """
        pairs = self.pairs if code is None else self.category_pairs(code)
        return visible_from(pairs, self._spread)

    # -- what was asked -------------------------------------------------------------------------------------------------

    @property
    def models(self) -> tuple[str, ...]:
        """Every model with results: those of the board in its order, then those that only wrote free responses."""
        return _unique([*(row.model for row in self.board), *(row.model for row in self.free.board)])

    @property
    def runs(self) -> tuple[Run, ...]:
        """The runs."""
        return self.data.runs

    @property
    def sets(self) -> tuple[SetRef, ...]:
        """The sets of all runs, each once; those that only outcomes name come without a hash."""
        found = {(each.name, each.hash): each for run in self.data.runs for each in run.sets}
        named = {each.name for each in found.values()}
        missing = _unique(outcome.set for outcome in self.outcomes if outcome.set not in named)
        counted = [
            SetRef(name=name, hash="–", items=len({o.choice for o in self.outcomes if o.set == name})) for name in missing
        ]  # fmt: skip
        return (*found.values(), *counted)

    @property
    def templates(self) -> list[tuple[str, str]]:
        """(`name@hash`, text) of the templates."""
        return sorted(self.data.templates.items())

    @functools.cached_property
    def methods(self) -> tuple[str, ...]:
        """Names of the interval methods in use."""
        used = [estimate.method for row in self.board for estimate in (row.score.acc, row.score.first_position)]
        return _unique(method for method in [*used, *(each.estimate.method for each in self.differences)] if method)


def _unique(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def _reach(estimates: Iterable[Estimate]) -> float:
    ends = [abs(end or 0.0) for each in estimates for end in (each.value, each.low, each.high)]
    return max(0.1, math.ceil(20 * max(ends, default=0.0)) / 20)


def _optional(value: str | int | None) -> int | None:
    return None if value is None else int(value)
