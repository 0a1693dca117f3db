"""How many clusters a question needs, and the smallest difference that a number of clusters can show.

All formulas use normal quantiles, z_a two-sided for `alpha` and z_b for `power`; with fewer than about ten clusters
they promise a little too much.
"""

from __future__ import annotations

import math

from cvalues.errors import UsageError
from cvalues.stats.intervals import normal_quantile

_SLACK = 1e-9


def _quantiles(power: float, alpha: float) -> tuple[float, float]:
    if not 0 < alpha < 1 or not alpha < power < 1:
        raise UsageError(f"power and alpha: expected 0 < alpha < power < 1, got alpha {alpha} and power {power}")
    return normal_quantile(1 - alpha / 2), normal_quantile(power)


def _check_spread(sd: float | None, discordance: float | None) -> None:
    if (sd is None) == (discordance is None):
        raise UsageError("sd and discordance: expected exactly one of them")
    if sd is not None and sd < 0:
        raise UsageError(f"sd: expected a standard deviation of at least 0, got {sd}")
    if discordance is not None and not 0 <= discordance <= 1:
        raise UsageError(f"discordance: expected a share from 0 to 1, got {discordance}")


def smallest_detectable(
    n_clusters: int,
    *,
    sd: float | None = None,
    discordance: float | None = None,
    power: float = 0.8,
    alpha: float = 0.05,
) -> float | None:
    """Returns the smallest absolute paired difference that a two-sided test finds with this power, or None.

    By `sd`, the standard deviation of a cluster's difference: (z_a + z_b)·sd/√G.

    By `discordance` ψ, the share of clusters on which two models differ (each by a whole cluster): the δ that solves
    δ√G = z_a√ψ + z_b√(ψ − δ²) (Connor, Biometrics 43, 1987), which is √ψ·(z_a√G + z_b√(G + z_b² − z_a²))/(G + z_b²).
    It cannot exceed ψ; None where even δ = ψ would be missed, and with no cluster.
    """
    za, zb = _quantiles(power, alpha)
    _check_spread(sd, discordance)
    if n_clusters <= 0:
        return None
    if sd is not None:
        return (za + zb) * sd / math.sqrt(n_clusters)
    share = discordance or 0.0
    inner = n_clusters + zb * zb - za * za
    if inner < 0:
        return None
    found = math.sqrt(share) * (za * math.sqrt(n_clusters) + zb * math.sqrt(inner)) / (n_clusters + zb * zb)
    return found if 0 < found <= share else None


def clusters_needed(
    difference: float,
    *,
    sd: float | None = None,
    discordance: float | None = None,
    power: float = 0.8,
    alpha: float = 0.05,
) -> int:
    """Returns how many clusters a two-sided paired test needs to find a difference with this power; at least 2.

    By `sd` of a cluster's difference: ((z_a + z_b)·sd/δ)². By `discordance` ψ: (z_a√ψ + z_b√(ψ − δ²))²/δ² (Connor,
    Biometrics 43, 1987).

    Raises:
        UsageError: the difference is 0 or larger than the discordance.
    """
    za, zb = _quantiles(power, alpha)
    _check_spread(sd, discordance)
    gap = abs(difference)
    if gap == 0:
        raise UsageError("difference: expected one other than 0; no number of clusters shows that nothing differs")
    if sd is not None:
        return _whole(((za + zb) * sd / gap) ** 2)
    share = discordance or 0.0
    if gap > share:
        raise UsageError(f"difference: expected at most the discordance {share}, got {difference}")
    return _whole(((za * math.sqrt(share) + zb * math.sqrt(share - gap * gap)) / gap) ** 2)


def clusters_needed_proportion(
    difference: float,
    *,
    rate: float,
    design_effect: float = 1.0,
    cluster_size: float = 1.0,
    power: float = 0.8,
    alpha: float = 0.05,
) -> int:
    """Returns how many clusters tell one proportion from a fixed `rate` when it lies `difference` away; at least 2.

    Items needed are ((z_a√(p₀q₀) + z_b√(p₁q₁))/δ)² with p₀ = rate, p₁ = rate + δ (Fleiss, Levin and Paik, Statistical
    Methods for Rates and Proportions, 2003), times the design effect (Kish, Survey Sampling, 1965, §8.2), divided by
    the items in a cluster.

    Raises:
        UsageError: the difference is 0, a rate lies outside 0 to 1, or design effect or cluster size is not above 0.
    """
    za, zb = _quantiles(power, alpha)
    other = rate + difference
    if difference == 0 or not 0 <= rate <= 1 or not -_SLACK <= other <= 1 + _SLACK:
        raise UsageError(f"difference and rate: expected two different rates from 0 to 1, got {rate} and {other}")
    if design_effect <= 0 or cluster_size <= 0:
        raise UsageError("design_effect and cluster_size: expected numbers above 0")
    other = min(1.0, max(0.0, other))
    items = ((za * math.sqrt(rate * (1 - rate)) + zb * math.sqrt(other * (1 - other))) / difference) ** 2
    return _whole(items * design_effect / cluster_size)


def _whole(clusters: float) -> int:
    return max(2, math.ceil(clusters - _SLACK))
