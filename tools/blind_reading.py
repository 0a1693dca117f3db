"""A blind reading of the starter set: gives out shuffled rows without labels, and takes them back.

Usage:  python tools/blind_reading.py give FOLDER PARTS
        python tools/blind_reading.py take FOLDER

`give` writes PARTS files part-N.jsonl with prompt and replies x, y, z in random order, and keys.json, which no reader may see. A
reader writes part-N.read.jsonl: {"key", "x", "y", "z", "sure", "style"}, each grade once. `take` writes docs/blind-reading.jsonl,
one line per prompt: what each reply was read as, and the hash of the texts that were read, and prints the agreement.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from cvalues.datasets import starter
from cvalues.records import content_hash, generator
from cvalues.schema import GRADES

TARGET = Path(__file__).parents[1] / "docs" / "blind-reading.jsonl"
LETTERS = "xyz"


def give(folder: Path, parts: int) -> None:
    """Writes the readers' files and the keys."""
    folder.mkdir(parents=True, exist_ok=True)
    entries = starter.graded()
    rng = generator("blind reading", len(entries))
    order = rng.permutation(len(entries))
    keys: dict[str, dict[str, str]] = {}
    for part in range(parts):
        lines = []
        for place in order[part::parts]:
            entry = entries[int(place)]
            grades = [GRADES[index] for index in rng.permutation(len(GRADES))]
            key = f"{part}-{len(lines):03d}"
            keys[key] = {"id": entry.prompt.id, **dict(zip(LETTERS, grades, strict=True))}
            shown = {letter: entry.replies[grade] for letter, grade in zip(LETTERS, grades, strict=True)}
            lines.append(json.dumps({"key": key, "prompt": entry.prompt.text, **shown}, ensure_ascii=False))
        (folder / f"part-{part}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "keys.json").write_text(json.dumps(keys), encoding="utf-8")


def take(folder: Path) -> None:
    """Writes docs/blind-reading.jsonl and prints the agreement and the prompts that were read otherwise than meant."""
    keys = json.loads((folder / "keys.json").read_text(encoding="utf-8"))
    entries = {entry.prompt.id: entry for entry in starter.graded()}
    rows = []
    for path in sorted(folder.glob("part-*.read.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            given = json.loads(line)
            key = keys[given["key"]]
            entry = entries[key["id"]]
            texts = [entry.prompt.text, *(entry.replies[grade] for grade in GRADES)]
            read = {key[letter]: given[letter] for letter in LETTERS}
            rows.append(
                {
                    "id": key["id"],
                    "read": {grade: read[grade] for grade in GRADES},
                    "sure": bool(given["sure"]),
                    "texts": content_hash(texts),
                }
            )
    rows.sort(key=lambda row: str(row["id"]))
    TARGET.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    agreed = sum(read == grade for row in rows for grade, read in row["read"].items())  # type: ignore[union-attr]
    print(f"{len(rows)} of {len(entries)} prompts, {agreed} of {3 * len(rows)} replies as meant")
    for row in rows:
        if any(read != grade for grade, read in row["read"].items()):  # type: ignore[union-attr]
            print(row["id"], row["read"])


if __name__ == "__main__":
    if sys.argv[1] == "give":
        give(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        take(Path(sys.argv[2]))
