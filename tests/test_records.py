"""Canonical JSON, hashes, seeds, line files and atomic writes."""

from __future__ import annotations

import hashlib
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cvalues import records
from cvalues.errors import DataError
from cvalues.schema import Prompt

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), JSON, max_size=6))
def test_hash_does_not_depend_on_key_order(value: dict[str, object]) -> None:
    """Two objects that differ only in the order of their keys have one hash."""
    turned = dict(reversed(list(value.items())))
    assert records.content_hash(value) == records.content_hash(turned)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """A folder is made with its parents, also where it is there; a file in its place is an error with its path and what to do."""
    assert records.make_folder(tmp_path / "a" / "b").is_dir()
    assert records.make_folder(tmp_path / "a" / "b").is_dir()
    (tmp_path / "f").write_text("", encoding="utf-8")
    for path in (tmp_path / "f", tmp_path / "f" / "g"):
        with pytest.raises(DataError, match=f"{path}: cannot be written .*choose another folder"):
            records.make_folder(path)


def test_canonical_form_is_documented_form() -> None:
    """Canonical JSON has sorted keys, no spaces and Chinese as it is."""
    assert records.canonical({"b": 1, "a": "中"}) == '{"a":"中","b":1}'.encode()


def test_hash_is_tagged_blake2b() -> None:
    """A content hash is `b2:` and the 16-byte BLAKE2b digest of the canonical JSON."""
    expected = hashlib.blake2b(b'{"a":1}', digest_size=16).hexdigest()
    assert records.content_hash({"a": 1}) == f"b2:{expected}"


@given(st.text(st.characters()))
def test_clean_text_can_be_stored(text: str) -> None:
    """Cleaned text encodes as UTF-8, holds no NUL, and cleaning twice changes nothing."""
    cleaned = records.clean(text)
    cleaned.encode()
    assert "\x00" not in cleaned
    assert records.clean(cleaned) == cleaned


def test_seed_depends_on_parts_and_their_borders() -> None:
    """Seeds are stable, differ between parts, and ("ab", "c") is not ("a", "bc")."""
    assert records.derive_seed(1, "x") == records.derive_seed(1, "x")
    assert records.derive_seed("ab", "c") != records.derive_seed("a", "bc")
    assert records.generator(0, "x").integers(1 << 30) == records.generator(0, "x").integers(1 << 30)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
def test_lines_are_read_in_every_encoding(tmp_path: Path, encoding: str) -> None:
    """UTF-8 with and without BOM, GB18030 and UTF-16 give the same lines, and a missing final newline loses none."""
    path = tmp_path / "x.txt"
    path.write_bytes("一行\r\n\n第二行：价值".encode(encoding))
    assert list(records.read_lines(path)) == [(1, "一行"), (3, "第二行：价值")]


def test_undecodable_file_is_named(tmp_path: Path) -> None:
    """Bytes that are no text give an error that names the file and what to do."""
    path = tmp_path / "x.bin"
    path.write_bytes(b"\xff\xff\xff\x81\x00\xff")
    with pytest.raises(DataError, match=r"x\.bin: is neither UTF-8 nor GB18030 text; save it as UTF-8"):
        list(records.read_lines(path))


def test_bad_record_gives_file_and_line(tmp_path: Path) -> None:
    """A line that is no record is reported with its physical line number and the field."""
    path = tmp_path / "x.jsonl"
    good = '{"id":"a","text":"t","level":1,"category":"law"}'
    path.write_text(good + "\n\n" + good.replace("1", '"x"') + "\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"x\.jsonl:3: .*level"):
        list(records.read_records(path, Prompt))


def test_missing_file_and_folder_are_named(tmp_path: Path) -> None:
    """A missing file and a folder in its place each give their own sentence."""
    with pytest.raises(DataError, match="no such file"):
        records.open_bytes(tmp_path / "none")
    with pytest.raises(DataError, match="is a folder"):
        records.open_bytes(tmp_path)


def test_blob_id_is_that_of_git(tmp_path: Path) -> None:
    """The blob id equals what `git hash-object` prints."""
    path = tmp_path / "x"
    path.write_bytes("价值\n".encode())
    printed = subprocess.run(
        ["git", "hash-object", str(path)], capture_output=True, text=True, check=True
    ).stdout.strip()
    assert records.blob_id(path) == printed


def test_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    """When the disk is full in mid-write the old file stays, no temporary file is left, and the error says what to do."""
    path = tmp_path / "x.txt"
    records.write_text(path, "old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    code = (
        "import resource, signal, sys; from pathlib import Path; from cvalues import records;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000));"
        "from cvalues.errors import DataError\n"
        "try: records.write_text(Path(sys.argv[1]), 'x' * 100000)\n"
        "except DataError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
    assert "cannot be written" in done.stdout, done.stderr
    assert path.read_text(encoding="utf-8") == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.txt"]
    assert resource.getrlimit(resource.RLIMIT_FSIZE) == before


def test_unwritable_folder_is_named(tmp_path: Path) -> None:
    """A file where the folder should be gives an error that names the path."""
    (tmp_path / "folder").write_text("", encoding="utf-8")
    with pytest.raises(DataError, match="cannot be written"):
        records.write_text(tmp_path / "folder" / "x", "y")
