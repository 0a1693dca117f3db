"""Training as a step of a round: the guard before it, its metrics in the study."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from cvalues.errors import UsageError
from cvalues.hardening.examples import Example, guard
from cvalues.hardening.words import say
from cvalues.records import now
from cvalues.schema import Audit, Table
from cvalues.study import Study
from cvalues.tuning import TuningSettings, TuningSummary, read_rows, tune
from cvalues.workflows.harden import note_step
from cvalues.workflows.harden_data import held_texts


class TrainedRound(NamedTuple):
    """A finished training."""

    round: str
    summary: dict[str, Any]

    def table(self, language: str) -> Table:
        """Returns what the training did in a table."""
        names = ("rows", "steps", "first_loss", "last_loss", "parameters", "trained", "seconds", "device", "resumed")
        rows = tuple((say(f"train.{name}", language), self.summary.get(name)) for name in names)
        columns = (say("column.what", language), say("column.count", language))
        return Table(title=say("train.title", language), columns=columns, rows=rows)


def train_round(
    places: tuple[Path, Path, Path],
    settings: TuningSettings,
    study: Study,
    *,
    name: str = "",
    held: Sequence[str] = (),
    allow_heldout: bool = False,
) -> TrainedRound:
    """Trains weights on a file whose prompts nobody is measured on, and keeps the metrics as a step of a round.

    Args:
        places: the data, the folder of the model, the folder to write.
        settings: of the training.
        study: where metrics are kept.
        name: of the round.
        held: sets whose held-back prompts are refused, beside those of the starter set.
        allow_heldout: train on them all the same; the study remembers it.

    Raises:
        UsageError: a prompt is held back or nearly so, or the model cannot be loaded.
        DataError: the data cannot be used.
        MissingExtra: the extra `train` is not installed.
    """
    data, model, out = places
    rows = read_rows(data, settings.method)
    first = rows[0].completion or rows[0].chosen
    prompts = list(dict.fromkeys(row.prompt for row in rows))
    found = guard(
        (Example(prompt=text, answer=first, category="", origin="pack") for text in prompts), held_texts(study, held)
    )
    if found.refused and not allow_heldout:
        shown = found.refused[0][0].prompt[:40]
        raise UsageError(
            f"{data}: {len(found.refused)} prompts are held back for measuring, or nearly so, for example «{shown}»; write the file with "
            "cvalues harden export  or  cvalues pairs export, or force it with --allow-heldout (the study remembers it)"
        )
    summary: TuningSummary = tune(data, model, out, settings)
    if found.refused:
        detail = {"file": data.name, "hash": summary.data_hash, "prompts": len(found.refused)}
        study.note(Audit(verb="train-heldout", object=out.name, detail=detail, time=now()))
    plain: dict[str, Any] = {field: msgspec.to_builtins(getattr(summary, field)) for field in summary.__struct_fields__}
    return TrainedRound(note_step(study, "train", name, plain), plain)
