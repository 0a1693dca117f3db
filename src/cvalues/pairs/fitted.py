"""What a reward model was fitted on, as hashes: enough to say later that it is measured on its own pairs; no text is kept."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cvalues.pairs.pair import Pair
from cvalues.records import clean
from cvalues.schema import Record

Hashes = npt.NDArray[np.uint64]
HELDOUT = "heldout"
"""The split that is held back for testing."""
ARRAYS = ("fitted_pairs", "fitted_prompts")
"""Names of the two arrays in an archive."""


def digest(text: str | bytes) -> bytes:
    """Returns 16 bytes of BLAKE2b."""
    body = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    return hashlib.blake2b(body, digest_size=16).digest()


def prompt_hash(text: str) -> int:
    """Returns the hash of a prompt by its text alone, 64 bits."""
    return int.from_bytes(digest(text)[:8], "big")


def pair_hash(question: str, better: str, worse: str) -> int:
    """Returns the hash of a pair by its three texts alone, 64 bits; the other order of the replies has another one."""
    return int.from_bytes(digest(b"".join(digest(text) for text in (question, better, worse)))[:8], "big")


class Fitted(NamedTuple):
    """What a reward model was fitted on."""

    pairs: Hashes
    """`pair_hash` of each pair, ascending; empty for a model that does not say."""
    prompts: Hashes
    heldout: int = 0
    """Held-back pairs among them."""
    source: str = ""
    source_hash: str = ""

    def arrays(self) -> dict[str, Any]:
        """Returns the two arrays by their names in an archive; none where the model does not say."""
        return dict(zip(ARRAYS, (self.pairs, self.prompts), strict=True)) if len(self.pairs) else {}


class Taint(Record, frozen=True, kw_only=True):
    """Why a measurement of a reward model says little of new pairs."""

    model: str
    measured: int
    """Pairs (or prompts, where a run is ranked) that were measured."""
    pairs: int = 0
    """Those that the model was fitted on."""
    prompts: int = 0
    """Others to whose prompts the model was fitted with other replies."""
    heldout: int = 0
    """Held-back pairs that the model was fitted on, of whatever set."""
    source: str = ""
    """What it was fitted on."""
    same_file: bool = False
    """Whether it was fitted on this very file and does not say on which of its pairs: a model of an older version."""


def fitted_on(pairs: Sequence[Pair], *, source: str = "", source_hash: str = "") -> Fitted:
    """Returns the hashes of pairs, each once, and how many are held back; empty for no pairs."""
    return Fitted(
        unique(pair_hash(pair.question, pair.better.text, pair.worse.text) for pair in pairs),
        unique(prompt_hash(pair.question) for pair in pairs),
        sum(pair.split == HELDOUT for pair in pairs),
        source,
        source_hash,
    )


def unique(hashes: Iterable[int]) -> Hashes:
    """Returns hashes once each, ascending."""
    return np.unique(np.fromiter(hashes, dtype=np.uint64))


def from_archive(archive: Mapping[str, Any], *, heldout: int, source: str, source_hash: str = "") -> Fitted:
    """Returns what an archive says; ValueError where its arrays are none of ours."""
    found = [archive[name] if name in archive else np.zeros(0, dtype=np.uint64) for name in ARRAYS]
    if any(array.dtype != np.uint64 or array.ndim != 1 for array in found):
        raise ValueError("the hashes of its pairs are damaged")
    return Fitted(np.unique(found[0]), np.unique(found[1]), heldout, clean(source), source_hash)


def taint(model: str, fitted: Fitted | None, pairs: Hashes, prompts: Hashes, *, source_hash: str = "") -> Taint | None:
    """Returns why figures on pairs are no figures on new pairs; None for a model that was fitted on neither them nor held-back ones.

    Args:
        model: its name.
        fitted: what it was fitted on; None where that is not known.
        pairs: `pair_hash` of what is measured; empty where free responses are ranked.
        prompts: `prompt_hash` of the same, in the same order.
        source_hash: of the measured file, for models that do not name their pairs.
    """
    if fitted is None:
        return None
    own = np.isin(pairs, fitted.pairs)
    near = np.isin(prompts, fitted.prompts)
    found = Taint(
        model=model,
        measured=len(prompts),
        pairs=int(own.sum()),
        prompts=int((near & ~own).sum()) if len(pairs) else int(near.sum()),
        heldout=fitted.heldout,
        source=fitted.source,
        same_file=bool(not len(fitted.pairs) and source_hash and source_hash == fitted.source_hash),
    )
    return found if found.pairs or found.prompts or found.heldout or found.same_file else None
