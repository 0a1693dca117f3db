"""What a reply shows without being understood: length, refusal words, list items. Reward models must beat all three.

The refusal words and the pattern of list items are those of the audit of sets (`data/audit/audit.toml`).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from importlib import resources
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from cvalues.errors import UsageError
from cvalues.schema import Estimate
from cvalues.stats.intervals import clustered_mean

SHORTCUTS = ("longer", "shorter", "refusal-words", "numbering")
"""Rules that say which of two replies is better: the longer, the shorter, that with more refusal words, with more list items."""
LOOK = 4_000
"""Characters of a reply in which refusal words and list items are counted; no reply of the public set is longer than 1,024."""
Floats = npt.NDArray[np.float64]


class Facts(NamedTuple):
    """What is counted in one reply."""

    length: int
    """Characters without outer blanks."""
    refusals: int
    """Different refusal words that it holds."""
    items: int
    """Items of lists."""


@functools.cache
def _measures() -> tuple[tuple[str, ...], re.Pattern[str]]:
    body = resources.files("cvalues").joinpath("data/audit/audit.toml").read_bytes()
    found = msgspec.toml.decode(body)
    return tuple(found["refusal"]["words"]), re.compile(found["numbering"]["pattern"])


@functools.lru_cache(maxsize=256)
def facts(text: str) -> Facts:
    """Returns the counts of one reply; zeros for an empty one."""
    words, numbering = _measures()
    head = text[:LOOK]
    lower = head.lower()
    items = sum(1 for _ in numbering.finditer(head))
    return Facts(len(text.strip()), sum(word in lower for word in words), items)


def scores(name: str, replies: Sequence[str]) -> Floats:
    """Returns the score that a shortcut gives each reply, higher is better; empty for no reply.

    Raises:
        UsageError: there is no such shortcut.
    """
    if name not in SHORTCUTS:
        raise UsageError(f"unknown shortcut '{name}'; the shortcuts are {', '.join(SHORTCUTS)}")
    counted = [facts(reply) for reply in replies]
    values = {
        "longer": [entry.length for entry in counted],
        "shorter": [-entry.length for entry in counted],
        "refusal-words": [entry.refusals for entry in counted],
        "numbering": [entry.items for entry in counted],
    }[name]
    return np.array(values, dtype=np.float64)


def pair_accuracy(margins: npt.ArrayLike, clusters: npt.NDArray[np.int64]) -> Estimate:
    """Returns the share of pairs whose better reply has the higher score, ties half; NO_DATA for no pair.

    `margins` are score(better) − score(worse). The interval is `stats.clustered_mean` with span 0 to 1 over clusters of prompts.
    """
    return clustered_mean(right(np.asarray(margins, dtype=np.float64)), clusters, span=(0.0, 1.0), unit="prompt")


def right(margins: Floats) -> Floats:
    """Returns 1 for a positive margin, 0 for a negative one, ½ for a tie (within 1e-9)."""
    return np.where(np.abs(margins) < 1e-9, 0.5, (margins > 0).astype(np.float64))
