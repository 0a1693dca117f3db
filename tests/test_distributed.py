"""Sharding, merging and the worker of the Ray engine, without Ray."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import cvalues
from cvalues.cli.app import app
from cvalues.distributed import Cluster, Driver
from cvalues.distributed.driver import reach
from cvalues.distributed.shards import Line, merge, merge_folder, read_shard, shard_name, write_shard
from cvalues.distributed.worker import Drawer, Said, Task, Worker, cut, limited, share
from cvalues.endpoints.base import Answer, Endpoint, Limits, LocalEndpoint
from cvalues.errors import CallError, ConfigError, CValuesError, DataError, MissingExtra, UsageError
from cvalues.records import canonical, now
from cvalues.schema import Attempt, Request, Response, Run, response_id
from cvalues.study import Study, open_study
from make import plan as make_plan
from server import ChatServer


def answered(request: str, text: str = "回复1") -> Line:
    """A line with a response."""
    origin = f"request:{request}"
    return Line(request=request, response=Response(id=response_id(origin), origin=origin, text=text, time=now()))


def failed(request: str, number: int = 1, *, final: bool = False) -> Line:
    """A line with an attempt."""
    return Line(
        request=request,
        attempt=Attempt(
            request=request, kind="timeout", detail=f"try {number}", time="2026-01-01T00:00:00.000Z", final=final, number=number
        ),
    )  # fmt: skip


def tasks(count: int) -> list[Task]:
    """So many tasks for the model `m`."""
    return [
        Task(id=entry.request_id, prompt_id=entry.ask.prompt_id, request=entry.request) for entry in make_plan(count)[0]
    ]


class Scripted(LocalEndpoint):
    """Answers every request with its sample number, or with what a test raises; counts."""

    limits = Limits(max_concurrency=4, attempts=2, patience=5)

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__("m")
        self.error = error
        self.asked = 0
        self.closed = 0

    async def ask(self, request: Request) -> Answer:
        """Answers, or fails."""
        self.asked += 1
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        return Answer(text="回复2", tokens_in=7, tokens_out=2)

    async def close(self) -> None:
        """Counts."""
        self.closed += 1


def lines_of(said: list[Said]) -> list[Line]:
    """All lines of what a worker said."""
    return [line for one in said if one.lines for line in msgspec.json.decode(one.lines, type=list[Line])]


# --- shards -----------------------------------------------------------------------------------------------------------

IDS = st.lists(
    st.text("0123456789abcdef", min_size=32, max_size=32).map("b2:{}".format), min_size=1, max_size=8, unique=True
)
LINES = IDS.flatmap(
    lambda ids: st.lists(
        st.one_of(
            st.sampled_from(ids).map(answered),
            st.builds(failed, st.sampled_from(ids), st.integers(1, 3), final=st.booleans()),
        ),
        min_size=1,
        max_size=12,
    )
)


@given(lines=LINES, seed=st.randoms(use_true_random=False))
def test_a_shard_is_named_by_its_requests_alone(lines: list[Line], seed: Any) -> None:
    """Order and repetition of the lines change no name; another set of requests has another."""
    shuffled = [*lines, lines[0]]
    seed.shuffle(shuffled)
    assert shard_name(shuffled) == shard_name(lines)
    assert shard_name([*lines, answered("b2:other")]) != shard_name(lines)
    assert "/" not in shard_name(lines)
    assert ":" not in shard_name(lines)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15, deadline=None)
@given(lines=LINES)
def test_a_shard_comes_back_as_it_was_written(lines: list[Line], tmp_path: Path) -> None:
    """Responses, attempts and raw bytes survive the file; writing it twice is one file; nothing else is left in the folder."""
    path = write_shard(tmp_path / "s", lines)
    assert write_shard(tmp_path / "s", lines) == path
    assert read_shard(path) == lines
    assert list(path.parent.iterdir()) == [path]
    path.unlink()


def test_raw_bytes_of_any_kind_survive(tmp_path: Path) -> None:
    """A body that is no text comes back byte by byte."""
    line = msgspec.structs.replace(answered("b2:a"), raw=bytes(range(256)))
    assert read_shard(write_shard(tmp_path, [line])) == [line]


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (b'{"request":"b2:a"}\n', ":1: is no finished call"),
        (canonical(answered("b2:a")).replace(b"request:b2:a", b"request:b2:b") + b"\n", ":1: is no finished call"),
        (canonical(failed("b2:a")).replace(b'"request":"b2:a","', b'"request":"b2:b","') + b"\n", "jsonl"),
        (canonical(answered("b2:a"))[:-9] + b"\n", ":1: "),
        (canonical(answered("b2:b")) + b"\n", "does not hold the requests of its name"),
        (b"", "does not hold the requests of its name"),
    ],
    ids=["empty call", "another's response", "another's attempt", "torn", "renamed", "empty"],
)
def test_a_damaged_shard_is_named_and_not_merged(body: bytes, where: str, tmp_path: Path, study: Study) -> None:
    """What is torn, renamed, or answers for another request is refused with the file's name, and nothing of it is kept."""
    path = tmp_path / shard_name([answered("b2:a")])
    path.write_bytes(body)
    with pytest.raises(DataError, match=where) as caught:
        merge_folder(study, tmp_path, ["b2:a", "b2:b"])
    assert path.name in str(caught.value)
    assert study.counts()["response"] == 0


def test_merging_again_changes_nothing(study: Study) -> None:
    """A shard merged twice is kept once: responses, retries and final failures; only the first merge says what is new."""
    shard = [failed("b2:a", 1), failed("b2:a", 2), answered("b2:a"), failed("b2:b", 1, final=True)]
    received, attempts = merge(study, shard)
    assert ([response.origin for response in received], len(attempts)) == (["request:b2:a"], 3)
    assert merge(study, shard) == ([], [])
    assert merge(study, [answered("b2:a", "another answer")]) == ([], []), "the first answer stands"
    counts = study.counts()
    assert (counts["response"], counts["attempt"]) == (1, 3)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=6, deadline=None)
@given(lines=LINES, cut_at=st.integers(0, 12))
def test_shards_merge_alike_however_they_were_cut(lines: list[Line], cut_at: int) -> None:
    """One shard, or two that overlap, in any order, leave the same requests answered and the same attempts."""
    found = []
    for pieces in ([lines], [lines[:cut_at], lines[cut_at:]], [lines[cut_at:], lines, lines[:cut_at]]):
        with open_study("sqlite://") as memory:
            for piece in pieces:
                merge(memory, piece)
            counts = memory.counts()
            found.append((memory.answered([line.request for line in lines]), counts["response"], counts["attempt"]))
    assert found[0] == found[1] == found[2]


def test_what_a_dead_driver_left_is_merged_and_cleared(study: Study, tmp_path: Path) -> None:
    """Shards of this plan are merged and deleted; a shard of another plan and a file that is none of ours stay."""
    write_shard(tmp_path, [answered("b2:a"), answered("b2:b")])
    foreign = write_shard(tmp_path, [answered("b2:z")])
    (tmp_path / "notes.jsonl").write_text("mine\n", encoding="utf-8")
    assert merge_folder(study, tmp_path, ["b2:a", "b2:b", "b2:c"]) == 2
    assert sorted(path.name for path in tmp_path.glob("*.jsonl")) == sorted([foreign.name, "notes.jsonl"])
    assert merge_folder(study, tmp_path / "absent", ["b2:a"]) == 0


# --- parts ------------------------------------------------------------------------------------------------------------


@given(count=st.integers(0, 40), workers=st.integers(1, 9), most=st.integers(1, 50))
def test_every_request_is_in_exactly_one_part(count: int, workers: int, most: int) -> None:
    """Whatever the numbers, parts hold each task once, in order, at most `most` of them, none empty."""
    all_tasks = [
        Task(id=f"t{number}", prompt_id="", request=Request(mode="generate", model="m", messages=()))
        for number in range(count)
    ]
    parts = cut(all_tasks, workers, most)
    assert [task for part in parts for task in part.values()] == all_tasks
    assert all(0 < len(part) <= most for part in parts)


@given(workers=st.integers(1, 64), calls=st.integers(1, 500), rpm=st.none() | st.floats(0.1, 1e6))
def test_workers_together_keep_the_limits(workers: int, calls: int, rpm: float | None) -> None:
    """Shares add up to no more than the limit, except that every worker may make one call."""
    mine = share(Limits(max_concurrency=calls, rpm=rpm), workers)
    assert mine.max_concurrency * workers <= max(calls, workers)
    assert mine.max_concurrency >= 1
    assert mine.rpm is None if rpm is None else mine.rpm is not None and mine.rpm * workers == pytest.approx(rpm)


def test_a_share_leaves_the_endpoint_as_it_is() -> None:
    """The worker's copy has the smaller limits; the driver's endpoint keeps its own."""
    endpoint = Scripted()
    assert limited(endpoint, 2).limits.max_concurrency == 2
    assert endpoint.limits.max_concurrency == 4


@contextlib.contextmanager
def working(endpoint: Endpoint) -> Iterator[Worker]:
    """A worker that is closed at the end."""
    worker = Worker({"m": endpoint})
    try:
        yield worker
    finally:
        worker.close()


def answers(endpoint: Endpoint, part: list[Task]) -> list[Said]:
    """All that a worker says to one part."""
    with working(endpoint) as worker:
        return list(worker.answer(canonical(part)))


# --- worker -----------------------------------------------------------------------------------------------------------


def test_a_worker_answers_its_part_and_says_who_it_is() -> None:
    """The first thing said names process and version; then every request comes back exactly once, with its prompt's id."""
    part = tasks(30)
    said = answers(Scripted(), part)
    assert said[0].pid > 0
    assert said[0].version == cvalues.__version__
    lines = lines_of(said)
    assert sorted(line.request for line in lines) == sorted(task.id for task in part)
    wanted = {task.id: task.prompt_id for task in part}
    assert all(line.response is not None and line.response.prompt_id == wanted[line.request] for line in lines)
    assert (said[-1].fault, said[-1].stopped) == ("", {})


def test_an_endpoint_stays_open_between_parts() -> None:
    """Two parts are asked over one endpoint that nobody closed, so weights are loaded and connections made once."""
    endpoint = Scripted()
    with working(endpoint) as worker:
        for part in (tasks(3), tasks(5)):
            assert lines_of(list(worker.answer(canonical(part))))
        assert (endpoint.asked, endpoint.closed) == (8, 0)
    assert endpoint.closed == 1


def test_connections_outlive_a_part() -> None:
    """A worker's second part goes over HTTP on the same loop as its first."""
    from cvalues.endpoints.http import HttpEndpoint

    with ChatServer(lambda _body, _n: "回复1") as server, working(HttpEndpoint("m", server.url)) as worker:
        for _ in range(2):
            assert len(lines_of(list(worker.answer(canonical(tasks(4)))))) == 4
        assert server.total == 8


def test_failed_tries_come_back_as_attempts() -> None:
    """A call that fails twice is two attempts, the second final, and no response."""
    lines = lines_of(answers(Scripted(CallError("timeout", "slow", transient=True)), tasks(1)))
    assert [(line.response, line.attempt and line.attempt.final) for line in lines] == [(None, False), (None, True)]


def test_a_model_that_refuses_everything_is_told() -> None:
    """The last thing said names the model that was given up and why."""
    said = answers(Scripted(CallError("unauthorised", "bad key", transient=False)), tasks(60))
    assert "bad key" in said[-1].stopped["m"]
    assert len(lines_of(said)) < 60


def test_what_a_user_can_mend_comes_back_as_text() -> None:
    """An error that is no failed call, such as a missing package, reaches the driver as a message."""
    said = answers(Scripted(ConfigError("no such folder")), tasks(2))
    assert said[-1].fault == "no such folder"
    wrong = [
        msgspec.structs.replace(task, request=msgspec.structs.replace(task.request, mode="score")) for task in tasks(1)
    ]
    assert "cannot score" in answers(Scripted(), wrong)[-1].fault


def test_a_fault_of_ours_keeps_its_traceback() -> None:
    """What a user cannot mend is raised and not turned into a message."""
    with pytest.raises(BaseException) as caught:  # noqa: PT011 -- groups of any depth
        answers(Scripted(KeyError("ours")), tasks(1))
    assert not isinstance(caught.value, CValuesError)
    assert "ours" in "".join(repr(caught.value))


def test_a_stopped_worker_starts_no_call() -> None:
    """After `stop` a part comes back unanswered."""
    endpoint = Scripted()
    with working(endpoint) as worker:
        worker.stop()
        assert lines_of(list(worker.answer(canonical(tasks(5))))) == []
    assert endpoint.asked == 0


def test_a_drawer_is_no_study() -> None:
    """The stand-in claims everything, knows no answers, and hands over what it is given, attempts first."""
    sent: list[list[Line]] = []
    drawer = Drawer(sent.append)
    assert drawer.answered(["a"]) == set()
    assert drawer.claim("r", ["a", "b"]) == (["a", "b"], [])
    drawer.heartbeat()
    drawer.release(["a"])
    assert sent == []


# --- driver -----------------------------------------------------------------------------------------------------------


def test_without_ray_the_message_says_what_to_install(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine names the extra when Ray is missing, before the study is touched."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda *_: None)
    with pytest.raises(MissingExtra, match=r"pip install 'cvalues\[ray\]'"):
        Driver(study, "r", make_plan(2)[0], {"m": Scripted()}, cluster=Cluster(), folder=tmp_path)
    assert study.counts()["claim"] == 0


def test_a_plan_that_is_answered_needs_no_cluster(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With everything in the study no cluster is started, and everything counts as cached."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda *_: object())
    entries, items = make_plan(4)
    study.plan(study.start_run(Run(name="r", sets=(), models=("m",), kind="choice", start=now())), entries, items)
    write_shard(tmp_path, [answered(entry.request_id) for entry in entries])
    progress = Driver(study, "r", entries, {"m": Scripted()}, cluster=Cluster(), folder=tmp_path).run()
    assert (progress.models["m"].cached, progress.left) == (4, 0)


def test_the_command_knows_the_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--engine ray` refuses what does not go with it, and an unknown engine is answered with all three."""
    import typer

    monkeypatch.chdir(tmp_path)
    command = typer.main.get_command(app)
    line = ["run", "starter-choice", "-m", "baseline:first", "--limit", "2", "--engine"]
    with pytest.raises(UsageError, match="--max-cost does not go with --engine ray"):
        command.main([*line, "ray", "--max-cost", "1"], standalone_mode=False)
    with pytest.raises(UsageError, match=r"Available: batch, batch-submit, ray"):
        command.main([*line, "rya"], standalone_mode=False)


def test_a_cluster_that_is_not_there_is_told_at_once() -> None:
    """An address at which nobody listens is an error before Ray is asked; `auto` and Ray's own forms are left to it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        with pytest.raises(ConnectionRefusedError):
            reach(f"127.0.0.1:{free.getsockname()[1]}")
        free.listen()
        reach(f"127.0.0.1:{free.getsockname()[1]}")
    for address in ("", "auto", "local", "ray://127.0.0.1:1"):
        reach(address)
