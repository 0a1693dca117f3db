"""The starter set that ships with the package: graded prompts, their benign twins, and the choices built from them.

Each file `data/starter/prompts/<category>.jsonl` holds one category; its first line may be a header object with the canary and the
licence. Ids get the prefix `starter/`; a benign twin is `<id>:twin`, a pair `<id>:<pair type>`, a choice `<pair id>:12` or `:21`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec

from cvalues.datasets.pairing import both_orders, comparisons_of
from cvalues.datasets.shapes import GradedPrompt, Twin
from cvalues.errors import DataError, unknown_name
from cvalues.schema import Choice, Grade, Prompt, Record
from cvalues.taxonomy import builtin

SPLITS = ("train", "dev", "heldout")
LICENCE = "CC-BY-4.0"
_SOURCE = "starter"


class _Row(Record, frozen=True, kw_only=True):
    """A row of a starter file."""

    id: str
    category: str
    text: str
    trap: str
    replies: dict[Grade, str]
    responsible_declines: bool
    note: str = ""
    twin: Twin | None = None
    split: str = ""
    difficulty: dict[str, str] = {}
    author: str = ""
    language: str = "zh"
    tags: dict[str, str] = {}


def read_folder(where: Path) -> tuple[GradedPrompt, ...]:
    """Returns the graded prompts of a folder of starter files, in the taxonomy's order of categories.

    Raises:
        DataError: a line is no starter row; the message is `file:line: what is wrong`.
    """
    levels = {category.code: category.level for category in builtin().categories}
    graded: list[GradedPrompt] = []
    for code in levels:
        file = where / f"{code}.jsonl"
        if not file.is_file():
            continue
        for line, row in _rows(file):
            if row.category not in levels:
                raise DataError(f"{line}: category: expected a code of the taxonomy, found '{row.category}'")
            name = f"{_SOURCE}/{row.id}"
            prompt = Prompt(
                id=name,
                text=row.text,
                level=levels[row.category],
                category=row.category,
                language=row.language,
                source=_SOURCE,
                licence=LICENCE,
                twin=f"{name}:twin" if row.twin else None,
                split=row.split,
                trap=row.trap,
                author=row.author,
                note=row.note,
                tags=row.tags,
            )
            graded.append(
                GradedPrompt(
                    prompt=prompt,
                    replies=row.replies,
                    responsible_declines=row.responsible_declines,
                    twin=row.twin,
                    difficulty=row.difficulty,
                )
            )
    return tuple(graded)


def _rows(file: Path) -> Iterator[tuple[str, _Row]]:
    decoder: msgspec.json.Decoder[dict[str, Any]] = msgspec.json.Decoder(dict[str, Any])
    for number, line in enumerate(file.read_bytes().splitlines(), 1):
        if not line.strip():
            continue
        try:
            fields = decoder.decode(line)
            if "cvalues" in fields:
                continue
            yield f"{file}:{number}", msgspec.convert(fields, _Row)
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            raise DataError(f"{file}:{number}: {error}; expected a row of the starter format (docs/data.md)") from error


def folder() -> Path:
    """Returns the folder of the starter files in this installation, whether or not it is there."""
    return Path(str(resources.files("cvalues").joinpath("data/starter/prompts")))


@functools.cache
def _all() -> tuple[GradedPrompt, ...]:
    found = read_folder(folder())
    if not found:
        raise DataError("the starter set is missing from this installation; install the package again")
    return found


def graded(split: str | None = None) -> list[GradedPrompt]:
    """Returns the starter prompts with their graded replies and twins, of one split or all.

    Raises:
        UsageError: there is no such split.
        DataError: the installation lacks the files.
    """
    if split is not None and split not in SPLITS:
        raise unknown_name("split", split, SPLITS)
    return [entry for entry in _all() if split is None or entry.prompt.split == split]


def prompts(split: str | None = None) -> list[Prompt]:
    """Returns the starter prompts of one split or all; errors as `graded`."""
    return [entry.prompt for entry in graded(split)]


def twin_of(entry: GradedPrompt) -> Prompt | None:
    """Returns the benign twin as a prompt (its parent is the alarming one, which is also its twin), None where it has none."""
    if entry.twin is None:
        return None
    prompt = entry.prompt
    return msgspec.structs.replace(
        prompt,
        id=f"{prompt.id}:twin",
        text=entry.twin.text,
        parent=prompt.id,
        twin=prompt.id,
        benign=True,
        trap="",
        note="",
    )


def twins(split: str | None = None) -> list[Prompt]:
    """Returns the benign twins of one split or all, on which refusing is the fault; errors as `graded`."""
    return [twin for entry in graded(split) if (twin := twin_of(entry)) is not None]


def choices(split: str | None = None) -> list[Choice]:
    """Returns six choices for every starter prompt of one split or all: three pair types in both orders; errors as `graded`."""
    return [choice for entry in graded(split) for pair in comparisons_of(entry) for choice in both_orders(pair)]


def preference_pairs(split: str | None = None) -> list[tuple[str, str]]:
    """Returns (better reply, worse reply) of every pair of one split or all, for models that see replies alone."""
    return [(pair.better.text, pair.worse.text) for entry in graded(split) for pair in comparisons_of(entry)]
