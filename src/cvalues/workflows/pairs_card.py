"""The data card of an export, and the README that a Hugging Face folder gets from it."""

from __future__ import annotations

import json

from cvalues.schema import Record

_NOTICE = (
    "Unsafe replies are part of this data by design: they are what a model must learn to tell apart. Many are made by machines. Do "
    "not train a model to write the rejected replies."
)
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


class ExportCard(Record, frozen=True, kw_only=True):
    """What an export holds."""

    name: str
    format: str
    fields: str
    """The form in a sentence."""
    source: str
    """Name of the set or file, without its folder."""
    version: str
    """Version of this package."""
    pairs: int
    prompts: int
    """Different prompts."""
    types: dict[str, int] = {}
    """Pairs per pair type."""
    categories: dict[str, int] = {}
    splits: dict[str, int] = {}
    licences: dict[str, int] = {}
    """`unknown` where a pair names none: then the licence of the source holds."""
    sources: dict[str, int] = {}
    evidence: dict[str, int] = {}
    """Who put the replies in order; `unknown` where the source does not say."""
    heldout: int = 0
    """Held-back pairs: a model trained on this file cannot be measured on that split of the source."""
    longer: float | None = None
    """Share of pairs whose better reply is the longer one, ties half: what a model can learn from length alone."""
    hashes: dict[str, str] = {}
    """File → `sha256:…`."""
    notice: str = _NOTICE


def readme(card: ExportCard) -> str:
    """Returns the README.md of a Hugging Face folder: YAML head with files and features, then the card in words."""
    known = [name for name in card.licences if name != "unknown"]
    licence = known[0].lower() if len(known) == 1 and len(card.licences) == 1 else "other"
    size = next((name for most, name in _SIZES if card.pairs < most), "n>1M")
    splits = [name.split("/")[-1].split("-")[0] for name in card.hashes]
    features = (
        "prompt",
        "chosen",
        "rejected",
        "chosen_grade",
        "rejected_grade",
        "type",
        "level",
        "category",
        "pair_id",
        "prompt_id",
        "licence",
    )
    whole = (
        f"{card.pairs} pairs of a better (`chosen`) and a worse (`rejected`) reply to {card.prompts} prompts, "
        f"exported by cvalues {card.version}."
    )
    lines = [
        "---",
        f"license: {licence}",
        "language:\n- zh",
        "task_categories:\n- text-generation",
        "tags:\n- preference\n- reward-model\n- safety\n- dpo",
        f"size_categories:\n- {size}",
        "configs:\n- config_name: default\n  data_files:",
        *(f"  - split: {name}\n    path: data/{name}-*" for name in splits),
        "dataset_info:\n  features:",
        *(f"  - name: {name}\n    dtype: {'int64' if name == 'level' else 'string'}" for name in features),
        "---",
        "",
        "# Comparison pairs",
        "",
        whole,
        "",
        card.notice,
        "",
        *_counts("Pair type", card.types),
        *_counts("Category", card.categories),
        *_counts("Split", card.splits),
        *_counts("Licence", card.licences),
        *_counts("Evidence for the order", card.evidence),
        f"The better reply is the longer one in {100 * (card.longer or 0):.1f} % of the pairs (ties half).",
        "",
        f"Held-back pairs among them: {card.heldout}. A model trained on these cannot be measured on that split.",
        "",
        *(f"- `{_cell(file)}`: `{digest}`" for file, digest in card.hashes.items()),
    ]
    return "\n".join(lines) + "\n"


def _counts(title: str, counts: dict[str, int]) -> list[str]:
    rows = [f"| {_cell(name)} | {count} |" for name, count in sorted(counts.items(), key=lambda entry: -entry[1])[:50]]
    return [f"| {title} | pairs |", "| --- | ---: |", *rows, ""]


def _cell(text: str) -> str:
    """Returns a text for a Markdown table: quoted by JSON where it holds what Markdown would read, else as it is."""
    return (
        json.dumps(text, ensure_ascii=False).replace("|", "\\|").replace("<", "&lt;")
        if set(text) & set("|<>`*[]\n\r")
        else text
    )
