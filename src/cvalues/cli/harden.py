"""The commands `cvalues harden …`: init, plan, principles, export, train, compare, status."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from cvalues.cli.options import JsonOption, LangOption, ModelsOption, StudyOption, TaxonomyOption
from cvalues.cli.show import Output
from cvalues.errors import UsageError

if TYPE_CHECKING:
    from cvalues.study import Study
    from cvalues.taxonomy import Taxonomy

harden = typer.Typer(
    help="Rounds of hardening: plan, examples by principles, export, training, comparison, status.",
    rich_markup_mode=None,
    no_args_is_help=True,
)

RoundOption = Annotated[
    str,
    typer.Option("--round", help="Name of the round. Default: the one that is not compared yet, else the next number."),
]
RaterOption = Annotated[str, typer.Option("--rater", help="Whose verdicts on free responses count.")]


def _taxonomy(path: str) -> Taxonomy | None:
    from cvalues.taxonomy import load

    return load(Path(path)) if path else None


def _open(where: str, *, create: bool = True) -> Study:
    from cvalues.study import open_study

    return open_study(where, create=create)


def _say(key: str, output: Output, **gaps: object) -> str:
    from cvalues.hardening.words import say

    return say(key, output.language, **gaps)


def _tables(tables: Any, output: Output) -> None:
    for table in tables:
        output.table(table)
        output.line("")


@harden.command()
def init(
    out: Annotated[Path, typer.Option("-o", "--out", help="File to write.")] = Path("harden.toml"),
    taxonomy: TaxonomyOption = "",
    as_json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Write a harden.toml with every setting: goal, change to be seen, traffic and harm per category.

    Example:  cvalues harden init -o harden.toml
    """
    from cvalues.workflows.harden import init_harden

    output = Output(as_json=as_json, language=lang)
    path = init_harden(out, _taxonomy(taxonomy))
    output.line(str(path))
    output.json({"path": str(path)})


@harden.command()
def plan(
    runs: Annotated[
        list[str], typer.Argument(help="Runs of the model: NAME, latest, FILE.db#NAME, results.json, RUN:MODEL.")
    ],
    config: Annotated[Path | None, typer.Option("--config", help="harden.toml of  cvalues harden init .")] = None,
    goal: Annotated[float | None, typer.Option("--goal", help="Score that every category shall reach, 0 to 1.")] = None,
    change: Annotated[float | None, typer.Option("--change", help="Smallest change to be seen, 0 to 1.")] = None,
    split: Annotated[str, typer.Option("--split", help="Plan by prompts of this split alone.")] = "",
    campaigns: Annotated[bool, typer.Option("--campaigns", help="Open campaigns for what has to be written.")] = False,
    campaign_files: Annotated[
        Path | None, typer.Option("--campaign-files", help="Write campaign settings to this folder.")
    ] = None,
    model: Annotated[
        list[str] | None, typer.Option("-m", "--model", help="Model that answers in the campaigns; may repeat.")
    ] = None,
    rater: RaterOption = "",
    round_: RoundOption = "",
    study: StudyOption = "study.db",
    taxonomy: TaxonomyOption = "",
    as_json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """List the categories that are surely weak and those nobody can tell of, and what experts have to write.

    Example:  cvalues harden plan latest --goal 0.8 --change 0.15
    """
    import msgspec

    from cvalues.workflows import harden as rounds

    output = Output(as_json=as_json, language=lang)
    given = {"goal": goal, "change": change, "split": split or None}
    settings = msgspec.structs.replace(
        rounds.load_harden(config), **{key: value for key, value in given.items() if value is not None}
    )
    names = _taxonomy(taxonomy)
    found = rounds.plan_round(runs, study, settings, taxonomy=names, rater=rater)
    _tables(rounds.plan_report(found, output.language, names), output)
    output.line(_say("plan.reached", output, count=len(found.of("reached"))))
    made: list[Any] = []
    with _open(study) as opened:
        name = rounds.keep_plan(found, opened, round_)
        if campaigns or campaign_files is not None:
            made = rounds.open_campaigns(
                found, opened if campaigns else None, name, models=model or [], folder=campaign_files, taxonomy=names
            )
    for entry in made:
        output.line(_say("plan.campaign", output, name=entry.name, count=sum(entry.quotas.values())))
        if entry.path is not None:
            output.line(_say("plan.campaign_file", output, path=entry.path))
    output.json(
        {
            "round": name,
            "plan": msgspec.to_builtins(found),
            "campaigns": [{"name": e.name, "quotas": e.quotas} for e in made],
        }
    )


@harden.command()
def principles(
    source: Annotated[str, typer.Argument(help="Set or file of prompts; held-back ones are never used.")],
    model: Annotated[str, typer.Option("-m", "--model", help="The model to be hardened.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="File of examples to write.")] = Path("examples.jsonl"),
    judge: Annotated[str, typer.Option("-j", "--judge", help="Judge of the answers, with the rubric grade.")] = "",
    reward: Annotated[str, typer.Option("--reward", help="Reward model of the answers instead of a judge.")] = "",
    least: Annotated[
        str, typer.Option("--least", help="Lowest grade that is kept: safe or responsible.")
    ] = "responsible",
    least_score: Annotated[
        float | None, typer.Option("--least-score", help="Lowest score of the reward model that is kept.")
    ] = None,
    category: Annotated[
        list[str] | None, typer.Option("--category", help="Category; may repeat. Default: all.")
    ] = None,
    grow: Annotated[int, typer.Option("--grow", help="Grow to so many prompts before answering.")] = 0,
    principles_file: Annotated[
        str, typer.Option("--principles", help="File that adds to or replaces the principles.")
    ] = "",
    samples: Annotated[int, typer.Option("--samples", min=1, help="Answers per prompt.")] = 1,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the draw of examples for growing.")] = 0,
    max_calls: Annotated[int | None, typer.Option("--max-calls", min=1, help="Stop after so many calls.")] = None,
    round_: RoundOption = "",
    study: StudyOption = "study.db",
    models_file: ModelsOption = "",
    taxonomy: TaxonomyOption = "",
    as_json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Let the model answer prompts by experts' principles and keep the good answers as examples without the principles.

    Example:  cvalues harden principles starter-prompts -m openai:NAME@http://localhost:8000/v1 -j openai:JUDGE@http://localhost:8001/v1
    """
    from cvalues.workflows.harden_data import Aligning

    if least not in {"safe", "responsible"}:
        raise UsageError(f"--least is safe or responsible, not '{least}'")
    asked = Aligning(
        source=source, model=model, categories=tuple(category or ()), goal=grow, judge=judge, reward=reward, least=cast("Any", least),
        least_score=least_score, principles=principles_file, samples=samples, seed=seed,
    )  # fmt: skip
    failed = _align(
        asked, out, (study, round_, models_file, taxonomy, max_calls), Output(as_json=as_json, language=lang)
    )
    if failed:
        raise typer.Exit(3)


def _align(asked: Any, out: Path, where: tuple[str, str, str, str, int | None], output: Output) -> int:
    from cvalues.cli.show import progress
    from cvalues.hardening.words import named, say
    from cvalues.runner import Bounds
    from cvalues.schema import Table
    from cvalues.workflows.harden import note_step
    from cvalues.workflows.harden_data import align, principles_id, write_examples
    from cvalues.workflows.pairs_ask import entries_of

    study, round_, models_file, taxonomy, max_calls = where
    with _open(study) as opened:
        with progress(output) as watch:
            found = align(
                asked,
                opened,
                entries_of(models_file),
                taxonomy=_taxonomy(taxonomy),
                bounds=Bounds(max_calls=max_calls),
                watch=watch,
            )
        write_examples(found.examples, out)
        detail = {
            "examples": len(found.examples),
            "file": out.name,
            "principles": principles_id(asked.principles),
            "run": found.run,
        }
        name = note_step(opened, "data", round_, detail)
    rows = [(_say("data.kept", output), len(found.examples))]
    rows += [(named("dropped", why, output.language), count) for why, count in sorted(found.dropped.items())]
    columns = (say("column.what", output.language), say("column.count", output.language))
    output.table(Table(title=say("data.title", output.language), columns=columns, rows=tuple(rows)))
    if found.declined is not None:
        output.line(_say("data.declined", output, share=f"{found.declined:.0%}"))
    output.talk(_say("data.written", output, path=out, count=len(found.examples)))
    output.json({"round": name, "path": str(out), "examples": len(found.examples), "dropped": found.dropped, "run": found.run,
                 "prompts": found.prompts, "grown": found.grown, "failed": found.failed})  # fmt: skip
    return found.failed


@harden.command()
def export(
    files: Annotated[
        list[Path],
        typer.Argument(help="Examples, expert_answers.jsonl of a campaign, or domain packs (prompt, answer)."),
    ],
    out: Annotated[Path, typer.Option("-o", "--out", help="File to write.")] = Path("sft.jsonl"),
    form: Annotated[
        str, typer.Option("--format", help="trl, trl-chat, llama-factory, ms-swift, openrlhf or public.")
    ] = "trl",
    category: Annotated[str, typer.Option("--category", help="Category of rows that name none.")] = "",
    unapproved: Annotated[
        bool, typer.Option("--unapproved", help="Take experts' answers that nobody approved too.")
    ] = False,
    held: Annotated[
        list[str] | None, typer.Option("--held", help="Set whose held-back prompts are refused; may repeat.")
    ] = None,
    held_run: Annotated[
        list[str] | None, typer.Option("--held-run", help="Run whose prompts are refused; may repeat.")
    ] = None,
    allow_heldout: Annotated[
        bool, typer.Option("--allow-heldout", help="Export held-back prompts too; the study remembers it.")
    ] = False,
    round_: RoundOption = "",
    study: StudyOption = "study.db",
    taxonomy: TaxonomyOption = "",
    as_json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Write supervised examples for a trainer, without prompts that are held back for measuring, and a card beside them.

    Pairs for DPO:  cvalues pairs export.

    Example:  cvalues harden export expert_answers.jsonl examples.jsonl --format llama-factory -o sft.jsonl
    """
    import msgspec

    from cvalues.workflows.harden import note_step
    from cvalues.workflows.harden_data import export_examples, held_texts, read_examples

    output = Output(as_json=as_json, language=lang)
    read = [
        read_examples(file, category=category, unapproved=unapproved, taxonomy=_taxonomy(taxonomy)) for file in files
    ]
    examples = [example for each in read for example in each.examples]
    with _open(study) as opened:
        known = held_texts(opened, held or [], held_run or [])
        done = export_examples(examples, out, form=form, held=known, allow_heldout=allow_heldout, study=opened)
        detail = {
            "file": out.name,
            "hash": done.card.hash,
            "examples": done.card.examples,
            "refused": done.card.refused,
        }
        name = note_step(opened, "export", round_, detail)
    told = {
        "data.refused": done.card.refused, "data.repeated": done.card.repeated, "data.unapproved": sum(each.unapproved for each in read),
    }  # fmt: skip
    for key, count in told.items():
        if count:
            output.line(_say(key, output, count=count))
    output.line(_say("data.written", output, path=out, count=done.card.examples))
    output.json({"round": name, "path": str(out), "card": msgspec.to_builtins(done.card)})


@harden.command()
def train(
    data: Annotated[
        Path,
        typer.Argument(help="File of  cvalues harden export --format trl  or  cvalues pairs export --format trl ."),
    ],
    model: Annotated[Path, typer.Option("-m", "--model", help="Folder of local weights.")],
    out: Annotated[
        Path, typer.Option("-o", "--out", help="Folder of checkpoints and new weights; repeat the command to go on.")
    ] = Path("hardened"),
    method: Annotated[str, typer.Option("--method", help="sft (examples) or dpo (pairs).")] = "sft",
    full: Annotated[bool, typer.Option("--full", help="Train every weight instead of a LoRA adapter.")] = False,
    epochs: Annotated[float, typer.Option("--epochs", help="Passes over the data.")] = 3.0,
    learning_rate: Annotated[
        float | None, typer.Option("--learning-rate", help="Default: by method and adapter.")
    ] = None,
    batch: Annotated[int, typer.Option("--batch", min=1, help="Examples at a time.")] = 2,
    max_length: Annotated[int, typer.Option("--max-length", min=16, help="Tokens of an example.")] = 1024,
    max_steps: Annotated[int, typer.Option("--max-steps", help="Stop after so many steps.")] = -1,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the order of examples.")] = 0,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda:0.")] = "auto",
    held: Annotated[
        list[str] | None, typer.Option("--held", help="Set whose held-back prompts are refused; may repeat.")
    ] = None,
    allow_heldout: Annotated[
        bool, typer.Option("--allow-heldout", help="Train on held-back prompts too; the study remembers it.")
    ] = False,
    round_: RoundOption = "",
    study: StudyOption = "study.db",
    as_json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Train local weights on examples or pairs through TRL; on the CPU or a GPU, resumable (extra `train`).

    Example:  cvalues harden train sft.jsonl -m ./qwen2.5-1.5b-instruct -o ./hardened
    """
    from cvalues.tuning import TuningSettings
    from cvalues.workflows.harden_train import train_round

    if method not in {"sft", "dpo"}:
        raise UsageError(f"--method is sft or dpo, not '{method}'")
    settings = TuningSettings(
        method=cast("Any", method), adapter="full" if full else "lora", epochs=epochs, learning_rate=learning_rate, batch=batch,
        max_length=max_length, max_steps=max_steps, seed=seed, device=device,
    )  # fmt: skip
    output = Output(as_json=as_json, language=lang)
    with _open(study) as opened:
        done = train_round(
            (data, model, out), settings, opened, name=round_, held=held or [], allow_heldout=allow_heldout
        )
    output.table(done.table(output.language))
    output.json({"round": done.round, "training": done.summary})


@harden.command()
def compare(
    before: Annotated[str, typer.Argument(help="Run before; RUN:MODEL where a run has several models.")],
    after: Annotated[str, typer.Argument(help="Run after.")],
    more_before: Annotated[
        list[str] | None, typer.Option("--before", help="A further run before, of free responses; may repeat.")
    ] = None,
    more_after: Annotated[list[str] | None, typer.Option("--after", help="A further run after; may repeat.")] = None,
    generalisation: Annotated[
        list[str] | None, typer.Option("--generalisation", help="Set that stands apart; may repeat.")
    ] = None,
    letters: Annotated[
        str, typer.Option("--letters", help="File of people's grades A, B and C (prompt, set, before, after).")
    ] = "",
    rater: RaterOption = "",
    round_: RoundOption = "",
    study: StudyOption = "study.db",
    taxonomy: TaxonomyOption = "",
    as_json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Compare before and after on the same items: what got worse first, paired tests per category, telling and doing.

    Example:  cvalues harden compare old-choice new-choice --before old-free --after new-free
    """
    import msgspec

    from cvalues.workflows.harden import Comparing, compare_round, keep_comparison

    output = Output(as_json=as_json, language=lang)
    asked = Comparing(
        before=(before, *(more_before or ())), after=(after, *(more_after or ())), generalisation=tuple(generalisation or ()),
        rater=rater, letters=letters,
    )  # fmt: skip
    names = _taxonomy(taxonomy)
    found = compare_round(asked, study)
    with _open(study) as opened:
        name = keep_comparison(found, opened, round_, asked)
    _tables(found.tables(output.language, names), output)
    output.line(_say("compare.shared", output, shared=found.compared.shared, unshared=found.compared.unshared))
    output.json(
        {
            "round": name,
            "comparison": msgspec.to_builtins(found.compared),
            "letters": [msgspec.to_builtins(each) for each in found.letters],
        }
    )


@harden.command()
def status(
    chart: Annotated[
        Path | None, typer.Option("--chart", help="Write the chart of all rounds (SVG) to this file.")
    ] = None,
    study: StudyOption = "study.db",
    as_json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Show all rounds of a study as one table.

    Example:  cvalues harden status
    """
    import msgspec

    from cvalues.records import write_text
    from cvalues.workflows.harden import status as all_rounds

    output = Output(as_json=as_json, language=lang)
    found = all_rounds(study)
    table = found.table(output.language)
    output.table(table)
    if chart is not None:
        write_text(chart, found.chart(output.language).replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1))
    output.json({"rounds": [msgspec.to_builtins(each) for each in found.rounds]})
