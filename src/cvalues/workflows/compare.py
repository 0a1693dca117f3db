"""`RUN` or `RUN:MODEL` → the outcomes of one model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cvalues.errors import CValuesError, UsageError, unknown_name
from cvalues.report.data import ReportInput
from cvalues.scoring import ItemOutcome
from cvalues.workflows.results import gather


def model_outcomes(reference: str, study: str | Path) -> tuple[str, list[ItemOutcome]]:
    """Returns (model, its outcomes) for `RUN`, where the run has one model, or `RUN:MODEL`.

    Raises:
        UsageError: the run or model does not exist, the run has several models and none is named, or it holds free responses.
    """
    model, data = one_model(reference, study, needs_choices=True)
    return model, [outcome for outcome in data.outcomes if outcome.model == model]


def one_model(reference: str, study: str | Path, *, needs_choices: bool = False) -> tuple[str, ReportInput]:
    """Returns (model, the run's data) for `RUN`, where the run has one model, or `RUN:MODEL`.

    Args:
        reference: a run as every command takes it, with the model behind a colon where it has several.
        study: the study that plain names refer to.
        needs_choices: whether a run of free responses alone is refused.

    Raises:
        UsageError: the run or model does not exist, the run has several models and none is named, or it is refused.
    """
    first: CValuesError | None = None
    for run, model in _readings(reference):
        try:
            data = gather([run], study)
        except CValuesError as error:
            first = first or error
            continue
        if needs_choices and not data.outcomes and data.free.outcomes:
            raise UsageError(f"run '{run}' holds free responses; comparing takes two-choice runs")
        names = data.model_names
        if not model and len(names) > 1:
            raise UsageError(
                f"run '{run}' has several models; name one of them: {', '.join(f'{run}:{name}' for name in names)}"
            )
        if model and model not in names:
            raise unknown_name(f"model of run '{run}'", model, names)
        return model or names[0], data
    raise first or UsageError(f"'{reference}' names no run; give NAME, latest, FILE.db#NAME, results.json or RUN:MODEL")


def _readings(reference: str) -> Iterator[tuple[str, str]]:
    """Yields the ways to cut a reference into run and model: whole first, then at each colon."""
    yield reference, ""
    start = reference.find(":")
    while start >= 0:
        yield reference[:start], reference[start + 1 :]
        start = reference.find(":", start + 1)
