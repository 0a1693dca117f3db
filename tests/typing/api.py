"""The public API as a typed user writes it. Checked by mypy, never run."""

from __future__ import annotations

from pathlib import Path

import cvalues as cv
from cvalues.endpoints import Answer, Limits, LocalEndpoint
from cvalues.schema import Mode


def measure(place: Path) -> float | None:
    """Runs, scores and reports."""
    with cv.open_study(place) as study:
        finished = cv.run("starter-choice", "baseline:ngram", study=study, limit=10)
        for ask, request, response in finished:
            name: str = ask.subject + request.id + response.text
            print(name)
        scores = cv.score(finished, by=["level"])
        page: Path = cv.write_report(place.parent / "report", finished)
        print(page)
        value: float | None = scores[0].acc.value
        return value


class Echo(LocalEndpoint):
    """A user's own endpoint."""

    modes: frozenset[Mode] = frozenset({"generate"})
    limits = Limits(max_concurrency=2)

    async def ask(self, request: cv.Request) -> Answer:
        """Says what it was asked."""
        return Answer(text=request.messages[-1].content)
