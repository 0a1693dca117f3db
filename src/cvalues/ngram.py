"""Character n-gram models: a real model with no download, and the floor that every measured model must beat.

They see the replies alone, never the question. What they get right can be had without understanding the question.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cvalues.text import normalise

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Scores = NDArray[np.float64]


class PreferenceModel:
    """A Bradley–Terry model on character n-grams: P(a better than b) = 1 / (1 + exp(s(b) − s(a))), s(x) = w·φ(x).

    φ is the sublinear TF-IDF of character 1- to 3-grams of the normalised reply; w is fitted by L2-regularised logistic
    regression on φ(better) − φ(worse), without intercept (Bradley and Terry 1952; the pairwise form is that of reward models).
    """

    def __init__(self, *, strength: float = 10.0, longest: int = 3) -> None:
        """Chooses the inverse regularisation `strength` and the longest n-gram."""
        self.strength = strength
        self.longest = longest
        self._vectoriser: Any = None
        self._weights: Scores | None = None

    def fit(self, pairs: Sequence[tuple[str, str]]) -> PreferenceModel:
        """Fits on (better, worse) pairs of reply texts and returns itself; the result depends on the pairs alone.

        Raises:
            ValueError: there is no pair.
        """
        if not pairs:
            raise ValueError("a preference model needs at least one pair")
        from scipy.sparse import vstack
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression

        better = [normalise(pair[0]) for pair in pairs]
        worse = [normalise(pair[1]) for pair in pairs]
        self._vectoriser = TfidfVectorizer(
            analyzer="char", ngram_range=(1, self.longest), sublinear_tf=True, min_df=min(2, len(pairs))
        )
        self._vectoriser.fit(better + worse)
        difference = self._vectoriser.transform(better) - self._vectoriser.transform(worse)
        # Both signs of every difference, so that neither position is learnt.
        rows = vstack([difference, -difference])
        signs = np.repeat([1, 0], len(pairs))
        model = LogisticRegression(C=self.strength, fit_intercept=False, max_iter=2000, tol=1e-6)
        self._weights = np.asarray(model.fit(rows, signs).coef_[0], dtype=np.float64)
        return self

    def scores(self, texts: Sequence[str]) -> Scores:
        """Returns s(x) of each text, shape (n,); higher is better, only differences mean something; empty for no text.

        Raises:
            ValueError: the model is not fitted.
        """
        if self._weights is None:
            raise ValueError("fit the model first")
        if not texts:
            return np.zeros(0)
        matrix: csr_matrix = self._vectoriser.transform([normalise(text) for text in texts])
        return np.asarray(matrix @ self._weights, dtype=np.float64)

    def strongest(self, count: int = 20) -> list[tuple[str, float]]:
        """Returns the n-grams with the largest weights in absolute value, for reports on shortcuts."""
        if self._weights is None:
            raise ValueError("fit the model first")
        names = self._vectoriser.get_feature_names_out()
        order = np.argsort(-np.abs(self._weights))[:count]
        return [(str(names[index]), float(self._weights[index])) for index in order]
