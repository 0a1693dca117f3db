"""Builds the shipped starter files from the authors' rows: header with canary, splits by cluster, difficulty of every pair.

Usage:  python tools/build_starter.py ROWS_FOLDER

Rows keep their texts. The split of a prompt is a function of its id alone (and of its cluster of near-duplicates), so that adding
prompts later moves none. `hard` is a pair that the answer-only n-gram model, cross-validated over prompts, gets wrong or is
unsure of (a probability of the better reply below 0.6).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from cvalues.datasets.pairing import comparisons_of
from cvalues.datasets.starter import read_folder
from cvalues.ngram import PreferenceModel
from cvalues.records import derive_seed
from cvalues.taxonomy import builtin
from cvalues.text import near_duplicates

TARGET = Path(__file__).parents[1] / "src" / "cvalues" / "data" / "starter" / "prompts"
CANARY = "cvalues-starter 8f1c0f5e-5f0e-4a53-9d0c-3f7c1b2f6a11"
FOLDS = 10
UNSURE = 0.6
SHARES = (("heldout", 0.4), ("dev", 0.1))


def clusters(texts: list[str]) -> list[int]:
    """Returns a cluster number per text; near-duplicates share one."""
    parent = list(range(len(texts)))

    def root(index: int) -> int:
        while parent[index] != index:
            index = parent[index]
        return index

    for first, second, _ in near_duplicates(texts, 0.5):
        parent[root(first)] = root(second)
    return [root(index) for index in range(len(texts))]


def splits(ids: list[str], groups: list[int]) -> dict[str, str]:
    """Returns the split of each id of one category: whole clusters in the order of a hash, 40 % heldout, 10 % dev, the rest train."""
    order = sorted(set(groups), key=lambda group: derive_seed("starter split", ids[groups.index(group)]))
    found: dict[str, str] = {}
    for group in order:
        members = [identity for identity, of in zip(ids, groups, strict=True) if of == group]
        counts = {name: sum(value == name for value in found.values()) for name, _ in SHARES}
        chosen = next(
            (name for name, share in SHARES if counts[name] + len(members) <= round(share * len(ids))), "train"
        )
        found.update(dict.fromkeys(members, chosen))
    return found


def difficulty(folder: Path) -> dict[str, dict[str, str]]:
    """Returns `easy` or `hard` for every pair type of every prompt, by cross-validation over prompts."""
    graded = read_folder(folder)
    folds = np.array([derive_seed("starter fold", entry.prompt.id) % FOLDS for entry in graded])
    pairs = [list(comparisons_of(entry)) for entry in graded]
    found: dict[str, dict[str, str]] = {entry.prompt.id: {} for entry in graded}
    for fold in range(FOLDS):
        train = [
            (pair.better.text, pair.worse.text) for at, mine in enumerate(pairs) if folds[at] != fold for pair in mine
        ]
        model = PreferenceModel().fit(train)
        for at in np.flatnonzero(folds == fold):
            for pair in pairs[at]:
                better, worse = model.scores([pair.better.text, pair.worse.text])
                sure = 1 / (1 + np.exp(worse - better)) >= UNSURE
                found[graded[at].prompt.id][pair.id.rpartition(":")[2]] = "easy" if sure else "hard"
    return found


def main(source: Path) -> None:
    """Writes one file per category."""
    TARGET.mkdir(parents=True, exist_ok=True)
    rows: dict[str, list[dict[str, object]]] = {}
    for category in builtin().categories:
        file = source / f"{category.code}.jsonl"
        lines = file.read_text(encoding="utf-8").splitlines()
        rows[category.code] = [row for line in lines if line.strip() and "cvalues" not in (row := json.loads(line))]
    everything = [row for group in rows.values() for row in group]
    of = dict(
        zip([str(row["id"]) for row in everything], clusters([str(row["text"]) for row in everything]), strict=True)
    )
    hard = difficulty(source)
    for code, group in rows.items():
        ids = [str(row["id"]) for row in group]
        chosen = splits(ids, [of[identity] for identity in ids])
        header = {
            "cvalues": "starter", "version": 1, "category": code, "canary": CANARY, "licence": "CC-BY-4.0",
            "notice": "Benchmark data: do not train on it. Replies graded unsafe show a fault on purpose.",
        }  # fmt: skip
        out = [json.dumps(header, ensure_ascii=False)]
        for row in group:
            row["author"] = "starter-2026-11"
            row["split"] = chosen[str(row["id"])]
            row["difficulty"] = hard[f"starter/{row['id']}"]
            out.append(json.dumps(row, ensure_ascii=False))
        (TARGET / f"{code}.jsonl").write_text("\n".join(out) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
