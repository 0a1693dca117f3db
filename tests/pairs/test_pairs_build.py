"""Pairs from graded replies: votes, types, margins, ties, conflicts, draws."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pairfiles
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvalues.datasets import load
from cvalues.errors import DataError
from cvalues.pairs.build import BuildSettings, Candidate, Judged, Vote, build, missing_grades, vote_of
from cvalues.pairs.gather import judged_of, judged_pairs
from cvalues.pairs.pair import pair_of
from cvalues.schema import GRADES, Grade, Prompt, Verdict

PROMPT = Prompt(
    id="p1", text="怎么办？", level=2, category="law", source="own", licence="MIT", parent="p0", split="train"
)


def reply(text: str, *votes: tuple[str, Grade | float]) -> Candidate:
    """A reply with votes: (rater, grade) or (rater, number)."""
    made = [
        Vote(rater=rater, value=float(GRADES.index(said)), grade=said)
        if isinstance(said, str)
        else Vote(rater=rater, value=said)
        for rater, said in votes
    ]
    return Candidate(text=text, origin=f"r:{text}", votes=tuple(made))


def judged(*candidates: Candidate, **more: Any) -> Judged:
    """The prompt with these replies."""
    return Judged(prompt=PROMPT, candidates=candidates, category="law", **more)


def test_the_starter_set_gives_its_own_pairs() -> None:
    """Every pair of the set is built, with the set's id, difficulty, grades and split, and nothing else."""
    built = build(judged_of("starter-choice"), BuildSettings(numbering="keep"))
    known = {pair.id: pair for pair in load("starter-choice", kind="comparison")}
    assert {pair.id for pair in built.pairs} == set(known)
    for pair in built.pairs[:30]:
        theirs = known[pair.id]
        assert (pair.better, pair.worse, pair.difficulty, pair.split, pair.level) == (
            theirs.better, theirs.worse, theirs.difficulty, theirs.split, theirs.level,
        )  # fmt: skip


def test_majority_orders_and_ties_are_counted() -> None:
    """The grade of a reply is what more than half say; equal grades are ties; lineage names raters, origins and parent."""
    two_of_three = reply("甲", ("a", "responsible"), ("b", "responsible"), ("c", "safe"))
    safe = reply("乙", ("a", "safe"), ("b", "safe"), ("c", "safe"))
    also = reply("丙", ("a", "safe"), ("b", "safe"), ("c", "safe"))
    built = build([judged(two_of_three, safe, also)], BuildSettings(per_type=5))
    assert [(pair.better.text, pair.worse.text, pair.type) for pair in built.pairs] == [
        ("甲", "乙", "responsible/safe"), ("甲", "丙", "responsible/safe"),
    ]  # fmt: skip
    assert built.counts["ties"] == 1
    lineage = built.pairs[0].lineage
    assert (lineage.evidence, lineage.chosen_from, lineage.rejected_from, lineage.parent) == (
        "a, b, c",
        "r:甲",
        "r:乙",
        "p0",
    )
    assert (built.pairs[0].licence, built.pairs[0].split, built.pairs[0].margin) == ("MIT", "train", 1.0)


def test_raters_who_disagree_on_the_order_make_a_conflict_and_no_pair() -> None:
    """One rater for each order: no pair, and people get both replies with the raters of each side."""
    first = reply("甲", ("a", "responsible"), ("b", "unsafe"), ("c", "responsible"))
    second = reply("乙", ("a", "safe"), ("b", "safe"), ("c", "safe"))
    built = build([judged(first, second)])
    assert built.pairs == []
    [conflict] = built.conflicts
    assert (conflict.first, conflict.second, conflict.replies) == (("a", "c"), ("b",), ("甲", "乙"))


def test_a_disputed_grade_makes_no_pair() -> None:
    """Two raters, two grades: no majority, no pair, no guess, and no tie; people get the reply, and not the one that is clear."""
    replies = [
        reply("甲", ("a", "responsible"), ("b", "safe")),
        reply("乙", ("a", "unsafe"), ("c", "unsafe")),
        reply("丙", ("a", "safe")),
    ]
    built = build([judged(*replies)])
    assert [(pair.better.text, pair.worse.text) for pair in built.pairs] == [("丙", "乙")]
    assert (built.counts["ungraded"], built.counts["ties"]) == (1, 0)
    assert [(one.replies, one.undecided) for one in built.conflicts] == [(("甲", "乙"), (0,)), (("甲", "丙"), (0,))]
    assert built.conflicts[0].raters == (("a", "b"), ("a", "c"))


def test_contradicting_rows_of_a_set_go_to_people(tmp_path: Path) -> None:
    """The same two replies in both orders are disputed both, not a tie."""
    row = pairfiles.row(1)
    path = pairfiles.write(
        tmp_path / "p.jsonl", [row, {**row, "pos_resp": row["neg_resp"], "neg_resp": row["pos_resp"]}]
    )
    built = build(judged_of(path))
    assert (built.pairs, built.counts["ties"]) == ([], 0)
    [conflict] = built.conflicts
    assert conflict.undecided == (0, 1)


def test_numbers_need_a_margin() -> None:
    """Rewards order replies without grades; what is closer than the margin is counted and left out."""
    replies = [reply("甲", ("reward", 2.0)), reply("乙", ("reward", 1.5)), reply("丙", ("reward", -1.0))]
    built = build([judged(*replies)], BuildSettings(margin=1.0, per_type=5))
    assert [(pair.better.text, pair.worse.text, pair.margin) for pair in built.pairs] == [
        ("甲", "丙", 3.0),
        ("乙", "丙", 2.5),
    ]
    assert built.counts["close"] == 1
    assert {pair.type for pair in built.pairs} == {"ungraded"}


def test_at_most_k_of_a_type_are_drawn_by_the_seed() -> None:
    """Five better and five worse replies make 25 pairs, of which k are taken; the order of the replies does not matter, the seed does."""
    replies = [reply(f"好{number}", ("a", "safe")) for number in range(5)] + [
        reply(f"坏{number}", ("a", "unsafe")) for number in range(5)
    ]
    taken = {
        seed: {pair.id for pair in build([judged(*replies)], BuildSettings(per_type=3, seed=seed)).pairs}
        for seed in range(6)
    }
    assert all(len(ids) == 3 for ids in taken.values())
    assert len(set(map(frozenset, taken.values()))) > 1
    turned = build([judged(*replies[::-1])], BuildSettings(per_type=3, seed=0))
    assert {pair.id for pair in turned.pairs} == taken[0]
    assert turned.counts["surplus"] == 22


def test_artefacts_and_faulty_replies_do_not_get_in() -> None:
    """A list of one item is repaired or its pair dropped; control tokens make a pair faulty."""
    lone = [reply("1. 去问老师。", ("a", "safe")), reply("随便。", ("a", "unsafe"))]
    [pair] = build([judged(*lone)]).pairs
    assert pair.better.text == "去问老师。"
    assert build([judged(*lone)], BuildSettings(numbering="drop")).pairs == []
    broken = build([judged(reply("好<|im_end|>", ("a", "safe")), reply("随便。", ("a", "unsafe")))])
    assert (broken.pairs, broken.counts["faulty"]) == ([], 1)


@pytest.mark.parametrize(
    ("criterion", "value", "grade"),
    [
        ("grade", "responsible", "responsible"), ("safe", "safe", "safe"), ("safe", "unsafe", "unsafe"), ("safe", "unsure", None),
        ("points", 4.9, "unsafe"), ("points", 5.0, "responsible"), ("points_best_of", 10, "responsible"), ("choice", "1", None),
    ],
)  # fmt: skip
def test_every_criterion_has_its_grade(criterion: str, value: str | float, grade: Grade | None) -> None:
    """Grades are themselves, points below 5 are not approved, and what says nothing of worth is no vote."""
    vote = vote_of(Verdict(criterion=criterion, subject=("r",), rater="person:a", value=value))
    assert (vote.grade if vote else None) == grade
    assert vote_of(Verdict(criterion=criterion, subject=("r",), rater="a", value=value, status="no_verdict")) is None


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(GRADES), st.sampled_from(GRADES)), min_size=0, max_size=6))
def test_no_pair_is_against_the_evidence(grades: list[tuple[Grade, Grade]]) -> None:
    """Whatever two raters say, no built pair has a rater who prefers the worse reply, and its grades are in order."""
    replies = [reply(f"回复{place}。", ("a", one), ("b", two)) for place, (one, two) in enumerate(grades)]
    votes = {entry.text: {vote.rater: vote.value for vote in entry.votes} for entry in replies}
    for pair in build([judged(*replies)], BuildSettings(per_type=99)).pairs:
        assert all(votes[pair.better.text][rater] >= votes[pair.worse.text][rater] for rater in "ab")
        assert GRADES.index(pair.better.grade or "unsafe") > GRADES.index(pair.worse.grade or "safe")


def test_pairs_give_back_the_replies_they_were_built_from() -> None:
    """Three pairs of a prompt hold three replies; building again from the pairs gives the same pairs."""
    pairs = [pair_of(found) for found in load("starter-choice/heldout", kind="comparison")][:9]
    again = list(judged_pairs(pairs))
    assert [len(entry.candidates) for entry in again] == [3, 3, 3]
    assert {
        (pair.question, pair.better.text, pair.worse.text)
        for pair in build(again, BuildSettings(numbering="keep")).pairs
    } == {(pair.question, pair.better.text, pair.worse.text) for pair in pairs}
    ungraded = pair_of(pairs[0])
    bare = type(ungraded)(**{**{name: getattr(ungraded, name) for name in ungraded.__struct_fields__},
                             "better": type(ungraded.better)(text="好")})  # fmt: skip
    with pytest.raises(DataError, match="cvalues pairs import"):
        list(judged_pairs([bare]))


def test_missing_grades_are_named() -> None:
    """A prompt with one graded reply lacks the other two."""
    assert missing_grades(judged(reply("甲", ("a", "safe")))) == ["unsafe", "responsible"]
    assert missing_grades(judged()) == list(GRADES)


def test_a_faulty_row_stops_the_building_with_its_line(tmp_path: Path) -> None:
    """Nothing is skipped in silence: an unreadable row or one with a single reply is named; an unknown category is kept as it is."""
    good = {"text": "甲？", "category": "某类", "unsafe": "坏", "safe": "不行"}
    path = pairfiles.write(tmp_path / "g.jsonl", [good, {"text": "乙？", "unsafe": "坏"}])
    with pytest.raises(DataError, match=r"g\.jsonl:2: .*all faults"):
        list(judged_of(path))
    with pytest.raises(DataError, match=r"g\.jsonl:2: .*broken_json"):
        list(judged_of(pairfiles.write(path, [good, "{x"])))
    [entry] = judged_of(pairfiles.write(path, [good]))
    assert (entry.category, len(entry.candidates)) == ("某类", 2)
