"""Sets for other tools, their logs for us, and results for a model card."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cvalues
from cvalues.datasets import load
from cvalues.datasets.registry import find
from cvalues.errors import UsageError
from cvalues.integrations import hugging_face, lm_eval_folder, other_files
from cvalues.prompts import Template, template
from cvalues.records import write_text
from cvalues.schema import Choice, Table
from cvalues.taxonomy import Taxonomy
from cvalues.workflows.results import gather

FORMATS = ("inspect", "lm-eval", "opencompass", "evalscope", "promptfoo", "hf")
"""Tools that a set can be exported for."""


class ExportedSet(NamedTuple):
    """What an export wrote."""

    folder: Path
    files: list[Path]
    items: int

    def table(self) -> Table:
        """Returns the files with their sizes in bytes."""
        rows = tuple((file.relative_to(self.folder).as_posix(), file.stat().st_size) for file in self.files)
        return Table(title="Exported files", columns=("file", "bytes"), rows=rows)


def export_set(
    source: str,
    folder: Path,
    form: str,
    *,
    template_name: str = "public",
    split: str = "",
    taxonomy: Taxonomy | None = None,
) -> ExportedSet:
    """Writes a set for another tool into a folder and returns what it wrote.

    Args:
        source: a set by name or a file of any known format.
        folder: files that stand there under the same names are replaced.
        form: a name of FORMATS.
        template_name: how the items are put, where the tool has no prompt of its own.
        split: only items of this split; all when empty.
        taxonomy: categories of the file.

    Raises:
        UsageError: the form, set or template does not exist, the set holds prompts and the form is for choices, or no item is left.
        DataError: the set cannot be read or a file not written.
        MissingExtra: a package that the form needs is not installed.
    """
    if form not in FORMATS:
        raise UsageError(f"unknown format '{form}'; the formats are {', '.join(FORMATS)}")
    chosen = template(template_name)
    if chosen.kind != "choice":
        raise UsageError(f"template '{chosen.name}' asks for free responses; an export needs one for two-choice items")
    items = [item for item in load(source, taxonomy=taxonomy) if split in {"", item.split}]
    if not items:
        raise UsageError(f"'{source}' holds no items of split '{split}'; see  cvalues data show {source}")
    if form == "hf":
        files = hugging_face.write_set(folder, source, items, licence=_licence(source), version=cvalues.__version__)
        return ExportedSet(folder, files, len(items))
    choices = [item for item in items if isinstance(item, Choice)]
    if len(choices) < len(items):
        raise UsageError(f"'{source}' holds prompts; the format '{form}' is for two-choice items, only hf takes both")
    return ExportedSet(folder, _write(form, folder, source, choices, chosen), len(items))


def _write(form: str, folder: Path, source: str, choices: Sequence[Choice], chosen: Template) -> list[Path]:
    name = Path(source).name if Path(source).suffix else source
    match form:
        case "inspect":
            return other_files.write_inspect(folder, choices, chosen)
        case "lm-eval":
            return lm_eval_folder.write(folder, name, choices, chosen)
        case "opencompass":
            return other_files.write_opencompass(folder, choices, chosen)
        case "evalscope":
            return other_files.write_evalscope(folder, choices)
        case _:
            return other_files.write_promptfoo(folder, name, choices, chosen)


def _licence(source: str) -> str:
    found = find(source)
    return found[0].licence if found is not None else ""


def card_of(references: Sequence[str], study: str | Path, out: Path) -> list[str]:
    """Writes the results of runs as the `model-index` of a model card and returns the names of the models.

    Raises:
        UsageError: a run does not exist or holds no two-choice items.
        DataError: the file cannot be written.
    """
    found: Any = gather(references, study)
    if not found.outcomes:
        raise UsageError(f"{', '.join(references)}: no answers to two-choice items; name a run of  cvalues run")
    write_text(out, hugging_face.model_index(found.outcomes, revision=", ".join(references)))
    return sorted({outcome.model for outcome in found.outcomes})
