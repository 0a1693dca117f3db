"""What the item browser of the HTML report shows, as compact JSON that can stand inside a `<script>` element.

The index (ids, categories, outcomes) is small and read when the page opens; the texts are in pieces of `CHUNK` pairs that the page
reads when it shows or searches them. Texts longer than a limit are cut for display: head, number of characters left out, tail.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from markupsafe import Markup

from cvalues.records import canonical, clean
from cvalues.report.data import ReportInput
from cvalues.schema import OUTCOMES, Choice
from cvalues.scoring import ItemOutcome

__all__ = ["CHUNK", "Browser", "Cut", "browser", "cut", "embed"]

CHUNK = 50
_HEAD, _TAIL = 3_000, 1_000
_FAILED, _OPEN = len(OUTCOMES), len(OUTCOMES) + 1
_STATUS = {outcome: number for number, outcome in enumerate(OUTCOMES)}
_UNSAFE_IN_SCRIPT = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}

Cut = str | tuple[str, int, str]
"""A text, or its head, the number of characters left out, and its tail."""


class Browser(NamedTuple):
    """The data of the item browser, ready to be embedded."""

    pairs: Markup
    """Models, categories and every pair with its outcomes."""
    chunks: tuple[Markup, ...]


def cut(text: str, head: int = _HEAD, tail: int = _TAIL) -> Cut:
    """Returns a storable text, whole when it is at most `head + tail` characters, else (head, characters left out, tail)."""
    if len(text) <= head + tail:
        return clean(text)
    return clean(text[:head]), len(text) - head - tail, clean(text[len(text) - tail :])


def embed(value: object) -> Markup:
    """Returns canonical JSON that cannot end a `<script>` element: `<`, `>`, `&`, U+2028 and U+2029 stand as Unicode escapes."""
    text = canonical(value).decode()
    for character, escaped in _UNSAFE_IN_SCRIPT.items():
        text = text.replace(character, escaped)
    return Markup(text)  # noqa: S704 - no character that means anything to an HTML parser is left


def browser(data: ReportInput) -> Browser:
    """Returns the index and the chunks of texts of every pair that was asked, in the order of the items."""
    groups = _grouped(data)
    models, rules = _Codes(data.model_names), _Codes()
    sets, categories = _Codes(), _Codes(_taxonomy_order(data))
    difficulties, languages = _Codes(), _Codes()
    pairs: list[list[Any]] = []
    texts: list[dict[str, Any]] = []
    for outcomes in groups:
        first = outcomes[0]
        choices = list(dict.fromkeys(outcome.choice for outcome in outcomes))
        choices.sort(key=lambda choice: next(o.better for o in outcomes if o.choice == choice))
        places = {choice: number for number, choice in enumerate(choices)}
        better = {outcome.choice: outcome.better for outcome in outcomes}
        outcomes.sort(key=lambda outcome: (models[outcome.model], places[outcome.choice]))
        rows = [
            (places[outcome.choice], models[outcome.model], _status(outcome, data), rules[clean(outcome.rule)])
            for outcome in outcomes
        ]
        pairs.append([
            clean(first.pair),
            sets[clean(first.set)],
            first.level,
            categories[clean(first.category)],
            first.collection or 0,
            difficulties[clean(first.difficulty)],
            languages[clean(first.language)],
            [[clean(choice), better[choice]] for choice in choices],
            rows,
        ])  # fmt: skip
        texts.append(_texts(data, choices, outcomes))
    index = {
        "models": models.names,
        "outcomes": [*OUTCOMES, "failed", "open"],
        "rules": rules.names,
        "sets": sets.names,
        "categories": [
            {"code": code, "zh": data.taxonomy.name(code, "zh"), "en": data.taxonomy.name(code, "en")}
            for code in categories.names
        ],
        "difficulties": difficulties.names,
        "languages": languages.names,
        "chunk": CHUNK,
        "pairs": pairs,
    }
    chunks = tuple(embed(texts[start : start + CHUNK]) for start in range(0, len(texts), CHUNK))
    return Browser(embed(index), chunks)


class _Codes:
    """Numbers names in the order in which they first appear."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._numbers = {clean(name): number for number, name in enumerate(dict.fromkeys(names))}

    def __getitem__(self, name: str) -> int:
        return self._numbers.setdefault(clean(name), len(self._numbers))

    @property
    def names(self) -> list[str]:
        return list(self._numbers)


def _taxonomy_order(data: ReportInput) -> list[str]:
    used = {outcome.category for outcome in data.outcomes}
    return [category.code for category in data.taxonomy.categories if category.code in used]


def _grouped(data: ReportInput) -> list[list[ItemOutcome]]:
    """Outcomes by set and pair, in the order of the items, then of the outcomes."""
    groups: dict[tuple[str, str], list[ItemOutcome]] = {}
    for outcome in data.outcomes:
        groups.setdefault((outcome.set, outcome.pair), []).append(outcome)
    order = {choice: number for number, choice in enumerate(data.items)}
    return sorted(groups.values(), key=lambda group: min(order.get(o.choice, len(order)) for o in group))


def _status(outcome: ItemOutcome, data: ReportInput) -> int:
    if outcome.outcome is not None:
        return _STATUS[outcome.outcome]
    return _FAILED if (outcome.model, outcome.choice) in data.failures else _OPEN


def _texts(data: ReportInput, choices: Sequence[str], outcomes: Sequence[ItemOutcome]) -> dict[str, Any]:
    """The texts of one pair: question, distinct replies, which of them each choice shows, and what the models wrote."""
    known = [data.items.get(choice) for choice in choices]
    replies: dict[tuple[str, str], int] = {}
    shown = [_shown(choice, replies) if choice else [] for choice in known]
    question = next((choice.question for choice in known if choice), "")
    written = [data.responses.get(outcome.response) for outcome in outcomes]
    entry: dict[str, Any] = {
        "q": cut(question),
        "a": [[cut(text), grade] for text, grade in replies],
        "c": shown,
        "t": [None if response is None else cut(response.text) for response in written],
    }
    for number, (outcome, response) in enumerate(zip(outcomes, written, strict=True)):
        evidence = data.evidence.get(outcome.response)
        failure = data.failures.get((outcome.model, outcome.choice)) if outcome.outcome is None else None
        if evidence:
            entry.setdefault("e", {})[str(number)] = clean(evidence)
        if failure:
            entry.setdefault("f", {})[str(number)] = cut(failure, 400, 100)
        if response and response.reasoning:
            entry.setdefault("r", {})[str(number)] = cut(response.reasoning, 1_500, 500)
    return entry


def _shown(choice: Choice, replies: dict[tuple[str, str], int]) -> list[int]:
    """Numbers of the two replies in the order shown; the same text with the same grade has one number in its pair."""
    return [replies.setdefault((reply.text, reply.grade or ""), len(replies)) for reply in choice.replies]
