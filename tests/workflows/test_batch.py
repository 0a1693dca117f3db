"""Tests of runs by offline batch files: what is written, collected, submitted, and never asked twice."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from cvalues.cli.app import app
from cvalues.endpoints import batch_files
from cvalues.endpoints.batch_files import parts, read_results
from cvalues.errors import CallError, CValuesError, DataError, UsageError
from cvalues.schema import Sampling
from cvalues.study import Study
from cvalues.workflows.batch import BatchState, execute_batch
from cvalues.workflows.plan import Plan, RunOptions, make_plan
from cvalues.workflows.results import outcomes_of
from server import ChatServer, completion

NOWHERE = "http://127.0.0.1:9/v1"


def planned(limit: int = 6, url: str = NOWHERE, **more: Any) -> Plan:
    """A plan of some items for one server; nothing is called."""
    fields: dict[str, Any] = {"sets": ("starter-choice",), "models": (f"openai:mock@{url}",), "limit": limit, **more}
    return make_plan(RunOptions(**fields))


def rows(file: Path) -> list[dict[str, Any]]:
    """The lines of a file."""
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def result(row: dict[str, Any], text: str = "回复1更好。", status: int = 200, number: int = 0) -> str:
    """The line of a result, as OpenAI writes it."""
    body = completion(text) if status == 200 else {"error": {"message": text, "code": "x"}}
    response = {"status_code": status, "request_id": f"r{number}", "body": body}
    return (
        json.dumps({"id": f"batch_req_{number}", "custom_id": row["custom_id"], "response": response, "error": None})
        + "\n"
    )


def expired(row: dict[str, Any]) -> str:
    """The line of a request that the vendor never came to."""
    error = {"code": "batch_expired", "message": "not executed in time"}
    return json.dumps({"id": "e", "custom_id": row["custom_id"], "response": None, "error": error}) + "\n"


def step(study: Study, folder: Path, plan: Plan | None = None, **more: Any) -> BatchState:
    """One call of `cvalues run --engine batch`."""
    return execute_batch(plan or planned(), study, folder, **more)


def test_what_is_written(study: Study, tmp_path: Path) -> None:
    """One line asks one request: its id, the vendor's path, exactly the body that a call would send; nothing is called."""
    plan = planned(sampling=Sampling(temperature=0.5), params={"enable_thinking": False})
    state = step(study, tmp_path / "b", plan)
    (file,) = state.files
    assert file.name.endswith(".requests.jsonl")
    lines = rows(file)
    assert [line["custom_id"] for line in lines] == [entry.request_id for entry in plan.entries]
    assert {(line["method"], line["url"]) for line in lines} == {("POST", "/v1/chat/completions")}
    body = lines[0]["body"]
    assert (body["model"], body["temperature"], body["enable_thinking"]) == ("mock", 0.5, False)
    assert body["messages"][-1]["content"] == plan.entries[0].request.messages[-1].content
    assert dict(state.waiting) == {"mock": len(lines)} == dict(state.written)
    assert not state.complete
    assert state.open_files == (file,)


def test_what_waits_is_not_written_again(study: Study, tmp_path: Path) -> None:
    """A second call before any result writes nothing."""
    step(study, tmp_path)
    again = step(study, tmp_path)
    assert again.files == ()
    assert again.finished.run.state == "stopped"


def test_results_join_the_study(study: Study, tmp_path: Path) -> None:
    """Results in any order and any number of files are kept, read and scored; then the run is done."""
    (file,) = step(study, tmp_path).files
    lines = rows(file)
    half = len(lines) // 2
    (tmp_path / "second.jsonl").write_text(
        "".join(result(row, "回复2更好。") for row in reversed(lines[half:])), encoding="utf-8"
    )
    state = step(study, tmp_path)
    assert state.finished.progress.calls == len(lines) - half
    assert dict(state.waiting) == {"mock": half}
    (tmp_path / "first.jsonl").write_text("".join(result(row) for row in lines[:half]), encoding="utf-8")
    state = step(study, tmp_path)
    assert state.complete
    assert state.finished.run.state == "done"
    outcomes = [outcome.outcome for outcome in outcomes_of(study, state.finished.run.name)]
    assert sorted(outcomes) == ["1"] * half + ["2"] * (len(lines) - half)
    assert step(study, tmp_path).finished.progress.calls == 0
    assert study.counts()["response"] == len(lines)


def test_what_a_live_run_answered_is_not_written(study: Study, tmp_path: Path) -> None:
    """The same study, the same resume: a batch asks only what no run has answered."""
    from cvalues.workflows.run import execute

    with ChatServer(lambda _body, _n: "回复1更好。") as server:
        execute(planned(4, server.url), study)
        state = step(study, tmp_path, planned(8, server.url))
        assert sum(state.written.values()) == len(state.finished.plan.entries) - server.total


def test_errors_are_attempts_and_asked_again(study: Study, tmp_path: Path) -> None:
    """A failed line is a failed call with its reason; the request is written once more, and its later reply counts."""
    (file,) = step(study, tmp_path).files
    first, second, third, *rest = rows(file)
    body = (
        result(first, "bad things", 400)
        + expired(second)
        + result(third, "content_filter", 400).replace('"x"', '"content_filter"')
    )
    (tmp_path / "out.jsonl").write_text(body + "".join(result(row) for row in rest), encoding="utf-8")
    state = step(study, tmp_path)
    assert state.finished.progress.failed == 2
    assert {row["custom_id"] for row in rows(state.files[0])} == {first["custom_id"], second["custom_id"]}
    failures = study.failures(state.finished.run.name)
    assert "bad things" in failures[first["custom_id"]].detail
    assert "batch_expired" in failures[second["custom_id"]].detail
    quiet = step(study, tmp_path)
    assert (quiet.files, quiet.finished.progress.failed) == ((), 0)
    (tmp_path / "out2.jsonl").write_text(result(first) + result(second, number=2), encoding="utf-8")
    done = step(study, tmp_path)
    assert done.complete
    outcomes = [outcome.outcome for outcome in outcomes_of(study, done.finished.run.name)]
    assert outcomes.count("blocked") == 1
    assert outcomes.count("1") == len(outcomes) - 1


def test_a_file_full_of_errors_is_read_to_its_end(study: Study, tmp_path: Path) -> None:
    """Fifty refused lines do not keep the replies after them from being collected."""
    plan = planned(60)
    (file,) = step(study, tmp_path, plan).files
    lines = rows(file)
    body = "".join(result(row, "no", 401) for row in lines[:50]) + "".join(result(row) for row in lines[50:])
    (tmp_path / "out.jsonl").write_text(body, encoding="utf-8")
    state = step(study, tmp_path, plan)
    assert state.finished.progress.failed == 50
    assert state.finished.progress.calls == len(lines) - 50


def test_torn_and_foreign_lines(study: Study, tmp_path: Path) -> None:
    """A torn line, a line of another run, a blank line and a doubled file are counted or ignored, and lose nothing."""
    (file,) = step(study, tmp_path).files
    lines = rows(file)
    whole = "".join(result(row) for row in lines)
    foreign = result({"custom_id": "b2:" + "0" * 32})
    (tmp_path / "out.jsonl").write_text(foreign + "\n\n" + whole + '{"custom_id": "b2:1", "resp', encoding="utf-8")
    (tmp_path / "out-copy.jsonl").write_text(whole + "[1, 2]\n", encoding="utf-8")
    state = step(study, tmp_path)
    assert state.complete
    assert state.foreign == 1
    assert sorted(state.torn) == [
        f"{tmp_path / 'out-copy.jsonl'}:{len(lines) + 1}",
        f"{tmp_path / 'out.jsonl'}:{len(lines) + 4}",
    ]


def test_a_doubled_error_is_one_error(study: Study, tmp_path: Path) -> None:
    """The same result file under two names does not make a request look answered twice, so that it would be lost or asked anew."""
    (file,) = step(study, tmp_path).files
    lines = rows(file)
    for name in ("a.jsonl", "b.jsonl"):
        (tmp_path / name).write_text("".join(result(row, "no", 500) for row in lines), encoding="utf-8")
    state = step(study, tmp_path)
    assert sum(state.written.values()) == len(lines)
    assert step(study, tmp_path).files == ()


def test_files_that_are_not_ours(study: Study, tmp_path: Path) -> None:
    """A damaged file of requests or manifest is named with what to do."""
    (file,) = step(study, tmp_path).files
    file.write_text("{", encoding="utf-8")
    with pytest.raises(DataError, match=r"requests\.jsonl:1: is no batch request"):
        step(study, tmp_path)
    file.unlink()
    (tmp_path / "batches.json").write_text("{", encoding="utf-8")
    with pytest.raises(DataError, match=r"batches\.json: .*lists the batches"):
        step(study, tmp_path)


def test_built_in_models_take_no_batch(study: Study, tmp_path: Path) -> None:
    """A model that is no server is refused before anything is written."""
    with pytest.raises(UsageError, match="takes no batch files"):
        step(study, tmp_path / "b", make_plan(RunOptions(sets=("starter-choice",), models=("baseline:first",))))
    assert not (tmp_path / "b").exists()


def test_a_folder_that_cannot_be_made(study: Study, tmp_path: Path) -> None:
    """A file where the folder should be is named with what to do, before the run is in the study."""
    (tmp_path / "b").write_text("", encoding="utf-8")
    with pytest.raises(DataError, match=r"b: cannot be written .*choose another folder"):
        step(study, tmp_path / "b")
    assert not study.runs()


def test_most_bounds_what_is_written(study: Study, tmp_path: Path) -> None:
    """--max-calls bounds the lines of a call, and what was held back is written by the next one."""
    first = step(study, tmp_path, most=2)
    assert sum(first.written.values()) == 2
    second = step(study, tmp_path)
    assert sum(second.written.values()) == len(second.finished.plan.entries) - 2
    assert len(second.open_files) == 2


def test_files_stay_within_the_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file holds at most so many lines and bytes; a line that is larger alone has a file of its own."""
    monkeypatch.setattr(batch_files, "MOST_LINES", 3)
    monkeypatch.setattr(batch_files, "MOST_BYTES", 10)
    lines = [
        ("a", b"1234"),
        ("b", b"1234"),
        ("c", b"1234"),
        ("d", b"x" * 30),
        ("e", b"1"),
        ("f", b"1"),
        ("g", b"1"),
        ("h", b"1"),
    ]
    assert [ids for ids, _ in parts(lines)] == [["a", "b"], ["c"], ["d"], ["e", "f", "g"], ["h"]]
    assert b"".join(content for _, content in parts(lines)) == b"".join(line for _, line in lines)
    assert list(parts([])) == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=60), st.text(max_size=60).map(str.encode), st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.dictionaries(st.sampled_from(["custom_id", "response", "error", "status_code", "body", "a"]), inner, max_size=4),
    max_leaves=8,
).map(lambda value: json.dumps(value).encode())), max_size=8))  # fmt: skip
def test_any_file_can_be_read(tmp_path: Path, lines: list[bytes]) -> None:
    """Whatever stands in a result file is a result, torn or foreign; nothing raises."""
    file = tmp_path / "x.jsonl"
    file.write_bytes(b"\n".join(lines))
    found = read_results([file], {"a": None, "": None})
    assert set(found.found) <= {"a", ""}
    assert found.foreign >= 0


# --- submitted by us --------------------------------------------------------------------------------------------------------


class BatchServer:
    """The batch interface of a vendor on 127.0.0.1: files are kept, batches are answered when the test says so."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self.keys: set[str] = set()
        self.refuse = 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait(10)
        return self

    def __exit__(self, *_exc: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def finish(
        self, answer: Callable[[dict[str, Any]], str], status: str = "completed", *, errors: bool = False
    ) -> None:
        """Ends all batches that go on; `answer` makes each line."""
        for batch in self.batches.values():
            if batch["status"] == "in_progress":
                lines = [json.loads(line) for line in self.files[batch["input_file_id"]].splitlines()]
                name = f"file-out/{len(self.files)}"
                self.files[name] = "".join(answer(line) for line in lines).encode()
                batch |= {"status": status, "error_file_id" if errors else "output_file_id": name}

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = web.Application(client_max_size=64 << 20)
        server.router.add_post("/v1/files", self._upload)
        server.router.add_post("/v1/batches", self._create)
        server.router.add_get("/v1/batches/{id}", self._look)
        server.router.add_get("/v1/files/{id}/content", self._content)
        runner = web.AppRunner(server, access_log=None, shutdown_timeout=0.2)
        self._loop.run_until_complete(runner.setup())
        self._loop.run_until_complete(web.TCPSite(runner, "127.0.0.1", 0).start())
        self.port = runner.addresses[0][1]
        self._ready.set()
        self._loop.run_forever()
        self._loop.run_until_complete(runner.cleanup())
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    async def _upload(self, request: web.Request) -> web.Response:
        self.keys.add(request.headers.get("Authorization", ""))
        form = await request.post()
        assert form["purpose"] == "batch"
        field = form["file"]
        assert isinstance(field, web.FileField)
        name = f"file-{len(self.files)}"
        self.files[name] = field.file.read()
        return web.json_response({"id": name, "object": "file"})

    async def _create(self, request: web.Request) -> web.Response:
        if self.refuse:
            return web.json_response({"error": {"message": "no batches for you"}}, status=self.refuse)
        wanted = await request.json()
        assert wanted["endpoint"] == "/v1/chat/completions"
        assert wanted["input_file_id"] in self.files
        name = f"batch_{len(self.batches)}"
        self.batches[name] = {"id": name, "status": "in_progress", "input_file_id": wanted["input_file_id"]}
        return web.json_response(self.batches[name])

    async def _look(self, request: web.Request) -> web.Response:
        return web.json_response(self.batches[request.match_info["id"]])

    async def _content(self, request: web.Request) -> web.Response:
        return web.Response(body=self.files[request.match_info["id"]])


def test_submitted_and_collected_by_us(study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Upload, create, look, fetch: the key goes to the server and not into the folder; a running batch is not made twice."""
    monkeypatch.setenv("BATCH_KEY", "sk-123")
    models = tmp_path / "models.toml"
    with BatchServer() as server:
        models.write_text(
            f'[mine]\nendpoint = "openai:mock@{server.url}"\napi_key_env = "BATCH_KEY"\n', encoding="utf-8"
        )
        plan = planned(models=("mine",), models_file=str(models))
        folder = tmp_path / "b"
        first = step(study, folder, plan, submit=True)
        assert [batch.status for batch in first.batches] == ["in_progress"]
        assert first.open_files == ()
        assert step(study, folder, plan, submit=True).batches[0].status == "in_progress"
        assert len(server.batches) == 1
        server.finish(result)
        done = step(study, folder, plan, submit=True)
        assert done.complete
        assert server.keys == {"Bearer sk-123"}
        assert all("sk-123" not in file.read_text(encoding="utf-8") for file in folder.iterdir())
        assert step(study, folder, plan, submit=True).finished.progress.calls == 0


def test_an_expired_batch_is_made_anew(study: Study, tmp_path: Path) -> None:
    """What an expired or failed batch left without a line is written and submitted again, and only that."""
    with BatchServer() as server:
        plan = planned(url=server.url)
        step(study, tmp_path, plan, submit=True)
        kept: list[str] = []

        def half(row: dict[str, Any]) -> str:
            if len(kept) < 2:
                kept.append(row["custom_id"])
                return result(row)
            return ""

        server.finish(half, "expired")
        second = step(study, tmp_path, plan, submit=True)
        assert second.finished.progress.calls == 2
        assert sum(second.written.values()) == len(plan.entries) - 2
        assert [batch.status for batch in second.batches] == ["expired", "in_progress"]
        server.finish(expired, errors=True)
        third = step(study, tmp_path, plan, submit=True)
        assert third.finished.progress.failed == len(plan.entries) - 2
        assert len(server.batches) == 3
        server.finish(result)
        assert step(study, tmp_path, plan, submit=True).complete


def test_a_refused_batch_leaves_no_trace(study: Study, tmp_path: Path) -> None:
    """A server that refuses the batch fails with its reason; the next call submits the same file."""
    with BatchServer() as server:
        server.refuse = 403
        plan = planned(url=server.url)
        with pytest.raises(CallError, match="no batches for you"):
            step(study, tmp_path, plan, submit=True)
        server.refuse = 0
        state = step(study, tmp_path, plan, submit=True)
        assert [batch.status for batch in state.batches] == ["in_progress"]
        assert len(list(tmp_path.glob("*.requests.jsonl"))) == 1


def test_an_interrupted_submission_is_not_repeated(study: Study, tmp_path: Path) -> None:
    """A batch of which nobody knows whether it was made is not made twice; the message says what to look at."""
    with BatchServer() as server:
        plan = planned(url=server.url)
        (file,) = step(study, tmp_path, plan).files
        (tmp_path / "batches.json").write_text(
            json.dumps([{"file": file.name, "model": "mock", "status": "submitting"}])
        )
        with pytest.raises(UsageError, match="its submission was interrupted"):
            step(study, tmp_path, plan, submit=True)
        assert server.batches == {}


# --- the command line ---------------------------------------------------------------------------------------------------------


def invoke(folder: Path, *arguments: str, code: int = 0) -> Any:
    """Runs `cvalues run starter-choice … --json` and returns its data."""
    common = [
        "run",
        "starter-choice",
        "-m",
        f"openai:mock@{NOWHERE}",
        "--limit",
        "4",
        "--study",
        str(folder / "s.db"),
        "--json",
    ]
    done = CliRunner().invoke(app, [*common, *arguments])
    assert done.exit_code == code, done.output
    return json.loads(done.stdout)


def test_the_command(tmp_path: Path) -> None:
    """The first call writes, the second waits, and the one after the results prints the scores of a finished run."""
    batch = ["--engine", "batch", "--batch-dir", str(tmp_path / "b")]
    first = invoke(tmp_path, *batch)
    (file,) = first["files"]
    assert first["batch"][0]["waiting"] == 4
    assert invoke(tmp_path, *batch)["files"] == []
    (tmp_path / "b" / "out.jsonl").write_text("".join(result(row) for row in rows(Path(file))), encoding="utf-8")
    done = invoke(tmp_path, *batch)
    assert done["scores"]
    assert done["models"]["mock"]["cached"] == 4


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["--engine", "bach"], "unknown engine 'bach'; did you mean batch"),
        (["--engine", "batch"], "name it with --batch-dir"),
        (["--engine", "batch", "--batch-dir", "b", "--trial", "2"], "do not go with --engine batch"),
    ],
)
def test_options_that_do_not_fit(arguments: list[str], match: str, tmp_path: Path) -> None:
    """An engine that does not exist, a missing folder and a trial say what to do."""
    common = ["run", "starter-choice", "-m", f"openai:mock@{NOWHERE}", "--study", str(tmp_path / "s.db")]
    done = CliRunner().invoke(app, [*common, *arguments])
    assert isinstance(done.exception, CValuesError)
    assert match in str(done.exception)
