"""The server asks the models of a campaign what a person wrote; a browser never supplies a reply.

An asker is any callable from a prompt to `Replies`; `asker` makes one from model names, tests and demos bring their own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from cvalues.endpoints.base import Answer, Endpoint
from cvalues.endpoints.resolve import Model, ModelEntry, build, resolve
from cvalues.errors import CallError
from cvalues.records import clean, now
from cvalues.schema import Attempt, Message, Request, Response, Sampling, response_id

_TRIES = 3
_PAUSES = (0.5, 2.0)


class Replied(NamedTuple):
    """One reply of one model, with exactly what it was asked."""

    model: str
    request: Request
    response: Response


class Replies(NamedTuple):
    """What came of asking: replies, and calls that failed for good with what they were."""

    found: tuple[Replied, ...]
    failed: tuple[tuple[Request, Attempt], ...] = ()


Asker = Callable[[str], Replies]


def asker(models: Sequence[str], entries: Mapping[str, ModelEntry], *, samples: int = 1, seed: int = 0) -> Asker:
    """Returns an asker of these models; each call opens and closes its own connections, so it works in any thread.

    Args:
        models: names of models.toml or `KIND:REST`, as `-m` takes them.
        entries: what `load_models` returned.
        samples: replies of each model.
        seed: sent to servers that take one, with the number of the sample added.

    Raises:
        UsageError: a model does not exist.
    """
    resolved = [resolve(spec, dict(entries)) for spec in models]
    for model in resolved:
        build(model)

    def ask(prompt: str) -> Replies:
        return asyncio.run(_ask_all(prompt, resolved, samples, seed))

    return ask


async def _ask_all(prompt: str, models: Sequence[Model], samples: int, seed: int) -> Replies:
    endpoints = [(model, build(model)) for model in models]
    try:
        calls = [
            _ask(endpoint, request_of(prompt, model, endpoint, sample, seed))
            for model, endpoint in endpoints
            for sample in range(samples)
        ]
        done = await asyncio.gather(*calls)
    finally:
        for _, endpoint in endpoints:
            await endpoint.close()
    return Replies(
        tuple(entry for entry in done if isinstance(entry, Replied)),
        tuple(entry for entry in done if not isinstance(entry, Replied)),
    )


def request_of(prompt: str, model: Model, endpoint: Endpoint, sample: int, seed: int) -> Request:
    """Returns the request that puts a prompt to a model."""
    entry = model.entry
    messages = [Message(role="system", content=entry.system)] if entry.system else []
    is_http = hasattr(endpoint, "url")
    sampling = entry.sampling if is_http else Sampling()
    return Request(
        mode="generate", model=endpoint.name, revision=endpoint.revision, messages=(*messages, Message(role="user", content=prompt)),
        sampling=sampling, extra=entry.params if is_http else {}, sample=sample if not seed else seed * 1000 + sample,
    )  # fmt: skip


async def _ask(endpoint: Endpoint, request: Request) -> Replied | tuple[Request, Attempt]:
    for trial in range(_TRIES):
        try:
            answer = await endpoint.ask(request)
        except CallError as error:
            if not error.transient or trial == _TRIES - 1:
                attempt = Attempt(
                    request=request.id, kind=error.kind, detail=clean(error.detail)[:1000], time=now(), status=error.status,
                    final=True, number=trial + 1,
                )  # fmt: skip
                return request, attempt
            await asyncio.sleep(_PAUSES[trial])
        else:
            return Replied(endpoint.name, request, _response(request, answer))
    raise RuntimeError("unreachable")


def _response(request: Request, answer: Answer) -> Response:
    origin = f"request:{request.id}"
    return Response(
        id=response_id(origin), origin=origin, text=answer.text, reasoning=answer.reasoning, finish=answer.finish,
        tokens_in=answer.tokens_in, tokens_out=answer.tokens_out, time=now(), model=answer.model,
    )  # fmt: skip
