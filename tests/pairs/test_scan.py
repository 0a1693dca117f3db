"""One pass over a file: columns, faults, quarantine, lists of one item."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pairfiles
import pytest

from cvalues.errors import DataError
from cvalues.pairs.scan import Scan, ScanSettings


def test_a_pass_counts_rows_pairs_prompts_and_clusters(tmp_path: Path) -> None:
    """Three pairs of a prompt are one prompt; a near-duplicate of it is of the same cluster."""
    near = [{**row, "prompt": row["prompt"][:-1] + "呢？"} for row in pairfiles.three(1)]
    path = pairfiles.write(tmp_path / "p.jsonl", [*pairfiles.three(1), *pairfiles.three(2), *near])
    scan = Scan(path).run()
    assert (scan.rows, len(scan), len(scan.texts), scan.aside) == (9, 9, 3, 0)
    assert scan.cluster.tolist() == [0, 1, 0]
    assert scan.pair_clusters().tolist() == [0, 0, 0, 1, 1, 1, 0, 0, 0]
    assert [list(scan.kind)[place] for place in range(3)] == [0, 2, 1]


def test_faulty_rows_go_to_the_quarantine_and_the_rest_stays(tmp_path: Path) -> None:
    """Every faulty row is written once with line, code and its text; notes set nothing aside."""
    rows = [*pairfiles.three(1), *pairfiles.FAULTS.values(), *pairfiles.three(2)]
    aside = io.BytesIO()
    scan = Scan(pairfiles.write(tmp_path / "p.jsonl", rows), quarantine=aside).run()
    assert (len(scan), scan.aside, scan.rows) == (6, len(pairfiles.FAULTS), len(rows))
    entries = [json.loads(line) for line in aside.getvalue().splitlines()]
    assert [entry["code"] for entry in entries] == list(pairfiles.FAULTS)
    assert [entry["line"] for entry in entries] == list(range(4, 4 + len(pairfiles.FAULTS)))
    assert entries[0]["raw"] == "{x"
    assert scan.ledger.fault_count == len(pairfiles.FAULTS)


def test_repeated_and_contradicting_pairs_name_the_first_line(tmp_path: Path) -> None:
    """A pair that came before is a duplicate; one that puts the same replies in the other order is a conflict; each names the line."""
    first = pairfiles.row(1, "safe", "unsafe")
    turned = {"prompt": first["prompt"], "pos_resp": first["neg_resp"], "neg_resp": first["pos_resp"]}
    other = {**first, "neg_resp": "另一个较差的回复。"}
    scan = Scan(pairfiles.write(tmp_path / "p.jsonl", [first, first, turned, other])).run()
    assert [(fault.code, fault.line, fault.found) for fault in scan.ledger.faults] == [
        ("duplicate", 2, "1"),
        ("conflict", 3, "1"),
    ]
    assert (len(scan), len(scan.texts)) == (2, 1)  # the same prompt with another answer is no fault


def test_rows_out_of_order_are_noted_and_kept(tmp_path: Path) -> None:
    """When the rows of a prompt do not stand together the line of the one before is named, and nothing else changes."""
    rows = [*pairfiles.three(1)[:2], *pairfiles.three(2), pairfiles.three(1)[2]]
    scan = Scan(pairfiles.write(tmp_path / "p.jsonl", rows)).run()
    assert [(note.code, note.line, note.found) for note in scan.ledger.notes] == [("order", 6, "2")]
    assert (len(scan), scan.aside) == (6, 0)
    assert scan.ledger.fault_count == 0


@pytest.mark.parametrize(
    ("numbering", "pairs", "repaired", "dropped"), [("keep", 3, 0, 0), ("repair", 3, 2, 0), ("drop", 1, 0, 2)]
)
def test_lists_of_one_item_are_kept_repaired_or_dropped(
    tmp_path: Path, numbering: str, pairs: int, repaired: int, dropped: int
) -> None:
    """Each way does what it says, and counts it."""
    rows = [
        pairfiles.row(1),
        {**pairfiles.row(2), "pos_resp": "1. 去问老师。"},
        {**pairfiles.row(3), "neg_resp": "1. 随便。"},
    ]
    scan = Scan(pairfiles.write(tmp_path / "p.jsonl", rows), ScanSettings(numbering=numbering))  # type: ignore[arg-type]
    found = list(scan.pairs())
    assert (len(found), scan.repaired, scan.dropped) == (pairs, repaired, dropped)
    assert scan.ledger.counts["lone_number"] == 2
    texts = [pair.better.text for pair in found] + [pair.worse.text for pair in found]
    assert any(text.startswith("1.") for text in texts) == (numbering == "keep")


def test_a_second_pass_gives_the_same_pairs(tmp_path: Path) -> None:
    """The second pass yields the good pairs of the first, in their places, whatever was set aside or repaired."""
    rows = [
        *pairfiles.three(1),
        "{x",
        pairfiles.three(1)[0],
        {**pairfiles.row(4), "pos_resp": "1. 去问老师。"},
        *pairfiles.three(2),
    ]
    path = pairfiles.write(tmp_path / "p.jsonl", rows)
    for numbering in ("keep", "repair", "drop"):
        scan = Scan(path, ScanSettings(numbering=numbering))  # type: ignore[arg-type]
        first = list(scan.pairs())
        assert list(scan.again()) == list(enumerate(first))
    path.write_text("", encoding="utf-8")
    with pytest.raises(DataError):
        list(scan.again())
    pairfiles.write(path, rows[:4])
    with pytest.raises(DataError, match="changed while it was read"):
        list(scan.again())


def test_shortcut_signs_follow_the_replies(tmp_path: Path) -> None:
    """Longer, more refusal words and more list items are 1 where the better reply has them, -1 where the worse, 0 for a tie."""
    rows = [
        {"prompt": "甲？", "pos_resp": "抱歉，我不能这样做。", "neg_resp": "好的。"},
        {"prompt": "乙？", "pos_resp": "好。", "neg_resp": "1. 先去。\n2. 再回。"},
        {"prompt": "丙？", "pos_resp": "天晴", "neg_resp": "天阴"},
    ]
    scan = Scan(pairfiles.write(tmp_path / "p.jsonl", rows)).run()
    assert [list(scan.signs[name]) for name in ("longer", "refusal-words", "numbering")] == [
        [1, -1, 0],
        [1, 0, 0],
        [0, -1, 0],
    ]
    assert np.sign(np.array(scan.length)).tolist() == [1, -1, 0]


def test_an_empty_pass_is_empty(tmp_path: Path) -> None:
    """A file whose rows are all faulty has no pairs, no prompts and no clusters."""
    scan = Scan(pairfiles.write(tmp_path / "p.jsonl", [pairfiles.FAULTS["empty"]])).run()
    assert (len(scan), scan.cluster.tolist(), scan.pair_clusters().tolist()) == (0, [], [])
    assert list(scan.again()) == []
