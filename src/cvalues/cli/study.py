"""Commands on the study database."""

from __future__ import annotations

from pathlib import Path

import msgspec

from cvalues.cli.messages import translate
from cvalues.cli.show import Output
from cvalues.schema import Table
from cvalues.study import open_study
from cvalues.study.engine import hide_password, is_url
from cvalues.study.exchange import backup_study, export_study, import_study
from cvalues.study.verify import verify


def info(where: str, output: Output) -> None:
    """Shows the runs and the number of records."""
    with open_study(where, create=False) as study:
        runs, counts, audits = study.runs(), study.counts(), study.audits()
    output.json(
        {
            "study": hide_password(where),
            "records": counts,
            "runs": [msgspec.to_builtins(run) for run in runs],
            "audit": audits,
        }
    )
    rows = tuple(
        (
            run.name,
            run.state,
            ", ".join(f"{ref.name} ({ref.items})" for ref in run.sets),
            ", ".join(run.models),
            run.start,
            run.end,
        )
        for run in runs
    )
    output.table(Table(title="Runs", columns=("name", "state", "sets", "models", "start", "end"), rows=rows))
    output.line("  ".join(f"{name} {count}" for name, count in counts.items()))
    for audit in audits:
        output.line(output.say("info.audit", time=audit.time, verb=audit.verb, object=audit.object))


def check(where: str, output: Output) -> int:
    """Verifies a study; returns 1 when a fault was found."""
    with open_study(where, create=False) as study:
        found = verify(study)
    output.json(found)
    for fault in found.faults:
        output.line(f"{fault.table} {fault.id}: {translate(fault.problem, output.language)}")
    if found.sound:
        output.line(output.say("verify.ok", study=hide_password(where), rows=found.records))
    return 0 if found.sound else 1


def export(folder: Path, form: str, where: str, output: Output) -> None:
    """Exports a study."""
    with open_study(where, create=False) as study:
        manifest = export_study(study, folder, form)
    output.json(manifest)
    output.line(output.say("study.exported", rows=manifest.rows, path=folder))


def merge(source: Path, where: str, output: Output) -> None:
    """Imports an export or another study."""
    with open_study(where) as study:
        count = import_study(study, source)
    output.json({"study": hide_password(where) if is_url(where) else where, "new": count})
    output.line(output.say("study.imported", rows=count))


def back_up(path: Path, where: str, output: Output) -> None:
    """Backs a study up."""
    with open_study(where, create=False) as study:
        backup_study(study, path)
    output.json({"backup": str(path)})
    output.line(output.say("study.backup", path=path))
