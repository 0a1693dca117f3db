"""Commands on data sets and the list of models."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import msgspec

from cvalues.cli.messages import check_lines
from cvalues.cli.show import Output
from cvalues.datasets import check, known_sets, load, pull, write_template
from cvalues.datasets.registry import cached_path
from cvalues.datasets.transfer import Progress
from cvalues.schema import Choice, Prompt, Table
from cvalues.taxonomy import Taxonomy
from cvalues.taxonomy import load as load_taxonomy


def _taxonomy(path: str) -> Taxonomy:
    return load_taxonomy(Path(path) if path else None)


def list_sets(output: Output) -> None:
    """Runs `cvalues data list`."""
    rows = []
    for entry in known_sets():
        paths = [path for file in entry.file if (path := cached_path(entry, file)).is_file()]
        where = ", ".join(map(str, paths)) or f"cvalues data pull {entry.name}"
        items = len(load(entry.name)) if entry.builtin else entry.rows
        what = entry.zh if output.language == "zh" else entry.en
        rows.append((entry.name, entry.kind, items, entry.licence, "cvalues" if entry.builtin else where, what))
    columns = ("name", "kind", "items", "licence", "where", "what")
    output.json([dict(zip(columns, row, strict=True)) for row in rows])
    output.table(Table(title="Sets", columns=columns, rows=tuple(rows)))


def show_set(name: str, limit: int, taxonomy: str, output: Output) -> None:
    """Runs `cvalues data show`."""
    chosen = _taxonomy(taxonomy)
    items = load(name, taxonomy=chosen)
    groups: dict[str, Counter[str]] = {
        key: Counter(str(getattr(item, key, "")) for item in items)
        for key in ("level", "category", "difficulty", "split", "language")
    }
    output.json(
        {
            "set": name,
            "items": len(items),
            "counts": {key: dict(counter) for key, counter in groups.items()},
            "first": [msgspec.to_builtins(item) for item in items[:limit]],
        }
    )
    output.line(f"{name}: {len(items)}")
    for key, counter in groups.items():
        if set(counter) != {""}:
            parts = [
                f"{chosen.name(value, output.language) if key == 'category' else value or '—'} {count}"
                for value, count in counter.items()
            ]
            output.line(f"  {key}: {', '.join(parts)}")
    for item in items[:limit]:
        output.line("")
        if isinstance(item, Choice):
            output.line(f"{item.id}  [{item.category}]  {item.question}")
            for number, reply in enumerate(item.replies, 1):
                mark = "✓" if item.better == number else " "
                output.line(f"  {mark} {number}: {reply.text}")
        elif isinstance(item, Prompt):
            output.line(f"{item.id}  [{item.category}]  {item.text}")


def pull_set(name: str, source: str, output: Output) -> None:
    """Runs `cvalues data pull`."""
    last = -1

    def progress(state: Progress) -> None:
        nonlocal last
        step = state.done >> 20
        if step != last:
            last = step
            output.talk(output.say("pull.progress", name=name, done=state.done, total=state.total or "?"))

    path = pull(name, source=source or None, progress=progress)
    output.json({"set": name, "path": str(path)})
    output.line(output.say("pull.done", name=name, path=path))


def new_set(path: Path, taxonomy: str, output: Output) -> None:
    """Runs `cvalues data new`."""
    write_template(path, _taxonomy(taxonomy), language="zh" if output.language == "zh" else "en")
    output.line(output.say("new.done", path=path))


def check_set(source: str, quarantine: Path | None, taxonomy: str, output: Output) -> int:
    """Runs `cvalues data check`; returns 1 when a fault was found."""
    report = check(source, taxonomy=_taxonomy(taxonomy), quarantine=quarantine)
    output.json(report)
    for line in check_lines(report, output.language):
        output.line(line)
    if quarantine is not None and report.fault_count:
        output.talk(output.say("check.quarantine", path=quarantine))
    return 0 if report.ok else 1
