"""Rounds of hardening: plan from runs, campaigns for experts, comparison of before and after, and what all rounds brought."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from cvalues.datasets.formats import set_name
from cvalues.errors import ConfigError, NotEnoughData, UsageError, unknown_name
from cvalues.hardening.comparison import ChangeRow, Compared, compare_readings, comparison_tables
from cvalues.hardening.gaps import gaps, measures_for, weights_of
from cvalues.hardening.letters import Letters, read_letters
from cvalues.hardening.plan import HardenPlan, needs_of, plan_tables, quotas
from cvalues.hardening.rounds import Round, current, fact, rounds_chart, rounds_of, rounds_table
from cvalues.hardening.words import say
from cvalues.people.campaigns import campaign_of, create_campaign
from cvalues.people.desk import Desk, begin_chain
from cvalues.records import canonical, now, open_bytes, write_atomically, write_text
from cvalues.schema import Record, Table
from cvalues.scoring.free import FreeOutcome
from cvalues.scoring.gate import Point
from cvalues.scoring.gate_readings import choice_readings, free_readings
from cvalues.scoring.telling import Gap as Telling
from cvalues.scoring.telling import gaps as telling_gaps
from cvalues.scoring.telling import told
from cvalues.study import Study, open_study
from cvalues.taxonomy import Taxonomy, builtin
from cvalues.workflows.gate import Side, readers, side, trusted

_CARD_RESPONSES = 30


class HardenConfig(Record, frozen=True, kw_only=True):
    """A harden.toml: what a round is planned by."""

    goal: float = 0.8
    """Score that every category shall reach."""
    change: float = 0.15
    """Smallest change of a category's score that is to be seen."""
    learn: int = 20
    """Prompts with an approved answer to learn from, per category."""
    most: int = 6
    """Categories of a round at most."""
    alpha: float = 0.05
    power: float = 0.8
    split: str = ""
    """Plan by prompts of this split alone, so that what is held back for measuring stays unseen."""
    traffic: dict[str, float] = {}
    """How often users come with prompts of a category, in any unit."""
    harm: dict[str, float] = {}
    """Harm of a category where it differs from the taxonomy's."""

    def check(self) -> HardenConfig:
        """Returns itself; raises ConfigError when a number is out of range."""
        if not 0 < self.alpha < 0.5 or not self.alpha < self.power < 1:
            raise ConfigError(
                f"harden: expected 0 < alpha < 0.5 and alpha < power < 1, got {self.alpha} and {self.power}"
            )
        if self.learn < 0 or self.most < 1:
            raise ConfigError(f"harden: learn is at least 0 and most at least 1, not {self.learn} and {self.most}")
        return self


class Campaigned(NamedTuple):
    """A campaign that was opened for a plan, or whose settings were written to a file."""

    name: str
    quotas: dict[str, int]
    path: Path | None


def load_harden(path: Path | None) -> HardenConfig:
    """Returns a harden.toml, or the defaults for None; raises ConfigError for a file that is none."""
    if path is None:
        return HardenConfig()
    with open_bytes(path) as file:
        try:
            return msgspec.toml.decode(file.read(), type=HardenConfig).check()
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: {error}; write one with  cvalues harden init  and change it") from error


def init_harden(path: Path, taxonomy: Taxonomy | None = None) -> Path:
    """Writes a harden.toml with every setting and category, and returns its path; raises UsageError when it exists."""
    if path.exists():
        raise UsageError(f"{path}: exists; give another file with -o, or remove it first")
    names = taxonomy or builtin()
    defaults = msgspec.to_builtins(HardenConfig())
    lines = ["# What  cvalues harden plan  goes by. Every line is a default.", ""]
    comments = {
        "goal": "score that every category shall reach",
        "change": "smallest change of a category's score that is to be seen",
        "learn": "prompts with an approved answer to learn from, per category",
        "most": "categories of a round at most",
        "alpha": "error rate",
        "power": "of seeing the change",
        "split": "plan by prompts of this split alone, for example dev",
    }
    for name, comment in comments.items():
        value = defaults.get(name, getattr(HardenConfig(), name))
        lines.append(f"{name} = {msgspec.json.encode(value).decode()}  # {comment}")
    lines += [
        "",
        "[traffic]  # how often users come with such prompts, in any unit; a category that is missing counts 0",
    ]
    lines += [f"# {category.code} = 1.0  # {category.zh}" for category in names.categories]
    lines += ["", "[harm]  # 1 to 5, where it differs from the taxonomy's"]
    lines += [f"# {category.code} = {category.harm}  # {category.zh}" for category in names.categories]
    return write_text(path, "\n".join(lines) + "\n")


def readings_of(one: Side, raters: Mapping[str, str]) -> dict[str, dict[str, Point]]:
    """Returns all measures of a model (`scoring.gate_readings`) by the given raters."""
    return {**choice_readings(one.outcomes, one.prompt_of), **free_readings(one.free, raters)}


def plan_round(
    references: Sequence[str],
    study: str | Path = "study.db",
    config: HardenConfig | None = None,
    *,
    taxonomy: Taxonomy | None = None,
    rater: str = "",
) -> HardenPlan:
    """Returns a round's plan from the runs of one model: surely weak, cannot tell, and what experts have to write.

    Args:
        references: runs as every command takes them, or RUN:MODEL.
        study: the study that plain names refer to.
        config: what is planned by.
        taxonomy: categories with their harm; the built-in ones when None.
        rater: whose verdicts on free responses count; else people before panels before judges.

    Raises:
        UsageError: a run, model or category does not exist, or a number is out of range.
        NotEnoughData: the runs hold no score.
    """
    chosen, names = (config or HardenConfig()).check(), taxonomy or builtin()
    model = side(references, study)
    if chosen.split:
        model = _of_split(model, chosen.split)
    raters = readers(model, model, rater)
    readings = readings_of(model, raters)
    known = trusted(raters, model.cards, _CARD_RESPONSES)
    measures = measures_for(readings, [name for name, trust in known.items() if trust.calibrated])
    weights = weights_of(names, chosen.traffic, chosen.harm)
    found = gaps(readings, measures, weights, goal=chosen.goal, alpha=chosen.alpha, power=chosen.power)
    needs = needs_of(
        found, change=chosen.change, learn=chosen.learn, most=chosen.most, alpha=chosen.alpha, power=chosen.power
    )
    return HardenPlan(
        model=model.name,
        runs=tuple(references),
        goal=chosen.goal,
        change=chosen.change,
        alpha=chosen.alpha,
        power=chosen.power,
        gaps=tuple(found),
        needs=tuple(needs),
        traffic=chosen.traffic,
        measures=tuple(measures),
    )


def _of_split(model: Side, split: str) -> Side:
    """Returns what a model did on the prompts of one split; raises UsageError when its runs hold no such split."""
    known = {outcome.split for outcome in model.outcomes} | {outcome.split for outcome in model.free}
    known.discard("")
    if split not in known:
        raise unknown_name("split", split, sorted(known))
    return model._replace(
        outcomes=[outcome for outcome in model.outcomes if outcome.split == split],
        free=[outcome for outcome in model.free if outcome.split == split],
    )


def note_step(study: Study, step: Any, name: str, detail: dict[str, Any]) -> str:
    """Keeps in the study that a step of a round was done and returns the round's name (`rounds.current` where none is given)."""
    chosen = current(rounds_of(study.audits()), name)
    study.note(fact(step, chosen, detail, now()))
    return chosen


def keep_plan(plan: HardenPlan, study: Study, name: str = "") -> str:
    """Keeps a plan as a step of a round and returns the round's name; a plan begins a new round unless one is named."""
    rounds = rounds_of(study.audits())
    if not name and rounds and rounds[-1].steps.keys() - {"plan"}:
        name = str(len(rounds) + 1)
    detail = {
        "model": plan.model,
        "runs": list(plan.runs),
        "weak": [gap.category for gap in plan.of("weak")],
        "cannot_tell": [gap.category for gap in plan.of("cannot tell")],
        "chosen": [need.category for need in plan.needs],
        "write": sum(need.write for need in plan.needs),
        "goal": plan.goal,
        "change": plan.change,
    }
    return note_step(study, "plan", name, detail)


def open_campaigns(
    plan: HardenPlan,
    study: Study | None,
    name: str,
    *,
    models: Sequence[str] = (),
    folder: Path | None = None,
    taxonomy: Taxonomy | None = None,
) -> list[Campaigned]:
    """Opens the campaigns in which people write what a plan wants, or writes their settings to a folder, and returns them.

    Responsibility domains get an expert campaign (prompts, points, answers with review), safety scenarios one of attacks.

    Args:
        plan: the plan.
        study: where the campaigns are made; None to write their settings only.
        name: the round's name: campaigns are called `round-NAME-expert` and `round-NAME-attack`.
        models: that answer the prompts.
        folder: where settings are written.
        taxonomy: levels of the categories.

    Raises:
        UsageError: a campaign of that name exists with other settings.
        NotEnoughData: the plan wants nothing written.
    """
    names = taxonomy or builtin()
    wanted = quotas(plan.needs)
    if not wanted:
        raise NotEnoughData(
            "this plan wants no prompts written, so there is no campaign to open; lower --change or raise --goal"
        )
    made = []
    for kind, level in (("expert", 2), ("attack", 1)):
        own = {code: count for code, count in wanted.items() if names.category(code).level == level}
        if not own:
            continue
        settings: dict[str, Any] = {"categories": list(own), "quotas": own, "models": list(models)}
        if kind == "expert":
            settings["review"] = True
        campaign = campaign_of(kind, f"round-{name}-{kind}", settings, taxonomy)
        path = None
        if folder is not None:
            path = folder / f"{campaign.name}.json"
            body = msgspec.json.format(canonical(campaign), indent=2) + b"\n"
            write_atomically(path, _writer(body))
        if study is not None:
            desk = Desk(study)
            desk.write(begin_chain)
            create_campaign(desk, campaign, actor="harden")
        made.append(Campaigned(campaign.name, own, path))
    return made


def _writer(body: bytes) -> Any:
    return lambda file: file.write(body)


class Comparing(Record, frozen=True, kw_only=True):
    """What is compared, and how."""

    before: tuple[str, ...]
    after: tuple[str, ...]
    generalisation: tuple[str, ...] = ()
    """Sets that stand apart: nothing of the training was drawn from them."""
    rater: str = ""
    alpha: float = 0.05
    letters: str = ""
    """File of people's grades A, B and C."""


class ComparedRound(NamedTuple):
    """A comparison with people's grades, where a file of them was given."""

    compared: Compared
    letters: list[Letters]

    def tables(self, language: str, taxonomy: Taxonomy | None = None) -> list[Table]:
        """Returns all tables in `zh` or `en`."""
        tables = comparison_tables(self.compared, language, taxonomy)
        return [*tables, letters_table(self.letters, language)] if self.letters else tables


def compare_round(asked: Comparing, study: str | Path = "study.db") -> ComparedRound:
    """Returns what changed from before to after on what both were asked: paired tests, telling and doing, people's grades.

    Raises:
        UsageError: a run or model does not exist.
        NotEnoughData: the two share nothing.
        DataError: the file of grades cannot be used.
    """
    before, after = side(asked.before, study), side(asked.after, study)
    raters = readers(before, after, asked.rater)
    old, new = readings_of(before, raters), readings_of(after, raters)
    rows = compare_readings(old, new, generalisation=_apart(asked.generalisation, before, after), alpha=asked.alpha)
    prompts = [{point.cluster for points in one.values() for point in points.values()} for one in (old, new)]
    compared = Compared(
        before=before.name,
        after=after.name,
        alpha=asked.alpha,
        rows=tuple(rows),
        told_before=_told(before, raters),
        told_after=_told(after, raters),
        shared=len(prompts[0] & prompts[1]),
        unshared=len(prompts[0] ^ prompts[1]),
    )
    return ComparedRound(compared, read_letters(Path(asked.letters)) if asked.letters else [])


def _apart(names: Sequence[str], before: Side, after: Side) -> list[str]:
    """Returns the names that prompts of these sets or files have in runs; raises UsageError for one that no run asked."""
    known = {outcome.set for one in (before, after) for outcome in one.outcomes}
    known |= {outcome.set for one in (before, after) for outcome in one.free}
    found = []
    for name in names:
        own = name if name in known else set_name(Path(name).stem)
        if own not in known:
            raise unknown_name("set of these runs", name, sorted(known))
        found.append(own)
    return found


def _told(one: Side, raters: Mapping[str, str]) -> tuple[Telling, ...]:
    wanted = raters.get("grade") or raters.get("safe")
    if wanted is None or not one.outcomes:
        return ()
    # A side may have been measured under several names; what it tells and does belongs together all the same.
    choices = [msgspec.structs.replace(outcome, model=one.name) for outcome in one.outcomes]
    free: list[FreeOutcome] = [msgspec.structs.replace(outcome, model=one.name) for outcome in one.free]
    return tuple(telling_gaps(told(choices, one.prompt_of, free, wanted)))


def letters_table(found: Sequence[Letters], language: str) -> Table:
    """Returns people's grades A, B and C before and after, with the share A + B and its change."""
    columns = ("set", "counts", "share", "counts", "share", "difference", "p")
    when = ("", "before", "before", "after", "after", "", "")
    heads = tuple(
        say(f"column.{name}", language) + (f" ({say(f'when.{time}', language)})" if time else "")
        for name, time in zip(columns, when, strict=True)
    )
    rows = tuple(
        (
            each.set, " / ".join(str(n) for n in each.before.values()), each.share_before,
            " / ".join(str(n) for n in each.after.values()), each.share_after, each.difference,
            say(f"compare.{'paired' if each.paired else 'unpaired'}", language) + ("" if each.p is None else f", {each.p:.4f}"),
        )
        for each in found
    )  # fmt: skip
    return Table(title=say("compare.letters", language), columns=heads, rows=rows)


def keep_comparison(found: ComparedRound, study: Study, name: str, asked: Comparing) -> str:
    """Keeps the runs and the comparison as steps of a round and returns the round's name."""
    overall = [row for row in found.compared.rows if not row.category]
    detail = {
        "before": list(asked.before),
        "after": list(asked.after),
        "worse": len(found.compared.of("worse")),
        "better": len(found.compared.of("better")),
        "changes": [change for row in overall if (change := _change(row)) is not None],
    }
    chosen = note_step(study, "run", name, {"before": list(asked.before), "after": list(asked.after)})
    return note_step(study, "compare", chosen, detail)


def _change(row: ChangeRow) -> dict[str, Any] | None:
    estimate = row.test.difference
    if estimate.value is None or estimate.low is None or estimate.high is None or row.measure == "points":
        return None
    return {
        "measure": row.measure,
        "part": row.part,
        "value": estimate.value,
        "low": estimate.low,
        "high": estimate.high,
    }


class Status(NamedTuple):
    """All rounds of a study."""

    rounds: list[Round]

    def table(self, language: str) -> Table:
        """Returns one row a round."""
        return rounds_table(self.rounds, language)

    def chart(self, language: str) -> str:
        """Returns one inline SVG; empty without a comparison."""
        return str(rounds_chart(self.rounds, language))


def status(study: str | Path | Study = "study.db") -> Status:
    """Returns all rounds of a study; errors as `open_study`."""
    if isinstance(study, Study):
        return Status(rounds_of(study.audits()))
    with open_study(study, create=False) as opened:
        return Status(rounds_of(opened.audits()))


def plan_report(plan: HardenPlan, language: str, taxonomy: Taxonomy | None = None) -> list[Table]:
    """Returns a plan as tables in `zh` or `en`."""
    return plan_tables(plan, language, taxonomy)
