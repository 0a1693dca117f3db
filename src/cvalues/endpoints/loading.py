"""Weights of a folder → model and tokenizer in memory, and what the code around them needs to know of both."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

from cvalues.endpoints.weights import Weights
from cvalues.errors import CallError, MissingExtra


@dataclass(frozen=True)
class Loaded:
    """A model that is ready to answer."""

    model: Any
    tokenizer: Any
    device: Any
    encoder_decoder: bool
    pad: int
    start: int
    """First token of a decoder; for a causal model the token at the beginning of a text."""
    ends: tuple[int, ...]
    """Tokens that end a reply."""
    takes_positions: bool
    keeps_last: bool
    """Whether the model can leave out the logits of all but the last positions."""


def load(weights: Weights, *, dtype: str = "auto", device: str = "auto", trust_remote_code: bool = False) -> Loaded:
    """Returns the model of a folder in memory; nothing is downloaded.

    Args:
        weights: from `read_weights`.
        dtype: `auto` takes what the configuration says (else float32); or float32, bfloat16, float16.
        device: `auto` takes the first GPU there is; `spread` divides the layers over all GPUs; or cpu, cuda:1 and the like.
        trust_remote_code: run the Python code that lies beside the weights.

    Raises:
        CallError: `rejected` when an extra is missing or the folder cannot be loaded.
    """
    try:
        import torch
        import transformers
    except ImportError as error:
        raise CallError("rejected", str(MissingExtra(str(error.name), "hf")), transient=False) from error
    transformers.utils.logging.disable_progress_bar()  # the run shows its own progress
    place = _device(device)
    kind = transformers.AutoModelForSeq2SeqLM if weights.encoder_decoder else transformers.AutoModelForCausalLM
    named = "dtype" if int(transformers.__version__.partition(".")[0]) >= 5 else "torch_dtype"
    common = {"trust_remote_code": trust_remote_code, "local_files_only": True}
    where = {"device_map": "auto"} if device == "spread" else {}
    from pickle import UnpicklingError

    from safetensors import SafetensorError

    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(weights.path, **common)
        wanted = dtype if dtype == "auto" else getattr(torch, dtype)
        model = kind.from_pretrained(weights.path, **{named: wanted}, **where, **common)
        if not where:
            model = model.to(place)
    except (
        OSError, ValueError, KeyError, AttributeError, ImportError, RuntimeError, UnpicklingError, SafetensorError,
    ) as error:  # fmt: skip
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise CallError("rejected", f"'{weights.path}' cannot be loaded ({reason})", transient=False) from error
    model.eval()
    return describe(model, tokenizer, weights)


def _device(wanted: str) -> str:
    import torch

    if wanted not in {"auto", "spread"}:
        return wanted
    if torch.cuda.is_available():
        return "cuda:0"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def describe(model: Any, tokenizer: Any, weights: Weights) -> Loaded:
    """Returns a model in memory with what the code around it needs to know; its own sampling settings are set aside."""
    import transformers

    known = model.generation_config
    found = [tokenizer.eos_token_id, *_list(known.eos_token_id), *_list(getattr(model.config, "eos_token_id", None))]
    ends = tuple(dict.fromkeys(token for token in found if token is not None))
    pad = tokenizer.pad_token_id
    pad = next((token for token in (pad, *ends) if token is not None), 0)
    starts = (known.decoder_start_token_id, getattr(model.config, "decoder_start_token_id", None), pad)
    if not weights.encoder_decoder:
        starts = (tokenizer.bos_token_id, known.bos_token_id, *ends, 0)
    start = next(token for token in starts if token is not None)
    # The sampling settings that came with the weights would be mixed into ours; what is sent alone decides.
    model.generation_config = transformers.GenerationConfig(
        pad_token_id=pad, eos_token_id=list(ends) or None, bos_token_id=known.bos_token_id,
        decoder_start_token_id=start if weights.encoder_decoder else None,
    )  # fmt: skip
    takes = inspect.signature(model.forward).parameters
    return Loaded(
        model=model,
        tokenizer=tokenizer,
        device=model.device,
        encoder_decoder=weights.encoder_decoder,
        pad=pad,
        start=start,
        ends=ends,
        takes_positions="position_ids" in takes,
        keeps_last="logits_to_keep" in takes,
    )


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]
