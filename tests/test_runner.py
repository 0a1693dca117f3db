"""The runner: durable before it counts, bounded retries, clean stops."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
import sqlalchemy as sa
from aiohttp import web

from cvalues.endpoints.base import Answer, Limits, LocalEndpoint, Price
from cvalues.endpoints.http import HttpEndpoint
from cvalues.errors import CallError, StudyError, UsageError
from cvalues.records import now
from cvalues.runner import GIVE_UP_AFTER, Bounds, Progress, Runner, ask_all
from cvalues.schema import Message, Mode, Request, Run
from cvalues.study import Planned, Study, open_study
from cvalues.study.verify import verify
from make import plan
from server import ChatServer, completion, failure


def begin(study: Study, count: int, model: str = "m") -> list[Planned]:
    """Plans a run of `count` requests."""
    entries, items = plan(count, model)
    run = study.start_run(Run(name="r", sets=(), models=(model,), start=now()))
    study.plan(run, entries, items)
    return entries


def go(study: Study, entries: list[Planned], endpoint: object, bounds: Bounds | None = None) -> Progress:
    """Runs to the end."""
    return asyncio.run(ask_all(study, "r", entries, {"m": endpoint}, bounds=bounds))  # type: ignore[dict-item]


def quick(url: str, timeout: float = 2, **limits: object) -> HttpEndpoint:
    """An endpoint that does not wait long between tries."""
    return HttpEndpoint("m", url, timeout=timeout, limits=Limits(**limits))  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def _short_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries wait for milliseconds."""
    monkeypatch.setattr("cvalues.runner.BACKOFF_SECONDS", 0.005)


def test_every_answer_is_kept_and_nothing_is_asked_twice(study: Study) -> None:
    """All requests are answered once, and a second run asks nothing."""
    entries = begin(study, 300)
    with ChatServer(lambda _body, _n: "回复1更好") as server:
        first = go(study, entries, quick(server.url, timeout=60))
        again = go(study, entries, quick(server.url, timeout=60))
        assert max(server.calls.values()) == 1
        assert server.total == 300
    assert (first.models["m"].done, first.models["m"].failed, first.left) == (300, 0, 0)
    assert (again.models["m"].cached, again.models["m"].done) == (300, 0)
    assert study.counts()["claim"] == 0
    assert verify(study).sound


def test_storm_of_429_and_500_ends_with_everything_answered(study: Study) -> None:
    """Two of three calls fail, and in the end every request has its answer and every failure its attempt."""
    entries = begin(study, 60)
    storms = [
        lambda: failure(429, "slow", headers={"Retry-After": "0.01"}),
        lambda: failure(500, "oops"),
        lambda: web.Response(status=503, text="<html>busy</html>"),
        ConnectionError,
        lambda: b"not json",
        lambda: json.dumps({"choices": []}).encode(),
    ]

    def script(_body: dict[str, object], number: int) -> object:
        return "回复2更好" if number % 3 == 0 else storms[number % len(storms)]()

    with ChatServer(script) as server:  # type: ignore[arg-type]
        progress = go(study, entries, quick(server.url, attempts=60))
    assert (progress.models["m"].done, progress.models["m"].failed) == (60, 0)
    counts = study.counts()
    assert counts["attempt"] == progress.models["m"].retries > 60
    assert len(study.responses("r")) == 60


def test_final_failure_is_an_attempt_with_its_reason_and_is_asked_again_later(study: Study) -> None:
    """A call that fails for good leaves an attempt, no response, and is open when the command is repeated."""
    entries = begin(study, 3)
    bad = entries[1].request.messages[-1].content

    def script(body: dict[str, list[dict[str, str]]], _n: int) -> object:
        return failure(400, "context too long") if body["messages"][-1]["content"] == bad else "回复1"

    with ChatServer(script) as server:  # type: ignore[arg-type]
        progress = go(study, entries, quick(server.url))
    assert progress.models["m"].failures == Counter(rejected=1)
    assert "context too long" in progress.models["m"].last_failure
    attempt = study.failures("r")[entries[1].request_id]
    assert (attempt.kind, attempt.status, attempt.final) == ("rejected", 400, True)
    with ChatServer(lambda _body, _n: "回复1") as server:
        assert go(study, entries, quick(server.url)).models["m"].done == 1
    assert study.failures("r") == {}


def test_tries_are_bounded(study: Study) -> None:
    """A request that never succeeds is tried as often as the limit says and no more."""
    entries = begin(study, 2)
    with ChatServer(lambda _body, _n: failure(500)) as server:
        progress = go(study, entries, quick(server.url, attempts=3))
        assert server.total == 6
    assert progress.models["m"].failed == 2
    assert study.counts()["attempt"] == 6


def test_wrong_key_stops_a_model_early(study: Study) -> None:
    """When the first calls all fail for good for one reason, the model is not asked four thousand times."""
    entries = begin(study, 400)
    with ChatServer(lambda _body, _n: failure(401, "bad key")) as server:
        progress = go(study, entries, quick(server.url, max_concurrency=4))
        assert server.total <= GIVE_UP_AFTER + 4
    assert "bad key" in progress.models["m"].stopped
    assert study.counts()["claim"] == 0


def test_dead_server_leaves_everything_open(study: Study) -> None:
    """A server that dies in mid-run costs only what was not answered; repeating the command finishes."""
    entries = begin(study, 80)
    with ChatServer(lambda _body, n: "回复1" if n <= 30 else ConnectionError()) as server:
        first = go(study, entries, quick(server.url, attempts=2, max_concurrency=8))
    assert first.models["m"].done == 30
    with ChatServer(lambda _body, _n: "回复1") as server:
        assert go(study, entries, quick(server.url)).models["m"].done == 50


def test_call_and_cost_bounds_stop_cleanly(study: Study) -> None:
    """--max-calls and --max-cost stop with everything that was started kept; the rest stays open."""
    entries = begin(study, 50)
    with ChatServer(lambda _body, _n: "回复1") as server:
        progress = go(study, entries, quick(server.url, max_concurrency=4), Bounds(max_calls=7))
        assert (progress.stop, progress.models["m"].done, server.total) == ("max-calls", 7, 7)
        endpoint = quick(server.url, max_concurrency=2)
        endpoint.price = Price(
            input=100_000.0, output=0.0, currency="CNY"
        )  # one unit a call: 10 tokens at 100,000 per million
        progress = go(study, entries, endpoint, Bounds(max_cost=10.0))
    assert progress.stop == "max-cost"
    assert 10 <= progress.models["m"].cost <= 13
    assert study.counts()["claim"] == 0


def test_cost_bound_needs_a_price(study: Study) -> None:
    """A cost bound for a model without a price is refused before anything is asked."""
    entries = begin(study, 1)
    with pytest.raises(UsageError, match="--max-cost needs a price for m"):
        Runner(study, "r", entries, {"m": quick("http://127.0.0.1:1/v1")}, Bounds(max_cost=1))


def test_mode_that_an_endpoint_lacks_is_refused_before_the_first_call(study: Study) -> None:
    """The plan refuses what an endpoint cannot do."""
    entries = begin(study, 1)
    request = Request(mode="score", model="m", messages=(Message(role="user", content="x"),))
    with pytest.raises(UsageError, match="model 'm' cannot score; it can choose, generate"):
        Runner(
            study,
            "r",
            [Planned(entries[0].ask, request, request.id, entries[0].item)],
            {"m": quick("http://127.0.0.1:1/v1")},
        )


class Slow(LocalEndpoint):
    """Answers after a moment."""

    modes: frozenset[Mode] = frozenset({"generate"})
    limits = Limits(max_concurrency=4)

    async def ask(self, request: Request) -> Answer:
        del request
        await asyncio.sleep(0.02)
        return Answer(text="回复1")


def test_stop_drains_what_is_in_flight(study: Study) -> None:
    """After a stop nothing new starts, what was in flight is kept, and claims are given back."""
    entries = begin(study, 200)
    runner = Runner(study, "r", entries, {"m": Slow("m")})
    threading.Timer(0.3, runner.stop_from_thread).start()
    progress = asyncio.run(runner.run())
    assert progress.stop == "interrupted"
    assert 0 < progress.models["m"].done < 200
    assert len(study.responses("r")) == progress.models["m"].done
    assert study.counts()["claim"] == 0


def test_stop_ends_waits_for_retries(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stop does not wait for a back-off of minutes, and what was waiting stays open, not failed."""
    monkeypatch.setattr("cvalues.runner.BACKOFF_SECONDS", 60.0)
    entries = begin(study, 3)
    with ChatServer(lambda _body, _n: failure(500)) as server:
        runner = Runner(study, "r", entries, {"m": quick(server.url)})
        threading.Timer(0.5, runner.stop_from_thread).start()
        began = time.monotonic()
        progress = asyncio.run(runner.run())
    assert time.monotonic() - began < 10
    assert (progress.failed, progress.left) == (0, 3)


def test_full_disk_in_mid_run_is_an_error_and_loses_nothing(tmp_path: Path) -> None:
    """When the study cannot grow the run ends with the reason; what was committed is there and the rest can be asked again."""
    path = tmp_path / "s.db"
    with open_study(path) as study:
        entries = begin(study, 120)
        limit: list[int] = []

        @sa.event.listens_for(study.engine, "checkout")
        def _small(connection: sqlite3.Connection, *_: object) -> None:
            if limit:
                connection.execute(f"PRAGMA max_page_count = {limit[0]}")

        with study.reading() as connection:
            limit.append(int(connection.exec_driver_sql("PRAGMA page_count").scalar_one()) + 30)
        study.engine.dispose()
        with ChatServer(lambda _body, _n: "长" * 2000) as server, pytest.raises(StudyError, match="disk is full"):
            go(study, entries, quick(server.url))
        limit.clear()
    with open_study(path) as study:
        kept = len(study.responses("r"))
        assert kept < 120
        with ChatServer(lambda _body, _n: "短") as server:
            progress = go(study, entries, quick(server.url))
            assert server.total == 120 - kept
        assert progress.left == 0
        assert verify(study).sound


def test_hostile_replies_are_stored_and_read_back(study: Study) -> None:
    """NUL, control characters, lone surrogates and a long reply are all kept as responses."""
    texts = ["a\x00b", "\x1b[2J\x07", "\ud800 lone", "长" * 300_000, "", "{}%s{0}"]
    entries = begin(study, len(texts))
    position = {entry.request.messages[-1].content: index for index, entry in enumerate(entries)}

    def script(body: dict[str, list[dict[str, str]]], _n: int) -> object:
        return json.dumps(completion(texts[position[body["messages"][-1]["content"]]])).encode()

    with ChatServer(script) as server:  # type: ignore[arg-type]
        assert go(study, entries, quick(server.url)).models["m"].done == len(texts)
    found = study.responses("r")
    assert found[entries[0].request_id].text == "a\ufffdb"
    assert found[entries[1].request_id].text == "\x1b[2J\x07"
    assert found[entries[2].request_id].text == "\ufffd lone"
    assert [len(found[entry.request_id].text) for entry in entries[3:]] == [300_000, 0, 7]


CHILD = """
import asyncio, sys
sys.path.insert(0, sys.argv[4])
from make import plan
from cvalues.endpoints.http import HttpEndpoint
from cvalues.endpoints.base import Limits
from cvalues.runner import ask_all
from cvalues.schema import Run
from cvalues.records import now
from cvalues.study import open_study
study = open_study(sys.argv[1])
entries, items = plan(int(sys.argv[3]))
run = study.start_run(Run(name="r", sets=(), models=("m",), start=now()))
study.plan(run, entries, items)
print("ready", flush=True)
def watch(runner):
    committed = runner._writer._committed
    def told(group):
        committed(group)
        for entry in group:
            if entry.received:
                print(entry.received.request, flush=True)
    runner._writer._committed = told
endpoint = HttpEndpoint("m", sys.argv[2], limits=Limits(max_concurrency=16))
asyncio.run(ask_all(study, "r", entries, {"m": endpoint}, watch=watch))
print("end", flush=True)
"""


def child(path: Path, url: str, count: int) -> subprocess.Popen[str]:
    """Starts a process that runs the plan and prints each request id once it counts as done."""
    here = str(Path(__file__).parent)
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(path), url, str(count), here], stdout=subprocess.PIPE, text=True
    )


@pytest.mark.slow
def test_twenty_kills_lose_nothing_that_counted(tmp_path: Path) -> None:
    """Killed at 20 random moments, the run ends with every request answered; what counted as done is asked only once."""
    path = tmp_path / "s.db"
    count = 400
    counted: set[str] = set()
    with ChatServer(lambda _body, _n: "回复1更好", latency=0.05) as server:
        for kill in range(20):
            process = child(path, server.url, count)
            assert process.stdout is not None
            assert process.stdout.readline().strip() == "ready"
            time.sleep(0.02 + 0.017 * ((kill * 7) % 11))
            process.send_signal(signal.SIGKILL)
            printed = process.stdout.read().split()
            process.wait()
            process.stdout.close()
            assert not counted & set(printed), "a request that had counted was answered again"
            counted |= {line for line in printed if line.startswith("b2:") and len(line) == 35}
            with open_study(path) as study:
                assert verify(study).faults == ()
                assert counted <= set(study.answered(sorted(counted)))
        process = child(path, server.url, count)
        out, _ = process.communicate(timeout=60)
        assert out.split()[-1] == "end"
    with open_study(path) as study:
        assert len(study.responses("r")) == count
        assert verify(study).sound
        assert study.counts()["claim"] <= 16 * 40
    # A kill may cost what was in flight, 16 requests, and what had come back but was not durable and did not count.
    assert server.total - count <= 20 * 16 * 3


@pytest.mark.slow
def test_two_processes_on_one_study_ask_everything_once(tmp_path: Path) -> None:
    """Two processes that run the same plan at the same time share the work: no request is asked twice."""
    path = tmp_path / "s.db"
    count = 2000
    with ChatServer(lambda _body, _n: "回复1更好", latency=0.05) as server:
        processes = [child(path, server.url, count) for _ in range(2)]
        outputs = [process.communicate(timeout=120)[0].split() for process in processes]
        assert [process.returncode for process in processes] == [0, 0]
        assert server.total == count
        assert max(server.calls.values()) == 1
    done = [sum(line.startswith("b2:") for line in output) for output in outputs]
    assert sum(done) == count
    assert min(done) > 0, "one process did all the work"
    with open_study(path) as study:
        assert verify(study).sound


def test_interrupted_call_raises_nothing_and_keeps_the_claim_free(study: Study) -> None:
    """An endpoint that raises a CallError of its own kind is recorded under that kind."""

    class Odd(Slow):
        async def ask(self, request: Request) -> Answer:
            raise CallError("missing", "no recording", transient=False)

    entries = begin(study, 2)
    progress = go(study, entries, Odd("m"))
    assert progress.models["m"].failures == Counter(missing=2)
    assert os.getpid() > 0
    assert study.counts()["claim"] == 0
