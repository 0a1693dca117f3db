"""The nouns of CValues: frozen, keyword-only records that reject unknown fields and have one JSON form each.

Field documentation stands under the field. Fields that hold their default are left out of the JSON, so a new optional field
changes no identity.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from cvalues.frames import Estimated, Shown, cells
from cvalues.records import clean, content_hash

Grade = Literal["unsafe", "safe", "responsible"]
Outcome = Literal["1", "2", "other", "refused", "blocked", "truncated", "unreadable"]
Mode = Literal["generate", "choose", "score"]
Finish = Literal["stop", "length", "filter"]
Order = Literal["12", "21", ""]

GRADES: tuple[Grade, ...] = ("unsafe", "safe", "responsible")
OUTCOMES: tuple[Outcome, ...] = ("1", "2", "other", "refused", "blocked", "truncated", "unreadable")


class Record(msgspec.Struct, Shown, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base of all nouns; notebooks show each as a table (`frames`)."""


class Prompt(Record, frozen=True, kw_only=True):
    """Something that a person may ask a model."""

    id: str
    text: str
    level: Literal[1, 2]
    """The level of the collection it comes from: 1 for a safety scenario, 2 for a responsibility domain."""
    category: str
    """Code of a scenario or domain of the taxonomy."""
    language: str = "zh"
    source: str = ""
    licence: str = ""
    parent: str | None = None
    """Id of the prompt that it was derived from."""
    twin: str | None = None
    """Id of its benign twin: the same alarming words with a harmless intent."""
    benign: bool = False
    """True for a benign twin: refusing it is the fault."""
    difficulty: str = ""
    split: str = ""
    """`train`, `dev`, `heldout`, or empty where a set has no splits."""
    trap: str = ""
    """What lures a model into the fault, in a few words."""
    author: str = ""
    """Batch id of the author, never a person's name."""
    note: str = ""
    """Source of the facts that a good reply rests on."""
    tags: dict[str, str] = {}


class Reply(Record, frozen=True, kw_only=True):
    """One of the two replies that a choice offers."""

    text: str
    grade: Grade | None = None
    """None where the set does not say (the public multiple-choice file grades no reply)."""


class Choice(Record, frozen=True, kw_only=True):
    """A two-choice item: which of two replies to a question is better."""

    id: str
    prompt_id: str
    question: str
    replies: tuple[Reply, Reply]
    """In the order shown: reply 1, reply 2."""
    better: Literal[1, 2]
    pair_id: str
    """Shared by the two orders of one pair; the unit of resampling."""
    level: Literal[1, 2]
    """The level of the question: safe/unsafe is 1, a pair with a responsible reply is 2."""
    category: str
    collection: Literal[1, 2] | None = None
    """The level of the prompt's collection, where known; tables cross it with `level`."""
    difficulty: str = ""
    """`easy`, `hard` or empty."""
    language: str = "zh"
    split: str = ""
    source: str = ""
    tags: dict[str, str] = {}

    def frame_rows(self) -> list[dict[str, Any]]:
        """Returns one row in which each reply has columns of its own."""
        row = cells(self)
        del row["replies"]
        for number, reply in enumerate(self.replies, 1):
            row |= {f"reply_{number}": reply.text, f"grade_{number}": reply.grade}
        return [row]


class Message(Record, frozen=True, kw_only=True):
    """One message put to a model."""

    role: Literal["system", "user", "assistant"]
    content: str


class Option(Record, frozen=True, kw_only=True):
    """One answer that an endpoint in mode `choose` or `score` may give."""

    label: str
    """What the template calls it, for example `回复1` or `A`."""
    text: str


class Ask(Record, frozen=True, kw_only=True):
    """What is put to a model and why. It names no model."""

    subject: str
    """Id of the prompt or choice."""
    messages: tuple[Message, ...]
    template: str
    """`name@hash` of the template that made the messages."""
    order: Order = ""
    """`12` when a pair is shown with its better reply first, `21` when second, empty for a prompt."""
    question: str = ""
    options: tuple[Option, ...] = ()
    """Where an answer is chosen rather than written."""
    prompt_id: str = ""
    sample: int = 0
    """Number of the sample, from 0."""


class Sampling(Record, frozen=True, kw_only=True):
    """Decoding settings that are sent; what is None is not sent and the server's default holds."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    max_tokens: int | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    repetition_penalty: float | None = None

    def __post_init__(self) -> None:
        """Makes 1 and 1.0 one setting with one identity."""
        for name in ("temperature", "top_p", "frequency_penalty", "presence_penalty", "repetition_penalty"):
            if isinstance(getattr(self, name), int):
                msgspec.structs.force_setattr(self, name, float(getattr(self, name)))


class Request(Record, frozen=True, kw_only=True):
    """Exactly what is sent to one model; its `id` is the hash of exactly these fields. Address and key are no part of it."""

    mode: Mode
    model: str
    messages: tuple[Message, ...]
    revision: str = ""
    question: str = ""
    options: tuple[Option, ...] = ()
    """Only in the modes `choose` and `score`."""
    sampling: Sampling = Sampling()
    response_format: dict[str, Any] | None = None
    extra: dict[str, Any] = {}
    """Vendor fields, for example `enable_thinking`."""
    sample: int = 0

    @property
    def id(self) -> str:
        """Content hash of all fields."""
        return content_hash(self)


class Response(Record, frozen=True, kw_only=True):
    """Real text from a model or a person. A failed call is an Attempt, never a Response."""

    id: str
    origin: str
    """`request:<id>`, `data:<set>#<row>` or `person:<pseudonym>`."""
    text: str
    """The answer, with its reasoning taken out; NUL and lone surrogates replaced by U+FFFD."""
    prompt_id: str = ""
    reasoning: str = ""
    finish: Finish = "stop"
    option_scores: dict[str, float] = {}
    """Score of each option label in the modes `choose` and `score`; log-probability or any increasing score."""
    tokens_in: int | None = None
    tokens_out: int | None = None
    seconds: float | None = None
    time: str = ""
    model: str = ""
    """The model name that the server reported."""


class Attempt(Record, frozen=True, kw_only=True):
    """One failed call: why, when, and whether it was the last try."""

    request: str
    kind: str
    """Stable short name of the failure, see `errors.CallError`."""
    detail: str
    time: str
    status: int = 0
    seconds: float = 0.0
    final: bool = False
    """True when the runner gave up on the request with this attempt."""
    number: int = 1


class Verdict(Record, frozen=True, kw_only=True):
    """What a rule, a judge or a person says of one response, or of several in the order shown."""

    criterion: str
    """A name of `data/criteria.toml`; verdicts of different criteria are never aggregated together."""
    subject: tuple[str, ...]
    """Response ids."""
    rater: str
    """`rule:choice-zh@1`, `judge:<model>@<rubric>` or `person:<pseudonym>`."""
    value: str | float | None = None
    status: Literal["ok", "no_verdict"] = "ok"
    reason: str = ""
    run: str = ""
    time: str = ""
    supersedes: str | None = None

    @property
    def id(self) -> str:
        """Content hash of all fields but `time`, so that reading again with the same rule adds nothing."""
        return content_hash(msgspec.structs.replace(self, time=""))


class Audit(Record, frozen=True, kw_only=True):
    """Something that was done and that a reader of results must know."""

    verb: str
    """For example `export-heldout`."""
    object: str
    """What it was done to, for example a set's name."""
    detail: dict[str, Any] = {}
    time: str

    @property
    def id(self) -> str:
        """Content hash of all fields."""
        return content_hash(self)


class SetRef(Record, frozen=True, kw_only=True):
    """A set that a run asked: its name, the hash of its items, and how many there were."""

    name: str
    hash: str
    items: int


class Run(Record, frozen=True, kw_only=True):
    """One measurement: what was asked of whom, with which instrument, and how far it came."""

    name: str
    sets: tuple[SetRef, ...]
    models: tuple[str, ...]
    kind: Literal["choice", "response", "judge"] = "choice"
    """What was asked: two-choice items, prompts, or judges about responses."""
    settings: dict[str, Any] = {}
    """Template, sampling, filter, limit: everything that a second run needs to ask the same."""
    versions: dict[str, str] = {}
    """`cvalues`, `reader`, `template` and the like."""
    start: str = ""
    end: str = ""
    state: Literal["running", "done", "stopped", "failed"] = "running"


class Estimate(Record, Estimated, frozen=True, kw_only=True):
    """A number with its uncertainty. `value` None means no data; it is never 0 or NaN in that place."""

    value: float | None
    low: float | None = None
    high: float | None = None
    confidence: float = 0.95
    method: str = ""
    n: int = 0
    """Number of observations."""
    clusters: int = 0
    """Number of independent units."""
    unit: str = ""
    """What was resampled, for example `pair`."""


NO_DATA = Estimate(value=None)
"""The estimate of nothing."""

Cell = str | int | float | bool | Estimate | None


class Table(Record, frozen=True, kw_only=True):
    """A table of a report: what every reader (HTML, Markdown, CSV, JSON) renders."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()

    def frame_rows(self) -> list[dict[str, Any]]:
        """Returns its rows; a column whose name occurs again gets a number."""
        names: list[str] = []
        for column in self.columns:
            number = 1
            name = column
            while name in names:
                number += 1
                name = f"{column} {number}"
            names.append(name)
        return [dict(zip(names, row, strict=True)) for row in self.rows]

    def frame_title(self, language: str) -> str:  # noqa: ARG002 - a table is in one language
        """Returns its title."""
        return self.title

    def frame_notes(self, language: str) -> tuple[str, ...]:  # noqa: ARG002 - a table is in one language
        """Returns its notes."""
        return self.notes


def response_id(origin: str) -> str:
    """Returns the id of the response with this origin; one origin has one response."""
    return content_hash(origin)


def scrub(record: dict[str, Any]) -> dict[str, Any]:
    """Returns a copy of a plain JSON object in which every string can be stored (see `records.clean`)."""

    def walk(value: Any) -> Any:
        match value:
            case str():
                return clean(value)
            case dict():
                return {clean(str(key)): walk(item) for key, item in value.items()}
            case list() | tuple():
                return [walk(item) for item in value]
            case _:
                return value

    cleaned: dict[str, Any] = walk(record)
    return cleaned
