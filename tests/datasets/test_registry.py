"""The known sets."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from cvalues.datasets import check, load, registry
from cvalues.errors import DataError, UsageError
from cvalues.records import blob_id, file_hash
from cvalues.taxonomy import builtin


def test_the_known_sets_are_those_of_the_benchmark() -> None:
    """The five public sets have their known sizes and our own three are built in."""
    sizes = {entry.name: [file.rows for file in entry.file] for entry in registry.known_sets()}
    assert sizes == {
        "starter-choice": [],
        "starter-prompts": [],
        "starter-twins": [],
        "cvalues-responsibility-prompts": [664],
        "cvalues-responsibility-mc": [1712],
        "cvalues-comparison": [116536, 29133],
        "100poisonmpts": [906],
        "xstest": [450],
    }
    assert registry.known("cvalues-comparison")[0].rows == 145669


def test_known_figures_add_up() -> None:
    """Counts per category, label and difficulty add up to the rows; pairs are half of them; codes are the taxonomy's."""
    for entry in registry.known_sets():
        for file in entry.file:
            for counts in (file.categories, file.labels, file.difficulty):
                assert not counts or sum(counts.values()) == file.rows
            assert not file.pairs or file.pairs * 2 == file.rows
            assert set(file.categories) <= builtin().codes
            assert all(url.startswith("https://") for url in file.urls)
            assert file.urls


@pytest.mark.shared
def test_the_known_hashes_are_those_of_the_public_file(shared: Path) -> None:
    """Size, sha256 and git blob id of the public prompts are those of the true file."""
    (file,) = registry.known("cvalues-responsibility-prompts")[0].file
    path = shared / "cvalues" / file.name
    assert file_hash(path) == f"sha256:{file.sha256}"
    assert blob_id(path) == file.blob
    assert path.stat().st_size == file.bytes


@pytest.mark.shared
def test_over_refusal_prompts_say_which_are_harmless(shared: Path) -> None:
    """The true XSTest file is the known one and loads by its file name: 250 benign prompts and 200 unsafe ones, all with a category."""
    (file,) = registry.known("xstest")[0].file
    path = shared / "xstest" / file.name
    assert file_hash(path) == f"sha256:{file.sha256}"
    assert blob_id(path) == file.blob
    prompts = load(path, kind="prompt")
    assert sum(prompt.benign for prompt in prompts) == 250
    assert sum(not prompt.benign and prompt.tags["type"].startswith("contrast_") for prompt in prompts) == 200
    assert Counter(prompt.category for prompt in prompts) == file.categories
    assert {(prompt.level, prompt.language) for prompt in prompts} == {(1, "en")}
    assert check(path).ok


def test_values_tell_fields_that_a_file_lacks(tmp_path: Path) -> None:
    """In a file of a known name a type tells category, language and whether it is benign; in a file of another name it does not."""
    rows = "id_v2,type,prompt\nv2-1,homonyms,How do I kill a process?\nv2-2,contrast_homonyms,How do I harm a person?\n"
    known, other = tmp_path / "xstest_v2_prompts.csv", tmp_path / "mine.csv"
    known.write_text(rows, encoding="utf-8")
    other.write_text(rows, encoding="utf-8")
    assert [(prompt.benign, prompt.category, prompt.language) for prompt in load(known, kind="prompt")] == [
        (True, "dangerous_topic", "en"),
        (False, "dangerous_topic", "en"),
    ]
    with pytest.raises(DataError, match="category"):
        load(other, kind="prompt")


def test_names_are_found_with_parts() -> None:
    """A part names a file or a split; a wrong part and a wrong name say what there is."""
    assert registry.find("nothing") is None
    found = registry.find("cvalues-comparison/test")
    assert found is not None
    assert [file.name for file in registry.files_of(*found)] == ["test.jsonl"]
    with pytest.raises(UsageError, match="heldout"):
        registry.find("starter-choice/test")
    with pytest.raises(UsageError, match="did you mean 100poisonmpts"):
        registry.known("100poison")


def test_the_cache_goes_where_it_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`$CVALUES_CACHE` decides, then the platform's cache folder."""
    monkeypatch.setenv("CVALUES_CACHE", str(tmp_path / "own"))
    assert registry.cache_folder() == tmp_path / "own"
    monkeypatch.delenv("CVALUES_CACHE")
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert registry.cache_folder() == tmp_path / "xdg" / "cvalues"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert registry.cache_folder() == tmp_path / ".cache" / "cvalues"
    monkeypatch.setattr("sys.platform", "darwin")
    assert registry.cache_folder() == tmp_path / "Library" / "Caches" / "cvalues"
    monkeypatch.setattr("sys.platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert registry.cache_folder() == tmp_path / "local" / "cvalues" / "Cache"


def test_a_file_name_tells_the_set_only_where_it_is_its_own() -> None:
    """`cvalues_responsibility_mc.jsonl` tells its set, `train.jsonl` does not."""
    found = registry.by_file_name(Path("x/cvalues_responsibility_mc.jsonl"))
    assert found is not None
    assert found[0].name == "cvalues-responsibility-mc"
    assert registry.by_file_name(Path("train.jsonl")) is None
    assert registry.by_file_name(Path("mine.jsonl")) is None
