"""The runner: plan minus done is todo; every finished call is durable before it counts.

The runner asks each model's open requests with adaptive concurrency, retries named transient failures within bounds, keeps every
failed attempt, and stops cleanly on a limit, on Ctrl-C, or when the study cannot be written.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from cvalues.endpoints.base import Answer, Endpoint
from cvalues.errors import CallError, CValuesError, UsageError
from cvalues.limiter import Limiter
from cvalues.records import generator, now
from cvalues.schema import Attempt, Request, Response, response_id
from cvalues.study import Planned, Received, Study
from cvalues.writer import Finished, Writer

BACKOFF_SECONDS = 0.5
BACKOFF_MOST = 60.0
GIVE_UP_AFTER = 20
"""A model whose first so many calls all fail for good for the same reason is not asked further (wrong key, wrong name)."""
POLL_SECONDS = 0.5
"""How often requests held by another process are looked at again."""
_CLAIM_BATCH = 256
_REFILL_SECONDS = 0.03
"""How often the number of claimed requests that wait for a worker is looked at."""

_Entries = asyncio.Queue[tuple[str, Request] | None]
StopReason = Literal["", "interrupted", "max-calls", "max-cost", "study", "endpoint"]


@dataclass
class ModelProgress:
    """Counts of one model; `done` counts only what is durable."""

    planned: int = 0
    cached: int = 0
    done: int = 0
    failed: int = 0
    retries: int = 0
    in_flight: int = 0
    answers: int = 0
    """Calls of this run that came back; `done` follows when they are durable."""
    limit: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float = 0.0
    currency: str = ""
    failures: collections.Counter[str] = field(default_factory=collections.Counter)
    last_failure: str = ""
    stopped: str = ""

    @property
    def left(self) -> int:
        """Requests that have neither a response nor a final failure."""
        return self.planned - self.cached - self.done - self.failed


@dataclass
class Progress:
    """State of a run as it goes on, safe to read from another thread."""

    models: dict[str, ModelProgress]
    started: float
    stop: StopReason = ""

    @property
    def calls(self) -> int:
        """Requests that got a durable response in this run."""
        return sum(model.done for model in self.models.values())

    @property
    def failed(self) -> int:
        """Requests that failed for good in this run."""
        return sum(model.failed for model in self.models.values())

    @property
    def left(self) -> int:
        """Requests that are still open."""
        return sum(model.left for model in self.models.values())


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """Where a run stops of itself."""

    max_calls: int | None = None
    """Most calls that this run starts."""
    max_cost: float | None = None
    """Most that this run spends, by the price table; needs a price for every model."""


class Runner:
    """Asks a plan. `await run()` returns when nothing is left to do or a bound is met."""

    def __init__(
        self,
        study: Study,
        run: str,
        plan: Sequence[Planned],
        endpoints: Mapping[str, Endpoint],
        bounds: Bounds | None = None,
    ) -> None:
        """Checks the plan against what the endpoints offer.

        Raises:
            UsageError: an endpoint lacks a mode of its requests, or a cost bound is given for a model without a price.
        """
        self.study = study
        self.run_name = run
        self.endpoints = endpoints
        self.bounds = bounds or Bounds()
        self._todo: dict[str, list[Request]] = {name: [] for name in endpoints}
        self._ids: dict[str, list[str]] = {name: [] for name in endpoints}
        self._prompts: dict[str, str] = {}
        self._owner: dict[str, str] = {}
        self._sort(plan)
        self.progress = Progress(
            {name: ModelProgress(planned=len(self._ids[name])) for name in endpoints}, time.monotonic()
        )
        self._started_calls = 0
        self._stopping = False
        self._stop_event = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._writer = Writer(study, self._committed, self._broken)
        self._tasks: set[asyncio.Task[None]] = set()

    def _sort(self, plan: Sequence[Planned]) -> None:
        seen: set[str] = set()
        for entry in plan:
            if entry.request_id in seen:
                continue
            seen.add(entry.request_id)
            endpoint = self.endpoints[entry.request.model]
            if entry.request.mode not in endpoint.modes:
                raise UsageError(
                    f"model '{endpoint.name}' cannot {entry.request.mode}; it can {', '.join(sorted(endpoint.modes))}"
                )
            self._todo[endpoint.name].append(entry.request)
            self._ids[endpoint.name].append(entry.request_id)
            self._prompts[entry.request_id] = entry.ask.prompt_id
            self._owner[entry.request_id] = endpoint.name
        if self.bounds.max_cost is not None:
            free = [
                name for name, endpoint in self.endpoints.items() if endpoint.price is None and _is_remote(endpoint)
            ]
            if free:
                raise UsageError(
                    f"--max-cost needs a price for {', '.join(free)}; add price = {{ input = …, output = … }} in models.toml"
                )

    # --- control ------------------------------------------------------------------------------------------------------

    def stop(self, reason: StopReason = "interrupted") -> None:
        """Starts no further call; what is in flight is finished and kept. A second `stop("interrupted")` cancels that too."""
        if self._stopping and reason == "interrupted":
            for task in list(self._tasks):
                task.cancel()
        self._stopping = True
        self._stop_event.set()
        self.progress.stop = self.progress.stop or reason

    def stop_from_thread(self) -> None:
        """Calls `stop` from another thread."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has just ended by itself
                self._loop.call_soon_threadsafe(self.stop)

    async def run(self) -> Progress:
        """Asks everything that is open and returns the progress at the end.

        Raises:
            StudyError: the study could not be written; what was committed before is kept.
        """
        self._loop = asyncio.get_running_loop()
        self._writer.start()

        try:
            async with asyncio.TaskGroup() as group:
                for name in self.endpoints:
                    if self._ids[name]:
                        group.create_task(self._model(name))
        finally:
            await asyncio.to_thread(self._writer.close)
            for endpoint in self.endpoints.values():
                await endpoint.close()
        if self._writer.error is not None:
            raise self._writer.error
        return self.progress

    # --- one model ----------------------------------------------------------------------------------------------------

    async def _model(self, name: str) -> None:
        endpoint = self.endpoints[name]
        limiter = Limiter(endpoint.limits)
        entries: _Entries = asyncio.Queue()
        dropped: list[str] = []
        count = min(len(self._ids[name]), limiter.maximum)
        workers = [asyncio.create_task(self._worker(endpoint, limiter, entries, dropped)) for _ in range(count)]
        feeder = asyncio.create_task(self._feed(name, entries, count))
        self._tasks.update(workers)
        try:
            results = await asyncio.gather(*workers, return_exceptions=True)
        finally:
            self._tasks.difference_update(workers)
            feeder.cancel()
        results += await asyncio.gather(feeder, return_exceptions=True)
        while not entries.empty():
            if (entry := entries.get_nowait()) is not None:
                dropped.append(entry[0])
        if dropped and self._writer.error is None:
            await asyncio.to_thread(self.study.release, dropped)
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, asyncio.CancelledError):
                raise result

    async def _feed(self, name: str, entries: _Entries, workers: int) -> None:
        """Claims open requests batch by batch and hands them to the workers; waits for those that another process holds."""
        progress, requests = self.progress.models[name], dict(zip(self._ids[name], self._todo[name], strict=True))
        try:
            answered = await asyncio.to_thread(self.study.answered, self._ids[name])
            progress.cached = len(answered)
            waiting = [request for request in self._ids[name] if request not in answered]
            while waiting and not self._halted(progress):
                batch, waiting = waiting[:_CLAIM_BATCH], waiting[_CLAIM_BATCH:]
                claimed, busy = await asyncio.to_thread(self.study.claim, self.run_name, batch)
                # What another process has answered in the meantime is done without a call of ours.
                progress.cached += len(batch) - len(claimed) - len(busy)
                for request in claimed:
                    entries.put_nowait((request, requests[request]))
                while entries.qsize() > _CLAIM_BATCH // 2 and not self._halted(progress):
                    await asyncio.sleep(_REFILL_SECONDS)
                waiting += busy
                if busy and not claimed:
                    await self._sleep(POLL_SECONDS)
        finally:
            for _ in range(workers):
                entries.put_nowait(None)

    async def _worker(self, endpoint: Endpoint, limiter: Limiter, entries: _Entries, dropped: list[str]) -> None:
        progress = self.progress.models[endpoint.name]
        while (entry := await entries.get()) is not None:
            request_id, request = entry
            try:
                await limiter.acquire()
                if not self._may_start(progress):
                    limiter.leave()
                    dropped.append(request_id)
                    return
                if not await self._one(endpoint, limiter, request_id, request):
                    dropped.append(request_id)
            except asyncio.CancelledError:
                dropped.append(request_id)
                raise

    def _halted(self, progress: ModelProgress) -> bool:
        return self._stopping or bool(progress.stopped)

    async def _sleep(self, seconds: float) -> None:
        """Sleeps, but not beyond a stop."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stop_event.wait(), seconds)

    def _may_start(self, progress: ModelProgress) -> bool:
        bounds = self.bounds
        if self._halted(progress):
            return False
        if bounds.max_calls is not None and self._started_calls >= bounds.max_calls:
            self.stop("max-calls")
            return False
        if bounds.max_cost is not None and self._expected_cost() >= bounds.max_cost:
            self.stop("max-cost")
            return False
        self._started_calls += 1
        return True

    def _expected_cost(self) -> float:
        """Returns what is spent, with what is in flight at the mean price of a call so far."""
        total = 0.0
        for model in self.progress.models.values():
            mean = model.cost / model.answers if model.answers else 0.0
            total += model.cost + mean * model.in_flight
        return total

    async def _one(self, endpoint: Endpoint, limiter: Limiter, request_id: str, request: Request) -> bool:
        """Asks one request until it is answered or given up; the limiter's slot is held on entry and free on return.

        Returns:
            False when the run stopped before the request was answered or given up, so that it stays open.
        """
        progress = self.progress.models[endpoint.name]
        first = time.monotonic()
        for number in range(1, endpoint.limits.attempts + 1):
            if number > 1:
                await limiter.acquire()
            began = time.monotonic()
            progress.in_flight += 1
            progress.limit = int(limiter.limit)
            try:
                answer = await endpoint.ask(request)
            except CallError as error:
                self._release(limiter, error)
                elapsed = time.monotonic() - began
                wait = self._wait(endpoint, request_id, error, number, time.monotonic() - first)
                final = wait is None and not (self._stopping and error.transient)
                self._note_failure(progress, request_id, error, number, elapsed, final=final)
                if wait is None:
                    return final
                await self._sleep(wait)
                if self._stopping:
                    return False
                continue
            except BaseException:
                limiter.leave()
                raise
            finally:
                progress.in_flight -= 1
            elapsed = time.monotonic() - began
            limiter.succeeded(elapsed)
            _spend(progress, endpoint, answer)
            self._writer.put(Finished(received=self._received(request_id, answer, elapsed)))
            return True
        return False

    @staticmethod
    def _release(limiter: Limiter, error: CallError) -> None:
        if error.kind == "rate_limited":
            limiter.refused(error.retry_after)
        else:
            limiter.failed()

    def _wait(self, endpoint: Endpoint, request_id: str, error: CallError, number: int, spent: float) -> float | None:
        """Returns the seconds until the next try, or None when there is none."""
        limits = endpoint.limits
        if not error.transient or number >= limits.attempts or self._stopping:
            return None
        ceiling = min(BACKOFF_MOST, BACKOFF_SECONDS * 2 ** (number - 1))
        jitter = float(generator(request_id, number).uniform(0.5, 1.0))
        wait = max(ceiling * jitter, error.retry_after or 0.0)
        return wait if spent + wait <= limits.patience else None

    def _note_failure(
        self, progress: ModelProgress, request_id: str, error: CallError, number: int, elapsed: float, *, final: bool
    ) -> None:
        attempt = Attempt(
            request=request_id, kind=error.kind, detail=error.detail, time=now(), status=error.status,
            seconds=round(elapsed, 4), final=final, number=number,
        )  # fmt: skip
        self._writer.put(Finished(attempt=attempt))
        progress.last_failure = f"{error.kind}: {error.detail}"
        if not final:
            progress.retries += 1
            return
        progress.failures[error.kind] += 1
        hopeless = not error.transient and error.kind in {"unauthorised", "not_found", "rejected", "missing"}
        if hopeless and not progress.done and progress.failures[error.kind] >= GIVE_UP_AFTER:
            progress.stopped = progress.last_failure

    def _received(self, request_id: str, answer: Answer, elapsed: float) -> Received:
        origin = f"request:{request_id}"
        response = Response(
            id=response_id(origin),
            origin=origin,
            prompt_id=self._prompts[request_id],
            text=answer.text,
            reasoning=answer.reasoning,
            finish=answer.finish,
            option_scores=answer.option_scores,
            tokens_in=answer.tokens_in,
            tokens_out=answer.tokens_out,
            seconds=round(elapsed, 4),
            time=now(),
            model=answer.model,
        )
        return Received(request_id, response, answer.raw)

    # --- from the writer's thread -------------------------------------------------------------------------------------

    def _committed(self, group: Sequence[Finished]) -> None:
        for entry in group:
            if entry.received is not None:
                self._model_of(entry.received.request).done += 1
            elif entry.attempt is not None and entry.attempt.final:
                self._model_of(entry.attempt.request).failed += 1

    def _model_of(self, request_id: str) -> ModelProgress:
        return self.progress.models[self._owner[request_id]]

    def _broken(self, error: CValuesError) -> None:
        del error  # kept by the writer and raised at the end of `run`
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._abandon)

    def _abandon(self) -> None:
        self.stop("study")
        for task in list(self._tasks):
            task.cancel()


def _spend(progress: ModelProgress, endpoint: Endpoint, answer: Answer) -> None:
    """Counts tokens and money when an answer comes, not when it is durable: a bound must see what was spent already."""
    tokens_in, tokens_out = answer.tokens_in or 0, answer.tokens_out or 0
    progress.answers += 1
    progress.tokens_in += tokens_in
    progress.tokens_out += tokens_out
    if endpoint.price is not None:
        progress.cost += endpoint.price.cost(tokens_in, tokens_out)
        progress.currency = endpoint.price.currency


def _is_remote(endpoint: Endpoint) -> bool:
    return hasattr(endpoint, "url")


async def ask_all(
    study: Study,
    run: str,
    plan: Sequence[Planned],
    endpoints: Mapping[str, Endpoint],
    *,
    bounds: Bounds | None = None,
    watch: Callable[[Runner], None] | None = None,
) -> Progress:
    """Asks a plan that stands in the study and returns the progress at the end; `watch` is given the runner before it starts."""
    runner = Runner(study, run, plan, endpoints, bounds)
    if watch is not None:
        watch(runner)
    return await runner.run()
