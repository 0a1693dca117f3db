"""Files of pairs: import with checks, audit, and split by cluster of prompts. Reply texts are streamed through."""

from __future__ import annotations

import contextlib
import io
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, NamedTuple

import msgspec
import numpy as np

from cvalues.errors import DataError
from cvalues.pairs.fitted import HELDOUT
from cvalues.pairs.pair import ORDER, Pair, encode_row, full_row
from cvalues.pairs.scan import Scan, ScanSettings
from cvalues.pairs.split import Shares, Unit, as_fixed, assign
from cvalues.records import canonical, open_bytes, write_atomically
from cvalues.schema import Record, Table
from cvalues.taxonomy import Taxonomy
from cvalues.workflows.pairs_tables import audit_tables, split_table

SPLITS: tuple[str, ...] = ("train", "dev", "test")
SPLITS_FILE = "splits.json"
_Writing = Callable[[dict[str, IO[bytes]]], None]


class SplitFile(Record, frozen=True, kw_only=True):
    """Which split each prompt has, by the hash of its text: what keeps a later split of more data the same."""

    seed: int
    threshold: float
    shares: Shares
    prompts: dict[str, str]
    """32 hexadecimal digits (BLAKE2b of the prompt's text) → `train`, `dev` or `test`."""


class Audited(NamedTuple):
    """A file after one pass."""

    scan: Scan

    def tables(self, language: str) -> list[Table]:
        """Returns the tables of the audit."""
        return audit_tables(self.scan, language)

    def figures(self) -> dict[str, object]:
        """Returns the counts for JSON."""
        scan = self.scan
        return {
            "source": str(scan.source),
            "rows": scan.rows,
            "pairs": len(scan),
            "prompts": len(scan.texts),
            "clusters": len(np.unique(scan.cluster)) if len(scan) else 0,
            "set_aside": scan.aside,
            "repaired": scan.repaired,
            "dropped": scan.dropped,
            "counts": dict(scan.ledger.counts),
        }


class SplitResult(NamedTuple):
    """What a split wrote."""

    files: dict[str, Path]
    """Split → its file; a split without pairs has none."""
    counts: Counter[str]
    """Pairs per split."""
    clusters: Counter[str]
    strata: Counter[tuple[str, str, str]]
    """Pairs per (split, category, pair type)."""
    kept: int
    """Prompts whose split an earlier assignment gave."""
    left_out: int
    """Pairs that were not written, because their prompts are near those of two splits."""
    threshold: float

    def table(self, language: str, taxonomy: Taxonomy | None = None) -> Table:
        """Returns pairs by split, category and type."""
        return split_table(self.strata, self.threshold, language, taxonomy)


@contextlib.contextmanager
def aside(path: Path | None) -> Iterator[IO[bytes] | None]:
    """Gives a file for rows with faults, or None; an empty one is removed."""
    if path is None:
        yield None
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            yield file
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror}); free space or choose another folder") from error
    if path.stat().st_size == 0:
        path.unlink()


def audit_pairs(
    source: str | Path,
    settings: ScanSettings | None = None,
    *,
    quarantine: Path | None = None,
    taxonomy: Taxonomy | None = None,
) -> Audited:
    """Returns what one pass over a set or a file shows; rows with faults go to `quarantine` where it is given.

    Raises:
        DataError: the set is not in the cache, the file cannot be read or holds no pairs.
        UsageError: neither a set nor a file has this name.
    """
    with aside(quarantine) as rows:
        scan = Scan(source, settings, taxonomy=taxonomy, quarantine=rows).run()
        _ = scan.cluster
    return Audited(scan)


def import_pairs(
    source: str | Path,
    out: Path,
    settings: ScanSettings | None = None,
    *,
    quarantine: Path | None = None,
    taxonomy: Taxonomy | None = None,
) -> Audited:
    """Writes the good pairs of any known format to a pair file and returns what the pass showed; errors as `audit_pairs`.

    Raises:
        DataError: also when the source holds no good pair; nothing is written then.
    """
    with aside(quarantine) as rows:
        scan = Scan(source, settings, taxonomy=taxonomy, quarantine=rows)

        def write(file: io.BufferedWriter) -> None:
            for pair in scan.pairs():
                file.write(encode_row(full_row(pair)))
            if not len(scan):
                first = scan.ledger.faults[0].text() if scan.ledger.faults else "no row"
                raise DataError(
                    f"{source}: holds no good pair ({first}); see all faults with  cvalues pairs audit {source}"
                )

        write_atomically(out, write)
    return Audited(scan)


def read_splits(path: Path) -> SplitFile:
    """Returns an earlier assignment.

    Raises:
        DataError: the file cannot be read or is no assignment of `cvalues pairs split`.
    """
    with open_bytes(path) as file:
        try:
            return msgspec.json.decode(file.read(), type=SplitFile)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise DataError(
                f"{path}: {error}; give the {SPLITS_FILE} that  cvalues pairs split  wrote, or remove it"
            ) from error


def split_pairs(
    source: str | Path,
    folder: Path,
    shares: Shares | None = None,
    *,
    seed: int = 0,
    scan: Scan | None = None,
    settings: ScanSettings | None = None,
) -> SplitResult:
    """Splits a set or file by cluster of prompts into `train.jsonl`, `dev.jsonl` and `test.jsonl` of a folder.

    Where the folder holds the `splits.json` of an earlier split, its prompts keep their split. Prompts that the source holds back
    (split `heldout`) go to the test split. Rows of the test split are written as held back, so that an export refuses them.

    Args:
        source: a set or a file of pairs.
        folder: where the files go; files of an earlier split there are replaced.
        shares: of the pairs; 0.2 for testing when None.
        seed: of the hash that orders the clusters.
        scan: a pass over the same source that was made already.
        settings: of the pass, where none was made.

    Raises:
        DataError: the source cannot be read, holds no good pair, changed between the passes, or the folder cannot be written.
    """
    chosen = shares or Shares()
    done = scan if scan is not None else Scan(source, settings).run()
    if not len(done):
        raise DataError(f"{source}: holds no good pair; see why with  cvalues pairs audit {source}")
    place = folder / SPLITS_FILE
    previous = read_splits(place).prompts if place.exists() else {}
    keys = [key.hex() for key in done.keys]
    of, kept = _assigned(done, keys, chosen, seed, previous)
    result = _write(done, folder, of, kept)
    everything = {**previous, **{key: split for key, split in zip(keys, of, strict=True) if split}}
    written = SplitFile(seed=seed, threshold=done.settings.threshold, shares=chosen, prompts=everything)
    write_atomically(place, lambda file: file.write(canonical(written)))
    return result


def _assigned(
    scan: Scan, keys: list[str], shares: Shares, seed: int, previous: Mapping[str, str]
) -> tuple[list[str], int]:
    """Returns (split of each prompt by its code, how many of them an earlier assignment gave)."""
    members: dict[int, list[int]] = defaultdict(list)
    for code, cluster in enumerate(scan.cluster.tolist()):
        members[cluster].append(code)
    pairs: Counter[int] = Counter()
    kinds: dict[int, set[int]] = defaultdict(set)
    categories: dict[int, Counter[int]] = defaultdict(Counter)
    for cluster, kind, category in zip(scan.pair_clusters().tolist(), scan.kind, scan.category, strict=True):
        pairs[cluster] += 1
        kinds[cluster].add(kind)
        categories[cluster][category] += 1
    fixed = ["test" if code in scan.held else split for code, split in enumerate(as_fixed(previous, keys))]
    units = [
        Unit(
            keys=tuple(keys[code] for code in codes),
            stratum=(
                scan.categories[categories[cluster].most_common(1)[0][0]],
                *(ORDER[kind] for kind in sorted(kinds[cluster])),
            ),
            pairs=pairs[cluster],
            fixed=tuple(fixed[code] for code in codes),
        )
        for cluster, codes in members.items()
    ]
    of = [""] * len(keys)
    for codes, splits in zip(members.values(), assign(units, shares, seed), strict=True):
        for code, split in zip(codes, splits, strict=True):
            of[code] = split
    return of, sum(key in previous for key in keys)


def _write(scan: Scan, folder: Path, of: list[str], kept: int) -> SplitResult:
    """Writes each split to its file in one more pass over the source."""
    counts: Counter[str] = Counter()
    strata: Counter[tuple[str, str, str]] = Counter()
    clusters: dict[str, set[int]] = defaultdict(set)
    names = [name for name in SPLITS if name in set(of)]
    paths = {name: folder / f"{name}.jsonl" for name in names}
    cluster = scan.cluster.tolist()

    def write(files: dict[str, IO[bytes]]) -> None:
        for place, pair in scan.again():
            code = scan.prompt[place]
            split = of[code]
            counts[split] += 1
            if not split:
                continue
            strata[split, pair.category, pair.type] += 1
            clusters[split].add(cluster[code])
            files[split].write(encode_row(full_row(_placed(pair, split, scan.keys[cluster[code]].hex()))))

    _write_all(paths, write)
    for name in set(SPLITS) - set(names):
        (folder / f"{name}.jsonl").unlink(missing_ok=True)
    sizes = Counter({name: len(found) for name, found in clusters.items()})
    return SplitResult(paths, counts, sizes, strata, kept, counts.pop("", 0), scan.settings.threshold)


def _write_all(paths: Mapping[str, Path], write: _Writing, files: Mapping[str, IO[bytes]] | None = None) -> None:
    """Opens every file for an atomic write, one inside the other, and calls `write` with all of them."""
    opened = dict(files or {})
    left = [name for name in paths if name not in opened]
    if not left:
        write(opened)
        return
    write_atomically(paths[left[0]], lambda file: _write_all(paths, write, {**opened, left[0]: file}))


def _placed(pair: Pair, split: str, cluster: str) -> Pair:
    return msgspec.structs.replace(pair, split=HELDOUT if split == "test" else split, cluster=cluster[:16])
