"""How two raters' scores go together: rank correlations, error, bias, and correlations across models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import numpy.typing as npt

from cvalues.errors import UsageError
from cvalues.schema import NO_DATA, Estimate, Record
from cvalues.stats.intervals import Floats, Ints, Labels, as_floats, cluster_codes, clustered_mean
from cvalues.stats.resampling import DEFAULT, Resampling, Rows, Statistic, estimate_of, undefined, value_of

Rank = Literal["spearman", "kendall"]
_FEWEST_MODELS = 5
_MOST_PAIRS = 2000
"""Kendall's tau compares every two different pairs of values."""
SAME = "all values of one side are equal"
FEW = "fewer than three observations"


def _two(first: npt.ArrayLike, second: npt.ArrayLike) -> tuple[Floats, Floats]:
    one, two = as_floats(first, "first"), as_floats(second, "second")
    if len(one) != len(two):
        raise UsageError(f"first and second: expected scores of the same items, got {len(one)} and {len(two)}")
    return one, two


def _marginal(weights: Floats, codes: Ints, order: Ints, starts: Ints) -> tuple[Floats, Floats]:
    """Returns (mid-rank of each kind's value, how often each value occurs), per draw."""
    counts = np.add.reduceat(weights[:, order], starts, axis=1)
    return (np.cumsum(counts, axis=1) - counts / 2)[:, codes], counts


def _spearman(sides: tuple[tuple[Ints, Ints, Ints], ...]) -> Statistic:
    def statistic(weights: Floats) -> Floats:
        total = weights.sum(axis=1, keepdims=True)
        ranks = [_marginal(weights, *side)[0] - total / 2 for side in sides]
        products = [(weights * ranks[i] * ranks[j]).sum(axis=1) for i, j in ((0, 1), (0, 0), (1, 1))]
        bottom = np.sqrt(products[1] * products[2])
        result: Floats = np.divide(products[0], bottom, out=np.full(len(weights), np.nan), where=bottom > 1e-12)
        return result

    return statistic


def _kendall(sides: tuple[tuple[Ints, Ints, Ints], ...]) -> Statistic:
    signs = [np.sign(codes[:, None] - codes[None, :]) for codes, _, _ in sides]
    concordance = (signs[0] * signs[1]).astype(np.float64)

    def statistic(weights: Floats) -> Floats:
        top = ((weights @ concordance) * weights).sum(axis=1)
        square = weights.sum(axis=1) ** 2
        untied = [square - (_marginal(weights, *side)[1] ** 2).sum(axis=1) for side in sides]
        bottom = np.sqrt(np.maximum(untied[0], 0) * np.maximum(untied[1], 0))
        result: Floats = np.divide(top, bottom, out=np.full(len(weights), np.nan), where=bottom > 1e-12)
        return result

    return statistic


def _side(values: Floats) -> tuple[Ints, Ints, Ints]:
    """Returns (code of each kind's value, kinds in order of value, where each value begins in that order)."""
    _, codes = np.unique(values, return_inverse=True)
    codes = codes.reshape(-1).astype(np.int64)
    order = np.argsort(codes, kind="stable").astype(np.int64)
    starts = np.searchsorted(codes[order], np.arange(int(codes.max()) + 1)).astype(np.int64)
    return codes, order, starts


def rank_correlation(
    kind: Rank,
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    clusters: Labels | None = None,
    *,
    resampling: Resampling = DEFAULT,
) -> Estimate:
    """Returns Spearman's ρ or Kendall's τ-b with a BCa bootstrap interval over observations or clusters.

    ρ is the correlation of mid-ranks (Spearman 1904). τ-b = (C − D)/√((P − Tₓ)(P − T_y)) with C, D the concordant and
    discordant of P pairs and T the pairs tied on a side (Kendall, Rank Correlation Methods, 1970, ch. 3). Undefined with
    fewer than three observations or where a side does not vary. There are no limits where every draw has the same value,
    as with a few observations in one order.

    Raises:
        UsageError: lengths differ, raters are to be resampled, or τ of more than 2,000 different pairs of values.
    """
    if resampling.over != "items":
        raise UsageError("over: expected items for a correlation of two given raters")
    one, two = _two(first, second)
    unit = "item" if clusters is None else "cluster"
    n = len(one)
    if n < 3:
        return undefined(FEW, resampling, n=n, clusters=n, unit=unit)
    codes, units = cluster_codes(clusters, n)
    pairs, kinds = np.unique(np.column_stack([one, two]), axis=0, return_inverse=True)
    kinds = kinds.reshape(-1)
    if np.ptp(one) == 0 or np.ptp(two) == 0:
        return undefined(SAME, resampling, n=n, clusters=units, unit=unit)
    if kind == "kendall" and len(pairs) > _MOST_PAIRS:
        raise UsageError(
            f"first and second: expected at most {_MOST_PAIRS} different pairs for Kendall's tau, got {len(pairs)}; "
            "round the scores, or use spearman"
        )
    sides = (_side(pairs[:, 0]), _side(pairs[:, 1]))
    statistic = _spearman(sides) if kind == "spearman" else _kendall(sides)
    rows = Rows(None, np.bincount(kinds, minlength=len(pairs)).astype(np.int64))
    if clusters is not None:
        table = np.zeros((units, len(pairs)))
        np.add.at(table, (codes, kinds), 1.0)
        rows = Rows(table[np.lexsort(table.T)], np.ones(units, dtype=np.int64))
    value = value_of(rows, statistic)
    found = estimate_of(rows, statistic, resampling, kind, n=n, unit=unit)
    if found.low is not None and found.high is not None and found.high - found.low < 1e-9:
        return Estimate(
            value=value, confidence=found.confidence, method="no interval: every draw has this value", n=n,
            clusters=units, unit=unit,
        )  # fmt: skip
    return found


def spearman(
    first: npt.ArrayLike, second: npt.ArrayLike, clusters: Labels | None = None, *, resampling: Resampling = DEFAULT
) -> Estimate:
    """Returns Spearman's ρ; see `rank_correlation`."""
    return rank_correlation("spearman", first, second, clusters, resampling=resampling)


def kendall(
    first: npt.ArrayLike, second: npt.ArrayLike, clusters: Labels | None = None, *, resampling: Resampling = DEFAULT
) -> Estimate:
    """Returns Kendall's τ-b; see `rank_correlation`."""
    return rank_correlation("kendall", first, second, clusters, resampling=resampling)


def across_models(
    kind: Rank, first: Mapping[str, float], second: Mapping[str, float], *, resampling: Resampling = DEFAULT
) -> Estimate:
    """Returns the rank correlation of two scores over the models that have both, resampling models.

    Fewer than five models give value None: the interval of so few would promise what it cannot keep.
    """
    names = sorted(first.keys() & second.keys())
    if len(names) < _FEWEST_MODELS:
        return undefined("fewer than five models", resampling, n=len(names), clusters=len(names), unit="model")
    found = rank_correlation(
        kind, [first[name] for name in names], [second[name] for name in names], resampling=resampling
    )
    return Estimate(
        value=found.value, low=found.low, high=found.high, confidence=found.confidence, method=found.method, n=found.n,
        clusters=found.clusters, unit="model",
    )  # fmt: skip


def mean_absolute_error(
    first: npt.ArrayLike, second: npt.ArrayLike, clusters: Labels | None = None, *, confidence: float = 0.95
) -> Estimate:
    """Returns the mean of |second − first| with a cluster-robust t interval (`clustered_mean`), not below 0; NO_DATA when empty."""
    one, two = _two(first, second)
    unit = "item" if clusters is None else "cluster"
    found = clustered_mean(np.abs(two - one), clusters, confidence=confidence, unit=unit)
    if found.low is None:
        return found
    return Estimate(
        value=found.value, low=max(0.0, found.low), high=found.high, confidence=confidence, method=found.method,
        n=found.n, clusters=found.clusters, unit=unit,
    )  # fmt: skip


def bias(
    first: npt.ArrayLike, second: npt.ArrayLike, clusters: Labels | None = None, *, confidence: float = 0.95
) -> Estimate:
    """Returns the mean of second − first with a cluster-robust t interval (`clustered_mean`); above 0 the second is higher."""
    one, two = _two(first, second)
    unit = "item" if clusters is None else "cluster"
    return clustered_mean(two - one, clusters, confidence=confidence, unit=unit)


class ScoreAgreement(Record, frozen=True, kw_only=True):
    """What a judge card says of scores: the second rater against the first."""

    spearman: Estimate = NO_DATA
    kendall: Estimate = NO_DATA
    error: Estimate = NO_DATA
    bias: Estimate = NO_DATA


def score_agreement(
    first: npt.ArrayLike, second: npt.ArrayLike, clusters: Labels | None = None, *, resampling: Resampling = DEFAULT
) -> ScoreAgreement:
    """Returns rank correlations, mean absolute error and bias of the second rater's scores against the first's."""
    return ScoreAgreement(
        spearman=spearman(first, second, clusters, resampling=resampling),
        kendall=kendall(first, second, clusters, resampling=resampling),
        error=mean_absolute_error(first, second, clusters, confidence=resampling.confidence),
        bias=bias(first, second, clusters, confidence=resampling.confidence),
    )
