"""The embedded reward model: a character n-gram preference model with a file of its own. Seconds to fit, no GPU, no pickle.

A file is a NumPy archive (`.npz`): `ngrams` (UTF-8, joined by NUL), `idf`, `weights`, `card` (JSON), and the hashes of the
pairs and prompts that it was fitted on. Its revision is the content hash of all, so two fits of the same pairs are the same model.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from cvalues.errors import DataError
from cvalues.ngram import PreferenceModel, Scores
from cvalues.pairs.fitted import ARRAYS as FITTED
from cvalues.pairs.fitted import Fitted, from_archive, unique
from cvalues.records import canonical, open_bytes, write_atomically
from cvalues.schema import GRADES, Grade, Record

FORMAT = 1
_ARRAYS = ("card", "idf", "ngrams", "weights")


class RewardCard(Record, frozen=True, kw_only=True):
    """What a reward model was fitted on, and how."""

    format: int = FORMAT
    kind: str = "ngram-preference"
    strength: float = 10.0
    """Inverse of the L2 regularisation."""
    longest: int = 3
    """Longest n-gram."""
    pairs: int = 0
    """Pairs that it was fitted on."""
    source: str = ""
    """Name of the file or set, without its folder."""
    source_hash: str = ""
    """`sha256:…` of the file, or the content hash of the set's pairs."""
    heldout: int = 0
    """Held-back pairs among them: above 0 the model must not be measured on that set's test split."""
    licences: tuple[str, ...] = ()
    cuts: tuple[float, ...] = ()
    """Two scores: below the first a reply counts as unsafe, below the second as safe, else as responsible; empty without grades."""


class EmbeddedReward(PreferenceModel):
    """A preference model that can be saved, and that knows what it was fitted on."""

    def __init__(self, card: RewardCard) -> None:
        """Holds no weights before `fit` or `load`."""
        super().__init__(strength=card.strength, longest=card.longest)
        self.card = card
        self.fitted = Fitted(unique(()), unique(()), card.heldout, card.source, card.source_hash)

    @property
    def revision(self) -> str:
        """Content hash `b2:…` of n-grams, weights and card; raises ValueError before the model is fitted."""
        digest = hashlib.blake2b(digest_size=16)
        for name, array in self._parts().items():
            digest.update(name.encode() + b"\0" + str(array.dtype).encode() + b"\0" + array.tobytes())
        return "b2:" + digest.hexdigest()

    def _parts(self) -> dict[str, Any]:
        if self._weights is None:
            raise ValueError("fit the model first")
        names = self._vectoriser.get_feature_names_out()
        return {
            "card": np.frombuffer(canonical(self.card), dtype=np.uint8),
            "idf": np.asarray(self._vectoriser.idf_, dtype=np.float64),
            "ngrams": np.frombuffer("\0".join(names).encode("utf-8", "surrogatepass"), dtype=np.uint8),
            "weights": np.asarray(self._weights, dtype=np.float64),
            **self.fitted.arrays(),
        }

    def save(self, path: Path) -> Path:
        """Writes the model atomically and returns the path.

        Raises:
            DataError: the file cannot be written.
            ValueError: the model is not fitted.
        """
        body = io.BytesIO()
        np.savez_compressed(body, **self._parts())
        return write_atomically(path, lambda file: file.write(body.getbuffer()))

    @classmethod
    def load(cls, path: Path) -> EmbeddedReward:
        """Returns the model of a file; it gives every reply the score that the saved one gave.

        Raises:
            DataError: the file cannot be read, or is no reward model of this form.
        """
        try:
            with open_bytes(path) as file, np.load(file, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in _ARRAYS}
                hashes = {name: archive[name] for name in FITTED if name in archive}
            card = msgspec.json.decode(arrays["card"].tobytes(), type=RewardCard)
            names = arrays["ngrams"].tobytes().decode("utf-8", "surrogatepass").split("\0")
            fitted = from_archive(hashes, heldout=card.heldout, source=card.source, source_hash=card.source_hash)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, AttributeError, TypeError) as error:
            raise DataError(
                f"{path}: is no reward model ({error}); give a file that  cvalues pairs train  wrote"
            ) from error
        shapes = {arrays[name].shape for name in ("idf", "weights")} | {(len(names),)}
        if card.format != FORMAT or len(shapes) != 1 or len(set(names)) != len(names) or len(card.cuts) not in {0, 2}:
            raise DataError(
                f"{path}: is a reward model of another version or a damaged one; train it again with  cvalues pairs train"
            )
        model = cls(card)
        model.fitted = fitted
        model.fill(names, arrays["idf"], arrays["weights"])
        return model

    def fill(self, names: list[str], idf: Any, weights: Any) -> None:
        """Takes the n-grams, their inverse document frequencies and their weights instead of fitting."""
        from sklearn.feature_extraction.text import TfidfVectorizer

        self._vectoriser = TfidfVectorizer(
            analyzer="char",
            ngram_range=(1, self.longest),
            sublinear_tf=True,
            vocabulary={name: at for at, name in enumerate(names)},
        )
        self._vectoriser.idf_ = np.asarray(idf, dtype=np.float64)
        self._weights = np.asarray(weights, dtype=np.float64)

    def grade(self, scores: Scores) -> list[Grade] | None:
        """Returns the grade of each score by the cuts of the card; None for a model that was fitted without grades."""
        return graded(scores, self.card.cuts)


def graded(scores: Scores, found: Sequence[float]) -> list[Grade] | None:
    """Returns the grade of each score by two cuts; None without them."""
    if len(found) != 2:
        return None
    return [GRADES[int(place)] for place in np.searchsorted(np.asarray(found), scores, side="right")]


def cuts(scores: Sequence[float], grades: Sequence[Grade]) -> tuple[float, ...]:
    """Returns the two scores that part the grades best, each halfway between the medians of neighbouring grades.

    Empty when a grade is lacking or the medians are not in the order of the grades.
    """
    medians = []
    for grade in GRADES:
        own = [score for score, found in zip(scores, grades, strict=True) if found == grade]
        if not own:
            return ()
        medians.append(float(np.median(own)))
    if not medians[0] < medians[1] < medians[2]:
        return ()
    return ((medians[0] + medians[1]) / 2, (medians[1] + medians[2]) / 2)
