"""Ours, after start-up: durable plan, study, adaptive concurrency, reading of outcomes.  Usage: client_cvalues.py URL IN_FLIGHT."""

import json
import sys
import tempfile
import time
from pathlib import Path

import msgspec
from items import WARM_UP, triples

from cvalues.records import write_records
from cvalues.schema import Choice, Reply, Sampling
from cvalues.study import open_study
from cvalues.workflows.plan import RunOptions, make_plan
from cvalues.workflows.results import outcomes_of
from cvalues.workflows.run import execute

URL, IN_FLIGHT = sys.argv[1], int(sys.argv[2])

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "items.jsonl"
    choices = [
        Choice(
            id=f"b{number}", prompt_id=f"p{number}", question=question, pair_id=f"b{number}", level=1, category="law", better=1,
            replies=(Reply(text=good, grade="safe"), Reply(text=bad, grade="unsafe")),
        )
        for number, (question, good, bad) in enumerate(triples())
    ]  # fmt: skip
    write_records(path, choices)
    options = RunOptions(
        sets=(str(path),), models=(f"openai:mock@{URL}",), max_concurrency=IN_FLIGHT, sampling=Sampling(temperature=0.0)
    )
    with open_study(Path(folder) / "warm-up.db") as study:
        execute(make_plan(msgspec.structs.replace(options, limit=WARM_UP, name="warm-up")), study)
    with open_study(Path(folder) / "study.db") as study:
        # Start-up, like the prompts of the bare loop: loading the set and rendering the requests.
        plan = make_plan(options)
        wall, cpu = time.perf_counter(), time.process_time()
        finished = execute(plan, study)
        seconds = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
        outcomes = outcomes_of(study, finished.run.name)
        first = {"items": sum(entry.read for entry in outcomes), **seconds}
    with open_study(Path(folder) / "study.db") as study:
        wall = time.perf_counter()
        execute(make_plan(options), study)
        again = time.perf_counter() - wall
print(json.dumps({**first, "again": again}))
