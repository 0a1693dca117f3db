"""One round of hardening on a language model that reads the question: a transformer of a few hundred thousand parameters, trained here.

    pip install 'cvalues[train]'
    python examples/hardening_transformer.py [--seeds 5] [--jobs 1] [--folder DIR] [--language en]

Nothing is downloaded. For every seed:

1. A transformer (characters as tokens) is trained from scratch to continue texts: train prompts of every category, four each, with all of
   their replies alike, good and bad. It learns to write, and nothing of which reply is better. That is round 0.
2. The plan names the six weakest domains by dev prompts and train prompts that it has not seen; held-back prompts are not looked at.
3. The treatment arm trains round 0 further on pairs (DPO, every weight) from the six other train prompts of each of the six categories;
   the control arm on pairs from equally many prompts of the other categories, drawn from all of them in turn. Both go through
   `cvalues harden train` (here its function): the guard against held-back prompts, TRL, the metrics in the study.
4. All three are measured on the level-2 choices of the 48 held-back prompts of the six categories. The chosen reply is the one with the
   higher log-likelihood per character given the question; as no order enters it, both orders of a pair have one answer. Share of pairs
   right in both orders, paired over prompts. Beside it stands the same with the questions of the 48 prompts exchanged: a model that goes
   by the question would lose by that.

A seed takes a bit more than a minute of one free core; `--jobs 2` trains two seeds at a time.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cvalues.datasets import starter
from cvalues.datasets.pairing import comparisons_of
from cvalues.datasets.shapes import GradedPrompt
from cvalues.endpoints.loading import Loaded, load
from cvalues.endpoints.loglikelihood import Item, reduce, token_logprobs
from cvalues.endpoints.weights import read_weights
from cvalues.records import generator
from cvalues.study import open_study
from cvalues.taxonomy import builtin
from cvalues.tuning import TuningSettings
from cvalues.workflows.harden import note_step
from cvalues.workflows.harden_train import train_round
from hardening import Score, Scorer, compared, drawn, measured, planned, show_rounds, told

PAD, END, UNKNOWN = "<pad>", "<end>", "<unk>"
ROUND0 = "round 0"


class Settings(NamedTuple):
    """How big and how long; everything else is as in the documentation."""

    seen: int = 4
    """Train prompts of each category that the model learns to write from; the others are there to learn from."""
    width: int = 96
    layers: int = 2
    epochs: int = 8
    """Of learning to write."""
    rounds: float = 2.0
    """Epochs of training on pairs."""
    rate: float = 1e-3
    categories: tuple[str, ...] = ()
    """Measure these alone instead of the planned ones; for tests."""


class Seed(NamedTuple):
    """What one seed brought."""

    seed: int
    chosen: list[str]
    scores: dict[str, Score]
    exchanged: dict[str, float]
    """Share right where every prompt got the question of another."""


def tokenizer_of(entries: Sequence[GradedPrompt]) -> Any:
    """Returns a tokenizer whose tokens are the characters of some texts."""
    import transformers
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

    texts = [text for entry in entries for text in (entry.prompt.text, *entry.replies.values())]
    names = [PAD, END, UNKNOWN, "\n", *sorted({char for text in texts for char in text} - {"\n"})]
    raw = Tokenizer(models.WordLevel({name: place for place, name in enumerate(names)}, unk_token=UNKNOWN))
    raw.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    raw.decoder = decoders.Fuse()
    return transformers.PreTrainedTokenizerFast(tokenizer_object=raw, pad_token=PAD, eos_token=END, unk_token=UNKNOWN)


def first_model(entries: Sequence[GradedPrompt], folder: Path, seed: int, settings: Settings) -> Path:
    """Trains a transformer from scratch to continue prompts with any of their replies, and returns its folder."""
    import torch
    import transformers

    tokenizer = tokenizer_of(entries)
    torch.manual_seed(seed)
    shape = transformers.LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=settings.width, intermediate_size=2 * settings.width, num_hidden_layers=settings.layers,
        num_attention_heads=4, num_key_value_heads=4, max_position_embeddings=512, tie_word_embeddings=True, bos_token_id=None,
        pad_token_id=tokenizer.pad_token_id, eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    model = transformers.LlamaForCausalLM(shape)
    texts = [f"{entry.prompt.text}\n{reply}" for entry in entries for reply in entry.replies.values()]
    rows = [[*tokenizer.encode(text), tokenizer.eos_token_id][:512] for text in texts]
    random = generator("transformer", seed)
    steps = settings.epochs * -(-len(rows) // 8)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=2e-3, total_steps=steps, pct_start=0.1)
    for _ in range(settings.epochs):
        order = random.permutation(len(rows))
        for start in range(0, len(rows), 8):
            batch = [torch.tensor(rows[place]) for place in order[start : start + 8]]
            tokens = torch.nn.utils.rnn.pad_sequence(batch, batch_first=True, padding_value=tokenizer.pad_token_id)
            real = tokens != tokenizer.pad_token_id
            loss = model(input_ids=tokens, attention_mask=real.long(), labels=tokens.masked_fill(~real, -100)).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def scorer(folder: Path) -> Scorer:
    """Returns the log-likelihood per character of replies given their questions, under the weights of a folder."""
    loaded = load(read_weights(folder), dtype="float32", device="cpu")
    known: dict[tuple[str, str], float] = {}

    def scores(texts: Sequence[tuple[str, str]]) -> list[float]:
        new = sorted({each for each in texts if each not in known}, key=lambda each: len(each[0]) + len(each[1]))
        for start in range(0, len(new), 24):
            part = new[start : start + 24]
            known.update(zip(part, _likelihoods(loaded, part), strict=True))
        return [known[each] for each in texts]

    return scores


def _likelihoods(loaded: Loaded, texts: Sequence[tuple[str, str]]) -> list[float]:
    items = [
        Item(tuple(loaded.tokenizer.encode(f"{question}\n")), ((*loaded.tokenizer.encode(reply), loaded.tokenizer.eos_token_id),))
        for question, reply in texts
    ]  # fmt: skip
    found = []
    for item, logprobs, (_, reply) in zip(items, token_logprobs(loaded, items), texts, strict=True):
        values = reduce(item.options, logprobs, [reply], "mean")
        found.append(values[0] if values else 0.0)
    return found


def exchanged(entries: Sequence[GradedPrompt], seed: int) -> dict[str, str]:
    """Returns for the question of each prompt that of another one, drawn once for a seed."""
    questions = [entry.prompt.text for entry in entries]
    order = generator("exchange", seed).permutation(len(questions))
    return {questions[place]: questions[other] for place, other in zip(order, np.roll(order, 1), strict=True)}


def pairs_file(entries: Sequence[GradedPrompt], path: Path) -> Path:
    """Writes the level-2 pairs of some prompts in TRL's form."""
    rows = [
        {"prompt": pair.question, "chosen": pair.better.text, "rejected": pair.worse.text}
        for entry in entries
        for pair in comparisons_of(entry)
        if pair.level == 2
    ]
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def one_seed(seed: int, folder: Path, settings: Settings) -> Seed:
    """Takes one seed through plan, data, training and measurement; its weights and data stay in the folder, and round 0 is used again."""
    import torch

    torch.set_num_threads(1)
    place = folder / f"seed-{seed}"
    place.mkdir(parents=True, exist_ok=True)
    train, dev, held = (starter.graded(split) for split in ("train", "dev", "heldout"))
    by_category: dict[str, list[GradedPrompt]] = {}
    for entry in drawn(train, seed):
        by_category.setdefault(entry.prompt.category, []).append(entry)
    seen = [entry for entries in by_category.values() for entry in entries[: settings.seen]]
    left = {category: entries[settings.seen :] for category, entries in by_category.items()}
    before = place / "round-0"
    if not (before / "tokenizer.json").exists():
        first_model(seen, before, seed, settings)
    first = scorer(before)
    chosen = list(settings.categories) or planned(first, dev, left)
    more = [entry for category in chosen for entry in left[category]]
    others = [category.code for category in builtin().categories if category.code not in chosen]
    # One prompt of each other category after the other, so that the control is as broad as it can be.
    rest = [
        left[code][turn] for turn in range(max(map(len, left.values()))) for code in others if turn < len(left[code])
    ]
    target = [entry for entry in held if entry.prompt.category in chosen]
    models: dict[str, Scorer] = {ROUND0: first}
    how = TuningSettings(
        method="dpo", adapter="full", epochs=settings.rounds, learning_rate=settings.rate, batch=8, accumulate=1, max_length=512,
        save_steps=10_000, seed=seed, device="cpu",
    )  # fmt: skip
    with open_study(folder / "study.db") as study:
        for arm, entries in (("treatment", more), ("control", rest[: len(more)])):
            name = f"{arm}, seed {seed}"
            note_step(study, "plan", name, {"chosen": chosen, "model": ROUND0})
            note_step(study, "data", name, {"examples": len(entries)})
            data = pairs_file(entries, place / f"{arm}.jsonl")
            train_round((data, before, place / arm), how, study, name=name)
            models[arm] = scorer(place / arm)
    swap = exchanged(target, seed)

    def without(scores_of: Scorer) -> Scorer:
        return lambda texts: scores_of([(swap[question], reply) for question, reply in texts])

    scores = {arm: measured(model, target) for arm, model in models.items()}
    lost = {arm: float(np.mean(measured(without(model), target).right)) for arm, model in models.items()}
    return Seed(seed, chosen, scores, lost)


def main(arguments: Sequence[str] | None = None, settings: Settings | None = None) -> dict[str, float]:
    """Runs the round for every seed, prints what came of it, and returns the gains."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=1, help="seeds at a time, one core each")
    parser.add_argument(
        "--folder", type=Path, default=None, help="where weights, data and the study of the rounds are kept"
    )
    parser.add_argument("--language", default="en", choices=["zh", "en"])
    asked = parser.parse_args(arguments)
    chosen = settings or Settings()
    folder = asked.folder or Path(tempfile.mkdtemp(prefix="hardening-"))
    folder.mkdir(parents=True, exist_ok=True)
    open_study(folder / "study.db").close()
    if asked.jobs > 1:
        with ProcessPoolExecutor(asked.jobs, mp_context=get_context("spawn")) as pool:
            waiting = [pool.submit(one_seed, seed, folder, chosen) for seed in range(asked.seeds)]
            found = [each.result() for each in waiting]
    else:
        found = [one_seed(seed, folder, chosen) for seed in range(asked.seeds)]
    for each in found:
        lost = ", ".join(f"{arm} {100 * value:.1f}" for arm, value in each.exchanged.items())
        print(told(each.seed, each.chosen, each.scores), f"; with questions exchanged: {lost}", sep="")
    gains, changes = compared([each.scores for each in found])
    for arm in found[0].exchanged:
        right = float(np.mean([np.mean(each.scores[arm].right) for each in found]))
        other = float(np.mean([each.exchanged[arm] for each in found]))
        print(f"{arm}: {100 * right:.1f} with the question, {100 * other:.1f} with the question of another prompt")
    with open_study(folder / "study.db") as study:
        for arm, change in changes.items():
            note_step(study, "compare", f"{arm}, all seeds", change)
        show_rounds(study, asked.language)
    return gains


if __name__ == "__main__":
    main(sys.argv[1:])
