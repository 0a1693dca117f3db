"""A judge's answer → verdicts. What is not exactly the JSON that was asked for, with the nonce of the call, is no verdict."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from cvalues.judging.ask import values_of
from cvalues.judging.rubric import Field, Rubric
from cvalues.records import clean, now
from cvalues.schema import Record, Verdict

LONGEST = 200_000
"""Characters of an answer that are looked through for the JSON object."""
_MOST_OBJECTS = 200
_REASON = 2000


class Answer(Record, frozen=True, kw_only=True):
    """What a judge's answer says: a value for each criterion, or why it says nothing."""

    values: dict[str, str | float] = {}
    """By criterion; empty when there is a fault."""
    reason: str = ""
    fault: str = ""
    """Why there is no verdict: a short name, and what was found."""


def objects(text: str) -> Iterator[str]:
    """Yields the outermost {…} of a text in order; braces inside JSON strings do not count. Linear in the text's length."""
    depth, start, quoted, escaped, found = 0, 0, False, False, 0
    for index, char in enumerate(text[:LONGEST]):
        if quoted:
            if escaped:
                escaped = False
            elif char == "\\":
                escaped = True
            elif char == '"':
                quoted = False
        elif char == '"' and depth:
            quoted = True
        elif char == "{":
            if not depth:
                start = index
            depth += 1
        elif char == "}" and depth:
            depth -= 1
            if not depth:
                yield text[start : index + 1]
                found += 1
                if found >= _MOST_OBJECTS:
                    return


def parse(text: str, rubric: Rubric, nonce: str, categories: Sequence[str] = ()) -> Answer:
    """Returns what an answer says.

    The answer must hold one JSON object with the call's nonce; other objects, which may be copied from the material, are passed
    over. Its reason must be there and come before every field, and every field must be within its scale. Two objects with the
    nonce that differ are a fault.
    """
    if not text.strip():
        return Answer(fault="empty")
    found: list[dict[str, Any]] = []
    seen = False
    for piece in objects(text):
        try:
            value = msgspec.json.decode(piece.encode("utf-8", "replace"))
        except (msgspec.DecodeError, RecursionError):
            continue
        seen = True
        if isinstance(value, dict) and value.get("nonce") == nonce and value not in found:
            found.append(value)
    if not found:
        return Answer(fault="nonce" if seen else "no JSON", reason=clean(text[:200]))
    if len(found) > 1:
        return Answer(fault="several answers")
    return _checked(found[0], rubric, categories)


def _checked(answer: dict[str, Any], rubric: Rubric, categories: Sequence[str]) -> Answer:
    reason = answer.get("reason")
    if not isinstance(reason, str) or not reason.strip():
        return Answer(fault="no reason")
    keys = list(answer)
    values: dict[str, str | float] = {}
    for entry in rubric.field:
        if entry.key not in answer:
            return Answer(fault=f"{entry.key} is missing")
        if keys.index(entry.key) < keys.index("reason"):
            return Answer(fault="the reason comes after the verdict")
        value = _value(entry, answer[entry.key], categories)
        if value is None:
            return Answer(fault=f"{entry.key}: {clean(str(answer[entry.key])[:40])}")
        values[entry.criterion] = value
    return Answer(values=values, reason=clean(reason.strip()[:_REASON]))


def _value(entry: Field, given: object, categories: Sequence[str]) -> str | float | None:
    """Returns a field's value, None when it is outside its scale. A whole number may be written as text, nothing else may."""
    if entry.kind == "score":
        if isinstance(given, str) and given.strip().isascii() and given.strip().isdigit() and len(given) < 6:
            given = int(given)
        if isinstance(given, bool) or not isinstance(given, int | float) or given != int(given):
            return None
        return float(given) if entry.min <= given <= entry.max else None
    word = str(given).strip().lower() if isinstance(given, str | int) and not isinstance(given, bool) else ""
    return word if word in values_of(entry, categories) else None


def verdicts(answer: Answer, rubric: Rubric, subject: tuple[str, ...], rater: str, run: str) -> list[Verdict]:
    """Returns one verdict per criterion of the rubric; with status `no_verdict` and the fault as reason when there is a fault."""
    time = now()
    return [
        Verdict(
            criterion=entry.criterion,
            subject=subject,
            rater=rater,
            value=answer.values.get(entry.criterion),
            status="no_verdict" if answer.fault else "ok",
            reason=answer.fault or answer.reason,
            run=run,
            time=time,
        )
        for entry in rubric.field
    ]
