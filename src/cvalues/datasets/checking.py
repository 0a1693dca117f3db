"""Checks data files to the end: every fault with file:line, counts against what is known, bad rows set aside.

Rows are streamed; what is kept of each is a 16-byte digest of its id and text, so 145,669 rows take seconds and little memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from cvalues.datasets import starter
from cvalues.datasets.columns import Names
from cvalues.datasets.formats import EXPECTED, Format, convert, recognise, set_name
from cvalues.datasets.loading import is_header
from cvalues.datasets.registry import KnownFile, KnownSet, by_file_name, cached_files, files_of, find, known
from cvalues.datasets.row import Place, Row, fault_at, place
from cvalues.datasets.shapes import Fault
from cvalues.datasets.tabular import Layout, Problem, Raw, layout, rows
from cvalues.datasets.tally import Tally
from cvalues.errors import DataError, UsageError
from cvalues.records import canonical, write_atomically
from cvalues.schema import Cell, Record, Table
from cvalues.taxonomy import Taxonomy, builtin


class Checking(Record, frozen=True, kw_only=True):
    """Settings of a check."""

    max_length: int = 20_000
    """Longest text allowed, in characters."""
    keep: int = 2_000
    """How many faults, and how many warnings, the report holds; all are counted, and all go to the quarantine file."""
    columns: dict[str, str] = {}
    """Field → name of the column that holds it."""
    defaults: dict[str, str] = {}
    """Field → value for rows that do not hold it."""


class CheckReport(Record, frozen=True, kw_only=True):
    """What a check found."""

    source: str
    format: str
    """Empty when none was recognised."""
    encoding: str
    rows: int
    """Rows read, broken ones included."""
    good: int
    """Rows without a fault (warnings do not count)."""
    faults: tuple[Fault, ...] = ()
    """The first ones, in the order found."""
    warnings: tuple[Fault, ...] = ()
    counts: dict[str, int] = {}
    """Number of every code, those beyond the kept ones included."""
    fault_count: int = 0
    warning_count: int = 0
    categories: dict[str, int] = {}
    """Good rows per category as read."""
    labels: dict[str, int] = {}
    """Good rows per place of the better reply."""
    pairs: int = 0
    known: str = ""
    """The known set whose figures were compared; empty when none was."""

    @property
    def ok(self) -> bool:
        """Whether there is no fault; warnings are allowed."""
        return self.fault_count == 0

    def lines(self) -> Iterator[str]:
        """Yields the kept faults, then the kept warnings, one line each, then a line on what is not shown and a summary."""
        for fault in self.faults:
            yield str(fault)
        for warning in self.warnings:
            yield f"warning: {warning}"
        hidden = self.fault_count + self.warning_count - len(self.faults) - len(self.warnings)
        if hidden:
            yield f"… and {hidden} more (see the counts)"
        yield (
            f"{self.source}: {self.rows} rows, {self.good} without faults; "
            f"{self.fault_count} faults, {self.warning_count} warnings"
        )

    def table(self) -> Table:
        """Returns the counts of every code as a table, the most frequent first."""
        from cvalues.datasets.shapes import CODES, WARNINGS

        ordered = sorted(self.counts.items(), key=lambda entry: (entry[0] in WARNINGS, -entry[1], entry[0]))
        cells: tuple[tuple[Cell, ...], ...] = tuple(
            (code, "warning" if code in WARNINGS else "fault", count, CODES[code]) for code, count in ordered
        )
        notes = (
            f"{self.rows} rows, {self.good} without faults",
            f"encoding: {self.encoding}",
            f"format: {self.format}",
        )
        return Table(
            title=f"Check of {self.source}", columns=("code", "kind", "count", "meaning"), rows=cells, notes=notes
        )


class _Ledger:
    """Collects faults in bounded memory, and sets bad rows aside for the quarantine file."""

    def __init__(self, keep: int, aside: Any = None) -> None:
        self.keep = keep
        self.aside = aside
        self.faults: list[Fault] = []
        self.warnings: list[Fault] = []
        self.counts: Counter[str] = Counter()
        self.fault_count = self.warning_count = 0
        self._seen: set[tuple[str, str]] = set()

    def note(self, found: list[Fault], raw: Raw | None = None) -> bool:
        """Notes the faults of one row (or of the file) and returns whether one of them is more than a warning."""
        bad = False
        for fault in found:
            if fault.code in {"new_field", "unknown_field"}:  # one column, one warning
                if (fault.code, fault.field) in self._seen:
                    continue
                self._seen.add((fault.code, fault.field))
            self.counts[fault.code] += 1
            if fault.severity == "warning":
                self.warning_count += 1
                kept = self.warnings
            else:
                self.fault_count += 1
                kept, bad = self.faults, True
            if len(kept) < self.keep:
                kept.append(fault)
        if bad and raw is not None and self.aside is not None:
            reasons = [msgspec.to_builtins(fault) for fault in found if fault.severity == "fault"]
            entry = {"file": found[0].file, "line": raw.line, "faults": reasons, "raw": raw.text}
            self.aside.write(_storable(entry))
        return bad


def _storable(entry: dict[str, Any]) -> bytes:
    try:
        return canonical(entry) + b"\n"
    except UnicodeEncodeError:  # a damaged line: its bytes are shown as \\xNN
        entry = {**entry, "raw": entry["raw"].encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")}
        return canonical(entry) + b"\n"


def check(
    source: str | Path,
    *,
    taxonomy: Taxonomy | None = None,
    known_as: str | None = None,
    quarantine: Path | None = None,
    settings: Checking | None = None,
) -> CheckReport:
    """Returns everything that is wrong with a file, or with the cached files of a known set.

    Warned of, but no fault: blanks around labels and texts, labels that differ by one character, unknown columns, levels other
    than the category's, and right answers of which the share in first place is more than three standard errors from one half.

    Args:
        source: a known set (`NAME` or `NAME/PART`) or the path of a file.
        taxonomy: the categories allowed; the built-in ones when None.
        known_as: name of the known set (or part) whose figures the file must have; found by itself for a known name and for a
            file that bears the public file's name.
        quarantine: where to write the bad rows, as JSON Lines of file, line, faults and raw text; written also when there are none.
        settings: limits and column names.

    Raises:
        DataError: the file cannot be opened at all, or the quarantine file cannot be written.
        UsageError: `known_as` is no set, or a set of several files.
    """
    chosen = settings or Checking()
    files = _files(source, known_as)

    def run(aside: Any = None) -> CheckReport:
        return _check(str(source), files, taxonomy or builtin(), chosen, aside)

    if quarantine is None:
        return run()
    reports: list[CheckReport] = []
    write_atomically(quarantine, lambda file: reports.append(run(file)))
    return reports[0]


_File = tuple[Path, KnownSet | None, KnownFile | None]


def _files(source: str | Path, known_as: str | None) -> list[_File]:
    if known_as is not None:
        known_set, part = known(known_as)
        files = files_of(known_set, part)
        if len(files) != 1:
            parts = ", ".join(f"{known_set.name}/{Path(file.name).stem}" for file in files) or "none"
            raise UsageError(f"{known_as}: is not one file; name one of its parts: {parts}")
        return [(Path(source), known_set, files[0])]
    found = None if isinstance(source, Path) else find(source)
    if found is None:
        path = Path(source)
        known_file = by_file_name(path)
        return [(path, *known_file)] if known_file else [(path, None, None)]
    if found[0].builtin:
        folder = starter.folder()
        return [(path, None, None) for path in sorted(folder.glob("*.jsonl"))]
    return [(path, found[0], file) for file, path in cached_files(*found)]


def _check(source: str, files: list[_File], taxonomy: Taxonomy, chosen: Checking, aside: Any) -> CheckReport:
    ledger = _Ledger(chosen.keep, aside)
    total = Tally()
    form, encoding, count, good = "", "", 0, 0
    for path, known_set, known_file in files:
        tally = Tally(total)
        where = place(
            str(path),
            known_set.name if known_set else set_name(path.stem),
            taxonomy,
            defaults=chosen.defaults,
            max_length=chosen.max_length,
        )
        where = where._replace(told=known_set.told) if known_set else where
        how = layout(path)
        encoding = encoding or how.encoding
        read = _check_file(path, how, where, chosen.columns, ledger, tally)
        form, count, good = form or read[0], count + read[1], good + read[2]
        faults = tally.ends(where.file)
        if read[1] == 0:
            faults.append(fault_at(where.file, 0, Problem("format", "", EXPECTED, "no rows")))
        if known_file is not None:
            faults += tally.against(where.file, known_file, read[1])
        ledger.note(faults)
    return CheckReport(
        source=source,
        format=form,
        encoding=encoding,
        rows=count,
        good=good,
        faults=tuple(ledger.faults),
        warnings=tuple(ledger.warnings),
        counts=dict(ledger.counts),
        fault_count=ledger.fault_count,
        warning_count=ledger.warning_count,
        categories=dict(total.categories),
        labels=dict(total.labels),
        pairs=total.pair_count,
        known=", ".join(sorted({known_set.name for _, known_set, _ in files if known_set is not None})),
    )


def _check_file(
    path: Path, how: Layout, where: Place, columns: Mapping[str, str], ledger: _Ledger, tally: Tally
) -> tuple[Format | str, int, int]:
    """Returns (format, rows, rows without a fault) of one file, noting all faults of its rows."""
    names = Names(columns)
    form: Format | None = None
    unknown = False
    number = good = 0
    for raw in rows(path, how):
        if raw.fields is not None and is_header(raw.fields):
            continue
        number += 1
        if raw.fields is None:
            problem = raw.problem or Problem("broken_json", "", "a row", "nothing that can be read")
            ledger.note([fault_at(where.file, raw.line, problem)], raw)
            continue
        fields = names.rename(raw.fields)
        form = form or recognise(fields)
        if form is None:
            found = [] if unknown else [_unrecognised(where.file, raw)]
            unknown = True
            ledger.note(found, raw)
            continue
        row = Row(fields, raw.line, number, where)
        item = convert(form, row)
        row.faults += tally.add(item, row)
        good += not ledger.note(row.faults, raw)
        tally.words(raw.fields)
    return form or "", number, good


def _unrecognised(file: str, raw: Raw) -> Fault:
    names = ", ".join(str(name) or "(no name)" for name in raw.fields or {})
    return fault_at(file, raw.line, Problem("format", "", EXPECTED, f"the fields {names}"))


def require(report: CheckReport) -> CheckReport:
    """Returns the report when it holds no fault.

    Raises:
        DataError: it holds faults; the message has the first and their number.
    """
    if report.ok:
        return report
    raise DataError(f"{report.faults[0]}; {report.fault_count} faults in all:  cvalues data check {report.source}")
