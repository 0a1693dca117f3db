"""Prompts that are the same or nearly so, as clusters: what must never stand on both sides of a split."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from cvalues.text import near_duplicates

Ints = npt.NDArray[np.int64]


def clusters(texts: Sequence[str], threshold: float = 0.7) -> Ints:
    """Returns for each text the smallest place among the texts that it hangs together with; empty for no texts.

    Two texts hang together when they are near-duplicates (`text.near_duplicates`: Jaccard similarity of character 3-grams of at
    least `threshold`), directly or through others (single linkage).
    """
    parent = list(range(len(texts)))

    def root(place: int) -> int:
        while parent[place] != place:
            parent[place] = parent[parent[place]]
            place = parent[place]
        return place

    for first, second, _ in near_duplicates(texts, threshold):
        one, two = root(first), root(second)
        if one != two:
            parent[max(one, two)] = min(one, two)
    return np.array([root(place) for place in range(len(texts))], dtype=np.int64)
