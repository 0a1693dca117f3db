"""Guided choice: the field of a request by which a server lets a model say nothing but one of the labels of a choice."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from cvalues.errors import unknown_name

WAYS: dict[str, str] = {
    "structured_outputs": "vLLM 0.12 and later",
    "guided_choice": "vLLM before 0.12",
    "regex": "SGLang",
    "json_schema": "servers with structured output by JSON schema",
}
"""How each kind of server is told."""


def guidance(way: str, labels: Sequence[str]) -> dict[str, Any]:
    """Returns the fields that join a request's body; empty without a way or without labels.

    Raises:
        UsageError: the way does not exist.
    """
    if not way or not labels:
        return {}
    options = list(labels)
    if way == "structured_outputs":
        return {"structured_outputs": {"choice": options}}
    if way == "guided_choice":
        return {"guided_choice": options}
    if way == "regex":
        return {"regex": "(" + "|".join(re.escape(option) for option in options) + ")"}
    if way == "json_schema":
        schema = {
            "type": "object",
            "properties": {"answer": {"type": "string", "enum": options}},
            "required": ["answer"],
            "additionalProperties": False,
        }
        named = {"name": "choice", "strict": True, "schema": schema}
        return {"response_format": {"type": "json_schema", "json_schema": named}}
    raise unknown_name("guided choice", way, WAYS)
