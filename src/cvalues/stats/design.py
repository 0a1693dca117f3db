"""What a clustered sample of a rare event is worth, and limits of its share near 0 and 1.

Design effects do not collapse when few clusters hold the event, and where only one tail can miss limits are one-tailed.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

BLIND_CORRELATION = 0.7
"""Correlation within clusters that is assumed where no cluster holds the rarer answer, and the data say nothing of it."""
PRIOR_CORRELATION = 0.5
"""What it comes down to when some do."""
PRIOR_WEIGHT = 3.0
"""Weight of that assumption against the fourth power of the number of clusters that hold the rarer answer."""
CAUTION = 10.0
"""A design effect D above 1 that k clusters show is taken for D^(1 + CAUTION/k²): it is skewed, and mostly seen too small."""
CAUTION_POWER = 0.6
"""Caution makes no more of a design effect than this power of the largest possible one."""
MOST_LEVEL = 0.4
"""Largest level of a one-tailed limit, whatever the confidence."""
_MOST_DF = 1e6
"""Degrees of freedom beyond which Student's t is the normal distribution."""
FEW_OBSERVATIONS = (6.0, 9.0)
"""Rarer answers that a limit lets expect: up to the first the interval cannot lie beyond it, from the second on it can."""
FEW_BLIND = (2.8, 3.8)
"""The same for the effective size that is assumed where no cluster holds the rarer answer (z² = 3.84 would be rejected)."""
FEW_WEIGHT = 0.7
"""Weight of the one-tailed limit by both."""
FEW_EFFECTIVE = (1.5, 2.1)
"""The same for the effective size that was found, where the answers of a cluster are much alike; its weight is 1."""
ALIKE = (1.5, 2.0)
"""Effective observations per cluster: up to the first the answers of a cluster are much alike, from the second on they are not."""


class EffectiveShare(NamedTuple):
    """A share of a clustered sample in terms of an independent one; arrays of equal length, one entry per study."""

    share: Floats
    size: Floats
    """Effective number of observations, (G − 1)/G · n / design effect."""
    df: Floats
    """Degrees of freedom of the variance over clusters; 0 with one cluster."""
    informative: Floats
    """Clusters that hold the rarer answer."""
    plain: Floats
    """Effective number of observations without caution (D for D*): what a limit that the sample lies beyond is worth."""
    total: Floats
    """Observations."""
    blind: Floats
    """Effective number of observations where no cluster holds the rarer answer."""
    clusters: Floats


def effective_share(sums: Floats, sizes: Floats) -> EffectiveShare:
    """Returns what clusters with these sums of ones are worth (studies × clusters); a size of 0 is no cluster.

    The design effect that is seen is D = Σ e_g²/(n·p(1 − p)), e_g = s_g − p·m_g (linearisation; Cochran, Sampling Techniques,
    1977, §6.3). When k clusters hold the rarer answer and k is small, D is skewed: mostly too small, and smallest when p is
    too small too. So D above 1 counts as D* = D^(1 + 10/k²), though not for more than
    d₁^0.6 with d₁ = Σ m²/n the effect of replies that are all alike, or D itself if that is more; D up to 1 is D* as it is.
    With d' = 1 + (d₁ − 1)·(0.5 + 0.2/(k + 1)²)
    the effect of an assumed correlation, the design effect is the largest of D*, (k⁴·D* + 3·d')/(k⁴ + 3) and 1 (Korn and
    Graubard, Survey Methodology 24, 1998: an effective sample is not larger than the sample). D* and d' are ours, chosen by
    simulation (docs/statistics.md): without them coverage falls below 90 % where few clusters hold the rarer answer.

    Degrees of freedom are those of Satterthwaite for clusters that weigh w_g = m_g·(1 + (m_g − 1)ρ), (Σ w)²/Σ w² − 1, which is
    G − 1 for equal sizes, ρ the correlation that the design effect implies; divided by the square of the part of the design
    effect that was estimated, because what is assumed does not vary.
    """
    count = (sizes > 0).sum(axis=-1)
    total = sizes.sum(axis=-1)
    share = sums.sum(axis=-1) / total
    even = (sizes**2).sum(axis=-1) / total
    informative = np.minimum((sums > 0).sum(axis=-1), (sums < sizes).sum(axis=-1)).astype(np.float64)
    seen = _seen(sums, sizes, share)
    effect, estimated = _design_effect(seen, even, informative)
    plain, _ = _design_effect(seen, even, informative, caution=0.0)
    correlation = np.clip((effect - 1) / np.maximum(even - 1, 1e-9), 0.0, 1.0)
    weights = sizes * (1 + (sizes - 1) * correlation[..., None])
    df = np.maximum(weights.sum(axis=-1) ** 2 / (weights**2).sum(axis=-1) - 1, 0.0)
    df = np.minimum(df / np.maximum(estimated, 1e-3) ** 2, _MOST_DF)
    left = total * (count - 1) / np.maximum(count, 1)
    blind = total / (1 + (even - 1) * BLIND_CORRELATION)
    return EffectiveShare(share, left / effect, df, informative, left / plain, total, blind, count.astype(np.float64))


def _seen(sums: Floats, sizes: Floats, share: Floats) -> Floats:
    """Returns the design effect in the data, 1 where all answers are the same."""
    squares = ((sums - share[..., None] * sizes) ** 2).sum(axis=-1)
    spread = share * (1 - share) * sizes.sum(axis=-1)
    found: Floats = np.divide(squares, spread, out=np.ones(spread.shape), where=spread > 0)
    return found


def _design_effect(
    seen: Floats, even: Floats, informative: Floats, *, caution: float = CAUTION
) -> tuple[Floats, Floats]:
    """Returns (design effect, part of it that was estimated) as `effective_share` documents."""
    few = np.maximum(informative, 1.0)
    most = even**CAUTION_POWER
    # The power is bounded before it is taken: one cluster of a thousand replies has a design effect of a thousand.
    cautious = np.minimum(np.clip(seen, 1.0, np.maximum(most, 1.0)) ** (1 + caution / few**2), most)
    cautious = np.where(seen > 1, np.maximum(seen, cautious), seen)
    guess = PRIOR_CORRELATION + (BLIND_CORRELATION - PRIOR_CORRELATION) / (informative + 1) ** 2
    weight = informative**4 / (informative**4 + PRIOR_WEIGHT)
    shrunk = weight * cautious + (1 - weight) * (1 + (even - 1) * guess)
    effect = np.maximum(np.maximum(cautious, shrunk), 1.0)
    part = np.where(cautious >= effect, 1.0, weight * cautious / effect)
    # At the least effect nothing was estimated; rounding must not decide it.
    return effect, np.where(effect <= 1 + 1e-9, 0.0, part)


def score_limits(share: Floats, size: Floats, critical: Floats) -> tuple[Floats, Floats]:
    """Returns Wilson's limits (1927) of shares for effective sizes above 0, in [0, 1] and never beside the share."""
    square = critical**2
    scale = 1 + square / size
    centre = (share + square / (2 * size)) / scale
    half = critical * np.sqrt(share * (1 - share) / size + square / (4 * size**2)) / scale
    return np.clip(np.minimum(centre - half, share), 0, 1), np.clip(np.maximum(centre + half, share), 0, 1)


def share_limits(worth: EffectiveShare, upper: float) -> tuple[Floats, Floats]:
    """Returns the limits of shares of clusters for the upper probability of a two-sided interval, 0.975 for 95 %.

    Wilson's (`score_limits`) with Student's t for the normal quantile, made one-tailed near 0 and 1 (`one_tailed`), there
    for an effective size that is multiplied by the squared ratio of both quantiles (Korn and Graubard, 1998).
    """
    from scipy.special import ndtri, stdtrit

    low, high = score_limits(worth.share, worth.size, stdtrit(worth.df, upper))
    level = one_tail(upper)
    size = worth.plain * (ndtri(1 - level) / stdtrit(worth.df, 1 - level)) ** 2
    return one_tailed(worth.share, low, high, worth, size, level)


def one_tail(upper: float, part: float = 1.0) -> float:
    """Returns the level of a one-tailed limit: this part of the whole error of an interval, at most 0.4."""
    return min(part * 2 * (1 - upper), MOST_LEVEL)


def one_tailed(
    share: Floats, low: Floats, high: Floats, worth: EffectiveShare, size: Floats, level: float
) -> tuple[Floats, Floats]:
    """Returns limits that spend the whole error on the tail that can miss, where the other cannot.

    Where a share is so low that even a sample without a single such answer would not lie significantly below it, an interval
    with 2.5 % for each tail misses it in 2.5 % of all studies, not in 5 %. There the lower limit goes to Jeffreys' one-tailed
    one, the beta quantile B(level; x + ½, n − x + ½) of x = share·size hits among n = size (Brown, Cai and DasGupta,
    Statistical Science 16, 2001), by the weight of `tail_weight`; and the upper limit by the same for the other answer.
    Exact tests spend their error likewise (Blaker, Canadian Journal of Statistics 28, 2000).
    """
    bottom = toward(low, _jeffreys(share, size, level), tail_weight(low, worth))
    top = 1 - toward(1 - high, _jeffreys(1 - share, size, level), tail_weight(1 - high, worth))
    return np.clip(np.minimum(bottom, share), 0, 1), np.clip(np.maximum(top, share), 0, 1)


def tail_weight(limit: Floats, worth: EffectiveShare) -> Floats:
    """Returns, from 0 to 1, how sure it is that no sample can lie significantly below a share like this limit.

    That depends on how few rarer answers it lets expect: in the sample (weight 0.7 up to 6, 0 from 9 on) and, at the same
    time, in the effective one that is assumed where none is seen (up to 2.8, from 3.8 on); or, where a cluster is worth no more
    than 1.5 observations (0 from 2 on), in the effective sample that was found (weight 1 up to 1.5, 0 from 2.1 on). The
    thresholds are ours, chosen by simulation (docs/statistics.md).
    """
    expected = np.minimum(_fewer(worth.total * limit, FEW_OBSERVATIONS), _fewer(worth.blind * limit, FEW_BLIND))
    alike = _fewer(worth.size * limit, FEW_EFFECTIVE) * _fewer(worth.size / np.maximum(worth.clusters, 1), ALIKE)
    weight: Floats = np.maximum(FEW_WEIGHT * expected, alike)
    return weight


def _fewer(number: Floats, bounds: tuple[float, float]) -> Floats:
    """Returns 1 up to the first bound, 0 from the second on, and what lies between on a line."""
    found: Floats = np.clip((bounds[1] - number) / (bounds[1] - bounds[0]), 0.0, 1.0)
    return found


def _jeffreys(share: Floats, size: Floats, level: float) -> Floats:
    """Returns Jeffreys' lower limits of one tail, 0 where no answer was seen.

    With less than one hit in the effective sample ½ is half the hits, so that a sample that says nothing has the limit 0.
    """
    from scipy.special import betaincinv

    hits = np.clip(share, 0, 1) * size
    added = np.minimum(hits / 2, 0.5)
    found: Floats = np.where(hits > 0, betaincinv(hits + added, np.maximum(size - hits, 0) + 1 - added, level), 0.0)
    return found


def toward(limit: Floats, other: Floats, weight: Floats) -> Floats:
    """Returns what lies between two limits, the other with this weight."""
    found: Floats = limit + (other - limit) * weight
    return found
