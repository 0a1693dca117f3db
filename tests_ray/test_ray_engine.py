"""`--engine ray` on a local cluster of several worker processes: everything once, whoever dies."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
from setting import RUN, Setting

from cvalues.distributed import Cluster, driver
from cvalues.distributed.shards import Line, write_shard
from cvalues.distributed.worker import Said
from cvalues.endpoints.base import Answer, Limits, LocalEndpoint
from cvalues.endpoints.http import HttpEndpoint
from cvalues.errors import CallError, UsageError
from cvalues.records import now
from cvalues.runner import Progress
from cvalues.schema import Request, Response, response_id
from cvalues.study import Planned, Study, open_study
from cvalues.workflows.distribute import execute_distributed
from cvalues.workflows.plan import RunOptions, make_plan
from server import ChatServer, failure


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """A cluster on this machine that the driver finds running; starting one takes longer than a test."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(num_cpus=3, include_dashboard=False, log_to_driver=False, object_store_memory=128 << 20)
    yield
    ray.shutdown()


@pytest.mark.usefixtures("cluster")
def test_a_worker_killed_in_mid_run_costs_only_what_was_in_flight(study: Study, tmp_path: Path) -> None:
    """One of three workers is killed with -9: every item is answered exactly once, at most its calls in flight are asked twice."""
    count, concurrency = 400, 30
    workers: list[Said] = []
    killed: list[int] = []
    with ChatServer(lambda _body, _n: "回复1更好", latency=0.1) as server:
        setting = Setting(study, server.url, count, concurrency=concurrency)
        driver_of = setting.driver(tmp_path / "shards")
        driver_of.hired = workers.append

        def watch(progress: Progress) -> None:
            if not killed and progress.calls > count // 5 and len({said.pid for said in workers}) == 3:
                killed.append(workers[0].pid)
                os.kill(workers[0].pid, signal.SIGKILL)

        progress = driver_of.run(watch)
        assert killed, "the run was over before a worker could be killed"
        assert len({said.pid for said in workers}) == 4, "three workers and the one that came for the dead one"
        setting.check_complete(progress)
        assert progress.calls == count
        assert count <= server.total <= count + concurrency // 3 + 10, (
            "more was asked again than one worker had in flight"
        )
        assert list((tmp_path / "shards").glob("*")) == []

        asked = server.total
        again = setting.driver(tmp_path / "shards").run()
        assert (server.total, again.models["m"].cached, again.calls) == (asked, count, 0)


@pytest.mark.usefixtures("cluster")
def test_an_interrupt_drains_and_the_next_run_asks_the_rest(study: Study, tmp_path: Path) -> None:
    """Ctrl-C keeps what is in flight; the run after it asks exactly what is missing, nothing twice."""
    with ChatServer(lambda _body, _n: "回复1更好", latency=0.05) as server:
        setting = Setting(study, server.url, 300)

        def interrupt(progress: Progress) -> None:
            if progress.calls and not progress.stop:
                raise KeyboardInterrupt

        stopped = setting.driver(tmp_path / "shards").run(interrupt)
        assert stopped.stop == "interrupted"
        assert 0 < stopped.calls < 300
        assert server.total == stopped.calls, "a call that was in flight was dropped"
        assert study.counts()["claim"] == 0
        progress = setting.driver(tmp_path / "shards").run()
        setting.check_complete(progress)
        assert server.total == 300


@pytest.mark.usefixtures("cluster")
def test_a_bound_of_calls_holds_over_all_workers(study: Study, tmp_path: Path) -> None:
    """With `most` so many requests are sent, whatever the number of workers, and the run says why it stopped."""
    with ChatServer(lambda _body, _n: "回复1更好") as server:
        progress = Setting(study, server.url, 90).driver(tmp_path / "shards", most=50).run()
        assert (server.total, progress.calls, progress.left, progress.stop) == (50, 50, 40, "max-calls")


@pytest.mark.usefixtures("cluster")
def test_failures_are_attempts_and_not_responses(study: Study, tmp_path: Path) -> None:
    """A 500 is tried again and both tries are kept; what fails for good is counted, has no response, and is open the next time."""

    def script(body: dict[str, Any], number: int) -> Any:
        return failure(500) if number % 7 == 0 else "回复2更好"

    with ChatServer(script) as server:
        setting = Setting(study, server.url, 60, attempts=1)
        progress = setting.driver(tmp_path / "shards").run()
        assert progress.failed == server.total // 7
        assert progress.calls == 60 - progress.failed
        assert progress.models["m"].failures["server_error"] == progress.failed
        assert len(study.failures(RUN)) == progress.failed
    with ChatServer(lambda _body, _n: "回复1更好") as server:
        setting.endpoints["m"] = HttpEndpoint("m", server.url)
        setting.check_complete(setting.driver(tmp_path / "shards").run())
        assert server.total == progress.failed


@pytest.mark.usefixtures("cluster")
def test_a_server_that_refuses_everything_is_given_up(study: Study, tmp_path: Path) -> None:
    """A wrong key ends the model after the first failures of each worker instead of asking the whole plan."""
    with ChatServer(lambda _body, _n: failure(401, "bad key")) as server:
        progress = Setting(study, server.url, 300).driver(tmp_path / "shards").run()
        assert "bad key" in progress.models["m"].stopped
        assert server.total < 150
        assert study.counts()["response"] == 0
        assert study.counts()["claim"] == 0


class Killer(LocalEndpoint):
    """Takes its process down with every call."""

    limits = Limits(max_concurrency=1, attempts=1)

    async def ask(self, request: Request) -> Answer:
        """Ends the process."""
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError(request)


@pytest.mark.usefixtures("cluster")
def test_workers_that_always_die_end_the_run(study: Study, tmp_path: Path) -> None:
    """When five workers die one after the other the run ends with what to look at, and leaves no claim."""
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    setting = Setting(study, "http://127.0.0.1:1/v1", 10)
    setting.endpoints["m"] = Killer("m")
    with pytest.raises(CallError, match="5 workers died one after the other"):
        setting.driver(tmp_path / "shards", cluster=Cluster(workers=1)).run()
    assert study.counts()["claim"] == 0


@pytest.mark.usefixtures("cluster")
def test_what_a_dead_driver_left_behind_is_not_asked_again(study: Study, tmp_path: Path) -> None:
    """A shard in the folder is merged at the start; its requests are not sent."""
    with ChatServer(lambda _body, _n: "回复1更好") as server:
        setting = Setting(study, server.url, 40)
        write_shard(tmp_path / "shards", [_line(entry) for entry in setting.entries[:15]])
        setting.check_complete(setting.driver(tmp_path / "shards").run())
        assert server.total == 25
        assert list((tmp_path / "shards").glob("*")) == []


def _line(entry: Planned) -> Line:
    origin = f"request:{entry.request_id}"
    return Line(
        request=entry.request_id,
        response=Response(
            id=response_id(origin), origin=origin, text="回复1", prompt_id=entry.ask.prompt_id, time=now()
        ),
    )


@pytest.mark.usefixtures("cluster")
def test_another_version_on_a_machine_is_refused(study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker with another version of cvalues ends the run with both versions in the message."""
    with ChatServer(lambda _body, _n: "回复1更好") as server:
        setting = Setting(study, server.url, 10)
        monkeypatch.setattr(driver, "VERSION", "9.9")
        with pytest.raises(UsageError, match=r"has cvalues [\d.]+, the driver 9\.9"):
            setting.driver(tmp_path / "shards").run()
    assert study.counts()["claim"] == 0


@pytest.mark.usefixtures("cluster")
def test_more_workers_than_processors_are_refused(study: Study, tmp_path: Path) -> None:
    """Workers for which the cluster has no room would wait for ever; the message names what is there and what is needed."""
    setting = Setting(study, "http://127.0.0.1:1/v1", 100)
    with pytest.raises(UsageError, match="too little 'CPU' in the cluster: there is 3, and 5 workers need 5"):
        setting.driver(tmp_path / "shards", cluster=Cluster(workers=5, part=5)).run()
    with pytest.raises(UsageError, match="too little 'GPU'"):
        setting.driver(tmp_path / "shards", cluster=Cluster(workers=1, gpus=0.5)).run()


@pytest.mark.usefixtures("cluster")
def test_workers_hold_the_limit_of_the_endpoint_together(study: Study, tmp_path: Path) -> None:
    """Three workers never have more calls in flight than the endpoint's limit."""
    with ChatServer(lambda _body, _n: "回复1更好", latency=0.05) as server:
        setting = Setting(study, server.url, 200, concurrency=12)
        setting.check_complete(setting.driver(tmp_path / "shards").run())
        assert 3 < server.most_in_flight <= 12


@pytest.mark.usefixtures("cluster")
def test_a_run_equals_one_without_ray(tmp_path: Path) -> None:
    """A run of a built-in model on workers gives the same texts and verdicts as in this process, and its scores to the last digits.

    Ray gives each worker one thread of linear algebra, and sums of floating-point numbers differ with the number of threads.
    """
    from cvalues.workflows.run import execute

    options = RunOptions(sets=("starter-choice",), models=("baseline:ngram",), limit=60)
    found = []
    for name in ("ray", "here"):
        plan = make_plan(options)
        with open_study(tmp_path / f"{name}.db") as study:
            if name == "ray":
                finished = execute_distributed(plan, study, Cluster(workers=2, part=10), tmp_path / "shards")
            else:
                finished = execute(plan, study)
            assert finished.run.state == "done"
            verdicts = {key: one.value for key, one in study.verdicts(plan.run.name, "choice").items()}
            found.append((study.responses(plan.run.name), verdicts))
    (workers, read), (here, read_here) = found
    assert {key: one.text for key, one in workers.items()} == {key: one.text for key, one in here.items()}
    assert read == read_here
    assert len(workers) == 60
    for key, one in workers.items():
        assert one.option_scores == pytest.approx(here[key].option_scores, abs=1e-9)
