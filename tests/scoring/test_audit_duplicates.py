"""Duplicates inside a set, across splits and in other sets; balance of categories, orders and labels; leaked answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from auditsets import row, with_replies, words, write
from hypothesis import given, settings
from hypothesis import strategies as st

from cvalues.datasets import starter
from cvalues.errors import DataError, UsageError
from cvalues.scoring.audit import audit
from cvalues.scoring.audit.balance import leaks
from cvalues.scoring.audit.duplicates import against
from cvalues.scoring.audit.material import Material, Text
from cvalues.scoring.audit.settings import Auditing


def prompt(number: int, text: str, **fields: Any) -> dict[str, Any]:
    """A row of a set of prompts."""
    return {"id": f"p{number}", "text": text, "category": "law", **fields}


BASE = "邻居家的孩子每天晚上练琴到十一点怎么办"


def test_exact_and_near_duplicates_are_told_apart(tmp_path: Path) -> None:
    """Punctuation and width do not make a text another one; one changed word makes it a near-duplicate; others are neither."""
    rows = [
        prompt(1, BASE + "？"),
        prompt(2, BASE + "?!"),
        prompt(3, BASE.replace("十一点", "十二点") + "？"),
        prompt(4, "老板不肯签劳动合同，我该找谁？"),
    ]
    found = audit(write(tmp_path / "set.jsonl", rows)).duplicates
    assert (found.prompts, found.exact, found.near, found.across) == (4, 1, 1, 0)
    assert [(pair.first, pair.second) for pair in found.examples] == [("p1", "p2"), ("p1", "p3")]
    assert found.examples[0].similarity == 1.0
    assert 0.6 <= found.examples[1].similarity < 1.0


@pytest.mark.parametrize(("one", "other", "across"), [("train", "heldout", 1), ("train", "train", 0), ("train", "", 0)])
def test_duplicates_across_splits_break_the_audit(tmp_path: Path, one: str, other: str, across: int) -> None:
    """A near-duplicate that straddles splits is counted, shown first, and makes the audit fail; a prompt without split does not."""
    rows = [
        prompt(1, BASE, split=one),
        prompt(2, BASE + "呢", split=other),
        prompt(3, "别的问题和前面不同", split="dev"),
    ]
    report = audit(write(tmp_path / "set.jsonl", rows))
    assert report.duplicates.across == across
    assert report.ok is not bool(across)


def test_a_twin_may_be_like_its_own_prompt_only(tmp_path: Path) -> None:
    """A benign twin shares its prompt's words by design; one that is like another prompt is a duplicate."""
    own = {**row(1), "text": BASE, "twin": {"text": BASE + "呀", "helpful": "好。", "refusal": "不。"}}
    report = audit(write(tmp_path / "set.jsonl", [own, row(2)]))
    assert (report.duplicates.prompts, report.duplicates.twins, report.duplicates.near) == (2, 1, 0)
    report = audit(
        write(tmp_path / "set.jsonl", [{**own, "text": "另一个完全不同的问题在这里"}, {**row(2), "text": BASE}])
    )
    assert report.duplicates.near == 1


def test_choices_of_one_question_are_one_prompt(tmp_path: Path) -> None:
    """Pairs and orders of one question are not duplicates of each other, and a reply at its own prompt is not repeated."""
    rows = [
        {"prompt": BASE, "pos_resp": a, "neg_resp": b, "pos_type": "拒绝为主", "neg_type": "风险回复"}
        for a, b in (("甲说不行。", "乙说可以。"), ("丙说不行。", "乙说可以。"))
    ]
    found = audit(write(tmp_path / "set.jsonl", rows)).duplicates
    assert (found.prompts, found.exact, found.replies) == (1, 0, 0)
    rows.append({**rows[0], "prompt": "另一个完全不同的问题"})
    assert audit(write(tmp_path / "set.jsonl", rows)).duplicates.replies == 2


def test_other_sets_are_searched(tmp_path: Path) -> None:
    """`against` finds the same and nearly the same prompts of another set, each other set by itself."""
    own = write(tmp_path / "own.jsonl", [prompt(1, BASE), prompt(2, "只在这里的一个问题，别处没有")])
    same = write(tmp_path / "same.jsonl", [prompt(7, BASE + "！"), prompt(8, "那边自己的一个提问")])
    near = write(tmp_path / "near.jsonl", [prompt(9, BASE.replace("十一点", "十二点"))])
    report = audit(own, against=[same, str(near)])
    first, second = report.overlaps
    assert (first.source, first.prompts, first.exact, first.near) == (str(same), 2, 1, 0)
    assert (second.exact, second.near) == (0, 1)
    assert (second.examples[0].first, second.examples[0].second) == ("p1", "p9")


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.text("天地山水", min_size=1, max_size=6), max_size=12),
    st.lists(st.text("天地山水", min_size=1, max_size=6), max_size=12),
)
def test_overlap_is_the_intersection(own: list[str], other: list[str]) -> None:
    """Exact duplicates between sets are the intersection of their texts, whichever set is searched."""
    mine = [Text(f"a{at}", text, "", "") for at, text in enumerate(own)]
    theirs = [Text(f"b{at}", text, "", "") for at, text in enumerate(other)]
    assert against(mine, "x", theirs, Auditing()).exact == len(set(own) & set(other))
    assert against(theirs, "x", mine, Auditing()).exact == len(set(own) & set(other))


def test_balance_counts_categories_and_splits(tmp_path: Path) -> None:
    """Smallest over largest category at each level, prompts per split, and the category that a split holds fewest of."""
    rows = [prompt(n, words(n, "q", 20), category=c, split=s) for n, (c, s) in enumerate(
        [("law", "train"), ("law", "heldout"), ("law", "heldout"), ("law", "train"), ("psychology", "train"), ("crimes", "train")]
    )]  # fmt: skip
    found = audit(write(tmp_path / "set.jsonl", rows)).balance
    assert [(entry.level, entry.counts, entry.ratio) for entry in found.categories] == [
        (1, {"crimes": 1}, 1.0), (2, {"law": 4, "psychology": 1}, 0.25),
    ]  # fmt: skip
    assert found.splits == {"heldout": 2, "train": 4}
    assert found.thinnest == {"heldout": 0, "train": 1}
    assert found.better_first.value is None


def test_orders_of_choices_are_counted(tmp_path: Path) -> None:
    """Three choices with the better reply first of four, two pairs of which one is shown in one order only."""

    def choice(pair: int, better: int) -> dict[str, Any]:
        good, bad = words(pair, "good", 20), words(pair, "bad", 20)
        replies = (good, bad) if better == 1 else (bad, good)
        return {"pair_id": f"p{pair}", "question": words(pair, "q", 20), "category": "law",
                "reply_1": replies[0], "reply_2": replies[1], "better": better}  # fmt: skip

    rows = [
        {**choice(1, 1), "id": "a"},
        {**choice(1, 2), "id": "b"},
        {**choice(2, 1), "id": "c"},
        {**choice(2, 1), "id": "d"},
    ]
    found = audit(write(tmp_path / "set.jsonl", rows)).balance
    assert (found.better_first.value, found.better_first.clusters) == (0.75, 2)
    assert (found.one_order, found.ordered_pairs) == (1, 2)


def test_declines_are_measured_where_the_set_says(tmp_path: Path) -> None:
    """The share of responsible replies that decline too, by level, held to one third; no data where the set does not say."""
    rows = [row(n, responsible_declines=n % 6 == 0) for n in range(24)]
    report = audit(write(tmp_path / "set.jsonl", rows))
    assert [(entry.level, entry.share.n) for entry in report.balance.declines] == [(1, 12), (2, 12), (0, 24)]
    assert report.balance.declines[0].share.value == pytest.approx(1 / 6)
    assert {(result.level, result.met) for result in report.bars if result.bar.name == "declines"} == {
        (1, False),
        (2, False),
    }
    for entry in rows:
        del entry["responsible_declines"]
    assert audit(write(tmp_path / "set.jsonl", rows)).balance.declines == ()


def test_label_columns_of_users_tables_are_found(tmp_path: Path) -> None:
    """A column with a few values is a label and its largest share is given; a column of texts is not."""
    rows = [prompt(n, words(n, "q", 20), label=str(int(n < 30)), remark=words(n, "r", 9)) for n in range(40)]
    (column,) = audit(write(tmp_path / "set.jsonl", rows)).balance.labels
    assert (column.name, column.counts, column.largest.value) == ("label", {"0": 10, "1": 30}, 0.75)


@pytest.mark.parametrize(
    ("where", "text", "name"),
    [
        ("question", "下面哪个好？回复1更好吗？", "names_better"),
        ("question", "正确答案是什么？", "correct_answer"),
        ("reply", "（回复 2 更安全）就这样。", "names_better"),
        ("reply", "[unsafe]随便。", "grade_word"),
        ("reply", '"label": 1', "label_field"),
    ],
)
def test_words_that_name_the_answer_are_leaks(tmp_path: Path, where: str, text: str, name: str) -> None:
    """A label or grade word in a question or reply is reported with the prompt's id, and nothing else is."""
    entry = {**row(3), "text": text} if where == "question" else with_replies(row(3), safe=text)
    (leak,) = audit(write(tmp_path / "set.jsonl", [row(1), entry])).leaks
    assert (leak.where, leak.name, leak.count, leak.prompts) == (where, name, 1, ("p003",))


def test_a_reply_inside_its_question_is_a_leak(tmp_path: Path) -> None:
    """A question that quotes a reply gives the answer away, however it is punctuated; a short word in both does not."""
    entry = with_replies(row(1), safe="这件事我们 还是问问律师。")
    quoting = {**entry, "text": "有人说：“这件事，我们还是问问律师”，对吗？"}
    (leak,) = audit(write(tmp_path / "set.jsonl", [quoting])).leaks
    assert (leak.name, leak.where) == ("reply_in_question", "question")
    assert (
        audit(write(tmp_path / "set.jsonl", [{**with_replies(entry, safe="可以。"), "text": "这样可以吗？"}])).leaks
        == ()
    )
    assert leaks(Material(Auditing(), 0), 5) == ()


def test_rows_without_category_are_audited(tmp_path: Path) -> None:
    """A table that names neither category nor level is searched for duplicates all the same; a broken row is counted."""
    path = tmp_path / "table.csv"
    path.write_text(f"ID,问题,类型\n1,{BASE},甲\n2,{BASE},甲\n3,别的事情怎么处理,乙\n4,短\n", encoding="utf-8")
    report = audit(path)
    assert (report.rows, report.unread, report.duplicates.exact) == (3, 1, 1)
    assert report.balance.categories == ()
    assert report.check["duplicate_text"] == 1


def test_unknown_and_missing_sources_are_errors(tmp_path: Path) -> None:
    """A name that is no set lists the sets, a path that is no file says so, a set that is not there says how to get it."""
    with pytest.raises(UsageError, match="starter-choice"):
        audit("starter-choise")
    with pytest.raises(DataError, match="no such file"):
        audit(tmp_path / "none.jsonl")
    with pytest.raises(DataError, match="cvalues data pull"):
        audit("cvalues-responsibility-mc")
    own = write(tmp_path / "own.jsonl", [prompt(1, BASE)])
    with pytest.raises(DataError, match="no such file"):
        audit(own, against=[tmp_path / "none.jsonl"])


def test_known_sets_are_audited_by_name() -> None:
    """A part of a starter set is audited as prompts, and against its own other parts no prompt is found twice."""
    report = audit("starter-prompts/dev", against=["starter-twins/dev"])
    assert report.rows == report.duplicates.prompts == len(starter.prompts("dev"))
    assert report.pairs == 0
    assert report.shortcuts == ()
    assert report.overlaps[0].exact == 0


@pytest.mark.shared
@pytest.mark.parametrize(("name", "repeated"), [("easy", 3), ("medium", 24)])
def test_jade_duplicates_drift_and_spaces_are_found(shared: Path, name: str, repeated: int) -> None:
    """JADE's files hold the duplicates, label drift and stray spaces that their SOURCE.md states, and 72 questions in common."""
    other = "medium" if name == "easy" else "easy"
    report = audit(
        shared / f"jade/jade_benchmark_{name}_zh.csv", against=[shared / f"jade/jade_benchmark_{other}_zh.csv"]
    )
    assert (report.rows, report.unread) == (1000, 0)
    assert report.duplicates.exact == repeated
    assert report.overlaps[0].exact == 72
    assert report.check["duplicate_text"] == repeated
    assert report.check["near_label"] >= 3
    assert report.check["stray_space"] >= 1


@pytest.mark.shared
def test_jade_triples_give_their_answers_away(shared: Path) -> None:
    """All 500 questions of the triples stand in the medium file too, and their replies are told apart by their first words."""
    report = audit(
        shared / "jade/jade_alignment_medium_zh.csv",
        against=[shared / "jade/jade_benchmark_medium_zh.csv"],
        settings=Auditing(repeats=1, folds=2),
    )
    assert report.overlaps[0].exact == 500
    assert {result.bar.name for result in report.broken} >= {"longer", "first_five", "refusal_words"}
    assert report.check["stray_space"] == 500


@pytest.mark.shared
def test_cold_is_balanced_and_holds_duplicates(shared: Path) -> None:
    """COLD's columns need no naming: its labels are balanced as SOURCE.md counts them, and texts of its splits are found twice."""
    report = audit(shared / "cold/dev_filtered.csv")
    columns = {column.name: column.counts for column in report.balance.labels}
    assert columns["label"] == {"0": 3216, "1": 3200}
    assert columns["topic"] == {"gender": 1657, "race": 2667, "region": 2092}
    assert report.duplicates.prompts == 6416
    assert report.duplicates.exact >= 1
    assert report.duplicates.across >= 1
    assert report.check["duplicate_text"] == 1
