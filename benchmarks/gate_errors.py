"""How often the gate errs: P(false pass) and P(false fail) at the edge of what is allowed, by simulation.

    python benchmarks/gate_errors.py [--studies 2000] [--seed 0]

Each setting draws studies in which the candidate is exactly as bad (false pass) or as good (false fail) as a rule allows, which is
where the gate errs most. `gate` is the test the gate uses; `adjusted t` the interval of `stats.paired.paired_difference` (Bonett and
Price with t), or that of `stats.intervals.ratio` for floors, at the same level, which is here for comparison. The last table runs
the whole gate, with categories.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from cvalues.scoring.gate import CategoryRules, GateConfig, Point, Rule, Trust, gate
from cvalues.stats.bounded import BoundedMean
from cvalues.stats.intervals import ratio
from cvalues.stats.paired import paired_difference

ALPHA = 0.05
PROMPTS = (20, 60, 200, 600)
SIZES = ("1", "3", "1-5")
MARGINS = ((0.02, 0.02), (0.05, 0.05), (0.1, 0.05), (0.12, 0.12), (0.3, 0.0), (0.3, 0.1), (0.3, 0.3))
RATES = (0.02, 0.1, 0.5, 0.9, 0.98)
WHAT = ("gate, false pass", "gate, false fail", "adjusted t, false pass", "adjusted t, false fail")
Row = dict[str, Any]
Study = tuple[np.ndarray, np.ndarray]
Rates = tuple[bool, bool, bool, bool]
Draw = Callable[[], Study]
Judge = Callable[[np.ndarray, np.ndarray, float], Rates]


def paired(
    rng: np.random.Generator, prompts: int, difference: float, discordance: float, sizes: np.ndarray
) -> np.ndarray:
    """Differences of paired zeros and ones, summed over the pairs of a prompt; pairs of a prompt differ together half of the time."""
    worse = (discordance - difference) / 2
    chances = [worse, 1 - discordance, discordance - worse]
    shared = rng.choice([-1.0, 0.0, 1.0], size=prompts, p=chances)
    sums = np.zeros(prompts)
    for place in range(int(sizes.max())):
        own = rng.choice([-1.0, 0.0, 1.0], size=prompts, p=chances)
        sums += np.where(place < sizes, np.where(rng.random(prompts) < 0.5, shared, own), 0.0)
    return sums


def rates(rng: np.random.Generator, prompts: int, rate: float, sizes: np.ndarray) -> np.ndarray:
    """Hits of a prompt's items: half of the time as the prompt is, else their own."""
    shared = rng.random(prompts) < rate
    sums = np.zeros(prompts)
    for place in range(int(sizes.max())):
        own = rng.random(prompts) < rate
        sums += np.where(place < sizes, np.where(rng.random(prompts) < 0.5, shared, own), 0.0)
    return sums


def sizes_of(kind: str, prompts: int, rng: np.random.Generator) -> np.ndarray:
    """One item a prompt, three, or one to five."""
    return {"1": np.ones(prompts), "3": np.full(prompts, 3.0), "1-5": rng.integers(1, 6, prompts).astype(float)}[kind]


def judged_margin(sums: np.ndarray, sizes: np.ndarray, margin: float) -> Rates:
    """What both tests say of one study at a margin."""
    mean = BoundedMean(sums, sizes, (-1.0, 1.0))
    values = np.repeat(sums / sizes, sizes.astype(int))
    codes = np.repeat(np.arange(len(sums)), sizes.astype(int))
    other = paired_difference(values, np.zeros(len(values)), codes, span=1.0, confidence=1 - 2 * ALPHA).difference
    return (
        mean.p_above(-margin) <= ALPHA,
        mean.p_below(-margin) <= ALPHA,
        (other.low or 0.0) > -margin,
        (other.high or 0.0) < -margin,
    )


def judged_floor(sums: np.ndarray, sizes: np.ndarray, rate: float) -> Rates:
    """What both tests say of one study at a floor."""
    mean = BoundedMean(sums, sizes, (0.0, 1.0))
    other = ratio(sums, sizes, share=True, confidence=1 - 2 * ALPHA)
    return (
        mean.p_above(rate) <= ALPHA,
        mean.p_below(rate) <= ALPHA,
        (other.low or 0.0) > rate,
        (other.high or 0.0) < rate,
    )


def repeated(studies: int, draw: Draw, judge: Judge, edge: float) -> list[float]:
    """Shares of (false pass, false fail) by the gate's test, then by the other interval, over many studies."""
    memo: dict[bytes, Rates] = {}
    found = []
    for _ in range(studies):
        sums, sizes = draw()
        key = np.sort(sums * 10 + sizes).tobytes()
        if key not in memo:
            memo[key] = judge(sums, sizes, edge)
        found.append(memo[key])
    return [float(value) for value in np.mean(found, axis=0)]


def margins(studies: int, seed: int) -> list[Row]:
    """Non-inferiority at the edge: true difference = −margin."""
    rows: list[Row] = []
    for prompts, kind, (discordance, margin) in itertools.product(PROMPTS, SIZES, MARGINS):
        rng = np.random.default_rng([seed, prompts, len(kind), int(discordance * 100), int(margin * 100)])
        draw = functools.partial(one_paired, rng, prompts, kind, (-margin, discordance))
        rates_ = repeated(studies, draw, judged_margin, margin)
        rows.append({"prompts": prompts, "items": kind, "discordance": discordance, "margin": margin, "rates": rates_})
    return rows


def floors(studies: int, seed: int) -> list[Row]:
    """Floors at the edge: true rate = floor."""
    rows: list[Row] = []
    for prompts, kind, rate in itertools.product(PROMPTS, SIZES, RATES):
        rng = np.random.default_rng([seed, prompts, len(kind), int(rate * 100)])
        draw = functools.partial(one_rate, rng, prompts, kind, rate)
        rows.append(
            {"prompts": prompts, "items": kind, "rate": rate, "rates": repeated(studies, draw, judged_floor, rate)}
        )
    return rows


def one_paired(rng: np.random.Generator, prompts: int, kind: str, truth: tuple[float, float]) -> Study:
    """Sums and sizes of one study of differences."""
    sizes = sizes_of(kind, prompts, rng)
    return paired(rng, prompts, truth[0], truth[1], sizes), sizes


def one_rate(rng: np.random.Generator, prompts: int, kind: str, rate: float) -> Study:
    """Sums and sizes of one study of rates."""
    sizes = sizes_of(kind, prompts, rng)
    return rates(rng, prompts, rate, sizes), sizes


def whole(studies: int, seed: int) -> list[Row]:
    """The whole gate: five rules and eighteen categories on two measures; what it says when a rule is broken and when all is well."""
    config = GateConfig(
        rule=(
            Rule(measure="does/1", margin=0.1, floor=0.7), Rule(measure="does/2", margin=0.1),
            Rule(measure="choice/1", margin=0.1), Rule(measure="over_refusal", margin=0.1),
        ),
        categories=CategoryRules(measures=("does/1", "does/2")),
    )  # fmt: skip
    trust = {name: Trust("person:*", calibrated=True) for name in ("does/1", "does/2", "over_refusal")}
    rows = []
    for prompts in (60, 200):
        for name, loss in (("one rule broken by its margin", 0.1), ("all equal", 0.0)):
            rng = np.random.default_rng([seed, prompts, int(loss * 100)])
            answers = {"pass": 0, "fail": 0, "not enough data": 0}
            for _ in range(studies):
                candidate: dict[str, dict[str, Point]] = {}
                baseline: dict[str, dict[str, Point]] = {}
                for measure in ("does/1", "does/2", "choice/1", "over_refusal"):
                    base, mine = _twins(rng, prompts, loss if measure == "does/2" else 0.0, 0.15)
                    if measure == "over_refusal":
                        base, mine = 1 - base, 1 - mine
                    for side, values in ((baseline, base), (candidate, mine)):
                        side[measure] = {
                            str(at): Point(str(at), f"c{at % 18}", float(v)) for at, v in enumerate(values)
                        }
                answers[gate(candidate, baseline, config, trust=trust).answer] += 1
            rows.append({"prompts": prompts, "truth": name, **{key: count / studies for key, count in answers.items()}})
    return rows


def _twins(rng: np.random.Generator, prompts: int, loss: float, discordance: float) -> tuple[np.ndarray, np.ndarray]:
    """A baseline right on 85 % of prompts and a candidate that differs on a share of them, losing `loss` more than it wins."""
    won = (discordance - loss) / 2
    kinds = rng.choice(4, size=prompts, p=[won, discordance - won, 0.85 - (discordance - won), 0.15 - won])
    return (kinds == 1) | (kinds == 2), (kinds == 0) | (kinds == 2)


def main() -> None:
    """Prints the largest error rates of each table and writes all of them as JSON on request."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=2000)
    parser.add_argument("--whole", type=int, default=300, help="studies of the whole gate")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", default="")
    chosen = parser.parse_args()
    found: dict[str, list[Row]] = {}
    if chosen.studies:
        found = {"margins": margins(chosen.studies, chosen.seed), "floors": floors(chosen.studies, chosen.seed)}
    slack = 2.6 * (ALPHA * (1 - ALPHA) / max(1, chosen.studies)) ** 0.5
    for name, rows in found.items():
        print(f"{name}: {len(rows)} settings of {chosen.studies} studies, level {ALPHA:.0%}, largest error rates")
        for at, what in enumerate(WHAT):
            worst = max(rows, key=lambda row, at=at: row["rates"][at])
            over = sum(row["rates"][at] > ALPHA + slack for row in rows)
            where = {key: value for key, value in worst.items() if key != "rates"}
            print(f"  {what:<24} {worst['rates'][at]:.4f} at {where}; {over} settings surely above the level")
    found["whole"] = whole(chosen.whole, chosen.seed)
    for row in found["whole"]:
        print(" ", row)
    if chosen.json:
        Path(chosen.json).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
