"""A study out to files and in again: JSON Lines or Parquet, one file per table, and backups of a SQLite study in use."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec
import sqlalchemy as sa

from cvalues.errors import DataError, MissingExtra, StudyError, UsageError
from cvalues.records import canonical, file_hash, now, open_bytes, read_lines, write_atomically, write_text
from cvalues.schema import Record
from cvalues.study import tables
from cvalues.study.engine import is_url
from cvalues.study.migrations import HEAD, KNOWN
from cvalues.study.store import Study, open_study

_BATCH = 2000
_TABLES = (*tables.FACTS, tables.run)


class FileEntry(Record, frozen=True, kw_only=True):
    """One file of an export."""

    name: str
    rows: int
    hash: str


class Manifest(Record, frozen=True, kw_only=True):
    """What an export holds; written last, so its existence means that the export is complete."""

    format: Literal["jsonl", "parquet"]
    schema: str
    time: str
    files: dict[str, FileEntry]

    @property
    def rows(self) -> int:
        """Rows of all files."""
        return sum(entry.rows for entry in self.files.values())


def export_study(study: Study, folder: Path, form: str = "jsonl") -> Manifest:
    """Writes every table of a study to `folder` and returns the manifest; rows stream, so memory does not grow with them.

    Raises:
        UsageError: the format is neither `jsonl` nor `parquet`.
        MissingExtra: Parquet needs pyarrow.
        DataError: the folder cannot be written.
    """
    if form not in {"jsonl", "parquet"}:
        raise UsageError(f"unknown format '{form}'; choose jsonl or parquet")
    files = {}
    with study.reading() as connection:
        for table in _TABLES:
            path = folder / f"{table.name}.{form}"
            rows = _rows(connection, table)
            count = _write_parquet(path, table, rows) if form == "parquet" else _write_jsonl(path, rows)
            files[table.name] = FileEntry(name=path.name, rows=count, hash=file_hash(path))
    manifest = Manifest(format="parquet" if form == "parquet" else "jsonl", schema=HEAD, time=now(), files=files)
    write_text(folder / "manifest.json", msgspec.json.format(canonical(manifest), indent=2).decode())
    return manifest


def _rows(connection: sa.Connection, table: sa.Table) -> Iterator[dict[str, Any]]:
    # Attempts are numbered by the database; their numbers are not part of an export, or two exports could not be merged.
    query = sa.select(*[column for column in table.c if not (table is tables.attempt and column.name == "id")])
    for row in connection.execution_options(yield_per=_BATCH).execute(query):
        yield dict(row._mapping)  # noqa: SLF001 -- SQLAlchemy's documented name


def _write_jsonl(path: Path, rows: Iterator[dict[str, Any]]) -> int:
    count = 0

    def write(file: io.BufferedWriter) -> None:
        nonlocal count
        for row in rows:
            raw = row.get("raw")
            if raw is not None:
                row["raw"] = base64.b64encode(raw).decode()
            file.write(canonical(row) + b"\n")
            count += 1

    write_atomically(path, write)
    return count


def _write_parquet(path: Path, table: sa.Table, rows: Iterator[dict[str, Any]]) -> int:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ModuleNotFoundError as error:
        raise MissingExtra("pyarrow", "parquet") from error
    kinds = {sa.Integer: pa.int64(), sa.Float: pa.float64(), sa.LargeBinary: pa.binary()}
    columns = [column for column in table.c if not (table is tables.attempt and column.name == "id")]
    schema = pa.schema([(column.name, kinds.get(type(column.type), pa.string())) for column in columns])
    count = 0

    def write(file: io.BufferedWriter) -> None:
        nonlocal count
        with parquet.ParquetWriter(file, schema) as writer:
            for batch in _batches(rows):
                writer.write_table(pa.Table.from_pylist(batch, schema=schema))
                count += len(batch)

    write_atomically(path, write)
    return count


def _batches(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    batch: list[dict[str, Any]] = []
    for row in rows:
        batch.append(row)
        if len(batch) >= _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def import_study(study: Study, source: Path) -> int:
    """Merges an export folder or another SQLite study into `study` and returns how many records were new.

    Raises:
        DataError: the export is incomplete, damaged or of a newer schema; nothing of a damaged file is merged.
        StudyError: a run of the same name with another plan stands in this study.
    """
    if source.is_dir():
        return _import_folder(study, source)
    with open_study(source, create=False) as other, other.reading() as connection:
        return sum(_merge(study, table, _rows(connection, table)) for table in _TABLES)


def _import_folder(study: Study, folder: Path) -> int:
    path = folder / "manifest.json"
    with open_bytes(path) as file:
        try:
            manifest = msgspec.json.decode(file.read(), type=Manifest)
        except msgspec.DecodeError as error:
            raise DataError(f"{path}: is no manifest of a study export ({error})") from error
    if manifest.schema not in KNOWN:
        raise DataError(f"{path}: was written by a newer version (schema {manifest.schema}); upgrade cvalues")
    for entry in manifest.files.values():
        found = file_hash(folder / entry.name)
        if found != entry.hash:
            raise DataError(
                f"{folder / entry.name}: is not the file that was exported: {found}, the manifest says {entry.hash}"
            )
    total = 0
    for table in _TABLES:
        listed = manifest.files.get(table.name)
        if listed is not None:
            reader = _read_parquet if manifest.format == "parquet" else _read_jsonl
            total += _merge(study, table, reader(folder / listed.name))
    return total


def _read_jsonl(path: Path) -> Iterator[dict[str, Any]]:
    for number, line in read_lines(path):
        try:
            row = json.loads(line)
        except ValueError as error:
            raise DataError(f"{path}:{number}: {error}") from error
        if row.get("raw") is not None:
            row["raw"] = base64.b64decode(row["raw"])
        yield row


def _read_parquet(path: Path) -> Iterator[dict[str, Any]]:
    try:
        from pyarrow import parquet
    except ModuleNotFoundError as error:
        raise MissingExtra("pyarrow", "parquet") from error
    for batch in parquet.ParquetFile(path).iter_batches(_BATCH):
        yield from batch.to_pylist()


def _merge(study: Study, table: sa.Table, rows: Iterator[dict[str, Any]]) -> int:
    before = study.counts()[table.name]
    for batch in _batches(rows):
        with study.writing() as connection:
            if table is tables.run:
                _same_runs(connection, batch)
            fresh = _new_attempts(connection, batch) if table is tables.attempt else batch
            if fresh:
                study.add(connection, table, fresh)
    return study.counts()[table.name] - before


def _new_attempts(connection: sa.Connection, batch: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns those attempts that are not here yet; an attempt has no id of its own, its record is its identity."""
    wanted = {row["request"] for row in batch}
    found = connection.execute(sa.select(tables.attempt.c.body).where(tables.attempt.c.request.in_(wanted))).scalars()
    known = set(found)
    return [row for row in batch if row["body"] not in known]


def _same_runs(connection: sa.Connection, batch: list[dict[str, Any]]) -> None:
    for row in batch:
        body = connection.execute(sa.select(tables.run.c.body).where(tables.run.c.name == row["name"])).scalar()
        if body is None:
            continue
        here, there = json.loads(body), json.loads(row["body"])
        for field in ("sets", "models", "settings"):
            if here.get(field) != there.get(field):
                raise StudyError(
                    f"run '{row['name']}' of the import has other {field} than the run of that name here; rename one of them"
                )


def backup_study(study: Study, path: Path) -> Path:
    """Copies a SQLite study to `path` while it is in use, and returns the path; the copy is one consistent moment.

    Raises:
        UsageError: the study is a PostgreSQL database (use pg_dump) or the file exists.
        DataError: the file cannot be written.
    """
    if is_url(study.where):
        raise UsageError("this study is a PostgreSQL database: back it up with  pg_dump")
    if path.exists():
        raise UsageError(f"{path}: exists already; a backup never overwrites a file")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _copy(Path(study.where), path)
    except (sqlite3.Error, OSError) as error:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
        raise DataError(f"{path}: the backup could not be written ({error}); choose another path") from error
    return path


def _copy(source: Path, target: Path) -> None:
    reader = sqlite3.connect(f"file:{source.absolute()}?mode=ro", uri=True)
    try:
        writer = sqlite3.connect(target)
        try:
            reader.backup(writer)
        finally:
            writer.close()
    finally:
        reader.close()
