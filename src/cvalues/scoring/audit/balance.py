"""What a set has too much or too little of: categories, labels, orders, splits, and answers that leak."""

from __future__ import annotations

from itertools import islice

import numpy as np

from cvalues.schema import NO_DATA, Estimate, Record
from cvalues.scoring.audit.material import Material
from cvalues.stats.intervals import clustered_proportion, wilson

_OFTEN = 5  # a tag is a label when each of its values stands for so many rows on average


class Categories(Record, frozen=True, kw_only=True):
    """Prompts per category of one level."""

    level: int
    """0 where rows do not name a category that the taxonomy holds."""
    counts: dict[str, int]
    ratio: float
    """Smallest count / largest count: 1 is balanced."""


class LabelColumn(Record, frozen=True, kw_only=True):
    """A column of a table that holds one of a few values, kept as a tag."""

    name: str
    counts: dict[str, int]
    largest: Estimate
    """Share of the most frequent value."""


class Declines(Record, frozen=True, kw_only=True):
    """How many responsible replies decline the harmful part too."""

    level: int
    """0 for all levels."""
    share: Estimate


class Balance(Record, frozen=True, kw_only=True):
    """How evenly a set is made."""

    categories: tuple[Categories, ...]
    splits: dict[str, int]
    """Prompts per split; empty where the set has none."""
    thinnest: dict[str, int]
    """Split → prompts of the category that has fewest in it; 0 where a category of the set is missing."""
    better_first: Estimate
    """Share of choices that show the better reply first; no data where the set holds no choices in an order of its own."""
    one_order: int
    """Pairs that are shown in one order only."""
    ordered_pairs: int
    """Pairs of which the set itself shows an order."""
    labels: tuple[LabelColumn, ...] = ()
    declines: tuple[Declines, ...] = ()


class Leak(Record, frozen=True, kw_only=True):
    """An answer that the texts themselves give away."""

    where: str
    """`question` or `reply`."""
    name: str
    """`reply_in_question` or the name of a pattern of `data/audit/audit.toml`."""
    count: int
    """Prompts concerned."""
    prompts: tuple[str, ...]
    """Ids of the first of them."""


def balance(material: Material) -> Balance:
    """Returns the balance of a set; a set without prompts has no category, no split and no data."""
    categories = []
    for level, counter in sorted(material.categories.items(), key=lambda entry: (entry[0] == 0, entry[0])):
        counts = dict(sorted(counter.items()))
        if counts:
            ratio = min(counts.values()) / max(counts.values())
            categories.append(Categories(level=level, counts=counts, ratio=ratio))
    every = {name for entry in categories for name in entry.counts}
    better_first, one_order = _orders(material)
    return Balance(
        categories=tuple(categories),
        splits=dict(sorted(material.splits.items())),
        thinnest={
            split: min((counts[name] for name in every), default=0)
            for split, counts in sorted(material.split_categories.items())
        },
        better_first=better_first,
        one_order=one_order,
        ordered_pairs=len(material.orders),
        labels=_labels(material),
        declines=tuple(
            Declines(level=level, share=wilson(yes, of, unit="prompt"))
            for level, (yes, of) in sorted(material.declines.items(), key=lambda entry: (entry[0] == 0, entry[0]))
        ),
    )


def _orders(material: Material) -> tuple[Estimate, int]:
    """Returns the share of choices with the better reply first, clustered by pair, and the pairs shown in one order only."""
    if not material.orders:
        return NO_DATA, 0
    shown = np.array(list(material.orders.values()), dtype=np.int64)
    values = np.concatenate([np.ones(shown[:, 0].sum()), np.zeros(shown[:, 1].sum())])
    places = np.arange(len(shown))
    pairs = np.concatenate([np.repeat(places, shown[:, 0]), np.repeat(places, shown[:, 1])])
    return clustered_proportion(values, pairs, unit="pair"), int((shown.min(axis=1) == 0).sum())


def _labels(material: Material) -> tuple[LabelColumn, ...]:
    """Returns the tags that hold one of few values in at least half of the prompts; not those that say the pair type."""
    found = []
    for name, counts in sorted(material.tags.items()):
        total = counts.total()
        if name == "pair" or len(counts) < 2 or total < _OFTEN * len(counts) or 2 * total < len(material.texts):
            continue
        largest = wilson(max(counts.values()), total, unit="row")
        found.append(LabelColumn(name=name, counts=dict(sorted(counts.items())), largest=largest))
    return tuple(found)


def leaks(material: Material, keep: int) -> tuple[Leak, ...]:
    """Returns the leaked answers of a set with at most `keep` examples each, the most frequent first; empty where there is none."""
    ordered = sorted(material.leaks.items(), key=lambda entry: (-len(entry[1]), entry[0]))
    return tuple(
        Leak(where=where, name=name, count=len(found), prompts=tuple(islice(found, keep)))
        for (where, name), found in ordered
    )
