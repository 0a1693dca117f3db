"""All files of a report, written into one folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cvalues.errors import UsageError, unknown_name
from cvalues.records import write_text
from cvalues.report import html, markdown
from cvalues.report.data import ReportInput
from cvalues.report.export import write_items, write_results, write_scores
from cvalues.report.facts import Facts
from cvalues.report.free_export import write_free
from cvalues.report.words import LANGUAGES, Language, Words

__all__ = ["page", "write"]


def page(data: ReportInput, languages: Sequence[Language] = LANGUAGES) -> str:
    """Returns the HTML page alone; it opens in the first of the languages."""
    return html.render(Facts(data), languages)


def write(folder: Path, data: ReportInput, *, languages: Sequence[Language] = LANGUAGES) -> Path:
    """Writes report.html, report.md, scores.csv, items.csv and results.json into `folder` and returns the path of report.html.

    Where free responses were asked, also free_scores.csv, responses.csv, verdicts.csv and telling.csv.

    Args:
        folder: is made when it does not exist; files of an earlier report in it are replaced, each at once as a whole.
        data: the measurement.
        languages: which languages the page holds; it opens in `data.language`, or in the first where that is not among them.
            report.md is in the language that the page opens in.

    Raises:
        UsageError: no language, or one that does not exist.
        DataError: the folder cannot be written.
    """
    for language in languages:
        if language not in LANGUAGES:
            raise unknown_name("language", language, LANGUAGES)
    if not languages:
        raise UsageError("no language given for the report; give zh, en or both")
    first = data.language if data.language in languages else languages[0]
    ordered = sorted(dict.fromkeys(languages), key=lambda language: language != first)
    facts = Facts(data)
    write_results(folder / "results.json", facts)
    write_scores(folder / "scores.csv", facts)
    write_items(folder / "items.csv", data)
    write_free(folder, facts)
    write_text(folder / "report.md", markdown.render(facts, Words(first, data.taxonomy)))
    return write_text(folder / "report.html", html.render(facts, ordered))
