"""`cvalues run --engine batch`: what it writes, what it waits for, what it collected."""

from __future__ import annotations

from pathlib import Path

from cvalues.cli.show import Output, of_counts, progress
from cvalues.errors import UsageError, unknown_name
from cvalues.study import open_study
from cvalues.workflows.batch import ENGINES, BatchState, execute_batch
from cvalues.workflows.plan import Plan


def check_engine(engine: str, folder: Path | None, *, trial: int | None, max_cost: float | None) -> Path:
    """Returns the folder of the batch files.

    Raises:
        UsageError: the engine does not exist, or the options do not fit it.
    """
    if engine not in ENGINES:
        raise unknown_name("engine", engine, (*ENGINES, "ray"))
    if folder is None:
        raise UsageError("--engine batch keeps its files in a folder; name it with --batch-dir DIR")
    if trial or max_cost is not None:
        raise UsageError(
            "--trial and --max-cost need replies at once and do not go with --engine batch; bound it with --limit or --max-calls"
        )
    return folder


def run_batch(
    plan: Plan, where: str, output: Output, *, folder: Path, submit: bool, most: int | None
) -> tuple[int, bool]:
    """Does one step of a run by batch files; returns (exit code, whether everything is answered or failed)."""
    with open_study(where) as study, progress(output) as watch:
        state = execute_batch(plan, study, folder, submit=submit, most=most, watch=watch)
        table = state.table()
    _say(state, output)
    if not state.complete:
        rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
        output.json({
            "run": state.finished.run.name,
            "batch": rows,
            "files": [str(file) for file in state.files],
            "foreign": state.foreign,
            "torn": list(state.torn),
        })  # fmt: skip
        output.table(of_counts(table))
    return (3 if state.finished.progress.failed else 0), state.complete


def _say(state: BatchState, output: Output) -> None:
    for place in state.torn:
        output.talk(output.say("batch.torn", place=place))
    if state.foreign:
        output.talk(output.say("batch.foreign", count=state.foreign))
    for batch in state.batches:
        output.talk(output.say("batch.submitted", file=batch.file, status=batch.status or "?"))
    for file in state.open_files:
        output.talk(output.say("batch.open", file=file))
    if not state.complete:
        output.talk(output.say("batch.again"))
