"""A reward model as a rater: it scores the samples of a run, ranks them (best of n) and grades them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from cvalues.endpoints.resolve import ModelEntry, reward_place
from cvalues.errors import UsageError
from cvalues.pairs.embedded import EmbeddedReward, graded
from cvalues.pairs.fitted import Fitted, Taint, prompt_hash, taint, unique
from cvalues.pairs.taints import notes
from cvalues.pairs.words import say
from cvalues.records import now, write_records
from cvalues.schema import Cell, Grade, Prompt, Record, Response, Table, Verdict
from cvalues.stats.intervals import clustered_mean
from cvalues.study import Study
from cvalues.workflows.pairs_ask import Put, answers, plan_of
from cvalues.workflows.pairs_judge import score_ask
from cvalues.workflows.pairs_tables import columns
from cvalues.workflows.pairs_taint import fitted_of


class Sample(Record, frozen=True, kw_only=True):
    """One scored reply."""

    response: str
    """Id of the response."""
    sample: int
    score: float
    text: str
    grade: Grade | None = None
    """By the cuts of the model; None for one without cuts."""


class Ranked(Record, frozen=True, kw_only=True):
    """The samples of one model for one prompt, best first; equal scores in the order of the samples."""

    prompt_id: str
    prompt: str
    model: str
    category: str = ""
    samples: tuple[Sample, ...] = ()


class Ranking(NamedTuple):
    """All samples of a run, ranked."""

    rater: str
    ranked: list[Ranked]
    failed: int
    taint: Taint | None = None
    """Why the ranking is no test of the reward model: it was fitted on these prompts or on held-back pairs."""

    def table(self, language: str) -> Table:
        """Returns per model: prompts, mean score of the first sample, of all, of the best, and how much the best gains."""
        rows: list[tuple[Cell, ...]] = []
        for model in dict.fromkeys(entry.model for entry in self.ranked):
            own = [entry for entry in self.ranked if entry.model == model]
            first = [next(one.score for one in sorted(entry.samples, key=lambda one: one.sample)) for entry in own]
            mean = [float(np.mean([one.score for one in entry.samples])) for entry in own]
            best = [entry.samples[0].score for entry in own]
            rows.append(
                (model, len(own), *(round(float(np.mean(each)), 3) for each in (first, mean, best)), _gain(best, mean))
            )
        heads = columns(language, "ranked", "prompts", "first", "mean", "best", "gain")
        told = (
            say("note.ranked", language, rater=self.rater),
            *notes([self.taint] if self.taint else [], language),
        )
        return Table(title=say("title.ranking", language), columns=heads, rows=tuple(rows), notes=told)


def _gain(best: list[float], mean: list[float]) -> str | None:
    found = clustered_mean([one - other for one, other in zip(best, mean, strict=True)], unit="prompt")
    if found.value is None:
        return None
    return f"{found.value:.3f}" if found.low is None else f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]"


class _Group(NamedTuple):
    """The samples of one model for one prompt."""

    prompt: Prompt
    model: str
    samples: list[tuple[int, Response]]


def _groups(study: Study, name: str) -> list[_Group]:
    run = study.run(name)
    if run.kind != "response":
        raise UsageError(f"run '{run.name}' asked two-choice items; ranking needs free responses to prompts")
    items, responses = study.items(run.name), study.responses(run.name)
    found: dict[tuple[str, str], _Group] = {}
    for row in study.asked(run.name):
        prompt, response = items[row.item], responses.get(row.request)
        if isinstance(prompt, Prompt) and response is not None:
            group = found.setdefault((prompt.id, row.model), _Group(prompt, row.model, []))
            group.samples.append((row.sample, response))
    if not found:
        raise UsageError(f"run '{run.name}' has no response to a prompt yet; continue it with  cvalues run")
    return list(found.values())


def rank(spec: str, study: Study, run: str, entries: Mapping[str, ModelEntry] | None = None) -> Ranking:
    """Returns the free responses of a run, scored by a reward model and ranked for each prompt and model.

    Args:
        spec: a file of `cvalues pairs train`, `reward:FILE`, or what is asked through the runner and kept in the study:
            `reward:FOLDER`, `reward:NAME@URL`.
        study: the study of the run.
        run: its name.
        entries: models of models.toml.

    Raises:
        UsageError: the run has no free responses, or the model scores no replies.
        DataError: the model file cannot be read.
    """
    groups = _groups(study, run)
    path = _path(spec)
    failed = 0
    if path:
        model = EmbeddedReward.load(Path(path))
        known = _Known(f"reward:{Path(path).stem}@{model.revision[3:15]}", model.card.cuts, model.fitted)
        scores = [model.scores([response.text for _, response in group.samples]).tolist() for group in groups]
    else:
        scores, failed, known = _called(spec, study, groups, entries or {}, run)
    ranked = []
    for group, values in zip(groups, scores, strict=True):
        if len(values) != len(group.samples):
            continue
        found = graded(np.asarray(values), known.cuts)
        grades: list[Grade | None] = list(found) if found is not None else [None] * len(values)
        samples = [
            Sample(response=response.id, sample=number, score=value, text=response.text, grade=grade)
            for (number, response), value, grade in zip(group.samples, values, grades, strict=True)
        ]
        ordered = tuple(sorted(samples, key=lambda one: (-one.score, one.sample)))
        ranked.append(
            Ranked(
                prompt_id=group.prompt.id,
                prompt=group.prompt.text,
                model=group.model,
                category=group.prompt.category,
                samples=ordered,
            )
        )
    prompts = unique(prompt_hash(group.prompt.text) for group in groups)
    return Ranking(known.rater, ranked, failed, taint(known.rater, known.fitted, unique(()), prompts))


class _Known(NamedTuple):
    """What is known of a reward model besides its scores: its name as a rater, the cuts between grades, what it was fitted on."""

    rater: str
    cuts: tuple[float, ...] = ()
    fitted: Fitted | None = None


def _path(spec: str) -> str:
    kind, colon, rest = spec.partition(":")
    if kind == "reward" and colon:
        path = reward_place(rest)[1]
        return "" if Path(path).is_dir() else path  # a folder of weights is asked through the runner
    return spec if spec.endswith(".npz") else ""


def _called(
    spec: str, study: Study, groups: list[_Group], entries: Mapping[str, ModelEntry], run: str
) -> tuple[list[list[float]], int, _Known]:
    puts = [
        Put(
            score_ask(
                group.prompt.id,
                group.prompt.text,
                [response.text for _, response in group.samples],
                prompt_id=group.model,
            ),
            group.prompt,
        )
        for group in groups
    ]
    plan = plan_of("rank", spec, puts, settings={"source": run}, entries=entries)
    if plan.entries[0].request.mode != "score":
        raise UsageError(
            f"'{spec}' scores no replies; name a reward model: a file of  cvalues pairs train, or reward:NAME@URL"
        )
    found = answers(plan, study)
    scores: list[list[float]] = []
    for place, group in enumerate(groups):
        response = found.responses.get(place)
        labels = [str(number) for number in range(1, len(group.samples) + 1)]
        scores.append([response.option_scores[label] for label in labels] if response is not None else [])
    endpoint = next(iter(plan.endpoints.values()))
    rater = spec if spec.startswith("reward:") else f"reward:{spec}"
    cuts = getattr(endpoint, "cuts", ())
    if cuts:  # a folder that grades: its name as a rater says which weights, as that of an embedded model does
        rater = f"reward:{endpoint.name}@{endpoint.revision.removeprefix('b2:')[:12]}"
    return scores, found.progress.failed, _Known(rater, cuts, fitted_of(endpoint))


def scores_of_run(spec: str, study: Study, run: str, entries: Mapping[str, ModelEntry]) -> dict[str, float]:
    """Returns response id → score of a reward model, for all free responses of a run; errors as `rank`."""
    return {
        sample.response: sample.score for entry in rank(spec, study, run, entries).ranked for sample in entry.samples
    }


def write_ranking(ranking: Ranking, out: Path) -> Path:
    """Writes one line per prompt and model, its samples best first; raises DataError where it cannot be written."""
    return write_records(out, [msgspec.to_builtins(entry) for entry in ranking.ranked])


def grade_run(ranking: Ranking, study: Study, run: str) -> int:
    """Keeps the grades of a ranking in the study as verdicts of criterion `grade` and returns how many there are.

    Raises:
        UsageError: the reward model gives no grades: it was fitted on pairs without all three, or is a server.
    """
    time = now()
    verdicts = [
        Verdict(
            criterion="grade", subject=(sample.response,), rater=ranking.rater, value=sample.grade, run=run, time=time
        )
        for entry in ranking.ranked
        for sample in entry.samples
        if sample.grade is not None
    ]
    if not verdicts:
        raise UsageError(
            f"{ranking.rater} gives scores and no grades; only a model that  cvalues pairs train  fitted on pairs of all three grades "
            "has the cuts between them"
        )
    verdicts = [msgspec.structs.replace(verdict, reason="reward model") for verdict in verdicts]
    study.add_verdicts(verdicts)
    return len(verdicts)
