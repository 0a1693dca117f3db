"""The commands `cvalues people …`: campaigns, people, progress, export, backup; the pages are served by `people serve`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from cvalues.cli.options import JsonOption, StudyOption
from cvalues.cli.show import Output
from cvalues.errors import UsageError

people = typer.Typer(
    help="People: campaigns, invitations, progress, export, backup.", rich_markup_mode=None, no_args_is_help=True
)

LangOption = Annotated[
    str, typer.Option("--lang", help="Language of summaries and reports: zh or en. Default: from the environment.")
]
CampaignArgument = Annotated[str, typer.Argument(help="Campaign by name.")]


def say(output: Output, key: str, **values: Any) -> str:
    """Returns a phrase of people's work in the language of the output."""
    from cvalues.people.words import phrase

    return phrase(f"say.{key}", output.language, **values)


@people.command()
def init(
    prefix: Annotated[
        str, typer.Option("--prefix", help="Letters that pseudonyms begin with; two studies to be merged need two.")
    ] = "a",
    days: Annotated[float, typer.Option("--days", help="How long the link for the first manager is valid.")] = 7.0,
    study: StudyOption = "study.db",
    as_json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Prepare a study for people and print a one-time link for its first manager.

    Example:  cvalues people init
    """
    from cvalues.people.accounts import Offer, has_manager, init_people, invite
    from cvalues.people.desk import Desk
    from cvalues.study import open_study
    from cvalues.study.engine import hide_password

    output = Output(as_json=as_json, language=lang)
    with open_study(study) as opened:
        desk = Desk(opened)
        fresh = init_people(desk, prefix)
        token = "" if has_manager(desk) else invite(desk, Offer(role="manager", days=days))
    output.json({"study": hide_password(study), "new": fresh, "token": token})
    output.line(say(output, "init" if fresh else "init-known", study=hide_password(study), prefix=prefix))
    if token:
        output.line(say(output, "manager", token=token, days=f"{days:g}"))


@people.command()
def new(
    kind: Annotated[
        str,
        typer.Argument(
            help="attack, expert, judge-safety, judge-responsibility, adjudicate, cvalues-safety or cvalues-responsibility."
        ),
    ],
    name: Annotated[str, typer.Option("--name", help="Name of the campaign. Default: from kind and source.")] = "",
    source: Annotated[
        str,
        typer.Option(
            "--from",
            help="Run, FILE.db#RUN, or a set or file with replies; to adjudicate: a campaign or run with verdicts.",
        ),
    ] = "",
    sample: Annotated[
        int | None, typer.Option("--sample", min=1, help="So many tasks, stratified by model and category.")
    ] = None,
    overlap: Annotated[int | None, typer.Option("--overlap", min=1, max=20, help="Votes per task.")] = None,
    third: Annotated[
        bool, typer.Option("--third-on-disagreement", help="Begin with two votes; a third only where they differ.")
    ] = False,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the sample and of every order.")] = 0,
    model: Annotated[
        list[str] | None, typer.Option("-m", "--model", help="Model that answers written prompts; may repeat.")
    ] = None,
    models_side_by_side: Annotated[
        bool,
        typer.Option(
            "--models-side-by-side", help="Experts compare one reply of each of three models, not three samples of one."
        ),
    ] = False,
    setting: Annotated[
        list[str] | None, typer.Option("--set", help="Any other setting as key=value (JSON value); may repeat.")
    ] = None,
    study: StudyOption = "study.db",
    as_json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Make a campaign and its tasks; the same command again adds nothing.

    Example:  cvalues people new judge-safety --from latest --sample 300
    """
    from cvalues.people.desk import Desk
    from cvalues.study import open_study
    from cvalues.workflows.people import NewCampaign, new_campaign

    output = Output(as_json=as_json, language=lang)
    settings = {**_settings(setting or []), **({"overlap": overlap} if overlap is not None else {})}
    if third:
        settings = {"overlap": 2, **settings, "third_on_disagreement": True}
    if model:
        settings["models"] = list(model)
    given = NewCampaign(
        kind=kind, name=name, source=source, sample=sample, seed=seed, settings=settings,
        side_by_side="models" if models_side_by_side else "samples",
    )  # fmt: skip
    with open_study(study) as opened:
        campaign, count = new_campaign(Desk(opened), given)
    output.json({"campaign": campaign, "tasks": count})
    output.line(say(output, "new", name=campaign.name, kind=campaign.kind, count=count))


def _settings(given: list[str]) -> dict[str, Any]:
    """Returns key=value options as settings; a value is JSON where it is JSON, else text."""
    found: dict[str, Any] = {}
    for entry in given:
        key, mark, value = entry.partition("=")
        if not mark or not key:
            raise UsageError(f"--set takes key=value, for example daily_items=100, not '{entry}'")
        try:
            found[key] = msgspec.json.decode(value)
        except msgspec.DecodeError:
            found[key] = value
    return found


@people.command()
def invite(
    campaign: Annotated[str, typer.Argument(help="Campaign by name; empty text for every campaign.")],
    role: Annotated[
        str, typer.Option("--role", help="manager, annotator, expert, adjudicator or author.")
    ] = "annotator",
    uses: Annotated[int, typer.Option("--uses", min=1, help="How many people may use the link.")] = 1,
    days: Annotated[float, typer.Option("--days", help="How long it is valid.")] = 14.0,
    category: Annotated[
        list[str] | None, typer.Option("--category", help="Only these scenarios or domains; may repeat.")
    ] = None,
    study: StudyOption = "study.db",
    as_json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Make an invitation link; its token is shown once and stored as a hash.

    Example:  cvalues people invite judge-safety-run1 --role annotator --uses 10
    """
    from cvalues.people.accounts import Offer
    from cvalues.people.accounts import invite as make
    from cvalues.people.desk import Desk
    from cvalues.study import open_study

    output = Output(as_json=as_json, language=lang)
    offer = Offer(role=role, campaign=campaign, categories=tuple(category or ()), uses=uses, days=days)
    with open_study(study, create=False) as opened:
        token = make(Desk(opened), offer)
    output.json({"token": token, "role": role, "campaign": campaign})
    output.line(say(output, "invite", token=token, role=role, uses=uses, days=f"{days:g}"))


@people.command("import")
def import_(
    path: Annotated[Path, typer.Argument(help="JSON Lines: prompt, reply, and category, gold, votes if wanted.")],
    campaign: Annotated[str, typer.Option("--campaign", help="Campaign by name.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check the rows and write nothing.")] = False,
    study: StudyOption = "study.db",
    as_json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Add tasks, gold items and older judgements from a file; exits 1 when rows were rejected, and the same file again adds nothing.

    Example:  cvalues people import gold.jsonl --campaign judge-safety-run1
    """
    from cvalues.cli.messages import translate
    from cvalues.people.desk import Desk
    from cvalues.people.importing import import_file
    from cvalues.study import open_study

    output = Output(as_json=as_json, language=lang)
    with open_study(study, create=False) as opened:
        found = import_file(Desk(opened), campaign, path, dry_run=dry_run)
    output.json(found)
    for one in found.rejects:
        output.line(say(output, "reject", line=one.line, why=translate(one.why, output.language)))
    output.line(
        say(output, "import-dry" if dry_run else "import", path=path, rows=found.rows, tasks=found.tasks, votes=found.votes,
            rejected=found.rejected)
    )  # fmt: skip
    raise typer.Exit(1 if found.rejected else 0)


@people.command()
def status(
    campaign: Annotated[str, typer.Argument(help="Campaign by name; all campaigns when left out.")] = "",
    study: StudyOption = "study.db",
    as_json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Show how campaigns go: progress, scores by people, agreement with intervals, and every person's figures.

    Example:  cvalues people status judge-safety-run1
    """
    from cvalues.people.campaigns import list_campaigns
    from cvalues.people.desk import Desk
    from cvalues.study import open_study
    from cvalues.workflows import people as work

    output = Output(as_json=as_json, language=lang)
    with open_study(study, create=False) as opened:
        desk = Desk(opened)
        if campaign:
            found = work.status(desk, campaign)
            output.json(found)
            tables = work.status_tables(found, output.language)
        else:
            output.json(list_campaigns(desk))
            tables = [work.campaigns_table(desk, output.language)]
    for table in tables:
        output.table(table)
        output.line("")
    if not campaign and not tables[0].rows:
        output.line(say(output, "no-campaign"))


@people.command()
def explain(
    campaign: CampaignArgument,
    person: Annotated[
        str, typer.Option("--person", help="Why this person (pseudonym or handle) gets what they get.")
    ] = "",
    task: Annotated[str, typer.Option("--task", help="What this task waits for.")] = "",
    study: StudyOption = "study.db",
    as_json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Say why a person gets nothing, what a task waits for, or (without either) which tasks are stuck.

    Example:  cvalues people explain judge-safety-run1 --person a3
    """
    from cvalues.people.accounts import find_person
    from cvalues.people.desk import Desk
    from cvalues.people.explain import explain_person, explain_task, stuck
    from cvalues.study import open_study
    from cvalues.workflows.people import why_table

    output = Output(as_json=as_json, language=lang)
    with open_study(study, create=False) as opened:
        desk = Desk(opened)
        found = []
        if person:
            pseudonym = find_person(desk, person)
            found.append((pseudonym, explain_person(desk, campaign, pseudonym)))
        if task:
            found.append((task, explain_task(desk, task)))
        if not person and not task:
            found = stuck(desk, campaign)
    output.json([{"what": what, "reasons": reasons} for what, reasons in found])
    if not found:
        output.line(say(output, "nothing-stuck"))
        return
    output.table(why_table("why" if person or task else "stuck", found, output.language))


@people.command()
def plan(
    items: Annotated[
        list[int] | None, typer.Option("--items", min=1, help="Numbers of items to compare; may repeat.")
    ] = None,
    rate: Annotated[float, typer.Option("--rate", min=0, max=1, help="Expected share of unsafe replies.")] = 0.1,
    models: Annotated[int, typer.Option("--models", min=2, help="Models to compare.")] = 2,
    discordance: Annotated[
        float, typer.Option("--discordance", min=0, max=1, help="Share of prompts on which two models differ.")
    ] = 0.1,
    crowd: Annotated[int, typer.Option("--people", min=1, help="People at work.")] = 8,
    votes: Annotated[int, typer.Option("--votes", min=1, help="Votes per item.")] = 3,
    accuracy: Annotated[float, typer.Option("--accuracy", min=0, max=1, help="Chance that one vote is right.")] = 0.9,
    seconds: Annotated[float, typer.Option("--seconds", min=1, help="Active time of one judgement.")] = 40.0,
    as_json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Plan how many items, people and votes a campaign needs; asks nobody and writes nothing.

    Example:  cvalues people plan --rate 0.1 --models 10 --items 400 --items 1300
    """
    from cvalues.people.planner import SIZES, Plan, tables

    output = Output(as_json=as_json, language=lang)
    chosen = Plan(
        items=tuple(items) if items else SIZES, rate=rate, models=models, discordance=discordance, people=crowd, votes=votes,
        accuracy=accuracy, seconds=seconds,
    )  # fmt: skip
    found = tables(chosen, output.language)
    output.json({"plan": chosen, "tables": found})
    for table in found:
        output.table(table)
        output.line("")


@people.command()
def export(
    campaign: CampaignArgument,
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder to write.")],
    parquet: Annotated[bool, typer.Option("--parquet", help="Write answers and items as Parquet, too.")] = False,
    study: StudyOption = "study.db",
    as_json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Export a campaign: submissions exactly as sent, labels, kept prompts in the public shape, and a manifest with hashes.

    Example:  cvalues people export judge-safety-run1 -o judged
    """
    from cvalues.people.desk import Desk
    from cvalues.people.export import export_campaign
    from cvalues.study import open_study

    output = Output(as_json=as_json, language=lang)
    with open_study(study, create=False) as opened:
        manifest = export_campaign(Desk(opened), campaign, out, parquet=parquet)
    output.json(manifest)
    output.line(say(output, "export", name=campaign, path=out, rows=manifest.files["submissions.jsonl"].rows))


@people.command()
def backup(
    path: Annotated[Path, typer.Argument(help="File to write.")],
    study: StudyOption = "study.db",
    as_json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Back a study up while people work; PostgreSQL through pg_dump.

    Example:  cvalues people backup monday.db
    """
    from cvalues.people.backup import back_up
    from cvalues.study import open_study

    output = Output(as_json=as_json, language=lang)
    with open_study(study, create=False) as opened:
        back_up(opened, path)
    output.json({"backup": str(path)})
    output.line(say(output, "backup", path=path))


@people.command()
def restore(
    path: Annotated[Path, typer.Argument(help="What `people backup` wrote.")],
    study: Annotated[str, typer.Option("--study", help="New SQLite file, or URL of an empty PostgreSQL database.")],
    as_json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Restore a backup into a new study and verify it; nothing is ever overwritten.

    Example:  cvalues people restore monday.db --study restored.db
    """
    from cvalues.people.backup import restore as bring_back

    bring_back(path, study)
    raise typer.Exit(_check(study, Output(as_json=as_json, language=lang), "restored"))


@people.command()
def verify(study: StudyOption = "study.db", as_json: JsonOption = False, lang: LangOption = "") -> None:
    """Check people's work: counters and states against the facts, every verdict, and the ledger; exits 1 when something does not hold.

    Example:  cvalues people verify
    """
    raise typer.Exit(_check(study, Output(as_json=as_json, language=lang), "verify-ok"))


def _check(study: str, output: Output, done: str) -> int:
    from cvalues.cli.messages import translate
    from cvalues.people.desk import Desk
    from cvalues.people.verify import verify_people
    from cvalues.study import open_study
    from cvalues.study.engine import hide_password
    from cvalues.study.verify import verify as verify_study

    with open_study(study, create=False) as opened:
        found = verify_people(Desk(opened))
        if done == "restored":
            whole = verify_study(opened)
            found = msgspec.structs.replace(found, records=whole.records, faults=(*whole.faults, *found.faults))
    output.json(found)
    for fault in found.faults:
        output.line(f"{fault.table} {fault.id}: {translate(fault.problem, output.language)}")
    if found.sound:
        output.line(say(output, done, study=hide_password(study), records=found.records))
    return 0 if found.sound else 1


@people.command()
def demo(
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for the study.")] = Path("people-demo"),
    seed: Annotated[int, typer.Option("--seed", help="Seed of the simulated votes.")] = 7,
    as_json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Make a study with a campaign of each kind, embedded answering models and simulated people to look around in.

    Example:  cvalues people demo
    """
    from cvalues.people.accounts import Offer
    from cvalues.people.accounts import invite as make
    from cvalues.people.desk import Desk
    from cvalues.study import open_study
    from cvalues.workflows import people as work
    from cvalues.workflows.people_demo import demo as play
    from cvalues.workflows.people_demo import demo_folder

    output = Output(as_json=as_json, language=lang)
    place = demo_folder(out)
    with open_study(place) as opened:
        desk = Desk(opened)
        found = play(desk, seed=seed, language=output.language)
        token = make(desk, Offer(role="manager", days=30))
        tables = [
            table
            for name in (() if as_json else found.campaigns)
            for table in work.status_tables(work.status(desk, name), output.language)
        ]
    output.json({"study": str(place), "token": token, **msgspec.to_builtins(found)})
    for table in tables:
        output.table(table)
        output.line("")
    output.line(
        say(output, "demo", name=", ".join(found.campaigns), people=found.people, votes=found.votes, rulings=found.rulings,
            open=found.open, study=place)
    )  # fmt: skip
    output.line(say(output, "manager", token=token, days="30"))
