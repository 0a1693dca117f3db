"""`RUN` or `RUN:MODEL` → the outcomes of one model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cvalues.errors import CValuesError, UsageError, unknown_name
from cvalues.scoring import ItemOutcome
from cvalues.workflows.results import gather


def model_outcomes(reference: str, study: str | Path) -> tuple[str, list[ItemOutcome]]:
    """Returns (model, its outcomes) for `RUN`, where the run has one model, or `RUN:MODEL`.

    Raises:
        UsageError: the run or model does not exist, or the run has several models and none is named.
    """
    first: CValuesError | None = None
    for run, model in _readings(reference):
        try:
            data = gather([run], study)
        except CValuesError as error:
            first = first or error
            continue
        if not data.outcomes and data.free.outcomes:
            raise UsageError(f"run '{run}' holds free responses; comparing takes two-choice runs")
        names = data.model_names
        if not model and len(names) > 1:
            raise UsageError(
                f"run '{run}' has several models; name one of them: {', '.join(f'{run}:{name}' for name in names)}"
            )
        if model and model not in names:
            raise unknown_name(f"model of run '{run}'", model, names)
        chosen = model or names[0]
        return chosen, [outcome for outcome in data.outcomes if outcome.model == chosen]
    raise first or UsageError(f"'{reference}' names no run; give NAME, latest, FILE.db#NAME, results.json or RUN:MODEL")


def _readings(reference: str) -> Iterator[tuple[str, str]]:
    """Yields the ways to cut a reference into run and model: whole first, then at each colon."""
    yield reference, ""
    start = reference.find(":")
    while start >= 0:
        yield reference[:start], reference[start + 1 :]
        start = reference.find(":", start + 1)
