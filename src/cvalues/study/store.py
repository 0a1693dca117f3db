"""The study store: plans, claims, responses, attempts, verdicts and runs in one database.

Writers take the write lock at the start of a transaction and hold it for milliseconds; every method that writes is one
transaction. A fact that exists already is left as it is (insert or ignore), so that every write may be repeated.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa

from cvalues.errors import ChangedData, StudyError, unknown_name
from cvalues.frames import Shown
from cvalues.records import canonical
from cvalues.schema import Attempt, Audit, Choice, Prompt, Request, Response, Run, Verdict
from cvalues.study import engine as engines
from cvalues.study import tables
from cvalues.study.database import Database
from cvalues.study.rows import (
    Asked,
    Planned,
    Received,
    asked_row,
    attempt_row,
    item_row,
    response_row,
    verdict_row,
)

CLAIM_SECONDS = 60.0
"""A claim whose process has been silent for so long is free again."""

_PROMPT = msgspec.json.Decoder(Prompt)
_CHOICE = msgspec.json.Decoder(Choice)
_REQUEST = msgspec.json.Decoder(Request)
_RESPONSE = msgspec.json.Decoder(Response)
_RUN = msgspec.json.Decoder(Run)
_VERDICT = msgspec.json.Decoder(Verdict)
_AUDIT = msgspec.json.Decoder(Audit)
_ATTEMPT = msgspec.json.Decoder(Attempt)


class Study(Database, Shown):
    """An open study. Use `open_study`; close it, or use it as a context manager. As a data frame, one row per run."""

    # --- runs ---------------------------------------------------------------------------------------------------------

    def runs(self) -> list[Run]:
        """Returns all runs, oldest first; empty for a new study."""
        with self.reading() as connection:
            rows = connection.execute(sa.select(tables.run.c.body).order_by(tables.run.c.start, tables.run.c.name))
            return [_RUN.decode(row.body) for row in rows]

    def frame_rows(self) -> list[dict[str, Any]]:
        """Returns one row per run, oldest first."""
        return [
            {
                "name": run.name, "kind": run.kind, "sets": ", ".join(ref.name for ref in run.sets),
                "items": sum(ref.items for ref in run.sets), "models": ", ".join(run.models), "state": run.state,
                "start": run.start, "end": run.end,
            }
            for run in self.runs()
        ]  # fmt: skip

    def run(self, name: str) -> Run:
        """Returns the run with this name; `latest` is the measurement that started last. Raises UsageError when there is none."""
        known = self.runs()
        for run in known:
            if run.name == name:
                return run
        measured = [run for run in known if run.kind != "judge"]
        if name == "latest" and measured:
            return measured[-1]
        raise unknown_name("run", name, [run.name for run in measured])

    def start_run(self, run: Run) -> Run:
        """Records a run, or takes up the one with this name when it asks the same sets with the same settings.

        Returns:
            The run as it stands in the study, in state `running`.

        Raises:
            ChangedData: a set of this name has another content now; the message gives both hashes.
            StudyError: the name is taken by a run with other settings or models.
        """
        with self.writing() as connection:
            body = connection.execute(sa.select(tables.run.c.body).where(tables.run.c.name == run.name)).scalar()
            if body is not None:
                before = _RUN.decode(body)
                _same_plan(before, run, engines.hide_password(self.where))
                run = msgspec.structs.replace(run, start=before.start)
            values = {"state": run.state, "start": run.start, "end": run.end, "body": canonical(run).decode()}
            if body is None:
                connection.execute(sa.insert(tables.run).values(name=run.name, **values))
            else:
                connection.execute(sa.update(tables.run).where(tables.run.c.name == run.name).values(**values))
        return run

    def end_run(self, run: Run) -> None:
        """Records the state and end of a run."""
        values = {"state": run.state, "end": run.end, "body": canonical(run).decode()}
        with self.writing() as connection:
            connection.execute(sa.update(tables.run).where(tables.run.c.name == run.name).values(**values))

    # --- plan ---------------------------------------------------------------------------------------------------------

    def plan(self, run: Run, planned: Sequence[Planned], items: Mapping[str, Prompt | Choice]) -> None:
        """Records what a run asks: its items (by content hash), its requests, and which request serves which ask. May be repeated."""
        count = sa.select(sa.func.count()).select_from(tables.asked).where(tables.asked.c.run == run.name)
        with self.reading() as connection:
            done = connection.execute(count).scalar_one()
        if done == len(planned):
            return
        item_rows = [item_row(key, item) for key, item in items.items()]
        requests = {
            entry.request_id: {
                "id": entry.request_id,
                "model": entry.request.model,
                "mode": entry.request.mode,
                "body": canonical(entry.request).decode(),
            }
            for entry in planned
        }
        asked = [asked_row(run.name, position, entry) for position, entry in enumerate(planned)]
        with self.writing() as connection:
            self.add(connection, tables.item, item_rows)
            self.add(connection, tables.request, list(requests.values()))
            self.add(connection, tables.asked, asked)

    def asked(self, run: str) -> list[Asked]:
        """Returns the rows of a run in plan order; empty when nothing was planned."""
        t = tables.asked.c
        query = (
            sa.select(t.model, t.ask, t.position, t.item, t.subject, t.ord, t.sample, t.template, t.request)
            .where(t.run == run)
            .order_by(t.position)
        )
        with self.reading() as connection:
            return [Asked(*row) for row in connection.execute(query)]

    def items(self, run: str) -> dict[str, Prompt | Choice]:
        """Returns the prompts and choices of a run by their content hash."""
        wanted = sa.select(tables.asked.c.item).where(tables.asked.c.run == run).distinct()
        query = sa.select(tables.item).where(tables.item.c.hash.in_(wanted))
        found: dict[str, Prompt | Choice] = {}
        with self.reading() as connection:
            for row in connection.execute(query):
                found[row.hash] = _PROMPT.decode(row.body) if row.kind == "prompt" else _CHOICE.decode(row.body)
        return found

    def every_item(self) -> Iterator[Prompt | Choice]:
        """Yields every prompt and choice of all runs, once; nothing for a new study."""
        with self.reading() as connection:
            rows = connection.execution_options(yield_per=1000).execute(
                sa.select(tables.item.c.kind, tables.item.c.body)
            )
            for row in rows:
                yield _PROMPT.decode(row.body) if row.kind == "prompt" else _CHOICE.decode(row.body)

    def requests(self, run: str) -> dict[str, Request]:
        """Returns the requests of a run by id."""
        wanted = sa.select(tables.asked.c.request).where(tables.asked.c.run == run).distinct()
        query = sa.select(tables.request.c.id, tables.request.c.body).where(tables.request.c.id.in_(wanted))
        with self.reading() as connection:
            return {row.id: _REQUEST.decode(row.body) for row in connection.execute(query)}

    # --- claims -------------------------------------------------------------------------------------------------------

    def claim(self, run: str, requests: Sequence[str]) -> tuple[list[str], list[str]]:
        """Claims requests for this process.

        Returns:
            (claimed, busy): those that are ours to ask now, and those that a living process holds. What has a response
            already is in neither.
        """
        host, process, started = engines.this_process()
        now = time.time()
        with self.writing() as connection:
            answered = self._present(connection, tables.response.c.request, requests)
            open_requests = [request for request in requests if request not in answered]
            held, stale = self._claims(connection, open_requests, now)
            mine = [request for request in open_requests if request not in held]
            if mine:
                if stale:
                    connection.execute(sa.delete(tables.claim).where(self.among(tables.claim.c.request, stale)))
                row = {"run": run, "host": host, "process": process, "process_start": started, "heartbeat": now}
                self.add(connection, tables.claim, [{"request": request, **row} for request in mine])
        return mine, [request for request in open_requests if request in held]

    def _claims(self, connection: sa.Connection, requests: Sequence[str], now: float) -> tuple[set[str], list[str]]:
        """Returns (requests that another living process holds, requests whose claim is ours or nobody's any more)."""
        host, process, started = engines.this_process()
        alive: dict[tuple[int, str], bool] = {(process, started): False}
        held: set[str] = set()
        stale: list[str] = []
        for row in connection.execute(sa.select(tables.claim).where(self.among(tables.claim.c.request, requests))):
            owner = (row.process, row.process_start)
            if row.host == host:
                if owner not in alive:
                    alive[owner] = engines.process_alive(*owner)
                lives = alive[owner]
            else:
                lives = now - row.heartbeat < CLAIM_SECONDS
            if lives:
                held.add(row.request)
            else:
                stale.append(row.request)
        return held, stale

    def heartbeat(self) -> None:
        """Renews all claims of this process."""
        host, process, started = engines.this_process()
        c = tables.claim.c
        mine = (c.host == host) & (c.process == process) & (c.process_start == started)
        with self.writing() as connection:
            connection.execute(sa.update(tables.claim).where(mine).values(heartbeat=time.time()))

    def release(self, requests: Sequence[str]) -> None:
        """Gives claims back, for example of calls that were cancelled."""
        host, process, _ = engines.this_process()
        c = tables.claim.c
        mine = self.among(c.request, requests) & (c.host == host) & (c.process == process)
        with self.writing() as connection:
            connection.execute(sa.delete(tables.claim).where(mine))

    # --- facts --------------------------------------------------------------------------------------------------------

    def record(
        self, received: Sequence[Received], attempts: Sequence[Attempt] = (), verdicts: Sequence[Verdict] = ()
    ) -> None:
        """Writes finished calls, failed attempts and verdicts in one transaction and frees the claims of what is finished."""
        finished = [entry.request for entry in received] + [attempt.request for attempt in attempts if attempt.final]
        with self.writing() as connection:
            self.add(connection, tables.response, [response_row(entry) for entry in received])
            self.add(connection, tables.attempt, [attempt_row(attempt) for attempt in attempts])
            self.add(connection, tables.verdict, [verdict_row(verdict) for verdict in verdicts])
            if finished:
                connection.execute(sa.delete(tables.claim).where(self.among(tables.claim.c.request, finished)))

    def add_verdicts(self, verdicts: Iterable[Verdict]) -> None:
        """Writes verdicts; those that stand already are left as they are."""
        rows = [verdict_row(verdict) for verdict in verdicts]
        if rows:
            with self.writing() as connection:
                self.add(connection, tables.verdict, rows)

    def answered(self, requests: Sequence[str]) -> set[str]:
        """Returns those of the request ids that have a response."""
        with self.reading() as connection:
            return self._present(connection, tables.response.c.request, requests)

    def _present(self, connection: sa.Connection, column: sa.Column[Any], values: Sequence[str]) -> set[str]:
        return set(connection.execute(sa.select(column).where(self.among(column, values))).scalars())

    def responses(self, run: str) -> dict[str, Response]:
        """Returns the responses of a run by request id."""
        wanted = sa.select(tables.asked.c.request).where(tables.asked.c.run == run).distinct()
        c = tables.response.c
        with self.reading() as connection:
            rows = connection.execute(sa.select(c.request, c.body).where(c.request.in_(wanted)))
            return {row.request: _RESPONSE.decode(row.body) for row in rows}

    def failures(self, run: str) -> dict[str, Attempt]:
        """Returns the last final attempt of each request of a run that has no response."""
        wanted = sa.select(tables.asked.c.request).where(tables.asked.c.run == run).distinct()
        done = sa.select(tables.response.c.request).where(tables.response.c.request.is_not(None))
        c = tables.attempt.c
        query = (
            sa.select(c.request, c.body)
            .where(c.request.in_(wanted), c.request.not_in(done), c.final == 1)
            .order_by(c.id)
        )
        with self.reading() as connection:
            return {row.request: _ATTEMPT.decode(row.body) for row in connection.execute(query)}

    def verdicts(self, run: str, criterion: str, rater: str | None = None) -> dict[str, Verdict]:
        """Returns by first response id the verdicts of one criterion on the responses of a run, of one rater or of all.

        Where there are several on a response, the latest stands.
        """
        return {verdict.subject[0]: verdict for verdict in self.all_verdicts(run, criterion, rater)}

    def all_verdicts(self, run: str, criterion: str, rater: str | None = None) -> list[Verdict]:
        """Returns the verdicts of one criterion on the responses of a run, oldest first, of one rater or of all."""
        c = tables.verdict.c
        of_run = (
            sa.select(tables.response.c.id)
            .join(tables.asked, tables.asked.c.request == tables.response.c.request)
            .where(tables.asked.c.run == run)
        )
        query = sa.select(c.subject, c.body).where(c.criterion == criterion, c.subject.in_(of_run)).order_by(c.time)
        if rater is not None:
            query = query.where(c.rater == rater)
        with self.reading() as connection:
            return [_VERDICT.decode(row.body) for row in connection.execute(query)]

    def note(self, audit: Audit) -> None:
        """Records something that a reader of this study's results must know."""
        row = {
            "id": audit.id,
            "verb": audit.verb,
            "object": audit.object,
            "time": audit.time,
            "body": canonical(audit).decode(),
        }
        with self.writing() as connection:
            self.add(connection, tables.audit, [row])

    def audits(self) -> list[Audit]:
        """Returns what was noted, oldest first; empty for most studies."""
        with self.reading() as connection:
            rows = connection.execute(sa.select(tables.audit.c.body).order_by(tables.audit.c.time))
            return [_AUDIT.decode(row.body) for row in rows]

    def counts(self) -> dict[str, int]:
        """Returns the number of rows of every table."""
        with self.reading() as connection:
            return {
                table.name: connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
                for table in (*tables.FACTS, *tables.STATE)
            }


def open_study(where: str | Path = "study.db", *, create: bool = True) -> Study:
    """Opens a study, creating or migrating it when needed.

    Args:
        where: path of a SQLite file or a PostgreSQL URL.
        create: whether a missing study may be made.

    Raises:
        StudyError: it is missing, unwritable, locked, not a study, or of a newer version.
    """
    if not engines.is_url(where) and not create and not Path(where).exists():
        raise StudyError(f"{where}: no such study; start one with  cvalues run  or give its path with --study")
    engine = engines.connect(where)
    engines.migrate(engine, where, create=create)
    return Study(engine, where)


def _same_plan(before: Run, now: Run, where: str) -> None:
    if before.sets != now.sets:
        old = {ref.name: ref.hash for ref in before.sets}
        for ref in now.sets:
            if ref.name in old and old[ref.name] != ref.hash:
                raise ChangedData(
                    f"{where}: the data of '{ref.name}' changed under run '{now.name}': it was started with {old[ref.name]}, "
                    f"the file is {ref.hash} now; restore the file, or measure the new one under another --name"
                )
    differs = [
        field for field in ("kind", "sets", "models", "settings") if getattr(before, field) != getattr(now, field)
    ]
    if differs:
        raise StudyError(
            f"{where}: run '{now.name}' exists with other {', '.join(differs)}; "
            "repeat its command to continue it, or give this one another --name"
        )
