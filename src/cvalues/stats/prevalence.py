"""Rates and means corrected for the error of a judge: from its card (Rogan–Gladen) or from a human sample (PPI++).

Both take the cluster of each observation, such as the prompt of a reply. Clusters of the judged and of the human sample with
the same label are the same cluster.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cvalues.errors import UsageError
from cvalues.schema import NO_DATA, Estimate, Record
from cvalues.stats.design import (
    EffectiveShare,
    effective_share,
    one_tail,
    one_tailed,
    score_limits,
    tail_weight,
    toward,
)
from cvalues.stats.intervals import Floats, Labels, as_floats, cluster_codes, cluster_sums, upper_tail

_JEFFREYS = 0.5
"""Added to each count of a card: its sensitivity and specificity are never exactly 0 or 1."""
_USELESS = 70.0
"""Weight of a useless judge against the fourth power of the number of clusters with the rarer label."""
_CARD_LEVEL = 0.8
_SAMPLE_LEVEL = 1.1
"""Levels of a one-tailed limit as multiples of 1 − confidence: less with a card, which has an error of its own; more where the
size of the human sample is understated, as by `_USELESS`."""
_LEAST_DF = 0.25
_LEAST_SIZE = 1e-3
_MOST_DF = 1e6
"""Degrees of freedom beyond which Student's t is the normal distribution."""


class CardCounts(Record, frozen=True, kw_only=True):
    """How a judge did on replies that people labelled; positive is what the rate counts, for example unsafe."""

    true_positive: int
    false_negative: int
    true_negative: int
    false_positive: int

    def __post_init__(self) -> None:
        """Refuses counts below 0."""
        counts = (self.true_positive, self.false_negative, self.true_negative, self.false_positive)
        if min(counts) < 0:
            raise UsageError(f"card: expected four counts of at least 0, got {counts}")


def _t_quantile(upper: float, df: Floats) -> Floats:
    from scipy.special import stdtrit

    found: Floats = stdtrit(np.clip(df, _LEAST_DF, _MOST_DF), upper)
    return found


# --- Rogan and Gladen ---------------------------------------------------------------------------------------------------


def rogan_gladen(
    judged: npt.ArrayLike, card: CardCounts, clusters: Labels | None = None, *, confidence: float = 0.95
) -> Estimate:
    """Returns the rate behind a judge's rate, corrected by its card; NO_DATA when nothing was judged.

    `judged` holds a 1 for each reply that the judge calls positive and a 0 for each other. The value is
    (p + specificity − 1)/(sensitivity + specificity − 1), clipped to [0, 1] (Rogan and Gladen, American Journal of
    Epidemiology 107, 1978). Limits and their deviations from the literature: `rogan_gladen_limits`. The value is None, and
    `method` says so, where the card has no positive or no negative reply, or the judge is no better than chance on it.
    """
    upper_tail(confidence)
    array = as_floats(judged, "judged")
    if ((array != 0) & (array != 1)).any():
        raise UsageError("judged: expected zeros and ones, 1 for what the rate counts")
    if not len(array):
        return NO_DATA
    codes, count = cluster_codes(clusters, len(array))
    unit = "item" if clusters is None else "cluster"
    positives = card.true_positive + card.false_negative
    negatives = card.true_negative + card.false_positive
    why = ""
    if not positives or not negatives:
        why = "the card needs positive and negative replies"
    elif card.true_positive * negatives <= card.false_positive * positives:
        why = "on its card the judge is no better than chance"
    if why:
        return Estimate(
            value=None, confidence=confidence, method=f"undefined: {why}", n=len(array), clusters=count, unit=unit
        )
    sensitivity, alarms = card.true_positive / positives, card.false_positive / negatives
    rate = float(array.mean())
    value = min(1.0, max(0.0, (rate - alarms) / (sensitivity - alarms)))
    low, high = rogan_gladen_limits(
        cluster_sums(codes, count, array)[None],
        cluster_sums(codes, count)[None],
        np.array([[card.true_positive, positives, card.false_positive, negatives]], dtype=np.float64),
        confidence=confidence,
    )
    return Estimate(
        value=value,
        low=min(float(low[0]), value),
        high=max(float(high[0]), value),
        confidence=confidence,
        method="rogan-gladen",
        n=len(array),
        clusters=count,
        unit=unit,
    )


def rogan_gladen_limits(
    sums: Floats, sizes: Floats, cards: Floats, *, confidence: float = 0.95
) -> tuple[Floats, Floats]:
    """Returns limits of the corrected rate for many studies at once.

    `sums` and `sizes` (studies × clusters) are the judge's positives and the replies of each cluster; `cards` has the columns
    true positives, positives, false positives, negatives.

    A rate π is inside when (p − q(π))² ≤ t²·V(π) with q(π) = π·se + (1 − π)(1 − sp) the rate that the judge would give
    and V(π) = q(1 − q)/n' + π²·V(se) + (1 − π)²·V(sp): the score interval of Wilson for the judge's part and Fieller's
    for the card's, so that the uncertainty of se + sp − 1, by which the rate is divided, is kept. It is a quadratic in
    π. n' is the effective size of `design.effective_share`, se and sp are the card's with ½ added to each count, and t
    has the degrees of freedom of Satterthwaite over both parts. Where the judge's rate is outside of what any π gives,
    the squared distance to the nearest is taken off (a constrained likelihood ratio), so that the interval is never
    empty. At rates so low, or so high, that the other tail cannot miss, the limit goes to that of a one-tailed test at 4 %
    (`design.tail_weight`). Limits are clipped to [0, 1]; where the card cannot bound the rate they are 0 and 1, and so they
    are with one cluster. Coverage and width beside the interval of Lang and Reiczigel (Preventive Veterinary Medicine 113,
    2014) are in docs/statistics.md.
    """
    upper = upper_tail(confidence)
    worth = effective_share(sums, sizes)
    low, high = _fieller_limits(worth, cards, upper)
    # Where no sample can lie significantly below (or above) a rate, the other tail has the whole error.
    bottom, top = _fieller_limits(worth, cards, 1 - one_tail(upper, _CARD_LEVEL))
    return toward(low, bottom, tail_weight(low, worth)), toward(high, top, tail_weight(1 - high, worth))


def _fieller_limits(worth: EffectiveShare, cards: Floats, upper: float) -> tuple[Floats, Floats]:
    """Returns the limits of `rogan_gladen_limits` whose tails each have the upper probability `upper`."""
    hits, positives, alarms, negatives = cards.T
    se = (hits + _JEFFREYS) / (positives + 2 * _JEFFREYS)
    false = (alarms + _JEFFREYS) / (negatives + 2 * _JEFFREYS)
    var_se = se * (1 - se) / (positives + 2 * _JEFFREYS)
    var_false = false * (1 - false) / (negatives + 2 * _JEFFREYS)
    power = se - false
    size = np.maximum(worth.size, _LEAST_SIZE)
    # Degrees of freedom at the estimate: the card's part is binomial and counts as known.
    safe_power = np.where(power > 0, power, 1.0)
    rate = np.clip((worth.share - false) / safe_power, 0, 1)
    judged = rate * se + (1 - rate) * false
    var_judged = judged * (1 - judged) / size
    var_card = rate**2 * var_se + (1 - rate) ** 2 * var_false
    df = np.maximum(worth.df, _LEAST_DF) * (var_judged + var_card) ** 2 / var_judged**2
    square = _t_quantile(upper, df) ** 2
    above = worth.share - false
    a = power**2 * (1 + square / size) - square * (var_se + var_false)
    b = -2 * above * power - square * (power * (1 - 2 * false) / size - 2 * var_false)
    # What even the nearest possible rate cannot explain counts against no rate.
    beyond = np.minimum(above, 0) + np.maximum(worth.share - se, 0)
    c = above**2 - beyond**2 - square * (false * (1 - false) / size + var_false)
    root = np.sqrt(np.maximum(b**2 - 4 * a * c, 0))
    open_ended = (a <= 1e-12) | (power <= 0) | (worth.df <= 0)
    bottom = np.where(open_ended, 1.0, 2 * a)
    low, high = np.where(open_ended, 0.0, (-b - root) / bottom), np.where(open_ended, 1.0, (-b + root) / bottom)
    return np.clip(low, 0, 1), np.clip(high, 0, 1)


# --- prediction-powered inference ---------------------------------------------------------------------------------------


class HumanSample(Record, frozen=True, kw_only=True):
    """Replies that both people and the judge rated, in one order."""

    human: tuple[float, ...]
    judge: tuple[float, ...]
    clusters: tuple[str | int, ...] | None = None

    def __post_init__(self) -> None:
        """Refuses columns of different length."""
        if len(self.human) != len(self.judge) or (self.clusters is not None and len(self.clusters) != len(self.human)):
            raise UsageError("sample: expected one human value, one of the judge and one cluster for each reply")


def prediction_powered(
    sample: HumanSample,
    judged: npt.ArrayLike,
    clusters: Labels | None = None,
    *,
    share: bool = False,
    confidence: float = 0.95,
) -> Estimate:
    """Returns the mean that people would give, from few replies that they rated and many that only the judge rated.

    PPI++ (Angelopoulos, Duchi and Zrnic, 2023, arXiv 2311.01453): θ = ȳ − λ(f̄_sample − f̄_judged) with λ the value that makes
    the estimated variance smallest; a useless judge gets λ near 0 and costs next to nothing. λ is not below 0. `judged`
    leaves out the replies of the sample. NO_DATA without a human rating; without judged replies it is the mean of the
    sample. Limits: `prediction_powered_limits`; none with fewer than three clusters that people rated, or 0 to 1 for a
    share (`share=True`: human values are zeros and ones; the value is clipped to [0, 1]).

    Raises:
        UsageError: values are no numbers, or human values of a share are not zeros and ones.
    """
    upper_tail(confidence)
    human, judge = as_floats(sample.human, "human"), as_floats(sample.judge, "judge")
    others = as_floats(judged, "judged")
    if share and ((human != 0) & (human != 1)).any():
        raise UsageError("human: expected zeros and ones for a share")
    if not len(human):
        return NO_DATA
    own = range(len(human)) if sample.clusters is None else sample.clusters
    theirs = [("judged", at) for at in range(len(others))] if clusters is None else list(clusters)
    if len(theirs) != len(others):
        raise UsageError(f"clusters: expected one label for each of the {len(others)} observations, got {len(theirs)}")
    codes, count = cluster_codes([*own, *theirs], len(human) + len(others))
    mine, rest = codes[: len(human)], codes[len(human) :]
    parts = np.stack(
        [
            cluster_sums(mine, count),
            cluster_sums(mine, count, human),
            cluster_sums(mine, count, judge),
            cluster_sums(rest, count),
            cluster_sums(rest, count, others),
        ]
    )
    value, low, high = (
        part[0] for part in prediction_powered_limits(parts[:, None, :], share=share, confidence=confidence)
    )
    known = bool(np.isfinite(low))
    return Estimate(
        value=float(value),
        low=float(low) if known else None,
        high=float(high) if known else None,
        confidence=confidence,
        method="prediction-powered" + ("-share" if share else ""),
        n=len(human) + len(others),
        clusters=count,
        unit="item" if sample.clusters is None and clusters is None else "cluster",
    )


def prediction_powered_limits(
    parts: Floats, *, share: bool = False, confidence: float = 0.95
) -> tuple[Floats, Floats, Floats]:
    """Returns (values, low, high) of many studies at once; limits are NaN where there are none.

    `parts` (5 × studies × clusters): of each cluster the number of human ratings, their sum, the sum of the judge's values of
    the same replies, the number of further judged replies and the sum of their values.

    With a_g = Σ_{i∈g}(y − ȳ)/n and b_g = Σ_{i∈g, sample}(f − f̄)/n − Σ_{i∈g, judged}(f − f̄)/N, θ has the residuals a_g − λb_g, which
    also holds the covariance of clusters that are in both samples; λ = Σ a_g b_g/Σ b_g² ≥ 0.

    Mean: θ ± t(G − 2)·√(G/(G − 2)·Σ(a_g − λb_g)²), G the clusters that people rated, one degree of freedom spent on λ.

    Share: Wilson's limits around θ for the effective size of the human sample alone (`design.effective_share`) divided
    by R = Σ(a − λb)²/Σa², the part of the variance that is left, with t(df − 1). R is shrunk towards 1, (k⁴·R + 70)/(k⁴ + 70)
    with k the clusters with the rarer human label: a judge that agrees with people on the two unsafe replies that they saw is
    not perfect. Near 0 a score limit takes the variance to vanish with the rate, but what the judge's false alarms add to it
    does not; so the limit on the side of the nearer end is moved to the one of Wald, if that is further out, by the part
    min(1, 1.3(1 − R))·|1 − 2θ|; and where the other tail cannot miss it is one-tailed at 5.5 % (`design.one_tailed`; R has been
    shrunk there). Score limits, shrinkage and these steps are ours; the Wald interval of the paper covers 68 to 83 %
    at rates of 2 % (docs/statistics.md).
    """
    upper = upper_tail(confidence)
    sizes, human, judge, other_sizes, others = parts
    n, rest = sizes.sum(axis=1), other_sizes.sum(axis=1)
    mean, judge_mean = human.sum(axis=1) / n, judge.sum(axis=1) / n
    rest_mean = others.sum(axis=1) / np.maximum(rest, 1)
    a = (human - mean[:, None] * sizes) / n[:, None]
    b = (judge - judge_mean[:, None] * sizes) / n[:, None]
    b = b - (others - rest_mean[:, None] * other_sizes) / np.maximum(rest, 1)[:, None]
    aa, ab, bb = (a * a).sum(axis=1), (a * b).sum(axis=1), (b * b).sum(axis=1)
    tuning = np.divide(np.maximum(ab, 0), bb, out=np.zeros(len(n)), where=(bb > 0) & (rest > 0))
    value = mean - tuning * (judge_mean - rest_mean)
    left = np.maximum(aa - 2 * tuning * ab + tuning**2 * bb, 0)
    groups = (sizes > 0).sum(axis=1).astype(np.float64)
    if not share:
        free = np.maximum(groups - 2, 0)
        half = _t_quantile(upper, free) * np.sqrt(left * groups / np.maximum(free, 1))
        half = np.where(free > 0, half, np.nan)
        return value, value - half, value + half
    value = np.clip(value, 0, 1)
    worth = effective_share(human, sizes)
    part = np.divide(left, aa, out=np.ones(len(n)), where=aa > 0)
    weight = worth.informative**4
    part = (weight * part + _USELESS) / (weight + _USELESS)
    free = worth.df - 1
    size = worth.size / part
    low, high = _outward(value, np.maximum(size, _LEAST_SIZE), _t_quantile(upper, free), 1 - part)
    plain = np.maximum(worth.plain / part, _LEAST_SIZE)
    low, high = one_tailed(value, low, high, worth, plain, one_tail(upper, _SAMPLE_LEVEL))
    few = (groups < 3) | (free <= 0)
    return value, np.where(few, 0.0, low), np.where(few, 1.0, high)


def _outward(value: Floats, size: Floats, critical: Floats, saved: Floats) -> tuple[Floats, Floats]:
    """Returns score limits, the one near the end of the scale moved out as `prediction_powered_limits` documents."""
    low, high = score_limits(value, size, critical)
    half = critical * np.sqrt(value * (1 - value) / size)
    moved = np.minimum(1.3 * saved, 1) * np.abs(1 - 2 * value)
    bottom = np.where(value < 0.5, np.minimum(low, low + moved * (value - half - low)), low)
    top = np.where(value > 0.5, np.maximum(high, high + moved * (value + half - high)), high)
    return np.maximum(bottom, 0), np.minimum(top, 1)
