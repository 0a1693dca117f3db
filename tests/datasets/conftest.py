"""Fixtures of the data set tests: small files, a cache folder, and a server on 127.0.0.1."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from setfiles import Server


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes rows as JSON Lines (or given text or bytes) and returns the path."""

    def make(name: str, content: object, encoding: str = "utf-8") -> Path:
        path = tmp_path / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif isinstance(content, str):
            path.write_bytes(content.encode(encoding))
        else:
            lines = [json.dumps(row, ensure_ascii=False) for row in content]  # type: ignore[attr-defined]
            path.write_bytes("\n".join(lines).encode(encoding))
        return path

    return make


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("CVALUES_CACHE", str(folder))
    return folder


@pytest.fixture
def server() -> Iterator[Server]:
    """A file server on 127.0.0.1."""
    running = Server()
    yield running
    running.close()
