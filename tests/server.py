"""A chat-completions server on 127.0.0.1 whose behaviour a test scripts, with real sockets and real faults."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

from aiohttp import web

Script = Callable[[dict[str, Any], int], "web.StreamResponse | dict[str, Any] | str | bytes | BaseException"]


def completion(text: str | None, finish: str = "stop", **more: Any) -> dict[str, Any]:
    """A chat-completion body."""
    message: dict[str, Any] = {"role": "assistant", "content": text}
    message.update(more.pop("message", {}))
    choice: dict[str, Any] = {"index": 0, "message": message, "finish_reason": finish}
    choice.update(more.pop("choice", {}))
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    return {"id": "x", "object": "chat.completion", "model": "mock-1", "choices": [choice], "usage": usage, **more}


class ChatServer:
    """Runs in a thread. `script(body, n)` answers the n-th call (from 1) with a body, raw bytes, a text, or a web response.

    A returned exception closes the connection in the middle of the reply. `calls` counts calls per user message.
    """

    def __init__(self, script: Script, *, latency: float = 0.0, path: str = "/v1/chat/completions") -> None:
        self.path = path
        self.script = script
        self.latency = latency
        self.calls: Counter[str] = Counter()
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.most_in_flight = 0
        self._in_flight = 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def total(self) -> int:
        return sum(self.calls.values())

    def __enter__(self) -> ChatServer:
        self._thread.start()
        self._ready.wait(10)
        return self

    def __exit__(self, *_exc: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        app = web.Application(client_max_size=64 << 20)
        app.router.add_post(self.path, self._handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        self._loop.run_until_complete(runner.setup())
        site = web.TCPSite(runner, "127.0.0.1", 0)
        self._loop.run_until_complete(site.start())
        self.port = runner.addresses[0][1]
        self._ready.set()
        self._loop.run_forever()
        self._loop.run_until_complete(runner.cleanup())
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = json.loads(await request.read())
        self.bodies.append(body)
        self.headers.append(dict(request.headers))
        self.calls[body["messages"][-1]["content"] if "messages" in body else body["prompt"]] += 1
        self._in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self._in_flight)
        try:
            if self.latency:
                await asyncio.sleep(self.latency)
            answer = self.script(body, self.total)
        finally:
            self._in_flight -= 1
        if isinstance(answer, BaseException):
            reply = web.StreamResponse(headers={"Content-Length": "100000", "Content-Type": "application/json"})
            await reply.prepare(request)
            await reply.write(b'{"choices": [')
            assert request.transport is not None
            request.transport.close()
            return reply
        if isinstance(answer, web.StreamResponse):
            return answer
        if isinstance(answer, str):
            answer = completion(answer)
        if isinstance(answer, bytes):
            return web.Response(body=answer, content_type="application/json")
        return web.json_response(answer)


def failure(status: int, message: str = "no", *, headers: dict[str, str] | None = None, **fields: Any) -> web.Response:
    """An error reply in the shape that OpenAI-compatible servers use."""
    return web.json_response({"error": {"message": message, **fields}}, status=status, headers=headers)
