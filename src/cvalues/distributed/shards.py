"""Shards: finished calls as JSON Lines on their way from a worker into the study; merging one twice changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import sqlalchemy as sa

from cvalues.errors import DataError
from cvalues.records import canonical, content_hash, read_records, write_atomically
from cvalues.schema import Attempt, Record, Response
from cvalues.study import Received, Study, tables


class Line(Record, frozen=True, kw_only=True):
    """One line of a shard: a response, or an attempt that failed."""

    request: str
    response: Response | None = None
    raw: bytes | None = None
    """The body as received, only where its text had to be cleaned to be stored."""
    attempt: Attempt | None = None


def shard_name(lines: Iterable[Line]) -> str:
    """Returns the file name of a shard: the content hash of its sorted request ids, whatever the order of its lines."""
    return content_hash(sorted({line.request for line in lines})).replace(":", "-") + ".jsonl"


def write_shard(folder: Path, lines: Sequence[Line]) -> Path:
    """Writes a shard atomically and returns its path; the folder is made when it is not there.

    Raises:
        DataError: the folder cannot be written or the disk is full.
    """
    body = b"".join(canonical(line) + b"\n" for line in lines)
    return write_atomically(folder / shard_name(lines), lambda file: file.write(body))


def read_shard(path: Path) -> list[Line]:
    """Returns the lines of a shard in order.

    Raises:
        DataError: the file is no shard, or its content does not fit its name or its own ids.
    """
    lines = [line for _, line in read_records(path, Line)]
    for number, line in enumerate(lines, 1):
        fits = line.attempt.request == line.request if line.attempt is not None else line.response is not None
        if line.response is not None and line.response.origin != f"request:{line.request}":
            fits = False
        if not fits:
            raise DataError(f"{path}:{number}: is no finished call; delete the file, and its requests are asked again")
    if path.name != shard_name(lines):
        raise DataError(f"{path}: does not hold the requests of its name; delete the file, and they are asked again")
    return lines


def merge(study: Study, lines: Sequence[Line]) -> tuple[list[Response], list[Attempt]]:
    """Writes the lines of a shard into the study and returns what was new there; nothing for a shard that was merged before.

    Raises:
        StudyError: the study cannot be written.
    """
    ids = list(dict.fromkeys(line.request for line in lines))
    answered = study.answered(ids)
    c = tables.attempt.c
    with study.reading() as connection:
        kept = set(connection.execute(sa.select(c.body).where(study.among(c.request, ids))).scalars())
    received: dict[str, Received] = {}
    attempts: list[Attempt] = []
    for line in lines:
        if line.response is not None and line.request not in answered:
            received.setdefault(line.request, Received(line.request, line.response, line.raw))
        if line.attempt is not None and (body := canonical(line.attempt).decode()) not in kept:
            kept.add(body)
            attempts.append(line.attempt)
    if received or attempts:
        study.record(list(received.values()), attempts)
    return [entry.response for entry in received.values()], attempts


def merge_folder(study: Study, folder: Path, known: Iterable[str]) -> int:
    """Merges and deletes the shards of a folder that hold requests of this plan alone, and returns how many responses were new.

    Raises:
        DataError: a shard is damaged; the message names it.
    """
    count, ids = 0, set(known)
    for path in sorted(folder.glob("b2-*.jsonl")):
        lines = read_shard(path)
        if {line.request for line in lines} <= ids:
            count += len(merge(study, lines)[0])
            path.unlink(missing_ok=True)
    return count
