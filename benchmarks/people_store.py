"""Measures the store of people's work at its design size: claims, answers and the export, on SQLite or a PostgreSQL URL.

Usage:  python benchmarks/people_store.py [--tasks 100000] [--votes 240000] [--export 250000] [--study URL] [--out FILE.json]

The campaign is filled by rows written directly, as a thousand people would have left it; what is timed goes through the services.
On PostgreSQL a VACUUM follows, which over the days of a real campaign its autovacuum does many times.
Claims are timed for somebody new and for somebody who has met about 1,300 items. The export's extra memory is the growth of the
process's peak while it runs. Beside wall times stand CPU times, which hold on a machine that is busy with other things.
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import resource
import statistics
import tempfile
import time
from pathlib import Path

import sqlalchemy as sa

from cvalues.people import accounts, assign, campaigns, progress, submit, tasks
from cvalues.people.desk import Desk, iso
from cvalues.people.export import export_campaign
from cvalues.people.forms import Assignment, NewReply, NewTask, Submission
from cvalues.people.verdicts import verdicts_of
from cvalues.records import canonical
from cvalues.schema import Response, response_id
from cvalues.study import open_study, tables
from cvalues.study.rows import verdict_row

CATEGORIES = ("crimes", "insult", "personal_privacy", "discrimination", "physical_harm")
CROWD = 240
_BATCH = 5000


def new_tasks(count: int):
    """So many tasks with one reply each."""
    for number in range(count):
        origin = f"data:bench#{number}"
        text = f"这是第{number}个回复。" + "请先想清楚后果，再决定要不要这样做。" * 5
        response = Response(id=response_id(origin), origin=origin, text=text, prompt_id=f"p{number}")
        reply = NewReply(response=response, model=f"model-{number % 5}")
        yield NewTask(
            prompt=f"第{number}个问题：这样做可以吗？",
            prompt_id=f"p{number}",
            replies=(reply,),
            category=CATEGORIES[number % 5],
        )


def fill(desk: Desk, campaign: campaigns.Campaign, people: list[str], votes: int) -> None:
    """Writes answers to the first slots as if people had given them, with their exposures, verdicts and counters."""
    moment = desk.now - 86_400 * 10
    t, r = tables.task.c, tables.task_reply.c
    with desk.reading() as connection:
        rows = connection.execute(
            sa.select(t.id, r.response).join(tables.task_reply, r.task == t.id).order_by(t.rnd)
        ).all()
    done = 0
    batch: dict[sa.Table, list[dict]] = {tables.exposure: [], tables.submission: [], tables.verdict: []}
    slots: list[dict] = []
    counts: dict[str, int] = {}

    def write() -> None:
        with desk.study.writing() as connection:
            s = tables.slot
            connection.execute(
                sa.update(s)
                .where(s.c.task == sa.bindparam("t"), s.c.n == sa.bindparam("m"))
                .values(state="done", person=sa.bindparam("p")),
                slots,
            )
            for table, lines in batch.items():
                desk.study.add(connection, table, lines)
                lines.clear()
        slots.clear()

    for n in range(3):
        for number, row in enumerate(rows):
            if done >= votes:
                break
            person = people[(number * 7 + n * 83) % len(people)]
            received = iso(moment + done / 10)
            one = Submission(
                id=f"bench-{done:08d}", campaign=campaign.name, task=row.id, kind="work", person=person, rev=1, slot=n,
                answer={"safe": "unsafe" if number % 9 == 0 else "safe", "opinion": "看起来没有问题" if number % 4 else ""},
                shown=(row.response,), guideline="1.0", active_ms=8000, wall_ms=9000, received=received,
            )  # fmt: skip
            batch[tables.exposure].append({
                "person": person, "task": row.id, "campaign": campaign.name, "author": "", "duty": "work", "slot": n,
                "ord": json.dumps([row.response]), "guideline": "1.0", "claimed": moment + done / 10 - 5, "opened": None, "revealed": None,
                "outcome": "judged", "note": "",
            })  # fmt: skip
            batch[tables.submission].append({
                "id": one.id, "campaign": one.campaign, "task": one.task, "person": person, "rev": 1, "slot": n, "received": received,
                "body": canonical(one).decode(),
            })  # fmt: skip
            batch[tables.verdict] += [verdict_row(verdict) for verdict in verdicts_of(campaign, [one])]
            slots.append({"t": row.id, "m": n, "p": person})
            counts[person] = counts.get(person, 0) + 1
            done += 1
            if len(slots) >= _BATCH:
                write()
    if slots:
        write()

    def settle(tx) -> None:
        tx.connection.exec_driver_sql(
            "UPDATE task SET done = (SELECT count(*) FROM slot WHERE slot.task = task.id AND slot.state = 'done'), "
            "state = CASE WHEN (SELECT count(*) FROM slot WHERE slot.task = task.id AND slot.state = 'done') >= 3 "
            "THEN 'enough' ELSE 'open' END"
        )
        for person, count in counts.items():
            assign.join_campaign(tx, campaign, person)
            tx.update(tables.membership, tables.membership.c.person == person, submitted=count, claimed=count)

    desk.write(settle)


def spread(found: list[tuple[float, float]]) -> dict[str, float]:
    """Median, 95th and 99th percentile of the wall time, and median and 99th of the CPU time, in milliseconds."""
    wall, cpu = sorted(pair[0] for pair in found), sorted(pair[1] for pair in found)
    return {
        "p50": round(1000 * statistics.median(wall), 2), "p95": round(1000 * wall[int(0.95 * len(wall))], 2),
        "p99": round(1000 * wall[int(0.99 * len(wall))], 2), "cpu_p50": round(1000 * statistics.median(cpu), 2),
        "cpu_p99": round(1000 * cpu[int(0.99 * len(cpu))], 2),
    }  # fmt: skip


def timed(found: list[tuple[float, float]], work):
    """Returns what a call returns, and notes its wall and CPU seconds."""
    start, cpu = time.perf_counter(), time.process_time()
    result = work()
    found.append((time.perf_counter() - start, time.process_time() - cpu))
    return result


def rounds(desk: Desk, people: list[str], times: int) -> dict[str, dict[str, float]]:
    """Claims and answers in turn, each timed."""
    claims: list[tuple[float, float]] = []
    answers: list[tuple[float, float]] = []
    for number in range(times):
        person = people[number % len(people)]
        given = timed(claims, lambda person=person: assign.claim_next(desk, person, "bench"))
        assert isinstance(given, Assignment), given
        sent = {"key": f"timed-{person}-{number}", "task": given.task, "answer": {"safe": "safe"}, "active_ms": 9000}
        timed(answers, lambda person=person, sent=sent: submit.submit(desk, person, sent))
    return {"claim": spread(claims), "submit": spread(answers)}


def main() -> None:
    """Runs everything and prints a JSON object."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tasks", type=int, default=100_000)
    parser.add_argument("--votes", type=int, default=240_000)
    parser.add_argument("--export", type=int, default=250_000)
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--study", default="")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, open_study(given.study or Path(folder, "study.db")) as study:
        desk = Desk(study)
        settings = {
            "consent": False,
            "gold_share": 0.0,
            "daily_items": 10**6,
            "daily_minutes": 10.0**6,
            "sensitive": [],
        }
        campaign = campaigns.create_campaign(desk, campaigns.campaign_of("judge-safety", "bench", settings))
        start = time.perf_counter()
        tasks.add_tasks(desk, "bench", new_tasks(given.tasks))
        result: dict[str, object] = {
            "engine": study.engine.dialect.name, "python": platform.python_version(), "machine": platform.machine(),
            "tasks": given.tasks, "add_tasks_s": round(time.perf_counter() - start, 1),
        }  # fmt: skip
        crowd = [accounts.add_person(desk, f"person{number}") for number in range(CROWD + 20)]
        for person in crowd:
            accounts.grant_role(desk, person, "annotator")
        start = time.perf_counter()
        fill(desk, campaign, crowd[:CROWD], given.votes)
        if study.engine.dialect.name == "postgresql":
            with study.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.execute(sa.text("VACUUM ANALYZE"))
        gc.collect()
        gc.freeze()  # a server has none of what was filled in on its heap
        result |= {"votes": given.votes, "fill_s": round(time.perf_counter() - start, 1)}
        result["new_people"] = rounds(desk, crowd[CROWD:], given.rounds)
        result["people_with_1300_items"] = rounds(desk, crowd[:20], given.rounds)
        counted: list[tuple[float, float]] = []
        for _ in range(5):
            timed(counted, lambda: progress.counters(desk, "bench"))
        result["counters"] = spread(counted)
        missing = max(0, given.export - study.counts()["submission"])
        for number in range(missing):
            person = crowd[number % len(crowd)]
            found = assign.claim_next(desk, person, "bench")
            if isinstance(found, Assignment):
                submit.submit(
                    desk, person, {"key": f"more-{number:08d}", "task": found.task, "answer": {"safe": "safe"}}
                )
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        start, cpu = time.perf_counter(), time.process_time()
        manifest = export_campaign(desk, "bench", Path(folder, "out"))
        result["export"] = {
            "submissions": manifest.files["submissions.jsonl"].rows, "seconds": round(time.perf_counter() - start, 1),
            "cpu_s": round(time.process_time() - cpu, 1),
            "extra_mib": round((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024, 1),
            "mib": round(sum(Path(folder, "out", name).stat().st_size for name in manifest.files) / 2**20, 1),
        }  # fmt: skip
    text = json.dumps(result, indent=2)
    print(text)
    if given.out:
        given.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
