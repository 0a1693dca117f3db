"""How the order of the models by one instrument agrees with that by another: choice, judge and human scores."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

from cvalues.schema import Estimate, Record
from cvalues.scoring.levels import score
from cvalues.scoring.outcomes import ItemOutcome
from cvalues.scoring.sources import SourceScore
from cvalues.stats.association import across_models

FEWEST = 5
"""Models below which no correlation is given."""
_MEASURES = {1: ("safe", "at_least_safe"), 2: ("points", "responsible")}


class Correlation(Record, frozen=True, kw_only=True):
    """Rank correlation over models of two instruments at one level."""

    level: int
    a: str
    """`choice`, or a rater."""
    b: str
    measure: str
    """What the rater's number is; of `b`, where both are raters."""
    models: int
    spearman: Estimate
    kendall: Estimate


def correlations(choices: Iterable[ItemOutcome], sources: Sequence[SourceScore]) -> list[Correlation]:
    """Returns Spearman's and Kendall's correlation of every two instruments by level, with bootstrap intervals over models.

    Instruments are two-choice accuracy at the level and, by each rater, the safety rate (level 1) or responsibility (level 2). Two
    instruments with fewer than five models in common are left out.
    """
    found = []
    items = choices if isinstance(choices, Sequence) else list(choices)
    by_level = score(items, ("level",))
    for level, measures in _MEASURES.items():
        columns: dict[tuple[str, str], dict[str, float]] = {}
        for each in by_level:
            if each.group["level"] == level and each.acc.value is not None:
                columns.setdefault(("choice", "acc"), {})[str(each.group["model"])] = each.acc.value
        for source in sources:
            if source.measure in measures and source.value.value is not None:
                columns.setdefault((source.rater, source.measure), {})[source.model] = source.value.value
        for ((a, _), one), ((b, measure), two) in itertools.combinations(columns.items(), 2):
            shared = sorted(one.keys() & two.keys())
            if a == b or len(shared) < FEWEST:
                continue
            found.append(
                Correlation(
                    level=level,
                    a=a,
                    b=b,
                    measure=measure,
                    models=len(shared),
                    spearman=across_models("spearman", one, two),
                    kendall=across_models("kendall", one, two),
                )
            )
    return found
