"""Runs the tests of tests_interop inside environments of the tools that they are about.

Usage:  python tools/interop.py [--venv .venv-interop] [--latest] [inspect|weights|opencompass|evalscope|promptfoo …]

Foreign tools have pins that clash with ours and with each other, so each group has an environment of its own. TRL and
lm-evaluation-harness agree on torch, transformers and datasets and share one, which saves a second copy of torch. Prints the versions, and
the seconds that installing and testing took. A test that fails or is skipped ends it with an error, after the other groups have run.
promptfoo needs node 22 or newer; `PROMPTFOO="node …/main.js"` names one that is installed already.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
TORCH = "torch==2.13.0"
PROMPTFOO = "0.123.1"


class Group(NamedTuple):
    """What is installed into an environment, which tests run there, and whose versions are told."""

    packages: tuple[str, ...]
    tests: tuple[str, ...]
    told: tuple[str, ...]


GROUPS: dict[str, Group] = {
    "inspect": Group(("inspect-ai==0.3.285", "openai==3.54.0"), ("test_inspect.py",), ("inspect-ai", "openai")),
    "weights": Group(
        (TORCH, "trl==1.16.0", "lm_eval[hf]==0.4.13", "datasets==5.2.0", "transformers==5.23.0", "pyarrow"),
        ("test_trl.py", "test_lm_eval.py"),
        ("torch", "transformers", "trl", "lm_eval", "datasets", "huggingface_hub"),
    ),
    "opencompass": Group(
        (TORCH, "opencompass==0.5.4", "setuptools<81", "pyarrow<22", "pandas<3"),
        ("test_opencompass.py",),
        ("opencompass", "datasets"),
    ),
    "evalscope": Group(("evalscope==1.14.1",), ("test_evalscope.py",), ("evalscope",)),
    "promptfoo": Group((), ("test_promptfoo.py",), ("cvalues",)),
}


def prepare(venv: Path, group: Group, *, latest: bool) -> Path:
    """Returns the Python of an environment with this package and others, made when it is not there."""
    python = venv / "bin" / "python"
    mark = venv / ".installed"
    wanted = "\n".join(name.partition("==")[0] if latest else name for name in group.packages)
    if not mark.exists() or mark.read_text(encoding="utf-8") != wanted:
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *wanted.split(), "pytest", "--editable", str(ROOT)], check=True)
        mark.write_text(wanted, encoding="utf-8")
    return python


def versions(python: Path, names: tuple[str, ...]) -> str:
    """Returns `name version` of each package in an environment."""
    code = "import sys; from importlib.metadata import version; print(', '.join(f'{n} {version(n)}' for n in sys.argv[1:]))"
    return subprocess.run([str(python), "-c", code, *names], check=True, capture_output=True, text=True).stdout.strip()


def skipped(results: Path) -> int:
    """Returns how many tests a JUnit file counts as skipped."""
    return sum(int(suite.get("skipped", 0)) for suite in ET.parse(results).getroot().iter("testsuite"))


def run(name: str, venv: Path, *, latest: bool) -> bool:
    """Prepares one environment, tells its versions, runs its tests; returns whether all of them passed."""
    group = GROUPS[name]
    began = time.monotonic()
    python = prepare(venv, group, latest=latest)
    installed = time.monotonic()
    print(f"{name}: {versions(python, group.told)}", flush=True)
    offline = {**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    if name == "promptfoo":
        offline.setdefault("PROMPTFOO", f"npx --yes promptfoo@{'latest' if latest else PROMPTFOO}")
        print(f"{name}: {offline['PROMPTFOO']}", flush=True)
    results = venv / "results.xml"
    command = [
        str(python),
        "-m",
        "pytest",
        "-q",
        "-rs",
        "-p",
        "no:cacheprovider",
        "-o",
        "filterwarnings=default",
        "-W",
        "ignore",
    ]
    files = [str(ROOT / "tests_interop" / file) for file in group.tests]
    done = subprocess.run([*command, f"--junitxml={results}", *files], cwd=ROOT, env=offline, check=False)
    passed = done.returncode == 0 and not skipped(results)
    seconds = f"installed in {installed - began:.0f} s, tested in {time.monotonic() - installed:.0f} s"
    print(f"{name}: {'passed' if passed else 'FAILED'}; {seconds}", flush=True)
    return passed


def main() -> None:
    """Runs every group that was asked for; exits with 1 when one of them failed or could not be installed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("groups", nargs="*", choices=[*GROUPS, []], help="all when none is named")
    parser.add_argument("--venv", type=Path, default=Path(".venv-interop"))
    parser.add_argument("--latest", action="store_true", help="newest versions instead of those of docs/interop.md")
    given = parser.parse_args()
    failed = []
    for name in given.groups or GROUPS:
        try:
            passed = run(name, given.venv.resolve() / name, latest=given.latest)
        except subprocess.CalledProcessError as error:
            print(f"{name}: FAILED; {error}", flush=True)
            passed = False
        if not passed:
            failed.append(name)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
