"""Tests of the files that other tools run: their shapes, and that nothing in a text changes what a tool makes of them."""

from __future__ import annotations

import importlib.util
import json
import re
import zipfile
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer import Typer
from typer.testing import CliRunner

from cvalues.cli.interop import data_card, data_export, data_import_log
from cvalues.datasets import load
from cvalues.errors import DataError, MissingExtra, UsageError
from cvalues.integrations.hugging_face import model_index
from cvalues.integrations.inspect_logs import import_log
from cvalues.integrations.items import FIGURES, choice_of, figure, outcome_of, read_rows, row_of
from cvalues.integrations.lm_eval_folder import read, task_name
from cvalues.integrations.other_files import literal
from cvalues.prompts import template
from cvalues.scoring import score
from cvalues.study import open_study
from cvalues.workflows.api import outcomes, run
from cvalues.workflows.interop import FORMATS, export_set

SET = "starter-choice/heldout"
CHOICES = load(SET, kind="choice")


def lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSON Lines file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_writes_the_whole_set(form: str, tmp_path: Path) -> None:
    """Each format counts every item, its files lie inside the folder, and none of them names the folder."""
    done = export_set(SET, tmp_path / "out", form)
    assert done.items == len(CHOICES)
    for file in done.files:
        assert file.is_relative_to(tmp_path / "out")
        assert str(tmp_path).encode() not in file.read_bytes()
    assert len(done.table().rows) == len(done.files)


def test_rows_keep_the_whole_item() -> None:
    """A row gives the choice back, and its target is the label of the better reply."""
    for choice in CHOICES[:20]:
        row = row_of(choice, template("ab"))
        assert choice_of(row) == choice
        assert row["labels"][row["better"]] == row["target"] == "AB"[choice.better - 1]


def test_opencompass_gets_the_public_file(tmp_path: Path) -> None:
    """The file is where OpenCompass looks; prompt and label hold the names that it rewrites to A and B."""
    done = export_set(SET, tmp_path, "opencompass")
    assert done.files == [tmp_path / "data" / "cvalues_responsibility_mc.jsonl"]
    for row, choice in zip(lines(done.files[0]), CHOICES, strict=True):
        assert row["label"] == f"回复{choice.better}"
        assert "[回复1]" in row["prompt"]
        assert re.sub("回复2", "B", re.sub("回复1", "A", row["label"])) == "AB"[choice.better - 1]
    with pytest.raises(UsageError, match="--template public"):
        export_set(SET, tmp_path, "opencompass", template_name="ab")


def test_evalscope_gets_one_subset_per_level(tmp_path: Path) -> None:
    """Rows have question, A, B and an answer of the two; the levels are the subsets."""
    export_set(SET, tmp_path, "evalscope")
    rows = lines(tmp_path / "safety_val.jsonl") + lines(tmp_path / "responsibility_val.jsonl")
    by_id = {choice.id: choice for choice in CHOICES}
    assert {row["id"] for row in rows} == set(by_id)
    for row in rows:
        assert set(row) == {"id", "question", "A", "B", "answer"}
        assert row[row["answer"]] == by_id[row["id"]].replies[by_id[row["id"]].better - 1].text


def test_promptfoo_reads_by_our_rules(tmp_path: Path) -> None:
    """The assertion passes for the better reply alone, and says what was read."""
    export_set(SET, tmp_path, "promptfoo")
    tests = lines(tmp_path / "tests.jsonl")
    spec = importlib.util.spec_from_file_location("read_choice", tmp_path / "read_choice.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for test, choice in zip(tests[:10], CHOICES[:10], strict=True):
        for number in (1, 2):
            found = module.get_assert(f"我选择回复{number}。", {"vars": test["vars"]})
            assert (found["pass"], found["score"]) == (choice.better == number, float(choice.better == number))
            assert found["reason"].startswith(f"{number} (")
    assert "file://tests.jsonl" in (tmp_path / "promptfooconfig.yaml").read_text(encoding="utf-8")


@given(st.text(alphabet=st.sampled_from("{}%#ab' \"甲\n")))
def test_no_text_is_a_template(text: str) -> None:
    """What looks like a template becomes an expression that renders to itself, so the text arrives as it is."""
    made = literal(text)
    rendered = re.sub(r"\{\{ '(\{[{%#])' \}\}", lambda match: match[1], made)
    assert rendered == text
    assert not re.search(r"\{[{%#]", re.sub(r"\{\{ '\{[{%#]' \}\}", "", made))


def test_the_lm_eval_folder_stands_alone(tmp_path: Path) -> None:
    """Two tasks name functions of the module beside them, and the set's name becomes one that the harness takes."""
    done = export_set(SET, tmp_path, "lm-eval")
    names = {file.name for file in done.files}
    assert names == {
        "items.jsonl", "cvalues_tasks.py", "cvalues_starter_choice_heldout_likelihood.yaml", "cvalues_starter_choice_heldout_generate.yaml",
    }  # fmt: skip
    module = (tmp_path / "cvalues_tasks.py").read_text(encoding="utf-8")
    for name in names - {"items.jsonl", "cvalues_tasks.py"}:
        text = (tmp_path / name).read_text(encoding="utf-8")
        for function in re.findall(r"!function cvalues_tasks\.(\w+)", text):
            assert f"def {function}(" in module
    assert task_name("../odd name:中文.jsonl") == "cvalues_odd_name"
    assert task_name("中文") == "cvalues"


def test_reading_in_lm_eval_gives_our_figures() -> None:
    """Means of the task's metrics are the figures of our scoring, acc_star as a ratio of sums."""
    said = ["回复1", "回复2更好。", "都不好。", "抱歉，我不能回答。", "嗯。"]
    rows = [row_of(choice, template("public")) for choice in CHOICES[:50]]
    found = [read(row, said[at % 5]) for at, row in enumerate(rows)]
    ours = [outcome_of(row, said[at % 5]) for at, row in enumerate(rows)]
    for name in ("acc", "answered", "coverage"):
        assert sum(each[name] for each in found) / len(found) == pytest.approx(figure(ours, name))
    right, answered = (sum(each["acc_star"][place] for each in found) for place in (0, 1))
    assert right / answered == pytest.approx(figure(ours, "acc_star"))
    assert figure([], "acc") is None
    assert set(FIGURES) <= set(score(ours)[0].__struct_fields__)


@pytest.mark.parametrize(
    ("word", "outcome"),
    [("max_tokens", "truncated"), ("content_filter", "blocked"), ("stop", "unreadable"), ("??", "unreadable")],
)
def test_reasons_why_a_reply_ended_are_ours(word: str, outcome: str) -> None:
    """The words of other tools for a limit or a filter mean what ours mean."""
    assert outcome_of(row_of(CHOICES[0], template("public")), "嗯", word).outcome == outcome


def test_hugging_face_folder(tmp_path: Path) -> None:
    """One Parquet file per split with whole rows, and a head that names exactly these files."""
    import pyarrow.parquet as pq

    export_set("starter-choice", tmp_path, "hf")
    readme = (tmp_path / "README.md").read_text(encoding="utf-8")
    total = 0
    for split in ("train", "validation", "test"):
        table = pq.read_table(tmp_path / "data" / f"{split}-00000-of-00001.parquet")
        total += table.num_rows
        assert f"  - split: {split}\n    path: data/{split}-*" in readme
        assert set(table.column("better").to_pylist()) == {1, 2}
    assert total == len(load("starter-choice", kind="choice"))
    export_set("starter-prompts", tmp_path / "prompts", "hf")
    assert (tmp_path / "prompts" / "data" / "test-00000-of-00001.parquet").exists()


def test_mistakes_are_explained(tmp_path: Path) -> None:
    """Unknown formats, prompts where choices belong, empty splits and templates of the other kind say what to do."""
    with pytest.raises(UsageError, match="unknown format 'lm-evall'; the formats are inspect, lm-eval"):
        export_set(SET, tmp_path, "lm-evall")
    with pytest.raises(UsageError, match="only hf takes both"):
        export_set("starter-prompts", tmp_path, "inspect")
    with pytest.raises(UsageError, match="no items of split 'none'"):
        export_set(SET, tmp_path, "inspect", split="none")
    with pytest.raises(UsageError, match="needs one for two-choice items"):
        export_set(SET, tmp_path, "inspect", template_name="plain")
    (tmp_path / "items.jsonl").write_text('{"id": 1}\n', encoding="utf-8")
    with pytest.raises(DataError, match=r"items\.jsonl:1: is no item"):
        read_rows(tmp_path / "items.jsonl")


def sample(number: int, content: Any, **more: Any) -> dict[str, Any]:
    """A sample of an Inspect log."""
    output = {
        "model": "m", "choices": [{"message": {"role": "assistant", "content": content}, "stop_reason": more.pop("stop", "stop")}],
        "usage": {"input_tokens": 3, "output_tokens": 4},
    }  # fmt: skip
    return {"id": number, "epoch": 1, "input": [{"role": "user", "content": f"问{number}"}], "output": output, **more}


def test_inspect_logs_become_responses(tmp_path: Path) -> None:
    """JSON logs and deflated .eval logs give text, reasoning, finish and tokens; failed samples are left out."""
    parts = [{"type": "reasoning", "reasoning": "想"}, {"type": "text", "text": "回复2"}]
    found = [sample(1, "回复1"), sample(2, parts, stop="max_tokens"), sample(3, "x", error={"message": "boom"})]
    log = tmp_path / "log.json"
    log.write_text(json.dumps({"eval": {}, "samples": found}), encoding="utf-8")
    packed = tmp_path / "log.eval"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry in found:
            archive.writestr(f"samples/{entry['id']}_epoch_1.json", json.dumps(entry))
    for source in (log, packed):
        assert import_log(source, tmp_path / "out.jsonl") == 2
        first, second = lines(tmp_path / "out.jsonl")
        assert (first["prompt"], first["response"], first["finish"], first["tokens_out"]) == ("问1", "回复1", "stop", 4)
        assert (second["response"], second["reasoning"], second["finish"]) == ("回复2", "想", "max_tokens")


@pytest.mark.parametrize(
    ("name", "body", "says"),
    [
        ("a.json", b"[]", "is no log|expected"),
        ("b.json", b"{}", "is no log of Inspect"),
        ("c.json", b'{"eval": {}, "samples": []}', "holds no response"),
        ("d.json", b"\xff", "expected a log"),
        ("e.eval", b"PK", "is no log of Inspect"),
        ("f.eval", b"", "is no log of Inspect"),
    ],
)
def test_what_is_no_log_is_refused(name: str, body: bytes, says: str, tmp_path: Path) -> None:
    """Other files than logs give an error that names them."""
    (tmp_path / name).write_bytes(body)
    with pytest.raises(DataError, match=says):
        import_log(tmp_path / name, tmp_path / "out.jsonl")


def test_a_log_that_needs_inspect_says_so(tmp_path: Path) -> None:
    """A log in a compression that Python lacks names the extra that reads it."""
    with zipfile.ZipFile(tmp_path / "log.eval", "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("samples/1.json", json.dumps(sample(1, "回复1")))
    with pytest.raises(MissingExtra, match="cvalues\\[inspect\\]"):
        import_log(tmp_path / "log.eval", tmp_path / "out.jsonl")


def test_the_model_index_holds_the_figures(tmp_path: Path) -> None:
    """The head of a model card has acc per level in percent, its interval in words, and odd names quoted."""
    with open_study(tmp_path / "s.db") as study:
        found = outcomes(run(SET, "baseline:longer", study=study))
    renamed = [msgspec.structs.replace(outcome, model='odd: "name"\n- x') for outcome in found]
    text = model_index(renamed, revision="r")
    assert '- name: "odd: \\"name\\"\\n- x"' in text
    for entry in score(found, ("set", "level")):
        assert entry.acc.value is not None
        assert f"value: {100 * entry.acc.value:.4f}" in text
    assert text.startswith("---\nmodel-index:\n")
    assert text.endswith("---\n")


def test_the_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The three commands do what the workflows do and print JSON when asked, in both languages else."""
    monkeypatch.chdir(tmp_path)
    app = Typer()
    app.command("export")(data_export)
    app.command("import-log")(data_import_log)
    app.command("card")(data_card)
    call = CliRunner().invoke
    done = call(app, ["export", SET, "--format", "inspect", "-o", "task", "--json"])
    assert json.loads(done.stdout)["items"] == len(CHOICES)
    assert "个题目已写入" in call(app, ["export", SET, "--format", "evalscope", "-o", "e", "--lang", "zh"]).stdout
    Path("log.json").write_text(json.dumps({"eval": {}, "samples": [sample(1, "回复1")]}), encoding="utf-8")
    assert json.loads(call(app, ["import-log", "log.json", "--json"]).stdout)["responses"] == 1
    with open_study("study.db") as study:
        run(SET, "baseline:first", study=study)
    done = call(app, ["card", "latest", "--lang", "en"])
    assert "results of baseline:first written to model-index.md" in done.stdout
