"""Character n-gram models: a real model with no download, and the floor that every measured model must beat.

The models see the replies alone, never the question. What they get right can be had without understanding the question.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cvalues.records import content_hash
from cvalues.schema import GRADES, Grade
from cvalues.text import normalise

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Scores = NDArray[np.float64]


def one_thread() -> AbstractContextManager[object]:
    """Returns a context in which linear algebra uses one thread.

    The vectors of these fits are short: threads wait for each other longer than they work, 16 times the CPU time on two cores, and the
    order of their sums is not fixed.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    limits: AbstractContextManager[object] = threadpool_limits(limits=1)
    return limits


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
        with one_thread():
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


class GradeModel:
    """A multinomial logistic regression of the grade on character n-grams of the reply: P(g | x) ∝ exp(w_g·φ(x) + b_g).

    φ is the sublinear TF-IDF of character 1- to 3-grams of the normalised reply, L2-regularised. The grade is the most probable one,
    the lower one on a tie. The prompt is not looked at: its overlap with the reply adds nothing in-domain.
    """

    def __init__(self, *, strength: float = 10.0, longest: int = 3) -> None:
        """Chooses the inverse regularisation `strength` and the longest n-gram."""
        self.strength = strength
        self.longest = longest
        self.hash = ""
        """Content hash of the settings and of the replies it was fitted on; empty before."""
        self._vectoriser: Any = None
        self._fitted: Any = None

    def fit(self, replies: Sequence[tuple[str, Grade]]) -> GradeModel:
        """Fits on (reply, grade) and returns itself; the result depends on the replies and their order alone.

        Raises:
            ValueError: not every grade occurs.
        """
        if {grade for _, grade in replies} != set(GRADES):
            raise ValueError(f"a grade model needs replies of each grade: {', '.join(GRADES)}")
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression

        self._vectoriser = TfidfVectorizer(
            analyzer="char", ngram_range=(1, self.longest), sublinear_tf=True, min_df=min(2, len(replies))
        )
        matrix = self._vectoriser.fit_transform([normalise(text) for text, _ in replies])
        self._fitted = LogisticRegression(C=self.strength, max_iter=2000, tol=1e-6)
        with one_thread():
            self._fitted.fit(matrix, [GRADES.index(grade) for _, grade in replies])
        self.hash = content_hash(("grade", self.strength, self.longest, list(replies)))
        return self

    def probabilities(self, texts: Sequence[str]) -> Scores:
        """Returns P(grade) of each reply in the order of `GRADES`, shape (n, 3), rows summing to 1; (0, 3) for no text.

        Raises:
            ValueError: the model is not fitted.
        """
        if self._fitted is None:
            raise ValueError("fit the model first")
        if not texts:
            return np.zeros((0, len(GRADES)))
        matrix = self._vectoriser.transform([normalise(text) for text in texts])
        return np.asarray(self._fitted.predict_proba(matrix), dtype=np.float64)

    def grades(self, texts: Sequence[str]) -> list[Grade]:
        """Returns the most probable grade of each reply; empty for no text; errors as `probabilities`."""
        return [GRADES[int(np.argmax(row))] for row in self.probabilities(texts)]


class TextIndex:
    """Texts by nearness: cosine of the sublinear TF-IDF of character 1- to 3-grams of the normalised texts."""

    def __init__(self, texts: Sequence[str], *, longest: int = 3) -> None:
        """Takes the texts to be found.

        Raises:
            ValueError: there is no text with a character in it.
        """
        if not any(normalise(text) for text in texts):
            raise ValueError("a text index needs at least one text")
        from sklearn.feature_extraction.text import TfidfVectorizer

        self._vectoriser: Any = TfidfVectorizer(analyzer="char", ngram_range=(1, longest), sublinear_tf=True)
        self._matrix: csr_matrix = self._vectoriser.fit_transform([normalise(text) for text in texts])
        self._rows: dict[str, csr_matrix] = {}
        self._nearest: dict[str, NDArray[np.int32]] = {}

    def similarities(self, text: str) -> Scores:
        """Returns the cosine, 0 to 1, of `text` with each text of the index; all 0 where they share no n-gram."""
        return np.asarray(self._matrix @ self._row(text).toarray().ravel(), dtype=np.float64)

    def nearest(self, text: str) -> list[int]:
        """Returns the places of all texts, nearest first; equally near ones (to 12 decimals) in their order."""
        found = self._nearest.get(text)
        if found is None:
            order = np.argsort(-np.round(self.similarities(text), 12), kind="stable")
            found = _keep(self._nearest, text, order.astype(np.int32))
        return [int(place) for place in found]

    def between(self, first: str, second: str) -> float:
        """Returns the cosine, 0 to 1, of two texts by the weights of this index."""
        one, other = self._row(first), self._row(second)
        _, here, there = np.intersect1d(one.indices, other.indices, assume_unique=True, return_indices=True)
        return float(one.data[here] @ other.data[there])

    def _row(self, text: str) -> csr_matrix:
        """The vector of a text; the latest are kept, because the same replies are compared again and again."""
        found = self._rows.get(text)
        return _keep(self._rows, text, self._vectoriser.transform([normalise(text)])) if found is None else found


_KEPT = 4096
"""Most texts whose vectors an index keeps."""


def _keep(kept: dict[str, Any], text: str, value: Any) -> Any:
    if len(kept) >= _KEPT:
        kept.clear()
    kept[text] = value
    return value
