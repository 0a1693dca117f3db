"""The command `cvalues data audit`."""

from __future__ import annotations

from pathlib import Path

import msgspec

from cvalues.cli.show import Output
from cvalues.scoring.audit import audit
from cvalues.taxonomy import load as load_taxonomy


def audit_set(source: str, against: list[str], seed: int, taxonomy: str, output: Output) -> int:
    """Runs `cvalues data audit`; returns 1 when a bar is not met or a duplicate straddles splits, else 0."""
    chosen = load_taxonomy(Path(taxonomy) if taxonomy else None)
    report = audit(source, against=against, seed=seed, taxonomy=chosen)
    output.json({"ok": report.ok, **msgspec.to_builtins(report)})
    for table in report.tables(output.language):
        output.table(table)
        output.line("")
    output.line(report.verdict(output.language))
    return 0 if report.ok else 1
