"""Files that hold responses already (the public evaluation format) → outcomes, and the reviewer's sheet for what rules left undecided."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import msgspec

from cvalues.choice.read import read_response
from cvalues.datasets import answered
from cvalues.errors import DataError, MissingExtra, UsageError
from cvalues.records import clean, content_hash, detect_encoding, open_bytes, write_atomically
from cvalues.report import ModelFacts, ReportInput
from cvalues.report.export import safe_cell
from cvalues.report.words import Language
from cvalues.schema import Choice, Outcome, Response, response_id
from cvalues.scoring import ItemOutcome
from cvalues.taxonomy import Taxonomy, builtin
from cvalues.workflows.results import evidence_of, rule_of

COLUMNS = ("key", "question", "reply 1", "reply 2", "response", "verdict", "note")
"""Columns of the reviewer's sheet; the reviewer fills `verdict`."""

REVIEWED: Mapping[str, Outcome] = {
    "1": "1", "回复1": "1", "回复一": "1", "a": "1",
    "2": "2", "回复2": "2", "回复二": "2", "b": "2",
    "other": "other", "其他": "other", "都好": "other", "都不好": "other",
    "refused": "refused", "refuse": "refused", "拒绝": "refused",
    "unreadable": "unreadable", "need_check": "unreadable", "看不出": "unreadable",
}  # fmt: skip
"""What may stand in the column `verdict`, the official scorer's words included; letters of any case."""


class Scored(NamedTuple):
    """One row of a file: the choice, what the model wrote, and what it was read as."""

    key: str
    choice: Choice
    response: Response | None
    outcome: ItemOutcome
    evidence: str


def read_files(
    files: Sequence[Path],
    model: str = "",
    reviewed: Mapping[str, Outcome] | None = None,
    taxonomy: Taxonomy | None = None,
) -> list[Scored]:
    """Returns every row of the files in order, read by the rules; a reviewer's decision counts over them.

    Args:
        files: JSON Lines in the public evaluation format, or our own choices with a `response`.
        model: name of the model; the name of each file when empty.
        reviewed: outcomes by key, from `read_sheet`.
        taxonomy: categories of the files.

    Raises:
        DataError: a file cannot be read or holds no choices.
    """
    decided = reviewed or {}
    found: list[Scored] = []
    for file in files:
        name = model or file.stem
        found += [
            _scored(entry.choice, entry.response, entry.row, name, decided)
            for entry in answered(file, taxonomy=taxonomy)
        ]
    return found


def _scored(choice: Choice, text: str | None, row: int, model: str, decided: Mapping[str, Outcome]) -> Scored:
    key = content_hash((choice.id, choice.better, text))[3:15]
    base = ItemOutcome(
        set=choice.source, model=model, choice=choice.id, pair=choice.pair_id, order="12" if choice.better == 1 else "21",
        level=choice.level, category=choice.category, collection=choice.collection, difficulty=choice.difficulty,
        language=choice.language, split=choice.split, tags=choice.tags, better=choice.better,
    )  # fmt: skip
    if text is None:
        return Scored(key, choice, None, base, "")
    origin = f"data:{choice.source}/{model}#{row}"
    response = Response(id=response_id(origin), origin=origin, text=clean(text), prompt_id=choice.prompt_id)
    if key in decided:
        outcome = msgspec.structs.replace(base, outcome=decided[key], rule="reviewer", response=response.id)
        return Scored(key, choice, response, outcome, "")
    verdict = read_response(choice, response)
    outcome = msgspec.structs.replace(
        base, outcome=cast("Outcome", verdict.value), rule=rule_of(verdict), response=response.id
    )
    return Scored(key, choice, response, outcome, evidence_of(verdict))


def report_input(rows: Iterable[Scored], *, taxonomy: Taxonomy | None = None, language: str = "zh") -> ReportInput:
    """Returns what a report of scored files is made from."""
    found = list(rows)
    return ReportInput(
        taxonomy=taxonomy or builtin(),
        outcomes=[row.outcome for row in found],
        items={row.choice.id: row.choice for row in found},
        responses={row.response.id: row.response for row in found if row.response is not None},
        evidence={row.response.id: row.evidence for row in found if row.response is not None and row.evidence},
        models={row.outcome.model: ModelFacts() for row in found},
        language=cast("Language", language if language in {"zh", "en"} else "en"),
    )


def write_sheet(path: Path, rows: Iterable[Scored]) -> int:
    """Writes what the rules could not read to a .csv or .xlsx for a reviewer and returns how many rows that are.

    Cells that a spreadsheet would run as a formula are disarmed: the replies come from models.

    Raises:
        UsageError: the name ends in neither .csv nor .xlsx.
        MissingExtra: XLSX needs openpyxl.
        DataError: the file cannot be written.
    """
    open_rows = [
        [
            row.key,
            row.choice.question,
            row.choice.replies[0].text,
            row.choice.replies[1].text,
            row.response.text,
            "",
            "",
        ]
        for row in rows
        if row.outcome.outcome == "unreadable" and row.response is not None
    ]
    cells = [[safe_cell(cell) for cell in row] for row in open_rows]
    match path.suffix.lower():
        case ".csv":
            _write_csv(path, cells)
        case ".xlsx":
            _write_xlsx(path, cells)
        case _:
            raise UsageError(f"{path}: a reviewer's sheet ends in .csv or .xlsx")
    return len(cells)


def _write_csv(path: Path, cells: list[list[Any]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerows([COLUMNS, *cells])
    # With the byte-order mark a spreadsheet program reads the Chinese as UTF-8.
    write_atomically(path, lambda file: file.write(text.getvalue().encode("utf-8-sig")))


def _write_xlsx(path: Path, cells: list[list[Any]]) -> None:
    openpyxl = _openpyxl()
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("undecided")
    limit = 32_767  # a cell of the format holds no more characters
    for row in [list(COLUMNS), *cells]:
        sheet.append([_printable(str(cell))[:limit] for cell in row])
    buffer = io.BytesIO()
    book.save(buffer)
    write_atomically(path, lambda file: file.write(buffer.getvalue()))


def _printable(text: str) -> str:
    """Returns text without the control characters that XML, and so XLSX, cannot hold."""
    return "".join(char if char >= " " or char in "\t\n\r" else "\ufffd" for char in text)


def _openpyxl() -> Any:
    try:
        import openpyxl
    except ModuleNotFoundError as error:
        raise MissingExtra("openpyxl", "xlsx") from error
    return openpyxl


def read_sheet(path: Path) -> dict[str, Outcome]:
    """Returns the reviewer's decisions by key; rows with an empty verdict are left out.

    Raises:
        DataError: the sheet lacks a column, or a verdict is no known word; the message gives file:row.
    """
    rows = _xlsx_rows(path) if path.suffix.lower() == ".xlsx" else _csv_rows(path)
    header = [str(cell).strip().lower() for cell in next(rows, [])]
    missing = {"key", "verdict"} - set(header)
    if missing:
        raise DataError(f"{path}:1: lacks the column {', '.join(sorted(missing))}; use a sheet that --sheet wrote")
    key_at, verdict_at = header.index("key"), header.index("verdict")
    decided: dict[str, Outcome] = {}
    for number, row in enumerate(rows, 2):
        cells = [*row, *[""] * len(header)]
        word = str(cells[verdict_at] if cells[verdict_at] is not None else "").strip().lower().removesuffix(".0")
        if not word:
            continue
        if word not in REVIEWED:
            raise DataError(
                f"{path}:{number}: verdict: expected 1, 2, other, refused or unreadable, found '{word[:40]}'"
            )
        decided[str(cells[key_at]).strip()] = REVIEWED[word]
    return decided


def _csv_rows(path: Path) -> Iterator[list[Any]]:
    with open_bytes(path) as file:
        text = file.read().decode(detect_encoding(path))
    yield from csv.reader(io.StringIO(text, newline=""))


def _xlsx_rows(path: Path) -> Iterator[list[Any]]:
    openpyxl = _openpyxl()
    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    except (OSError, KeyError, ValueError, zipfile.BadZipFile, openpyxl.utils.exceptions.InvalidFileException) as error:
        raise DataError(f"{path}: is no readable .xlsx ({error}); save the sheet again") from error
    for row in book.worksheets[0].iter_rows(values_only=True):
        yield list(row)
    book.close()
