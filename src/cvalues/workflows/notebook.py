"""What a notebook has besides `workflows.api`: comparisons, gates, pairs and reports as objects that show themselves."""

from __future__ import annotations

import html as escaping
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

from cvalues.errors import unknown_name
from cvalues.frames import Rows, Shown, default_language, word
from cvalues.pairs.pair import Pair
from cvalues.pairs.scan import Scan, ScanSettings
from cvalues.report import ReportInput, write
from cvalues.report.build import page
from cvalues.report.words import LANGUAGES
from cvalues.scoring import Comparison, ItemOutcome
from cvalues.scoring import compare as compare_outcomes
from cvalues.scoring.compare import Leaderboard
from cvalues.scoring.compare import leaderboard as rank
from cvalues.workflows.api import outcomes
from cvalues.workflows.gate import Gated, check_gate, load_config
from cvalues.workflows.results import gather, with_loop
from cvalues.workflows.run import Finished

SHOWN_BYTES = 8 << 20
"""A larger page is named and not shown: a notebook would keep it in its file."""

Answered = Finished | Iterable[ItemOutcome]


class Report(Shown):
    """The report of runs: a notebook shows its page, `write` writes all its files, a data frame has one row per item."""

    def __init__(self, data: ReportInput) -> None:
        """Keeps what the report is made from."""
        self.data = data

    def write(self, folder: str | Path) -> Path:
        """Writes the report to a folder and returns the path of its HTML page; raises DataError where it cannot be written."""
        return write(Path(folder), self.data)

    def frame_rows(self) -> list[dict[str, Any]]:
        """Returns one row per two-choice item and model, else one per free response."""
        found: Sequence[Shown] = self.data.outcomes or self.data.free.outcomes
        return [row for each in found for row in each.frame_rows()]

    def to_html(self, language: str = "", *, limit: int = SHOWN_BYTES) -> str:
        """Returns the page in a frame that keeps its script apart from the notebook; a sentence where it has more than `limit` bytes."""
        chosen = language or default_language()
        if chosen not in LANGUAGES:
            raise unknown_name("language", chosen, LANGUAGES)
        text = page(self.data, [chosen])
        if len(text.encode()) > limit:
            return f"<p>{escaping.escape(word('note', 'large', chosen, count=f'{len(text.encode()):,}'))}</p>"
        title = escaping.escape(word("title", "Report", chosen))
        return (
            f'<iframe title="{title}" sandbox="allow-scripts" style="width:100%;height:42em;border:1px solid #8888" '
            f'srcdoc="{escaping.escape(text)}"></iframe>'
        )


def make_report(finished: Finished | Sequence[Finished], *, language: str = "") -> Report:
    """Returns the report of a run, or of several runs of one study."""
    runs = [finished] if isinstance(finished, Finished) else list(finished)
    study = runs[0].study
    names = [each.run.name for each in runs]
    return Report(with_loop(gather(names, study, language=language or default_language()), study, names))


def compare(
    answered: Answered | Sequence[Finished], baseline: str, candidate: str, by: str = "category", *, alpha: float = 0.05
) -> Comparison:
    """Returns the paired comparison of two models on the choices that both were asked (`scoring.compare`).

    Args:
        answered: a run of both models, several runs, or outcomes.
        baseline: name of a model.
        candidate: name of another.
        by: key of the groups, for example `level`.
        alpha: of the tests.

    Raises:
        UsageError: a model has no outcome, both are the same, or `by` is no key.
        NotEnoughData: the models share no choice that both answered.
    """
    return compare_outcomes(_outcomes(answered), baseline, candidate, by, alpha=alpha)


def leaderboard(answered: Answered | Sequence[Finished], *, alpha: float = 0.05) -> Leaderboard:
    """Returns the models of runs or outcomes in order of score, with what paired tests say of that order."""
    return rank(_outcomes(answered), alpha=alpha)


def _outcomes(answered: Answered | Sequence[Finished]) -> list[ItemOutcome]:
    if isinstance(answered, Finished):
        return outcomes(answered)
    found: list[ItemOutcome] = []
    for each in answered:
        found += outcomes(each) if isinstance(each, Finished) else [each]
    return found


def gate(
    candidate: str | Sequence[str],
    baseline: str | Sequence[str],
    *,
    study: str | Path = "study.db",
    config: str | Path | None = None,
    choice_only: bool = False,
) -> Gated:
    """Returns what `cvalues gate` says of a candidate: `.result.answer` is `pass`, `fail` or `not enough data`.

    Args:
        candidate: one or several runs, as the command takes them.
        baseline: runs of the baseline.
        study: the file or address of the study that plain names refer to.
        config: a gate.toml; the default rules when None.
        choice_only: decide by multiple choice alone.

    Raises:
        UsageError: a run or model does not exist.
        NotEnoughData: the two share nothing that both were asked.
    """
    one, other = ([names] if isinstance(names, str) else list(names) for names in (candidate, baseline))
    rules = load_config(None if config is None else Path(config))
    return check_gate(one, other, config=rules, study=study, choice_only=choice_only)


def load_pairs(source: str | Path, split: Literal["", "train", "dev", "heldout"] = "") -> Rows[Pair]:
    """Returns the comparison pairs of a set or file; those of one split when it is named.

    Raises:
        UsageError: neither a set nor a file has this name.
        DataError: a row is no pair; the message begins with file:line.
    """
    found = Scan(source, ScanSettings(numbering="keep")).pairs()
    return Rows(pair for pair in found if not split or pair.split == split)
