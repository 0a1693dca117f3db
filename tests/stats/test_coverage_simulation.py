"""The simulation of interval coverage, in a smaller version of benchmarks/coverage.py."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

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


@pytest.mark.parametrize(
    ("method", "clusters", "size", "rate"),
    [
        (method, clusters, size, rate)
        for method in ("Rogan–Gladen", "PPI share", "share, effective size")
        for clusters, size, rate in ((20, 10, 0.02), (20, 10, 0.1), (100, 3, 0.02), (300, 1, 0.1))
    ]
    + [("PPI mean points", 20, 10, 0.5), ("mean points by prompts", 20, 3, 0.5), ("share by prompts", 20, 10, 0.02)],
)
def test_coverage_of_rates(simulation: ModuleType, method: str, clusters: int, size: int, rate: float) -> None:
    """In 2,000 studies the 95 % interval holds the truth at least 93 and at most 99 times in 100, at 20 prompts and 2 % too."""
    cell = simulation.simulate(simulation.Setting(method, clusters, size, rate), 1, 2000)
    assert 0.93 <= cell.coverage <= 0.99
    if method.startswith(("PPI", "Rogan", "mean")):
        assert cell.width <= 1.25 * cell.witness_width


@pytest.mark.parametrize(("items", "raters", "rate"), [(20, 5, 0.5), (100, 3, 0.15), (300, 3, 0.02)])
def test_coverage_of_alpha(simulation: ModuleType, items: int, raters: int, rate: float) -> None:
    """In 400 studies the bootstrap interval of alpha holds the truth in at least 92 % and is no wider than the jackknife's by a quarter."""
    cell = simulation.simulate(simulation.Setting("Krippendorff alpha", items, raters, rate, 0.0), 1, 400)
    assert cell.coverage >= 0.92
    assert cell.width <= 1.25 * cell.witness_width


def test_table_marks_what_is_outside(simulation: ModuleType) -> None:
    """The table has a row per setting with both seeds and marks coverage outside of 93.5 to 97 %."""
    setting = simulation.Setting("PPI share", 20, 10, 0.02)
    cells = [
        simulation.Cell(setting, 1, 0.95, 0.0, 0.1, 0.9, 0.2),
        simulation.Cell(setting, 2, 0.98, 0.0, 0.1, 0.9, 0.2),
    ]
    text = simulation.table(cells)
    assert "95.0, 98.0*" in text
    assert "| 0.50 |" in text
    assert len(text.splitlines()) == 3
