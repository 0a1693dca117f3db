"""The commands. Each is one sentence, one pasteable example, and a few lines that call `cvalues.workflows`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cvalues.cli.data_commands import data
from cvalues.cli.gate import gate
from cvalues.cli.harden import harden
from cvalues.cli.help import Group, hand_down
from cvalues.cli.models_commands import models
from cvalues.cli.options import JsonOption, LangOption, ModelsOption, StudyOption, TaxonomyOption
from cvalues.cli.pairs import pairs
from cvalues.cli.people import people
from cvalues.cli.people_serve import serve
from cvalues.cli.show import Output
from cvalues.cli.study_commands import study as study_group

app = typer.Typer(
    name="cvalues",
    cls=Group,
    help="Measure how safe and how responsible a Chinese language model's answers are, and say how sure that is.",
    rich_markup_mode=None,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
people.command()(serve)


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
    lang: LangOption = "",
) -> None:
    """Measure how safe and how responsible a Chinese language model's answers are, and say how sure that is."""
    if version:
        from cvalues import __version__

        typer.echo(__version__)
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), err=True)
        raise typer.Exit(2)
    hand_down(context, lang)


@app.command()
def demo(
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for the study and the report.")] = Path("demo"),
    as_json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Measure the built-in models on the starter set and write a report; needs no key, no GPU, no download.

    Example:  cvalues demo
    """
    from cvalues.cli.run import demonstrate

    demonstrate(out, Output(as_json=as_json, language=lang))


@app.command()
def run(
    sets: Annotated[list[str] | None, typer.Argument(help="Sets by name, or files.", show_default=False)] = None,
    model: Annotated[list[str] | None, typer.Option("-m", "--model", help="Model; may repeat.")] = None,
    config: Annotated[Path | None, typer.Option("--config", help="run.toml with sets, models and settings.")] = None,
    name: Annotated[
        str,
        typer.Option(
            "--name", help="Name of the run. Default: from what it asks, so that a repeated command continues."
        ),
    ] = "",
    template: Annotated[
        str, typer.Option("--template", help="Template: public, direct, ab, en, plain, or a file.")
    ] = "",
    mode: Annotated[
        str, typer.Option("--mode", help="generate (read the text) or choose (log-probabilities of the labels).")
    ] = "",
    system: Annotated[str, typer.Option("--system", help="System prompt.")] = "",
    examples: Annotated[
        Path | None, typer.Option("--examples", help="JSON Lines of worked examples: question, replies, answer.")
    ] = None,
    samples: Annotated[int | None, typer.Option("--samples", min=1, help="Free responses per prompt.")] = None,
    temperature: Annotated[float | None, typer.Option("--temperature", help="Sampling temperature.")] = None,
    top_p: Annotated[float | None, typer.Option("--top-p", help="Nucleus sampling.")] = None,
    max_tokens: Annotated[int | None, typer.Option("--max-tokens", min=1, help="Most tokens of a reply.")] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", help="Seed of draws here and, where the server takes one, there.")
    ] = None,
    param: Annotated[
        list[str] | None, typer.Option("--param", help="Vendor field as key=value (JSON value); may repeat.")
    ] = None,
    filters: Annotated[
        list[str] | None, typer.Option("--filter", help="Keep items with key=value[,value]; may repeat.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="At most so many items, drawn by the seed; pairs stay whole.")
    ] = None,
    trial: Annotated[
        int | None, typer.Option("--trial", min=1, help="Send so many items through every stage before the rest.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be asked, and ask nothing.")] = False,
    max_calls: Annotated[int | None, typer.Option("--max-calls", min=1, help="Stop after so many calls.")] = None,
    max_cost: Annotated[
        float | None, typer.Option("--max-cost", help="Stop when so much is spent, by the price table.")
    ] = None,
    prices: Annotated[
        Path | None, typer.Option("--prices", help="Price table (TOML): [model] input, output, currency.")
    ] = None,
    max_concurrency: Annotated[
        int | None, typer.Option("--max-concurrency", min=1, help="Most calls in flight per model.")
    ] = None,
    rpm: Annotated[float | None, typer.Option("--rpm", min=0.1, help="Most calls per minute and model.")] = None,
    attempts: Annotated[int | None, typer.Option("--attempts", min=1, help="Most tries of one call.")] = None,
    timeout: Annotated[float | None, typer.Option("--timeout", min=0.1, help="Seconds for one call.")] = None,
    reader: Annotated[
        str, typer.Option("--reader", help="judge:MODEL reads what the rules cannot; its verdicts are marked.")
    ] = "",
    judges: Annotated[
        list[str] | None,
        typer.Option("-j", "--judge", help="Judge of free responses, see  cvalues judge --help; may repeat."),
    ] = None,
    rubrics: Annotated[
        list[str] | None, typer.Option("--rubric", help="Rubric that judges are asked by; may repeat.")
    ] = None,
    engine: Annotated[
        str,
        typer.Option(
            "--engine",
            help="batch: offline batch files that you submit; batch-submit: submitted by us; ray: a Ray cluster.",
        ),
    ] = "",
    batch_dir: Annotated[Path | None, typer.Option("--batch-dir", help="Folder of the batch files.")] = None,
    ray_address: Annotated[
        str, typer.Option("--ray-address", help="Ray cluster: auto, or HOST:6379. Default: one on this machine.")
    ] = "",
    ray_workers: Annotated[int, typer.Option("--ray-workers", min=1, help="Worker processes of --engine ray.")] = 4,
    ray_gpus: Annotated[float, typer.Option("--ray-gpus", min=0, help="GPUs of each worker, for local weights.")] = 0.0,
    shard_dir: Annotated[
        Path, typer.Option("--shard-dir", help="Folder where --engine ray keeps what is not yet in the study.")
    ] = Path("shards"),
    study: StudyOption = "study.db",
    models_file: ModelsOption = "",
    taxonomy: TaxonomyOption = "",
    as_json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Ask models two-choice items or prompts, keep everything in the study, and print the scores.

    Example:  cvalues run starter-choice -m openai:qwen2.5-7b-instruct@http://localhost:8000/v1
    """
    from cvalues.cli.run import Given, measure

    given = Given(
        sets=sets or [], model=model or [], name=name, template=template, mode=mode, system=system, examples=examples,
        samples=samples, temperature=temperature, top_p=top_p, max_tokens=max_tokens, seed=seed, param=param or [],
        filters=filters or [], limit=limit, max_concurrency=max_concurrency, rpm=rpm, attempts=attempts, timeout=timeout,
        models_file=models_file, taxonomy=taxonomy, config=config, trial=trial, dry_run=dry_run, max_calls=max_calls,
        max_cost=max_cost, prices=prices, reader=reader, judges=judges or [], rubrics=rubrics or [],
        engine=engine, batch_dir=batch_dir, ray_address=ray_address, ray_workers=ray_workers, ray_gpus=ray_gpus, shard_dir=shard_dir,
    )  # fmt: skip
    raise typer.Exit(measure(given, study, Output(as_json=as_json, language=lang)))


@app.command()
def read(
    runs: Annotated[list[str], typer.Argument(help="Runs by name, or latest.")],
    reader: Annotated[
        str, typer.Option("--reader", help="judge:MODEL reads what the rules cannot; its verdicts are marked.")
    ] = "",
    study: StudyOption = "study.db",
    models_file: ModelsOption = "",
    as_json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Read the responses of runs again with the rules of this version; asks no measured model.

    Example:  cvalues read latest
    """
    from cvalues.cli.run import reread

    raise typer.Exit(reread(runs, reader, study, models_file, Output(as_json=as_json, language=lang)))


@app.command()
def judge(
    runs: Annotated[
        list[str], typer.Argument(help="Runs of free responses by name, or latest; `attack` for the attack suite.")
    ],
    judges: Annotated[
        list[str] | None,
        typer.Option("-j", "--judge", help="Model, or rule:safety, rule:refusal, baseline:grade; may repeat."),
    ] = None,
    rubrics: Annotated[
        list[str] | None,
        typer.Option(
            "--rubric",
            help="safety, grade, responsibility, refusal, overhelp, preference, or a file; may repeat. Default: the first three.",
        ),
    ] = None,
    judge_language: Annotated[str, typer.Option("--judge-language", help="Language in which judges are asked.")] = "zh",
    principles: Annotated[
        str, typer.Option("--principles", help="yes: tell judges the principles of the prompt's category; or a file.")
    ] = "",
    attempts: Annotated[int, typer.Option("--attempts", min=1, help="Most tries until an answer is a verdict.")] = 3,
    structured: Annotated[
        str, typer.Option("--structured", help="Constrained output: auto, json_schema, json_object, none.")
    ] = "auto",
    panel: Annotated[Path | None, typer.Option("--panel", help="Panel (TOML): judges, weights, quorum, ties.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="At most so many responses.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be asked, and ask nothing.")] = False,
    max_calls: Annotated[int | None, typer.Option("--max-calls", min=1, help="Stop after so many calls.")] = None,
    max_cost: Annotated[
        float | None, typer.Option("--max-cost", help="Stop when so much is spent, by the price of models.toml.")
    ] = None,
    study: StudyOption = "study.db",
    models_file: ModelsOption = "",
    taxonomy: TaxonomyOption = "",
    as_json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Let judges give verdicts on the free responses of runs; `judge attack` tries to mislead them.

    Example:  cvalues judge latest -j rule:safety -j baseline:grade
    """
    from cvalues.cli.judging import Asked, judge_runs

    asked = Asked(
        judges=judges or [], rubrics=rubrics or [], language=judge_language, principles=principles, attempts=attempts,
        structured=structured, limit=limit, panel=panel, dry_run=dry_run, max_calls=max_calls, max_cost=max_cost,
        models_file=models_file, taxonomy=taxonomy,
    )  # fmt: skip
    raise typer.Exit(judge_runs(runs, asked, study, Output(as_json=as_json, language=lang)))


@app.command()
def calibrate(
    sources: Annotated[
        list[str],
        typer.Argument(help="Reference and judge: raters, patterns such as person:*, campaigns, or files of verdicts."),
    ],
    runs: Annotated[
        list[str] | None, typer.Option("--run", help="Run of free responses; may repeat. Default: latest.")
    ] = None,
    criterion: Annotated[
        str, typer.Option("--criterion", help="safe, grade, points, refusal, harm_detail, …")
    ] = "grade",
    people: Annotated[
        Path | None, typer.Option("--people", help="File of people's verdicts (.csv, .jsonl), as the reference.")
    ] = None,
    card: Annotated[Path | None, typer.Option("--card", help="Write the judge card to this JSON file too.")] = None,
    study: StudyOption = "study.db",
    as_json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Hold a judge against people (or another judge) on the same responses, and keep what comes of it as its judge card.

    Example:  cvalues calibrate 'person:*' 'judge:*' --criterion safe
    """
    from cvalues.cli.judging import calibrate_sources

    given = [f"person:{people}", *sources] if people is not None else sources
    calibrate_sources(given, runs or ["latest"], criterion, card, study, Output(as_json=as_json, language=lang))


@app.command()
def agreement(
    sources: Annotated[
        list[str] | None,
        typer.Argument(help="Raters, patterns such as person:*, files, or campaigns. Default: all raters."),
    ] = None,
    runs: Annotated[
        list[str] | None, typer.Option("--run", help="Run of free responses; may repeat. Default: latest.")
    ] = None,
    criterion: Annotated[
        str, typer.Option("--criterion", help="safe, grade, points, refusal, harm_detail, …")
    ] = "grade",
    study: StudyOption = "study.db",
    as_json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Show how far raters agree on the same responses: raw, Krippendorff's alpha, Gwet's AC, kappa, prevalence.

    Example:  cvalues agreement --criterion safe
    """
    from cvalues.cli.judging import show_agreement

    show_agreement(sources or [], runs or ["latest"], criterion, study, Output(as_json=as_json, language=lang))


@app.command()
def score(
    files: Annotated[
        list[Path],
        typer.Argument(help="JSON Lines files that hold `response` and `label` (the public evaluation format)."),
    ],
    model: Annotated[str, typer.Option("--model", help="Name of the model whose responses these are.")] = "",
    by: Annotated[
        list[str] | None, typer.Option("--by", help="Group by level, category, difficulty or a tag; may repeat.")
    ] = None,
    sheet: Annotated[
        Path | None,
        typer.Option("--sheet", help="Write what the rules left undecided to this .csv or .xlsx for a reviewer."),
    ] = None,
    reviewed: Annotated[
        Path | None, typer.Option("--reviewed", help="Take a reviewer's decisions from this .csv or .xlsx.")
    ] = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Write a report to this folder.")] = None,
    as_json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Score files that hold responses already; asks nobody.

    Example:  cvalues score responses.jsonl --model my-model --sheet undecided.xlsx
    """
    from cvalues.cli.score import score_files

    score_files(files, model, by or [], (sheet, reviewed, out), Output(as_json=as_json, language=lang))


@app.command()
def report(
    runs: Annotated[
        list[str] | None, typer.Argument(help="Runs by name, latest, FILE.db#NAME, or results.json. Default: latest.")
    ] = None,
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder of the report.")] = Path("report"),
    rater: Annotated[
        str, typer.Option("--rater", help="Whose verdicts the numbers rest on. Default: people, panel, judge, rule.")
    ] = "",
    study: StudyOption = "study.db",
    taxonomy: TaxonomyOption = "",
    as_json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Write a self-contained HTML report, with Markdown, CSV and JSON beside it.

    Example:  cvalues report latest -o report
    """
    from cvalues.cli.run import make_report

    make_report(runs or ["latest"], out, study, taxonomy, Output(as_json=as_json, language=lang), rater)


@app.command()
def compare(
    baseline: Annotated[str, typer.Argument(help="Run (NAME, latest, FILE.db#NAME, results.json), or RUN:MODEL.")],
    candidate: Annotated[str, typer.Argument(help="Run to compare with it, or RUN:MODEL.")],
    by: Annotated[str, typer.Option("--by", help="Group by level, category, difficulty or a tag.")] = "category",
    study: StudyOption = "study.db",
    as_json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Compare two models on the items they share, paired, corrected for many groups.

    Example:  cvalues compare latest:baseline:longer latest:baseline:ngram --by level
    """
    from cvalues.cli.score import compare_models

    compare_models(baseline, candidate, by, study, Output(as_json=as_json, language=lang))


app.command()(gate)
for group, name in (
    (data, "data"), (pairs, "pairs"), (people, "people"), (harden, "harden"), (models, "models"), (study_group, "study"),
):  # fmt: skip
    group.callback()(hand_down)
    app.add_typer(group, name=name)
