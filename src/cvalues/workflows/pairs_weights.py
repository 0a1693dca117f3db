"""A reward model of transformers from a set or file of pairs: which pairs, the training, and what the study must remember."""

from __future__ import annotations

from pathlib import Path

from cvalues.training import RewardTraining, TrainedReward, train_reward
from cvalues.workflows.pairs import TrainSettings, remember_heldout, training_pairs


def train_weights(
    source: str | Path,
    out: Path,
    which: TrainSettings | None = None,
    how: RewardTraining | None = None,
    *,
    study: str | Path = "study.db",
) -> tuple[TrainedReward, int]:
    """Fits a reward model on the pairs of a set or file and returns (what came of it, pairs of the split before sampling).

    Raises:
        UsageError: there is no pair of the split, it is held back and that is not allowed, or the model cannot be trained.
        DataError: the source cannot be read or the folder not written.
        MissingExtra: TRL is not installed.
    """
    kept, seen, heldout = training_pairs(source, which or TrainSettings())
    done = train_reward(kept, out, how, source=Path(source).name)
    if heldout:
        remember_heldout(study, Path(source).name, {"file": out.name, "revision": done.identity, "pairs": heldout})
    return done, seen
