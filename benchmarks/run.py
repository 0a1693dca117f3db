"""Runs every client against the mock server in turn and prints wall and CPU as ratios to the bare aiohttp loop of the same run.

Usage:  python benchmarks/run.py [--in-flight 256] [--latency 0.05] [--repeat 3] [--peers] [--people] [--out docs/benchmark.json]

Then it measures reading, and the path of 145,669 comparison pairs (`pairs_145k.py`); with `--people` also people at work on the pages
(`people_load.py`) and the store of their work (`people_store.py`), which take minutes.

`--peers` also runs the openai package and Inspect AI, each in an environment of its own under .venv-peers/, made when absent.
Client CPU is that of the client's process alone, after its imports. Machines are noisy: quote ratios of one run, medians of repeats.
"""

from __future__ import annotations

import argparse
import json
import platform
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
PEOPLE = ("people_load", "people_store")
PEERS = {"openai": ["openai==3.52.0"], "inspect": ["inspect-ai==0.3.285", "openai==3.52.0"]}


def peer_python(name: str) -> str:
    """Returns the Python of a peer's environment, made when it is not there."""
    venv = HERE.parent / ".venv-peers" / name
    python = venv / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", "aiohttp", *PEERS[name]], check=True)
    return str(python)


def free_port() -> int:
    """Returns a port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def measure(python: str, client: str, url: str, in_flight: int) -> dict[str, float]:
    """Runs one client once."""
    done = subprocess.run(
        [python, str(HERE / f"client_{client}.py"), url, str(in_flight)],
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    if done.returncode:
        sys.exit(f"{client} failed:\n{done.stderr[-3000:]}")
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def reading() -> dict[str, float]:
    """Returns how many replies of the labelled corpus, tiled to 145,000, are read per second of one core, with no cache."""
    from cvalues.choice.extract import extract

    lines = (HERE.parent / "tests" / "data" / "choice_replies.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    entries = [(row["text"], row["question"], tuple(row["replies"]), row["finish"]) for row in rows]
    extract("回复1更好")
    began, count = time.process_time(), 0
    while count < 145_000:
        for text, question, replies, finish in entries:
            extract(text, question=question, replies=replies, finish=finish)
        count += len(entries)
    seconds = time.process_time() - began
    return {"replies": count, "seconds": round(seconds, 2), "per second": round(count / seconds)}


def script(name: str) -> dict[str, float]:
    """Runs another benchmark of this folder and returns what it prints."""
    done = subprocess.run(
        [sys.executable, str(HERE / f"{name}.py")], capture_output=True, text=True, check=False, timeout=3600
    )
    if done.returncode:
        sys.exit(f"{name} failed:\n{done.stderr[-3000:]}")
    found: dict[str, float] = json.loads(done.stdout[done.stdout.index("{") :])
    return found


def main() -> None:
    """Runs, prints a table, writes JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--in-flight", type=int, default=256)
    parser.add_argument("--latency", type=float, default=0.05)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--people", action="store_true")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    clients = [("bare", sys.executable), ("cvalues", sys.executable)]
    if given.peers:
        clients += [(name, peer_python(name)) for name in PEERS]
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, str(HERE / "mock_server.py"), str(port), str(given.latency)], stdout=subprocess.PIPE, text=True
    )
    results: dict[str, list[dict[str, float]]] = {name: [] for name, _ in clients}
    try:
        assert server.stdout is not None
        server.stdout.readline()
        for repeat in range(given.repeat):
            for name, python in clients:
                if repeat and name == "inspect":
                    continue  # minutes a time; once is enough for a factor of this size
                results[name].append(measure(python, name, f"http://127.0.0.1:{port}/v1", given.in_flight))
    finally:
        server.kill()
        server.wait()
    report = {
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
        "in flight": given.in_flight,
        "latency": given.latency,
        "clients": {
            name: {key: round(statistics.median(run[key] for run in runs), 3) for key in runs[0]}
            for name, runs in results.items()
        },
        "reading": reading(),
        "pairs": script("pairs_145k"),
        **({name: script(name) for name in PEOPLE} if given.people else {}),
    }
    show(report)
    if given.out:
        given.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def show(report: dict) -> None:
    """Prints a Markdown table."""
    bare = report["clients"]["bare"]
    print(f"{report['machine']}; {report['in flight']} in flight, {report['latency'] * 1000:.0f} ms latency, medians\n")
    print("| client | items | wall s | CPU s per 1,000 | × bare wall | × bare CPU |\n|---|---:|---:|---:|---:|---:|")
    for name, run in report["clients"].items():
        print(
            f"| {name} | {run['items']:.0f} | {run['wall']:.2f} | {1000 * run['cpu'] / run['items']:.2f} "
            f"| {run['wall'] / bare['wall']:.2f} | {run['cpu'] / bare['cpu']:.2f} |"
        )
    print(f"\na second run with everything cached: {report['clients']['cvalues']['again']:.2f} s")
    print(
        f"reading: {report['reading']['per second']:,} replies a second and core ({report['reading']['replies']:,} replies, no cache)"
    )
    pairs = report["pairs"]
    print(
        f"pairs: {pairs['rows']:,} rows ({pairs['bytes'] / 1e6:.0f} MB) read, checked, audited and split in {pairs['seconds']} s "
        f"({pairs['seconds_of_processor']} s of a processor), {pairs['peak_mib']:.0f} MiB at most"
    )
    for name in PEOPLE:
        if name in report:
            print(f"{name}: {json.dumps(report[name])}")


if __name__ == "__main__":
    main()
