"""`cvalues run --engine ray`: the run workflow with workers on many machines in the place of this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cvalues.distributed import Cluster, Driver
from cvalues.runner import Progress
from cvalues.study import Study
from cvalues.workflows.plan import Plan
from cvalues.workflows.run import Finished, end_run


def execute_distributed(
    plan: Plan,
    study: Study,
    cluster: Cluster,
    folder: Path,
    *,
    most: int | None = None,
    watch: Callable[[Progress], None] | None = None,
) -> Finished:
    """Asks what is open with the workers of a cluster, reads what came, and records how the run ended.

    Args:
        plan: from `make_plan`.
        study: where everything is kept; only this process opens it.
        cluster: where the workers are and how many.
        folder: of the shards, on this machine.
        most: most requests that this call sends.
        watch: called with the progress a few times a second.

    Raises:
        MissingExtra: Ray is not installed here.
        UsageError: a worker cannot go on, or the cluster is too small.
        CallError: the cluster cannot be reached, or workers die one after the other.
        StudyError: the study cannot be used; what came is kept in the folder and merged at the next start.
    """
    driver_of = Driver(study, plan.run.name, plan.entries, plan.endpoints, cluster=cluster, folder=folder, most=most)
    run = study.start_run(plan.run)
    study.plan(run, plan.entries, plan.items)
    progress = driver_of.run(watch)
    return end_run(study, run, plan, progress)
