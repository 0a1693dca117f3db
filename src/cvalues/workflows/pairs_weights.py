"""A reward model of transformers from a set or file of pairs: which pairs, the training, and what the study must remember."""

from __future__ import annotations

from pathlib import Path

from cvalues.pairs.fitted import fitted_on
from cvalues.training import RewardTraining, TrainedReward, train_reward
from cvalues.workflows.pairs import Drawn, TrainSettings, draw, remember_heldout
from cvalues.workflows.pairs_taint import hash_of


def train_weights(
    source: str | Path,
    out: Path,
    which: TrainSettings | None = None,
    how: RewardTraining | None = None,
    *,
    study: str | Path = "study.db",
    quarantine: Path | None = None,
) -> tuple[TrainedReward, Drawn]:
    """Fits a reward model on the pairs of a set or file and returns (what came of it, the pairs and the pass over their source).

    Raises:
        UsageError: there is no pair of the split, it is held back and that is not allowed, or the model cannot be trained.
        DataError: the source cannot be read or the folder not written.
        MissingExtra: TRL is not installed.
    """
    drawn = draw(source, which or TrainSettings(), quarantine=quarantine)
    name = Path(source).name
    fitted = fitted_on(drawn.pairs, source=name, source_hash=hash_of(source))
    done = train_reward(drawn.pairs, out, how, fitted=fitted)
    if drawn.heldout:
        remember_heldout(study, name, {"file": out.name, "revision": done.identity, "pairs": drawn.heldout})
    return done, drawn
