"""Groups that cannot be told apart and rank ranges."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cvalues.errors import UsageError
from cvalues.stats import groups, letters, rank_range

NAMES = "abcdefgh"
pairs = st.sets(st.sampled_from(list(itertools.combinations(NAMES, 2))))


def brute(models: str, differ: set[tuple[str, str]]) -> set[frozenset[str]]:
    """Returns the largest sets without a different pair, by looking at all subsets."""
    free = [
        frozenset(some)
        for size in range(1, len(models) + 1)
        for some in itertools.combinations(models, size)
        if not any(pair in differ for pair in itertools.combinations(some, 2))
    ]
    return {one for one in free if not any(one < other for other in free)}


def test_by_hand() -> None:
    """Of a > b > c where only a and c differ, a-b and b-c are groups, b may hold any rank."""
    p_values = {("a", "b"): 0.3, ("a", "c"): 0.01, ("b", "c"): 0.2}
    found = groups("abc", p_values)
    assert found == [("a", "b"), ("b", "c")]
    assert letters("abc", found) == {"a": "a", "b": "ab", "c": "b"}
    assert rank_range("abc", p_values) == {"a": (1, 2), "b": (1, 3), "c": (2, 3)}


@given(pairs)
def test_groups_are_the_largest_sets_without_a_difference(differ: set[tuple[str, str]]) -> None:
    """Insert-and-absorb finds exactly the sets that looking at all subsets finds."""
    found = groups(NAMES, dict.fromkeys(differ, 0.001))
    assert {frozenset(group) for group in found} == brute(NAMES, differ)
    assert len(found) == len(set(found))


@given(pairs)
def test_letters_say_what_the_tests_say(differ: set[tuple[str, str]]) -> None:
    """Two models share a letter exactly when they do not differ, and every model has one."""
    shown = letters(NAMES, groups(NAMES, dict.fromkeys(differ, 0.001)))
    for one, two in itertools.combinations(NAMES, 2):
        assert bool(set(shown[one]) & set(shown[two])) == ((one, two) not in differ)
    assert all(shown.values())


@given(pairs)
def test_rank_ranges_hold_the_place(differ: set[tuple[str, str]]) -> None:
    """A model's own place lies in its range when no worse one beats it, and ranges are inside 1 to n."""
    ranges = rank_range(NAMES, dict.fromkeys(differ, 0.001))
    for place, name in enumerate(NAMES, 1):
        low, high = ranges[name]
        assert 1 <= low <= place <= high <= len(NAMES)


def test_alpha_and_missing() -> None:
    """At alpha, above it, or missing, p shows no difference; the direction of a difference does not change the groups."""
    assert groups("ab", {("a", "b"): 0.05}) == groups("ab", {("a", "b"): None}) == groups("ab", {}) == [("a", "b")]
    assert (
        groups("ab", {("a", "b"): 0.05}, alpha=0.1) == groups("ab", {("b", "a"): 0.05}, alpha=0.1) == [("a",), ("b",)]
    )
    assert groups("", {}) == []
    assert rank_range("", {}) == {}


def test_more_groups_than_letters() -> None:
    """Thirty models all different get thirty names, the last of two letters."""
    models = [f"m{at}" for at in range(30)]
    shown = letters(models, groups(models, dict.fromkeys(itertools.combinations(models, 2), 0.0)))
    assert shown["m25"] == "z"
    assert shown["m26"] == "aa"
    assert shown["m29"] == "ad"


def test_bad_input() -> None:
    """An unknown or repeated model is refused by name."""
    with pytest.raises(UsageError, match="unknown model 'x'"):
        groups("ab", {("a", "x"): 0.01})
    with pytest.raises(UsageError, match="each name once"):
        rank_range("aa", {})
