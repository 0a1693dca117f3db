"""How much a clustered sample of a rare event is worth: design effects that do not collapse when few clusters hold it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cvalues.stats.intervals import Floats

PRIOR_CORRELATION = 0.3
"""Correlation within clusters towards which a small design effect is shrunk when many clusters hold the rarer answer."""
BLIND_CORRELATION = 0.5
"""The same when none does, and the data say nothing of it."""
PRIOR_CLUSTERS = 2.0
"""How many informative clusters the shrinkage weighs."""


class EffectiveShare(NamedTuple):
    """A share of a clustered sample in terms of an independent one; arrays of equal length, one entry per study."""

    share: Floats
    size: Floats
    """Effective number of observations, (G − 1)/G · n / design effect."""
    df: Floats
    """Degrees of freedom of the variance over clusters; 0 with one cluster."""
    informative: Floats
    """Clusters that hold the rarer answer."""
    hits: Floats
    """Observations with the rarer answer."""


def effective_share(sums: Floats, sizes: Floats) -> EffectiveShare:
    """Returns what clusters with these sums of ones are worth (studies × clusters); a size of 0 is no cluster.

    The design effect is deff = Σ e_g²/(n·p(1 − p)), e_g = s_g − p·m_g (linearisation; Cochran, Sampling Techniques, 1977,
    §6.3). Where it is below d' = 1 + (d₁ − 1)ρ', the effect of a correlation ρ' within clusters with d₁ = Σ m²/n, it becomes
    (k·deff + 2·d')/(k + 2), k the clusters that hold the rarer answer and ρ' = 0.3 + 0.2/(k + 1), and it is at least 1 (Korn and
    Graubard, Survey Methodology 24, 1998). The shrinkage is ours: a small design effect from three clusters with a hit is
    mostly chance, and without it coverage falls to 84 % at rates of 10 % in 20 clusters. Degrees of freedom are those of
    Satterthwaite for clusters that weigh w_g = m_g·(1 + (m_g − 1)ρ), (Σ w)²/Σ w² − 1, which is G − 1 for equal sizes; ρ is
    the correlation that the design effect implies.
    """
    count = (sizes > 0).sum(axis=-1)
    total = sizes.sum(axis=-1)
    share = sums.sum(axis=-1) / total
    even = (sizes**2).sum(axis=-1) / total
    squares = ((sums - share[..., None] * sizes) ** 2).sum(axis=-1)
    spread = share * (1 - share) * total
    raw = np.divide(squares, spread, out=np.ones(spread.shape), where=spread > 0)
    informative = np.minimum((sums > 0).sum(axis=-1), (sums < sizes).sum(axis=-1)).astype(np.float64)
    guess = PRIOR_CORRELATION + (BLIND_CORRELATION - PRIOR_CORRELATION) / (informative + 1)
    prior = 1 + (even - 1) * guess
    shrunk = (informative * raw + PRIOR_CLUSTERS * prior) / (informative + PRIOR_CLUSTERS)
    effect = np.maximum(np.maximum(raw, shrunk), 1.0)
    correlation = np.clip((effect - 1) / np.maximum(even - 1, 1e-9), 0.0, 1.0)
    weights = sizes * (1 + (sizes - 1) * correlation[..., None])
    df = np.maximum(weights.sum(axis=-1) ** 2 / (weights**2).sum(axis=-1) - 1, 0.0)
    hits = np.minimum(sums.sum(axis=-1), total - sums.sum(axis=-1))
    return EffectiveShare(share, total / effect * (count - 1) / np.maximum(count, 1), df, informative, hits)


def score_limits(share: Floats, size: Floats, critical: Floats) -> tuple[Floats, Floats]:
    """Returns Wilson's limits (1927) of shares for effective sizes above 0, in [0, 1] and never beside the share."""
    square = critical**2
    scale = 1 + square / size
    centre = (share + square / (2 * size)) / scale
    half = critical * np.sqrt(share * (1 - share) / size + square / (4 * size**2)) / scale
    return np.clip(np.minimum(centre - half, share), 0, 1), np.clip(np.maximum(centre + half, share), 0, 1)
