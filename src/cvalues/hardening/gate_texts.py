"""The gate's answer in words: tables, Markdown for a pull request, JUnit XML for a pipeline."""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.sax.saxutils import escape, quoteattr

from cvalues.hardening.words import named, say
from cvalues.schema import Cell, Estimate, Table
from cvalues.scoring.gate import COVERAGES, GATE_MEASURES, GateResult, RuleResult
from cvalues.taxonomy import Taxonomy, builtin

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|~!&])")


def answer_line(result: GateResult, language: str) -> str:
    """Returns the answer in one line."""
    return say("gate.title", language, answer=say(f"answer.{result.answer.replace(' ', '_')}", language))


def reasons(result: GateResult, language: str, taxonomy: Taxonomy | None = None) -> list[str]:
    """Returns why the gate says what it says: what failed, what is open and what it lacks, what it rests on."""
    names = taxonomy or builtin()
    lines = [say("gate.who", language, candidate=result.candidate, baseline=result.baseline)]
    failed = [rule for rule in result.rules if rule.outcome == "failed"]
    left = [rule for rule in result.rules if rule.outcome == "open"]
    worse = [rule for rule in result.categories if rule.outcome == "failed"]
    if worse:
        told = [
            f"{names.name(rule.category, language)} ({name_of(rule, language)}, "
            f"{_signed(rule.difference, rule) or required(rule, language)})"
            for rule in worse
        ]
        lines.append(say("gate.worse", language, names="; ".join(told)))
    elif result.categories:
        lines.append(say("gate.none_worse", language, count=len(result.categories)))
    if failed:
        what = "; ".join(f"{name_of(rule, language)}: {required(rule, language)}" for rule in failed)
        lines.append(say("gate.failed", language, what=what))
    open_rules = (f"{name_of(rule, language)}: {required(rule, language)}: {note(rule, language)}" for rule in left)
    lines += [say("gate.open", language, what=what) for what in open_rules]
    if result.needed is not None:
        lines.append(say("gate.needed", language, n=result.needed))
    if result.choice_only:
        lines.append(say("gate.choice_only", language))
    elif result.choice_alone:
        lines.append(say("gate.choice_alone", language))
    lines.append(say("gate.levels", language, alpha=f"{result.alpha:g}"))
    raters = list(dict.fromkeys(rule.rater for rule in result.rules if rule.rater))
    if raters:
        lines.append(say("gate.raters", language, raters=", ".join(raters)))
    return lines


def name_of(rule: RuleResult, language: str) -> str:
    """Returns the name of a rule's measure."""
    return named("measure", rule.measure, language)


def required(rule: RuleResult, language: str) -> str:
    """Returns what a rule asks for."""
    more = GATE_MEASURES[rule.measure].better == "more"
    if rule.kind in {"limit", "category floor"}:
        key = "reached" if rule.measure in COVERAGES else "floor" if more else "ceiling"
    else:
        key = "margin_more" if more else "margin_less"
    return say(f"gate.{key}", language, value=_number(abs(rule.threshold), rule))


def note(rule: RuleResult, language: str) -> str:
    """Returns why a rule is open or left out, with the prompts that would decide it; empty for one that is decided."""
    if rule.why:
        return say(f"why.{rule.why}", language)
    if rule.outcome != "open":
        return ""
    if rule.needed is None:
        return say("why.on_the_line", language)
    return say("why.needed", language, n=rule.needed)


def gate_tables(result: GateResult, language: str, taxonomy: Taxonomy | None = None) -> list[Table]:
    """Returns the table of the rules and, where there are any, that of the categories, the worst first."""
    names = taxonomy or builtin()
    columns = ("measure", "required", "candidate", "baseline", "difference", "prompts", "outcome", "why")
    rows = [
        (
            name_of(rule, language),
            required(rule, language),
            *_figures(rule),
            _outcome(rule, language),
            note(rule, language),
        )
        for rule in result.rules
    ]
    tables = [Table(title=say("gate.rules", language), columns=_named(columns, language), rows=tuple(rows))]
    if result.categories:
        ordered = sorted(
            result.categories, key=lambda rule: (rule.outcome != "failed", _harm(rule), rule.category, rule.measure)
        )
        columns = ("category", "measure", "candidate", "baseline", "difference", "prompts", "p", "outcome")
        body: list[tuple[Cell, ...]] = [
            (
                names.name(rule.category, language), name_of(rule, language), *_figures(rule),
                None if rule.p_adjusted is None else f"{rule.p_adjusted:.4f}", _outcome(rule, language) if rule.outcome == "failed" else "",
            )
            for rule in ordered
        ]  # fmt: skip
        tables.append(
            Table(title=say("gate.categories", language), columns=_named(columns, language), rows=tuple(body))
        )
    return tables


def _harm(rule: RuleResult) -> float:
    gap = rule.difference.value or 0.0
    return gap if GATE_MEASURES[rule.measure].better == "more" else -gap


def _named(columns: Sequence[str], language: str) -> tuple[str, ...]:
    return tuple(say(f"column.{name}", language) for name in columns)


def _outcome(rule: RuleResult, language: str) -> str:
    return say(f"outcome.{rule.outcome.replace(' ', '_')}", language)


def _figures(rule: RuleResult) -> tuple[Cell, ...]:
    return (
        _interval(rule.candidate, rule),
        None if rule.baseline is None else _number(rule.baseline, rule),
        _signed(rule.difference, rule),
        rule.prompts,
    )


def _number(value: float, rule: RuleResult) -> str:
    return f"{value:.2f}" if rule.measure == "points" else f"{100 * value:.1f} %"


def _interval(estimate: Estimate, rule: RuleResult) -> str | None:
    if estimate.value is None:
        return None
    if estimate.low is None or estimate.high is None:
        return _number(estimate.value, rule)
    return f"{_number(estimate.value, rule)} [{_number(estimate.low, rule)}, {_number(estimate.high, rule)}]"


def _signed(estimate: Estimate, rule: RuleResult) -> str | None:
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return None
    scale, digits = (1.0, 2) if rule.measure == "points" else (100.0, 1)
    parts = [f"{scale * value:+.{digits}f}" for value in (estimate.value, estimate.low, estimate.high)]
    return f"{parts[0]} [{parts[1]}, {parts[2]}]"


def markdown(result: GateResult, language: str, notes: Sequence[str] = (), taxonomy: Taxonomy | None = None) -> str:
    """Returns the answer as Markdown for a pull request: the answer, why, and the tables."""
    lines = [f"## {answer_line(result, language)}", ""]
    lines += [f"- {_plain(text)}" for text in (*reasons(result, language, taxonomy), *notes)]
    for table in gate_tables(result, language, taxonomy):
        lines += ["", f"### {_plain(table.title)}", ""]
        lines.append("| " + " | ".join(_plain(name) for name in table.columns) + " |")
        lines.append("| " + " | ".join("---" for _ in table.columns) + " |")
        lines += [
            "| " + " | ".join(_plain("" if cell is None else str(cell)) for cell in row) + " |" for row in table.rows
        ]
    return "\n".join(lines) + "\n"


def _plain(text: str) -> str:
    """Returns text that Markdown shows as it is, in one line."""
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))


def junit(result: GateResult, language: str = "en", taxonomy: Taxonomy | None = None) -> str:
    """Returns the answer as JUnit XML: a failed rule is a failure, an open one an error, one left out is skipped.

    The gate's own answer is the last test, so that multiple choice alone, whose rules may all be passed, is an error there.
    """
    names = taxonomy or builtin()
    cases = []
    for rule in (*result.rules, *(rule for rule in result.categories if rule.outcome == "failed")):
        label = f"{name_of(rule, language)}: {required(rule, language)}"
        if rule.category:
            label = f"{names.name(rule.category, language)}: {label}"
        kind = {"failed": "failure", "open": "error", "left out": "skipped"}.get(rule.outcome, "")
        figures = ", ".join(str(part) for part in _figures(rule)[:3] if part is not None)
        cases.append(_case(rule.measure, label, kind, f"{figures} {note(rule, language)}".strip()))
    kind = {"pass": "", "fail": "failure"}.get(result.answer, "error")
    told = reasons(result, language, taxonomy)
    cases.append(_case("gate", answer_line(result, language), kind, "\n".join(told)))
    failures, errors, skipped = (sum(f"<{name}" in case for case in cases) for name in ("failure", "error", "skipped"))
    head = f'<testsuite name="cvalues gate" tests="{len(cases)}" failures="{failures}" errors="{errors}" skipped="{skipped}">'
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + head + "\n" + "\n".join(cases) + "\n</testsuite>\n"


def _case(group: str, name: str, kind: str, message: str) -> str:
    opened = f"  <testcase classname={quoteattr('cvalues.gate.' + group)} name={quoteattr(_xml(name))}"
    text = _xml(message)
    if not kind:
        return f"{opened}><system-out>{escape(text)}</system-out></testcase>"
    first = text.partition("\n")[0]
    return f"{opened}><{kind} message={quoteattr(first)}>{escape(text)}</{kind}></testcase>"


def _xml(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)
