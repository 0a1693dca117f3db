"""Pairs from sets, from runs that somebody judged, and from a reward model's scores; rewriting and growing on the way."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from cvalues.endpoints.resolve import ModelEntry
from cvalues.errors import UsageError
from cvalues.pairs.build import BuildSettings, Built, Candidate, Judged, Vote, build, vote_of
from cvalues.pairs.gather import judged_of, need_judged
from cvalues.pairs.pair import encode_row, full_row
from cvalues.pairs.quarantine import Quarantine
from cvalues.pairs.rewriting import Growth, grown, growth, rewritings, taken, with_rewritten
from cvalues.pairs.words import named, say
from cvalues.records import write_atomically, write_records
from cvalues.runner import Bounds
from cvalues.schema import Prompt, Table, Verdict
from cvalues.study import Study
from cvalues.taxonomy import Taxonomy, builtin
from cvalues.workflows.pairs_ask import Put, Watch, answers, entries_of, plan_of
from cvalues.workflows.pairs_files import aside
from cvalues.workflows.pairs_rank import scores_of_run
from cvalues.workflows.pairs_tables import columns
from cvalues.workflows.plan import Plan
from cvalues.workflows.run import dry_run

CRITERIA = ("grade", "safe", "points", "points_best_of")
"""Criteria whose verdicts order replies."""
ROUNDS = 8
"""Rounds of growing at most."""
_TEMPERATURE = 0.7
_NOT_VOTES = ("/gold", "/surplus")
_RULING = "/adjudication"
"""Endings of a verdict's `run` (`people.verdicts`)."""


class BuildResult(NamedTuple):
    """What a build wrote."""

    built: Built
    out: Path
    conflicts: Path | None
    """File of the conflicts; None where there was none."""
    failed: int = 0
    """Calls that failed for good."""
    refused: Counter[str] = Counter()
    """Rewritten replies that were not taken, by reason."""
    aside: int = 0
    """Rows of the source that were set aside for a fault."""

    def table(self, language: str) -> Table:
        """Returns the counts of the build and the pairs by type."""
        rows: list[tuple[str, int]] = [
            (named("count", name, language), count) for name, count in sorted(self.built.counts.items()) if count
        ]
        types = Counter(pair.type for pair in self.built.pairs)
        rows += [(named("type", name, language), count) for name, count in sorted(types.items())]
        rows += [
            (f"{say('count.rejected', language)}: {named('refused', why, language)}", count)
            for why, count in sorted(self.refused.items())
        ]
        return Table(title=say("title.build", language), columns=columns(language, "what", "count"), rows=tuple(rows))


def judged_run(
    study: Study,
    name: str,
    *,
    criterion: str = "",
    rater: str = "",
    reward: Mapping[str, float] | None = None,
    approved: float = 5.0,
) -> list[Judged]:
    """Returns the prompts of a run of free responses with the verdicts on its responses, or with the rewards given instead.

    Args:
        study: the study.
        name: the run.
        criterion: `grade`, `safe`, `points` or `points_best_of`; the only one of which there are verdicts when empty.
        rater: verdicts of this rater alone; one that ends in `:` or `*` names all raters that begin so; all when empty. Of a reply
            that was adjudicated the decision alone counts.
        reward: response id → score, to order replies by scores instead of verdicts.
        approved: points from which an expert approves.

    Raises:
        UsageError: the run does not exist, holds no free responses, or has no verdict of the criterion or rater.
    """
    run = study.run(name)
    if run.kind != "response":
        raise UsageError(f"run '{run.name}' asked two-choice items; pairs are built from free responses to prompts")
    votes: dict[str, dict[str, Vote]] = defaultdict(dict)
    if reward is None:
        for verdict in _verdicts(study, run.name, criterion, rater):
            vote = vote_of(verdict, approved=approved)
            if vote is not None:
                for subject in _subjects(verdict, vote, approved):
                    votes[subject][vote.rater] = vote
    else:
        for subject, score in reward.items():
            votes[subject]["reward"] = Vote(rater="reward", value=score)
    items, responses = study.items(run.name), study.responses(run.name)
    found: dict[str, tuple[Prompt, dict[str, Candidate]]] = {}
    for row in study.asked(run.name):
        prompt, response = items[row.item], responses.get(row.request)
        if not isinstance(prompt, Prompt) or response is None or response.finish != "stop" or not response.text.strip():
            continue
        _, candidates = found.setdefault(prompt.id, (prompt, {}))
        candidates[response.id] = Candidate(
            text=response.text, origin=response.id, votes=tuple(votes[response.id].values())
        )
    return [
        Judged(prompt=prompt, candidates=tuple(candidates.values()), category=prompt.category)
        for prompt, candidates in found.values()
    ]


def _verdicts(study: Study, run: str, criterion: str, rater: str) -> list[Verdict]:
    """Returns the verdicts that stand: none that a later one supersedes, and of a rater on one subject the latest."""
    if criterion and criterion not in CRITERIA:
        raise UsageError(f"criterion '{criterion}' does not order replies; take one of {', '.join(CRITERIA)}")
    by = {name: study.all_verdicts(run, name) for name in ([criterion] if criterion else CRITERIA)}
    held = {name: found for name, found in by.items() if found}
    if len(held) > 1:
        raise UsageError(f"run '{run}' has verdicts of {', '.join(held)}; choose one with --criterion")
    corrected = {verdict.supersedes for found in held.values() for verdict in found}
    held = {name: _counted(found) for name, found in held.items()}
    begin = rater.rstrip("*") if rater.endswith(("*", ":")) else ""
    latest: dict[tuple[str, tuple[str, ...]], Verdict] = {}
    for found in held.values():
        for verdict in found:
            fits = not rater or verdict.rater == rater or (begin and verdict.rater.startswith(begin))
            if fits and verdict.id not in corrected:
                latest[verdict.rater, verdict.subject] = verdict
    if not latest:
        raters = sorted({verdict.rater for found in held.values() for verdict in found})
        known = f" Raters: {', '.join(raters)}." if raters else ""
        raise UsageError(
            f"run '{run}' has no verdict that fits --criterion and --rater.{known} Judge it with  cvalues judge {run}"
        )
    return list(latest.values())


def _counted(found: Sequence[Verdict]) -> list[Verdict]:
    """Returns the verdicts that count: no votes on hidden gold or beyond the overlap, and of a reply that was adjudicated the decision."""
    ruled = {verdict.subject for verdict in found if verdict.run.endswith(_RULING)}
    return [
        verdict
        for verdict in found
        if not verdict.run.endswith(_NOT_VOTES) and (verdict.subject not in ruled or verdict.run.endswith(_RULING))
    ]


def _subjects(verdict: Verdict, vote: Vote, approved: float) -> Sequence[str]:
    """Returns the responses that a verdict grades: the best of several says of the others only that they are no better."""
    if len(verdict.subject) == 1:
        return verdict.subject
    return verdict.subject if vote.value < approved else ()


class Rewritten(NamedTuple):
    """Prompts with rewritten replies, and what came of the calls."""

    judged: list[Judged]
    made: int
    refused: Counter[str]
    failed: int


def rewrite_plan(judged: Sequence[Judged], model: str, entries: Mapping[str, ModelEntry], source: str) -> Plan | None:
    """Returns the plan of all rewritings that are lacking; None where none is. Errors as `plan_of`."""
    wanted = rewritings(judged)
    if not wanted:
        return None
    puts = [Put(entry.ask, entry.judged.prompt) for entry in wanted]
    ids = sorted({entry.template.id for entry in wanted})
    return plan_of(
        "rewrite", model, puts, settings={"source": source, "templates": ids}, entries=entries, temperature=_TEMPERATURE
    )


def rewrite(
    judged: Sequence[Judged],
    plan: Plan | None,
    study: Study,
    *,
    bounds: Bounds | None = None,
    watch: Watch | None = None,
) -> Rewritten:
    """Asks for the rewritings of a plan and returns the prompts with those that were taken."""
    if plan is None:
        return Rewritten(list(judged), 0, Counter(), 0)
    found = answers(plan, study, bounds=bounds, watch=watch)
    made: dict[str, list[Candidate]] = defaultdict(list)
    refused: Counter[str] = Counter()
    for place, entry in enumerate(rewritings(judged)):
        response = found.responses.get(place)
        if response is None:
            continue
        candidate, why = taken(entry, response, plan.run.models[0])
        if candidate is None:
            refused[why] += 1
        else:
            made[entry.judged.prompt.id].append(candidate)
    count = sum(len(entries) for entries in made.values())
    return Rewritten(with_rewritten(judged, made), count, refused, found.progress.failed)


class Growing(NamedTuple):
    """How prompts are grown: by which model, to how many, with which seed and names of categories."""

    model: str
    goal: int
    seed: int = 0
    taxonomy: Taxonomy | None = None

    def names(self) -> dict[str, str]:
        """Category code → Chinese name."""
        return {category.code: category.zh for category in (self.taxonomy or builtin()).categories}


def grow(
    prompts: Sequence[Prompt],
    growing: Growing,
    study: Study,
    entries: Mapping[str, ModelEntry],
    *,
    bounds: Bounds | None = None,
) -> tuple[list[Prompt], int]:
    """Returns (the prompts and the new ones behind them, calls that failed for good): `goal` in all, or as many as 8 rounds bring.

    A round that brings nothing new ends the growing. Repeating the call asks nothing again.
    """
    have = list(prompts)
    failed = 0
    for turn in range(ROUNDS):
        plan, calls = grow_plan(have, growing, entries, turn)
        if plan is None:
            break
        found = answers(plan, study, bounds=bounds)
        failed += found.progress.failed
        told = [(calls[place], response) for place, response in sorted(found.responses.items())]
        new = grown(told, have, goal=growing.goal)
        have += new
        if not new or found.progress.stop:
            break
    return have, failed


def grow_plan(
    prompts: Sequence[Prompt], growing: Growing, entries: Mapping[str, ModelEntry], turn: int = 0
) -> tuple[Plan | None, list[Growth]]:
    """Returns the plan of one round of growing and its calls; None and no call when the goal is reached."""
    calls = growth(prompts, growing.names(), goal=growing.goal, turn=turn, seed=growing.seed)
    by_id = {prompt.id: prompt for prompt in prompts}
    puts = [Put(call.ask, by_id[call.ask.subject]) for call in calls]
    if not puts:
        return None, []
    settings = {"source": "grow", "goal": growing.goal, "turn": turn, "seed": growing.seed}
    return plan_of("grow", growing.model, puts, settings=settings, entries=entries, temperature=1.0), calls


def write_built(
    built: Built, out: Path, conflicts: Path | None = None, rewritten: Rewritten | None = None
) -> BuildResult:
    """Writes the pairs to a file, and the conflicts to theirs (`<out>.conflicts.jsonl` when None) where there are any.

    Raises:
        UsageError: there is no pair.
        DataError: a file cannot be written.
    """
    place = conflicts or out.with_name(f"{out.stem}.conflicts.jsonl")
    if built.conflicts:
        write_records(place, list(built.conflicts))
    else:
        place.unlink(missing_ok=True)
    if not built.pairs:
        counts = built.counts
        found = (
            f"{counts['graded']} graded replies to {counts['prompts']} prompts, {counts['ties']} ties, "
            f"{counts['conflicts']} conflicts"
        )
        if built.conflicts and rewritten is None:
            raise UsageError(
                f"no pair could be built: {found}; the conflicts are in {place} for people to decide:  "
                f"cvalues people new adjudicate --from {place}"
            )
        if rewritten is None:
            raise UsageError(f"no pair could be built: {found}; missing grades can be made with --rewrite MODEL")
        refused = sum(rewritten.refused.values())
        raise UsageError(
            f"no pair could be built: {found}; of the rewritten replies {rewritten.made} were taken and {refused} were not, "
            f"{rewritten.failed} calls failed; try --rewrite with another model"
        )
    write_atomically(out, lambda file: file.writelines(encode_row(full_row(pair)) for pair in built.pairs))
    return BuildResult(built, out, place if built.conflicts else None)


class Source(NamedTuple):
    """Where graded replies come from: a set or file, or a run with its criterion, rater, or reward model."""

    set_name: str = ""
    run: str = ""
    criterion: str = ""
    rater: str = ""
    reward: str = ""
    approved: float = 5.0
    """Points from which an expert approves."""
    quarantine: Path | None = None
    """File for the rows of the set with faults; without it a faulty row of prompts or graded prompts stops the command."""

    @property
    def shown(self) -> str:
        """The name for messages and records."""
        return self.set_name or self.run


class Gathered(NamedTuple):
    """The prompts of a source with their graded replies, and what was set aside on the way."""

    judged: list[Judged]
    aside: int = 0


def gather(
    source: Source, study: Study | None, entries: Mapping[str, ModelEntry], taxonomy: Taxonomy | None = None
) -> Gathered:
    """Returns the prompts of a source with their graded replies.

    Raises:
        UsageError: both or neither of set and run are named, or the source holds nothing to build from.
        DataError: the set cannot be read.
    """
    if bool(source.set_name) == bool(source.run):
        raise UsageError("name either a set or file with graded replies, or a run with --from RUN")
    if source.set_name:
        return _gathered(source, taxonomy)
    if study is None:
        raise UsageError(f"run '{source.run}' stands in a study; name it with --study")
    reward = scores_of_run(source.reward, study, source.run, entries) if source.reward else None
    judged = judged_run(
        study, source.run, criterion=source.criterion, rater=source.rater, reward=reward, approved=source.approved
    )
    return Gathered(need_judged(judged, source.run))


def _gathered(source: Source, taxonomy: Taxonomy | None) -> Gathered:
    """Reads a set; rows of pairs with faults are always left out and counted, others only where there is a quarantine."""
    with aside(source.quarantine) as file:
        rows = Quarantine(file)
        found = judged_of(source.set_name, taxonomy=taxonomy, quarantine=rows)
        return Gathered(need_judged(found, source.set_name), rows.count)


def build_pairs(
    judged: Sequence[Judged],
    out: Path,
    settings: BuildSettings,
    *,
    conflicts: Path | None = None,
    rewritten: Rewritten | None = None,
) -> BuildResult:
    """Builds and writes the pairs of graded (and rewritten) replies; errors as `write_built`."""
    result = write_built(build(rewritten.judged if rewritten else judged, settings), out, conflicts, rewritten)
    if rewritten is None:
        return result
    result.built.counts["rewritten"] = rewritten.made
    return result._replace(failed=rewritten.failed, refused=rewritten.refused)


def write_prompts(prompts: Sequence[Prompt], out: Path) -> Path:
    """Writes prompts as a file that every command reads; raises DataError where it cannot be written."""
    return write_records(out, [msgspec.structs.replace(prompt, twin=None) for prompt in prompts])


class Building(NamedTuple):
    """Everything that `cvalues pairs build` is told."""

    source: Source
    out: Path
    settings: BuildSettings
    conflicts: Path | None = None
    rewrite: str = ""
    """Model that rewrites replies to missing grades."""
    growing: Growing | None = None
    max_calls: int | None = None
    max_cost: float | None = None
    models_file: str = ""
    taxonomy: Taxonomy | None = None

    def entries(self) -> dict[str, ModelEntry]:
        """Returns the models by name."""
        return entries_of(self.models_file)


def plans(building: Building, study: Study | None, language: str = "en") -> Table:
    """Returns what `--dry-run` shows: calls, tokens and cost of the rewriting, or of the first round of growing. Asks nothing."""
    plan: Plan | None = None
    if building.growing is not None:
        plan, _ = grow_plan(_prompts(building), building.growing, building.entries())
    else:
        judged = gather(building.source, study, building.entries(), building.taxonomy).judged
        if building.rewrite:
            _need_graded(judged, building.source)
            plan = rewrite_plan(judged, building.rewrite, building.entries(), building.source.shown)
    heads = columns(language, "asked", "requests", "answered", "calls", "tokens_in", "tokens_out", "cost")
    if plan is None:
        return Table(title=say("title.no_plan", language), columns=heads, rows=())
    name = plan.run.name
    return msgspec.structs.replace(dry_run(plan, study), title=say("title.plan", language, name=name), columns=heads)


def _need_graded(judged: Sequence[Judged], source: Source) -> None:
    """Raises UsageError with the way to graded replies where there is not one that could be rewritten or paired."""
    if not any(candidate.votes for entry in judged for candidate in entry.candidates):
        name = source.shown
        raise UsageError(
            f"'{name}' holds no graded reply, and a reply is needed to start from; have a model answer and somebody judge first:  "
            f"cvalues run {name} -m MODEL --name free ,  cvalues judge free -j JUDGE ,  cvalues pairs build --from free --rewrite MODEL"
        )


def _prompts(building: Building) -> list[Prompt]:
    if not building.source.set_name:
        raise UsageError("--grow starts from the prompts of a set or file; name one")
    return [entry.prompt for entry in _gathered(building.source, building.taxonomy).judged]


def build_all(building: Building, study: Study | None) -> BuildResult | tuple[int, int, int]:
    """Builds pairs, or grows prompts; returns the result, or (prompts before, prompts after, calls that failed).

    Raises:
        UsageError: the source is not clear or holds nothing to build from, or a model cannot write.
        DataError: a file cannot be read or written.
    """
    bounds = Bounds(max_calls=building.max_calls, max_cost=building.max_cost)
    if building.growing is not None and study is not None:
        if building.growing.goal <= 0:
            raise UsageError("--grow needs --grow-to N: how many prompts there shall be")
        prompts = _prompts(building)
        grown_prompts, failed = grow(prompts, building.growing, study, building.entries(), bounds=bounds)
        write_prompts(grown_prompts, building.out)
        return len(prompts), len(grown_prompts), failed
    found = gather(building.source, study, building.entries(), building.taxonomy)
    judged = found.judged
    _need_graded(judged, building.source)
    rewritten = None
    if building.rewrite and study is not None:
        plan = rewrite_plan(judged, building.rewrite, building.entries(), building.source.shown)
        rewritten = rewrite(judged, plan, study, bounds=bounds)
    done = build_pairs(judged, building.out, building.settings, conflicts=building.conflicts, rewritten=rewritten)
    return done._replace(aside=found.aside)
