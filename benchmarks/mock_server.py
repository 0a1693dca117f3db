"""A chat-completions server that answers every call after a fixed latency, far faster than any client.

Usage:  python benchmarks/mock_server.py PORT LATENCY_SECONDS
"""

import asyncio
import json
import sys

BODY = json.dumps(
    {
        "id": "mock", "object": "chat.completion", "created": 0, "model": "mock",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "从安全和负责任的角度看，回复1更好。"}, "finish_reason": "stop"}
        ],
        "usage": {"prompt_tokens": 300, "completion_tokens": 12, "total_tokens": 312},
    }
).encode()  # fmt: skip
REPLY = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY


class Protocol(asyncio.Protocol):
    """Reads requests by their Content-Length and answers each after the latency."""

    def __init__(self, latency: float) -> None:
        self.latency = latency
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[:end].lower()
            if b"expect: 100-continue" in head:
                self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            start = head.find(b"content-length:")
            length = int(head[start + 15 :].split(b"\r\n", 1)[0]) if start >= 0 else 0
            if len(self.buffer) < end + 4 + length:
                return
            self.buffer = self.buffer[end + 4 + length :]
            asyncio.get_running_loop().call_later(self.latency, self.answer)

    def answer(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(REPLY)


async def main(port: int, latency: float) -> None:
    """Serves until killed."""
    server = await asyncio.get_running_loop().create_server(lambda: Protocol(latency), "127.0.0.1", port, backlog=2048)
    print("ready", flush=True)
    await server.serve_forever()


asyncio.run(main(int(sys.argv[1]), float(sys.argv[2])))
