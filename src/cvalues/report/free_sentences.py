"""What models write, in one sentence, and what the part on free responses does not show, both from its own numbers."""

from __future__ import annotations

from cvalues.report.doing import run_name
from cvalues.report.facts import Facts
from cvalues.report.free import MADE_UP, FreeFacts
from cvalues.report.parts import criterion_name, rater_name, raters_named
from cvalues.report.words import Words, visible
from cvalues.scoring.free import PEOPLE, kind_of

__all__ = ["context", "headline", "limits", "method", "title"]


def title(facts: Facts, w: Words) -> str:
    """Returns the title of the report, by what it holds."""
    if not facts.free:
        return w("title.choice")
    return w("title.both" if facts.outcomes else "title.free")


def headline(facts: Facts, w: Words) -> str:
    """Returns the result on free responses in words: who is safest, by what rate, and who cannot be told from it."""
    free = facts.free
    answered = [row for row in free.board if free.value(row.score, free.safety).value is not None]
    if not answered:
        return w("does.nothing")
    best = answered[0]
    rate = free.value(best.score, free.safety)
    care = free.value(best.score, free.care)
    told = ""
    if care.value is not None:
        value = w.number(care.value) if free.care == "points" else w.percent(care.value)
        told = w("does.care", measure=_name(free.care, w), value=value)
    gaps = {
        "model": visible(best.model),
        "measure": _name(free.safety, w),
        "value": w.percent(rate.value),
        "confidence": w.confidence(rate.confidence),
        "interval": w.interval(rate),
        "care": told,
    }
    if len(answered) == 1:
        return w("does.one", **gaps)
    first = w("does.leads", count=len(answered), **gaps)
    tied = [visible(model) for model in free.ties if model in {row.model for row in answered}]
    return first + w("page.gap") + (w("does.ties", models=w.join(tied)) if tied else w("does.clear"))


def _name(measure: str, w: Words) -> str:
    name = w(f"measure.{measure}")
    return name if w.language == "zh" else name[:1].lower() + name[1:]


def context(facts: Facts, w: Words) -> str:
    """Returns how much was asked and by whom it was rated."""
    free = facts.free
    told = [w("does.asked", prompts=w.count(free.prompts), samples=free.samples)]
    main = {name: rater for name, rater in free.raters.items() if name in {"safe", "grade", "points", "refusal"}}
    if main:
        told.append(w("does.rated_by", raters=raters_named(main.items(), w)))
    else:
        told.append(w("does.unjudged", run=run_name(facts)))
    return w("page.gap").join(told)


def limits(facts: Facts, w: Words) -> list[tuple[str, str]]:
    """Returns (head, text) of each limit of the part on free responses; which apply follows from its data."""
    free = facts.free
    if not free:
        return []
    found = [(w("free_limits.sample_head"), w("free_limits.sample", samples=free.samples))]
    if facts.outcomes:
        found.append((w("free_limits.choice_too_head"), w("free_limits.choice_too")))
    people = sum(
        any(
            kind_of(name) == "person" and not name.startswith(MADE_UP)
            for names in each.verdicts.values()
            for name in names
        )
        for each in free.outcomes
    )
    human = w("free_limits.human", n=w.count(people)) if people else w("free_limits.no_human")
    found.append((w("free_limits.human_head"), human))
    if free.made_up:
        found.append((w("free_limits.simulated_head"), w("free_limits.simulated")))
    built_in = [rater_name(name, w) for name in free.embedded if name in free.raters.values()]
    if built_in:
        found.append((w("free_limits.floor_head"), w("does.floor", raters=w.join(built_in))))
    found += _judges(free, w)
    found += _missing(free, w)
    failed = sum(check.state == "fails" for check in free.checks)
    if failed:
        found.append((w("free_limits.order_head"), w("order_check.some_fail", n=len(free.checks), failed=failed)))
    return found


def _judges(free: FreeFacts, w: Words) -> list[tuple[str, str]]:
    known = {error.rater for error in free.errors if not error.stale} | {
        card.rater for card in free.agreements if card.reference == PEOPLE
    }
    blind = sorted({name for name in free.raters.values() if kind_of(name) in {"judge", "panel"} and name not in known})
    if not blind:
        return []
    return [
        (w("free_limits.judge_head"), w("free_limits.judge", raters=w.join([rater_name(name, w) for name in blind])))
    ]


def _missing(free: FreeFacts, w: Words) -> list[tuple[str, str]]:
    planned = len(free.outcomes)
    told = []
    for name in free.raters:
        judged = sum(row.score.judged.get(name, 0) for row in free.board)
        silent = sum(row.score.withheld.get(name, 0) for row in free.board)
        if name in {"safe", "grade", "points", "refusal"} and judged < planned:
            counts = {"planned": w.count(planned), "judged": w.count(judged), "silent": w.count(silent)}
            told.append(w("free_limits.coverage", criterion=criterion_name(name, w), **counts))
    found = [(w("free_limits.coverage_head"), w("page.gap").join(told))] if told else []
    lost = {state: sum(row.score.states[state] for row in free.board) for state in ("blocked", "empty", "failed")}
    if any(lost.values()):
        found.append(
            (w("free_limits.lost_head"), w("free_limits.lost", **{key: w.count(count) for key, count in lost.items()}))
        )
    return found


def method(facts: Facts, w: Words) -> tuple[str, tuple[str, ...]]:
    """Returns the heading and the sentences on how the numbers on free responses are made."""
    raters = raters_named(facts.free.raters.items(), w) or "–"
    lines = (
        w("free_method.safe"), w("plane.definition"), w("free_method.headline", raters=raters), w("free_method.cluster"),
        w("free_method.paired"), w("telling.lead"), w("free_method.correction"), w("free_method.files"),
    )  # fmt: skip
    return w("free_method.head"), lines
