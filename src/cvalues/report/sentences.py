"""The result in one sentence, and what a report does not show, both from its own numbers."""

from __future__ import annotations

from typing import NamedTuple

from cvalues.pairs.taints import kept_taints, notes
from cvalues.pairs.words import say
from cvalues.report import free_sentences
from cvalues.report.facts import Facts, Row
from cvalues.report.words import Words, visible

__all__ = ["Line", "Section", "context", "headline", "limits", "method", "subtitle"]

_PUBLISHED = ("cvalues-", "100poisonmpts")
_OWN = "starter"
_NOT_RULES = ("judge:", "person:")


class Line(NamedTuple):
    """A limit: what it is about, and what it says."""

    head: str
    text: str


class Section(NamedTuple):
    """A headed list of sentences."""

    head: str
    lines: tuple[str, ...]


def subtitle(facts: Facts, w: Words) -> str:
    """Returns the runs and the time of the newest answer, in one line."""
    names = w.join([visible(run.name) for run in facts.runs])
    last = max((run.end or run.start for run in facts.runs), default="")
    parts = [w("page.runs", names=names)] if names else []
    if last:
        parts.append(w("page.made", time=visible(last[:16].replace("T", " "))))
    return " · ".join(parts)


def headline(facts: Facts, w: Words) -> str:
    """Returns the result in words: who leads, by what score, and who cannot be told from it."""
    if not facts.competitors:
        return w("result.nothing")
    best, *others = facts.competitors
    scores = _scores(best, facts, w)
    if not others:
        return w("result.one", model=visible(best.model), scores=scores)
    told = w("result.leads", model=visible(best.model), count=len(others) + 1, scores=scores)
    tied = [visible(row.model) for row in others if set(row.groups) & set(best.groups)]
    if tied:
        return told + w("page.gap") + w("result.ties", models=w.join(tied))
    ranked = [row for row in others if row.groups]
    return told + w("page.gap") + w("result.clear") if len(ranked) == len(others) else told


def _scores(row: Row, facts: Facts, w: Words) -> str:
    told = []
    for level in facts.levels:
        estimate = row.acc(level)
        name = w.level(level) if w.language == "zh" else w.level(level).lower()
        if estimate.value is None:
            told.append(w("result.no_score", level=name))
        else:
            gaps = {"value": w.percent(estimate.value), "confidence": w.confidence(estimate.confidence)}
            told.append(w("result.score", level=name, interval=w.interval(estimate), **gaps))
    return w("page.and").join(told) if w.language == "en" else "，".join(told)


def context(facts: Facts, w: Words) -> str:
    """Returns how much was asked, and how the models stand to the best baseline."""
    told = [w("result.asked", questions=w.count(facts.questions), pairs=w.count(facts.pairs))]
    floor = facts.best_baseline
    if floor is not None:
        value = w.percent(floor.standing.score.value)
        told.append(w("result.floor", value=value, model=visible(floor.model)))
        unclear = [visible(row.model) for row in facts.competitors if not _above(row, floor, facts)]
        if unclear:
            told.append(w("result.below_floor", models=w.join(unclear)))
    return w("page.gap").join(told)


def _above(row: Row, floor: Row, facts: Facts) -> bool:
    board = facts.leaderboard
    return any(
        test.better == row.model and test.worse == floor.model and test.p_adjusted is not None
        and test.p_adjusted < board.alpha
        for test in board.tests
    )  # fmt: skip


def limits(facts: Facts, w: Words) -> list[Line]:
    """Returns what this report does not show; which limits apply follows from its data."""
    if facts.free and not facts.outcomes:
        return [
            _line("legal", w), *(Line(*each) for each in free_sentences.limits(facts, w)), *_states(facts, w), *_fitted(facts, w),
        ]  # fmt: skip
    found = [_line("choice", w), _line("human", w), _line("legal", w)]
    if facts.free:
        found = [_line("legal", w), *(Line(*each) for each in free_sentences.limits(facts, w))]
    found += _detectable(facts, w)
    found += _sets(facts, w)
    found += _scope(facts, w)
    found += _gaps(facts, w)
    return found


def _line(name: str, w: Words, **gaps: object) -> Line:
    return Line(w(f"limits.{name}_head"), w(f"limits.{name}", **gaps))


def _detectable(facts: Facts, w: Words) -> list[Line]:
    codes = [code for _, group in facts.categories for code in group]
    known = sorted((value, code) for code in codes if (value := facts.detectable(code)) is not None)
    unknown = [code for code in codes if facts.detectable(code) is None]
    told = []
    sizes = {facts.category_pairs(code) for _, code in known}
    if len(known) > 1 and len(sizes) == 1:
        whole = w.points(facts.detectable(None))
        told.append(w("limits.small_same", pairs=sizes.pop(), value=w.points(known[0][0]), whole=whole))
    elif len(known) > 1:
        (best, best_code), (worst, worst_code) = known[0], known[-1]
        told.append(
            w(
                "limits.small",
                best=w.points(best), best_category=w.category(best_code), best_pairs=facts.category_pairs(best_code),
                worst=w.points(worst), worst_category=w.category(worst_code), worst_pairs=facts.category_pairs(worst_code),
            )
        )  # fmt: skip
    elif known:
        value, code = known[0]
        gaps = {"category": w.category(code), "pairs": facts.category_pairs(code), "value": w.points(value)}
        told.append(w("limits.small_one", **gaps))
    if unknown:
        names = w.join([w.category(code) for code in unknown])
        told.append(w("limits.small_none", n=len(unknown), categories=names))
    return [Line(w("limits.small_head"), w("page.gap").join(told))] if told else []


def _sets(facts: Facts, w: Words) -> list[Line]:
    names = sorted({outcome.set for outcome in facts.data.outcomes})
    own = [visible(name) for name in names if name.startswith(_OWN)]
    published = [visible(name) for name in names if name.startswith(_PUBLISHED)]
    found = [_line("starter", w, sets=w.join(own))] if own else []
    if published:
        found.append(_line("public", w, sets=w.join(published)))
    floor = facts.best_baseline
    if floor is None and not all(row.baseline for row in facts.board):
        found.append(_line("no_baseline", w))
    elif floor is not None:
        value = w.percent(floor.standing.score.value)
        found.append(_line("baseline", w, model=visible(floor.model), value=value))
    return found


def _scope(facts: Facts, w: Words) -> list[Line]:
    found = []
    foreign = {(o.set, o.choice): o.language for o in facts.data.outcomes if not o.language.startswith("zh")}
    if foreign:
        languages = w.join(sorted({visible(name or "?") for name in foreign.values()}))
        found.append(_line("language", w, n=w.count(len(foreign)), languages=languages))
    missing = [w.level(level) for level in (1, 2) if level not in facts.levels]
    if len(missing) == 1:
        name = missing[0] if w.language == "zh" else missing[0].lower()
        found.append(_line("levels", w, missing=name))
    taxonomy = facts.data.taxonomy
    absent = [each.code for each in taxonomy.categories if not facts.category_pairs(each.code)]
    if absent and facts.pairs:
        names = w.join([w.category(code) for code in absent])
        found.append(_line("categories", w, n=len(absent), total=len(taxonomy.categories), names=names))
    return found


def _gaps(facts: Facts, w: Words) -> list[Line]:
    found = []
    planned = sum(row.score.planned for row in facts.board)
    failed = sum(row.count("failed") for row in facts.board)
    unread = sum(row.count("unreadable") for row in facts.board)
    if failed or unread:
        counts = {"planned": w.count(planned), "failed": w.count(failed), "unread": w.count(unread)}
        found.append(_line("coverage", w, section=w("section.bounds"), **counts))
    heard = {row.model for row in facts.board}
    silent = [visible(model) for model in facts.data.model_names if model not in heard]
    if silent:
        found.append(_line("absent", w, models=w.join(silent)))
    if facts.single_order:
        found.append(_line("order", w, n=w.count(facts.single_order)))
    found += [*_states(facts, w), *_fitted(facts, w)]
    judged = sum(outcome.rule.startswith(_NOT_RULES) for outcome in facts.data.outcomes)
    if judged:
        found.append(_line("reader", w, n=w.count(judged)))
    return found


def _fitted(facts: Facts, w: Words) -> list[Line]:
    """Returns which reward models were fitted on what they answered here."""
    told = notes([one for run in facts.runs for one in kept_taints(run.settings)], w.language)
    return [Line(say("taint.head", w.language), visible(" ".join(told)))] if told else []


def _states(facts: Facts, w: Words) -> list[Line]:
    open_runs = [run for run in facts.runs if run.state != "done"]
    if not open_runs:
        return []
    states = w.join([w(f"state.{run.state}") for run in open_runs])
    return [_line("state", w, runs=w.join([visible(run.name) for run in open_runs]), states=states)]


def method(facts: Facts, w: Words) -> list[Section]:
    """Returns the definitions and statistical methods in words."""
    if facts.free and not facts.outcomes:
        return [Section(*free_sentences.method(facts, w))]
    measures = ("acc", "star", "answered", "failed", "both", "consistency")
    interval = w("method.interval", confidence=w.confidence(facts.confidence), methods=", ".join(facts.methods) or "–")
    statistics = (interval, w("method.paired"), w("method.ranking"), w("method.power"), w("method.seed"))
    return [
        Section(w("method.measure_head"), tuple(w(f"method.{name}") for name in measures)),
        Section(w("method.stat_head"), statistics),
        Section(w("method.reading_head"), (w("method.reading"),)),
        *([Section(*free_sentences.method(facts, w))] if facts.free else []),
    ]
