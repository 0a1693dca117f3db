"""Replies on whose order or grade raters disagree (`OUT.conflicts.jsonl` of `cvalues pairs build`) as tasks of an adjudication."""

from __future__ import annotations

from pathlib import Path

import msgspec
import sqlalchemy as sa

from cvalues.errors import DataError
from cvalues.pairs.build import Conflict
from cvalues.people.forms import Campaign, Criterion, NewReply, NewTask
from cvalues.people.tasks import task_id, task_key
from cvalues.records import content_hash, open_bytes
from cvalues.schema import Response, response_id
from cvalues.study import Study, tables

_PERSON = "person:"


def read_conflicts(path: Path) -> list[Conflict]:
    """Returns the conflicts of a file.

    Raises:
        DataError: the file cannot be read, or a line is no conflict; the message names the line.
    """
    decoder = msgspec.json.Decoder(Conflict)
    found = []
    with open_bytes(path) as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                found.append(decoder.decode(line))
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise DataError(
                    f"{path}:{number}: {error}; give the conflicts that  cvalues pairs build  wrote, or a campaign or run"
                ) from error
    return found


def criterion_of(path: Path) -> Criterion:
    """Returns what an adjudication of these conflicts asks: `points` where all of them are of points, else `safe`.

    Errors as `read_conflicts`.
    """
    asked = {conflict.criterion for conflict in read_conflicts(path)}
    return "points" if asked and asked <= {"points", "points_best_of"} else "safe"


def conflict_tasks(study: Study, campaign: Campaign, path: Path) -> tuple[list[NewTask], dict[str, set[str]]]:
    """Returns every undecided reply of the conflicts of a file as one task, and by task key who must not get it: those who rated it.

    A reply that is a response of the study is judged as that response; any other is stored as one of the file. Errors as
    `read_conflicts`.
    """
    conflicts = read_conflicts(path)
    here = _people(study)
    known = _responses(study, sorted({origin for conflict in conflicts for origin in conflict.origins}))
    tasks: dict[str, NewTask] = {}
    barred: dict[str, set[str]] = {}
    for conflict in conflicts:
        for number in conflict.undecided:
            text, origin = conflict.replies[number], conflict.origins[number]
            raters = (*conflict.first, *conflict.second, *conflict.raters[number])
            people = {rater.removeprefix(_PERSON) for rater in raters if rater.startswith(_PERSON)}
            reply: str | Response = origin
            if origin not in known:
                place = f"data:{path.stem}#{content_hash((conflict.prompt, text))[3:19]}"
                reply = Response(id=response_id(place), origin=place, text=text, prompt_id=conflict.prompt_id)
            task = NewTask(
                prompt=conflict.prompt,
                prompt_id=conflict.prompt_id,
                category=conflict.category,
                level=conflict.level,
                replies=(NewReply(response=reply, model=known.get(origin, "")),),
            )
            key = task_id(campaign.name, task_key(task))
            tasks.setdefault(key, task)
            barred.setdefault(key, set()).update(people & here)
    return list(tasks.values()), barred


def _people(study: Study) -> set[str]:
    """Returns the pseudonyms of the study: who rated elsewhere has no place in its tables."""
    with study.reading() as connection:
        return {row.id for row in connection.execute(sa.select(tables.person.c.id))}


def _responses(study: Study, ids: list[str]) -> dict[str, str]:
    """Returns the model of each response that the study holds, by id."""
    r, q = tables.response.c, tables.request.c
    found: dict[str, str] = {}
    with study.reading() as connection:
        for start in range(0, len(ids), 500):
            query = sa.select(r.id, q.model).select_from(tables.response.outerjoin(tables.request, r.request == q.id))
            for row in connection.execute(query.where(r.id.in_(ids[start : start + 500]))):
                found[row.id] = row.model or ""
    return found
