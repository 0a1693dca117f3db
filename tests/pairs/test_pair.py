"""A pair and its line in a file."""

from __future__ import annotations

import json
import string
from pathlib import Path

import pairfiles
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvalues.datasets import load
from cvalues.pairs.pair import Lineage, Pair, encode_row, full_row, grade_of, pair_of, pair_type, public_row
from cvalues.pairs.read import read
from cvalues.schema import Reply

_TEXT = (
    st.text(alphabet=string.ascii_letters + '你好世界，。1{}"\\\n', min_size=1, max_size=20).map(str.strip).filter(bool)
)


@settings(deadline=None, max_examples=60)
@given(
    question=_TEXT,
    better=_TEXT,
    worse=_TEXT,
    margin=st.none() | st.floats(-10, 10).map(lambda value: round(value, 3)),
    cluster=st.sampled_from(["", "abc"]),
    licence=st.sampled_from(["", "CC-BY-4.0"]),
    evidence=st.sampled_from(["", "set", "person:a1, judge:m@grade"]),
)
def test_a_pair_comes_back_from_its_file(tmp_path_factory: pytest.TempPathFactory, question: str, better: str, worse: str,
                                         margin: float | None, cluster: str, licence: str, evidence: str) -> None:  # fmt: skip
    """A pair that is written and read, the short way or through the data sets, is the same pair, lineage and all."""
    made = Pair(
        id="s/1", prompt_id="s/q", question=question, better=Reply(text=better, grade="responsible"),
        worse=Reply(text=worse + "坏", grade="safe"),
        level=2, category="law", collection=2, split="train", source="own", cluster=cluster, margin=margin, licence=licence,
        lineage=Lineage(evidence=evidence, chosen_from="data:x"), tags={"topic": "t"},
    )  # fmt: skip
    path = tmp_path_factory.mktemp("p") / "own.jsonl"
    path.write_bytes(encode_row(full_row(made)))
    [short] = [pair for found in read(path) for pair in found.pairs] or [None]
    if better.strip() != (worse + "坏").strip():
        assert short == made
        assert [pair_of(found) for found in load(path, kind="comparison")] == [made]


def test_the_public_fields_come_first_and_in_their_order() -> None:
    """A row begins like the public file, so that any reader of it reads ours."""
    made = pairfiles.pair(1)
    assert list(public_row(made)) == ["prompt", "pos_resp", "neg_resp", "pos_type", "neg_type"]
    assert public_row(made)["pos_type"] == "拒绝为主"
    row = json.loads(encode_row(full_row(made)))
    assert [name for name in row if name in public_row(made)] == list(public_row(made))


def test_pair_types_are_the_three_of_the_public_set() -> None:
    """Only the three combinations are types; the rest is ungraded."""
    assert pair_type("safe", "unsafe") == "safe/unsafe"
    assert pair_type("responsible", "safe") == "responsible/safe"
    assert pair_type("responsible", "unsafe") == "responsible/unsafe"
    assert {pair_type("unsafe", "safe"), pair_type(None, "safe"), pair_type("safe", "safe")} == {"ungraded"}
    assert [grade_of(name) for name in ("拒绝&正向建议", "拒绝＆正向建议", "风险回复", "safe", "很好", "")] == [
        "responsible", "responsible", "unsafe", "safe", None, None,
    ]  # fmt: skip


def test_a_starter_pair_knows_its_set(tmp_path: Path) -> None:
    """Pairs of the starter set keep the ids of the set and its licence, and lose nothing on the way through a file."""
    found = [pair for row in read("starter-choice/heldout") for pair in row.pairs]
    assert {pair.id for pair in found} == {pair.id for pair in load("starter-choice/heldout", kind="comparison")}
    assert {pair.licence for pair in found} == {"CC-BY-4.0"}
    path = tmp_path / "starter.jsonl"
    path.write_bytes(b"".join(encode_row(full_row(pair)) for pair in found))
    assert [pair for row in read(path) for pair in row.pairs] == found
