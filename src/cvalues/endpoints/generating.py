"""Texts from local weights, in batches whose composition does not decide what is drawn.

Sampling draws one uniform number per token and row from a generator of the row's own seed and inverts the cumulative distribution, in
the order of the vocabulary. So a row draws the same numbers alone and in company, on a CPU and on a GPU. What a batch can still change
is the last bits of the logits: sums in floating point depend on shapes and kernels, and a draw next to an edge can tip over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from cvalues.endpoints.batching import Job
from cvalues.records import generator
from cvalues.schema import Finish, Sampling

if TYPE_CHECKING:
    import numpy as np

    from cvalues.endpoints.loading import Loaded

_TAIL = 8
"""Tokens beyond the characters of the longest stop string that are looked at for it; every token has a character, about."""


class Row(NamedTuple):
    """One prompt of a batch."""

    tokens: tuple[int, ...]
    most: int
    """Most tokens of the reply."""
    seed: str
    """What the row's random numbers are derived from."""


class Written(NamedTuple):
    """What came of a row."""

    text: str
    finish: Finish
    tokens: int


def samples(sampling: Sampling) -> bool:
    """Returns whether these settings draw at random; without temperature, top_p and top_k, and at temperature 0, they do not."""
    if sampling.temperature is not None:
        return sampling.temperature > 0
    return sampling.top_p is not None or sampling.top_k is not None


def rows_of(jobs: Sequence[Job]) -> list[Row]:
    """Returns the rows of jobs in order."""
    return [job.payload for job in jobs]


def write(loaded: Loaded, rows: Sequence[Row], sampling: Sampling, generation: dict[str, Any]) -> list[Written]:
    """Returns the reply to each row.

    Args:
        loaded: the model.
        rows: prompts of one batch.
        sampling: decoding of all rows but for seed and length.
        generation: further settings of `generate`, for example `num_beams`.
    """
    import torch
    from transformers import GenerationConfig, LogitsProcessorList, StoppingCriteriaList

    width = max(len(row.tokens) for row in rows)
    tokens = [[loaded.pad] * (width - len(row.tokens)) + list(row.tokens) for row in rows]
    mask = [[0] * (width - len(row.tokens)) + [1] * len(row.tokens) for row in rows]
    begin = 1 if loaded.encoder_decoder else width
    most = [row.most for row in rows]
    beams = int(generation.get("num_beams", 1))
    stopper = _Stopper(loaded, begin, most, sampling.stop, beams)
    settings = {"repetition_penalty": sampling.repetition_penalty, **generation}
    config = GenerationConfig(
        max_new_tokens=max(most), do_sample=False, pad_token_id=loaded.pad, eos_token_id=list(loaded.ends) or None,
        decoder_start_token_id=loaded.start if loaded.encoder_decoder else None,
        **{name: value for name, value in settings.items() if value is not None},
    )  # fmt: skip
    processors = LogitsProcessorList([_Sampler(rows, sampling, begin)] if samples(sampling) else [])
    with torch.inference_mode():
        out = loaded.model.generate(
            input_ids=torch.tensor(tokens, device=loaded.device),
            attention_mask=torch.tensor(mask, device=loaded.device),
            generation_config=config,
            logits_processor=processors,
            stopping_criteria=StoppingCriteriaList([stopper]),
        )
    return [_written(loaded, row[begin:].tolist(), sampling.stop, last) for row, last in zip(out, most, strict=True)]


def _written(loaded: Loaded, tokens: list[int], stops: Sequence[str], most: int) -> Written:
    """The reply in the tokens that a row got, up to its end token, its stop string or its length."""
    end = next((at for at, token in enumerate(tokens) if token in loaded.ends), None)
    tokens = tokens[: min(most, len(tokens) if end is None else end + 1)]
    finish: Finish = "length" if end is None or end >= most else "stop"
    text = loaded.tokenizer.decode(tokens, skip_special_tokens=True)
    whole = loaded.tokenizer.decode(tokens, skip_special_tokens=False)
    places = [place for stop in stops if (place := text.find(stop)) >= 0]
    if places:
        text = text[: min(places)]
    if any(stop in whole for stop in stops):
        finish = "stop"
    return Written(text, finish, len(tokens))


@dataclass
class _Stopper:
    """Ends a row at its own length or at a stop string; a stopping criterion of `generate`."""

    loaded: Loaded
    begin: int
    most: list[int]
    stops: tuple[str, ...]
    beams: int

    def __call__(self, input_ids: Any, scores: Any, **_more: Any) -> Any:
        import torch

        del scores
        count = input_ids.shape[1] - self.begin
        # Under beam search each prompt has as many rows as beams.
        each = input_ids.shape[0] // len(self.most)
        done = [count >= most for most in self.most for _ in range(each)]
        if self.stops and count > 0:
            window = min(count, max(map(len, self.stops)) + _TAIL)
            texts = self.loaded.tokenizer.batch_decode(input_ids[:, -window:], skip_special_tokens=False)
            done = [full or any(stop in text for stop in self.stops) for full, text in zip(done, texts, strict=True)]
        return torch.tensor(done, device=input_ids.device, dtype=torch.bool)


class _Sampler:
    """Draws each row's next token by the row's own random numbers; a logits processor that leaves the drawn token alone possible."""

    def __init__(self, rows: Sequence[Row], sampling: Sampling, begin: int) -> None:
        self.generators: list[np.random.Generator] = [generator("hf", row.seed) for row in rows]
        self.temperature = sampling.temperature or 1.0
        self.top_k = sampling.top_k or 0
        self.top_p = sampling.top_p if sampling.top_p is not None else 1.0
        self.begin = begin

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        import torch

        del input_ids
        logits = scores.float() / self.temperature
        if 0 < self.top_k < logits.shape[-1]:
            edge = logits.topk(self.top_k, dim=-1).values[:, -1:]
            logits = logits.masked_fill(logits < edge, float("-inf"))
        if self.top_p < 1.0:
            logits = _nucleus(logits, self.top_p)
        cumulated = torch.softmax(logits.double(), dim=-1).cumsum(-1)
        drawn = torch.tensor([each.random() for each in self.generators], device=logits.device, dtype=torch.float64)
        edges = drawn[:, None] * cumulated[:, -1:]
        token = torch.searchsorted(cumulated, edges, right=True).clamp(max=logits.shape[-1] - 1)
        return torch.full_like(scores, float("-inf")).scatter(1, token, 0.0)


def _nucleus(logits: Any, top_p: float) -> Any:
    """Keeps the likeliest tokens whose probabilities first reach `top_p` together; the likeliest always stays."""
    ordered, order = logits.sort(dim=-1, descending=True)
    before = ordered.softmax(dim=-1).cumsum(-1) - ordered.softmax(dim=-1)
    ordered = ordered.masked_fill(before >= top_p, float("-inf"))
    return ordered.scatter(1, order, ordered)
