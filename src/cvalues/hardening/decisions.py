"""The gate's answers as facts of a study: what was decided, on which runs, so that reports of these runs can show it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from cvalues.schema import Audit, Record
from cvalues.scoring.gate import GateResult

VERB = "gate"


class Decision(Record, frozen=True, kw_only=True):
    """An answer of the gate."""

    result: GateResult
    candidate_runs: tuple[str, ...] = ()
    """Names of the runs that the candidate was decided by."""
    baseline_runs: tuple[str, ...] = ()
    changed_sets: tuple[str, ...] = ()
    """Sets whose items differ between the two."""
    unasked: int = 0
    """Items that the baseline was asked and the candidate was not."""
    time: str = ""


class GateAnswer(GateResult, frozen=True, kw_only=True):
    """What  cvalues gate --json  prints."""

    changed_sets: tuple[str, ...]
    """Sets whose items differ between the two; only what both were asked is compared."""
    unasked: int
    """Items that the baseline was asked and the candidate was not; they count as not covered."""


def fact(decision: Decision) -> Audit:
    """Returns the fact that the gate decided."""
    detail: dict[str, Any] = msgspec.to_builtins(decision)
    return Audit(verb=VERB, object=decision.result.candidate, detail=detail, time=decision.time)


def decisions_of(audits: Iterable[Audit], runs: Iterable[str]) -> list[Decision]:
    """Returns the gate's answers on a candidate or baseline of these runs, oldest first; of one pair of runs the latest alone.

    Args:
        audits: of a study.
        runs: names of the runs that are looked at; an answer on none of them is left out.
    """
    wanted = set(runs)
    found: dict[tuple[tuple[str, ...], tuple[str, ...]], Decision] = {}
    for audit in audits:
        if audit.verb != VERB:
            continue
        decision = msgspec.convert(audit.detail, Decision)
        if wanted & {*decision.candidate_runs, *decision.baseline_runs}:
            key = decision.candidate_runs, decision.baseline_runs
            found.pop(key, None)
            found[key] = decision
    return list(found.values())
