"""The driver: hands parts to workers of a Ray cluster, makes their shards durable, and merges them into the study."""

from __future__ import annotations

import importlib
import importlib.util
import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from cvalues.distributed.shards import Line, merge, merge_folder, write_shard
from cvalues.distributed.worker import PART, VERSION, Part, Said, Task, Worker, cut, limited
from cvalues.endpoints.base import Endpoint
from cvalues.errors import CallError, MissingExtra, UsageError
from cvalues.records import canonical
from cvalues.runner import POLL_SECONDS, ModelProgress, Progress, Runner
from cvalues.schema import Record, Response
from cvalues.study import Planned, Study
from cvalues.writer import HEARTBEAT_SECONDS

MOST_DEATHS = 5
"""So many workers may die one after the other without an answer in between."""
_TICK_SECONDS = 0.2
_LOCAL_STORE_BYTES = 128 << 20
"""Object store of a cluster on this machine; shards are small and do not stay."""


class Cluster(Record, frozen=True, kw_only=True):
    """Where the workers are and how many."""

    address: str = ""
    """Of a running cluster: `auto`, `HOST:6379` or `ray://HOST:10001`. Empty starts one on this machine."""
    workers: int = 4
    """Worker processes."""
    gpus: float = 0.0
    """GPUs of each, for local weights."""
    part: int = PART
    """Most requests of one part."""


@dataclass
class _Hand:
    """One worker as the driver sees it."""

    actor: Any
    part: Part = field(default_factory=dict)
    """What it was given and has not answered."""
    stream: Any = None


def reach(address: str) -> None:
    """Raises OSError when nobody listens at `HOST:PORT`, within ten seconds: Ray itself tries for minutes. Other forms are left to Ray."""
    host, _, port = address.rpartition(":")
    if host and port.isdigit() and "/" not in host:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()


class Driver:
    """Asks a plan with the workers of a cluster. `run()` returns when nothing is left to do or a bound is met."""

    def __init__(  # noqa: PLR0913 -- the runner's, with where shards and workers are
        self,
        study: Study,
        run: str,
        plan: Sequence[Planned],
        endpoints: Mapping[str, Endpoint],
        *,
        cluster: Cluster,
        folder: Path,
        most: int | None = None,
    ) -> None:
        """Checks the plan against what the endpoints offer.

        Args:
            study: where everything is kept; the plan stands there already.
            run: name of the run.
            plan: what is asked.
            endpoints: by model name; they must survive pickling, as all of ours do before their first call.
            cluster: where the workers are.
            folder: of the shards, on the driver's machine.
            most: most requests that this call sends; None is no bound.

        Raises:
            UsageError: an endpoint lacks a mode of its requests.
            MissingExtra: Ray is not installed.
        """
        if importlib.util.find_spec("ray") is None:
            raise MissingExtra("ray", "ray")
        self.study, self.run_name, self.folder, self.cluster = study, run, folder, cluster
        self.progress = Runner(study, run, plan, endpoints).progress  # which checks the plan
        self.hired: Callable[[Said], None] | None = None
        """Called with the process and host of each worker that takes a part."""
        self._endpoints = dict(endpoints)
        self._tasks = {
            entry.request_id: Task(id=entry.request_id, prompt_id=entry.ask.prompt_id, request=entry.request)
            for entry in plan
        }
        self._most = most
        self._todo: list[Part] = []
        self._hands: list[_Hand] = []
        self._deaths = 0
        self._beat = time.monotonic()
        self._stopping = 0
        self._ray: Any = None

    def run(self, watch: Callable[[Progress], None] | None = None) -> Progress:
        """Asks everything that is open and returns the progress at the end. Ctrl-C drains what is in flight; a second one drops it.

        Raises:
            StudyError: the study could not be written; shards that were not merged stay in the folder and are merged at the next start.
            CallError: workers die one after the other, or the cluster cannot be reached.
            UsageError: a worker cannot go on: another version, or something that it lacks; or the cluster is too small.
        """
        merge_folder(self.study, self.folder, self._tasks)
        answered = self.study.answered(list(self._tasks))
        for name in answered:
            self._model(name).cached += 1
        open_tasks = [task for name, task in self._tasks.items() if name not in answered]
        bounded = open_tasks[: self._most]
        if not bounded:
            return self.progress
        self._todo = cut(bounded, self.cluster.workers, self.cluster.part)
        ours = self._connect(min(self.cluster.workers, len(self._todo)))
        try:
            self._loop(watch)
        finally:
            self._leave(ours=ours)
        if len(bounded) < len(open_tasks):
            self.progress.stop = self.progress.stop or "max-calls"
        return self.progress

    # --- cluster ------------------------------------------------------------------------------------------------------

    def _connect(self, workers: int) -> bool:
        """Joins the cluster and hires workers; returns whether the cluster is ours to end."""
        # No figures about its users leave this machine; read when Ray is imported.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        ray = self._ray = importlib.import_module("ray")
        ours = not ray.is_initialized()
        if ours:
            quiet = {"log_to_driver": False, "logging_level": "ERROR", "configure_logging": True}
            local = {"num_cpus": workers, "include_dashboard": False, "object_store_memory": _LOCAL_STORE_BYTES}
            try:
                reach(self.cluster.address)
                ray.init(**quiet, **({"address": self.cluster.address} if self.cluster.address else local))
            except (OSError, ValueError, RuntimeError) as error:
                raise CallError(
                    "connection", f"no Ray cluster at '{self.cluster.address}': {error}", transient=True
                ) from error
        try:
            self._room(workers)
            self._hands = [_Hand(self._hire()) for _ in range(workers)]
        except BaseException:
            self._leave(ours=ours)
            raise
        return ours

    def _room(self, workers: int) -> None:
        """Refuses what would wait for ever."""
        there = self._ray.cluster_resources()
        for kind, each in (("CPU", 1.0), ("GPU", self.cluster.gpus)):
            if each * workers > there.get(kind, 0.0) + 1e-9:
                have, need = f"{there.get(kind, 0.0):g}", f"{each * workers:g}"
                raise UsageError(
                    f"too little '{kind}' in the cluster: there is {have}, and {workers} workers need {need}; "
                    "give fewer --ray-workers or add machines"
                )

    def _hire(self) -> Any:
        mine = {name: limited(endpoint, self.cluster.workers) for name, endpoint in self._endpoints.items()}
        options = {"num_cpus": 1, "num_gpus": self.cluster.gpus, "max_concurrency": 2, "scheduling_strategy": "SPREAD"}
        return self._ray.remote(Worker).options(**options).remote(mine)

    def _leave(self, *, ours: bool) -> None:
        left = [name for hand in self._hands for name in hand.part]
        if left:
            self.study.release(left)
        for hand in self._hands:
            self._ray.kill(hand.actor)
        if ours:
            self._ray.shutdown()

    # --- loop ---------------------------------------------------------------------------------------------------------

    def _loop(self, watch: Callable[[Progress], None] | None) -> None:
        while True:
            try:
                if not self._step():
                    return
                if watch is not None:
                    watch(self.progress)
            except KeyboardInterrupt:
                self.progress.stop = "interrupted"
                self._stopping += 1
                if self._stopping > 1:
                    return
                for hand in self._hands:
                    hand.actor.stop.remote()

    def _step(self) -> bool:
        """Hands out parts and takes what came; returns False when nothing is left to do."""
        for hand in self._hands:
            if hand.stream is None and not self._stopping:
                self._give(hand)
        busy = {hand.stream: hand for hand in self._hands if hand.stream is not None}
        self._count()
        if not busy:
            if not self._todo or self._stopping:
                return False
            time.sleep(POLL_SECONDS)  # what is left is held by another process
            return True
        ready, _ = self._ray.wait(list(busy), num_returns=len(busy), timeout=_TICK_SECONDS)
        for stream in ready:
            self._take(busy[stream])
        if time.monotonic() - self._beat > HEARTBEAT_SECONDS:
            self._beat = time.monotonic()
            self.study.heartbeat()
        return True

    def _give(self, hand: _Hand) -> None:
        """Claims the next part and sends what of it is ours; what another process holds waits at the end."""
        for _ in range(len(self._todo)):
            part = {name: task for name, task in self._todo.pop(0).items() if not self._model(name).stopped}
            claimed, held = self.study.claim(self.run_name, list(part))
            for name in part.keys() - set(claimed) - set(held):
                self._model(name).cached += 1  # answered by another process meanwhile
            if held:
                self._todo.append({name: part[name] for name in held})
            if claimed:
                hand.part = {name: part[name] for name in claimed}
                remote = hand.actor.answer.options(num_returns="streaming")
                hand.stream = remote.remote(canonical(list(hand.part.values())))
                return

    def _take(self, hand: _Hand) -> None:
        """Takes the next thing that a worker sent, or sees that it is through or dead."""
        errors = self._ray.exceptions
        try:
            said = Said(*self._ray.get(next(hand.stream)))
        except StopIteration:
            self._end(hand)
        except errors.RayTaskError:
            raise  # a fault of ours
        except errors.RayError:
            hand.actor = self._hire()
            self._end(hand, died=True)
        else:
            self._heard(hand, said)

    def _heard(self, hand: _Hand, said: Said) -> None:
        if said.fault:
            raise UsageError(f"a worker cannot go on: {said.fault}")
        if said.pid:
            if said.version != VERSION:
                raise UsageError(
                    f"the worker on {said.host} has cvalues {said.version}, the driver {VERSION}; install the same everywhere"
                )
            if self.hired is not None:
                self.hired(said)
        for name, why in said.stopped.items():
            model = self.progress.models[name]
            if not model.done:
                model.stopped = why
        if said.lines:
            self._deaths = 0
            self._keep(hand, msgspec.json.decode(said.lines, type=list[Line]))

    def _keep(self, hand: _Hand, lines: list[Line]) -> None:
        """Makes a shard durable, merges it, counts what was new."""
        path = write_shard(self.folder, lines)
        received, attempts = merge(self.study, lines)
        path.unlink(missing_ok=True)
        for line in lines:
            if line.response is not None or (line.attempt is not None and line.attempt.final):
                hand.part.pop(line.request, None)
        for response in received:
            self._answered(response)
        for attempt in attempts:
            model = self._model(attempt.request)
            model.last_failure = f"{attempt.kind}: {attempt.detail}"
            model.retries += not attempt.final
            model.failed += attempt.final
            if attempt.final:
                model.failures[attempt.kind] += 1

    def _answered(self, response: Response) -> None:
        name = response.origin.removeprefix("request:")
        model, price = self._model(name), self._endpoints[self._tasks[name].request.model].price
        tokens_in, tokens_out = response.tokens_in or 0, response.tokens_out or 0
        model.done += 1
        model.answers += 1
        model.tokens_in += tokens_in
        model.tokens_out += tokens_out
        if price is not None:
            model.cost += price.cost(tokens_in, tokens_out)
            model.currency = price.currency

    def _end(self, hand: _Hand, *, died: bool = False) -> None:
        """Frees a worker; what it left goes to the next one, unless the run or the model has been stopped."""
        left, hand.part, hand.stream = hand.part, {}, None
        if not left:
            return
        self.study.release(list(left))
        again = {name: task for name, task in left.items() if not self._model(name).stopped}
        if self._stopping or not again:
            return
        self._todo.insert(0, again)
        self._deaths += 1
        if self._deaths >= MOST_DEATHS:
            how = "died" if died else "gave their part back"
            raise CallError(
                "connection",
                f"{self._deaths} workers {how} one after the other without an answer; look at the logs of Ray on the machines "
                "(lack of memory, or cvalues is not installed there)",
                transient=True,
            )

    def _count(self) -> None:
        flying = dict.fromkeys(self.progress.models, 0)
        for hand in self._hands:
            for task in hand.part.values():
                flying[task.request.model] += 1
        for name, count in flying.items():
            self.progress.models[name].in_flight = count

    def _model(self, request_id: str) -> ModelProgress:
        return self.progress.models[self._tasks[request_id].request.model]
