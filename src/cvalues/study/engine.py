"""Connections to a study's database: one code path for SQLite (a file, WAL) and PostgreSQL (a URL)."""

from __future__ import annotations

import os
import socket
import sqlite3
import time
from importlib import resources
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import DatabaseError, DBAPIError, InvalidatePoolError, NoSuchModuleError, OperationalError

from cvalues.errors import MissingExtra, StudyBusy, StudyError, StudyTooNew
from cvalues.study.migrations import HEAD, KNOWN

BUSY_SECONDS = 30.0
"""How long a writer waits for another process's write lock."""
IDLE_SECONDS = 5.0
"""How long a connection to PostgreSQL is unused before it is asked whether it still stands."""


def is_url(where: str | Path) -> bool:
    """Tells a database URL from the path of a SQLite file."""
    return "://" in str(where)


def hide_password(where: str | Path) -> str:
    """Returns the study's place as it may be printed: a URL without its password."""
    return sa.engine.make_url(str(where)).render_as_string(hide_password=True) if is_url(where) else str(where)


def connect(where: str | Path) -> sa.Engine:
    """Returns an engine for a path or URL; nothing is opened yet.

    Raises:
        MissingExtra: the URL needs a driver that is not installed.
        StudyError: the URL is malformed or names a database that is neither SQLite nor PostgreSQL.
    """
    text = str(where)
    if not is_url(where):
        return _sqlite(f"sqlite:///{Path(where).absolute()}")
    try:
        url = sa.engine.make_url(text)
    except sa.exc.ArgumentError as error:
        raise StudyError(
            "the study's URL is malformed; write postgresql://user@host/database or the path of a file"
        ) from error
    if url.get_backend_name() == "sqlite":
        return _sqlite(text)
    if url.get_backend_name() != "postgresql":
        raise StudyError(f"a study is a SQLite file or a PostgreSQL URL, not '{url.get_backend_name()}'")
    try:
        engine = sa.create_engine(
            url.set(drivername="postgresql+psycopg"), pool_size=24, max_overflow=8, pool_use_lifo=True
        )
    except (ModuleNotFoundError, NoSuchModuleError) as error:
        raise MissingExtra("psycopg", "postgres") from error
    _ask_the_idle(engine)
    return engine


def _ask_the_idle(engine: sa.Engine) -> None:
    """Asks a connection that was not used for a while whether it still stands; asking at every use costs more than most statements."""

    @event.listens_for(engine, "checkin")
    def _on_checkin(_connection: Any, record: Any) -> None:
        record.info["used"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def _on_checkout(connection: Any, record: Any, _proxy: Any) -> None:
        if time.monotonic() - record.info.get("used", time.monotonic()) < IDLE_SECONDS:
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as error:
            raise InvalidatePoolError("the server closed the connection") from error


def _sqlite(url: str) -> sa.Engine:
    engine = sa.create_engine(url, connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False})

    @event.listens_for(engine, "connect")
    def _on_connect(connection: sqlite3.Connection, _record: Any) -> None:
        # SQLAlchemy issues BEGIN itself (below), so that a writer takes its lock at once and never deadlocks on upgrade.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _on_begin(connection: sa.Connection) -> None:
        write = connection.get_execution_options().get("write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine


def translate(error: DBAPIError, where: str | Path) -> StudyError:
    """Returns the error to show for a database failure: what, where, and what to do."""
    place, text = hide_password(where), str(error.orig).strip().splitlines()[0]
    low = text.lower()
    if "locked" in low or "busy" in low:
        return StudyBusy(
            f"{place}: another process has held the write lock for {BUSY_SECONDS:.0f} s; wait for it or stop it"
        )
    if "disk is full" in low or "disk i/o" in low or "no space" in low:
        return StudyError(
            f"{place}: the disk is full or failing ({text}); free space and run the same command again: what was finished is kept"
        )
    if "unable to open" in low or "readonly" in low or "read-only" in low:
        return StudyError(f"{place}: cannot be opened for writing ({text}); check the folder and its permissions")
    if "not a database" in low or "malformed" in low:
        return StudyError(
            f"{place}: is not a usable study database ({text}); restore a backup or choose another --study"
        )
    if "insert-only" in low:
        return StudyError(f"{place}: {text}")
    return StudyError(f"{place}: {text}")


def migrate(engine: sa.Engine, where: str | Path, *, create: bool) -> None:
    """Brings the database to `HEAD`; an empty one is created when `create` is true.

    Raises:
        StudyTooNew: its revision is not known to this version.
        StudyError: it is missing and may not be created, or cannot be used.
    """
    try:
        with engine.connect() as connection:
            names = set(sa.inspect(connection).get_table_names())
            found = (
                connection.execute(sa.text("select version_num from alembic_version")).scalar()
                if ("alembic_version" in names)
                else None
            )
    except (OperationalError, DatabaseError) as error:
        raise translate(error, where) from error
    place = hide_password(where)
    if found == HEAD:
        return
    if found is not None and found not in KNOWN:
        raise StudyTooNew(
            f"{place}: has schema {found}, this version of cvalues knows up to {HEAD}; "
            "upgrade with  pip install -U cvalues  or choose another --study"
        )
    if found is None and names:
        raise StudyError(
            f"{place}: is a database of another program (tables: {', '.join(sorted(names)[:5])}); choose another --study"
        )
    if found is None and not create:
        raise StudyError(f"{place}: is empty; start with  cvalues run  or choose another --study")
    _upgrade(engine, where)


def _upgrade(engine: sa.Engine, where: str | Path) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(resources.files("cvalues.study").joinpath("migrations")))
    try:
        with engine.connect().execution_options(write=True) as connection:
            if engine.dialect.name == "postgresql":
                # Two processes may create one study at the same moment; the second waits here and finds it done.
                connection.execute(sa.text("select pg_advisory_lock(40711230)"))
            if _revision(connection) != HEAD:
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
            connection.commit()
            if engine.dialect.name == "postgresql":
                connection.execute(sa.text("select pg_advisory_unlock(40711230)"))
                connection.commit()
    except DBAPIError as error:
        raise translate(error, where) from error


def _revision(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.execute(sa.text("select version_num from alembic_version")).scalar()
    return revision


def this_process() -> tuple[str, int, str]:
    """Returns (host, process id, process start), which together name this process for good."""
    return socket.gethostname(), os.getpid(), process_start(os.getpid())


def process_start(pid: int) -> str:
    """Returns when a process started in the kernel's ticks, "" when the system does not tell, `dead` for a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()
    return "dead" if fields[0] in "ZX" else fields[19]


def process_alive(pid: int, start: str) -> bool:
    """Tells whether the process that had this id and start time still runs on this host."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return not start or process_start(pid) in ("", start)
