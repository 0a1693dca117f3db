"""Inspect AI at its own defaults, with its own choice scorer.  Usage: client_inspect.py URL IN_FLIGHT."""

import json
import os
import sys
import tempfile
import time

URL, IN_FLIGHT = sys.argv[1], int(sys.argv[2])
os.environ.update(OPENAI_BASE_URL=URL, OPENAI_API_KEY="none", INSPECT_LOG_LEVEL="warning")

from inspect_ai import Task, eval  # noqa: A004, E402
from inspect_ai.dataset import MemoryDataset, Sample  # noqa: E402
from inspect_ai.model import get_model  # noqa: E402
from inspect_ai.scorer import includes  # noqa: E402
from inspect_ai.solver import generate  # noqa: E402
from items import prompts  # noqa: E402

wall, cpu = time.perf_counter(), time.process_time()
task = Task(
    dataset=MemoryDataset([Sample(input=text, target="回复1") for text in prompts()]),
    solver=generate(),
    scorer=includes(),
)
model = get_model("openai-api/mock/mock", base_url=URL, api_key="none")
with tempfile.TemporaryDirectory() as folder:
    logs = eval(
        task,
        model=model,
        max_connections=IN_FLIGHT,
        max_samples=IN_FLIGHT,
        log_dir=folder,
        display="none",
        temperature=0.0,
    )
count = logs[0].results.completed_samples if logs[0].results else 0
print(json.dumps({"items": count, "wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}))
