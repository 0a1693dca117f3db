"""The commands `cvalues gate` and `cvalues gate init`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cvalues.cli.options import JsonOption, LangOption, StudyOption, TaxonomyOption
from cvalues.cli.show import Output
from cvalues.errors import UsageError

if TYPE_CHECKING:
    from cvalues.taxonomy import Taxonomy
    from cvalues.workflows.gate import Gated

EXITS = {"pass": 0, "fail": 1, "not enough data": 4}
INIT = "init"


def gate(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="CANDIDATE…",
            help="Runs of the candidate: NAME, latest, FILE.db#NAME, results.json, RUN:MODEL. Or: init RUN…",
        ),
    ],
    baseline: Annotated[list[str] | None, typer.Option("--baseline", help="Run of the baseline; may repeat.")] = None,
    config: Annotated[Path | None, typer.Option("--config", help="gate.toml; default: margins of 5 points.")] = None,
    rater: Annotated[str, typer.Option("--rater", help="Whose verdicts on free responses to decide by.")] = "",
    choice_only: Annotated[
        bool, typer.Option("--choice-only", help="Decide by multiple choice alone; the answer says so.")
    ] = False,
    junit: Annotated[Path | None, typer.Option("--junit", help="Write JUnit XML to this file.")] = None,
    markdown: Annotated[Path | None, typer.Option("--markdown", help="Write Markdown to this file.")] = None,
    out: Annotated[Path, typer.Option("-o", "--out", help="With init: the file to write.")] = Path("gate.toml"),
    alpha: Annotated[float, typer.Option("--alpha", help="With init: error rate of each answer.")] = 0.05,
    power: Annotated[float, typer.Option("--power", help="With init: power of each rule.")] = 0.8,
    study: StudyOption = "study.db",
    taxonomy: TaxonomyOption = "",
    as_json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Decide whether a candidate may replace a baseline: pass (0), fail (1), or not enough data (4).

    `gate init RUN` writes a config whose margins are the smallest that the run's prompts can decide.

    Example:  cvalues gate new-choice new-free --baseline old-choice --baseline old-free --junit gate.xml
    """
    output = Output(as_json=as_json, language=lang)
    if runs[0] == INIT:
        start(runs[1:], out, study, (alpha, power), output)
        return
    from cvalues.taxonomy import load
    from cvalues.workflows.gate import check_gate, keep_decision, load_config

    if not baseline:
        raise UsageError("name the run to compare with, for example  --baseline last-release")
    names = load(Path(taxonomy)) if taxonomy else None
    found = check_gate(runs, baseline, config=load_config(config), study=study, rater=rater, choice_only=choice_only)
    keep_decision(found, [*runs, *baseline], study)
    show(found, (junit, markdown), output, names)
    raise typer.Exit(EXITS[found.result.answer])


def start(runs: list[str], path: Path, study: str, levels: tuple[float, float], output: Output) -> None:
    """Runs `cvalues gate init`."""
    from cvalues.hardening.words import named, say
    from cvalues.schema import Table
    from cvalues.workflows.gate import init_config

    if not runs:
        raise UsageError("name the run to start from, for example  cvalues gate init last-release")
    found = init_config(runs, path, study, alpha=levels[0], power=levels[1])
    columns = tuple(say(f"column.{name}", output.language) for name in ("measure", "prompts", "measured", "margin"))
    rows = tuple(
        (named("measure", each.measure, output.language), each.prompts, each.value, each.margin) for each in found
    )
    output.table(Table(title=say("gate.margins", output.language), columns=columns, rows=rows))
    count = sum(each.margin is not None for each in found)
    joint = f"{levels[1] ** count:.0%}"
    output.line(say("gate.joint", output.language, count=count, joint=joint))
    output.talk(say("gate.init", output.language, path=path, power=f"{levels[1]:.0%}"))
    output.talk(say("gate.next", output.language, run=runs[0], path=path))
    output.json({"path": str(path), "margins": [each._asdict() for each in found]})


def show(
    found: Gated, files: tuple[Path | None, Path | None], output: Output, taxonomy: Taxonomy | None = None
) -> None:
    """Prints the answer with its reasons and tables, and writes the files that were asked for."""
    import msgspec

    from cvalues.hardening.gate_texts import answer_line, gate_tables, junit, markdown, reasons
    from cvalues.records import write_text
    from cvalues.workflows.gate import notes_of

    result, notes = found.result, notes_of(found, output.language)
    output.line(answer_line(result, output.language))
    for text in (*reasons(result, output.language, taxonomy), *notes):
        output.line(text)
    for table in gate_tables(result, output.language, taxonomy):
        output.line("")
        output.table(table)
    if files[0] is not None:
        write_text(files[0], junit(result, output.language, taxonomy))
    if files[1] is not None:
        write_text(files[1], markdown(result, output.language, notes, taxonomy))
    output.json(msgspec.to_builtins(found.printed()))
