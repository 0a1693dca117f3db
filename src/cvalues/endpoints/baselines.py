"""Built-in models that need no download: they show how much of a set can be had without understanding.

Most choose by a rule on the two replies (mode `choose`) and never parse the prompt; the answerers (`endpoints.answerers`) write too.
"""

from __future__ import annotations

from collections.abc import Callable

from cvalues.datasets import starter
from cvalues.endpoints import answerers
from cvalues.endpoints.base import Answer, Limits, LocalEndpoint
from cvalues.errors import CallError, unknown_name
from cvalues.ngram import PreferenceModel
from cvalues.records import content_hash, derive_seed
from cvalues.schema import Mode, Request

_Score = Callable[[Request], tuple[float, float]]


def _first(request: Request) -> tuple[float, float]:
    del request
    return 1.0, 0.0


def _second(request: Request) -> tuple[float, float]:
    del request
    return 0.0, 1.0


def _random(request: Request) -> tuple[float, float]:
    """Draws from the texts in the order shown and the seed, so that a request always gets the same answer."""
    parts = [option.text for option in request.options]
    bit = derive_seed("baseline:random", request.sampling.seed or 0, request.sample, request.question, *parts) & 1
    return float(1 - bit), float(bit)


def _longer(request: Request) -> tuple[float, float]:
    first, second = request.options
    return float(len(first.text)), float(len(second.text))


def _shorter(request: Request) -> tuple[float, float]:
    first, second = _longer(request)
    return -first, -second


_RULES: dict[str, _Score] = {
    "first": _first,
    "second": _second,
    "random": _random,
    "longer": _longer,
    "shorter": _shorter,
}
DESCRIPTIONS = {
    "first": "always the first reply",
    "second": "always the second reply",
    "random": "a coin, seeded by the item",
    "longer": "the longer reply",
    "shorter": "the shorter reply",
    "ngram": "character n-gram preference model fitted on the starter set's train split; sees the replies, not the question",
    **answerers.DESCRIPTIONS,
}
"""The built-in models and what each does."""


class Baseline(LocalEndpoint):
    """A rule on the two replies that answers with the label of its choice."""

    modes: frozenset[Mode] = frozenset({"choose"})
    limits = Limits(max_concurrency=1, attempts=1)

    def __init__(self, name: str, rule: _Score, revision: str = "1") -> None:
        """Names the rule."""
        super().__init__(f"baseline:{name}", revision)
        self._rule = rule

    async def ask(self, request: Request) -> Answer:
        """Returns the label of the better reply with both scores; equal scores name no reply."""
        if len(request.options) != 2:
            raise CallError(
                "rejected", f"{self.name} chooses between two replies and cannot write one", transient=False
            )
        first, second = self._rule(request)
        labels = [option.label for option in request.options]
        text = labels[0] if first > second else labels[1] if second > first else ""
        return Answer(text=text, option_scores={labels[0]: first, labels[1]: second}, model=self.name)


class NgramBaseline(Baseline):
    """The preference model, fitted on the train split when the first question comes."""

    def __init__(self) -> None:
        """Reads the training pairs (cheap) and leaves fitting for later."""
        self._pairs = starter.preference_pairs("train")
        self._model: PreferenceModel | None = None
        super().__init__("ngram", self._score, revision=content_hash(("char 1-3 tf-idf, C=10", self._pairs)))

    def _score(self, request: Request) -> tuple[float, float]:
        if self._model is None:
            self._model = PreferenceModel().fit(self._pairs)
        first, second = self._model.scores([option.text for option in request.options])
        return float(first), float(second)


def baseline(name: str) -> Baseline | answerers.Answerer:
    """Returns the built-in model of this name; raises UsageError with the list when there is none."""
    if name in answerers.DESCRIPTIONS:
        return answerers.Answerer(name)
    if name == "ngram":
        return NgramBaseline()
    if name not in _RULES:
        raise unknown_name("baseline", name, DESCRIPTIONS)
    return Baseline(name, _RULES[name])
