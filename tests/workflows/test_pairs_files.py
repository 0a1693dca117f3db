"""Import, audit and split of pair files, on small files, real ones, and one larger than the memory."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from cvalues.errors import DataError
from cvalues.pairs.build import BuildSettings
from cvalues.pairs.pair import Pair
from cvalues.pairs.read import read
from cvalues.pairs.scan import ScanSettings
from cvalues.pairs.split import Shares
from cvalues.workflows.pairs_build import Building, BuildResult, Source, build_all
from cvalues.workflows.pairs_files import audit_pairs, import_pairs, read_splits, split_pairs

sys.path.insert(0, str(Path(__file__).parents[1] / "pairs"))
import pairfiles

ROOT = Path(__file__).parents[2]


def pairs_of(path: Path) -> list[Pair]:
    """The pairs of a file."""
    return [pair for row in read(path) for pair in row.pairs]


def rows(count: int) -> list[object]:
    """Three pairs for each of `count` prompts, a third of them of one category."""
    return [
        {**row, "category": "law" if number % 3 else "insult"}
        for number in range(count)
        for row in pairfiles.three(number)
    ]


def test_import_keeps_good_rows_and_sets_faulty_ones_aside(tmp_path: Path) -> None:
    """The file holds every good pair with an id; the quarantine holds every faulty row; without faults there is no quarantine."""
    path = pairfiles.write(tmp_path / "raw.jsonl", [*rows(3), *pairfiles.FAULTS.values()])
    done = import_pairs(path, tmp_path / "pairs.jsonl", quarantine=tmp_path / "bad.jsonl")
    assert done.figures()["pairs"] == 9
    assert done.figures()["set_aside"] == len(pairfiles.FAULTS)
    found = pairs_of(tmp_path / "pairs.jsonl")
    assert len({pair.id for pair in found}) == 9
    assert len((tmp_path / "bad.jsonl").read_text(encoding="utf-8").splitlines()) == len(pairfiles.FAULTS)
    import_pairs(tmp_path / "pairs.jsonl", tmp_path / "again.jsonl", quarantine=tmp_path / "none.jsonl")
    assert pairs_of(tmp_path / "again.jsonl") == found
    assert not (tmp_path / "none.jsonl").exists()


def test_a_file_without_a_good_pair_is_refused(tmp_path: Path) -> None:
    """Nothing is written, and the first fault is named."""
    path = pairfiles.write(tmp_path / "raw.jsonl", [pairfiles.FAULTS["identical"]])
    with pytest.raises(DataError, match=r"holds no good pair \(.*raw\.jsonl:1"):
        import_pairs(path, tmp_path / "pairs.jsonl")
    assert not (tmp_path / "pairs.jsonl").exists()
    with pytest.raises(DataError, match="holds no good pair"):
        split_pairs(path, tmp_path / "split")


def test_the_audit_says_what_shortcuts_would_get_right(tmp_path: Path) -> None:
    """Tables in both languages have the same figures, and a file in which the longer reply is always better shows it."""
    long = [
        {"prompt": pairfiles.question(number), "pos_resp": "好" * (9 + number), "neg_resp": "坏"}
        for number in range(12)
    ]
    done = audit_pairs(pairfiles.write(tmp_path / "p.jsonl", long))
    tables = {language: done.tables(language) for language in ("zh", "en")}
    assert [table.rows[0][1:] for table in tables["zh"]] != []
    assert len(tables["zh"][1].rows) == len(tables["en"][1].rows) == 6
    [longer] = [row[2] for row in tables["en"][1].rows if row[:2] == ("the longer reply", "all")]
    assert longer.value == 1.0  # type: ignore[union-attr]


def test_a_split_straddles_nothing_and_holds_back_its_test(tmp_path: Path) -> None:
    """Every pair is in one file, no prompt or near-duplicate is in two, test rows are held back, categories have their share."""
    near = [{**row, "prompt": row["prompt"][:-1] + "呢？"} for number in range(10) for row in pairfiles.three(number)]
    path = pairfiles.write(tmp_path / "p.jsonl", [*rows(60), *near])
    done = split_pairs(path, tmp_path / "out", Shares(test=0.2, dev=0.1), seed=1)
    found = {name: pairs_of(file) for name, file in done.files.items()}
    assert sum(map(len, found.values())) == 210
    assert {name: {pair.split for pair in pairs} for name, pairs in found.items()} == {
        "train": {"train"}, "dev": {"dev"}, "test": {"heldout"},
    }  # fmt: skip
    stems = {name: {pair.question.rstrip("呢？") for pair in pairs} for name, pairs in found.items()}
    assert not stems["train"] & stems["test"]
    assert not stems["train"] & stems["dev"]
    assert abs(len(found["test"]) - 42) <= 6
    for category in ("law", "insult"):
        share = sum(pair.category == category for pair in found["test"]) / sum(
            pair.category == category for pair in pairs_of(path)
        )
        assert 0.1 < share < 0.3
    assert done.left_out == 0


def test_a_second_split_with_more_data_moves_nothing(tmp_path: Path) -> None:
    """Splitting into the same folder keeps every prompt where it was; without the folder's memory few prompts move."""
    first = split_pairs(pairfiles.write(tmp_path / "p.jsonl", rows(60)), tmp_path / "out")
    before = {pair.question: pair.split for file in first.files.values() for pair in pairs_of(file)}
    more = pairfiles.write(tmp_path / "p.jsonl", rows(90))
    second = split_pairs(more, tmp_path / "out")
    after = {pair.question: pair.split for file in second.files.values() for pair in pairs_of(file)}
    assert (second.kept, second.left_out) == (60, 0)
    assert {question: after[question] for question in before} == before
    assert abs(second.counts["test"] - 54) <= 3
    fresh = split_pairs(more, tmp_path / "fresh")
    anew = {pair.question: pair.split for file in fresh.files.values() for pair in pairs_of(file)}
    assert sum(anew[question] != split for question, split in before.items()) <= 10


def test_held_back_rows_stay_held_back(tmp_path: Path) -> None:
    """Rows that their file holds back go to the test split whatever the shares say."""
    done = split_pairs("starter-choice", tmp_path / "out", Shares(test=0.05))
    held = {pair.question for row in read("starter-choice/heldout") for pair in row.pairs}
    assert held <= {pair.question for pair in pairs_of(done.files["test"])}


def test_a_foreign_splits_file_is_explained(tmp_path: Path) -> None:
    """A splits.json that is none stops the split before anything is written."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "splits.json").write_text('{"x": 1}', encoding="utf-8")
    with pytest.raises(DataError, match="or remove it"):
        split_pairs(pairfiles.write(tmp_path / "p.jsonl", rows(3)), tmp_path / "out")
    split_pairs(tmp_path / "p.jsonl", tmp_path / "other")
    assert len(read_splits(tmp_path / "other" / "splits.json").prompts) == 3


@pytest.mark.shared
def test_jade_goes_through_import_audit_and_split(shared: Path, tmp_path: Path) -> None:
    """The 500 triples of JADE v3 become 500 pairs, none faulty; its refusals give most of them away, and the split is clean."""
    source = shared / "jade" / "jade_alignment_medium_zh.csv"
    done = import_pairs(source, tmp_path / "jade.jsonl", ScanSettings(numbering="repair"))
    assert (done.figures()["rows"], done.figures()["pairs"], done.scan.aside) == (500, 500, 0)
    audited = audit_pairs(tmp_path / "jade.jsonl")
    [refusals] = [row[2] for row in audited.tables("en")[1].rows if row[:2] == ("more refusal words", "all")]
    assert refusals.value > 0.75  # type: ignore[union-attr, operator]
    split = split_pairs(tmp_path / "jade.jsonl", tmp_path / "split")
    assert abs(split.counts["test"] - 100) <= 2
    built = build_all(Building(Source(str(source)), tmp_path / "built.jsonl", BuildSettings()), None)
    assert isinstance(built, BuildResult)
    assert (len(built.built.pairs), built.aside) == (500, 0)
    assert {pair.type for pair in built.built.pairs} == {"responsible/unsafe"}


SCRIPT = """
import json, resource, sys
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
from pathlib import Path
from cvalues.workflows.pairs_build import Building, BuildResult, Source, build_all
from cvalues.workflows.pairs_files import audit_pairs, split_pairs
path = Path(sys.argv[1])
done = audit_pairs(path, quarantine=path.with_name("bad.jsonl"))
split = split_pairs(path, path.with_name("split"), scan=done.scan)
done.tables("zh")
# ru_maxrss of a forked child counts what its parent held before exec; the high-water mark of this address space does not.
peak = int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
print(json.dumps({**done.figures(), "test": split.counts["test"], "peak": peak}))
"""


@pytest.mark.slow
def test_a_file_larger_than_the_memory_goes_through(tmp_path: Path) -> None:
    """Reading, checking, auditing and splitting more than 1 GiB works in an address space of 1 GiB, and takes less than 400 MiB of it."""
    path = tmp_path / "large.jsonl"
    replies = [("好" * 4000 + str(place) + "安" * 2000, "坏" * 5000 + str(place) + "险" * 800) for place in range(50)]
    encoded = [(better.encode(), worse.encode()) for better, worse in replies]
    with path.open("wb") as file:
        for number in range(31_000):
            better, worse = encoded[number % 50]
            prompt = pairfiles.question(number // 3).encode()
            file.write(
                b'{"prompt":"%b","pos_resp":"%d%b","neg_resp":"%b%d"}\n' % (prompt, number, better, worse, number)
            )
        file.write(b'{"prompt": "x", "pos_resp": "y"')
    assert path.stat().st_size > 1 << 30
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SCRIPT), str(path)],
        capture_output=True,
        text=True,
        timeout=500,
        cwd=ROOT,
    )
    path.unlink()
    assert ran.returncode == 0, ran.stderr[-2000:]
    figures = json.loads(ran.stdout)
    assert (figures["rows"], figures["pairs"], figures["set_aside"]) == (31_001, 31_000, 1)
    assert figures["test"] == pytest.approx(6200, abs=20)
    assert figures["peak"] / 1024 < 400


@pytest.mark.slow
def test_the_path_of_145669_rows_keeps_its_budget(tmp_path: Path) -> None:
    """A synthetic file of the public size is read, checked, audited and split in less than 60 s of a processor and 400 MiB."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        import pairs_145k
    finally:
        sys.path.remove(str(ROOT / "benchmarks"))
    path = tmp_path / "pairs.jsonl"
    pairs_145k.write(path, pairs_145k.ROWS)
    command = [sys.executable, str(ROOT / "benchmarks" / "pairs_145k.py"), "--measure", str(path)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=600, cwd=ROOT)
    path.unlink()
    assert ran.returncode == 0, ran.stderr[-2000:]
    figures = json.loads(ran.stdout)
    faulty = 145_669 // 997
    assert (figures["rows"], figures["set_aside"], figures["pairs"]) == (145_669, faulty, 145_669 - faulty)
    assert figures["test_pairs"] == pytest.approx(0.2 * figures["pairs"], rel=0.01)
    assert figures["seconds_of_processor"] < 60
    assert figures["peak_mib"] < 400
