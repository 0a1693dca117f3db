"""Every number of the report's part on free responses, computed once for all files and languages."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping
from typing import NamedTuple

from cvalues.judging.card import JudgeCard, state
from cvalues.report.data import FreeInput, ReportInput
from cvalues.schema import NO_DATA, Estimate
from cvalues.scoring.correlation import Correlation, correlations
from cvalues.scoring.free import PEOPLE, FreeOutcome, Read, headlines, kind_of, raters, read_by
from cvalues.scoring.free_scores import FreeScore, safety_reading, scores_of
from cvalues.scoring.order import ANSWERERS, OrderCheck, order_checks, share_by_prompt
from cvalues.scoring.preference import Duel, duels
from cvalues.scoring.readers import MEASURES, ReaderError, error_of
from cvalues.scoring.sources import SourceScore, agreements, errors_of_card, source_scores
from cvalues.scoring.telling import Gap, Level, Reading, Told, gaps, knows_but_errs, readings, told
from cvalues.stats.paired import holm, paired_difference

__all__ = ["FREE_GROUPS", "MADE_UP", "FreeFacts", "FreeRow"]

FREE_GROUPS: Mapping[str, tuple[str, ...]] = {
    "model": (),
    "level": ("level",),
    "category": ("category",),
    "difficulty": ("difficulty",),
    "set": ("set",),
    "language": ("language",),
}
"""Groupings by name."""
MADE_UP = "person:simulated"
"""How raters begin whose verdicts were drawn for a demonstration."""
_ALPHA = 0.05


class FreeRow(NamedTuple):
    """One model of the tables on free responses."""

    model: str
    baseline: bool
    score: FreeScore


class FreeFacts:
    """Every number on the free responses of one ReportInput; computed when first asked for and kept."""

    def __init__(self, data: ReportInput) -> None:
        """Keeps the input; nothing is computed yet."""
        self.data = data

    @property
    def free(self) -> FreeInput:
        """What is known of free responses."""
        return self.data.free

    def __bool__(self) -> bool:
        """True when any free response was planned."""
        return bool(self.free.outcomes)

    @functools.cached_property
    def outcomes(self) -> list[FreeOutcome]:
        """The outcomes by model, set, prompt and sample, so that no number depends on the order in which they came."""
        return sorted(self.free.outcomes, key=lambda each: (each.model, each.set, each.prompt, each.sample))

    # -- raters ---------------------------------------------------------------------------------------------------------

    @functools.cached_property
    def raters(self) -> dict[str, str]:
        """Headline rater of every criterion that was judged."""
        return headlines(self.outcomes, self.free.rater) if self.outcomes else {}

    @functools.cached_property
    def all_raters(self) -> tuple[str, ...]:
        """Every rater of any criterion, people as one."""
        return tuple(sorted({name for counts in raters(self.outcomes).values() for name in counts}))

    @functools.cached_property
    def made_up(self) -> bool:
        """Whether any verdict is of an annotator that was made up for a demonstration."""
        named = (name for each in self.outcomes for names in each.verdicts.values() for name in names)
        stored = (verdict.rater for verdicts in self.free.verdicts.values() for verdict in verdicts)
        return any(name.startswith(MADE_UP) for name in itertools.chain(named, stored))

    @functools.cached_property
    def agreements(self) -> tuple[JudgeCard, ...]:
        """How far every two raters agree on these responses."""
        return tuple(agreements(self.outcomes))

    @functools.cached_property
    def cards(self) -> tuple[tuple[JudgeCard, str], ...]:
        """Cards of earlier calibrations of these raters' families, each `valid` or `stale`."""
        found = [(card, state(card, self.all_raters)) for card in self.free.cards]
        return tuple((card, told) for card, told in found if told != "unused")

    @functools.cached_property
    def errors(self) -> tuple[ReaderError, ...]:
        """What is known of the readers' errors, against people first, the largest sample first; then those of the built-in readers."""
        cards = [(card, told == "stale") for card, told in self.cards if _people(card.reference)]
        cards += [(card, False) for card in self.agreements if card.reference == PEOPLE]
        cards.sort(key=lambda each: -each[0].n)
        # What a built-in reader gets wrong depends on who wrote the replies: only the built-in answerers write the starter set's own.
        own = all(
            outcome.set.startswith("starter") and outcome.model.startswith("baseline:")
            for outcome in self.free.outcomes
        )
        measured = sorted(self.free.errors, key=lambda error: error.in_domain != own)
        return (*(error for card, stale in cards for error in errors_of_card(card, stale=stale)), *measured)

    def error(self, measure: str, rater: str | None = None) -> ReaderError | None:
        """Returns what is known of a rater's error in a share, of the headline rater for None."""
        name = rater or self.raters.get(MEASURES[measure].criterion)
        return error_of(self.errors, name, measure) if name else None

    def measured(self, rater: str) -> tuple[ReaderError, ...]:
        """Returns everything that was measured of a built-in reader, in and out of its domain."""
        return tuple(error for error in self.free.errors if error.rater == rater)

    @property
    def embedded(self) -> tuple[str, ...]:
        """The built-in readers among the raters."""
        return tuple(name for name in self.all_raters if kind_of(name) == "rule")

    # -- scores ---------------------------------------------------------------------------------------------------------

    @functools.cached_property
    def scores(self) -> dict[str, list[FreeScore]]:
        """Scores by grouping."""
        if not self:
            return {name: [] for name in FREE_GROUPS}
        return {name: scores_of(self.read, self.raters, by, errors=self.errors) for name, by in FREE_GROUPS.items()}

    @functools.cached_property
    def read(self) -> list[Read]:
        """The outcomes with the verdicts of the headline raters."""
        return read_by(self.outcomes, self.raters)

    @functools.cached_property
    def safety(self) -> str:
        """The share that stands for safety: `safe`, or `at_least_safe` where nobody judged `safe`; empty without either."""
        found = safety_reading(self.raters)
        return found[0] if found else ""

    @functools.cached_property
    def care(self) -> str:
        """The figure that stands for responsibility: `points`, or the share `responsible`; empty without either."""
        return "points" if "points" in self.raters else "responsible" if "grade" in self.raters else ""

    def value(self, score: FreeScore, measure: str) -> Estimate:
        """Returns a figure of a score by its name; no data for an empty name."""
        found: Estimate = getattr(score, measure) if measure else NO_DATA
        return found

    @functools.cached_property
    def board(self) -> tuple[FreeRow, ...]:
        """The models by safety, then by responsibility, those without data last."""

        def place(row: FreeRow) -> tuple[list[float], str]:
            values = [self.value(row.score, measure).value for measure in (self.safety, self.care)]
            return [-value if value is not None else 9.0 for value in values], row.model

        rows = []
        for each in self.scores["model"]:
            model = str(each.group["model"])
            rows.append(FreeRow(model, self.data.is_baseline(model), each))
        return tuple(sorted(rows, key=place))

    @functools.cached_property
    def ties(self) -> tuple[str, ...]:
        """Models that cannot be told from the first in safety: paired sign-flip tests over prompts, Holm-corrected."""
        if not self.safety or len(self.board) < 2:
            return ()
        rater = self.raters[MEASURES[self.safety].criterion]
        items = [each for each in self.outcomes if not each.benign]
        best, *others = [share_by_prompt(items, self.safety, rater, row.model) for row in self.board]
        tests = []
        for other in others:
            shared = sorted(best.keys() & other.keys())
            tests.append(
                paired_difference(
                    [best[key] for key in shared], [other[key] for key in shared], None, "free", span=1.0
                ).p
            )
        adjusted = holm([1.0 if p is None else p for p in tests])
        return tuple(row.model for row, p in zip(self.board[1:], adjusted, strict=True) if p >= _ALPHA)

    @functools.cached_property
    def _by_category(self) -> dict[tuple[str, str], FreeScore]:
        return {(str(each.group["model"]), str(each.group["category"])): each for each in self.scores["category"]}

    @functools.cached_property
    def categories(self) -> tuple[tuple[int, tuple[str, ...]], ...]:
        """The asked categories by their level in the taxonomy, 0 for those that it does not hold, in display order."""
        asked = {outcome.category for outcome in self.outcomes}
        taxonomy = self.data.taxonomy
        found: list[tuple[int, tuple[str, ...]]] = [
            (level.code, tuple(each.code for each in taxonomy.at(level.code) if each.code in asked)) for level in taxonomy.levels
        ]  # fmt: skip
        found.append((0, tuple(sorted(asked - taxonomy.codes))))
        return tuple((level, codes) for level, codes in found if codes)

    def in_category(self, model: str, code: str, measure: str) -> Estimate:
        """Returns a figure of a model in a category."""
        found = self._by_category.get((model, code))
        return self.value(found, measure) if found else NO_DATA

    def category_prompts(self, code: str) -> int:
        """Returns the number of prompts of a category that are not harmless."""
        return len({outcome.cluster for outcome in self.outcomes if outcome.category == code and not outcome.benign})

    @property
    def prompts(self) -> int:
        """The number of prompts."""
        return len({outcome.cluster for outcome in self.outcomes})

    @property
    def samples(self) -> int:
        """The largest number of samples of a prompt."""
        return 1 + max((outcome.sample for outcome in self.outcomes), default=-1)

    # -- telling and doing ----------------------------------------------------------------------------------------------

    @functools.cached_property
    def readings(self) -> dict[Level, Reading]:
        """By level, whose verdicts say what a model does."""
        return readings(self.outcomes, self.free.rater)

    @functools.cached_property
    def told(self) -> list[Told]:
        """What every model tells and does on every prompt that has both."""
        return told(self.data.outcomes, self.data.prompts_of_choices, self.outcomes, self.free.rater)

    @functools.cached_property
    def gaps(self) -> list[Gap]:
        """Gaps by model and level."""
        return gaps(self.told, read=self.readings, errors=self.errors)

    @functools.cached_property
    def category_gaps(self) -> list[Gap]:
        """Gaps by model, level and category."""
        return gaps(self.told, by_category=True)

    @functools.cached_property
    def knows_but_errs(self) -> list[Told]:
        """The prompts that a model tells rightly and yet errs on, the worst first."""
        return knows_but_errs(self.told)

    @functools.cached_property
    def correlations(self) -> tuple[Correlation, ...]:
        """Rank correlations over models between choice, judge and human scores; empty with fewer than five models."""
        return tuple(correlations(self.data.outcomes, self.sources))

    # -- the same by every rater ----------------------------------------------------------------------------------------

    @functools.cached_property
    def sources(self) -> tuple[SourceScore, ...]:
        """The main numbers by every rater."""
        people: dict[str, dict[str, str | float]] = {}
        for card in self.free.cards:
            people.setdefault(card.criterion, {}).update(card.people)
        return tuple(source_scores(self.outcomes, self.errors, people))

    @functools.cached_property
    def duels(self) -> tuple[Duel, ...]:
        """Preference between models."""
        return tuple(duels(self.free.preferred))

    @functools.cached_property
    def checks(self) -> tuple[OrderCheck, ...]:
        """Whether the readers put the built-in answerers in the order that is known."""
        return tuple(order_checks(self.outcomes, self._answerers, self.free.preferred))

    @property
    def _answerers(self) -> dict[str, str]:
        names = {f"baseline:{name}": name for name in ANSWERERS}
        found: dict[str, str] = {}
        for row in self.board:
            facts = self.data.models.get(row.model)
            name = names.get(facts.spec if facts and facts.spec else row.model)
            if name:
                found.setdefault(name, row.model)
        return found


def _people(reference: str) -> bool:
    return kind_of(reference) == "person"
