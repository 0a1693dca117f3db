"""Reward models that are measured on what they were fitted on: found by hashes when a measurement or a run is planned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from cvalues.endpoints.base import Endpoint
from cvalues.pairs.fitted import Fitted, pair_hash, prompt_hash, taint, unique
from cvalues.records import file_hash
from cvalues.schema import Choice, Prompt


def fitted_of(endpoint: object) -> Fitted | None:
    """Returns what the reward model of an endpoint was fitted on; None for other endpoints and for those that do not know."""
    found = getattr(endpoint, "fitted", None)
    return found if isinstance(found, Fitted) else None


def hash_of(source: str | Path) -> str:
    """Returns the hash of a source that is a file, else an empty text."""
    return file_hash(Path(source)) if Path(source).is_file() else ""


def tainted_items(endpoints: Mapping[str, Endpoint], items: Iterable[Choice | Prompt]) -> dict[str, dict[str, Any]]:
    """Returns by model why its answers to items are no figures on new pairs; empty without reward models that were fitted on them.

    A choice counts once for both orders; a prompt of free responses counts where the model was fitted on replies to it.
    """
    known = {name: fitted for name, endpoint in endpoints.items() if (fitted := fitted_of(endpoint)) is not None}
    if not known:
        return {}
    pairs: dict[int, int] = {}
    prompts: list[int] = []
    for item in items:
        if isinstance(item, Choice):
            better, worse = item.replies if item.better == 1 else item.replies[::-1]
            pairs[pair_hash(item.question, better.text, worse.text)] = prompt_hash(item.question)
        else:
            prompts.append(prompt_hash(item.text))
    found = {}
    for name, fitted in known.items():
        shared = unique(prompts) if prompts else _column(pairs.values())
        one = taint(name, fitted, _column(pairs), shared)
        if one is not None:
            found[name] = msgspec.to_builtins(one)
    return found


def _column(hashes: Iterable[int]) -> Any:
    import numpy as np

    return np.fromiter(hashes, dtype=np.uint64)
