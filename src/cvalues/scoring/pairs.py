"""How well a reward model orders pairs: accuracy with intervals, calibration, length bias, and two models side by side.

A pair's margin is score(better) − score(worse). It is right when the margin is positive; a tie (margin 0 within 1e-9) counts one half
and is reported. Pairs of one prompt, and of near-duplicate prompts, are one cluster in every interval and test.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from cvalues.errors import UsageError
from cvalues.pairs.pair import ORDER, Pair
from cvalues.pairs.shortcuts import pair_accuracy, right
from cvalues.schema import NO_DATA, Estimate, Record
from cvalues.stats.intervals import cluster_codes, normal_quantile
from cvalues.stats.paired import PairedDifference, paired_difference

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
BUCKETS: tuple[tuple[float, float], ...] = ((-np.inf, -100), (-100, -20), (-20, 20), (20, 100), (100, np.inf))
"""Half-open ranges of length(better) − length(worse) in characters, in which accuracy is given."""
BINS = 10
"""Bins of sureness from ½ to 1 in the calibration."""


class Facets(Record, frozen=True, kw_only=True):
    """What pairs are grouped by, one entry a pair, in one order."""

    clusters: tuple[str, ...]
    types: tuple[str, ...]
    categories: tuple[str, ...]
    lengths: tuple[int, ...]
    """Characters of the better reply minus those of the worse one."""

    def __len__(self) -> int:
        """The number of pairs."""
        return len(self.types)


class Group(Record, frozen=True, kw_only=True):
    """The accuracy on some of the pairs."""

    by: str
    """`all`, `type`, `category` or `length`."""
    value: str
    accuracy: Estimate
    ties: int


class Bin(Record, frozen=True, kw_only=True):
    """Pairs on which the model is about equally sure."""

    low: float
    high: float
    pairs: int
    expected: float
    """Mean sureness σ(|margin|)."""
    right: Estimate


class PairEvaluation(Record, frozen=True, kw_only=True):
    """Everything that is measured of one reward model on one file of pairs."""

    model: str
    groups: tuple[Group, ...]
    """The first is `all`."""
    bins: tuple[Bin, ...] = ()
    """Empty where the scores are no logits."""
    ece: float | None = None
    """Expected calibration error, 0 to ½; None where the scores are no logits or there is no pair."""
    length_bias: Estimate = NO_DATA
    """Spearman correlation of margin and length difference."""
    missing: int = 0
    """Pairs without a score; they are in no figure."""

    @property
    def overall(self) -> Group:
        """The accuracy on all pairs."""
        return self.groups[0]


def facets(pairs: Sequence[Pair], clusters: Sequence[str] | None = None) -> Facets:
    """Returns what pairs are grouped by.

    Args:
        pairs: the pairs.
        clusters: cluster of each; the pair's own, else its prompt, when None.
    """
    return Facets(
        clusters=tuple(clusters) if clusters is not None else tuple(pair.cluster or pair.prompt_id for pair in pairs),
        types=tuple(pair.type for pair in pairs),
        categories=tuple(pair.category for pair in pairs),
        lengths=tuple(len(pair.better.text.strip()) - len(pair.worse.text.strip()) for pair in pairs),
    )


def evaluate(model: str, margins: npt.ArrayLike, of: Facets, *, logits: bool = True) -> PairEvaluation:
    """Returns the figures of one model; groups of no pair are left out, and no pair at all gives NO_DATA.

    Args:
        model: its name.
        margins: score(better) − score(worse) of each pair; NaN where there is no score.
        of: what the pairs are grouped by, in the same order.
        logits: whether σ(margin) claims to be a probability, so that calibration means something.

    Raises:
        UsageError: there is not one margin for each pair.
    """
    array = np.asarray(margins, dtype=np.float64)
    if array.ndim != 1 or len(array) != len(of):
        raise UsageError(f"margins: expected one for each of the {len(of)} pairs, got {array.size}")
    held = np.isfinite(array)
    values = array[held]
    codes = cluster_codes(of.clusters, len(of))[0][held]
    lengths = np.array(of.lengths, dtype=np.int64)[held]
    groups = [_group("all", "all", values, codes)]
    groups += _by("type", np.array(of.types)[held], ORDER, values, codes)
    categories = np.array(of.categories)[held]
    if len(set(categories.tolist())) > 1:
        groups += _by("category", categories, tuple(sorted(set(categories.tolist()))), values, codes)
    for low, high in BUCKETS:
        mask = (lengths >= low) & (lengths < high)
        if mask.any():
            groups.append(_group("length", _bucket(low, high), values[mask], codes[mask]))
    bins = calibration(values, codes) if logits else ()
    return PairEvaluation(
        model=model,
        groups=tuple(groups),
        bins=bins,
        ece=expected_error(bins) if bins else None,
        length_bias=spearman(values, lengths, codes),
        missing=int((~held).sum()),
    )


def _group(by: str, value: str, margins: Floats, codes: Ints) -> Group:
    return Group(by=by, value=value, accuracy=pair_accuracy(margins, codes), ties=int((np.abs(margins) < 1e-9).sum()))


def _by(name: str, labels: npt.NDArray[np.str_], order: Sequence[str], margins: Floats, codes: Ints) -> list[Group]:
    masks = ((value, labels == value) for value in order)
    return [_group(name, value, margins[mask], codes[mask]) for value, mask in masks if mask.any()]


def _bucket(low: float, high: float) -> str:
    if low == -np.inf:
        return f"< {high:g}"
    return f"≥ {low:g}" if high == np.inf else f"{low:g} … {high:g}"


def calibration(margins: Floats, clusters: Ints) -> tuple[Bin, ...]:
    """Returns the reliability curve: pairs in ten bins of sureness σ(|m|) from ½ to 1, with mean sureness and how many are right.

    The side that the model prefers is right where m > 0 (DeGroot and Fienberg, The Statistician 32, 1983); ties are half right and
    half sure. Empty bins are left out.
    """
    sure = 1.0 / (1.0 + np.exp(-np.abs(margins)))
    place = np.minimum(((sure - 0.5) * 2 * BINS).astype(np.int64), BINS - 1)
    found = []
    for number in range(BINS):
        mask = place == number
        if mask.any():
            low = 0.5 + number / (2 * BINS)
            found.append(
                Bin(
                    low=low,
                    high=low + 1 / (2 * BINS),
                    pairs=int(mask.sum()),
                    expected=float(sure[mask].mean()),
                    right=pair_accuracy(margins[mask], clusters[mask]),
                )
            )
    return tuple(found)


def expected_error(bins: Sequence[Bin]) -> float | None:
    """Returns Σ n_b/N · |right_b − expected_b| (Naeini, Cooper and Hauskrecht, AAAI 2015); None for no bins."""
    total = sum(entry.pairs for entry in bins)
    if not total:
        return None
    return sum(entry.pairs * abs((entry.right.value or 0.0) - entry.expected) for entry in bins) / total


def ranks(values: npt.ArrayLike) -> Floats:
    """Returns the rank of each value from 1, equal values sharing the mean of their ranks; empty for no values."""
    array = np.asarray(values, dtype=np.float64)
    _, inverse, counts = np.unique(array, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return np.asarray((ends - (counts - 1) / 2)[inverse], dtype=np.float64)


def spearman(one: npt.ArrayLike, two: npt.ArrayLike, clusters: npt.ArrayLike) -> Estimate:
    """Returns Spearman's rank correlation with limits by Fisher's z; NO_DATA for fewer than two values or where one does not vary.

    ρ is Pearson's correlation of mid-ranks (Spearman 1904). Limits are tanh(artanh ρ ± z·√((1 + ρ²/2)/(G − 3))) (Bonett and Wright,
    Psychometrika 65, 2000) with the number of clusters G in the place of n, our choice since pairs of one prompt are not independent;
    no limits with three clusters or fewer.
    """
    first, second = ranks(one), ranks(two)
    if len(first) < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return NO_DATA
    rho = float(np.clip(np.corrcoef(first, second)[0, 1], -1.0, 1.0))
    count = len(np.unique(np.asarray(clusters)))
    low: float | None = None
    high: float | None = None
    if count > 3:
        centre = float(np.arctanh(np.clip(rho, -1 + 1e-12, 1 - 1e-12)))
        half = normal_quantile(0.975) * float(np.sqrt((1 + rho * rho / 2) / (count - 3)))
        low, high = float(np.tanh(centre - half)), float(np.tanh(centre + half))
        low, high = min(low, rho), max(high, rho)
    return Estimate(
        value=rho, low=low, high=high, method="spearman-fisher-z", n=len(first), clusters=count, unit="prompt"
    )


def compare(one: npt.ArrayLike, two: npt.ArrayLike, of: Facets, *, seed: int = 0) -> PairedDifference:
    """Returns how far the first model's accuracy lies above the second's on the pairs that both scored, tested over clusters.

    The test is `stats.paired_difference` on right(m₁) − right(m₂), ties one half.
    """
    first, second = np.asarray(one, dtype=np.float64), np.asarray(two, dtype=np.float64)
    both = np.isfinite(first) & np.isfinite(second)
    codes = cluster_codes(of.clusters, len(of))[0][both]
    return paired_difference(right(first[both]), right(second[both]), codes, "pairs", seed, span=1.0, unit="prompt")
