"""Tables on files of pairs, in Chinese and English."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np

from cvalues.pairs.pair import ORDER
from cvalues.pairs.scan import SIGNS, Scan
from cvalues.pairs.shortcuts import pair_accuracy
from cvalues.pairs.words import named, say
from cvalues.schema import Cell, Table
from cvalues.taxonomy import Taxonomy, builtin


def columns(language: str, *names: str) -> tuple[str, ...]:
    """Returns the heads of columns in a language."""
    return tuple(say(f"column.{name}", language) for name in names)


def audit_tables(scan: Scan, language: str) -> list[Table]:
    """Returns what the pairs are, and how many of them each shortcut gets right, by pair type; empty tables for no pairs."""
    return [counts_table(scan, language), shortcut_table(scan, language)]


def counts_table(scan: Scan, language: str) -> Table:
    """Returns pairs and prompts by pair type, with the share of each type."""
    kinds, prompts = np.array(scan.kind, dtype=np.int64), np.array(scan.prompt, dtype=np.int64)
    rows: list[tuple[Cell, ...]] = []
    for place, name in enumerate(ORDER):
        mask = kinds == place
        if mask.any():
            share = round(100 * float(mask.mean()), 1)
            rows.append((named("type", name, language), int(mask.sum()), len(np.unique(prompts[mask])), share))
    rows.append((say("type.all", language), len(kinds), len(scan.texts), 100.0 if len(kinds) else None))
    notes = []
    if len(scan):
        largest = Counter(scan.cluster.tolist()).most_common(1)[0][1]
        notes = [say("note.largest", language, count=largest)]
    return Table(
        title=say("title.counts", language),
        columns=columns(language, "type", "pairs", "prompts", "share"),
        rows=tuple(rows),
        notes=tuple(notes),
    )


def shortcut_table(scan: Scan, language: str) -> Table:
    """Returns the pair accuracy of each shortcut by pair type, with intervals over clusters and the share of ties."""
    kinds, clusters = np.array(scan.kind, dtype=np.int64), scan.pair_clusters()
    rows: list[tuple[Cell, ...]] = []
    for shortcut in SIGNS:
        signs = np.array(scan.signs[shortcut], dtype=np.float64)
        for place in (*range(len(ORDER)), -1):
            mask = kinds == place if place >= 0 else np.ones(len(kinds), dtype=bool)
            if not mask.any():
                continue
            kind = named("type", ORDER[place] if place >= 0 else "all", language)
            ties = round(100 * float((signs[mask] == 0).mean()), 1)
            accuracy = pair_accuracy(signs[mask], clusters[mask])
            rows.append((named("shortcut", shortcut, language), kind, accuracy, ties, int(mask.sum())))
    return Table(
        title=say("title.audit", language),
        columns=columns(language, "shortcut", "type", "accuracy", "ties", "pairs"),
        rows=tuple(rows),
        notes=(say("note.ties_half", language),),
    )


def split_table(
    counts: Mapping[tuple[str, str, str], int], threshold: float, language: str, taxonomy: Taxonomy | None = None
) -> Table:
    """Returns pairs by split, category and pair type, with the share that each split has of the stratum."""
    chosen = taxonomy or builtin()
    totals: Counter[tuple[str, str]] = Counter()
    for (_, category, kind), count in counts.items():
        totals[category, kind] += count
    rows: list[tuple[Cell, ...]] = []
    for category, kind in sorted(totals, key=lambda key: (key[0], ORDER.index(key[1]))):
        for split in ("train", "dev", "test"):
            count = counts.get((split, category, kind), 0)
            if count:
                share = round(100 * count / totals[category, kind], 1)
                name = chosen.name(category, language) if category else "—"
                rows.append((name, named("type", kind, language), split, count, share))
    return Table(
        title=say("title.split", language),
        columns=columns(language, "category", "type", "split", "pairs", "share"),
        rows=tuple(rows),
        notes=(say("note.no_split", language, threshold=threshold),),
    )
