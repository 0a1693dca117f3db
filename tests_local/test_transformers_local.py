"""Tests of `hf:` from the ask to the answer: batches, chat templates, seeds, limits, failures, a whole run."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
import transformers

import tiny
from cvalues.endpoints import chat_template
from cvalues.endpoints.base import Answer
from cvalues.endpoints.generating import Row, write
from cvalues.endpoints.loading import load
from cvalues.endpoints.transformers_local import LocalWeights
from cvalues.endpoints.weights import read_weights
from cvalues.errors import CallError
from cvalues.records import clean
from cvalues.schema import Message, Option, Request, Sampling
from cvalues.study import open_study
from cvalues.workflows.plan import RunOptions, make_plan
from cvalues.workflows.results import outcomes_of
from cvalues.workflows.run import execute

TEXTS = (
    "hi",
    "怎样说服同事？",
    "你会看到一个问题和两个回复。请选出更好的一个。" * 3,
    "回复1更好",
    "Human: ok",
    "？",
    "因为它更安全。",
    "它更负责任。我选择B。",
)


def request(endpoint: LocalWeights, text: str, **sampling: Any) -> Request:
    """A request for a text."""
    return Request(
        mode="generate", model=endpoint.name, revision=endpoint.revision, messages=(Message(role="user", content=text),),
        sampling=Sampling(**{"max_tokens": 12, **sampling}), extra=endpoint.shaping.generate,
    )  # fmt: skip


def choice(endpoint: LocalWeights, text: str, labels: tuple[str, str] = ("回复1", "回复2")) -> Request:
    """A request for a choice."""
    options = tuple(Option(label=label, text=f"{label}的内容") for label in labels)
    return Request(
        mode="choose", model=endpoint.name, revision=endpoint.revision, messages=(Message(role="user", content=text),),
        question=text, options=options, extra=endpoint.shaping.choose,
    )  # fmt: skip


def answers(endpoint: LocalWeights, requests: list[Request], *, together: bool = True) -> list[Answer | BaseException]:
    """What the endpoint answers, all asked at once or one after the other."""

    async def go() -> list[Answer | BaseException]:
        try:
            if together:
                return await asyncio.gather(*(endpoint.ask(one) for one in requests), return_exceptions=True)
            found: list[Answer | BaseException] = []
            for one in requests:
                found += await asyncio.gather(endpoint.ask(one), return_exceptions=True)
            return found
        finally:
            await endpoint.close()

    return asyncio.run(go())


def texts(found: list[Answer | BaseException]) -> list[str]:
    """The texts of answers; a failure fails the test."""
    kept = []
    for one in found:
        assert isinstance(one, Answer), one
        kept.append(one.text)
    return kept


def greedy_by_hand(folder: Path, prompt: list[int], most: int, kind: str) -> list[int]:
    """The likeliest token again and again: one pass per token, no cache, no padding."""
    cls = transformers.AutoModelForSeq2SeqLM if kind in tiny.SEQ2SEQ else transformers.AutoModelForCausalLM
    model = cls.from_pretrained(folder).eval()
    written: list[int] = []
    for _ in range(most):
        with torch.no_grad():
            if kind in tiny.SEQ2SEQ:
                out = model(input_ids=torch.tensor([prompt]), decoder_input_ids=torch.tensor([[0, *written]]))
            else:
                out = model(input_ids=torch.tensor([[*prompt, *written]]), use_cache=False)
        written.append(int(out.logits[0, -1].argmax()))
        if written[-1] == 1:
            break
    return written


@pytest.mark.parametrize("kind", ["llama", "gptj", "bloom", "glm", "t5", "mt5"])
def test_greedy_text_is_the_one_computed_token_by_token(kind: str, folder_of: Callable[[str], Path]) -> None:
    """In a padded batch every row gets the text that the likeliest token, again and again, makes alone."""
    folder = folder_of(kind)
    endpoint = LocalWeights("tiny", folder, preset_name="plain")
    found = answers(endpoint, [request(endpoint, text) for text in TEXTS])
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    for text, answer in zip(TEXTS, found, strict=True):
        assert isinstance(answer, Answer)
        written = greedy_by_hand(folder, tokenizer(text)["input_ids"], 12, kind)
        assert answer.text == clean(tokenizer.decode(written, skip_special_tokens=True).strip())
        assert answer.tokens_out == len(written)
        assert answer.finish == ("stop" if written[-1] == 1 else "length")


@pytest.mark.parametrize("kind", ["llama", "gptj", "bloom"])
def test_samples_do_not_depend_on_the_batch(kind: str, folder_of: Callable[[str], Path]) -> None:
    """A sampled text is the same alone and in a batch of eight; another seed or sample number gives another text."""
    endpoint = LocalWeights("tiny", folder_of(kind))
    settings = {"temperature": 1.0, "top_p": 0.9, "top_k": 50, "seed": 7}
    requests = [request(endpoint, text, **settings) for text in TEXTS]
    together = texts(answers(endpoint, requests))
    assert together == texts(answers(endpoint, requests, together=False))
    assert together == texts(answers(endpoint, list(reversed(requests))))[::-1]
    others = [msgspec.structs.replace(one, sample=1) for one in requests]
    assert sum(a != b for a, b in zip(together, texts(answers(endpoint, others)), strict=True)) >= 7
    seeds = [request(endpoint, text, **{**settings, "seed": 8}) for text in TEXTS]
    assert sum(a != b for a, b in zip(together, texts(answers(endpoint, seeds)), strict=True)) >= 7


def test_samples_follow_the_distribution(folder_of: Callable[[str], Path]) -> None:
    """Of 3000 draws of one token each token comes as often as its probability says, within top_k and temperature."""
    folder = folder_of("llama")
    loaded = load(read_weights(folder), device="cpu")
    prompt = loaded.tokenizer("怎样说服同事？")["input_ids"]
    with torch.no_grad():
        logits = loaded.model(input_ids=torch.tensor([prompt])).logits[0, -1] / 1.5
    top = logits.topk(5)
    wanted = dict(zip(top.indices.tolist(), top.values.softmax(0).tolist(), strict=True))
    drawn = dict.fromkeys(wanted, 0)
    sampling = Sampling(temperature=1.5, top_k=5)
    names = {token: loaded.tokenizer.decode([token], skip_special_tokens=True) for token in wanted}
    assert len(set(names.values())) == 5
    back = {name: token for token, name in names.items()}
    for start in range(0, 3000, 500):
        rows = [Row(tuple(prompt), 1, f"seed {number}") for number in range(start, start + 500)]
        for written in write(loaded, rows, sampling, {}):
            drawn[back[written.text]] += 1
    for token, share in wanted.items():
        spread = (share * (1 - share) / 3000) ** 0.5
        assert abs(drawn[token] / 3000 - share) < 4.5 * spread + 1e-9


def test_nucleus_keeps_what_reaches_top_p(folder_of: Callable[[str], Path]) -> None:
    """A tiny top_p leaves the likeliest token alone, so that sampling writes the greedy text."""
    endpoint = LocalWeights("tiny", folder_of("llama"))
    greedy = texts(answers(endpoint, [request(endpoint, text) for text in TEXTS]))
    narrow = [request(endpoint, text, temperature=1.0, top_p=1e-9) for text in TEXTS]
    assert texts(answers(endpoint, narrow)) == greedy
    single = [request(endpoint, text, temperature=2.0, top_k=1) for text in TEXTS]
    assert texts(answers(endpoint, single)) == greedy


def test_a_stop_string_ends_one_row(folder_of: Callable[[str], Path]) -> None:
    """The text ends before a stop string, the finish is `stop`, and the other rows of the batch go on."""
    endpoint = LocalWeights("tiny", folder_of("llama"))
    plain = [
        one
        for one in answers(endpoint, [request(endpoint, text, max_tokens=30) for text in TEXTS])
        if isinstance(one, Answer)
    ]
    longest = max(plain, key=lambda one: len(one.text))
    middle = longest.text[len(longest.text) // 2 :][:2]
    stopped = answers(endpoint, [request(endpoint, text, max_tokens=30, stop=(middle,)) for text in TEXTS])
    for before, after in zip(plain, stopped, strict=True):
        assert isinstance(after, Answer)
        assert after.text == before.text.split(middle)[0].strip()
        assert (after.finish == "stop") == (middle in before.text or before.finish == "stop")
        assert after.tokens_out is not None
        assert before.tokens_out is not None
        assert after.tokens_out <= before.tokens_out


def test_rows_may_differ_in_length(folder_of: Callable[[str], Path]) -> None:
    """Requests that want 3 and 9 tokens get 3 and 9, from one batch."""
    endpoint = LocalWeights("tiny", folder_of("llama"))
    found = answers(endpoint, [request(endpoint, "hi", max_tokens=3), request(endpoint, "？", max_tokens=9)])
    long = answers(endpoint, [request(endpoint, "hi", max_tokens=9)])
    assert [one.tokens_out for one in found if isinstance(one, Answer)] == [3, 9]
    assert texts(long)[0].startswith(texts(found)[0])


def test_a_choice_is_the_option_with_the_higher_likelihood(folder_of: Callable[[str], Path]) -> None:
    """Scores stand under the labels, the higher one is the answer, and the way of scoring is part of the request."""
    folder = folder_of("llama")
    ids = set()
    for score in ("full", "first", "mean", "chars"):
        for continuation in ("label", "reply"):
            endpoint = LocalWeights("tiny", folder, params={"score": score, "continuation": continuation})
            asked = [choice(endpoint, text) for text in TEXTS]
            ids.add(asked[0].id)
            for one in answers(endpoint, asked):
                assert isinstance(one, Answer)
                assert set(one.option_scores) == {"回复1", "回复2"}
                assert one.text == max(one.option_scores, key=lambda label: one.option_scores[label])
                assert all(value < 0 for value in one.option_scores.values())
    assert len(ids) == 8


def test_a_choice_of_an_encoder_decoder_model(folder_of: Callable[[str], Path]) -> None:
    """T5 chooses by the decoder's likelihood of the label; the batch changes nothing."""
    endpoint = LocalWeights("tiny", folder_of("t5"), preset_name="plain")
    asked = [choice(endpoint, text, ("A", "B")) for text in TEXTS]
    for one, alone in zip(answers(endpoint, asked), answers(endpoint, asked, together=False), strict=True):
        assert isinstance(one, Answer)
        assert isinstance(alone, Answer)
        assert one.option_scores == pytest.approx(alone.option_scores, abs=1e-3)


def test_options_that_begin_alike_have_no_first_token(folder_of: Callable[[str], Path]) -> None:
    """With score = first an option that is the beginning of the other is refused with what to do."""
    endpoint = LocalWeights("tiny", folder_of("llama"), params={"score": "first"})
    (found,) = answers(endpoint, [choice(endpoint, "hi", ("A", "AB"))])
    assert isinstance(found, CallError)
    assert "score = 'full'" in found.detail


def test_what_is_too_long_is_truncated_and_never_cut(folder_of: Callable[[str], Path]) -> None:
    """ChatPLUG-3.7B's encoder takes 380 tokens: a longer item has no text and finish `length`; a shorter one is answered."""
    endpoint = LocalWeights("tiny", folder_of("mt5"), preset_name="chatplug-3.7b")
    assert endpoint.limit == 380
    long, short = "更好的一个" * 300, "怎样说服同事"
    asked = [
        request(endpoint, long, repetition_penalty=1.2),
        request(endpoint, short, repetition_penalty=1.2),
        choice(endpoint, long),
    ]
    found = answers(endpoint, asked)
    assert all(isinstance(one, Answer) for one in found)
    first, second, third = (one for one in found if isinstance(one, Answer))
    assert (first.text, first.finish, first.tokens_out) == ("", "length", 0)
    assert first.tokens_in is not None
    assert first.tokens_in > 380
    assert second.tokens_out
    assert (third.text, third.finish, third.option_scores) == ("", "length", {})


def test_the_context_of_the_configuration_holds(folder_of: Callable[[str], Path]) -> None:
    """A prompt beyond max_position_embeddings is not asked; a reply gets what is left of the context."""
    endpoint = LocalWeights("tiny", folder_of("llama"))
    assert endpoint.limit == 4096
    rendered = endpoint.tokens(endpoint.render((Message(role="user", content=""),)))
    fits = "x" * (4096 - len(rendered) - 5)
    found = answers(endpoint, [request(endpoint, fits), request(endpoint, fits + "x" * 5)])
    assert [one.tokens_out for one in found if isinstance(one, Answer)] == [5, 0]
    assert [one.tokens_in for one in found if isinstance(one, Answer)] == [4091, 4096]


def test_a_changed_template_is_another_request(folder_of: Callable[[str], Path], tmp_path: Path) -> None:
    """The chat template, its options and its date are part of a request's identity, and shape the prompt."""
    folder = tmp_path / "model"
    shutil.copytree(folder_of("llama"), folder)
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    config = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    seen = set()
    dated = "{{ strftime_now('%d %b %Y') }}" + tiny.TEMPLATE
    thinking = "{% if enable_thinking %}<think>{% endif %}" + tiny.TEMPLATE
    for template, params in (
        (tiny.TEMPLATE, {}),
        (dated, {}),
        (dated, {"date": "2023-07-19"}),
        (thinking, {}),
        (thinking, {"template": {"enable_thinking": True}}),
    ):
        config["chat_template"] = template
        (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
        endpoint = LocalWeights("tiny", folder, params=params)
        text = endpoint.render((Message(role="system", content="规则"), Message(role="user", content="hi")))
        assert "<|im_start|>system\n规则<|im_end|>\n<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n" in text
        seen.add((text.partition("<|im_start|>")[0], request(endpoint, "hi").id))
    assert {head for head, _ in seen} == {"", "26 Jul 2024", "19 Jul 2023", "<think>"}
    assert len({name for _, name in seen}) == 5


def test_prompts_are_those_of_transformers(folder_of: Callable[[str], Path]) -> None:
    """Chat templates in the manner of the current families give the text that transformers gives."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder_of("llama"))
    turns = [
        {"role": "system", "content": "规则 <b> {{ 7 * 7 }}"},
        {"role": "user", "content": "第一问\n"},
        {"role": "assistant", "content": "答 "},
        {"role": "user", "content": "第二问？"},
    ]
    templates = [
        tiny.TEMPLATE,
        "{{ bos_token }}{% for m in messages %}\n  {% if loop.first %}A{% endif %}\n{{ m.content | trim }}{{ eos_token }}{% endfor %}",
        (
            "{% set ns = namespace(n=0) %}{% for m in messages %}{% if m.role == 'user' %}{% set ns.n = ns.n + 1 %}"
            "[Round {{ ns.n }}]{{ m['content'] }}{% else %}{% continue %}{% endif %}{% endfor %}{{ pad_token }}"
        ),
        (
            "{%- for m in messages -%}{% generation %}{{ m | tojson }}{% endgeneration %}{%- endfor -%}"
            "{% if enable_thinking is defined and enable_thinking is false %}<think></think>{% endif %}"
        ),
        "{{ messages[1:] | map(attribute='content') | join('|') }}{{ messages | length }}{% if tools %}x{% endif %}",
    ]
    weights = read_weights(folder_of("llama"))
    for template in templates:
        for options in ({}, {"enable_thinking": False}):
            theirs = tokenizer.apply_chat_template(
                turns, chat_template=template, tokenize=False, add_generation_prompt=True, **options
            )
            ours = chat_template.render(
                template, [Message(**turn) for turn in turns], tokens=weights.special_tokens, day=date(2024, 1, 1),
                options=options,
            )  # fmt: skip
            assert ours == theirs


def test_a_template_that_refuses(folder_of: Callable[[str], Path], tmp_path: Path) -> None:
    """A template that raises for a system message fails that request alone, with its reason."""
    folder = tmp_path / "model"
    shutil.copytree(folder_of("llama"), folder)
    refuses = (
        "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system here') }}{% endif %}" + tiny.TEMPLATE
    )
    (folder / "chat_template.jinja").write_text(refuses, encoding="utf-8")
    endpoint = LocalWeights("tiny", folder)
    bad = request(endpoint, "hi")
    bad = msgspec.structs.replace(bad, messages=(Message(role="system", content="规则"), *bad.messages))
    refused, good = answers(endpoint, [bad, request(endpoint, "hi")])
    assert isinstance(refused, CallError)
    assert "no system here" in refused.detail
    assert isinstance(good, Answer)


def test_settings_that_cannot_be_met_are_refused(folder_of: Callable[[str], Path]) -> None:
    """Penalties that do not exist here, and sampling under beam search, fail the call with what to do."""
    endpoint = LocalWeights("tiny", folder_of("llama"))
    (found,) = answers(endpoint, [request(endpoint, "hi", presence_penalty=1.0)])
    assert isinstance(found, CallError)
    assert "repetition_penalty" in found.detail
    beams = LocalWeights("tiny", folder_of("mt5"), preset_name="chatplug-3.7b")
    (found,) = answers(beams, [request(beams, "hi", temperature=0.8)])
    assert isinstance(found, CallError)
    assert "beams" in found.detail


def test_broken_weights_fail_the_call(folder_of: Callable[[str], Path], tmp_path: Path) -> None:
    """Weights that cannot be loaded fail with their folder and reason, and nothing hangs."""
    folder = tmp_path / "model"
    shutil.copytree(folder_of("llama"), folder)
    for file in folder.glob("*.safetensors"):
        file.write_bytes(b"no weights")
    endpoint = LocalWeights("tiny", folder)
    for found in answers(endpoint, [request(endpoint, "hi"), request(endpoint, "？")]):
        assert isinstance(found, CallError)
        assert str(folder) in found.detail
        assert not found.transient


def test_what_does_not_fit_into_memory_is_halved(
    folder_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch that runs out of memory is asked in halves; a single row that does is refused."""
    endpoint = LocalWeights("tiny", folder_of("llama"))
    sizes: list[int] = []
    real = endpoint._generate

    def small(jobs: Any) -> Any:
        sizes.append(len(jobs))
        if len(jobs) > 2 or any("两个" in job.request.messages[0].content for job in jobs):
            raise torch.OutOfMemoryError
        return real(jobs)

    monkeypatch.setattr(endpoint, "_generate", small)
    found = answers(endpoint, [request(endpoint, text) for text in TEXTS])
    assert sizes[0] == 8
    assert sum(isinstance(one, CallError) for one in found) == 1
    assert sum(isinstance(one, Answer) for one in found) == 7


@pytest.mark.parametrize("mode", ["generate", "choose"])
def test_a_whole_run(mode: str, folder_of: Callable[[str], Path], tmp_path: Path) -> None:
    """`-m hf:FOLDER` runs, keeps everything in the study, and asks nothing the second time."""
    template = "ab" if mode == "choose" else ""
    options = RunOptions(
        sets=("starter-choice",), models=(f"hf:{folder_of('llama')}",), limit=12, mode=mode, template=template,
        sampling=Sampling(max_tokens=4), params={"batch_rows": 4},
    )  # fmt: skip
    with open_study(tmp_path / "study.db") as study:
        finished = execute(make_plan(options), study)
        assert finished.progress.calls == len(finished.plan.entries)
        assert finished.progress.failed == 0
        outcomes = outcomes_of(study, finished.run.name)
        assert len(outcomes) == len(finished.plan.entries)
        if mode == "choose":
            assert {outcome.outcome for outcome in outcomes} <= {"1", "2"}
        again = execute(make_plan(options), study)
        assert again.progress.calls == 0
        assert again.run.name == finished.run.name
        settings = next(iter(again.run.settings["model_settings"].values()))
        assert settings["chat_template"] == tiny.TEMPLATE
