"""The judge workflow: the responses of a run → asks to judges → verdicts, through the same runner and study as any measurement.

A judge is a runner job: what it answered is kept, a second call asks only what is open, and its calls are counted. An answer that is
no valid verdict is asked again, each time with a fresh nonce, a bounded number of times; then it is *no verdict*.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import msgspec

from cvalues.criteria import criteria
from cvalues.endpoints.base import Endpoint
from cvalues.endpoints.resolve import Model, ModelEntry, build, resolve
from cvalues.errors import UsageError
from cvalues.judging import embedded, principles, rubric
from cvalues.judging.ask import Judge, Material, answer_schema
from cvalues.judging.ask import build as build_ask
from cvalues.judging.panel import PEOPLE, Panel, combine, related
from cvalues.judging.read import parse, verdicts
from cvalues.records import content_hash, now
from cvalues.runner import Bounds, Progress
from cvalues.schema import Cell, Prompt, Record, Request, Response, Run, Sampling, Table, Verdict
from cvalues.study import Planned, Study
from cvalues.taxonomy import Taxonomy, builtin
from cvalues.workflows.plan import rough_tokens
from cvalues.workflows.run import drive

VERDICT_TOKENS = 150
"""Tokens that a judge's answer has, about."""
DEFAULT_RUBRICS = ("safety", "grade", "responsibility")
Structured = Literal["auto", "json_schema", "json_object", "none"]
Watch = Callable[[Progress], None]


class JudgeOptions(Record, frozen=True, kw_only=True):
    """How judges are asked."""

    rubrics: tuple[str, ...] = DEFAULT_RUBRICS
    """Names of built-in rubrics or paths of files; built-in judges bring their own."""
    language: Literal["zh", "en"] = "zh"
    """Language in which a judge is asked."""
    principles: str = ""
    """`yes` for the built-in principles of the prompt's category, or the path of a file; empty for none."""
    attempts: int = 3
    """Most tries until an answer is a verdict."""
    structured: Structured = "auto"
    """Whether the server is asked to constrain its output; `auto` asks for a schema and does without where it is refused."""
    limit: int | None = None
    """At most so many responses, in plan order."""


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


@dataclass(frozen=True)
class Subject:
    """A response of a run with the prompt that it answers and the model that gave it."""

    prompt: Prompt
    response: Response
    model: str
    item: str
    """Content hash of the prompt."""
    sample: int = 0


@dataclass
class Judged:
    """What came of one judge with one rubric."""

    rater: str
    criteria: tuple[str, ...]
    subjects: int
    """Responses (or pairs of responses in one order) that it was to judge."""
    valid: int = 0
    """Those with a verdict now."""
    before: int = 0
    """Those that had one already."""
    calls: int = 0
    failed: int = 0
    """Calls that failed for good."""
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float = 0.0
    """Of these calls, in `currency`; 0 where the endpoint has no price."""
    currency: str = ""
    stop: str | None = None
    related: list[str] = field(default_factory=list)
    """Measured models of the judge's own family."""

    def count(self, progress: Progress) -> None:
        """Adds the calls of a round, their tokens and what they cost."""
        for model in progress.models.values():
            self.calls += model.done
            self.tokens_in += model.tokens_in
            self.tokens_out += model.tokens_out
            self.cost += model.cost
            self.currency = model.currency or self.currency


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
            results.append(_Judging(study, run, asked, endpoint, chosen).ask(found, rest, given.watch))
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
            rows.append((rules.rater, len(_pairs(found)) if rules.subjects == 2 else len(found), 0, 0, 0, "—"))
            continue
        _no_rule(spec)
        model = resolve(spec, dict(given.entries))
        endpoint = build(model)
        for title in options.rubrics:
            asked = _judge_of(model, endpoint, rubric.rubric(title), options, given.taxonomy)
            job = _Judging(study, study.run(name), asked, endpoint, options)
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
    groups = _pairs(found) if rules.subjects == 2 else [(subject,) for subject in found]
    result = Judged(rules.rater, tuple(rules.criteria), len(groups))
    done = {
        name: {verdict.subject for verdict in study.all_verdicts(run.name, name, rules.rater)}
        for name in rules.criteria
    }
    todo = [group for group in groups if any(_ids(group) not in done[name] for name in rules.criteria)]
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
                        criterion=name, subject=_ids(group), rater=rules.rater, value=value, reason=reason, run=run.name, time=now(),
                    )
                )  # fmt: skip
    study.add_verdicts(fresh)
    result.valid = len(groups)
    return result


def _ids(group: Sequence[Subject]) -> tuple[str, ...]:
    return tuple(subject.response.id for subject in group)


class _Judging:
    """One judge with one rubric on one run."""

    def __init__(self, study: Study, run: Run, judge: Judge, endpoint: Endpoint, options: JudgeOptions) -> None:
        self.study = study
        self.run = run
        self.judge = judge
        self.endpoint = endpoint
        self.options = options
        self.structured: Structured = options.structured if hasattr(endpoint, "url") else "none"

    def ask(self, found: Sequence[Subject], bounds: Bounds | None, watch: Watch | None) -> Judged:
        materials = self.materials(found)
        criteria = self.judge.rubric.criteria
        result = Judged(self.judge.rater, criteria, len(materials))
        result.related = related(self.judge.model, dict.fromkeys(subject.model for subject in found))
        if not materials:
            return result
        open_now = self.still_open(materials)
        result.before = len(materials) - len(open_now)
        asked = open_now
        if open_now and self.structured == "auto":
            self.structured = self._probe(open_now[0], result)
        for attempt in range(self.options.attempts):
            rest = left(bounds, result.calls)
            if not asked or result.stop:
                break
            if rest is not None and rest.max_calls is not None and rest.max_calls <= 0:
                result.stop = "calls"
                break
            progress, silent = self._round(asked, attempt, rest, watch)
            result.count(progress)
            result.failed += progress.failed
            result.stop = progress.stop
            open_now = self.still_open(materials)
            # What failed for good is asked again by the next command, not by the next try of this one.
            asked = [entry for entry in open_now if entry[0].responses not in silent and entry in asked]
        result.valid = len(materials) - len(open_now)
        return result

    def materials(self, found: Sequence[Subject]) -> list[tuple[Material, str, Prompt]]:
        """Returns what the judge is shown, with hash and prompt of the item."""
        if self.judge.rubric.subjects == 1:
            groups: Iterable[tuple[Subject, ...]] = ((subject,) for subject in found)
        else:
            groups = _pairs(found)
        return [
            (
                Material(
                    prompt=group[0].prompt.text,
                    texts=tuple(subject.response.text for subject in group),
                    responses=tuple(subject.response.id for subject in group),
                    prompt_id=group[0].prompt.id,
                    category=group[0].prompt.category,
                ),
                group[0].item,
                group[0].prompt,
            )
            for group in groups
        ]

    def still_open(self, materials: Sequence[tuple[Material, str, Prompt]]) -> list[tuple[Material, str, Prompt]]:
        """Returns what has no valid verdict of this judge yet."""
        criterion = self.judge.rubric.criteria[-1]
        valid = {
            verdict.subject
            for verdict in self.study.all_verdicts(self.run.name, criterion, self.judge.rater)
            if verdict.status == "ok"
        }
        return [entry for entry in materials if entry[0].responses not in valid]

    def request(self, material: Material, attempt: int) -> tuple[Planned, str, str]:
        """Returns the planned call about a material, its request's id, and its nonce."""
        ask, mark = build_ask(self.judge, material, attempt)
        system = self.judge.settings.get("system", "")
        if system:
            first = msgspec.structs.replace(ask.messages[0], content=f"{system}\n\n{ask.messages[0].content}")
            ask = msgspec.structs.replace(ask, messages=(first, *ask.messages[1:]))
        request = Request(
            mode="generate",
            model=self.endpoint.name,
            revision=self.endpoint.revision,
            messages=ask.messages,
            sampling=msgspec.convert(self.judge.settings["sampling"], Sampling),
            response_format=self._format(),
            extra=self.judge.settings.get("params", {}),
        )
        return Planned(ask, request, request.id, ""), request.id, mark

    def _format(self) -> dict[str, Any] | None:
        match self.structured:
            case "json_schema":
                schema = answer_schema(self.judge.rubric, self.judge.categories)
                named = {
                    "name": f"cvalues_{self.judge.rubric.name}"[:60].replace("-", "_"),
                    "strict": True,
                    "schema": schema,
                }
                return {"type": "json_schema", "json_schema": named}
            case "json_object":
                return {"type": "json_object"}
            case _:
                return None

    def _probe(self, entry: tuple[Material, str, Prompt], result: Judged) -> Structured:
        """Asks one call with a schema and returns how the server is to be asked from then on."""
        kinds: tuple[Structured, ...] = ("json_schema", "json_object")
        for kind in kinds:
            self.structured = kind
            progress, _ = self._round([entry], 0, None, None)
            result.count(progress)
            if not progress.models[self.endpoint.name].failures.get("rejected"):
                return self.structured
        return "none"

    def _round(
        self, todo: Sequence[tuple[Material, str, Prompt]], attempt: int, bounds: Bounds | None, watch: Watch | None
    ) -> tuple[Progress, set[tuple[str, ...]]]:
        """Asks everything in `todo` once, stores what the answers say, and returns the progress and the responses without an answer."""
        plan, marks, about = [], {}, {}
        for material, item, _ in todo:
            planned, request, mark = self.request(material, attempt)
            plan.append(planned._replace(item=item))
            marks[request], about[request] = mark, material
        items = {item: prompt for _, item, prompt in todo}
        digest = content_hash([entry.request_id for entry in plan])[3:11]
        job = Run(
            name=f"{self.run.name}/{self.judge.rater}/{attempt}-{digest}",
            sets=self.run.sets,
            models=(self.endpoint.name,),
            kind="judge",
            settings={
                "judges": self.run.name, "rater": self.judge.rater, "judge": msgspec.json.decode(msgspec.json.encode(self.judge)),
                "structured": self.structured, "attempt": attempt,
            },
            versions=self.run.versions,
            start=now(),
        )  # fmt: skip
        job = self.study.start_run(job)
        self.study.plan(job, plan, items)
        progress = drive(self.study, job, plan, {self.endpoint.name: self.endpoint}, bounds=bounds, watch=watch)
        answers = self.study.responses(job.name)
        last = attempt + 1 >= self.options.attempts
        fresh: list[Verdict] = []
        for request, mark in marks.items():
            if request not in answers:
                continue
            answer = parse(answers[request].text, self.judge.rubric, mark, self.judge.categories)
            if not answer.fault or last:
                fresh += verdicts(answer, self.judge.rubric, about[request].responses, self.judge.rater, self.run.name)
        self.study.add_verdicts(fresh)
        state: Literal["failed", "stopped", "done"] = (
            "failed" if progress.failed else "stopped" if progress.stop else "done"
        )
        self.study.end_run(msgspec.structs.replace(job, state=state, end=now()))
        return progress, {about[request].responses for request in marks if request not in answers}


def left(bounds: Bounds | None, calls: int) -> Bounds | None:
    """Returns the bounds that are left after so many calls; None for none."""
    if bounds is None or bounds.max_calls is None:
        return bounds
    return Bounds(max_calls=bounds.max_calls - calls, max_cost=bounds.max_cost)


def _pairs(found: Sequence[Subject]) -> list[tuple[Subject, ...]]:
    """Returns the pairs of responses of two models to one prompt, sample by sample, in both orders."""
    groups: dict[tuple[str, int], list[Subject]] = {}
    for subject in found:
        groups.setdefault((subject.prompt.id, subject.sample), []).append(subject)
    return [
        pair
        for group in groups.values()
        for one, other in itertools.combinations(group, 2)
        if one.response.id != other.response.id
        for pair in ((one, other), (other, one))
    ]


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
