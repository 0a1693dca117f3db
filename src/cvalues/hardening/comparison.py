"""Before and after on the same prompts: paired tests per category with Holm's correction, what got worse first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np

from cvalues.errors import NotEnoughData
from cvalues.hardening.words import named, say
from cvalues.schema import Cell, Estimate, Record, Table
from cvalues.scoring.gate import COVERAGES, GATE_MEASURES, Points, Readings
from cvalues.scoring.telling import Gap
from cvalues.stats.paired import PairedDifference, holm, paired_difference
from cvalues.stats.power import smallest_detectable
from cvalues.taxonomy import Taxonomy, builtin

Part = Literal["sampled", "generalisation"]
Verdict = Literal["worse", "better", "cannot tell"]
PARTS: tuple[Part, ...] = ("sampled", "generalisation")
VERDICTS: tuple[Verdict, ...] = ("worse", "better", "cannot tell")
_POWER = 0.8
_SET = "\x1f"


class ChangeRow(Record, frozen=True, kw_only=True):
    """How one measure changed, over all prompts of a part or in one category."""

    part: Part
    """`generalisation`: prompts of sets that nothing of the training was drawn from."""
    measure: str
    category: str = ""
    """Empty for all."""
    before: float
    after: float
    test: PairedDifference
    """after − before, sign-flip test over prompts."""
    p_adjusted: float | None
    """After Holm over the categories of a part and measure; the row over all is a test of its own."""
    verdict: Verdict
    prompts: int
    detectable: float | None
    """Smallest true change found with 80 % power."""


class Compared(Record, frozen=True, kw_only=True):
    """A round's comparison."""

    before: str
    after: str
    alpha: float
    rows: tuple[ChangeRow, ...]
    """What got worse first, then what got better, then what nobody can tell; by part."""
    told_before: tuple[Gap, ...] = ()
    """Telling and doing by level."""
    told_after: tuple[Gap, ...] = ()
    shared: int
    """Prompts that both were measured on."""
    unshared: int

    def of(self, verdict: Verdict) -> tuple[ChangeRow, ...]:
        """Returns the rows of a verdict."""
        return tuple(row for row in self.rows if row.verdict == verdict)


def compare_readings(
    before: Readings,
    after: Readings,
    *,
    generalisation: Sequence[str] = (),
    alpha: float = 0.05,
) -> list[ChangeRow]:
    """Returns the change of every measure that both have, over all and by category, on what both were asked.

    Args:
        before: readings of the model before.
        after: readings of the model after.
        generalisation: names of the sets that stand apart.
        alpha: error rate.

    Raises:
        NotEnoughData: the two share nothing.
    """
    rows: list[ChangeRow] = []
    for name in GATE_MEASURES:
        if name in COVERAGES or name not in before or name not in after:
            continue
        for part in PARTS:
            mine, theirs = (_of_part(side[name], part, generalisation) for side in (after, before))
            rows += _measure(name, part, mine, theirs, alpha)
    if not rows:
        raise NotEnoughData(
            "before and after share nothing that both were asked; run both on the same sets and compare again"
        )
    return sorted(rows, key=_order)


def _of_part(points: Points, part: str, apart: Sequence[str]) -> dict[str, tuple[str, str, float]]:
    return {
        key: tuple(point)  # type: ignore[misc]
        for key, point in points.items()
        if (point.cluster.partition(_SET)[0] in apart) == (part == "generalisation")
    }


_Mine = Mapping[str, tuple[str, str, float]]


def _measure(name: str, part: Part, mine: _Mine, theirs: _Mine, alpha: float) -> list[ChangeRow]:
    shared = [key for key in mine if key in theirs]
    if not shared:
        return []
    low, high = GATE_MEASURES[name].span

    def test(keys: Sequence[str], *seed: str) -> tuple[PairedDifference, float, float]:
        new, old = [mine[key][2] for key in keys], [theirs[key][2] for key in keys]
        clusters = [mine[key][0] for key in keys]
        found = paired_difference(new, old, clusters, "harden", name, *seed, span=high - low, unit="prompt")
        return found, float(np.mean(old)), float(np.mean(new))

    groups: dict[str, list[str]] = {}
    for key in shared:
        groups.setdefault(mine[key][1], []).append(key)
    tests = {category: test(keys, part, category) for category, keys in sorted(groups.items())}
    adjusted = holm([found.p if found.p is not None else 1.0 for found, _, _ in tests.values()])
    make = _maker(name, part, alpha)
    overall, old, new = test(shared, part)
    rows = [make("", overall, (old, new), overall.p, alpha)]
    rows += [
        make(category, found, (old, new), p, alpha / len(tests))
        for (category, (found, old, new)), p in zip(tests.items(), adjusted, strict=True)
    ]
    return rows


def _maker(
    name: str, part: Part, alpha: float
) -> Callable[[str, PairedDifference, tuple[float, float], float | None, float], ChangeRow]:
    sign = 1 if GATE_MEASURES[name].better == "more" else -1
    width = GATE_MEASURES[name].span[1] - GATE_MEASURES[name].span[0]

    def make(
        category: str, test: PairedDifference, means: tuple[float, float], p: float | None, level: float
    ) -> ChangeRow:
        verdict: Verdict = "cannot tell"
        if p is not None and p < alpha and test.difference.value:
            verdict = "better" if sign * test.difference.value > 0 else "worse"
        found = None
        if test.sd is not None:
            found = smallest_detectable(test.difference.clusters, sd=test.sd, power=_POWER, alpha=level)
        return ChangeRow(
            part=part, measure=name, category=category, before=means[0], after=means[1], test=test, p_adjusted=p, verdict=verdict,
            prompts=test.difference.clusters, detectable=None if found is None else min(width, found),
        )  # fmt: skip

    return make


def _order(row: ChangeRow) -> tuple[int, bool, bool, float, str, str]:
    place = {"worse": 0, "better": 1, "cannot tell": 2}[row.verdict]
    sign = 1 if GATE_MEASURES[row.measure].better == "more" else -1
    change = sign * (row.test.difference.value or 0.0)
    # Within what nobody can tell the rows over all come first, and the most worrying before the others.
    return place, row.part != "sampled", place == 2 and bool(row.category), change, row.measure, row.category


def comparison_tables(found: Compared, language: str, taxonomy: Taxonomy | None = None) -> list[Table]:
    """Returns what got worse, what got better, what nobody can tell, and telling and doing before and after."""
    names = taxonomy or builtin()
    tables = []
    for verdict in VERDICTS:
        rows = found.of(verdict)
        title = say(f"compare.{verdict.replace(' ', '_')}", language, count=len(rows))
        tables.append(_change_table(title, rows, names, language))
    if found.told_before or found.told_after:
        tables.append(_told_table(found, language))
    return tables


def _change_table(title: str, rows: Sequence[ChangeRow], names: Taxonomy, language: str) -> Table:
    columns = ("part", "measure", "category", "before", "after", "difference", "p", "prompts", "detectable")
    body: list[tuple[Cell, ...]] = []
    for row in rows:
        points = row.measure == "points"
        body.append((
            say(f"part.{row.part}", language), named("measure", row.measure, language),
            names.name(row.category, language) if row.category else "·", _number(row.before, points=points),
            _number(row.after, points=points), signed(row.test.difference, points=points),
            None if row.p_adjusted is None else "< 0.0001" if row.p_adjusted < 1e-4 else f"{row.p_adjusted:.4f}",
            row.prompts, None if row.detectable is None else _number(row.detectable, points=points),
        ))  # fmt: skip
    return Table(title=title, columns=tuple(say(f"column.{name}", language) for name in columns), rows=tuple(body))


def _told_table(found: Compared, language: str) -> Table:
    columns = ("level", "when", "tells", "does", "gap", "knows_but_errs", "prompts")
    rows: list[tuple[Cell, ...]] = []
    for when, gaps in (("before", found.told_before), ("after", found.told_after)):
        rows += [
            (gap.level, say(f"when.{when}", language), gap.tells, gap.does, gap.gap, gap.knows_but_errs, gap.prompts)
            for gap in gaps
        ]
    rows.sort(key=lambda row: str(row[0]))
    return Table(
        title=say("compare.told", language),
        columns=tuple(say(f"column.{name}", language) for name in columns),
        rows=tuple(rows),
    )


def _number(value: float, *, points: bool) -> str:
    return f"{value:.2f}" if points else f"{100 * value:.1f}"


def signed(estimate: Estimate, *, points: bool = False) -> str | None:
    """Returns a difference with its sign and interval, in percentage points or points; None for no data."""
    if estimate.value is None:
        return None
    scale, digits = (1.0, 2) if points else (100.0, 1)
    value = f"{scale * estimate.value:+.{digits}f}"
    if estimate.low is None or estimate.high is None:
        return value
    return f"{value} [{scale * estimate.low:+.{digits}f}, {scale * estimate.high:+.{digits}f}]"
