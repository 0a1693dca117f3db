"""How commands show things: data on stdout as text or JSON, talk and progress on stderr, in Chinese or English."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from cvalues.cli.messages import translate
from cvalues.cli.words import say
from cvalues.errors import CValuesError, UsageError
from cvalues.frames import default_language
from cvalues.schema import Estimate, Table

LANGUAGES = ("zh", "en")
_PLAIN_SECONDS = 5.0


class Output:
    """Where a command writes. `data` goes to stdout; `talk` to stderr."""

    def __init__(self, *, as_json: bool = False, language: str = "") -> None:
        """Chooses JSON or text, and the language: `zh`, `en`, or that of the environment.

        Raises:
            UsageError: another language.
        """
        if language and language not in LANGUAGES:
            raise UsageError(f"--lang is zh or en, not '{language}'")
        self.as_json = as_json
        self.language = language or default_language()

    def say(self, key: str, **values: Any) -> str:
        """Returns a phrase of `words` in the chosen language."""
        return say(key, self.language, **values)

    def talk(self, text: str) -> None:
        """Writes a line for the person to stderr."""
        sys.stderr.write(text + "\n")

    def line(self, text: str) -> None:
        """Writes a line of data to stdout, unless JSON was asked for."""
        if not self.as_json:
            sys.stdout.write(text + "\n")

    def table(self, table: Table) -> None:
        """Writes a table to stdout, unless JSON was asked for."""
        if not self.as_json:
            sys.stdout.write(render(table, self.language))

    def json(self, value: object) -> None:
        """Writes a JSON value to stdout when JSON was asked for."""
        if self.as_json:
            sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n")
            sys.stdout.flush()


def language_of(arguments: Sequence[str]) -> str:
    """Returns the language that a command line asks for with --lang, the last one given; else that of the environment.

    A language that does not exist is no choice: what is said of it is said in that of the environment.
    """
    found = ""
    for index, argument in enumerate(arguments):
        if argument == "--":
            break
        if argument == "--lang" and index + 1 < len(arguments):
            found = arguments[index + 1]
        elif argument.startswith("--lang="):
            found = argument.partition("=")[2]
    return found if found in LANGUAGES else default_language()


def complain(error: CValuesError) -> None:
    """Writes an error to stderr in one paragraph, without a traceback."""
    language = language_of(sys.argv[1:])
    sys.stderr.write(f"{say('error', language)}: {translate(str(error), language)}\n")


def cell(value: Any, *, points: bool = True) -> str:
    """Returns a table cell as text; an estimate as value with its interval in percent points, `—` for no data."""
    if isinstance(value, Estimate):
        if value.value is None:
            return "—"
        scale = 100 if points else 1
        if value.low is None or value.high is None:
            return f"{value.value * scale:.1f}"
        return f"{value.value * scale:.1f} [{value.low * scale:.1f}, {value.high * scale:.1f}]"
    if value is None:
        return "—"
    if isinstance(value, bool):
        return "✓" if value else ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def of_counts(table: Table, title: str = "") -> Table:
    """Returns a table for showing, in which `answered` is a number of requests and not a share; with another title where one is given."""
    columns = tuple("answered already" if name == "answered" else name for name in table.columns)
    return msgspec.structs.replace(table, title=title or table.title, columns=columns)


def render(table: Table, language: str) -> str:
    """Returns a table as plain text with columns aligned for wide characters; lines may be longer than the terminal."""
    from rich.cells import cell_len

    head = [say(f"column.{name}", language, default=name) for name in table.columns]
    rows = [[cell(value) for value in row] for row in table.rows]
    widths = [max(cell_len(text) for text in column) for column in zip(head, *rows, strict=True)]
    numeric = [
        all(isinstance(row[index], int | float | Estimate | None) for row in table.rows) and bool(table.rows)
        for index in range(len(head))
    ]

    def put(texts: list[str]) -> str:
        parts = []
        for text, width, right in zip(texts, widths, numeric, strict=True):
            space = " " * (width - cell_len(text))
            parts.append(space + text if right else text + space)
        return "  ".join(parts).rstrip() + "\n"

    lines = [
        say(f"title.{table.title}", language, default=table.title) + "\n",
        put(head),
        put(["─" * width for width in widths]),
    ]
    lines += [put(row) for row in rows]
    lines += [f"{note}\n" for note in table.notes]
    return "".join(lines)


@contextlib.contextmanager
def progress(output: Output) -> Iterator[Callable[[Any], None]]:
    """Gives a callback that shows a run's progress: a live display on a terminal, a plain line every five seconds elsewhere."""
    if sys.stderr.isatty() and not output.as_json:
        from rich.console import Console
        from rich.live import Live

        with Live(console=Console(stderr=True), refresh_per_second=5, transient=True) as live:
            yield lambda state: live.update(_line(state, output))
        return
    last = time.monotonic()

    def plain(state: Any) -> None:
        nonlocal last
        if time.monotonic() - last >= _PLAIN_SECONDS:
            last = time.monotonic()
            output.talk(_line(state, output))

    yield plain


def _line(state: Any, output: Output) -> str:
    seconds = max(time.monotonic() - state.started, 1e-6)
    parts = []
    for name, model in state.models.items():
        rate = model.done / seconds
        eta = _duration(model.left / rate) if rate > 0 else "?"
        text = output.say(
            "progress", model=name, done=model.done + model.cached, planned=model.planned, rate=f"{rate:.1f}",
            flight=model.in_flight, limit=model.limit, retries=model.retries, failed=model.failed, eta=eta,
        )  # fmt: skip
        if model.cost:
            text += f" · {model.cost:.2f} {model.currency}".rstrip()
        if model.last_failure and model.failed:
            text += f" · {translate(model.last_failure, output.language)[:80]}"
        parts.append(text)
    return "\n".join(parts)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
