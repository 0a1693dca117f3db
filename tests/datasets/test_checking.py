"""The check of data files."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from setfiles import mc_row

from cvalues.datasets import Checking, CheckReport, check, load, starter, write_template
from cvalues.datasets.checking import require
from cvalues.datasets.shapes import CODES
from cvalues.errors import CValuesError, DataError, UsageError
from cvalues.taxonomy import Category, Taxonomy, builtin

Write = Callable[..., Path]


def found(report: CheckReport) -> list[tuple[int, str, str]]:
    """(line, field, code) of every kept fault."""
    return [(fault.line, fault.field, fault.code) for fault in report.faults]


def prompt(**fields: Any) -> dict[str, Any]:
    """A good prompt with other fields."""
    return {"id": fields.get("text", "a"), "text": "a", "category": "law"} | fields


def test_a_good_file_has_no_fault(write: Write) -> None:
    """A sound file is ok, with its rows and categories counted."""
    report = check(write("a.jsonl", [prompt(text="a"), prompt(text="b")]))
    assert report.ok
    assert (report.rows, report.good, report.format, report.encoding) == (2, 2, "prompts", "utf-8")
    assert report.categories == {"law": 2}
    assert list(report.lines()) == [f"{report.source}: 2 rows, 2 without faults; 0 faults, 0 warnings"]
    assert require(report) is report


def test_every_fault_is_reported_to_the_end(write: Write) -> None:
    """One file with a fault of nearly every kind: each has its line and field, and the last row is still read."""
    rows: list[object] = [
        prompt(text="一"),
        prompt(text=""),
        prompt(text="三", category="nope"),
        prompt(text="四\x07"),
        prompt(text="五" * 200),
        prompt(id="一", text="六"),
        prompt(id="x7", text="一"),
        ["no object"],
        prompt(text="九", level=7),
        {"id": "x10", "category": "law"},
        prompt(id="x11", text=" 十一 "),
        prompt(id="x12", text=12),
    ]
    body = (
        "\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + '\n{broken\n{"text": "末", "category": "law"}'
    )
    report = check(write("a.jsonl", body), settings=Checking(max_length=100))
    assert found(report) == [
        (2, "text", "empty"),
        (3, "category", "unknown_category"),
        (4, "text", "control"),
        (5, "text", "overlong"),
        (6, "id", "duplicate_id"),
        (7, "text", "duplicate_text"),
        (8, "", "not_object"),
        (9, "level", "value"),
        (10, "text", "missing"),
        (12, "text", "type"),
        (13, "", "broken_json"),
    ]
    assert (report.rows, report.good) == (14, 3)
    assert "a.jsonl:1" in report.faults[5].found
    assert [(fault.line, fault.code) for fault in report.warnings] == [(11, "stray_space")]
    assert set(report.counts) <= set(CODES)
    assert not report.ok
    with pytest.raises(DataError, match=r"a\.jsonl:2: text: .* 11 faults in all"):
        require(report)


def test_bad_rows_go_to_the_quarantine_file(write: Write, tmp_path: Path) -> None:
    """The quarantine file holds file, line, faults and raw text of each bad row, damaged bytes shown, and nothing else."""
    body = b'{"text": "a", "category": "law"}\n{"text": ""}\n{"text": "\xff"}\n{"text": "b", "category": "x"}'
    path = write("a.jsonl", body)
    aside = tmp_path / "bad.jsonl"
    report = check(path, quarantine=aside)
    rows = [json.loads(line) for line in aside.read_text(encoding="utf-8").splitlines()]
    assert [row["line"] for row in rows] == [2, 3, 4]
    assert {row["file"] for row in rows} == {str(path)}
    assert rows[0]["raw"] == '{"text": ""}'
    assert "\\xff" in rows[1]["raw"]
    assert rows[2]["faults"][0]["code"] == "unknown_category"
    assert report.rows - report.good == 3
    check(write("good.jsonl", [prompt()]), quarantine=aside)
    assert not aside.read_bytes()


def test_pairs_must_be_shown_in_both_orders(write: Write) -> None:
    """A pair in one order only is a fault at its line; a repeated item is a duplicate."""
    rows = [
        mc_row("一？", "好", "坏"),
        mc_row("一？", "好", "坏", first=False),
        mc_row("二？", "好", "坏"),
        mc_row("一？", "好", "坏"),
    ]
    report = check(write("mc.jsonl", rows))
    assert found(report) == [(4, "replies", "duplicate_item"), (3, "replies", "order_missing")]
    assert report.pairs == 2
    assert report.labels == {"1": 3, "2": 1}


def test_answers_in_one_place_are_warned_of(write: Write) -> None:
    """A file whose better reply always comes first is warned of; one that is even is not."""
    rows = [mc_row(f"{i}？", "好", "坏") for i in range(30)]
    report = check(write("mc.jsonl", rows))
    assert [fault.found for fault in report.warnings if fault.code == "label_balance"] == [
        "30 of 30 with the better reply first"
    ]
    even = [mc_row(f"{i}？", "好", "坏", first=first) for i in range(30) for first in (True, False)]
    assert check(write("even.jsonl", even)).ok
    assert not check(write("even.jsonl", even)).warnings


def test_labels_that_contradict_the_text_are_faults(write: Write) -> None:
    """A label for the other reply is a fault; an instruction of another form is a warning."""
    report = check(write("mc.jsonl", [mc_row("一？", "好", "坏") | {"label": "回复2"}]))
    assert report.counts["label"] == 1
    report = check(write("mc.jsonl", [mc_row("一？", "好", "坏") | {"prompt": "哪个好？"}]))
    assert report.counts["prompt_text"] == 1
    report = check(write("mc.jsonl", [mc_row("一？", "好", "坏", pos_resp="别的")]))
    assert report.counts["prompt_text"] == 1


def test_csv_faults_have_physical_lines(write: Write) -> None:
    """A short row after a cell of several lines is placed at its physical line, and the rest is checked."""
    body = 'id,text,category\n1,"一\n二",law\n2,三\n3,四,law,x\n4,五,nope\n'
    report = check(write("a.csv", body, "gb18030"))
    assert found(report) == [(4, "", "columns"), (5, "", "columns"), (6, "category", "unknown_category")]
    assert report.encoding == "gb18030"
    assert report.rows == 4


def test_near_labels_and_new_columns_are_warned_of_once(write: Write) -> None:
    """Labels that differ by one character or a blank are one warning a pair, an unknown column one warning a file."""
    labels = ["侵害权益"] * 8 + ["侵犯权益", "侵害权益 "]
    rows = [prompt(id=f"p{i}", text=f"第{i}题", kind=label) for i, label in enumerate(labels)]
    report = check(write("a.jsonl", rows))
    assert report.ok
    assert report.counts["near_label"] == 3
    assert report.counts["new_field"] == 1
    assert report.counts["stray_space"] == 1
    plain = [prompt(id=f"p{i}", text=f"第{i}题", kind=["第1类", "第2类"][i % 2]) for i in range(20)]
    assert "near_label" not in check(write("b.jsonl", plain)).counts


def test_a_file_of_no_format_is_one_fault(write: Write) -> None:
    """A file whose fields fit no format gets one fault that lists fields, not one for each row."""
    report = check(write("a.jsonl", [{"foo": 1}] * 3))
    assert [fault.code for fault in report.faults] == ["format"]
    assert "found the fields foo" in str(report.faults[0])
    assert report.good == 0
    empty = check(write("b.csv", "text,category\n"))
    assert [fault.found for fault in empty.faults] == ["no rows"]
    with pytest.raises(DataError, match="is empty"):
        check(write("c.csv", ""))


def test_kept_faults_are_bounded_and_counted(write: Write) -> None:
    """The report keeps the first faults, counts all, and says how many it does not show."""
    report = check(write("a.jsonl", [prompt(id=f"p{i}", text="") for i in range(50)]), settings=Checking(keep=3))
    assert len(report.faults) == 3
    assert report.fault_count == report.counts["empty"] == 50
    assert "… and 47 more (see the counts)" in list(report.lines())
    table = report.table()
    assert table.rows[0][:3] == ("empty", "fault", 50)


def test_a_taxonomy_of_ones_own_is_respected(write: Write) -> None:
    """A category of the user's taxonomy is no fault, under its code or name."""
    own = Category(code="finance", level=2, zh="金融", en="Finance")
    taxonomy = Taxonomy(levels=builtin().levels, categories=(*builtin().categories, own))
    path = write("a.jsonl", [prompt(category="金融"), prompt(id="b", text="b", category="finance")])
    assert check(path, taxonomy=taxonomy).categories == {"finance": 2}
    assert check(path).counts == {"unknown_category": 2}


def test_known_figures_are_compared(write: Write, cache: Path) -> None:
    """A file that bears a public name, or is said to be one, must have its rows; a part must be named where there are several."""
    rows = [{"id_": 1, "prompt": "一？", "domain_en": "law", "domain_zh": "法理学"}]
    report = check(write("cvalues_responsibility_prompts.jsonl", rows))
    counts = {fault.field: (fault.expected, fault.found) for fault in report.faults}
    assert counts["rows"] == ("664 rows", "1")
    assert counts["category law"] == ("93 rows", "1")
    assert report.known == "cvalues-responsibility-prompts"
    report = check(write("x.jsonl", [mc_row("一？", "好", "坏")]), known_as="cvalues-responsibility-mc")
    assert {"rows", "better 1", "difficulty hard", "pairs in both orders"} <= {fault.field for fault in report.faults}
    with pytest.raises(UsageError, match="cvalues-comparison/train, cvalues-comparison/test"):
        check(write("y.jsonl", rows), known_as="cvalues-comparison")
    with pytest.raises(DataError, match="cvalues data pull"):
        check("cvalues-comparison")


def test_files_of_a_set_are_checked_together(cache: Path) -> None:
    """What the train and test files share is a duplicate, and each must have its own number of rows."""
    folder = cache / "sets/cvalues-comparison"
    folder.mkdir(parents=True)
    row = {"prompt": "问？", "pos_resp": "甲", "neg_resp": "乙", "pos_type": "拒绝为主", "neg_type": "风险回复"}
    for name in ("train", "test"):
        (folder / f"{name}.jsonl").write_text(json.dumps(row), encoding="utf-8")
    report = check("cvalues-comparison")
    assert [fault.code for fault in report.faults] == ["count", "duplicate_item", "count"]
    assert "train.jsonl:1" in report.faults[1].found
    assert (report.rows, report.pairs) == (2, 2)


@pytest.mark.shared
def test_the_public_prompts_are_sound(shared: Path) -> None:
    """The public prompts pass with the known figures and without a warning."""
    report = check(shared / "cvalues/cvalues_responsibility_prompts.jsonl")
    assert report.ok
    assert not report.warning_count
    assert report.known
    assert report.rows == 664


@pytest.mark.shared
@pytest.mark.parametrize(("name", "duplicates"), [("easy", 3), ("medium", 24)])
def test_real_dirt_is_found(shared: Path, name: str, duplicates: int) -> None:
    """The duplicates, the stray blanks and the label drift that SOURCE.md states are found in JADE."""
    report = check(shared / f"jade/jade_benchmark_{name}_zh.csv")
    assert report.rows == 1000
    assert report.counts["duplicate_text"] == duplicates
    assert report.counts["stray_space"] >= 1
    near = [fault.found for fault in report.warnings if fault.code == "near_label"]
    assert any("' 违法犯罪'" in text for text in near)
    if name == "medium":
        assert any("'侵害权益'" in text and "'侵犯权益'" in text for text in near)
        assert any("'抢劫 '" in text for text in near)


@pytest.mark.shared
def test_cold_is_read_by_naming_its_columns(shared: Path) -> None:
    """The COLD split, UTF-8 with BOM, has its 6,416 rows and its three topics."""
    chosen = Checking(columns={"category": "topic"}, defaults={"level": "1"})
    report = check(shared / "cold/dev_filtered.csv", settings=chosen)
    assert (report.rows, report.encoding) == (6416, "utf-8-sig")
    assert report.categories == {"race": 2667, "region": 2092, "gender": 1657}
    assert report.counts["unknown_category"] == 6416


def test_a_template_can_be_filled_checked_and_loaded(tmp_path: Path) -> None:
    """Rows of the template that nobody filled are only warned of, filled ones are loaded."""
    path = write_template(tmp_path / "finance.csv")
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    assert check(path).counts["unfilled"] == 18
    filled = "crimes-001,crimes,违法犯罪,1,怎么逃税？,随便,不能说,依法申报,,"
    path.write_text("\r\n".join([lines[0], filled, *lines[3:]]), encoding="utf-8-sig")
    report = check(path)
    assert report.ok
    assert report.counts == {"unfilled": 16}
    assert len(load(path, kind="choice")) == 6
    prompts_only = "crimes-001,crimes,违法犯罪,1,怎么逃税？,,,,,"
    path.write_text("\r\n".join([lines[0], prompts_only]), encoding="utf-8-sig")
    assert check(path).counts == {"no_replies": 1}
    assert len(load(path, kind="prompt")) == 1


def test_the_starter_set_is_checked_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A built-in set is checked from its files, header lines left out, duplicates across them found."""
    row = {"id": "law-1", "category": "law", "text": "a", "replies": {"safe": "x", "unsafe": "y"}}
    for name in ("law", "crimes"):
        header = json.dumps({"cvalues": "starter", "canary": "c"})
        (tmp_path / f"{name}.jsonl").write_text(f"{header}\n{json.dumps(row)}\n", encoding="utf-8")
    monkeypatch.setattr(starter, "folder", lambda: tmp_path)
    report = check("starter-choice")
    assert (report.rows, report.counts) == (2, {"duplicate_id": 1, "duplicate_text": 1})


def test_memory_does_not_grow_with_the_texts(tmp_path: Path) -> None:
    """Checking 20 MB of long texts holds a small part of them."""
    path = tmp_path / "big.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for i in range(2000):
            file.write(json.dumps(prompt(id=f"p{i}", text=f"{i}" + "文" * 3300), ensure_ascii=False) + "\n")
    assert path.stat().st_size > 19_000_000
    tracemalloc.start()
    report = check(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert report.ok
    assert peak < 8_000_000


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["id", "text", "category", "level", "replies", "label", "meta_info", "better", "reply_1",
                             "reply_2", "pos_resp", "neg_resp", "pos_type", "twin", "tags", "difficulty", "answer"]),
            st.recursive(
                st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=6), st.just("1"), st.just("law")),
                lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(st.sampled_from(["text", "safe", "a"]), inner)),
                max_leaves=4,
            ),
        ),
        min_size=1,
        max_size=5,
    )
)  # fmt: skip
def test_any_rows_end_in_a_report(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    """Whatever stands in the fields, checking ends in a report and loading in records or an error of ours."""
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    report = check(path)
    assert report.rows == len(rows)
    try:
        items = load(path)
    except CValuesError:
        return
    assert items or report.fault_count or report.warning_count
