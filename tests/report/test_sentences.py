"""The result in words, and what a report says that it does not show."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from measured import measurement

from cvalues.report import ReportInput
from cvalues.report.facts import Facts
from cvalues.report.sentences import context, headline, limits, subtitle
from cvalues.report.words import Words, phrases
from cvalues.taxonomy import builtin

EN, ZH = Words("en", builtin()), Words("zh", builtin())
ALWAYS = {"choice", "human", "legal"}


def heads(data: ReportInput) -> set[str]:
    """The names of the limits that apply."""
    names = {
        entry["en"]: key.removeprefix("limits.").removesuffix("_head") for key, entry in phrases().items() if key.endswith("_head")
    }  # fmt: skip
    return {names[line.head] for line in limits(Facts(data), EN)}


def changed(data: ReportInput, **fields: Any) -> ReportInput:
    """The measurement with the fields of all its outcomes changed."""
    outcomes = [msgspec.structs.replace(outcome, **fields) for outcome in data.outcomes]
    return msgspec.structs.replace(data, outcomes=outcomes)


def test_three_limits_always_apply() -> None:
    """Even a report without any data says that it is multiple choice, has no human score and is no compliance review."""
    assert heads(ReportInput(taxonomy=builtin())) == ALWAYS


def test_limits_of_the_sample() -> None:
    """The starter sample with baseline and failures says so, and claims none of the limits that do not apply."""
    assert heads(measurement(180)) == ALWAYS | {"small", "starter", "baseline", "coverage"}


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("language", changed(measurement(18), language="en")),
        ("levels", changed(measurement(18), level=2)),
        ("categories", measurement(9)),
        ("public", changed(measurement(18), set="cvalues-responsibility-mc")),
        ("reader", changed(measurement(18), rule="judge:qwen-max@1")),
        ("no_baseline", measurement(18, {"a": 0.9, "b": 0.8})),
        ("absent", msgspec.structs.replace(measurement(18), runs=(measurement(1, {"silent": 1.0}).runs[0],))),
    ],
)
def test_limit_appears_with_its_cause(name: str, data: ReportInput) -> None:
    """Each limit stands in the report of a measurement that has its cause, and only there."""
    assert name in heads(data)
    assert name not in heads(measurement(180))


def test_order_and_state() -> None:
    """Pairs asked in one order only and unfinished runs are named."""
    data = measurement(18)
    one = [outcome for outcome in data.outcomes if outcome.order == "12"]
    running = tuple(msgspec.structs.replace(run, state="running") for run in data.runs)
    assert {"order", "state"} <= heads(msgspec.structs.replace(data, outcomes=one, runs=running))


def test_smallest_difference_names_best_and_worst_category() -> None:
    """With unequal categories the sentence names the range; with a handful of pairs it says that nothing can be established."""
    data = measurement(18 * 12)
    fewer = [o for o in data.outcomes if o.category != "law" or int(o.pair[-5:]) < 18 * 8]
    told = next(
        line.text for line in limits(Facts(msgspec.structs.replace(data, outcomes=fewer)), EN) if "unseen" in line.text
    )
    assert "Law, 8 pairs" in told
    few = next(
        line.text for line in limits(Facts(measurement(18 * 2)), EN) if line.head == "Smallest visible difference"
    )
    assert few.startswith("18 categories hold too few")


def test_headline_names_the_best_and_who_ties() -> None:
    """The best model, its two scores with intervals, and the models that cannot be told from it; baselines are not counted."""
    told = headline(Facts(measurement(270)), EN)
    assert told.startswith(
        "Of 3 models, deepseek-v3 scores highest: it picks the better reply 88.1\u202f% of the time on safety"
    )
    assert told.endswith("Not statistically distinguishable from it: qwen2.5-7b-instruct.")
    assert headline(Facts(measurement(270)), ZH).startswith(
        "3 个模型中 deepseek-v3 的成绩最高：安全题上选对 88.1%（95% 区间"
    )


def test_headline_of_a_clear_lead_one_model_and_none() -> None:
    """A lead that all tests establish is called so; one model stands alone; without an answer there is no result."""
    assert "statistically established" in headline(Facts(measurement(270, {"good": 0.95, "bad": 0.5})), EN)
    assert headline(Facts(measurement(30, {"only": 0.9})), EN).startswith("only picks the better reply")
    assert headline(Facts(ReportInput(taxonomy=builtin())), EN) == EN("result.nothing")
    unanswered = changed(measurement(5), outcome=None)
    assert headline(Facts(unanswered), ZH) == ZH("result.nothing")


def test_context_warns_of_models_no_better_than_a_baseline() -> None:
    """The best baseline is named with its score, and so is every model that did not demonstrably beat it."""
    told = context(Facts(measurement(270)), EN)
    assert "(longer)" in told
    assert told.endswith("Note: tiny-chat did not demonstrably beat it.")
    assert "baseline" not in context(Facts(measurement(30, {"a": 0.9})), EN)


def test_hostile_names_are_made_visible() -> None:
    """A direction override in a model's or a run's name is written out in sentences."""
    data = measurement(30, {"evil\u202egnp": 0.9, "b": 0.5})
    run = msgspec.structs.replace(data.runs[0], name="run\u202e")
    facts = Facts(msgspec.structs.replace(data, runs=(run,)))
    for text in (headline(facts, EN), context(facts, EN), subtitle(facts, EN)):
        assert "\u202e" not in text
