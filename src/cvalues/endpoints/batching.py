"""Single asks → batches of similar length in one worker thread, for endpoints that answer in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from cvalues.endpoints.base import Answer
from cvalues.errors import CallError
from cvalues.schema import Request

WINDOW_SECONDS = 0.02
"""How long the first ask of an idle endpoint waits for company."""

Result = Answer | CallError


@dataclass(frozen=True, eq=False)
class Job:
    """A request that is ready for a batch."""

    request: Request
    group: Hashable
    """Only jobs of one group may share a batch."""
    width: int
    """Tokens of its row at most, the reply included."""
    payload: Any = None


Prepare = Callable[[Sequence[Request]], list[Job | Answer | CallError]]
Work = Callable[[Sequence[Job]], list[Result]]


def cut(jobs: Sequence[Job], *, rows: int, tokens: int) -> list[Job]:
    """Returns the next batch of jobs: the widest one and the next widest of its group, within rows and rows × width; [] for none.

    The widest comes first, so that what does not fit into memory shows at once and padding stays small.
    """
    if not jobs:
        return []
    ordered = sorted(jobs, key=lambda job: -job.width)
    first = ordered[0]
    most = max(1, min(rows, tokens // max(first.width, 1)))
    return [job for job in ordered if job.group == first.group][:most]


@dataclass
class Batcher:
    """Collects asks and answers them batch by batch. Everything of the model runs in one thread, `prepare` too."""

    prepare: Prepare
    work: Work
    rows: int
    tokens: int
    _incoming: list[tuple[Request, asyncio.Future[Result]]] = field(default_factory=list)
    _fresh: list[tuple[Request, asyncio.Future[Result]]] = field(default_factory=list)
    _waiting: dict[Job, asyncio.Future[Result]] = field(default_factory=dict)
    _task: asyncio.Task[None] | None = None
    _thread: ThreadPoolExecutor | None = None

    async def ask(self, request: Request) -> Answer:
        """Returns the answer to one request; raises its CallError."""
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._incoming.append((request, future))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._go())
            # Everyone who waits is told of a fault; nobody awaits the task itself.
            self._task.add_done_callback(lambda task: task.cancelled() or task.exception())
        result = await future
        if isinstance(result, CallError):
            raise result
        return result

    async def _go(self) -> None:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="cvalues-weights")
        try:
            await asyncio.sleep(WINDOW_SECONDS)
            while self._incoming or self._waiting:
                await self._round(self._thread)
        except BaseException as error:
            self._fail(error)
            raise

    async def _round(self, thread: ThreadPoolExecutor) -> None:
        loop = asyncio.get_running_loop()
        incoming, self._incoming = self._incoming, []
        if incoming:
            self._fresh = incoming
            ready = await loop.run_in_executor(thread, self.prepare, [request for request, _ in incoming])
            for entry, (_, future) in zip(ready, incoming, strict=True):
                if isinstance(entry, Job):
                    self._waiting[entry] = future
                else:
                    _settle(future, entry)
            self._fresh = []
        self._waiting = {job: future for job, future in self._waiting.items() if not future.done()}
        batch = cut(list(self._waiting), rows=self.rows, tokens=self.tokens)
        if batch:
            results = await loop.run_in_executor(thread, self.work, batch)
            for job, result in zip(batch, results, strict=True):
                _settle(self._waiting.pop(job), result)

    def _fail(self, error: BaseException) -> None:
        """Hands a fault of ours, or the end of the loop, to everyone who waits."""
        futures = [*self._waiting.values(), *(future for _, future in (*self._fresh, *self._incoming))]
        self._waiting, self._incoming, self._fresh = {}, [], []
        for future in futures:
            if future.done():
                continue
            if isinstance(error, Exception):
                future.set_exception(error)
            else:
                future.cancel()

    async def close(self) -> None:
        """Waits for the batch at work and ends the thread."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        self._fail(asyncio.CancelledError())  # of a task that had not begun
        if self._thread is not None:
            thread, self._thread = self._thread, None
            await asyncio.to_thread(thread.shutdown, wait=True, cancel_futures=True)


def _settle(future: asyncio.Future[Result], result: Result) -> None:
    # A CallError is a result here: an exception that nobody awaits would be reported as one that was never retrieved.
    if not future.done():
        future.set_result(result)
