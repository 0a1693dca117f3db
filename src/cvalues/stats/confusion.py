"""Confusion of a rater with a reference: tables of labels, sensitivity and specificity with intervals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cvalues.errors import UsageError
from cvalues.schema import NO_DATA, Estimate, Record
from cvalues.stats.intervals import Labels, clopper_pearson, clustered_proportion, wilson
from cvalues.stats.prevalence import CardCounts


class ConfusionTable(Record, frozen=True, kw_only=True):
    """How often a rater gave each label to items of each true label."""

    labels: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    """A row per true label, a column per label given."""

    @property
    def agreed(self) -> int:
        """Items on which both are the same."""
        return sum(row[at] for at, row in enumerate(self.counts))

    @property
    def total(self) -> int:
        """All items."""
        return sum(map(sum, self.counts))


class Confusion(Record, frozen=True, kw_only=True):
    """How well a rater tells one label from the rest."""

    positive: str
    counts: CardCounts
    sensitivity: Estimate
    """Of the items that are positive, the share called so."""
    specificity: Estimate
    """Of the items that are not, the share not called so."""
    precision: Estimate
    """Of the items called positive, the share that are; it moves with the mix of items."""
    negative_precision: Estimate
    """Of the items not called positive, the share that are not."""
    accuracy: Estimate


def _same_length(truth: Sequence[str], given: Sequence[str]) -> None:
    if len(truth) != len(given):
        raise UsageError(f"truth and given: expected labels of the same items, got {len(truth)} and {len(given)}")


def confusion_table(truth: Sequence[str], given: Sequence[str], labels: Sequence[str] | None = None) -> ConfusionTable:
    """Returns the table of true and given labels; `labels` sets their order, None sorts those that occur.

    Raises:
        UsageError: lengths differ, or a label is none of `labels`.
    """
    _same_length(truth, given)
    names = tuple(sorted({*truth, *given})) if labels is None else tuple(labels)
    place = {name: at for at, name in enumerate(names)}
    strange = sorted({*truth, *given} - place.keys())
    if strange:
        raise UsageError(f"labels: expected every label that occurs, but '{strange[0]}' is missing")
    table = np.zeros((len(names), len(names)), dtype=np.int64)
    for one, two in zip(truth, given, strict=True):
        table[place[one], place[two]] += 1
    return ConfusionTable(labels=names, counts=tuple(tuple(row) for row in table.tolist()))


def confusion(
    truth: Sequence[str],
    given: Sequence[str],
    positive: str,
    *,
    clusters: Labels | None = None,
    exact: bool = False,
    confidence: float = 0.95,
) -> Confusion:
    """Returns sensitivity, specificity and the like of `given` against `truth` for one label against the rest.

    Intervals are Wilson's, those of Clopper and Pearson with `exact`, or `clustered_proportion` where `clusters` names the
    cluster of each item. A share of no items is NO_DATA.

    Raises:
        UsageError: lengths differ, or both `exact` and `clusters` are given.
    """
    _same_length(truth, given)
    if exact and clusters is not None:
        raise UsageError("exact: expected no clusters; exact intervals are for independent items")
    real = np.array([label == positive for label in truth], dtype=np.bool_)
    called = np.array([label == positive for label in given], dtype=np.bool_)

    def share(hits: np.ndarray, among: np.ndarray) -> Estimate:
        places = np.flatnonzero(among)
        if not len(places):
            return NO_DATA
        if clusters is not None:
            chosen = [clusters[at] for at in places.tolist()]
            return clustered_proportion(hits[places].astype(np.float64), chosen, confidence=confidence)
        interval = clopper_pearson if exact else wilson
        return interval(int(hits[places].sum()), len(places), confidence=confidence)

    everything = np.ones(len(real), dtype=np.bool_)
    return Confusion(
        positive=positive,
        counts=CardCounts(
            true_positive=int((real & called).sum()),
            false_negative=int((real & ~called).sum()),
            true_negative=int((~real & ~called).sum()),
            false_positive=int((~real & called).sum()),
        ),
        sensitivity=share(called, real),
        specificity=share(~called, ~real),
        precision=share(real, called),
        negative_precision=share(~real, ~called),
        accuracy=share(real == called, everything),
    )
