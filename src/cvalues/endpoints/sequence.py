"""Reward models of transformers in a folder, answered in this process in batches (extra `hf`): `reward:FOLDER`.

A folder is a sequence classifier in the layout of transformers: one that `cvalues pairs train --model` wrote, or any other. Its one
logit is the score of a reply; of several the logarithm of the last class's probability is. Prompt and reply go through the tokenizer's
chat template where it has one, else through `reward.TEXT` with an end token; `encode` does it for training and scoring alike.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from cvalues.endpoints.base import Answer, Limits, LocalEndpoint
from cvalues.endpoints.batching import Batcher, Job, Result
from cvalues.endpoints.reward import MODES, TEXT, answer
from cvalues.endpoints.weights import Weights, read_weights
from cvalues.errors import CallError, DataError, MissingExtra
from cvalues.pairs.fitted import ARRAYS, Fitted, from_archive
from cvalues.records import open_bytes, write_atomically
from cvalues.schema import Request

ROWS = 64
"""Most requests of a batch."""
TOKENS = 32_768
"""Most tokens of a batch, padding included."""
CARD = "reward.json"
"""File of a folder that `cvalues pairs train --model` wrote: what it was fitted on, and the cuts between grades."""
FITTED = "fitted.npz"
"""File of such a folder with the hashes of the pairs that it was fitted on."""


class FolderCard(msgspec.Struct):
    """What an endpoint reads of the card of a folder; its other fields are left alone."""

    cuts: tuple[float, ...] = ()
    heldout: int = 0
    source: str = ""


def read_card(path: Path) -> FolderCard:
    """Returns the card of a folder of weights; an empty one where it has none, or one of another program.

    A file `reward.json` of another form is no fault: the folder may come from anywhere.
    """
    place = path / CARD
    if not place.is_file():
        return FolderCard()
    try:
        card = msgspec.json.decode(place.read_bytes(), type=FolderCard)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return FolderCard()
    return card if len(card.cuts) in {0, 2} else FolderCard(heldout=card.heldout, source=card.source)


def save_fitted(path: Path, fitted: Fitted) -> None:
    """Writes the hashes of what a model was fitted on to its folder."""
    body = io.BytesIO()
    np.savez_compressed(body, **fitted.arrays())
    write_atomically(path / FITTED, lambda file: file.write(body.getbuffer()))


def read_fitted(path: Path, card: FolderCard) -> Fitted | None:
    """Returns what the model of a folder was fitted on; None for a model that does not say.

    Raises:
        DataError: the file of its hashes is damaged.
    """
    place = path / FITTED
    if not place.is_file():
        return Fitted(*(np.zeros(0, dtype=np.uint64),) * 2, card.heldout, card.source) if card.heldout else None
    try:
        with open_bytes(place) as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in ARRAYS}
            return from_archive(arrays, heldout=card.heldout, source=card.source)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{place}: cannot be read ({error}); train the model again with  cvalues pairs train --model"
        ) from error


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
        """Reads the configuration; raises UsageError when it is no folder of weights, ConfigError or DataError when a file is broken."""
        self.weights = read_weights(path)
        card = read_card(path)
        self.cuts = card.cuts
        self.fitted = read_fitted(path, card)
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
