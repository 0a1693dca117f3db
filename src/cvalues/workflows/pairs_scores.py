"""Tables on reward models: accuracy beside the shortcuts, by group, calibration, and paired comparison."""

from __future__ import annotations

from collections.abc import Sequence

from cvalues.pairs.words import named, say
from cvalues.schema import Cell, Estimate, Table
from cvalues.scoring.pairs import Group, PairEvaluation
from cvalues.stats.paired import PairedDifference, holm
from cvalues.taxonomy import Taxonomy, builtin
from cvalues.workflows.pairs_tables import columns

Compared = Sequence[tuple[str, str, PairedDifference]]


def evaluation_tables(
    models: Sequence[PairEvaluation], asked: int, comparisons: Compared, *, reference: bool, language: str
) -> list[Table]:
    """Returns accuracy, accuracy by group, calibration of those whose scores are logits, and the comparisons.

    Args:
        models: the models that were asked for, then the shortcuts.
        asked: how many were asked for.
        comparisons: (first, other, difference) of every two that were compared.
        reference: whether the pairs are the public test split, on which a public figure exists.
        language: `zh` or `en`.
    """
    tables = [accuracy_table(models, language, reference=reference), group_table(models, language)]
    tables += [calibration_table(model, language) for model in models[:asked] if model.bins]
    if comparisons:
        tables.append(comparison_table(comparisons, language))
    return tables


def shown(model: str, language: str) -> str:
    """Returns a model's name for a table: the file's name alone for a path, a shortcut by what it does."""
    kind, _, rest = model.partition(":")
    if kind == "baseline":
        return (
            f"{model} ({named('shortcut', rest, language)})"
            if language == "en"
            else f"{model}（{named('shortcut', rest, language)}）"
        )
    return model.replace("\\", "/").rsplit("/", 1)[-1] if model.endswith(".npz") else model


def _short(model: str, language: str) -> str:
    """Returns a model's name as a narrow head of a column."""
    kind, _, rest = model.partition(":")
    return named("shortcut", rest, language) if kind == "baseline" else shown(model, language)


def accuracy_table(models: Sequence[PairEvaluation], language: str, *, reference: bool) -> Table:
    """Returns one row per model: accuracy on all pairs, ties, calibration error, length bias, pairs."""
    rows: list[tuple[Cell, ...]] = []
    for model in models:
        overall = model.overall
        ties = None if not overall.accuracy.n else round(100 * overall.ties / overall.accuracy.n, 1)
        ece = None if model.ece is None else round(100 * model.ece, 1)
        rows.append(
            (shown(model.model, language), overall.accuracy, ties, ece, _rho(model.length_bias), overall.accuracy.n)
        )
    notes = [say("note.ties_half", language)]
    if any(model.model.endswith(".npz") for model in models):
        notes.append(say("note.embedded", language))
    if reference:
        notes.append(say("note.reference", language))
    return Table(
        title=say("title.accuracy", language),
        columns=columns(language, "model", "accuracy", "ties", "ece", "bias", "pairs"),
        rows=tuple(rows),
        notes=tuple(notes),
    )


def _rho(estimate: Estimate) -> str | None:
    if estimate.value is None:
        return None
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.2f}"
    return f"{estimate.value:.2f} [{estimate.low:.2f}, {estimate.high:.2f}]"


def group_table(models: Sequence[PairEvaluation], language: str, taxonomy: Taxonomy | None = None) -> Table:
    """Returns one row per type, category and range of length difference: pairs, and the accuracy of every model."""
    chosen = taxonomy or builtin()
    rows: list[tuple[Cell, ...]] = []
    for place, group in enumerate(models[0].groups):
        if group.by == "all":
            continue
        found = [_same(model, group, place) for model in models]
        cells: list[Cell] = [entry.accuracy if entry is not None else None for entry in found]
        rows.append((say(f"group.{group.by}", language), _value(group, chosen, language), group.accuracy.n, *cells))
    names = tuple(_short(model.model, language) for model in models)
    head = columns(language, "group", "value", "pairs")
    return Table(title=say("title.groups", language), columns=(*head, *names), rows=tuple(rows))


def _same(model: PairEvaluation, group: Group, place: int) -> Group | None:
    if place < len(model.groups) and (model.groups[place].by, model.groups[place].value) == (group.by, group.value):
        return model.groups[place]
    return next((entry for entry in model.groups if (entry.by, entry.value) == (group.by, group.value)), None)


def _value(group: Group, taxonomy: Taxonomy, language: str) -> str:
    if group.by == "type":
        return named("type", group.value, language)
    if group.by == "category":
        return taxonomy.name(group.value, language) if group.value else "—"
    return group.value


def calibration_table(model: PairEvaluation, language: str) -> Table:
    """Returns one row per bin of sureness: pairs, how many should be right, how many are."""
    rows: list[tuple[Cell, ...]] = [
        (f"{100 * entry.low:.0f}–{100 * entry.high:.0f} %", entry.pairs, round(100 * entry.expected, 1), entry.right)
        for entry in model.bins
    ]
    return Table(
        title=f"{say('title.calibration', language)} · {shown(model.model, language)}",
        columns=columns(language, "sureness", "pairs", "expected", "right"),
        rows=tuple(rows),
        notes=(say("note.calibration", language),),
    )


def comparison_table(comparisons: Compared, language: str) -> Table:
    """Returns one row per comparison: difference of accuracies, p value of the sign-flip test after Holm, prompts won, lost and even."""
    rows: list[tuple[Cell, ...]] = []
    adjusted = iter(holm([test.p for _, _, test in comparisons if test.p is not None]))
    for first, other, test in comparisons:
        value = None if test.p is None else next(adjusted)
        p = None if value is None else "< 0.0001" if value < 1e-4 else f"{value:.4f}"
        wins = f"{test.wins}/{test.losses}/{test.ties}"
        rows.append((f"{shown(first, language)} − {shown(other, language)}", test.difference, p, wins))
    return Table(
        title=say("title.compare", language),
        columns=columns(language, "contrast", "difference", "p", "wins"),
        rows=tuple(rows),
    )
