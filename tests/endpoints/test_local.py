"""Built-in models, recordings, and names of models."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from cvalues.endpoints import answerers
from cvalues.endpoints.base import Answer, Endpoint, Price
from cvalues.endpoints.baselines import DESCRIPTIONS, baseline
from cvalues.endpoints.http import HttpEndpoint
from cvalues.endpoints.recorded import RecordedEndpoint
from cvalues.endpoints.resolve import ModelEntry, build, load_models, resolve, vendors
from cvalues.errors import CallError, ConfigError, DataError, UsageError
from cvalues.schema import Message, Option, Request


def request(first: str = "短", second: str = "长一些的回复", **changes: object) -> Request:
    """A choosing request."""
    options = (Option(label="回复1", text=first), Option(label="回复2", text=second))
    fields = {
        "mode": "choose",
        "model": "m",
        "messages": (Message(role="user", content="全文"),),
        "question": "问",
        "options": options,
    }
    return Request(**{**fields, **changes})  # type: ignore[arg-type]


def ask(endpoint: Endpoint, asked: Request) -> Answer:
    """Asks once."""
    return asyncio.run(endpoint.ask(asked))


def test_rules_choose_as_they_are_called() -> None:
    """Each rule chooses what its name says, and equal replies give no label."""
    chosen = {name: ask(baseline(name), request()).text for name in ("first", "second", "longer", "shorter")}
    assert chosen == {"first": "回复1", "second": "回复2", "longer": "回复2", "shorter": "回复1"}
    assert ask(baseline("longer"), request("同长", "一样")).text == ""


def test_random_is_a_fair_coin_fixed_by_the_item() -> None:
    """The coin gives the same answer to the same item, another to others, and falls about evenly."""
    coin = baseline("random")
    answers = [ask(coin, request(first=f"回复{n}")).text for n in range(400)]
    assert answers == [ask(coin, request(first=f"回复{n}")).text for n in range(400)]
    assert 160 < answers.count("回复1") < 240


def test_ngram_does_not_see_the_order() -> None:
    """The n-gram model scores each reply alone, so swapping the replies swaps the answer."""
    model = baseline("ngram")
    there = ask(model, request("我不能帮你做这件事，可以先找老师谈谈。", "随便吧，没人会发现的，放心去做。"))
    back = ask(model, request("随便吧，没人会发现的，放心去做。", "我不能帮你做这件事，可以先找老师谈谈。"))
    assert {there.text, back.text} == {"回复1", "回复2"}
    assert there.option_scores["回复1"] == back.option_scores["回复2"]
    assert model.revision.startswith("b2:")


def test_baselines_cannot_write() -> None:
    """A baseline that is asked without options says that it cannot write."""
    with pytest.raises(CallError, match="cannot write one"):
        ask(baseline("first"), request(options=()))
    with pytest.raises(UsageError, match="did you mean ngram"):
        baseline("ngrm")
    assert all(baseline(name).modes == {"choose"} for name in DESCRIPTIONS if name not in answerers.DESCRIPTIONS)


def recorded(path: Path, *rows: dict[str, object]) -> RecordedEndpoint:
    """A recording of rows."""
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    return RecordedEndpoint("r", path)


def test_recording_answers_by_prompt_sample_and_request(tmp_path: Path) -> None:
    """Rows are found by the text that was asked, in order of samples, or by the request's id."""
    asked = request(mode="generate", options=())
    endpoint = recorded(
        tmp_path / "r.jsonl",
        {"prompt": "全文", "response": "回复1", "finish": "length"},
        {"prompt": "全文", "text": "<think>想</think>回复2", "model": "x"},
        {"request": request(mode="generate", options=(), sample=5).id, "response": "五"},
    )
    first, second = ask(endpoint, asked), ask(endpoint, request(mode="generate", options=(), sample=1))
    assert (first.text, first.finish) == ("回复1", "length")
    assert (second.text, second.reasoning, second.model) == ("回复2", "想", "x")
    assert ask(endpoint, request(mode="generate", options=(), sample=5)).text == "五"


def test_missing_recording_is_a_failed_call_and_nothing_else(tmp_path: Path) -> None:
    """What is not recorded is `missing`; no model is asked in its place."""
    endpoint = recorded(tmp_path / "r.jsonl", {"prompt": "别的", "response": "x"})
    with pytest.raises(CallError) as caught:
        ask(endpoint, request(mode="generate", options=()))
    assert (caught.value.kind, caught.value.transient) == ("missing", False)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"prompt": "p"}, "has no 'response'"),
        ({"response": "r"}, "has neither"),
        ({"prompt": 1, "response": "r"}, "r.jsonl:1"),
    ],
)
def test_faulty_recording_is_explained(tmp_path: Path, row: dict[str, object], message: str) -> None:
    """A row that cannot be used is named with file and line."""
    with pytest.raises(DataError, match=message):
        recorded(tmp_path / "r.jsonl", row)


def test_address_begins_at_the_first_at_http() -> None:
    """The model's name may hold colons, slashes and @; the address begins at the first `@http`."""
    model = resolve("openai:org/name:7b@v2@http://localhost:8000/v1", {})
    endpoint = build(model)
    assert isinstance(endpoint, HttpEndpoint)
    assert (model.name, endpoint.model, endpoint.url) == (
        "org/name:7b@v2",
        "org/name:7b@v2",
        "http://localhost:8000/v1/chat/completions",
    )
    assert endpoint.api_key_env == ""


def test_vendor_presets_name_address_and_key() -> None:
    """A vendor's name stands for its address and its key's variable; another address takes no key with it."""
    endpoint = build(resolve("deepseek:deepseek-chat", {}))
    assert isinstance(endpoint, HttpEndpoint)
    assert endpoint.api_key_env == "DEEPSEEK_API_KEY"
    elsewhere = build(resolve("deepseek:deepseek-chat@http://localhost:1/v1", {}))
    assert isinstance(elsewhere, HttpEndpoint)
    assert elsewhere.api_key_env == ""
    assert all(vendor.base_url.startswith("http") for vendor in vendors().values())


def test_models_file_holds_everything_of_a_model(tmp_path: Path) -> None:
    """Limits, price, headers and key of models.toml reach the endpoint."""
    path = tmp_path / "models.toml"
    path.write_text(
        '[mine]\nendpoint = "openai:served@http://h/v1"\napi_key_env = "K"\nmax_concurrency = 3\nrpm = 60.0\nattempts = 2\ntimeout = 9.0\n'
        'headers = { X = "$Y" }\nprice = { input = 1.0, output = 2.0, currency = "CNY" }\n',
        encoding="utf-8",
    )
    endpoint = build(resolve("mine", load_models(path)))
    assert isinstance(endpoint, HttpEndpoint)
    assert (endpoint.limits.max_concurrency, endpoint.limits.rpm, endpoint.limits.attempts, endpoint.timeout) == (
        3,
        60.0,
        2,
        9.0,
    )
    assert endpoint.price == Price(input=1.0, output=2.0, currency="CNY")
    assert endpoint.price.cost(1_000_000, 500_000) == 2.0
    path.write_text('[mine]\nendpiont = "x"\n', encoding="utf-8")
    with pytest.raises(ConfigError, match=r"models\.toml.*endp"):
        load_models(path)
    assert load_models(None) == {}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("gpt", "unknown model"),
        ("opena:x", "did you mean openai"),
        ("baseline:", "names no model"),
        ("openai:x", "has no address"),
    ],
)
def test_wrong_names_are_explained(spec: str, message: str) -> None:
    """Each kind of wrong name says what is known."""
    with pytest.raises(UsageError, match=message):
        build(resolve(spec, {}))
    with pytest.raises(UsageError, match="unknown kind of model"):
        build(resolve("m", {"m": ModelEntry(endpoint="foo:bar")}))
