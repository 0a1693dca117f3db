"""Items per second of local weights (`hf:`), the share of the memory bandwidth that writing uses, and lm-evaluation-harness beside it.

    python benchmarks/local_weights.py                                  a tiny random model, on what is there
    python benchmarks/local_weights.py --shape 7b --dtype bfloat16      a randomly initialised model of LLaMA-7B's shape (one GPU, 16 GiB)
    python benchmarks/local_weights.py --peer lm_eval                   the same items through lm-evaluation-harness, in the same process

Nothing is downloaded: weights are random, the tokenizer is trained here on the starter set. Needs torch, transformers and this package on
the path. Bandwidth: a step of decoding reads every weight once, so bytes of weights x steps / seconds is what writing reads at least;
the peak is measured in the same run by copying 1 GiB (read and written), or given by --peak.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from cvalues.choice.ask import ask
from cvalues.datasets import load
from cvalues.endpoints.loading import Loaded, describe
from cvalues.endpoints.loglikelihood import token_logprobs
from cvalues.endpoints.transformers_local import LocalWeights
from cvalues.endpoints.weights import read_weights
from cvalues.schema import Choice, Request, Sampling

SHAPES: dict[str, dict[str, int]] = {
    "tiny": {"hidden_size": 64, "intermediate_size": 172, "num_hidden_layers": 4, "num_attention_heads": 4},
    "small": {"hidden_size": 512, "intermediate_size": 1376, "num_hidden_layers": 8, "num_attention_heads": 8},
    "1b": {"hidden_size": 2048, "intermediate_size": 5504, "num_hidden_layers": 22, "num_attention_heads": 16},
    "7b": {"hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32, "num_attention_heads": 32},
}
TEMPLATE = "{% for m in messages %}[{{ m.role }}]\n{{ m.content }}\n{% endfor %}[assistant]\n"


def folder(path: Path, shape: str) -> Path:
    """Writes configuration and tokenizer (no weights) of a model of this shape."""
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    texts = [reply.text for item in load("starter-choice") if isinstance(item, Choice) for reply in item.replies]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=12_000, special_tokens=["<pad>", "</s>"], initial_alphabet=alphabet, show_progress=False
    )
    raw.train_from_iterator(texts, trainer)
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=raw, pad_token="<pad>", eos_token="</s>")  # noqa: S106
    fast.chat_template = TEMPLATE
    fast.save_pretrained(path)
    config = transformers.LlamaConfig(
        **SHAPES[shape], vocab_size=32_000, max_position_embeddings=4096, pad_token_id=0, eos_token_id=1, bos_token_id=1
    )
    config.save_pretrained(path)
    return path


def random_model(path: Path, device: str, dtype: str) -> Loaded:
    """A model with random weights, made on the device."""
    config = transformers.AutoConfig.from_pretrained(path)
    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(getattr(torch, dtype))
    with torch.device(device):
        model = transformers.LlamaForCausalLM(config).eval()
    torch.set_default_dtype(before)
    tokenizer = transformers.AutoTokenizer.from_pretrained(path)
    return describe(model, tokenizer, read_weights(path))


def requests(endpoint: LocalWeights, count: int, mode: str, template: str, tokens: int) -> list[Request]:
    """The first items of the starter set as requests; repeated with another sample number where there are too few."""
    choices = [item for item in load("starter-choice") if isinstance(item, Choice)]
    asked = [entry for _, entry in ask(choices[:count], template)]
    found = []
    for number in range(count):
        one = asked[number % len(asked)]
        found.append(
            Request(
                mode=mode, model=endpoint.name, messages=one.messages, question=one.question,  # type: ignore[arg-type]
                options=one.options if mode == "choose" else (), sample=number // len(asked),
                sampling=Sampling(max_tokens=tokens) if mode == "generate" else Sampling(),
            )
        )  # fmt: skip
    return found


def seconds(work: Callable[[], Any], device: str) -> float:
    """Wall time of a call, with everything on the device done."""
    wait = torch.cuda.synchronize if device.startswith("cuda") else (lambda: None)
    wait()
    began = time.perf_counter()
    work()
    wait()
    return time.perf_counter() - began


def through(endpoint: LocalWeights, asked: list[Request]) -> list[Any]:
    """All requests through the endpoint, as the runner asks them."""

    async def go() -> list[Any]:
        return await asyncio.gather(*(endpoint.ask(one) for one in asked))

    return asyncio.run(go_and_close(endpoint, go))


async def go_and_close(endpoint: LocalWeights, go: Callable[[], Any]) -> Any:
    """Answers, and the endpoint's thread ended but its model kept."""
    loaded = endpoint.loaded
    try:
        return await go()
    finally:
        await endpoint.close()
        endpoint.use(loaded)


def copied(device: str) -> float:
    """Bytes per second of copying 1 GiB on the device, read and write counted; the best of several."""
    source = torch.empty(1 << 30 if device.startswith("cuda") else 1 << 28, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    best = min(seconds(lambda: target.copy_(source), device) for _ in range(8))
    return 2 * source.numel() / best


def writing(endpoint: LocalWeights, rows: int, tokens: int, device: str, peak: float) -> dict[str, Any]:
    """Speed of writing `tokens` tokens in a batch of `rows`, prompt of 32 tokens: decoding alone."""
    from cvalues.endpoints.generating import Row, write

    loaded = endpoint.loaded
    prompt = [Row(tuple(range(2, 34)), tokens, str(number)) for number in range(rows)]
    # No end token: random weights would stop by chance.
    open_end = Loaded(**{**{name: getattr(loaded, name) for name in loaded.__dataclass_fields__}, "ends": ()})
    short = [row._replace(most=2) for row in prompt]
    write(open_end, short, Sampling(), {})
    start = seconds(lambda: write(open_end, short, Sampling(), {}), device)
    whole = seconds(lambda: write(open_end, prompt, Sampling(), {}), device)
    steps = tokens - 2
    size = sum(parameter.numel() * parameter.element_size() for parameter in loaded.model.parameters())
    size -= (
        loaded.model.get_input_embeddings().weight.numel() * loaded.model.get_input_embeddings().weight.element_size()
    )
    used = size * steps / (whole - start)
    return {
        "rows": rows, "tokens_per_second": rows * steps / (whole - start), "milliseconds_per_step": 1000 * (whole - start) / steps,
        "bytes_per_second": used, "share_of_peak": used / peak,
    }  # fmt: skip


def peer(endpoint: LocalWeights, asked: list[Request], rows: int, device: str) -> dict[str, Any]:
    """The options of the same items through lm-evaluation-harness, and how far its log-likelihoods are from ours."""
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    loaded = endpoint.loaded
    harness = HFLM(
        pretrained=loaded.model, tokenizer=loaded.tokenizer, batch_size=rows, device=device, add_bos_token=False
    )
    pairs = [(endpoint.render(one.messages), option.label) for one in asked for option in one.options]
    instances = [Instance("loglikelihood", {}, pair, number) for number, pair in enumerate(pairs)]
    harness.loglikelihood(instances[: 2 * rows], disable_tqdm=True)
    found: list[Any] = []
    took = seconds(lambda: found.extend(harness.loglikelihood(instances, disable_tqdm=True)), device)
    theirs = [value for value, _ in found]
    ours = [value for answer in through(endpoint, asked) for value in answer.option_scores.values()]
    apart = max(abs(one - two) for one, two in zip(ours, theirs, strict=True))
    return {"items_per_second": len(asked) / took, "largest_difference": apart}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="tiny")
    parser.add_argument("--items", type=int, default=128)
    parser.add_argument("--rows", type=int, default=32)
    parser.add_argument("--batch-tokens", type=int, default=65536)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--device", default="cuda:0" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--peak", type=float, help="peak bandwidth of the device in GB/s; measured when not given")
    parser.add_argument("--peer", choices=["lm_eval"])
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    transformers.utils.logging.set_verbosity_error()
    with tempfile.TemporaryDirectory() as name:
        path = folder(Path(name), given.shape)
        params = {"batch_rows": given.rows, "batch_tokens": given.batch_tokens}
        endpoint = LocalWeights("random", path, params=params)
        loaded = random_model(path, given.device, given.dtype)
        endpoint.use(loaded)
        result = measure(endpoint, given)
    print(json.dumps(result, indent=2))
    if given.json:
        given.json.write_text(json.dumps(result, indent=2), encoding="utf-8")


def measure(endpoint: LocalWeights, given: argparse.Namespace) -> dict[str, Any]:
    """All figures of one run."""
    device, count = given.device, given.items
    peak = given.peak * 1e9 if given.peak else copied(device)
    name = torch.cuda.get_device_name() if device.startswith("cuda") else f"CPU, {torch.get_num_threads()} threads"
    size = sum(parameter.numel() for parameter in endpoint.loaded.model.parameters())
    result: dict[str, Any] = {
        "device": name, "torch": torch.__version__, "transformers": transformers.__version__, "shape": given.shape,
        "parameters": size, "dtype": given.dtype, "items": count, "rows": given.rows, "peak_bytes_per_second": peak,
    }  # fmt: skip
    for label, template in (("A/B", "ab"), ("回复1/回复2", "public")):
        asked = requests(endpoint, count, "choose", template, given.tokens)
        through(endpoint, asked[: given.rows])
        took = seconds(lambda asked=asked: through(endpoint, asked), device)
        items = [endpoint._item(one) for one in asked]  # noqa: SLF001 -- the same items for the unshared pass
        alone = seconds(lambda items=items: batches(endpoint, items, given.rows, share=False), device)
        together = seconds(lambda items=items: batches(endpoint, items, given.rows, share=True), device)
        tokens = sum(len(item.prefix) for item in items)
        entry = {
            "items_per_second": count / took, "prompt_tokens": tokens / count, "speedup_of_sharing": alone / together,
            "teraflops": 2 * size * tokens / took / 1e12,
        }  # fmt: skip
        if given.peer:
            entry["lm_eval"] = peer(endpoint, asked, given.rows, device)
            entry["ours_to_lm_eval"] = entry["items_per_second"] / entry["lm_eval"]["items_per_second"]
        result[f"choose {label}"] = entry
    replies = LocalWeights("random", Path(endpoint.weights.path), params={
        **msgspec.to_builtins(endpoint.settings), "continuation": "reply",
    })  # fmt: skip
    replies.use(endpoint.loaded)
    asked = requests(replies, count, "choose", "public", given.tokens)
    result["choose replies"] = {"items_per_second": count / seconds(lambda: through(replies, asked), device)}
    asked = requests(endpoint, count, "generate", "public", given.tokens)
    took = seconds(lambda: through(endpoint, asked), device)
    result["generate"] = {"items_per_second": count / took, "tokens": given.tokens}
    result["decode"] = [writing(endpoint, rows, given.tokens, device, peak) for rows in (1, given.rows)]
    return result


def batches(endpoint: LocalWeights, items: list[Any], rows: int, *, share: bool) -> None:
    """Scores items in batches of similar length."""
    ordered = sorted(items, key=lambda item: -item.width)
    for start in range(0, len(ordered), rows):
        token_logprobs(endpoint.loaded, ordered[start : start + rows], share=share)


if __name__ == "__main__":
    main()
