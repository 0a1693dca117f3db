"""How each model of the paper, and of the current families, is asked: data of `data/presets/models.toml`, and messages → prompt text.

A preset gives what a model's own public material says: prompt format, stop strings, decoding defaults, limits, and for each fact its
source. A family of today has no format here: its chat template comes with its tokenizer.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from importlib import resources
from typing import Any, Literal

import msgspec

from cvalues.errors import UsageError, unknown_name
from cvalues.records import content_hash
from cvalues.schema import Message, Record, Sampling

_FIELD = re.compile(r"\{(text|round)\}")
_ENDS = re.compile(r"[。！？!?.…；;”\"）)】》]\s*$")


class Format(Record, frozen=True, kw_only=True):
    """How messages become one prompt text; `{text}` is a message, `{round}` the number of the turn from 0."""

    user: str
    assistant: str
    reply: str = ""
    """What opens the turn of the model at the end of the prompt."""
    single: str | None = None
    """The whole prompt where there is one user message and nothing else."""
    opening: str = ""
    """What always stands first."""
    system: str = "{text}\n\n"
    default_system: str = ""
    """The system message where none is given."""
    final: str = ""
    """Appended to a user message that ends without punctuation."""

    @property
    def id(self) -> str:
        """Content hash of all fields."""
        return content_hash(self)

    def render(self, messages: Sequence[Message]) -> str:
        """Returns the prompt text of a conversation that ends with a user message; braces inside messages stay as they are.

        Raises:
            UsageError: the conversation does not end with a user message.
        """
        if not messages or messages[-1].role != "user":
            raise UsageError("a conversation ends with a user message; the last one is of another role")
        system = "\n\n".join(message.content for message in messages if message.role == "system")
        turns = [message for message in messages if message.role != "system"]
        system = system or self.default_system
        if self.single is not None and len(turns) == 1 and not system:
            return _fill(self.opening + self.single, self._ended(turns[0]), 0)
        parts = [self.opening]
        if system:
            parts.append(_fill(self.system, system, 0))
        number = 0
        for turn in turns:
            parts.append(_fill(self.user if turn.role == "user" else self.assistant, self._ended(turn), number))
            number += turn.role == "assistant"
        return "".join(parts) + self.reply

    def _ended(self, turn: Message) -> str:
        bare = not self.final or turn.role != "user" or _ENDS.search(turn.content)
        return turn.content if bare else turn.content + self.final


def _fill(pattern: str, text: str, number: int) -> str:
    return _FIELD.sub(lambda field: text if field[1] == "text" else str(number), pattern)


class Shaping(Record, frozen=True, kw_only=True):
    """What an endpoint adds to the requests of a plan, because it shapes the answers."""

    sampling: Sampling = Sampling()
    """Decoding defaults; what the run or models.toml says goes before them."""
    generate: dict[str, Any] = {}
    """Joins `extra` of requests that ask for a text."""
    choose: dict[str, Any] = {}
    """Joins `extra` of requests that ask for a choice."""
    described: dict[str, Any] = {}
    """What is kept once in the settings of a run, for example the text of a chat template."""


class Preset(Record, frozen=True, kw_only=True):
    """What is publicly known of how a model is asked."""

    title: str
    group: Literal["paper", "family"]
    kind: Literal["api", "causal", "encoder-decoder"]
    format: Format | None = None
    """None where the chat template of the tokenizer, or of the server, holds."""
    stop: tuple[str, ...] = ()
    """Texts that end a reply, besides the end token."""
    sampling: Sampling = Sampling()
    """Published decoding defaults; no temperature and no top_p is greedy decoding."""
    generation: dict[str, Any] = {}
    """Published settings of `generate` beyond `sampling`, for example `num_beams`; only local weights take them."""
    context: int | None = None
    """Tokens that prompt and reply share; None where the configuration of the weights says it."""
    encoder: int | None = None
    """Tokens that the encoder takes."""
    models: tuple[str, ...] = ()
    """Values of `model_type` in the configuration of such weights."""
    weights: str
    licence: str
    sources: dict[str, str] = {}
    """Fact → where it stands."""
    inferred: tuple[str, ...] = ()
    """Facts that are our conclusion and stand nowhere."""
    not_public: tuple[str, ...] = ()
    note: str = ""

    @property
    def defaults(self) -> Sampling:
        """Decoding defaults with the stop strings."""
        return msgspec.structs.replace(self.sampling, stop=self.stop)


@functools.cache
def presets() -> dict[str, Preset]:
    """Returns all presets by name: the systems of the paper first, then the families."""
    body = resources.files("cvalues").joinpath("data/presets/models.toml").read_bytes()
    return msgspec.toml.decode(body, type=dict[str, Preset])


def preset(name: str) -> Preset:
    """Returns the preset of this name; raises UsageError with the nearest names when there is none."""
    found = presets().get(name)
    if found is None:
        raise unknown_name("preset", name, presets())
    return found
