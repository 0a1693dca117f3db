"""Splits by cluster of prompts: stratified, seeded, the same whatever the order of rows, and kept when data is added."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from cvalues.errors import UsageError
from cvalues.schema import Record

_CARRIED = 3.0  # pairs: what one prompt usually has


class Shares(Record, frozen=True, kw_only=True):
    """How much of the pairs each split gets; `train` gets the rest."""

    test: float = 0.2
    dev: float = 0.0

    def __post_init__(self) -> None:
        """Refuses shares that leave nothing to train on."""
        if not (0 <= self.test < 1 and 0 <= self.dev < 1 and 0 < self.test + self.dev < 1):
            raise UsageError(
                f"--test and --dev: expected shares from 0 to 1 with a sum above 0 and below 1, got {self.test:g} and {self.dev:g}"
            )


class Unit(NamedTuple):
    """A cluster of prompts on its way into a split."""

    keys: tuple[str, ...]
    """Hash of each of its prompts."""
    stratum: tuple[str, ...]
    """Category and pair types: clusters of one stratum are shared out among the splits."""
    pairs: int
    fixed: tuple[str, ...]
    """Split of each prompt where it is known already, empty where not; in the order of `keys`."""


def assign(units: Sequence[Unit], shares: Shares, seed: int = 0) -> list[tuple[str, ...]]:
    """Returns the split (`train`, `dev`, `test`, or empty) of every prompt of every unit, in their order; empty for no units.

    Within a stratum the clusters are gone through in the order of a seeded hash of their smallest key, and each goes to the first of
    test, dev and train that still lacks at least half of it; what rounding leaves over is carried to the next stratum. So every
    stratum and the whole have their shares as nearly as whole clusters allow. A cluster of which one prompt has a split already goes
    there as a whole. Where new prompts join clusters of two splits, the old prompts stay and the new ones are left out (empty):
    nothing moves, and nothing straddles.
    """
    result: list[tuple[str, ...]] = [("",) * len(unit.keys) for unit in units]
    strata: dict[tuple[str, ...], list[int]] = defaultdict(list)
    held: dict[tuple[str, ...], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for place, unit in enumerate(units):
        known = {split for split in unit.fixed if split}
        if not known:
            strata[unit.stratum].append(place)
            continue
        if len(known) == 1:
            split = next(iter(known))
            result[place] = (split,) * len(unit.keys)
            held[unit.stratum][split] += unit.pairs
        else:
            result[place] = unit.fixed
    carry = {"test": 0.0, "dev": 0.0}
    for stratum in sorted(strata):
        places = sorted(strata[stratum], key=lambda place: _rank(units[place], seed))
        total = sum(units[place].pairs for place in places) + sum(held[stratum].values())
        room = {
            "test": shares.test * total - held[stratum]["test"] + carry["test"],
            "dev": shares.dev * total - held[stratum]["dev"] + carry["dev"],
        }
        for place in places:
            unit = units[place]
            split = next((name for name in ("test", "dev") if room[name] >= unit.pairs / 2), "train")
            if split != "train":
                room[split] -= unit.pairs
            result[place] = (split,) * len(unit.keys)
        carry = {name: min(_CARRIED, max(-_CARRIED, left)) for name, left in room.items()}
    return result


def _rank(unit: Unit, seed: int) -> tuple[str, str]:
    key = min(unit.keys)
    return hashlib.blake2b(f"{seed}\x1f{key}".encode(), digest_size=16).hexdigest(), key


def as_fixed(previous: Mapping[str, str], keys: Sequence[str]) -> tuple[str, ...]:
    """Returns the split of each key in an earlier assignment, empty where it has none."""
    return tuple(previous.get(key, "") for key in keys)
