"""What the reader of single responses shows, as compact JSON that can stand inside a `<script>` element.

The index (ids, models, headline verdicts) is small and read when the page opens; the texts are in pieces of `CHUNK` responses that the
page reads when it shows or searches them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from markupsafe import Markup

from cvalues.criteria import criteria
from cvalues.records import clean
from cvalues.report.facts import Facts
from cvalues.report.items import Cut, cut, embed
from cvalues.schema import Choice, Verdict
from cvalues.scoring import ItemOutcome
from cvalues.scoring.free import STATES, FreeOutcome

__all__ = ["CHUNK", "Reader", "reader"]

CHUNK = 100
_SHOWN = ("safe", "grade", "points", "refusal", "harm_detail")
"""Criteria whose headline verdicts stand in the index and can be filtered by."""
_HARMLESS = {"safe": ("safe",), "grade": ("safe", "responsible")}


class Reader(NamedTuple):
    """The data of the reader, ready to be embedded."""

    rows: Markup
    """Models, categories, raters and every response with its headline verdicts."""
    chunks: tuple[Markup, ...]


class _Codes:
    """Numbers names in the order in which they first appear."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._numbers = {clean(name): number for number, name in enumerate(dict.fromkeys(names))}

    def __getitem__(self, name: str) -> int:
        return self._numbers.setdefault(clean(name), len(self._numbers))

    @property
    def names(self) -> list[str]:
        return list(self._numbers)


def reader(facts: Facts) -> Reader:
    """Returns the index and the chunks of texts of every planned response, by prompt in the order asked, then model and sample."""
    free, data = facts.free, facts.data
    places: dict[tuple[str, str], int] = {}
    for outcome in data.free.outcomes:
        places.setdefault(outcome.cluster, len(places))
    models = _Codes(data.model_names)
    ordered = sorted(
        free.read,
        key=lambda each: (places[each.outcome.cluster], models[each.outcome.model], each.outcome.sample),
    )
    shown = [name for name in _SHOWN if name in free.raters]
    cases = _cases(facts)
    raters, categories = _Codes(), _Codes(each.code for each in data.taxonomy.categories)
    sets, prompts, names = _Codes(), _Codes(), _Codes(criteria())
    rows: list[list[Any]] = []
    texts: list[dict[str, Any]] = []
    choices = _choices(facts)
    for read in ordered:
        outcome = read.outcome
        values = [read.values.get(name) for name in shown]
        rows.append([
            clean(outcome.response),
            prompts[outcome.prompt],
            models[outcome.model],
            outcome.sample,
            outcome.level,
            categories[clean(outcome.category)],
            sets[clean(outcome.set)],
            STATES.index(outcome.state),
            int(outcome.benign),
            values,
            cases.get((outcome.model, outcome.prompt, outcome.response), 0),
            int(_disputed(outcome, shown)),
            int(_folded(dict(zip(shown, values, strict=True)))),
            int(outcome.finish == "length"),
        ])  # fmt: skip
        texts.append(_texts(facts, outcome, raters, names, choices))
    chosen = {name: raters[rater] for name, rater in free.raters.items()}
    index = {
        "models": models.names,
        "prompts": prompts.names,
        "sets": sets.names,
        "states": list(STATES),
        "shown": shown,
        "labels": {name: list(criteria()[name].values) for name in shown if not criteria()[name].numeric},
        "criteria": [{"code": name, "zh": criteria()[name].zh, "en": criteria()[name].en} for name in criteria()],
        "raters": raters.names,
        "chosen": chosen,
        "categories": [
            {"code": code, "zh": data.taxonomy.name(code, "zh"), "en": data.taxonomy.name(code, "en")} for code in categories.names
        ],
        "chunk": CHUNK,
        "rows": rows,
    }  # fmt: skip
    chunks = tuple(embed(texts[start : start + CHUNK]) for start in range(0, len(texts), CHUNK))
    return Reader(embed(index), chunks)


def _cases(facts: Facts) -> dict[tuple[str, str, str], int]:
    """Returns by (model, prompt, response) the sum of the levels at which the model knows but this response errs: 1, 2 or 3."""
    found: dict[tuple[str, str, str], int] = {}
    for each in facts.free.knows_but_errs:
        for response in each.failing:
            key = (each.model, each.prompt, response)
            found[key] = found.get(key, 0) + each.level
    return found


def _disputed(outcome: FreeOutcome, shown: Sequence[str]) -> bool:
    """Returns whether two raters give different labels on one of the shown criteria."""
    return any(len(set(outcome.verdicts.get(name, {}).values())) > 1 for name in shown if not criteria()[name].numeric)


def _folded(values: dict[str, Any]) -> bool:
    """Returns whether the text is folded: everything that the headline raters do not call safe, and everything not judged."""
    told = [values[name] in good for name, good in _HARMLESS.items() if values.get(name) is not None]
    return not told or not all(told)


def _texts(
    facts: Facts, outcome: FreeOutcome, raters: _Codes, names: _Codes, choices: dict[tuple[str, str], list[list[Any]]]
) -> dict[str, Any]:
    """The texts of one response: the prompt, what was written, and every verdict as [criterion, rater, value, reason]."""
    data = facts.data
    prompt, response = data.free.prompts.get(outcome.cluster), data.responses.get(outcome.response)
    entry: dict[str, Any] = {
        "q": cut(prompt.text) if prompt else None,
        "t": cut(response.text) if response else None,
        "v": [_verdict(each, raters, names) for each in data.free.verdicts.get(outcome.response, ())] or _bare(outcome, raters, names),
    }  # fmt: skip
    failure = data.free.failures.get((outcome.model, outcome.prompt, outcome.sample))
    if outcome.state == "failed" and failure:
        entry["f"] = cut(failure, 400, 100)
    if response and response.reasoning:
        entry["r"] = cut(response.reasoning, 1_500, 500)
    if (outcome.model, outcome.prompt) in choices:
        entry["c"] = choices[outcome.model, outcome.prompt]
    return entry


def _verdict(verdict: Verdict, raters: _Codes, names: _Codes) -> list[Any]:
    value = verdict.value if verdict.status == "ok" else None
    return [names[verdict.criterion], raters[verdict.rater], value, cut(verdict.reason, 1_000, 200)]


def _bare(outcome: FreeOutcome, raters: _Codes, names: _Codes) -> list[list[Any]]:
    """The verdicts without reasons, where only a results.json is at hand."""
    return [
        [names[name], raters[rater], value, ""]
        for name, found in outcome.verdicts.items()
        for rater, value in found.items()
    ]


def _choices(facts: Facts) -> dict[tuple[str, str], list[list[Any]]]:
    """Returns by model and prompt the choices on it: level, whether every order was right, and the better reply."""
    if not facts.free.told:
        return {}
    prompt_of = facts.data.prompts_of_choices
    asked = {(each.model, each.prompt) for each in facts.free.told}
    pairs: dict[tuple[str, str], dict[str, list[ItemOutcome]]] = {}
    for outcome in facts.outcomes:
        key = (outcome.model, prompt_of.get(outcome.choice, ""))
        if key in asked:
            pairs.setdefault(key, {}).setdefault(outcome.pair, []).append(outcome)
    return {
        key: [
            [found[0].level, int(all(each.correct for each in found)), _better(facts.data.items.get(found[0].choice))]
            for found in sorted(groups.values(), key=lambda found: (found[0].level, found[0].pair))
        ]
        for key, groups in pairs.items()
    }


def _better(choice: Choice | None) -> Cut | None:
    return None if choice is None else cut(choice.replies[choice.better - 1].text, 600, 100)
