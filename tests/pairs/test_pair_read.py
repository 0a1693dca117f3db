"""Every form in which pairs come, and every fault with its line."""

from __future__ import annotations

from pathlib import Path

import pairfiles
import pytest

from cvalues.choice.build import both_orders, write_public
from cvalues.errors import DataError, UsageError
from cvalues.pairs.pair import Pair
from cvalues.pairs.read import LONGEST_LINE, read
from cvalues.prompts import template


def good(path: Path) -> list[Pair]:
    """The good pairs of a file."""
    return [pair for row in read(path) for pair in row.pairs]


@pytest.mark.parametrize("code", pairfiles.FAULTS)
def test_every_fault_is_named_with_its_line_and_its_row(tmp_path: Path, code: str) -> None:
    """A faulty row between good ones is reported with its own line, keeps its text, and costs no other row."""
    path = pairfiles.write(tmp_path / "p.jsonl", [pairfiles.row(1), pairfiles.FAULTS[code], pairfiles.row(2)])
    rows = list(read(path))
    assert [len(row.pairs) for row in rows] == [1, 0, 1]
    fault = rows[1].fault
    assert fault is not None
    assert (fault.line, fault.code) == (2, code)
    assert str(fault).startswith(f"{path}:2: ")
    assert rows[1].raw == path.read_text(encoding="utf-8").splitlines()[1]
    assert fault.text("zh") != str(fault)


def test_a_cut_off_file_says_so(tmp_path: Path) -> None:
    """A last line that breaks off is called truncated, not merely broken, and the rows before it stand."""
    path = pairfiles.write(tmp_path / "p.jsonl", [pairfiles.row(1), pairfiles.row(2)])
    path.write_bytes(path.read_bytes()[:-20])
    rows = list(read(path))
    assert len(rows[0].pairs) == 1
    assert rows[1].fault is not None
    assert (rows[1].fault.code, rows[1].fault.line) == ("truncated", 2)
    assert "get it again" in str(rows[1].fault)


def test_a_bad_byte_and_an_endless_line_are_faults_of_their_rows(tmp_path: Path) -> None:
    """Bytes that are no UTF-8, and a line of more than 16 MiB, are set aside; the next row is read."""
    path = pairfiles.write(tmp_path / "p.jsonl", [pairfiles.row(1), pairfiles.row(2), pairfiles.row(3)])
    lines = path.read_bytes().splitlines(keepends=True)
    huge = b'{"prompt": "' + b"x" * (LONGEST_LINE + 5) + b'"}\n'
    path.write_bytes(lines[0] + huge + b'{"prompt": "\xff\xfe"}\n' + lines[1] + lines[2])
    found = [(row.line, row.fault.code if row.fault else "") for row in read(path)]
    assert found == [(1, ""), (2, "overlong"), (3, "encoding"), (4, ""), (5, "")]


def test_other_forms_give_the_same_pairs(tmp_path: Path) -> None:
    """The public rows as JSON, as CSV in GB18030 and with our field names are the same pairs as the JSON Lines."""
    rows = pairfiles.three(1)
    lines = good(pairfiles.write(tmp_path / "own.jsonl", rows))
    header = ",".join(rows[0])
    body = "\r\n".join(",".join(f'"{value}"' for value in row.values()) for row in rows)
    other = tmp_path / "own.csv"
    other.write_bytes(f"{header}\r\n{body}\r\n".encode("gb18030"))
    assert good(other) == lines
    renamed = [{"问题": row["prompt"], "chosen": row["pos_resp"], "rejected": row["neg_resp"], "较好类型": row["pos_type"],
                "较差类型": row["neg_type"]} for row in rows]  # fmt: skip
    (tmp_path / "again").mkdir()
    assert good(pairfiles.write(tmp_path / "again" / "own.jsonl", renamed)) == lines


def test_graded_rows_give_every_pair_type_and_need_no_category(tmp_path: Path) -> None:
    """A row with three graded replies is three pairs; what it does not say of category and level is not missed."""
    path = pairfiles.write(
        tmp_path / "g.jsonl", [{"text": "问题甲？", "unsafe": "坏", "safe": "不行", "responsible": "不行，但可以这样"}]
    )
    found = good(path)
    assert [pair.type for pair in found] == ["safe/unsafe", "responsible/safe", "responsible/unsafe"]
    assert {pair.category for pair in found} == {""}
    broken = pairfiles.write(tmp_path / "b.jsonl", [{"text": "问题甲？", "unsafe": "坏", "safe": "坏"}])
    [row] = read(broken)
    assert row.fault is not None
    assert (row.fault.code, row.fault.line) == ("identical", 1)


def test_both_orders_of_a_choice_are_one_pair(tmp_path: Path) -> None:
    """The public multiple-choice file shows each pair twice; it is read once, and pairs make the same file again."""
    pairs = [
        pairfiles.pair(number, category="law", collection=2, difficulty="hard", source="own") for number in range(3)
    ]
    path = write_public(
        tmp_path / "own.jsonl", [choice for pair in pairs for choice in both_orders(pair)], template("public").text
    )
    found = good(path)
    assert [(pair.question, pair.better.text, pair.worse.text) for pair in found] == [
        (pair.question, pair.better.text, pair.worse.text) for pair in pairs
    ]
    again = write_public(
        tmp_path / "again.jsonl", [choice for pair in found for choice in both_orders(pair)], template("public").text
    )
    assert again.read_bytes() == path.read_bytes()


def test_prompts_and_twins_hold_no_pairs(tmp_path: Path) -> None:
    """A file of prompts is refused with the command that makes pairs of it; a set that does not exist names the others."""
    path = pairfiles.write(tmp_path / "p.jsonl", [{"prompt": "问", "answer": "答"}])
    with pytest.raises(DataError, match=r"cvalues pairs build .*p\.jsonl --rewrite MODEL"):
        list(read(path))
    with pytest.raises(DataError, match="use starter-choice"):
        list(read("starter-twins"))
    with pytest.raises(UsageError, match="did you mean"):
        list(read("starter-choise"))


@pytest.mark.shared
def test_the_public_example_row_is_a_pair(shared: Path) -> None:
    """The documented row of CValues-Comparison is read as one pair of its type."""
    [pair] = good(shared / "cvalues" / "cvalues_comparison_example.jsonl")
    assert pair.type in {"safe/unsafe", "responsible/safe", "responsible/unsafe"}


@pytest.mark.shared
def test_jade_triples_are_pairs(shared: Path) -> None:
    """GB18030, multi-line cells, no category: every row of JADE v3 is one responsible/unsafe pair."""
    found = good(shared / "jade" / "jade_alignment_medium_zh.csv")
    assert len(found) == 500
    assert {pair.type for pair in found} == {"responsible/unsafe"}
    assert any("\n" in pair.worse.text for pair in found)
