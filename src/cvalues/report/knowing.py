"""The parts of the report that hold instruments against each other: telling and doing, raters, order check, preference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cvalues.judging.card import JudgeCard
from cvalues.report import charts
from cvalues.report.doing import DECISIONS, accuracy_of, keyed
from cvalues.report.facts import Facts
from cvalues.report.free import FreeFacts
from cvalues.report.parts import (
    Chart,
    Column,
    Fig,
    Grid,
    GridRow,
    Part,
    criterion_name,
    fig,
    number,
    plain,
    rater_name,
)
from cvalues.report.words import Words, visible
from cvalues.schema import NO_DATA, Estimate
from cvalues.scoring.order import LEAST, POINTS, PREFERRED, OrderCheck
from cvalues.scoring.preference import TOLERATED
from cvalues.scoring.readers import ReaderError
from cvalues.scoring.sources import SourceScore
from cvalues.scoring.telling import CELLS, Gap

__all__ = ["agreement", "duels", "order", "order_verdict", "sources", "telling"]

_WORST = 25
"""Cases of knowing but erring that the table lists; the reader's filter and telling.csv hold all."""


def telling(facts: Facts, w: Words) -> Part | None:
    """Returns the part on telling and doing; only its explanation where no prompt has both, None where neither could."""
    free = facts.free
    lead = [w("telling.lead")]
    if not free.told:
        return Part("telling", w("part.telling"), tuple(lead), (w("telling.missing"),)) if free.readings else None
    lead += [
        w("telling.by", level=level, rater=_with_error(free, each.measure, each.rater, w))
        for level, each in free.readings.items()
    ]
    grids = [_gaps(free, w), _cells(free, w), _category_gaps(free, w)]
    grids += [_worst(free, w)] if free.knows_but_errs else []
    grids += [_correlations(free, w)] if free.correlations else []
    links = []
    for level in sorted({each.level for each in free.knows_but_errs}):
        count = sum(each.level == level for each in free.knows_but_errs)
        text = w.level(level) + w("page.colon") + w("telling.list_link", n=w.count(count))
        links.append((text, f"free&case=errs{level}"))
    made = [_scatter(free, level, w) for level in sorted({gap.level for gap in free.gaps})]
    return Part("telling", w("part.telling"), tuple(lead), (), tuple(made), tuple(grids), tuple(links))


def _with_error(free: FreeFacts, measure: str, rater: str, w: Words) -> str:
    """Returns a rater's name with what is known of its error."""
    told = accuracy_of(free, measure, rater, w)
    return rater_name(rater, w) + (w("page.bracket", text=told) if told else "")


def _scatter(free: FreeFacts, level: int, w: Words) -> Chart:
    places = {row.model: str(place) for place, row in enumerate(free.board, 1)}
    dots = [
        charts.Dot(
            places[gap.model], gap.tells, gap.does,
            w("telling.tip", model=visible(gap.model), x=w.estimate(gap.tells), y=w.estimate(gap.does)),
            "baseline" if free.data.is_baseline(gap.model) else "",
        )
        for gap in free.gaps
        if gap.level == level
    ]  # fmt: skip
    head = w("telling.scatter", level=w.level(level))
    svg = charts.scatter(dots, title=head, desc=w("page.semicolon").join(dot.tip for dot in dots), diagonal=True)
    return Chart(svg, w("telling.x"), w("telling.y"), head, keyed(free))


def _named(free: FreeFacts, model: str) -> str:
    place = next((place for place, row in enumerate(free.board, 1) if row.model == model), 0)
    return f"{place} · {visible(model)}"


def _sorted(free: FreeFacts, found: list[Gap]) -> list[Gap]:
    places = {row.model: place for place, row in enumerate(free.board)}
    return sorted(found, key=lambda gap: (gap.level, places[gap.model]))


def _gaps(free: FreeFacts, w: Words) -> Grid:
    corrected = any(gap.corrected_gap.value is not None for gap in free.gaps)
    names = ["level", "tells", "does", "gap", "errs", *(["gap_corrected", "errs_corrected"] if corrected else [])]
    columns = [Column(w("page.model")), *(Column(w(f"telling.{name}")) for name in names), Column(w("does.prompts"))]
    rows = []
    for gap in _sorted(free, free.gaps):
        cells = [plain(w.level(gap.level)), fig(gap.tells, w)]
        extra = (
            w("does.corrected", value=w.estimate(gap.corrected_does)) if gap.corrected_does.value is not None else ""
        )
        cells += [fig(gap.does, w, extra=extra), fig(gap.gap, w, sign=True), fig(gap.knows_but_errs, w)]
        if corrected:
            cells += [fig(gap.corrected_gap, w, sign=True), fig(gap.corrected_knows_but_errs, w)]
        rows.append(
            GridRow(_named(free, gap.model), (*cells, number(gap.prompts, w)), free.data.is_baseline(gap.model))
        )
    return Grid(tuple(columns), tuple(rows))


def _cells(free: FreeFacts, w: Words) -> Grid:
    columns = [Column(w("page.model")), Column(w("telling.level")), *(Column(w(f"telling.{name}")) for name in CELLS)]
    rows = [
        GridRow(
            _named(free, gap.model),
            (plain(w.level(gap.level)), *(fig(gap.cells[name], w) for name in CELLS)),
            free.data.is_baseline(gap.model),
        )
        for gap in _sorted(free, free.gaps)
    ]
    return Grid(tuple(columns), tuple(rows), head=w("telling.cells"))


def _category_gaps(free: FreeFacts, w: Words) -> Grid:
    names = ("level", "tells", "does", "gap", "errs")
    columns = [Column(w("does.category")), Column(w("page.model")), *(Column(w(f"telling.{name}")) for name in names)]
    order = {code: place for place, code in enumerate(code for _, codes in free.categories for code in codes)}
    rows = []
    for gap in sorted(_sorted(free, free.category_gaps), key=lambda gap: order.get(gap.category, len(order))):
        figures = (fig(gap.tells, w), fig(gap.does, w), fig(gap.gap, w, sign=True), fig(gap.knows_but_errs, w))
        cells = (plain(visible(gap.model)), plain(w.level(gap.level)), *figures, number(gap.prompts, w))
        rows.append(GridRow(w.category(gap.category), cells))
    return Grid((*columns, Column(w("does.prompts"))), tuple(rows), head=w("telling.by_category"), folded=True)


def _worst(free: FreeFacts, w: Words) -> Grid:
    columns = [
        Column("ID"),
        *(Column(name) for name in (w("page.model"), w("telling.level"), w("does.category"), w("telling.failing"))),
    ]
    rows = []
    for each in free.knows_but_errs[:_WORST]:
        failing = round((1 - each.does) * each.samples)
        cells = (
            plain(visible(each.model)), plain(w.level(each.level)), plain(w.category(each.category)), plain(f"{failing} / {each.samples}"),
        )  # fmt: skip
        rows.append(GridRow(visible(each.prompt), cells, anchor=f"r-{each.failing[0]}" if each.failing else ""))
    return Grid(tuple(columns), tuple(rows), head=w("telling.list_head"), folded=True)


def _correlations(free: FreeFacts, w: Words) -> Grid:
    def name(instrument: str) -> str:
        return w("telling.choice") if instrument == "choice" else rater_name(instrument, w)

    columns = (
        Column(w("telling.instruments")),
        *(Column(w(f"telling.{key}")) for key in ("level", "spearman", "kendall", "models")),
    )
    rows = [
        GridRow(
            f"{name(each.a)} – {name(each.b)} ({w(f'measure.{each.measure}')})",
            (plain(w.level(each.level)), fig(each.spearman, w, points=True), fig(each.kendall, w, points=True), number(each.models, w)),
        )
        for each in free.correlations
    ]  # fmt: skip
    return Grid(columns, tuple(rows), head=w("telling.across"))


def sources(facts: Facts, w: Words) -> Part | None:
    """Returns the part that shows the main numbers by every rater with their errors and corrections; None where nobody judged."""
    free = facts.free
    if not free.sources:
        return None
    names = ("rater", "value", "error", "corrected", "powered")
    columns = [
        Column(w("page.model")),
        Column(w("sources.measure")),
        *(Column(w(f"sources.{name}")) for name in names),
        Column(w("measure.n")),
    ]
    places = {row.model: place for place, row in enumerate(free.board)}
    rows = []
    for each in sorted(free.sources, key=lambda each: places[each.model]):
        points = each.measure == "points"
        told = _error_told(free, each, w)
        corrections = [
            Fig("–") if value.value is None else fig(value, w, points=points)
            for value in (each.corrected, each.powered)
        ]
        cells = (
            plain(w(f"measure.{each.measure}")), plain(rater_name(each.rater, w)), fig(each.value, w, points=points), plain(told),
            *corrections, number(each.n, w),
        )  # fmt: skip
        rows.append(GridRow(visible(each.model), cells, free.data.is_baseline(each.model)))
    grids = [Grid(tuple(columns), tuple(rows))]
    grids += [_measured(free, w)] if any(free.measured(rater) for rater in free.embedded) else []
    built_in = [rater_name(name, w) for name in free.embedded]
    warnings = [w("does.floor", raters=w.join(built_in))] if built_in else []
    warnings += [w("free_limits.simulated")] if free.made_up else []
    return Part("sources", w("part.sources"), (w("sources.lead"),), tuple(warnings), grids=tuple(grids))


def _error_told(free: FreeFacts, each: SourceScore, w: Words) -> str:
    if each.error is not None:
        return _told(each.error, w)
    drawn = free.error(DECISIONS[each.measure], each.rater) if each.measure in DECISIONS else None
    if drawn is not None:
        return w(f"measure.{drawn.measure}") + w("page.colon") + _told(drawn, w)
    return w("does.unmeasured") if each.rater in free.embedded else "–"


def _told(error: ReaderError, w: Words) -> str:
    told = w(
        "sources.told",
        sensitivity=w.percent(error.sensitivity.value),
        specificity=w.percent(error.specificity.value),
        source=rater_name(error.source, w),
        n=w.count(error.n),
    )
    return told if error.in_domain else f"{told}, {w('sources.domain_out')}"


def _measured(free: FreeFacts, w: Words) -> Grid:
    names = ("share", "against", "domain", "accuracy", "sensitivity", "specificity")
    columns = [Column(w("sources.rater")), *(Column(w(f"sources.{name}")) for name in names), Column(w("measure.n"))]
    rows = [
        GridRow(
            rater_name(rater, w),
            (
                plain(w(f"measure.{error.measure}")), plain(visible(error.source)),
                plain(w("sources.domain_in" if error.in_domain else "sources.domain_out")), fig(error.accuracy, w),
                fig(error.sensitivity, w), fig(error.specificity, w), number(error.n, w),
            ),
        )
        for rater in free.embedded
        for error in free.measured(rater)
    ]  # fmt: skip
    return Grid(tuple(columns), tuple(rows), head=w("sources.measured_head"), notes=(w("sources.measured_note"),))


def agreement(facts: Facts, w: Words) -> Part | None:
    """Returns the part on how far the raters agree, with the study's judge cards; None with fewer than two raters and no card."""
    free = facts.free
    if not free.agreements and not free.cards:
        return None
    grids = []
    if free.agreements:
        grids.append(_coefficients(free.agreements, w))
        grids.append(_distances(free.agreements, w))
        grids.append(_cuts(list(free.agreements), [], w))
    if free.cards:
        kept = [card for card, _ in free.cards]
        grids.append(_cuts(kept, [state for _, state in free.cards], w))
        grids.append(_coefficients(kept, w)._replace(head=w("agreement.cards_agree"), folded=True))
        grids.append(_distances(kept, w)._replace(head=w("agreement.cards_points"), folded=True))
        for card, _ in free.cards:
            grids += [_confusion(card, w), _categories(card, w)]
    shown = tuple(grid for grid in grids if grid.rows)
    warnings = (w("free_limits.simulated"),) if free.made_up else ()
    return Part("agreement", w("part.agreement"), (w("agreement.lead"),), warnings, grids=shown)


def _coefficients(cards: Sequence[JudgeCard], w: Words) -> Grid:
    names = ("reference", "rater", "raw", "kappa", "alpha", "ac")
    columns = [
        Column(w("agreement.criterion")),
        *(Column(w(f"agreement.{name}")) for name in names),
        Column(w("measure.n")),
    ]
    rows = [GridRow(criterion_name(card.criterion, w), _agreed(card, w)) for card in cards]
    return Grid(tuple(columns), tuple(rows))


def _distances(cards: Sequence[JudgeCard], w: Words) -> Grid:
    """Returns how far numbers lie apart: rank correlation, mean absolute error, bias; without rows where every criterion has labels."""
    names = ("reference", "rater", "spearman", "mae", "bias")
    columns = [Column(w("agreement.criterion")), *(Column(w(f"agreement.{name}")) for name in names)]
    rows = [
        GridRow(
            criterion_name(card.criterion, w),
            (
                plain(rater_name(card.reference, w)), plain(rater_name(card.rater, w)),
                *(_coefficient(card.agreement[name], w) for name in ("spearman", "mae", "bias")), number(card.n, w),
            ),
        )
        for card in cards
        if "mae" in card.agreement
    ]  # fmt: skip
    head = w("agreement.points_head")
    return Grid((*columns, Column(w("measure.n"))), tuple(rows), head=head, notes=(w("agreement.points_note"),))


def _agreed(card: JudgeCard, w: Words) -> tuple[Fig, ...]:
    found = [card.agreement.get(name, NO_DATA) for name in ("kappa", "alpha", "ac")]
    coefficients = [_coefficient(estimate, w) for estimate in found]
    raters = (plain(rater_name(card.reference, w)), plain(rater_name(card.rater, w)))
    return (*raters, fig(card.agreement.get("raw", NO_DATA), w), *coefficients, number(card.n, w))


def _coefficient(estimate: Estimate, w: Words) -> Fig:
    """Returns the cell of a coefficient; one without a value says why."""
    if estimate.value is not None:
        return fig(estimate, w, points=True)
    return Fig("–", w("undefined.all_equal") if estimate.method.startswith("undefined") else "")


def _cuts(cards: list[JudgeCard], states: list[str], w: Words) -> Grid:
    """Returns sensitivity and specificity of each card's cuts; with states it is the table of the kept cards."""
    columns = [
        Column(w("agreement.rater")),
        Column(w("agreement.reference")),
        Column(w("agreement.criterion")),
        Column(w("agreement.cut")),
    ]
    columns += [Column(w("sources.sensitivity")), Column(w("sources.specificity")), Column(w("measure.n"))]
    columns += [Column(w("agreement.state"))] if states else []
    rows = []
    for place, card in enumerate(cards):
        for cut in card.cuts:
            cells = [
                plain(rater_name(card.reference, w)), plain(criterion_name(card.criterion, w)), plain(w(f"agreement.{cut.name}")),
                fig(cut.sensitivity, w), fig(cut.specificity, w), number(card.n, w),
            ]  # fmt: skip
            cells += [plain(w(f"agreement.{states[place]}"))] if states else []
            rows.append(GridRow(rater_name(card.rater, w), tuple(cells)))
    head = w("agreement.cards") if states else f"{w('sources.sensitivity')} / {w('sources.specificity')}"
    return Grid(
        tuple(columns), tuple(rows), head=head, notes=(w("agreement.card_lead"),) if states else (), folded=not states
    )


def _card_name(key: str, card: JudgeCard, w: Words) -> str:
    return w(
        key,
        rater=rater_name(card.rater, w),
        reference=rater_name(card.reference, w),
        criterion=criterion_name(card.criterion, w),
    )


def _label(name: str, w: Words) -> str:
    return w(f"label.{name}") if name in _LABELS else visible(name)


_LABELS = frozenset({"safe", "unsafe", "unsure", "responsible", "full", "partial", "redirects", "none", "yes", "no"})


def _confusion(card: JudgeCard, w: Words) -> Grid:
    """Returns the confusion of a card, rows the reference and columns the judge; without rows for numbers."""
    columns = [Column(w("agreement.reference")), *(Column(_label(label, w)) for label in card.labels)]
    rows = [
        GridRow(_label(label, w), tuple(number(count, w) for count in counts))
        for label, counts in zip(card.labels, card.confusion, strict=True)
    ]
    return Grid(tuple(columns), tuple(rows), head=_card_name("agreement.confusion", card, w), folded=True)


def _categories(card: JudgeCard, w: Words) -> Grid:
    """Returns the agreement of a card by category, with sensitivity and specificity of its cuts."""
    names = [name for name in ("raw", "kappa", "alpha", "ac") if name in card.agreement]
    columns = [Column(w("does.category")), *(Column(w(f"agreement.{name}")) for name in names)]
    for cut in card.cuts:
        columns += [Column(w(f"sources.{name}"), w(f"agreement.{cut.name}")) for name in ("sensitivity", "specificity")]
    rows = []
    for each in card.categories:
        cells = [fig(each.raw, w)]
        cells += [_coefficient(each.agreement.get(name, NO_DATA), w) for name in names if name != "raw"]
        for cut in each.cuts:
            cells += [fig(cut.sensitivity, w), fig(cut.specificity, w)]
        rows.append(GridRow(w.category(each.category), (*cells, number(each.n, w))))
    head = _card_name("agreement.by_category", card, w)
    return Grid((*columns, Column(w("measure.n"))), tuple(rows), head=head, folded=True)


def order(facts: Facts, w: Words) -> Part | None:
    """Returns the part that holds the readers against the known order of the built-in answerers; None where these were not asked."""
    checks = facts.free.checks
    if not checks:
        return None
    verdict = order_verdict(checks, w)
    columns = [Column(w("sources.rater")), Column(w("sources.measure")), Column(w("order_check.known"))]
    columns += [Column(w(name)) for name in ("order_check.difference", "differences.p", "order_check.verdict")]
    rows = [
        GridRow(
            rater_name(check.rater, w),
            (
                plain(w(f"measure.{check.measure}")),
                plain(w("order_check.pair", lower=visible(check.lower), higher=visible(check.higher))),
                fig(check.difference, w, sign=True, points=check.measure == POINTS), plain(w.p_value(check.p)),
                plain(w(f"order_check.{check.state}")),
            ),
        )
        for check in checks
    ]  # fmt: skip
    failed = any(check.state == "fails" for check in checks)
    lead = (w("order_check.lead"),) if failed else (w("order_check.lead"), verdict)
    grids = (
        Grid(
            tuple(columns),
            tuple(rows),
            notes=(w("order_check.states", least=w.points(LEAST), points=w.number(9 * LEAST, 1)),),
        ),
    )
    return Part("order", w("part.order"), lead, (verdict,) if failed else (), grids=grids)


def order_verdict(checks: Sequence[OrderCheck], w: Words) -> str:
    """Returns in a sentence how many known orders hold, do not hold, or rest on too few prompts to say."""
    states = [check.state for check in checks]
    held = [check for check in checks if check.state == "holds"]
    values = [check.difference.value or 0.0 for check in held if check.measure != POINTS]
    points = [check.difference.value or 0.0 for check in held if check.measure == POINTS]
    told = []
    if failed := states.count("fails"):
        told.append(w("order_check.some_fail", n=len(checks), failed=failed))
    elif held:
        by = [w("order_check.by", low=w.points(min(values)), high=w.points(max(values)))] if values else []
        by += [w("order_check.by_points", low=w.number(min(points)), high=w.number(max(points)))] if points else []
        told.append(w("order_check.all_hold", n=len(held), by=w("page.semicolon").join(by)))
    if few := states.count("few"):
        told.append(w("order_check.some_few", n=len(checks), few=few))
    return w("page.gap").join(told)


def duels(facts: Facts, w: Words) -> Part | None:
    """Returns the part on preference between models; None where no rater compared any."""
    found = facts.free.duels
    if not found:
        return None
    names = ("wins", "ties", "losses", "consistent", "first", "pairs", "state")
    columns = [Column(w("duels.pair")), Column(w("sources.rater")), *(Column(w(f"duels.{name}")) for name in names)]
    rows = []
    for each in found:
        shares: tuple[Estimate, ...] = (each.a_wins, each.ties, each.b_wins, each.consistent, each.first)
        cells: tuple[Any, ...] = (
            plain(rater_name(each.rater, w)),
            *(fig(share, w) for share in shares),
            number(each.pairs, w),
            plain(w(f"duels.{each.state}")),
        )
        rows.append(GridRow(f"{visible(each.a)} – {visible(each.b)}", cells))
    errors = {each.rater: accuracy_of(facts.free, PREFERRED, each.rater, w) for each in found}
    told = tuple(rater_name(rater, w) + w("page.colon") + error for rater, error in errors.items() if error)
    grid = Grid(tuple(columns), tuple(rows), notes=(w("duels.states", least=w.points(TOLERATED)), *told))
    return Part("duels", w("part.duels"), (w("duels.lead"),), grids=(grid,))
