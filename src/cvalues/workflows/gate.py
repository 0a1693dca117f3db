"""`cvalues gate`: runs of a candidate and a baseline → the gate's answer, and a gate.toml that a set can decide."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from cvalues.errors import ConfigError, NotEnoughData, UsageError, unknown_name
from cvalues.hardening.decisions import Decision, GateAnswer, fact
from cvalues.hardening.words import say
from cvalues.judging.card import JudgeCard
from cvalues.pairs.fitted import Taint
from cvalues.pairs.taints import kept_taints
from cvalues.pairs.taints import notes as taint_notes
from cvalues.records import content_hash, now, open_bytes, write_text
from cvalues.schema import SetRef
from cvalues.scoring.free import FreeOutcome, raters
from cvalues.scoring.gate import (
    COVERAGES,
    DEFAULT,
    GATE_MEASURES,
    GateConfig,
    GateResult,
    Readings,
    Trust,
    gate,
)
from cvalues.scoring.gate_readings import choice_readings, free_readings, is_people, rater_of, shared_raters
from cvalues.scoring.outcomes import ItemOutcome
from cvalues.stats.bounded import BoundedMean, smallest_margin
from cvalues.study import open_study
from cvalues.workflows.compare import one_model

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

_NOT_TRUE = ("judge:", "rule:", "panel:", "baseline:", "reward:")
"""Beginnings of sources that a judge card may be held against but that are no truth."""
_STEP = {"points": 0.05}


class Side(NamedTuple):
    """What one model did in the runs that were given for it."""

    name: str
    outcomes: list[ItemOutcome]
    free: list[FreeOutcome]
    prompt_of: dict[str, str]
    cards: tuple[JudgeCard, ...]
    sets: tuple[SetRef, ...]
    runs: tuple[str, ...] = ()
    """Their names."""
    taints: tuple[Taint, ...] = ()
    """Why answers of this model are no figures on new items: it is a reward model that was fitted on them."""


class Gated(NamedTuple):
    """The gate's answer with what it rests on."""

    result: GateResult
    trust: dict[str, Trust]
    changed: tuple[str, ...]
    """Sets whose items differ between the two sides; only what both were asked is compared."""
    unasked: int
    """Items that the baseline was asked and the candidate was not."""
    candidate_runs: tuple[str, ...] = ()
    baseline_runs: tuple[str, ...] = ()
    taints: tuple[Taint, ...] = ()
    """Reward models of both sides that were fitted on what they answered."""

    def _repr_html_(self) -> str:
        """Returns what a notebook shows: the tests of the gate."""
        return self.result.to_html()

    def to_polars(self) -> pl.DataFrame:
        """Returns the tests as a data frame of polars; raises MissingExtra where it is not installed."""
        return self.result.to_polars()

    def to_pandas(self) -> pd.DataFrame:
        """Returns the tests as a data frame of pandas; raises MissingExtra where it is not installed."""
        return self.result.to_pandas()

    def printed(self) -> GateAnswer:
        """Returns the answer with what differs between the two sides, as `--json` prints it."""
        plain = {name: getattr(self.result, name) for name in self.result.__struct_fields__}
        return GateAnswer(**plain, changed_sets=self.changed, unasked=self.unasked)

    def decision(self) -> Decision:
        """Returns the answer as a study keeps it, with the time of now."""
        return Decision(
            result=self.result, candidate_runs=self.candidate_runs, baseline_runs=self.baseline_runs, changed_sets=self.changed,
            unasked=self.unasked, time=now(),
        )  # fmt: skip


def side(references: Sequence[str], study: str | Path) -> Side:
    """Returns what one model did in runs of two-choice items, of free responses, or both.

    Args:
        references: each a run as every command takes it, or RUN:MODEL where a run has several models.
        study: the study that plain names refer to.

    Raises:
        UsageError: a run or model does not exist, or a run has several models and none is named.
    """
    if not references:
        raise UsageError("name at least one run of the model")
    parts = [one_model(reference, study) for reference in references]
    outcomes = [outcome for model, data in parts for outcome in data.outcomes if outcome.model == model]
    free = [outcome for model, data in parts for outcome in data.free.outcomes if outcome.model == model]
    cards = {content_hash(card): card for _, data in parts for card in data.free.cards}
    models = list(dict.fromkeys(model for model, _ in parts))
    return Side(
        name=", ".join(models),
        outcomes=outcomes,
        free=free,
        prompt_of={key: value for _, data in parts for key, value in data.prompts_of_choices.items()},
        cards=tuple(cards.values()),
        sets=tuple(ref for _, data in parts for run in data.runs for ref in run.sets),
        runs=tuple(dict.fromkeys(run.name for _, data in parts for run in data.runs)),
        taints=tuple(
            one for model, data in parts for run in data.runs for one in kept_taints(run.settings) if one.model == model
        ),
    )


def load_config(path: Path | None) -> GateConfig:
    """Returns the rules of a gate.toml, or the default ones for None.

    Raises:
        ConfigError: the file is not valid, holds no rule, or a rule makes no sense.
    """
    if path is None:
        return DEFAULT
    with open_bytes(path) as file:
        try:
            config = msgspec.toml.decode(file.read(), type=GateConfig)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: {error}; write one with  cvalues gate init RUN  and change it") from error
    if not config.rule:
        raise ConfigError(f"{path}: holds no [[rule]]; write one with  cvalues gate init RUN  and change it")
    return config.check()


def check_gate(
    candidate: Sequence[str],
    baseline: Sequence[str],
    *,
    config: GateConfig = DEFAULT,
    study: str | Path = "study.db",
    rater: str = "",
    choice_only: bool = False,
) -> Gated:
    """Returns the gate's answer on two models.

    Args:
        candidate: runs of the candidate (`side`).
        baseline: runs of the baseline.
        config: the rules.
        study: the study that plain names refer to.
        rater: whose verdicts free responses are read by, as far as both models have them; else people before panels before judges.
        choice_only: decide by multiple choice alone.

    Raises:
        UsageError: a run or model does not exist.
        NotEnoughData: the two share nothing that both were asked.
    """
    mine, theirs = side(candidate, study), side(baseline, study)
    chosen = readers(mine, theirs, rater)
    readings = [
        {**choice_readings(one.outcomes, one.prompt_of), **free_readings(one.free, chosen)} for one in (mine, theirs)
    ]
    if not any(readings[0][name].keys() & readings[1].get(name, {}).keys() for name in readings[0]):
        raise NotEnoughData(
            f"'{mine.name}' and '{theirs.name}' share nothing that both were asked; run both on the same sets and ask again"
        )
    trust = trusted(chosen, (*mine.cards, *theirs.cards), config.card_responses)
    names = (
        (mine.name, theirs.name)
        if mine.name != theirs.name
        else (f"{mine.name} ({candidate[0]})", f"{theirs.name} ({baseline[0]})")
    )
    result = gate(readings[0], readings[1], config, names=names, trust=trust, choice_only=choice_only)
    hashes = {ref.name: ref.hash for ref in theirs.sets}
    changed = sorted({ref.name for ref in mine.sets if hashes.get(ref.name, ref.hash) != ref.hash})
    unasked = sum(len(readings[1].get(name, {}).keys() - readings[0].get(name, {}).keys()) for name in COVERAGES)
    return Gated(result, trust, tuple(changed), unasked, mine.runs, theirs.runs, (*mine.taints, *theirs.taints))


def keep_decision(found: Gated, references: Sequence[str], study: str | Path) -> bool:
    """Keeps an answer in the study, so that reports of its runs show it; returns False where no run of the study was named.

    Args:
        found: the answer.
        references: runs of both sides as they were given; those of a results.json or of FILE.db#NAME are not of this study.
        study: the study that plain names refer to.
    """
    if all(reference.endswith(".json") or "#" in reference for reference in references):
        return False
    with open_study(study, create=False) as opened:
        opened.note(fact(found.decision()))
    return True


def readers(mine: Side, theirs: Side, wanted: str = "") -> dict[str, str]:
    """Returns by criterion whose verdicts on free responses count: the wanted reader's where both have them (`shared_raters`).

    Raises:
        UsageError: a reader is wanted who read nothing of both.
    """
    chosen = shared_raters(mine.free, theirs.free, wanted)
    if wanted and not any(name.startswith(wanted) for name in chosen.values()):
        read = [{name for counts in raters(one.free).values() for name in counts} for one in (mine, theirs)]
        known = sorted(read[0] & read[1])
        if not known:
            raise UsageError(f"--rater {wanted}: these runs hold no free response that anybody read; judge them first")
        raise unknown_name("rater", wanted, known)
    return chosen


def trusted(chosen: Mapping[str, str], cards: Sequence[JudgeCard], least: int) -> dict[str, Trust]:
    """Returns by free measure whose verdicts it rests on, and whether they can be trusted: people, or judges with a valid card.

    A card is valid for a rater of exactly its name (the name holds the judge's hash), when it was held against people or a file of
    verdicts on at least `least` responses, and the judge did better than chance on it.
    """
    found = {}
    for name, measure in GATE_MEASURES.items():
        if measure.source == "choice":
            continue
        rests = rater_of(name, chosen)
        if rests:
            calibrated = all(is_people(rater) or _valid(criterion, rater, cards, least) for criterion, rater in rests)
            found[name] = Trust(" + ".join(dict.fromkeys(rater for _, rater in rests)), calibrated)
    return found


def _valid(criterion: str, rater: str, cards: Sequence[JudgeCard], least: int) -> bool:
    return any(
        card.rater == rater
        and card.criterion == criterion
        and card.n >= least
        and not card.reference.startswith(_NOT_TRUE)
        and _better_than_chance(card)
        for card in cards
    )


def _better_than_chance(card: JudgeCard) -> bool:
    """Returns whether every cut of a card has both kinds of replies and more true than false alarms."""
    powers = []
    for cut in card.cuts:
        counts = cut.counts
        positives, negatives = (
            counts.true_positive + counts.false_negative,
            counts.true_negative + counts.false_positive,
        )
        if not positives or not negatives:
            continue
        powers.append(counts.true_positive / positives + counts.true_negative / negatives - 1)
    return bool(powers) and min(powers) > 0


class Margin(NamedTuple):
    """A margin that a set can decide."""

    measure: str
    prompts: int
    value: float
    """What the measured model has."""
    margin: float | None
    """None where no margin could be decided."""


def margins(
    references: Sequence[str], study: str | Path = "study.db", *, alpha: float = 0.05, power: float = 0.8
) -> list[Margin]:
    """Returns the smallest margin of every measure that runs hold with which an equal candidate passes with this power; rounded up.

    Formula and what it assumes: `stats.bounded.smallest_margin`.
    """
    model = side(references, study)
    chosen = shared_raters(model.free, model.free)
    readings: Readings = {**choice_readings(model.outcomes, model.prompt_of), **free_readings(model.free, chosen)}
    found = []
    for name, measure in GATE_MEASURES.items():
        points = readings.get(name)
        if not points or name in COVERAGES:
            continue
        mean = BoundedMean.of([p.value for p in points.values()], [p.cluster for p in points.values()], measure.span)
        least = smallest_margin(mean, alpha=alpha, power=power)
        step = _STEP.get(name, 0.005)
        rounded = None if least is None else round(math.ceil(least / step - 1e-9) * step, 4)
        found.append(Margin(name, int(mean.clusters), mean.value, rounded))
    return found


def init_config(
    references: Sequence[str], path: Path, study: str | Path = "study.db", *, alpha: float = 0.05, power: float = 0.8
) -> list[Margin]:
    """Writes a gate.toml whose margins are the smallest that the runs' prompts decide, and returns them.

    Raises:
        UsageError: a run does not exist, or the file does.
        ConfigError: alpha or power is out of range.
        NotEnoughData: the runs hold nothing that a gate could decide by.
    """
    if path.exists():
        raise UsageError(f"{path}: exists; give another file with -o, or remove it first")
    GateConfig(alpha=alpha, power=power).check()
    found = margins(references, study, alpha=alpha, power=power)
    if not any(each.margin is not None for each in found):
        raise NotEnoughData("these runs hold too little for any margin; run more prompts first")
    write_text(path, config_text(found, alpha=alpha, power=power))
    return found


def config_text(found: Sequence[Margin], *, alpha: float, power: float) -> str:
    """Returns a gate.toml with these margins; what cannot be decided stands as a comment."""
    lines = [
        "# Rules of  cvalues gate . The margins are the smallest by which this set finds a candidate that is as good as the measured",
        f"# model not worse, in {power:.0%} of samples for each rule. A floor (a ceiling where less is better) may be added to any rule.",
        "version = 1",
        f"alpha = {alpha:g}",
        f"power = {power:g}",
        "",
    ]
    names = {each.measure for each in found}
    for each in found:
        mark = "" if each.margin is not None else "# "
        lines.append(f"# measured: {each.value:.3f} on {each.prompts} prompts")
        if each.margin is None:
            lines.append("# no margin can be decided with so few prompts")
        lines += [f"{mark}[[rule]]", f'{mark}measure = "{each.measure}"', f"{mark}margin = {each.margin or 0.05:g}", ""]
    for name in COVERAGES:
        held = any(GATE_MEASURES[n].source == GATE_MEASURES[name].source for n in names)
        if held:
            lines += ["[[rule]]", f'measure = "{name}"', "floor = 0.95", ""]
    free = [name for name in ("does/1", "does/2") if name in names]
    measures = [*free, *(name for name in ("choice/1", "choice/2") if name in names)]
    lines += [
        "# A category can only fail the gate: when it is surely worse than the baseline by more than this.",
        "[categories]",
        f"measures = [{', '.join(chr(34) + name + chr(34) for name in measures)}]",
        "margin = 0.0",
        "",
    ]
    return "\n".join(lines)


def notes_of(found: Gated, language: str) -> list[str]:
    """Returns what a reader has to know of the two sides: sets that changed, items that were not asked."""
    lines = []
    if found.changed:
        lines.append(say("gate.changed", language, sets=", ".join(found.changed)))
    if found.unasked:
        lines.append(say("gate.unasked", language, count=found.unasked))
    return [*lines, *taint_notes(tuple(dict.fromkeys(found.taints)), language)]
