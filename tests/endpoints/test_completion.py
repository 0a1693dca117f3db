"""Tests of servers that continue raw prompts, and of guided choice, against a server on 127.0.0.1."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from cvalues.choice.read import read_response
from cvalues.datasets import load
from cvalues.endpoints.base import Answer
from cvalues.endpoints.completion import CompletionEndpoint, as_chat
from cvalues.endpoints.resolve import ModelEntry, build, resolve
from cvalues.errors import CallError, UsageError
from cvalues.schema import Choice, Message, Option, Request, Response, Sampling
from cvalues.study import Study
from cvalues.workflows.plan import RunOptions, make_plan
from cvalues.workflows.results import outcomes_of
from cvalues.workflows.run import execute
from server import ChatServer, failure


def completed(text: str, finish: str = "stop", **choice: Any) -> dict[str, Any]:
    """A completion body."""
    usage = {"prompt_tokens": 7, "completion_tokens": 3}
    return {
        "object": "text_completion",
        "model": "served",
        "choices": [{"text": text, "finish_reason": finish, **choice}],
        "usage": usage,
    }


def ask(endpoint: CompletionEndpoint, request: Request) -> Answer:
    """One answer."""

    async def go() -> Answer:
        try:
            return await endpoint.ask(request)
        finally:
            await endpoint.close()

    return asyncio.run(go())


def request(endpoint: CompletionEndpoint, mode: Any = "generate", **more: Any) -> Request:
    """A request to an endpoint."""
    options = (Option(label="A", text="一"), Option(label="B", text="二")) if mode == "choose" else ()
    shaped = endpoint.shaping.choose if mode == "choose" else endpoint.shaping.generate
    return Request(
        mode=mode, model=endpoint.name, messages=(Message(role="user", content="你好"),), options=options,
        **{"sampling": Sampling(max_tokens=9, stop=("<eom>",)), "extra": {**shaped, "best_of": 1}, **more},
    )  # fmt: skip


def test_the_raw_prompt_is_sent() -> None:
    """The preset's prompt, sampling and vendor fields go to /v1/completions; the format's hash stays here."""
    with ChatServer(lambda _body, _n: completed(" 你好！ ", "length"), path="/v1/completions") as server:
        endpoint = CompletionEndpoint("m", server.url, preset_name="moss", model="served-moss")
        answer = ask(endpoint, request(endpoint))
    body = server.bodies[0]
    assert body["prompt"].endswith("<|Human|>: 你好<eoh>\n<|MOSS|>:")
    assert body == {"model": "served-moss", "prompt": body["prompt"], "max_tokens": 9, "stop": ["<eom>"], "best_of": 1}
    assert (answer.text, answer.finish, answer.tokens_in, answer.tokens_out, answer.model) == (
        "你好！",
        "length",
        7,
        3,
        "served",
    )


def test_labels_by_log_probability() -> None:
    """In mode choose one token is asked for, and the labels are read from its alternatives."""
    logprobs = {"tokens": [" A"], "token_logprobs": [-0.3], "top_logprobs": [{" A": -0.3, "B": -1.5, "the": -2.0}]}
    with ChatServer(lambda _body, _n: completed(" A", logprobs=logprobs), path="/v1/completions") as server:
        endpoint = CompletionEndpoint("m", server.url)
        answer = ask(endpoint, request(endpoint, "choose"))
    assert server.bodies[0]["max_tokens"] == 1
    assert server.bodies[0]["logprobs"] == 20
    assert answer.option_scores == {"A": -0.3, "B": -1.5}


def test_servers_without_log_probabilities_fail_the_call() -> None:
    """A server that returns none is refused with what to do."""
    with ChatServer(lambda _body, _n: completed("A"), path="/v1/completions") as server:
        endpoint = CompletionEndpoint("m", server.url)
        with pytest.raises(CallError, match="returns no log-probabilities"):
            ask(endpoint, request(endpoint, "choose"))


@pytest.mark.parametrize(
    "body", [b"[", b"{}", b'{"choices": []}', b'{"choices": [{"text": 5}]}', b'{"choices": {"a": 1}}', b"\xff\xfe"]
)
def test_replies_that_are_none(body: bytes) -> None:
    """What is no completion is a bad reply that may be tried again, never an answer."""
    with ChatServer(lambda _body, _n: body, path="/v1/completions") as server:
        endpoint = CompletionEndpoint("m", server.url)
        with pytest.raises(CallError) as caught:
            ask(endpoint, request(endpoint))
    assert caught.value.kind == "bad_reply"


def test_what_had_to_be_cleaned_is_kept_as_received() -> None:
    """NUL and lone surrogates become U+FFFD, and the bytes as received stand beside the text."""
    body = b'{"choices": [{"text": "a\\u0000\\ud800b", "finish_reason": "stop"}]}'
    with ChatServer(lambda _body, _n: body, path="/v1/completions") as server:
        endpoint = CompletionEndpoint("m", server.url)
        answer = ask(endpoint, request(endpoint))
    assert answer.text == "a\ufffd\ufffdb"
    assert answer.raw == body
    assert as_chat(b"no json") == b"no json"


def test_a_context_that_is_too_small_is_truncated() -> None:
    """A server that refuses a prompt as longer than its context gives `truncated`, not a failed call and not a cut item."""
    said = "This model's maximum context length is 2048 tokens. However, you requested 2300 tokens"
    with ChatServer(
        lambda _body, _n: failure(400, said, code="context_length_exceeded"), path="/v1/completions"
    ) as server:
        endpoint = CompletionEndpoint("m", server.url)
        answer = ask(endpoint, request(endpoint))
    assert (answer.text, answer.finish) == ("", "length")
    item = next(item for item in load("starter-choice") if isinstance(item, Choice))
    response = Response(id="r", origin="request:r", text=answer.text, finish=answer.finish)
    assert read_response(item, response).value == "truncated"


def test_names_and_presets() -> None:
    """completion:NAME@URL is a model; a family without a format and an unknown preset are refused."""
    model = resolve("completion:moss-16b@http://127.0.0.1:1/v1", {})
    assert model.name == "moss-16b"
    endpoint = build(model)
    assert isinstance(endpoint, CompletionEndpoint)
    assert endpoint.url == "http://127.0.0.1:1/v1/completions"
    with pytest.raises(UsageError, match="has no address"):
        build(resolve("completion:moss-16b", {}))
    entry = ModelEntry(endpoint="completion:x@http://127.0.0.1:1/v1", preset="qwen")
    with pytest.raises(UsageError, match="its chat template comes with its tokenizer"):
        build(resolve("mine", {"mine": entry}))


def test_a_run_through_completions(study: Study) -> None:
    """--param preset= chooses the format, never reaches the server, and a repeated run asks nothing."""
    with ChatServer(lambda _body, _n: completed("回复1更好。"), path="/v1/completions") as server:
        options = RunOptions(
            sets=("starter-choice",), models=(f"completion:m@{server.url}",), limit=4, params={"preset": "belle-7b-2m"}
        )
        finished = execute(make_plan(options), study)
        assert {outcome.outcome for outcome in outcomes_of(study, finished.run.name)} == {"1"}
        assert all("preset" not in body and "format" not in body for body in server.bodies)
        assert all(body["prompt"].startswith("Human: ") and body["stop"] == ["\nHuman:"] for body in server.bodies)
        assert all(body["temperature"] == 0.8 for body in server.bodies)
        assert execute(make_plan(options), study).progress.calls == 0
        other = execute(make_plan(RunOptions(**{**_fields(options), "params": {"preset": "ziya-llama-13b"}})), study)
        assert other.progress.calls == len(finished.plan.entries)


def _fields(options: RunOptions) -> dict[str, Any]:
    return {name: getattr(options, name) for name in options.__struct_fields__}


@pytest.mark.parametrize(
    ("guided", "field"),
    [
        ("structured_outputs", "structured_outputs"),
        ("guided_choice", "guided_choice"),
        ("regex", "regex"),
        ("json_schema", "response_format"),
    ],
)
def test_guided_choice_reaches_the_server(guided: str, field: str, study: Study, tmp_path: Any) -> None:
    """`guided` in models.toml adds the server's field to two-choice requests that write, and the answers are read."""

    def answer(body: dict[str, Any], _number: int) -> str:
        return json.dumps({"answer": "回复2"}) if field == "response_format" else "回复2"

    with ChatServer(answer) as server:
        models = tmp_path / "models.toml"
        models.write_text(f'[mine]\nendpoint = "openai:x@{server.url}"\nguided = "{guided}"\n', encoding="utf-8")
        options = RunOptions(sets=("starter-choice",), models=("mine",), limit=4, models_file=str(models))
        finished = execute(make_plan(options), study)
        assert finished.progress.calls == len(finished.plan.entries)
    assert all("回复1" in json.dumps(body[field], ensure_ascii=False) for body in server.bodies)
    assert {outcome.outcome for outcome in outcomes_of(study, finished.run.name)} == {"2"}
    assert finished.run.settings["model_settings"]["mine"]["guided"] == guided
