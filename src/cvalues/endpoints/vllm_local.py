"""`vllm:PATH`: weights in a folder, answered by vLLM in this process (extra `vllm`).

Prompt format, limits, identity and the reading of options are those of `hf:`; vLLM does the arithmetic, in batches of its own. `extra` of
each request says `engine: vllm`, since kernels differ: what `hf:` answered is not taken for an answer of vLLM. A reply is sampled with a
seed that is derived from the request. The score of an option is the sum of log P of its tokens as vLLM reports them for a prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from cvalues.endpoints.base import Answer
from cvalues.endpoints.batching import Job, Result
from cvalues.endpoints.generating import Row, samples
from cvalues.endpoints.loading import Loaded
from cvalues.endpoints.loglikelihood import Item
from cvalues.endpoints.presets import Shaping
from cvalues.endpoints.transformers_local import LocalSettings, LocalWeights
from cvalues.errors import CallError, MissingExtra, UsageError
from cvalues.records import clean, derive_seed
from cvalues.schema import Finish, Sampling
from cvalues.text import split_reasoning

_SEED_SPAN = 1 << 31


class VllmSettings(LocalSettings, frozen=True, kw_only=True):
    """Settings of `vllm:`, those of `hf:` and these; none of them is part of a request's identity."""

    device: Literal["auto"] = "auto"
    """vLLM takes the GPUs that it sees; choose them with the variable CUDA_VISIBLE_DEVICES."""
    tensor_parallel: int = 1
    """GPUs over which each layer is divided."""
    gpu_memory: float = 0.9
    """Share of a GPU's memory that vLLM may take, above 0, at most 1."""
    batch_rows: int = 1024
    """Most rows that are handed to vLLM at once; it batches them by itself."""
    batch_tokens: int = 4_194_304
    """Most tokens that are handed to vLLM at once."""


class VllmWeights(LocalWeights):
    """Weights in a folder behind vLLM. The engine starts when the first request comes."""

    settings_type = VllmSettings

    def __init__(self, name: str, path: Path, *, params: dict[str, Any] | None = None, preset_name: str = "") -> None:
        """Reads configuration and chat template, as `hf:` does.

        Raises:
            UsageError: as for `hf:`; also for an encoder–decoder model, or a preset that searches with beams.
            ConfigError: a setting or a file of the folder is not valid.
        """
        super().__init__(name, path, params=params, preset_name=preset_name)
        beams = (self.preset.generation if self.preset else {}).get("num_beams", 1)
        if self.weights.encoder_decoder or beams > 1:
            raise UsageError(f"'{path}': vLLM takes decoders without beam search; ask it as hf:{path}")
        self._engine: Any = None

    def _shape(self, preset_name: str) -> Shaping:
        shaping = super()._shape(preset_name)
        return msgspec.structs.replace(
            shaping, generate={**shaping.generate, "engine": "vllm"}, choose={**shaping.choose, "engine": "vllm"}
        )

    @property
    def engine(self) -> Any:
        """The `vllm.LLM`, started when first needed; raises CallError where it cannot be."""
        if self._engine is None:
            try:
                import vllm
            except ImportError as error:
                raise CallError("rejected", str(MissingExtra("vllm", "vllm")), transient=False) from error
            settings: Any = self.settings
            try:
                self._engine = vllm.LLM(
                    model=str(self.weights.path),
                    dtype=settings.dtype,
                    seed=0,
                    trust_remote_code=settings.trust_remote_code,
                    tensor_parallel_size=settings.tensor_parallel,
                    gpu_memory_utilization=settings.gpu_memory,
                    max_model_len=self.limit,
                    # The sampling settings of generation_config.json are not used, as for `hf:`.
                    generation_config="vllm",
                )
            except (OSError, ValueError, RuntimeError) as error:
                reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
                detail = f"'{self.weights.path}' cannot be loaded ({reason})"
                raise CallError("rejected", detail, transient=False) from error
        return self._engine

    @property
    def loaded(self) -> Loaded:
        """What `hf:` needs of a model in memory to count tokens; the model itself is inside the engine."""
        if self._loaded is None:
            tokenizer = self.engine.get_tokenizer()
            end = tokenizer.eos_token_id
            ends = () if end is None else (int(end),)
            self._loaded = Loaded(
                model=None, tokenizer=tokenizer, device=None, encoder_decoder=False, pad=0, start=0, ends=ends,
                takes_positions=False, keeps_last=False,
            )  # fmt: skip
        return self._loaded

    async def close(self) -> None:
        """Waits for the batch at work and lets the engine go."""
        await super().close()
        self._engine = None

    def _check(self, sampling: Sampling) -> None:
        """Takes every sampling setting: vLLM knows the penalties that `hf:` refuses."""

    def _within_memory(self, work: Any, jobs: Sequence[Job]) -> list[Result]:
        """Answers a batch; vLLM divides its memory by itself."""
        try:
            found: list[Result] = work(jobs)
        except (RuntimeError, ValueError, IndexError) as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            return [CallError("rejected", f"the model failed ({reason})", transient=False) for _ in jobs]
        return found

    def _generate(self, jobs: Sequence[Job]) -> list[Result]:
        rows: list[Row] = [job.payload for job in jobs]
        settings = [_sampling(job.request.sampling, row) for job, row in zip(jobs, rows, strict=True)]
        outputs = self.engine.generate(
            [{"prompt_token_ids": list(row.tokens)} for row in rows], settings, use_tqdm=False
        )
        answers: list[Result] = []
        for row, output in zip(rows, outputs, strict=True):
            written = output.outputs[0]
            text, reasoning = split_reasoning(written.text.strip())
            whole = clean(text)
            finish: Finish = "length" if written.finish_reason == "length" else "stop"
            answers.append(
                Answer(
                    text=whole,
                    reasoning=clean(reasoning),
                    finish=finish,
                    tokens_in=len(row.tokens),
                    tokens_out=len(written.token_ids),
                    model=self.name,
                    raw=None if whole == text else text.encode("utf-8", "surrogatepass"),
                )
            )
        return answers

    def _logprobs(self, items: Sequence[Item]) -> list[list[list[float]]]:
        """Returns, for each item and option, log P of each token of the option after the prefix."""
        import vllm

        rows = [(item, option) for item in items for option in item.options]
        asked = vllm.SamplingParams(max_tokens=1, temperature=0.0, prompt_logprobs=1, detokenize=False)
        outputs = self.engine.generate(
            [{"prompt_token_ids": [*item.prefix, *option]} for item, option in rows], asked, use_tqdm=False
        )
        found = iter(
            [float(output.prompt_logprobs[len(item.prefix) + at][token].logprob) for at, token in enumerate(option)]
            for (item, option), output in zip(rows, outputs, strict=True)
        )
        return [[next(found) for _ in item.options] for item in items]


def _sampling(sampling: Sampling, row: Row) -> Any:
    """Returns the `vllm.SamplingParams` of a request: greedy where nothing says that it samples, else seeded by the request."""
    import vllm

    drawn = samples(sampling)
    given = {
        "temperature": (1.0 if sampling.temperature is None else sampling.temperature) if drawn else 0.0,
        "top_p": sampling.top_p if drawn else None,
        "top_k": sampling.top_k if drawn else None,
        "seed": derive_seed("vllm", row.seed) % _SEED_SPAN if drawn else None,
        "stop": list(sampling.stop) or None,
        "repetition_penalty": sampling.repetition_penalty,
        "frequency_penalty": sampling.frequency_penalty,
        "presence_penalty": sampling.presence_penalty,
    }
    return vllm.SamplingParams(
        max_tokens=row.most, **{name: value for name, value in given.items() if value is not None}
    )
