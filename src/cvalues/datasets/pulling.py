"""Public sets from where their authors publish them, or from a file brought by hand, checked before they reach their place."""

from __future__ import annotations

import shutil
import urllib.parse
from collections.abc import Callable
from pathlib import Path

import msgspec

from cvalues.datasets.checking import check
from cvalues.datasets.registry import KnownFile, KnownSet, cached_path, files_of, known
from cvalues.datasets.transfer import FetchError, Progress, Pulling, discard, fetch, note_path, shown
from cvalues.errors import DataError, PullError, UsageError
from cvalues.records import blob_id, file_hash, now, write_text
from cvalues.schema import Record

__all__ = ["Manifest", "Progress", "Pulling", "manifest_path", "pull"]

_WRONG = frozenset({"count", "format", "broken_json", "not_object", "encoding", "columns", "quoting", "truncated"})
"""Faults that mean: this is not the file. Others may stand in the publisher's own file and are left to `check`."""


class Manifest(Record, frozen=True, kw_only=True):
    """Where a cached file came from; written last, so that its existence means the file is whole and checked."""

    set: str
    file: str
    source: str
    sha256: str
    time: str


def manifest_path(path: Path) -> Path:
    """Returns where the manifest of a cached file lies."""
    return path.with_name(path.name + ".source.json")


def pull(
    name: str,
    *,
    source: str | Path | None = None,
    progress: Callable[[Progress], None] | None = None,
    pulling: Pulling | None = None,
) -> Path:
    """Returns the cached file of a set (the folder of a set of several files), downloaded and checked where need be.

    A file that is in its place and unchanged is not asked for again, unless `source` is given. A wrong file never gets there.

    Args:
        name: a known set, `NAME` or `NAME/PART`.
        source: an http(s) address or a path to take the file from instead of the publisher's addresses. For a set of several
            files: a folder (an address that ends in `/`), or one of its files under its own name.
        progress: called with every chunk that arrives.
        pulling: settings of the download.

    Raises:
        UsageError: there is no such set, or it ships with the package, or `source` fits none of its files.
        PullError: no address could be had (the message says how to bring the file by hand), or the file is not the one it should
            be (the message has both hashes or counts).
    """
    known_set, part = known(name)
    if known_set.builtin:
        raise UsageError(f"{known_set.name} ships with the package; there is nothing to pull")
    files = files_of(known_set, part)
    for file, where in _sources(known_set, files, source):
        path = cached_path(known_set, file)
        if source is None and _in_place(path):
            continue
        _bring(known_set, file, where, progress, pulling or Pulling())
    first = cached_path(known_set, files[0])
    return first if len(files) == 1 else first.parent


def _in_place(path: Path) -> bool:
    try:
        manifest = msgspec.json.decode(manifest_path(path).read_bytes(), type=Manifest)
    except (OSError, msgspec.DecodeError):
        return False
    return path.is_file() and file_hash(path) == manifest.sha256


def _is_address(source: str | Path) -> bool:
    return isinstance(source, str) and urllib.parse.urlsplit(source).scheme in {"http", "https"}


def _sources(
    known_set: KnownSet, files: tuple[KnownFile, ...], source: str | Path | None
) -> list[tuple[KnownFile, tuple[str | Path, ...]]]:
    """Which file comes from where."""
    if source is None:
        return [(file, file.urls) for file in files]
    if _is_address(source):
        address = str(source)
        if address.endswith("/"):
            return [(file, (address + file.name,)) for file in files]
        names = _names(address)
    else:
        path = Path(source).expanduser()
        if path.is_dir():
            return [(file, (path / file.name,)) for file in files]
        if not path.is_file():
            raise PullError(f"{path}: no such file; give the path of the file or folder that holds {known_set.name}")
        source, names = path, {path.name}
    if len(files) == 1:
        return [(files[0], (source,))]
    fitting = [file for file in files if file.name in names]
    if not fitting:
        parts = " or ".join(f"{known_set.name}/{Path(file.name).stem}" for file in files)
        raise UsageError(
            f"{known_set.name} has {len(files)} files; pull one of them by its name: {parts}, or give a folder"
        )
    return [(fitting[0], (source,))]


def _names(address: str) -> set[str]:
    """Returns the file names that an address may mean: the last part of its path, and of each value of its query.

    Hugging Face names a file in the path (`…/resolve/main/train.jsonl?download=true`), ModelScope in the query (`…&FilePath=train.jsonl`).
    """
    parts = urllib.parse.urlsplit(address)
    found = [parts.path, *(value for _, value in urllib.parse.parse_qsl(parts.query))]
    return {urllib.parse.unquote(each).rpartition("/")[2] for each in found}


def _bring(
    known_set: KnownSet,
    file: KnownFile,
    sources: tuple[str | Path, ...],
    progress: Callable[[Progress], None] | None,
    pulling: Pulling,
) -> None:
    """Tries the sources in order and puts the first file that passes into its place."""
    path = cached_path(known_set, file)
    part = path.with_name(f".{path.name}.part")
    reasons: list[str] = []
    for source in sources:
        try:
            if isinstance(source, Path) or not _is_address(source):
                _copy(Path(source), part)
            else:
                fetch(str(source), part, pulling=pulling, progress=progress, name=f"{known_set.name}/{file.name}")
        except FetchError as error:
            reasons.append(str(error))
            continue
        where = shown(source) if isinstance(source, str) else str(source)
        _verify(known_set, file, part, where)
        _place(part, path)
        manifest = Manifest(set=known_set.name, file=file.name, source=where, sha256=file_hash(path), time=now())
        write_text(manifest_path(path), msgspec.json.encode(manifest).decode())
        return
    raise PullError(
        f"{known_set.name}: {file.name} could not be downloaded: {'; '.join(reasons) or 'no address is known'}. "
        f"Bring it by hand: get the file from {known_set.homepage} on a machine that can, then  "
        f"cvalues data pull {_part_name(known_set, file)} --from PATH"
    )


def _part_name(known_set: KnownSet, file: KnownFile) -> str:
    return known_set.name if len(known_set.file) == 1 else f"{known_set.name}/{Path(file.name).stem}"


def _copy(source: Path, part: Path) -> None:
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        discard(part)
        shutil.copyfile(source, part)
    except OSError as error:
        where = error.filename or source
        raise PullError(
            f"{where}: cannot be copied ({error.strerror or error}); check the path and its permissions"
        ) from error


def _place(part: Path, path: Path) -> None:
    try:
        part.replace(path)
        note_path(part).unlink(missing_ok=True)
    except OSError as error:
        raise PullError(
            f"{path}: cannot be written ({error.strerror or error}); check the folder's permissions"
        ) from error


def _verify(known_set: KnownSet, file: KnownFile, part: Path, where: str) -> None:
    """Raises PullError, and removes the part file, when it is not the file that it should be."""
    trouble = _trouble(known_set, file, part)
    if trouble:
        discard(part)
        raise PullError(
            f"{known_set.name}: what came from {where} is not {file.name}: {trouble}. Nothing was kept. "
            f"To use a file of your own all the same, give its path instead of the set's name"
        )


def _trouble(known_set: KnownSet, file: KnownFile, part: Path) -> str:
    """What tells the file from the true one, `""` when nothing does: its hash where that is known, else its counts."""
    if file.sha256:
        found = file_hash(part)
        if found != f"sha256:{file.sha256}":
            return f"expected sha256:{file.sha256} ({file.bytes} bytes), found {found} ({part.stat().st_size} bytes)"
        return ""
    if file.blob:
        blob = blob_id(part)
        return "" if blob == file.blob else f"expected git blob {file.blob}, found {blob} ({part.stat().st_size} bytes)"
    try:
        report = check(part, known_as=_part_name(known_set, file))
    except DataError as error:
        return str(error)
    wrong = [fault for fault in report.faults if fault.code in _WRONG]
    if not wrong and not any(report.counts.get(code) for code in _WRONG):
        return ""
    fault = next((fault for fault in report.faults if fault.code == "count"), wrong[0] if wrong else None)
    return (
        f"{fault.field}: expected {fault.expected}, found {fault.found}" if fault else f"expected {file.rows} good rows"
    )
