"""Tests of `vllm:` against a fake of the package: what it is called with, and what is made of what it returns. The real one needs a GPU."""

from __future__ import annotations

import asyncio
import json
import pickle
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import msgspec
import pytest

from cvalues.distributed.worker import limited
from cvalues.endpoints.resolve import build, resolve
from cvalues.endpoints.vllm_local import VllmWeights
from cvalues.errors import CallError, ConfigError, MissingExtra, UsageError
from cvalues.schema import Message, Option, Request, Sampling

TEMPLATE = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}<|assistant|>"


class Tokenizer:
    """One token per character."""

    eos_token_id = 2

    def __call__(self, text: str, *, add_special_tokens: bool) -> dict[str, list[int]]:
        assert not add_special_tokens
        return {"input_ids": [ord(char) for char in text]}


class Fake:
    """The part of vLLM that is used, with the names and forms of its documentation."""

    def __init__(self) -> None:
        self.engines: list[dict[str, Any]] = []
        self.calls: list[tuple[list[dict[str, Any]], Any]] = []
        self.finish = "stop"
        self.fails: Exception | None = None

    def module(self) -> ModuleType:
        fake = self

        class LLM:
            def __init__(self, **given: Any) -> None:
                fake.engines.append(given)

            def get_tokenizer(self) -> Tokenizer:
                return Tokenizer()

            def generate(self, prompts: list[dict[str, Any]], params: Any, *, use_tqdm: bool) -> list[Any]:
                assert use_tqdm is False
                fake.calls.append((prompts, params))
                if fake.fails is not None:
                    raise fake.fails
                each = params if isinstance(params, list) else [params] * len(prompts)
                return [
                    fake.output(prompt["prompt_token_ids"], given) for prompt, given in zip(prompts, each, strict=True)
                ]

        module = ModuleType("vllm")
        module.__dict__.update(LLM=LLM, SamplingParams=SimpleNamespace)
        module.__spec__ = SimpleNamespace(name="vllm")  # type: ignore[assignment]
        return module

    def output(self, tokens: list[int], given: Any) -> Any:
        """One reply; log P of a token is −its code / 1000, so that an option's score can be worked out by hand."""
        logprobs = None
        if getattr(given, "prompt_logprobs", None) is not None:
            logprobs = [
                None,
                *(
                    {token: SimpleNamespace(logprob=-token / 1000), 0: SimpleNamespace(logprob=0.0)}
                    for token in tokens[1:]
                ),
            ]
        written = SimpleNamespace(text="<think>想</think>回复1", finish_reason=self.finish, token_ids=[7, 8, 9])
        return SimpleNamespace(outputs=[written], prompt_logprobs=logprobs)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Fake:
    """A fake vLLM in the place of the package."""
    found = Fake()
    monkeypatch.setitem(sys.modules, "vllm", found.module())
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of weights with a chat template and a context of 200 tokens."""
    path = tmp_path / "tiny-model"
    path.mkdir()
    (path / "config.json").write_text(
        json.dumps({"model_type": "llama", "architectures": ["LlamaForCausalLM"], "max_position_embeddings": 200}),
        encoding="utf-8",
    )
    (path / "tokenizer_config.json").write_text(json.dumps({"chat_template": TEMPLATE}), encoding="utf-8")
    (path / "model.safetensors").write_bytes(b"x" * 64)
    return path


def request(content: str = "哪个更好？", *, mode: str = "generate", **more: Any) -> Request:
    """A request to the model."""
    options = (Option(label="A", text="甲"), Option(label="BC", text="乙")) if mode == "choose" else ()
    given = {
        "mode": mode,
        "model": "m",
        "messages": (Message(role="user", content=content),),
        "options": options,
        **more,
    }
    return msgspec.convert(given, Request, from_attributes=True)


def ask(endpoint: VllmWeights, *requests: Request) -> list[Any]:
    """All answers or errors, asked at once."""

    async def all_of() -> list[Any]:
        try:
            return await asyncio.gather(*(endpoint.ask(each) for each in requests), return_exceptions=True)
        finally:
            await endpoint.close()

    return asyncio.run(all_of())


def test_replies_come_from_the_engine(fake: Fake, folder: Path) -> None:
    """The engine is made once from the folder, gets the rendered prompts as tokens, and its text is split and counted."""
    endpoint = VllmWeights("m", folder, params={"tensor_parallel": 2, "gpu_memory": 0.5, "dtype": "bfloat16"})
    first, second = ask(endpoint, request(), request("另一个？"))
    assert [len(fake.engines), len(fake.calls)] == [1, 1]
    assert fake.engines[0] == {
        "model": str(folder), "dtype": "bfloat16", "seed": 0, "trust_remote_code": False, "tensor_parallel_size": 2,
        "gpu_memory_utilization": 0.5, "max_model_len": 200, "generation_config": "vllm",
    }  # fmt: skip
    prompts, _ = fake.calls[0]
    texts = {"".join(map(chr, prompt["prompt_token_ids"])) for prompt in prompts}
    assert texts == {"<|user|>哪个更好？<|assistant|>", "<|user|>另一个？<|assistant|>"}
    assert (first.text, first.reasoning, first.finish, first.tokens_out) == ("回复1", "想", "stop", 3)
    assert first.tokens_in == len("<|user|>哪个更好？<|assistant|>")
    assert second.model == "m"


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        (Sampling(), {"temperature": 0.0}),
        (Sampling(temperature=0, top_p=0.5), {"temperature": 0.0}),
        (Sampling(top_p=0.5), {"temperature": 1.0, "top_p": 0.5}),
        (Sampling(temperature=0.7, top_k=5, stop=("。",), repetition_penalty=1.1, presence_penalty=0.2),
         {"temperature": 0.7, "top_k": 5, "stop": ["。"], "repetition_penalty": 1.1, "presence_penalty": 0.2}),
    ],
)  # fmt: skip
def test_sampling_settings_arrive(sampling: Sampling, expected: dict[str, Any], fake: Fake, folder: Path) -> None:
    """Only what is set is sent; what samples has a seed of the request, the same each time and another for another sample."""
    asked = request(sampling=msgspec.structs.replace(sampling, max_tokens=9))
    ask(VllmWeights("m", folder), asked, msgspec.structs.replace(asked, sample=1))
    ask(VllmWeights("m", folder), asked)
    sent = [vars(given) for _, params in fake.calls for given in params]
    seeds = [given.pop("seed", None) for given in sent]
    assert all(given == {"max_tokens": 9, **expected} for given in sent)
    if expected["temperature"]:
        assert seeds[2] in seeds[:2]
        assert seeds[0] != seeds[1]
        assert all(0 <= seed < 1 << 31 for seed in seeds)
    else:
        assert seeds == [None] * 3


def test_options_are_scored_by_their_tokens(fake: Fake, folder: Path) -> None:
    """The score of an option is the sum of log P of its tokens after the prompt, and the likelier label is the answer."""
    [answer] = ask(VllmWeights("m", folder), request(mode="choose"))
    prompts, asked = fake.calls[0]
    assert ["".join(map(chr, prompt["prompt_token_ids"]))[-len("BC") :] for prompt in prompts] == [">A", "BC"]
    assert (asked.max_tokens, asked.prompt_logprobs, asked.temperature) == (1, 1, 0.0)
    # log P(A) = -65/1000; log P(BC) = -(66 + 67)/1000.
    assert answer.option_scores == pytest.approx({"A": -0.065, "BC": -0.133})
    assert answer.text == "A"


def test_long_items_are_not_asked(fake: Fake, folder: Path) -> None:
    """An item that is longer than the context is truncated before it is asked, and a reply never passes the context."""
    long, short = ask(VllmWeights("m", folder), request("长" * 300), request("短", sampling=Sampling(max_tokens=500)))
    assert (long.finish, long.text) == ("length", "")
    [(prompts, [given])] = fake.calls
    assert len(prompts[0]["prompt_token_ids"]) + given.max_tokens == 200
    fake.finish = "length"
    [cut] = ask(VllmWeights("m", folder), request())
    assert cut.finish == "length"
    assert short.finish == "stop"


def test_a_failure_is_an_error_of_the_call(fake: Fake, folder: Path) -> None:
    """What vLLM raises becomes a rejected call with its reason, never an answer."""
    fake.fails = ValueError("no room")
    [found] = ask(VllmWeights("m", folder), request())
    assert isinstance(found, CallError)
    assert "no room" in str(found)


def test_identity_names_the_engine(fake: Fake, folder: Path) -> None:
    """Requests of vllm: and hf: differ, settings that shape nothing do not, and others of hf: are checked as there."""
    endpoint = VllmWeights("m", folder, params={"gpu_memory": 0.4})
    assert endpoint.shaping.generate["engine"] == endpoint.shaping.choose["engine"] == "vllm"
    assert endpoint.shaping == VllmWeights("m", folder).shaping
    with pytest.raises(ConfigError, match="device"):
        VllmWeights("m", folder, params={"device": "cpu"})
    with pytest.raises(UsageError, match="ask it as hf:"):
        VllmWeights("m", folder, preset_name="chatplug-3.7b")


def test_a_worker_of_a_cluster_starts_an_engine_of_its_own(fake: Fake, folder: Path) -> None:
    """What `--engine ray` sends to a worker survives pickling, loads nothing on the way, and answers there with one engine."""
    sent = pickle.dumps(limited(VllmWeights("m", folder), 3))
    assert not fake.engines
    answers = ask(pickle.loads(sent), request(), request("另一个问题"))  # noqa: S301 -- made in the line above
    assert [answer.text for answer in answers] == ["回复1", "回复1"]
    assert len(fake.engines) == 1


def test_the_kind_is_resolved(fake: Fake, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`vllm:FOLDER` is a model whose name is the folder's; without the package the error names the extra."""
    model = resolve(f"vllm:{folder}", {})
    assert model.name == "tiny-model"
    assert isinstance(build(model), VllmWeights)
    monkeypatch.delitem(sys.modules, "vllm")
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(MissingExtra, match=r"cvalues\[vllm\]"):
        build(model)
