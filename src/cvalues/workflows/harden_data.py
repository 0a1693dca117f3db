"""Data of a round: experts' answers, domain packs, answers by principles → supervised examples → files for trainers, and training."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

import cvalues
from cvalues.datasets import load, starter
from cvalues.endpoints.resolve import ModelEntry
from cvalues.errors import DataError, UsageError
from cvalues.hardening.examples import FORMS, THRESHOLD, Example, ExampleLineage, Guarded, guard, need_kept
from cvalues.hardening.selfalign import Graded, Principled, declined, examples_of, grade_verdict, principled
from cvalues.judging.principles import Principles
from cvalues.judging.principles import load as load_principles
from cvalues.records import canonical, file_hash, now, read_lines, write_atomically, write_records
from cvalues.runner import Bounds
from cvalues.schema import Audit, Choice, Grade, Prompt, Record
from cvalues.study import Study
from cvalues.taxonomy import Taxonomy, builtin
from cvalues.workflows.judge import Context, judge
from cvalues.workflows.judge_calls import JudgeOptions
from cvalues.workflows.pairs_ask import Put, Watch, answers, plan_of
from cvalues.workflows.pairs_build import Growing, grow
from cvalues.workflows.pairs_rank import scores_of_run

HELD = "heldout"
_MEASURED = frozenset({HELD, "test", "dev"})
"""Splits that training never sees."""
_TEMPERATURE = 0.7


class Aligning(Record, frozen=True, kw_only=True):
    """How examples are made by principles."""

    source: str
    """Set or file of prompts; those that are held back are never used."""
    model: str
    """The model that is to be hardened: it answers its own training data."""
    categories: tuple[str, ...] = ()
    goal: int = 0
    """Prompts in all after growing; 0 grows none."""
    judge: str = ""
    """Judge of the answers, as `-j` takes it; it needs the rubric `grade`."""
    reward: str = ""
    """Reward model of the answers instead."""
    least: Grade = "responsible"
    """Lowest grade that is kept."""
    least_score: float | None = None
    """Lowest score of the reward model that is kept."""
    principles: str = ""
    """File of principles that adds to or replaces the built-in ones."""
    samples: int = 1
    seed: int = 0


class Aligned(NamedTuple):
    """What aligning made."""

    examples: list[Example]
    dropped: dict[str, int]
    prompts: int
    grown: int
    failed: int
    run: str
    declined: float | None
    """Share of the kept answers that hold a phrase of refusal."""


def seeds_of(source: str, categories: Sequence[str], taxonomy: Taxonomy | None = None) -> list[Prompt]:
    """Returns the prompts of a set or file that training may see: not held back, not harmless twins, of the wanted categories.

    Raises:
        UsageError: none is left, or the source does not exist.
        DataError: the source cannot be read.
    """
    loaded = load(source, taxonomy=taxonomy)
    prompts: dict[str, Prompt] = {}
    for item in loaded:
        if isinstance(item, Choice):
            prompts.setdefault(
                item.prompt_id,
                Prompt(
                    id=item.prompt_id, text=item.question, level=item.collection or item.level, category=item.category,
                    language=item.language, source=item.source, split=item.split,
                ),
            )  # fmt: skip
        elif not item.benign:
            prompts.setdefault(item.id, item)
    kept = [prompt for prompt in prompts.values() if prompt.split not in _MEASURED]
    kept = [prompt for prompt in kept if not categories or prompt.category in categories]
    if not kept:
        wanted = ", ".join(categories or ("*",))
        raise UsageError(
            f"'{source}' holds no prompt that training may see (train split, or no split) of categories {wanted}; give other prompts"
        )
    return kept


def align(
    asked: Aligning,
    study: Study,
    entries: Mapping[str, ModelEntry],
    *,
    taxonomy: Taxonomy | None = None,
    bounds: Bounds | None = None,
    watch: Watch | None = None,
) -> Aligned:
    """Grows prompts, lets the model answer them by principles, filters the answers, and returns the examples without the principles.

    Every call goes through the runner: what was asked once is never asked again, and prompts, answers and verdicts stay in the study.

    Raises:
        UsageError: the model, judge or reward model does not exist, or nobody is named who finds answers good enough.
    """
    if bool(asked.judge) == bool(asked.reward):
        raise UsageError("name who finds the answers good enough: a judge with -j, or a reward model with --reward")
    if asked.reward and asked.least_score is None:
        raise UsageError("--reward needs --least-score: the lowest score of an answer that is kept")
    known = load_principles(Path(asked.principles) if asked.principles else None)
    names = taxonomy or builtin()
    prompts = seeds_of(asked.source, asked.categories, taxonomy)
    start, failed = len(prompts), 0
    if asked.goal > len(prompts):
        growing = Growing(model=asked.model, goal=asked.goal, seed=asked.seed, taxonomy=names)
        prompts, failed = grow(prompts, growing, study, entries, bounds=bounds)
    put, without = principled(_rooted(prompts), known)
    put = [
        Principled(entry.prompt, msgspec.structs.replace(entry.ask, sample=sample))
        for entry in put
        for sample in range(asked.samples)
    ]
    if not put:
        raise UsageError("no prompt has principles for its category; give a file with --principles")
    settings = {"source": asked.source, "principles": known.id, "seed": asked.seed}
    puts = [Put(entry.ask, entry.prompt) for entry in put]
    plan = plan_of("principles", asked.model, puts, settings=settings, entries=entries, temperature=_TEMPERATURE)
    found = answers(plan, study, bounds=bounds, watch=watch)
    verdicts = _graded(asked, study, plan.run.name, entries)
    examples, dropped = examples_of(put, found.responses, verdicts, known, plan.run.models[0])
    if without:
        dropped["no_principles"] = len(without)
    return Aligned(
        examples,
        dropped,
        len(prompts),
        len(prompts) - start,
        failed + found.progress.failed,
        plan.run.name,
        declined(examples),
    )


def _rooted(prompts: Sequence[Prompt]) -> list[Prompt]:
    """Returns prompts whose parent is the seed that their growing began with, not a grown prompt in between."""
    parents = {prompt.id: prompt.parent for prompt in prompts if prompt.source == "grown"}

    def root(prompt: Prompt) -> str | None:
        found = prompt.parent
        while found in parents and parents[found] is not None:
            found = parents[found]
        return found

    return [
        msgspec.structs.replace(prompt, parent=root(prompt)) if prompt.source == "grown" else prompt
        for prompt in prompts
    ]


def _graded(asked: Aligning, study: Study, run: str, entries: Mapping[str, ModelEntry]) -> dict[str, Graded]:
    if asked.reward:
        least = asked.least_score if asked.least_score is not None else 0.0
        scores = scores_of_run(asked.reward, study, run, entries)
        return {
            key: Graded(f"reward:{Path(asked.reward).name}", f"{score:.4f}", score >= least)
            for key, score in scores.items()
        }
    judged = judge(study, run, [asked.judge], JudgeOptions(rubrics=("grade",)), Context(entries=entries))
    raters = {entry.rater for entry in judged if "grade" in entry.criteria}
    if not raters:
        raise UsageError(f"judge '{asked.judge}' gives no grades; name one that judges by the rubric grade")
    found = {}
    for verdict in study.all_verdicts(run, "grade"):
        if verdict.rater in raters and verdict.status == "ok":
            found[verdict.subject[0]] = grade_verdict(verdict.rater, str(verdict.value), asked.least)
    return found


def write_examples(examples: Sequence[Example], path: Path) -> Path:
    """Writes examples with their lineage as JSON Lines, in their order, and returns the path."""
    return write_records(path, list(examples))


class _Foreign(msgspec.Struct):
    """A row of the experts' answers of a campaign, or of a domain pack."""

    prompt: str = ""
    answer: str = ""
    domain_en: str = ""
    category: str = ""
    approved: bool | None = None
    person: str = ""
    submission: str = ""
    licence: str = ""


class ReadExamples(NamedTuple):
    """What files of examples held."""

    examples: list[Example]
    unapproved: int
    """Experts' answers that nobody approved; left out."""


def read_examples(
    path: Path, *, category: str = "", unapproved: bool = False, taxonomy: Taxonomy | None = None
) -> ReadExamples:
    """Returns the examples of a file: our own, `expert_answers.jsonl` of a campaign, or a domain pack (`prompt`, `answer`).

    Args:
        path: JSON Lines.
        category: of rows that name none.
        unapproved: whether experts' answers that nobody approved count too.
        taxonomy: the categories there are.

    Raises:
        DataError: a row has no prompt, no answer, or no known category; the message gives file:line.
    """
    names = taxonomy or builtin()
    found: list[Example] = []
    left = 0
    for line, text in read_lines(path):
        example = _example(path, line, text, category)
        if example.category not in names.codes:
            raise DataError(
                f"{path}:{line}: category '{example.category[:40]}' is none of the taxonomy; name it in the row or with --category"
            )
        if not example.prompt.strip() or not example.answer.strip():
            raise DataError(f"{path}:{line}: an example needs a prompt and an answer")
        if example.origin == "expert" and example.lineage.value == "unapproved" and not unapproved:
            left += 1
            continue
        found.append(example)
    return ReadExamples(found, left)


def _example(path: Path, line: int, text: str, category: str) -> Example:
    try:
        fields = msgspec.json.decode(text, type=dict[str, Any])
        if "origin" in fields:
            return msgspec.convert(fields, Example)
        row = msgspec.convert(fields, _Foreign)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeEncodeError) as error:
        raise DataError(f"{path}:{line}: is no example ({error})") from error
    expert = row.approved is not None or bool(row.person)
    return Example(
        prompt=row.prompt,
        answer=row.answer,
        category=row.category or row.domain_en or category,
        origin="expert" if expert else "pack",
        licence=row.licence,
        lineage=ExampleLineage(
            person=row.person, response=row.submission, file=f"{path.name}:{line}",
            value=("approved" if row.approved else "unapproved") if expert else "",
        ),
    )  # fmt: skip


def held_texts(study: Study | None = None, sets: Sequence[str] = (), runs: Sequence[str] = ()) -> list[str]:
    """Returns the texts of the prompts that models are measured on: held-back prompts of the starter set, of a study, of sets and of runs.

    Of the starter set and of everything that the study's runs asked the held-back, test and dev prompts count, of the starter set with
    their harmless twins; of `sets` every prompt that is held back, or all where the set has no splits; of `runs` every prompt that was
    asked whose split is not `train`.

    Raises:
        UsageError: a set or run does not exist.
    """
    found: dict[str, None] = {}
    for split in ("heldout", "dev"):
        for entry in starter.graded(split):
            found[entry.prompt.text] = None
            if entry.twin is not None:
                found[entry.twin.text] = None
    for thing in study.every_item() if study is not None else ():
        if thing.split in _MEASURED:
            found[thing.question if isinstance(thing, Choice) else thing.text] = None
    for name in sets:
        loaded = load(name)
        splits = {item.split for item in loaded}
        for item in loaded:
            if item.split in {HELD, "test"} or splits == {""}:
                found[item.question if isinstance(item, Choice) else item.text] = None
    for name in runs:
        if study is None:
            continue
        for thing in study.items(study.run(name).name).values():
            if thing.split != "train":
                found[thing.question if isinstance(thing, Choice) else thing.text] = None
    return list(found)


class ExampleCard(Record, frozen=True, kw_only=True):
    """What an export of examples holds."""

    name: str
    format: str
    version: str
    examples: int
    refused: int
    repeated: int
    origins: dict[str, int]
    categories: dict[str, int]
    principles: tuple[str, ...]
    licences: dict[str, int]
    held: int
    """Held-back prompts that the guard knew."""
    threshold: float
    forced: bool
    hash: str


class ExampleExport(NamedTuple):
    """What an export wrote."""

    path: Path
    card: ExampleCard
    guarded: Guarded


def export_examples(
    examples: Sequence[Example],
    out: Path,
    *,
    form: str = "trl",
    held: Sequence[str] = (),
    allow_heldout: bool = False,
    study: Study | None = None,
) -> ExampleExport:
    """Writes examples in the form of a trainer, without those whose prompt is held back or nearly so, and a card beside the file.

    Raises:
        UsageError: there is no such form, or no example is left.
        DataError: the file cannot be written.
    """
    if form not in FORMS:
        raise UsageError(f"unknown format '{form}'; the formats are {', '.join(FORMS)}")
    found = guard(examples, held, THRESHOLD)
    chosen = [*found.kept, *(example for example, _ in found.refused)] if allow_heldout else need_kept(found)
    if not chosen:
        raise UsageError("there is no example to export")

    def lines() -> Iterator[bytes]:
        for example in chosen:
            yield json.dumps(FORMS[form](example), ensure_ascii=False).encode("utf-8", "replace") + b"\n"

    write_atomically(out, lambda file: file.writelines(lines()))
    card = ExampleCard(
        name=out.name,
        format=form,
        version=cvalues.__version__,
        examples=len(chosen),
        refused=0 if allow_heldout else len(found.refused),
        repeated=found.repeated,
        origins=dict(sorted(Counter(example.origin for example in chosen).items())),
        categories=dict(sorted(Counter(example.category for example in chosen).items())),
        principles=tuple(sorted({example.lineage.principles for example in chosen if example.lineage.principles})),
        licences=dict(sorted(Counter(example.licence or "unknown" for example in chosen).items())),
        held=len(held),
        threshold=THRESHOLD,
        forced=allow_heldout and bool(found.refused),
        hash=file_hash(out),
    )
    body = msgspec.json.format(canonical(card), indent=2) + b"\n"
    write_atomically(out.with_name(f"{out.name}.card.json"), lambda file: file.write(body))
    if card.forced and study is not None:
        detail = {"file": out.name, "hash": card.hash, "examples": len(found.refused)}
        study.note(Audit(verb="export-heldout", object=out.name, detail=detail, time=now()))
    return ExampleExport(out, card, found)


def principles_id(path: str = "") -> str:
    """Returns the name and version of the principles of a file, or of the built-in ones."""
    known: Principles = load_principles(Path(path) if path else None)
    return known.id
