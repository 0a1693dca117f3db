"""Where the tasks of a campaign come from: a run of this study, a run of another one, or a data set whose rows hold replies."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import sqlalchemy as sa

from cvalues.datasets.loading import stream
from cvalues.datasets.registry import find, known_sets
from cvalues.datasets.shapes import Comparison, GradedPrompt
from cvalues.errors import DataError, UsageError, unknown_name
from cvalues.people.forms import Campaign, NewReply, NewTask
from cvalues.records import content_hash, derive_seed
from cvalues.schema import Choice, Prompt, Response, response_id
from cvalues.study import Study, open_study, tables

SAMPLES = 3
"""Replies side by side in an expert campaign: the paper's protocol is three samples of one model."""


class Source(NamedTuple):
    """What `--from` names."""

    kind: Literal["run", "study", "set"]
    name: str
    """Of the run, or of the set."""
    where: str = ""
    """The other study, or the set or file as it was named."""


class Unit(NamedTuple):
    """What becomes one task, and its stratum."""

    stratum: tuple[str, str]
    key: str
    task: NewTask


def prompt_of(item: Prompt | Choice) -> Prompt:
    """Returns the prompt of an item."""
    if isinstance(item, Prompt):
        return item
    return Prompt(id=item.prompt_id, text=item.question, level=item.level, category=item.category)


def find_source(study: Study, given: str, *, files: bool = True) -> Source:
    """Returns what a name means: a run of the study, else a run of another study (`FILE.db#NAME`), else a known set or a file.

    Args:
        study: the study of the campaign.
        given: RUN, latest, FILE.db#RUN, SET, or the path of a file.
        files: whether paths are taken; without them only runs of the study and known sets are.

    Raises:
        UsageError: nothing has this name, or it is a path where none is taken.
    """
    runs = [run.name for run in study.runs()]
    if given in runs or given == "latest":
        return Source("run", study.run(given).name)
    place, mark, name = given.rpartition("#")
    if files and mark and place:
        with open_study(place, create=False) as other:
            return Source("study", other.run(name).name, place)
    if find(given) is not None:
        return Source("set", given, given)
    if files and Path(given).is_file():
        return Source("set", Path(given).stem.replace(" ", "-"), given)
    if not files and (mark or "/" in given or "\\" in given):
        raise UsageError("files of the server cannot be named here; use  cvalues people new  on the server")
    raise unknown_name("run, set or file", given, [*runs, *(known.name for known in known_sets())])


def units_of(study: Study, source: Source, campaign: Campaign, side_by_side: str) -> list[Unit]:
    """Returns what can be judged of a source, in its order; replies of another study come into this one with their requests.

    Raises:
        UsageError: the run holds no free responses, the set no replies, or there are too few of them to show side by side.
    """
    if source.kind == "set":
        return _units_of_set(source, campaign)
    if source.kind == "run":
        return _units_of_run(study, source.name, campaign, side_by_side)
    with open_study(source.where, create=False) as other:
        units = _units_of_run(other, source.name, campaign, side_by_side)
        _bring(study, other, [reply.id for unit in units for reply in unit.task.replies])
    return units


def _bring(study: Study, other: Study, responses: Sequence[str]) -> None:
    """Copies responses of another study with their requests; what is here already stays as it is."""
    r, q = tables.response.c, tables.request.c
    for start in range(0, len(responses), 500):
        chunk = list(responses[start : start + 500])
        with other.reading() as connection:
            found = [
                dict(row) for row in connection.execute(sa.select(tables.response).where(r.id.in_(chunk))).mappings()
            ]
            wanted = [row["request"] for row in found if row["request"] is not None]
            asked = connection.execute(sa.select(tables.request).where(q.id.in_(wanted))).mappings()
            requests = [dict(row) for row in asked]
        with study.writing() as connection:
            study.add(connection, tables.request, requests)
            study.add(connection, tables.response, found)


def _units_of_run(study: Study, name: str, campaign: Campaign, side_by_side: str) -> list[Unit]:
    run = study.run(name)
    if run.kind != "response":
        raise UsageError(
            f"run '{run.name}' holds no free responses; ask prompts, for example  cvalues run starter-prompts -m MODEL"
        )
    several = campaign.criterion == "points_best_of"
    responses, items = study.responses(name), study.items(name)
    groups: dict[tuple[str, str], list[tuple[str, Response]]] = {}
    for row in study.asked(name):
        response = responses.get(row.request)
        if response is None or not response.text.strip():
            continue
        key = (row.item, "" if side_by_side == "models" else row.model) if several else (row.item, response.id)
        groups.setdefault(key, []).append((row.model, response))
    units = []
    for (item, _), replies in groups.items():
        shown = {response.id: (model, response) for model, response in replies}
        if several and side_by_side == "models":
            shown = {
                one[1].id: one for one in {model: (model, response) for model, response in shown.values()}.values()
            }
        if several and len(shown) < SAMPLES:
            continue
        given = [NewReply(response=response, model=model) for model, response in shown.values()]
        model = given[0].model if side_by_side == "samples" else ""
        units.append(_unit(prompt_of(items[item]), given[:SAMPLES] if several else given, model))
    if not units:
        raise UsageError(
            f"run '{run.name}' has no replies to show: it is unfinished, or an expert campaign needs --samples 3 in the run"
        )
    return units


def _unit(prompt: Prompt, replies: Sequence[NewReply], model: str) -> Unit:
    key = "+".join(sorted(reply.id for reply in replies))
    task = NewTask(
        prompt=prompt.text,
        prompt_id=prompt.id,
        level=prompt.level,
        category=prompt.category,
        replies=tuple(replies),
        key=key,
    )
    return Unit((model, prompt.category), key, task)


def _units_of_set(source: Source, campaign: Campaign) -> list[Unit]:
    several = campaign.criterion == "points_best_of"
    prompts: dict[str, Prompt] = {}
    replies: dict[str, dict[str, None]] = {}
    for prompt, texts in _replies_of_set(source.where):
        prompts.setdefault(prompt.id, prompt)
        replies.setdefault(prompt.id, {}).update(dict.fromkeys(text for text in texts if text.strip()))
    units = []
    for identity, found in replies.items():
        # The grade of a reply never comes along: neither its id nor the model's name says which one it is.
        given = []
        for text in found:
            origin = f"data:{source.name}#{identity}/{content_hash(text)[3:19]}"
            response = Response(id=response_id(origin), origin=origin, text=text, prompt_id=identity, model=source.name)
            given.append(NewReply(response=response, model=source.name))
        if several and len(given) >= SAMPLES:
            units.append(_unit(prompts[identity], given[:SAMPLES], source.name))
        elif not several:
            units += [_unit(prompts[identity], [reply], source.name) for reply in given]
    if not units and several:
        raise UsageError(
            f"set '{source.name}' holds no prompt with three replies; have models answer it first:  "
            f"cvalues run {source.name} -m MODEL --samples 3"
        )
    if not units:
        raise UsageError(
            f"set '{source.name}' holds no replies to judge; have models answer it first:  cvalues run {source.name} -m MODEL"
        )
    return units


def _replies_of_set(where: str) -> Iterator[tuple[Prompt, list[str]]]:
    """Yields (prompt, its replies) of a set; a set that is graded gives all grades, one of choices both sides."""
    for item in _items(where):
        if isinstance(item, GradedPrompt):
            yield item.prompt, list(item.replies.values())
        elif isinstance(item, Comparison):
            level = item.collection or item.level
            prompt = Prompt(id=item.prompt_id, text=item.question, level=level, category=item.category)
            yield prompt, [item.better.text, item.worse.text]


def _items(where: str) -> Iterable[object]:
    """Yields the rows of a set as graded prompts where it has them, else as comparisons; none for a set of prompts alone."""
    known = find(where)
    if known is not None and known[0].kind == "prompt":
        return []
    try:
        return list(stream(where, kind="graded"))
    except DataError:
        pass
    try:
        return list(stream(where, kind="comparison"))
    except DataError:
        if isinstance(next(iter(stream(where)), None), Prompt):
            return []
        raise


def stratified(units: Sequence[Unit], sample: int | None, seed: int) -> list[Unit]:
    """Returns a sample in proportion to the strata (model and category), in their order; all for None or a sample as large as everything.

    Each stratum gives in proportion to its size (largest remainders), and within it those that the seed puts first.
    """
    if sample is None or sample >= len(units):
        return list(units)
    strata: dict[tuple[str, str], list[Unit]] = {}
    for unit in units:
        strata.setdefault(unit.stratum, []).append(unit)
    shares = {stratum: sample * len(group) / len(units) for stratum, group in strata.items()}
    take = {stratum: int(share) for stratum, share in shares.items()}
    rest = sorted(strata, key=lambda stratum: (take[stratum] - shares[stratum], derive_seed("rest", seed, *stratum)))
    for stratum in rest[: sample - sum(take.values())]:
        take[stratum] += 1
    chosen: set[str] = set()
    for stratum, group in strata.items():
        ordered = sorted(group, key=lambda unit: derive_seed("sample", seed, unit.key))
        chosen |= {unit.key for unit in ordered[: take[stratum]]}
    return [unit for unit in units if unit.key in chosen]
