"""The commands `cvalues pairs …`: build, import, split, audit, export; train, evaluate and rank stand in `cli/pairs_models.py`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cvalues.cli.pairs_models import evaluate, rank, train
from cvalues.cli.pairs_options import (
    JsonOption,
    LangOption,
    ModelsOption,
    NumberingOption,
    QuarantineOption,
    SourceArgument,
    StudyOption,
    TaxonomyOption,
    ThresholdOption,
    say,
    scanning,
    set_aside,
    study_of,
    taxonomy_of,
    tell,
    tell_faults,
)
from cvalues.cli.show import Output

if TYPE_CHECKING:
    from cvalues.pairs.scan import ScanSettings

pairs = typer.Typer(
    help="Comparison pairs and reward models: build, import, split, audit, export, train, evaluate, rank.",
    rich_markup_mode=None,
    no_args_is_help=True,
)


@pairs.command("build")
def build(
    source: Annotated[
        str, typer.Argument(help="Set by name, or a file, that holds replies of different grade.", show_default=False)
    ] = "",
    out: Annotated[Path, typer.Option("-o", "--out", help="File to write: pairs, or prompts with --grow.")] = Path(
        "pairs.jsonl"
    ),
    run: Annotated[
        str, typer.Option("--from", help="Run of free responses that somebody judged, instead of a set.")
    ] = "",
    criterion: Annotated[
        str, typer.Option("--criterion", help="Verdicts to use: grade, safe, points, points_best_of.")
    ] = "",
    rater: Annotated[
        str, typer.Option("--rater", help="Verdicts of this rater alone; `person:*` for all people.")
    ] = "",
    reward: Annotated[
        str, typer.Option("--reward", help="Order replies of the run by a reward model's scores instead.")
    ] = "",
    approved: Annotated[
        float, typer.Option("--approved", help="Points from which an expert approves of a reply.")
    ] = 5.0,
    per_type: Annotated[int, typer.Option("--per-type", min=1, help="Most pairs of one type for one prompt.")] = 1,
    margin: Annotated[
        float, typer.Option("--margin", min=0.0, help="Least distance of points or rewards in a pair.")
    ] = 0.0,
    numbering: NumberingOption = "repair",
    seed: Annotated[int, typer.Option("--seed", help="Seed of every draw.")] = 0,
    conflicts: Annotated[
        Path | None, typer.Option("--conflicts", help="File for replies on which raters disagree.")
    ] = None,
    rewrite: Annotated[
        str, typer.Option("--rewrite", help="Model that rewrites replies to the grades that are missing.")
    ] = "",
    grow: Annotated[
        str, typer.Option("--grow", help="Model that writes new prompts after those of the set; writes prompts.")
    ] = "",
    grow_to: Annotated[int, typer.Option("--grow-to", min=0, help="How many prompts there shall be.")] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be asked, and ask nothing.")] = False,
    max_calls: Annotated[int | None, typer.Option("--max-calls", min=1, help="Stop after so many calls.")] = None,
    max_cost: Annotated[
        float | None, typer.Option("--max-cost", help="Stop when so much is spent, by the price table.")
    ] = None,
    quarantine: QuarantineOption = None,
    study: StudyOption = "study.db",
    models_file: ModelsOption = "",
    taxonomy: TaxonomyOption = "",
    as_json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Build pairs from replies that a set, people, judges or a reward model graded; rewrite what is missing, grow prompts.

    Example:  cvalues pairs build starter-choice -o pairs.jsonl
    """
    from cvalues.pairs.build import BuildSettings
    from cvalues.workflows.pairs_build import Building, Growing, Source

    shown = Output(as_json=as_json, language=lang)
    chosen = taxonomy_of(taxonomy)
    settings = BuildSettings(per_type=per_type, margin=margin, numbering=scanning(numbering, 0.7).numbering, seed=seed)
    building = Building(
        source=Source(source, run, criterion, rater, reward, approved, quarantine), out=out, settings=settings, conflicts=conflicts,
        rewrite=rewrite, growing=Growing(grow, grow_to, seed, chosen) if grow else None, max_calls=max_calls,
        max_cost=max_cost, models_file=models_file, taxonomy=chosen,
    )  # fmt: skip
    raise typer.Exit(_build(building, study, dry_run, shown))


def _build(building: Any, study: str, dry_run: bool, output: Output) -> int:
    """Builds, or says what would be asked; returns 3 when calls failed for good."""
    from cvalues.workflows.pairs_build import BuildResult, build_all, plans

    needed = bool(building.source.run or building.rewrite or building.growing)
    exists = "://" in study or Path(study).exists()
    opened = study_of(study) if needed and (exists or not dry_run) else None
    try:
        if dry_run:
            table = plans(building, opened, output.language)
            output.json(table)
            output.table(table)
            return 0
        done = build_all(building, opened)
    finally:
        if opened is not None:
            opened.close()
    if not isinstance(done, BuildResult):
        before, after, failed = done
        output.json({"file": str(building.out), "before": before, "after": after, "failed": failed})
        output.line(say("grown", output, before=before, after=after, path=building.out))
        return 3 if failed else 0
    counts = {**done.built.counts, "failed": done.failed, "refused": dict(done.refused), "set_aside": done.aside}
    output.json({"file": str(done.out), "conflicts_file": str(done.conflicts or ""), **counts})
    output.table(done.table(output.language))
    numbers = {
        "count": len(done.built.pairs),
        "ties": done.built.counts["ties"],
        "conflicts": len(done.built.conflicts),
    }
    output.line(say("built", output, path=done.out, **numbers))
    if done.conflicts is not None:
        output.talk(say("conflicts", output, path=done.conflicts))
    left_out = set_aside(done.aside, building.source.shown, building.source.quarantine, output)
    return 3 if done.failed else left_out


@pairs.command("import")
def import_(
    source: SourceArgument,
    out: Annotated[Path, typer.Option("-o", "--out", help="File of pairs to write.")],
    quarantine: QuarantineOption = None,
    numbering: NumberingOption = "keep",
    taxonomy: TaxonomyOption = "",
    as_json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Read pairs of any known format, set faulty rows aside (exit code 1 without --quarantine), and write the good ones with ids.

    Example:  cvalues pairs import cvalues-comparison/test -o test.jsonl --quarantine bad.jsonl
    """
    from cvalues.workflows.pairs_answers import holds_answers
    from cvalues.workflows.pairs_files import import_pairs

    output = Output(as_json=as_json, language=lang)
    settings = scanning(numbering, 0.7)
    if holds_answers(source):
        raise typer.Exit(_import_answers(source, out, settings, quarantine, output))
    done = import_pairs(source, out, settings, quarantine=quarantine, taxonomy=taxonomy_of(taxonomy))
    output.json({**done.figures(), "file": str(out)})
    tell(done, output)
    output.line(say("imported", output, count=len(done.scan), path=out))
    raise typer.Exit(set_aside(done.scan.aside, source, quarantine, output, listed=True))


def _import_answers(source: str, out: Path, settings: ScanSettings, quarantine: Path | None, output: Output) -> int:
    """Imports prompts with approved answers, which make pairs when the worse replies are rewritten; returns the exit code."""
    from cvalues.workflows.pairs_answers import import_answers
    from cvalues.workflows.pairs_files import aside

    with aside(quarantine) as rows:
        done = import_answers(source, out, settings, rows)
    figures = {"file": str(out), "rows": done.rows, "answers": done.good, "repaired": done.repaired}
    faulty = done.quarantine.count
    output.json({**figures, "set_aside": faulty, "counts": done.quarantine.ledger.counts})
    tell_faults(done.quarantine.ledger, output)
    output.line(say("answers", output, count=done.good, rows=done.rows, path=out))
    return set_aside(faulty, source, quarantine, output, listed=True)


@pairs.command("split")
def split(
    source: SourceArgument,
    out: Annotated[
        Path, typer.Option("-o", "--out", help="Folder for train.jsonl, dev.jsonl, test.jsonl, splits.json.")
    ],
    test: Annotated[float, typer.Option("--test", help="Share of the pairs for testing.")] = 0.2,
    dev: Annotated[float, typer.Option("--dev", help="Share of the pairs for development.")] = 0.0,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the draw.")] = 0,
    threshold: ThresholdOption = 0.7,
    numbering: NumberingOption = "keep",
    quarantine: QuarantineOption = None,
    as_json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Split pairs so that no prompt, and none nearly like it, is on two sides; repeat it with more data and nothing moves.

    Example:  cvalues pairs split pairs.jsonl -o split --test 0.2
    """
    from cvalues.pairs.split import Shares
    from cvalues.workflows.pairs_files import SPLITS_FILE, audit_pairs, split_pairs

    output = Output(as_json=as_json, language=lang)
    scan = audit_pairs(source, scanning(numbering, threshold), quarantine=quarantine).scan
    done = split_pairs(source, out, Shares(test=test, dev=dev), seed=seed, scan=scan)
    output.json(
        {"files": {name: str(path) for name, path in done.files.items()}, "pairs": done.counts, "clusters": done.clusters,
         "kept": done.kept, "left_out": done.left_out, "set_aside": scan.aside}
    )  # fmt: skip
    output.table(done.table(output.language))
    for name, path in done.files.items():
        output.line(say("split", output, name=name, pairs=done.counts[name], clusters=done.clusters[name], path=path))
    if scan.held:
        output.talk(say("held", output, count=len(scan.held)))
    if done.kept:
        output.talk(say("kept", output, count=done.kept, path=out / SPLITS_FILE))
    if done.left_out:
        output.talk(say("left_out", output, count=done.left_out))
    raise typer.Exit(set_aside(scan.aside, source, quarantine, output))


@pairs.command("audit")
def audit(
    source: SourceArgument,
    quarantine: QuarantineOption = None,
    threshold: ThresholdOption = 0.7,
    taxonomy: TaxonomyOption = "",
    as_json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Check every pair, and measure how many of them length, refusal words and numbering get right; exits 1 when a row is faulty.

    Example:  cvalues pairs audit pairs.jsonl --quarantine bad.jsonl
    """
    from cvalues.workflows.pairs_files import audit_pairs

    output = Output(as_json=as_json, language=lang)
    done = audit_pairs(source, scanning("keep", threshold), quarantine=quarantine, taxonomy=taxonomy_of(taxonomy))
    tables = done.tables(output.language)
    output.json(
        {**done.figures(), "tables": tables, "faults": done.scan.ledger.faults, "notes": done.scan.ledger.notes}
    )
    for table in tables:
        output.table(table)
        output.line("")
    tell(done, output)
    if quarantine is not None:
        set_aside(done.scan.aside, source, quarantine, output)
    raise typer.Exit(1 if done.scan.aside else 0)


@pairs.command("export")
def export(
    name: Annotated[str, typer.Argument(help="Set by name, or a file, that holds replies of different grade.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="File to write; a folder for the format hf.")],
    form: Annotated[
        str,
        typer.Option("--format", help="public, trl, trl-chat, llama-factory, ms-swift, openrlhf, hf, or choices."),
    ] = "public",
    split: Annotated[str, typer.Option("--split", help="Split to export: train, dev, heldout, or all.")] = "train",
    licence: Annotated[str, typer.Option("--licence", help="Only pairs of these licences, separated by commas.")] = "",
    allow_heldout: Annotated[
        bool,
        typer.Option(
            "--allow-heldout", help="Export held-back items for training all the same; the study remembers it."
        ),
    ] = False,
    quarantine: Annotated[
        Path | None,
        typer.Option("--quarantine", help="Write the rows with faults to this file; without it they stop the export."),
    ] = None,
    study: StudyOption = "study.db",
    taxonomy: TaxonomyOption = "",
    as_json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Export pairs of a better and a worse reply as training data; held-back items are refused.

    Example:  cvalues pairs export starter-choice -o train.jsonl --format trl
    """
    from cvalues.workflows.pairs_export import ExportSettings
    from cvalues.workflows.pairs_export import export as write

    output = Output(as_json=as_json, language=lang)
    licences = tuple(part.strip() for part in licence.split(",") if part.strip())
    settings = ExportSettings(
        format=form, split=split, allow_heldout=allow_heldout, licences=licences, quarantine=quarantine
    )
    done = write(name, out, settings, study=study, taxonomy=taxonomy_of(taxonomy))
    output.json(
        {
            "set": name,
            "file": str(out),
            "pairs": done.card.pairs,
            "heldout": done.heldout,
            "set_aside": done.aside,
            "card": done.card,
        }
    )
    output.line(say("exported", output, count=done.card.pairs, path=out))
    if done.unlicensed:
        output.talk(say("unlicensed", output, count=done.unlicensed))
    if done.heldout:
        output.talk(say("heldout", output, count=done.heldout, study=study))
    set_aside(done.aside, name, quarantine, output)


pairs.command("train")(train)
pairs.command("evaluate")(evaluate)
pairs.command("rank")(rank)
