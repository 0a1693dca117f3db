"""The HTTP endpoint against a real server on 127.0.0.1."""

from __future__ import annotations

import asyncio
import json
import socket

import pytest
from aiohttp import web
from yarl import URL

from cvalues.endpoints import http
from cvalues.endpoints.base import Answer
from cvalues.endpoints.http import HttpEndpoint
from cvalues.errors import CallError, ConfigError
from cvalues.schema import Message, Request
from server import ChatServer, completion, failure

ASK = Request(mode="generate", model="m", messages=(Message(role="user", content="问"),))


def ask(endpoint: HttpEndpoint) -> Answer:
    """Asks once and closes."""

    async def once() -> Answer:
        try:
            return await endpoint.ask(ASK)
        finally:
            await endpoint.close()

    return asyncio.run(once())


def test_key_and_headers_are_sent_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The key and `$NAME` headers are read from the environment and sent; the key appears nowhere else."""
    monkeypatch.setenv("MY_KEY", "sk-secret")
    monkeypatch.setenv("TENANT", "t1")
    with ChatServer(lambda _body, _n: "回复1") as server:
        endpoint = HttpEndpoint(
            "m", server.url, model="served", api_key_env="MY_KEY", headers={"X-Tenant": "$TENANT", "X-A": "b"}
        )
        assert ask(endpoint).text == "回复1"
        sent = server.headers[0]
    assert (sent["Authorization"], sent["X-Tenant"], sent["X-A"]) == ("Bearer sk-secret", "t1", "b")
    assert server.bodies[0]["model"] == "served"
    assert "sk-secret" not in json.dumps(http.public_view(endpoint))


def test_missing_key_is_said_before_anything_is_sent() -> None:
    """Without the variable the error names it and nothing leaves."""
    with ChatServer(lambda _body, _n: "x") as server:
        with pytest.raises(CallError, match=r"reads its key from \$NO_SUCH_KEY, which is not set"):
            ask(HttpEndpoint("m", server.url, api_key_env="NO_SUCH_KEY"))
        assert server.total == 0


def test_dead_server_is_a_connection_failure() -> None:
    """A closed port is a transient connection failure."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(CallError) as caught:
        ask(HttpEndpoint("m", f"http://127.0.0.1:{port}/v1"))
    assert (caught.value.kind, caught.value.transient) == ("connection", True)


def test_half_a_body_is_a_connection_failure() -> None:
    """A connection that closes in mid-reply gives no answer."""
    with ChatServer(lambda _body, _n: ConnectionError()) as server, pytest.raises(CallError) as caught:
        ask(HttpEndpoint("m", server.url))
    assert (caught.value.kind, caught.value.transient) == ("connection", True)


def test_stalled_server_times_out() -> None:
    """A server that does not answer in time is a transient timeout."""
    with ChatServer(lambda _body, _n: "x", latency=5) as server, pytest.raises(CallError) as caught:
        ask(HttpEndpoint("m", server.url, timeout=0.2))
    assert caught.value.kind == "timeout"


def test_ten_megabytes_are_read_and_more_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A 10 MB reply is an answer; one beyond the bound is refused for good."""
    long = "长" * 3_500_000
    with ChatServer(lambda _body, _n: json.dumps(completion(long), ensure_ascii=False).encode()) as server:
        assert len(ask(HttpEndpoint("m", server.url)).text) == 3_500_000
        monkeypatch.setattr(http, "MAX_BYTES", 1000)
        with pytest.raises(CallError) as caught:
            ask(HttpEndpoint("m", server.url))
    assert (caught.value.kind, caught.value.transient) == ("too_large", False)


def test_error_status_with_retry_after() -> None:
    """The server's wish to wait reaches the runner."""
    script = lambda _body, _n: failure(429, "slow down", headers={"Retry-After": "3"})  # noqa: E731
    with ChatServer(script) as server, pytest.raises(CallError) as caught:
        ask(HttpEndpoint("m", server.url))
    assert caught.value.retry_after == 3


def test_html_error_page_is_shortened() -> None:
    """A proxy's error page becomes a short detail."""
    page = "<html>" + "x" * 5000
    with (
        ChatServer(lambda _body, _n: web.Response(status=502, text=page)) as server,
        pytest.raises(CallError) as caught,
    ):
        ask(HttpEndpoint("m", server.url))
    assert caught.value.kind == "server_error"
    assert len(caught.value.detail) < 400


def test_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTP_PROXY is honoured, NO_PROXY too."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:3128")
    monkeypatch.setenv("no_proxy", "internal.example")
    assert http.environment_proxy(URL("http://models.example/v1")) == "http://127.0.0.1:3128"
    assert http.environment_proxy(URL("http://internal.example/v1")) is None
    assert http.environment_proxy(URL("https://models.example/v1")) is None


def test_requests_go_through_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a proxy in the environment the call arrives there and not at the named host."""
    with ChatServer(lambda _body, _n: "via proxy") as server:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.port}")
        assert ask(HttpEndpoint("m", "http://models.invalid/v1")).text == "via proxy"


def test_address_must_be_http() -> None:
    """An address of another scheme is refused with what was expected."""
    with pytest.raises(ConfigError, match="must begin with http:// or https://"):
        HttpEndpoint("m", "ftp://x")
