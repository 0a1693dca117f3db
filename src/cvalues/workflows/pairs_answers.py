"""Prompts with approved answers (100PoisonMpts): checked row by row, so that the worse replies can be rewritten from the good ones."""

from __future__ import annotations

import io
from pathlib import Path
from typing import IO, NamedTuple

import msgspec

from cvalues.datasets.loading import open_set
from cvalues.datasets.registry import cached_files, find
from cvalues.pairs.artefacts import control_token, lone_number, repair_number
from cvalues.pairs.faults import PairFault
from cvalues.pairs.quarantine import Quarantine
from cvalues.pairs.scan import ScanSettings
from cvalues.records import write_atomically


class Answers(NamedTuple):
    """What a pass over prompts with answers found."""

    quarantine: Quarantine
    rows: int
    good: int
    repaired: int


def holds_answers(source: str | Path) -> bool:
    """Whether a set or file holds prompts with answers; False for what cannot be read, whose faults another command tells.

    Raises:
        DataError: the file cannot be read, or none of its rows fits a known format.
    """
    paths = _paths(source)
    if not paths or not paths[0].is_file():
        return False
    opened = open_set(paths[0])
    if opened.format != "prompts":
        return False
    first = next((raw.fields for raw in opened.rows if raw.fields is not None), None)
    return first is not None and "answer" in opened.names.rename(first)


def _paths(source: str | Path) -> list[Path]:
    found = None if isinstance(source, Path) else find(source)
    if found is None:
        return [Path(source)]
    return [] if found[0].builtin else [path for _, path in cached_files(*found)]


def import_answers(
    source: str | Path, out: Path, settings: ScanSettings, quarantine: IO[bytes] | None = None
) -> Answers:
    """Writes the good rows of prompts with answers, all their fields kept, and returns what was wrong with the others.

    A row is faulty when its prompt or answer is empty or no text, holds a control token, or repeats an earlier row. The same prompt
    with another answer is no fault.
    """
    aside = Quarantine(quarantine, settings.keep)
    counts = {"rows": 0, "good": 0, "repaired": 0}
    seen: dict[tuple[str, str], int] = {}

    def write(file: io.BufferedWriter) -> None:
        for path in _paths(source):
            opened = open_set(path)
            for raw in opened.rows:
                counts["rows"] += 1
                fields = opened.names.rename(raw.fields) if raw.fields is not None else {}
                prompt = fields.get("text") or fields.get("prompt") or fields.get("question") or ""
                answer = fields.get("answer") or ""
                problem = raw.problem
                code, field, found = (problem.code, "", problem.found) if problem else _wrong(prompt, answer, seen)
                if code:
                    aside.add(PairFault(file=str(path), line=raw.line, code=code, field=field, found=found), raw.text)
                    continue
                seen[prompt, answer] = raw.line
                text = _numbered(answer, settings.numbering)
                if lone_number(answer) is not None:
                    aside.ledger.add(PairFault(file=str(path), line=raw.line, code="lone_number", field="answer"))
                    counts["repaired"] += text is not None and text != answer
                if text is not None:
                    counts["good"] += 1
                    file.write(msgspec.json.encode({**fields, "answer": text}) + b"\n")

    write_atomically(out, write)
    return Answers(aside, **counts)


def _numbered(answer: str, numbering: str) -> str | None:
    if lone_number(answer) is None or numbering == "keep":
        return answer
    return repair_number(answer) if numbering == "repair" else None


def _wrong(prompt: object, answer: object, seen: dict[tuple[str, str], int]) -> tuple[str, str, str]:
    for field, text in (("prompt", prompt), ("answer", answer)):
        if not isinstance(text, str):
            return "type", field, type(text).__name__
        if not text.strip():
            return ("empty" if field == "prompt" else "empty_reply"), field, ""
        if control_token(text):
            return "control_token", field, control_token(text)
    line = seen.get((str(prompt), str(answer)))
    return ("duplicate", "", str(line)) if line is not None else ("", "", "")
