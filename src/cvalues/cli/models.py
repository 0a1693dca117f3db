"""Commands on models: list, show, check."""

from __future__ import annotations

from typing import Any

import msgspec

from cvalues.cli.messages import translate
from cvalues.cli.run import Given, options
from cvalues.cli.show import Output
from cvalues.schema import Table
from cvalues.workflows.models import Checked, check_model, describe, model_table
from cvalues.workflows.preset_words import named


def list_models(models_file: str, output: Output) -> None:
    """Runs `cvalues models list`."""
    table = model_table(models_file, output.language)
    output.json([dict(zip(table.columns, row, strict=True)) for row in table.rows])
    output.table(table)


def show_model(name: str, models_file: str, output: Output) -> None:
    """Runs `cvalues models show`."""
    table = describe(name, models_file, output.language)
    output.json([dict(zip(table.columns, row, strict=True)) for row in table.rows])
    output.table(table)


def check(given: Given, output: Output, *, render: bool) -> int:
    """Runs `cvalues models check`; returns 3 when the model gave no reply."""
    checked = check_model(given.model[0], options(given), send=not render)
    output.json(checked)
    output.line(checked.rendered)
    output.table(_table(checked, output, render=render))
    return 3 if checked.problem else 0


def _table(checked: Checked, output: Output, *, render: bool) -> Table:
    language = output.language
    rows: list[tuple[str, Any]] = [
        ("model", checked.model),
        ("tokens" if checked.exact else "tokens about", checked.tokens),
    ]
    if checked.problem:
        rows.append(("problem", translate(checked.problem, language)))
    elif not checked.sent:
        rows.append(("sent", named("render only" if render else "preset only", language)))
    else:
        rows += [("mode", checked.mode), ("text", checked.text), ("finish", checked.finish)]
        if checked.option_scores:
            rows.append(("scores", msgspec.json.encode(checked.option_scores).decode()))
        rows += [("outcome", checked.outcome), ("seconds", checked.seconds)]
    shown = tuple(
        (named(f"fact.{fact}", language), value if isinstance(value, str) else str(value)) for fact, value in rows
    )
    return Table(title=checked.model, columns=("fact", "value"), rows=shown)
