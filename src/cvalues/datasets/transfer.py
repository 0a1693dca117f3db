"""One file over HTTP into a part file: with progress, resume, and bounded retries of errors that may pass.

A part file `.NAME.part` and its note `.NAME.part.json` (address, validator, size) stay when a download breaks off, so that the
next one goes on from there. Proxies (`https_proxy`, `no_proxy`, …) and certificates (`SSL_CERT_FILE`) of the environment hold.
"""

from __future__ import annotations

import http.client
import re
import socket
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from cvalues.errors import PullError
from cvalues.records import derive_seed
from cvalues.schema import Record

_CHUNK = 1 << 16
_TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})
_RANGE = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)")
_PASSING = (TimeoutError, ConnectionError, http.client.IncompleteRead, http.client.BadStatusLine, ssl.SSLEOFError)
_MOST_ATTEMPTS = 200


class Progress(NamedTuple):
    """How far a file is: its name, bytes so far, bytes in all (None when the server does not say)."""

    file: str
    done: int
    total: int | None


@dataclass(frozen=True, kw_only=True)
class Pulling:
    """Settings of a download."""

    tries: int = 5
    """Attempts in a row that bring nothing before giving up."""
    pause: float = 1.0
    """Seconds before the second attempt; doubled each time, with jitter between half and the whole."""
    longest_pause: float = 60.0
    """Seconds; also the most that a Retry-After is honoured with."""
    timeout: float = 30.0
    """Seconds without a byte after which an attempt counts as broken off."""
    sleep: Callable[[float], None] = time.sleep


class Note(Record, frozen=True, kw_only=True):
    """What is remembered of a part file, so that it is gone on with only when the file is still the same."""

    url: str
    validator: str = ""
    """Strong ETag or Last-Modified of the answer, for If-Range."""
    total: int | None = None


class _BrokenOffError(Exception):
    """An attempt failed in a way that may pass."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


class FetchError(PullError):
    """One address gave no file; `str` says why."""


def shown(url: str) -> str:
    """Returns an address for messages, without user name, password and the values of a query that is not a file's path."""
    parts = urllib.parse.urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    query = "&".join(
        f"{key}={value}" if key in {"Revision", "FilePath"} else f"{key}=…"
        for key, value in urllib.parse.parse_qsl(parts.query)
    )
    return urllib.parse.urlunsplit((parts.scheme, host, parts.path, query, ""))


def note_path(part: Path) -> Path:
    """Returns where the note of a part file lies."""
    return part.with_name(part.name + ".json")


def discard(part: Path) -> None:
    """Removes a part file and its note."""
    part.unlink(missing_ok=True)
    note_path(part).unlink(missing_ok=True)


def fetch(
    url: str, part: Path, *, pulling: Pulling, progress: Callable[[Progress], None] | None = None, name: str = ""
) -> None:
    """Downloads an address into the part file, going on where an earlier attempt broke off.

    Raises:
        FetchError: the address cannot be had: the reason, and how often it was tried.
    """
    opener = _opener()
    empty = 0
    for attempt in range(1, _MOST_ATTEMPTS + 1):
        before = _size(part)
        try:
            _attempt(opener, url, part, pulling, lambda done, total: progress and progress(Progress(name, done, total)))
        except _BrokenOffError as error:
            empty = 0 if _size(part) > before else empty + 1
            if empty >= pulling.tries or attempt == _MOST_ATTEMPTS:
                raise FetchError(f"{shown(url)}: {error} ({attempt} attempts)") from error
            jitter = 0.5 + (derive_seed(url, attempt) % 1000) / 2000
            wait = max(error.wait, pulling.pause * 2 ** max(empty - 1, 0) * jitter)
            pulling.sleep(min(wait, pulling.longest_pause))
        else:
            return


def _opener() -> urllib.request.OpenerDirector:
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.UnknownHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _read_note(part: Path, url: str) -> Note | None:
    try:
        note = msgspec.json.decode(note_path(part).read_bytes(), type=Note)
    except (OSError, msgspec.DecodeError):
        return None
    return note if note.url == url else None


def _attempt(
    opener: urllib.request.OpenerDirector,
    url: str,
    part: Path,
    pulling: Pulling,
    progress: Callable[[int, int | None], object],
) -> None:
    note = _read_note(part, url)
    have = _size(part) if note else 0
    headers = {"User-Agent": "cvalues", "Accept-Encoding": "identity"}
    if note and have:
        headers["Range"] = f"bytes={have}-"
        if note.validator:
            headers["If-Range"] = note.validator
    try:
        request = urllib.request.Request(url, headers=headers)  # noqa: S310  the opener knows http and https only
        response = opener.open(request, timeout=pulling.timeout)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 416 and note and _finished(error.headers.get("Content-Range", ""), have):
                return
            if error.code == 416:
                discard(part)
                raise _BrokenOffError("the server refused to go on; starting again") from error
            if error.code in _TRANSIENT:
                raise _BrokenOffError(f"HTTP {error.code}", _retry_after(error.headers.get("Retry-After"))) from error
            raise FetchError(f"{shown(url)}: HTTP {error.code} {error.reason}") from error
    except (*_PASSING, urllib.error.URLError) as error:
        raise _failure(url, error) from error
    except (ValueError, http.client.HTTPException) as error:
        raise FetchError(f"{shown(url)}: {error}") from error
    if response is None:
        raise FetchError(f"{shown(url)}: expected an http or https address")
    with response:
        _receive(response, url, part, have, note, progress)


def _finished(content_range: str, have: int) -> bool:
    match = _RANGE.fullmatch(content_range)
    return match is not None and match.group(2) == str(have)


def _failure(url: str, error: Exception) -> Exception:
    """What an error of connecting or reading means: broken off, or an address that cannot be had."""
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    text = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
    busy = isinstance(reason, socket.gaierror) and reason.errno == socket.EAI_AGAIN
    if isinstance(reason, _PASSING) or busy:
        return _BrokenOffError(str(text))
    return FetchError(f"{shown(url)}: {text}")


def _retry_after(value: str | None) -> float:
    if not value:
        return 0.0
    if value.strip().isdecimal():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return 0.0


def _receive(
    response: Any, url: str, part: Path, have: int, note: Note | None, progress: Callable[[int, int | None], object]
) -> None:
    length = response.headers.get("Content-Length") or ""
    if response.status == 206 and note:
        match = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
        total = int(match.group(2)) if match and match.group(2).isdecimal() else None
        if not match or match.group(1) != str(have) or (note.total is not None and total != note.total):
            discard(part)
            raise _BrokenOffError("the server went on at another place; starting again")
    elif response.status == 200:
        have = 0
        total = int(length) if length.isdecimal() else None
        etag = response.headers.get("ETag") or ""
        validator = response.headers.get("Last-Modified") or "" if not etag or etag.startswith("W/") else etag
        _keep(note_path(part), msgspec.json.encode(Note(url=url, validator=validator, total=total)), "wb")
        _keep(part, b"", "wb")
    else:
        raise FetchError(f"{shown(url)}: HTTP {response.status}, expected the file")
    progress(have, total)
    done = _copy(response, url, part, have, lambda count: progress(count, total))
    if total is not None and done < total:
        raise _BrokenOffError(f"the connection ended after {done} of {total} bytes")
    if total is not None and done > total:
        discard(part)
        raise _BrokenOffError(f"the server sent {done} bytes instead of {total}; starting again")


def _copy(response: Any, url: str, part: Path, done: int, progress: Callable[[int], object]) -> int:
    """Appends what comes to the part file and returns its size; every chunk is in the file before the next is read."""
    with _open_part(part) as file:
        while True:
            try:
                chunk = response.read1(_CHUNK)
            except (*_PASSING, http.client.HTTPException, OSError) as error:
                raise _failure(url, error) if isinstance(error, _PASSING) else _BrokenOffError(str(error)) from error
            if not chunk:
                return done
            try:
                file.write(chunk)
            except OSError as error:
                raise _unwritable(part, error) from error
            done += len(chunk)
            progress(done)


def _open_part(part: Path) -> Any:
    try:
        return part.open("ab", buffering=0)
    except OSError as error:
        raise _unwritable(part, error) from error


def _keep(path: Path, body: bytes, mode: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open(mode) as file:
            file.write(body)
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> PullError:
    return PullError(
        f"{path}: cannot be written ({error.strerror or error}); free space, or set CVALUES_CACHE to another folder"
    )
