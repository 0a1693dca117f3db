"""The calls of one judge: materials → requests → rounds through the runner → verdicts, and what came of them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from cvalues.endpoints.base import Endpoint
from cvalues.judging.ask import Judge, Material, answer_schema
from cvalues.judging.ask import build as build_ask
from cvalues.judging.panel import related
from cvalues.judging.read import parse, verdicts
from cvalues.records import content_hash, now
from cvalues.runner import Bounds, Progress
from cvalues.schema import Prompt, Record, Request, Response, Run, Sampling, Verdict
from cvalues.study import Planned, Study
from cvalues.workflows.run import drive

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


def subject_ids(group: Sequence[Subject]) -> tuple[str, ...]:
    """Returns the response ids of the subjects of one question, in their order."""
    return tuple(subject.response.id for subject in group)


class Judging:
    """One judge with one rubric on one run."""

    def __init__(self, study: Study, run: Run, judge: Judge, endpoint: Endpoint, options: JudgeOptions) -> None:
        self.study = study
        self.run = run
        self.judge = judge
        self.endpoint = endpoint
        self.options = options
        self.structured: Structured = options.structured if hasattr(endpoint, "url") else "none"

    def ask(self, found: Sequence[Subject], bounds: Bounds | None, watch: Watch | None) -> Judged:
        """Asks what is still open, and again what is no verdict, in bounded number; returns what came of it."""
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
            groups = subject_pairs(found)
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


def subject_pairs(found: Sequence[Subject]) -> list[tuple[Subject, ...]]:
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
