"""The simulation of interval coverage, in a smaller version of benchmarks/coverage.py."""

from __future__ import annotations

import importlib.util
import itertools
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from cvalues.stats import clustered_proportion
from cvalues.stats.agreement import cohen_kappa, gwet_ac, krippendorff_alpha, raw_agreement
from cvalues.stats.resampling import Resampling

SCRIPT = Path(__file__).parents[2] / "benchmarks/coverage.py"


@pytest.fixture(scope="module")
def simulation() -> ModuleType:
    """The benchmark as a module; the test skips where it is not shipped."""
    if not SCRIPT.is_file():
        pytest.skip("needs benchmarks/coverage.py, which is absent here")
    spec = importlib.util.spec_from_file_location("coverage_simulation", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


CELLS = [
    *[
        ("share by prompts", *cell)
        for cell in (
            (20, 10, 0.02, 0.3),
            (20, 10, 0.1, 0.6),
            (20, 10, 0.02, 0.0),
            (20, 3, 0.5, 0.3),
            (20, 3, 0.02, 0.0),
            (20, 3, 0.1, 0.3),
            (20, 10, 0.1, 1.0),
            (50, 4, 0.05, 0.6),
        )
    ],
    *[("Rogan–Gladen", *cell) for cell in ((20, 10, 0.02, 0.3), (20, 3, 0.1, 0.3), (100, 3, 0.02, 0.3))],
    *[("PPI share", *cell) for cell in ((20, 10, 0.02, 0.3), (20, 3, 0.5, 0.3), (20, 10, 0.1, 1.0), (12, 8, 0.1, 0.3))],
    ("Krippendorff alpha", 20, 3, 0.1, 0.0),
    ("Krippendorff alpha", 20, 3, 0.3, 0.0),
    ("PPI mean points", 20, 10, 0.5, 0.3),
    ("mean points by prompts", 20, 10, 0.02, 0.3),
]
"""What is simulated in every test run."""


def bars(simulation: ModuleType, setting: tuple[object, ...], studies: int, seeds: tuple[int, ...] = ()) -> list[str]:
    """What a setting misses of the bars with either seed; their numbers are the issue's."""
    assert (simulation.LEAST, simulation.MOST, simulation.WIDEST) == (0.935, 0.97, 1.25)
    assert len(set(simulation.SEEDS)) == 2
    assert studies >= 2000
    cells = [simulation.simulate(simulation.Setting(*setting), seed, studies) for seed in seeds or simulation.SEEDS]
    found: list[str] = simulation.missed(cells)
    return found


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_coverage(simulation: ModuleType, cell: tuple[object, ...]) -> None:
    """In 2,000 studies and more with each of two seeds coverage is 93.5 to 97 % and width at most 1.25 times the witness's."""
    assert bars(simulation, cell, simulation.studies_of(simulation.Setting(*cell))) == []


@pytest.mark.slow
def test_coverage_of_all_cells(simulation: ModuleType) -> None:
    """Every row of the table is within the same bars, alpha's bootstrap too."""
    groups = simulation.groups()
    assert len(groups) == 3
    assert groups[2][1] == simulation.FRESH_SEEDS != simulation.SEEDS
    everything = [(setting, seeds) for group, seeds in groups for setting in group]
    faults = [
        fault
        for setting, seeds in everything
        for fault in bars(simulation, tuple(setting), simulation.studies_of(setting), seeds)
    ]
    assert faults == []


def test_no_cell_is_exempt(simulation: ModuleType) -> None:
    """Coverage below 93.5 or above 97 % and a width of more than 1.25 times the witness's are faults wherever counts are small."""
    coarse, fine = (
        simulation.Setting("share by prompts", 20, 10, 0.02),
        simulation.Setting("share by prompts", 20, 10, 0.1),
    )
    assert simulation.few(coarse)
    assert not simulation.few(fine)
    for coverage, width, faults in (
        (0.98, 1.25, 1),
        (0.97, 1.25, 0),
        (0.935, 1.0, 0),
        (0.93, 1.0, 1),
        (0.95, 1.26, 1),
        (0.93, 1.3, 2),
    ):
        for setting in (coarse, fine):
            cell = simulation.Cell(setting, 1, coverage, 0.0, width, 0.95, 1.0)
            assert len(simulation.missed([cell])) == faults


def test_expected_prompts(simulation: ModuleType) -> None:
    """The rule that chooses the witness expects as many prompts with the rarer answer as simulated studies have on average."""
    for setting in (simulation.Setting("share by prompts", 20, 10, 0.02, rho) for rho in (0.0, 0.3, 1.0)):
        sums, _ = simulation.replies(np.random.default_rng(3), setting, 4000, setting.clusters)
        mean = float((sums > 0).sum(axis=1).mean())
        assert simulation.few(setting) == (mean < simulation.FEW)
        assert simulation.expected(setting) == pytest.approx(mean, rel=0.03)


def test_simulated_limits_are_those_of_scores(simulation: ModuleType) -> None:
    """The share that is simulated for many studies at once has the limits that `clustered_proportion` gives for each."""
    setting = simulation.Setting("share by prompts", 20, 10, 0.05)
    found = simulation.METHODS[setting.method](setting, 40, np.random.default_rng(5))
    sums, _ = simulation.replies(np.random.default_rng(5), setting, 40, setting.clusters)
    labels = np.repeat(np.arange(20), 10)
    for at, study in enumerate(sums.astype(int)):
        one = clustered_proportion([float(place < hits) for hits in study for place in range(10)], labels)
        assert (one.low, one.high) == pytest.approx((found.low[at], found.high[at]))


def test_table_marks_what_is_outside(simulation: ModuleType) -> None:
    """The table has a row per setting with both seeds and marks coverage outside of 93.5 to 97 %."""
    setting = simulation.Setting("PPI share", 20, 10, 0.1)
    cells = [
        simulation.Cell(setting, 1, 0.95, 0.0, 0.1, 0.9, 0.2),
        simulation.Cell(setting, 2, 0.98, 0.0, 0.1, 0.9, 0.2),
    ]
    text = simulation.table(cells)
    assert "95.0, 98.0*" in text
    assert "| 0.50 |" in text
    assert len(text.splitlines()) == 3


def test_summary_of_the_grid(simulation: ModuleType) -> None:
    """The grid has shares, Rogan–Gladen and PPI, and its summary counts what lies below and above the bars."""
    assert {one.method for one in simulation.grid()} == {"share by prompts", "Rogan–Gladen", "PPI share"}
    assert len(set(simulation.grid())) == len(simulation.grid()) > 1500
    cells = [
        simulation.Cell(simulation.Setting("PPI share", 20, 10, rate, alike), 1, coverage, 0.0, 0.1, 0.9, 0.2)
        for rate, alike, coverage in ((0.1, 0.3, 0.93), (0.2, 0.3, 0.95), (0.3, 0.3, 0.98), (0.1, 1.0, 0.9))
    ]
    below, alike = simulation.summary(cells).splitlines()
    assert "3 settings, 1 below 93.5 %, 1 above 97 %; least 93.0 % at (20, 10, 0.1, 0.3)" in below
    assert "1 settings, 1 below 93.5 %" in alike


AGREEING = [
    (krippendorff_alpha, 40, 2, 0.4, 0.98, 0.98),
    (krippendorff_alpha, 20, 3, 0.5, 0.95, 0.98),
    (krippendorff_alpha, 100, 3, 0.15, 0.95, 0.99),
    (gwet_ac, 20, 3, 0.1, 0.85, 0.95),
    (gwet_ac, 100, 3, 0.02, 0.85, 0.95),
    (cohen_kappa, 20, 2, 0.3, 0.85, 0.95),
    (cohen_kappa, 100, 2, 0.02, 0.85, 0.95),
    (raw_agreement, 20, 3, 0.1, 0.85, 0.95),
]
"""Coefficient, items, raters, share of unsafe items, sensitivity and specificity of the raters."""


@pytest.mark.parametrize("case", AGREEING, ids=lambda case: f"{case[0].__name__}-{'-'.join(map(str, case[1:]))}")
def test_coefficients_of_raters_who_agree(case: tuple[Any, ...]) -> None:
    """Also where raters hardly ever differ, or the rarer label is hardly seen, 93.5 % of the intervals hold the coefficient."""
    coefficient, items, raters, rate, sensitivity, specificity = case
    patterns = np.array(list(itertools.product((0, 1), repeat=raters)), dtype=np.float64)
    marks = patterns.sum(axis=1)
    chances = rate * sensitivity**marks * (1 - sensitivity) ** (raters - marks)
    chances += (1 - rate) * (1 - specificity) ** marks * specificity ** (raters - marks)
    how = Resampling(draws=500)

    def found(counts: Any) -> Any:
        return coefficient(np.repeat(patterns, counts, axis=0), resampling=how)

    truth = found(np.rint(chances * 200_000).astype(int)).value
    # Who of three raters differs does not matter to their coefficients, only how many do.
    kinds = np.arange(len(patterns)) if raters == 2 else marks.astype(int)
    tables = np.random.default_rng(5).multinomial(items, chances, size=2000)
    sums = np.array([[row[kinds == kind].sum() for kind in range(kinds.max() + 1)] for row in tables])
    different, place, counts = np.unique(sums, axis=0, return_index=True, return_counts=True)
    assert len(different) < 2000
    limits = [(one.low, one.high) for one in (found(tables[at]) for at in place)]
    held = [low is not None and low <= truth <= high for low, high in limits]
    known = [low is not None for low, _ in limits]
    assert counts @ known >= 1900
    assert counts @ held / (counts @ known) >= 0.935
