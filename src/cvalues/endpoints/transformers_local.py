"""`hf:PATH`: weights in a folder, answered in this process in batches (extra `hf`).

Mode `generate` writes; mode `choose` scores the labels of the options, or the replies themselves, by their log-likelihood. Identity:
the revision is the hash of the folder's files; what else shapes answers (prompt format or chat template, dtype, how options are scored)
joins `extra` of each request. Device and batch size do not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date as calendar_date
from pathlib import Path
from typing import Any, Literal

import msgspec

from cvalues.endpoints import chat_template
from cvalues.endpoints.base import Answer, Limits, LocalEndpoint
from cvalues.endpoints.batching import Batcher, Job, Result
from cvalues.endpoints.generating import Row, rows_of, samples, write
from cvalues.endpoints.loading import Loaded, load
from cvalues.endpoints.loglikelihood import Item, Normalisation, reduce, split, token_logprobs
from cvalues.endpoints.presets import Preset, Shaping, preset
from cvalues.endpoints.weights import Weights, read_weights
from cvalues.errors import CallError, ConfigError, UsageError
from cvalues.records import clean, content_hash
from cvalues.schema import Message, Mode, Record, Request, Sampling
from cvalues.text import split_reasoning

REPLY_TOKENS = 512
"""Most tokens of a reply where neither the run nor the preset says it."""
_DATE_CALL = "strftime_now"


class LocalSettings(Record, frozen=True, kw_only=True):
    """Settings of local weights: `params` of models.toml, or `--param key=value`."""

    score: Normalisation = "full"
    """How a choice is scored: `full`, `first` (first token that differs), `mean` (per token) or `chars` (per character)."""
    continuation: Literal["label", "reply"] = "label"
    """What is scored: the label of each option after the item, or each reply after the bare question."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """`auto` is what the configuration of the weights says."""
    template: dict[str, Any] = {}
    """Options of the chat template, for example `enable_thinking`."""
    date: str = "2024-07-26"
    """The date that a chat template sees which asks for one."""
    device: str = "auto"
    """`auto` (the first GPU there is), `cpu`, `cuda:1`, or `spread` over all GPUs; no part of a request's identity."""
    batch_rows: int = 64
    """Most rows of a batch; no part of a request's identity."""
    batch_tokens: int = 16384
    """Most tokens of a batch, padding and replies included; no part of a request's identity."""
    trust_remote_code: bool = False
    """Run the Python code that lies beside the weights."""


def settings_of(params: dict[str, Any], model: str, kind: type[LocalSettings] = LocalSettings) -> LocalSettings:
    """Returns the settings in `params`; raises ConfigError with the field when one is unknown or of another type."""
    try:
        settings = msgspec.convert(params, kind)
        calendar_date.fromisoformat(settings.date)
    except (msgspec.ValidationError, ValueError) as error:
        raise ConfigError(f"model '{model}': {error}; see docs/local-weights.md for the settings of hf:") from error
    return settings


class LocalWeights(LocalEndpoint):
    """Weights in a folder. Plans from the folder's small files; the model is loaded when the first request comes."""

    modes: frozenset[Mode] = frozenset({"generate", "choose"})
    settings_type: type[LocalSettings] = LocalSettings

    def __init__(self, name: str, path: Path, *, params: dict[str, Any] | None = None, preset_name: str = "") -> None:
        """Reads configuration and chat template.

        Raises:
            UsageError: the path is no folder of weights, or it has neither a chat template nor a preset with a format.
            ConfigError: a setting or a file of the folder is not valid.
        """
        self.settings = settings_of(params or {}, name, self.settings_type)
        self.weights: Weights = read_weights(path)
        super().__init__(name, self.weights.revision)
        # Many more than a batch holds, from the beginning, so that batches are full and their rows of one length.
        most = max(256, 8 * self.settings.batch_rows)
        self.limits = Limits(max_concurrency=most, start=most, attempts=1)
        self.preset: Preset | None = preset(preset_name) if preset_name else None
        self._format = self.preset.format if self.preset else None
        if self._format is None and not self.weights.chat_template:
            raise UsageError(
                f"'{path}' has no chat template; name its prompt format with preset = … in models.toml, plain for a base model "
                "(cvalues models list)"
            )
        self.shaping = self._shape(preset_name)
        self._loaded: Loaded | None = None
        self._batcher = Batcher(self._prepare, self._work, self.settings.batch_rows, self.settings.batch_tokens)

    def _shape(self, preset_name: str) -> Shaping:
        settings = self.settings
        if self._format is not None:
            own: dict[str, Any] = {"format": self._format.id}
            described: dict[str, Any] = {"preset": preset_name, "format": msgspec.to_builtins(self._format)}
        else:
            own = {"chat_template": content_hash(self.weights.chat_template)}
            described = {"preset": preset_name, "chat_template": self.weights.chat_template}
            if settings.template:
                own["template"] = settings.template
            if _DATE_CALL in self.weights.chat_template:
                own["date"] = settings.date
        if settings.dtype != "auto":
            own["dtype"] = settings.dtype
        generation = self.preset.generation if self.preset else {}
        sampling = self.preset.defaults if self.preset else Sampling()
        return Shaping(
            sampling=msgspec.structs.replace(sampling, max_tokens=sampling.max_tokens or REPLY_TOKENS),
            generate={**own, **({"generation": generation} if generation else {})},
            choose={**own, "score": settings.score, "continuation": settings.continuation},
            described={key: value for key, value in described.items() if value},
        )

    async def ask(self, request: Request) -> Answer:
        """Returns the answer; an item that is longer than the model takes is `length` with no text and is never cut.

        Raises:
            CallError: `rejected` when the weights cannot be loaded or asked this.
        """
        return await self._batcher.ask(request)

    async def close(self) -> None:
        """Waits for the batch at work and frees the memory of the model."""
        await self._batcher.close()
        self._loaded = None

    def use(self, loaded: Loaded) -> None:
        """Takes a model that is in memory already, in the place of the folder's weights."""
        self._loaded = loaded

    # --- in the worker thread ---------------------------------------------------------------------------------------------

    @property
    def loaded(self) -> Loaded:
        """The model in memory, loaded when first needed; raises CallError when it cannot be."""
        if self._loaded is None:
            settings = self.settings
            self._loaded = load(
                self.weights,
                dtype=settings.dtype,
                device=settings.device,
                trust_remote_code=settings.trust_remote_code,
            )
        return self._loaded

    def render(self, messages: Sequence[Message]) -> str:
        """Returns the prompt text of messages, by the preset's format or the chat template.

        Raises:
            CallError: `rejected` when the chat template refuses the messages.
        """
        if self._format is not None:
            return self._format.render(messages)
        return chat_template.render(
            self.weights.chat_template,
            messages,
            tokens=self.weights.special_tokens,
            day=calendar_date.fromisoformat(self.settings.date),
            options=self.settings.template,
        )

    def tokens(self, text: str) -> list[int]:
        """Returns the tokens of a prompt text; a chat template writes its special tokens itself."""
        special = self._format is not None
        return list(self.loaded.tokenizer(text, add_special_tokens=special)["input_ids"])

    @property
    def limit(self) -> int | None:
        """Most tokens of a prompt with its reply, or of what the encoder takes; None where nothing says it."""
        if self.weights.encoder_decoder:
            return self.preset.encoder if self.preset else None
        known = [value for value in (self.preset.context if self.preset else None, self.weights.context) if value]
        return min(known) if known else None

    def _prepare(self, requests: Sequence[Request]) -> list[Job | Answer | CallError]:
        ready: list[Job | Answer | CallError] = []
        for request in requests:
            try:
                ready.append(self._choice(request) if request.mode == "choose" else self._text(request))
            except CallError as error:
                ready.append(error)
            except UsageError as error:
                ready.append(CallError("rejected", str(error), transient=False))
        return ready

    def _text(self, request: Request) -> Job | Answer:
        sampling = request.sampling
        self._check(sampling)
        tokens = self.tokens(self.render(request.messages))
        most = sampling.max_tokens or REPLY_TOKENS
        limit = self.limit
        if limit is not None and self.weights.encoder_decoder and len(tokens) > limit:
            return _too_long(len(tokens), self.name)
        if limit is not None and not self.weights.encoder_decoder:
            if len(tokens) >= limit:
                return _too_long(len(tokens), self.name)
            most = min(most, limit - len(tokens))
        shared = msgspec.structs.replace(sampling, seed=None, max_tokens=None)
        row = Row(tuple(tokens), most, request.id)
        return Job(request, ("generate", shared), len(tokens) + most, row)

    def _check(self, sampling: Sampling) -> None:
        if sampling.frequency_penalty or sampling.presence_penalty:
            raise CallError(
                "rejected",
                "local weights take no frequency_penalty and no presence_penalty; use repetition_penalty",
                transient=False,
            )
        beams = (self.preset.generation if self.preset else {}).get("num_beams", 1)
        if beams > 1 and samples(sampling):
            raise CallError(
                "rejected",
                "this preset searches with beams, which does not sample; leave temperature out",
                transient=False,
            )

    def _choice(self, request: Request) -> Job | Answer:
        if len(request.options) < 2:
            raise CallError("rejected", "a choice needs two options or more; ask in the mode generate", transient=False)
        item = self._item(request)
        limit = self.limit
        taken = len(item.prefix) if self.weights.encoder_decoder else item.width
        if limit is not None and taken > limit:
            return _too_long(taken, self.name)
        return Job(request, ("choose", len(item.options)), item.width, item)

    def _item(self, request: Request) -> Item:
        if self.settings.continuation == "reply":
            prompt = self.render((Message(role="user", content=request.question),))
            texts = [option.text for option in request.options]
        else:
            prompt = self.render(request.messages)
            texts = [option.label for option in request.options]
        if any(not text for text in texts):
            raise CallError("rejected", "an option without text cannot be scored", transient=False)
        if self.weights.encoder_decoder:
            given = self.loaded.tokenizer(texts, add_special_tokens=False)["input_ids"]
            return Item(tuple(self.tokens(prompt)), tuple(tuple(each) for each in given))
        return split(self._bare(prompt), [self._bare(prompt + text) for text in texts])

    def _bare(self, text: str) -> list[int]:
        """Tokens with what stands before a text but not after it: an end token in the middle would part prompt and option."""
        tokens = self.tokens(text)
        while tokens and tokens[-1] in self.loaded.ends and self._format is not None:
            tokens.pop()
        return tokens

    def _work(self, jobs: Sequence[Job]) -> list[Result]:
        kind = jobs[0].request.mode
        return self._within_memory(self._choose if kind == "choose" else self._generate, jobs)

    def _within_memory(self, work: Callable[[Sequence[Job]], list[Result]], jobs: Sequence[Job]) -> list[Result]:
        """Answers a batch; one that does not fit into memory is halved until it does."""
        import torch

        try:
            return work(jobs)
        except torch.OutOfMemoryError:
            if len(jobs) == 1:
                detail = f"a row of {jobs[0].width} tokens does not fit into the memory of the device"
                return [CallError("rejected", detail, transient=False)]
        except (RuntimeError, ValueError, IndexError) as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            return [CallError("rejected", f"the model failed ({reason})", transient=False) for _ in jobs]
        torch.cuda.empty_cache()
        half = len(jobs) // 2
        return [*self._within_memory(work, jobs[:half]), *self._within_memory(work, jobs[half:])]

    def _generate(self, jobs: Sequence[Job]) -> list[Result]:
        generation = self.preset.generation if self.preset else {}
        written = write(self.loaded, rows_of(jobs), jobs[0].request.sampling, generation)
        answers: list[Result] = []
        for job, each in zip(jobs, written, strict=True):
            text, reasoning = split_reasoning(each.text.strip())
            whole = clean(text)
            answers.append(
                Answer(
                    text=whole,
                    reasoning=clean(reasoning),
                    finish=each.finish,
                    tokens_in=len(job.payload.tokens),
                    tokens_out=each.tokens,
                    model=self.name,
                    raw=None if whole == text else text.encode("utf-8", "surrogatepass"),
                )
            )
        return answers

    def _choose(self, jobs: Sequence[Job]) -> list[Result]:
        items: list[Item] = [job.payload for job in jobs]
        found = self._logprobs(items)
        answers: list[Result] = []
        for job, item, logprobs in zip(jobs, items, found, strict=True):
            options = job.request.options
            scored = [option.text if self.settings.continuation == "reply" else option.label for option in options]
            scores = reduce(item.options, logprobs, scored, self.settings.score)
            if scores is None:
                detail = "one option begins like the other, so that no first token differs; use score = 'full'"
                answers.append(CallError("rejected", detail, transient=False))
                continue
            best = [option.label for option, score in zip(options, scores, strict=True) if score == max(scores)]
            answers.append(
                Answer(
                    text=best[0] if len(best) == 1 else "",
                    option_scores={option.label: score for option, score in zip(options, scores, strict=True)},
                    tokens_in=len(item.prefix),
                    tokens_out=sum(len(option) for option in item.options),
                    model=self.name,
                )
            )
        return answers

    def _logprobs(self, items: Sequence[Item]) -> list[list[list[float]]]:
        """Returns, for each item and option, log P of each token of the option after the prefix."""
        return token_logprobs(self.loaded, items)


def _too_long(tokens: int, name: str) -> Answer:
    """The answer to what is longer than the model takes: nothing was asked, and the outcome is `truncated`."""
    return Answer(text="", finish="length", tokens_in=tokens, tokens_out=0, model=name)
