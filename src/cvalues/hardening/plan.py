"""What a round needs: expert prompts and answers per category, for a change that is to be seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cvalues.errors import UsageError
from cvalues.hardening.gaps import Gap, Verdict
from cvalues.hardening.words import named, say
from cvalues.schema import Cell, Record, Table
from cvalues.stats.power import clusters_needed, smallest_detectable
from cvalues.taxonomy import Taxonomy, builtin


class Need(Record, frozen=True, kw_only=True):
    """What experts have to write for one category."""

    category: str
    measure: str
    verdict: Verdict
    prompts: int
    """Prompts that were measured."""
    wanted: int
    """Prompts on which the change would be seen."""
    write_measure: int
    """New prompts that are held back for measuring."""
    write_learn: int
    """New prompts to learn from, each with an approved answer."""
    detectable: float | None
    """The change that the prompts there are show already."""

    @property
    def write(self) -> int:
        """All new prompts."""
        return self.write_measure + self.write_learn


class HardenPlan(Record, frozen=True, kw_only=True):
    """A round's plan."""

    model: str
    runs: tuple[str, ...]
    goal: float
    change: float
    """The smallest change of a category's score that is to be seen."""
    alpha: float
    power: float
    gaps: tuple[Gap, ...]
    needs: tuple[Need, ...]
    traffic: dict[str, float] = {}
    measures: tuple[str, ...] = ()

    def of(self, verdict: Verdict) -> tuple[Gap, ...]:
        """Returns the gaps of a verdict in their order."""
        return tuple(gap for gap in self.gaps if gap.verdict == verdict)


def needs_of(
    found: Sequence[Gap], *, change: float, learn: int = 20, most: int = 6, alpha: float = 0.05, power: float = 0.8
) -> list[Need]:
    """Returns what has to be written for the weakest categories that are not surely good enough, at most `most` of them.

    Before and after are compared on the same prompts, so a category needs ((z_a + z_b)·s/δ)² prompts (`stats.power.clusters_needed`)
    with δ the change, s the standard deviation that a prompt contributes to the difference, taken to be that of its score (what it is
    where both models' values correlate by ½; several items of a prompt are in it, so that their clustering counts), and alpha shared
    out over the categories, as Holm's first step does.

    Args:
        found: from `gaps`.
        change: the smallest change to be seen, above 0 and below 1.
        learn: prompts with an approved answer to learn from, per category.
        most: categories at most.
        alpha: error rate over all categories.
        power: of seeing the change.

    Raises:
        UsageError: the change is out of range.
    """
    if not 0 < change < 1:
        raise UsageError(f"--change: expected a share between 0 and 1 such as 0.15, got {change}")
    chosen = sorted((gap for gap in found if gap.verdict != "reached"), key=lambda gap: (-gap.risk, gap.category))
    chosen = list({gap.category: gap for gap in reversed(chosen)}.values())[::-1][:most]
    level = alpha / max(1, len(chosen))
    made = []
    for gap in chosen:
        wanted = clusters_needed(change, sd=gap.spread, power=power, alpha=level)
        made.append(
            Need(
                category=gap.category,
                measure=gap.measure,
                verdict=gap.verdict,
                prompts=gap.prompts,
                wanted=wanted,
                write_measure=max(0, wanted - gap.prompts),
                write_learn=learn,
                detectable=smallest_detectable(gap.prompts, sd=gap.spread, power=power, alpha=level),
            )
        )
    return made


def plan_tables(plan: HardenPlan, language: str, taxonomy: Taxonomy | None = None) -> list[Table]:
    """Returns the lists *surely weak* and *cannot tell*, and what experts have to write."""
    names = taxonomy or builtin()
    return [
        _gap_table(plan.of("weak"), "weak", names, language),
        _gap_table(plan.of("cannot tell"), "cannot_tell", names, language),
        _need_table(plan, names, language),
    ]


def _gap_table(found: Sequence[Gap], title: str, names: Taxonomy, language: str) -> Table:
    columns = ("category", "measure", "score", "prompts", "risk", "needed")
    rows: list[tuple[Cell, ...]] = [
        (
            names.name(gap.category, language), named("measure", gap.measure, language), gap.score, gap.prompts,
            f"{gap.risk:.2f}", gap.needed,
        )
        for gap in found
    ]  # fmt: skip
    return Table(
        title=say(f"plan.{title}", language),
        columns=tuple(say(f"column.{name}", language) for name in columns),
        rows=tuple(rows),
        notes=(say(f"plan.{title}_note", language),),
    )


def _need_table(plan: HardenPlan, names: Taxonomy, language: str) -> Table:
    columns = ("category", "measure", "prompts", "wanted", "write_measure", "write_learn", "answers", "detectable")
    rows: list[tuple[Cell, ...]] = [
        (
            names.name(need.category, language), named("measure", need.measure, language), need.prompts, need.wanted,
            need.write_measure, need.write_learn, need.write_learn, None if need.detectable is None else f"{100 * need.detectable:.1f}",
        )
        for need in plan.needs
    ]  # fmt: skip
    note = say(
        "plan.needs_note",
        language,
        change=f"{100 * plan.change:g}",
        power=f"{plan.power:.0%}",
        alpha=f"{plan.alpha:g}",
        count=len(plan.needs),
    )
    return Table(
        title=say("plan.needs", language),
        columns=tuple(say(f"column.{name}", language) for name in columns),
        rows=tuple(rows),
        notes=(note,),
    )


def quotas(needs: Sequence[Need]) -> Mapping[str, int]:
    """Returns the new prompts that are wanted per category; those that need none are left out."""
    return {need.category: need.write for need in needs if need.write}
