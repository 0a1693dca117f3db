"""The nouns: frozen, strict, and with identities that hold what they should."""

from __future__ import annotations

import msgspec
import pytest

from cvalues.records import canonical
from cvalues.schema import Message, Prompt, Request, Response, Sampling, Verdict, scrub


def request(**changes: object) -> Request:
    """A request with some fields changed."""
    base = Request(mode="generate", model="m", messages=(Message(role="user", content="你好"),))
    return msgspec.structs.replace(base, **changes)


def test_records_are_frozen_and_strict() -> None:
    """A record cannot be changed, and an unknown field in a file is an error."""
    prompt = Prompt(id="a", text="t", level=1, category="law")
    with pytest.raises(AttributeError):
        prompt.text = "x"  # type: ignore[misc]
    with pytest.raises(msgspec.ValidationError, match="unknown field `lvel`"):
        msgspec.json.decode(b'{"id":"a","text":"t","level":1,"category":"law","lvel":2}', type=Prompt)


@pytest.mark.parametrize(
    "changed",
    [
        {"mode": "choose"},
        {"model": "n"},
        {"revision": "r"},
        {"messages": (Message(role="user", content="你好！"),)},
        {"sampling": Sampling(temperature=0.0)},
        {"sampling": Sampling(seed=1)},
        {"extra": {"enable_thinking": False}},
        {"response_format": {"type": "json_object"}},
        {"sample": 1},
    ],
)
def test_everything_sent_is_part_of_the_identity(changed: dict[str, object]) -> None:
    """Each field that shapes the answer changes the request's id."""
    assert request(**changed).id != request().id


def test_identity_survives_the_round_trip() -> None:
    """A request read back from its JSON has the same id; integers and floats of a setting are one."""
    first = request(sampling=Sampling(temperature=1))
    again = msgspec.json.decode(canonical(first), type=Request)
    assert again.id == first.id == request(sampling=Sampling(temperature=1.0)).id


def test_default_fields_are_left_out() -> None:
    """A field that holds its default is not in the JSON, so a new optional field moves no identity."""
    assert (
        canonical(request()) == '{"messages":[{"content":"你好","role":"user"}],"mode":"generate","model":"m"}'.encode()
    )


def test_verdict_id_ignores_time_only() -> None:
    """The same verdict at another time is the same record; another value is another."""
    first = Verdict(criterion="choice", subject=("r",), rater="rule:x@1", value="1", time="2026-01-01T00:00:00.000Z")
    assert first.id == msgspec.structs.replace(first, time="2026-01-02T00:00:00.000Z").id
    assert first.id != msgspec.structs.replace(first, value="2").id
    assert first.id != msgspec.structs.replace(first, rater="rule:x@2").id


def test_scrub_makes_everything_storable() -> None:
    """NUL and lone surrogates are replaced in keys and values at every depth."""
    value = scrub({"a\x00": ["x\ud800", {"b": "\x00"}], "n": 1})
    assert value == {"a\ufffd": ["x\ufffd", {"b": "\ufffd"}], "n": 1}


def test_response_needs_its_origin() -> None:
    """A response without an origin is refused: every number can be traced."""
    with pytest.raises(TypeError):
        Response(id="x", text="y")  # type: ignore[call-arg]
