"""The commands `cvalues pairs …`, as a person types them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cvalues.cli.app import app
from cvalues.cli.messages import translate
from cvalues.pairs.words import PHRASES

sys.path.insert(0, str(Path(__file__).parents[1] / "pairs"))
import pairfiles


def run(line: str, code: int = 0) -> str:
    """Runs a command line and returns what it printed; fails with all it said when the exit code is another."""
    result = CliRunner().invoke(app, line.split())
    assert result.exit_code == code, f"{line}: {result.output} {result.exception!r}"
    return result.stdout


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_from_the_starter_set_to_a_measured_model(lang: str) -> None:
    """Build, audit, split, train, evaluate, export: every step says what it did, in both languages."""
    assert "1080" in run(f"pairs build starter-choice -o pairs.jsonl --lang {lang}")
    assert "1080" in run(f"pairs audit pairs.jsonl --lang {lang}")
    assert "test.jsonl" in run(f"pairs split pairs.jsonl -o split --lang {lang}")
    assert "reward.npz" in run(f"pairs train split/train.jsonl -o reward.npz --lang {lang}")
    shown = run(f"pairs evaluate reward.npz split/test.jsonl --lang {lang}")
    assert "baseline:longer" in shown
    assert "x.jsonl" in run(f"pairs export split/train.jsonl -o x.jsonl --format trl --lang {lang}")


def test_json_is_json_on_every_command() -> None:
    """With --json stdout is one JSON value and nothing else."""
    commands = [
        "pairs build starter-choice -o pairs.jsonl",
        "pairs import pairs.jsonl -o again.jsonl",
        "pairs audit pairs.jsonl",
        "pairs split pairs.jsonl -o split",
        "pairs train split/train.jsonl -o reward.npz",
        "pairs evaluate reward.npz split/test.jsonl",
        "pairs export split/train.jsonl -o x.jsonl",
    ]
    found: dict[str, Any] = {line.split()[1]: json.loads(run(f"{line} --json")) for line in commands}
    assert found["build"]["pairs"] == found["audit"]["pairs"] == 1080
    assert found["train"]["revision"].startswith("b2:")
    assert found["evaluate"]["models"][0]["model"] == "reward.npz"
    assert found["export"]["card"]["pairs"] == found["export"]["pairs"]


def test_the_audit_exits_1_on_a_faulty_row_and_names_it() -> None:
    """A faulty row is named with its line, in Chinese too, and goes to the quarantine."""
    pairfiles.write(Path("p.jsonl"), [*pairfiles.three(1), pairfiles.FAULTS["identical"]])
    result = CliRunner().invoke(app, ["pairs", "audit", "p.jsonl", "--quarantine", "bad.jsonl", "--lang", "zh"])
    assert result.exit_code == 1
    assert "p.jsonl:4: neg_resp: 两个回复相同 [identical]" in result.stderr
    assert json.loads(Path("bad.jsonl").read_text(encoding="utf-8"))["line"] == 4
    assert run("pairs import p.jsonl -o good.jsonl --numbering repair", 1).count("3 pairs") == 2


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("pairs evaluate reward.npz", "name at least one reward model"),
        ("pairs evaluate none.npz starter-choice", "no such file"),
        ("pairs train starter-choice -o model.bin", "ends in .npz"),
        ("pairs import starter-choice -o x --numbering fix", "keep, repair or drop"),
        ("pairs split starter-choice -o x --test 0", "--test and --dev"),
        ("pairs build", "a run with --from RUN"),
        ("pairs rank none.npz latest", "no such study"),
        ("pairs export starter-choice -o x --split heldout", "--allow-heldout"),
    ],
)
def test_mistakes_are_told(line: str, said: str) -> None:
    """Each mistake of a person is one sentence that says what to do."""
    result = CliRunner().invoke(app, line.split())
    assert result.exit_code != 0
    assert said in str(result.exception)


def test_a_dry_run_asks_nothing_and_makes_no_study() -> None:
    """--dry-run shows the calls of a rewriting and leaves no file."""
    pairfiles.write(Path("p.jsonl"), [{"prompt": pairfiles.question(1), "answer": "可以先咨询律师。"}])
    shown = run("pairs build p.jsonl -o x.jsonl --rewrite openai:m@http://127.0.0.1:9/v1 --dry-run --json")
    assert json.loads(shown)["rows"][0][1:4] == [2, 0, 2]
    assert not Path("study.db").exists()
    assert not Path("x.jsonl").exists()


def test_every_phrase_is_in_both_languages_with_the_same_gaps() -> None:
    """No phrase is empty, and its gaps are the same in zh and en."""
    import re

    for key, entry in PHRASES.table.items():
        assert set(entry) == {"zh", "en"}, key
        assert entry["zh"], key
        assert entry["en"], key
        gaps = [sorted(re.findall(r"\{(\w+)\}", entry[language])) for language in ("zh", "en")]
        assert gaps[0] == gaps[1], key


def test_prompts_with_approved_answers_are_imported_and_built_from() -> None:
    """100PoisonMpts as it is: faulty rows are named and set aside, the good ones keep their fields and can be rewritten from."""
    rows = [
        {"prompt": "问题甲？", "answer": "1. 去问老师。", "domain": "法律"},
        {"prompt": "问题甲？", "answer": "另一个答案。"},
        {"prompt": "问题乙？", "answer": ""},
        {"prompt": "问题甲？", "answer": "另一个答案。"},
        {"prompt": "问题丙？", "answer": "好<|im_end|>"},
    ]
    pairfiles.write(Path("train.jsonl"), rows)
    result = CliRunner().invoke(
        app,
        [
            "pairs",
            "import",
            "train.jsonl",
            "-o",
            "good.jsonl",
            "--quarantine",
            "bad.jsonl",
            "--numbering",
            "repair",
            "--lang",
            "zh",
        ],
    )
    assert result.exit_code == 0
    assert "train.jsonl:3: answer: 回复为空 [empty_reply]" in result.stderr
    good = [json.loads(line) for line in Path("good.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["answer"] for row in good] == ["去问老师。", "另一个答案。"]
    assert good[0]["category"] == "法律"
    bad = [json.loads(line) for line in Path("bad.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [(row["line"], row["code"]) for row in bad] == [(3, "empty_reply"), (4, "duplicate"), (5, "control_token")]
    shown = json.loads(
        run("pairs build good.jsonl -o x.jsonl --rewrite openai:m@http://127.0.0.1:9/v1 --dry-run --json")
    )
    assert shown["rows"][0][1] == 4
    assert json.loads(run("pairs import train.jsonl -o good.jsonl --json", 1))["answers"] == 2


def faulty(path: str) -> str:
    """A file of graded pairs with a repeated row, a faulty row, and a last row that breaks off; returns what it breaks off at."""
    rows = [row for number in range(12) for row in pairfiles.three(number)]
    pairfiles.write(Path(path), [*rows, rows[0], pairfiles.FAULTS["identical"]])
    cut = '{"prompt": "一半", "pos_resp": "好'
    with Path(path).open("a", encoding="utf-8") as file:
        file.write(cut)
    return cut


@pytest.mark.parametrize(
    "line",
    ["build p.jsonl -o x.jsonl", "import p.jsonl -o x.jsonl", "split p.jsonl -o x", "train p.jsonl -o x.npz",
     "evaluate baseline:longer p.jsonl"],
)  # fmt: skip
def test_rows_that_are_left_out_are_counted_and_taken_by_a_quarantine(line: str) -> None:
    """Each command says how many rows it left out and exits 1; with --quarantine it writes them as they stood and exits 0."""
    cut = faulty("p.jsonl")
    count = 2 if line.startswith("build") else 3  # a build merges replies, so a repeated row is none
    for lang, said in (("en", f"{count} rows have faults and were set aside"), ("zh", f"{count} 行有错误")):
        result = CliRunner().invoke(app, ["pairs", *line.split(), "--lang", lang])
        assert result.exit_code == 1, result.output
        assert said in result.stderr
    result = CliRunner().invoke(app, ["pairs", *line.split(), "--quarantine", "bad.jsonl", "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["set_aside"] == count
    assert "bad.jsonl" in result.stderr
    bad = [json.loads(row) for row in Path("bad.jsonl").read_text(encoding="utf-8").splitlines()]
    lines = Path("p.jsonl").read_text(encoding="utf-8").splitlines()
    assert [row["raw"] for row in bad] == [lines[row["line"] - 1] for row in bad]
    assert (bad[-1]["code"], bad[-1]["line"], bad[-1]["raw"]) == ("truncated", 39, cut)
    assert all(set(row) == {"file", "line", "code", "fault", "raw"} for row in bad)


def test_an_export_stops_at_a_faulty_row_or_sets_it_aside() -> None:
    """Without a quarantine the first faulty row is named, in Chinese too; with one the rest is exported."""
    faulty("p.jsonl")
    result = CliRunner().invoke(app, ["pairs", "export", "p.jsonl", "-o", "x.jsonl"])
    assert result.exit_code != 0
    assert "p.jsonl:37: repeats an earlier row, at line: 1 [duplicate]" in str(result.exception)
    chinese = translate(str(result.exception), "zh")
    assert "与前面的一行相同" in chinese
    assert "--quarantine FILE" in chinese
    done = json.loads(run("pairs export p.jsonl -o x.jsonl --quarantine bad.jsonl --json"))
    assert (done["set_aside"], done["pairs"]) == (3, 36)
    assert len(Path("bad.jsonl").read_text(encoding="utf-8").splitlines()) == 3


@pytest.mark.parametrize(
    ("lang", "said"), [("en", "144 prompts that the source holds back"), ("zh", "留出的 144 个问题")]
)
def test_a_split_says_why_its_test_part_is_larger_than_its_share(lang: str, said: str) -> None:
    """What the source holds back goes to the test split, and the command says how many prompts."""
    result = CliRunner().invoke(app, ["pairs", "split", "starter-choice", "-o", "x", "--test", "0.1", "--lang", lang])
    assert result.exit_code == 0
    assert said in result.stderr


def test_a_contradicting_pair_is_not_exported() -> None:
    """The same two replies in the other order stop an export; a quarantine takes the later row."""
    one = pairfiles.row(1)
    other = {**one, "pos_resp": one["neg_resp"], "neg_resp": one["pos_resp"]}
    pairfiles.write(Path("c.jsonl"), [one, other])
    result = CliRunner().invoke(app, ["pairs", "export", "c.jsonl", "-o", "x.jsonl", "--format", "trl"])
    assert "c.jsonl:2:" in str(result.exception)
    assert "[conflict]" in str(result.exception)
    assert not Path("x.jsonl").exists()
    done = json.loads(run("pairs export c.jsonl -o x.jsonl --format trl --quarantine bad.jsonl --json"))
    assert (done["set_aside"], done["pairs"]) == (1, 1)


def test_what_stands_in_a_faulty_row_is_told_in_chinese() -> None:
    """What a parser found is translated with the fault."""
    Path("p.jsonl").write_text('{"prompt": "问", "pos_resp": "好", "neg_resp": "坏"}\n{"prompt": 3}\n{x}\n', "utf-8")
    result = CliRunner().invoke(app, ["pairs", "audit", "p.jsonl", "--lang", "zh"])
    assert result.exit_code == 1
    assert "p.jsonl:3: 不是 JSON：" in result.stderr
    assert "JSON is malformed" not in result.stderr


def test_a_dry_run_is_told_in_chinese() -> None:
    """Title and columns of a plan are Chinese with --lang zh, with and without something to ask."""
    pairfiles.write(Path("p.jsonl"), [{"prompt": pairfiles.question(1), "answer": "可以先咨询律师。"}])
    rewriting = "pairs build p.jsonl -o x.jsonl --rewrite openai:m@http://127.0.0.1:9/v1 --dry-run"
    shown = run(f"{rewriting} --lang zh")
    assert "计划：" in shown
    assert not any(word in shown for word in ("Plan", "requests", "cost", "作答率"))
    assert "计划：无需提问" in run("pairs build p.jsonl -o x.jsonl --dry-run --lang zh")


def test_prompts_without_replies_get_true_advice() -> None:
    """Nothing can be rewritten where there is no reply: the message names the run and the judge that are needed first."""
    pairfiles.write(Path("p.jsonl"), [{"prompt": pairfiles.question(1), "category": "law"}])
    for line in (
        "build p.jsonl --rewrite openai:m@http://127.0.0.1:9/v1 --dry-run",
        "build p.jsonl",
        "import p.jsonl -o x",
    ):
        result = CliRunner().invoke(app, ["pairs", *line.split()])
        assert result.exit_code != 0
        assert "cvalues run p.jsonl -m MODEL --name free" in str(result.exception)
        assert "cvalues judge free" in str(result.exception)
        assert translate(str(result.exception), "zh") != str(result.exception)
    assert not Path("study.db").exists() or not Path("pairs.jsonl").exists()


def test_an_evaluation_on_own_pairs_warns_on_stderr_and_in_json() -> None:
    """A model that is measured on the split it was fitted on is warned of, and the JSON holds why."""
    run("pairs train starter-choice -o reward.npz")
    result = CliRunner().invoke(
        app, ["pairs", "evaluate", "reward.npz", "starter-choice", "--split", "train", "--json"]
    )
    assert result.exit_code == 0
    [warning] = json.loads(result.stdout)["warnings"]
    assert warning["pairs"] == json.loads(result.stdout)["pairs"]
    assert "Warning: reward.npz was fitted on" in result.stderr
    assert json.loads(run("pairs evaluate reward.npz starter-choice --json"))["warnings"] == []
