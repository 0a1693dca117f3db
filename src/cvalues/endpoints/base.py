"""What every endpoint offers the runner: one coroutine from a request to an answer, and its limits."""

from __future__ import annotations

from typing import Protocol

from cvalues.schema import Finish, Mode, Record, Request


class Answer(Record, frozen=True, kw_only=True):
    """What an endpoint returned for one request."""

    text: str
    reasoning: str = ""
    finish: Finish = "stop"
    option_scores: dict[str, float] = {}
    tokens_in: int | None = None
    tokens_out: int | None = None
    model: str = ""
    """The model name that the server reported."""
    raw: bytes | None = None
    """The body as received, only where its text had to be cleaned to be stored."""


class Price(Record, frozen=True, kw_only=True):
    """What a million tokens cost, in any one currency."""

    input: float = 0.0
    output: float = 0.0
    currency: str = ""

    def cost(self, tokens_in: int, tokens_out: int) -> float:
        """Returns the cost of so many tokens in `currency`."""
        return (tokens_in * self.input + tokens_out * self.output) / 1_000_000


class Limits(Record, frozen=True, kw_only=True):
    """How hard an endpoint may be driven."""

    max_concurrency: int = 256
    """Most calls in flight; the runner adapts below it."""
    start: int | None = None
    """Calls in flight at the beginning; None lets the runner feel its way. An endpoint that makes batches wants them all at once."""
    rpm: float | None = None
    """Most calls started per minute; None is no limit."""
    attempts: int = 5
    """Most tries of one request."""
    patience: float = 600.0
    """Seconds after the first try beyond which a request is not tried again."""


class Endpoint(Protocol):
    """Something that answers requests. Implement `ask`; the runner does everything else."""

    name: str
    """The model's name in requests and reports; two servers that differ need two names."""
    modes: frozenset[Mode]
    limits: Limits
    price: Price | None
    revision: str
    """What identifies the weights or the recording; part of every request."""

    async def ask(self, request: Request) -> Answer:
        """Returns the answer; raises CallError when there is none."""
        ...

    async def close(self) -> None:
        """Frees connections."""
        ...


class LocalEndpoint:
    """Base of endpoints that answer in this process; they need no limits and no closing."""

    modes: frozenset[Mode] = frozenset({"generate"})
    limits = Limits(max_concurrency=8, attempts=1)
    price: Price | None = None

    def __init__(self, name: str, revision: str = "") -> None:
        """Names the endpoint and what identifies its content."""
        self.name = name
        self.revision = revision

    async def close(self) -> None:
        """Has nothing to free."""
