"""Commands that measure: demo, run, read, report."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from cvalues.cli.messages import translate
from cvalues.cli.show import Output, of_counts, progress
from cvalues.errors import ConfigError, NotEnoughData, UsageError
from cvalues.pairs.taints import kept_taints
from cvalues.pairs.taints import notes as taint_notes
from cvalues.prompts import Example
from cvalues.records import open_bytes, read_records
from cvalues.report import write
from cvalues.runner import Bounds, Progress
from cvalues.schema import Table
from cvalues.scoring import ItemOutcome, score
from cvalues.scoring.free_scores import FreeScore, free_scores
from cvalues.scoring.readers import ReaderError
from cvalues.study import Study, open_study
from cvalues.study.engine import hide_password, is_url
from cvalues.taxonomy import load as load_taxonomy
from cvalues.workflows.demo import PANEL, REPLIES, demo
from cvalues.workflows.free import free_outcomes, known_errors, measured_errors
from cvalues.workflows.judge_tables import attack_table, duel_table, error_table
from cvalues.workflows.plan import Plan, RunOptions, apply_prices, load_prices, make_plan, model_entries
from cvalues.workflows.reader import read_with
from cvalues.workflows.results import gather, outcomes_of, with_loop
from cvalues.workflows.run import Finished, dry_run, execute, read_run, trial
from cvalues.workflows.tables import free_tables, score_table


@dataclass
class Given:
    """What was given on the command line to `cvalues run`; None and empty mean not given."""

    sets: list[str] = field(default_factory=list)
    model: list[str] = field(default_factory=list)
    name: str = ""
    template: str = ""
    mode: str = ""
    system: str = ""
    examples: Path | None = None
    samples: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    seed: int | None = None
    param: list[str] = field(default_factory=list)
    filters: list[str] = field(default_factory=list)
    limit: int | None = None
    max_concurrency: int | None = None
    rpm: float | None = None
    attempts: int | None = None
    timeout: float | None = None
    models_file: str = ""
    taxonomy: str = ""
    config: Path | None = None
    trial: int | None = None
    dry_run: bool = False
    max_calls: int | None = None
    max_cost: float | None = None
    prices: Path | None = None
    reader: str = ""
    judges: list[str] = field(default_factory=list)
    rubrics: list[str] = field(default_factory=list)
    engine: str = ""
    batch_dir: Path | None = None
    ray_address: str = ""
    ray_workers: int = 4
    ray_gpus: float = 0.0
    shard_dir: Path = Path("shards")


def options(given: Given) -> RunOptions:
    """Returns the options of a run: those of --config, overridden by what stands on the command line.

    Raises:
        ConfigError: the configuration file is not valid.
        UsageError: an option has no meaning.
    """
    base = RunOptions()
    if given.config is not None:
        with open_bytes(given.config) as file:
            try:
                base = msgspec.toml.decode(file.read(), type=RunOptions)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise ConfigError(f"{given.config}: {error}; see docs/running.md for the fields of run.toml") from error
    changes: dict[str, Any] = {
        name: value
        for name in ("name", "template", "mode", "system", "samples", "seed", "limit", "max_concurrency", "rpm", "attempts",
                     "timeout", "models_file", "taxonomy")
        if (value := getattr(given, name)) not in (None, "")
    }  # fmt: skip
    if given.mode not in {"", "generate", "choose"}:
        raise UsageError(f"--mode is generate or choose, not '{given.mode}'")
    if given.sets:
        changes["sets"] = tuple(given.sets)
    if given.model:
        changes["models"] = tuple(given.model)
    for name in ("judges", "rubrics"):
        if getattr(given, name):
            changes[name] = tuple(getattr(given, name))
    if given.examples is not None:
        changes["examples"] = tuple(record for _, record in read_records(given.examples, Example))
    if given.param:
        changes["params"] = {**base.params, **_pairs("--param", given.param, parse=True)}
    if given.filters:
        changes["filters"] = {**base.filters, **_pairs("--filter", given.filters, parse=False)}
    sampling = {name: getattr(given, name) for name in ("temperature", "top_p", "max_tokens")}
    changes["sampling"] = msgspec.structs.replace(
        base.sampling, **{name: value for name, value in sampling.items() if value is not None}
    )
    return msgspec.structs.replace(base, **changes)


def _pairs(option: str, given: list[str], *, parse: bool) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for entry in given:
        key, equals, value = entry.partition("=")
        if not equals or not key:
            raise UsageError(f"{option} takes key=value, not '{entry}'")
        try:
            found[key] = json.loads(value) if parse else value
        except ValueError:
            found[key] = value
    return found


def measure(given: Given, where: str, output: Output) -> int:
    """Runs `cvalues run` and returns its exit code."""
    chosen = options(given)
    plan = make_plan(chosen)
    apply_prices(plan.endpoints, load_prices(given.prices))
    if given.dry_run:
        return _dry(plan, where, output)
    if given.engine and given.engine != "ray":
        code, complete = _batch_step(given, plan, where, output)
        if not complete:
            return code
    with open_study(where) as study:
        if given.trial:
            with progress(output) as watch:
                output.talk(_text(of_counts(trial(plan, study, given.trial, watch)), output))
        with progress(output) as watch:
            finished = _asked(given, plan, study, watch)
        failed = 0
        if given.reader:
            _, judged = read_with(study, finished.run.name, given.reader, model_entries(chosen))
            failed = judged.failed if judged else 0
        if finished.run.kind == "response" and chosen.judges and not finished.progress.stop:
            failed += _judged(finished, study, chosen, given, output)
        return _summary(finished, study, output, failed)


def _batch_step(given: Given, plan: Plan, where: str, output: Output) -> tuple[int, bool]:
    """Does one step by batch files; when nothing waits any more, the run that follows finds every reply in the study."""
    from cvalues.cli.batch import check_engine, run_batch

    folder = check_engine(given.engine, given.batch_dir, trial=given.trial, max_cost=given.max_cost)
    submit = given.engine == "batch-submit"
    return run_batch(plan, where, output, folder=folder, submit=submit, most=given.max_calls)


def _asked(given: Given, plan: Plan, study: Study, watch: Callable[[Progress], None]) -> Finished:
    """Asks in this process, or with the workers of a Ray cluster."""
    if given.engine != "ray":
        bounds = Bounds(max_calls=given.max_calls, max_cost=given.max_cost)
        return execute(plan, study, bounds=bounds, watch=watch)
    from cvalues.distributed import Cluster
    from cvalues.workflows.distribute import execute_distributed

    if given.max_cost is not None:
        raise UsageError("--max-cost does not go with --engine ray; bound it with --max-calls or --limit")
    cluster = Cluster(address=given.ray_address, workers=given.ray_workers, gpus=given.ray_gpus)
    return execute_distributed(plan, study, cluster, given.shard_dir, most=given.max_calls, watch=watch)


def _judged(finished: Finished, study: Study, chosen: RunOptions, given: Given, output: Output) -> int:
    """Lets the judges of the options judge a finished run; returns how many of their calls failed."""
    from cvalues.cli.judging import Asked, judge_run

    asked = Asked(
        rubrics=list(chosen.rubrics), models_file=chosen.models_file, taxonomy=chosen.taxonomy, max_cost=given.max_cost
    )
    found = judge_run(study, finished.run.name, list(chosen.judges), asked, output)
    return sum(entry.failed for group in found.values() for entry in group)


def _dry(plan: Plan, where: str, output: Output) -> int:
    exists = is_url(where) or Path(where).exists()
    if exists:
        with open_study(where, create=False) as study:
            table = dry_run(plan, study)
    else:
        table = dry_run(plan)
    output.json({"run": plan.run.name, "plan": [dict(zip(table.columns, row, strict=True)) for row in table.rows]})
    output.table(of_counts(table, output.say("run.plan", run=plan.run.name)))
    return 0


def _text(table: Table, output: Output) -> str:
    from cvalues.cli.show import render

    return render(table, output.language).rstrip()


def _summary(finished: Finished, study: Study, output: Output, reader_failed: int) -> int:
    run, state = finished.run, finished.progress
    outcomes = outcomes_of(study, run.name)
    scores: Sequence[Any] = score(outcomes, ("level",)) if outcomes else []
    errors: tuple[ReaderError, ...] = ()
    if run.kind == "response":
        scores = free_scores(free_outcomes(study, run.name), errors=measured_errors())
        errors = known_errors(study, scores[0].raters.values()) if scores else ()
    output.json(
        {
            "run": run.name,
            "state": run.state,
            "stopped": state.stop,
            "left": state.left,
            "models": {name: _counts(model) for name, model in state.models.items()},
            "scores": [msgspec.to_builtins(entry) for entry in scores],
            **({"errors": msgspec.to_builtins(errors)} if run.kind == "response" else {}),
            **({"warnings": tainted} if (tainted := kept_taints(run.settings)) else {}),
        }
    )
    for note in taint_notes(tainted, output.language):
        output.talk(note)
    output.talk(output.say("run.name", name=run.name, study=hide_password(study.where)))
    _talk_of_calls(state, output)
    if run.kind == "choice":
        show_scores(outcomes, output)
        output.talk(output.say("run.next", name=run.name))
    else:
        output.line(output.say("run.free", count=sum(model.done + model.cached for model in state.models.values())))
        show_free(scores, run.name, output, errors)
    if state.stop == "interrupted":
        return 130
    return 3 if state.failed or reader_failed or any(model.stopped for model in state.models.values()) else 0


def show_scores(outcomes: Sequence[ItemOutcome], output: Output) -> None:
    """Prints the scores by level, and those of the hard items beside them where the set marks some."""
    output.table(score_table(outcomes, ("level",)))
    hard = [outcome for outcome in outcomes if outcome.difficulty == "hard"]
    if hard:
        output.line("")
        output.line(output.say("run.hard"))
        output.table(score_table(hard, ("level",)))


def show_free(
    scores: Sequence[FreeScore], name: str, output: Output, errors: Sequence[ReaderError] | None = None
) -> None:
    """Prints the scores of free responses, whose verdicts they are and how these err; how to judge them where nobody did.

    `errors` is what is known of the raters; None for what ships with the package.
    """
    tables = free_tables(scores)
    if not tables:
        output.talk(output.say("free.judge", name=name))
        return
    for table in tables:
        output.table(table)
    raters = scores[0].raters
    output.line(output.say("free.raters", raters=", ".join(f"{key}: {rater}" for key, rater in raters.items())))
    show_errors(measured_errors() if errors is None else errors, raters.values(), output)
    built_in = sorted({rater for rater in raters.values() if rater.startswith("rule:")})
    if built_in:
        output.line(output.say("free.floor", raters=", ".join(built_in)))
    output.talk(output.say("run.next", name=name))


def show_errors(errors: Sequence[ReaderError], raters: Iterable[str], output: Output) -> None:
    """Prints how wrong the readers are whose verdicts were shown; nothing where they are people."""
    table = error_table(errors, raters, output.language)
    if table is not None:
        output.line("")
        output.table(table)


def _counts(model: Any) -> dict[str, Any]:
    return {
        "planned": model.planned, "cached": model.cached, "done": model.done, "failed": model.failed, "retries": model.retries,
        "failures": dict(model.failures), "last_failure": model.last_failure, "tokens_in": model.tokens_in,
        "tokens_out": model.tokens_out, "cost": model.cost, "currency": model.currency,
    }  # fmt: skip


def _talk_of_calls(state: Progress, output: Output) -> None:
    cached = sum(model.cached for model in state.models.values())
    if cached:
        output.talk(output.say("run.cached", count=cached))
    for name, model in state.models.items():
        if model.stopped:
            output.talk(output.say("run.gave_up", model=name, why=translate(model.stopped, output.language)))
        elif model.failed:
            kinds = ", ".join(f"{kind} {count}" for kind, count in model.failures.most_common())
            last = translate(model.last_failure, output.language)
            output.talk(output.say("run.failed", model=name, count=model.failed, kinds=kinds, last=last))
    if state.left:
        reason = output.say(f"reason.{state.stop}")
        output.talk(output.say("run.stopped", reason=reason, left=state.left))


def reread(runs: list[str], reader: str, where: str, models_file: str, output: Output) -> int:
    """Runs `cvalues read` and returns its exit code."""
    failed, counts = 0, {}
    with open_study(where, create=False) as study:
        for reference in runs:
            name = study.run(reference).name
            counts[name] = read_run(study, name)
            if reader:
                _, judged = read_with(study, name, reader, model_entries(RunOptions(models_file=models_file)))
                failed += judged.failed if judged else 0
            output.talk(output.say("read.count", name=name, count=counts[name]))
            if study.run(name).kind == "response":
                scores = free_scores(free_outcomes(study, name), errors=measured_errors())
                show_free(scores, name, output, known_errors(study, scores[0].raters.values()) if scores else ())
            else:
                show_scores(outcomes_of(study, name), output)
    output.json({"read": counts})
    return 3 if failed else 0


def make_report(runs: list[str], out: Path, where: str, taxonomy: str, output: Output, rater: str = "") -> None:
    """Runs `cvalues report`."""
    chosen = load_taxonomy(Path(taxonomy) if taxonomy else None)
    data = gather(runs, where, taxonomy=chosen, language=output.language, rater=rater)
    if not data.outcomes and not data.free.outcomes:
        raise NotEnoughData("these runs hold no two-choice items; run one with  cvalues run starter-choice -m …")
    path = write(out, with_loop(data, where, runs))
    output.json({"report": str(path)})
    output.line(output.say("report.path", path=path))


def demonstrate(out: Path, output: Output) -> None:
    """Runs `cvalues demo`."""
    output.talk(output.say("demo.start"))
    found = demo(out, language=output.language)
    scores = [msgspec.to_builtins(entry) for entry in score(found.outcomes, ("level",))]
    pairs = [msgspec.to_builtins(table) for table in found.tables]
    output.json(
        {
            "report": str(found.report),
            "scores": scores,
            "pairs": pairs,
            "panel": found.panel,
            "duels": msgspec.to_builtins(found.duels),
        }
    )
    show_scores(found.outcomes, output)
    output.line("")
    show_free(found.scores, REPLIES, output)
    output.line("")
    output.line(output.say("judge.panel", name=PANEL.rater, **found.panel))
    output.line("")
    output.table(duel_table(found.duels, output.language))
    output.line("")
    output.table(attack_table(found.attacks, output.language))
    output.line("")
    output.table(found.tables[0])
    output.line(output.say("report.path", path=found.report))
