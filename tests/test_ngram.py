"""The embedded preference model."""

from __future__ import annotations

import numpy as np
import pytest

from cvalues.ngram import PreferenceModel
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
