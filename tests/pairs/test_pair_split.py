"""Splits by cluster: no straddling, shares, stability."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvalues.errors import UsageError
from cvalues.pairs.cluster import clusters
from cvalues.pairs.split import Shares, Unit, as_fixed, assign


def unit(name: str, *, stratum: str = "law", pairs: int = 3, fixed: tuple[str, ...] = ("",)) -> Unit:
    """A cluster of one prompt, or of as many as `fixed` has places."""
    return Unit(tuple(f"{name}{place}" for place in range(len(fixed))), (stratum,), pairs, fixed)


_UNITS = st.lists(
    st.tuples(st.integers(0, 10_000), st.sampled_from("abc"), st.integers(1, 6), st.integers(1, 3)),
    min_size=1,
    max_size=60,
    unique_by=lambda entry: entry[0],
).map(
    lambda drawn: [
        unit(f"k{name}-", stratum=stratum, pairs=pairs, fixed=("",) * size) for name, stratum, pairs, size in drawn
    ]
)


@settings(deadline=None)
@given(_UNITS, st.integers(0, 3), st.sampled_from([Shares(), Shares(test=0.1, dev=0.1), Shares(test=0.5)]))
def test_no_cluster_straddles_and_order_does_not_matter(units: list[Unit], seed: int, shares: Shares) -> None:
    """All prompts of a cluster share a split, and turning the rows around changes nothing."""
    found = assign(units, shares, seed)
    assert all(len(set(splits)) == 1 and splits[0] in {"train", "dev", "test"} for splits in found)
    assert assign(units[::-1], shares, seed)[::-1] == found


@settings(deadline=None)
@given(_UNITS, _UNITS, st.integers(0, 3))
def test_nothing_moves_when_data_is_added(old: list[Unit], new: list[Unit], seed: int) -> None:
    """With the earlier assignment at hand, every prompt keeps its split whatever is added, even by clusters that grow."""
    shares = Shares()
    before = {
        key: split
        for entry, splits in zip(old, assign(old, shares, seed), strict=True)
        for key, split in zip(entry.keys, splits, strict=True)
    }
    merged: dict[tuple[str, ...], Unit] = {entry.keys: entry for entry in [*old, *new]}
    grown = [entry._replace(keys=(*entry.keys, f"more{place}")) for place, entry in enumerate(merged.values())]
    known = [entry._replace(fixed=as_fixed(before, entry.keys)) for entry in grown]
    for entry, splits in zip(known, assign(known, shares, seed), strict=True):
        for key, split in zip(entry.keys, splits, strict=True):
            assert before.get(key, split) == split
        assert len(set(splits)) == 1 or set(entry.fixed) - {""} != set(splits)


def test_prompts_between_two_splits_are_left_out() -> None:
    """A new prompt that joins a training and a test prompt is left out; the two stay where they were."""
    [found] = assign([unit("k", fixed=("train", "", "test"))], Shares())
    assert found == ("train", "", "test")


@pytest.mark.parametrize(("test", "dev"), [(0.2, 0.0), (0.1, 0.1), (0.5, 0.0)])
def test_every_stratum_gets_its_share(test: float, dev: float) -> None:
    """Of 50 clusters in each of four strata, each split of each stratum is within one cluster of its share, and so is the whole."""
    units = [unit(f"{stratum}{number}-", stratum=stratum) for stratum in "abcd" for number in range(50)]
    found = assign(units, Shares(test=test, dev=dev), 7)
    counts = Counter((entry.stratum[0], splits[0]) for entry, splits in zip(units, found, strict=True))
    for stratum in "abcd":
        assert abs(counts[stratum, "test"] - 50 * test) <= 2
        assert abs(counts[stratum, "dev"] - 50 * dev) <= 2
    assert abs(sum(count for (_, split), count in counts.items() if split == "test") - 200 * test) <= 1


def test_another_seed_is_another_split() -> None:
    """The seed decides which clusters are drawn."""
    units = [unit(f"k{number}-") for number in range(40)]
    assert assign(units, Shares(), 1) != assign(units, Shares(), 2)
    assert assign(units, Shares(), 1) == assign(units, Shares(), 1)
    assert assign([], Shares()) == []


@pytest.mark.parametrize(("test", "dev"), [(0.0, 0.0), (0.6, 0.4), (1.0, 0.0), (-0.1, 0.2)])
def test_shares_that_leave_nothing_are_refused(test: float, dev: float) -> None:
    """Shares must leave something to train on and something to test on."""
    with pytest.raises(UsageError, match="--test and --dev"):
        Shares(test=test, dev=dev)


def test_clusters_hang_together_through_others() -> None:
    """Near-duplicates of near-duplicates are one cluster, named by its first text; unlike texts are clusters of their own."""
    texts = [
        "怎样才能让老人放心地在家里生活呢",
        "别的完全不同的问题说的是天气",
        "怎样才能让老人放心地在家里生活呢？",
        "怎样才能让老人放心地在家里生活呢呀",
    ]
    assert clusters(texts).tolist() == [0, 1, 0, 0]
    assert clusters([]).tolist() == []
