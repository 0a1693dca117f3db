"""People at work on the pages: how long the server takes and how much memory it needs.

    python benchmarks/people_load.py                                200 people, one decision per 10 s, 60 s, SQLite
    python benchmarks/people_load.py --study postgresql://…         the same on an empty PostgreSQL database

Each person opens the page of the next task, keeps a draft, sends a sign of life and then the answer, at moments drawn around the pace. The
server is a process of its own, as `cvalues people serve` starts it; the people are another. Prints one line of JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import re
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import aiohttp
import numpy as np

from cvalues.people import accounts, campaigns, sessions, tasks
from cvalues.people.desk import Desk
from cvalues.people.forms import NewReply, NewTask
from cvalues.people.progress import counters
from cvalues.people.verify import verify_people
from cvalues.records import generator
from cvalues.schema import Response, response_id
from cvalues.study import open_study

SERVE = "from cvalues.cli import main; main()"


class Worker(NamedTuple):
    person: str
    token: str
    csrf: str


def prepare(where: str, people: int, count: int) -> list[Worker]:
    """A campaign with tasks, and people who are signed in."""
    with open_study(where) as study:
        desk = Desk(study)
        fields = {
            "consent": False,
            "gold_share": 0.0,
            "sensitive": [],
            "daily_items": 10_000,
            "daily_minutes": 10_000.0,
        }
        campaigns.create_campaign(desk, campaigns.campaign_of("judge-safety", "load", fields))

        def one(number: int) -> NewTask:
            origin = f"data:load#{number}"
            reply = Response(
                id=response_id(origin),
                origin=origin,
                text=f"回复 {number}：" + "这是一段普通的回复。" * 20,
                prompt_id=f"p{number}",
            )
            return NewTask(
                prompt=f"问题 {number}",
                prompt_id=f"p{number}",
                replies=(NewReply(response=reply, model="m"),),
                category="law",
            )

        tasks.add_tasks(desk, "load", (one(number) for number in range(count)))
        found = []
        for number in range(people):
            person = accounts.add_person(desk, f"load{number}")
            accounts.grant_role(desk, person, "annotator", "load")
            token = sessions.open_session(desk, person)
            state = sessions.session_of(desk, token)
            assert state is not None
            found.append(Worker(person, token, state.csrf))
    return found


class Crowd:
    def __init__(self, url: str, seconds: float, pace: float) -> None:
        self.url, self.seconds, self.pace = url, seconds, pace
        self.spent: dict[str, list[float]] = {}
        self.statuses: Counter[int] = Counter()
        self.decisions = 0

    async def call(self, session: aiohttp.ClientSession, name: str, method: str, path: str, **more: object) -> str:
        begin = time.perf_counter()
        async with session.request(method, self.url + path, **more) as reply:  # type: ignore[arg-type]
            text = await reply.text()
        self.spent.setdefault(name, []).append(time.perf_counter() - begin)
        self.statuses[reply.status] += 1
        return text

    async def work(self, worker: Worker, end: float) -> None:
        draw = generator("load", worker.person)
        headers = {"Cookie": f"cvalues={worker.token}", "X-CSRF": worker.csrf, "Sec-Fetch-Site": "same-origin"}
        await asyncio.sleep(float(draw.uniform(0, self.pace)))
        connector = aiohttp.TCPConnector(limit=2)
        async with aiohttp.ClientSession(
            headers=headers, connector=connector, cookie_jar=aiohttp.DummyCookieJar()
        ) as session:
            while time.monotonic() < end:
                begin = time.monotonic()
                page = await self.call(session, "page", "GET", "/work/load")
                found = re.search(r'data-task="([0-9a-f]+)"', page)
                assert found is not None, page[:2000]
                task = found[1]
                await self.call(session, "heartbeat", "POST", f"/api/v1/heartbeats/{task}", json={"opened": True})
                think = self.pace * float(draw.uniform(0.7, 1.3))
                await asyncio.sleep(think / 2)
                answer = {"safe": ("safe", "unsafe")[int(draw.random() < 0.15)], "reasons": [], "opinion": ""}
                await self.call(session, "draft", "PUT", f"/api/v1/drafts/{task}", json={"body": answer, "revision": 1})
                await asyncio.sleep(max(0.0, begin + think - time.monotonic()))
                body = {"task": task, "answer": answer, "active_ms": int(1000 * think), "wall_ms": int(1000 * think)}
                await self.call(session, "answer", "PUT", f"/api/v1/answers/{uuid.uuid4()}", json=body)
                self.decisions += 1

    async def run(self, workers: list[Worker]) -> None:
        end = time.monotonic() + self.seconds
        await asyncio.gather(*(self.work(worker, end) for worker in workers))


def status_of(pid: int, field: str) -> float:
    found = re.search(rf"{field}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(encoding="ascii"))
    return int(found[1]) / 1024 if found else 0.0


def ticks(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def figures(values: list[float]) -> dict[str, float]:
    """Milliseconds."""
    return {f"p{part}": round(1000 * float(np.percentile(values, part)), 1) for part in (50, 95, 99)} | {
        "n": len(values)
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--pace", type=float, default=10, help="seconds per decision")
    parser.add_argument("--tasks", type=int, default=2000)
    parser.add_argument("--study", default="")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        where = given.study or str(Path(folder) / "study.db")
        workers = prepare(where, given.people, given.tasks)
        command = [
            sys.executable,
            "-c",
            SERVE,
            "people",
            "serve",
            "--study",
            where,
            "--port",
            "0",
            "--lang",
            "en",
            "--json",
        ]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            lines = ""
            while "}" not in lines:
                lines += server.stdout.readline()
            crowd = Crowd(json.loads(lines)["url"], given.seconds, given.pace)
            cpu, begin = ticks(server.pid), time.monotonic()
            asyncio.run(crowd.run(workers))
            spent = time.monotonic() - begin
            result = {
                "engine": where.partition("://")[0] if "://" in where else "sqlite", "people": given.people, "seconds": round(spent, 1),
                "decisions": crowd.decisions, "requests_per_second": round(sum(crowd.statuses.values()) / spent, 1),
                "statuses": dict(crowd.statuses), "server_cpu_share": round((ticks(server.pid) - cpu) / spent, 3),
                "peak_mib": round(status_of(server.pid, "VmHWM"), 1), "all": figures([one for part in crowd.spent.values() for one in part]),
                **{name: figures(part) for name, part in crowd.spent.items()},
            }  # fmt: skip
        finally:
            server.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.wait(30)
            server.kill()
        with open_study(where) as study:
            desk = Desk(study)
            result["stored"] = counters(desk, "load").submissions
            result["sound"] = verify_people(desk).sound
    print(json.dumps(result))


if __name__ == "__main__":
    main()
