"""The Python face: run, score, report in a few lines. Everything here is what the command line calls too."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from cvalues.report import write
from cvalues.runner import Bounds, Progress
from cvalues.scoring import ChoiceScore, ItemOutcome
from cvalues.scoring import score as score_outcomes
from cvalues.study import Study
from cvalues.workflows import run as running
from cvalues.workflows.plan import RunOptions
from cvalues.workflows.results import gather, outcomes_of
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


def outcomes(finished: Finished) -> list[ItemOutcome]:
    """Returns what each model answered to each item of a run."""
    return outcomes_of(finished.study, finished.run.name)


def score(finished: Finished | Iterable[ItemOutcome], by: Sequence[str] = ()) -> list[ChoiceScore]:
    """Returns the scores of a run or of outcomes, one per model and value of the keys in `by`."""
    return score_outcomes(outcomes(finished) if isinstance(finished, Finished) else finished, by)


def write_report(folder: str | Path, finished: Finished, *, language: str = "zh") -> Path:
    """Writes the report of a run to a folder and returns the path of its HTML page."""
    return write(Path(folder), gather([finished.run.name], finished.study, language=language))
