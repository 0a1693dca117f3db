"""Options, phrases and summaries that the commands `cvalues pairs …` share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from cvalues.cli.messages import phrase
from cvalues.cli.options import JsonOption, LangOption, ModelsOption, StudyOption, TaxonomyOption
from cvalues.cli.show import Output
from cvalues.errors import UsageError

if TYPE_CHECKING:
    from cvalues.pairs.faults import Ledger
    from cvalues.pairs.scan import Numbering, ScanSettings
    from cvalues.study import Study
    from cvalues.workflows.pairs_files import Audited

__all__ = ["JsonOption", "LangOption", "ModelsOption", "StudyOption", "TaxonomyOption"]

SourceArgument = Annotated[str, typer.Argument(help="Set by name, or a file of pairs.")]
NumberingOption = Annotated[
    str,
    typer.Option(
        "--numbering", help="Numbered lists of one item: keep, repair (take the number out) or drop (the pair)."
    ),
]
QuarantineOption = Annotated[
    Path | None,
    typer.Option("--quarantine", help="Write the rows with faults to this file; without it they make the exit code 1."),
]
ThresholdOption = Annotated[
    float, typer.Option("--threshold", min=0.05, max=1.0, help="Similarity from which two prompts are near-duplicates.")
]


def taxonomy_of(path: str) -> Any:
    """Returns the taxonomy with a user's file, errors as `taxonomy.load`."""
    from cvalues.taxonomy import load

    return load(Path(path) if path else None)


def say(key: str, output: Output, **gaps: object) -> str:
    """Returns a line of the phrases of pairs in the language of the output."""
    from cvalues.pairs.words import say as said

    return said(f"line.{key}", output.language, **gaps)


def study_of(where: str, *, create: bool = True) -> Study:
    """Opens a study."""
    from cvalues.study import open_study

    return open_study(where, create=create)


def scanning(numbering: str, threshold: float) -> ScanSettings:
    """Returns the settings of a pass; UsageError for a way of numbering that does not exist."""
    from cvalues.pairs.scan import ScanSettings

    if numbering not in {"keep", "repair", "drop"}:
        raise UsageError(f"--numbering is keep, repair or drop, not '{numbering}'")
    return ScanSettings(numbering=cast("Numbering", numbering), threshold=threshold)


def tell_faults(ledger: Ledger, output: Output) -> None:
    """Names the faults and notes of a pass, in the language of the output."""
    for line in ledger.lines(output.language, lambda found: phrase(found, output.language)):
        output.talk(line)


def tell(done: Audited, output: Output) -> None:
    """Says what a pass over a file found: faults and notes, counts."""
    figures = done.figures()
    tell_faults(done.scan.ledger, output)
    output.line(say("scan", output, **{**figures, "faults": figures["set_aside"]}))
    if done.scan.repaired:
        output.line(say("repaired", output, count=done.scan.repaired))
    if done.scan.dropped:
        output.line(say("dropped", output, count=done.scan.dropped))


def set_aside(count: int, source: str, quarantine: Path | None, output: Output, *, listed: bool = False) -> int:
    """Says how many rows a command left out for a fault; returns its exit code: 1 where no quarantine took them, else 0.

    `listed` is whether the command named the faults itself.
    """
    if not count:
        return 0
    if quarantine is None:
        output.talk(say("set_aside_listed" if listed else "set_aside", output, source=source, count=count))
        return 1
    output.talk(say("set_aside_to", output, source=source, count=count, path=quarantine))
    return 0
