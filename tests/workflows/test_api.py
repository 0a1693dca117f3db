"""The Python face."""

from __future__ import annotations

import asyncio
from pathlib import Path

import cvalues as cv
from cvalues.study import Study
from cvalues.workflows.judge import judge


def test_six_lines_measure_and_report(study: Study, tmp_path: Path) -> None:
    """Load, run, score and report in a few lines; iterating gives (ask, request, response)."""
    finished = cv.run("starter-choice", ["baseline:longer", "baseline:shorter"], study=study, limit=24)
    answers = list(finished)
    assert len(answers) == len(finished.plan.entries)
    assert all(request.id == response.origin.removeprefix("request:") for _, request, response in answers)
    scores = cv.score(finished, by=["level"])
    assert {entry.group["model"] for entry in scores} == {"baseline:longer", "baseline:shorter"}
    assert cv.write_report(tmp_path / "report", finished).is_file()


def test_free_responses_are_scored_too(study: Study) -> None:
    """A run of free responses gives its free scores by any key: without data before a judge read it, with data after."""
    finished = cv.run("starter-prompts", "baseline:careful", study=study, limit=12, filters={"split": "heldout"})
    assert [(entry.planned, entry.safe.value) for entry in cv.score(finished)] == [(12, None)]
    judge(study, finished.run.name, ["baseline:grade"])
    (whole,) = cv.score(finished)
    assert whole.safe.value is not None
    assert sum(entry.planned for entry in cv.score(finished, by=["category"])) == 12


def test_it_works_inside_a_running_event_loop(study: Study) -> None:
    """In a notebook, where a loop runs already, both forms work."""

    async def cell() -> tuple[int, int]:
        direct = cv.run("starter-choice", "baseline:first", study=study, limit=6)
        awaited = await cv.arun("starter-choice", "baseline:first", study=study, limit=6)
        return len(list(direct)), awaited.progress.models["baseline:first"].cached

    asked, cached = asyncio.run(cell())
    assert asked == cached >= 6


def test_public_names_are_all_there() -> None:
    """Everything in __all__ can be used, and an unknown name is an AttributeError."""
    assert all(getattr(cv, name) is not None for name in cv.__all__)
    assert "run" in dir(cv)
    assert not hasattr(cv, "nothing")
