"""Tuning of local weights through TRL: supervised examples (SFT) or pairs (DPO), with LoRA or in full (extra `train`).

Nothing is downloaded, nothing is reported anywhere. The folder of the run holds checkpoints, so that a training that was cut off goes on
from the last of them, and, at the end, the weights, the tokenizer and `training.json`. Heavy packages are imported when training begins.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from cvalues.endpoints.loading import Loaded, load
from cvalues.endpoints.weights import read_weights
from cvalues.errors import CallError, DataError, MissingExtra, UsageError
from cvalues.records import canonical, content_hash, file_hash, open_bytes, read_lines, write_atomically, write_text
from cvalues.schema import Record

Method = Literal["sft", "dpo"]
SUMMARY = "training.json"
_MARK = "data.json"
_WIDEST = 20
"""More characters of plain text than this no tokenizer puts into one token on average."""
_RATES = {("sft", "lora"): 2e-4, ("sft", "full"): 2e-5, ("dpo", "lora"): 2e-5, ("dpo", "full"): 1e-6}
_FIELDS: dict[str, tuple[str, ...]] = {"sft": ("prompt", "completion"), "dpo": ("prompt", "chosen", "rejected")}
_FORMATS = {"sft": "cvalues harden export --format trl", "dpo": "cvalues pairs export --format trl"}


class TuningSettings(Record, frozen=True, kw_only=True):
    """How weights are tuned; the defaults suit a chat model of a few billion parameters and a few hundred examples."""

    method: Method = "sft"
    adapter: Literal["lora", "full"] = "lora"
    """`lora` trains a small adapter and merges it at the end; `full` trains every weight."""
    epochs: float = 3.0
    learning_rate: float | None = None
    """None: 2e-4 for SFT with LoRA, 2e-5 for SFT in full and DPO with LoRA, 1e-6 for DPO in full."""
    batch: int = 2
    accumulate: int = 4
    """Batches before a step."""
    max_length: int = 1024
    """Tokens of an example; what is longer is cut."""
    lora_rank: int = 16
    lora_alpha: int = 32
    beta: float = 0.1
    """Of DPO."""
    save_steps: int = 50
    max_steps: int = -1
    """Stop after so many steps; −1 for all epochs."""
    seed: int = 0
    device: str = "auto"

    @property
    def rate(self) -> float:
        """The learning rate."""
        return self.learning_rate if self.learning_rate is not None else _RATES[self.method, self.adapter]


class TuningRow(msgspec.Struct):
    """A row to train on: SFT takes prompt and completion, DPO prompt, chosen and rejected."""

    prompt: str = ""
    completion: str = ""
    chosen: str = ""
    rejected: str = ""


class Step(Record, frozen=True, kw_only=True):
    """What was logged at one step."""

    step: int
    loss: float
    rest: dict[str, float] = {}


class TuningSummary(Record, frozen=True, kw_only=True):
    """A finished training."""

    model: str
    """Name of the folder that training began from."""
    out: str
    data: str
    data_hash: str
    rows: int
    settings: TuningSettings
    steps: int
    first_loss: float | None
    last_loss: float | None
    log: tuple[Step, ...]
    seconds: float
    device: str
    parameters: int
    trained: int
    """Parameters that were trained."""
    resumed: str = ""
    """Checkpoint that this went on from."""


def read_rows(path: Path, method: Method) -> list[TuningRow]:
    """Returns the rows of a file in TRL's form, one JSON object a line.

    Raises:
        DataError: a row lacks a field; the message gives file:line and the command that writes the form.
    """
    found = []
    for line, text in read_lines(path):
        try:
            row = msgspec.json.decode(text, type=TuningRow)
        except (msgspec.DecodeError, UnicodeEncodeError) as error:
            raise DataError(
                f"{path}:{line}: is no training row ({error}); write one with  {_FORMATS[method]}"
            ) from error
        if not all(getattr(row, name).strip() for name in _FIELDS[method]):
            raise DataError(
                f"{path}:{line}: a row for {method} needs {', '.join(_FIELDS[method])}; write the file with  {_FORMATS[method]}"
            )
        found.append(row)
    if not found:
        raise DataError(f"{path}: holds no row to train on; write one with  {_FORMATS[method]}")
    return found


def tune(data: Path, model: Path, out: Path, settings: TuningSettings | None = None) -> TuningSummary:
    """Trains the weights of a folder on a file in TRL's form, writes the new weights to `out`, and returns what came of it.

    A chat model is asked in its own template; a model without one gets the prompt, a line end, and the answer. A second call goes on
    from the last checkpoint in `out`.

    Raises:
        MissingExtra: TRL, peft or datasets are not installed.
        UsageError: the folder of the model cannot be loaded, or `out` is that folder or holds the training of other data.
        DataError: the data cannot be used.
    """
    chosen = settings or TuningSettings()
    rows = read_rows(data, chosen.method)
    if out.resolve() == model.resolve():
        raise UsageError(f"{out}: is the folder of the model itself; name another folder with -o")
    _need_extras()
    loaded = _load(model, chosen)
    _need_tokens(rows, loaded, model, chosen.method)
    _claim(out, content_hash((file_hash(data), model.name, chosen.method, chosen.adapter)))
    with _quiet():
        trainer = _trainer(loaded, _dataset(rows, loaded, chosen.method), out, chosen)
        resumed = _checkpoint(out)
        began = time.perf_counter()
        trainer.train(resume_from_checkpoint=resumed or None)
    seconds = time.perf_counter() - began
    weights = [(weight.numel(), weight.requires_grad) for weight in trainer.model.parameters()]
    final = trainer.model.merge_and_unload() if chosen.adapter == "lora" else trainer.model
    final.save_pretrained(str(out))
    loaded.tokenizer.save_pretrained(str(out))
    log = tuple(_step(entry) for entry in trainer.state.log_history if "loss" in entry)
    summary = TuningSummary(
        model=model.name,
        out=out.name,
        data=data.name,
        data_hash=file_hash(data),
        rows=len(rows),
        settings=chosen,
        steps=int(trainer.state.global_step),
        first_loss=log[0].loss if log else None,
        last_loss=log[-1].loss if log else None,
        log=log,
        seconds=round(seconds, 2),
        device=str(trainer.args.device),
        parameters=sum(count for count, _ in weights),
        trained=sum(count for count, needed in weights if needed),
        resumed=Path(resumed).name,
    )
    body = msgspec.json.format(canonical(summary), indent=2) + b"\n"
    write_atomically(out / SUMMARY, lambda file: file.write(body))
    return summary


def _need_extras() -> None:
    import importlib.util

    for name in ("torch", "transformers", "datasets", "trl", "peft"):
        if importlib.util.find_spec(name) is None:
            raise MissingExtra(name, "train")


def _load(model: Path, settings: TuningSettings) -> Loaded:
    try:
        loaded = load(read_weights(model), dtype="float32", device=settings.device)
    except CallError as error:
        raise UsageError(f"{model}: the weights cannot be loaded: {error}") from error
    if loaded.encoder_decoder:
        raise UsageError(f"{model}: is an encoder-decoder model; training takes models that continue a text")
    if loaded.tokenizer.pad_token is None:
        loaded.tokenizer.pad_token = loaded.tokenizer.eos_token
    return loaded


def _need_tokens(rows: Sequence[TuningRow], loaded: Loaded, model: Path, method: Method) -> None:
    """Refuses a tokenizer that reads next to nothing of the answers: training would run through and teach nothing.

    It happens where tokenizer.json is not of the kind that the architecture's own tokenizer class expects.
    """
    texts = [getattr(row, name) for row in rows for name in _FIELDS[method][1:]]
    tokens = sum(len(loaded.tokenizer.encode(text, add_special_tokens=False)) for text in texts)
    characters = sum(map(len, texts))
    if characters > _WIDEST * tokens:
        raise UsageError(
            f"{model}: its tokenizer reads {tokens} tokens in {characters} characters of answers; check that tokenizer.json and "
            "tokenizer_config.json are those of this model"
        )


def _claim(out: Path, mark: str) -> None:
    """Refuses a folder that holds checkpoints of another training, and marks a new one."""
    place = out / _MARK
    if place.exists():
        with open_bytes(place) as file:
            if file.read().decode("utf-8", "replace").strip() != mark:
                raise UsageError(
                    f"{out}: holds a training on other data or of another kind; name another folder with -o"
                )
    write_text(place, mark + "\n")


def _dataset(rows: Sequence[TuningRow], loaded: Loaded, method: Method) -> Any:
    import datasets  # type: ignore[import-not-found,unused-ignore]

    chat = bool(getattr(loaded.tokenizer, "chat_template", None))

    def said(name: str, text: str) -> Any:
        if chat:
            return [{"role": "user" if name == "prompt" else "assistant", "content": text}]
        return f"{text}\n" if name == "prompt" else text

    table = {name: [said(name, getattr(row, name)) for row in rows] for name in _FIELDS[method]}
    return datasets.Dataset.from_dict(table)


def _trainer(loaded: Loaded, dataset: Any, out: Path, settings: TuningSettings) -> Any:
    import peft  # type: ignore[import-not-found,unused-ignore]
    import trl  # type: ignore[import-not-found,unused-ignore]

    gpu = str(loaded.device).startswith("cuda")
    common: dict[str, Any] = {
        "output_dir": str(out),
        "num_train_epochs": settings.epochs,
        "learning_rate": settings.rate,
        "per_device_train_batch_size": settings.batch,
        "gradient_accumulation_steps": settings.accumulate,
        "max_length": settings.max_length,
        "max_steps": settings.max_steps,
        "save_steps": settings.save_steps,
        "save_total_limit": 2,
        "logging_steps": 1,
        "report_to": [],
        "seed": settings.seed,
        "data_seed": settings.seed,
        "disable_tqdm": True,
        "bf16": gpu,
        "use_cpu": not gpu,
        "dataloader_pin_memory": False,
    }
    adapter = None
    if settings.adapter == "lora":
        adapter = peft.LoraConfig(
            r=settings.lora_rank, lora_alpha=settings.lora_alpha, target_modules="all-linear", task_type="CAUSAL_LM"
        )
    if settings.method == "sft":
        kind, arguments = trl.SFTTrainer, trl.SFTConfig(**common, completion_only_loss=True)
    else:
        kind, arguments = trl.DPOTrainer, trl.DPOConfig(**common, beta=settings.beta)
    return kind(
        model=loaded.model,
        args=arguments,
        train_dataset=dataset,
        processing_class=loaded.tokenizer,
        peft_config=adapter,
    )


def _checkpoint(out: Path) -> str:
    """Returns the latest complete checkpoint of a folder; empty where there is none."""
    found = [
        (int(place.name.rpartition("-")[2]), place)
        for place in out.glob("checkpoint-*")
        if place.name.rpartition("-")[2].isdigit() and (place / "trainer_state.json").exists()
    ]
    return str(max(found)[1]) if found else ""


def _step(entry: dict[str, Any]) -> Step:
    rest = {
        str(name): float(value)
        for name, value in entry.items()
        if name not in {"loss", "step"} and isinstance(value, int | float)
    }
    return Step(step=int(entry.get("step", 0)), loss=float(entry["loss"]), rest=rest)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps the trainers' own lines off stdout, which belongs to data."""
    with contextlib.redirect_stdout(sys.stderr):
        yield
