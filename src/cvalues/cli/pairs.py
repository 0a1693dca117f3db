"""The commands `cvalues pairs …`: build, import, split, audit, export, train, evaluate, rank."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from cvalues.cli.show import Output
from cvalues.errors import UsageError

if TYPE_CHECKING:
    from cvalues.pairs.scan import Numbering, ScanSettings
    from cvalues.study import Study
    from cvalues.workflows.pairs_files import Audited

pairs = typer.Typer(
    help="Comparison pairs and reward models: build, import, split, audit, export, train, evaluate, rank.",
    rich_markup_mode=None,
    no_args_is_help=True,
)

SourceArgument = Annotated[str, typer.Argument(help="Set by name, or a file of pairs.")]
StudyOption = Annotated[
    str, typer.Option("--study", help="Study: path of a SQLite file, or a PostgreSQL URL.", envvar="CVALUES_STUDY")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
LangOption = Annotated[
    str, typer.Option("--lang", help="Language of what is shown: zh or en. Default: from the environment.")
]
ModelsOption = Annotated[
    str, typer.Option("--models-file", help="Models by name. Default: ./models.toml when it exists.")
]
TaxonomyOption = Annotated[
    str, typer.Option("--taxonomy", help="A file that adds to or replaces the scenarios and domains.")
]
NumberingOption = Annotated[
    str,
    typer.Option(
        "--numbering", help="Numbered lists of one item: keep, repair (take the number out) or drop (the pair)."
    ),
]
QuarantineOption = Annotated[Path | None, typer.Option("--quarantine", help="Write the rows with faults to this file.")]
ThresholdOption = Annotated[
    float, typer.Option("--threshold", min=0.05, max=1.0, help="Similarity from which two prompts are near-duplicates.")
]


def _taxonomy(path: str) -> Any:
    from cvalues.taxonomy import load

    return load(Path(path) if path else None)


def _say(key: str, output: Output, **gaps: object) -> str:
    from cvalues.pairs.words import say

    return say(f"line.{key}", output.language, **gaps)


def _open(where: str, *, create: bool = True) -> Study:
    from cvalues.study import open_study

    return open_study(where, create=create)


def _scanning(numbering: str, threshold: float) -> ScanSettings:
    from cvalues.pairs.scan import ScanSettings

    if numbering not in {"keep", "repair", "drop"}:
        raise UsageError(f"--numbering is keep, repair or drop, not '{numbering}'")
    return ScanSettings(numbering=cast("Numbering", numbering), threshold=threshold)


def _tell(done: Audited, quarantine: Path | None, output: Output) -> None:
    """Says what a pass over a file found: faults and notes, counts, where bad rows went."""
    figures = done.figures()
    for line in done.scan.ledger.lines(output.language):
        output.talk(line)
    output.line(_say("scan", output, **{**figures, "faults": figures["set_aside"]}))
    if quarantine is not None and done.scan.aside:
        output.talk(_say("quarantine", output, path=quarantine))
    if done.scan.repaired:
        output.line(_say("repaired", output, count=done.scan.repaired))
    if done.scan.dropped:
        output.line(_say("dropped", output, count=done.scan.dropped))


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
        Path | None, typer.Option("--conflicts", help="File for replies that raters put in opposite orders.")
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
    chosen = _taxonomy(taxonomy)
    settings = BuildSettings(per_type=per_type, margin=margin, numbering=_scanning(numbering, 0.7).numbering, seed=seed)
    building = Building(
        source=Source(source, run, criterion, rater, reward, approved), out=out, settings=settings, conflicts=conflicts,
        rewrite=rewrite, growing=Growing(grow, grow_to, seed, chosen) if grow else None, max_calls=max_calls,
        max_cost=max_cost, models_file=models_file, taxonomy=chosen,
    )  # fmt: skip
    raise typer.Exit(_build(building, study, dry_run, shown))


def _build(building: Any, study: str, dry_run: bool, output: Output) -> int:
    """Builds, or says what would be asked; returns 3 when calls failed for good."""
    from cvalues.workflows.pairs_build import BuildResult, build_all, plans

    needed = bool(building.source.run or building.rewrite or building.growing)
    exists = "://" in study or Path(study).exists()
    opened = _open(study) if needed and (exists or not dry_run) else None
    try:
        if dry_run:
            table = plans(building, opened)
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
        output.line(_say("grown", output, before=before, after=after, path=building.out))
        return 3 if failed else 0
    counts = {**done.built.counts, "failed": done.failed, "refused": dict(done.refused)}
    output.json({"file": str(done.out), "conflicts_file": str(done.conflicts or ""), **counts})
    output.table(done.table(output.language))
    numbers = {
        "count": len(done.built.pairs),
        "ties": done.built.counts["ties"],
        "conflicts": len(done.built.conflicts),
    }
    output.line(_say("built", output, path=done.out, **numbers))
    if done.conflicts is not None:
        output.talk(_say("conflicts", output, path=done.conflicts))
    return 3 if done.failed else 0


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
    """Read pairs of any known format, set faulty rows aside, and write the good ones as pairs with ids.

    Example:  cvalues pairs import cvalues-comparison/test -o test.jsonl --quarantine bad.jsonl
    """
    from cvalues.workflows.pairs_answers import holds_answers
    from cvalues.workflows.pairs_files import import_pairs

    output = Output(as_json=as_json, language=lang)
    settings = _scanning(numbering, 0.7)
    if holds_answers(source):
        _import_answers(source, out, settings, quarantine, output)
        return
    done = import_pairs(source, out, settings, quarantine=quarantine, taxonomy=_taxonomy(taxonomy))
    output.json({**done.figures(), "file": str(out)})
    _tell(done, quarantine, output)
    output.line(_say("imported", output, count=len(done.scan), path=out))


def _import_answers(source: str, out: Path, settings: ScanSettings, quarantine: Path | None, output: Output) -> None:
    """Imports prompts with approved answers, which make pairs when the worse replies are rewritten."""
    from cvalues.workflows.pairs_answers import import_answers
    from cvalues.workflows.pairs_files import aside

    with aside(quarantine) as rows:
        done = import_answers(source, out, settings, rows)
    figures = {"file": str(out), "rows": done.rows, "answers": done.good, "repaired": done.repaired}
    output.json({**figures, "counts": done.ledger.counts})
    for line in done.ledger.lines(output.language):
        output.talk(line)
    if quarantine is not None and done.ledger.fault_count:
        output.talk(_say("quarantine", output, path=quarantine))
    output.line(_say("answers", output, count=done.good, rows=done.rows, path=out))


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
    as_json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Split pairs so that no prompt, and none nearly like it, is on two sides; repeat it with more data and nothing moves.

    Example:  cvalues pairs split pairs.jsonl -o split --test 0.2
    """
    from cvalues.pairs.split import Shares
    from cvalues.workflows.pairs_files import SPLITS_FILE, split_pairs

    output = Output(as_json=as_json, language=lang)
    done = split_pairs(source, out, Shares(test=test, dev=dev), seed=seed, settings=_scanning(numbering, threshold))
    output.json(
        {"files": {name: str(path) for name, path in done.files.items()}, "pairs": done.counts, "clusters": done.clusters,
         "kept": done.kept, "left_out": done.left_out}
    )  # fmt: skip
    output.table(done.table(output.language))
    for name, path in done.files.items():
        output.line(_say("split", output, name=name, pairs=done.counts[name], clusters=done.clusters[name], path=path))
    if done.kept:
        output.talk(_say("kept", output, count=done.kept, path=out / SPLITS_FILE))
    if done.left_out:
        output.talk(_say("left_out", output, count=done.left_out))


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
    done = audit_pairs(source, _scanning("keep", threshold), quarantine=quarantine, taxonomy=_taxonomy(taxonomy))
    tables = done.tables(output.language)
    output.json(
        {**done.figures(), "tables": tables, "faults": done.scan.ledger.faults, "notes": done.scan.ledger.notes}
    )
    for table in tables:
        output.table(table)
        output.line("")
    _tell(done, quarantine, output)
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
    settings = ExportSettings(format=form, split=split, allow_heldout=allow_heldout, licences=licences)
    done = write(name, out, settings, study=study, taxonomy=_taxonomy(taxonomy))
    output.json({"set": name, "file": str(out), "pairs": done.card.pairs, "heldout": done.heldout, "card": done.card})
    output.line(_say("exported", output, count=done.card.pairs, path=out))
    if done.unlicensed:
        output.talk(_say("unlicensed", output, count=done.unlicensed))
    if done.heldout:
        output.talk(_say("heldout", output, count=done.heldout, study=study))


@pairs.command("train")
def train(
    source: SourceArgument,
    out: Annotated[
        Path, typer.Option("-o", "--out", help="File of the reward model (.npz); a folder with --model.")
    ] = Path("reward.npz"),
    model: Annotated[
        str, typer.Option("--model", help="Folder of weights to train with TRL, or tiny. Default: the embedded model.")
    ] = "",
    split: Annotated[str, typer.Option("--split", help="Split to fit on: train, dev, heldout, or all.")] = "train",
    sample: Annotated[int, typer.Option("--sample", min=1, help="Most pairs to fit on, drawn by the seed.")] = 5_000,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the draw and of the training.")] = 0,
    epochs: Annotated[float, typer.Option("--epochs", help="With --model: passes over the pairs.")] = 1.0,
    batch_size: Annotated[int, typer.Option("--batch-size", min=1, help="With --model: pairs of a step.")] = 8,
    rate: Annotated[float, typer.Option("--rate", help="With --model: learning rate; 0 is the default.")] = 0.0,
    max_length: Annotated[
        int, typer.Option("--max-length", min=8, help="With --model: most tokens of a prompt with a reply.")
    ] = 1_024,
    allow_heldout: Annotated[
        bool, typer.Option("--allow-heldout", help="Fit on held-back pairs all the same; study and model remember it.")
    ] = False,
    study: StudyOption = "study.db",
    as_json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Fit a reward model: the embedded one (seconds, no GPU), or with --model a transformer through TRL's RewardTrainer.

    Example:  cvalues pairs train starter-choice -o reward.npz
    """
    from cvalues.workflows.pairs import TrainSettings

    output = Output(as_json=as_json, language=lang)
    settings = TrainSettings(split=split, sample=sample, seed=seed, allow_heldout=allow_heldout)
    if not model:
        _train_embedded(source, out, settings, study, output)
        return
    from cvalues.training import RewardTraining

    training = RewardTraining(
        model=model, epochs=epochs, batch=batch_size, rate=rate or None, max_length=max_length, seed=seed
    )
    _train_weights(source, out, (settings, training), study, output)


def _train_embedded(source: str, out: Path, settings: Any, study: str, output: Output) -> None:
    from cvalues.workflows.pairs import train as fit

    if out.suffix != ".npz":
        raise UsageError(f"--out: the name of a reward model ends in .npz, not '{out.name}'")
    done = fit(source, out, settings, study=study)
    output.json(
        {
            "file": str(out),
            "pairs": done.pairs,
            "seen": done.seen,
            "revision": done.model.revision,
            "card": done.model.card,
        }
    )
    output.line(_say("trained", output, path=out, pairs=done.pairs, revision=done.model.revision))
    if done.pairs < done.seen:
        output.talk(_say("sampled", output, count=done.pairs, seen=done.seen))
    if done.model.card.heldout:
        output.talk(_say("heldout", output, count=done.model.card.heldout, study=study))


def _train_weights(source: str, out: Path, settings: tuple[Any, Any], study: str, output: Output) -> None:
    """Trains weights through TRL; `settings` are which pairs, and how."""
    from cvalues.workflows.pairs_weights import train_weights

    if out.suffix == ".npz":
        raise UsageError(
            f"--out: with --model the reward model is a folder; '{out.name}' names the file of an embedded one"
        )
    done, seen = train_weights(source, out, *settings, study=study)
    output.json({"folder": str(out), "seen": seen, "card": done})
    loss = done.metrics.get("train_loss", 0.0)
    output.line(
        _say(
            "trained_weights",
            output,
            path=out,
            pairs=done.pairs,
            steps=done.steps,
            loss=f"{loss:.4f}",
            device=done.device,
        )
    )
    if done.left_out:
        output.talk(_say("too_long", output, count=done.left_out))
    if done.heldout:
        output.talk(_say("heldout", output, count=done.heldout, study=study))


@pairs.command("evaluate")
def evaluate(
    arguments: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL... FILE",
            help="Reward models (a .npz file, reward:FOLDER, reward:NAME@URL, judge:MODEL, rater:NAME, baseline:longer), then a set.",
        ),
    ],
    split: Annotated[
        str,
        typer.Option("--split", help="Split to measure on. Default: what is held back, where anything is; else all."),
    ] = "",
    seed: Annotated[int, typer.Option("--seed", help="Seed of the paired test.")] = 0,
    study: StudyOption = "study.db",
    models_file: ModelsOption = "",
    as_json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Measure reward models on pairs: accuracy by type, category and length, calibration, length bias, shortcuts beside each number.

    Example:  cvalues pairs evaluate reward.npz starter-choice
    """
    from cvalues.workflows.pairs import evaluate_models, local_scorer
    from cvalues.workflows.pairs_ask import entries_of

    output = Output(as_json=as_json, language=lang)
    if len(arguments) < 2:
        raise UsageError(
            "name at least one reward model and then a set or file of pairs:  cvalues pairs evaluate reward.npz test.jsonl"
        )
    *specs, source = arguments
    opened = _open(study) if any(local_scorer(spec) is None for spec in specs) else None
    try:
        done = evaluate_models(specs, source, split=split, study=opened, entries=entries_of(models_file), seed=seed)
    finally:
        if opened is not None:
            opened.close()
    output.json(
        {
            "split": done.split,
            "pairs": done.pairs,
            "models": done.models,
            "comparisons": done.comparisons,
            "failed": done.failed,
        }
    )
    for table in done.tables(output.language):
        output.table(table)
        output.line("")
    if done.failed:
        output.talk(_say("failed", output, count=done.failed))
    raise typer.Exit(3 if done.failed else 0)


@pairs.command("rank")
def rank(
    model: Annotated[str, typer.Argument(help="Reward model: a .npz file, or reward:NAME@URL.")],
    run: Annotated[str, typer.Argument(help="Run of free responses by name, or latest.")] = "latest",
    out: Annotated[Path, typer.Option("-o", "--out", help="File to write: samples of each prompt, best first.")] = Path(
        "ranked.jsonl"
    ),
    verdicts: Annotated[
        bool, typer.Option("--verdicts", help="Keep the model's grades of the responses in the study.")
    ] = False,
    study: StudyOption = "study.db",
    models_file: ModelsOption = "",
    as_json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Score the free responses of a run with a reward model: best of n for each prompt, and a grade for each reply.

    Example:  cvalues pairs rank reward.npz latest -o ranked.jsonl --verdicts
    """
    from cvalues.workflows.pairs_ask import entries_of
    from cvalues.workflows.pairs_rank import grade_run, write_ranking
    from cvalues.workflows.pairs_rank import rank as order

    output = Output(as_json=as_json, language=lang)
    with _open(study, create=False) as opened:
        done = order(model, opened, run, entries_of(models_file))
        graded = grade_run(done, opened, opened.run(run).name) if verdicts else 0
    write_ranking(done, out)
    output.json(
        {"file": str(out), "rater": done.rater, "prompts": len(done.ranked), "graded": graded, "failed": done.failed}
    )
    output.table(done.table(output.language))
    output.line(_say("ranked", output, count=len(done.ranked), path=out))
    raise typer.Exit(3 if done.failed else 0)
