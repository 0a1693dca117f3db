"""The judge workflow: the responses of a run → asks to judges → verdicts, through the same runner and study as any measurement.

A judge is a runner job: what it answered is kept, a second call asks only what is open, and its calls are counted. An answer that is
no valid verdict is asked again, each time with a fresh nonce, a bounded number of times; then it is *no verdict*.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from cvalues.criteria import criteria
from cvalues.endpoints.base import Endpoint
from cvalues.endpoints.resolve import Model, ModelEntry, build, resolve
from cvalues.errors import UsageError
from cvalues.judging import embedded, principles, rubric
from cvalues.judging.ask import Judge
from cvalues.judging.panel import PEOPLE, Panel, combine
from cvalues.records import now
from cvalues.runner import Bounds
from cvalues.schema import Cell, Prompt, Run, Sampling, Table, Verdict
from cvalues.study import Study
from cvalues.taxonomy import Taxonomy, builtin
from cvalues.workflows.judge_calls import (
    Judged,
    JudgeOptions,
    Judging,
    Subject,
    Watch,
    left,
    subject_ids,
    subject_pairs,
)
from cvalues.workflows.plan import rough_tokens

VERDICT_TOKENS = 150
"""Tokens that a judge's answer has, about."""


@dataclass(frozen=True)
class Context:
    """What judges are asked with, beside the options that shape their verdicts."""

    entries: Mapping[str, ModelEntry] = field(default_factory=dict)
    """The models of models.toml."""
    taxonomy: Taxonomy | None = None
    """Categories that a judge may name; the built-in ones when None."""
    bounds: Bounds | None = None
    """Where to stop."""
    watch: Watch | None = None
    """Called with the progress a few times a second."""


def subjects(study: Study, name: str) -> list[Subject]:
    """Returns the free responses of a run in plan order; those that a provider's filter blocked or that are empty are left out.

    Raises:
        UsageError: there is no such run, or it holds two-choice items.
    """
    run = study.run(name)
    if run.kind == "choice" or "judges" in run.settings or "reads" in run.settings:
        raise UsageError(
            f"run '{run.name}' holds no free responses; ask prompts first, for example  cvalues run starter-prompts -m …"
        )
    items, responses = study.items(run.name), study.responses(run.name)
    found = []
    for row in study.asked(run.name):
        response, prompt = responses.get(row.request), items[row.item]
        if response is None or not isinstance(prompt, Prompt):
            continue
        if response.finish != "filter" and response.text.strip():
            found.append(Subject(prompt, response, row.model, row.item, row.sample))
    return found


def judge(
    study: Study,
    name: str,
    judges: Sequence[str],
    options: JudgeOptions | None = None,
    context: Context | None = None,
) -> list[Judged]:
    """Lets judges give verdicts on the free responses of a run; what stands already is not asked again.

    Args:
        study: the study of the run.
        name: the run.
        judges: what `-j` takes: built-in judges (`judging.embedded.EMBEDDED`) or models.
        options: rubrics and how they are asked.
        context: models by name, taxonomy, bounds.

    Returns:
        One entry per judge and rubric.

    Raises:
        UsageError: the run, a judge or a rubric does not exist.
    """
    chosen, given = options or JudgeOptions(), context or Context()
    run = study.run(name)
    found = subjects(study, run.name)[: chosen.limit]
    results = []
    for spec in judges:
        if spec in embedded.EMBEDDED:
            results.append(_embedded(study, run, spec, found))
            continue
        _no_rule(spec)
        model = resolve(spec, dict(given.entries))
        endpoint = build(model)
        if "generate" not in endpoint.modes:
            if spec.startswith("reward:"):
                raise UsageError(
                    "a reward model scores and cannot write, so no rubric can be put to it; let it grade with  "
                    f"cvalues pairs rank {spec} RUN --verdicts"
                )
            raise UsageError(
                f"'{spec}' cannot write and so cannot judge; name a model, or one of {', '.join(embedded.EMBEDDED)}"
            )
        for title in chosen.rubrics:
            asked = _judge_of(model, endpoint, rubric.rubric(title), chosen, given.taxonomy)
            rest = left(given.bounds, sum(entry.calls for entry in results))
            results.append(Judging(study, run, asked, endpoint, chosen).ask(found, rest, given.watch))
    return results


def _no_rule(spec: str) -> None:
    """Raises UsageError with the existing names for `rule:` and a name that no built-in judge has."""
    if spec.startswith("rule:"):
        embedded.embedded(spec)


def dry_run(
    study: Study, name: str, judges: Sequence[str], options: JudgeOptions, context: Context | None = None
) -> Table:
    """Returns per judge and rubric how many responses are still to be judged, in about how many tokens, at what price."""
    given = context or Context()
    found = subjects(study, name)[: options.limit]
    rows: list[tuple[Cell, ...]] = []
    for spec in judges:
        if spec in embedded.EMBEDDED:
            rules = embedded.embedded(spec)
            rows.append((rules.rater, len(subject_pairs(found)) if rules.subjects == 2 else len(found), 0, 0, 0, "—"))
            continue
        _no_rule(spec)
        model = resolve(spec, dict(given.entries))
        endpoint = build(model)
        for title in options.rubrics:
            asked = _judge_of(model, endpoint, rubric.rubric(title), options, given.taxonomy)
            job = Judging(study, study.run(name), asked, endpoint, options)
            materials = job.materials(found)
            todo = job.still_open(materials)
            requests = [job.request(material, 0)[0].request for material, _, _ in todo]
            tokens_in = sum(rough_tokens(message.content) for request in requests for message in request.messages)
            tokens_out = VERDICT_TOKENS * len(requests)
            price = endpoint.price
            cost = f"{price.cost(tokens_in, tokens_out):.2f} {price.currency}".strip() if price else "—"
            rows.append((asked.rater, len(materials), len(requests), tokens_in, tokens_out, cost))
    columns = ("judge", "responses", "calls", "tokens in ≈", "tokens out ≈", "cost ≈")
    return Table(title=f"Judging of run {name}", columns=columns, rows=tuple(rows))


def _judge_of(
    model: Model, endpoint: Endpoint, asked: rubric.Rubric, options: JudgeOptions, taxonomy: Taxonomy | None
) -> Judge:
    codes = tuple(category.code for category in (taxonomy or builtin()).categories)
    told = None
    if options.principles:
        told = principles.load(None if options.principles == "yes" else Path(options.principles))
    settings: dict[str, Any] = {"sampling": msgspec.to_builtins(_sampling(model, endpoint))}
    settings |= {key: value for key in ("params", "system") if (value := getattr(model.entry, key))}
    return Judge(
        model=endpoint.name,
        revision=endpoint.revision,
        rubric=asked,
        language=options.language,
        principles=told,
        categories=codes if any(entry.kind == "category" for entry in asked.field) else (),
        settings=settings,
    )


def _sampling(model: Model, endpoint: Endpoint) -> Sampling:
    """Returns the judge's sampling: temperature 0 unless models.toml says otherwise; built-in and recorded models take none."""
    if not hasattr(endpoint, "url"):
        return Sampling()
    own = model.entry.sampling
    return msgspec.structs.replace(own, temperature=own.temperature if own.temperature is not None else 0.0)


def _embedded(study: Study, run: Run, spec: str, found: Sequence[Subject]) -> Judged:
    """Lets a built-in judge give its verdicts."""
    rules = embedded.embedded(spec)
    groups = subject_pairs(found) if rules.subjects == 2 else [(subject,) for subject in found]
    result = Judged(rules.rater, tuple(rules.criteria), len(groups))
    done = {
        name: {verdict.subject for verdict in study.all_verdicts(run.name, name, rules.rater)}
        for name in rules.criteria
    }
    todo = [group for group in groups if any(subject_ids(group) not in done[name] for name in rules.criteria)]
    result.before = len(groups) - len(todo)
    # Built-in judges read many replies to one prompt at once much faster than one by one.
    todo.sort(key=lambda group: group[0].prompt.text)
    fresh: list[Verdict] = []
    for prompt, same in itertools.groupby(todo, key=lambda group: group[0].prompt.text):
        members = list(same)
        texts = [[subject.response.text for subject in group] for group in members]
        two = rules.subjects == 2
        read = (
            [rules.judge(prompt, pair)[0] for pair in texts]
            if two
            else rules.judge(prompt, [text for (text,) in texts])
        )
        for group, values in zip(members, read, strict=True):
            for name, (value, reason) in values.items():
                fresh.append(
                    Verdict(
                        criterion=name, subject=subject_ids(group), rater=rules.rater, value=value, reason=reason, run=run.name, time=now(),
                    )
                )  # fmt: skip
    study.add_verdicts(fresh)
    result.valid = len(groups)
    return result


def convene(study: Study, name: str, panel: Panel, raters: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Combines the verdicts of a panel's members on the responses of a run, stores the panel's, and returns counts by status.

    Args:
        study: the study of the run.
        name: the run.
        panel: the panel.
        raters: for each member's judge the raters that it appears as, one per rubric.

    Returns:
        `valid`, `people` (withheld for people) and `none`, over all criteria that two or more members judge.
    """
    run = study.run(name)
    weights = {rater: member.weight for member in panel.member for rater in raters.get(member.judge, ())}
    grouped: dict[tuple[str, tuple[str, ...]], list[tuple[Verdict, float]]] = {}
    for criterion in criteria():
        latest: dict[tuple[str, tuple[str, ...]], Verdict] = {}
        for verdict in study.all_verdicts(run.name, criterion):
            if verdict.rater in weights:
                latest[verdict.rater, verdict.subject] = verdict
        members = {rater for rater, _ in latest}
        if len(members) < 2 and len(panel.member) > 1:
            continue
        for (rater, subject), verdict in latest.items():
            grouped.setdefault((criterion, subject), []).append((verdict, weights[rater]))
    combined = [combine(panel, group, run.name) for group in grouped.values()]
    study.add_verdicts(combined)
    counts = {"valid": 0, "people": 0, "none": 0}
    for verdict in combined:
        kind = "valid" if verdict.status == "ok" else "people" if verdict.reason.startswith(PEOPLE) else "none"
        counts[kind] += 1
    return counts
