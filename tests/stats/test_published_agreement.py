"""Published values on real data: DICES, ConvAbuse, MT-bench and FLAMES, each as its SOURCE.md states."""

from __future__ import annotations

import collections
import csv
import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from cvalues.schema import Estimate
from cvalues.stats.agreement import cohen_kappa, krippendorff_alpha, rating_counts, raw_agreement
from cvalues.stats.confusion import confusion_table
from cvalues.stats.intervals import mean_of
from cvalues.stats.resampling import Resampling

NAN = float("nan")
FAST = Resampling(draws=200)


@pytest.mark.shared
def test_dices(shared: Path) -> None:
    """Krippendorff's nominal alpha of 72,103 ratings is the published 0.14324966231784253."""
    instances = json.loads((shared / "dices_990/dices_990.json").read_text(encoding="utf-8"))["instances"]
    codes = {"No": 0.0, "Yes": 1.0, "Unsure": 2.0}
    rows = [[codes[s] for s in one["annotations"]["safety"]["individual_human_scores"]] for one in instances]
    width = max(map(len, rows))
    ratings = np.array([row + [NAN] * (width - len(row)) for row in rows])
    assert rating_counts(ratings).ratings == 72_103
    found = krippendorff_alpha(ratings)
    assert found.value == pytest.approx(0.14324966231784253, abs=1e-12)
    assert found.low is not None
    assert found.high is not None
    assert 0.12 < found.low < found.value < found.high < 0.17


def severity_of(row: dict[str, str], annotator: int) -> float:
    """An annotator's severity of an item: 1, 0, −1, −2 or −3; NaN without one, or where two labels contradict."""
    labels = [
        [cell.strip() for cell in row[f"Annotator{annotator}_is_abuse.{level}"].split(",")]
        for level in (1, 0, -1, -2, -3)
    ]
    times = max(map(len, labels))
    marked = {
        level
        for at in range(times)
        for level, cells in zip((1, 0, -1, -2, -3), labels, strict=True)
        if at < len(cells) and cells[at] in {"1", "1.0"}
    }
    return float(marked.pop()) if len(marked) == 1 else NAN


@pytest.mark.shared
def test_convabuse(shared: Path) -> None:
    """Alpha of ConvAbuse's five levels is .42897 nominal, .64351 ordinal, .72452 interval, and .64797 for abuse or not."""
    with (shared / "convabuse/ConvAbuseEMNLPtrain_filtered.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    ratings = np.array([[severity_of(row, annotator) for annotator in range(1, 9)] for row in rows])
    expected = {"nominal": 0.42897, "ordinal": 0.64351, "interval": 0.72452}
    for level, value in expected.items():
        assert krippendorff_alpha(ratings, level=level, resampling=FAST).value == pytest.approx(value, abs=5e-6)  # type: ignore[arg-type]
    binary = np.where(np.isnan(ratings), NAN, ratings < 0)
    assert krippendorff_alpha(binary, resampling=FAST).value == pytest.approx(0.64797, abs=5e-6)


def votes_of(path: Path) -> list[tuple[tuple[object, ...], str, str]]:
    """(question and pair in one order, judge, winner: a model or tie) of each line."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        vote = json.loads(line)
        first, second = sorted((vote["model_a"], vote["model_b"]))
        winner = vote[vote["winner"]] if vote["winner"] in {"model_a", "model_b"} else "tie"
        found.append(((vote["question_id"], first, second), vote["judge"], winner))
    return found


def pairs_of_votes(pairs: list[tuple[str, str]], names: list[str]) -> np.ndarray:
    """Two columns of codes: 0 for the first model by name, 1 for the second, 2 for a tie."""
    place = {name: float(at) for at, name in enumerate(names)}
    return np.array([[place[one], place[two]] for one, two in pairs])


@pytest.mark.shared
def test_mt_bench(shared: Path) -> None:
    """GPT-4 and the experts agree on 886 of 1,343 votes, on 727 of 859 without ties; experts on 454 of 721 and 388 of 479."""
    folder = shared / "mt_bench_judgments"
    judged = {item: winner for item, _, winner in votes_of(folder / "gpt4_pair_turn1.jsonl")}
    experts = [vote for vote in votes_of(folder / "human_turn1.jsonl") if vote[1].startswith("expert_")]
    with_judge = [(winner, judged[item]) for item, _, winner in experts if item in judged]
    by_item = collections.defaultdict(list)
    for item, _, winner in experts:
        by_item[item].append(winner)
    among = [pair for winners in by_item.values() for pair in itertools.combinations(winners, 2)]
    names = sorted({name for pair in [*with_judge, *among] for name in pair})
    expected = [(with_judge, 886, 1343, 727, 859), (among, 454, 721, 388, 479)]
    for pairs, agreed, total, decided_agreed, decided in expected:
        table = confusion_table([one for one, _ in pairs], [two for _, two in pairs])
        assert (table.agreed, table.total) == (agreed, total)
        found = raw_agreement(pairs_of_votes(pairs, names), resampling=FAST)
        assert found.value == pytest.approx(agreed / total)
        clear = [pair for pair in pairs if "tie" not in pair]
        assert raw_agreement(pairs_of_votes(clear, names), resampling=FAST).value == pytest.approx(
            decided_agreed / decided
        )
        assert len(clear) == decided


@pytest.mark.shared
def test_mt_bench_majority(shared: Path) -> None:
    """The majority of human votes and GPT-4 agree on .678 of 910 items with Cohen's kappa .5158."""
    folder = shared / "mt_bench_judgments"
    judged = {item: winner for item, _, winner in votes_of(folder / "gpt4_pair_turn1.jsonl")}
    by_item = collections.defaultdict(list)
    for item, _, winner in votes_of(folder / "human_turn1.jsonl"):
        by_item[item].append(winner)
    rows = []
    for item, winners in by_item.items():
        if item in judged:
            counts = collections.Counter(winners).most_common()
            clear = len(counts) == 1 or counts[0][1] > counts[1][1]
            majority = counts[0][0] if clear else "tie"
            place = {item[1]: 0.0, item[2]: 1.0, "tie": 2.0}
            rows.append([place[majority], place[judged[item]]])
    ratings = np.array(rows)
    assert len(ratings) == 910
    assert raw_agreement(ratings, resampling=FAST).value == pytest.approx(0.678, abs=5e-4)
    assert cohen_kappa(ratings, resampling=FAST).value == pytest.approx(0.5158, abs=5e-5)


@pytest.mark.shared
def test_flames(shared: Path) -> None:
    """FLAMES' overall rate of every model is the unweighted mean of its five dimensions."""
    with (shared / "flames/leaderboard_even_models.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 9
    for row in rows:
        rates = [float(cell) for name, cell in row.items() if name.endswith(" rate_pct")]
        overall = mean_of([Estimate(value=rate, low=rate, high=rate) for rate in rates])
        assert len(rates) == 5
        assert overall.value == pytest.approx(float(row["overall_harmless_rate_pct"]), abs=0.0101)
