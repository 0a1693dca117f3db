"""No proxy, no figures sent by Ray, a study per test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cvalues.study import Study, open_study


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy of the person who runs the tests, and no figures sent by Ray."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")


@pytest.fixture
def study(tmp_path: Path) -> Iterator[Study]:
    """A new study."""
    with open_study(tmp_path / "study.db") as opened:
        yield opened
