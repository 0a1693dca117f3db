"""`cvalues run --engine batch`: a plan as offline batch files. Write, submit by the user or by us, collect; same study, same resume.

A folder holds everything: `….requests.jsonl` are what we wrote, `batches.json` what we submitted, every other `.jsonl` is read as results.
A request waits while files ask for it more often than results came for it; what waits is not written again.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from cvalues.endpoints.base import Endpoint
from cvalues.endpoints.batch_files import (
    OVER,
    Batch,
    BatchClient,
    ResultEndpoint,
    Results,
    asked_in,
    line_of,
    parts,
    read_results,
)
from cvalues.endpoints.http import HttpEndpoint
from cvalues.errors import CallError, DataError, UsageError
from cvalues.records import make_folder, now, open_bytes, write_atomically
from cvalues.runner import Progress
from cvalues.schema import Run, Table
from cvalues.study import Planned, Study
from cvalues.workflows.plan import Plan
from cvalues.workflows.run import Finished, drive, read_run

ENGINES = ("batch", "batch-submit")
REQUESTS = ".requests.jsonl"
MANIFEST = "batches.json"
_SLUG = 60


@dataclass(frozen=True)
class BatchState:
    """Where a run by batch files stands after a call."""

    finished: Finished
    waiting: Mapping[str, int]
    """Requests per model that stand in files without a result."""
    written: Mapping[str, int]
    """Requests per model that this call wrote."""
    files: tuple[Path, ...]
    """Files of requests that this call wrote."""
    open_files: tuple[Path, ...]
    """Files of requests that were not submitted by us and have requests that wait."""
    batches: tuple[Batch, ...]
    """What was submitted by us."""
    foreign: int
    torn: tuple[str, ...]
    left: int
    """Requests without an answer."""

    @property
    def complete(self) -> bool:
        """Whether every request is answered."""
        return self.left == 0

    def table(self) -> Table:
        """Returns one row per model: planned, answered, failed, waiting, written by this call."""
        plan, progress = self.finished.plan, self.finished.progress
        rows = []
        for name in plan.endpoints:
            ids = {entry.request_id for entry in plan.entries if entry.request.model == name}
            answered = len(self.finished.study.answered(list(ids)))
            failed = progress.models[name].failed
            rows.append((name, len(ids), answered, failed, self.waiting.get(name, 0), self.written.get(name, 0)))
        columns = ("model", "requests", "answered", "failed", "waiting", "written")
        return Table(title="Batch files", columns=columns, rows=tuple(rows))


def execute_batch(
    plan: Plan,
    study: Study,
    folder: Path,
    *,
    submit: bool = False,
    most: int | None = None,
    watch: Callable[[Progress], None] | None = None,
) -> BatchState:
    """Collects what results there are, writes what is still to ask, and says what waits.

    Args:
        plan: from `make_plan`; every model is an OpenAI-compatible server.
        study: where everything is kept.
        folder: of the batch files; made when it is not there.
        submit: upload files, create batches and fetch their results; without it the user does.
        most: most requests that this call writes.
        watch: called with the progress while results are kept.

    Raises:
        UsageError: a model is no OpenAI-compatible server, or a submission was interrupted.
        CallError: the server refused an upload, a batch or a download.
        DataError: the folder cannot be made, or a file of it cannot be read.
    """
    servers = _servers(plan.endpoints)
    make_folder(folder)
    run = study.start_run(plan.run)
    study.plan(run, plan.entries, plan.items)
    batches = _manifest(folder)
    if submit:
        asyncio.run(_fetch(folder, batches, servers))
    asked = {file: asked_in(file) for file in sorted(folder.glob("*" + REQUESTS))}
    known = {entry.request_id: entry for entry in plan.entries}
    results = read_results(_result_files(folder), known)
    waits = _waiting(asked, results, batches, folder)
    progress = _collect(plan, study, run, results, waits, servers, watch)
    files, written = _write(plan, study, folder, waits, most)
    asked |= {file: asked_in(file) for file in files}
    waits |= set().union(*(asked[file] for file in files)) if files else set()
    if submit:
        asyncio.run(_submit(folder, batches, servers, asked, known))
    done = study.answered(list(known))
    waits = (waits & set(known)) - done
    read_run(study, run.name, plan)
    state = "done" if len(done) == len(known) else "failed" if progress.failed and not waits else "stopped"
    run = msgspec.structs.replace(run, state=state, end=now())
    study.end_run(run)
    ours = {batch.file for batch in batches}
    return BatchState(
        finished=Finished(run, plan, study, progress),
        waiting=Counter(known[name].request.model for name in waits),
        written=written,
        files=tuple(files),
        open_files=tuple(file for file, ids in asked.items() if ids & waits and file.name not in ours),
        batches=tuple(batches),
        foreign=results.foreign,
        torn=results.torn,
        left=len(known) - len(done),
    )


def _servers(endpoints: Mapping[str, Endpoint]) -> dict[str, HttpEndpoint]:
    servers = {}
    for name, endpoint in endpoints.items():
        if not isinstance(endpoint, HttpEndpoint):
            raise UsageError(
                f"model '{name}' is no OpenAI-compatible server and takes no batch files; measure it in a run without --engine"
            )
        servers[name] = endpoint
    return servers


def _result_files(folder: Path) -> list[Path]:
    return [file for file in sorted(folder.glob("*.jsonl")) if not file.name.endswith(REQUESTS)]


def _manifest(folder: Path) -> list[Batch]:
    path = folder / MANIFEST
    if not path.exists():
        return []
    with open_bytes(path) as file:
        try:
            return msgspec.json.decode(file.read(), type=list[Batch])
        except msgspec.DecodeError as error:
            raise DataError(
                f"{path}: {error}; it lists the batches that were submitted; restore it or delete it"
            ) from error


def _keep(folder: Path, batches: list[Batch]) -> None:
    body = msgspec.json.format(msgspec.json.encode(batches), indent=2)
    write_atomically(folder / MANIFEST, lambda file: file.write(body))


def _waiting(asked: Mapping[Path, set[str]], results: Results, batches: list[Batch], folder: Path) -> set[str]:
    """Requests that stand in files more often than results came for them."""
    times = Counter(name for ids in asked.values() for name in ids)
    came = Counter(results.counts)
    for batch in batches:
        if not batch.over:
            continue
        # The vendor is through with this file: what has no line in its results is as good as answered by nothing.
        ids = asked.get(folder / batch.file, set())
        own = read_results(_own_results(folder, batch), dict.fromkeys(ids)).counts
        came.update(name for name in ids if name not in own)
    return {name for name, count in times.items() if count > came[name]}


def _own_results(folder: Path, batch: Batch) -> list[Path]:
    stem = batch.file.removesuffix(REQUESTS)
    return [path for kind in ("results", "errors") if (path := folder / f"{stem}.{kind}.jsonl").exists()]


def _collect(  # noqa: PLR0913, PLR0917 -- a step of execute_batch, which has gathered exactly these
    plan: Plan,
    study: Study,
    run: Run,
    results: Results,
    waits: set[str],
    servers: Mapping[str, HttpEndpoint],
    watch: Callable[[Progress], None] | None,
) -> Progress:
    """Keeps the results through the runner. An error of a request that was written again meanwhile is kept already."""
    chosen: list[Planned] = [
        entry
        for entry in plan.entries
        if (found := results.found.get(entry.request_id)) and (found.status == 200 or entry.request_id not in waits)
    ]
    endpoints: dict[str, Endpoint] = {name: ResultEndpoint(server, results.found) for name, server in servers.items()}
    return drive(study, run, chosen, endpoints, watch=watch)


def _write(
    plan: Plan, study: Study, folder: Path, waits: set[str], most: int | None
) -> tuple[list[Path], Mapping[str, int]]:
    """Writes what is neither answered nor waiting, model by model."""
    done = study.answered([entry.request_id for entry in plan.entries])
    todo = {
        entry.request_id: entry
        for entry in plan.entries
        if entry.request_id not in done and entry.request_id not in waits
    }
    files: list[Path] = []
    written: Counter[str] = Counter()
    left = len(todo) if most is None else most
    for name, endpoint in plan.endpoints.items():
        ours = [entry.request for entry in todo.values() if entry.request.model == name][:left]
        left -= len(ours)
        if not isinstance(endpoint, HttpEndpoint):
            continue
        lines = ((request.id, line_of(request, endpoint)) for request in ours)
        for ids, content in parts(lines):
            path = _free_name(folder, f"{plan.run.name}-{name}")
            write_atomically(path, lambda file, body=content: file.write(body))  # type: ignore[misc]
            files.append(path)
            written[name] += len(ids)
    return files, written


def _free_name(folder: Path, stem: str) -> Path:
    slug = "".join(char if char.isalnum() or char in "-_." else "-" for char in stem)[:_SLUG]
    number = 1
    while (path := folder / f"{slug}-{number:03d}{REQUESTS}").exists():
        number += 1
    return path


async def _fetch(folder: Path, batches: list[Batch], servers: Mapping[str, HttpEndpoint]) -> None:
    """Looks at every batch that is not over and fetches the files that it offers."""
    for batch in batches:
        server = servers.get(batch.model)
        if server is None or (batch.over and batch.fetched):
            continue
        if not batch.id:
            raise UsageError(
                f"{folder / batch.file}: its submission was interrupted. Look at the batches of the vendor: if it stands there, put "
                f"its id into {folder / MANIFEST}; if not, take its entry out of that file"
            )
        client = BatchClient(server)
        try:
            said = await client.look(batch)
            stem = batch.file.removesuffix(REQUESTS)
            status = str(said.get("status", ""))
            for kind, field in (("results", "output_file_id"), ("errors", "error_file_id")):
                file_id = said.get(field)
                if isinstance(file_id, str) and file_id and status in OVER:
                    body = await client.fetch(file_id)
                    write_atomically(folder / f"{stem}.{kind}.jsonl", lambda file, body=body: file.write(body))  # type: ignore[misc]
        finally:
            await client.close()
        batch.status = status
        batch.fetched = batch.over
        _keep(folder, batches)


async def _submit(
    folder: Path,
    batches: list[Batch],
    servers: Mapping[str, HttpEndpoint],
    asked: Mapping[Path, set[str]],
    known: Mapping[str, Planned],
) -> None:
    """Submits every file of requests of this plan that was not submitted yet."""
    ours = {batch.file for batch in batches}
    for file, ids in asked.items():
        models = {known[name].request.model for name in ids if name in known}
        if file.name in ours or len(models) != 1:
            continue
        batch = Batch(file=file.name, model=models.pop(), status="submitting")
        client = BatchClient(servers[batch.model])
        try:
            batch.input_file = await client.upload(file)
            batches.append(batch)
            _keep(folder, batches)  # before the batch exists, so that an interruption cannot make it twice
            batch.id, batch.status = await client.create(batch.input_file)
        except CallError as error:
            if error.status and batch in batches:
                batches.remove(batch)  # refused, so that there is no batch
            raise
        finally:
            await client.close()
            _keep(folder, batches)
