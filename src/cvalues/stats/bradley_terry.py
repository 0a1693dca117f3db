"""Strengths of models from comparisons in pairs with ties: Bradley and Terry's model as Davidson extended it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from cvalues.errors import UsageError
from cvalues.records import generator
from cvalues.schema import Estimate, Record
from cvalues.stats.intervals import Floats, Ints, Labels, cluster_codes
from cvalues.stats.resampling import DEFAULT, Resampling, percentile_interval, undefined

_STEPS = 100
_OUTCOMES = 3
_CHUNK = 4_000_000


class Comparison(Record, frozen=True, kw_only=True):
    """One comparison of two models."""

    first: str
    second: str
    winner: Literal["first", "second", "tie"]


class BradleyTerry(Record, frozen=True, kw_only=True):
    """Fitted strengths."""

    models: tuple[str, ...]
    """In order of strength, best first."""
    strength: tuple[Estimate, ...]
    """Log-strengths with mean 0: a difference of d means odds of e^d among comparisons that are no ties."""
    tie: Estimate
    """ν: two equal models tie with chance ν/(2 + ν); 0 where no comparison is a tie."""
    comparisons: int


class _Table(NamedTuple):
    pairs: Ints
    """Pairs × 2: the models."""
    counts: Floats
    """Units × (pairs · 3): how often first won, second won, tie."""


def bradley_terry(
    comparisons: Sequence[Comparison],
    clusters: Labels | None = None,
    *,
    prior: float = 5.0,
    resampling: Resampling = DEFAULT,
) -> BradleyTerry:
    """Returns log-strengths and the tie parameter with bootstrap intervals over comparisons, or over clusters such as prompts.

    P(i beats j) = p_i/D, P(tie) = ν√(p_i p_j)/D, D = p_i + p_j + ν√(p_i p_j) (Davidson, JASA 65, 1970; without ties Bradley and
    Terry, Biometrika 39, 1952). The log-likelihood, which is concave in log p and log ν, is made highest by Newton's method
    together with a normal prior with standard deviation `prior` on each log p, so that a model that won every comparison has a
    large and finite strength; infinity is plain maximum likelihood. Intervals are percentiles of `resampling.draws`
    fits. Strengths are undefined where the comparisons do not link all models.

    Raises:
        UsageError: a model is compared with itself, the prior is not above 0, or raters are to be resampled.
    """
    if not prior > 0:
        raise UsageError(f"prior: expected a standard deviation above 0, got {prior}")
    if resampling.over != "items":
        raise UsageError("over: expected items; comparisons have no raters to resample")
    names = sorted({name for one in comparisons for name in (one.first, one.second)})
    place = {name: at for at, name in enumerate(names)}
    alone = next((one.first for one in comparisons if one.first == one.second), None)
    if alone is not None:
        raise UsageError(f"comparisons: expected two different models, got '{alone}' twice")
    n = len(comparisons)
    if not n:
        return BradleyTerry(models=(), strength=(), tie=undefined("no comparison", resampling), comparisons=0)
    codes, units = cluster_codes(clusters, n)
    unit = "comparison" if clusters is None else "cluster"
    table = _table(comparisons, place, codes, units)
    if not _linked(table.pairs, len(names)):
        none = undefined("comparisons do not link all models", resampling, n=n, clusters=units, unit=unit)
        return BradleyTerry(models=tuple(names), strength=(none,) * len(names), tie=none, comparisons=n)
    whole = table.counts.sum(axis=0)
    ties = bool(whole[2::_OUTCOMES].sum() > 0)
    fitted = _fit(table.pairs, whole[None], len(names), prior, ties)[0]
    drawn = _drawn(table, len(names), prior, ties, resampling)

    def estimate(value: float, draws: Floats) -> Estimate:
        low, high, method = percentile_interval(draws, value, resampling)
        return Estimate(
            value=value,
            low=low,
            high=high,
            confidence=resampling.confidence,
            method=method,
            n=n,
            clusters=units,
            unit=unit,
        )

    strengths = [estimate(float(fitted[at]), drawn[:, at]) for at in range(len(names))]
    order = sorted(range(len(names)), key=lambda at: (-float(fitted[at]), names[at]))
    tie = estimate(float(np.exp(fitted[-1])), np.exp(drawn[:, -1])) if ties else Estimate(value=0.0, n=n, unit=unit)
    return BradleyTerry(
        models=tuple(names[at] for at in order),
        strength=tuple(strengths[at] for at in order),
        tie=tie,
        comparisons=n,
    )


def _table(comparisons: Sequence[Comparison], place: dict[str, int], codes: Ints, units: int) -> _Table:
    outcome = {"first": 0, "second": 1, "tie": 2}
    found: dict[tuple[int, int], int] = {}
    columns = []
    for one in comparisons:
        i, j, won = place[one.first], place[one.second], outcome[one.winner]
        if i > j:
            i, j, won = j, i, (1, 0, 2)[won]
        columns.append(found.setdefault((i, j), len(found)) * _OUTCOMES + won)
    counts = np.zeros((units, len(found) * _OUTCOMES))
    np.add.at(counts, (codes, np.array(columns, dtype=np.int64)), 1.0)
    # Sorted, so that neither labels nor the order of comparisons move the draws.
    return _Table(np.array(list(found), dtype=np.int64).reshape(-1, 2), counts[np.lexsort(counts.T)])


def _linked(pairs: Ints, count: int) -> bool:
    group = list(range(count))
    for i, j in pairs.tolist():
        one, other = group[i], group[j]
        group = [one if label == other else label for label in group]
    return len(set(group)) == 1


def _drawn(table: _Table, count: int, prior: float, ties: bool, how: Resampling) -> Floats:
    rng = generator("bradley-terry", how.seed)
    units = len(table.counts)
    step = max(1, _CHUNK // max(units, table.counts.shape[1] * (count + 1)))
    parts = []
    for start in range(0, how.draws, step):
        size = min(step, how.draws - start)
        picks = rng.integers(units, size=(size, units)) + np.arange(size)[:, None] * units
        weights = np.bincount(picks.reshape(-1), minlength=size * units).reshape(size, units)
        parts.append(_fit(table.pairs, weights @ table.counts, count, prior, ties))
    return np.concatenate(parts)


def _fit(pairs: Ints, counts: Floats, models: int, prior: float, ties: bool) -> Floats:
    """Returns log-strengths with mean 0 and log ν (draws × (models + 1)) by Newton's method with step halving."""
    design = np.zeros((len(pairs), _OUTCOMES, models + 1))
    at = np.arange(len(pairs))
    design[at, 0, pairs[:, 0]] = design[at, 1, pairs[:, 1]] = 1.0
    design[at, 2, pairs[:, 0]] = design[at, 2, pairs[:, 1]] = 0.5
    design[:, 2, models] = 1.0
    tables = counts.reshape(len(counts), len(pairs), _OUTCOMES)
    totals = tables.sum(axis=2)
    precision = 0.0 if math.isinf(prior) else prior**-2
    # The mean of the strengths is free; a unit penalty on it fixes it without moving differences.
    ridge = precision * np.diag(np.append(np.ones(models), 0.0)) + np.diag(np.append(np.zeros(models), 1e-9))
    ridge[:models, :models] += 1 / models
    found = np.zeros((len(counts), models + 1))
    allowed = np.ones(_OUTCOMES) if ties else np.array([1.0, 1.0, 0.0])

    def chances(values: Floats) -> tuple[Floats, Floats]:
        levels = np.einsum("pok,dk->dpo", design, values)
        top = levels.max(axis=2, keepdims=True)
        weights = np.exp(levels - top) * allowed
        whole = weights.sum(axis=2, keepdims=True)
        logs = levels - top - np.log(whole)
        fit = (tables * logs).sum(axis=(1, 2)) - 0.5 * np.einsum("dk,kl,dl->d", values, ridge, values)
        return weights / whole, fit

    shares, fit = chances(found)
    for _ in range(_STEPS):
        gradient = np.einsum("dpo,pok->dk", tables - totals[:, :, None] * shares, design) - found @ ridge
        mean = np.einsum("dpo,pok->dpk", shares, design)
        spread = np.einsum("dpo,pok,pol->dkl", totals[:, :, None] * shares, design, design, optimize=True)
        spread -= np.einsum("dp,dpk,dpl->dkl", totals, mean, mean, optimize=True)
        change = np.linalg.solve(spread + ridge, gradient[:, :, None])[:, :, 0]
        scale = np.ones(len(found))
        for _ in range(30):
            tried = found + scale[:, None] * change
            tried_shares, tried_fit = chances(tried)
            worse = tried_fit < fit - 1e-12 * np.abs(fit)
            if not worse.any():
                break
            scale = np.where(worse, scale / 2, scale)
        found, shares, fit = tried, tried_shares, tried_fit
        if float(np.abs(change).max(initial=0.0)) < 1e-9:
            break
    found[:, :models] -= found[:, :models].mean(axis=1, keepdims=True)
    return found
