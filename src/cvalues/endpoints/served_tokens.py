"""How many tokens a prompt has, counted by the server that will answer it: `/tokenize` of vLLM, which SGLang has too."""

from __future__ import annotations

import msgspec

from cvalues.endpoints.completion import CompletionEndpoint
from cvalues.endpoints.http import HttpEndpoint
from cvalues.errors import CallError
from cvalues.schema import Request

SECONDS = 5.0
"""How long the server may take; then there is no count."""


class _Counted(msgspec.Struct):
    count: int


async def served_tokens(endpoint: HttpEndpoint, request: Request) -> int | None:
    """Returns the tokens of a prompt as its server counts them, chat template included; None where the server does not count.

    The address is `/tokenize` beside the `/v1` of the endpoint; an address without `/v1` is not asked.
    """
    root, found, _ = endpoint.url.rpartition("/v1/")
    if not found:
        return None
    asked: dict[str, object] = {"model": endpoint.model}
    if isinstance(endpoint, CompletionEndpoint):
        asked["prompt"] = endpoint.prompt(request)
    else:
        asked["messages"] = [{"role": message.role, "content": message.content} for message in request.messages]
    try:
        async with endpoint.session(seconds=SECONDS) as session:
            body = await endpoint.raw(session, "POST", f"{root}/tokenize", data=msgspec.json.encode(asked))
        counted = msgspec.json.decode(body, type=_Counted).count
    except (CallError, msgspec.DecodeError):
        return None
    return counted if counted >= 0 else None
