"""The embedded reward model and its file; shortcuts."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cvalues.datasets import starter
from cvalues.errors import DataError, UsageError
from cvalues.ngram import PreferenceModel
from cvalues.pairs.embedded import EmbeddedReward, RewardCard, cuts
from cvalues.pairs.shortcuts import facts, pair_accuracy, right, scores
from cvalues.schema import NO_DATA


@pytest.fixture(scope="module")
def fitted() -> EmbeddedReward:
    """A model fitted on the starter set's train split."""
    model = EmbeddedReward(RewardCard(pairs=3, source="starter", cuts=(-0.5, 0.5)))
    model.fit(starter.preference_pairs("train"))
    return model


def test_a_saved_model_scores_exactly_as_before(fitted: EmbeddedReward, tmp_path: Path) -> None:
    """Scores of the loaded model are bit for bit those of the saved one, which are those of the preference model; so is the revision."""
    loaded = EmbeddedReward.load(fitted.save(tmp_path / "m.npz"))
    texts = [text for pair in starter.preference_pairs("heldout") for text in pair] + [
        "",
        "１２３ ＡＢ",
        "完全没见过的字符 ☃",
    ]
    assert np.array_equal(loaded.scores(texts), fitted.scores(texts))
    assert np.array_equal(PreferenceModel().fit(starter.preference_pairs("train")).scores(texts), fitted.scores(texts))
    assert (loaded.revision, loaded.card) == (fitted.revision, fitted.card)
    assert loaded.scores([]).shape == (0,)


def test_the_same_fit_is_the_same_file(fitted: EmbeddedReward, tmp_path: Path) -> None:
    """Fitting the same pairs again gives the same bytes; another card is another revision."""
    again = EmbeddedReward(fitted.card)
    again.fit(starter.preference_pairs("train"))
    bytes_of = [
        hashlib.sha256(model.save(tmp_path / f"{place}.npz").read_bytes()).hexdigest()
        for place, model in enumerate((fitted, again))
    ]
    assert bytes_of[0] == bytes_of[1]
    other = EmbeddedReward(RewardCard(pairs=4))
    other.fit(starter.preference_pairs("train"))
    assert other.revision != fitted.revision


def test_foreign_and_damaged_files_are_refused(fitted: EmbeddedReward, tmp_path: Path) -> None:
    """Text, a cut file, a pickle and arrays that do not fit are explained, never executed."""
    whole = fitted.save(tmp_path / "m.npz").read_bytes()
    bad = tmp_path / "bad.npz"
    for body in (b"", b"not a model", whole[: len(whole) // 2]):
        bad.write_bytes(body)
        with pytest.raises(DataError, match="is no reward model"):
            EmbeddedReward.load(bad)
    np.savez(bad, card=np.array([object()], dtype=object), idf=1, ngrams=1, weights=1)
    with pytest.raises(DataError, match="is no reward model"):
        EmbeddedReward.load(bad)
    with np.load(tmp_path / "m.npz") as archive:
        arrays = dict(archive)
    np.savez(bad, **{**arrays, "idf": arrays["idf"][:-1]})
    with pytest.raises(DataError, match="train it again"):
        EmbeddedReward.load(bad)
    with pytest.raises(DataError, match="no such file"):
        EmbeddedReward.load(tmp_path / "none.npz")


def test_cuts_part_the_grades() -> None:
    """Cuts lie halfway between the medians: (0 + 2) / 2 = 1 and (2 + 6) / 2 = 4; without order or a grade there are none."""
    values = [0.0, 0.0, 2.0, 2.0, 6.0]
    grades = ["unsafe", "unsafe", "safe", "safe", "responsible"]
    assert cuts(values, grades) == (1.0, 4.0)  # type: ignore[arg-type]
    assert cuts(values[:4], grades[:4]) == ()  # type: ignore[arg-type]
    assert cuts(values[::-1], grades) == ()  # type: ignore[arg-type]
    model = EmbeddedReward(RewardCard(cuts=(1.0, 4.0)))
    assert model.grade(np.array([0.9, 1.0, 3.9, 4.0])) == ["unsafe", "safe", "safe", "responsible"]
    assert EmbeddedReward(RewardCard()).grade(np.array([1.0])) is None
    with pytest.raises(ValueError, match="fit the model first"):
        _ = model.revision


def test_shortcuts_count_what_they_say() -> None:
    """Length without outer blanks, different refusal words, list items."""
    assert facts("  抱歉，我不能。 ").length == 7
    assert facts("抱歉，我不能。").refusals == 2
    assert facts("1. 甲\n2. 乙").items == 2
    assert facts("") == (0, 0, 0)
    assert scores("longer", ["一", "一二三"]).tolist() == [1, 3]
    assert scores("shorter", ["一", "一二三"]).tolist() == [-1, -3]
    assert scores("refusal-words", []).shape == (0,)
    with pytest.raises(UsageError, match="unknown shortcut"):
        scores("louder", ["x"])


@given(st.lists(st.tuples(st.floats(-5, 5), st.integers(0, 5)), min_size=1, max_size=40))
def test_accuracy_is_the_mean_of_right_with_ties_half(drawn: list[tuple[float, int]]) -> None:
    """The value is (wins + ties / 2) / n, inside its interval, and turning every margin around gives one minus it."""
    margins = np.array([margin for margin, _ in drawn])
    clusters = np.array([cluster for _, cluster in drawn], dtype=np.int64)
    found = pair_accuracy(margins, clusters)
    assert found.value == pytest.approx(right(margins).mean())
    turned = pair_accuracy(-margins, clusters)
    assert (found.value or 0) + (turned.value or 0) == pytest.approx(1)
    if found.low is not None and found.high is not None:
        assert 0 <= found.low <= (found.value or 0) <= found.high <= 1


def test_no_pair_is_no_data() -> None:
    """An empty file has no accuracy."""
    assert pair_accuracy([], np.zeros(0, dtype=np.int64)) == NO_DATA
