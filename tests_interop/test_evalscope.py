"""EvalScope's general_mcq runs with the recorded files and gives the recorded numbers."""

from __future__ import annotations

from pathlib import Path

import pytest
from evalscope import TaskConfig, run_task

from recordings import DATA, KINDS, accepted, script
from server import ChatServer


@pytest.mark.parametrize("kind", KINDS)
def test_general_mcq_takes_the_files(kind: str, tmp_path: Path) -> None:
    """Every item is asked once, and accuracy overall and per level is what stands in accepted.json."""
    with ChatServer(script(kind)) as server:
        found = run_task(
            TaskConfig(
                model="mock-1",
                api_url=server.url,
                api_key="none",
                eval_type="openai_api",
                datasets=["general_mcq"],
                dataset_args={
                    "general_mcq": {"local_path": str(DATA / "evalscope"), "subset_list": ["safety", "responsibility"]}
                },
                generation_config={"stream": False},
                work_dir=str(tmp_path),
            )
        )
        assert server.total == 20
    [metric] = found["general_mcq"].metrics
    levels = {subset.name: subset.score for category in metric.categories for subset in category.subsets}
    assert {"acc": metric.score, **levels} == pytest.approx(accepted()["evalscope"][kind])
