"""A matrix of ratings: items in rows, raters in columns, NaN where a rater did not judge an item."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from cvalues.errors import UsageError
from cvalues.schema import NO_DATA, Estimate, Record
from cvalues.stats.intervals import Floats, Ints, Labels, as_floats, cluster_codes, clustered_proportion


class RatingCounts(Record, frozen=True, kw_only=True):
    """How much there is to compare: what stands beside every coefficient of agreement."""

    items: int
    """Items with at least one rating."""
    overlapping: int
    """Items with at least two ratings; only these say anything of agreement."""
    raters: int
    """Raters with at least one rating."""
    ratings: int
    pairs: int
    """Unordered pairs of ratings of one item."""


class Coded(NamedTuple):
    """Ratings as codes of their values."""

    codes: Ints
    """Items × raters; −1 where there is no rating."""
    values: Floats
    """The different values in order; code c stands for `values[c]`."""

    @property
    def present(self) -> npt.NDArray[np.bool_]:
        """Where there is a rating."""
        return self.codes >= 0

    def one_hot(self) -> Floats:
        """Returns items × raters × values: 1 where the rater gave the item this value."""
        table: Floats = (self.codes[:, :, None] == np.arange(len(self.values))).astype(np.float64)
        return table

    def counts(self) -> Floats:
        """Returns items × values: how many raters gave the item this value."""
        table = np.zeros((len(self.codes), len(self.values)))
        rows, columns = np.nonzero(self.present)
        np.add.at(table, (rows, self.codes[rows, columns]), 1.0)
        return table


def as_ratings(ratings: npt.ArrayLike) -> Floats:
    """Returns the matrix (items × raters) as floats.

    Raises:
        UsageError: it is not a two-dimensional matrix of numbers, or a rating is infinite.
    """
    try:
        matrix = np.asarray(ratings, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise UsageError(f"ratings: expected numbers ({error}); give a missing rating as NaN") from error
    if matrix.ndim != 2 or np.isinf(matrix).any():
        raise UsageError("ratings: expected a matrix of items × raters with finite numbers, NaN where one is missing")
    return matrix


def coded(ratings: npt.ArrayLike) -> Coded:
    """Returns the ratings as codes of their different values."""
    matrix = as_ratings(ratings)
    there = ~np.isnan(matrix)
    values, inverse = np.unique(matrix[there], return_inverse=True)
    codes = np.full(matrix.shape, -1, dtype=np.int64)
    codes[there] = inverse.reshape(-1)
    return Coded(codes, values)


def rating_counts(ratings: npt.ArrayLike) -> RatingCounts:
    """Returns how many items, raters, ratings and pairs a matrix holds; zeros for an empty one."""
    there = ~np.isnan(as_ratings(ratings))
    per_item = there.sum(axis=1)
    return RatingCounts(
        items=int((per_item > 0).sum()),
        overlapping=int((per_item > 1).sum()),
        raters=int(there.any(axis=0).sum()),
        ratings=int(there.sum()),
        pairs=int((per_item * (per_item - 1) // 2).sum()),
    )


def rating_matrix(
    items: Labels, raters: Labels, values: npt.ArrayLike
) -> tuple[Floats, tuple[object, ...], tuple[object, ...]]:
    """Returns (matrix, item labels, rater labels) from a list of single ratings, in order of first appearance.

    Raises:
        UsageError: the three differ in length, or a rater rated an item twice.
    """
    array = as_floats(values, "values")
    rows, row_count = cluster_codes(items, len(array))
    columns, column_count = cluster_codes(raters, len(array))
    if len(np.unique(rows * max(1, column_count) + columns)) < len(array):
        raise UsageError("ratings: expected at most one rating of an item by a rater; keep the latest or the first")
    matrix = np.full((row_count, column_count), np.nan)
    matrix[rows, columns] = array
    return matrix, _labels(items, rows, row_count), _labels(raters, columns, column_count)


def _labels(given: Labels, codes: Ints, count: int) -> tuple[object, ...]:
    found: list[object] = [None] * count
    for label, code in zip(given, codes.tolist(), strict=True):
        found[code] = label
    return tuple(found)


def prevalence(
    ratings: npt.ArrayLike, value: float, clusters: Labels | None = None, *, confidence: float = 0.95
) -> Estimate:
    """Returns the share of ratings that are `value`, with Wilson-type limits over items; NO_DATA without any rating.

    All ratings weigh the same. `clusters` names the cluster of each item; None makes each item its own. Formula:
    `intervals.clustered_proportion`.
    """
    matrix = as_ratings(ratings)
    there = ~np.isnan(matrix)
    if not there.any():
        return NO_DATA
    codes, _ = cluster_codes(clusters, len(matrix))
    labels = np.broadcast_to(codes[:, None], matrix.shape)[there]
    hits = (matrix[there] == value).astype(np.float64)
    return clustered_proportion(hits, labels, confidence=confidence, unit="item" if clusters is None else "cluster")
