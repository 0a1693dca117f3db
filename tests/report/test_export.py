"""scores.csv, items.csv and results.json."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import jsonschema
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from measured import LONG, measurement

from cvalues.errors import DataError
from cvalues.records import content_hash
from cvalues.report.export import read_results, results_schema, safe_cell, write_items, write_results, write_scores
from cvalues.report.facts import Facts
from cvalues.scoring import compare, score


def rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file as a spreadsheet reads them."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_results_come_back_as_a_baseline(tmp_path: Path) -> None:
    """Outcomes read back are those written, score the same, and can be compared with a new measurement."""
    data = measurement(40)
    found = read_results(write_results(tmp_path / "results.json", Facts(data)))
    key = msgspec.structs.asdict
    assert sorted(map(str, map(key, found.outcomes))) == sorted(map(str, map(key, data.outcomes)))
    assert [*score(found.outcomes), *score(found.outcomes, ["level"])] == list(
        found.scores[: 3 * len(data.model_names)]
    )
    assert found.items == {ident: content_hash(choice) for ident, choice in data.items.items()}
    assert found.runs == data.runs
    assert found.models == data.models
    renamed = [
        msgspec.structs.replace(outcome, model="before") for outcome in found.outcomes if outcome.model == "tiny-chat"
    ]
    assert compare([*renamed, *data.outcomes], "before", "deepseek-v3").overall.acc.verdict == "better"


def test_results_are_the_same_bytes_in_any_order(tmp_path: Path) -> None:
    """The same outcomes in another order give the same file, byte for byte."""
    data = measurement(20)
    other = msgspec.structs.replace(data, outcomes=data.outcomes[::-1])
    first, second = (
        write_results(tmp_path / name, Facts(each)) for name, each in (("a.json", data), ("b.json", other))
    )
    assert first.read_bytes() == second.read_bytes()


def test_results_hold_no_texts(tmp_path: Path) -> None:
    """No question, reply, answer, evidence, failure, long tag or long setting stands in the file."""
    data = measurement(20)
    run = msgspec.structs.replace(data.runs[0], settings={"few_shot": [LONG * 5], "seed": 7})
    outcomes = [
        msgspec.structs.replace(outcome, tags={"note": LONG * 3, "region": "华东"}) for outcome in data.outcomes
    ]
    data = msgspec.structs.replace(data, runs=(run,), outcomes=outcomes)
    text = write_results(tmp_path / "results.json", Facts(data)).read_text(encoding="utf-8")
    for hidden in (LONG, "半夜吵闹", "我认为回复", "较差的回复", "Service Unavailable"):
        assert hidden not in text
    assert "华东" in text
    assert json.loads(text)["runs"][0]["settings"]["few_shot"] == [content_hash(LONG * 5)]


def test_results_follow_their_schema(tmp_path: Path) -> None:
    """The file is valid by the JSON Schema that the package states, and a changed file is not."""
    body = json.loads(write_results(tmp_path / "results.json", Facts(measurement(10))).read_bytes())
    jsonschema.validate(body, results_schema())
    body["outcomes"][0]["better"] = 3
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(body, results_schema())


def test_results_with_lone_surrogates(tmp_path: Path) -> None:
    """A name that no JSON writer accepts is stored with U+FFFD in its place."""
    data = measurement(3, {"m\ud800": 0.9})
    found = read_results(write_results(tmp_path / "results.json", Facts(data)))
    assert {outcome.model for outcome in found.outcomes} == {"m\ufffd"}


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"not json", "is not JSON"),
        (b"\xff\xfe", "is not JSON"),
        (b"[]", "no field 'format'"),
        (b'{"format":"cvalues.results/9"}', "update cvalues"),
        (b'{"format":"cvalues.results/1"}', "damaged"),
    ],
)
def test_wrong_results_file_is_refused(tmp_path: Path, body: bytes, told: str) -> None:
    """A file that is no results.json gives an error that names it and says what to do."""
    path = tmp_path / "x.json"
    path.write_bytes(body)
    with pytest.raises(DataError, match=told) as caught:
        read_results(path)
    assert str(path) in str(caught.value)


def test_missing_results_file(tmp_path: Path) -> None:
    """A path without a file is a user's error."""
    with pytest.raises(DataError, match="no such file"):
        read_results(tmp_path / "none.json")


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "＝1", "＠x", "=HYPERLINK(1)"]
)
def test_formulas_are_text(text: str) -> None:
    """A cell that a spreadsheet would compute gets an apostrophe before it."""
    assert safe_cell(text) == f"'{text}"


@given(st.text(max_size=50))
def test_safe_cell_never_starts_like_a_formula(text: str) -> None:
    """Whatever the text, the cell starts with no formula character, and only an apostrophe is added."""
    cell = str(safe_cell(text))
    assert not cell.lstrip().startswith(("=", "+", "-", "@"))
    assert cell[:1] not in {"\t", "\r", "\n"}
    assert cell.encode().decode().removeprefix("'").count("=") == text.count("=")


def test_numbers_stay_numbers_and_long_texts_are_cut() -> None:
    """A negative number is no formula; a text that no spreadsheet cell holds is cut and tells its length."""
    assert safe_cell(-0.5) == -0.5
    cell = str(safe_cell("长" * 40_000))
    assert len(cell) < 32_767
    assert cell.endswith("… [40000]")


def test_items_csv_has_every_outcome_with_texts(tmp_path: Path) -> None:
    """One row per model and choice, with question, replies in the order shown, answer, evidence and the failure."""
    data = measurement(40)
    found = rows(write_items(tmp_path / "items.csv", data))
    assert len(found) == len(data.outcomes)
    for row, outcome in zip(found, data.outcomes, strict=True):
        choice = data.items[outcome.choice]
        assert (row["model"], row["choice"], row["question"]) == (outcome.model, outcome.choice, choice.question)
        assert (row["reply_1"], row["reply_2"]) == tuple(reply.text for reply in choice.replies)
        if outcome.outcome:
            text = data.responses[outcome.response].text
            assert (row["response"], row["response_characters"]) == (text, str(len(text)))
            assert row["correct"] == str(int(outcome.correct))
        else:
            assert (row["outcome"], row["correct"], row["response"]) == ("failed", "", "")
            assert row["failure"].startswith("server_error")


def test_items_csv_survives_hostile_texts(tmp_path: Path) -> None:
    """Quotes, line ends, separators, NUL and formulas stay inside their cell."""
    text = '=cmd|"/C calc"!A0,\r\n";\x00结束\ud800'
    data = measurement(1, {"m": 1.0})
    responses = {ident: msgspec.structs.replace(each, text=text) for ident, each in data.responses.items()}
    found = rows(write_items(tmp_path / "items.csv", msgspec.structs.replace(data, responses=responses)))
    assert [row["response"] for row in found] == ["'" + text.replace("\x00", "\ufffd").replace("\ud800", "\ufffd")] * 2


def test_scores_csv_is_the_scores(tmp_path: Path) -> None:
    """Each score is one row with value and interval; no data is an empty cell, never 0."""
    data = measurement(20)
    data = msgspec.structs.replace(data, outcomes=[*data.outcomes, *(
        msgspec.structs.replace(o, model="mute", outcome="refused") for o in data.outcomes if o.model == "longer"
    )])  # fmt: skip
    facts = Facts(data)
    found = rows(write_scores(tmp_path / "scores.csv", facts))
    assert len(found) == sum(len(scores) for scores in facts.scores.values())
    best = next(
        row for row in found if row["grouping"] == "level" and row["model"] == "deepseek-v3" and row["level"] == "1"
    )
    expected = next(row for row in facts.board if row.model == "deepseek-v3").acc(1)
    assert [float(best[f"acc{end}"]) for end in ("", "_low", "_high")] == [expected.value, expected.low, expected.high]
    mute = next(row for row in found if row["grouping"] == "model" and row["model"] == "mute")
    assert (mute["acc"], mute["answered"], mute["acc_star"]) == ("0.0", "0.0", "")
