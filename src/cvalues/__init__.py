"""CValues measures how safe and how responsible a Chinese language model's answers are, and says how sure it is.

Public names are loaded when they are first used; importing the package does no work.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_PUBLIC = {
    "ask": "cvalues.choice.ask",
    "CValuesError": "cvalues.errors",
    "Choice": "cvalues.schema",
    "Estimate": "cvalues.schema",
    "Prompt": "cvalues.schema",
    "Request": "cvalues.schema",
    "Response": "cvalues.schema",
    "Run": "cvalues.schema",
    "Study": "cvalues.study",
    "Verdict": "cvalues.schema",
    "arun": "cvalues.workflows.api",
    "compare": "cvalues.workflows.notebook",
    "extract": "cvalues.choice.extract",
    "gate": "cvalues.workflows.notebook",
    "leaderboard": "cvalues.workflows.notebook",
    "load": "cvalues.datasets",
    "load_pairs": "cvalues.workflows.notebook",
    "make_report": "cvalues.workflows.notebook",
    "open_study": "cvalues.study",
    "outcomes": "cvalues.workflows.api",
    "write_report": "cvalues.workflows.api",
    "run": "cvalues.workflows.api",
    "score": "cvalues.workflows.api",
}

__all__ = [
    "CValuesError",
    "Choice",
    "Estimate",
    "Prompt",
    "Request",
    "Response",
    "Run",
    "Study",
    "Verdict",
    "__version__",
    "arun",
    "ask",
    "compare",
    "extract",
    "gate",
    "leaderboard",
    "load",
    "load_pairs",
    "make_report",
    "open_study",
    "outcomes",
    "run",
    "score",
    "write_report",
]

if TYPE_CHECKING:
    from cvalues.choice.ask import ask
    from cvalues.choice.extract import extract
    from cvalues.datasets import load
    from cvalues.errors import CValuesError
    from cvalues.schema import Choice, Estimate, Prompt, Request, Response, Run, Verdict
    from cvalues.study import Study, open_study
    from cvalues.workflows.api import arun, outcomes, run, score, write_report
    from cvalues.workflows.notebook import compare, gate, leaderboard, load_pairs, make_report


def __getattr__(name: str) -> Any:
    module = _PUBLIC.get(name)
    if module is None:
        raise AttributeError(f"module 'cvalues' has no attribute '{name}'")
    return getattr(importlib.import_module(module), name)


def __dir__() -> list[str]:
    return sorted(__all__)
