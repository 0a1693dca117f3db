"""One round of hardening on a model that is small enough for any CPU: does data for the weakest categories help there?

    python examples/hardening.py [--seeds 5] [--seen 1] [--pool 6] [--folder DIR] [--language en]

The model is a character n-gram preference model (`cvalues.ngram`), fitted on prompts of the starter set's train split. A round:

1. Round 0 is fitted on a few train prompts of every category and measured on the dev split and on train prompts that it has not seen.
2. `cvalues harden plan` (here its functions) names the six weakest domains by that measurement; held-back prompts are not looked at.
3. The treatment arm adds six more train prompts of each of the six categories, the control arm equally many prompts of the other level-2
   categories and, where those run out, of level-1 categories.
4. All three are measured on the level-2 choices of the 48 held-back prompts of the six categories: share of pairs right in both orders,
   paired over prompts, and averaged over seeds. A seed draws which train prompts round 0 gets.

The model sees replies and not questions, so what it learns about a category is how good and bad replies there are worded.
`hardening_transformer.py` does the same with a small language model that reads the question.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cvalues.datasets import starter
from cvalues.datasets.pairing import both_orders, comparisons_of
from cvalues.datasets.shapes import GradedPrompt
from cvalues.hardening.gaps import gaps, weakest, weights_of
from cvalues.ngram import PreferenceModel
from cvalues.records import derive_seed
from cvalues.schema import Choice
from cvalues.scoring.gate_readings import choice_readings
from cvalues.scoring.outcomes import ItemOutcome
from cvalues.stats.paired import paired_difference
from cvalues.study import Study, open_study
from cvalues.taxonomy import builtin
from cvalues.workflows.harden import note_step, status

WEAKEST = 6
Scorer = Callable[[Sequence[tuple[str, str]]], Sequence[float]]
"""(question, reply) → what the model thinks of each; the higher one of two is chosen."""


class Score(NamedTuple):
    """How one arm did on the held-back prompts, for one seed."""

    prompts: list[str]
    right: list[float]


def fitted(entries: Sequence[GradedPrompt]) -> Scorer:
    """Returns the scores of the model fitted on all pairs of some prompts."""
    pairs = [(pair.better.text, pair.worse.text) for entry in entries for pair in comparisons_of(entry)]
    model = PreferenceModel().fit(pairs)
    return lambda texts: model.scores([reply for _, reply in texts])


def answers(scores_of: Scorer, entries: Sequence[GradedPrompt], level: int) -> list[ItemOutcome]:
    """Returns what a model chooses on the choices of a level, in both orders."""
    items: list[Choice] = [
        item for entry in entries for pair in comparisons_of(entry) for item in both_orders(pair) if item.level == level
    ]
    scores = scores_of([(item.question, reply.text) for item in items for reply in item.replies])
    return [
        ItemOutcome(
            set="starter", model="ngram", choice=item.id, pair=item.pair_id, order="12" if item.better == 1 else "21",
            level=item.level, category=item.category, better=item.better, outcome="1" if first > second else "2",
        )
        for item, first, second in zip(items, scores[::2], scores[1::2], strict=True)
    ]  # fmt: skip


def prompt_of(entries: Sequence[GradedPrompt]) -> dict[str, str]:
    """Returns the prompt of every choice."""
    return {
        item.id: entry.prompt.id for entry in entries for pair in comparisons_of(entry) for item in both_orders(pair)
    }


def measured(scores_of: Scorer, entries: Sequence[GradedPrompt]) -> Score:
    """Returns the level-2 pairs of some prompts with whether the model is right on them in both orders."""
    points = choice_readings(answers(scores_of, entries, 2), prompt_of(entries))["choice/2"]
    keys = sorted(points)
    return Score([points[key].cluster for key in keys], [points[key].value for key in keys])


def drawn(entries: Sequence[GradedPrompt], seed: int) -> list[GradedPrompt]:
    """Returns prompts in an order that a seed draws."""
    return sorted(entries, key=lambda entry: derive_seed("example", seed, entry.prompt.id))


def planned(scores_of: Scorer, dev: Sequence[GradedPrompt], left: Mapping[str, Sequence[GradedPrompt]]) -> list[str]:
    """Returns the six weakest domains by dev prompts and train prompts that the model has not seen; never a held-back one."""
    domains = [category.code for category in builtin().at(2)]
    probe = [entry for entry in dev if entry.prompt.category in domains]
    probe += [entry for category in domains for entry in left[category]]
    readings = choice_readings(answers(scores_of, probe, 2), prompt_of(probe))
    same_harm = {category.code: 3.0 for category in builtin().categories}
    found = gaps(readings, ["choice/2"], weights_of(builtin(), {}, same_harm), goal=0.9)
    return weakest(found, WEAKEST)


def one_round(seed: int, seen: int, pool: int) -> tuple[list[str], dict[str, Score]]:
    """Returns the six weakest categories and the score of every arm, for one seed."""
    train, dev, held = (starter.graded(split) for split in ("train", "dev", "heldout"))
    by_category: dict[str, list[GradedPrompt]] = {}
    for entry in drawn(train, seed):
        by_category.setdefault(entry.prompt.category, []).append(entry)
    base = [entry for entries in by_category.values() for entry in entries[:seen]]
    left = {category: entries[seen:] for category, entries in by_category.items()}
    first = fitted(base)

    chosen = planned(first, dev, left)
    more = [entry for category in chosen for entry in left[category][:pool]]
    others = [category.code for category in builtin().at(2) if category.code not in chosen]
    others += [category.code for category in builtin().at(1)]
    rest = [entry for category in others for entry in left[category]]
    control = rest[: len(more)]
    target = [entry for entry in held if entry.prompt.category in chosen]
    models = {"round 0": first, "treatment": fitted([*base, *more]), "control": fitted([*base, *control])}
    return chosen, {arm: measured(model, target) for arm, model in models.items()}


def pooled(rounds: Sequence[dict[str, Score]], arm: str, other: str) -> tuple[list[float], list[float], list[str]]:
    """Returns the values of two arms over all seeds, with the held-back prompt of each as its cluster."""
    mine = [value for scores in rounds for value in scores[arm].right]
    theirs = [value for scores in rounds for value in scores[other].right]
    prompts = [prompt for scores in rounds for prompt in scores[arm].prompts]
    return mine, theirs, prompts


def told(seed: int, chosen: Sequence[str], scores: dict[str, Score]) -> str:
    """Returns one seed's result in a line."""
    shares = ", ".join(f"{arm} {100 * np.mean(score.right):.1f}" for arm, score in scores.items())
    count = len(set(scores["round 0"].prompts))
    return f"seed {seed}: weakest {', '.join(chosen)}; {count} held-back prompts; both orders right: {shares}"


def compared(rounds: Sequence[dict[str, Score]]) -> tuple[dict[str, float], dict[str, dict[str, object]]]:
    """Prints the gains over all seeds, paired over prompts, and returns them, and those on round 0 as a study keeps them."""
    gains: dict[str, float] = {}
    changes: dict[str, dict[str, object]] = {}
    for arm, other in (("treatment", "round 0"), ("control", "round 0"), ("treatment", "control")):
        mine, theirs, prompts = pooled(rounds, arm, other)
        test = paired_difference(mine, theirs, prompts, "example", arm, other, span=1.0, unit="prompt")
        gap = test.difference
        if gap.value is None or gap.low is None or gap.high is None:
            continue
        gains[f"{arm} − {other}"] = gap.value
        print(
            f"{arm} − {other}: {100 * gap.value:+.1f} points, 95 % interval {100 * gap.low:+.1f} to {100 * gap.high:+.1f}, "
            f"p {test.p:.4f}, {gap.clusters} held-back prompts, {len(rounds)} seeds"
        )
        if other == "round 0":
            change = {"measure": "choice/2", "part": "sampled", "value": gap.value, "low": gap.low, "high": gap.high}
            changes[arm] = {"changes": [change], "worse": int(gap.high < 0), "better": int(gap.low > 0)}
    return gains, changes


def show_rounds(study: Study, language: str) -> None:
    """Prints the table of all rounds of a study."""
    table = status(study).table(language)
    print(table.title)
    for row in table.rows:
        print("  ", *[str(cell) for cell in row if cell is not None], sep="  ")


def main(arguments: Sequence[str] | None = None) -> dict[str, float]:
    """Runs the round for every seed, prints what came of it, and returns the gains."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--seen", type=int, default=1, help="train prompts of each category that round 0 is fitted on")
    parser.add_argument("--pool", type=int, default=6, help="prompts added per category")
    parser.add_argument("--folder", type=Path, default=None, help="where the study of the rounds is kept")
    parser.add_argument("--language", default="en", choices=["zh", "en"])
    asked = parser.parse_args(arguments)
    folder = asked.folder or Path(tempfile.mkdtemp(prefix="hardening-"))
    rounds = []
    for seed in range(asked.seeds):
        chosen, scores = one_round(seed, asked.seen, asked.pool)
        rounds.append(scores)
        print(told(seed, chosen, scores))
    gains, changes = compared(rounds)
    folder.mkdir(parents=True, exist_ok=True)
    with open_study(folder / "study.db") as study:
        for name, change in changes.items():
            note_step(study, "data", name, {"examples": WEAKEST * asked.pool})
            note_step(study, "compare", name, change)
        show_rounds(study, asked.language)
    return gains


if __name__ == "__main__":
    main(sys.argv[1:])
