"""The OpenAI-compatible wire format: request bodies out, answers and named errors in. Pure; no connection."""

from __future__ import annotations

import json
import math
import time
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from cvalues.endpoints.base import Answer
from cvalues.errors import CallError
from cvalues.records import clean
from cvalues.schema import Finish, Request
from cvalues.text import split_reasoning

BLOCK_CODES = frozenset(
    {
        "content_filter",  # OpenAI, Azure, Moonshot
        "content_policy_violation",  # OpenAI
        "data_inspection_failed",  # DashScope, OpenAI mode
        "datainspectionfailed",  # DashScope, native
        "1301",  # Zhipu: unsafe or sensitive content
        "sensitive",  # Zhipu, Hunyuan
        "sensitivecontentdetected",  # Volcengine Ark
        "inputtextsensitivecontentdetected",  # Volcengine Ark
        "outputtextsensitivecontentdetected",  # Volcengine Ark
        "content_risk",  # DeepSeek
        "risk_control",  # several gateways
        "336104",  # Qianfan
        "1026",  # MiniMax: input
        "1027",  # MiniMax: output
    }
)
"""Error codes and finish reasons by which providers say that their filter blocked the text."""

_BLOCK_WORDS = ("content exists risk", "inappropriate content", "敏感", "不安全或敏感", "content management policy")
_CONTEXT_CODES = frozenset({"context_length_exceeded", "string_above_max_length"})
_CONTEXT_WORDS = (
    "maximum context length",
    "context length is only",
    "longer than the model's context",
    "input is too long",
)
_QUOTA_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached", "arrearage", "quota_exceeded"})
_FINISH: dict[str, Finish] = {
    "length": "length",
    "max_tokens": "length",
    "content_filter": "filter",
    "sensitive": "filter",
}
_DETAIL = 300


class _Message(msgspec.Struct):
    content: str | list[dict[str, Any]] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None


class _TopToken(msgspec.Struct):
    token: str
    logprob: float


class _Token(msgspec.Struct):
    token: str
    logprob: float
    top_logprobs: list[_TopToken] = []


class _LogProbs(msgspec.Struct):
    content: list[_Token] | None = None


class _Choice(msgspec.Struct):
    message: _Message
    finish_reason: str | None = None
    logprobs: _LogProbs | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Body(msgspec.Struct):
    choices: list[_Choice] = []
    model: str | None = None
    usage: _Usage | None = None
    error: Any = None


_DECODER = msgspec.json.Decoder(_Body)


def request_body(request: Request, model: str) -> bytes:
    """Returns the JSON body of a chat-completion call; `model` is the name that the server knows."""
    body: dict[str, Any] = {
        "model": model,
        "messages": [{"role": message.role, "content": message.content} for message in request.messages],
    }
    sampling = msgspec.to_builtins(request.sampling)
    body.update(sampling)
    if request.mode == "choose":
        # One token is enough: the answer is read from the log-probabilities of the option labels.
        body.update({"max_tokens": 1, "logprobs": True, "top_logprobs": 20})
    if request.response_format is not None:
        body["response_format"] = request.response_format
    body.update(request.extra)
    return msgspec.json.encode(body)


def parse_answer(body: bytes, request: Request) -> Answer:
    """Returns the answer in a 200 body.

    Raises:
        CallError: `bad_reply` when it is no JSON, holds no choice, or names an error that is not a content block.
    """
    raw: bytes | None = None
    try:
        parsed = _DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        parsed, raw = _parse_leniently(body), body
    if parsed.error and not parsed.choices:
        return _error_answer(parsed.error, 200)
    if not parsed.choices:
        raise CallError("bad_reply", "the reply holds an empty list of choices", transient=True, status=200)
    choice = parsed.choices[0]
    message = choice.message
    text, inline = split_reasoning(_text(message))
    reasoning = message.reasoning_content or message.reasoning or inline
    if not text and message.refusal:
        text = message.refusal
    stored = clean(text)
    scores = _option_scores(choice, request) if request.mode == "choose" else {}
    reason = (choice.finish_reason or "stop").lower()
    usage = parsed.usage
    return Answer(
        text=stored,
        reasoning=clean(reasoning),
        finish="filter" if reason in BLOCK_CODES else _FINISH.get(reason, "stop"),
        option_scores=scores,
        tokens_in=usage.prompt_tokens if usage else None,
        tokens_out=usage.completion_tokens if usage else None,
        model=clean(parsed.model or ""),
        raw=raw if raw is not None or stored == text else body,
    )


def _parse_leniently(body: bytes) -> _Body:
    """Reads what the strict parser refuses: lone surrogates, invalid UTF-8, fields of odd types."""
    try:
        return msgspec.convert(json.loads(body.decode("utf-8", "replace")), _Body, strict=False)
    except (ValueError, RecursionError, msgspec.ValidationError) as error:
        detail = f"the reply is not a chat completion ({_shorten(str(error))})"
        raise CallError("bad_reply", detail, transient=True, status=200) from error


def _text(message: _Message) -> str:
    if isinstance(message.content, list):
        return "".join(str(part.get("text", "")) for part in message.content if part.get("type", "text") == "text")
    return message.content or ""


def _option_scores(choice: _Choice, request: Request) -> dict[str, float]:
    """Returns the log-probability of each option label as the first token that is not blank, summed over spellings.

    Raises:
        CallError: `rejected` when the server gave no log-probabilities.
    """
    tokens = choice.logprobs.content if choice.logprobs else None
    if not tokens:
        raise CallError(
            "rejected", "the server returns no log-probabilities; ask with --mode generate", transient=False, status=200
        )
    found: dict[str, list[float]] = {}
    first = next((token for token in tokens if token.token.strip()), tokens[0])
    labels = {option.label.casefold(): option.label for option in request.options}
    for top in first.top_logprobs or [_TopToken(first.token, first.logprob)]:
        label = labels.get(top.token.strip().casefold())
        if label is not None:
            found.setdefault(label, []).append(top.logprob)
    return {label: _log_sum(values) for label, values in found.items()}


def _log_sum(values: list[float]) -> float:
    top = max(values)
    return top + math.log(sum(math.exp(value - top) for value in values))


def error_answer(status: int, body: bytes, retry_after: str | None, secret: str) -> Answer:
    """Returns an answer without text for what the provider's filter blocked (`filter`) or what its context cannot hold (`length`).

    Anything else raises CallError.

    Args:
        status: HTTP status, not 200.
        body: the error's body.
        retry_after: the Retry-After header.
        secret: the key, taken out of every message.
    """
    try:
        parsed: Any = json.loads(body.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        parsed = body.decode("utf-8", "replace")
    return _error_answer(parsed, status, wait=seconds_of(retry_after), secret=secret)


def _error_answer(parsed: Any, status: int, *, wait: float | None = None, secret: str = "") -> Answer:
    inner = parsed.get("error", parsed) if isinstance(parsed, dict) else parsed
    fields = inner if isinstance(inner, dict) else {}
    code = str(fields.get("code") or fields.get("type") or "").lower()
    kind = str(fields.get("type") or "").lower()
    message = str(fields.get("message") or inner or "no message")
    if secret:
        message = message.replace(secret, "***")
    if status < 500 and ({code, kind} & BLOCK_CODES or any(word in message.lower() for word in _BLOCK_WORDS)):
        return Answer(text="", finish="filter")
    if status in {400, 413, 422} and _beyond_context(code, kind, message):
        return Answer(text="", finish="length")
    detail = f"HTTP {status}: {_shorten(clean(message))}"
    if status == 429 and code not in _QUOTA_CODES and kind not in _QUOTA_CODES:
        raise CallError("rate_limited", detail, transient=True, status=status, retry_after=wait)
    if status in {408, 409, 425} or status >= 500:
        raise CallError("server_error", detail, transient=True, status=status, retry_after=wait)
    if status == 200:
        raise CallError("bad_reply", detail, transient=True, status=status)
    name = {401: "unauthorised", 403: "unauthorised", 404: "not_found"}.get(status, "rejected")
    raise CallError(name, detail, transient=False, status=status)


def _beyond_context(code: str, kind: str, message: str) -> bool:
    """Whether a server refuses a prompt as longer than its context: the item is `truncated`, and asking again would not help."""
    return bool({code, kind} & _CONTEXT_CODES) or any(words in message.lower() for words in _CONTEXT_WORDS)


def seconds_of(header: str | None) -> float | None:
    """Returns the seconds that a Retry-After header asks for (a number or a date), at most an hour; else None."""
    if not header:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            wanted = parsedate_to_datetime(header)
            seconds = wanted.timestamp() - time.time()
        except (ValueError, TypeError):
            return None
    return min(max(seconds, 0.0), 3600.0) if math.isfinite(seconds) else None


def _shorten(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _DETAIL else flat[:_DETAIL] + "…"
