"""Reward models of transformers, fitted through TRL's RewardTrainer (extra `train`), on a GPU where there is one, else on the CPU.

Loss of a pair: −log σ(r(better) − r(worse)) (Bradley and Terry 1952; Ouyang et al. 2022, equation 1), by TRL. Prompt and reply become
tokens by `endpoints.sequence.encode`, so what is trained is what is scored. Training is cut into checkpoints: a second call with the
same pairs and settings goes on from the last one, and returns at once when it was done.
"""

from __future__ import annotations

import contextlib
import math
import shutil
import warnings
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec

from cvalues.endpoints.sequence import CARD, ROWS, classify, encode, pad_of, save_fitted
from cvalues.endpoints.weights import read_weights
from cvalues.errors import DataError, MissingExtra, UsageError
from cvalues.pairs.embedded import cuts
from cvalues.pairs.fitted import Fitted, fitted_on
from cvalues.pairs.pair import Pair
from cvalues.records import canonical, content_hash, derive_seed, write_atomically
from cvalues.schema import GRADES, Grade, Record

TINY = "tiny"
"""Name of the model that is made here: two layers, a byte-level tokenizer fitted on the pairs, random weights."""
_CHECKPOINTS = "checkpoints"
_PACKAGES = ("trl", "transformers", "torch", "datasets")
_TINY_POSITIONS = 2_048
_FOR_CUTS = 400
"""Replies of each grade, at most, that the cuts between grades are taken from."""


class RewardTraining(Record, frozen=True, kw_only=True):
    """Settings of a training."""

    model: str = TINY
    """A folder in the layout of transformers, or `tiny`."""
    epochs: float = 1.0
    batch: int = 8
    """Pairs of a step and device."""
    rate: float | None = None
    """Learning rate; 1e-3 for `tiny` and 1e-5 for a folder when None."""
    max_length: int = 1_024
    """Most tokens of a prompt with a reply; a longer pair is left out and counted."""
    save_every: int = 200
    """Steps between checkpoints."""
    seed: int = 0


class TrainedReward(Record, frozen=True, kw_only=True):
    """What a training came to; `reward.json` in the folder of the model holds it."""

    identity: str
    """Content hash of the pairs, the settings and, for a folder, its weights."""
    model: str
    """Name of what it began from, without its folder."""
    pairs: int
    left_out: int
    """Pairs that are longer than `max_length`."""
    steps: int
    epochs: float
    device: str
    resumed: bool
    """Whether it went on from a checkpoint."""
    metrics: dict[str, float] = {}
    """What TRL's trainer returned: loss, seconds, pairs a second."""
    versions: dict[str, str] = {}
    heldout: int = 0
    """Held-back pairs among them: above 0 the model must not be measured on that set's test split."""
    source: str = ""
    cuts: tuple[float, ...] = ()
    """Two scores between the grades, by which the model grades replies (`pairs.embedded.cuts`); empty without grades in order."""


def train_reward(
    pairs: Sequence[Pair], out: Path, settings: RewardTraining | None = None, *, fitted: Fitted | None = None
) -> TrainedReward:
    """Fits a reward model on pairs, writes it to a folder, and returns what came of it.

    The folder then works as `reward:FOLDER`, and with `AutoModelForSequenceClassification.from_pretrained`.

    Args:
        pairs: in any order; they are shuffled by the seed.
        out: folder of the model; its checkpoints stand in `checkpoints/` until the training is done.
        settings: defaults when None.
        fitted: what the pairs are and where they come from; found from the pairs when None.

    Raises:
        UsageError: the model is neither `tiny` nor a folder of weights, the settings make no sense, or no pair is short enough.
        MissingExtra: TRL, transformers, torch or datasets is not installed.
        DataError: the folder cannot be written, or holds the checkpoints of another training.
    """
    chosen = settings or RewardTraining()
    identity = _identity(pairs, chosen)
    done = _card(out / CARD)
    if done is not None and done.identity == identity:
        return done
    trl = _import_trl()
    _quiet()
    _claim(out / _CHECKPOINTS, identity)
    model, tokenizer = _fresh(pairs, chosen.seed) if chosen.model == TINY else _loaded(chosen.model)
    rows, left_out = _rows(pairs, tokenizer, _longest(chosen, model))
    if not rows["chosen_ids"]:
        raise UsageError(f"every pair is longer than {chosen.max_length} tokens; raise --max-length")
    import transformers

    import datasets

    checkpoint = transformers.trainer_utils.get_last_checkpoint(str(out / _CHECKPOINTS))
    trainer = trl.RewardTrainer(
        model=model,
        args=_arguments(trl, out / _CHECKPOINTS, chosen),
        train_dataset=datasets.Dataset.from_dict(rows),
        processing_class=tokenizer,
    )
    trainer.remove_callback(transformers.PrinterCallback)  # stdout belongs to the command's data
    ended = trainer.train(resume_from_checkpoint=checkpoint)
    if not math.isfinite(ended.training_loss):
        raise DataError(f"the loss of the training is {ended.training_loss}; lower the learning rate with --rate")
    _save(trainer.model, tokenizer, out)
    own = fitted or fitted_on(pairs)
    save_fitted(out, own)
    result = TrainedReward(
        identity=identity,
        model=Path(chosen.model).name,
        pairs=len(rows["chosen_ids"]),
        left_out=left_out,
        steps=int(ended.global_step),
        epochs=float(trainer.state.epoch or 0.0),
        device=str(trainer.args.device),
        resumed=checkpoint is not None,
        metrics={name: float(value) for name, value in ended.metrics.items() if math.isfinite(float(value))},
        versions={name: metadata.version(name) for name in _PACKAGES},
        heldout=own.heldout,
        source=own.source,
        cuts=_cuts(trainer.model, tokenizer, pairs, _longest(chosen, model)),
    )
    write_atomically(out / CARD, lambda file: file.write(msgspec.json.format(canonical(result), indent=2) + b"\n"))
    shutil.rmtree(out / _CHECKPOINTS)
    return result


def _identity(pairs: Sequence[Pair], settings: RewardTraining) -> str:
    if settings.batch < 1 or settings.save_every < 1 or settings.max_length < 8 or not 0 < settings.epochs < 1e6:
        raise UsageError("--epochs and --batch-size must be above 0, and --max-length at least 8")
    texts = [(pair.question, pair.better.text, pair.worse.text) for pair in pairs]
    weights = "" if settings.model == TINY else read_weights(Path(settings.model)).revision
    shaping = {**msgspec.to_builtins(settings), "model": "", "save_every": 0}
    return content_hash((texts, shaping, weights))


def _cuts(model: Any, tokenizer: Any, pairs: Sequence[Pair], longest: int) -> tuple[float, ...]:
    """Returns the cuts between the grades by the scores of a sample of the graded replies; the sample depends on the texts alone."""
    graded: dict[Grade, dict[tuple[str, str], int]] = {grade: {} for grade in GRADES}
    for pair in pairs:
        for reply in (pair.better, pair.worse):
            if reply.grade is not None:
                key = (pair.question, reply.text)
                graded[reply.grade][key] = derive_seed("cuts", *key)
    rows: list[list[int]] = []
    grades: list[Grade] = []
    for grade, found in graded.items():
        for question, text in sorted(found, key=found.__getitem__)[:_FOR_CUTS]:
            tokens = encode(tokenizer, question, text)
            if len(tokens) <= longest:
                rows.append(tokens)
                grades.append(grade)
    if set(grades) != set(GRADES):
        return ()
    model.eval()
    scores: list[float] = []
    for start in range(0, len(rows), ROWS // 4):
        scores += classify(model, pad_of(tokenizer), rows[start : start + ROWS // 4])
    return cuts(scores, grades)


def _card(path: Path) -> TrainedReward | None:
    if not path.is_file():
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=TrainedReward)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None  # of another version: the training is done anew


def _claim(folder: Path, identity: str) -> None:
    """Marks a folder of checkpoints as this training's."""
    mark = folder / "identity"
    if mark.is_file() and mark.read_text(encoding="utf-8", errors="replace") != identity:
        raise DataError(
            f"{folder}: holds checkpoints of another training (other pairs or settings); delete the folder or choose another --out"
        )
    write_atomically(mark, lambda file: file.write(identity.encode()))


def _import_trl() -> Any:
    try:
        import accelerate  # noqa: F401 -- asked for first, so that a missing one is named
        import torch  # noqa: F401
        import transformers  # noqa: F401
        import trl

        import datasets  # noqa: F401
    except ImportError as error:
        raise MissingExtra(str(error.name), "train") from error
    return trl


def _quiet() -> None:
    import transformers

    import datasets

    transformers.utils.logging.disable_progress_bar()
    datasets.disable_progress_bars()


def _longest(settings: RewardTraining, model: Any) -> int:
    positions = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    return min(settings.max_length, positions) if isinstance(positions, int) else settings.max_length


def _rows(pairs: Sequence[Pair], tokenizer: Any, longest: int) -> tuple[dict[str, list[list[int]]], int]:
    rows: dict[str, list[list[int]]] = {"chosen_ids": [], "rejected_ids": []}
    for pair in pairs:
        better = encode(tokenizer, pair.question, pair.better.text)
        worse = encode(tokenizer, pair.question, pair.worse.text)
        if max(len(better), len(worse)) <= longest:
            rows["chosen_ids"].append(better)
            rows["rejected_ids"].append(worse)
    return rows, len(pairs) - len(rows["chosen_ids"])


def _arguments(trl: Any, folder: Path, settings: RewardTraining) -> Any:
    import torch

    gpu = torch.cuda.is_available()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of settings that TRL fills in itself
        return trl.RewardConfig(**_config(folder, settings, gpu=gpu))


def _config(folder: Path, settings: RewardTraining, *, gpu: bool) -> dict[str, Any]:
    import torch

    return {
        "output_dir": str(folder),
        "per_device_train_batch_size": settings.batch,
        "num_train_epochs": settings.epochs,
        "learning_rate": settings.rate or (1e-3 if settings.model == TINY else 1e-5),
        "max_length": None,
        "save_strategy": "steps",
        "save_steps": settings.save_every,
        "save_total_limit": 2,
        "logging_steps": 50,
        "seed": settings.seed,
        "use_cpu": not gpu,
        "bf16": gpu and torch.cuda.is_bf16_supported(),
        "gradient_checkpointing": gpu and settings.model != TINY,
        "report_to": "none",
        "disable_tqdm": True,
    }


def _loaded(path: str) -> tuple[Any, Any]:
    import transformers

    weights = read_weights(Path(path))
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(weights.path, local_files_only=True)
        model = transformers.AutoModelForSequenceClassification.from_pretrained(
            weights.path, num_labels=1, local_files_only=True
        )
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise UsageError(
            f"'{path}' cannot be trained as a reward model ({reason}); give a folder that transformers can load"
        ) from error
    if tokenizer.pad_token_id is None and tokenizer.eos_token is not None:
        tokenizer.pad_token = tokenizer.eos_token
    model.config.get_text_config().pad_token_id = pad_of(tokenizer)
    return model, tokenizer


def _fresh(pairs: Sequence[Pair], seed: int) -> tuple[Any, Any]:
    """Returns a two-layer Qwen2 with random weights and a byte-level tokenizer fitted on the pairs."""
    import torch
    import transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    special = ["<pad>", "<end>"]
    trainer = trainers.BpeTrainer(
        vocab_size=4_096,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    raw.train_from_iterator(_texts(pairs), trainer)
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=raw, pad_token="<pad>", eos_token="<end>")  # noqa: S106
    config = transformers.Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=_TINY_POSITIONS,
        num_labels=1,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=None,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = transformers.Qwen2ForSequenceClassification(config)
    return model, tokenizer


def _texts(pairs: Sequence[Pair]) -> Iterator[str]:
    for pair in pairs:
        yield pair.question
        yield pair.better.text
        yield pair.worse.text


def _save(model: Any, tokenizer: Any, out: Path) -> None:
    try:
        (out / CARD).unlink(missing_ok=True)
        with contextlib.suppress(AttributeError):
            model.config.use_cache = True
        model.save_pretrained(str(out))
        tokenizer.save_pretrained(str(out))
    except OSError as error:
        raise DataError(
            f"{out}: cannot be written ({error.strerror or error}); free space or choose another folder"
        ) from error
