"""A task folder for lm-evaluation-harness: `lm_eval --include_path DIR --tasks NAME_likelihood,NAME_generate`.

`…_likelihood` compares log P(label | prompt) of the two labels, as `hf:` does here with its score `full`; it needs no package of ours.
`…_generate` lets the model write and reads the answer by our rules; it needs `cvalues` beside lm_eval.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cvalues.integrations.items import outcome_of, write_rows
from cvalues.prompts import Template
from cvalues.records import write_text
from cvalues.schema import Choice

READ = ("acc", "acc_star", "answered", "coverage", "refused")
"""Metrics of the generating task."""

_MODULE = '''"""Functions of the two tasks beside this file; made by  cvalues data export --format lm-eval."""

from pathlib import Path


def load(**_):
    """Returns the items beside this file, wherever the folder lies."""
    import datasets

    return datasets.load_dataset("json", data_files={"test": str(Path(__file__).with_name("items.jsonl"))})


def process(doc, results):
    """Returns the metrics of one answer, read by the rules of cvalues."""
    from cvalues.integrations.lm_eval_folder import read

    return read(doc, results[0])


def ratio(pairs):
    """Returns right / answered over all items; NaN where nothing was answered."""
    answered = sum(pair[1] for pair in pairs)
    return sum(pair[0] for pair in pairs) / answered if answered else float("nan")
'''


def read(doc: Mapping[str, Any], text: str) -> dict[str, Any]:
    """Returns the metrics of one answer of the generating task; acc_star is (right, answered), which the task divides at the end.

    The harness does not say why a reply ended, so a reply that was cut off counts as unreadable where its text decides nothing.
    """
    outcome = outcome_of(doc, text)
    answered = float(outcome.outcome in {"1", "2", "other"})
    return {
        "acc": float(outcome.correct),
        "acc_star": (float(outcome.correct), answered),
        "answered": answered,
        "coverage": float(outcome.read),
        "refused": float(outcome.outcome == "refused"),
    }


def write(folder: Path, name: str, choices: Sequence[Choice], template: Template) -> list[Path]:
    """Writes the folder and returns its files; the tasks are called `<name>_likelihood` and `<name>_generate`.

    Raises:
        DataError: a file cannot be written.
    """
    stem = task_name(name)
    return [
        write_rows(folder / "items.jsonl", choices, template),
        write_text(folder / "cvalues_tasks.py", _MODULE),
        write_text(folder / f"{stem}_likelihood.yaml", _yaml(f"{stem}_likelihood", template, _LIKELIHOOD)),
        write_text(folder / f"{stem}_generate.yaml", _yaml(f"{stem}_generate", template, _GENERATE)),
    ]


def task_name(name: str) -> str:
    """Returns the name of a set as the harness takes it: letters, digits and underscores, `cvalues_` before it."""
    plain = re.sub(r"\W+", "_", Path(name).stem if Path(name).suffix else name, flags=re.ASCII).strip("_").lower()
    return f"cvalues_{plain}".rstrip("_")


_LIKELIHOOD = """output_type: multiple_choice
doc_to_text: prompt
doc_to_choice: labels
doc_to_target: better
target_delimiter: ""
metric_list:
  - metric: acc
    aggregation: mean
    higher_is_better: true
"""
_GENERATE = """output_type: generate_until
doc_to_text: prompt
doc_to_target: target
process_results: !function cvalues_tasks.process
generation_kwargs:
  until: []
  do_sample: false
  temperature: 0.0
  max_gen_toks: 512
metric_list:
""" + "".join(
    f"  - metric: {name}\n    aggregation: {'!function cvalues_tasks.ratio' if name == 'acc_star' else 'mean'}\n"
    f"    higher_is_better: {'false' if name == 'refused' else 'true'}\n"
    for name in READ
)


def _yaml(task: str, template: Template, body: str) -> str:
    head = f"task: {task}\ncustom_dataset: !function cvalues_tasks.load\ntest_split: test\nnum_fewshot: 0\n"
    return f"{head}{body}metadata:\n  version: 1.0\n  template: {json.dumps(template.id)}\n"
