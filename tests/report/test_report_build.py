"""All files of a report in one folder."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest
from measured import measurement

from cvalues.errors import DataError, UsageError
from cvalues.report import ReportInput, read_results, write
from cvalues.schema import OUTCOMES, Outcome
from cvalues.taxonomy import builtin


def test_writes_five_files(tmp_path: Path) -> None:
    """The page's path comes back; the five files are there, and nothing else."""
    path = write(tmp_path / "new" / "report", measurement(12))
    assert path == tmp_path / "new" / "report" / "report.html"
    names = sorted(each.name for each in path.parent.iterdir())
    assert names == ["items.csv", "report.html", "report.md", "results.json", "scores.csv"]


def test_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    """Writing twice gives identical files."""
    data = measurement(12)
    first, second = write(tmp_path / "a", data).parent, write(tmp_path / "b", data).parent
    for path in first.iterdir():
        assert path.read_bytes() == (second / path.name).read_bytes(), path.name


@pytest.mark.parametrize("outcome", [*OUTCOMES, None])
def test_a_single_kind_of_outcome(tmp_path: Path, outcome: Outcome | None) -> None:
    """A measurement in which everything was refused, blocked, failed or the like gives a report, never an exception."""
    data = measurement(4)
    outcomes = [msgspec.structs.replace(each, outcome=outcome) for each in data.outcomes]
    path = write(tmp_path, msgspec.structs.replace(data, outcomes=outcomes))
    scores = read_results(tmp_path / "results.json").scores
    assert path.is_file()
    expected = {"1": 0.5, "2": 0.5, None: None}.get(outcome, 0.0)
    assert {each.acc.value for each in scores if set(each.group) == {"model"}} == {expected}


def test_nothing_at_all(tmp_path: Path) -> None:
    """Without runs and outcomes the files are written and say that there is nothing."""
    write(tmp_path, ReportInput(taxonomy=builtin()))
    assert "尚无任何模型的回答" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert read_results(tmp_path / "results.json").outcomes == ()


def test_language_of_the_files(tmp_path: Path) -> None:
    """The page opens in the language of the data, or in the only one it holds; report.md follows it."""
    data = measurement(4, language="en")
    write(tmp_path / "both", data)
    assert 'data-lang="en"' in (tmp_path / "both" / "report.html").read_text(encoding="utf-8")[:120]
    assert (tmp_path / "both" / "report.md").read_text(encoding="utf-8").startswith("# Two-choice")
    write(tmp_path / "zh", data, languages=("zh",))
    page = (tmp_path / "zh" / "report.html").read_text(encoding="utf-8")
    assert 'data-lang="zh"' in page
    assert "What this report does not show" not in page


def test_wrong_languages(tmp_path: Path) -> None:
    """No language, or one that the report does not speak, is a user's error and writes nothing."""
    with pytest.raises(UsageError, match="zh, en or both"):
        write(tmp_path, measurement(1), languages=())
    with pytest.raises(UsageError, match="unknown language 'fr'"):
        write(tmp_path, measurement(1), languages=("fr",))  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_folder_that_cannot_be_written(tmp_path: Path) -> None:
    """A folder whose place is taken by a file gives an error that names the path."""
    (tmp_path / "taken").write_text("x", encoding="utf-8")
    with pytest.raises(DataError, match=f"taken{os.sep}"):
        write(tmp_path / "taken", measurement(1))


def test_input_is_not_changed(tmp_path: Path) -> None:
    """Writing a report changes nothing of what it was given."""
    data = measurement(6)
    before = [*data.outcomes], dict(data.items), dict(data.responses)
    write(tmp_path, data)
    assert (data.outcomes, data.items, data.responses) == before
