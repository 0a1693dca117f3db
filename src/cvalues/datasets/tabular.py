"""Raw rows of JSON Lines, JSON, CSV, TSV and Parquet files, with the physical line of each and what is wrong with it.

Reading goes on after a broken row. Text files are read line by line; only a JSON array is held in memory as a whole.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple, NoReturn

import msgspec

from cvalues.errors import DataError, MissingExtra
from cvalues.records import canonical, detect_encoding, open_bytes

Container = Literal["jsonl", "json", "csv", "tsv", "parquet"]
_ESCAPED = re.compile("[\udc80-\udcff]")
_BLANK = "\r\n\t \ufeff"
_QUOTE_TROUBLES = 200  # after so many broken quotes the rest of a file is not worth guessing
_BATCH = 2048


class Layout(NamedTuple):
    """How a file is laid out: its container, its encoding (empty for Parquet) and, for CSV and TSV, its delimiter."""

    container: Container
    encoding: str
    delimiter: str = ""


class Problem(NamedTuple):
    """What is wrong with a raw row: a code of `shapes.CODES`, the field, what was expected and what was found."""

    code: str
    field: str
    expected: str
    found: str


class Raw(NamedTuple):
    """One row as it stands in the file; `fields` is None when it cannot be read, and then `problem` says why."""

    line: int
    text: str
    fields: dict[str, Any] | None
    problem: Problem | None = None


def text_encoding(path: Path) -> str:
    """Returns the encoding of a text file, also of one with a few damaged lines.

    As `records.detect_encoding`; a file that fits no encoding, or would be GB18030 although most of its lines with non-ASCII
    characters are UTF-8, gets the encoding that fits most of these lines (UTF-8 on a tie).
    """
    try:
        encoding = detect_encoding(path)
    except DataError:
        encoding = ""
        if not path.is_file():
            raise
    if encoding not in {"", "gb18030"}:
        return encoding
    utf8 = other = 0
    with open_bytes(path) as file:
        bom = file.read(3) == b"\xef\xbb\xbf"
        file.seek(0)
        for line in file:
            if line.isascii():
                continue
            try:
                line.decode("utf-8")
                utf8 += 1
            except UnicodeDecodeError:
                other += 1
    if encoding and other > utf8:
        return encoding
    if not encoding and other > utf8 and not bom:
        return "gb18030"
    return "utf-8-sig" if bom else "utf-8"


def layout(path: Path) -> Layout:
    """Returns how the file is laid out, recognised by its content; the suffix only tells a one-column TSV from a CSV.

    Raises:
        DataError: the file is empty, cannot be read, or is a workbook, an archive or a Git LFS pointer.
    """
    with open_bytes(path) as file:
        head = file.read(512)
    if head.startswith(b"PAR1"):
        return Layout("parquet", "")
    if head.startswith(b"PK\x03\x04"):
        raise DataError(f"{path}: is an Excel workbook or a ZIP archive; save it as CSV (UTF-8) or unpack it")
    if head.startswith(b"\x1f\x8b"):
        raise DataError(f"{path}: is gzip-compressed; unpack it first (gunzip)")
    if head.startswith(b"version https://git-lfs"):
        raise DataError(f"{path}: is a Git LFS pointer and not the data; fetch the file itself (git lfs pull)")
    encoding = text_encoding(path)
    with _open(path, encoding) as text:
        first = next((line.strip(_BLANK) for line in text if line.strip(_BLANK)), "")
    if not first:
        raise DataError(f"{path}: is empty; expected JSON Lines, JSON, CSV, TSV or Parquet")
    if first.startswith("["):
        return Layout("json", encoding)
    if first.startswith("{"):
        return Layout("jsonl", encoding)
    counts = {mark: first.count(mark) for mark in ("\t", ",", ";")}
    best = max(counts, key=lambda mark: counts[mark])
    if not counts[best]:
        best = "\t" if path.suffix.lower() == ".tsv" else ","
    return Layout("tsv" if best == "\t" else "csv", encoding, best)


def rows(path: Path, how: Layout) -> Iterator[Raw]:
    """Yields every row of the file in order, broken ones too; blank lines and rows of empty cells only are left out."""
    match how.container:
        case "jsonl":
            return _json_lines(path, how.encoding)
        case "json":
            return _json_array(path, how.encoding)
        case "parquet":
            return _parquet(path)
        case _:
            return _delimited(path, how)


def _open(path: Path, encoding: str, newline: str = "\n") -> io.TextIOWrapper:
    errors = "replace" if encoding == "utf-16" else "surrogateescape"
    return io.TextIOWrapper(open_bytes(path), encoding=encoding, errors=errors, newline=newline)


def _damaged(text: str, encoding: str) -> Problem | None:
    place = _ESCAPED.search(text) if not text.isascii() else None
    if place is None:
        return None
    byte = ord(place.group()) - 0xDC00
    return Problem(
        "encoding", "", f"{encoding.removesuffix('-sig')} text", f"byte 0x{byte:02x} at character {place.start() + 1}"
    )


def _not_object(value: object) -> Problem:
    return Problem("not_object", "", 'a JSON object {"…": …}', f"a JSON {type(value).__name__}")


def _json_lines(path: Path, encoding: str) -> Iterator[Raw]:
    decode = msgspec.json.Decoder().decode
    with _open(path, encoding) as file:
        for number, line in enumerate(file, 1):
            text = line.strip(_BLANK)
            if not text:
                continue
            problem = _damaged(text, encoding)
            if problem is None:
                try:
                    value = decode(text)
                except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
                    cut = not line.endswith("\n") and "truncated" in str(error)
                    code = "truncated" if cut else "broken_json"
                    problem = Problem(code, "", "one JSON object on the line", str(error))
                else:
                    if isinstance(value, dict):
                        yield Raw(number, text, value)
                        continue
                    problem = _not_object(value)
            yield Raw(number, text, None, problem)


def _reject_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _json_array(path: Path, encoding: str) -> Iterator[Raw]:
    with _open(path, encoding) as file:
        text = file.read()
    decoder = json.JSONDecoder(parse_constant=_reject_constant)
    blanks = re.compile(r"[\s\ufeff]*")
    end = blanks.match(text).end() + 1  # type: ignore[union-attr]  # the pattern always matches
    line, seen = 1, 0
    code = "broken_json" if text.rstrip(_BLANK).endswith("]") else "truncated"
    while True:
        start = blanks.match(text, end).end()  # type: ignore[union-attr]  # as above
        line, seen = line + text.count("\n", seen, start), start
        if text.startswith("]", start):
            return
        try:
            value, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError) as error:
            found = f"{error}; the rest of the file is not read"
            yield Raw(line, text[start : start + 200], None, Problem(code, "", "a JSON array of objects", found))
            return
        raw = text[start:end]
        problem = _damaged(raw, encoding) or (None if isinstance(value, dict) else _not_object(value))
        yield Raw(line, raw, None if problem else value, problem)
        end = blanks.match(text, end).end()  # type: ignore[union-attr]  # as above
        if text.startswith(",", end):
            end += 1
        elif not text.startswith("]", end):
            found = f"{text[end : end + 20]!r}; the rest of the file is not read"
            yield Raw(line, text[end : end + 200], None, Problem(code, "", "',' or ']' after an element", found))
            return


class _Lines:
    """Feeds csv.reader line by line, keeps the lines of the record being read, and can go back to its second line."""

    def __init__(self, file: io.TextIOWrapper) -> None:
        self._file = file
        self._pending: deque[str] = deque()
        self.number = 0
        self.record: list[str] = []
        self.width = 0
        """Columns of the header, once it is known."""

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._pending.popleft() if self._pending else next(self._file)
        self.number += 1
        self.record.append(line)
        return line

    @property
    def ended(self) -> bool:
        """Whether the record ends the file without a line end."""
        return bool(self.record) and not self.record[-1].endswith(("\n", "\r"))

    def cut_off(self, delimiter: str) -> bool:
        """Whether a record with an open quote is the last of a file that was cut: no line end, and no whole row in its lines."""
        if not self.ended:
            return False
        return all(len(next(csv.reader([line], delimiter=delimiter), [])) != self.width for line in self.record[1:])

    def rewind(self) -> None:
        """Puts back all lines of the record but the first."""
        again = self.record[1:]
        self._pending.extendleft(reversed(again))
        self.number -= len(again)


def _delimited(path: Path, how: Layout) -> Iterator[Raw]:
    with _open(path, how.encoding, newline="") as file:
        lines = _Lines(file)
        header: list[str] | None = None
        for line, text, cells, problem in _records(lines, how):
            if problem is not None:
                yield Raw(line, text, None, problem)
            elif header is None:
                header = [cell.strip(_BLANK) for cell in cells]
                lines.width = len(header)
                repeated = sorted({name for name in header if name and header.count(name) > 1})
                if repeated:
                    yield Raw(
                        line, text, None, Problem("columns", repeated[0], "each column once", "it twice in the header")
                    )
            elif len(cells) != len(header):
                longer = "longer" if len(cells) > len(header) else "shorter"
                found = f"{len(cells)} cells (the row is {longer})"
                code = "truncated" if len(cells) < len(header) and lines.ended else "columns"
                yield Raw(line, text, None, Problem(code, "", f"{len(header)} cells as in the header", found))
            else:
                yield Raw(line, text, dict(zip(header, cells, strict=True)))


def _records(lines: _Lines, how: Layout) -> Iterator[tuple[int, str, list[str], Problem | None]]:
    reader = csv.reader(lines, delimiter=how.delimiter, strict=True)
    troubles = 0
    while True:
        lines.record = []
        start = lines.number + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if lines.cut_off(how.delimiter):
                problem = Problem("truncated", "", "cells in closed quotes, a quote inside written twice", str(error))
                yield start, "".join(lines.record), [], problem
                return
            first = lines.record[0] if lines.record else ""
            troubles += 1
            rest = "; the rest of the file is not read" if troubles >= _QUOTE_TROUBLES else ""
            problem = Problem("quoting", "", "cells in closed quotes, a quote inside written twice", f"{error}{rest}")
            yield start, first.rstrip("\r\n"), [], problem
            if rest:
                return
            lines.rewind()
            reader = csv.reader(lines, delimiter=how.delimiter, strict=True)
            continue
        text = "".join(lines.record).rstrip("\r\n")
        if any(cell.strip(_BLANK) for cell in cells):
            yield start, text, cells, _damaged(text, how.encoding)


def _parquet(path: Path) -> Iterator[Raw]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MissingExtra("pyarrow", "parquet") from error
    try:
        with pq.ParquetFile(path) as file:
            number = 0
            for batch in file.iter_batches(batch_size=_BATCH):
                for fields in batch.to_pylist():
                    number += 1
                    yield Raw(number, canonical(fields).decode(), fields)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: cannot be read as Parquet ({error}); write the file again") from error
