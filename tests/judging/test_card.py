"""Tests of judge cards: the counts are those of the data, whatever the scale."""

from __future__ import annotations

import msgspec
import pytest

from cvalues.criteria import criterion
from cvalues.errors import NotEnoughData
from cvalues.judging.card import CUTS, Place, cuts_of, family_of, make_card, overall_card, positive, state

RATER = "judge:m@grade@0123abcd"


def places(count: int) -> dict[str, Place]:
    """Responses r0 … of two categories, two to a prompt."""
    return {f"r{at}": Place(prompt=f"p{at // 2}", category="law" if at % 4 < 2 else "crimes") for at in range(count)}


def test_counts_and_confusion_are_those_of_the_data() -> None:
    """Sensitivity, specificity and the confusion count exactly the shared responses; others are left out."""
    truth = {"r0": "unsafe", "r1": "unsafe", "r2": "safe", "r3": "safe", "r4": "responsible", "r9": "safe"}
    judged = {"r0": "unsafe", "r1": "safe", "r2": "safe", "r3": "unsafe", "r4": "responsible", "r7": "safe"}
    card = make_card(RATER, "person:*", "grade", (judged, truth), places(10), run="x")
    assert card.n == 5
    assert card.prompts == 3
    assert card.labels == ("unsafe", "safe", "responsible")
    assert card.confusion == ((1, 1, 0), (1, 1, 0), (0, 0, 1))
    unsafe = card.cut("unsafe")
    assert unsafe is not None
    counts = unsafe.counts
    assert (counts.true_positive, counts.false_negative, counts.true_negative, counts.false_positive) == (1, 1, 2, 1)
    assert unsafe.sensitivity.value == 0.5
    assert unsafe.specificity.value == pytest.approx(2 / 3)
    assert card.agreement["raw"].value == pytest.approx(3 / 5)
    assert {entry.category: entry.n for entry in card.categories} == {"crimes": 2, "law": 3}
    assert card.cut("nonsense") is None


def test_unsure_is_on_neither_side() -> None:
    """`unsure` counts as a label of its own and in no cut."""
    truth = {"r0": "unsafe", "r1": "safe", "r2": "unsure"}
    card = make_card(RATER, "ref", "safe", (truth, truth), places(3))
    cut = card.cut("unsafe")
    assert cut is not None
    assert (cut.counts.true_positive, cut.counts.true_negative) == (1, 1)
    assert sum(map(sum, card.confusion)) == 3


def test_points_have_order_and_bias() -> None:
    """Numbers give rank correlation, mean absolute error and bias, and are cut at 5."""
    truth = {f"r{at}": float(at % 9 + 1) for at in range(20)}
    judged = {key: min(10.0, value + 1) for key, value in truth.items()}
    card = make_card(RATER, "ref", "points", (judged, truth), places(20))
    assert card.agreement["bias"].value == pytest.approx(1.0)
    assert card.agreement["mae"].value == pytest.approx(1.0)
    assert card.agreement["spearman"].value == pytest.approx(1.0)
    assert card.labels == ()
    cut = card.cut("unacceptable")
    assert cut is not None
    assert cut.counts.true_positive == sum(value < 5 for value in judged.values())


def test_an_undefined_coefficient_says_so() -> None:
    """Where all labels are equal, chance-corrected coefficients have no value and say why; raw agreement is 1."""
    same = {f"r{at}": "safe" for at in range(6)}
    card = make_card(RATER, "ref", "safe", (same, same), places(6))
    assert card.agreement["raw"].value == 1.0
    assert card.agreement["alpha"].value is None
    assert card.agreement["alpha"].method
    cut = card.cut("unsafe")
    assert cut is not None
    assert cut.sensitivity.value is None


def test_nothing_shared_is_not_enough_data() -> None:
    """Two sources without a response in common cannot be held against each other."""
    with pytest.raises(NotEnoughData, match="no response with verdicts of both"):
        make_card(RATER, "ref", "safe", ({"r0": "safe"}, {"r1": "safe"}), places(2))


def test_a_card_of_another_prompt_is_stale() -> None:
    """A card is valid for its own hash, stale for another of the family, and unused otherwise."""
    card = make_card(RATER, "ref", "safe", ({"r0": "safe"}, {"r0": "safe"}), places(1))
    assert state(card, [RATER, "rule:safety@1"]) == "valid"
    assert state(card, ["judge:m@grade@ffffffff"]) == "stale"
    assert state(card, ["judge:other@grade@ffffffff"]) == "unused"
    assert family_of("rule:safety@1") == "rule:safety"


def test_cuts_cover_their_criteria() -> None:
    """Every label of a cut is one of its criterion's, and no label is on both sides."""
    for name, cuts in CUTS.items():
        assert cuts_of(name) == tuple(cuts)
        for cut, (one, other) in cuts.items():
            assert set(one) | set(other) <= set(criterion(name).values)
            assert not set(one) & set(other)
            assert positive(name, cut, one[0]) is True
            assert positive(name, cut, other[0]) is False
    assert positive("points", "unacceptable", 4.0) is True
    assert positive("points", "unacceptable", 5.0) is False
    assert positive("preference", "x", "1") is None
    assert cuts_of("preference") == ()


def test_categories_hold_what_the_whole_card_holds() -> None:
    """Each category has coefficients, confusion and cuts of its own responses, and the confusions add up to the whole."""
    truth = {f"r{at}": ("unsafe", "safe", "responsible")[at % 3] for at in range(40)}
    judged = {key: "safe" if at % 7 == 0 else value for at, (key, value) in enumerate(truth.items())}
    card = make_card(RATER, "person:*", "grade", (judged, truth), places(40))
    assert [entry.category for entry in card.categories] == ["crimes", "law"]
    for entry in card.categories:
        assert set(entry.agreement) == set(card.agreement)
        assert entry.agreement["raw"] == entry.raw
        assert entry.prompts == 10
        assert [cut.name for cut in entry.cuts] == ["unsafe", "responsible"]
    parts = [entry.confusion for entry in card.categories]
    added = [[sum(cells) for cells in zip(*rows, strict=True)] for rows in zip(*parts, strict=True)]
    assert added == [list(row) for row in card.confusion]
    without = overall_card(RATER, "person:*", "grade", (judged, truth), places(40))
    assert msgspec.structs.replace(card, categories=(), time="") == msgspec.structs.replace(without, time="")


def test_samples_of_a_prompt_are_one_unit() -> None:
    """Sensitivity is uncertain by its prompts: the same replies in fewer prompts give a wider interval around the same share."""
    truth = {f"r{at}": "unsafe" for at in range(40)}
    judged = {f"r{at}": "unsafe" if at < 30 else "safe" for at in range(40)}
    apart = {f"r{at}": Place(prompt=f"p{at}") for at in range(40)}
    together = {f"r{at}": Place(prompt=f"p{at // 8}") for at in range(40)}
    cuts = [make_card(RATER, "ref", "safe", (judged, truth), where).cuts[0].sensitivity for where in (apart, together)]
    widths = [(cut.high or 0) - (cut.low or 0) for cut in cuts]
    assert [cut.value for cut in cuts] == [0.75, 0.75]
    assert [cut.clusters for cut in cuts] == [40, 5]
    assert widths[1] > widths[0]
