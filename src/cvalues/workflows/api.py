"""The Python face: run, score, report in a few lines. Everything here is what the command line calls too."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, overload

import msgspec

from cvalues.frames import Rows
from cvalues.report import write
from cvalues.runner import Bounds, Progress
from cvalues.scoring import ChoiceScore, ItemOutcome
from cvalues.scoring import score as score_outcomes
from cvalues.scoring.free_scores import free_scores
from cvalues.study import Study
from cvalues.workflows import run as running
from cvalues.workflows.free import free_outcomes, measured_errors
from cvalues.workflows.plan import RunOptions
from cvalues.workflows.results import gather, outcomes_of, with_loop
from cvalues.workflows.run import Finished


def run(
    sets: str | Sequence[str],
    model: str | Sequence[str],
    *,
    study: Study,
    bounds: Bounds | None = None,
    watch: Callable[[Progress], None] | None = None,
    **options: Any,
) -> Finished:
    """Asks one or several models everything in one or several sets and returns the finished run.

    Works in a notebook too: the event loop has a thread of its own. Iterating over the result gives (ask, request, response).

    Args:
        sets: names of sets or paths of files.
        model: what `-m` takes.
        study: where everything is kept; what stands there already is not asked again.
        bounds: where to stop.
        watch: called with the progress a few times a second.
        **options: fields of `RunOptions`, for example `template="direct"`, `filters={"level": "2"}`, `limit=100`.
    """
    given = {
        "sets": [sets] if isinstance(sets, str) else list(sets),
        "models": [model] if isinstance(model, str) else list(model),
        **msgspec.to_builtins(options),
    }
    return running.run(msgspec.convert(given, RunOptions), study, bounds=bounds, watch=watch)


async def arun(sets: str | Sequence[str], model: str | Sequence[str], *, study: Study, **options: Any) -> Finished:
    """Is `run` for code that has an event loop already: awaiting it does not block that loop."""
    return await asyncio.to_thread(run, sets, model, study=study, **options)


def outcomes(finished: Finished) -> Rows[ItemOutcome]:
    """Returns what each model answered to each item of a run."""
    return Rows(outcomes_of(finished.study, finished.run.name))


@overload
def score(finished: Iterable[ItemOutcome], by: Sequence[str] = ()) -> Rows[ChoiceScore]: ...
@overload
def score(finished: Finished, by: Sequence[str] = ()) -> Rows[Any]: ...
def score(finished: Finished | Iterable[ItemOutcome], by: Sequence[str] = ()) -> Rows[Any]:
    """Returns the scores of a run or of outcomes, one per model and value of the keys in `by`.

    They are `ChoiceScore` of two-choice items, and `FreeScore` of a run of free responses, which rests on the verdicts that the study
    holds now: judge the run first (`cvalues judge`, `workflows.judge.judge`), else its shares have no data.
    """
    if not isinstance(finished, Finished):
        return Rows(score_outcomes(finished, by))
    if finished.run.kind == "response":
        found = free_outcomes(finished.study, finished.run.name)
        return Rows(free_scores(found, by, errors=measured_errors()))
    return Rows(score_outcomes(outcomes(finished), by))


def write_report(folder: str | Path, finished: Finished, *, language: str = "zh") -> Path:
    """Writes the report of a run to a folder and returns the path of its HTML page."""
    names = [finished.run.name]
    return write(Path(folder), with_loop(gather(names, finished.study, language=language), finished.study, names))
