"""Commands on responses that stand in files, and on two models side by side."""

from __future__ import annotations

from pathlib import Path

import msgspec

from cvalues.cli.show import Output
from cvalues.errors import NotEnoughData
from cvalues.report import write
from cvalues.scoring import compare, score
from cvalues.workflows.compare import model_outcomes
from cvalues.workflows.files import read_files, read_sheet, report_input, write_sheet
from cvalues.workflows.tables import comparison_table, score_table


def score_files(
    files: list[Path], model: str, by: list[str], paths: tuple[Path | None, Path | None, Path | None], output: Output
) -> None:
    """Runs `cvalues score`; `paths` are the sheet to write, the sheet to read, and the report's folder."""
    sheet, reviewed, out = paths
    rows = read_files(files, model, read_sheet(reviewed) if reviewed else None)
    if not rows:
        raise NotEnoughData("these files hold no rows; give files with one response a row")
    outcomes = [row.outcome for row in rows]
    keys = tuple(by) or ("level",)
    output.json({"scores": [msgspec.to_builtins(entry) for entry in score(outcomes, keys)]})
    output.table(score_table(outcomes, keys))
    if sheet is not None:
        output.talk(output.say("sheet.written", count=write_sheet(sheet, rows), path=sheet))
    if out is not None:
        output.talk(output.say("report.path", path=write(out, report_input(rows, language=output.language))))


def compare_models(baseline: str, candidate: str, by: str, study: str, output: Output) -> None:
    """Runs `cvalues compare`."""
    first_name, first = model_outcomes(baseline, study)
    second_name, second = model_outcomes(candidate, study)
    if first_name == second_name:
        second_name = f"{second_name} (2)"
        second = [msgspec.structs.replace(outcome, model=second_name) for outcome in second]
    comparison = compare([*first, *second], first_name, second_name, by)
    output.json(comparison)
    output.table(comparison_table(comparison))
