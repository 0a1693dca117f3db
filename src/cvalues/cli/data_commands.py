"""The commands `cvalues data …`; what each does stands in `cli/data.py`, `cli/audit.py` and `cli/interop.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cvalues.cli.interop import data_card, data_export, data_import_log
from cvalues.cli.options import JsonOption, LangOption, TaxonomyOption
from cvalues.cli.show import Output

data = typer.Typer(help="Data sets: list, download, show, start, check.", rich_markup_mode=None, no_args_is_help=True)


@data.command("list")
def data_list(as_json: JsonOption = False, lang: LangOption = "") -> None:
    """List the known sets, their size and licence, and where each is.

    Example:  cvalues data list
    """
    from cvalues.cli.data import list_sets

    list_sets(Output(as_json=as_json, language=lang))


@data.command("show")
def data_show(
    name: Annotated[str, typer.Argument(help="Set by name, or a file.")],
    limit: Annotated[int, typer.Option("--limit", min=0, help="Show so many items.")] = 3,
    taxonomy: TaxonomyOption = "",
    as_json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Show what a set holds: counts by level, category and split, and a few items.

    Example:  cvalues data show starter-choice
    """
    from cvalues.cli.data import show_set

    show_set(name, limit, taxonomy, Output(as_json=as_json, language=lang))


@data.command("pull")
def data_pull(
    name: Annotated[str, typer.Argument(help="A public set by name.")],
    source: Annotated[
        str, typer.Option("--from", help="Address or path to take the file from instead of its publisher.")
    ] = "",
    as_json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Download a public set from where its authors publish it, and check that it is the right one.

    Example:  cvalues data pull cvalues-responsibility-prompts
    """
    from cvalues.cli.data import pull_set

    pull_set(name, source, Output(as_json=as_json, language=lang))


@data.command("new")
def data_new(
    path: Annotated[Path, typer.Argument(help="File to write, ending in .csv or .jsonl.")],
    taxonomy: TaxonomyOption = "",
    lang: LangOption = "",
) -> None:
    """Write a template for a set of your own.

    Example:  cvalues data new finance.csv
    """
    from cvalues.cli.data import new_set

    new_set(path, taxonomy, Output(language=lang))


@data.command("check")
def data_check(
    path: Annotated[str, typer.Argument(help="File, or a set by name.")],
    quarantine: Annotated[
        Path | None, typer.Option("--quarantine", help="Write the rows with faults to this file.")
    ] = None,
    taxonomy: TaxonomyOption = "",
    as_json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Check every row of a set and report each fault with file:line; exits 1 when there is one.

    Example:  cvalues data check finance.csv --quarantine bad.jsonl
    """
    from cvalues.cli.data import check_set

    raise typer.Exit(check_set(path, quarantine, taxonomy, Output(as_json=as_json, language=lang)))


@data.command("audit")
def data_audit(
    source: Annotated[str, typer.Argument(help="Set by name, or a file.")],
    against: Annotated[
        list[str] | None, typer.Option("--against", help="Look for near-duplicates in this set too; may repeat.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the folds and of the sample of a large set.")] = 0,
    taxonomy: TaxonomyOption = "",
    as_json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Measure how far shortcuts solve a set, and find duplicates and imbalances; exits 1 when a bar is missed.

    Example:  cvalues data audit starter-choice
    """
    from cvalues.cli.audit import audit_set

    raise typer.Exit(audit_set(source, against or [], seed, taxonomy, Output(as_json=as_json, language=lang)))


data.command("export")(data_export)
data.command("import-log")(data_import_log)
data.command("card")(data_card)
