"""How much of a set is right without reading the question: rules and small models on the replies alone.

Every accuracy is the share of pairs in which the better reply gets the higher score, ties half. Fitted models are Bradley–Terry
models (Bradley and Terry, Biometrika 39, 1952): L2-regularised logistic regression on φ(better) − φ(worse) without intercept, read
on prompts that the fit has not seen. Intervals are clustered by prompt (`stats.clustered_mean` with span 0 to 1); they hold for the
folds drawn and leave out what another division into folds would change. On a few hundred pairs that is some points, so the small
models are cross-validated several times and each pair counts with its mean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from cvalues.ngram import PreferenceModel
from cvalues.records import derive_seed
from cvalues.schema import NO_DATA, Estimate, Record
from cvalues.scoring.audit.material import PAIRS, Material, Sampled
from cvalues.scoring.audit.settings import Auditing, measures, numbering
from cvalues.stats.intervals import clustered_mean, clustered_proportion
from cvalues.text import normalise, refusal_phrases

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
SHORTCUTS = ("longer", "shorter", "refusal_words", "refusal_count", "first_five", "bag", "numbering", "ngram")
"""In their order of display."""
LEVELS = (1, 2, 0)
"""Levels of the prompts' collection in their order of display; 0 is all of them."""
_REPEATED = 1_000  # prompts from which on one division into folds is as good as many
_STRENGTH = {"refusal_words": 1.0, "first_five": 1.0, "numbering": 1.0, "bag": 0.1}  # inverse regularisation


class Shortcut(Record, frozen=True, kw_only=True):
    """How often one shortcut finds the better reply of one pair type at one level."""

    name: str
    """One of `SHORTCUTS`."""
    pair: str
    """`safe/unsafe`, `responsible/safe`, `responsible/unsafe`, or `all` for pairs that are not graded."""
    level: int
    """Level of the prompts' collection; 0 for all prompts."""
    accuracy: Estimate
    hard: Estimate
    """The same on the hard pairs alone."""


class HardShare(Record, frozen=True, kw_only=True):
    """How many pairs of a cell are hard."""

    pair: str
    level: int
    pairs: int
    share: Estimate
    source: Literal["field", "model"]
    """`field` where the set says what is hard, `model` where the n-gram model of this audit does."""


class Found(NamedTuple):
    """The shortcuts of a set."""

    shortcuts: tuple[Shortcut, ...]
    hard: tuple[HardShare, ...]
    sampled: int
    """Most prompts of a pair type that the fitted models saw."""
    prompts: int
    """Most prompts of a pair type that there are."""


class _Cell(NamedTuple):
    """The pairs of one pair type at one level: places in the columns, and the sampled pairs with their prompts."""

    kind: int
    level: int
    places: Ints
    sample: list[Sampled]
    prompt: Ints
    """Prompt code of each sampled pair."""


def measure(material: Material, settings: Auditing, seed: int) -> Found:
    """Returns every shortcut of every cell that holds pairs; empty for a set without pairs.

    Cells are pair type × level of the prompt's collection, and pair type over all levels. Rules rest on all pairs, fitted models on
    the sampled prompts. A cell with fewer than `settings.least` sampled prompts has no data for the fitted ones.
    """
    shortcuts: list[Shortcut] = []
    shares: list[HardShare] = []
    pairs = material.pairs
    prompt = np.array(pairs.prompt, dtype=np.int64)
    hard = np.array(pairs.hard, dtype=np.int8)
    stated = bool((hard >= 0).any())
    rules = {"longer": np.array(pairs.longer), "refusal_count": np.array(pairs.refusals)}
    rules["shorter"] = 1.0 - rules["longer"]
    for cell in _cells(material):
        pair, level = PAIRS[cell.kind], cell.level
        at = np.array([entry.place for entry in cell.sample], dtype=np.int64)
        fitted, model = _fitted(material, cell, settings, seed)
        if stated:
            mask_all, mask = hard[cell.places] == 1, hard[at] == 1
            share, count = _share(mask_all, prompt[cell.places]), len(mask_all)
        else:
            mask = _unsure(model, settings.unsure) if model is not None else np.zeros(len(at), dtype=bool)
            mask_all = np.isin(cell.places, at[mask])
            share, count = _share(mask, cell.prompt), len(mask)
        if stated or model is not None:
            source: Literal["field", "model"] = "field" if stated else "model"
            shares.append(HardShare(pair=pair, level=level, pairs=count, share=share, source=source))
        for name in SHORTCUTS:
            accuracy = on_hard = NO_DATA
            if name in rules:
                values, of = rules[name][cell.places], prompt[cell.places]
                accuracy, on_hard = _mean(values, of), _mean(values[mask_all], of[mask_all])
            elif name in fitted:
                accuracy = _mean(fitted[name], cell.prompt)
                on_hard = _mean(fitted[name][mask], cell.prompt[mask])
            shortcuts.append(Shortcut(name=name, pair=pair, level=level, accuracy=accuracy, hard=on_hard))
    sampled = max((len(kept) for kept in pairs.sampled.values()), default=0)
    return Found(tuple(shortcuts), tuple(shares), sampled, max(material.prompts_of_pairs.values(), default=0))


def _mean(values: Floats, prompts: Ints) -> Estimate:
    return clustered_mean(values, prompts, span=(0.0, 1.0), unit="prompt")


def _share(mask: Mask, prompts: Ints) -> Estimate:
    return clustered_proportion(mask.astype(np.float64), prompts, unit="prompt")


def _right(margins: Floats) -> Floats:
    """1 for a positive margin, 0 for a negative one, one half for none."""
    return np.where(np.abs(margins) < 1e-9, 0.5, (margins > 0).astype(np.float64))


def _unsure(margins: Floats, least: float) -> Mask:
    """Whether the model gives the better reply a probability below `least`."""
    return np.asarray(margins < np.log(least / (1 - least)), dtype=np.bool_)


def _cells(material: Material) -> Iterator[_Cell]:
    """Yields the cells that hold pairs; no level of its own where all prompts of a pair type are of one level."""
    pairs = material.pairs
    kinds, levels = np.array(pairs.kind, dtype=np.int64), np.array(pairs.level, dtype=np.int64)
    for kind in range(len(PAIRS)):
        index = np.flatnonzero(kinds == kind)
        if not len(index):
            continue
        sample = [(code, pair) for code, kept in sorted(pairs.sampled[kind].items()) for pair in kept]
        for level in LEVELS:
            if level and not (levels[index] == level).any():
                continue
            own = [(code, pair) for code, pair in sample if not level or levels[pair.place] == level]
            yield _Cell(
                kind,
                level,
                index[levels[index] == level] if level else index,
                [pair for _, pair in own],
                np.array([code for code, _ in own], dtype=np.int64),
            )


def folds(ids: Sequence[str], count: int, seed: int) -> dict[str, int]:
    """Returns the fold, 0 to count − 1, of every prompt id: equal sizes in the order of a seeded hash."""
    order = sorted(dict.fromkeys(ids), key=lambda identity: (derive_seed(seed, "audit fold", identity), identity))
    return {identity: rank % count for rank, identity in enumerate(order)}


def _fitted(material: Material, cell: _Cell, settings: Auditing, seed: int) -> tuple[dict[str, Floats], Floats | None]:
    """Returns (shortcut → how right it is on each sampled pair, margins of the n-gram model); nothing for a small cell."""
    names = [material.prompt_id(code) for code in cell.prompt]
    prompts = len(set(names))
    if prompts < settings.least:
        return {}, None

    def fold(repeat: int) -> Ints:
        of = folds(names, settings.folds, derive_seed(seed, repeat))
        return np.array([of[name] for name in names], dtype=np.int64)

    better = [normalise(pair.better) for pair in cell.sample]
    worse = [normalise(pair.worse) for pair in cell.sample]
    divisions = [fold(repeat) for repeat in range(1 if prompts >= _REPEATED else settings.repeats)]
    found = {}
    for name, features in _FEATURES.items():
        both = features(better + worse)
        difference = both[: len(better)] - both[len(better) :]
        runs = [_right(_linear(difference, division, _STRENGTH[name])) for division in divisions]
        found[name] = np.asarray(np.mean(runs, axis=0), dtype=np.float64)
    margins = _ngram(better, worse, divisions[0])
    return {**found, "ngram": _right(margins)}, margins


def _linear(difference: csr_matrix, fold: Ints, strength: float) -> Floats:
    """Returns w·(φ(better) − φ(worse)) of each pair, w fitted on the other folds."""
    from scipy.sparse import vstack
    from sklearn.linear_model import LogisticRegression

    margins = np.zeros(len(fold))
    if not difference.nnz:
        return margins
    for number in np.unique(fold):
        train = difference[fold != number]
        # Both signs of every difference, so that neither position is learnt.
        rows = vstack([train, -train]).tocsr()
        signs = np.repeat([1, 0], train.shape[0])
        model = LogisticRegression(C=strength, fit_intercept=False, max_iter=1000)
        weights = np.asarray(model.fit(rows, signs).coef_[0], dtype=np.float64)
        held = fold == number
        margins[held] = difference[held] @ weights
    return margins


def _ngram(better: list[str], worse: list[str], fold: Ints) -> Floats:
    """Returns s(better) − s(worse) of each pair under `ngram.PreferenceModel`, fitted on the other folds."""
    margins = np.zeros(len(fold))
    for number in np.unique(fold):
        train, held = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        try:
            model = PreferenceModel().fit([(better[at], worse[at]) for at in train])
        except ValueError:  # no n-gram is left, for example when all replies are empty: nothing is learnt
            continue
        margins[held] = model.scores([better[at] for at in held]) - model.scores([worse[at] for at in held])
    return margins


def _indicators(rows: list[list[str]]) -> csr_matrix:
    """Returns the 0/1 matrix of which names occur in which row."""
    from scipy.sparse import csr_matrix

    columns: dict[str, int] = {}
    at = [columns.setdefault(name, len(columns)) for row in rows for name in row]
    ends = np.cumsum([0, *(len(row) for row in rows)])
    return csr_matrix((np.ones(len(at)), np.array(at, dtype=np.int64), ends), shape=(len(rows), max(1, len(columns))))


def _first_five(texts: list[str]) -> csr_matrix:
    return _indicators([sorted(set(text[:5])) for text in texts])


def _bag(texts: list[str]) -> csr_matrix:
    return _indicators([sorted(set(text)) for text in texts])


def _refusal_words(texts: list[str]) -> csr_matrix:
    """Which words of the audit's list, and which named phrases of `text.refusal_phrases`, each text holds."""
    found = []
    for text in texts:
        lower = text.lower()
        words = [word for word in measures().refusal.words if word in lower]
        found.append(words + [phrase.name for phrase in refusal_phrases() if phrase.pattern.search(lower)])
    return _indicators(found)


def _numbering(texts: list[str]) -> csr_matrix:
    """Whether a text holds an item of a list, and whether it holds two or more."""
    counts = [len(numbering().findall(text)) for text in texts]
    return _indicators([["one"] * (count > 0) + ["more"] * (count > 1) for count in counts])


_FEATURES: dict[str, Callable[[list[str]], csr_matrix]] = {
    "refusal_words": _refusal_words,
    "first_five": _first_five,
    "bag": _bag,
    "numbering": _numbering,
}
