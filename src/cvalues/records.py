"""Canonical JSON, content hashes, derived seeds, and files of JSON Lines with file:line errors.

Canonical JSON is UTF-8 with sorted keys, no spaces and non-ASCII characters as they are. A content hash is `b2:` followed by the
32 hexadecimal digits of the 16-byte BLAKE2b digest of that text; a file hash is `sha256:` followed by 64 digits.
"""

from __future__ import annotations

import codecs
import hashlib
import io
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from cvalues.errors import DataError

if TYPE_CHECKING:
    import numpy as np

_T = TypeVar("_T")
_CANONICAL = msgspec.json.Encoder(order="sorted")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_CHUNK = 1 << 20


def clean(text: str) -> str:
    """Returns `text` with NUL and lone surrogates replaced by U+FFFD, which every store and JSON writer accepts."""
    return _UNSTORABLE.sub("\ufffd", text) if _UNSTORABLE.search(text) else text


def canonical(value: object) -> bytes:
    """Returns the canonical JSON of a record or plain value as UTF-8 bytes (see the module docstring)."""
    return _CANONICAL.encode(value)


def content_hash(value: object) -> str:
    """Returns the content hash `b2:…` of the canonical JSON of `value`."""
    return hash_of(canonical(value))


def hash_of(body: bytes) -> str:
    """Returns the content hash `b2:…` of canonical JSON that is at hand as bytes."""
    return "b2:" + hashlib.blake2b(body, digest_size=16).hexdigest()


def file_hash(path: Path) -> str:
    """Returns `sha256:…` of a file's bytes, read in chunks."""
    digest = hashlib.sha256()
    with open_bytes(path) as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return "sha256:" + digest.hexdigest()


def blob_id(path: Path) -> str:
    """Returns the git blob id (40 hexadecimal digits) of a file, as `git hash-object` prints it."""
    digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with open_bytes(path) as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def derive_seed(*parts: object) -> int:
    """Returns a 63-bit seed derived from the parts alone, the same on every machine and in every order of calls."""
    text = "\x1f".join(str(part) for part in parts).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1


def generator(*parts: object) -> np.random.Generator:
    """Returns a numpy Generator seeded by `derive_seed(*parts)`; there is no global generator in this package."""
    import numpy as np

    return np.random.default_rng(derive_seed(*parts))


def now() -> str:
    """Returns the current time as ISO 8601 in UTC with milliseconds, for example `2026-01-31T08:00:00.000Z`."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def open_bytes(path: Path) -> io.BufferedReader:
    """Opens a file for reading bytes.

    Raises:
        DataError: the file does not exist or cannot be read; the message names it and says what to do.
    """
    try:
        return path.open("rb")
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; give the path of an existing file") from error
    except IsADirectoryError as error:
        raise DataError(f"{path}: is a folder; give the path of a file") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error


def detect_encoding(path: Path) -> str:
    """Returns the encoding of a text file: `utf-8-sig`, `utf-16`, `utf-8` or `gb18030`.

    A byte-order mark decides first; then UTF-8 if every byte of the file fits, then GB18030 (which contains GBK and GB2312).

    Raises:
        DataError: the bytes fit none of them.
    """
    with open_bytes(path) as file:
        head = file.read(4)
        if head.startswith(codecs.BOM_UTF8):
            return "utf-8-sig"
        if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return "utf-16"
        for name in ("utf-8", "gb18030"):
            file.seek(0)
            decoder = codecs.getincrementaldecoder(name)()
            try:
                while chunk := file.read(_CHUNK):
                    decoder.decode(chunk)
                decoder.decode(b"", final=True)
            except UnicodeDecodeError:
                continue
            return name
    raise DataError(f"{path}: is neither UTF-8 nor GB18030 text; save it as UTF-8")


def read_lines(path: Path, *, encoding: str | None = None) -> Iterator[tuple[int, str]]:
    """Yields (line number from 1, line without its end) for every line that is not blank; a missing final newline loses nothing.

    Args:
        path: the file.
        encoding: an encoding to use; detected when None.

    Raises:
        DataError: the file cannot be read or decoded.
    """
    chosen = encoding or detect_encoding(path)
    with open_bytes(path) as raw, io.TextIOWrapper(raw, encoding=chosen, newline="\n") as file:
        try:
            for number, line in enumerate(file, 1):
                text = line.strip("\r\n\t \ufeff")
                if text:
                    yield number, text
        except UnicodeDecodeError as error:
            raise DataError(f"{path}: is not valid {chosen} ({error.reason}); save it as UTF-8") from error


def read_records(path: Path, kind: type[_T], *, strict: bool = True) -> Iterator[tuple[int, _T]]:
    """Yields (line number, record) from a JSON Lines file.

    Raises:
        DataError: a line is not a record of this kind; the message is `file:line: what is wrong`.
    """
    decoder = msgspec.json.Decoder(kind, strict=strict)
    for number, line in read_lines(path):
        try:
            yield number, decoder.decode(line)
        except (msgspec.DecodeError, UnicodeEncodeError) as error:
            raise DataError(f"{path}:{number}: {error}") from error


def write_atomically(path: Path, write: Callable[[io.BufferedWriter], Any]) -> Path:
    """Writes a file through `write(binary file)` beside its final place, then renames it, so that no half file is ever seen.

    Returns:
        The path written.

    Raises:
        DataError: the folder cannot be written or the disk is full; nothing is left behind.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        temporary = Path(name)
        with os.fdopen(descriptor, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        raise DataError(
            f"{path}: cannot be written ({error.strerror or error}); free space or choose another folder"
        ) from error
    return path


def make_folder(path: Path) -> Path:
    """Returns a folder, made with its parents where it is not there; raises DataError where it cannot be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"{path}: cannot be written ({error.strerror or error}); free space or choose another folder"
        ) from error
    return path


def write_text(path: Path, text: str) -> Path:
    """Writes UTF-8 text atomically and returns the path; raises DataError as `write_atomically` does."""
    return write_atomically(path, lambda file: file.write(clean(text).encode()))


def write_records(path: Path, records: Iterator[object] | list[Any]) -> Path:
    """Writes records as JSON Lines (canonical JSON, one a line) atomically and returns the path."""

    def write(file: io.BufferedWriter) -> None:
        for record in records:
            file.write(canonical(record) + b"\n")

    return write_atomically(path, write)
