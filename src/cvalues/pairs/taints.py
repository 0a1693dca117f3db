"""What a person is told of a reward model that is measured on what it was fitted on, and where a run keeps it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from cvalues.pairs.fitted import Taint
from cvalues.pairs.words import say

SETTING = "fitted_on"
"""The setting of a run that keeps it, by model."""


def kept_taints(settings: Mapping[str, Any]) -> list[Taint]:
    """Returns what `tainted_items` found when a run was planned; empty where nothing was, or the record is none of ours."""
    found = []
    for entry in dict(settings.get(SETTING) or {}).values():
        try:
            found.append(msgspec.convert(entry, Taint))
        except msgspec.ValidationError:
            continue
    return found


def told(found: Taint, language: str) -> str:
    """Returns a taint as a sentence."""
    gaps = {"model": found.model, "measured": found.measured, "source": found.source or "?"}
    parts = []
    if found.pairs or found.prompts:
        parts.append(say("taint.same", language, **gaps, pairs=found.pairs, prompts=found.prompts))
    if found.same_file:
        parts.append(say("taint.file", language, **gaps))
    if found.heldout:
        parts.append(say("taint.heldout", language, **gaps, count=found.heldout))
    return ("" if language == "zh" else " ").join(parts)


def notes(found: Sequence[Taint], language: str) -> tuple[str, ...]:
    """Returns one sentence for each tainted model."""
    return tuple(told(one, language) for one in found)
