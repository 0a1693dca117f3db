"""Runs → outcomes and what a report needs, wherever a run stands: in a study, in another study, or in a results.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import msgspec

from cvalues.choice.read import RATER
from cvalues.errors import UsageError
from cvalues.hardening.decisions import decisions_of
from cvalues.hardening.rounds import rounds_of
from cvalues.report import FreeInput, ModelFacts, ReportInput, read_results
from cvalues.report.words import Language
from cvalues.schema import Attempt, Choice, Outcome, Response, Run, Verdict
from cvalues.scoring import ItemOutcome
from cvalues.study import Asked, Study, open_study
from cvalues.taxonomy import Taxonomy, builtin
from cvalues.workflows.free import FreeParts, free_input
from cvalues.workflows.reader import read_by_judges


class _View:
    """Everything that a run holds, loaded once."""

    def __init__(self, study: Study, name: str) -> None:
        self.run = study.run(name)
        self.rows = study.asked(self.run.name)
        self.items = study.items(self.run.name)
        self.responses = study.responses(self.run.name)
        self.verdicts = study.verdicts(self.run.name, "choice", RATER)
        self.judged = read_by_judges(study, self.run.name)
        self.failures = study.failures(self.run.name)
        self.set_name = ", ".join(ref.name for ref in self.run.sets)

    def outcomes(self) -> list[ItemOutcome]:
        """Returns one outcome per model and item in plan order; failed and open calls have outcome None."""
        found = []
        for row in self.rows:
            item = self.items[row.item]
            if isinstance(item, Choice):
                found.append(self._outcome(row, item))
        return found

    def _outcome(self, row: Asked, item: Choice) -> ItemOutcome:
        response = self.responses.get(row.request)
        verdict = self._verdict(response)
        return ItemOutcome(
            set=item.source or self.set_name,
            model=row.model,
            choice=item.id,
            pair=item.pair_id,
            order="12" if item.better == 1 else "21",
            level=item.level,
            category=item.category,
            collection=item.collection,
            difficulty=item.difficulty,
            language=item.language,
            split=item.split,
            tags=item.tags,
            better=item.better,
            outcome=cast("Outcome", verdict.value) if verdict is not None else None,
            rule=rule_of(verdict) if verdict is not None else "",
            response=response.id if response is not None else "",
        )

    def _verdict(self, response: Response | None) -> Verdict | None:
        """Returns the rules' verdict, or a reading judge's where the rules found nothing and one was asked."""
        if response is None:
            return None
        verdict = self.verdicts.get(response.id)
        if verdict is not None and verdict.value == "unreadable":
            return self.judged.get(response.id, verdict)
        return verdict


def rule_of(verdict: Verdict) -> str:
    """Returns the name of the rule that decided; the rater, where a judge read."""
    return verdict.reason.partition(": ")[0] if verdict.rater == RATER else verdict.rater


def evidence_of(verdict: Verdict) -> str:
    """Returns the span of the text that decided, or what a judge gave as its reason."""
    return verdict.reason.partition(": ")[2] if verdict.rater == RATER else verdict.reason


def outcomes_of(study: Study, name: str) -> list[ItemOutcome]:
    """Returns one outcome per model and item of a two-choice run, in plan order; empty for a run of free responses."""
    return _View(study, name).outcomes()


def gather(
    references: Sequence[str],
    study: str | Path | Study,
    *,
    taxonomy: Taxonomy | None = None,
    language: str = "zh",
    rater: str = "",
) -> ReportInput:
    """Returns what a report of the given runs is made from: two-choice runs, runs of free responses, or both.

    Args:
        references: run names, `latest`, `FILE.db#NAME`, or paths of results.json; a run that is named twice counts once.
        study: the study that plain names refer to.
        taxonomy: names of categories; the built-in one when None.
        language: language in which the page opens.
        rater: whose verdicts the numbers on free responses rest on, as far as that rater judged; empty for people before
            panels before judges before rules.

    Raises:
        UsageError: a run or the rater does not exist, or two runs give the same model on the same items.
    """
    parts = {msgspec.json.encode(part.runs): part for part in (_part(reference, study) for reference in references)}
    merged = _Parts()
    for part in parts.values():
        merged.add(part)
    return ReportInput(
        taxonomy=taxonomy or builtin(),
        runs=tuple(merged.runs),
        outcomes=merged.outcomes,
        items=merged.items,
        responses=merged.responses,
        evidence=merged.evidence,
        failures=merged.failures,
        models=merged.models,
        templates=merged.templates,
        language=cast("Language", language if language in {"zh", "en"} else "en"),
        free=merged.free.put_together(rater),
        prompt_of=merged.prompt_of,
    )


def with_loop(data: ReportInput, study: str | Path | Study, references: Sequence[str]) -> ReportInput:
    """Returns a measurement with the study's rounds of hardening and the gate's answers on its runs; as it is where no run is of the study.

    Args:
        data: what `gather` found.
        study: the study that plain names refer to.
        references: as `gather` took them.
    """
    if isinstance(study, Study):
        audits = study.audits()
        names = [run.name for run in data.runs]
        return msgspec.structs.replace(
            data, rounds=tuple(rounds_of(audits)), decisions=tuple(decisions_of(audits, names))
        )
    if all(reference.endswith(".json") or "#" in reference for reference in references):
        return data
    with open_study(study, create=False) as opened:
        return with_loop(data, opened, references)


class _Parts:
    """Several runs put together."""

    def __init__(self) -> None:
        self.runs: list[Run] = []
        self.outcomes: list[ItemOutcome] = []
        self.items: dict[str, Choice] = {}
        self.responses: dict[str, Response] = {}
        self.evidence: dict[str, str] = {}
        self.failures: dict[tuple[str, str], str] = {}
        self.models: dict[str, ModelFacts] = {}
        self.templates: dict[str, str] = {}
        self.prompt_of: dict[str, str] = {}
        self.free = FreeParts()
        self._seen: set[tuple[str, str, str]] = set()

    def add(self, part: ReportInput) -> None:
        keys = {(outcome.model, outcome.set, outcome.choice) for outcome in part.outcomes}
        twice = self._seen & keys
        if twice:
            model, _, choice = min(twice)
            raise UsageError(
                f"model '{model}' answered item '{choice}' in two of these runs; report them apart, "
                "or give one of the models another name in models.toml"
            )
        self._seen |= keys
        self.runs += part.runs
        self.outcomes += part.outcomes
        for mine, theirs in (
            (self.items, part.items),
            (self.responses, part.responses),
            (self.evidence, part.evidence),
            (self.models, part.models),
            (self.templates, part.templates),
            (self.prompt_of, part.prompt_of),
        ):
            cast("dict[Any, Any]", mine).update(cast("Mapping[Any, Any]", theirs))
        self.failures.update(part.failures)
        self.free.add(part.free)


def _part(reference: str, study: str | Path | Study) -> ReportInput:
    if reference.endswith(".json"):
        results = read_results(Path(reference))
        return ReportInput(
            taxonomy=builtin(),
            runs=results.runs,
            outcomes=list(results.outcomes),
            models=results.models,
            free=FreeInput(outcomes=list(results.free), preferred=list(results.preferred), cards=results.cards),
            prompt_of=results.prompt_of,
        )
    place, mark, name = reference.rpartition("#")
    if mark:
        with open_study(place, create=False) as other:
            return _of_study(other, name)
    if isinstance(study, Study):
        return _of_study(study, reference)
    with open_study(study, create=False) as opened:
        return _of_study(opened, reference)


def _of_study(study: Study, name: str) -> ReportInput:
    view = _View(study, name)
    if view.run.kind == "judge":
        raise UsageError(f"run '{view.run.name}' is what a judge was asked; name the run whose responses it judged")
    by_id = {response.id: response for response in view.responses.values()}
    verdicts = {key: verdict for key, response in by_id.items() if (verdict := view._verdict(response)) is not None}  # noqa: SLF001
    settings = view.run.settings
    return ReportInput(
        taxonomy=builtin(),
        runs=(view.run,),
        outcomes=view.outcomes(),
        items={item.id: item for item in view.items.values() if isinstance(item, Choice)},
        free=free_input(study, view.run.name) if view.run.kind == "response" else FreeInput(),
        responses=by_id,
        evidence={key: evidence_of(verdict) for key, verdict in verdicts.items()},
        failures=_failures(view.rows, view.failures),
        models=_facts(view, settings.get("model_settings", {})),
        templates={settings["template"]: settings["template_text"]} if "template_text" in settings else {},
    )


def _failures(rows: Sequence[Asked], attempts: Mapping[str, Attempt]) -> dict[tuple[str, str], str]:
    return {
        (row.model, row.subject): f"{attempts[row.request].kind}: {attempts[row.request].detail}"
        for row in rows
        if row.request in attempts
    }


def _facts(view: _View, settings: Mapping[str, Mapping[str, str]]) -> dict[str, ModelFacts]:
    served: dict[str, dict[str, None]] = {model: {} for model in view.run.models}
    for row in view.rows:
        response = view.responses.get(row.request)
        if response is not None and response.model:
            served[row.model][response.model] = None
    return {
        model: ModelFacts(
            spec=settings.get(model, {}).get("endpoint", ""),
            revision=settings.get(model, {}).get("revision", ""),
            served=tuple(names),
        )
        for model, names in served.items()
    }
