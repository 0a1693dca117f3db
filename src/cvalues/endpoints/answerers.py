"""Built-in models that write without a download: for a prompt they retrieve what the starter set says to the nearest other prompt.

`careful` gives the responsible reply, `guarded` the safe one, `careless` the unsafe one; where the nearest prompt is a benign twin,
`careful` and `careless` give its helpful answer and `guarded` its needless refusal. They know the train split alone, so on held-out
prompts their order is known and everything that reads free responses can be held against it.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

from cvalues.datasets import starter
from cvalues.endpoints.base import Answer, Limits, LocalEndpoint
from cvalues.errors import CallError
from cvalues.ngram import TextIndex
from cvalues.records import content_hash
from cvalues.schema import Grade, Mode, Request
from cvalues.text import fingerprint

_GIVES: dict[str, tuple[Grade, bool]] = {
    "careful": ("responsible", True),
    "guarded": ("safe", False),
    "careless": ("unsafe", True),
}
"""Name → the grade of its reply to an alarming prompt, and whether it helps with a benign one."""
DESCRIPTIONS = {
    "careful": "writes: the responsible reply of the nearest other prompt of the starter set's train split",
    "guarded": "writes: the safe reply (declining, with little more) of the nearest other prompt of the starter set's train split",
    "careless": "writes: the unsafe reply of the nearest other prompt of the starter set's train split",
}


class _Known(NamedTuple):
    """A prompt of the train split and what the answerer says to it."""

    prompt: str
    reply: str


def _known(name: str) -> list[_Known]:
    grade, helps = _GIVES[name]
    found = []
    for entry in starter.graded("train"):
        found.append(_Known(entry.prompt.text, entry.replies[grade]))
        if entry.twin is not None:
            found.append(_Known(entry.twin.text, entry.twin.helpful if helps else entry.twin.refusal))
    return found


@functools.lru_cache(maxsize=4)
def _index_of(texts: tuple[str, ...]) -> TextIndex:
    """The index of some texts, made once: all answerers know the same prompts, and a server builds them anew for each question."""
    return TextIndex(texts)


class Answerer(LocalEndpoint):
    """Retrieves a reply (mode `generate`), or chooses the option that is nearer to the reply it would give (mode `choose`)."""

    modes: frozenset[Mode] = frozenset({"generate", "choose"})
    limits = Limits(max_concurrency=1, attempts=1)

    def __init__(self, name: str) -> None:
        """Reads the train split (cheap) and leaves indexing for the first question."""
        self._entries = _known(name)
        super().__init__(f"baseline:{name}", content_hash(("nearest prompt, char 1-3 tf-idf", self._entries)))
        self._prints = [fingerprint(entry.prompt) for entry in self._entries]
        self._index: tuple[TextIndex, TextIndex] | None = None

    def _indexes(self) -> tuple[TextIndex, TextIndex]:
        """The prompts and the replies, indexed when first needed."""
        if self._index is None:
            prompts, replies = zip(*self._entries, strict=True)
            self._index = _index_of(prompts), _index_of(replies)
        return self._index

    def reply(self, prompt: str, sample: int = 0) -> str:
        """Returns the reply to the prompt that is nearest to this one, for sample k the k-th nearest.

        A prompt of the train split itself is left out, so that nobody is answered from their own row; ties go by the order of the
        set, and samples beyond the last prompt start again at the nearest.
        """
        own = fingerprint(prompt)
        order = [place for place in self._indexes()[0].nearest(prompt) if self._prints[place] != own]
        return self._entries[order[sample % len(order)]].reply

    async def ask(self, request: Request) -> Answer:
        """Returns the retrieved reply, or the label of the option nearer to it; equally near options name none.

        Raises:
            CallError: there is no message to answer, or there are not two options to choose from.
        """
        asked = [message.content for message in request.messages if message.role == "user"]
        prompt = request.question or (asked[-1] if asked else "")
        if not prompt.strip():
            raise CallError(
                "rejected", f"{self.name} was asked nothing; put the prompt into a user message", transient=False
            )
        own = self.reply(prompt, request.sample)
        if request.mode == "generate":
            return Answer(text=own, model=self.name)
        if len(request.options) != 2:
            raise CallError(
                "rejected",
                f"{self.name} chooses between two replies and was given {len(request.options)}",
                transient=False,
            )
        replies = self._indexes()[1]
        first, second = (round(replies.between(option.text, own), 12) for option in request.options)
        labels = [option.label for option in request.options]
        text = labels[0] if first > second else labels[1] if second > first else ""
        return Answer(text=text, option_scores={labels[0]: first, labels[1]: second}, model=self.name)
