"""Rounds: what was planned, written, exported, trained, run and compared, from the audit facts of a study; a table and a chart."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from markupsafe import Markup, escape

from cvalues.errors import UsageError
from cvalues.hardening.comparison import signed
from cvalues.hardening.words import named, say
from cvalues.schema import Audit, Cell, Estimate, Record, Table

Step = Literal["plan", "data", "export", "train", "run", "compare"]
STEPS: tuple[Step, ...] = ("plan", "data", "export", "train", "run", "compare")
VERBS: dict[str, Step] = {f"round-{step}": step for step in STEPS}
"""Verb of an audit fact → step."""


class Round(Record, frozen=True, kw_only=True):
    """One round of hardening."""

    name: str
    steps: dict[str, list[dict[str, Any]]] = {}
    """By step its facts in order: a step may be done several times."""
    start: str = ""
    end: str = ""

    def last(self, step: Step) -> dict[str, Any]:
        """Returns the latest fact of a step; empty where there is none."""
        return self.steps.get(step, [{}])[-1]

    def total(self, step: Step, key: str) -> int:
        """Returns the sum of a number over all facts of a step."""
        return sum(int(fact.get(key, 0)) for fact in self.steps.get(step, []))


def fact(step: Step, name: str, detail: dict[str, Any], time: str) -> Audit:
    """Returns the fact that a step of a round was done.

    Raises:
        UsageError: the round has no name.
    """
    if not name.strip():
        raise UsageError("--round: a round needs a name, for example  --round 1")
    return Audit(verb=f"round-{step}", object=name, detail=detail, time=time)


def rounds_of(audits: Iterable[Audit]) -> list[Round]:
    """Returns the rounds of a study in the order in which they began; empty for none."""
    found: dict[str, list[Audit]] = {}
    for audit in audits:
        if audit.verb in VERBS:
            found.setdefault(audit.object, []).append(audit)
    rounds = []
    for name, facts in found.items():
        ordered = sorted(facts, key=lambda audit: audit.time)
        steps: dict[str, list[dict[str, Any]]] = {}
        for audit in ordered:
            steps.setdefault(VERBS[audit.verb], []).append(audit.detail)
        rounds.append(Round(name=name, steps=steps, start=ordered[0].time, end=ordered[-1].time))
    return sorted(rounds, key=lambda each: (each.start, each.name))


def current(rounds: Sequence[Round], name: str = "") -> str:
    """Returns the name of a round: the given one, else the latest that is not compared yet, else the next number."""
    if name:
        return name
    if rounds and not rounds[-1].steps.get("compare"):
        return rounds[-1].name
    return str(len(rounds) + 1)


def rounds_table(rounds: Sequence[Round], language: str) -> Table:
    """Returns one row a round: its steps, its data, and what it brought."""
    columns = ("round", "start", "steps", "weak", "write", "examples", "refused", "change", "worse", "better")
    rows: list[tuple[Cell, ...]] = []
    for each in rounds:
        plan, compared = each.last("plan"), each.last("compare")
        done = " → ".join(say(f"step.{step}", language) for step in STEPS if each.steps.get(step))
        rows.append((
            each.name, each.start[:10], done, len(plan.get("weak", [])) if plan else None, plan.get("write") if plan else None,
            each.total("data", "examples") or None, each.total("export", "refused") if each.steps.get("export") else None,
            _headline(compared, language), compared.get("worse") if compared else None, compared.get("better") if compared else None,
        ))  # fmt: skip
    return Table(
        title=say("rounds.title", language),
        columns=tuple(say(f"column.{name}", language) for name in columns),
        rows=tuple(rows),
        notes=() if rows else (say("rounds.none", language),),
    )


def _headline(compared: dict[str, Any], language: str) -> str | None:
    changes = compared.get("changes", [])
    if not changes:
        return None
    first = changes[0]
    estimate = Estimate(value=first["value"], low=first["low"], high=first["high"])
    return f"{named('measure', first['measure'], language)} {signed(estimate)}"


_WIDTH, _ROW = 360, 38
_LABEL = 62
"""Widest label, in halves of a Chinese character."""


def rounds_chart(rounds: Sequence[Round], language: str) -> Markup:
    """Returns the change that every round brought, per measure with its interval, as one inline SVG; empty markup for no comparison.

    The chart has a title and a description that say the same in words. Colours are `currentColor`, so it fits light, dark and print.
    """
    shown = [(each.name, change) for each in rounds for change in each.last("compare").get("changes", [])]
    if not shown:
        return Markup("")
    reach = max(0.05, *(abs(float(change[side])) for _, change in shown for side in ("low", "high", "value")))
    height = _ROW * len(shown) + 30
    middle = _WIDTH / 2
    parts = [
        f'<line x1="{middle:.1f}" x2="{middle:.1f}" y1="4" y2="{height - 24}" stroke="currentColor" stroke-dasharray="3 3"/>'
    ]
    told = []

    def across(value: float) -> float:
        return middle + value / reach * (_WIDTH - 44) / 2

    for place, (name, change) in enumerate(shown):
        y = 4 + _ROW * place + _ROW - 12
        value, low, high = (float(change[key]) for key in ("value", "low", "high"))
        label = f"{name} · {named('measure', str(change['measure']), language)}"
        text = f"{label}: {signed(Estimate(value=value, low=low, high=high))}"
        told.append(text)
        parts.append(
            f"<g><title>{escape(text)}</title>"
            f'<text x="0" y="{y - 10:.1f}" font-size="11" fill="currentColor">{escape(_short(label))}</text>'
            f'<line x1="{across(low):.1f}" x2="{across(high):.1f}" y1="{y:.1f}" y2="{y:.1f}" stroke="currentColor" stroke-width="2"/>'
            f'<circle cx="{across(value):.1f}" cy="{y:.1f}" r="4" fill="currentColor"/></g>'
        )
    mark = f'y="{height - 8}" text-anchor="middle" font-size="11" fill="currentColor"'
    parts += [f'<text x="{across(value):.1f}" {mark}>{_tick(value)}</text>' for value in (-reach, 0.0, reach)]
    title = escape(say("rounds.chart", language))
    head = f"<title>{title}</title><desc>{escape('; '.join(told))}</desc>"
    body = f'<svg role="img" viewBox="0 0 {_WIDTH} {height}" width="100%" style="max-width:30rem">{head}{"".join(parts)}</svg>'
    return Markup(body)  # noqa: S704 - every text is escaped above; the rest is numbers


def _tick(value: float) -> str:
    return f"{100 * value:+.0f}" if value else "0"


def _short(text: str) -> str:
    wide = [2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text]
    if sum(wide) <= _LABEL:
        return text
    room = [sum(wide[: place + 1]) < _LABEL for place in range(len(text))]
    return text[: sum(room)] + "…"
