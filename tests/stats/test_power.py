"""Power: by hand, round trips, simulation, statsmodels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.power import NormalIndPower

from cvalues.errors import UsageError
from cvalues.stats import clusters_needed, clusters_needed_proportion, smallest_detectable


def test_by_hand() -> None:
    """The three formulas give the numbers worked by hand."""
    # z_a + z_b = 1.959964 + 0.841621 = 2.801585; 2.801585·0.5/√100 = 0.140079; (2.801585·0.5/0.1)² = 196.2 → 197
    assert smallest_detectable(100, sd=0.5) == pytest.approx(0.140079, abs=1e-6)
    assert clusters_needed(0.1, sd=0.5) == 197
    # ψ = 0.2, δ = 0.1: (1.959964·0.447214 + 0.841621·√0.19)²/0.01 = (0.876522 + 0.366852)²/0.01 = 154.6 → 155
    assert clusters_needed(0.1, discordance=0.2) == 155
    # p₀ = 0.9, p₁ = 0.8: (1.959964·0.3 + 0.841621·0.4)²/0.01 = 0.924638²/0.01 = 85.4956 → 86; ×1.5/2 = 64.1 → 65
    assert clusters_needed_proportion(-0.1, rate=0.9) == 86
    assert clusters_needed_proportion(-0.1, rate=0.9, design_effect=1.5, cluster_size=2) == 65


@given(st.floats(0.01, 0.4), st.floats(0.3, 1.0))
def test_round_trip(difference: float, discordance: float) -> None:
    """The clusters needed for a difference are just enough to detect it: with one fewer it is not."""
    if difference > discordance:
        return
    needed = clusters_needed(difference, discordance=discordance)
    found = smallest_detectable(needed, discordance=discordance)
    assert found is not None
    assert found <= difference + 1e-9
    fewer = smallest_detectable(needed - 1, discordance=discordance)
    assert needed == 2 or fewer is None or fewer > difference - 1e-9


@given(st.floats(0.05, 2), st.floats(0.1, 3), st.sampled_from([0.8, 0.9]))
def test_witness_statsmodels(difference: float, sd: float, power: float) -> None:
    """By standard deviation statsmodels' z test has the power asked for, and with one cluster fewer it has not."""
    # One-sided at half the level, which leaves out the far tail as the formula does.
    witness = NormalIndPower(ddof=0)
    needed = clusters_needed(difference, sd=sd, power=power)
    reached, missed = (
        witness.power(difference / sd, count, 0.025, ratio=0, alternative="larger") for count in (needed, needed - 1)
    )
    assert reached >= power - 1e-6
    assert needed == 2 or missed < power + 1e-6


def test_simulated_power() -> None:
    """A paired test on as many pairs as needed finds the difference in about 80 % of 4,000 simulated studies."""
    pairs = clusters_needed(0.1, discordance=0.3)
    draws = np.random.default_rng(4).choice([1, -1, 0], p=[0.2, 0.1, 0.7], size=(4000, pairs))
    score = draws.sum(axis=1) / np.sqrt(np.abs(draws).sum(axis=1))
    assert np.mean(np.abs(score) > 1.959964) == pytest.approx(0.8, abs=0.025)


def test_nothing_to_detect() -> None:
    """No cluster, or too few for even the largest difference, detects nothing; more clusters detect less."""
    assert smallest_detectable(0, sd=1) is None
    assert smallest_detectable(2, discordance=0.1) is None
    assert smallest_detectable(3, discordance=0.05) is None
    values = [smallest_detectable(n, discordance=0.2) or 1 for n in (50, 100, 1000)]
    assert values == sorted(values, reverse=True)
    assert smallest_detectable(10_000, sd=1) == pytest.approx(2.801585 / 100, abs=1e-6)


def test_bad_input() -> None:
    """Impossible questions are refused with what was expected."""
    for message, call in (
        ("exactly one", lambda: smallest_detectable(10)),
        ("exactly one", lambda: clusters_needed(0.1, sd=1, discordance=0.2)),
        ("at least 0", lambda: smallest_detectable(10, sd=-1)),
        ("share from 0 to 1", lambda: smallest_detectable(10, discordance=2)),
        ("other than 0", lambda: clusters_needed(0, sd=1)),
        ("at most the discordance", lambda: clusters_needed(0.3, discordance=0.2)),
        ("two different rates", lambda: clusters_needed_proportion(0.2, rate=0.9)),
        ("above 0", lambda: clusters_needed_proportion(0.1, rate=0.5, cluster_size=0)),
        ("alpha < power", lambda: smallest_detectable(10, sd=1, power=0.01)),
    ):
        with pytest.raises(UsageError, match=message):
            call()
