"""Bootstrap intervals for statistics that are functions of sums over items, such as coefficients of agreement.

Each item is a row of numbers, a statistic is computed from the sum of the rows, and a draw is a weighted sum. Equal rows are
drawn together, so ten thousand items of three safe/unsafe votes are four rows.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np

from cvalues.errors import UsageError
from cvalues.records import generator
from cvalues.schema import Estimate, Record
from cvalues.stats.intervals import Floats, Ints, Labels, cluster_codes, normal_quantile, upper_tail

Statistic = Callable[[Floats], Floats]
"""Maps sums of rows (draws × columns) to one number per draw, NaN where it is undefined."""
_CHUNK = 4_000_000
_FEW_ROWS = 256
"""Up to this many different rows a draw is one multinomial, beyond it as many uniform picks as there are units."""
_MANY_KINDS = 1000
_END = 0.0005
"""BCa's levels stay this far from 0 and 1, where the formula has a pole and a quantile is a single draw."""
_DEFINED = 0.5
"""Smallest share of draws with a value for which limits are given."""


class Resampling(Record, frozen=True, kw_only=True):
    """How the interval of a coefficient is made."""

    draws: int = 2000
    confidence: float = 0.95
    over: Literal["items", "items-and-raters"] = "items"
    """What is drawn anew: items speak of other items for the same raters, both also of other raters."""
    seed: str | int = 0
    """Part of the derived seed; the same seed and data give the same limits."""

    def __post_init__(self) -> None:
        """Refuses settings with which no interval can be made."""
        upper_tail(self.confidence)
        if self.draws < 100:
            raise UsageError(f"draws: expected at least 100, got {self.draws}")


DEFAULT = Resampling()


class Margins(NamedTuple):
    """How the sides of an interval are widened (see `bootstrap_interval`)."""

    low: float = 0.15
    """Weight of the item that lowers the coefficient."""
    high: float = 0.15
    """Weight of the item that raises it."""
    accelerated: bool = True
    """Whether the lower limit is BCa's, or BC's without acceleration."""


class Rows(NamedTuple):
    """What a bootstrap draws from: different rows and how many units have each."""

    values: Floats | None
    """One row per kind of unit; None where the statistic takes how often each unit was drawn."""
    counts: Ints
    low: Floats | None = None
    """The row of an item that lowers the coefficient."""
    high: Floats | None = None
    """The row of an item that raises the coefficient."""
    margins: Margins = Margins()


def grouped(rows: Floats, clusters: Labels | None = None) -> tuple[Floats, Ints]:
    """Returns (different rows, how many units have each); with clusters a unit is the sum of its rows."""
    if clusters is not None:
        codes, count = cluster_codes(clusters, len(rows))
        sums = np.zeros((count, rows.shape[1]))
        np.add.at(sums, codes, rows)
        rows = sums
    if not len(rows):
        return rows, np.zeros(0, dtype=np.int64)
    # Rounding makes equal fractions that were added in another order one row.
    _, first, counts = np.unique(np.round(rows, 12), axis=0, return_index=True, return_counts=True)
    return rows[first], counts.astype(np.int64)


def drawn_values(
    rows: Floats | None, shares: Floats, statistic: Statistic, draws: int, rng: np.random.Generator
) -> Floats:
    """Returns the statistic of `draws` samples of rows with chances proportional to `shares`, as many as there are units.

    All shares are whole but the last, which may be that of a further item (see `bootstrap_interval`). With `rows` None the
    statistic is given how often each unit was drawn.
    """
    kinds = len(shares)
    whole = np.floor(shares).astype(np.int64)
    units = int(whole.sum())
    extra = float(shares.sum()) - units
    codes = np.repeat(np.arange(kinds), whole)
    step = max(1, _CHUNK // max(units, kinds))
    parts = []
    for start in range(0, draws, step):
        size = min(step, draws - start)
        if kinds <= _FEW_ROWS:
            weights = rng.multinomial(units, shares / shares.sum(), size=size)
        else:
            picks = codes[rng.integers(units, size=(size, units))]
            if extra:
                spared = rng.binomial(units, extra / (units + extra), size=size)
                picks[np.arange(units) < spared[:, None]] = kinds - 1
            picks += np.arange(size)[:, None] * kinds
            weights = np.bincount(picks.reshape(-1), minlength=size * kinds).reshape(size, kinds)
        parts.append(statistic(weights.astype(np.float64) if rows is None else weights @ rows))
    return np.concatenate(parts)


def _jackknife(rows: Floats | None, shares: Floats, statistic: Statistic, value: float) -> float:
    """Returns the acceleration of BCa; 0 for many kinds of units, where it is small and dear."""
    kinds = len(shares)
    removed = np.minimum(shares, 1.0)[:, None]
    if rows is None:
        if kinds > _MANY_KINDS:
            return 0.0
        rows = np.eye(kinds)
    left_out = statistic(shares @ rows - removed * rows)
    left_out = np.where(np.isfinite(left_out), left_out, value)
    centred = float(shares @ left_out) / float(shares.sum()) - left_out
    spread = float(shares @ centred**2)
    return float(shares @ centred**3) / (6 * spread**1.5) if spread > 1e-20 else 0.0


def _bca_level(found: Floats, value: float, quantile: float, acceleration: float) -> float:
    """Returns the share of draws that lie below the BCa limit of a normal quantile; with acceleration 0 that of BC."""
    tolerance = 1e-12 * max(1.0, float(np.abs(found).max()))
    below = float(np.mean(found < value - tolerance) + np.mean(np.abs(found - value) <= tolerance) / 2)
    edge = 0.5 / len(found)
    bias = normal_quantile(min(max(below, edge), 1 - edge))
    shifted = bias + quantile
    scale = 1 - acceleration * shifted
    level = statistics.NormalDist().cdf(bias + shifted / scale) if scale > 0 else float(quantile > 0)
    return min(max(level, _END), 1 - _END)


def value_of(rows: Rows, statistic: Statistic) -> float:
    """Returns the statistic of the sample itself; NaN where it has no value."""
    counts = rows.counts.astype(np.float64)
    return float(statistic((counts if rows.values is None else counts @ rows.values)[None])[0])


def bootstrap_interval(
    rows: Rows, statistic: Statistic, how: Resampling, name: str
) -> tuple[float | None, float | None, str]:
    """Returns (low, high, method) of a statistic of summed rows; both limits None where draws rarely have a value.

    BCa (Efron, JASA 82, 1987) over units: bias from the share of draws below the value, acceleration from the jackknife.
    Resampling cannot show what the sample happens to lack, so limits would collapse where all raters agree on everything
    and miss from below where the rarer label is hardly seen. Therefore the lower limit of a coefficient of agreement is that
    of the data with a part of an item (`Margins`: 0.15) whose raters agree no better than chance, the upper that of the data
    with a part of an item on which all agree on the rarest label. This is our addition, in the spirit of adding observations
    to a proportion (Agresti and Coull, The American Statistician 52, 1998). The margins of α (0.35 and 0.05) and of AC1 and AC2
    (1 and 0.3) are their own, and the lower limit of α is that without acceleration (BC): BCa's misses in one study of 200
    with 20 items, where others miss too often when raters hardly ever differ. What this does to coverage is in
    docs/statistics.md. Draws without a value are left out, and the method says their share. The limits always hold the value.
    """
    counts = rows.counts.astype(np.float64)
    value = value_of(rows, statistic)
    sides: list[float] = []
    undefined = 0.0
    upper = upper_tail(how.confidence)
    for tail, extra, weight in ((1 - upper, rows.low, rows.margins.low), (upper, rows.high, rows.margins.high)):
        values, shares = rows.values, counts
        if extra is not None and values is not None:
            values, shares = np.vstack([values, extra]), np.append(counts, weight)
        centre = float(statistic((shares if values is None else shares @ values)[None])[0])
        drawn = drawn_values(values, shares, statistic, how.draws, generator("resampling", name, how.seed))
        found = drawn[np.isfinite(drawn)]
        if len(found) < _DEFINED * len(drawn) or not np.isfinite(centre):
            return None, None, "no interval: most draws have no value"
        plain = tail < 0.5 and not rows.margins.accelerated
        acceleration = 0.0 if plain else _jackknife(values, shares, statistic, centre)
        level = _bca_level(found, centre, normal_quantile(tail), acceleration)
        sides.append(float(np.quantile(found, level)))
        undefined = max(undefined, 1 - len(found) / len(drawn))
    method = "bootstrap-bca" if undefined == 0 else f"bootstrap-bca, {undefined:.1%} of draws without a value"
    return min(sides[0], value), max(sides[1], value), method


def percentile_interval(drawn: Floats, value: float, how: Resampling) -> tuple[float | None, float | None, str]:
    """Returns (low, high, method) from draws of a statistic by percentiles; None, None where draws rarely have a value."""
    found = drawn[np.isfinite(drawn)]
    if not len(drawn) or len(found) < _DEFINED * len(drawn):
        return None, None, "no interval: most draws have no value"
    upper = upper_tail(how.confidence)
    low, high = np.quantile(found, [1 - upper, upper])
    undefined = 1 - len(found) / len(drawn)
    method = "bootstrap-percentile"
    if undefined:
        method += f", {undefined:.1%} of draws without a value"
    return min(float(low), value), max(float(high), value), method


def estimate_of(rows: Rows, statistic: Statistic, how: Resampling, name: str, *, n: int, unit: str) -> Estimate:
    """Returns the estimate of a statistic of summed rows with its bootstrap interval; the statistic must have a value."""
    value = value_of(rows, statistic)
    units = int(rows.counts.sum())
    low, high, method = (
        (None, None, "no interval: one unit") if units < 2 else bootstrap_interval(rows, statistic, how, name)
    )
    return Estimate(
        value=value, low=low, high=high, confidence=how.confidence, method=method, n=n, clusters=units, unit=unit
    )


def undefined(why: str, how: Resampling, *, n: int = 0, clusters: int = 0, unit: str = "item") -> Estimate:
    """Returns the estimate of a statistic that has no value; `method` is `undefined: ` and why, in words."""
    return Estimate(
        value=None, confidence=how.confidence, method=f"undefined: {why}", n=n, clusters=clusters, unit=unit
    )
