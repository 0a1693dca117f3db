"""Rounds of hardening and the gate's answers as parts of the report."""

from __future__ import annotations

from cvalues.hardening.decisions import Decision
from cvalues.hardening.gate_texts import answer_line, gate_tables, reasons
from cvalues.hardening.rounds import rounds_chart, rounds_table
from cvalues.hardening.words import say
from cvalues.report.data import ReportInput
from cvalues.report.further import grid
from cvalues.report.parts import Chart, Grid, Part
from cvalues.report.words import Words, visible

__all__ = ["loop_parts"]


def loop_parts(data: ReportInput, w: Words) -> list[Part]:
    """Returns the parts on rounds and on the gate, each where the study holds any; empty where it holds neither."""
    found = [_rounds(data, w)] if data.rounds else []
    return [*found, _gate(data, w)] if data.decisions else found


def _rounds(data: ReportInput, w: Words) -> Part:
    svg = rounds_chart(data.rounds, w.language)
    charts = (Chart(svg, x=w("rounds.axis"), y=""),) if svg else ()
    table = grid(rounds_table(data.rounds, w.language), w, folded=False)
    return Part("rounds", w("part.rounds"), lead=(w("rounds.lead"),), charts=charts, grids=(table._replace(head=""),))


def _gate(data: ReportInput, w: Words) -> Part:
    warnings: list[str] = []
    grids: list[Grid] = []
    for decision in reversed(data.decisions):
        result = decision.result
        who = w("release.who", candidate=visible(result.candidate), baseline=visible(result.baseline))
        answer = f"{answer_line(result, w.language)}{w('page.colon')}{who}"
        if result.choice_only or result.choice_alone:
            key = "gate.choice_only" if result.choice_only else "gate.choice_alone"
            warnings.append(w("release.warning", answer=answer, text=say(key, w.language)))
        rules, *categories = gate_tables(result, w.language, data.taxonomy)
        told = tuple(visible(text) for text in _told(decision, w, data))
        grids.append(grid(rules, w, folded=False)._replace(head=answer, notes=told))
        grids += [grid(table, w, folded=True) for table in categories]
    return Part("gate", w("part.gate"), lead=(w("release.lead"),), warnings=tuple(warnings), grids=tuple(grids))


def _told(decision: Decision, w: Words, data: ReportInput) -> list[str]:
    """Returns the reasons of an answer, what differs between the two sides, and when it was given."""
    # Which rules failed or are open stands in the table, and multiple choice alone in the warnings.
    shown = tuple(
        say(f"gate.{name}", w.language, what="") for name in ("choice_only", "choice_alone", "failed", "open")
    )
    told = [text for text in reasons(decision.result, w.language, data.taxonomy)[1:] if not text.startswith(shown)]
    if decision.changed_sets:
        told.append(say("gate.changed", w.language, sets=", ".join(decision.changed_sets)))
    if decision.unasked:
        told.append(say("gate.unasked", w.language, count=decision.unasked))
    runs = w.join([*decision.candidate_runs]), w.join([*decision.baseline_runs])
    return [*told, w("release.when", time=decision.time[:16].replace("T", " "), candidate=runs[0], baseline=runs[1])]
