"""Checks a study from top to bottom: hashes, references, and state against facts."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa

from cvalues.records import canonical, content_hash
from cvalues.schema import Audit, Choice, Prompt, Record, Request, Response, Run, Verdict, response_id
from cvalues.study import ledger, tables
from cvalues.study.store import Study

_MOST = 100


class Fault(Record, frozen=True, kw_only=True):
    """One thing that does not hold."""

    table: str
    id: str
    problem: str


class Verification(Record, frozen=True, kw_only=True):
    """What `verify` found: how many records were checked, and the faults, at most 100 of each kind."""

    records: int
    faults: tuple[Fault, ...]

    @property
    def sound(self) -> bool:
        """True when nothing was found."""
        return not self.faults


def verify(study: Study) -> Verification:
    """Returns what does not hold in a study; records 0 and no fault for an empty one.

    Checked are: the database's own integrity (SQLite), that every id is the hash of its record, that every ask has its item and
    request, every response its request, every verdict its response, and that a run that is `done` has all its responses. Of people's
    work: that every answer and decision says what its columns say, and that no line of the ledger was changed or taken out.
    """
    faults: list[Fault] = []
    with study.reading() as connection:
        if connection.dialect.name == "sqlite":
            result = connection.exec_driver_sql("PRAGMA quick_check").scalar()
            if result != "ok":
                faults.append(Fault(table="", id="", problem=f"the database file is damaged: {result}"))
        records = _hashes(connection, faults)
        _references(connection, faults)
        _runs(connection, faults)
        records += _people(connection, faults)
    return Verification(records=records, faults=tuple(faults))


def _hashes(connection: sa.Connection, faults: list[Fault]) -> int:
    kinds: dict[str, type[Record]] = {"prompt": Prompt, "choice": Choice}
    count = 0
    for row in connection.execution_options(yield_per=1000).execute(sa.select(tables.item)):
        count += 1
        _expect(
            faults, "item", row.hash, lambda row=row: content_hash(msgspec.json.decode(row.body, type=kinds[row.kind]))
        )
    for row in connection.execute(sa.select(tables.request)):
        count += 1
        _expect(faults, "request", row.id, lambda row=row: msgspec.json.decode(row.body, type=Request).id)
    for row in connection.execute(sa.select(tables.response)):
        count += 1
        _expect(
            faults, "response", row.id, lambda row=row: response_id(msgspec.json.decode(row.body, type=Response).origin)
        )
    for row in connection.execute(sa.select(tables.verdict)):
        count += 1
        _expect(faults, "verdict", row.id, lambda row=row: msgspec.json.decode(row.body, type=Verdict).id)
    for row in connection.execute(sa.select(tables.audit)):
        count += 1
        _expect(faults, "audit", row.id, lambda row=row: msgspec.json.decode(row.body, type=Audit).id)
    return count


def _expect(faults: list[Fault], table: str, id_: str, derive) -> None:  # type: ignore[no-untyped-def]
    try:
        found = derive()
    except (msgspec.DecodeError, KeyError) as error:
        faults.append(Fault(table=table, id=id_, problem=f"the record cannot be read: {error}"))
        return
    if found != id_:
        faults.append(Fault(table=table, id=id_, problem=f"its id is not the hash of its record, which is {found}"))


def _references(connection: sa.Connection, faults: list[Fault]) -> None:
    t = tables
    checks = (
        ("asked", t.asked.c.ask, t.asked.c.item, t.item.c.hash, "item"),
        ("asked", t.asked.c.ask, t.asked.c.request, t.request.c.id, "request"),
        ("response", t.response.c.id, t.response.c.request, t.request.c.id, "request"),
        ("attempt", t.attempt.c.id, t.attempt.c.request, t.request.c.id, "request"),
        ("verdict", t.verdict.c.id, t.verdict.c.subject, t.response.c.id, "response"),
        ("asked", t.asked.c.ask, t.asked.c.run, t.run.c.name, "run"),
    )
    for table, key, reference, target, what in checks:
        query = (
            sa.select(key, reference).where(reference.is_not(None), reference.not_in(sa.select(target))).limit(_MOST)
        )
        faults += [
            Fault(table=table, id=str(row[0]), problem=f"refers to a {what} that is not here: {row[1]}")
            for row in connection.execute(query)
        ]


def _people(connection: sa.Connection, faults: list[Fault]) -> int:
    count = 0
    columns = {"submission": ("id", "campaign", "task", "person", "rev", "slot", "received"),
               "adjudication": ("id", "campaign", "task", "person", "rev", "received")}  # fmt: skip
    for table in (tables.submission, tables.adjudication):
        for row in connection.execution_options(yield_per=1000).execute(sa.select(table)):
            count += 1
            try:
                body = msgspec.json.decode(row.body)
            except msgspec.DecodeError as error:
                faults.append(Fault(table=table.name, id=row.id, problem=f"the record cannot be read: {error}"))
                continue
            wrong = [name for name in columns[table.name] if body.get(name) != getattr(row, name)]
            if wrong or canonical(body).decode() != row.body:
                what = ", ".join(wrong or ["form"])
                faults.append(Fault(table=table.name, id=row.id, problem=f"its record and its columns differ: {what}"))
    count += connection.execute(sa.select(sa.func.count()).select_from(tables.ledger)).scalar_one()
    for number, found in enumerate(ledger.breaks(connection)):
        if number < _MOST:
            problem = f"the chain of the ledger is broken here: expected {found.expected}, found {found.found}"
            faults.append(Fault(table="ledger", id=found.place, problem=problem))
    return count


def _runs(connection: sa.Connection, faults: list[Fault]) -> None:
    answered = sa.select(tables.response.c.request).where(tables.response.c.request.is_not(None))
    for row in connection.execute(sa.select(tables.run)):
        run = msgspec.json.decode(row.body, type=Run)
        if run.state != row.state:
            faults.append(
                Fault(
                    table="run", id=row.name, problem=f"is '{row.state}' in one column and '{run.state}' in its record"
                )
            )
        count = sa.select(sa.func.count()).select_from(tables.asked)
        open_ = connection.execute(
            count.where(tables.asked.c.run == row.name, tables.asked.c.request.not_in(answered))
        ).scalar_one()
        if row.state == "done" and open_:
            faults.append(Fault(table="run", id=row.name, problem=f"is done, but {open_} asks have no response"))
