"""`--engine ray` on clusters that a test starts itself: two Ray nodes, and the one that the command makes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import ray
from ray.cluster_utils import Cluster as Machines
from setting import Setting

from cvalues.distributed import Cluster
from cvalues.runner import Progress
from cvalues.study import Study
from server import ChatServer


def test_a_machine_that_dies_costs_only_what_was_in_flight(study: Study, tmp_path: Path) -> None:
    """Of a cluster of two machines one is taken away in mid-run: its parts go to the other, nothing is lost or kept twice."""
    count = 300
    machines = Machines(initialize_head=True, head_node_args={"num_cpus": 2, "object_store_memory": 128 << 20})
    lost = machines.add_node(num_cpus=2, object_store_memory=128 << 20)
    ray.init(address=machines.address, log_to_driver=False)
    try:
        with ChatServer(lambda _body, _n: "回复1更好", latency=0.1) as server:
            setting = Setting(study, server.url, count)
            driver_of = setting.driver(tmp_path / "shards", cluster=Cluster(workers=2, part=30))
            gone: list[bool] = []

            def watch(progress: Progress) -> None:
                if not gone and progress.calls > count // 5:
                    gone.append(True)
                    machines.remove_node(lost, allow_graceful=False)

            setting.check_complete(driver_of.run(watch))
            assert gone
            assert server.total <= count + 15 + 10
    finally:
        ray.shutdown()
        machines.shutdown()


def test_the_command_starts_a_cluster_of_its_own(tmp_path: Path) -> None:
    """`cvalues run --engine ray` measures, ends with the scores, and asks nothing when it is repeated."""
    with ChatServer(lambda _body, _n: "回复1更好") as server:
        line = [
            str(Path(sys.executable).parent / "cvalues"), "run", "starter-choice", "-m", f"openai:m@{server.url}",
            "--limit", "24", "--engine", "ray", "--ray-workers", "2", "--json",
        ]  # fmt: skip
        for calls in (24, 0):
            before = server.total
            done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
            assert done.returncode == 0, done.stderr
            answer = json.loads(done.stdout)
            assert (answer["state"], answer["left"]) == ("done", 0)
            assert server.total - before == calls
