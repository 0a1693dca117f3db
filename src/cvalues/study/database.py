"""Connections to the database of a study, and inserts that leave what exists as it is.

Writers take the write lock at the start of a transaction and hold it for milliseconds. Inserts go to the driver with a statement
that is compiled once (docs/decisions/0003).
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError

from cvalues.study import engine as engines

_ROWS = (32, 8, 1)
"""Rows of one INSERT statement on SQLite, the largest that fits first."""


class Database:
    """An open database. Close it, or use it as a context manager."""

    def __init__(self, engine: sa.Engine, where: str | Path) -> None:
        """Wraps an engine whose schema is at the current revision."""
        self.engine = engine
        self.where = where
        self._statements: dict[tuple[str, tuple[str, ...]], tuple[str, list[str] | None]] = {}
        self._returning: dict[str, sa.Executable] = {}
        self._insert = sqlite.insert if engine.dialect.name == "sqlite" else postgresql.insert

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes all connections."""
        self.engine.dispose()

    @contextlib.contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """Gives a connection with one consistent view; database failures become StudyError."""
        with self._connected() as connection:
            yield connection

    @contextlib.contextmanager
    def glancing(self) -> Iterator[sa.Connection]:
        """Gives a connection for a few quick reads, each of which sees what is committed at its own moment; failures become StudyError.

        PostgreSQL needs no transaction for this, which spares it two of three messages.
        """
        alone = {"isolation_level": "AUTOCOMMIT"} if self.engine.dialect.name == "postgresql" else {}
        with self._connected(**alone) as connection:
            yield connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """Gives a connection inside one write transaction, committed at the end; database failures become StudyError."""
        with self._connected(write=True) as connection:
            yield connection
            connection.commit()

    @contextlib.contextmanager
    def _connected(self, **options: Any) -> Iterator[sa.Connection]:
        try:
            with self.engine.connect().execution_options(**options) as connection:
                yield connection
        except DBAPIError as error:
            raise engines.translate(error, self.where) from error

    def add(self, connection: sa.Connection, table: sa.Table, rows: list[dict[str, Any]]) -> None:
        """Inserts rows into a table inside a transaction, leaving rows that exist as they are. All rows have the same fields."""
        if not rows:
            return
        # The driver is called with the compiled statement: SQLAlchemy's work per row would cost more than the database's.
        statement, names = self._compiled(table, tuple(rows[0]))
        if names is None:
            connection.exec_driver_sql(statement, rows)
            return
        values = [tuple([row[name] for name in names]) for row in rows]
        one = f"({', '.join('?' * len(names))})"
        start = 0
        for size in _ROWS:
            # sqlite3 lets go of the interpreter lock once per statement: many rows in one spare the event loop's thread.
            many = statement.replace(f"VALUES {one}", f"VALUES {', '.join([one] * size)}")
            while len(values) - start >= size:
                connection.exec_driver_sql(many, tuple(itertools.chain.from_iterable(values[start : start + size])))
                start += size

    def put(self, connection: sa.Connection, table: sa.Table, row: dict[str, Any]) -> sa.Row[Any] | None:
        """Inserts a row inside a transaction and returns it; None where it exists, which is left as it is."""
        if table.name not in self._returning:
            self._returning[table.name] = self._insert(table).on_conflict_do_nothing().returning(table)
        found: sa.Row[Any] | None = connection.execute(self._returning[table.name], row).first()
        return found

    def _compiled(self, table: sa.Table, fields: tuple[str, ...]) -> tuple[str, list[str] | None]:
        """Returns the insert of these fields as the driver takes it, with the order of its values where it takes a sequence."""
        key = (table.name, fields)
        if key not in self._statements:
            insert = self._insert(table).values(dict.fromkeys(fields)).on_conflict_do_nothing()
            compiled = insert.compile(dialect=self.engine.dialect)
            self._statements[key] = (str(compiled), compiled.positiontup)
        return self._statements[key]

    def among(self, column: sa.Column[str], values: Sequence[str]) -> sa.ColumnElement[bool]:
        """Returns the condition that a column is one of many values, sent as one parameter however many they are."""
        if self.engine.dialect.name == "sqlite":
            listed = sa.func.json_each(msgspec.json.encode(values).decode()).table_valued("value")
            return column.in_(sa.select(listed.c.value))
        return column == sa.any_(sa.literal(list(values), postgresql.ARRAY(sa.String)))
