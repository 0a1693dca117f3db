"""Runs the tests of tests_interop inside environments of the tools that they are about.

Usage:  python tools/interop.py [--venv .venv-interop] [inspect|weights …]

Foreign tools have pins that clash with ours and with each other, so each group has an environment of its own. TRL and
lm-evaluation-harness agree on torch, transformers and datasets and share one, which saves a second copy of torch. Prints the versions.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TORCH = "torch==2.13.0"
GROUPS: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    "inspect": (("inspect-ai", "openai"), ("test_inspect.py",), ("inspect-ai", "openai")),
    "weights": (
        (TORCH, "trl", "lm_eval[hf]", "datasets", "pyarrow"),
        ("test_trl.py", "test_lm_eval.py"),
        ("torch", "transformers", "trl", "lm_eval", "datasets", "huggingface_hub"),
    ),
}
"""Group → what is installed, which tests run, whose versions are told."""


def prepare(venv: Path, packages: tuple[str, ...]) -> Path:
    """Returns the Python of an environment with this package and others, made when it is not there."""
    python = venv / "bin" / "python"
    if not (venv / ".installed").exists():
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *packages, "pytest", "--editable", str(ROOT)], check=True)
        (venv / ".installed").touch()
    return python


def versions(python: Path, names: tuple[str, ...]) -> str:
    """Returns `name version` of each package in an environment."""
    code = "import sys; from importlib.metadata import version; print(', '.join(f'{n} {version(n)}' for n in sys.argv[1:]))"
    return subprocess.run([str(python), "-c", code, *names], check=True, capture_output=True, text=True).stdout.strip()


def main() -> None:
    """Prepares each environment, tells its versions, runs its tests; exits with the first failure."""
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "groups", nargs="*", default=list(GROUPS), help=f"of {', '.join(GROUPS)}; all when none is named"
    )
    parser.add_argument("--venv", type=Path, default=Path(".venv-interop"))
    given = parser.parse_args()
    offline = {**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    for group in given.groups:
        packages, files, named = GROUPS[group]
        python = prepare(given.venv / group, packages)
        print(f"{group}: {versions(python, named)}", flush=True)
        command = [
            str(python),
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-o",
            "filterwarnings=default",
            "-W",
            "ignore",
        ]
        done = subprocess.run(
            [*command, *(str(ROOT / "tests_interop" / file) for file in files)], cwd=ROOT, env=offline, check=False
        )
        if done.returncode:
            sys.exit(done.returncode)


if __name__ == "__main__":
    main()
