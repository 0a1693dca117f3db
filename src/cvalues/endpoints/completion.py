"""`completion:NAME@URL`: servers that continue a raw prompt (`/v1/completions`), for models whose format no chat server knows.

The prompt is made here, by the format of a preset; its hash joins each request. In mode `choose` one token is asked for with its
likeliest alternatives, and the labels are read from them.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from cvalues.endpoints import wire
from cvalues.endpoints.base import Answer, Limits, Price
from cvalues.endpoints.http import HttpEndpoint
from cvalues.endpoints.presets import Format, Preset, Shaping, preset
from cvalues.errors import CallError, UsageError
from cvalues.schema import Request

_FORMAT = "format"
_ALTERNATIVES = 20


class _LogProbs(msgspec.Struct):
    tokens: list[str] = []
    token_logprobs: list[float | None] = []
    top_logprobs: list[dict[str, float] | None] | None = None


class _Choice(msgspec.Struct):
    text: str = ""
    finish_reason: str | None = None
    logprobs: _LogProbs | None = None


class _Body(msgspec.Struct):
    choices: list[_Choice] = []
    model: str | None = None
    usage: dict[str, Any] | None = None


class CompletionEndpoint(HttpEndpoint):
    """A server that continues the prompt text it is given."""

    def __init__(  # noqa: PLR0913 -- each is one plain fact of a server, and all but two have defaults
        self,
        name: str,
        base_url: str,
        *,
        preset_name: str = "plain",
        model: str | None = None,
        api_key_env: str = "",
        headers: dict[str, str] | None = None,
        timeout: float = 120.0,
        limits: Limits | None = None,
        price: Price | None = None,
    ) -> None:
        """Describes the server; `preset_name` names the prompt format.

        Raises:
            UsageError: the preset does not exist, or has no format of its own.
        """
        super().__init__(
            name,
            base_url,
            model=model,
            api_key_env=api_key_env,
            headers=headers,
            timeout=timeout,
            limits=limits,
            price=price,
            path="/completions",
        )
        self.preset: Preset = preset(preset_name)
        if self.preset.format is None:
            raise UsageError(
                f"preset '{preset_name}' has no prompt format: its chat template comes with its tokenizer; serve it behind "
                "chat completions and name it openai:NAME@URL"
            )
        self._format: Format = self.preset.format
        own = {_FORMAT: self.preset.format.id}
        described = {"preset": preset_name, "format": msgspec.to_builtins(self.preset.format)}
        self.shaping = Shaping(sampling=self.preset.defaults, generate=own, choose=own, described=described)

    def prompt(self, request: Request) -> str:
        """Returns the raw prompt of a request; raises CallError for messages that the format cannot hold."""
        try:
            return self._format.render(request.messages)
        except UsageError as error:
            raise CallError("rejected", str(error), transient=False) from error

    def body(self, request: Request) -> bytes:
        """Returns the JSON body of a call."""
        body: dict[str, Any] = {"model": self.model, "prompt": self.prompt(request)}
        body.update(msgspec.to_builtins(request.sampling))
        if request.mode == "choose":
            body.update({"max_tokens": 1, "logprobs": _ALTERNATIVES})
        if request.response_format is not None:
            body["response_format"] = request.response_format
        body.update({key: value for key, value in request.extra.items() if key != _FORMAT})
        return msgspec.json.encode(body)

    def parse(self, body: bytes, request: Request) -> Answer:
        """Returns the answer in a 200 body; raises CallError as `wire.parse_answer` does."""
        answer = wire.parse_answer(as_chat(body), request)
        answer = msgspec.structs.replace(answer, text=answer.text.strip())
        return answer if answer.raw is None else msgspec.structs.replace(answer, raw=body)


def as_chat(body: bytes) -> bytes:
    """Returns a completion's body in the shape of a chat completion; what is no completion stays as it is."""
    try:
        found = json.loads(body)
        parsed = msgspec.convert(found, _Body, strict=False)
    except (ValueError, RecursionError, msgspec.ValidationError):
        return body
    if not parsed.choices:
        return body
    choice = parsed.choices[0]
    chat: dict[str, Any] = {"message": {"content": choice.text}, "finish_reason": choice.finish_reason}
    if choice.logprobs is not None:
        chat["logprobs"] = {"content": _tokens(choice.logprobs)}
    return json.dumps({"choices": [chat], "model": parsed.model, "usage": parsed.usage}).encode()


def _tokens(found: _LogProbs) -> list[dict[str, Any]]:
    """The tokens of a completion with their alternatives, as chat completions give them."""
    tokens = []
    for place, (token, logprob) in enumerate(zip(found.tokens, found.token_logprobs, strict=False)):
        near = found.top_logprobs[place] if found.top_logprobs and place < len(found.top_logprobs) else None
        top = [{"token": name, "logprob": value} for name, value in (near or {}).items()]
        tokens.append({"token": token, "logprob": logprob or 0.0, "top_logprobs": top})
    return tokens
