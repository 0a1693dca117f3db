"""Data sets: known ones by name, users' files by path; checked, pulled, loaded."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cvalues.datasets.checking import Checking, CheckReport, check
    from cvalues.datasets.loading import answered, load, stream
    from cvalues.datasets.pulling import Pulling, pull
    from cvalues.datasets.registry import KnownSet, cache_folder, known, known_sets
    from cvalues.datasets.shapes import Answered, Comparison, Fault, GradedPrompt, Twin
    from cvalues.datasets.template import template_rows, write_template

_WHERE = {
    "Answered": "shapes",
    "CheckReport": "checking",
    "Checking": "checking",
    "Comparison": "shapes",
    "Fault": "shapes",
    "GradedPrompt": "shapes",
    "KnownSet": "registry",
    "Pulling": "pulling",
    "Twin": "shapes",
    "answered": "loading",
    "cache_folder": "registry",
    "check": "checking",
    "known": "registry",
    "known_sets": "registry",
    "load": "loading",
    "pull": "pulling",
    "stream": "loading",
    "template_rows": "template",
    "write_template": "template",
}

__all__ = [
    "Answered",
    "CheckReport",
    "Checking",
    "Comparison",
    "Fault",
    "GradedPrompt",
    "KnownSet",
    "Pulling",
    "Twin",
    "answered",
    "cache_folder",
    "check",
    "known",
    "known_sets",
    "load",
    "pull",
    "stream",
    "template_rows",
    "write_template",
]


def __getattr__(name: str) -> Any:
    """Loads a public name when it is first used."""
    if name not in _WHERE:
        raise AttributeError(f"module 'cvalues.datasets' has no attribute '{name}'")
    return getattr(importlib.import_module(f"cvalues.datasets.{_WHERE[name]}"), name)
