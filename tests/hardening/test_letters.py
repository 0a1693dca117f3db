"""Tests of people's grades A, B and C, with the counts of the expert-principle report."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvalues.errors import DataError
from cvalues.hardening.letters import LETTERS, from_counts, from_pairs, read_letters


def test_the_counts_of_the_report() -> None:
    """59 + 55 of 184 against 111 + 36 of 184 is 61.96 % against 79.89 %, a gain of 17.9 points with the interval of Newcombe."""
    found = from_counts("A", {"A": 59, "B": 55, "C": 70}, {"A": 111, "B": 36, "C": 37})
    assert found.share_before.value == pytest.approx(0.6196, abs=1e-4)
    assert found.share_after.value == pytest.approx(0.7989, abs=1e-4)
    assert found.difference.value == pytest.approx(0.1793, abs=1e-4)
    # Wilson: before 0.5477 to 0.6867, after 0.7352 to 0.8505; d − √(0.0638² + 0.0671²), d + √(0.0516² + 0.0719²).
    assert (found.difference.low, found.difference.high) == pytest.approx((0.0868, 0.2678), abs=2e-3)
    second = from_counts("B", {"A": 18, "B": 20, "C": 28}, {"A": 48, "B": 9, "C": 9})
    assert second.difference.value == pytest.approx(0.2879, abs=1e-4)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(LETTERS), st.sampled_from(LETTERS)), min_size=2, max_size=60))
def test_paired_and_unpaired_have_one_value(grades: list[tuple[str, str]]) -> None:
    """Pairing changes the interval and never the difference, which stays in its interval."""
    paired = from_pairs("s", [(str(at), old, new) for at, (old, new) in enumerate(grades)])  # type: ignore[misc]
    loose = from_counts("s", paired.before, paired.after)
    assert paired.difference.value == pytest.approx(loose.difference.value)
    for estimate in (paired.difference, loose.difference):
        assert estimate.low is not None
        assert estimate.high is not None
        assert estimate.low - 1e-9 <= (estimate.value or 0) <= estimate.high + 1e-9


def test_files(tmp_path: Path) -> None:
    """CSV and JSON Lines are read, by test set; a wrong grade is told with its line."""
    table = tmp_path / "grades.csv"
    table.write_text("prompt,set,before,after\np1,A,C,A\np2,A,b,B\np3,B,C,C\n", encoding="utf-8")
    found = read_letters(table)
    assert [(each.set, each.paired, each.after["A"]) for each in found] == [("A", True, 1), ("B", True, 0)]
    lines = tmp_path / "grades.jsonl"
    lines.write_text('{"model":"before","grade":"A"}\n{"model":"after","grade":"C"}\n', encoding="utf-8")
    assert read_letters(lines)[0].paired is False
    table.write_text("prompt,before,after\np1,C,A\np2,C,D\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"grades\.csv:3: a grade is A, B or C, not 'D'"):
        read_letters(table)
    lines.write_text('{"grade":"A"}\n', encoding="utf-8")
    with pytest.raises(DataError, match="needs before and after"):
        read_letters(lines)
