"""Backups of a study with people at work, and their way back: SQLite's online backup, pg_dump and pg_restore for PostgreSQL."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from pathlib import Path

import sqlalchemy as sa

from cvalues.errors import DataError, UsageError
from cvalues.records import make_folder, open_bytes
from cvalues.study import Study
from cvalues.study.engine import is_url
from cvalues.study.exchange import backup_study


def back_up(study: Study, path: Path) -> Path:
    """Copies a study to `path` while people work, one consistent moment, and returns the path.

    Raises:
        UsageError: the file exists, or pg_dump is not installed.
        DataError: the folder cannot be made, or the copy failed.
    """
    if not is_url(study.where):
        return backup_study(study, path)
    if path.exists():
        raise UsageError(f"{path}: exists already; a backup never overwrites a file")
    make_folder(path.parent)
    _run("pg_dump", str(study.where), ["--format=custom", "--no-owner", f"--file={path}"])
    return path


def restore(path: Path, where: str) -> None:
    """Makes a study at `where` from a backup; what is there is never overwritten.

    Args:
        path: what `back_up` wrote.
        where: path of a new SQLite file, or the URL of an empty PostgreSQL database.

    Raises:
        UsageError: the target exists, or backup and target are of two kinds, or pg_restore is not installed.
        DataError: the backup cannot be read or is damaged.
    """
    with open_bytes(path) as file:
        head = file.read(16)
    if is_url(where):
        if not head.startswith(b"PGDMP"):
            raise UsageError(
                f"{path}: is no backup of a PostgreSQL study; give the path of a new SQLite file with --study"
            )
        _run("pg_restore", where, ["--no-owner", "--exit-on-error", "--single-transaction", str(path)])
        return
    if not head.startswith(b"SQLite format 3"):
        raise UsageError(f"{path}: is no backup of a SQLite study; give a PostgreSQL URL with --study")
    target = Path(where)
    if target.exists():
        raise UsageError(f"{target}: exists already; restore into a new file and move it there")
    _copy(path, target)


def _copy(source: Path, target: Path) -> None:
    half = target.with_name(f".{target.name}.restoring")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        reader = sqlite3.connect(f"file:{source.absolute()}?mode=ro", uri=True)
        writer = sqlite3.connect(half)
        try:
            reader.backup(writer)
            found = writer.execute("PRAGMA integrity_check").fetchone()[0]
        finally:
            reader.close()
            writer.close()
        if found != "ok":
            raise DataError(f"{source}: the backup is damaged ({found}); take an older one")
        half.replace(target)
    except (sqlite3.Error, OSError) as error:
        raise DataError(f"{source}: the backup is damaged ({error}); take an older one") from error
    finally:
        half.unlink(missing_ok=True)


def _run(program: str, url: str, arguments: list[str]) -> None:
    """Runs one of PostgreSQL's programs; the password goes by environment and not by argument."""
    found = shutil.which(program)
    if found is None:
        raise UsageError(
            f"{program} is not installed; install the PostgreSQL client, or back up with the server's own tools"
        )
    parsed = sa.engine.make_url(url)
    environment = {**os.environ, **({"PGPASSWORD": str(parsed.password)} if parsed.password else {})}
    place = parsed.set(drivername="postgresql", password=None).render_as_string(hide_password=False)
    done = subprocess.run(  # noqa: S603 -- the program is PostgreSQL's, its arguments are ours
        [found, f"--dbname={place}", *arguments], capture_output=True, text=True, check=False, env=environment
    )
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise DataError(f"PostgreSQL's program {program} failed: {said[-1] if said else done.returncode}")
