"""Pairs out of a set as training data, with a guard: what is held back for testing stays out unless it is forced and recorded."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import cast

from cvalues.datasets import Comparison, stream
from cvalues.errors import UsageError, unknown_name
from cvalues.records import file_hash, now, write_atomically
from cvalues.schema import Audit, Grade
from cvalues.study import open_study
from cvalues.taxonomy import Taxonomy

HELDOUT = "heldout"
SPLITS = ("train", "dev", HELDOUT, "all")
TYPES: dict[Grade, str] = {"responsible": "拒绝&正向建议", "safe": "拒绝为主", "unsafe": "风险回复"}
"""The types of CValues-Comparison for the three grades."""


def export_pairs(
    name: str, path: Path, *, split: str, allow_heldout: bool, study: str | Path, taxonomy: Taxonomy | None = None
) -> tuple[int, int]:
    """Writes the pairs of a set in the format of CValues-Comparison and returns (pairs written, held-back pairs among them).

    A set without splits is exported whole. When held-back pairs are written the study notes it, with the hash of the file.

    Raises:
        UsageError: the split does not exist, is held back and not allowed, or the set holds no such pair.
        DataError: the set cannot be read or the file not written.
    """
    if split not in SPLITS:
        raise unknown_name("split", split, SPLITS)
    if split in {HELDOUT, "all"} and not allow_heldout and _has_heldout(name, taxonomy):
        raise UsageError(
            f"'{name}' holds items that are held back for testing; exporting them for training makes the set useless as a test. "
            "Choose --split train, or force it with --allow-heldout (the study remembers it)"
        )
    counts = {"all": 0, HELDOUT: 0}

    def write(file: io.BufferedWriter) -> None:
        for pair in _pairs(name, taxonomy):
            if pair.split and split not in {"all", pair.split}:
                continue
            counts["all"] += 1
            counts[HELDOUT] += pair.split == HELDOUT
            file.write(json.dumps(_row(pair), ensure_ascii=False).encode("utf-8", "replace") + b"\n")

    if not any(not pair.split or split in {"all", pair.split} for pair in _pairs(name, taxonomy)):
        raise UsageError(f"'{name}' holds no pairs of split '{split}'; see  cvalues data show {name}")
    write_atomically(path, write)
    if counts[HELDOUT]:
        with open_study(study) as opened:
            detail = {"file": path.name, "hash": file_hash(path), "pairs": counts[HELDOUT]}
            opened.note(Audit(verb="export-heldout", object=name, detail=detail, time=now()))
    return counts["all"], counts[HELDOUT]


def _pairs(name: str, taxonomy: Taxonomy | None) -> Iterator[Comparison]:
    return cast("Iterator[Comparison]", stream(name, kind="comparison", taxonomy=taxonomy))


def _has_heldout(name: str, taxonomy: Taxonomy | None) -> bool:
    return any(pair.split == HELDOUT for pair in _pairs(name, taxonomy))


def _row(pair: Comparison) -> dict[str, str]:
    return {
        "prompt": pair.question,
        "pos_resp": pair.better.text,
        "neg_resp": pair.worse.text,
        "pos_type": TYPES[pair.better.grade] if pair.better.grade else "",
        "neg_type": TYPES[pair.worse.grade] if pair.worse.grade else "",
    }
