"""Log-likelihoods of the options of an item under local weights, the prefix of the item computed once for all of its options.

What counts is log P(option | prompt), token by token. Prompt and option are tokenised as one text, as they would stand; what all
options of an item (and the prompt alone) have in common is its prefix.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from cvalues.endpoints.loading import Loaded

Normalisation = Literal["full", "first", "mean", "chars"]


class Item(NamedTuple):
    """One prompt and its options as tokens."""

    prefix: tuple[int, ...]
    """What all options share; for an encoder–decoder model the input of the encoder."""
    options: tuple[tuple[int, ...], ...]
    """What follows for each option; at least one token each."""

    @property
    def width(self) -> int:
        """Tokens of the longest option with the prefix."""
        return len(self.prefix) + max(len(option) for option in self.options)


def split(prompt: Sequence[int], wholes: Sequence[Sequence[int]]) -> Item:
    """Returns the common prefix of a prompt and of the prompt with each option, and what is left of each option.

    A tokenizer may join the end of the prompt with the beginning of an option; then the prefix ends before the joint, for all options.
    At least one token is left of each option.
    """
    length = 0
    while length < min(len(prompt), *(len(whole) - 1 for whole in wholes)):
        if any(whole[length] != prompt[length] for whole in wholes):
            break
        length += 1
    return Item(tuple(wholes[0][:length]), tuple(tuple(whole[length:]) for whole in wholes))


def reduce(
    options: Sequence[Sequence[int]], logprobs: Sequence[Sequence[float]], texts: Sequence[str], how: Normalisation
) -> list[float] | None:
    """Returns the score of each option from the log-probabilities of its tokens.

    `full`: the sum. `mean`: the sum divided by the number of tokens. `chars`: the sum divided by the number of characters of the
    option's text (acc_norm of lm-evaluation-harness). `first`: the log-probability of the first token in which the options differ,
    after the tokens that they share.

    Returns:
        None for `first` where one option is the beginning of another, so that there is no such token.
    """
    if how == "full":
        return [sum(each) for each in logprobs]
    if how == "mean":
        return [sum(each) / len(each) for each in logprobs]
    if how == "chars":
        return [sum(each) / max(1, len(text)) for each, text in zip(logprobs, texts, strict=True)]
    shortest = min(len(option) for option in options)
    differ = next((at for at in range(shortest) if len({option[at] for option in options}) > 1), None)
    if differ is None:
        return None
    return [each[differ] for each in logprobs]


def token_logprobs(loaded: Loaded, items: Sequence[Item], *, share: bool = True) -> list[list[list[float]]]:
    """Returns log P(token | what stands before it) for each token of each option of each item, in their order.

    Args:
        loaded: the model.
        items: with the same number of options each.
        share: compute each prefix once for all options where the model's cache allows it; False computes every option alone.
    """
    import torch

    with torch.inference_mode():
        if loaded.encoder_decoder:
            return _decoder(loaded, items)
        found = _shared(loaded, items) if share else None
        return _alone(loaded, items) if found is None else found


def _left(loaded: Loaded, rows: Sequence[Sequence[int]]) -> tuple[Any, Any]:
    """Rows padded on the left as (tokens, mask)."""
    import torch

    width = max(len(row) for row in rows)
    tokens = [[loaded.pad] * (width - len(row)) + list(row) for row in rows]
    mask = [[0] * (width - len(row)) + [1] * len(row) for row in rows]
    return torch.tensor(tokens, device=loaded.device), torch.tensor(mask, device=loaded.device)


def _right(loaded: Loaded, rows: Sequence[Sequence[int]]) -> tuple[Any, Any]:
    """Rows padded on the right as (tokens, mask)."""
    import torch

    width = max(len(row) for row in rows)
    tokens = [list(row) + [loaded.pad] * (width - len(row)) for row in rows]
    mask = [[1] * len(row) + [0] * (width - len(row)) for row in rows]
    return torch.tensor(tokens, device=loaded.device), torch.tensor(mask, device=loaded.device)


def _positions(loaded: Loaded, mask: Any, width: int) -> dict[str, Any]:
    """Positions that count real tokens alone, of the last `width` columns; empty where the model finds them by itself."""
    if not loaded.takes_positions:
        return {}
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    return {"position_ids": positions[:, -width:]}


def _gather(logits: Any, tokens: Sequence[Sequence[int]]) -> list[list[float]]:
    """For row i, the log-probabilities of tokens[i][j] by logits[i, j]; one row at a time to keep the float32 copy small."""
    import torch

    found: list[list[float]] = []
    for row, wanted in zip(logits, tokens, strict=True):
        if not wanted:
            found.append([])
            continue
        chosen = torch.tensor(list(wanted), device=row.device)[:, None]
        values = torch.log_softmax(row[: len(wanted)].float(), dim=-1).gather(1, chosen)
        found.append([float(value) for value in values[:, 0].tolist()])
    return found


def _shared(loaded: Loaded, items: Sequence[Item]) -> list[list[list[float]]] | None:
    """The prefix once, then each option on its cache; None where the cache cannot be cut back to the prefix."""
    tokens, mask = _left(loaded, [item.prefix for item in items])
    width = tokens.shape[1]
    if width == 0 or any(not item.prefix for item in items):
        return None
    keep = {"logits_to_keep": 1} if loaded.keeps_last else {}
    out = loaded.model(input_ids=tokens, attention_mask=mask, use_cache=True, **_positions(loaded, mask, width), **keep)
    cache = out.past_key_values
    if not _can_crop(cache):
        return None
    last = out.logits[:, -1:]
    found: list[list[list[float]]] = [[] for _ in items]
    for number in range(len(items[0].options)):
        options = [item.options[number] for item in items]
        firsts = _gather(last, [option[:1] for option in options])
        rests: list[list[float]] = [[] for _ in items]
        if any(len(option) > 1 for option in options):
            more, more_mask = _right(loaded, [option[:-1] for option in options])
            import torch

            whole = torch.cat([mask, more_mask], dim=1)
            out = loaded.model(
                input_ids=more,
                attention_mask=whole,
                past_key_values=cache,
                use_cache=True,
                **_positions(loaded, whole, more.shape[1]),
            )
            rests = _gather(out.logits, [option[1:] for option in options])
            cache.crop(-more.shape[1])
        for at, (first, rest) in enumerate(zip(firsts, rests, strict=True)):
            found[at].append(first + rest)
    return found


def _can_crop(cache: Any) -> bool:
    """True for a cache that grows and can be cut: every layer keeps all positions (no sliding window, no state)."""
    layers = getattr(cache, "layers", None)
    if not hasattr(cache, "crop") or layers is None:
        return False
    return all(type(layer).__name__ == "DynamicLayer" for layer in layers)


def _alone(loaded: Loaded, items: Sequence[Item]) -> list[list[list[float]]]:
    """Every option with its own copy of the prefix, option number by option number."""
    found: list[list[list[float]]] = [[] for _ in items]
    for number in range(len(items[0].options)):
        options = [item.options[number] for item in items]
        # Without a prefix the first token has no condition: the end token stands before it, as at the beginning of a text.
        heads = [item.prefix or (loaded.start,) for item in items]
        tokens, mask = _left(loaded, [(*head, *option[:-1]) for head, option in zip(heads, options, strict=True)])
        longest = max(len(option) for option in options)
        keep = {"logits_to_keep": longest} if loaded.keeps_last else {}
        out = loaded.model(
            input_ids=tokens, attention_mask=mask, use_cache=False, **_positions(loaded, mask, tokens.shape[1]), **keep
        )
        for at, option in enumerate(options):
            found[at] += _gather(out.logits[at : at + 1, -len(option) :], [option])
    return found


def _decoder(loaded: Loaded, items: Sequence[Item]) -> list[list[list[float]]]:
    """The encoder once for all options, then the decoder on each."""
    tokens, mask = _left(loaded, [item.prefix for item in items])
    encoded = loaded.model.get_encoder()(input_ids=tokens, attention_mask=mask)
    found: list[list[list[float]]] = [[] for _ in items]
    for number in range(len(items[0].options)):
        options = [item.options[number] for item in items]
        given, _ = _right(loaded, [(loaded.start, *option[:-1]) for option in options])
        out = loaded.model(encoder_outputs=encoded, attention_mask=mask, decoder_input_ids=given, use_cache=False)
        for at, row in enumerate(_gather(out.logits, options)):
            found[at].append(row)
    return found
