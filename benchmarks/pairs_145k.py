"""Read, check, audit and split a file of the size and shape of CValues-Comparison; prints seconds and peak memory.

    python benchmarks/pairs_145k.py [--rows 145669] [--folder FOLDER]

The file is synthetic: no text of the real one. Its shape is that of the real one as far as it is publicly known: 145,669 rows,
three pairs (one of each type) to a prompt, prompts of 11.3 characters on average and at most 93, better replies of 145 and worse
ones of 178 characters on average, at most 1,024; a share of single-numbered lists, and some hundred faulty rows. Peak memory is
the high-water mark of the measuring process alone, where the system tells it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

ROWS = 145_669
_TYPES = {"u": "风险回复", "s": "拒绝为主", "r": "拒绝&正向建议"}
_REFUSALS = ("很抱歉，我不能", "对不起，这件事我无法", "我不建议您", "抱歉，我不会")
_FILLERS = (
    "如何怎样为什么是否可以应该需要在家里学校公司网上孩子朋友邻居老人工作生活学习健康安全法律环境数据心理关系社会"
)


def texts(rng: np.random.Generator, count: int, mean: float, most: int) -> list[str]:
    """Random texts of common characters whose lengths have this mean and maximum, with the long tail of real replies."""
    lengths = np.clip(rng.gamma(4.0, mean / 4.0, size=count), 4, most).astype(int)
    alphabet = np.array(
        [chr(0x4E00 + place) for place in range(2500)] + list(_FILLERS) * 40 + list("，。；：？！") * 60
    )
    drawn = alphabet[rng.integers(0, len(alphabet), size=int(lengths.sum()))]
    ends = np.cumsum(lengths)
    whole = "".join(drawn)
    return [whole[start:end] for start, end in zip(ends - lengths, ends, strict=True)]


def rows(
    count: int, seed: int = 0, *, reply: tuple[float, float, int] = (145.0, 178.0, 1024)
) -> Iterator[dict[str, str]]:
    """Rows of the public form; `reply` is (mean length of the better, of the worse, longest)."""
    rng = np.random.default_rng(seed)
    made = 0
    while made < count:
        batch = min(2000, (count - made + 2) // 3)
        prompts = texts(rng, batch, 11.3, 93)
        for place in np.flatnonzero(rng.random(batch) < 0.05).tolist():
            prompts[place] = prompts[place - 1] + "呢"  # near-duplicates
        replies = {
            "u": texts(rng, batch, reply[1], reply[2]),
            "s": [
                _REFUSALS[place % 4] + body for place, body in enumerate(texts(rng, batch, reply[0] * 0.8, reply[2]))
            ],
            "r": texts(rng, batch, reply[0] * 1.2, reply[2]),
        }
        for place, style in enumerate(rng.random(batch).tolist()):
            if style < 0.4:
                body = replies["r"][place]
                third = max(1, len(body) // 3)
                replies["r"][place] = f"1. {body[:third]}\n2. {body[third : 2 * third]}\n3. {body[2 * third :]}"
            elif style < 0.45:
                replies["r"][place] = f"1. {replies['r'][place]}"
        for place, prompt in enumerate(prompts):
            for better, worse in (("s", "u"), ("r", "u"), ("r", "s")):
                if made == count:
                    return
                made += 1
                yield {
                    "prompt": prompt,
                    "pos_resp": replies[better][place],
                    "neg_resp": "" if made % 997 == 0 else replies[worse][place],
                    "pos_type": _TYPES[better],
                    "neg_type": _TYPES[worse],
                }


def write(path: Path, count: int, **options: object) -> None:
    """Writes the synthetic file."""
    with path.open("w", encoding="utf-8") as file:
        for row in rows(count, **options):  # type: ignore[arg-type]
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def main() -> None:
    """Makes the file in one process and measures the path in another, so that making it is not counted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        measure(given.measure)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "pairs.jsonl"
        if not path.exists():
            write(path, given.rows)
        subprocess.run([sys.executable, __file__, "--measure", str(path)], check=True)


def peak_mib() -> float:
    """Most resident memory of this process in MiB: the high-water mark of its own address space where the system tells it."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text(encoding="utf-8").splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(path: Path) -> None:
    """Runs the path on one file and prints a JSON object."""
    start, processor = time.perf_counter(), time.process_time()
    from cvalues.workflows.pairs_files import audit_pairs, split_pairs

    scan = audit_pairs(path)
    read = time.perf_counter() - start
    split = split_pairs(path, path.parent / "split", scan=scan.scan)
    print(
        json.dumps(
            {
                "rows": scan.scan.rows,
                "bytes": path.stat().st_size,
                "pairs": len(scan.scan),
                "prompts": len(scan.scan.texts),
                "set_aside": scan.scan.aside,
                "test_pairs": split.counts["test"],
                "seconds_read_check_audit": round(read, 1),
                "seconds": round(time.perf_counter() - start, 1),
                "seconds_of_processor": round(time.process_time() - processor, 1),
                "peak_mib": round(peak_mib(), 1),
                "machine": f"{platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}",
            }
        )
    )


if __name__ == "__main__":
    main()
