"""Responses that stand in a file already, as an endpoint: nothing is called, and what is missing is a failed call."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from cvalues.endpoints.base import Answer, Limits, LocalEndpoint
from cvalues.errors import CallError, DataError
from cvalues.records import clean, file_hash, read_lines
from cvalues.schema import Finish, Mode, Request
from cvalues.text import split_reasoning


class _Row(msgspec.Struct):
    """One recorded response. `prompt` is the text that was put to the model; the public evaluation format has just these fields."""

    response: str | None = None
    text: str | None = None
    prompt: str | None = None
    request: str | None = None
    finish: str = "stop"
    reasoning: str = ""
    model: str = ""
    tokens_in: int | None = None
    tokens_out: int | None = None


class RecordedEndpoint(LocalEndpoint):
    """Answers from a JSON Lines file by request id, or by the text of the last message; several rows of one text are its samples."""

    modes: frozenset[Mode] = frozenset({"generate"})
    limits = Limits(max_concurrency=1, attempts=1)

    def __init__(self, name: str, path: Path) -> None:
        """Reads the file.

        Raises:
            DataError: a row has no response, or neither `prompt` nor `request`; the message gives file:line.
        """
        super().__init__(name, file_hash(path))
        self.path = path
        self._by_request: dict[str, Answer] = {}
        self._by_prompt: dict[str, list[Answer]] = {}
        decoder = msgspec.json.Decoder(_Row)
        for number, line in read_lines(path):
            try:
                row = decoder.decode(line)
            except (msgspec.DecodeError, UnicodeEncodeError) as error:
                raise DataError(f"{path}:{number}: {error}") from error
            self._keep(number, row)

    def _keep(self, number: int, row: _Row) -> None:
        body = row.response if row.response is not None else row.text
        if body is None:
            raise DataError(f"{self.path}:{number}: has no 'response'; each row needs what the model wrote")
        if row.request is None and row.prompt is None:
            raise DataError(
                f"{self.path}:{number}: has neither 'prompt' nor 'request'; one of them says what was asked"
            )
        text, inline = split_reasoning(body)
        answer = Answer(
            text=clean(text),
            reasoning=clean(row.reasoning or inline),
            finish=_finish(row.finish),
            model=clean(row.model),
            tokens_in=row.tokens_in,
            tokens_out=row.tokens_out,
        )
        if row.request is not None:
            self._by_request[row.request] = answer
        if row.prompt is not None:
            self._by_prompt.setdefault(row.prompt, []).append(answer)

    async def ask(self, request: Request) -> Answer:
        """Returns the recorded answer; raises CallError `missing` when the file holds none for this request."""
        found = self._by_request.get(request.id)
        if found is not None:
            return found
        samples = self._by_prompt.get(request.messages[-1].content, [])
        if request.sample < len(samples):
            return samples[request.sample]
        start = request.messages[-1].content[:40].replace("\n", " ")
        raise CallError(
            "missing", f"{self.path} holds no response to «{start}…» (sample {request.sample})", transient=False
        )


def _finish(value: Any) -> Finish:
    known: dict[str, Finish] = {
        "length": "length",
        "max_tokens": "length",
        "filter": "filter",
        "content_filter": "filter",
    }
    return known.get(str(value), "stop")
