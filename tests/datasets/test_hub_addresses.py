"""Tests that a set is pulled from the file addresses of both hubs, in the forms that their pages show, from a local server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from setfiles import Server

from cvalues.datasets import Pulling, pull, registry
from cvalues.datasets.registry import KnownFile, KnownSet

TRAIN, TEST = (b'{"text": "%s", "category": "law"}' % word.encode() for word in ("甲", "乙"))
FORMS = (
    "/datasets/org/two/resolve/main/{file}",
    "/datasets/org/two/resolve/main/{file}?download=true",
    "/datasets/org/two/resolve/main/data/{file}?download=true",
    "/api/v1/datasets/org/two/repo?Revision=master&FilePath={file}",
    "/api/v1/datasets/org/two/repo?FilePath=data%2F{file}&Revision=master",
    "/datasets/org/two/resolve/master/{file}",
)


@pytest.fixture
def two(cache: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """The root of a server, beside a known set of the two files train.jsonl and test.jsonl."""
    files = tuple(KnownFile(name=name, urls=(server.url,), rows=1) for name in ("train.jsonl", "test.jsonl"))
    entry = KnownSet(
        name="two", zh="二", en="Two", kind="prompt", licence="x", homepage="https://example.org", file=files
    )
    monkeypatch.setattr(registry, "known_sets", lambda: (entry,))
    return server.url.removesuffix("/file.jsonl")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("file", ["train.jsonl", "test.jsonl"])
def test_an_address_of_a_hub_names_the_file(form: str, file: str, two: str, server: Server) -> None:
    """The file of the set is found in the path or in the query, also behind a redirect to where the hub keeps its bytes."""
    server.body = TRAIN if file == "train.jsonl" else TEST
    server.script = [server.status(302, Location=server.url)]
    pulled = pull("two", source=two + form.format(file=file), pulling=Pulling(tries=1, pause=0.0, timeout=5))
    folder = pulled if pulled.is_dir() else pulled.parent
    assert (folder / file).read_bytes() == server.body
    kept: dict[str, Any] = json.loads((folder / f"{file}.source.json").read_text(encoding="utf-8"))
    assert kept["file"] == file
