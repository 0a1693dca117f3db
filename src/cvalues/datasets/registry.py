"""The known sets by name: where their authors publish them, what is known of the true files, and where they are kept."""

from __future__ import annotations

import functools
import os
import sys
from importlib import resources
from pathlib import Path
from typing import Literal

import msgspec

from cvalues.errors import DataError, unknown_name
from cvalues.schema import Record

CACHE_VARIABLE = "CVALUES_CACHE"


class KnownFile(Record, frozen=True, kw_only=True):
    """A file of a known set and what is known of the true one; 0, empty and `{}` mean not known."""

    name: str
    rows: int
    urls: tuple[str, ...] = ()
    """Addresses of the publisher, tried in order."""
    bytes: int = 0
    sha256: str = ""
    """64 hexadecimal digits."""
    blob: str = ""
    """Git blob id, 40 hexadecimal digits."""
    split: str = ""
    pairs: int = 0
    """Pairs that are shown in both orders."""
    categories: dict[str, int] = {}
    """Rows per category code."""
    labels: dict[str, int] = {}
    """Rows per place of the better reply, `1` and `2`."""
    difficulty: dict[str, int] = {}
    """Rows per difficulty."""


class KnownSet(Record, frozen=True, kw_only=True):
    """A set that can be named instead of a file."""

    name: str
    zh: str
    en: str
    kind: Literal["prompt", "choice"]
    """What `load` returns of it when it is not told."""
    licence: str
    homepage: str = ""
    note: str = ""
    """What one should know before trusting a number from it."""
    builtin: bool = False
    """True for the sets that ship with the package."""
    told: dict[str, dict[str, dict[str, str]]] = {}
    """Column → its value → what that value tells of other fields of the row, where the file has no columns for them."""
    file: tuple[KnownFile, ...] = ()

    @property
    def rows(self) -> int:
        """Rows of all files; 0 for a built-in set, whose items are counted when it is loaded."""
        return sum(file.rows for file in self.file)


class _Sets(Record, frozen=True, kw_only=True):
    set: tuple[KnownSet, ...]


@functools.cache
def known_sets() -> tuple[KnownSet, ...]:
    """Returns all known sets in the order of `data/sets.toml`."""
    body = resources.files("cvalues").joinpath("data/sets.toml").read_bytes()
    return msgspec.toml.decode(body, type=_Sets).set


def find(name: str) -> tuple[KnownSet, str] | None:
    """Returns (set, part) for `NAME` or `NAME/PART`, None when no set has this name.

    A part is a split of a starter set (`starter-choice/heldout`) or a file of a public set without its suffix
    (`cvalues-comparison/test`); it is empty for the whole set.

    Raises:
        UsageError: the set has no such part.
    """
    base, _, part = name.partition("/")
    for known in known_sets():
        if known.name != base:
            continue
        parts = ["train", "dev", "heldout"] if known.builtin else [Path(file.name).stem for file in known.file]
        if part and part not in parts:
            raise unknown_name(f"part of {base}", part, parts)
        return known, part
    return None


def known(name: str) -> tuple[KnownSet, str]:
    """Returns (set, part) as `find`; raises UsageError with the nearest and the available names when there is none."""
    found = find(name)
    if found is None:
        raise unknown_name("data set", name, [known_set.name for known_set in known_sets()])
    return found


def files_of(known_set: KnownSet, part: str = "") -> tuple[KnownFile, ...]:
    """Returns the files of a set, or the one file that a part names."""
    return tuple(file for file in known_set.file if not part or Path(file.name).stem == part)


def by_file_name(path: Path) -> tuple[KnownSet, KnownFile] | None:
    """Returns the known file that has exactly this file name, where the name is enough to tell (`train.jsonl` is not)."""
    found = [(entry, file) for entry in known_sets() for file in entry.file if file.name == path.name]
    return found[0] if len(found) == 1 and len(found[0][0].file) == 1 and path.stem not in {"train", "test"} else None


def cache_folder() -> Path:
    """Returns the folder for downloads: `$CVALUES_CACHE`, else the platform's cache folder of the user (`~/.cache/cvalues`)."""
    own = os.environ.get(CACHE_VARIABLE)
    if own:
        return Path(own).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "cvalues"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "cvalues" / "Cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cvalues"


def cached_path(known_set: KnownSet, file: KnownFile) -> Path:
    """Returns where the cache keeps a file, whether or not it is there."""
    return cache_folder() / "sets" / known_set.name / file.name


def cached_files(known_set: KnownSet, part: str = "") -> list[tuple[KnownFile, Path]]:
    """Returns the cached files of a set (or part) with their paths.

    Raises:
        DataError: one is not there; the message says how to get it.
    """
    found = []
    for file in files_of(known_set, part):
        path = cached_path(known_set, file)
        if not path.is_file():
            raise DataError(
                f"{known_set.name}: {file.name} is not in {path.parent}; download it with  cvalues data pull {known_set.name}"
                f"  or, where the publisher cannot be reached, bring it by hand with  "
                f"cvalues data pull {known_set.name} --from PATH"
            )
        found.append((file, path))
    return found
