"""Parts of a plan, and the worker that answers them with the ordinary runner; nothing here knows Ray."""

from __future__ import annotations

import asyncio
import copy
import math
import os
import platform
import queue
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from importlib import metadata
from typing import NamedTuple

import msgspec

from cvalues.distributed.shards import Line
from cvalues.endpoints.base import Answer, Endpoint, Limits
from cvalues.errors import CValuesError
from cvalues.records import canonical
from cvalues.runner import Progress, Runner
from cvalues.schema import Ask, Attempt, Record, Request, Verdict
from cvalues.study import Planned, Received, Study

PART = 1000
"""Most requests of one part; the less, the evener the end, the more, the longer a worker knows its server."""
_PARTS_PER_WORKER = 4

VERSION = metadata.version("cvalues")
"""The version that this process runs; driver and workers must agree."""


class Task(Record, frozen=True, kw_only=True):
    """One request on its way to a worker."""

    id: str
    prompt_id: str
    request: Request


Part = dict[str, Task]


def cut(tasks: Sequence[Task], workers: int, most: int = PART) -> list[Part]:
    """Returns the parts of a plan in order: several a worker so that the end is even, at most `most` requests each; [] for none."""
    size = max(1, min(most, math.ceil(len(tasks) / (workers * _PARTS_PER_WORKER))))
    return [{task.id: task for task in tasks[start : start + size]} for start in range(0, len(tasks), size)]


def share(limits: Limits, workers: int) -> Limits:
    """Returns the limits of one of so many workers, so that all together keep those of the endpoint.

    Calls in flight are at least one for each worker, so with more workers than `max_concurrency` there are more calls than that.
    """
    return msgspec.structs.replace(
        limits,
        max_concurrency=max(1, limits.max_concurrency // workers),
        rpm=limits.rpm / workers if limits.rpm else None,
    )


def limited(endpoint: Endpoint, workers: int) -> Endpoint:
    """Returns a copy of an endpoint with a worker's share of its limits."""
    mine = copy.copy(endpoint)
    mine.limits = share(endpoint.limits, workers)
    return mine


class Said(NamedTuple):
    """What a worker sends: a shard; or at the end why models were stopped, or what the worker cannot go on with."""

    lines: bytes = b""
    stopped: dict[str, str] = {}
    fault: str = ""
    pid: int = 0
    host: str = ""
    version: str = ""


class Drawer(Study):
    """What the runner needs of a study, kept in memory until it is sent: everything is open, everything may be claimed."""

    def __init__(self, send: Callable[[list[Line]], None]) -> None:
        """Hands finished calls to `send` in the writer's groups."""
        self._send = send

    def answered(self, requests: Sequence[str]) -> set[str]:
        """Returns nothing: the driver sends only what is open."""
        del requests
        return set()

    def claim(self, run: str, requests: Sequence[str]) -> tuple[list[str], list[str]]:
        """Returns all of them: the driver has claimed them."""
        del run
        return list(requests), []

    def release(self, requests: Sequence[str]) -> None:
        """Does nothing: the driver releases what does not come back."""

    def heartbeat(self) -> None:
        """Does nothing: the driver renews its claims."""

    def record(
        self, received: Sequence[Received], attempts: Sequence[Attempt] = (), verdicts: Sequence[Verdict] = ()
    ) -> None:
        """Hands over finished calls, the attempts of a request before its response."""
        del verdicts
        lines = [Line(request=attempt.request, attempt=attempt) for attempt in attempts]
        self._send(lines + [Line(request=one.request, response=one.response, raw=one.raw) for one in received])


class _Kept:
    """An endpoint that stays open from one part to the next: connections and weights are made once a worker."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self.name, self.modes, self.revision = endpoint.name, endpoint.modes, endpoint.revision
        self.limits, self.price = endpoint.limits, endpoint.price

    async def ask(self, request: Request) -> Answer:
        return await self._endpoint.ask(request)

    async def close(self) -> None:
        """Keeps it open."""


class Worker:
    """Answers parts, one after the other, in one process. Ray makes it an actor; without Ray, close it at the end."""

    def __init__(self, endpoints: Mapping[str, Endpoint]) -> None:
        """Opens nothing: keys are read from this machine's environment when the first call is made."""
        self._open = list(endpoints.values())
        self._endpoints: dict[str, Endpoint] = {name: _Kept(endpoint) for name, endpoint in endpoints.items()}
        # One loop for all parts, because connections belong to a loop.
        self._loop = asyncio.Runner()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="cvalues-part")
        self._runner: Runner | None = None
        self._stopped = False

    def answer(self, part: bytes) -> Iterator[Said]:
        """Yields who this is, then shards as calls finish, then what the part ended with.

        Args:
            part: the canonical JSON of a list of tasks.
        """
        yield Said(pid=os.getpid(), host=platform.node(), version=VERSION)
        tasks = msgspec.json.decode(part, type=list[Task])
        came: queue.SimpleQueue[list[Line] | None] = queue.SimpleQueue()
        try:
            runner = Runner(Drawer(came.put), "", [_planned(task) for task in tasks], self._endpoints)
        except CValuesError as error:
            yield Said(fault=str(error))
            return
        self._runner = runner
        if self._stopped:
            runner.stop()
        future = self._thread.submit(self._loop.run, runner.run())
        future.add_done_callback(lambda _: came.put(None))
        while (lines := came.get()) is not None:
            yield Said(lines=canonical(lines))
        yield Said(stopped=_stopped(runner), fault=_fault(future))

    def close(self) -> None:
        """Closes the endpoints and ends the thread; a worker of Ray ends with its process instead."""

        async def close_all() -> None:
            for endpoint in self._open:
                await endpoint.close()

        self._thread.submit(self._loop.run, close_all()).result()
        self._thread.submit(self._loop.close).result()
        self._thread.shutdown()

    def stop(self) -> None:
        """Starts no further call; what is in flight comes still."""
        self._stopped = True
        if self._runner is not None:
            self._runner.stop_from_thread()


def _planned(task: Task) -> Planned:
    # The runner reads no more of an ask than its prompt's id; the rest stays with the driver.
    return Planned(Ask(subject="", messages=(), template="", prompt_id=task.prompt_id), task.request, task.id, "")


def _stopped(runner: Runner) -> dict[str, str]:
    return {name: model.stopped for name, model in runner.progress.models.items() if model.stopped}


def _fault(future: Future[Progress]) -> str:
    """What the user can mend, as text; a fault of ours goes on as it is."""
    fault = ""
    try:
        future.result()
    except* CValuesError as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        fault = str(error)
    return fault
