"""Shared fixtures: no network but 127.0.0.1, a study per test, and the data beside the repository where it is present."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import postgresql
from cvalues.study import Study, open_study

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "data"


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any connection that leaves this machine fails the test."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        host = address[0] if isinstance(address, tuple) else ""
        if isinstance(address, tuple) and host not in {"127.0.0.1", "::1", "localhost"}:
            raise AssertionError(f"a test tried to reach {address}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No proxy, no language and no cache of the person who runs the tests."""
    for name in (
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "http_proxy",
        "https_proxy",
        "all_proxy",
        "CVALUES_LANG",
        "CVALUES_STUDY",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CVALUES_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CVALUES_LANG", "en")


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a PostgreSQL server that this session starts in a folder of its own; the test skips where there is none."""
    with postgresql.server(tmp_path_factory) as url:
        yield url


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def study(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Study]:
    """A new study, on each of the two engines."""
    if request.param == "sqlite":
        with open_study(tmp_path / "study.db") as opened:
            yield opened
        return
    with postgresql.database(request.getfixturevalue("postgres")) as url, open_study(url) as opened:
        yield opened


@pytest.fixture
def shared() -> Path:
    """The folder of real data beside the repository; the test skips when it is absent."""
    if not SHARED.is_dir():
        pytest.skip("needs ../shared/data, which is absent here")
    return SHARED
