"""The embedded n-gram models."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvalues.ngram import GradeModel, PreferenceModel, TextIndex
from cvalues.schema import GRADES, Grade
from cvalues.text import normalise

PAIRS = [(f"好好说话，第{n}次也要耐心。", f"骂回去，第{n}次更解气。") for n in range(20)]


def test_learns_what_tells_the_replies_apart() -> None:
    """On pairs told apart by words, unseen pairs of the same kind are ranked right, and the words are the strongest n-grams."""
    model = PreferenceModel().fit(PAIRS)
    better, worse = model.scores(["慢慢说话，耐心一点。", "骂他，解气。"])
    assert better > worse
    assert dict(model.strongest(60))["耐心"] > 0 > dict(model.strongest(60))["解气"]


def test_fit_depends_on_the_pairs_alone() -> None:
    """Fitting twice gives the same scores, and turning every pair round turns every score's sign."""
    first = PreferenceModel().fit(PAIRS).scores(["耐心说话", "解气"])
    again = PreferenceModel().fit(PAIRS).scores(["耐心说话", "解气"])
    turned = PreferenceModel().fit([(worse, better) for better, worse in PAIRS]).scores(["耐心说话", "解气"])
    assert np.array_equal(first, again)
    assert np.allclose(first, -turned, atol=1e-6)


def test_witness_is_the_closed_gradient() -> None:
    """At the optimum the gradient of the regularised log-likelihood is zero: w = C Σ (1 − p_i) d_i over both signs."""
    model = PreferenceModel(strength=2.0).fit(PAIRS)
    better = model._vectoriser.transform([normalise(pair[0]) for pair in PAIRS])
    worse = model._vectoriser.transform([normalise(pair[1]) for pair in PAIRS])
    difference = np.asarray((better - worse).todense())
    assert model._weights is not None
    probability = 1 / (1 + np.exp(-difference @ model._weights))
    gradient = 2 * 2.0 * difference.T @ (1 - probability)
    assert np.allclose(model._weights, gradient, atol=1e-3)


def test_edges_are_said() -> None:
    """No pair, no fit; no fit, no score; no text, no score."""
    with pytest.raises(ValueError, match="at least one pair"):
        PreferenceModel().fit([])
    with pytest.raises(ValueError, match="fit the model first"):
        PreferenceModel().scores(["x"])
    with pytest.raises(ValueError, match="fit the model first"):
        PreferenceModel().strongest()
    assert PreferenceModel().fit(PAIRS).scores([]).shape == (0,)


WORDS: dict[Grade, str] = {
    "unsafe": "放心去骂，骂了解气",
    "safe": "这件事我不便多说",
    "responsible": "可以先谈谈，慢慢来",
}
GRADED = [(f"{words}，第{number}次。", grade) for number in range(12) for grade, words in WORDS.items()]


def test_grades_are_learnt_from_words() -> None:
    """Unseen replies of the three kinds get their grades, with probabilities that sum to 1 in the order of the grades."""
    model = GradeModel().fit(GRADED)
    texts = ["放心骂，解气得很", "这个我不便说", "可以慢慢谈谈"]
    assert model.grades(texts) == list(GRADES)
    chances = model.probabilities(texts)
    assert chances.shape == (3, 3)
    assert np.allclose(chances.sum(axis=1), 1)
    assert (chances.argmax(axis=1) == [0, 1, 2]).all()


def test_grade_fit_is_fixed_by_the_replies() -> None:
    """Fitting twice gives the same probabilities and the same hash; other replies or settings give another hash."""
    first, again = GradeModel().fit(GRADED), GradeModel().fit(GRADED)
    assert np.array_equal(first.probabilities(["骂他"]), again.probabilities(["骂他"]))
    assert first.hash == again.hash
    assert first.hash.startswith("b2:")
    assert (
        len(
            {
                first.hash,
                GradeModel().fit(GRADED[3:]).hash,
                GradeModel(strength=1.0).fit(GRADED).hash,
                GradeModel().hash,
            }
        )
        == 4
    )


def test_grade_witness_is_the_closed_gradient() -> None:
    """At the optimum the gradient of the regularised log-likelihood is zero: w_g = C Σ (1[y=g] − P(g)) φ for every grade."""
    model = GradeModel(strength=2.0).fit(GRADED)
    features = np.asarray(model._vectoriser.transform([normalise(text) for text, _ in GRADED]).todense())
    chances = model.probabilities([text for text, _ in GRADED])
    truths = np.array([[grade == each for each in GRADES] for _, grade in GRADED], dtype=float)
    assert np.allclose(model._fitted.coef_, 2.0 * (truths - chances).T @ features, atol=1e-3)


def test_grade_edges_are_said() -> None:
    """No reply of some grade, no fit; no fit, no probability; no text, none of them."""
    with pytest.raises(ValueError, match="each grade"):
        GradeModel().fit(GRADED[:2])
    with pytest.raises(ValueError, match="fit the model first"):
        GradeModel().probabilities(["x"])
    model = GradeModel().fit(GRADED)
    assert model.probabilities([]).shape == (0, 3)
    assert model.grades([]) == []
    assert len(model.grades([""])) == 1


def test_nearest_texts_come_first() -> None:
    """The same text is nearest with cosine 1, shared words come before none, and equally near texts keep their order."""
    index = TextIndex(["怎么煮面", "怎么煮粥", "汽车保养", "汽车保养"])
    assert index.nearest("怎么煮面") == [0, 1, 2, 3]
    assert index.nearest("保养汽车")[:2] == [2, 3]
    assert index.nearest("zzz") == [0, 1, 2, 3]
    assert index.similarities("怎么煮面")[0] == pytest.approx(1)
    assert index.between("怎么煮面", "怎么煮面") == pytest.approx(1)
    assert index.between("怎么煮面", "汽车") == 0
    with pytest.raises(ValueError, match="at least one text"):
        TextIndex(["", " "])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text("甲乙丙丁", min_size=1, max_size=6), min_size=1, max_size=6), st.text("甲乙丙丁", max_size=6))
def test_nearness_is_a_cosine(texts: list[str], query: str) -> None:
    """Similarities lie in 0 to 1, every place is listed once, nearest first, and nearness is symmetric."""
    index = TextIndex(texts)
    values = index.similarities(query)
    order = index.nearest(query)
    assert ((values >= 0) & (values <= 1 + 1e-9)).all()
    assert sorted(order) == list(range(len(texts)))
    assert all(values[a] >= values[b] - 1e-9 for a, b in itertools.pairwise(order))
    assert index.between(query, texts[0]) == pytest.approx(index.between(texts[0], query))
