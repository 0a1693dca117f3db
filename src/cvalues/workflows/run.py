"""The run workflow: plan → trial → ask → read, one call for the command line and for Python."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from cvalues.choice.read import RATER, read_response
from cvalues.endpoints.base import Endpoint
from cvalues.errors import UsageError
from cvalues.frames import Shown, word
from cvalues.records import now
from cvalues.runner import Bounds, Progress, Runner, ask_all
from cvalues.schema import Ask, Choice, Prompt, Request, Response, Run, Table, Verdict
from cvalues.study import Planned, Study
from cvalues.workflows.plan import Plan, RunOptions, make_plan, rough_tokens

TICK_SECONDS = 0.2
"""How often `watch` is called while a run goes on."""
REPLY_TOKENS = 60
"""Tokens that a reply to a two-choice question has, about, where nothing is known."""
FREE_REPLY_TOKENS = 400
_READ_GROUP = 2000


@dataclass(frozen=True)
class Finished(Shown):
    """A run that came to an end: its record, its plan, and the progress at the end. As a data frame, one row per response."""

    run: Run
    plan: Plan
    study: Study
    progress: Progress

    def __iter__(self) -> Iterator[tuple[Ask, Request, Response]]:
        """Yields (ask, request, response) of everything that was answered, in plan order."""
        responses = self.study.responses(self.run.name)
        for entry in self.plan.entries:
            response = responses.get(entry.request_id)
            if response is not None:
                yield entry.ask, entry.request, response

    def frame_rows(self) -> list[dict[str, Any]]:
        """Returns one row per request that was answered, in plan order; `outcome` is None where nothing was chosen."""
        verdicts = self.study.verdicts(self.run.name, "choice", RATER)
        rows = []
        for ask, request, response in self:
            verdict = verdicts.get(response.id)
            rows.append(
                {
                    "model": request.model, "subject": ask.subject, "order": ask.order, "sample": request.sample,
                    "prompt": ask.messages[-1].content if ask.messages else "", "text": response.text, "finish": response.finish,
                    "outcome": None if verdict is None else verdict.value, "rule": "" if verdict is None else verdict.reason,
                    "tokens_in": response.tokens_in, "tokens_out": response.tokens_out, "seconds": response.seconds,
                    "response": response.id,
                }
            )  # fmt: skip
        return rows

    def frame_title(self, language: str) -> str:
        """Returns the run's name, its models and how it ended."""
        state = word("value", self.run.state, language)
        return f"{word('title', 'Finished', language)}: {self.run.name} ({', '.join(self.run.models)}; {state})"

    def frame_notes(self, language: str) -> tuple[str, ...]:
        """Returns how many calls were made, failed and are open."""
        made = self.progress
        return (word("note", "calls", language, calls=made.calls, failed=made.failed, left=made.left),)


def dry_run(plan: Plan, study: Study | None = None) -> Table:
    """Returns per model how many calls a run would make, how many are answered already, and about how many tokens and how much money."""
    rows = []
    for name, endpoint in plan.endpoints.items():
        requests = {entry.request_id: entry.request for entry in plan.entries if entry.request.model == name}
        done = study.answered(list(requests)) if study is not None else set()
        todo = [request for key, request in requests.items() if key not in done]
        tokens_in = sum(rough_tokens(message.content) for request in todo for message in request.messages)
        each = REPLY_TOKENS if plan.run.kind == "choice" else FREE_REPLY_TOKENS
        tokens_out = sum(min(each, request.sampling.max_tokens or each) for request in todo)
        price = endpoint.price
        cost = f"{price.cost(tokens_in, tokens_out):.2f} {price.currency}".strip() if price else "—"
        rows.append((name, len(requests), len(done), len(todo), tokens_in, tokens_out, cost))
    columns = ("model", "requests", "answered", "calls", "tokens in ≈", "tokens out ≈", "cost ≈")
    return Table(title=f"Plan of run {plan.run.name}", columns=columns, rows=tuple(rows))


def execute(
    plan: Plan,
    study: Study,
    *,
    bounds: Bounds | None = None,
    watch: Callable[[Progress], None] | None = None,
) -> Finished:
    """Asks what is open, reads what came, and records how the run ended. Ctrl-C drains what is in flight and keeps it.

    Args:
        plan: from `make_plan`.
        study: where everything is kept.
        bounds: where to stop.
        watch: called with the progress a few times a second, in the caller's thread.

    Raises:
        StudyError: the study cannot be used; what was committed before is kept.
    """
    run = study.start_run(plan.run)
    study.plan(run, plan.entries, plan.items)
    progress = drive(study, run, plan.entries, plan.endpoints, bounds=bounds, watch=watch)
    return end_run(study, run, plan, progress)


def end_run(study: Study, run: Run, plan: Plan, progress: Progress) -> Finished:
    """Reads what came of a run, records how it ended, and returns it."""
    read_run(study, run.name, plan)
    complete = progress.left == 0 and progress.failed == 0
    state = "done" if complete else "stopped" if progress.stop else "failed" if progress.failed else "stopped"
    run = msgspec.structs.replace(run, state=state, end=now())
    study.end_run(run)
    return Finished(run, plan, study, progress)


def drive(
    study: Study,
    run: Run,
    plan: Sequence[Planned],
    endpoints: Mapping[str, Endpoint],
    *,
    bounds: Bounds | None = None,
    watch: Callable[[Progress], None] | None = None,
) -> Progress:
    """Asks a plan in an event loop in a thread of its own and returns the progress at the end.

    The caller's thread stays free for `watch` and for Ctrl-C, so that it works in a notebook too.
    """
    held: list[Runner] = []
    ready = threading.Event()

    def started(runner: Runner) -> None:
        held.append(runner)
        ready.set()

    def work() -> Progress:
        try:
            return asyncio.run(ask_all(study, run.name, plan, endpoints, bounds=bounds, watch=started))
        finally:
            ready.set()

    with concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="cvalues-loop") as pool:
        future = pool.submit(work)
        while True:
            try:
                ready.wait()
                result = future.result(timeout=TICK_SECONDS)
            except concurrent.futures.TimeoutError:
                if watch is not None and held:
                    watch(held[0].progress)
            except KeyboardInterrupt:
                for runner in held:
                    runner.stop_from_thread()
            else:
                if watch is not None:
                    watch(result)
                return result


def read_run(study: Study, name: str, plan: Plan | None = None) -> int:
    """Reads every response of a two-choice run that these rules have not read yet, and returns how many were read. Makes no call.

    Args:
        study: the study.
        name: the run.
        plan: the run's plan where it is at hand, so that it need not be loaded.
    """
    if plan is not None:
        items: Mapping[str, Choice | Prompt] = plan.items
        pairs = [(entry.item, entry.request_id) for entry in plan.entries]
        requests = {entry.request_id: entry.request for entry in plan.entries}
    else:
        items = study.items(name)
        pairs = [(row.item, row.request) for row in study.asked(name)]
        requests = study.requests(name)
    responses = study.responses(name)
    done = {verdict.subject[0] for verdict in study.all_verdicts(name, "choice", RATER)}
    group: list[Verdict] = []
    count = 0
    for item_hash, request in pairs:
        item, response = items[item_hash], responses.get(request)
        if response is None or response.id in done or not isinstance(item, Choice):
            continue
        options = requests[request].options if response.option_scores else ()
        group.append(read_response(item, response, options))
        count += 1
        if len(group) >= _READ_GROUP:
            study.add_verdicts(group)
            group = []
    study.add_verdicts(group)
    return count


def trial(plan: Plan, study: Study, size: int, watch: Callable[[Progress], None] | None = None) -> Table:
    """Sends the first `size` items of each model through every stage and returns what came of them.

    Raises:
        UsageError: a call failed for good, or no reply could be read: the long run would fail the same way.
    """
    chosen: list[Planned] = []
    for name in plan.endpoints:
        chosen += [entry for entry in plan.entries if entry.request.model == name][:size]
    run = study.start_run(plan.run)
    study.plan(run, plan.entries, plan.items)
    part = Plan(run, tuple(chosen), plan.items, plan.endpoints, plan.taxonomy)
    progress = drive(study, run, chosen, plan.endpoints, watch=watch)
    read_run(study, run.name)
    return _trial_table(part, study, progress)


def _trial_table(plan: Plan, study: Study, progress: Progress) -> Table:
    responses = study.responses(plan.run.name)
    verdicts = study.verdicts(plan.run.name, "choice", RATER)
    rows = []
    for name in plan.endpoints:
        ours = [entry for entry in plan.entries if entry.request.model == name]
        answered = [responses[entry.request_id] for entry in ours if entry.request_id in responses]
        read = [verdicts[response.id] for response in answered if response.id in verdicts]
        readable = sum(verdict.value != "unreadable" for verdict in read)
        rows.append((name, len(ours), len(answered), readable))
        if progress.models[name].failed:
            raise UsageError(
                f"trial: model '{name}' failed: {progress.models[name].last_failure}; nothing more was asked"
            )
        if plan.run.kind == "choice" and answered and not readable:
            shown = answered[0].text[:80].replace("\n", " ")
            raise UsageError(
                f"trial: no reply of model '{name}' could be read, for example «{shown}»; try --template direct; nothing more was asked"
            )
    return Table(title="Trial", columns=("model", "asked", "answered", "readable"), rows=tuple(rows))


def run(
    options: RunOptions,
    study: Study,
    *,
    bounds: Bounds | None = None,
    watch: Callable[[Progress], None] | None = None,
) -> Finished:
    """Plans and executes a run; the one call behind `cvalues run`."""
    return execute(make_plan(options), study, bounds=bounds, watch=watch)
