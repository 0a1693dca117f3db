"""What several raters say together: majority with ties left open, and means with and without each rater."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from cvalues.errors import UsageError
from cvalues.schema import NO_DATA, Estimate, Record
from cvalues.stats.intervals import Labels, clustered_mean, clustered_proportion
from cvalues.stats.ratings import as_ratings

Status = Literal["decided", "tie", "short"]


class Decision(Record, frozen=True, kw_only=True):
    """What the raters of one item decide together."""

    status: Status
    """`tie` where no value has more than half of the votes, `short` with fewer votes than the quorum."""
    value: float | None = None
    """The value with more than half of the votes; None unless decided."""
    votes: int = 0
    """Ratings of the item."""
    winning: int = 0
    """Votes for the most frequent value."""


def majority(ratings: npt.ArrayLike, *, quorum: int = 3, undecided: Sequence[float] = ()) -> tuple[Decision, ...]:
    """Returns for each item the value that more than half of its raters gave, a tie, or that votes are missing.

    All ratings of an item count, so a fourth vote may turn a decision into a tie. Values in `undecided` (such as *unsure*)
    are votes and count in the half, but do not win: two of three unsure are a tie. Ties are for people to decide, never
    for the order of the values. An empty matrix gives no decision.

    Raises:
        UsageError: the quorum is below 1.
    """
    if quorum < 1:
        raise UsageError(f"quorum: expected at least 1 vote, got {quorum}")
    matrix = as_ratings(ratings)
    found = []
    for row in matrix:
        values, counts = np.unique(row[~np.isnan(row)], return_counts=True)
        votes = int(counts.sum())
        most = int(counts.max(initial=0))
        value = float(values[int(np.argmax(counts))]) if votes else None
        if votes < quorum:
            found.append(Decision(status="short", votes=votes, winning=most))
        elif 2 * most > votes and value is not None and value not in undecided:
            found.append(Decision(status="decided", value=value, votes=votes, winning=most))
        else:
            found.append(Decision(status="tie", votes=votes, winning=most))
    return tuple(found)


class MajorityRate(Record, frozen=True, kw_only=True):
    """The share of decided items with a value, and how many items it leaves out."""

    rate: Estimate
    decided: int
    ties: int
    short: int
    lowest: float | None
    """The share if every tie went the other way; None without a decided item or a tie."""
    highest: float | None
    """The share if every tie became the value."""


def majority_rate(
    decisions: Sequence[Decision], value: float, clusters: Labels | None = None, *, confidence: float = 0.95
) -> MajorityRate:
    """Returns the share of decided items whose majority is `value`, with Wilson-type limits over clusters.

    Items that miss votes are outside of everything; ties are outside of the rate and inside of the bounds. Without a decided item
    the rate is NO_DATA. Formula: `intervals.clustered_proportion`.
    """
    if clusters is not None and len(clusters) != len(decisions):
        raise UsageError(
            f"clusters: expected one label for each of the {len(decisions)} observations, got {len(clusters)}"
        )
    places = [at for at, one in enumerate(decisions) if one.status == "decided"]
    hits = [float(decisions[at].value == value) for at in places]
    ties = sum(one.status == "tie" for one in decisions)
    labels = None if clusters is None else [clusters[at] for at in places]
    unit = "item" if clusters is None else "cluster"
    rate = clustered_proportion(hits, labels, confidence=confidence, unit=unit) if hits else NO_DATA
    total = len(hits) + ties
    return MajorityRate(
        rate=rate,
        decided=len(hits),
        ties=ties,
        short=sum(one.status == "short" for one in decisions),
        lowest=sum(hits) / total if total else None,
        highest=(sum(hits) + ties) / total if total else None,
    )


class WithoutRater(Record, frozen=True, kw_only=True):
    """The mean when one rater is left out."""

    rater: int
    """Column of the rater."""
    ratings: int
    mean: Estimate
    """Mean without this rater; NO_DATA where nobody else rated."""
    shift: float | None
    """This mean minus that of all raters, over all items that are left; None without a mean."""


class MeanScore(Record, frozen=True, kw_only=True):
    """The mean of the items' mean scores, and the same without each rater in turn."""

    mean: Estimate
    without: tuple[WithoutRater, ...]


def _item_means(ratings: npt.NDArray[np.float64], clusters: Labels | None, confidence: float) -> Estimate:
    there = ~np.isnan(ratings)
    counts = there.sum(axis=1)
    places = np.flatnonzero(counts)
    if not len(places):
        return NO_DATA
    means = np.where(there, ratings, 0.0).sum(axis=1)[places] / counts[places]
    labels = None if clusters is None else [clusters[at] for at in places.tolist()]
    return clustered_mean(means, labels, confidence=confidence, unit="item" if clusters is None else "cluster")


def mean_score(ratings: npt.ArrayLike, clusters: Labels | None = None, *, confidence: float = 0.95) -> MeanScore:
    """Returns the mean over items of their mean rating, with a t interval over items or clusters, and without each rater.

    Every item weighs the same, however many rated it. The interval speaks of other items for the same raters; with few raters,
    who judged moves the mean more than which items were judged, so the means without each rater stand beside it.
    """
    matrix = as_ratings(ratings)
    if clusters is not None and len(clusters) != len(matrix):
        raise UsageError(
            f"clusters: expected one label for each of the {len(matrix)} observations, got {len(clusters)}"
        )
    whole = _item_means(matrix, clusters, confidence)
    without = []
    for rater in range(matrix.shape[1]):
        count = int((~np.isnan(matrix[:, rater])).sum())
        rest = _item_means(np.delete(matrix, rater, axis=1), clusters, confidence)
        shift = None if rest.value is None or whole.value is None else rest.value - whole.value
        without.append(WithoutRater(rater=rater, ratings=count, mean=rest, shift=shift))
    return MeanScore(mean=whole, without=tuple(without))
