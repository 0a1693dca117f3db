"""Reward models through TRL's RewardTrainer, from a tiny configuration made here: card, cuts between grades, hashes of the pairs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from cvalues.pairs.fitted import fitted_on
from cvalues.schema import Grade
from cvalues.study import open_study
from cvalues.training import RewardTraining, train_reward
from cvalues.workflows import pairs as reward
from cvalues.workflows.pairs_rank import grade_run, rank
from cvalues.workflows.pairs_weights import train_weights
from cvalues.workflows.plan import RunOptions, make_plan
from cvalues.workflows.run import execute

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "pairs"))
import pairfiles

SETTINGS = RewardTraining(model="tiny", epochs=30, batch=16, rate=3e-3, max_length=64)


def rows(count: int) -> list[dict[str, object]]:
    """The three pairs of some prompts, whose replies are told apart by one character."""
    return [row for number in range(count) for row in pairfiles.three(number)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny reward model fitted on graded pairs."""
    place = tmp_path_factory.mktemp("rm")
    out = place / "rm"
    train_weights(pairfiles.write(place / "p.jsonl", rows(16)), out, how=SETTINGS, study=place / "s.db")
    return out


def test_a_folder_grades_by_the_cuts_of_its_training(folder: Path, tmp_path: Path) -> None:
    """Cuts stand in the card in order; a ranking grades by them and the verdicts are those of a rater with the revision in its name."""
    prompts = [{"id": f"q{number}", "text": pairfiles.question(number), "category": "law"} for number in range(16)]
    grades: tuple[Grade, ...] = ("unsafe", "safe", "responsible")
    replies = {
        "unsafe": [row["neg_resp"] for row in rows(16) if "unsafe" in str(row["neg_resp"])][::2],
        "safe": [row["pos_resp"] for row in rows(16)][::3],
        "responsible": [row["pos_resp"] for row in rows(16)][1::3],
    }
    recorded = [
        {"prompt": prompts[number]["text"], "response": replies[grade][number]}
        for number in range(16)
        for grade in grades
    ]
    source, model = pairfiles.write(tmp_path / "q.jsonl", prompts), pairfiles.write(tmp_path / "m.jsonl", recorded)
    with open_study(tmp_path / "s.db") as study:
        options = RunOptions(sets=(str(source),), models=(f"recorded:{model}",), samples=3, name="free")
        execute(make_plan(options), study)
        done = rank(f"reward:{folder}", study, "free")
        assert done.rater.startswith("reward:rm@")
        assert done.taint is not None
        assert done.taint.prompts == 16
        assert grade_run(done, study, "free") == 48
        right = [
            sample.grade is not None and f"的{sample.grade}回复" in sample.text
            for entry in done.ranked
            for sample in entry.samples
        ]
    assert sum(right) > 24  # chance is 16


def test_an_evaluation_knows_what_the_folder_was_fitted_on(folder: Path, tmp_path: Path) -> None:
    """Its own pairs are named with their number; new pairs are not."""
    with open_study(tmp_path / "s.db") as study:
        own = reward.evaluate_models([f"reward:{folder}"], pairfiles.write(tmp_path / "a.jsonl", rows(4)), study=study)
        new = [row for number in range(40, 44) for row in pairfiles.three(number)]
        other = reward.evaluate_models([f"reward:{folder}"], pairfiles.write(tmp_path / "b.jsonl", new), study=study)
    [found] = own.taints
    assert (found.pairs, found.measured, found.source) == (12, 12, "p.jsonl")
    assert other.taints == ()


def test_pairs_without_all_grades_give_no_cuts(tmp_path: Path) -> None:
    """Without replies of all three grades there are no cuts, and the second call returns what the first made."""
    pairs = [pairfiles.pair(number, split="heldout" if number == 0 else "") for number in range(8)]
    quick = RewardTraining(model="tiny", epochs=1, batch=8, max_length=64)
    done = train_reward(pairs, tmp_path / "rm", quick, fitted=fitted_on(pairs, source="own"))
    assert (done.cuts, done.heldout, done.source) == ((), 1, "own")
    assert train_reward(pairs, tmp_path / "rm", quick) == done
