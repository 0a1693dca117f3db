"""Tests of agreement, judge cards and corrected rates on a study."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest

from cvalues.errors import DataError, NotEnoughData, UsageError
from cvalues.schema import Verdict
from cvalues.study import Study, open_study
from cvalues.workflows.calibrate import (
    calibrate,
    cards,
    cards_of,
    combined,
    corrected,
    file_votes,
    places,
    ratings,
    read_file,
    standing,
)
from cvalues.workflows.free import known_errors
from cvalues.workflows.judge_tables import agreement_table, card_tables, corrected_table, error_table
from cvalues.workflows.plan import RunOptions
from cvalues.workflows.run import run

JUDGE = "judge:m@safety@01234567"


@pytest.fixture
def study(tmp_path: Path) -> Iterator[Study]:
    """A study with a run of free responses of two built-in models."""
    with open_study(tmp_path / "study.db") as opened:
        options = RunOptions(
            sets=("starter-prompts",), models=("baseline:careful", "baseline:careless"), limit=60, name="free"
        )
        run(options, opened)
        yield opened


def say(study: Study, rater: str, values: dict[str, str], criterion: str = "safe") -> None:
    """Adds verdicts of a rater."""
    study.add_verdicts(
        Verdict(criterion=criterion, subject=(key,), rater=rater, value=value, run="free")
        for key, value in values.items()
    )


def truth(study: Study) -> dict[str, str]:
    """Careless replies are unsafe, careful ones safe."""
    return {
        key: "unsafe" if place.model == "baseline:careless" else "safe"
        for key, place in places(study, ["free"]).items()
    }


def flipped(values: dict[str, str], share: float, seed: int) -> dict[str, str]:
    """The values with this share of them wrong."""
    rng = np.random.default_rng(seed)
    return {
        key: ("safe" if value == "unsafe" else "unsafe") if rng.random() < share else value
        for key, value in values.items()
    }


def test_a_card_is_kept_and_found(study: Study) -> None:
    """Calibrating a judge against people gives a card that the study keeps; the latest stands; the card is valid for its judge."""
    real = truth(study)
    for person in "abc":
        say(study, f"person:{person}", real)
    say(study, JUDGE, flipped(real, 0.2, 1))
    card = calibrate(study, ["free"], "person:*", "judge:m*", "safe")
    assert card.rater == JUDGE
    assert card.n == 120
    calibrate(study, ["free"], "person:*", "judge:m*", "safe")
    assert [kept.n for kept in cards(study)] == [120]
    assert [found for _, found in cards_of(study, ["free"])] == ["valid"]
    assert all(table.rows for table in card_tables(card))


def test_a_retrained_judge_makes_its_card_stale(tmp_path: Path, study: Study) -> None:
    """When only verdicts of another hash are in a run, the old card is shown as stale."""
    real = truth(study)
    say(study, "person:a", real)
    say(study, JUDGE, real)
    calibrate(study, ["free"], "person:a", JUDGE, "safe")
    with open_study(tmp_path / "other.db") as other:
        run(RunOptions(sets=("starter-prompts",), models=("baseline:careful",), limit=5, name="free"), other)
        key = next(iter(places(other, ["free"])))
        say(other, "judge:m@safety@ffffffff", {key: "safe"})
        for audit in study.audits():
            other.note(audit)
        assert [found for _, found in cards_of(other, ["free"])] == ["stale"]


def test_corrected_rates_come_nearer_to_the_truth(study: Study) -> None:
    """A judge that errs on a quarter of the replies is off; corrected by its card, both rates come back to what people say."""
    real = truth(study)
    judged = flipped(real, 0.25, 2)
    say(study, JUDGE, judged)
    sample = dict(list(real.items())[::2])
    say(study, "person:a", sample)
    card = calibrate(study, ["free"], "person:a", JUDGE, "safe")
    rates = {(rate.model, rate.cut): rate for rate in corrected(study, ["free"], card)}
    for model, expected in (("baseline:careless", 1.0), ("baseline:careful", 0.0)):
        rate = rates[model, "unsafe"]
        assert rate.judged.value is not None
        assert rate.rogan_gladen.value is not None
        assert rate.prediction_powered.value is not None
        raw_error = abs(rate.judged.value - expected)
        assert raw_error > 0.1
        assert abs(rate.rogan_gladen.value - expected) < raw_error
        assert abs(rate.prediction_powered.value - expected) < raw_error
    assert len(corrected_table(list(rates.values())).rows) == len(rates)


def test_a_superseded_verdict_does_not_stand(study: Study) -> None:
    """A revision takes the place of what it supersedes, and of the same rater the latest stands."""
    key = next(iter(places(study, ["free"])))
    first = Verdict(criterion="safe", subject=(key,), rater="person:a", value="safe", run="free", time="1")
    second = Verdict(
        criterion="safe", subject=(key,), rater="person:b", value="unsafe", run="free", time="2", supersedes=first.id
    )
    study.add_verdicts([first, second])
    assert ratings(study, ["free"], "safe") == {"person:b": {key: "unsafe"}}
    assert set(standing([first])) == {"person:a"}


def test_several_raters_are_combined() -> None:
    """Labels go by majority and ties have no value; numbers by their mean."""
    assert combined([{"r": "safe"}, {"r": "safe"}, {"r": "unsafe"}], "safe") == {"r": "safe"}
    assert combined([{"r": "safe"}, {"r": "unsafe"}], "safe") == {}
    assert combined([{"r": 4.0}, {"r": 7.0}], "points") == {"r": 5.5}


def test_agreement_of_all_raters(study: Study) -> None:
    """The table shows raw agreement, alpha, AC, kappa and prevalence over all raters, and every pair of them."""
    real = truth(study)
    for at, person in enumerate("abc"):
        say(study, f"person:{person}", flipped(real, 0.1, at))
    whole, pairs = agreement_table(study, ["free"], [], "safe")
    shown = {row[0]: row[1] for row in whole.rows}
    assert {"raw", "alpha", "ac", "kappa"} <= set(shown)
    assert 0.6 < shown["raw"].value < 0.95  # type: ignore[union-attr]
    assert len(pairs.rows) == 3
    one, _ = agreement_table(study, ["free"], ["person:a", "person:b"], "safe")
    assert "2 raters" in one.notes[0]


def test_agreement_needs_two(study: Study) -> None:
    """One rater, none, or a pattern that fits nobody are told apart."""
    with pytest.raises(NotEnoughData, match="needs two raters"):
        agreement_table(study, ["free"], [], "safe")
    say(study, "person:a", truth(study))
    with pytest.raises(NotEnoughData, match="here 1"):
        agreement_table(study, ["free"], [], "safe")
    with pytest.raises(UsageError, match=r"no rater fits 'person:z\*'.*person:a"):
        agreement_table(study, ["free"], ["person:z*"], "safe")


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_a_file_of_verdicts_is_a_source(study: Study, tmp_path: Path, suffix: str) -> None:
    """Verdicts in a file calibrate as those in the study do."""
    real = truth(study)
    say(study, JUDGE, real)
    path = tmp_path / f"people{suffix}"
    if suffix == ".csv":
        path.write_text(
            "response,value\n" + "".join(f"{key},{value}\n" for key, value in real.items()), encoding="utf-8"
        )
    else:
        path.write_text(
            "".join(f'{{"response": "{key}", "value": "{value}"}}\n' for key, value in real.items()), encoding="utf-8"
        )
    card = calibrate(study, ["free"], str(path), JUDGE, "safe")
    assert card.reference == path.name
    assert card.agreement["raw"].value == 1.0
    assert corrected(study, ["free"], card)[0].prediction_powered.value is None


@pytest.mark.parametrize(
    ("name", "criterion", "body", "words"),
    [
        ("a.csv", "safe", "response,value\nr1,maybe\n", "a.csv:2: value 'maybe' is outside"),
        (
            "a.csv",
            "points",
            "response,value\nr1,5\nr2,11\n",
            "a.csv:3: value '11' is outside criterion 'points': 1 to 10",
        ),
        ("a.csv", "points", "response,value\nr1,gut\n", "a.csv:2"),
        ("a.csv", "safe", "id,value\nr1,safe\n", "a.csv:2: a verdict needs response"),
        ("a.csv", "safe", "response,value\nr1,safe\nr1,unsafe\n", "a.csv:3: response 'r1' has two values"),
        ("a.jsonl", "safe", '{"response": "r1", "value": "safe"}\n{"torn', "a.jsonl:2: is no JSON object"),
    ],
)
def test_a_wrong_file_is_told_with_its_line(tmp_path: Path, name: str, criterion: str, body: str, words: str) -> None:
    """A value outside the scale, a missing column or a torn line is refused with file:line."""
    path = tmp_path / name
    path.write_text(body, encoding="utf-8")
    with pytest.raises(DataError) as caught:
        read_file(path, criterion)
    assert words in str(caught.value)


def test_a_strange_criterion_is_told_the_known_ones(study: Study) -> None:
    """An unknown criterion is refused with those that exist."""
    with pytest.raises(UsageError, match="safe"):
        calibrate(study, ["free"], "a", "b", "saef")


@pytest.mark.parametrize("reference", ["judge:a@grade@1", "judge:*"])
def test_a_judge_is_no_reference_of_itself(study: Study, reference: str) -> None:
    """A card of perfect agreement cannot be had by naming the judge as its own reference, alone or in a pattern; nothing is kept."""
    say(study, "judge:a@grade@1", truth(study))
    say(study, "judge:b@grade@1", truth(study))
    with pytest.raises(UsageError, match="a judge agrees with itself"):
        calibrate(study, ["free"], reference, "judge:a@grade@1", "safe")
    assert cards(study) == []


def test_a_card_is_of_one_judge(study: Study) -> None:
    """A pattern that fits several judges is refused with their names; the name that `-j` takes fits its rater."""
    real = truth(study)
    say(study, "person:a", real)
    say(study, JUDGE, real)
    say(study, "judge:n@safety@89abcdef", real)
    with pytest.raises(UsageError, match="fits several judges"):
        calibrate(study, ["free"], "person:a", "judge:*", "safe")
    say(study, "rule:grade@11111111", real)
    assert calibrate(study, ["free"], "person:a", "baseline:grade", "safe").rater == "rule:grade@11111111"


def people_file(path: Path, values: dict[str, str], *raters: str) -> Path:
    """A file of these verdicts, of nobody in particular or of each of these raters."""
    rows = []
    for rater in raters or ("",):
        named = {"rater": rater} if rater else {}
        rows += [{"response": key, "value": value, **named} for key, value in values.items()]
    path.write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in rows))
    return path


def test_people_in_a_file_correct_a_judge_as_people_in_the_study_do(study: Study, tmp_path: Path) -> None:
    """The same verdicts of people give the same prediction-powered rates from a file as from the study; the kept card holds them."""
    real = truth(study)
    say(study, JUDGE, flipped(real, 0.25, 2))
    sample = dict(list(real.items())[::2])
    path = people_file(tmp_path / "people.jsonl", sample)
    card = calibrate(study, ["free"], f"person:{path}", JUDGE, "safe")
    assert card.reference == "person:people.jsonl"
    assert card.people == sample
    (kept,) = cards(study)
    from_file = corrected(study, ["free"], kept)
    say(study, "person:a", sample)
    from_study = corrected(study, ["free"], calibrate(study, ["free"], "person:a", JUDGE, "safe"))
    assert [rate.prediction_powered for rate in from_file] == [rate.prediction_powered for rate in from_study]
    assert all(rate.prediction_powered.value is not None for rate in from_file)


def test_a_file_that_names_people_is_the_reference_wherever_it_stands(study: Study, tmp_path: Path) -> None:
    """`calibrate JUDGE people.jsonl` holds the judge against the people; raters in one file are combined by majority."""
    real = truth(study)
    say(study, JUDGE, flipped(real, 0.2, 4))
    path = people_file(tmp_path / "people.jsonl", real, "person:a", "person:b")
    card = calibrate(study, ["free"], JUDGE, str(path), "safe")
    assert (card.rater, card.reference, card.people) == (JUDGE, "person:people.jsonl", real)
    assert file_votes(path, "safe").keys() == {"person:a", "person:b"}
    assert calibrate(study, ["free"], f"person:{path}", JUDGE, "safe").n == card.n


def test_a_judge_in_a_file_of_people_is_refused(study: Study, tmp_path: Path) -> None:
    """A file that is given as people's and names a judge is refused; given as it is, it is no file of people."""
    real = truth(study)
    say(study, JUDGE, real)
    path = people_file(tmp_path / "mixed.jsonl", real, "person:a", "judge:m@safety@1")
    with pytest.raises(DataError, match=r"rater 'judge:m@safety@1' is no person"):
        calibrate(study, ["free"], f"person:{path}", JUDGE, "safe")
    assert calibrate(study, ["free"], str(path), JUDGE, "safe").reference == "mixed.jsonl"


def test_a_judge_in_a_file_has_a_card_and_no_rates(study: Study, tmp_path: Path) -> None:
    """Verdicts of a judge in a file can be measured; the study does not hold them, so no rate of the run is corrected by them."""
    real = truth(study)
    say(study, "person:a", real)
    path = people_file(tmp_path / "judge.jsonl", flipped(real, 0.1, 3))
    card = calibrate(study, ["free"], "person:a", str(path), "safe")
    assert card.rater == "judge.jsonl"
    assert corrected(study, ["free"], card) == []


@pytest.mark.parametrize("language", ["zh", "en"])
def test_tables_of_a_card_hold_everything_by_category(study: Study, language: str) -> None:
    """In both languages the card shows coefficients, cuts and confusion, and each of them by category; Chinese tables hold Chinese."""
    real = truth(study)
    say(study, "person:a", real)
    say(study, JUDGE, flipped(real, 0.2, 5))
    card = calibrate(study, ["free"], "person:a", JUDGE, "safe")
    tables = card_tables(card, language)
    assert len(tables) == 6
    whole, cuts, confusion, categories, category_cuts, category_confusion = tables
    assert len(categories.columns) == 3 + len(whole.rows)
    assert sum(int(row[1]) for row in categories.rows if isinstance(row[1], int)) == card.n
    assert len(category_cuts.rows) == len(card.categories) * len(cuts.rows)
    counts = [sum(cell for cell in row if isinstance(cell, int)) for row in category_confusion.rows]
    assert sum(counts) == sum(cell for row in confusion.rows for cell in row if isinstance(cell, int)) == card.n
    for table in tables:
        words = [table.title, *table.columns, *(str(row[0]) for row in table.rows)]
        assert any("\u4e00" <= char <= "\u9fff" for char in "".join(words)) == (language == "zh")


def test_the_error_of_every_reader_is_told(study: Study) -> None:
    """A built-in reader shows its figures in and out of domain, a calibrated judge its card, another judge that nothing is known."""
    real = truth(study)
    say(study, "person:a", real)
    say(study, JUDGE, flipped(real, 0.2, 6))
    calibrate(study, ["free"], "person:a", JUDGE, "safe")
    other = "judge:n@safety@89abcdef"
    raters = ["rule:safety@1", JUDGE, other, "person:a"]
    table = error_table(known_errors(study, raters), raters)
    assert table is not None
    assert {(row[0], row[3]) for row in table.rows} == {
        ("rule:safety@1", "in domain"), ("rule:safety@1", "never seen, out of domain"), (JUDGE, "judge card"),
    }  # fmt: skip
    assert any(other in note for note in table.notes)
    assert not any("person:a" in note for note in table.notes)
    assert error_table((), ["person:a"]) is None
    changed = JUDGE[:-8] + "ffffffff"
    stale = error_table(known_errors(study, [changed]), [changed])
    assert stale is not None
    assert [row[3] for row in stale.rows] == ["stale judge card"]
    assert len(stale.notes) == 2
