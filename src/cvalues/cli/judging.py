"""Commands about judges: judge, judge attack, calibrate, agreement."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import msgspec

from cvalues.cli.run import show_errors, show_free
from cvalues.cli.show import Output, progress
from cvalues.errors import UsageError
from cvalues.judging import panel as panels
from cvalues.records import write_atomically
from cvalues.runner import Bounds
from cvalues.scoring.free_scores import free_scores
from cvalues.study import Study, open_study
from cvalues.taxonomy import load as load_taxonomy
from cvalues.workflows.attack import attack
from cvalues.workflows.calibrate import calibrate, corrected
from cvalues.workflows.free import free_outcomes, known_errors, measured_errors
from cvalues.workflows.judge import Context, convene, dry_run, judge
from cvalues.workflows.judge_calls import DEFAULT_RUBRICS, Judged, JudgeOptions, Structured
from cvalues.workflows.judge_tables import (
    agreement_sources,
    agreement_table,
    attack_table,
    card_tables,
    corrected_table,
    judged_table,
)
from cvalues.workflows.judge_words import say
from cvalues.workflows.people import campaign_agreements, campaigns_named
from cvalues.workflows.plan import RunOptions, model_entries

ATTACK = "attack"
"""In the place of a run: the attack suite."""


@dataclass
class Asked:
    """What was given on the command line to `cvalues judge`."""

    judges: list[str] = field(default_factory=list)
    rubrics: list[str] = field(default_factory=list)
    language: str = "zh"
    principles: str = ""
    attempts: int = 3
    structured: str = "auto"
    limit: int | None = None
    panel: Path | None = None
    dry_run: bool = False
    max_calls: int | None = None
    max_cost: float | None = None
    models_file: str = ""
    taxonomy: str = ""

    def options(self) -> JudgeOptions:
        """Returns how judges are asked; raises UsageError for a value that has no meaning."""
        if self.language not in {"zh", "en"}:
            raise UsageError(f"--judge-language is zh or en, not '{self.language}'")
        if self.structured not in {"auto", "json_schema", "json_object", "none"}:
            raise UsageError(f"--structured is auto, json_schema, json_object or none, not '{self.structured}'")
        return JudgeOptions(
            rubrics=tuple(self.rubrics) or DEFAULT_RUBRICS,
            language=cast("Any", self.language),
            principles=self.principles,
            attempts=self.attempts,
            structured=cast("Structured", self.structured),
            limit=self.limit,
        )

    def context(self) -> Context:
        """Returns models by name, taxonomy and bounds."""
        return Context(
            entries=model_entries(RunOptions(models_file=self.models_file)),
            taxonomy=load_taxonomy(Path(self.taxonomy)) if self.taxonomy else None,
            bounds=Bounds(max_calls=self.max_calls, max_cost=self.max_cost),
        )


def judge_runs(runs: list[str], asked: Asked, where: str, output: Output) -> int:
    """Runs `cvalues judge` and returns its exit code."""
    panel = panels.load(asked.panel) if asked.panel is not None else None
    judges = list(dict.fromkeys([*asked.judges, *((member.judge for member in panel.member) if panel else ())]))
    if not judges:
        raise UsageError(
            "name at least one judge with -j, for example  -j baseline:grade  or  -j openai:NAME@http://localhost:8000/v1"
        )
    if runs == [ATTACK]:
        return _attack(judges, asked, where, output)
    failed = 0
    shown: dict[str, Any] = {}
    more: dict[str, Any] = {}
    with open_study(where, create=False) as study:
        for reference in runs:
            name = study.run(reference).name
            if asked.dry_run:
                table = dry_run(study, name, judges, asked.options(), asked.context())
                shown[name] = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
                output.table(msgspec.structs.replace(table, title=say("title.open", output.language, run=name)))
                continue
            results = judge_run(study, name, judges, asked, output)
            failed += sum(entry.failed for group in results.values() for entry in group)
            shown[name] = [msgspec.to_builtins(entry) for group in results.values() for entry in group]
            if panel is not None:
                raters = {spec: [entry.rater for entry in group] for spec, group in results.items()}
                counts = convene(study, name, panel, raters)
                output.line(output.say("judge.panel", name=panel.rater, **counts))
                shown[name].append({"rater": panel.rater, **counts})
            more[name] = _scores(study, name, output)
    output.json({"judged": shown, "results": more} if more else {"judged": shown})
    return 3 if failed else 0


def _scores(study: Study, name: str, output: Output) -> dict[str, Any]:
    """Prints what the models of a run did, by the verdicts that it has now, with the error of whoever gave them; returns both."""
    scores = free_scores(free_outcomes(study, name), errors=measured_errors())
    output.line("")
    errors = known_errors(study, scores[0].raters.values()) if scores else ()
    show_free(scores, name, output, errors)
    return {"scores": msgspec.to_builtins(scores), "errors": msgspec.to_builtins(errors)}


def judge_run(study: Study, name: str, judges: list[str], asked: Asked, output: Output) -> dict[str, list[Judged]]:
    """Lets judges judge one run, prints what came of it, and returns it by judge."""
    found: dict[str, list[Judged]] = {}
    for spec in judges:
        with progress(output) as watch:
            found[spec] = judge(study, name, [spec], asked.options(), _watching(asked.context(), watch))
    results = [entry for group in found.values() for entry in group]
    for entry in results:
        if entry.related:
            output.talk(output.say("judge.related", judge=entry.rater, models=", ".join(entry.related)))
    output.table(judged_table(results, output.language))
    return found


def _watching(context: Context, watch: Any) -> Context:
    return Context(entries=context.entries, taxonomy=context.taxonomy, bounds=context.bounds, watch=watch)


def _attack(judges: list[str], asked: Asked, where: str, output: Output) -> int:
    with open_study(where) as study, progress(output) as watch:
        found = attack(study, judges, asked.options(), _watching(asked.context(), watch))
        errors = known_errors(study, [entry.rater for entry, _, _ in found])
    output.table(attack_table(found, output.language))
    show_errors(errors, [entry.rater for entry, _, _ in found], output)
    results = [
        {"judge": entry.rater, "criterion": criterion, "results": [msgspec.to_builtins(result) for result in scored]}
        for entry, criterion, scored in found
    ]
    output.json({"attacks": results, "errors": msgspec.to_builtins(errors)})
    return 3 if any(entry.failed for entry, _, _ in found) else 0


def calibrate_sources(
    sources: list[str], runs: list[str], criterion: str, card: Path | None, where: str, output: Output
) -> None:
    """Runs `cvalues calibrate`."""
    if len(sources) != 2:
        raise UsageError(
            "calibrate takes two sources: the reference and the judge, for example  cvalues calibrate 'person:*' 'judge:*'  "
            "or  cvalues calibrate 'judge:*' --people people.jsonl"
        )
    with open_study(where, create=False) as study:
        found = calibrate(study, runs, sources[0], sources[1], criterion)
        rates = corrected(study, runs, found)
        errors = known_errors(study, [found.rater, found.reference])
    tables = card_tables(found, output.language)
    for table in [*tables, *([corrected_table(rates, output.language)] if rates else [])]:
        output.table(table)
        output.line("")
    show_errors(errors, [found.rater, found.reference], output)
    if card is not None:
        body = msgspec.json.format(msgspec.json.encode(found), indent=2)
        write_atomically(card, lambda file: file.write(body + b"\n"))
        output.talk(output.say("card.path", path=card))
    told = {"card": found, "corrected": rates, "errors": errors}
    output.json(msgspec.to_builtins(told))


def show_agreement(sources: list[str], runs: list[str], criterion: str, where: str, output: Output) -> None:
    """Runs `cvalues agreement`."""
    with open_study(where, create=False) as study:
        if campaigns := campaigns_named(study, sources):
            _show_campaigns(study, campaigns, sources, output)
            return
        language = "en" if output.as_json else output.language
        tables = agreement_table(study, runs, sources, criterion, language)
        names = [each.name for each in agreement_sources(study, runs, sources, criterion)]
        errors = known_errors(study, names)
    for table in tables:
        output.table(table)
        output.line("")
    show_errors(errors, names, output)
    output.json({"tables": msgspec.to_builtins(tables), "errors": msgspec.to_builtins(errors)})


def _show_campaigns(study: Study, campaigns: list[str], sources: list[str], output: Output) -> None:
    """Shows the agreement of campaigns, which have a criterion of their own and need no run."""
    if others := [name for name in sources if name not in campaigns]:
        raise UsageError(f"campaigns and raters are shown apart; leave out {', '.join(others)}, or the campaigns")
    tables, found = campaign_agreements(study, campaigns, output.language)
    for table in tables:
        output.table(table)
        output.line("")
    output.json({"campaigns": msgspec.to_builtins(found)})
