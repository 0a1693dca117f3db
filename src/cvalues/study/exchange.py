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
_PEOPLE = (
    tables.person, tables.campaign, tables.membership, tables.task, tables.task_reply, tables.slot, tables.exposure, tables.submission,
    tables.adjudication, tables.ledger,
)  # fmt: skip
"""What people did, in the order in which one refers to the other. Invitations, sessions, roles and drafts stay where they are."""
_TABLES = (*[table for table in tables.FACTS if table not in _PEOPLE], tables.run, *_PEOPLE)
_LEFT_OUT = {("attempt", "id"), ("person", "handle"), ("person", "name"), ("person", "password")}
"""Attempts are numbered by the database, so that two exports can be merged; who people are is known only here."""


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
    query = sa.select(*_columns(table))
    for row in connection.execution_options(yield_per=_BATCH).execute(query):
        found = dict(row._mapping)  # noqa: SLF001 -- SQLAlchemy's documented name
        yield {**found, "name": ""} if table is tables.person else found


def _columns(table: sa.Table) -> list[sa.Column[Any]]:
    return [column for column in table.c if (table.name, column.name) not in _LEFT_OUT]


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
    columns = [*_columns(table), *([table.c["name"]] if table is tables.person else [])]
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
        _same_people(
            study,
            _rows(connection, tables.person),
            _rows(connection, tables.campaign),
            _rows(connection, tables.submission),
        )
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
    reader = _read_parquet if manifest.format == "parquet" else _read_jsonl

    def rows(table: sa.Table) -> Iterator[dict[str, Any]]:
        listed = manifest.files.get(table.name)
        return reader(folder / listed.name) if listed is not None else iter(())

    _same_people(study, rows(tables.person), rows(tables.campaign), rows(tables.submission))
    return sum(_merge(study, table, rows(table)) for table in _TABLES)


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


def _same_people(
    study: Study,
    people: Iterator[dict[str, Any]],
    campaigns: Iterator[dict[str, Any]],
    submissions: Iterator[dict[str, Any]],
) -> None:
    """Refuses, before anything is merged, what would make one person of two, or two states of work of one campaign."""
    p, c, u = tables.person.c, tables.campaign.c, tables.submission.c
    with study.reading() as connection:
        marks = {row.id: row.mark for row in connection.execute(sa.select(p.id, p.mark))}
        created = {row.name: row.created for row in connection.execute(sa.select(c.name, c.created))}
        for row in people:
            if marks.get(row["id"], row["mark"]) != row["mark"]:
                raise StudyError(
                    f"pseudonym '{row['id']}' is another person here than in the import; start one of the two studies with "
                    "another prefix (cvalues people init --prefix b)"
                )
        for row in campaigns:
            if created.get(row["name"], row["created"]) != row["created"]:
                raise StudyError(
                    f"campaign '{row['name']}' of the import is another one than the campaign of that name here"
                )
        for batch in _batches(row for row in submissions if row["campaign"] in created):
            ids = [row["id"] for row in batch]
            known = set(connection.execute(sa.select(u.id).where(study.among(u.id, ids))).scalars())
            for row in batch:
                if row["id"] not in known:
                    raise StudyError(
                        f"campaign '{row['campaign']}' went on in the import after it was copied from here (or to here); "
                        "import it into a new study instead"
                    )


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
