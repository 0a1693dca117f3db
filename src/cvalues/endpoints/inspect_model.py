"""`inspect:PROVIDER/MODEL`: any provider of Inspect AI as an endpoint (extra `inspect`), for example `inspect:anthropic/claude-…`.

Inspect reads the provider's key from the environment and retries by itself; what it is asked, and what came back, is kept here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

from cvalues.endpoints.base import Answer, Limits, LocalEndpoint
from cvalues.errors import CallError
from cvalues.records import clean
from cvalues.schema import Finish, Request
from cvalues.text import split_reasoning

_FINISH: dict[str, Finish] = {"max_tokens": "length", "model_length": "length", "content_filter": "filter"}
_SENT = ("temperature", "top_p", "top_k", "max_tokens", "seed", "frequency_penalty", "presence_penalty")


class InspectEndpoint(LocalEndpoint):
    """A model behind one of Inspect's providers. Inspect is imported when the first request comes."""

    limits = Limits(max_concurrency=32, attempts=2)

    def __init__(self, name: str, model: str) -> None:
        """Names the model as Inspect does: `provider/model`."""
        super().__init__(name)
        self.model = model
        self._got: Any = None

    async def ask(self, request: Request) -> Answer:
        """Returns the answer; raises CallError with the provider's own words when there is none."""
        from inspect_ai.model import ChatMessageAssistant, ChatMessageSystem, ChatMessageUser, GenerateConfig, get_model

        kinds = {"system": ChatMessageSystem, "user": ChatMessageUser, "assistant": ChatMessageAssistant}
        given = [kinds[message.role](content=message.content) for message in request.messages]
        sampling = request.sampling
        sent = {name: getattr(sampling, name) for name in _SENT if getattr(sampling, name) is not None}
        config = GenerateConfig(**sent, stop_seqs=list(sampling.stop) or None, extra_body=request.extra or None)
        if self._got is None:
            self._got = await _tried(
                asyncio.to_thread(get_model, self.model, memoize=False), "rejected", transient=False
            )
        output = await _tried(self._got.generate(given, config=config), "server_error", transient=True)
        if not output.choices:
            detail = clean(output.error) if output.error else "the provider sent no choice"
            raise CallError("bad_reply", detail, transient=True)
        text, inline = split_reasoning(clean(output.completion))
        usage = output.usage
        return Answer(
            text=text,
            reasoning=clean(_reasoning(output.message.content)) or inline,
            finish=_FINISH.get(output.stop_reason, "stop"),
            tokens_in=usage.input_tokens if usage else None,
            tokens_out=usage.output_tokens if usage else None,
            model=clean(output.model),
        )

    async def close(self) -> None:
        """Closes the provider's connections."""
        if self._got is not None:
            await _tried(self._got.api.aclose(), "connection", transient=False)
            self._got = None


async def _tried(call: Awaitable[Any], kind: str, *, transient: bool) -> Any:
    """Returns what a call of Inspect returns. Every provider has errors of its own; each becomes a CallError of this kind."""
    found: Any = (await asyncio.gather(call, return_exceptions=True))[0]
    if isinstance(found, Exception):
        detail = " ".join(f"{type(found).__name__}: {found}".split())[:300]
        raise CallError(kind, clean(detail), transient=transient) from found
    if isinstance(found, BaseException):
        raise found
    return found


def _reasoning(content: Any) -> str:
    if isinstance(content, str):
        return ""
    return "\n".join(str(part.reasoning) for part in content if getattr(part, "type", "") == "reasoning")
