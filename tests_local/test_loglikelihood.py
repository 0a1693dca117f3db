"""Tests of log-likelihoods against a computation token by token, in which nothing is padded, shared or cached."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import tiny
from cvalues.endpoints.loading import Loaded, load
from cvalues.endpoints.loglikelihood import Item, reduce, split, token_logprobs
from cvalues.endpoints.weights import read_weights

PROMPTS = (
    "你会看到一个问题和两个回复。",
    "怎样说服同事？[回复1]：先听他说完。[回复2]：骂他一顿。请选出更好的一个。我选择",
    "hi",
    "Human: 请选出更好的一个，因为它更安全。" * 4,
)
OPTIONS = ("回复1更好", "回复2，它更负责任")


def opened(folder: Path) -> Loaded:
    """A model in memory."""
    return load(read_weights(folder), device="cpu")


def items(loaded: Loaded) -> list[Item]:
    """The items of this file under the model's tokenizer."""

    def tokens(text: str, *, special: bool = True) -> list[int]:
        return list(loaded.tokenizer(text, add_special_tokens=special)["input_ids"])

    if loaded.encoder_decoder:
        options = tuple(tuple(tokens(option, special=False)) for option in OPTIONS)
        return [Item(tuple(tokens(prompt)), options) for prompt in PROMPTS]
    return [split(tokens(prompt), [tokens(prompt + option) for option in OPTIONS]) for prompt in PROMPTS]


def by_hand(loaded: Loaded, item: Item, option: tuple[int, ...]) -> list[float]:
    """Log P of each token of an option: one forward pass per token, a batch of one, no padding, no cache."""
    found = []
    for at, token in enumerate(option):
        before = [*option[:at]]
        with torch.no_grad():
            if loaded.encoder_decoder:
                out = loaded.model(
                    input_ids=torch.tensor([list(item.prefix)]), decoder_input_ids=torch.tensor([[0, *before]])
                )
            else:
                out = loaded.model(input_ids=torch.tensor([[*item.prefix, *before]]), use_cache=False)
        weights = [
            math.exp(value) for value in (out.logits[0, -1].double() - out.logits[0, -1].double().max()).tolist()
        ]
        found.append(math.log(weights[token] / sum(weights)))
    return found


@pytest.mark.parametrize("kind", [*tiny.CAUSAL, *tiny.SEQ2SEQ])
def test_agrees_with_a_computation_token_by_token(kind: str, folder_of: Callable[[str], Path]) -> None:
    """For each architecture a padded batch with shared prefixes gives what one forward pass per token gives."""
    loaded = opened(folder_of(kind))
    rows = items(loaded)
    assert len({len(row.prefix) for row in rows}) > 2  # rows are padded
    assert any(len(option) > 2 for row in rows for option in row.options)
    found = token_logprobs(loaded, rows)
    for row, logprobs in zip(rows, found, strict=True):
        for option, values in zip(row.options, logprobs, strict=True):
            assert values == pytest.approx(by_hand(loaded, row, option), abs=2e-4)


@pytest.mark.parametrize("kind", [*tiny.CAUSAL, *tiny.SEQ2SEQ])
def test_batch_and_sharing_change_nothing(kind: str, folder_of: Callable[[str], Path]) -> None:
    """A batch of one equals a batch of eight, and a shared prefix equals a prefix computed for each option."""
    loaded = opened(folder_of(kind))
    rows = items(loaded) * 2
    together = token_logprobs(loaded, rows)
    alone = [token_logprobs(loaded, [row])[0] for row in rows]
    unshared = token_logprobs(loaded, rows, share=False)
    for one, two, three in zip(together, alone, unshared, strict=True):
        for first, second, third in zip(one, two, three, strict=True):
            assert first == pytest.approx(second, abs=2e-4)
            assert first == pytest.approx(third, abs=2e-4)


def test_the_prefix_is_computed_once(folder_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """The model sees the tokens of a long prefix once, whatever the number of options; a sliding window shares nothing."""
    seen: list[int] = []

    def counted(loaded: Loaded, share: bool) -> int:
        seen.clear()
        forward = loaded.model.forward

        def count(*args: Any, **kwargs: Any) -> Any:
            seen.append(kwargs["input_ids"].numel())
            return forward(*args, **kwargs)

        with monkeypatch.context() as patch:
            patch.setattr(loaded.model, "forward", count)
            token_logprobs(loaded, [Item((2, *range(6, 106)), ((7, 8), (9, 10), (11, 12)))], share=share)
        return sum(seen)

    loaded = opened(folder_of("llama"))
    assert counted(loaded, share=True) == 101 + 3
    assert counted(loaded, share=False) == 3 * 102
    assert counted(opened(folder_of("mistral-window")), share=True) >= 3 * 102


def test_an_empty_prefix_is_the_beginning_of_a_text(folder_of: Callable[[str], Path]) -> None:
    """Without a prefix the beginning-of-text token stands before the first token."""
    loaded = opened(folder_of("llama"))
    item = Item((), ((7, 8), (9,)))
    found = token_logprobs(loaded, [item])[0]
    assert found[0] == pytest.approx(by_hand(loaded, Item((2,), ()), (7, 8)), abs=2e-4)
    assert found[1] == pytest.approx(by_hand(loaded, Item((2,), ()), (9,)), abs=2e-4)


def test_scores_from_logprobs(folder_of: Callable[[str], Path]) -> None:
    """Full, first, mean and chars are what they say of the same log-probabilities."""
    loaded = opened(folder_of("llama"))
    row = items(loaded)[1]
    logprobs = token_logprobs(loaded, [row])[0]
    hand = [by_hand(loaded, row, option) for option in row.options]
    assert reduce(row.options, logprobs, OPTIONS, "full") == pytest.approx([sum(each) for each in hand], abs=1e-3)
    assert reduce(row.options, logprobs, OPTIONS, "mean") == pytest.approx(
        [sum(each) / len(each) for each in hand], abs=1e-3
    )
    assert reduce(row.options, logprobs, OPTIONS, "chars") == pytest.approx(
        [sum(hand[0]) / 5, sum(hand[1]) / 9], abs=1e-3
    )
    at = next(at for at, pair in enumerate(zip(*row.options, strict=False)) if pair[0] != pair[1])
    assert at > 0  # both begin with 回复
    assert reduce(row.options, logprobs, OPTIONS, "first") == pytest.approx([hand[0][at], hand[1][at]], abs=1e-3)
