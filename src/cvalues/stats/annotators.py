"""What an annotator's report needs: agreement with the others, straight-lining, and drift. Signs to talk about, not verdicts."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Hashable, Sequence

import numpy as np
import numpy.typing as npt

from cvalues.errors import UsageError
from cvalues.schema import NO_DATA, Estimate, Record
from cvalues.stats.aggregation import majority
from cvalues.stats.intervals import as_floats, clustered_mean, student_quantile, upper_tail, wilson
from cvalues.stats.ratings import as_ratings


def leave_one_out_agreement(
    ratings: npt.ArrayLike, *, quorum: int = 2, confidence: float = 0.95
) -> tuple[Estimate, ...]:
    """Returns for each rater the share of items on which they agree with the majority of the others, with Wilson's limits.

    Only items count that the rater judged and on which at least `quorum` others have a majority. A rater without such items is
    NO_DATA.
    """
    matrix = as_ratings(ratings)
    found = []
    for rater in range(matrix.shape[1]):
        others = majority(np.delete(matrix, rater, axis=1), quorum=quorum)
        pairs = [
            (float(own), one.value)
            for own, one in zip(matrix[:, rater], others, strict=True)
            if one.status == "decided" and not np.isnan(own)
        ]
        agreed = sum(own == value for own, value in pairs)
        found.append(wilson(agreed, len(pairs), confidence=confidence) if pairs else NO_DATA)
    return tuple(found)


class StraightLining(Record, frozen=True, kw_only=True):
    """Whether answers in the order given come in longer runs than chance would make them."""

    answers: int
    runs: int
    expected: float | None
    """Runs that random order would give; None without an answer."""
    longest: int
    """Length of the longest run."""
    p: float | None
    """One-sided p value for too few runs; None where all answers are equal or fewer than two."""


def straight_lining(answers: Sequence[Hashable]) -> StraightLining:
    """Returns the runs of equal answers in the order given, and whether there are too few of them.

    With n answers of which n_c are c, random order gives (n(n + 1) − Σn_c²)/n runs on average with variance (Σn_c²(Σn_c² + n(n +
    1)) − 2nΣn_c³ − n³)/(n²(n − 1)) (Mood, Annals of Mathematical Statistics 11, 1940; Wallis and Roberts 1956); p is normal
    with a continuity correction. Where an answer is always the same no test can tell a habit from the items: p is None.
    """
    n = len(answers)
    if not n:
        return StraightLining(answers=0, runs=0, expected=None, longest=0, p=None)
    lengths = [1]
    for before, now in itertools.pairwise(answers):
        if before == now:
            lengths[-1] += 1
        else:
            lengths.append(1)
    counts: dict[Hashable, int] = {}
    for answer in answers:
        counts[answer] = counts.get(answer, 0) + 1
    squares, cubes = sum(count**2 for count in counts.values()), sum(count**3 for count in counts.values())
    expected = (n * (n + 1) - squares) / n
    p = None
    if n > 1:
        variance = (squares * (squares + n * (n + 1)) - 2 * n * cubes - n**3) / (n**2 * (n - 1))
        if variance > 0:
            p = statistics.NormalDist().cdf((len(lengths) + 0.5 - expected) / math.sqrt(variance))
    return StraightLining(answers=n, runs=len(lengths), expected=expected, longest=max(lengths), p=p)


class Drift(Record, frozen=True, kw_only=True):
    """How a rater's scores move against those of the others as work goes on."""

    slope: Estimate
    """Points per 100 items."""
    blocks: tuple[Estimate, ...]
    """Mean gap to the others in equal parts of the work, in order."""


def drift(gaps: npt.ArrayLike, *, blocks: int = 4, confidence: float = 0.95) -> Drift:
    """Returns the trend of a rater's gaps (own score − mean of the others on the item), in the order of work.

    The slope is that of least squares on the place in the order, with a t interval on n − 2 degrees of freedom; NO_DATA with
    fewer than three gaps. Blocks without a gap are left out.
    """
    upper = upper_tail(confidence)
    if blocks < 1:
        raise UsageError(f"blocks: expected at least 1, got {blocks}")
    array = as_floats(gaps, "gaps")
    n = len(array)
    parts = tuple(
        clustered_mean(part, confidence=confidence, unit="item") for part in np.array_split(array, blocks) if len(part)
    )
    if n < 3:
        return Drift(slope=NO_DATA, blocks=parts)
    place = (np.arange(n) - (n - 1) / 2) / 100
    square = float(place @ place)
    slope = float(place @ array) / square
    rest = array - array.mean() - slope * place
    half = student_quantile(upper, n - 2) * math.sqrt(float(rest @ rest) / (n - 2) / square)
    return Drift(
        slope=Estimate(
            value=slope, low=slope - half, high=slope + half, confidence=confidence, method="least-squares", n=n,
            clusters=n, unit="item",
        ),
        blocks=parts,
    )  # fmt: skip


def gaps_to_others(ratings: npt.ArrayLike, rater: int) -> tuple[float, ...]:
    """Returns a rater's score minus the mean of the others' on each item that both judged, in the order of the rows.

    Raises:
        UsageError: there is no such rater.
    """
    matrix = as_ratings(ratings)
    if not 0 <= rater < matrix.shape[1]:
        raise UsageError(f"rater: expected a column from 0 to {matrix.shape[1] - 1}, got {rater}")
    others = np.delete(matrix, rater, axis=1)
    counts = np.logical_not(np.isnan(others)).sum(axis=1)
    both = np.flatnonzero((counts > 0) & np.logical_not(np.isnan(matrix[:, rater])))
    gaps = matrix[both, rater] - np.nansum(others[both], axis=1) / counts[both]
    return tuple(float(gap) for gap in gaps)
