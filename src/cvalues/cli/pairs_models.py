"""The commands `cvalues pairs train`, `evaluate` and `rank`: reward models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from cvalues.cli.pairs_options import (
    JsonOption,
    LangOption,
    ModelsOption,
    QuarantineOption,
    SourceArgument,
    StudyOption,
    say,
    set_aside,
    study_of,
)
from cvalues.cli.show import Output
from cvalues.errors import UsageError


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
    quarantine: QuarantineOption = None,
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
        raise typer.Exit(_train_embedded(source, out, settings, (study, quarantine), output))
    from cvalues.training import RewardTraining

    training = RewardTraining(
        model=model, epochs=epochs, batch=batch_size, rate=rate or None, max_length=max_length, seed=seed
    )
    raise typer.Exit(_train_weights(source, out, (settings, training), (study, quarantine), output))


def _train_embedded(source: str, out: Path, settings: Any, kept: tuple[str, Path | None], output: Output) -> int:
    """Fits the embedded model; `kept` are the study and the quarantine. Returns the exit code."""
    from cvalues.workflows.pairs import train as fit

    study, quarantine = kept

    if out.suffix != ".npz":
        raise UsageError(f"--out: the name of a reward model ends in .npz, not '{out.name}'")
    done = fit(source, out, settings, study=study, quarantine=quarantine)
    output.json(
        {
            "file": str(out),
            "pairs": done.pairs,
            "seen": done.seen,
            "set_aside": done.scan.aside,
            "revision": done.model.revision,
            "card": done.model.card,
        }
    )
    output.line(say("trained", output, path=out, pairs=done.pairs, revision=done.model.revision))
    if done.pairs < done.seen:
        output.talk(say("sampled", output, count=done.pairs, seen=done.seen))
    if done.model.card.heldout:
        output.talk(say("heldout", output, count=done.model.card.heldout, study=study))
    return set_aside(done.scan.aside, source, quarantine, output)


def _train_weights(
    source: str, out: Path, settings: tuple[Any, Any], kept: tuple[str, Path | None], output: Output
) -> int:
    """Trains weights through TRL; `settings` are which pairs, and how; `kept` the study and the quarantine. Returns the exit code."""
    from cvalues.workflows.pairs_weights import train_weights

    study, quarantine = kept
    if out.suffix == ".npz":
        raise UsageError(
            f"--out: with --model the reward model is a folder; '{out.name}' names the file of an embedded one"
        )
    done, drawn = train_weights(source, out, *settings, study=study, quarantine=quarantine)
    output.json({"folder": str(out), "seen": drawn.seen, "set_aside": drawn.scan.aside, "card": done})
    loss = done.metrics.get("train_loss", 0.0)
    output.line(
        say(
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
        output.talk(say("too_long", output, count=done.left_out))
    if done.heldout:
        output.talk(say("heldout", output, count=done.heldout, study=study))
    return set_aside(drawn.scan.aside, source, quarantine, output)


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
    quarantine: QuarantineOption = None,
    study: StudyOption = "study.db",
    models_file: ModelsOption = "",
    as_json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Measure reward models on pairs: accuracy by type, category and length, calibration, length bias, shortcuts beside each number.

    Example:  cvalues pairs evaluate reward.npz starter-choice
    """
    from cvalues.pairs.taints import notes
    from cvalues.workflows.pairs import Measuring, evaluate_models, local_scorer
    from cvalues.workflows.pairs_ask import entries_of

    output = Output(as_json=as_json, language=lang)
    if len(arguments) < 2:
        raise UsageError(
            "name at least one reward model and then a set or file of pairs:  cvalues pairs evaluate reward.npz test.jsonl"
        )
    *specs, source = arguments
    opened = study_of(study) if any(local_scorer(spec) is None for spec in specs) else None
    try:
        settings = Measuring(split=split, seed=seed, quarantine=quarantine)
        done = evaluate_models(specs, source, settings, study=opened, entries=entries_of(models_file))
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
            "set_aside": done.scan.aside,
            "warnings": done.taints,
        }
    )
    for one in notes(done.taints, output.language):
        output.talk(one)
    for table in done.tables(output.language):
        output.table(table)
        output.line("")
    if done.failed:
        output.talk(say("failed", output, count=done.failed))
    left_out = set_aside(done.scan.aside, source, quarantine, output)
    raise typer.Exit(3 if done.failed else left_out)


def rank(
    model: Annotated[str, typer.Argument(help="Reward model: a .npz file, reward:FOLDER, or reward:NAME@URL.")],
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
    with study_of(study, create=False) as opened:
        done = order(model, opened, run, entries_of(models_file))
        graded = grade_run(done, opened, opened.run(run).name) if verdicts else 0
    write_ranking(done, out)
    output.json(
        {"file": str(out), "rater": done.rater, "prompts": len(done.ranked), "graded": graded, "failed": done.failed,
         "warnings": [done.taint] if done.taint else []}
    )  # fmt: skip
    output.table(done.table(output.language))
    output.line(say("ranked", output, count=len(done.ranked), path=out))
    if verdicts:
        output.line(say("graded", output, count=graded, rater=done.rater))
    raise typer.Exit(3 if done.failed else 0)
