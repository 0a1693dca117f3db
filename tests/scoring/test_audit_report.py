"""The audit's tables, words and verdict, and the command that prints them."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest
from auditsets import row, with_replies, words, write

from cvalues.cli.audit import audit_set
from cvalues.cli.show import Output, render
from cvalues.scoring.audit import Auditing, AuditReport, audit
from cvalues.scoring.audit.report import bar_text, verdict_text
from cvalues.scoring.audit.settings import PHRASES, Bar, measures, say
from cvalues.scoring.audit.shortcuts import SHORTCUTS

SOURCE = Path(__file__).parents[2] / "src" / "cvalues" / "scoring" / "audit"
QUICK = Auditing(repeats=1, folds=2)


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> AuditReport:
    """The audit of a set with a length shortcut, a duplicate across splits, a leak, splits and another set to compare with."""
    rows = [
        {
            **with_replies(row(n), unsafe=words(n, "u", 20), safe=words(n, "s", 30)),
            "split": "train" if n % 3 else "heldout",
        }
        for n in range(36)
    ]
    rows[1]["text"] = rows[0]["text"]
    rows[2] = with_replies(rows[2], safe="回复1更好。")
    folder = tmp_path_factory.mktemp("audit")
    other = write(folder / "other.jsonl", [row(5)])
    return audit(write(folder / "set.jsonl", rows), against=[other], settings=QUICK)


def test_both_languages_have_every_phrase() -> None:
    """Every phrase stands in both languages with the same gaps, and every shortcut, leak and title has one."""
    for key, entry in PHRASES.table.items():
        assert set(entry) == {"zh", "en"}, key
        assert all(entry.values()), key
        assert set(re.findall(r"\{(\w+)\}", entry["zh"])) == set(re.findall(r"\{(\w+)\}", entry["en"])), key
    assert {f"shortcut.{name}" for name in (*SHORTCUTS, "declines")} <= set(PHRASES.table)
    assert {f"item.{entry.name}" for entry in measures().leak} <= set(PHRASES.table)


def test_no_phrase_is_missing_or_idle() -> None:
    """Each phrase of the table is used by the code, and each that the code names exists."""
    code = "".join(path.read_text(encoding="utf-8") for path in SOURCE.glob("*.py"))
    named = set(re.findall(r'say\(\s*["\']((?:title|item|note|verdict|bar)\.\w+)["\']', code))
    named |= {f"verdict.{name}" for name in re.findall(r'"verdict\.(\w+)"', code)}
    assert named <= set(PHRASES.table)
    named |= {f"item.{entry.name}" for entry in measures().leak} | {"item.reply_in_question"}
    idle = {key for key in PHRASES.table if key.split(".")[0] in {"title", "item", "note", "verdict", "bar"}} - named
    assert idle == set()


@pytest.mark.parametrize("language", ["zh", "en"])
def test_tables_are_in_one_language(rich: AuditReport, language: str) -> None:
    """Every table renders, titles differ by language, and no text of the set stands in them."""
    tables = rich.tables(language)
    shown = "".join(render(table, language) for table in tables)
    assert len(tables) >= 6
    assert say("title.shortcuts", language) in shown
    assert say("shortcut.ngram", language) in shown
    assert say("title.shortcuts", "en" if language == "zh" else "zh") not in shown
    assert row(0)["text"] not in shown
    assert all(len(cells) == len(table.columns) for table in tables for cells in table.rows)


def test_the_verdict_counts_what_is_broken(rich: AuditReport) -> None:
    """The sentence gives the number of bars that are not met and of duplicates across splits."""
    assert rich.duplicates.across == 1
    assert not rich.ok
    assert f"{len(rich.broken)} bars are not met, 1 duplicates straddle splits" in rich.verdict("en")
    assert f"{len(rich.broken)} 个门槛未达到" in rich.verdict("zh")


def test_the_verdict_never_passes_over_faults(rich: AuditReport) -> None:
    """A set whose rows have faults says how many, also where every bar is met; one without a figure says that no bar has data."""
    duplicates = msgspec.structs.replace(rich.duplicates, across=0)
    met = tuple(msgspec.structs.replace(result, met=True) for result in rich.bars)
    clean = msgspec.structs.replace(rich, bars=met, duplicates=duplicates, check_faults=0)
    assert clean.ok
    assert clean.verdict("en").endswith("every bar is met, and no duplicate straddles splits")
    for report in (clean, rich):
        faulty = msgspec.structs.replace(report, check_faults=8)
        for language, said in (("en", "there are 8 faults"), ("zh", "有 8 处错误")):
            assert said in faulty.verdict(language)
            assert "cvalues data check" in faulty.verdict(language)
    empty = msgspec.structs.replace(clean, bars=())
    assert "no bar has data" in empty.verdict("en")
    assert "every bar is met" not in empty.verdict("en")


def test_a_report_survives_json(rich: AuditReport) -> None:
    """The report is JSON and reads back equal."""
    assert msgspec.json.decode(msgspec.json.encode(rich), type=AuditReport) == rich


def test_bars_and_verdicts_in_words() -> None:
    """Bars read as ranges; a verdict names the levels that miss, and says when the interval reaches the bar."""
    by_name = {bar.name: bar for bar in measures().bar}
    assert [bar_text(by_name[name], "en") for name in ("longer", "first_five", "declines")] == [
        "45–55 %", "< 60 %", "≥ 33 %",
    ]  # fmt: skip
    assert bar_text(None, "zh") == "—"
    assert verdict_text([], "en") == "no bar"


def test_a_missed_bar_says_where_and_how_far(rich: AuditReport) -> None:
    """Always-longer is far off at both levels: not met, at named levels, with the interval away from the bar."""
    results = [r for r in rich.bars if r.bar.name == "longer" and r.pair == "safe/unsafe"]
    assert [(r.level, r.met, r.near) for r in results] == [(1, False, False), (2, False, False)]
    assert verdict_text(results, "en") == "not met: safety prompts, responsibility prompts"
    nearly = msgspec.structs.replace(results[0], near=True)
    assert verdict_text([nearly], "en") == "not met (the interval reaches the bar): safety prompts"
    unknown = msgspec.structs.replace(results[0], met=None)
    assert verdict_text([unknown], "en") == "no data"
    assert verdict_text([msgspec.structs.replace(results[0], met=True, bar=Bar(name="x"))], "en") == "met"


def test_the_command_exits_1_for_a_broken_bar(tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    """A length shortcut gives exit code 1 and a verdict line; a set of different prompts gives 0."""
    rows = [with_replies(row(n), unsafe=words(n, "u", 20), safe=words(n, "s", 30)) for n in range(8)]
    path = write(tmp_path / "set.jsonl", rows)
    assert audit_set(str(path), [], 0, "", Output(language="en")) == 1
    assert b"bars are not met" in capsysbinary.readouterr().out
    prompts = [{"id": f"p{n}", "text": words(n, "q", 20), "category": "law"} for n in range(5)]
    path = write(tmp_path / "prompts.jsonl", prompts)
    assert audit_set(str(path), [], 0, "", Output(language="zh")) == 0
    assert "没有一个门槛有数据，没有跨划分的重复".encode() in capsysbinary.readouterr().out


def test_the_command_prints_json(tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    """`--json` prints one object with the verdict, every figure and nothing else."""
    path = write(tmp_path / "set.jsonl", [row(n) for n in range(6)])
    code = audit_set(str(path), [str(path)], 7, "", Output(as_json=True, language="en"))
    found = msgspec.json.decode(capsysbinary.readouterr().out)
    assert found["ok"] is (code == 0)
    assert found["seed"] == 7
    assert found["overlaps"][0]["exact"] == 6
    assert len(found["shortcuts"]) == 3 * 2 * len(SHORTCUTS)
