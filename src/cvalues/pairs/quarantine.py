"""Rows that are set aside for a fault: counted, the first ones kept, and each written as it stands in its file."""

from __future__ import annotations

from typing import IO

import msgspec

from cvalues.pairs.faults import Ledger, PairFault
from cvalues.records import clean


class Quarantine:
    """Counts rows with faults and writes each as a JSON line: `file`, `line`, `code`, `fault` and `raw`, the row as it stands there."""

    def __init__(self, file: IO[bytes] | None = None, keep: int = 200) -> None:
        """Writes to a file that is open, or nowhere; keeps at most `keep` faults and as many notes."""
        self.ledger = Ledger(keep)
        self.count = 0
        """Rows that were set aside."""
        self._file = file

    @property
    def writes(self) -> bool:
        """Whether there is a file that keeps the rows."""
        return self._file is not None

    def add(self, fault: PairFault, raw: str | bytes) -> None:
        """Sets a row aside; bytes that fit no encoding are written as U+FFFD."""
        self.count += 1
        self.ledger.add(fault)
        if self._file is None:
            return
        text = raw.decode("utf-8", "replace").rstrip("\r\n") if isinstance(raw, bytes) else raw
        entry = {"file": fault.file, "line": fault.line, "code": fault.code, "fault": str(fault), "raw": clean(text)}
        self._file.write(msgspec.json.encode(entry) + b"\n")
