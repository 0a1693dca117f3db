"""Reward models of transformers in a folder, answered in this process in batches (extra `hf`): `reward:FOLDER`.

A folder is a sequence classifier in the layout of transformers: one that `cvalues pairs train --model` wrote, or any other. Its one
logit is the score of a reply; of several the logarithm of the last class's probability is. Prompt and reply go through the tokenizer's
chat template where it has one, else through `reward.TEXT` with an end token; `encode` does it for training and scoring alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cvalues.endpoints.base import Answer, Limits, LocalEndpoint
from cvalues.endpoints.batching import Batcher, Job, Result
from cvalues.endpoints.reward import MODES, TEXT, answer
from cvalues.endpoints.weights import Weights, read_weights
from cvalues.errors import CallError, MissingExtra
from cvalues.schema import Request

ROWS = 64
"""Most requests of a batch."""
TOKENS = 32_768
"""Most tokens of a batch, padding included."""


def encode(tokenizer: Any, prompt: str, reply: str) -> list[int]:
    """Returns the tokens of a prompt with its reply, as a reward model of this package sees them in training and in use."""
    if tokenizer.chat_template:
        said = [{"role": "user", "content": prompt}, {"role": "assistant", "content": reply}]
        text = tokenizer.apply_chat_template(said, tokenize=False)
        return list(tokenizer(text, add_special_tokens=False)["input_ids"])
    text = TEXT.replace("{prompt}", prompt, 1).replace("{reply}", reply, 1)
    tokens = list(tokenizer(text)["input_ids"])
    end = tokenizer.eos_token_id
    return tokens if end is None or (tokens and tokens[-1] == end) else [*tokens, end]


def load_classifier(weights: Weights) -> tuple[Any, Any]:
    """Returns (model, tokenizer) of a folder, on the first GPU where there is one; nothing is downloaded.

    Raises:
        CallError: `rejected` when an extra is missing or the folder holds no sequence classifier.
    """
    try:
        import torch
        import transformers
    except ImportError as error:
        raise CallError("rejected", str(MissingExtra(str(error.name), "hf")), transient=False) from error
    transformers.utils.logging.disable_progress_bar()
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(weights.path, local_files_only=True)
        model = transformers.AutoModelForSequenceClassification.from_pretrained(weights.path, local_files_only=True)
    except (OSError, ValueError, KeyError, AttributeError, ImportError, RuntimeError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise CallError("rejected", f"'{weights.path}' cannot be loaded ({reason})", transient=False) from error
    if model.config.get_text_config().pad_token_id is None:
        model.config.get_text_config().pad_token_id = pad_of(tokenizer)
    device = "cuda:0" if torch.cuda.is_available() else "cpu"
    return model.to(device).eval(), tokenizer


def pad_of(tokenizer: Any) -> int:
    """Returns the token that fills the rows of a batch: the tokenizer's own, else its end token, else the first."""
    known = (tokenizer.pad_token_id, tokenizer.eos_token_id)
    return int(next((token for token in known if token is not None), 0))


class SequenceRewardEndpoint(LocalEndpoint):
    """A sequence classifier in a folder. Plans from the folder's small files; the model is loaded when the first request comes."""

    modes = MODES
    limits = Limits(max_concurrency=256, attempts=1)

    def __init__(self, name: str, path: Path) -> None:
        """Reads the configuration; raises UsageError when the path is no folder of weights, ConfigError when a file is broken."""
        self.weights = read_weights(path)
        super().__init__(name, self.weights.revision)
        self._loaded: tuple[Any, Any] | None = None
        self._batcher = Batcher(self._prepare, self._work, ROWS, TOKENS)

    async def ask(self, request: Request) -> Answer:
        """Returns the better option with the score of each; raises CallError when there is no score.

        A reply that is longer with its prompt than the model takes is `too_large` and is never cut.
        """
        return await self._batcher.ask(request)

    async def close(self) -> None:
        """Waits for the batch at work and frees the memory of the model."""
        await self._batcher.close()
        self._loaded = None

    def _model(self) -> tuple[Any, Any]:
        if self._loaded is None:
            self._loaded = load_classifier(self.weights)
        return self._loaded

    def _prepare(self, requests: Sequence[Request]) -> list[Job | Answer | CallError]:
        return [self._job(request) for request in requests]

    def _job(self, request: Request) -> Job | CallError:
        if not request.options:
            return CallError("rejected", f"{self.name} scores replies and cannot write one", transient=False)
        try:
            _, tokenizer = self._model()
        except CallError as error:
            return error
        rows = [encode(tokenizer, request.question, option.text) for option in request.options]
        longest = max(len(row) for row in rows)
        limit = self.weights.context
        if limit is not None and longest > limit:
            detail = f"a reply with its prompt has {longest} tokens, {self.name} takes {limit}"
            return CallError("too_large", detail, transient=False)
        return Job(request, None, longest * len(rows), rows)

    def _work(self, jobs: Sequence[Job]) -> list[Result]:
        model, tokenizer = self._model()
        scores = classify(model, pad_of(tokenizer), [row for job in jobs for row in job.payload])
        results: list[Result] = []
        at = 0
        for job in jobs:
            own = scores[at : at + len(job.payload)]
            at += len(own)
            results.append(answer(job.request.options, own, self.name))
        return results


def classify(model: Any, pad: int, rows: Sequence[Sequence[int]]) -> list[float]:
    """Returns the score of each row of tokens: the logit, or of several classes the log-probability of the last."""
    import torch

    width = max(len(row) for row in rows)
    tokens = torch.tensor([[*row, *[pad] * (width - len(row))] for row in rows], device=model.device)
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows], device=model.device)
    with torch.inference_mode():
        logits = model(input_ids=tokens, attention_mask=mask).logits.float()
    scores = logits[:, 0] if logits.shape[-1] == 1 else torch.log_softmax(logits, -1)[:, -1]
    return [float(score) for score in scores]
