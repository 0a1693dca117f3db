"""Offline batch files of OpenAI-compatible vendors: requests as JSON Lines out, result files in, and the calls that submit them.

One line asks one request and its `custom_id` is the request's id, so results merge by id, in any order, from any number of files.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import aiohttp
import msgspec

from cvalues.endpoints import wire
from cvalues.endpoints.base import Answer, Limits, LocalEndpoint
from cvalues.endpoints.http import HttpEndpoint
from cvalues.errors import CallError, DataError
from cvalues.records import canonical, open_bytes
from cvalues.schema import Mode, Request

MOST_LINES = 50_000
"""Lines of one file; OpenAI, DashScope and Zhipu take no more."""
MOST_BYTES = 90 << 20
"""Bytes of one file; Zhipu takes 100 MB, OpenAI 200 MB."""
OVER = frozenset({"completed", "expired", "cancelled", "failed"})
"""States of a batch to which the vendor will add nothing."""
_DETAIL = 200
_SECONDS = 1800.0
"""For one upload or download."""


class Found(NamedTuple):
    """One line of a result file."""

    file: Path
    line: int
    status: int
    body: bytes
    """The body of the reply, or of the error."""


class Results(NamedTuple):
    """Everything that stands in the result files of a folder."""

    found: dict[str, Found]
    """By request id; a reply goes before an error, and a later error before an earlier one."""
    counts: dict[str, int]
    """How many different results each request has."""
    foreign: int
    """Lines of requests that are not of this plan."""
    torn: tuple[str, ...]
    """`file:line` of what is no result."""


def line_of(request: Request, endpoint: HttpEndpoint) -> bytes:
    """Returns the line that asks one request, its end included."""
    path = "/v1" + endpoint.path
    body = json.loads(endpoint.body(request))
    request_id = request.id
    return canonical({"custom_id": request_id, "method": "POST", "url": path, "body": body}) + b"\n"


def parts(lines: Iterable[tuple[str, bytes]]) -> Iterator[tuple[list[str], bytes]]:
    """Yields (request ids, content) of files that hold all lines and stay within the vendors' bounds; nothing for no lines."""
    ids: list[str] = []
    content = bytearray()
    for request_id, line in lines:
        if ids and (len(ids) >= MOST_LINES or len(content) + len(line) > MOST_BYTES):
            yield ids, bytes(content)
            ids, content = [], bytearray()
        ids.append(request_id)
        content += line
    if ids:
        yield ids, bytes(content)


def asked_in(file: Path) -> set[str]:
    """Returns the request ids of a file of requests.

    Raises:
        DataError: a line is none of ours; the message is `file:line: …`.
    """
    found = set()
    with open_bytes(file) as lines:
        for number, line in enumerate(lines, 1):
            try:
                found.add(str(json.loads(line)["custom_id"]))
            except (ValueError, KeyError, TypeError) as error:
                raise DataError(
                    f"{file}:{number}: is no batch request; delete the file, and the next call writes it again"
                ) from error
    return found


def read_results(files: Iterable[Path], known: Mapping[str, Any]) -> Results:
    """Returns the results that stand in files; a line that is torn or of another plan is counted and does no harm.

    Args:
        files: in the order of their names.
        known: the plan's requests by id.

    Raises:
        DataError: a file cannot be read.
    """
    found: dict[str, Found] = {}
    counts: dict[str, int] = {}
    seen: set[bytes] = set()
    foreign, torn = 0, []
    for file in files:
        with open_bytes(file) as lines:
            for number, raw in enumerate(lines, 1):
                if not raw.strip():
                    continue
                parsed = _parse(raw)
                if parsed is None:
                    torn.append(f"{file}:{number}")
                    continue
                name, status, body = parsed
                if name not in known:
                    foreign += 1
                    continue
                # The same file under two names counts once.
                digest = hashlib.blake2b(raw.strip(), digest_size=16).digest()
                counts[name] = counts.get(name, 0) + (digest not in seen)
                seen.add(digest)
                if name not in found or found[name].status != 200:
                    found[name] = Found(file, number, status, body)
    return Results(found, counts, foreign, tuple(torn))


def _parse(raw: bytes) -> tuple[str, int, bytes] | None:
    """(custom id, status, body) of a line; None for what is no result."""
    try:
        row = json.loads(raw.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    if not isinstance(row, dict) or not isinstance(row.get("custom_id"), str):
        return None
    response = row.get("response")
    error = row.get("error")
    if isinstance(response, dict):
        status = response.get("status_code", 200)
        body = response.get("body")
        if isinstance(status, int) and isinstance(body, dict):
            return row["custom_id"], status, json.dumps(body).encode()
    if isinstance(error, dict):
        # A request that the vendor never answered, for example because its batch expired.
        return row["custom_id"], 0, json.dumps({"error": error}).encode()
    return None


class ResultEndpoint(LocalEndpoint):
    """Answers from result lines, so that the runner keeps them as it keeps replies of a server."""

    modes: frozenset[Mode] = frozenset({"generate", "choose"})
    limits = Limits(max_concurrency=32, attempts=1)

    def __init__(self, server: HttpEndpoint, found: Mapping[str, Found]) -> None:
        """Stands for `server`, whose name and price it takes."""
        super().__init__(server.name, server.revision)
        self.price = server.price
        self._server = server
        self._found = found

    async def ask(self, request: Request) -> Answer:
        """Returns the answer of the request's line; raises CallError `batch_failed` for what the line tells of."""
        line = self._found.get(request.id)
        if line is None:
            raise CallError("missing", "no batch file holds a result for this request", transient=False)
        if line.status == 200:
            return self._server.parse(line.body, request)
        # One kind for all: the runner gives up on a server that refuses again and again, but a file is read to its end.
        try:
            if line.status:
                return wire.error_answer(line.status, line.body, None, "")
            error = json.loads(line.body)["error"]
            reason = " ".join(f"{error.get('code') or ''} {error.get('message') or ''}".split())[:_DETAIL]
        except CallError as error_of_line:
            reason = error_of_line.detail
        raise CallError("batch_failed", f"the batch gave no reply ({reason})", transient=False, status=line.status)


class Batch(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A batch that was submitted here."""

    file: str
    """Name of the file of requests."""
    model: str
    input_file: str = ""
    """The vendor's id of the uploaded file."""
    id: str = ""
    """The vendor's id of the batch; empty while it is being created."""
    status: str = ""
    fetched: bool = False
    """Whether the results of a batch that is over were fetched."""

    @property
    def over(self) -> bool:
        """Whether the vendor will add nothing more."""
        return self.status in OVER


class BatchClient:
    """The calls of the batch interface of one server: upload, create, look, fetch."""

    def __init__(self, endpoint: HttpEndpoint) -> None:
        """Uses the address, key and headers of a model's endpoint."""
        self._endpoint = endpoint
        self._base = endpoint.url.removesuffix(endpoint.path)
        self._session: aiohttp.ClientSession | None = None

    async def upload(self, file: Path) -> str:
        """Uploads a file of requests and returns the vendor's id of it; raises CallError."""
        form = aiohttp.FormData()
        form.add_field("purpose", "batch")
        with open_bytes(file) as content:
            form.add_field("file", content.read(), filename=file.name, content_type="application/jsonl")
        return _id(await self._call("POST", "/files", data=form))

    async def create(self, input_file: str, window: str = "24h") -> tuple[str, str]:
        """Creates the batch of an uploaded file and returns its id and status; raises CallError."""
        wanted = {"input_file_id": input_file, "endpoint": "/v1" + self._endpoint.path, "completion_window": window}
        made = await self._call("POST", "/batches", json=wanted)
        return _id(made), str(made.get("status", ""))

    async def look(self, batch: Batch) -> dict[str, Any]:
        """Returns what the server says of a batch: `status`, `output_file_id`, `error_file_id`; raises CallError."""
        return await self._call("GET", f"/batches/{quote(batch.id, safe='')}")

    async def fetch(self, file_id: str) -> bytes:
        """Returns the content of one of the server's files; raises CallError."""
        return await self._raw("GET", f"/files/{quote(file_id, safe='')}/content")

    async def close(self) -> None:
        """Closes all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _call(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        body = await self._raw(method, path, **more)
        try:
            found = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise CallError("bad_reply", f"{path}: the reply is no JSON", transient=True) from error
        if not isinstance(found, dict):
            raise CallError("bad_reply", f"{path}: the reply is no JSON", transient=True)
        return found

    async def _raw(self, method: str, path: str, **more: Any) -> bytes:
        if self._session is None:
            self._session = self._endpoint.session(content=None, seconds=_SECONDS)
        return await self._endpoint.raw(self._session, method, self._base + path, **more)


def _id(reply: dict[str, Any]) -> str:
    found = reply.get("id")
    if not isinstance(found, str) or not found:
        raise CallError("bad_reply", "the server accepted the file or batch but gave it no id", transient=False)
    return found
