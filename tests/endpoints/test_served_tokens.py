"""Tests of tokens that a server counts, over a real socket."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from cvalues.endpoints.completion import CompletionEndpoint
from cvalues.endpoints.http import HttpEndpoint
from cvalues.endpoints.served_tokens import served_tokens
from cvalues.schema import Message, Request
from cvalues.workflows.models import check_model
from server import ChatServer

REQUEST = Request(mode="generate", model="m", messages=(Message(role="user", content="哪个更好？"),))


class Server:
    """Answers every POST with one body and status, and keeps what was asked."""

    def __init__(self, status: int, body: bytes) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        kept = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                kept.asked.append((self.path, sent))
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_more: Any) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)


@pytest.fixture
def serve() -> Iterator[Any]:
    """Starts servers and stops them after the test."""
    running: list[Server] = []

    def start(status: int, body: bytes) -> Server:
        made = Server(status, body)
        made.thread.start()
        running.append(made)
        return made

    yield start
    for each in running:
        each.server.shutdown()
        each.server.server_close()
        each.thread.join(5)


def test_the_server_counts(serve: Any) -> None:
    """A chat server counts the messages, a completion server the prompt that was made here, beside its /v1."""
    made = serve(200, b'{"count": 17, "max_model_len": 4096, "tokens": []}')
    assert asyncio.run(served_tokens(HttpEndpoint("m", made.url, model="served"), REQUEST)) == 17
    assert asyncio.run(served_tokens(CompletionEndpoint("m", made.url, preset_name="plain"), REQUEST)) == 17
    [(path, chat), (_, raw)] = made.asked
    assert path == "/tokenize"
    assert chat == {"model": "served", "messages": [{"role": "user", "content": "哪个更好？"}]}
    assert raw["prompt"] == "哪个更好？"


@pytest.mark.parametrize(
    ("status", "body"),
    [(404, b"{}"), (200, b"<html>"), (200, b'{"count": "many"}'), (200, b'{"count": -1}'), (500, b"")],
)
def test_no_count_is_none(status: int, body: bytes, serve: Any) -> None:
    """A server that does not count, or says something else, gives no number."""
    made = serve(status, body)
    assert asyncio.run(served_tokens(HttpEndpoint("m", made.url), REQUEST)) is None


def test_addresses_without_v1_and_dead_servers_are_no_error() -> None:
    """An address of another form is not asked, and nobody listening is no count."""
    assert asyncio.run(served_tokens(HttpEndpoint("m", "http://127.0.0.1:1/api"), REQUEST)) is None
    assert asyncio.run(served_tokens(HttpEndpoint("m", "http://127.0.0.1:1/v1"), REQUEST)) is None


def test_check_says_whether_it_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """`models check` shows the server's count as exact, and an estimate where the server has none."""
    with ChatServer(lambda _body, _n: "回复1") as server:
        assert check_model(f"openai:m@{server.url}").exact is False

        async def counted(_endpoint: Any, _request: Any) -> int:
            return 321

        monkeypatch.setattr("cvalues.workflows.models.served_tokens", counted)
        found = check_model(f"openai:m@{server.url}")
    assert (found.tokens, found.exact) == (321, True)
