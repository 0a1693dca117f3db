"""`cvalues demo`: both levels on the starter set with the built-in models, offline, in seconds."""

from __future__ import annotations

from pathlib import Path

from cvalues.report import write
from cvalues.scoring import ItemOutcome
from cvalues.study import open_study
from cvalues.workflows.plan import RunOptions, make_plan
from cvalues.workflows.results import gather
from cvalues.workflows.run import execute

MODELS = ("baseline:ngram", "baseline:longer", "baseline:shorter", "baseline:first", "baseline:random")
"""The built-in models that the demo measures."""


def demo(folder: Path, *, language: str = "zh") -> tuple[Path, list[ItemOutcome]]:
    """Measures the built-in models on the held-out split of the starter set; returns the report's path and the outcomes.

    The n-gram model was fitted on the train split and is measured on items that it has not seen.

    Raises:
        StudyError: the folder cannot be written.
    """
    options = RunOptions(sets=("starter-choice",), models=MODELS, filters={"split": "heldout"}, name="demo")
    folder.mkdir(parents=True, exist_ok=True)
    with open_study(folder / "study.db") as study:
        finished = execute(make_plan(options), study)
        data = gather([finished.run.name], study, language=language)
    return write(folder / "report", data), data.outcomes
