r"""Reward models as endpoints: a file of `cvalues pairs train`, or a server that scores replies.

They answer the modes `choose` and `score` from the options of a request and never parse its prompt: the option with the higher
score is the answer, equal scores name none. What a server is asked follows from its address:

| address ends in | body | answer |
| --- | --- | --- |
| `/classify` | `{"model": …, "input": [text, …]}` (vLLM) | `{"data": [{"probs": [p, …]}, …]}`: one logit, or log p of the last class |
| `/pooling` | `{"model": …, "input": [text, …]}` (vLLM) | `{"data": [{"data": [x]}, …]}`: the last number |
| anything else | `{"prompt": …, "responses": [text, …]}`, with `"model"` where one is named | `{"scores": [x, …]}` |

The text of the first two is `### 问题：\n{prompt}\n\n### 回答：\n{reply}`, as the published Llama2-7B reward model reads it.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any, Literal

import aiohttp
import msgspec
from yarl import URL

from cvalues.endpoints.base import Answer, Limits, LocalEndpoint, Price
from cvalues.endpoints.http import MAX_BYTES, environment_proxy
from cvalues.endpoints.wire import seconds_of
from cvalues.errors import CallError, ConfigError
from cvalues.pairs.embedded import EmbeddedReward
from cvalues.schema import Mode, Option, Request

MODES: frozenset[Mode] = frozenset({"choose", "score"})
TEXT = "### 问题：\n{prompt}\n\n### 回答：\n{reply}"
Shape = Literal["classify", "pooling", "scores"]


def answer(options: tuple[Option, ...], scores: list[float], model: str) -> Answer:
    """Returns the answer to a request from the score of each of its options: the label of the best, empty for a tie."""
    best = max(scores)
    first = [option.label for option, score in zip(options, scores, strict=True) if score == best]
    labels = [option.label for option in options]
    return Answer(
        text=first[0] if len(first) == 1 else "",
        option_scores=dict(zip(labels, scores, strict=True)),
        model=model,
    )


def _need_options(request: Request, name: str) -> None:
    if not request.options:
        raise CallError("rejected", f"{name} scores replies and cannot write one", transient=False)


class EmbeddedRewardEndpoint(LocalEndpoint):
    """A reward model of `cvalues pairs train`, in this process."""

    modes = MODES
    limits = Limits(max_concurrency=1, attempts=1)

    def __init__(self, name: str, path: Path) -> None:
        """Loads the model; raises DataError when the file is none."""
        self.model = EmbeddedReward.load(path)
        self.fitted = self.model.fitted
        self.cuts = self.model.card.cuts
        super().__init__(name, self.model.revision)

    async def ask(self, request: Request) -> Answer:
        """Returns the better option with the score of each."""
        _need_options(request, self.name)
        scores = self.model.scores([option.text for option in request.options])
        return answer(request.options, [float(score) for score in scores], self.name)


class HttpRewardEndpoint:
    """A server that scores replies (see the module). The key is read from the environment at the first call and never stored."""

    modes = MODES

    def __init__(  # noqa: PLR0913 -- each is one plain fact of a server, and all but two have defaults
        self,
        name: str,
        url: str,
        *,
        model: str = "",
        api_key_env: str = "",
        headers: dict[str, str] | None = None,
        timeout: float = 120.0,
        limits: Limits | None = None,
        price: Price | None = None,
    ) -> None:
        """Describes the server; `model` is what it calls the model, empty where it serves one."""
        if not url.startswith(("http://", "https://")):
            raise ConfigError(f"model '{name}': the address must begin with http:// or https://, not '{url}'")
        self.name = name
        self.revision = ""
        self.url = url
        self.model = model
        self.api_key_env = api_key_env
        self.headers = headers or {}
        self.timeout = timeout
        self.limits = limits or Limits()
        self.price = price
        self._secret = ""
        self._session: aiohttp.ClientSession | None = None

    @property
    def shape(self) -> Shape:
        """How the server is asked, by the end of its address."""
        path = self.url.partition("?")[0].rstrip("/")
        return "classify" if path.endswith("/classify") else "pooling" if path.endswith("/pooling") else "scores"

    def body(self, request: Request) -> bytes:
        """Returns what is sent for a request."""
        named = {"model": self.model} if self.model else {}
        replies = [option.text for option in request.options]
        prompt = request.question
        if self.shape == "scores":
            return msgspec.json.encode({**named, "prompt": prompt, "responses": replies, **request.extra})
        texts = [TEXT.replace("{prompt}", prompt, 1).replace("{reply}", reply, 1) for reply in replies]
        return msgspec.json.encode({**named, "input": texts, **request.extra})

    async def ask(self, request: Request) -> Answer:
        """Returns the better option with the score of each; raises CallError with a named kind when there is no score."""
        _need_options(request, self.name)
        if self._session is None:
            self._session = self._open()
        address = URL(self.url)
        try:
            async with self._session.post(address, data=self.body(request), proxy=environment_proxy(address)) as reply:
                body = await reply.content.read(MAX_BYTES + 1)
                while len(body) <= MAX_BYTES and (more := await reply.content.read(MAX_BYTES)):
                    body += more
                status, wait = reply.status, reply.headers.get("Retry-After")
        except TimeoutError as error:
            raise CallError("timeout", f"no reply within {self.timeout:g} s", transient=True) from error
        except aiohttp.InvalidURL as error:
            raise CallError("rejected", f"'{self.url}' is not an address", transient=False) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            detail = f"{type(error).__name__}: {error}"
            raise CallError("connection", self._hide(detail), transient=True) from error
        if len(body) > MAX_BYTES:
            raise CallError("too_large", f"the reply is larger than {MAX_BYTES >> 20} MiB", transient=False)
        if status != 200:
            raise self._refused(status, body, wait)
        return answer(request.options, self._scores(body, len(request.options)), self.model or self.name)

    def _open(self) -> aiohttp.ClientSession:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        for key, value in self.headers.items():
            headers[key] = os.environ.get(value[1:], "") if value.startswith("$") else value
        if self.api_key_env:
            self._secret = os.environ.get(self.api_key_env, "").strip()
            if not self._secret:
                detail = f"model '{self.name}' reads its key from ${self.api_key_env}, which is not set;  export {self.api_key_env}=…"
                raise CallError("unauthorised", detail, transient=False)
            headers["Authorization"] = f"Bearer {self._secret}"
        timeout = aiohttp.ClientTimeout(total=self.timeout, sock_connect=30.0)
        return aiohttp.ClientSession(headers=headers, timeout=timeout)

    def _hide(self, text: str) -> str:
        return text.replace(self._secret, "***") if self._secret else text

    def _refused(self, status: int, body: bytes, wait: str | None) -> CallError:
        text = " ".join(self._hide(body[:2000].decode("utf-8", "replace")).split())[:300]
        detail = f"HTTP {status}: {text}"
        if status == 429:
            return CallError("rate_limited", detail, transient=True, status=status, retry_after=seconds_of(wait))
        if status in {408, 409, 425} or status >= 500:
            return CallError("server_error", detail, transient=True, status=status, retry_after=seconds_of(wait))
        kind = {401: "unauthorised", 403: "unauthorised", 404: "not_found"}.get(status, "rejected")
        return CallError(kind, detail, transient=False, status=status)

    def _scores(self, body: bytes, count: int) -> list[float]:
        try:
            value = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise CallError("bad_reply", f"the reply is no JSON ({error})", transient=True, status=200) from error
        found = read_scores(value, self.shape)
        if found is None or len(found) != count or not all(math.isfinite(score) for score in found):
            detail = f"the reply does not hold one finite score for each of {count} replies; see docs/pairs.md for the shapes"
            raise CallError("bad_reply", detail, transient=False, status=200)
        return found

    async def close(self) -> None:
        """Closes all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None


def read_scores(value: Any, shape: Shape) -> list[float] | None:
    """Returns the scores of a decoded reply of one of the three shapes; None where it has another form."""
    if not isinstance(value, dict):
        return None
    if shape == "scores":
        found = value.get("scores")
        numbers: list[Any] = found if isinstance(found, list) else [value.get("score")]
        return [float(number) for number in numbers] if all(_is_number(number) for number in numbers) else None
    rows = value.get("data")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        return None
    rows = (
        sorted(rows, key=lambda row: row["index"]) if all(isinstance(row.get("index"), int) for row in rows) else rows
    )
    scores = [_score_of(row.get("probs" if shape == "classify" else "data"), shape) for row in rows]
    return None if any(score is None for score in scores) else [score for score in scores if score is not None]


def _score_of(numbers: Any, shape: Shape) -> float | None:
    while isinstance(numbers, list) and len(numbers) and isinstance(numbers[-1], list):
        numbers = numbers[-1]
    if not isinstance(numbers, list) or not numbers or not all(_is_number(number) for number in numbers):
        return None
    last = float(numbers[-1])
    if shape == "classify" and len(numbers) > 1:
        return math.log(last) if last > 0 else -745.0  # the logarithm of the smallest number above 0
    return last


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
