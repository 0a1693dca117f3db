"""Reward models on pairs: fit the embedded one, measure any, and show all of it on the starter set."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from cvalues.datasets.registry import cached_path, known_sets
from cvalues.endpoints.resolve import ModelEntry, reward_place
from cvalues.errors import UsageError
from cvalues.pairs.build import build
from cvalues.pairs.embedded import EmbeddedReward, RewardCard, cuts
from cvalues.pairs.fitted import HELDOUT, Fitted, Taint, fitted_on, taint
from cvalues.pairs.gather import judged_of
from cvalues.pairs.pair import ORDER, Pair, encode_row, full_row
from cvalues.pairs.scan import Scan, ScanSettings
from cvalues.pairs.shortcuts import SHORTCUTS, scores
from cvalues.pairs.taints import notes
from cvalues.records import derive_seed, now, write_atomically
from cvalues.schema import Audit, Grade, Record, Table
from cvalues.scoring.pairs import Facets, PairEvaluation, compare, evaluate
from cvalues.stats.paired import PairedDifference
from cvalues.study import Study, open_study
from cvalues.workflows.pairs_files import aside
from cvalues.workflows.pairs_judge import RATER, calls_for, margins_by_calls, margins_by_verdicts
from cvalues.workflows.pairs_scores import evaluation_tables
from cvalues.workflows.pairs_taint import fitted_of, hash_of

Floats = npt.NDArray[np.float64]
BESIDE = ("longer", "shorter", "refusal-words")
"""Shortcuts that stand beside every reward model."""
_CHUNK = 1_000
_REFERENCE = ("cvalues-comparison", "test")


class TrainSettings(Record, frozen=True, kw_only=True):
    """Settings of a fit."""

    sample: int = 5_000
    """Most pairs that are fitted on: whole prompts with the smallest seeded hash."""
    seed: int = 0
    strength: float = 10.0
    """Inverse of the L2 regularisation."""
    split: str = "train"
    """Split of the source to fit on; rows that name no split count as it."""
    allow_heldout: bool = False
    """Fit on held-back pairs too; the study and the model's card remember it."""


class Trained(NamedTuple):
    """A reward model and its file."""

    model: EmbeddedReward
    path: Path
    pairs: int
    seen: int
    """Pairs of the split, before sampling."""
    scan: Scan
    """The pass over the source: its rows that were set aside."""


class Evaluated(NamedTuple):
    """Reward models on one file of pairs, with the shortcuts behind them."""

    models: list[PairEvaluation]
    """Those that were asked for, in their order, then the shortcuts."""
    asked: int
    """How many of `models` were asked for."""
    comparisons: list[tuple[str, str, PairedDifference]]
    """The first model against each other one."""
    pairs: int
    split: str
    reference: bool
    """Whether this is the public test split, on which a public figure exists."""
    failed: int
    """Calls that failed for good."""
    taints: tuple[Taint, ...]
    """Models that were fitted on what they are measured on, or on held-back pairs."""
    scan: Scan
    """The pass over the source: its rows that were set aside."""

    def tables(self, language: str) -> list[Table]:
        """Returns the tables, in `zh` or `en`; the accuracies carry a warning where a model was fitted on what was measured."""
        first, *others = evaluation_tables(
            self.models, self.asked, self.comparisons, reference=self.reference, language=language
        )
        told = (*notes(self.taints, language), *first.notes)
        return [msgspec.structs.replace(first, notes=told), *others]


def train(
    source: str | Path,
    out: Path,
    settings: TrainSettings | None = None,
    *,
    study: str | Path = "study.db",
    quarantine: Path | None = None,
) -> Trained:
    """Fits the embedded reward model on the pairs of a set or file and writes it; rows with faults go to `quarantine`.

    Raises:
        UsageError: there is no pair of the split, or it is held back and that is not allowed.
        DataError: the source cannot be read or the model not written.
    """
    chosen = settings or TrainSettings()
    drawn = draw(source, chosen, quarantine=quarantine)
    path = Path(source)
    card = RewardCard(
        strength=chosen.strength,
        pairs=len(drawn.pairs),
        source=path.name,
        source_hash=hash_of(source),
        heldout=drawn.heldout,
        licences=tuple(sorted({pair.licence for pair in drawn.pairs if pair.licence})),
    )
    model = fit(drawn.pairs, card)
    model.save(out)
    if drawn.heldout:
        remember_heldout(study, path.name, {"file": out.name, "revision": model.revision, "pairs": drawn.heldout})
    return Trained(model, out, len(drawn.pairs), drawn.seen, drawn.scan)


class Drawn(NamedTuple):
    """The pairs to fit on, and what the pass over their source found."""

    pairs: list[Pair]
    seen: int
    """Pairs of the split, before sampling."""
    heldout: int
    """Held-back pairs among those to fit on."""
    scan: Scan


def training_pairs(source: str | Path, settings: TrainSettings) -> tuple[list[Pair], int, int]:
    """Returns (the pairs to fit on, how many the split has, how many of the fitted are held back); `draw` in short."""
    return draw(source, settings)[:3]


def draw(source: str | Path, settings: TrainSettings, *, quarantine: Path | None = None) -> Drawn:
    """Returns the pairs to fit on, the same in any order of rows; rows with faults go to `quarantine`.

    Raises:
        UsageError: there is no pair of the split, or it is held back and that is not allowed.
        DataError: the source cannot be read.
    """
    if settings.split in {HELDOUT, "test", "all"} and not settings.allow_heldout:
        raise UsageError(
            f"--split {settings.split} holds pairs that are held back for testing; a model fitted on them cannot be measured on them. "
            "Choose --split train, or force it with --allow-heldout (the study remembers it)"
        )
    with aside(quarantine) as rows:
        scan = Scan(source, ScanSettings(numbering="keep"), quarantine=rows)
        kept, seen = _drawn(scan.pairs(), settings)
    if not kept:
        raise UsageError(f"'{source}' holds no pairs of split '{settings.split}'; see  cvalues pairs audit {source}")
    return Drawn(kept, seen, sum(pair.split == HELDOUT for pair in kept), scan)


def remember_heldout(study: str | Path, source: str, detail: dict[str, Any]) -> None:
    """Notes in the study that a model was fitted on held-back pairs of a source."""
    with open_study(study) as opened:
        opened.note(Audit(verb="train-heldout", object=source, detail=detail, time=now()))


def fit(pairs: Sequence[Pair], card: RewardCard) -> EmbeddedReward:
    """Returns a reward model fitted on pairs; where they are graded its card gets the cuts between the grades.

    Raises:
        ValueError: there is no pair.
    """
    model = EmbeddedReward(card)
    model.fitted = fitted_on(pairs, source=card.source, source_hash=card.source_hash)
    model.fit([(pair.better.text, pair.worse.text) for pair in pairs])
    graded: dict[str, Grade] = {}
    for pair in pairs:
        for reply in (pair.better, pair.worse):
            if reply.grade is not None:
                graded[reply.text] = reply.grade
    texts = list(graded)
    found = cuts(model.scores(texts).tolist(), [graded[text] for text in texts]) if texts else ()
    model.card = msgspec.structs.replace(card, cuts=found)
    return model


def _drawn(pairs: Iterable[Pair], settings: TrainSettings) -> tuple[list[Pair], int]:
    """Returns (the pairs to fit on, how many there were); the same in any order of rows."""
    heap: list[tuple[int, str, Pair]] = []
    seen = 0
    for pair in pairs:
        if (
            pair.split
            and settings.split not in {"all", pair.split}
            and not (settings.split == "test" and pair.split == HELDOUT)
        ):
            continue
        seen += 1
        entry = (-derive_seed("train", settings.seed, pair.prompt_id), pair.id, pair)
        if len(heap) < settings.sample:
            heapq.heappush(heap, entry)
        elif entry[:2] > heap[0][:2]:
            heapq.heapreplace(heap, entry)
    kept = [pair for _, _, pair in sorted(heap, key=lambda entry: entry[1])]
    return kept, seen


class Measuring(Record, frozen=True, kw_only=True):
    """Settings of a measurement."""

    split: str = ""
    """Split to measure on; the held-back pairs where there are any, else all, when empty."""
    seed: int = 0
    """Of the sign-flip test."""
    quarantine: Path | None = None
    """File for the rows of the source with faults."""


def evaluate_models(
    specs: Sequence[str],
    source: str | Path,
    settings: Measuring | None = None,
    *,
    study: Study | None = None,
    entries: Mapping[str, ModelEntry] | None = None,
) -> Evaluated:
    """Measures reward models on the pairs of a set or file, each beside the shortcuts.

    A model that was fitted on some of the pairs, on their prompts, or on held-back pairs of any set is named in `taints`.

    Args:
        specs: files of `cvalues pairs train`, `reward:…`, `judge:MODEL`, `rater:NAME`, or `baseline:` and a shortcut.
        source: a set or a file of pairs; reply texts are streamed where no model has to be called.
        settings: which split, and where rows with faults go.
        study: where calls are kept; needed for servers and judges.
        entries: models of models.toml.

    Raises:
        UsageError: a model does not exist or cannot score, or there is no pair of the split.
        DataError: the source or a model file cannot be read.
    """
    chosen = settings or Measuring()
    names = [*specs, *(f"baseline:{name}" for name in BESIDE if f"baseline:{name}" not in specs)]
    local = {name: scorer for name in names if (scorer := local_scorer(name)) is not None}
    fitted = {name: scorer.model.fitted for name, scorer in local.items() if scorer.model is not None}
    splits: list[str] = []
    columns: dict[str, list[Floats]] = {name: [] for name in local}
    with aside(chosen.quarantine) as rows:
        scan = Scan(source, quarantine=rows)
        for chunk in _chunks(scan.pairs()):
            splits += [pair.split for pair in chunk]
            for name, scorer in local.items():
                columns[name].append(scorer.margins(chunk))
    wanted = _wanted(chosen.split, splits)
    mask = np.array([wanted == "all" or not own or own == wanted for own in splits], dtype=bool)
    if not mask.any():
        raise UsageError(f"'{source}' holds no pairs of split '{wanted}'; see  cvalues pairs audit {source}")
    of = _facets(scan, mask)
    margins = {name: np.concatenate(found)[mask] for name, found in columns.items()}
    failed = 0
    for name in names:
        if name not in margins:
            if study is None:
                raise UsageError(f"'{name}' has to be called, and calls are kept in a study; name one with --study")
            pairs = [pair for place, pair in scan.again() if mask[place]]
            if name.startswith(RATER):
                margins[name] = margins_by_verdicts(name.removeprefix(RATER), pairs, study)
                continue
            plan = calls_for(name, pairs, entries or {}, str(source))
            own = fitted_of(next(iter(plan.endpoints.values())))
            if own is not None:
                fitted[name] = own
            margins[name], lost = margins_by_calls(plan, pairs, study)
            failed += lost
    results = [evaluate(name, margins[name], of, logits=_logits(name)) for name in names]
    comparisons = [
        (names[0], other, compare(margins[names[0]], margins[other], of, seed=chosen.seed)) for other in names[1:]
    ]
    return Evaluated(
        results, len(specs), comparisons, int(mask.sum()), wanted, _is_reference(source), failed,
        _taints(fitted, scan, mask), scan,
    )  # fmt: skip


def _taints(fitted: Mapping[str, Fitted], scan: Scan, mask: npt.NDArray[np.bool_]) -> tuple[Taint, ...]:
    if not fitted:
        return ()
    pairs, prompts = (hashes[mask] for hashes in scan.hashes())
    source_hash = hash_of(scan.source)
    found = [taint(name, own, pairs, prompts, source_hash=source_hash) for name, own in fitted.items()]
    return tuple(one for one in found if one is not None)


def _wanted(split: str, splits: Sequence[str]) -> str:
    """Returns the split to measure on: as asked (`test` is `heldout`), else what is held back where anything is, else all."""
    return {"test": HELDOUT, "": HELDOUT if HELDOUT in splits else "all"}.get(split, split)


def _logits(name: str) -> bool:
    return not name.startswith(("baseline:", "judge:", "rater:"))


class LocalScorer(NamedTuple):
    """A reward model in this process: a shortcut's name, or the embedded model."""

    shortcut: str
    model: EmbeddedReward | None = None

    def scores(self, replies: Sequence[str]) -> Floats:
        """Returns the score of each reply."""
        return self.model.scores(replies) if self.model is not None else scores(self.shortcut, replies)

    def margins(self, pairs: Sequence[Pair]) -> Floats:
        """Returns score(better) − score(worse) of each pair."""
        both = self.scores([pair.better.text for pair in pairs] + [pair.worse.text for pair in pairs])
        return both[: len(pairs)] - both[len(pairs) :]


def local_scorer(spec: str) -> LocalScorer | None:
    """Returns what scores replies without a call: a shortcut, or the embedded model of a file; None for what must be called.

    A folder of weights is called like a server: its scores are kept in the study.

    Raises:
        UsageError: there is no such shortcut.
        DataError: the file is no reward model.
    """
    kind, colon, rest = spec.partition(":")
    if kind == "baseline" and rest in SHORTCUTS:
        return LocalScorer(rest)
    if kind == "baseline" and colon:
        raise UsageError(f"unknown shortcut '{rest}'; the shortcuts are {', '.join(SHORTCUTS)}")
    path = reward_place(rest)[1] if kind == "reward" and colon else spec if spec.endswith(".npz") else ""
    return LocalScorer("", EmbeddedReward.load(Path(path))) if path and not Path(path).is_dir() else None


def _chunks(pairs: Iterable[Pair]) -> Iterator[list[Pair]]:
    source = iter(pairs)
    while chunk := list(islice(source, _CHUNK)):
        yield chunk


def _facets(scan: Scan, mask: npt.NDArray[np.bool_]) -> Facets:
    places = np.flatnonzero(mask).tolist()
    clusters = scan.pair_clusters()
    return Facets(
        clusters=tuple(str(clusters[place]) for place in places),
        types=tuple(ORDER[scan.kind[place]] for place in places),
        categories=tuple(scan.categories[scan.category[place]] for place in places),
        lengths=tuple(scan.length[place] for place in places),
    )


def _is_reference(source: str | Path) -> bool:
    """Whether a source is the public test split: the known part by its name, or its file where the cache keeps it."""
    if str(source) == "/".join(_REFERENCE):
        return True
    known = next(entry for entry in known_sets() if entry.name == _REFERENCE[0])
    paths = [cached_path(known, file) for file in known.file if Path(file.name).stem == _REFERENCE[1]]
    return any(path.exists() and Path(source).exists() and path.samefile(source) for path in paths)


def pairs_demo(folder: Path, language: str = "zh") -> list[Table]:
    """Returns the tables of `measured_demo` in `zh` or `en`."""
    return measured_demo(folder).tables(language)


def measured_demo(folder: Path) -> Evaluated:
    """Builds pairs from the starter set, fits the embedded reward model on its train split and measures it on the held-out one.

    Writes `pairs/train.jsonl` and `pairs/reward.npz` to the folder; the held-back pairs are measured on and never written. The tables
    show the model beside the shortcuts. Takes seconds, calls nobody, and gives the same figures every time.

    Raises:
        DataError: the folder cannot be written.
    """
    place = folder / "pairs"
    built = build(judged_of("starter-choice/train"))
    path = write_atomically(
        place / "train.jsonl", lambda file: file.writelines(encode_row(full_row(pair)) for pair in built.pairs)
    )
    trained = train(path, place / "reward.npz", study=folder / "study.db")
    return evaluate_models([str(trained.path)], "starter-choice/heldout")
