"""Tests of folders of weights as files: configuration, chat template, revision, and the sandbox of templates."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from cvalues.endpoints import resolve
from cvalues.endpoints.chat_template import render
from cvalues.endpoints.resolve import ModelEntry, build
from cvalues.endpoints.transformers_local import LocalWeights
from cvalues.endpoints.weights import read_weights
from cvalues.errors import CallError, ConfigError, MissingExtra, UsageError
from cvalues.schema import Message, Sampling
from cvalues.workflows import plan as planning
from cvalues.workflows.plan import RunOptions, make_plan

TEMPLATE = "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
DAY = date(2024, 7, 26)


def folder(path: Path, template: str | None = TEMPLATE, **config: Any) -> Path:
    """A folder with the small files of a model and a file that stands for its weights."""
    path.mkdir(parents=True, exist_ok=True)
    (path / "config.json").write_text(json.dumps({"model_type": "llama", "max_position_embeddings": 512, **config}))
    (path / "model.safetensors").write_bytes(bytes(range(256)) * 4096)
    tokenizer: dict[str, Any] = {"bos_token": {"content": "<s>"}, "eos_token": "</s>", "pad_token": None}
    if template is not None:
        tokenizer["chat_template"] = template
    (path / "tokenizer_config.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    return path


def local(path: Path, preset: str = "", **params: Any) -> LocalWeights:
    """The endpoint of a folder."""
    return LocalWeights("m", path, params=params, preset_name=preset)


def said(text: str) -> tuple[Message, ...]:
    """One user message."""
    return (Message(role="user", content=text),)


def test_what_a_folder_says(tmp_path: Path) -> None:
    """Type, context, template and special tokens are read from the files."""
    weights = read_weights(folder(tmp_path / "m"))
    assert (weights.model_type, weights.context, weights.encoder_decoder) == ("llama", 512, False)
    assert weights.chat_template == TEMPLATE
    assert weights.special_tokens == {"bos_token": "<s>", "eos_token": "</s>"}
    t5 = read_weights(folder(tmp_path / "t5", is_encoder_decoder=True, n_positions=512))
    assert t5.encoder_decoder
    assert t5.context is None


def test_templates_of_other_layouts(tmp_path: Path) -> None:
    """chat_template.jinja goes first; of several named templates the default one counts."""
    path = folder(tmp_path / "m", template=None)
    assert read_weights(path).chat_template == ""
    named = [{"name": "tool_use", "template": "x"}, {"name": "default", "template": "y"}]
    (path / "tokenizer_config.json").write_text(json.dumps({"chat_template": named}))
    assert read_weights(path).chat_template == "y"
    (path / "chat_template.jinja").write_text("z", encoding="utf-8")
    assert read_weights(path).chat_template == "z"


def test_the_revision_is_the_content(tmp_path: Path) -> None:
    """A copy has the same revision; another weight, template or configuration has another; a note beside them changes nothing."""
    one, two = folder(tmp_path / "a"), folder(tmp_path / "b")
    first = read_weights(one).revision
    assert read_weights(two).revision == first
    (two / "README.md").write_text("note")
    assert read_weights(two).revision == first
    body = bytearray((two / "model.safetensors").read_bytes())
    body[500_000] ^= 1
    (two / "model.safetensors").write_bytes(bytes(body))
    assert read_weights(two).revision != first
    assert read_weights(folder(tmp_path / "c", template="other")).revision != first
    assert read_weights(folder(tmp_path / "d", rope_theta=5)).revision != first


def test_large_weights_are_read_in_part(tmp_path: Path) -> None:
    """Of a file beyond 4 MiB evenly spread blocks are read: a retrained file differs, and its end counts."""
    path = folder(tmp_path / "m")
    size = 9 << 20
    (path / "model.safetensors").write_bytes(bytes(size))
    first = read_weights(path).revision
    body = bytearray(size)
    body[-1] = 1
    (path / "model.safetensors").write_bytes(bytes(body))
    assert read_weights(path).revision != first


def test_folders_that_are_none(tmp_path: Path) -> None:
    """A name of a hub, an empty folder and a broken configuration say what to do."""
    with pytest.raises(UsageError, match="download the model first"):
        read_weights(Path("Qwen/Qwen2.5-7B-Instruct"))
    with pytest.raises(UsageError, match="holds no config"):
        read_weights(tmp_path)
    path = folder(tmp_path / "m")
    (path / "config.json").write_text("[")
    with pytest.raises(ConfigError, match=r"config\.json: .*get the file again"):
        read_weights(path)


def test_a_base_model_needs_a_preset(tmp_path: Path) -> None:
    """Weights without a chat template are not asked in a guessed format."""
    path = folder(tmp_path / "m", template=None)
    with pytest.raises(UsageError, match="has no chat template"):
        local(path)
    assert local(path, "plain").render(said("问")) == "问"
    with pytest.raises(UsageError, match="has no chat template"):
        local(path, "qwen")


def test_settings_are_checked(tmp_path: Path) -> None:
    """An unknown setting, a wrong value and a date that is none are named with the page that explains them."""
    path = folder(tmp_path / "m")
    for params in ({"scores": "full"}, {"score": "best"}, {"batch_rows": "x"}, {"date": "today"}):
        with pytest.raises(ConfigError, match=r"model 'm': .*local-weights\.md"):
            local(path, **params)


def test_what_shapes_the_answer_is_part_of_the_request(tmp_path: Path) -> None:
    """Format or template, its options, dtype, date and the way of scoring count; device and batch size do not."""
    path = folder(tmp_path / "m", template="{{ strftime_now('%Y') }}" + TEMPLATE)
    base = local(path).shaping
    assert local(path, device="cpu", batch_rows=2, batch_tokens=99).shaping == base
    assert local(path, score="mean").shaping.generate == base.generate
    different = [
        local(path, score="mean"), local(path, continuation="reply"), local(path, dtype="float32"),
        local(path, date="2025-01-01"), local(path, template={"a": 1}), local(path, "moss"), local(path, "belle-7b-2m"),
    ]  # fmt: skip
    shapes = [base.choose, *(one.shaping.choose for one in different)]
    assert len({json.dumps(shape, sort_keys=True) for shape in shapes}) == len(shapes)
    assert local(path, "moss").shaping.sampling == Sampling(
        temperature=0.7, top_p=0.8, repetition_penalty=1.02, max_tokens=256, stop=("<eom>",)
    )
    assert base.sampling == Sampling(max_tokens=512)
    assert base.described["chat_template"].endswith(TEMPLATE)


def test_the_limit_is_the_smaller_one(tmp_path: Path) -> None:
    """The context of preset and configuration: the smaller; of an encoder the preset's."""
    assert local(folder(tmp_path / "a")).limit == 512
    assert local(folder(tmp_path / "b"), "moss").limit == 512
    assert local(folder(tmp_path / "c", max_position_embeddings=8192), "moss").limit == 2048
    assert local(folder(tmp_path / "d", is_encoder_decoder=True), "chatplug-3.7b").limit == 380


def test_without_the_extra_its_name_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """hf: without torch says which extra brings it, and hf: with it is built without loading anything."""
    path = folder(tmp_path / "m")
    monkeypatch.setattr(resolve.importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(MissingExtra, match=r"cvalues\[hf\]"):
        make_plan(RunOptions(sets=("starter-choice",), models=(f"hf:{path}",)))


def test_a_plan_of_local_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run, preset and models.toml give the sampling, in that order of weight; a choice by likelihood has none."""
    monkeypatch.setattr(resolve.importlib.util, "find_spec", lambda _name: object())
    path = folder(tmp_path / "m")
    options = RunOptions(
        sets=("starter-choice",), models=(f"hf:{path}",), limit=4, params={"preset": "moss", "dtype": "float32"},
        sampling=Sampling(top_p=0.5), seed=3,
    )  # fmt: skip
    plan = make_plan(options)
    request = plan.entries[0].request
    assert request.sampling == Sampling(
        temperature=0.7, top_p=0.5, repetition_penalty=1.02, max_tokens=256, stop=("<eom>",), seed=3
    )
    assert set(request.extra) == {"format", "dtype"}
    assert request.revision == read_weights(path).revision
    kept = plan.run.settings["model_settings"]["m"]
    assert kept["preset"] == "moss"
    assert kept["format"]["reply"] == "<|MOSS|>:"
    choose = make_plan(RunOptions(sets=("starter-choice",), models=(f"hf:{path}",), limit=4, mode="choose"))
    assert choose.entries[0].request.sampling == Sampling()
    assert choose.entries[0].request.extra["score"] == "full"
    assert planning.make_plan(options).run.name == plan.run.name


def test_a_preset_is_for_raw_prompts(tmp_path: Path) -> None:
    """A preset for a chat server is refused, since the server formats the prompt."""
    entry = ModelEntry(endpoint="openai:x@http://127.0.0.1:1/v1", preset="moss")
    with pytest.raises(UsageError, match="a preset is for hf:, vllm: and completion:"):
        build(resolve.Model(name="x", entry=entry))


# --- templates --------------------------------------------------------------------------------------------------------------


def test_templates_render() -> None:
    """Loops, special tokens, options, the given day and the generation tag."""
    template = (
        "{{ bos_token }}{{ strftime_now('%d %b %Y') }}{% for m in messages %}{% generation %}{{ m.content | tojson }}"
        "{% endgeneration %}{% endfor %}{% if thinking %}<think>{% endif %}"
    )
    text = render(template, said('问"{{ 1 }}'), tokens={"bos_token": "<s>"}, day=DAY, options={"thinking": True})
    assert text == '<s>26 Jul 2024"问\\"{{ 1 }}"<think>'


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{{ raise_exception('only user and assistant') }}", "only user and assistant"),
        ("{% for %}", "refuses these messages"),
        ("{{ messages[9]['content'] + 1 }}", "refuses these messages"),
        ("{{ ''.__class__.__mro__[1].__subclasses__() }}", "unsafe"),
        ("{{ messages.append({}) }}", "unsafe"),
        ("{{ 1 / 0 }}", "zero"),
    ],
)
def test_templates_that_fail(template: str, reason: str) -> None:
    """A template that refuses, is broken, or reaches out of its sandbox fails the call and says why."""
    with pytest.raises(CallError, match=reason) as caught:
        render(template, said("问"), tokens={}, day=DAY, options={})
    assert caught.value.kind == "rejected"
    assert not caught.value.transient
