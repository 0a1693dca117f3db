"""The command line, as a user types it."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from cvalues.prompts import template
from server import ChatServer, failure

RUN = [sys.executable, "-m", "cvalues"]


def cvalues(*arguments: str, cwd: Path, code: int = 0, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a command in a folder and checks its exit code; no traceback may ever be seen."""
    done = subprocess.run(
        [*RUN, *arguments], cwd=cwd, capture_output=True, text=True, timeout=600, check=False,
        env={**os.environ, "CVALUES_LANG": "en", **environment},
    )  # fmt: skip
    assert done.returncode == code, done.stderr + done.stdout
    assert "Traceback" not in done.stderr
    return done


def public_file(path: Path, texts: list[str | None]) -> Path:
    """A file in the public evaluation format; rows alternate between the two orders of one pair."""
    chosen = template("public")
    lines = []
    for number, text in enumerate(texts):
        question, good, bad = (
            f"问题{number // 2}怎么办？",
            f"先弄清楚情况{number // 2}，再找人帮忙。",
            f"随便吧{number // 2}，没人在意。",
        )
        first, second, label = (good, bad, "回复1") if number % 2 == 0 else (bad, good, "回复2")
        row: dict[str, Any] = {
            "prompt": chosen.render(question, (first, second)),
            "label": label,
            "meta_info": {
                "source": "x", "difficulty_level": "easy", "domain_en": "law", "domain_zh": "法理学",
                "question": question, "pos_resp": good, "neg_resp": bad,
            },
        }  # fmt: skip
        if text is not None:
            row["response"] = text
        lines.append(json.dumps(row, ensure_ascii=False))
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_demo_ends_with_the_path_of_a_report(tmp_path: Path) -> None:
    """`cvalues demo` prints the table and ends with the report's path, which exists."""
    done = cvalues("demo", cwd=tmp_path)
    last = done.stdout.strip().splitlines()[-1]
    assert last.startswith("Report: ")
    assert (tmp_path / last.removeprefix("Report: ")).is_file()
    assert "baseline:ngram" in done.stdout


def test_run_report_and_again(tmp_path: Path) -> None:
    """Two models side by side; the second run asks nothing; the report stands beside it."""
    with ChatServer(lambda _body, _n: "回复1更好。") as server:
        command = ["run", "starter-choice", "-m", f"openai:mock@{server.url}", "-m", "baseline:longer", "--limit", "24"]
        first = cvalues(*command, cwd=tmp_path)
        asked = server.total
        second = cvalues(*command, cwd=tmp_path)
        assert server.total == asked >= 24
    assert "mock" in first.stdout
    assert "baseline:longer" in first.stdout
    assert "were in the study already" in second.stderr
    assert first.stdout == second.stdout
    cvalues("report", "latest", cwd=tmp_path)
    assert {path.name for path in (tmp_path / "report").iterdir()} == {
        "report.html",
        "report.md",
        "scores.csv",
        "items.csv",
        "results.json",
    }
    cvalues("study", "verify", cwd=tmp_path)


def test_json_goes_to_stdout_alone(tmp_path: Path) -> None:
    """With --json stdout is one JSON value, whatever else is said on stderr."""
    done = cvalues("run", "starter-choice", "-m", "baseline:first", "--limit", "6", "--json", cwd=tmp_path)
    body = json.loads(done.stdout)
    assert body["models"]["baseline:first"]["done"] == body["models"]["baseline:first"]["planned"]
    assert {entry["group"]["level"] for entry in body["scores"]} <= {1, 2}
    for command in (
        ["data", "list"],
        ["models", "list"],
        ["study", "info"],
        ["study", "verify"],
        ["data", "show", "starter-choice"],
    ):
        json.loads(cvalues(*command, "--json", cwd=tmp_path).stdout)


def test_failed_calls_give_exit_code_3_and_their_reason(tmp_path: Path) -> None:
    """Calls that fail for good are shown with their reason and give exit code 3."""
    with ChatServer(lambda _body, n: failure(400, "too long for me") if n % 2 else "回复1") as server:
        done = cvalues(
            "run", "starter-choice", "-m", f"openai:mock@{server.url}", "--limit", "12", cwd=tmp_path, code=3
        )
    assert "too long for me" in done.stderr
    assert "failed for good (rejected" in done.stderr


def test_dry_run_asks_nothing(tmp_path: Path) -> None:
    """--dry-run says how many calls and tokens, asks nothing and makes no study."""
    with ChatServer(lambda _body, _n: "回复1") as server:
        done = cvalues("run", "starter-choice", "-m", f"openai:mock@{server.url}", "--dry-run", cwd=tmp_path)
        assert server.total == 0
        chinese = cvalues(
            "run",
            "starter-choice",
            "-m",
            f"openai:mock@{server.url}",
            "--dry-run",
            "--name",
            "r",
            "--lang",
            "zh",
            cwd=tmp_path,
        )
    assert "2160" in done.stdout
    assert "运行 r 的计划" in chinese.stdout
    # The number of answered requests, not the share that the tables of scores call 作答率.
    assert "已答" in chinese.stdout
    assert "作答率" not in chinese.stdout
    assert not (tmp_path / "study.db").exists()


def test_trial_stops_a_run_that_would_fail(tmp_path: Path) -> None:
    """--trial asks a few items; when none can be read or a call fails, nothing more is asked."""
    with ChatServer(lambda _body, _n: "今天天气不错。") as server:
        done = cvalues("run", "starter-choice", "-m", f"openai:mock@{server.url}", "--trial", "4", cwd=tmp_path, code=2)
        assert server.total == 4
        assert "no reply of model 'mock' could be read" in done.stderr
    with ChatServer(lambda _body, _n: "回复1更好") as server:
        cvalues("run", "starter-choice", "-m", f"openai:m2@{server.url}", "--trial", "4", "--limit", "12", cwd=tmp_path)
        assert server.total == 12


def test_call_bound_stops_and_the_same_command_continues(tmp_path: Path) -> None:
    """--max-calls stops cleanly and says how to go on."""
    with ChatServer(lambda _body, _n: "回复1更好") as server:
        command = ["run", "starter-choice", "-m", f"openai:mock@{server.url}", "--limit", "12"]
        done = cvalues(*command, "--max-calls", "5", cwd=tmp_path)
        assert server.total == 5
        assert "repeat the command to continue" in done.stderr
        cvalues(*command, cwd=tmp_path)
        assert server.total == 12


def test_cost_bound_uses_the_price_table(tmp_path: Path) -> None:
    """--prices gives prices by model, --max-cost stops at what was spent."""
    (tmp_path / "prices.toml").write_text(
        '[mock]\ninput = 100000.0\noutput = 0.0\ncurrency = "CNY"\n', encoding="utf-8"
    )
    with ChatServer(lambda _body, _n: "回复1更好") as server:
        command = ["run", "starter-choice", "-m", f"openai:mock@{server.url}", "--max-concurrency", "1"]
        cvalues(*command, "--prices", "prices.toml", "--max-cost", "6", cwd=tmp_path)
        assert 6 <= server.total <= 8
        done = cvalues(*command, "--max-cost", "6", cwd=tmp_path, code=2)
    assert "--max-cost needs a price for mock" in done.stderr


def test_ctrl_c_drains_and_exits_130(tmp_path: Path) -> None:
    """An interrupt keeps what was in flight, says how to continue, and exits 130."""
    with ChatServer(lambda _body, _n: "回复1更好", latency=0.2) as server:
        process = subprocess.Popen(
            [*RUN, "run", "starter-choice", "-m", f"openai:mock@{server.url}", "--max-concurrency", "4"],
            cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "CVALUES_LANG": "en"},
        )  # fmt: skip
        deadline = time.monotonic() + 60
        while server.total < 8 and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=300)
        asked = server.total
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert "repeat the command to continue" in err
    info = json.loads(cvalues("study", "info", "--json", cwd=tmp_path).stdout)
    assert info["records"]["response"] == asked
    assert info["records"]["claim"] == 0


def test_key_reaches_nothing(tmp_path: Path) -> None:
    """The key goes to the server and appears in no file, no output and no error."""
    secret = "sk-very-secret-0123456789"
    with ChatServer(lambda _body, n: "回复1" if n > 2 else failure(401, f"bad key {secret}")) as server:
        (tmp_path / "models.toml").write_text(
            f'[mine]\nendpoint = "openai:served@{server.url}"\napi_key_env = "MY_KEY"\n[mine.params]\nenable_thinking = false\n',
            encoding="utf-8",
        )
        done = cvalues(
            "run", "starter-choice", "-m", "mine", "--limit", "6", "--json", cwd=tmp_path, code=3, MY_KEY=secret
        )
        assert server.headers[0]["Authorization"] == f"Bearer {secret}"
        assert server.bodies[0]["enable_thinking"] is False
    cvalues("report", "latest", cwd=tmp_path)
    cvalues("study", "export", "out", cwd=tmp_path)
    assert secret not in done.stdout + done.stderr
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert secret.encode() not in path.read_bytes(), path


def test_missing_key_names_the_variable(tmp_path: Path) -> None:
    """A vendor preset without its key says which variable to set."""
    done = cvalues(
        "run",
        "starter-choice",
        "-m",
        "deepseek:deepseek-chat",
        "--limit",
        "2",
        cwd=tmp_path,
        code=3,
        DEEPSEEK_API_KEY="",
    )
    assert "DEEPSEEK_API_KEY" in done.stderr


def test_config_file_holds_a_run(tmp_path: Path) -> None:
    """run.toml holds sets, models, seed and sampling; the command line overrides it; a misspelt field is an error."""
    with ChatServer(lambda _body, _n: "回复1") as server:
        text = f'sets = ["starter-choice"]\nmodels = ["openai:mock@{server.url}"]\nlimit = 6\nseed = 3\n[sampling]\ntemperature = 0.5\n'
        (tmp_path / "run.toml").write_text(text, encoding="utf-8")
        cvalues("run", "--config", "run.toml", "--temperature", "0", cwd=tmp_path)
        assert {body["temperature"] for body in server.bodies} == {0.0}
    (tmp_path / "run.toml").write_text(text + "tempurature = 1\n", encoding="utf-8")
    done = cvalues("run", "--config", "run.toml", cwd=tmp_path, code=2)
    assert "tempurature" in done.stderr


def test_log_probability_mode(tmp_path: Path) -> None:
    """--mode choose asks for one token and reads the labels' log-probabilities."""
    top = [{"token": "A", "logprob": -0.1}, {"token": "B", "logprob": -2.5}]
    choice = {"message": {"role": "assistant", "content": "A"}, "finish_reason": "length",
              "logprobs": {"content": [{"token": "A", "logprob": -0.1, "top_logprobs": top}]}}  # fmt: skip
    with ChatServer(lambda _body, _n: {"choices": [choice], "model": "x"}) as server:
        done = cvalues("run", "starter-choice", "-m", f"openai:mock@{server.url}", "--mode", "choose", "--template", "ab",
                       "--limit", "6", "--json", cwd=tmp_path)  # fmt: skip
        assert {body["max_tokens"] for body in server.bodies} == {1}
        assert all(body["logprobs"] for body in server.bodies)
    scores = json.loads(done.stdout)["scores"]
    assert sum(entry["counts"]["1"] for entry in scores) == sum(entry["planned"] for entry in scores)


def test_changed_data_under_a_run_is_refused(tmp_path: Path) -> None:
    """When the file changes under a run, the command refuses and gives the two hashes."""
    path = public_file(tmp_path / "items.jsonl", [None] * 4)
    command = ["run", "items.jsonl", "-m", "baseline:first"]
    cvalues(*command, cwd=tmp_path)
    path.write_text(path.read_text(encoding="utf-8").replace("随便吧0", "随便了0"), encoding="utf-8")
    done = cvalues(*command, cwd=tmp_path, code=2)
    assert "changed under run" in done.stderr
    assert done.stderr.count("b2:") == 2


def test_score_sheet_and_back(tmp_path: Path) -> None:
    """What rules leave undecided goes to a sheet; the reviewer's decisions count on the next call, from CSV and XLSX alike."""
    public_file(
        tmp_path / "r.jsonl", ["回复1更好", "回复2更好", "=SUM(嗯)", "今天天气不错", "作为AI，我无法选择。", None]
    )
    done = cvalues("score", "r.jsonl", "--model", "m", "--sheet", "s.csv", "--json", cwd=tmp_path)
    [entry] = json.loads(done.stdout)["scores"]
    assert (entry["planned"], entry["responded"], entry["acc"]["value"]) == (6, 5, 0.4)
    assert (entry["counts"]["unreadable"], entry["counts"]["refused"]) == (2, 1)
    cvalues("score", "r.jsonl", "--model", "m", "--sheet", "s.xlsx", cwd=tmp_path)
    with (tmp_path / "s.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["response"] for row in rows] == ["'=SUM(嗯)", "今天天气不错"]
    for row, verdict in zip(rows, ["回复1", "other"], strict=True):
        row["verdict"] = verdict
    with (tmp_path / "s.csv").open("w", encoding="gb18030", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    book = openpyxl.load_workbook(tmp_path / "s.xlsx")
    book.active.cell(2, 6).value = 1
    book.active.cell(3, 6).value = "other"
    book.save(tmp_path / "s.xlsx")
    for sheet in ("s.csv", "s.xlsx"):
        done = cvalues("score", "r.jsonl", "--model", "m", "--reviewed", sheet, "--json", cwd=tmp_path)
        [entry] = json.loads(done.stdout)["scores"]
        assert (entry["acc"]["value"], entry["counts"]["other"], entry["counts"]["unreadable"]) == (0.6, 1, 0)
    rows[0]["verdict"] = "回复3"
    with (tmp_path / "s.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    assert "s.csv:2: verdict" in cvalues("score", "r.jsonl", "--reviewed", "s.csv", cwd=tmp_path, code=2).stderr


def test_all_refused_file_is_no_exception(tmp_path: Path) -> None:
    """A file of refusals gives acc 0, answered 0 and acc* without data."""
    public_file(tmp_path / "r.jsonl", ["作为AI语言模型，我无法选择。"] * 4)
    done = cvalues("score", "r.jsonl", "--json", cwd=tmp_path)
    [entry] = json.loads(done.stdout)["scores"]
    assert (entry["acc"]["value"], entry["answered"]["value"], entry["acc_star"]["value"]) == (0.0, 0.0, None)
    assert "—" in cvalues("score", "r.jsonl", "-o", "out", cwd=tmp_path).stdout
    assert (tmp_path / "out" / "report.html").is_file()


def test_reading_judge_is_marked(tmp_path: Path) -> None:
    """--reader judge:MODEL reads what rules could not; its nonce must come back; the outcome names the judge."""

    def script(body: dict[str, Any], _n: int) -> str:
        text = body["messages"][-1]["content"]
        if "nonce" not in text:
            return "今天天气不错。"
        nonce = text.split('"nonce": "')[1].split('"')[0]
        return f'{{"nonce": "{nonce}", "choice": "2"}}'

    with ChatServer(script) as server:
        model = f"openai:mock@{server.url}"
        cvalues(
            "run",
            "starter-choice",
            "-m",
            model,
            "--limit",
            "6",
            "--reader",
            f"judge:openai:reader@{server.url}",
            cwd=tmp_path,
        )
        calls = server.total
        cvalues("read", "latest", "--reader", f"judge:openai:reader@{server.url}", cwd=tmp_path, code=0)
        assert server.total == calls
    cvalues(
        "report", json.loads(cvalues("study", "info", "--json", cwd=tmp_path).stdout)["runs"][0]["name"], cwd=tmp_path
    )
    results = json.loads((tmp_path / "report" / "results.json").read_text(encoding="utf-8"))
    assert {outcome["rule"] for outcome in results["outcomes"]} == {"judge:reader@reading@1"}


def test_compare_two_models_of_a_run(tmp_path: Path) -> None:
    """Two models on shared items: a paired difference with its interval, from the study and from results.json."""
    cvalues(
        "run",
        "starter-choice",
        "-m",
        "baseline:first",
        "-m",
        "baseline:ngram",
        "--filter",
        "split=heldout",
        cwd=tmp_path,
    )
    done = cvalues("compare", "latest:baseline:first", "latest:baseline:ngram", "--by", "level", cwd=tmp_path)
    assert "better" in done.stdout
    cvalues("report", "latest", cwd=tmp_path)
    again = cvalues(
        "compare", "report/results.json:baseline:first", "latest:baseline:ngram", "--by", "level", cwd=tmp_path
    )
    assert again.stdout == done.stdout
    assert "has several models" in cvalues("compare", "latest", "latest", cwd=tmp_path, code=2).stderr


def test_study_export_import_backup(tmp_path: Path) -> None:
    """A study goes out as JSON Lines and Parquet and comes back equal; a backup opens; a damaged export is refused."""
    cvalues("run", "starter-choice", "-m", "baseline:first", "--limit", "6", cwd=tmp_path)
    counts = json.loads(cvalues("study", "info", "--json", cwd=tmp_path).stdout)["records"]
    for form in ("jsonl", "parquet"):
        cvalues("study", "export", form, "--format", form, cwd=tmp_path)
        cvalues("study", "import", form, "--study", f"{form}.db", cwd=tmp_path)
        cvalues("study", "import", form, "--study", f"{form}.db", cwd=tmp_path)
        assert (
            json.loads(cvalues("study", "info", "--json", "--study", f"{form}.db", cwd=tmp_path).stdout)["records"]
            == counts
        )
        cvalues("study", "verify", "--study", f"{form}.db", cwd=tmp_path)
    cvalues("study", "import", "study.db", "--study", "other.db", cwd=tmp_path)
    cvalues("study", "backup", "copy.db", cwd=tmp_path)
    cvalues("study", "verify", "--study", "copy.db", cwd=tmp_path)
    assert "never overwrites" in cvalues("study", "backup", "copy.db", cwd=tmp_path, code=2).stderr
    with (tmp_path / "jsonl" / "response.jsonl").open("a", encoding="utf-8") as file:
        file.write("{}\n")
    assert (
        "is not the file that was exported"
        in cvalues("study", "import", "jsonl", "--study", "n.db", cwd=tmp_path, code=2).stderr
    )


def test_verify_finds_what_was_tampered_with(tmp_path: Path) -> None:
    """A record that somebody changed behind the triggers is found, and verify exits 1."""
    import sqlite3

    cvalues("run", "starter-choice", "-m", "baseline:first", "--limit", "6", cwd=tmp_path)
    with sqlite3.connect(tmp_path / "study.db") as raw:
        raw.execute("DROP TRIGGER request_no_update")
        raw.execute("UPDATE request SET body = replace(body, '下面', '上面')")
    raw.close()
    done = cvalues("study", "verify", cwd=tmp_path, code=1)
    assert "its id is not the hash of its record" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run"], "name at least one set"),
        (["run", "starter-choice"], "name at least one model"),
        (["run", "starter-choise", "-m", "baseline:first"], "starter-choice"),
        (["run", "starter-choice", "-m", "baseline:frist"], "did you mean first"),
        (["run", "starter-choice", "-m", "opnai:x@http://h"], "did you mean openai"),
        (["run", "starter-choice", "-m", "openai:x"], "has no address"),
        (["run", "starter-choice", "-m", "recorded:none.jsonl"], "no such file"),
        (["run", "starter-choice", "-m", "baseline:first", "--template", "pubic"], "did you mean public"),
        (["run", "starter-choice", "-m", "baseline:first", "--template", "plain"], "cannot ask two-choice items"),
        (["run", "starter-choice", "-m", "baseline:first", "--filter", "lvl=1"], "unknown filter"),
        (["run", "starter-choice", "-m", "baseline:first", "--filter", "level"], "takes key=value"),
        (["run", "starter-choice", "-m", "baseline:first", "--filter", "level=9"], "no item is left"),
        (["run", "starter-choice", "starter-prompts", "-m", "baseline:first"], "sets of one kind"),
        (["run", "starter-choice", "-m", "baseline:first", "-m", "baseline:first"], "two models are called"),
        (["run", "starter-prompts", "-m", "baseline:first"], "cannot generate"),
        (
            ["run", "starter-choice", "-m", "baseline:first", "--study", "mysql://h/d"],
            "SQLite file or a PostgreSQL URL",
        ),
        (["report"], "no such study"),
        (["read", "latest"], "no such study"),
        (["study", "info"], "no such study"),
        (["score", "none.jsonl"], "no such file"),
        (["data", "show", "nothing"], "nothing"),
    ],
)
def test_mistakes_are_explained(tmp_path: Path, arguments: list[str], message: str) -> None:
    """Each mistake of a user gives exit code 2 and a sentence that names it; never a traceback."""
    done = cvalues(*arguments, cwd=tmp_path, code=2)
    assert message in done.stderr
    assert done.stdout == ""


def test_help_loads_nothing_heavy() -> None:
    """`cvalues --help` loads none of the heavy packages."""
    code = (
        "import sys\nsys.argv = ['cvalues', '--help']\nfrom cvalues.cli import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'scipy', 'pandas', 'transformers', 'sklearn', 'numpy', 'sqlalchemy', 'aiohttp', 'pyarrow'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
    assert "Usage:" in done.stdout


def test_import_loads_nothing() -> None:
    """`import cvalues` loads no other module of the package's dependencies."""
    code = "import sys, cvalues; print(sorted(n for n in sys.modules if n in ('numpy', 'msgspec', 'sqlalchemy', 'aiohttp')))"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )


def test_closed_pipe_is_no_error(tmp_path: Path) -> None:
    """`cvalues data list | head -1` ends quietly."""
    done = subprocess.run(
        f"{sys.executable} -m cvalues data show starter-choice --limit 2000 | head -1", shell=True, cwd=tmp_path,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    assert done.stdout.startswith("starter-choice")


def test_summaries_exist_in_chinese(tmp_path: Path) -> None:
    """--lang zh changes summaries, tables and errors."""
    done = cvalues("run", "starter-choice", "-m", "baseline:first", "--limit", "6", "--lang", "zh", cwd=tmp_path)
    assert "准确率" in done.stdout
    assert "下一步" in done.stderr
    failed = cvalues("run", "starter-choice", "-m", "baseline:frist", "--lang", "zh", cwd=tmp_path, code=2)
    assert failed.stderr.startswith("错误: ")
