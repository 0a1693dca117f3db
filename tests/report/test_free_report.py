"""The report's part on free responses: page, reader, charts, Markdown and files."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import msgspec
import pytest
from measured_free import GRADE, JUDGE, POINTS, WRITERS, answerers, both, reread, with_cards, with_values, written
from test_html import BOTH, Page, embedded, page

from browser import browser
from cvalues.report import ReportInput, read_results, write
from cvalues.report.facts import Facts
from cvalues.report.free_sentences import limits
from cvalues.report.markdown import free_parts, render
from cvalues.report.words import Words
from cvalues.schema import Estimate
from cvalues.scoring.free import PEOPLE
from cvalues.taxonomy import builtin

HOSTILE = (
    "</script><script>window.hit = 1</script><img src=x onerror='window.hit = 2'><svg onload='window.hit = 3'>"
    "<a href='javascript:window.hit=4'>x</a>\u202egnp.exe\u2028{{7*7}}${8*8}"
)
SECTIONS = ("scores", "categories", "plane", "telling", "sources", "agreement", "duels")


def test_a_report_of_free_responses_alone() -> None:
    """Only the parts on free responses stand there, under their own title; the choice parts and their browser are gone."""
    markup, parsed = page(written(12))
    ids = {a["id"] for _, a in parsed.elements if "id" in a}
    assert "<title>价值观自由回复测评报告" in markup
    assert "responses" in ids
    assert "items" not in ids
    for language in BOTH:
        assert f"{language}-leaderboard" not in ids
        assert {f"{language}-{name}" for name in SECTIONS if name != "telling"} <= ids


def test_a_report_of_both() -> None:
    """Choices and free responses stand in one page with one contents; every section is numbered once per language."""
    markup, parsed = page(with_cards(both(24)))
    ids = [a["id"] for _, a in parsed.elements if "id" in a]
    assert len(ids) == len(set(ids))
    assert {"items", "responses", "zh-leaderboard", *(f"en-{name}" for name in SECTIONS)} <= set(ids)
    numbers = re.findall(r'<h2 id="zh-[a-z]+"><span class="no">(\d+)</span>', markup)
    assert numbers == sorted(numbers, key=int)
    assert "<title>价值观测评报告" in markup
    links = {(a.get("href") or "#")[1:] for tag, a in parsed.elements if tag == "a"}
    assert {link for link in links if "=" not in link and not link.startswith("r-")} <= set(ids)


def test_a_choice_report_is_as_before() -> None:
    """Without free responses there is no trace of their parts."""
    from measured import measurement

    markup, parsed = page(measurement(10))
    assert "responses" not in {a["id"] for _, a in parsed.elements if "id" in a}
    assert "data-free" not in embedded(parsed)
    assert "cvaluesPage;" not in markup


def test_every_number_names_its_rater_and_error() -> None:
    """Each column of the first table names its rater; a built-in reader's error and the floor sentence stand beside it."""
    data = written(24, people=False)
    w = Words("en", builtin())
    only_rule = reread(data, with_values("grade", GRADE, "safe"))
    part = next(part for part in free_parts(Facts(only_rule), w) if part.name == "scores")
    column = next(column for column in part.grids[0].columns if column.title == "Responsible")
    assert GRADE in column.sub
    assert "measured accuracy 88.3" in column.sub
    assert any("a floor, not a judge" in line for line in part.warnings)
    judged = next(part for part in free_parts(Facts(data), w) if part.name == "scores")
    column = next(column for column in judged.grids[0].columns if column.title == "Responsible")
    assert "error unknown" in column.sub


def test_a_narrow_page_names_rater_and_error_too() -> None:
    """Where the heads of columns fall away each cell carries whose number it is and how far its rater errs, as the head does."""
    data = reread(written(6, people=False), with_values("grade", GRADE, "safe"))
    w = Words("en", builtin())
    part = next(part for part in free_parts(Facts(data), w) if part.name == "scores")
    subs = {column.sub for column in part.grids[0].columns if column.sub}
    told = [given.get("data-rater") for tag, given in page(data)[1].elements if tag == "td"]
    assert any("measured accuracy" in sub for sub in subs)
    assert subs <= set(told)


def test_numbers_of_the_page_are_those_of_the_scores() -> None:
    """Safety rate and interval of every model stand as text in the page and in the Markdown file."""
    data = written(24)
    facts = Facts(data)
    w = Words("zh", builtin())
    text = "".join(page(data)[1].text)
    lines = render(facts, w)
    for row in facts.free.board:
        assert w.percent(row.score.safe.value) in text
        assert w.interval(row.score.safe) in text
        assert w.percent(row.score.safe.value) in lines
        assert w.number(row.score.points.value) in text
    assert facts.free.raters["safe"] == PEOPLE
    assert w("does.people") in text


def test_refusal_and_over_refusal_stand_together() -> None:
    """The plane shows both shares of every model, in one table and in one chart whose tips say the numbers."""
    facts = Facts(written(24))
    w = Words("en", builtin())
    plane = next(part for part in free_parts(facts, w) if part.name == "plane")
    assert [column.title for column in plane.grids[0].columns[1:3]] == [
        w("measure.over_refusal"),
        w("measure.false_compliance"),
    ]
    assert len(plane.charts) == 1
    for row in facts.free.board:
        assert w.estimate(row.score.over_refusal) in str(plane.charts[0].svg)
    alone = next(part for part in free_parts(Facts(written(3, samples=1)), w) if part.name == "plane")
    assert alone.charts


def test_without_twins_the_plane_says_so() -> None:
    """Where no harmless prompt was asked the part says what to ask, and shows no chart."""
    data = written(12)
    none = [outcome for outcome in data.free.outcomes if not outcome.benign]
    data = msgspec.structs.replace(data, free=msgspec.structs.replace(data.free, outcomes=none))
    plane = next(part for part in free_parts(Facts(data), Words("en", builtin())) if part.name == "plane")
    assert not plane.charts
    assert any("starter-twins" in line for line in plane.warnings)


def test_telling_and_doing_show_table_cells_and_lists() -> None:
    """Gap and 2×2 table have a row per model and level; links lead to the reader with its filter; the list names a failing response."""
    facts = Facts(both(24))
    part = next(part for part in free_parts(facts, Words("en", builtin())) if part.name == "telling")
    assert len(part.charts) == 2
    assert len(part.grids[0].rows) == len(part.grids[1].rows) == 2 * len(WRITERS)
    assert {place for _, place in part.links} == {"free&case=errs1", "free&case=errs2"}
    assert all(row.anchor.startswith("r-b2:") for row in part.grids[3].rows)


def test_order_check_stands_in_the_report() -> None:
    """Where the built-in answerers were measured, the report says by how much the known order holds, or that it fails."""
    w = Words("en", builtin())
    part = next(part for part in free_parts(Facts(answerers()), w) if part.name == "order")
    assert len(part.grids[0].rows) >= 7
    assert not any(part.name == "order" for part in free_parts(Facts(written(6)), w))


def test_cards_and_agreement() -> None:
    """Every two raters of a criterion have a row; the study's cards are shown with their state."""
    facts = Facts(with_cards(written(18)))
    part = next(part for part in free_parts(facts, Words("en", builtin())) if part.name == "agreement")
    pairs = {(row.cells[0].text, row.cells[1].text) for row in part.grids[0].rows}
    assert ("people (majority)", "judge:gpt@safety@0123abcd") in pairs
    assert (JUDGE, GRADE) in pairs
    cards = next(grid for grid in part.grids if grid.columns[-1].title == "State")
    assert {row.cells[-1].text for row in cards.rows} == {"valid", "stale: the judge has changed"}
    agreed = next(grid for grid in part.grids if grid.head == "Judge cards: agreement")
    assert {row.cells[2].text for row in agreed.rows} == {"100.0\u202f%"}
    assert len(agreed.rows) == len(facts.free.cards)
    place = next(place for place, grid in enumerate(part.grids) if grid.head.startswith("Confusion of"))
    confusion, categories = part.grids[place : place + 2]
    assert [row.name for row in confusion.rows] == ["unsafe", "safe", "responsible"]
    assert sum(int(cell.text) for row in confusion.rows for cell in row.cells) == sum(
        int(row.cells[-1].text) for row in categories.rows
    )
    assert [column.title for column in categories.columns[:5]] == ["Category", "Raw agreement", "κ", "α", "AC"]
    assert [column.sub for column in categories.columns[5:9]] == ["unsafe", "unsafe", "responsible", "responsible"]


def test_points_are_compared_as_points() -> None:
    """Where people and a judge give points the report shows Spearman, mean absolute error and bias, the judge's minus the people's."""
    part = next(part for part in free_parts(Facts(written(18)), Words("en", builtin())) if part.name == "agreement")
    grid = next(grid for grid in part.grids if grid.head == "Agreement of points")
    (row,) = [row for row in grid.rows if row.cells[1].text == POINTS]
    assert [column.title for column in grid.columns[3:6]] == ["Spearman ρ", "Mean absolute error", "Bias"]
    # The made-up person gives every reply one point less than the judge.
    assert [cell.text for cell in row.cells[2:5]] == ["1.00", "1.00", "1.00"]
    assert not part.warnings


def test_made_up_people_are_called_so() -> None:
    """Annotators of a demonstration are named as made up wherever their numbers stand, and do not count as people who judged."""
    data = written(6)
    outcomes = [
        msgspec.structs.replace(
            each,
            verdicts={
                criterion: {name.replace("person:", "person:simulated-"): value for name, value in given.items()}
                for criterion, given in each.verdicts.items()
            },
        )
        for each in data.free.outcomes
    ]
    made = msgspec.structs.replace(data, free=msgspec.structs.replace(data.free, outcomes=outcomes))
    parts = {part.name: part for part in free_parts(Facts(made), Words("en", builtin()))}
    for name in ("sources", "agreement"):
        assert any("made up for the demonstration" in line for line in parts[name].warnings)
    told = dict(limits(Facts(made), Words("en", builtin())))
    assert told["Human scores"] == "No person has judged these free responses."
    assert "Simulated annotators" in told


def test_reader_holds_every_response_with_all_verdicts() -> None:
    """The index has a row per planned response; the texts hold prompt, reply and every verdict with its reason."""
    data = both(12)
    stored = embedded(page(data, ("en",))[1])
    index = stored["data-free"]
    assert len(index["rows"]) == len(data.free.outcomes)
    texts = [entry for name, chunk in sorted(stored.items()) if re.fullmatch(r"data-free-\d+", name) for entry in chunk]
    assert len(texts) == len(index["rows"])
    row, entry = next((row, entry) for row, entry in zip(index["rows"], texts, strict=True) if entry["v"])
    known = data.free.verdicts[row[0]]
    shown = {(index["criteria"][code]["code"], index["raters"][rater], value) for code, rater, value, _ in entry["v"]}
    assert shown == {(verdict.criterion, verdict.rater, verdict.value) for verdict in known}
    assert entry["t"] == data.responses[row[0]].text


def hostile(count: int = 8) -> ReportInput:
    """A measurement whose prompts, responses, reasons, raters and models are hostile."""
    data = both(count, {f"m{HOSTILE}": 0.6, "n": 0.9})
    free = data.free
    prompts = {key: msgspec.structs.replace(prompt, text=HOSTILE) for key, prompt in free.prompts.items()}
    verdicts = {
        key: [msgspec.structs.replace(verdict, reason=HOSTILE, rater=verdict.rater + HOSTILE) for verdict in found]
        for key, found in free.verdicts.items()
    }
    outcomes = [
        msgspec.structs.replace(
            outcome, verdicts={name: {rater + HOSTILE: value for rater, value in found.items()} for name, found in outcome.verdicts.items()}
        )
        for outcome in free.outcomes
    ]  # fmt: skip
    changed = msgspec.structs.replace(free, prompts=prompts, verdicts=verdicts, outcomes=outcomes, rater="")
    responses = {
        key: msgspec.structs.replace(response, text=HOSTILE, reasoning=HOSTILE)
        for key, response in data.responses.items()
    }
    return msgspec.structs.replace(data, free=changed, responses=responses)


def test_hostile_texts_stay_text() -> None:
    """Whatever stands in prompts, replies, reasons, raters and models, the page is well formed and has one running script."""
    markup, parsed = page(hostile())
    assert isinstance(parsed, Page)
    assert len([1 for attributes, _ in parsed.scripts if not attributes]) == 1
    assert markup.count("<script") == len(parsed.scripts)
    assert "\u202e" not in "".join(parsed.text)
    assert not [name for _, attributes in parsed.elements for name in attributes if name.startswith("on")]


def test_files_beside_the_page(tmp_path: Path) -> None:
    """Scores, responses, verdicts and telling are files; one row per response and per verdict; formulas are disarmed."""
    data = both(12)
    first = data.free.outcomes[0]
    responses = data.responses | {first.response: msgspec.structs.replace(data.responses[first.response], text="=1+1")}
    write(tmp_path, msgspec.structs.replace(data, responses=responses))

    def rows(name: str) -> list[dict[str, str]]:
        with (tmp_path / name).open(encoding="utf-8-sig", newline="") as file:
            return list(csv.DictReader(file))

    written_rows = rows("responses.csv")
    assert len(written_rows) == len(data.free.outcomes)
    assert "'=1+1" in {row["text"] for row in written_rows}
    assert len(rows("verdicts.csv")) == sum(len(found) for found in data.free.verdicts.values())
    told = rows("telling.csv")
    assert {row["level"] for row in told} == {"1", "2"}
    assert any(row["failing_text"] and row["better_reply"] for row in told)
    whole = [row for row in rows("free_scores.csv") if row["grouping"] == "model"]
    facts = Facts(data)
    assert {row["model"]: float(row["safe"]) for row in whole} == {
        row.model: row.score.safe.value for row in facts.free.board
    }
    kept = read_results(tmp_path / "results.json")
    assert [score.safe for score in kept.free_scores if set(score.group) == {"model"}] == [
        score.safe for score in facts.free.scores["model"]
    ]
    assert "=1+1" not in (tmp_path / "results.json").read_text(encoding="utf-8")


def test_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    """Writing twice gives identical files, whatever the order of the outcomes."""
    data = both(9)
    first = write(tmp_path / "a", data).parent
    second = write(tmp_path / "b", data).parent
    for path in first.iterdir():
        assert path.read_bytes() == (second / path.name).read_bytes(), path.name
    turned = msgspec.structs.replace(data, free=msgspec.structs.replace(data.free, outcomes=data.free.outcomes[::-1]))
    assert Facts(turned).free.scores == Facts(data).free.scores


def test_the_headline_rests_on_paired_tests() -> None:
    """The sentence names the safest model and those that cannot be told from it; a clear lead is said to be one."""
    w = Words("en", builtin())
    close = Facts(written(18, {"a": 0.9, "b": 0.9}, people=False))
    assert len(close.free.ties) == 1
    clear = Facts(written(36, {"a": 1.0, "b": 0.05}, people=False))
    assert clear.free.ties == ()
    assert "Its lead in safety" in render(clear, w)
    estimate = clear.free.board[0].score.safe
    assert isinstance(estimate, Estimate)
    assert "have not been judged" in render(Facts(written(4, judged=False)), w)


@pytest.mark.browser
def test_reader_in_a_browser(tmp_path: Path) -> None:
    """Nothing hostile runs; filters, search, permalink, folding and both languages work; no request, no complaint."""
    path = write(tmp_path / "hostile", hostile())
    plain = write(tmp_path / "plain", both(24))
    target = next(each for each in both(24).free.outcomes if each.verdicts and each.prompt.endswith("0007"))
    with browser(tmp_path / "profile") as window:
        window.size(1280, 1000)
        window.log()
        window.open(path, "r-none")
        window.run("for (const each of document.querySelectorAll('.fold, #responses summary')) each.click()")
        window.until("return document.querySelectorAll('.verdicts').length > 3")
        assert window.run(
            "return window.hit === undefined && document.querySelectorAll('#responses img, #responses a[href^=java]').length === 0"
        )
        assert "none" in window.run("return document.getElementById('free-count').textContent")
        window.open(plain, f"r-{target.response}")
        shown = window.run("return document.querySelector('.item.target').textContent")
        assert target.response in shown
        assert all(rater in shown for found in target.verdicts.values() for rater in found)
        window.run(
            "const box = document.getElementById('free-model'); box.value = arguments[0]; box.dispatchEvent(new Event('change'))",
            "deepseek-v3",
        )
        count = sum(each.model == "deepseek-v3" for each in both(24).free.outcomes)
        assert str(count) in window.run("return document.getElementById('free-count').textContent")
        window.open(plain, "free&case=errs2&model=deepseek-v3")
        cases = window.run("return document.getElementById('free-count').textContent")
        assert re.search(r"共 [1-9]", cases)
        window.run("document.querySelector('[data-speak=en]').click()")
        assert "Responses 1" in window.run("return document.getElementById('free-count').textContent")
        assert window.run("return document.title").startswith("Values report")
        for width in (390, 1280):
            window.size(width, 900)
            assert window.run("return document.documentElement.scrollWidth") <= width
        assert window.log() == []
        lone = write(tmp_path / "lone", written(9))
        window.open(lone)
        assert window.run("return document.documentElement.dataset.ready") == "yes"
        assert window.log() == []


@pytest.mark.browser
def test_a_large_report_opens_fast(tmp_path: Path) -> None:
    """3 models × 500 prompts × 3 samples: the page is drawn with its first responses, and searching finds what is there."""
    data = written(500, people=False)
    wanted = data.free.outcomes[1200].prompt
    count = sum(wanted in each.prompt for each in data.free.outcomes)
    path = write(tmp_path, data)
    assert path.stat().st_size < 25_000_000
    with browser(tmp_path / "profile") as window:
        window.open(path)
        assert window.run("return document.querySelectorAll('#free-list article').length") == 15
        assert window.run("return performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd") < 8_000
        box = "const box = document.getElementById('free-q'); box.value = arguments[0]; box.dispatchEvent(new Event('input'))"
        window.run(box, wanted)
        window.until(f"return /共 {count} 条/.test(document.getElementById('free-count').textContent)")
        found = window.run("return [...document.querySelectorAll('#free-list .facts')].map(each => each.textContent)")
        assert len(found) == min(15, count)
        assert all(wanted in each for each in found)
