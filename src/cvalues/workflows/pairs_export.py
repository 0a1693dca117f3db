"""Pairs as training data, with card, hash and licence filter, and a guard: what is held back stays out unless forced and recorded."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

import cvalues
from cvalues.choice.build import public_row as choice_row
from cvalues.datasets.pairing import both_orders
from cvalues.errors import DataError, MissingExtra, UsageError, unknown_name
from cvalues.pairs.faults import PairFault
from cvalues.pairs.fitted import HELDOUT
from cvalues.pairs.formats import FORMATS, LINES, hugging_face
from cvalues.pairs.pair import Pair
from cvalues.pairs.quarantine import Quarantine
from cvalues.pairs.read import Read, read
from cvalues.pairs.scan import Repeats
from cvalues.pairs.shortcuts import facts
from cvalues.prompts import template
from cvalues.records import canonical, file_hash, now, open_bytes, write_atomically, write_text
from cvalues.schema import Audit, Record
from cvalues.study import open_study
from cvalues.taxonomy import Taxonomy
from cvalues.workflows.pairs_card import ExportCard, readme
from cvalues.workflows.pairs_files import aside

SPLITS = ("train", "dev", HELDOUT, "all")
_HF_NAMES = {"train": "train", "dev": "validation", HELDOUT: "test"}
_BATCH = 2_000


class ExportSettings(Record, frozen=True, kw_only=True):
    """What is exported, and how."""

    format: str = "public"
    """A name of `formats.FORMATS`."""
    split: str = "train"
    """`train`, `dev`, `heldout` or `all`; rows that name no split are always exported."""
    allow_heldout: bool = False
    licences: tuple[str, ...] = ()
    """Only pairs of these licences; all when empty. A pair whose licence is not known is in none."""
    quarantine: Path | None = None
    """File for rows with faults, which are left out then; without it a faulty row stops the export."""


class Exported(NamedTuple):
    """What an export wrote."""

    path: Path
    card: ExportCard
    heldout: int
    unlicensed: int
    """Pairs that were left out for their licence."""
    aside: int = 0
    """Rows that were set aside for a fault."""


class _Selection:
    """The pairs of an export, counted as they pass."""

    def __init__(self, source: str, settings: ExportSettings, taxonomy: Taxonomy | None) -> None:
        self.source = source
        self.settings = settings
        self.taxonomy = taxonomy
        self.reset()

    def reset(self) -> None:
        self.unlicensed = self.longer = 0
        self.counts: dict[str, Counter[str]] = {
            name: Counter() for name in ("types", "categories", "splits", "licences", "sources", "evidence")
        }
        self.prompts: set[int] = set()
        self.others: set[str] = set()
        self.pairs = 0

    def __iter__(self) -> Iterator[Pair]:
        self.reset()
        chosen = self.settings
        for pair in _rows(self.source, self.taxonomy, lenient=chosen.quarantine is not None):
            if pair.split and chosen.split not in {"all", pair.split}:
                continue
            if chosen.licences and pair.licence not in chosen.licences:
                self.unlicensed += 1
                self.others.add(pair.licence or "unknown")
                continue
            self._count(pair)
            yield pair

    def _count(self, pair: Pair) -> None:
        self.pairs += 1
        self.prompts.add(hash(pair.question))
        better, worse = facts(pair.better.text).length, facts(pair.worse.text).length
        self.longer += (better > worse) * 2 + (better == worse)
        values = {
            "types": pair.type, "categories": pair.category, "splits": pair.split, "licences": pair.licence,
            "sources": pair.source, "evidence": pair.lineage.evidence,
        }  # fmt: skip
        for name, value in values.items():
            self.counts[name][value or "unknown"] += 1

    def card(self, name: str, hashes: dict[str, str]) -> ExportCard:
        return ExportCard(
            name=name,
            format=self.settings.format,
            fields=FORMATS[self.settings.format],
            source=Path(self.source).name,
            version=cvalues.__version__,
            pairs=self.pairs,
            prompts=len(self.prompts),
            heldout=self.counts["splits"][HELDOUT],
            longer=round(self.longer / (2 * self.pairs), 4) if self.pairs else None,
            hashes=hashes,
            types=self._sorted("types"),
            categories=self._sorted("categories"),
            splits=self._sorted("splits"),
            licences=self._sorted("licences"),
            sources=self._sorted("sources"),
            evidence=self._sorted("evidence"),
        )

    def _sorted(self, name: str) -> dict[str, int]:
        return dict(sorted(self.counts[name].items()))


def export(
    source: str,
    out: Path,
    settings: ExportSettings | None = None,
    *,
    study: str | Path = "study.db",
    taxonomy: Taxonomy | None = None,
) -> Exported:
    """Writes the pairs of a set or file in one form, with a data card that holds the hash of every file.

    A source without splits is exported whole. When held-back pairs are written the study notes it, with the hash of the file. The card
    is `<out>.card.json`, or `card.json` in a Hugging Face folder, whose `README.md` it becomes too.

    Raises:
        UsageError: the split or form does not exist, pairs are held back and not allowed, or no pair is left.
        DataError: the source cannot be read, a row is faulty, or a file cannot be written.
    """
    chosen = settings or ExportSettings()
    if chosen.split not in SPLITS:
        raise unknown_name("split", chosen.split, SPLITS)
    if chosen.format not in FORMATS:
        raise UsageError(f"unknown format '{chosen.format}'; the formats are {', '.join(FORMATS)}")
    guarded = chosen.split in {HELDOUT, "all"} and not chosen.allow_heldout
    count = _set_aside(source, chosen.quarantine, taxonomy)
    if guarded and any(pair.split == HELDOUT for row in read(source, taxonomy=taxonomy) for pair in row.pairs):
        raise UsageError(
            f"'{source}' holds items that are held back for testing; exporting them for training makes the set useless as a test. "
            "Choose --split train, or force it with --allow-heldout (the study remembers it)"
        )
    selection = _Selection(source, chosen, taxonomy)
    if next(iter(selection), None) is None:
        if chosen.licences and selection.unlicensed:
            raise UsageError(
                f"'{source}' holds no pairs of --licence {','.join(chosen.licences)}; its pairs have: {', '.join(sorted(selection.others))}"
            )
        raise UsageError(f"'{source}' holds no pairs of split '{chosen.split}'; see  cvalues data show {source}")
    files = _folder(selection, out) if chosen.format == "hf" else [_file(selection, out)]
    card = selection.card(
        out.stem,
        {file.relative_to(out if chosen.format == "hf" else out.parent).as_posix(): file_hash(file) for file in files},
    )
    _write_card(card, out)
    if card.heldout:
        with open_study(study) as opened:
            detail = {"file": out.name, "hash": next(iter(card.hashes.values())), "pairs": card.heldout}
            opened.note(Audit(verb="export-heldout", object=source, detail=detail, time=now()))
    return Exported(out, card, card.heldout, selection.unlicensed, count)


def export_pairs(
    name: str, path: Path, *, split: str, allow_heldout: bool, study: str | Path, taxonomy: Taxonomy | None = None
) -> tuple[int, int]:
    """Writes the pairs of a set in the format of CValues-Comparison and returns (pairs written, held-back pairs among them).

    The short form of `export`, with its errors.
    """
    done = export(name, path, ExportSettings(split=split, allow_heldout=allow_heldout), study=study, taxonomy=taxonomy)
    return done.card.pairs, done.heldout


def _set_aside(source: str, quarantine: Path | None, taxonomy: Taxonomy | None) -> int:
    """Writes the rows with faults to the quarantine and returns how many there are; 0 without one."""
    if quarantine is None:
        return 0
    with aside(quarantine) as file:
        found = Quarantine(file)
        for row, fault, _ in _checked(source, taxonomy):
            if fault is not None:
                found.add(fault, row.raw)
    return found.count


def _checked(source: str, taxonomy: Taxonomy | None) -> Iterator[tuple[Read, PairFault | None, list[Pair]]]:
    """Yields every row with its fault, a repeated or contradicting pair too, and the pairs of it that are good."""
    repeats = Repeats()
    for row in read(source, taxonomy=taxonomy):
        fault, good = row.fault, []
        for pair in row.pairs:
            fault = repeats.fault(row, pair)
            if fault is not None:
                break
            good.append(pair)
        yield row, fault, good


def _rows(source: str, taxonomy: Taxonomy | None, *, lenient: bool) -> Iterator[Pair]:
    for _, fault, good in _checked(source, taxonomy):
        if fault is not None and not lenient:
            raise DataError(
                f"{fault}; set faulty rows aside with --quarantine FILE, or first with  "
                f"cvalues pairs import {source} -o PAIRS --quarantine FILE"
            )
        yield from good


def _file(selection: _Selection, out: Path) -> Path:
    """Writes JSON Lines, and for LLaMA-Factory the entry of its registry."""
    form = selection.settings.format
    lines: Callable[[Pair], list[dict[str, Any]]]
    if form == "choices":
        text = template("public").text
        taxonomy = selection.taxonomy

        def lines(pair: Pair) -> list[dict[str, Any]]:
            return [choice_row(choice, text, taxonomy=taxonomy) for choice in both_orders(pair)]

    else:
        make = LINES[form]

        def lines(pair: Pair) -> list[dict[str, Any]]:
            return [make(pair)]

    def write(file: io.BufferedWriter) -> None:
        for pair in selection:
            for row in lines(pair):
                file.write(json.dumps(row, ensure_ascii=False).encode("utf-8", "replace") + b"\n")

    write_atomically(out, write)
    if form == "llama-factory":
        _register(out)
    return out


def _register(out: Path) -> None:
    """Adds the file to the dataset_info.json beside it, which LLaMA-Factory reads."""
    place = out.with_name("dataset_info.json")
    known: dict[str, Any] = {}
    if place.exists():
        with open_bytes(place) as file:
            try:
                known = msgspec.json.decode(file.read(), type=dict[str, Any])
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise DataError(f"{place}: {error}; repair it or move it away") from error
    columns = {"prompt": "instruction", "query": "input", "chosen": "chosen", "rejected": "rejected"}
    known[out.stem] = {"file_name": out.name, "ranking": True, "columns": columns}
    write_text(place, json.dumps(known, ensure_ascii=False, indent=2) + "\n")


def _folder(selection: _Selection, out: Path) -> list[Path]:
    """Writes one Parquet file per split; rows of no split go to train."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MissingExtra("pyarrow", "parquet") from error
    names = sorted({_HF_NAMES.get(pair.split, "train") for pair in selection}, key=list(_HF_NAMES.values()).index)
    files = []
    for name in names:

        def write(file: io.BufferedWriter, wanted: str = name) -> None:
            writer: Any = None
            batch: list[dict[str, Any]] = []
            for pair in selection:
                if _HF_NAMES.get(pair.split, "train") == wanted:
                    batch.append(hugging_face(pair))
                if len(batch) == _BATCH:
                    table = pa.Table.from_pylist(batch)
                    writer = writer or pq.ParquetWriter(file, table.schema)
                    writer.write_table(table)
                    batch = []
            if batch:
                table = pa.Table.from_pylist(batch)
                writer = writer or pq.ParquetWriter(file, table.schema)
                writer.write_table(table)
            writer.close()

        files.append(write_atomically(out / "data" / f"{name}-00000-of-00001.parquet", write))
    return files


def _write_card(card: ExportCard, out: Path) -> None:
    body = msgspec.json.format(canonical(card), indent=2) + b"\n"
    if card.format == "hf":
        write_text(out / "README.md", readme(card))
        write_atomically(out / "card.json", lambda file: file.write(body))
    else:
        write_atomically(out.with_name(f"{out.name}.card.json"), lambda file: file.write(body))
