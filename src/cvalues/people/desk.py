"""The desk: an open study, a clock, and one fair write lock; every service takes one.

Make one `Desk` per study and process. Its writers queue first come, first served: one at a time on SQLite, whose own busy handler
lets a waiting writer starve for seconds, and a few on PostgreSQL. Other processes are kept apart by SQLite's lock, and by locked
rows on PostgreSQL.
A transaction that lost a race (a unique key, a deadlock) is repeated from its beginning, so `work` must have no effect outside it.
"""

from __future__ import annotations

import collections
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, IntegrityError

from cvalues.errors import StudyError
from cvalues.study import Study, ledger, tables
from cvalues.study import engine as engines

_T = TypeVar("_T")
_TRIES = 8
_WRITERS = 2
"""Transactions that one process writes to PostgreSQL at a time. More threads at work take the interpreter from each other at every
message to the server; each then holds its rows longer, and all wait for all (`benchmarks/people_load.py`: p95 of 161 ms without a
bound, 75 with 4, 45 with 2)."""
_AGAIN = {"40001", "40P01"}
"""PostgreSQL's codes of a serialisation failure and a deadlock."""


class FairLock:
    """A lock that is given to threads in the order in which they asked for it; so many as it has places hold it at a time."""

    def __init__(self, places: int = 1) -> None:
        """Makes a free lock."""
        self._mutex = threading.Lock()
        self._waiting: collections.deque[threading.Lock] = collections.deque()
        self._free = places

    def __enter__(self) -> None:
        with self._mutex:
            if self._free:
                self._free -= 1
                return
            gate = threading.Lock()
            gate.acquire()
            self._waiting.append(gate)
        try:
            gate.acquire()
        except BaseException:
            with self._mutex:
                waiting = gate in self._waiting
                if waiting:
                    self._waiting.remove(gate)
            if not waiting:  # it was handed to us in the same moment
                self.__exit__()
            raise

    def __exit__(self, *_exc: object) -> None:
        with self._mutex:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._free += 1


class Tx:
    """One write transaction: its connection, its moment, and the ledger rows that are written at its end."""

    def __init__(self, study: Study, connection: sa.Connection, now: float) -> None:
        """Begins with an empty page of the ledger."""
        self.study = study
        self.connection = connection
        self.now = now
        self.time = iso(now)
        self.lines: list[tuple[str, str, str, str, dict[str, Any]]] = []

    def log(self, actor: str, verb: str, what: str, **detail: Any) -> None:
        """Notes in the ledger who did what to what; ids and counts, never texts."""
        self.lines.append((self.time, actor, verb, what, detail))

    def add(self, table: sa.Table, rows: list[dict[str, Any]]) -> None:
        """Inserts rows, leaving those that exist as they are."""
        self.study.add(self.connection, table, rows)

    def put(self, table: sa.Table, **values: Any) -> sa.Row[Any] | None:
        """Inserts a row and returns it; None where it exists, which is left as it is."""
        return self.study.put(self.connection, table, values)

    def insert(self, table: sa.Table, **values: Any) -> None:
        """Inserts one row; a row that must not exist makes the transaction fail and be repeated."""
        self.connection.execute(sa.insert(table), values)

    def update(self, table: sa.Table, where: sa.ColumnElement[bool], **values: Any) -> int:
        """Changes rows of a state table and returns how many."""
        return self.connection.execute(sa.update(table).where(where).values(**values)).rowcount

    def first(self, query: sa.Select[Any], **values: Any) -> sa.Row[Any] | None:
        """Returns the first row, or None."""
        return self.connection.execute(query, values).first()

    def all(self, query: sa.Select[Any], **values: Any) -> list[sa.Row[Any]]:
        """Returns all rows."""
        return list(self.connection.execute(query, values))

    def flush(self) -> None:
        """Writes the ledger rows; the last thing in a transaction."""
        if self.lines and not ledger.append(self.connection, self.lines):
            begin_chain(self)
            ledger.append(self.connection, self.lines)


def begin_chain(tx: Tx, prefix: str = "a") -> None:
    """Makes the desk's row where there is none yet; `prefix` begins the pseudonyms of this study."""
    if tx.first(sa.select(tables.desk.c.id)) is None:
        chain = secrets.token_hex(8)
        tx.add(tables.desk, [{"id": 1, "chain": chain, "seq": 0, "head": "", "prefix": prefix, "people": 0}])


class Desk:
    """An open study as people work on it."""

    def __init__(self, study: Study, clock: Callable[[], float] = time.time) -> None:
        """Keeps the study and the clock (seconds since 1970)."""
        self.study = study
        self.clock = clock
        self._lock = FairLock(1 if study.engine.dialect.name == "sqlite" else _WRITERS)

    @property
    def now(self) -> float:
        """The moment, in seconds since 1970."""
        return self.clock()

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """Gives a connection with one consistent view."""
        with self.study.reading() as connection:
            yield connection

    @contextmanager
    def glancing(self) -> Iterator[sa.Connection]:
        """Gives a connection for a few quick reads, each of which sees what is committed at its own moment."""
        with self.study.glancing() as connection:
            yield connection

    def write(self, work: Callable[[Tx], _T]) -> _T:
        """Runs `work` in one write transaction, durable when this returns, and returns its result.

        Raises:
            StudyError: the database fails, or the transaction lost every race.
        """
        for trial in range(_TRIES):
            try:
                with self._lock:
                    return self._once(work)
            except IntegrityError as error:
                last: DBAPIError = error
            except DBAPIError as error:
                if getattr(error.orig, "sqlstate", None) not in _AGAIN:
                    raise engines.translate(error, self.study.where) from error
                last = error
            time.sleep(0.002 * trial)
        raise StudyError(
            f"{engines.hide_password(self.study.where)}: the same rows were changed by others {_TRIES} times in a row; try again"
        ) from last

    def _once(self, work: Callable[[Tx], _T]) -> _T:
        with self.study.engine.connect().execution_options(write=True) as connection:
            tx = Tx(self.study, connection, self.clock())
            result = work(tx)
            tx.flush()
            connection.commit()
            return result


def iso(seconds: float) -> str:
    """Returns a moment as ISO 8601 in UTC with milliseconds."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
