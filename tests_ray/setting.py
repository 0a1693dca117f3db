"""A study with a plan and drivers for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cvalues.distributed import Cluster, Driver
from cvalues.endpoints.base import Limits
from cvalues.endpoints.http import HttpEndpoint
from cvalues.records import now
from cvalues.runner import Progress
from cvalues.schema import Run
from cvalues.study import Study
from cvalues.study.verify import verify
from make import plan as make_items

RUN = "r"


class Setting:
    """A study with a plan of so many requests to one server."""

    def __init__(self, study: Study, url: str, count: int, *, concurrency: int = 30, attempts: int = 3) -> None:
        self.study = study
        self.entries, items = make_items(count)
        limits = Limits(max_concurrency=concurrency, attempts=attempts, patience=20)
        self.endpoints: dict[str, Any] = {"m": HttpEndpoint("m", url, limits=limits)}
        study.plan(
            study.start_run(Run(name=RUN, sets=(), models=("m",), kind="choice", start=now())), self.entries, items
        )

    def driver(self, folder: Path, **more: Any) -> Driver:
        """A driver with three workers and small parts."""
        cluster = more.pop("cluster", Cluster(workers=3, part=40))
        return Driver(self.study, RUN, self.entries, self.endpoints, cluster=cluster, folder=folder, **more)

    def check_complete(self, progress: Progress) -> None:
        """Every request has exactly one response of its own, and the study is sound."""
        assert progress.left == 0
        responses = self.study.responses(RUN)
        assert set(responses) == {entry.request_id for entry in self.entries}
        assert all(response.origin == f"request:{name}" for name, response in responses.items())
        assert self.study.counts()["response"] == len(self.entries)
        assert self.study.counts()["claim"] == 0
        assert verify(self.study).sound
