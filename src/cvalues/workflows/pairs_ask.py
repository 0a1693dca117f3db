"""Calls that pairs need (rewriting, growing, scoring, judging), through the runner: kept, resumed, costed, never made twice."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

import cvalues
from cvalues.endpoints.base import Endpoint
from cvalues.endpoints.resolve import ModelEntry, build, load_models, resolve
from cvalues.errors import UsageError
from cvalues.records import content_hash, now
from cvalues.runner import Bounds, Progress
from cvalues.schema import Ask, Choice, Mode, Prompt, Request, Response, Run, Sampling, SetRef
from cvalues.study import Planned, Study
from cvalues.taxonomy import builtin
from cvalues.workflows.plan import Plan
from cvalues.workflows.run import drive

Item = Prompt | Choice
Watch = Callable[[Progress], None]


class Put(NamedTuple):
    """One question on its way into a plan, and the item that it is about."""

    ask: Ask
    item: Item


class Answers(NamedTuple):
    """What came back: the response to each ask that has one, by the place of its ask, and the progress at the end."""

    responses: dict[int, Response]
    progress: Progress


def entries_of(models_file: str = "") -> dict[str, ModelEntry]:
    """Returns the models of a models.toml, of ./models.toml where it exists when none is named; errors as `load_models`."""
    path = Path(models_file) if models_file else Path("models.toml")
    return load_models(path if models_file or path.exists() else None)


def plan_of(
    what: str,
    spec: str,
    puts: Sequence[Put],
    *,
    settings: Mapping[str, Any],
    entries: Mapping[str, ModelEntry],
    temperature: float | None = None,
) -> Plan:
    """Returns the plan of questions to one model; opens no connection.

    Args:
        what: first part of the run's name, for example `rewrite`.
        spec: what `-m` takes.
        puts: the questions.
        settings: what makes this run another one than the next: it is part of the run's name and record.
        entries: models by name.
        temperature: for models that are asked to write, where models.toml gives none.

    Raises:
        UsageError: the model does not exist or cannot answer such questions.
    """
    model = resolve(spec, dict(entries))
    endpoint = build(model)
    items = {content_hash(put.item): put.item for put in puts}
    hashes = {put.item.id: content_hash(put.item) for put in puts}
    served = hasattr(endpoint, "url")
    sampling = model.entry.sampling if served else Sampling()
    planned = []
    for put in puts:
        mode = mode_of(endpoint, put.ask)
        if temperature is not None and served and sampling.temperature is None and mode == "generate":
            sampling = msgspec.structs.replace(sampling, temperature=temperature)
        request = Request(
            mode=mode,
            model=endpoint.name,
            revision=endpoint.revision,
            messages=put.ask.messages,
            question=put.ask.question if mode != "generate" else "",
            options=put.ask.options if mode != "generate" else (),
            sampling=sampling if mode == "generate" else Sampling(),
            extra=model.entry.params if served else {},
            sample=put.ask.sample,
        )
        planned.append(Planned(put.ask, request, request.id, hashes[put.item.id]))
    kept = {**settings, "endpoint": model.entry.endpoint, "revision": endpoint.revision}
    digest = content_hash((kept, [entry.request_id for entry in planned]))
    run = Run(
        name=f"pairs/{what}/{endpoint.name}/{digest[3:11]}",
        sets=(SetRef(name=str(settings.get("source", what)), hash=content_hash(sorted(items)), items=len(items)),),
        models=(endpoint.name,),
        kind="response",
        settings=kept,
        versions={"cvalues": cvalues.__version__},
        start=now(),
    )
    return Plan(run, tuple(planned), items, {endpoint.name: endpoint}, builtin())


def mode_of(endpoint: Endpoint, ask: Ask) -> Mode:
    """Returns how an endpoint answers an ask: by scores where it can and there are options, else in words.

    Raises:
        UsageError: the ask wants words and the endpoint has none.
    """
    if ask.options:
        if "score" in endpoint.modes:
            return "score"
        return "generate" if "generate" in endpoint.modes else "choose"
    if "generate" not in endpoint.modes:
        raise UsageError(
            f"model '{endpoint.name}' cannot write replies; name one that does, for example  openai:NAME@URL"
        )
    return "generate"


def answers(plan: Plan, study: Study, *, bounds: Bounds | None = None, watch: Watch | None = None) -> Answers:
    """Asks what of a plan has no response yet, records how the run ended, and returns all responses.

    Raises:
        StudyError: the study cannot be used; what was committed before is kept.
    """
    run = study.start_run(plan.run)
    study.plan(run, plan.entries, plan.items)
    progress = drive(study, run, plan.entries, plan.endpoints, bounds=bounds, watch=watch)
    state = "done" if not progress.left and not progress.failed else "stopped" if progress.stop else "failed"
    study.end_run(msgspec.structs.replace(run, state=state, end=now()))
    found = study.responses(run.name)
    here = {at: found[entry.request_id] for at, entry in enumerate(plan.entries) if entry.request_id in found}
    return Answers(here, progress)
