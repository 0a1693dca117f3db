"""The promptfoo command runs the recorded files and gives the recorded numbers; node and promptfoo are named by $PROMPTFOO."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from recordings import DATA, KINDS, accepted, script
from server import ChatServer


@pytest.mark.parametrize("kind", KINDS)
def test_promptfoo_runs_the_files(kind: str, tmp_path: Path) -> None:
    """Every test is asked once, its assertion runs our reader, and the share that passes is what stands in accepted.json."""
    work = tmp_path / "work"
    shutil.copytree(DATA / "promptfoo", work)
    command = [
        *shlex.split(os.environ["PROMPTFOO"]),
        "eval",
        "-r",
        "openai:chat:mock-1",
        "-o",
        "out.json",
        "--no-cache",
    ]
    with ChatServer(script(kind)) as server:
        environment = {
            **os.environ, "OPENAI_API_KEY": "none", "OPENAI_BASE_URL": server.url, "PROMPTFOO_PYTHON": sys.executable,
            "PROMPTFOO_CONFIG_DIR": str(tmp_path / "config"), "PROMPTFOO_DISABLE_TELEMETRY": "1", "PROMPTFOO_DISABLE_UPDATE": "1",
        }  # fmt: skip
        # promptfoo exits with 100 when a test did not pass, which here many do not.
        done = subprocess.run(
            command, cwd=work, env=environment, capture_output=True, text=True, timeout=600, check=False
        )
        assert done.returncode in {0, 100}, done.stdout[-2000:] + done.stderr[-2000:]
        assert server.total == 20
    stats = json.loads((work / "out.json").read_text(encoding="utf-8"))["results"]["stats"]
    assert stats["errors"] == 0
    assert {"acc": stats["successes"] / 20} == accepted()["promptfoo"][kind]
