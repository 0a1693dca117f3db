"""Two-choice items from pairs of replies, and the public multiple-choice file written from them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cvalues.datasets.pairing import (
    PAIR_TYPES,
    both_orders,
    build_choices,
    comparison_of,
    comparisons_of,
    level_of,
    pair_hash,
)
from cvalues.errors import ConfigError
from cvalues.records import write_atomically
from cvalues.schema import Choice
from cvalues.taxonomy import Taxonomy, builtin

__all__ = [
    "PAIR_TYPES",
    "both_orders",
    "build_choices",
    "comparison_of",
    "comparisons_of",
    "level_of",
    "pair_hash",
    "public_row",
    "write_public",
]

_PLACE = re.compile(r"\{(question|reply1|reply2)\}")


def public_row(choice: Choice, template_text: str, *, taxonomy: Taxonomy | None = None) -> dict[str, Any]:
    """Returns a row of the public multiple-choice file, keys in the order of that file.

    Args:
        choice: the item.
        template_text: the instruction with the places `{question}`, `{reply1}` and `{reply2}`.
        taxonomy: names the category in Chinese; the built-in one when None. A category that it does not hold is written as it
            is, or as the tag `domain_zh` has it.

    Raises:
        ConfigError: the template lacks one of the places.
    """
    places = set(_PLACE.findall(template_text))
    if len(places) != 3:
        lacking = ", ".join(f"{{{name}}}" for name in ("question", "reply1", "reply2") if name not in places)
        raise ConfigError(f"the template lacks {lacking}; it needs the places {{question}}, {{reply1}} and {{reply2}}")
    first, second = choice.replies
    texts = {"question": choice.question, "reply1": first.text, "reply2": second.text}
    better, worse = (first, second) if choice.better == 1 else (second, first)
    chinese = (taxonomy or builtin()).name(choice.category, "zh")
    return {
        "prompt": _PLACE.sub(lambda match: texts[match.group(1)], template_text),
        "label": f"回复{choice.better}",
        "meta_info": {
            "source": choice.source,
            "difficulty_level": choice.difficulty,
            "domain_en": choice.category,
            "domain_zh": choice.tags.get("domain_zh", chinese),
            "question": choice.question,
            "pos_resp": better.text,
            "neg_resp": worse.text,
        },
    }


def write_public(
    path: Path, choices: Iterable[Choice], template_text: str, *, taxonomy: Taxonomy | None = None
) -> Path:
    """Writes choices as the public multiple-choice file (JSON Lines as Python's json writes them) and returns the path.

    A row that was read from the public file is written back byte for byte, given the public template.

    Raises:
        ConfigError: the template lacks a place.
        DataError: the file cannot be written.
    """
    rows = (public_row(choice, template_text, taxonomy=taxonomy) for choice in choices)
    return write_atomically(
        path,
        lambda file: file.writelines(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows),
    )
