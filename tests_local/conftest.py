"""Fixtures of the tests that need torch: one tiny model of each architecture per session."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import tiny


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Models of two layers gain nothing from threads, and threads that wait for each other cost most of the time."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Gives the folder of a tiny model of an architecture, made when it is first asked for."""
    made: dict[str, Path] = {}

    def get(kind: str) -> Path:
        if kind not in made:
            made[kind] = tiny.build(kind, tmp_path_factory.mktemp(kind))
        return made[kind]

    return get
