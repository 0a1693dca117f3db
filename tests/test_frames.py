"""Tests of what notebooks show: every object of the Python interface as escaped HTML in two languages, and as data frames."""

from __future__ import annotations

import builtins
import json
import tomllib
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import cvalues as cv
from cvalues.cli import show
from cvalues.errors import MissingExtra
from cvalues.frames import Rows, Shown, columns, default_language, html_table, visible, word
from cvalues.schema import Estimate, Prompt, Table
from cvalues.workflows.run import Finished

ROOT = Path(__file__).resolve().parents[1]
FIRST, SECOND = "baseline:first", "baseline:ngram"
HOSTILE = "<img src=x onerror=alert(1)>\u202e&\"'</td><script>"


class Seen(HTMLParser):
    """Collects the tags and the text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A run of two built-in models on the dev split."""
    with cv.open_study(tmp_path_factory.mktemp("frames") / "s.db") as study:
        yield cv.run("starter-choice/dev", [FIRST, SECOND], study=study)


def objects(finished: Finished) -> dict[str, Shown]:
    """Everything that the Python interface returns, by what it is."""
    outcomes = cv.outcomes(finished)
    return {
        "run": finished,
        "record of the run": finished.run,
        "study": finished.study,
        "outcomes": outcomes,
        "scores": cv.score(finished, by=["level"]),
        "estimate": cv.score(finished)[0].acc,
        "prompts": cv.load("starter-prompts"),
        "choices": cv.load("starter-choice/dev"),
        "pairs": cv.load_pairs("starter-choice/dev"),
        "comparison": cv.compare(finished, FIRST, SECOND, "level"),
        "leaderboard": cv.leaderboard(outcomes),
        "gate": cv.gate(
            f"{finished.study.where}#{finished.run.name}:{SECOND}",
            f"{finished.study.where}#{finished.run.name}:{FIRST}",
        ).result,
        "report": cv.make_report(finished),
    }


def test_every_object_shows_itself_in_both_languages(finished: Finished) -> None:
    """Each object gives HTML and as many frame rows as it has; the two languages differ in words and in nothing else."""
    for name, found in objects(finished).items():
        rows = found.frame_rows()
        assert rows, name
        if name == "report":
            continue
        zh, en = Seen(found.to_html("zh")), Seen(found.to_html("en"))
        assert zh.tags == en.tags, name
        assert zh.text != en.text, name
        assert zh.tags.count("tr") == 1 + min(20, len(rows)), name


def test_every_column_has_chinese_words(finished: Finished) -> None:
    """No column that an object shows is left with its English name alone, apart from ids that are words of their own."""
    known = tomllib.loads((ROOT / "src/cvalues/data/words/notebook.toml").read_text(encoding="utf-8"))
    for name, found in objects(finished).items():
        missing = {column for row in found.frame_rows() for column in row} - known["column"].keys()
        assert not missing, (name, missing)
    for table in known.values():
        for key, entry in table.items():
            assert entry.keys() == {"zh", "en"}, key


def test_frames_have_every_row(finished: Finished) -> None:
    """A data frame of either library has one row per record and an estimate in three columns."""
    polars = pytest.importorskip("polars")
    pandas = pytest.importorskip("pandas")
    for name, found in objects(finished).items():
        one, other = found.to_polars(), found.to_pandas()
        assert isinstance(one, polars.DataFrame)
        assert isinstance(other, pandas.DataFrame)
        assert one.shape == other.shape == (len(found.frame_rows()), len(one.columns)), name
        assert list(one.columns) == list(other.columns), name
    scores = cv.score(finished, by=["level"])
    frame = scores.to_polars()
    assert frame["acc"].to_list() == [entry.acc.value for entry in scores]
    assert frame["acc_low"].to_list() == [entry.acc.low for entry in scores]
    assert frame["model"].to_list() == [entry.group["model"] for entry in scores]
    assert Rows[Prompt]().to_polars().shape == (0, 0)
    gated = cv.gate(
        f"{finished.study.where}#{finished.run.name}:{SECOND}", f"{finished.study.where}#{finished.run.name}:{FIRST}"
    )
    assert gated.to_polars().height == len(gated.to_pandas()) == len(gated.result.frame_rows())
    assert gated._repr_html_() == gated.result.to_html()


def test_frames_of_a_run_hold_what_was_said(finished: Finished) -> None:
    """Rows of a run are its responses in plan order, with the outcome that was read from each."""
    rows = finished.frame_rows()
    assert [(row["subject"], row["text"]) for row in rows] == [
        (ask.subject, answer.text) for ask, _, answer in finished
    ]
    by_response = {outcome.response: outcome.outcome for outcome in cv.outcomes(finished)}
    assert all(by_response[row["response"]] == row["outcome"] for row in rows)


def test_hostile_text_stays_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """A text of a file or model opens no tag, turns no line around, and is folded when it is long; a page in a frame is escaped whole."""
    monkeypatch.setenv("CVALUES_LANG", "en")
    prompt = Prompt(id=HOSTILE, text=HOSTILE * 20, level=1, category=HOSTILE, tags={HOSTILE: HOSTILE})
    page = Rows([prompt])._repr_html_()
    seen = Seen(page)
    assert not {"img", "script"} & set(seen.tags)
    assert "\u202e" not in page
    assert "⟨U+202E⟩" in page
    assert "details" in seen.tags
    assert visible(HOSTILE * 20) in seen.text
    table = Table(title=HOSTILE, columns=(HOSTILE, HOSTILE), rows=((HOSTILE, Estimate(value=None)),), notes=(HOSTILE,))
    assert not {"img", "script"} & set(Seen(table.to_html()).tags)
    assert list(table.frame_rows()[0]) == [HOSTILE, f"{HOSTILE} 2"]


def test_the_report_is_kept_apart(finished: Finished, tmp_path: Path) -> None:
    """A notebook shows the page in a frame without access to the notebook; a large page is named instead; write writes the files."""
    made = cv.make_report(finished, language="en")
    page = made.to_html("en")
    assert page.startswith('<iframe title="Report" sandbox="allow-scripts" ')
    assert Seen(page).tags == ["iframe"]
    assert "bytes" in made.to_html("en", limit=10)
    assert made.write(tmp_path / "report").name == "report.html"
    assert len(made.frame_rows()) == len(cv.outcomes(finished))
    with pytest.raises(cv.CValuesError, match="unknown language 'fr'"):
        made.to_html("fr")


def test_the_language_is_a_setting(finished: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    """$CVALUES_LANG chooses the language of what is shown, the locale where it says nothing."""
    scores = cv.score(finished)
    monkeypatch.setenv("CVALUES_LANG", "zh")
    assert "准确率" in scores._repr_html_()
    monkeypatch.setenv("CVALUES_LANG", "")
    monkeypatch.setenv("LC_ALL", "en_GB.UTF-8")
    assert "准确率" not in scores._repr_html_()
    assert word("column", "no such column", "zh") == "no such column"


def test_commands_and_notebooks_ask_one_place_for_the_language() -> None:
    """What chooses the language of a command and that of a notebook is one function."""
    assert show.default_language is default_language


def test_slices_show_themselves_too() -> None:
    """A slice of a list is such a list; a place in it is the record."""
    prompts = cv.load("starter-prompts", kind="prompt")
    assert isinstance(prompts[:3], Rows)
    assert isinstance(prompts[0], Prompt)
    assert "3</caption>" in prompts[:3].to_html("en")
    assert word("note", "more", "en", count=1) in prompts.to_html("en", limit=len(prompts) - 1)
    assert "no data" in prompts[:0].to_html("en")


@pytest.mark.parametrize("package", ["polars", "pandas"])
def test_a_missing_package_says_what_to_install(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the library the error has the line that installs it."""
    real = builtins.__import__

    def absent(name: str, *more: Any, **named: Any) -> Any:
        if name == package:
            raise ImportError(name)
        return real(name, *more, **named)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(MissingExtra, match=rf"'{package}'.*pip install 'cvalues\[notebook\]'"):
        getattr(Estimate(value=1.0), f"to_{package}")()


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(st.characters()),
    st.dictionaries(st.text(max_size=3), st.integers(0, 9)),
)


@given(st.lists(st.dictionaries(st.sampled_from("abcd"), VALUES), max_size=6))
def test_any_rows_become_columns_of_one_kind(rows: list[dict[str, Any]]) -> None:
    """Columns are as long as there are rows, hold one kind of value each, and what is shown opens no tag of a text."""
    found = columns(rows)
    assert set(found) == {name for row in rows for name in row}
    for values in found.values():
        assert len(values) == len(rows)
        assert len({type(value) for value in values if value is not None}) <= 1
        for value in values:
            if isinstance(value, str):
                value.encode()
            if isinstance(value, int):
                assert -(1 << 63) <= value < 1 << 63
    assert set(Seen(html_table(rows)).tags) <= {
        "div",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "p",
        "small",
        "details",
        "summary",
    }


@given(st.lists(st.dictionaries(st.sampled_from("abcd"), VALUES), min_size=1, max_size=6))
def test_polars_takes_any_rows(rows: list[dict[str, Any]]) -> None:
    """Whatever a file holds, polars makes a frame of it without a loss of rows."""
    polars = pytest.importorskip("polars")
    found = columns(rows)
    assert polars.DataFrame(found, strict=False).height == (len(rows) if found else 0)


def test_the_example_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cells of examples/notebook.ipynb run in order in one namespace, it is valid, and it holds no output."""
    path = ROOT / "examples" / "notebook.ipynb"
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    assert len({cell["id"] for cell in notebook["cells"]}) == len(notebook["cells"])
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for at, cell in enumerate(code):
        source = "".join(cell["source"])
        if "to_polars" in source:
            pytest.importorskip("polars")
        *body, last = source.rstrip().splitlines()
        exec(compile("\n".join(body), f"cell {at}", "exec"), names)  # noqa: S102 - our own notebook
        shown = eval(compile(last, f"cell {at}", "eval"), names)  # noqa: S307 - our own notebook
        assert hasattr(shown, "_repr_html_") or shown is None, last
    names["study"].close()


def test_the_example_notebook_is_valid() -> None:
    """The validator of nbformat accepts the example notebook."""
    nbformat = pytest.importorskip("nbformat")
    nbformat.validate(nbformat.read(ROOT / "examples" / "notebook.ipynb", as_version=4))
