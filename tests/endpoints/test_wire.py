"""The wire format: what servers send becomes an answer or a named error."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cvalues.endpoints import wire
from cvalues.errors import CallError
from cvalues.schema import Message, Option, Request, Sampling
from server import completion

ASK = Request(mode="generate", model="m", messages=(Message(role="user", content="问"),))
CHOOSE = msgspec.structs.replace(
    ASK, mode="choose", options=(Option(label="A", text="甲"), Option(label="B", text="乙"))
)


def parse(body: object, request: Request = ASK) -> wire.Answer:
    """Parses a body given as an object or as bytes."""
    return wire.parse_answer(body if isinstance(body, bytes) else json.dumps(body).encode(), request)


def test_body_holds_what_was_asked_and_nothing_else() -> None:
    """Only settings that were given are sent; vendor fields go as they are."""
    request = msgspec.structs.replace(ASK, sampling=Sampling(temperature=0.5), extra={"enable_thinking": False})
    assert json.loads(wire.request_body(request, "served")) == {
        "model": "served", "messages": [{"role": "user", "content": "问"}], "temperature": 0.5, "enable_thinking": False,
    }  # fmt: skip


def test_answer_reasoning_and_usage_are_kept_apart() -> None:
    """The answer, its reasoning, tokens and the served model each land in their field."""
    answer = parse(completion("回复1更好", message={"reasoning_content": "想"}))
    assert (answer.text, answer.reasoning, answer.tokens_in, answer.tokens_out, answer.model) == (
        "回复1更好",
        "想",
        10,
        5,
        "mock-1",
    )
    inline = parse(completion("<think>先看回复2</think>回复1"))
    assert (inline.text, inline.reasoning) == ("回复1", "先看回复2")


@pytest.mark.parametrize(
    ("finish", "expected"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("content_filter", "filter"),
        ("sensitive", "filter"),
        (None, "stop"),
        ("eos", "stop"),
    ],
)
def test_finish_reasons(finish: str, expected: str) -> None:
    """Each finish reason has its meaning; an unknown one is a plain stop."""
    assert parse(completion("x", finish)).finish == expected


def test_odd_but_real_bodies_are_read() -> None:
    """Null content, a list of parts and a refusal field are read as servers mean them."""
    assert parse(completion(None)).text == ""
    assert parse(completion(None, message={"refusal": "No."})).text == "No."
    parts = [{"type": "text", "text": "回复"}, {"type": "text", "text": "2"}, {"type": "image_url", "image_url": "x"}]
    assert parse(completion("", message={"content": parts})).text == "回复2"


def test_nul_and_lone_surrogates_are_replaced_and_the_body_kept() -> None:
    """Text that cannot be stored is replaced by U+FFFD, and the bytes received are kept."""
    body = b'{"choices":[{"message":{"content":"a\\u0000b\\ud800c"},"finish_reason":"stop"}]}'
    answer = parse(body)
    assert answer.text == "a\ufffdb\ufffdc"
    assert answer.raw == body
    assert parse(completion("ok")).raw is None


@pytest.mark.parametrize(
    "body", [b"", b"not json", b"[]", b'{"choices":[]}', b'{"choices":[{}]}', b'{"choices":7}', b"\xff\xfe"]
)
def test_unusable_bodies_are_bad_replies(body: bytes) -> None:
    """What is no chat completion is a transient `bad_reply`, never an answer."""
    with pytest.raises(CallError) as caught:
        parse(body)
    assert (caught.value.kind, caught.value.transient) == ("bad_reply", True)


@given(st.binary(max_size=300))
def test_any_body_gives_an_answer_or_a_named_error(body: bytes) -> None:
    """No body whatever raises anything but CallError."""
    kind = "bad_reply"
    try:
        wire.parse_answer(body, ASK)
    except CallError as error:
        kind = error.kind
    assert kind == "bad_reply"


@pytest.mark.parametrize(
    ("status", "fields", "kind", "transient"),
    [
        (429, {}, "rate_limited", True),
        (429, {"code": "insufficient_quota"}, "rejected", False),
        (500, {}, "server_error", True),
        (503, {}, "server_error", True),
        (408, {}, "server_error", True),
        (401, {}, "unauthorised", False),
        (404, {}, "not_found", False),
        (400, {}, "rejected", False),
        (422, {"type": "BadRequestError"}, "rejected", False),
    ],
)
def test_errors_are_named(status: int, fields: dict[str, str], kind: str, transient: bool) -> None:
    """Each status has its kind, and only what may pass is transient."""
    body = json.dumps({"error": {"message": "m", **fields}}).encode()
    with pytest.raises(CallError) as caught:
        wire.error_answer(status, body, None, "")
    assert (caught.value.kind, caught.value.transient, caught.value.status) == (kind, transient, status)


@pytest.mark.parametrize(
    "error",
    [
        {"code": "data_inspection_failed", "message": "x"},
        {"code": "DataInspectionFailed", "message": "x"},
        {"code": "1301", "message": "系统检测到输入或生成内容可能包含不安全或敏感内容"},
        {"code": 1301, "message": "x"},
        {"code": "content_filter", "message": "x"},
        {"message": "Content Exists Risk"},
        {"type": "content_policy_violation", "message": "x"},
    ],
)
def test_provider_blocks_are_answers_of_the_filter(error: dict[str, object]) -> None:
    """A provider that blocks the text gives a `filter` answer, not a failure."""
    assert (
        wire.error_answer(400, json.dumps({"error": error}, ensure_ascii=False).encode(), None, "").finish == "filter"
    )


def test_secret_is_taken_out_of_messages() -> None:
    """A server that echoes the key does not bring it into our records."""
    with pytest.raises(CallError) as caught:
        wire.error_answer(401, b'{"error": {"message": "bad key sk-12345"}}', None, "sk-12345")
    assert "sk-12345" not in str(caught.value)


def test_retry_after_as_number_and_date() -> None:
    """Retry-After is read as seconds or as a date, bounded by an hour; nonsense is ignored."""
    assert wire.seconds_of("2.5") == 2.5
    assert wire.seconds_of("-1") == 0
    assert wire.seconds_of("1e9") == 3600
    assert wire.seconds_of("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    assert wire.seconds_of("soon") is None
    assert wire.seconds_of("nan") is None
    assert wire.seconds_of(None) is None


def logprobs(*pairs: tuple[str, float]) -> dict[str, object]:
    """The log-probabilities of one token."""
    top = [{"token": token, "logprob": value} for token, value in pairs]
    return {"logprobs": {"content": [{"token": pairs[0][0], "logprob": pairs[0][1], "top_logprobs": top}]}}


def test_option_scores_sum_spellings() -> None:
    """Spellings of one label are added as probabilities: log(e^-1 + e^-2) = -0.6867."""
    answer = parse(completion("A", choice=logprobs(("A", -1.0), (" a", -2.0), ("B", -3.0), ("x", -4.0))), CHOOSE)
    assert answer.option_scores["A"] == pytest.approx(-0.68674, abs=1e-5)
    assert answer.option_scores["B"] == -3.0


def test_missing_log_probabilities_are_said() -> None:
    """A server without log-probabilities is told apart from a wrong answer."""
    with pytest.raises(CallError, match="no log-probabilities; ask with --mode generate"):
        parse(completion("A"), CHOOSE)
