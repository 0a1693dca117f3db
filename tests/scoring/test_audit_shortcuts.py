"""What can be had without reading the question: rules, fitted models, bars, sampling."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from auditsets import row, with_replies, words, write
from hypothesis import given
from hypothesis import strategies as st

from cvalues.errors import UsageError
from cvalues.schema import Estimate
from cvalues.scoring.audit import Auditing, AuditReport, audit
from cvalues.scoring.audit.material import gather
from cvalues.scoring.audit.settings import Bar, measures
from cvalues.scoring.audit.shortcuts import SHORTCUTS, folds
from cvalues.taxonomy import builtin

QUICK = Auditing(repeats=1, folds=2)


def figure(report: AuditReport, name: str, pair: str, level: int = 0, *, hard: bool = False) -> Estimate:
    """The one figure of a report."""
    (found,) = [s for s in report.shortcuts if (s.name, s.pair, s.level) == (name, pair, level)]
    return found.hard if hard else found.accuracy


def broken(report: AuditReport) -> set[tuple[str, str, int]]:
    """(Bar, pair type, level) of every bar that is not met."""
    return {(result.bar.name, result.pair, result.level) for result in report.broken}


def test_every_cell_has_every_shortcut(tmp_path: Path) -> None:
    """Three pair types × two levels and all × eight shortcuts; the bars are judged for each level by itself."""
    report = audit(write(tmp_path / "set.jsonl", map(row, range(60))), settings=QUICK)
    assert len(report.shortcuts) == 3 * 3 * len(SHORTCUTS)
    assert {result.level for result in report.bars} == {1, 2}
    assert len(report.bars) == 3 * 2 * 5 + 2


def test_neutral_replies_show_no_shortcut(tmp_path: Path) -> None:
    """Where the replies are drawn alike for all grades, no bar of the length rules is broken and no model does well."""
    report = audit(write(tmp_path / "set.jsonl", map(row, range(120))), settings=Auditing(repeats=2))
    for pair in ("safe/unsafe", "responsible/safe", "responsible/unsafe"):
        assert figure(report, "longer", pair).value == 0.5
        assert figure(report, "refusal_words", pair).value == 0.5
        assert figure(report, "numbering", pair).value == 0.5
        for name in ("first_five", "bag", "ngram"):
            value = figure(report, name, pair).value
            assert value is not None
            assert 0.35 < value < 0.65
    assert not {name for name, _, _ in broken(report)} & {"longer", "shorter", "refusal_words", "refusal_count"}


@pytest.mark.parametrize(
    ("planted", "seen", "unseen"),
    [
        ("春天好啊，", {"first_five", "bag", "ngram"}, {"refusal_words", "numbering", "longer"}),
        ("抱歉，对不起，", {"refusal_words", "refusal_count", "first_five", "ngram"}, {"numbering"}),
        ("1. 甲；2. 乙；", {"numbering", "bag", "ngram"}, {"refusal_words"}),
    ],
)
def test_a_planted_shortcut_is_found(tmp_path: Path, planted: str, seen: set[str], unseen: set[str]) -> None:
    """An opening, refusal words or a list in every better reply is found by the model made for it and by no other."""
    rows = []
    for number in range(60):
        entry = row(number)
        text = planted + entry["replies"]["safe"]
        # The same number of neutral characters keeps the lengths as they are.
        other = words(number, "filler", len(planted)) + entry["replies"]["unsafe"]
        rows.append(with_replies(entry, safe=text, unsafe=other))
    report = audit(write(tmp_path / "set.jsonl", rows), settings=QUICK)
    for name in seen:
        assert (figure(report, name, "safe/unsafe").value or 0) > 0.95, name
    for name in unseen:
        assert (figure(report, name, "safe/unsafe").value or 0) < 0.7, name
    names = {name for name, pair, _ in broken(report) if pair == "safe/unsafe"}
    assert names >= seen & {"first_five", "refusal_words", "refusal_count"}
    assert not report.ok


def test_a_length_shortcut_breaks_both_bars(tmp_path: Path) -> None:
    """Where the better reply is always longer, always-longer is right every time and always-shorter never, at both levels."""
    rows = [
        with_replies(row(number), unsafe=words(number, "u", 20), safe=words(number, "s", 30)) for number in range(40)
    ]
    report = audit(write(tmp_path / "set.jsonl", rows), settings=QUICK)
    assert figure(report, "longer", "safe/unsafe", 1).value == 1.0
    assert figure(report, "shorter", "safe/unsafe", 2).value == 0.0
    assert {(name, level) for name, pair, level in broken(report) if pair == "safe/unsafe"} >= {
        ("longer", 1), ("longer", 2), ("shorter", 1), ("shorter", 2),
    }  # fmt: skip


def test_ties_count_half_and_the_interval_is_by_prompt(tmp_path: Path) -> None:
    """Of four pairs two longer, one shorter, one tie: (1 + 1 + 0 + ½) / 4 = 0.625, over four prompts."""
    pairs = [("长长长", "短"), ("长长长", "短"), ("短", "长长长"), ("同同", "样样")]
    rows = [
        {"prompt": f"问题{n}？", "pos_resp": a, "neg_resp": b, "pos_type": "拒绝为主", "neg_type": "风险回复"}
        for n, (a, b) in enumerate(pairs)
    ]
    report = audit(write(tmp_path / "set.jsonl", rows))
    found = figure(report, "longer", "safe/unsafe")
    assert found.value == 0.625
    assert (found.n, found.clusters, found.unit) == (4, 4, "prompt")
    assert found.low is not None
    assert found.high is not None
    assert found.low < 0.625 < found.high


def test_a_small_set_has_no_data_for_fitted_models(tmp_path: Path) -> None:
    """Below twenty prompts nothing is fitted, the figure is absent and its bar neither met nor broken."""
    report = audit(write(tmp_path / "set.jsonl", map(row, range(12))))
    assert figure(report, "ngram", "safe/unsafe").value is None
    results = [result for result in report.bars if result.bar.name == "first_five"]
    assert results
    assert {result.met for result in results} == {None}
    assert report.hard == ()
    assert not {name for name, _, _ in broken(report)} & {"first_five", "refusal_words"}


def test_ungraded_choices_are_one_pair_type(tmp_path: Path) -> None:
    """Replies without grades make the pair type `all`; both orders of a pair are one pair."""
    rows = [
        {
            "id": f"c{number}-{order}", "pair_id": f"pair{number}", "question": words(number, "q", 20), "category": "law",
            "reply_1": words(number, "good" if order == 1 else "bad", 40 if order == 1 else 20),
            "reply_2": words(number, "bad" if order == 1 else "good", 20 if order == 1 else 40),
            "better": order,
        }
        for number in range(30) for order in (1, 2)
    ]  # fmt: skip
    report = audit(write(tmp_path / "set.jsonl", rows), settings=QUICK)
    assert {found.pair for found in report.shortcuts} == {"all"}
    assert report.pairs == 30
    assert figure(report, "longer", "all", 2).value == 1.0


def test_hard_is_what_the_set_says(tmp_path: Path) -> None:
    """The share of hard pairs and the figures on them come from the set's own difficulty."""
    rows = []
    for number in range(40):
        hard = number % 4 == 0
        lengths = (20, 30) if hard else (30, 20)
        entry = with_replies(row(number), unsafe=words(number, "u", lengths[0]), safe=words(number, "s", lengths[1]))
        rows.append({**entry, "difficulty": {"su": "hard" if hard else "easy", "rs": "easy", "ru": "easy"}})
    report = audit(write(tmp_path / "set.jsonl", rows), settings=QUICK)
    (share,) = [entry for entry in report.hard if (entry.pair, entry.level) == ("safe/unsafe", 0)]
    assert (share.source, share.share.value, share.pairs) == ("field", 0.25, 40)
    assert figure(report, "longer", "safe/unsafe", hard=True).value == 1.0
    assert figure(report, "longer", "safe/unsafe").value == 0.25
    assert figure(report, "longer", "responsible/safe", hard=True).value is None


def test_hard_is_where_the_model_fails_else(tmp_path: Path) -> None:
    """Where the set says nothing, a pair is hard when the n-gram model is wrong or unsure, so that it is rarely right there."""
    report = audit(write(tmp_path / "set.jsonl", map(row, range(60))), settings=QUICK)
    assert {entry.source for entry in report.hard} == {"model"}
    whole, hard = figure(report, "ngram", "safe/unsafe"), figure(report, "ngram", "safe/unsafe", hard=True)
    assert whole.value is not None
    assert hard.value is not None
    assert hard.n < whole.n
    assert hard.value < whole.value


def test_the_report_depends_on_content_and_seed_alone(tmp_path: Path) -> None:
    """The order of the rows changes no figure, the same seed gives the same report, another seed other folds."""
    rows = [row(number) for number in range(40)]
    first = audit(write(tmp_path / "set.jsonl", rows), settings=QUICK)
    again = audit(write(tmp_path / "set.jsonl", rows[::-1]), settings=QUICK)

    def figures(report: AuditReport) -> dict[Any, float | None]:
        found = {(s.name, s.pair, s.level): s.accuracy.value for s in report.shortcuts}
        return {key: None if value is None else round(value, 6) for key, value in found.items()}

    assert figures(first) == figures(again)
    other = audit(tmp_path / "set.jsonl", seed=1, settings=QUICK)
    assert figures(other) != figures(first)
    assert other.seed == 1


def test_large_sets_are_sampled_by_prompt(tmp_path: Path) -> None:
    """No more prompts' replies are kept than the sample allows, the sample ignores the order of rows, and rules use all pairs."""
    small = Auditing(sample=20, repeats=1, folds=2)
    rows = [row(number) for number in range(60)]
    kept = []
    for order in (rows, rows[::-1]):
        material = gather(write(tmp_path / "set.jsonl", order), builtin(), small, 3)
        kept.append({
            kind: sorted(material.prompt_id(code) for code in codes) for kind, codes in material.pairs.sampled.items()
        })  # fmt: skip
        assert {len(codes) for codes in material.pairs.sampled.values()} == {20}
    assert kept[0] == kept[1]
    report = audit(tmp_path / "set.jsonl", seed=3, settings=small)
    assert (report.sampled, report.sampled_of) == (20, 60)
    assert figure(report, "longer", "safe/unsafe").n == 60
    assert figure(report, "ngram", "safe/unsafe").n == 20
    assert any("20 of 60 prompts" in note for table in report.tables("en") for note in table.notes)


def test_empty_replies_teach_nothing(tmp_path: Path) -> None:
    """A set whose replies are all empty is audited without an error; every model is at one half."""
    rows = [
        {"question": words(n, "q", 12), "category": "law", "reply_1": "", "reply_2": "", "better": 1} for n in range(25)
    ]
    report = audit(write(tmp_path / "set.jsonl", rows), settings=QUICK)
    assert {s.accuracy.value for s in report.shortcuts} == {0.5}


@given(st.lists(st.text(min_size=1, max_size=4), min_size=1, max_size=40), st.integers(2, 6), st.integers(0, 5))
def test_folds_are_even_and_by_prompt(ids: list[str], count: int, seed: int) -> None:
    """Every prompt has one fold, sizes differ by at most one, and neither order nor repetition of ids matters."""
    found = folds(ids, count, seed)
    assert set(found) == set(ids)
    sizes = [list(found.values()).count(fold) for fold in range(count)]
    assert max(sizes) - min(sizes) <= 1
    assert folds([*ids[::-1], *ids], count, seed) == found


def test_bars_hold_at_their_ends() -> None:
    """`at_least` and `at_most` are inside the bar, `below` is outside."""
    length, first = measures().bar_of("longer"), measures().bar_of("first_five")
    assert length is not None
    assert first is not None
    assert [length.holds(value) for value in (0.4499, 0.45, 0.5, 0.55, 0.5501)] == [False, True, True, True, False]
    assert [first.holds(value) for value in (0.2, 0.5999, 0.6)] == [True, True, False]
    assert measures().bar_of("ngram") is None
    assert {bar.name for bar in measures().bar} - {"declines"} < set(SHORTCUTS)


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_an_interval_reaches_a_bar_that_a_value_in_it_meets(low: float, high: float, at: float, edge: float) -> None:
    """When some value of the interval meets the bar, `reached` says so."""
    low, high = sorted((low, high))
    value = low + at * (high - low)
    for bar in (Bar(name="x", at_least=edge), Bar(name="x", at_most=edge), Bar(name="x", below=edge + 1e-6)):
        if bar.holds(value) and (bar.at_least is None or abs(value - edge) > 1e-6) and abs(value - edge) > 1e-5:
            assert bar.reached(low, high)
    assert not Bar(name="x").reached(None, None)


@pytest.mark.parametrize("bad", [{"threshold": 0}, {"folds": 1}, {"least": 3}, {"sample": 10}, {"repeats": 0}])
def test_settings_that_measure_nothing_are_refused(bad: dict[str, Any]) -> None:
    """A threshold, fold, repeat or sample that makes no sense is an error that names it."""
    with pytest.raises(UsageError, match=next(iter(bad))):
        Auditing(**bad)
