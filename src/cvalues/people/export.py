"""A campaign out to files: exactly what was submitted, and the shapes in which the public sets are published.

    submissions.jsonl     one line per answer, the very bytes that are stored
    submissions.csv       the same flat, for spreadsheets; cells that would run as formulas are disarmed
    adjudications.jsonl   decisions and reviews
    items.jsonl           tasks with prompt, replies, votes and label
    cvalues_safety_prompts.jsonl, cvalues_responsibility_prompts.jsonl     kept prompts: id_, prompt, domain_en, domain_zh
    expert_answers.jsonl  what experts wrote, with the question and its domain
    submissions.parquet, items.parquet    the same two as typed columns, when asked for
    manifest.json         counts, hashes, settings; written last, so its existence means that the export is complete

Everything streams in a fixed order: the same facts give the same bytes (but for the manifest's time).
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa

from cvalues.people.campaigns import load_campaign
from cvalues.people.desk import Desk, iso
from cvalues.people.forms import Campaign, ExpertAnswer, Submission
from cvalues.people.parquet import ANSWERS, ITEMS, write_parquet
from cvalues.people.progress import chunks, labelled
from cvalues.people.rules import read_answer
from cvalues.people.submit import stored_value
from cvalues.people.tasks import decode_body
from cvalues.records import canonical, file_hash, write_atomically, write_text
from cvalues.schema import Record, Response
from cvalues.study import tables
from cvalues.taxonomy import Taxonomy, builtin

_SUBMISSION = msgspec.json.Decoder(Submission)
_RESPONSE = msgspec.json.Decoder(Response)
_BATCH = 1000
_FORMULA = re.compile(r"\s*[=+\-@＝＋－＠]|[\t\r\n]")
_LONGEST_CELL = 32_000
COLUMNS = (
    "id", "campaign", "task", "kind", "person", "rev", "slot", "value", "best", "opinion", "answer", "reasons", "confidence",
    "active_ms", "wall_ms", "guideline", "sent", "received",
)  # fmt: skip
"""Columns of submissions.csv."""


class ExportFile(Record, frozen=True, kw_only=True):
    """One file of an export."""

    name: str
    rows: int
    hash: str


class ExportManifest(Record, frozen=True, kw_only=True):
    """What an export holds and how it came about."""

    format: str = "cvalues.people/1"
    cvalues: str
    campaign: Campaign
    state: str
    time: str
    label: str
    """How labels are made."""
    files: dict[str, ExportFile]


def cell(value: object) -> str:
    """Returns a value as a spreadsheet cell: never run as a formula, at most 32,000 characters, empty for None."""
    if not isinstance(value, str):
        return "" if value is None else str(value)
    plain = (
        not value or value[0].isalnum()
    )  # no formula begins so; a look at one character instead of a search, a million times over
    return ("'" + value if not plain and _FORMULA.match(value) else value)[:_LONGEST_CELL]


def export_campaign(
    desk: Desk, name: str, folder: Path, *, taxonomy: Taxonomy | None = None, parquet: bool = False
) -> ExportManifest:
    """Writes a campaign to `folder` and returns the manifest; memory does not grow with the number of answers.

    Args:
        desk: the desk.
        name: the campaign.
        folder: where the files go.
        taxonomy: names of categories; the built-in one when None.
        parquet: whether answers and items are written as Parquet, too.

    Raises:
        MissingExtra: Parquet is asked for and pyarrow is not installed.
        NoSuch: there is no such campaign.
        DataError: the folder cannot be written.
    """
    known = taxonomy or builtin()
    with desk.reading() as connection:
        campaign, state = load_campaign(connection, name)
        answers = _answered(folder, campaign, _bodies(connection, tables.submission, name))
        files = {
            "submissions.jsonl": answers,
            "submissions.csv": answers,
            "adjudications.jsonl": _lines(
                folder / "adjudications.jsonl", _bodies(connection, tables.adjudication, name)
            ),
            "items.jsonl": _lines(folder / "items.jsonl", _items(connection, campaign)),
        }
        if campaign.kind in {"attack", "expert"}:
            public = (
                "cvalues_safety_prompts.jsonl" if campaign.kind == "attack" else "cvalues_responsibility_prompts.jsonl"
            )
            files[public] = _lines(folder / public, _prompts(connection, campaign, known))
        if campaign.kind == "expert":
            files["expert_answers.jsonl"] = _lines(
                folder / "expert_answers.jsonl", _answers(connection, campaign, known)
            )
        if parquet:
            read = (_SUBMISSION.decode(body) for body in _bodies(connection, tables.submission, name))
            flat = (dict(zip(COLUMNS, _flat(campaign, one), strict=True)) for one in read)
            files["submissions.parquet"] = write_parquet(folder / "submissions.parquet", ANSWERS, flat)
            items = (msgspec.json.decode(line) for line in _items(connection, campaign))
            files["items.parquet"] = write_parquet(folder / "items.parquet", ITEMS, items)
    listed = {key: ExportFile(name=key, rows=rows, hash=file_hash(folder / key)) for key, rows in files.items()}
    label = (
        "majority of the counted votes, adjudication over it"
        if campaign.criterion == "safe"
        else "mean of the counted votes"
    )
    manifest = ExportManifest(
        cvalues=metadata.version("cvalues"),
        campaign=campaign,
        state=state,
        time=iso(desk.now),
        label=label,
        files=listed,
    )
    write_text(folder / "manifest.json", msgspec.json.format(canonical(manifest), indent=2).decode())
    return manifest


def _bodies(connection: sa.Connection, table: sa.Table, campaign: str) -> Iterator[bytes]:
    c = table.c
    query = sa.select(c.body).where(c.campaign == campaign).order_by(c.received, c.id)
    for row in connection.execution_options(yield_per=_BATCH).execute(query):
        yield row.body.encode()


def _lines(path: Path, lines: Iterable[bytes]) -> int:
    return _write(path, lambda file: _count(file, lines))


def _count(file: io.BufferedWriter, lines: Iterable[bytes]) -> int:
    count = 0
    for line in lines:
        file.write(line + b"\n")
        count += 1
    return count


def _write(path: Path, work: Callable[[io.BufferedWriter], int]) -> int:
    counts: list[int] = []
    write_atomically(path, lambda file: counts.append(work(file)))
    return counts[0]


def _answered(folder: Path, campaign: Campaign, bodies: Iterator[bytes]) -> int:
    """Writes answers as they are stored and flat, both in one pass, and returns how many."""

    def flat(file: io.BufferedWriter) -> Iterator[bytes]:
        # With the byte-order mark a spreadsheet program reads the Chinese as UTF-8.
        text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
        writer = csv.writer(text)
        writer.writerow(COLUMNS)
        for body in bodies:
            cells = _flat(campaign, _SUBMISSION.decode(body))
            writer.writerow([value if value.__class__ is int else cell(value) for value in cells])
            yield body
        text.flush()
        text.detach()

    return _write(folder / "submissions.csv", lambda file: _lines(folder / "submissions.jsonl", flat(file)))


def _flat(campaign: Campaign, one: Submission) -> list[object]:
    """Returns an answer as the values of `COLUMNS`, texts as they are."""
    answer = one.answer
    value: object = None if one.kind == "written" else stored_value(campaign, one)
    if one.kind == "written":
        value = " ".join(f"{claim['position']}:{claim['safe']}" for claim in answer.get("claims", []))
    return [
        one.id, one.campaign, one.task, one.kind, one.person, one.rev, one.slot, value, " ".join(map(str, answer.get("best", []))),
        answer.get("opinion"), answer.get("answer"), " ".join(answer.get("reasons", answer.get("criteria", []))), one.confidence,
        one.active_ms, one.wall_ms, one.guideline, one.sent, one.received,
    ]  # fmt: skip


def _items(connection: sa.Connection, campaign: Campaign) -> Iterator[bytes]:
    r, t = tables.response.c, tables.task_reply.c
    for rows, span in chunks(connection, campaign):
        replies: dict[str, list[dict[str, str]]] = {}
        query = sa.select(t.task, t.response, t.model, r.body).join(tables.response, r.id == t.response)
        for task, response, model, body in connection.execute(query.where(t.task.between(*span)).order_by(t.task, t.n)):
            text = _RESPONSE.decode(body).text
            replies.setdefault(task, []).append({"response": response, "model": model, "text": text})
        for task_row, one in labelled(connection, campaign, rows, span):
            row: dict[str, Any] = {
                "task": one.task, "category": one.category, "prompt": decode_body(task_row.body).prompt, "prompt_id": one.prompt_id,
                "replies": replies.get(one.task, []), "label": one.label, "how": one.how, "votes": list(one.values),
            }  # fmt: skip
            yield canonical(row)


def _kept(connection: sa.Connection, campaign: Campaign) -> Iterator[sa.Row[Any]]:
    """Yields the tasks whose prompts are kept, in a fixed order: by category as the campaign lists them, then by id."""
    t = tables.task.c
    if campaign.kind == "attack":
        where = sa.and_(t.kind == "written", t.state == "accepted")
    else:
        where = sa.and_(t.kind == "work", t.state.in_(("enough", "review", "final")))
    query = sa.select(tables.task).where(t.campaign == campaign.name, where).order_by(t.category, t.id)
    yield from connection.execution_options(yield_per=_BATCH).execute(query)


def _prompts(connection: sa.Connection, campaign: Campaign, taxonomy: Taxonomy) -> Iterator[bytes]:
    for number, row in enumerate(_kept(connection, campaign), 1):
        fields = {
            "id_": number, "prompt": decode_body(row.body).prompt, "domain_en": row.category,
            "domain_zh": taxonomy.name(row.category, "zh"),
        }  # fmt: skip
        yield msgspec.json.encode(fields)


def _answers(connection: sa.Connection, campaign: Campaign, taxonomy: Taxonomy) -> Iterator[bytes]:
    u = tables.submission.c
    for row in _kept(connection, campaign):
        latest: dict[str, Submission] = {}
        for body in connection.execute(sa.select(u.body).where(u.task == row.id).order_by(u.received, u.rev)).scalars():
            one = _SUBMISSION.decode(body)
            latest[one.person] = one
        for one in latest.values():
            answer = read_answer(one.answer, "points_best_of", len(one.shown))
            if not isinstance(answer, ExpertAnswer) or not answer.answer.strip():
                continue
            fields = {
                "prompt": decode_body(row.body).prompt, "answer": answer.answer, "domain_en": row.category,
                "domain_zh": taxonomy.name(row.category, "zh"), "source": answer.source, "points_of_best": answer.points,
                "opinion": answer.opinion, "person": one.person, "submission": one.id, "approved": row.state == "final",
            }  # fmt: skip
            yield msgspec.json.encode(fields)
