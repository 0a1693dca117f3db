"""Simulates studies and counts how often the 95 % intervals of cvalues.stats hold the truth, and how wide they are.

Usage:  python benchmarks/coverage.py [--studies 2000] [--check] [--out docs/statistics.md]
        python benchmarks/coverage.py --grid [--only "share by prompts"]

Every cell is simulated with two fixed seeds. Replies to one prompt are alike: what is true of them has a correlation of 0.3
within prompts (beta-binomial), and so have the judge's errors; the second table has other correlations, the third other seeds and
settings. The witness is what one would use otherwise, on the same data. `--out` writes the tables between the two marks of that page.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import t as student
from statsmodels.stats.proportion import proportion_confint

from cvalues.stats import clustered_mean
from cvalues.stats.alpha import krippendorff_alpha
from cvalues.stats.design import effective_share, score_limits, share_limits
from cvalues.stats.prevalence import prediction_powered_limits, rogan_gladen_limits
from cvalues.stats.resampling import Resampling

Floats = npt.NDArray[np.float64]
SEEDS = (1, 2)
FRESH_SEEDS = (5, 6)
"""Of the third table."""
GRID_SEED = 7
CORRELATION = 0.3
SENSITIVITY, SPECIFICITY = 0.9, 0.95
CARD = (100, 200)
"""Unsafe and safe replies of a judge card."""
FEW = 5
"""Prompts with the rarer answer that are to be expected; below it the witness of shares is another one (`share_witness`)."""
LEAST, MOST, WIDEST = 0.935, 0.97, 1.25
"""What is asked of coverage, and of the mean width as a multiple of the witness's."""
STUDIES = 2000
MANY = {"share by prompts": 20, "Rogan–Gladen": 5, "PPI share": 5}
"""How many times more studies methods get that are cheap to simulate; counts are coarse there, and 2,000 studies too."""
AT_ONCE = 2000
"""Studies that are held in memory at once."""
MARKS = ("<!-- coverage -->\n", "<!-- end of coverage -->")


class Setting(NamedTuple):
    """What is simulated."""

    method: str
    clusters: int
    size: int
    rate: float
    correlation: float = CORRELATION


class Cell(NamedTuple):
    """What came out of one setting and seed."""

    setting: Setting
    seed: int
    coverage: float
    below: float
    """Share of studies whose whole interval lies below the truth."""
    width: float
    witness_coverage: float
    witness_width: float


class Limits(NamedTuple):
    """Limits of every study, those of the witness, and the truth."""

    low: Floats
    high: Floats
    witness_low: Floats
    witness_high: Floats
    truth: float


def few(setting: Setting) -> bool:
    """Whether fewer than five prompts are expected to hold the rarer answer."""
    return expected(setting) < FEW


def expected(setting: Setting) -> float:
    """How many prompts are expected to hold a reply of the rarer kind (beta-binomial)."""
    inside = setting.correlation if setting.size > 1 else 0.0
    rate = min(setting.rate, 1 - setting.rate)
    if not inside:
        none = (1 - rate) ** setting.size
    elif inside == 1:
        none = 1 - rate
    else:
        weight = 1 / inside - 1
        steps = np.arange(setting.size)
        none = float(np.prod(((1 - rate) * weight + steps) / (weight + steps)))
    return setting.clusters * (1 - none)


def beta_rates(rng: np.random.Generator, rate: float, correlation: float, shape: tuple[int, ...]) -> Floats:
    """Chances of clusters with this mean and intra-cluster correlation."""
    if not correlation:
        return np.full(shape, rate)
    if correlation == 1:
        return (rng.random(shape) < rate).astype(np.float64)
    weight = 1 / correlation - 1
    return rng.beta(rate * weight, (1 - rate) * weight, shape)


def replies(rng: np.random.Generator, setting: Setting, studies: int, clusters: int) -> tuple[Floats, Floats]:
    """(unsafe replies, replies that the judge calls unsafe) by study and cluster."""
    shape = (studies, clusters)
    inside = setting.correlation if setting.size > 1 else 0.0
    truth = rng.binomial(setting.size, beta_rates(rng, setting.rate, inside, shape))
    found = rng.binomial(truth, beta_rates(rng, SENSITIVITY, inside, shape))
    alarms = rng.binomial(setting.size - truth, beta_rates(rng, 1 - SPECIFICITY, inside, shape))
    return truth.astype(np.float64), (found + alarms).astype(np.float64)


def korn_graubard(sums: Floats, size: int) -> tuple[Floats, Floats]:
    """Clopper and Pearson's interval for the effective size of a clustered sample (Korn and Graubard, 1998)."""
    studies, clusters = sums.shape
    total = clusters * size
    share = sums.sum(axis=1) / total
    squares = ((sums - share[:, None] * size) ** 2).sum(axis=1) * clusters / (clusters - 1)
    spread = share * (1 - share) * total
    effect = np.divide(squares, spread, out=np.ones(studies), where=spread > 0)
    effective = np.minimum(total / np.maximum(effect, 1e-9), total)
    effective *= (student.ppf(0.975, total - 1) / student.ppf(0.975, clusters - 1)) ** 2
    return proportion_confint(share * effective, effective, alpha=0.05, method="beta")


def lang_reiczigel(share: Floats, size: Floats, cards: Floats, z: float) -> tuple[Floats, Floats]:
    """The adjusted interval of Lang and Reiczigel (2014) for an effective number of judged replies."""
    hits, positives, alarms, negatives = cards.T
    se, sp = (hits + 1) / (positives + 2), (negatives - alarms + 1) / (negatives + 2)
    rate = (size * share + z * z / 2) / (size + z * z)
    power = se + sp - 1
    value = (rate + sp - 1) / power
    var_se, var_sp = se * (1 - se) / (positives + 2), sp * (1 - sp) / (negatives + 2)
    shift = 2 * z * z * (value * var_se - (1 - value) * var_sp)
    half = z * np.sqrt(rate * (1 - rate) / (size + z * z) + value**2 * var_se + (1 - value) ** 2 * var_sp) / power
    return np.clip(value + shift - half, 0, 1), np.clip(value + shift + half, 0, 1)


def told_clopper_pearson(share: Floats, setting: Setting) -> tuple[Floats, Floats]:
    """Clopper and Pearson's interval of one who knows how alike replies to a prompt are, and so what the sample is worth."""
    size = np.full(share.shape, setting.clusters * setting.size / (1 + (setting.size - 1) * setting.correlation))
    return proportion_confint(share * size, size, alpha=0.05, method="beta")


def share_witness(sums: Floats, setting: Setting) -> tuple[Floats, Floats]:
    """Korn and Graubard's interval; for small counts of correlated replies the one of who is told the correlation.

    In studies of small counts in which all replies are of one kind nobody is told: there it is the interval of the prompts, which
    is exact whatever the correlation.
    """
    if not few(setting) or setting.size == 1:
        return korn_graubard(sums, setting.size)
    share = sums.mean(axis=1) / setting.size
    low, high = told_clopper_pearson(share, setting) if setting.correlation else korn_graubard(sums, setting.size)
    bottom, top = proportion_confint(np.rint(share * setting.clusters), setting.clusters, alpha=0.05, method="beta")
    alike = (share == 0) | (share == 1)
    return np.where(alike, bottom, low), np.where(alike, top, high)


def share_by_prompts(setting: Setting, studies: int, rng: np.random.Generator) -> Limits:
    """`clustered_proportion` (here for many studies at once) beside Korn and Graubard, or beside an exact interval."""
    found = []
    for begin in range(0, studies, AT_ONCE):
        sums, _ = replies(rng, setting, min(AT_ONCE, studies - begin), setting.clusters)
        low, high = share_limits(effective_share(sums, np.full(sums.shape, float(setting.size))), 0.975)
        found.append((low, high, *share_witness(sums, setting)))
    return Limits(*(np.concatenate(part) for part in zip(*found, strict=True)), setting.rate)


def scores(rng: np.random.Generator, setting: Setting, studies: int, clusters: int) -> tuple[Floats, Floats]:
    """(points from 1 to 10, the judge's points) by study, cluster and reply; `rate` is how harsh the task is."""
    shape = (studies, clusters, setting.size)
    ability = 8.5 - 6 * setting.rate
    inside = setting.correlation if setting.size > 1 else 0.0
    prompt = rng.normal(0, np.sqrt(inside), (studies, clusters, 1))
    quality = ability + 2 * (prompt + rng.normal(0, np.sqrt(1 - inside), shape))
    points = np.clip(np.rint(quality), 1, 10)
    judge = np.clip(np.rint(0.8 * quality + 2.2 + rng.normal(0, 1, shape)), 1, 10)
    return points, judge


def mean_points(setting: Setting) -> float:
    """The mean of the points of `scores` in the whole population."""
    from scipy.stats import norm

    edges = np.arange(1, 10) + 0.5
    return float(10 - norm.cdf(edges, 8.5 - 6 * setting.rate, 2).sum())


def points_by_prompts(setting: Setting, studies: int, rng: np.random.Generator) -> Limits:
    """`clustered_mean` of points from 1 to 10 beside the t interval of the prompts' means."""
    points, _ = scores(rng, setting, studies, setting.clusters)
    labels = np.repeat(np.arange(setting.clusters), setting.size)
    found = [clustered_mean(study.reshape(-1), labels) for study in points]
    low, high = np.array([(one.low, one.high) for one in found], dtype=np.float64).T
    means = points.mean(axis=2)
    half = student.ppf(0.975, setting.clusters - 1) * means.std(axis=1, ddof=1) / np.sqrt(setting.clusters)
    middle = means.mean(axis=1)
    return Limits(low, high, middle - half, middle + half, mean_points(setting))


def rogan_gladen_cell(setting: Setting, studies: int, rng: np.random.Generator) -> Limits:
    """`rogan_gladen` beside Lang and Reiczigel with the same effective size."""
    _, judged = replies(rng, setting, studies, setting.clusters)
    unsafe, safe = CARD
    cards = np.column_stack(
        [
            rng.binomial(unsafe, SENSITIVITY, studies),
            np.full(studies, unsafe),
            rng.binomial(safe, 1 - SPECIFICITY, studies),
            np.full(studies, safe),
        ]
    ).astype(np.float64)
    sizes = np.full(judged.shape, float(setting.size))
    low, high = rogan_gladen_limits(judged, sizes, cards)
    worth = effective_share(judged, sizes)
    witness = lang_reiczigel(worth.share, worth.size, cards, float(student.ppf(0.975, setting.clusters - 1)))
    return Limits(low, high, *witness, setting.rate)


def ppi_parts(human: Floats, judge: Floats, others: Floats, size: int) -> Floats:
    """What `prediction_powered_limits` takes, for a human sample and ten times as many other prompts."""
    studies, clusters = human.shape
    rest = others.shape[1]
    none, empty = np.zeros((studies, rest)), np.zeros((studies, clusters))
    return np.stack(
        [
            np.hstack([np.full((studies, clusters), float(size)), none]),
            np.hstack([human, none]),
            np.hstack([judge, none]),
            np.hstack([empty, np.full((studies, rest), float(size))]),
            np.hstack([empty, others]),
        ]
    )


def prediction_powered_share(setting: Setting, studies: int, rng: np.random.Generator) -> Limits:
    """`prediction_powered` of a share beside Wilson's limits of the human sample alone."""
    found = []
    for begin in range(0, studies, AT_ONCE):
        human, judge = replies(rng, setting, min(AT_ONCE, studies - begin), setting.clusters)
        _, others = replies(rng, setting, len(human), 10 * setting.clusters)
        _, low, high = prediction_powered_limits(ppi_parts(human, judge, others, setting.size), share=True)
        worth = effective_share(human, np.full(human.shape, float(setting.size)))
        found.append((low, high, *score_limits(worth.share, worth.size, student.ppf(0.975, worth.df))))
    return Limits(*(np.concatenate(part) for part in zip(*found, strict=True)), setting.rate)


def prediction_powered_points(setting: Setting, studies: int, rng: np.random.Generator) -> Limits:
    """`prediction_powered` of mean points beside the t interval of the human sample alone."""
    human, judge = (part.sum(axis=2) for part in scores(rng, setting, studies, setting.clusters))
    others = scores(rng, setting, studies, 10 * setting.clusters)[1].sum(axis=2)
    _, low, high = prediction_powered_limits(ppi_parts(human, judge, others, setting.size))
    means = human / setting.size
    half = student.ppf(0.975, setting.clusters - 1) * means.std(axis=1, ddof=1) / np.sqrt(setting.clusters)
    middle = means.mean(axis=1)
    return Limits(low, high, middle - half, middle + half, mean_points(setting))


def votes(setting: Setting) -> tuple[Floats, float]:
    """(chance of 0 … size unsafe votes of an item, alpha of the population) for raters of the specificity .95 and sensitivity .85."""
    from scipy.stats import binom

    count = np.arange(setting.size + 1)
    chances = setting.rate * binom.pmf(count, setting.size, 0.85)
    chances += (1 - setting.rate) * binom.pmf(count, setting.size, 0.05)
    share = float(chances @ count) / setting.size
    split = float(chances @ (2 * count * (setting.size - count) / (setting.size - 1))) / setting.size
    return chances, 1 - split / (2 * share * (1 - share))


def jackknife(table: Floats, size: int) -> tuple[float, float]:
    """The t interval of the jackknife of alpha from a table of votes."""
    count = np.arange(size + 1)
    splits = 2 * count * (size - count) / (size - 1)

    def alpha(tables: Floats) -> Floats:
        ones, total = tables @ count, tables.sum(axis=1) * size
        expected = 2 * ones * (total - ones) / (total - 1)
        observed = tables @ splits
        return 1 - np.divide(observed, expected, out=np.ones(len(tables)), where=expected > 0)

    kinds = np.flatnonzero(table)
    left = np.tile(table, (len(kinds), 1))
    left[np.arange(len(kinds)), kinds] -= 1
    items = float(table.sum())
    values, weights = alpha(left), table[kinds]
    mean = float(weights @ values) / items
    error = float(np.sqrt((items - 1) / items * (weights @ (values - mean) ** 2)))
    whole = float(alpha(table[None])[0])
    half = float(student.ppf(0.975, items - 1)) * error
    return whole - half, whole + half


def alpha_bootstrap(setting: Setting, studies: int, rng: np.random.Generator) -> Limits:
    """`krippendorff_alpha` of safe/unsafe votes beside the jackknife; studies in which alpha is undefined are drawn again."""
    chances, truth = votes(setting)
    found, witness = [], []
    how = Resampling(draws=500)
    while len(found) < studies:
        table = rng.multinomial(setting.clusters, chances)
        kinds = np.repeat(np.arange(setting.size + 1), table)
        one = krippendorff_alpha((np.arange(setting.size) < kinds[:, None]).astype(np.float64), resampling=how)
        if one.value is not None and one.low is not None and one.high is not None:
            found.append((one.low, one.high))
            witness.append(jackknife(table.astype(np.float64), setting.size))
    low, high = np.array(found).T
    witness_low, witness_high = np.array(witness).T
    return Limits(low, high, witness_low, witness_high, truth)


METHODS: dict[str, Callable[[Setting, int, np.random.Generator], Limits]] = {
    "share by prompts": share_by_prompts,
    "mean points by prompts": points_by_prompts,
    "Rogan–Gladen": rogan_gladen_cell,
    "PPI share": prediction_powered_share,
    "PPI mean points": prediction_powered_points,
    "Krippendorff alpha": alpha_bootstrap,
}


def settings() -> list[Setting]:
    """The cells of the first table."""
    shapes = ((20, 10), (20, 3), (100, 3), (300, 1))
    found = [
        Setting(method, clusters, size, rate)
        for method in ("share by prompts", "Rogan–Gladen", "PPI share")
        for clusters, size in shapes
        for rate in (0.02, 0.1, 0.5)
    ]
    found += [
        Setting(method, clusters, size, rate)
        for method in ("mean points by prompts", "PPI mean points")
        for clusters, size in shapes
        for rate in (0.02, 0.5)
    ]
    alpha = ((20, 3, 0.3), (20, 5, 0.5), (100, 3, 0.15), (300, 3, 0.02), (300, 3, 0.15), (300, 3, 0.5))
    found += [Setting("Krippendorff alpha", *cell, correlation=0.0) for cell in alpha]
    return found


def stress() -> list[Setting]:
    """The cells of the second table: other correlations within prompts, other shapes, rarely seen votes."""
    shares = ("share by prompts", "Rogan–Gladen", "PPI share")
    found = [
        Setting(method, 20, 10, rate, correlation)
        for method in shares
        for correlation in (0.0, 0.6, 1.0)
        for rate in (0.02, 0.1)
    ]
    first = ((50, 4, 0.05, 0.6), (12, 8, 0.1, 0.3), (20, 3, 0.02, 0.0), (40, 5, 0.05, 0.5), (200, 2, 0.03, 0.2))
    second = ((60, 6, 0.04, 0.4), (25, 4, 0.12, 0.25), (150, 2, 0.015, 0.7), (16, 5, 0.2, 0.5), (80, 8, 0.03, 0.15))
    third = ((30, 6, 0.08, 0.35), (18, 8, 0.3, 0.4), (120, 3, 0.04, 0.5), (45, 3, 0.06, 0.1), (70, 5, 0.15, 0.8))
    found += [Setting(method, *cell) for method in shares for cell in (*first, *second, *third)]
    return [*found, Setting("Krippendorff alpha", 100, 3, 0.02, 0.0), Setting("Krippendorff alpha", 20, 3, 0.1, 0.0)]


def fresh() -> list[Setting]:
    """The cells of the third table, which has seeds of its own.

    They were drawn by lot when all constants had been chosen, from those that let expect 1.5 to 8 unsafe replies.
    """
    cells = (
        (64, 6, 0.0197, 0.64),
        (138, 8, 0.0034, 0.14),
        (53, 5, 0.015, 0.29),
        (55, 5, 0.0126, 0.18),
        (47, 7, 0.0095, 0.21),
        (108, 2, 0.0143, 0.28),
    )
    return [Setting(method, *cell) for method in ("share by prompts", "Rogan–Gladen", "PPI share") for cell in cells]


def grid() -> list[Setting]:
    """Cells of three methods from 12 to 300 prompts, 1 to 20 replies, 1 to 50 %, independent to all alike."""
    found = [
        Setting("share by prompts", clusters, size, rate, correlation)
        for clusters in (12, 20, 30, 60, 100, 300)
        for size in (1, 2, 3, 5, 8, 10, 20)
        for correlation in ((0.0,) if size == 1 else (0.0, 0.1, 0.3, 0.6, 1.0))
        for rate in (0.01, 0.02, 0.03, 0.05, 0.08, 0.15, 0.3, 0.5)
    ]
    return found + [
        Setting(method, clusters, size, rate, correlation)
        for method in ("Rogan–Gladen", "PPI share")
        for clusters in (12, 20, 30, 60, 100)
        for size in (1, 3, 5, 10)
        for correlation in ((0.0,) if size == 1 else (0.1, 0.3, 0.6))
        for rate in (0.01, 0.02, 0.05, 0.1, 0.2)
    ]


def summary(cells: list[Cell]) -> str:
    """Returns for each method of the grid how many settings hold the bars of coverage, and the least by correlation."""
    lines = []
    for method in dict.fromkeys(cell.setting.method for cell in cells):
        for name, alike in (("correlation below 1", False), ("correlation 1", True)):
            one = [cell for cell in cells if cell.setting.method == method and (cell.setting.correlation == 1) == alike]
            if one:
                least = min(one, key=lambda cell: cell.coverage)
                low = sum(cell.coverage < LEAST for cell in one)
                high = sum(cell.coverage > MOST for cell in one)
                lines.append(
                    f"{method}, {name}: {len(one)} settings, {low} below {100 * LEAST:g} %, {high} above {100 * MOST:g} %; "
                    f"least {100 * least.coverage:.1f} % at {tuple(least.setting[1:])}"
                )
    return "\n".join(lines)


def groups() -> list[tuple[list[Setting], tuple[int, int]]]:
    """The cells of each table with its seeds."""
    return [(settings(), SEEDS), (stress(), SEEDS), (fresh(), FRESH_SEEDS)]


def studies_of(setting: Setting) -> int:
    """How many studies a cell gets with each seed; PPI of 300 prompts simulates 3,300 in each and keeps to the fewer."""
    costly = setting.method == "PPI share" and setting.clusters >= 300
    return STUDIES * (1 if costly else MANY.get(setting.method, 1))


def simulate(setting: Setting, seed: int, studies: int) -> Cell:
    """Runs one cell; the seed and the place of the setting give the generator, so cells can be run alone."""
    parts = [seed, setting.clusters, setting.size, round(1000 * setting.rate), round(1000 * setting.correlation)]
    rng = np.random.default_rng([*parts, *setting.method.encode()])
    found = METHODS[setting.method](setting, studies, rng)
    inside = (found.low <= found.truth) & (found.truth <= found.high)
    witness = (found.witness_low <= found.truth) & (found.truth <= found.witness_high)
    return Cell(
        setting,
        seed,
        float(inside.mean()),
        float((found.high < found.truth).mean()),
        float((found.high - found.low).mean()),
        float(witness.mean()),
        float((found.witness_high - found.witness_low).mean()),
    )


def table(cells: list[Cell]) -> str:
    """A Markdown table with a row per setting; coverage of both seeds, width as a multiple of the witness's."""
    head = "| method | prompts × replies | rate | correlation | coverage | too low | width | × witness | witness covers |\n"
    lines = [head, "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n"]
    for setting in dict.fromkeys(cell.setting for cell in cells):
        one = [cell for cell in cells if cell.setting == setting]
        coverage = ", ".join(f"{100 * cell.coverage:.1f}" + mark(cell) for cell in one)
        width = np.mean([cell.width for cell in one])
        witness = np.mean([cell.witness_width for cell in one])
        lines.append(
            f"| {setting.method} | {setting.clusters} × {setting.size} | {100 * setting.rate:g}% | "
            f"{setting.correlation if setting.size > 1 else 0:g} | {coverage} | "
            f"{', '.join(f'{100 * cell.below:.1f}' for cell in one)} | {width:.3f} | {width / witness:.2f} | "
            f"{', '.join(f'{100 * cell.witness_coverage:.1f}' for cell in one)} |\n"
        )
    return "".join(lines)


def mark(cell: Cell) -> str:
    """`*` for what misses the bar of coverage."""
    return "" if within(cell) else "*"


def within(cell: Cell) -> bool:
    """Whether coverage is 93.5 to 97 %."""
    return LEAST <= cell.coverage <= MOST


def missed(cells: list[Cell]) -> list[str]:
    """What each cell misses of the bars of coverage and width, in words; empty where all hold."""
    found = []
    for cell in cells:
        where = f"{cell.setting}, seed {cell.seed}"
        if not within(cell):
            found.append(f"{where}: coverage {cell.coverage:.4f}")
        if cell.width > WIDEST * cell.witness_width:
            found.append(f"{where}: width {cell.width / cell.witness_width:.3f} of the witness")
    return found


def main() -> int:
    """Runs all cells, prints or writes the tables, and returns 1 where `--check` finds a bar missed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--studies", type=int, help="of each cell and seed; by default 2,000 to 40,000")
    parser.add_argument("--only", default="", help="part of a method's name")
    parser.add_argument("--check", action="store_true", help="exit with 1 where coverage or width is out of bounds")
    parser.add_argument("--out", type=Path)
    parser.add_argument(
        "--grid", action="store_true", help="simulate the grid, 4,000 studies of each cell, instead of the tables"
    )
    args = parser.parse_args()
    if args.grid:
        studies = args.studies or 2 * STUDIES
        print(summary([simulate(one, GRID_SEED, studies) for one in grid() if args.only in one.method]))
        return 0
    began = time.perf_counter()
    tables, everything = [], []
    for group, seeds in groups():
        cells = [
            simulate(setting, seed, args.studies or studies_of(setting))
            for setting in group
            if args.only in setting.method
            for seed in seeds
        ]
        everything += cells
        tables.append(table(cells))
        print(tables[-1], flush=True)
    print(f"{time.perf_counter() - began:.0f} s")
    if args.out:
        text = args.out.read_text(encoding="utf-8")
        before, rest = text.split(MARKS[0], 1)
        after = rest.split(MARKS[1], 1)[1]
        written = "\n".join(tables)
        args.out.write_text(f"{before}{MARKS[0]}{written}{MARKS[1]}{after}", encoding="utf-8")
    faults = missed(everything)
    print("\n".join(faults) or "every cell is within the bars")
    return 1 if args.check and faults else 0


if __name__ == "__main__":
    sys.exit(main())
