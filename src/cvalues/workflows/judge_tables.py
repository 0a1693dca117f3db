"""Tables on judges, in Chinese and English: what they judged, their cards, agreement, corrected rates, and their measured error."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
import numpy as np

from cvalues.criteria import criterion
from cvalues.errors import NotEnoughData
from cvalues.judging.attack import AttackResult
from cvalues.judging.card import CategoryAgreement, Cut, JudgeCard, Value, family_of
from cvalues.schema import Cell, Estimate, Table
from cvalues.scoring.free import kind_of
from cvalues.scoring.preference import Duel
from cvalues.scoring.readers import ReaderError
from cvalues.stats import agreement
from cvalues.stats.coefficients import Weights
from cvalues.stats.ratings import rating_counts
from cvalues.stats.wording import method_text
from cvalues.study import Study
from cvalues.taxonomy import Taxonomy, builtin
from cvalues.workflows.calibrate import Corrected, Source, places, ratings, source
from cvalues.workflows.judge_calls import Judged
from cvalues.workflows.judge_words import columns, named, say
from cvalues.workflows.tables import number_text

Rows = list[tuple[Cell, ...]]
_PAIRWISE = 12
"""Most raters for which every pair is shown."""
_IN_POINTS = frozenset({"mae", "bias"})


def judged_table(results: Sequence[Judged], language: str = "en") -> Table:
    """Returns one row per judge and rubric: responses, verdicts, those that stood before, calls, and what the calls cost."""
    rows: Rows = []
    for entry in results:
        counts = (entry.subjects, entry.valid, entry.subjects - entry.valid, entry.before, entry.calls, entry.failed)
        cost = f"{entry.cost:.4f} {entry.currency}".strip() if entry.cost else None
        criteria_ = ", ".join(_criterion(name, language) for name in entry.criteria)
        rows.append((entry.rater, criteria_, *counts, entry.tokens_in, entry.tokens_out, cost))
    names = ("judge", "criterion", "responses", "verdicts", "no_verdict", "before", "calls", "failed")
    heads = columns(language, *names, "tokens_in", "tokens_out", "cost")
    return Table(title=say("title.judges", language), columns=heads, rows=tuple(rows))


def attack_table(found: Sequence[tuple[Judged, str, list[AttackResult]]], language: str = "en") -> Table:
    """Returns one row per judge, criterion and technique: attacks, how many could not or did raise the verdict or cost it, the rate."""
    rows = tuple(
        (
            entry.rater,
            _criterion(name, language),
            named("technique", result.technique or "all", language),
            result.attacks,
            result.ceiling,
            result.raised,
            result.withheld,
            result.success,
        )
        for entry, name, results in found
        for result in results
    )
    names = ("judge", "criterion", "technique", "attacks", "ceiling", "raised", "withheld", "success")
    notes = (say("note.ceiling", language),)
    return Table(title=say("title.attacks", language), columns=columns(language, *names), rows=rows, notes=notes)


def _criterion(name: str, language: str) -> str:
    return criterion(name).name(language) if language == "zh" else name


def _coefficient(name: str, estimate: Estimate) -> Cell:
    """The cell of a coefficient; errors in points are no shares."""
    return number_text(estimate) if name in _IN_POINTS else estimate


def _undefined(found: Iterable[tuple[str, Estimate]], language: str) -> list[str]:
    colon = "：" if language == "zh" else ": "
    return [
        f"{name}{colon}{method_text(estimate.method, language)}"
        for name, estimate in found
        if estimate.value is None and estimate.method
    ]


# --- cards --------------------------------------------------------------------------------------------------------------


def card_tables(card: JudgeCard, language: str = "en", taxonomy: Taxonomy | None = None) -> list[Table]:
    """Returns a card as tables: coefficients, the cuts, the confusion, and the same by category."""
    rows: Rows = [
        (say(f"coefficient.{name}", language), _coefficient(name, found)) for name, found in card.agreement.items()
    ]
    shown = {"rater": card.rater, "reference": card.reference, "criterion": _criterion(card.criterion, language)}
    notes = [say("note.clustered", language)]
    notes += _undefined(((say(f"coefficient.{key}", language), each) for key, each in card.agreement.items()), language)
    title = say("title.card", language, **shown, n=card.n, prompts=card.prompts)
    heads = columns(language, "coefficient", "estimate")
    tables = [Table(title=title, columns=heads, rows=tuple(rows), notes=tuple(notes))]
    if card.cuts:
        cuts = tuple(_cut(cut, language) for cut in card.cuts)
        heads = columns(language, "cut", *_CUT)
        tables.append(Table(title=say("title.cuts", language), columns=heads, rows=cuts))
    if card.labels:
        body = tuple(_confused(card.labels, card.confusion, language))
        tables.append(Table(title=say("title.confusion", language), columns=_labels(card, language), rows=body))
    return [*tables, *_by_category(card, language, taxonomy or builtin())]


_CUT = ("positives", "sensitivity", "negatives", "specificity")


def _cut(cut: Cut, language: str) -> tuple[Cell, ...]:
    counts = cut.counts
    positives, negatives = counts.true_positive + counts.false_negative, counts.true_negative + counts.false_positive
    return (named("label", cut.name, language), positives, cut.sensitivity, negatives, cut.specificity)


def _labels(card: JudgeCard, language: str) -> tuple[str, ...]:
    return (say("column.reference", language), *(f"«{named('label', label, language)}»" for label in card.labels))


def _confused(labels: Sequence[str], counts: Sequence[Sequence[int]], language: str) -> list[tuple[Cell, ...]]:
    return [(named("label", label, language), *row) for label, row in zip(labels, counts, strict=True)]


def _by_category(card: JudgeCard, language: str, taxonomy: Taxonomy) -> list[Table]:
    def titled(entry: CategoryAgreement) -> str:
        return taxonomy.name(entry.category, language) if language == "zh" else entry.category

    keys = list(card.agreement)
    rows: Rows = [
        (titled(entry), entry.n, entry.prompts, *(_coefficient(key, entry.agreement.get(key, _NONE)) for key in keys))
        for entry in card.categories
    ]
    heads = (*columns(language, "category", "n", "prompts"), *(say(f"coefficient.{key}", language) for key in keys))
    tables = [Table(title=say("title.categories", language), columns=heads, rows=tuple(rows))]
    cuts = tuple((titled(entry), *_cut(cut, language)) for entry in card.categories for cut in entry.cuts)
    if cuts:
        heads = columns(language, "category", "cut", *_CUT)
        tables.append(Table(title=say("title.category_cuts", language), columns=heads, rows=cuts))
    confused = [
        (titled(entry), *row)
        for entry in card.categories
        if entry.confusion
        for row in _confused(card.labels, entry.confusion, language)
        if any(row[1:])
    ]
    if confused:
        heads = (say("column.category", language), *_labels(card, language))
        tables.append(Table(title=say("title.category_confusion", language), columns=heads, rows=tuple(confused)))
    return tables


_NONE = Estimate(value=None)


def corrected_table(rows: Sequence[Corrected], language: str = "en") -> Table:
    """Returns the judge's rates beside the corrected ones."""
    body = tuple(
        (row.model, named("label", row.cut, language), row.judged, row.rogan_gladen, row.prediction_powered)
        for row in rows
    )
    bare = any(row.prediction_powered.value is None for row in rows)
    return Table(
        title=say("title.corrected", language),
        columns=columns(language, "model", "cut", "judged", "rogan_gladen", "powered"),
        rows=body,
        notes=(say("note.no_people", language),) if bare else (),
    )


# --- agreement ----------------------------------------------------------------------------------------------------------


def agreement_sources(study: Study, runs: Sequence[str], sources: Sequence[str], name: str) -> list[Source]:
    """Returns the sources that agreement is asked of, each rater apart; all raters when no source is named.

    Raises:
        UsageError: a source does not exist.
        NotEnoughData: fewer than two raters.
    """
    criterion(name)
    known = ratings(study, runs, name)
    found: dict[str, Source] = {}
    for spec in sources or (["*"] if known else []):
        each = source(spec, known, name)
        apart = [msgspec.structs.replace(each, name=rater, values=dict(known[rater])) for rater in each.raters]
        found |= {one.name: one for one in apart or [each]}
    if len(found) < 2:
        raise NotEnoughData(
            f"agreement needs two raters on criterion '{name}', here {len(found)}; name more sources or runs"
        )
    return list(found.values())


def agreement_table(
    study: Study, runs: Sequence[str], sources: Sequence[str], name: str, language: str = "en"
) -> list[Table]:
    """Returns the agreement of raters on one criterion: over all of them, and of every pair.

    Args:
        study: the study of the runs.
        runs: runs of free responses.
        sources: raters, patterns or files; a pattern stands for each rater that fits it. All raters when empty.
        name: the criterion.
        language: of titles, columns and labels.

    Raises:
        UsageError: a source does not exist.
        NotEnoughData: fewer than two raters.
    """
    scale = criterion(name)
    found = agreement_sources(study, runs, sources, name)
    where = places(study, runs)
    labels = {label: float(place) for place, label in enumerate(scale.values)}
    keys = list(dict.fromkeys(key for each in found for key in each.values))

    def number(value: Value | None) -> float:
        if value is None:
            return float("nan")
        return float(value) if scale.numeric else labels.setdefault(str(value), float(len(labels)))

    matrix = np.array([[number(each.values.get(key)) for each in found] for key in keys])
    prompts = [where[key].prompt if key in where else key for key in keys]
    counts = rating_counts(matrix)
    ordinal = scale.numeric or scale.scale == "ordinal"
    weights: Weights = "quadratic" if scale.numeric else "identity"
    coefficients = {
        "raw": agreement.raw_agreement(matrix, clusters=prompts),
        "alpha": agreement.krippendorff_alpha(matrix, level="ordinal" if ordinal else "nominal", clusters=prompts),
        "ac": agreement.gwet_ac(matrix, weights=weights, clusters=prompts),
    }
    if not scale.numeric:
        coefficients["kappa"] = agreement.fleiss_kappa(matrix, clusters=prompts)
    rows: Rows = [(say(f"coefficient.{key}", language), each) for key, each in coefficients.items()]
    if not scale.numeric:
        for label, code in labels.items():
            title = say("coefficient.prevalence", language, label=named("label", label, language))
            rows.append((title, agreement.prevalence(matrix, code, prompts)))
    shown = {"items": counts.items, "overlapping": counts.overlapping, "raters": counts.raters}
    notes = [say("note.overlap", language, **shown)]
    notes += _undefined(((str(row[0]), row[1]) for row in rows if isinstance(row[1], Estimate)), language)
    title = say("title.agreement", language, criterion=_criterion(name, language))
    heads = columns(language, "coefficient", "estimate")
    tables = [Table(title=title, columns=heads, rows=tuple(rows), notes=tuple(notes))]
    if len(found) <= _PAIRWISE:
        tables.append(_pairwise(matrix, [each.name for each in found], prompts, weights, language))
    return tables


def _pairwise(matrix: np.ndarray, raters: list[str], prompts: list[str], weights: Weights, language: str) -> Table:
    rows: Rows = []
    for first in range(len(raters)):
        for second in range(first + 1, len(raters)):
            pair = matrix[:, [first, second]]
            both = int((~np.isnan(pair)).all(axis=1).sum())
            if both:
                raw = agreement.raw_agreement(pair, clusters=prompts)
                kappa = agreement.cohen_kappa(pair, weights=weights, clusters=prompts)
                rows.append((raters[first], raters[second], both, raw, kappa))
    coefficients = tuple(say(f"coefficient.{name}", language) for name in ("raw", "kappa"))
    heads = (*columns(language, "rater", "rater_2", "responses"), *coefficients)
    return Table(title=say("title.pairs", language), columns=heads, rows=tuple(rows))


def duel_table(found: Sequence[Duel], language: str = "en") -> Table:
    """Returns one row per rater and pair of models: wins and ties, whether the orders agree, whether the rater looks at the place."""
    names = ("rater", "pair", "pairs", "wins", "ties", "losses", "consistent", "first", "position")
    rows: Rows = []
    for each in found:
        shares = (each.a_wins, each.ties, each.b_wins, each.consistent, each.first)
        rows.append((each.rater, f"{each.a} – {each.b}", each.pairs, *shares, say(f"position.{each.state}", language)))
    return Table(title=say("title.duels", language), columns=columns(language, *names), rows=tuple(rows))


# --- measured error -----------------------------------------------------------------------------------------------------


def error_table(errors: Sequence[ReaderError], raters: Iterable[str], language: str = "en") -> Table | None:
    """Returns how wrong readers are, one row per share and data set; None where people are the only raters.

    Args:
        errors: what is known of any reader (`workflows.free.known_errors`).
        raters: whose verdicts are shown; people are left out, and a reader of whom nothing is known has a note.
        language: of the words.
    """
    names = [rater for rater in dict.fromkeys(raters) if kind_of(rater) != "person"]
    rows: Rows = []
    notes = [say("note.errors", language)]
    for rater in names:
        own = [error for error in errors if error.rater == rater]
        own += [error for error in errors if error.stale and family_of(error.rater) == family_of(rater)]
        rows += [_error(error, language) for error in own]
        if not any(not error.stale for error in own):
            notes.append(say("note.unmeasured", language, rater=rater))
    if not names:
        return None
    heads = columns(language, "rater", "share", "against", "domain", "n", "accuracy", "sensitivity", "specificity")
    return Table(title=say("title.errors", language), columns=heads, rows=tuple(rows), notes=tuple(notes))


def _error(error: ReaderError, language: str) -> tuple[Cell, ...]:
    kind = "stale" if error.stale else "card" if error.from_card else "in" if error.in_domain else "out"
    told = (error.n, error.accuracy, error.sensitivity, error.specificity)
    measure = named("measure", error.measure, language)
    return (error.rater, measure, error.source, say(f"domain.{kind}", language), *told)
