"""Exports in every form, held against the schema of the tool that reads it; card, hashes, licences, guard."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pyarrow.parquet as pq
import pytest

from cvalues.datasets import load
from cvalues.errors import DataError, UsageError
from cvalues.pairs.formats import FORMATS
from cvalues.pairs.pair import Pair, encode_row, full_row
from cvalues.records import file_hash
from cvalues.schema import Reply
from cvalues.study import open_study
from cvalues.workflows.pairs_export import ExportSettings, export

sys.path.insert(0, str(Path(__file__).parents[1] / "pairs"))
import pairfiles

TEXT = {"type": "string", "minLength": 1}


def message(role: str) -> dict[str, Any]:
    """Schema of one message of a role."""
    return strict({"role": {"const": role}, "content": TEXT})


def strict(fields: dict[str, Any]) -> dict[str, Any]:
    """Schema of an object with exactly these fields."""
    return {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}


def turns(*roles: str) -> dict[str, Any]:
    """Schema of a list of messages with these roles in turn."""
    return {
        "type": "array",
        "prefixItems": [message(role) for role in roles],
        "minItems": len(roles),
        "maxItems": len(roles),
    }


TYPES = {"enum": ["拒绝&正向建议", "拒绝为主", "风险回复"]}
SCHEMAS: dict[str, dict[str, Any]] = {
    "public": strict({"prompt": TEXT, "pos_resp": TEXT, "neg_resp": TEXT, "pos_type": TYPES, "neg_type": TYPES}),
    "trl": strict({"prompt": TEXT, "chosen": TEXT, "rejected": TEXT}),
    "trl-chat": strict({"prompt": turns("user"), "chosen": turns("assistant"), "rejected": turns("assistant")}),
    "llama-factory": strict({"instruction": TEXT, "input": {"const": ""}, "chosen": TEXT, "rejected": TEXT}),
    "ms-swift": strict({"messages": turns("user", "assistant"), "rejected_response": TEXT}),
    "openrlhf": strict({"chosen": turns("user", "assistant"), "rejected": turns("user", "assistant")}),
    "choices": strict({"prompt": TEXT, "label": {"enum": ["回复1", "回复2"]}, "meta_info": {"type": "object"}}),
}


def read(path: Path) -> list[dict[str, Any]]:
    """The rows of a JSON Lines file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def own(path: Path, pairs: list[Pair]) -> Path:
    """A pair file."""
    path.write_bytes(b"".join(encode_row(full_row(pair)) for pair in pairs))
    return path


@pytest.mark.parametrize("form", SCHEMAS)
def test_every_line_fits_the_schema_of_its_form(tmp_path: Path, form: str) -> None:
    """Every line has exactly the fields that the tool reads, and the texts of its pair."""
    done = export("starter-choice", tmp_path / "x.jsonl", ExportSettings(format=form), study=tmp_path / "s.db")
    rows = read(done.path)
    validator = jsonschema.Draft202012Validator(SCHEMAS[form])
    for row in rows:
        validator.validate(row)
    pairs = load("starter-choice/train", kind="comparison")
    assert (
        len(rows) == len(pairs) * (2 if form == "choices" else 1) == done.card.pairs * (2 if form == "choices" else 1)
    )
    first = json.dumps(rows[0], ensure_ascii=False)
    assert all(
        json.dumps(text, ensure_ascii=False)[1:-1] in first
        for text in (pairs[0].question, pairs[0].better.text, pairs[0].worse.text)
    )


def test_every_form_is_tested_and_named() -> None:
    """The table of forms is what the tests cover, and the Hugging Face folder."""
    assert set(FORMATS) == {*SCHEMAS, "hf"}


def test_a_hugging_face_folder_has_parquet_card_and_readme(tmp_path: Path) -> None:
    """One Parquet file per split with TRL's columns, and a README whose YAML names files, features, licence and size."""
    out = tmp_path / "set"
    done = export(
        "starter-choice", out, ExportSettings(format="hf", split="all", allow_heldout=True), study=tmp_path / "s.db"
    )
    tables = {
        name: pq.read_table(out / "data" / f"{name}-00000-of-00001.parquet") for name in ("train", "validation", "test")
    }
    counts = {split: len(load(f"starter-choice/{split}", kind="comparison")) for split in ("train", "dev", "heldout")}
    assert [table.num_rows for table in tables.values()] == list(counts.values())
    assert tables["train"].column_names[:3] == ["prompt", "chosen", "rejected"]
    head = (out / "README.md").read_text(encoding="utf-8").split("---\n")[1]
    for line in (
        "license: cc-by-4.0",
        "  - split: validation",
        "    path: data/test-*",
        "- 1K<n<10K",
        "  - name: chosen",
    ):
        assert line in head
    for name in tables["train"].column_names:
        assert f"  - name: {name}\n" in head
    card = json.loads((out / "card.json").read_bytes())
    assert card["hashes"] == {
        f"data/{name}-00000-of-00001.parquet": file_hash(out / "data" / f"{name}-00000-of-00001.parquet")
        for name in tables
    }
    assert (card["heldout"], done.heldout) == (counts["heldout"], counts["heldout"])


def test_llama_factory_finds_the_file_in_its_registry(tmp_path: Path) -> None:
    """dataset_info.json gets an entry with columns and ranking; entries that stand there stay; a broken one is not overwritten."""
    place = tmp_path / "dataset_info.json"
    place.write_text('{"other": {"file_name": "o.json"}}', encoding="utf-8")
    export("starter-choice", tmp_path / "mine.jsonl", ExportSettings(format="llama-factory"), study=tmp_path / "s.db")
    info = json.loads(place.read_text(encoding="utf-8"))
    assert info["other"] == {"file_name": "o.json"}
    assert (info["mine"]["file_name"], info["mine"]["ranking"]) == ("mine.jsonl", True)
    assert set(info["mine"]["columns"].values()) <= set(read(tmp_path / "mine.jsonl")[0])
    place.write_text("{", encoding="utf-8")
    with pytest.raises(DataError, match="repair it or move it away"):
        export(
            "starter-choice", tmp_path / "mine.jsonl", ExportSettings(format="llama-factory"), study=tmp_path / "s.db"
        )


def test_the_card_counts_and_hashes_what_was_written(tmp_path: Path) -> None:
    """Types, prompts, licences, evidence, the share of longer replies, and the hash of the file."""
    pairs = [
        pairfiles.pair(1, "safe", "unsafe", licence="MIT"),
        msgspec.structs.replace(
            pairfiles.pair(1, "responsible", "unsafe", licence="MIT"),
            better=Reply(text="先想想。", grade="responsible"),
        ),
        pairfiles.pair(2),
    ]
    done = export(str(own(tmp_path / "p.jsonl", pairs)), tmp_path / "x.jsonl", study=tmp_path / "s.db")
    card = json.loads((tmp_path / "x.jsonl.card.json").read_bytes())
    assert (card["pairs"], card["prompts"]) == (3, 2)
    assert card["types"] == {"responsible/unsafe": 1, "safe/unsafe": 2}
    assert card["licences"] == {"MIT": 2, "unknown": 1}
    assert card["hashes"] == {"x.jsonl": file_hash(done.path)}
    assert card["longer"] == 0.0


def test_the_licence_filter_lets_only_its_licences_through(tmp_path: Path) -> None:
    """Other and unknown licences are left out and counted; when nothing is left the licences that there are are named."""
    pairs = [pairfiles.pair(1, licence="MIT"), pairfiles.pair(2, licence="CC-BY-NC-4.0"), pairfiles.pair(3)]
    source = str(own(tmp_path / "p.jsonl", pairs))
    done = export(source, tmp_path / "x.jsonl", ExportSettings(licences=("MIT",)), study=tmp_path / "s.db")
    assert (done.card.pairs, done.unlicensed) == (1, 2)
    with pytest.raises(UsageError, match=r"its pairs have: CC-BY-NC-4\.0, MIT, unknown"):
        export(source, tmp_path / "y.jsonl", ExportSettings(licences=("Apache-2.0",)), study=tmp_path / "s.db")


def test_held_back_pairs_of_a_file_are_guarded_too(tmp_path: Path) -> None:
    """A split file's test rows are refused like the set's; forced, the study remembers the hash."""
    source = str(own(tmp_path / "p.jsonl", [pairfiles.pair(1, split="heldout"), pairfiles.pair(2, split="train")]))
    settings = ExportSettings(split="all")
    with pytest.raises(UsageError, match="--allow-heldout"):
        export(source, tmp_path / "x.jsonl", settings, study=tmp_path / "s.db")
    done = export(
        source, tmp_path / "x.jsonl", ExportSettings(split="all", allow_heldout=True), study=tmp_path / "s.db"
    )
    with open_study(tmp_path / "s.db") as study:
        [audit] = study.audits()
    assert (audit.verb, audit.detail["hash"], audit.detail["pairs"]) == ("export-heldout", file_hash(done.path), 1)


def test_a_repeated_row_does_not_smuggle_what_is_held_back(tmp_path: Path) -> None:
    """A held-back row that repeats an earlier one is set aside as repeated and still guards the file."""
    first = pairfiles.pair(1, split="train")
    source = str(own(tmp_path / "p.jsonl", [first, msgspec.structs.replace(first, split="heldout")]))
    settings = ExportSettings(split="all", quarantine=tmp_path / "bad.jsonl")
    with pytest.raises(UsageError, match="--allow-heldout"):
        export(source, tmp_path / "x.jsonl", settings, study=tmp_path / "s.db")


def test_mistakes_are_explained(tmp_path: Path) -> None:
    """An unknown form lists the forms; a faulty row stops the export with its line and the command that sets it aside."""
    with pytest.raises(UsageError, match="the formats are public, trl"):
        export("starter-choice", tmp_path / "x", ExportSettings(format="trll"), study=tmp_path / "s.db")
    path = pairfiles.write(tmp_path / "p.jsonl", [pairfiles.row(1), pairfiles.FAULTS["identical"]])
    with pytest.raises(DataError, match=r"p\.jsonl:2: .*cvalues pairs import"):
        export(str(path), tmp_path / "x.jsonl", study=tmp_path / "s.db")
    assert not (tmp_path / "x.jsonl").exists()


def test_choices_and_pairs_make_each_other(tmp_path: Path) -> None:
    """Pairs exported as choices, read back as pairs and exported again give the same bytes."""
    pairs = [
        pairfiles.pair(number, category="law", collection=2, difficulty="easy", source="own", split="")
        for number in range(4)
    ]
    first = export(
        str(own(tmp_path / "own.jsonl", pairs)),
        tmp_path / "a" / "own.jsonl",
        ExportSettings(format="choices"),
        study=tmp_path / "s.db",
    )
    again = export(
        str(first.path), tmp_path / "b" / "own.jsonl", ExportSettings(format="choices"), study=tmp_path / "s.db"
    )
    assert first.path.read_bytes() == again.path.read_bytes()
    assert [row["label"] for row in read(first.path)] == ["回复1", "回复2"] * 4


@pytest.mark.shared
def test_the_real_choice_row_comes_out_byte_for_byte(shared: Path, tmp_path: Path) -> None:
    """The real row of the public multiple-choice file, read as a pair and exported in both orders, is among them byte for byte."""
    source = shared / "cvalues" / "cvalues_responsibility_mc_example.jsonl"
    done = export(str(source), tmp_path / "x.jsonl", ExportSettings(format="choices"), study=tmp_path / "s.db")
    assert source.read_bytes().strip() in done.path.read_bytes().splitlines()
