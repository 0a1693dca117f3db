"""A set as a folder that Hugging Face `datasets` and ModelScope load, and results as the `model-index` of a model card."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from cvalues.errors import MissingExtra
from cvalues.records import write_atomically, write_text
from cvalues.schema import Choice, Estimate, Prompt
from cvalues.scoring import ItemOutcome, score

SPLITS = {"train": "train", "dev": "validation", "heldout": "test"}
"""Our splits as the hubs call them; items of no split are `test`."""
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_NOTICE = (
    "The unsafe replies are part of this set by design. It measures models; do not train on its held-back part (`test`), or it measures "
    "nothing any more."
)


def item_row(item: Choice | Prompt) -> dict[str, Any]:
    """Returns an item as a flat row; an unknown grade is empty, an unknown collection null."""
    if isinstance(item, Prompt):
        return {
            "id": item.id, "text": item.text, "level": item.level, "category": item.category, "language": item.language,
            "source": item.source, "licence": item.licence, "benign": item.benign, "twin": item.twin, "parent": item.parent,
        }  # fmt: skip
    first, second = item.replies
    return {
        "id": item.id, "question": item.question, "reply1": first.text, "reply2": second.text, "better": item.better,
        "grade1": first.grade or "", "grade2": second.grade or "", "level": item.level, "collection": item.collection,
        "category": item.category, "difficulty": item.difficulty, "language": item.language, "pair_id": item.pair_id,
        "prompt_id": item.prompt_id, "source": item.source,
    }  # fmt: skip


def write_set(folder: Path, name: str, items: Sequence[Choice | Prompt], *, licence: str, version: str) -> list[Path]:
    """Writes one Parquet file per split and README.md with the head that the hubs read, and returns the files.

    Args:
        folder: where they go.
        name: of the set, for the heading.
        items: choices, or prompts; at least one.
        licence: for the head of README.md; `other` when empty.
        version: of this package.

    Raises:
        MissingExtra: pyarrow is not installed.
        DataError: a file cannot be written.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MissingExtra("pyarrow", "parquet") from error
    groups: dict[str, list[dict[str, Any]]] = {}
    for item in items:
        groups.setdefault(SPLITS.get(item.split, "test"), []).append(item_row(item))
    files = []
    schema = _schema(pa, choice=isinstance(items[0], Choice))
    for split in [name for name in SPLITS.values() if name in groups]:
        table = pa.Table.from_pylist(groups[split], schema=schema)

        def put(file: io.BufferedWriter, table: Any = table) -> None:
            pq.write_table(table, file)

        files.append(write_atomically(folder / "data" / f"{split}-00000-of-00001.parquet", put))
    counts = {split: len(rows) for split, rows in groups.items()}
    files.append(
        write_text(folder / "README.md", _readme(name, counts, (licence, version), choice=isinstance(items[0], Choice)))
    )
    return files


def _schema(pa: Any, *, choice: bool) -> Any:
    kinds = {"level": pa.int64(), "better": pa.int64(), "collection": pa.int64(), "benign": pa.bool_()}
    names = (
        ("id", "question", "reply1", "reply2", "better", "grade1", "grade2", "level", "collection", "category", "difficulty",
         "language", "pair_id", "prompt_id", "source")
        if choice
        else ("id", "text", "level", "category", "language", "source", "licence", "benign", "twin", "parent")
    )  # fmt: skip
    return pa.schema([(name, kinds.get(name, pa.string())) for name in names])


def _readme(name: str, counts: dict[str, int], about: tuple[str, str], *, choice: bool) -> str:
    licence, version = about
    total = sum(counts.values())
    size = next((label for most, label in _SIZES if total < most), "n>1M")
    splits = [split for split in SPLITS.values() if split in counts]
    what = "two-choice items: which of two replies to a question is better" if choice else "prompts"
    lines = [
        "---",
        f"license: {json.dumps(licence.lower() or 'other')}",
        "language:\n- zh",
        f"task_categories:\n- {'multiple-choice' if choice else 'text-generation'}",
        "tags:\n- safety\n- values\n- evaluation",
        f"size_categories:\n- {size}",
        "configs:\n- config_name: default\n  data_files:",
        *(f"  - split: {split}\n    path: data/{split}-*" for split in splits),
        "---",
        "",
        f"# {_plain(name)}",
        "",
        f"{total} {what}, exported by cvalues {version}.",
        "",
        _NOTICE,
        "",
        "| split | items |",
        "| --- | ---: |",
        *(f"| {split} | {counts[split]} |" for split in splits),
    ]
    return "\n".join(lines) + "\n"


def _plain(text: str) -> str:
    """Returns a name for a heading: on one line, with what Markdown and HTML would read escaped."""
    return "".join(f"&#{ord(sign)};" if sign in "<>&`*_[]#|\\" else sign for sign in " ".join(text.split()))


def model_index(outcomes: Iterable[ItemOutcome], *, revision: str = "") -> str:
    """Returns the YAML head of a model card with one result per model, set and level, for the README.md of the model's repository.

    Values are in percent. The name of a metric says its interval and what was resampled; a figure without data is left out. Models are
    one entry each: take the one that the card is of.

    Args:
        outcomes: of one or several models on one or several sets.
        revision: version of what was measured, for example the run's name.
    """
    by_model: dict[str, list[str]] = {}
    for entry in score(list(outcomes), ("set", "level")):
        group = entry.group
        metrics = [
            line
            for name in ("acc", "acc_star", "both_orders", "coverage")
            for line in _metric(name, getattr(entry, name))
        ]
        if metrics:
            by_model.setdefault(str(group["model"]), []).extend([
                "  - task:",
                "      type: text-generation",
                "      name: Two-choice values",
                "    dataset:",
                f"      type: {_quoted(group['set'] or 'set')}",
                "      name: " + _quoted(f"CValues {group['set']}, level {group['level']}"),
                "      config: " + _quoted(f"level-{group['level']}"),
                *([f"      revision: {_quoted(revision)}"] if revision else []),
                "    metrics:",
                *metrics,
            ])  # fmt: skip
    lines = ["---", "model-index:"]
    for model, results in by_model.items():
        lines += [f"- name: {_quoted(model)}", "  results:", *results]
    return "\n".join([*lines, "---"]) + "\n"


def _metric(name: str, estimate: Estimate) -> list[str]:
    if estimate.value is None:
        return []
    label = name
    if estimate.low is not None and estimate.high is not None:
        label = (
            f"{name} (%; {100 * estimate.confidence:.0f} % interval {100 * estimate.low:.2f} to {100 * estimate.high:.2f}, "
            f"{estimate.clusters} {estimate.unit}s)"
        )
    return [f"    - type: {name}", f"      name: {_quoted(label)}", f"      value: {100 * estimate.value:.4f}"]


def _quoted(value: object) -> str:
    return json.dumps(str(value), ensure_ascii=False)
