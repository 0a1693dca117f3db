"""The commands `cvalues study …`; what each does stands in `cli/study.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cvalues.cli.options import JsonOption, LangOption, StudyOption
from cvalues.cli.show import Output

study = typer.Typer(
    help="The study database: look, verify, export, import, back up.", rich_markup_mode=None, no_args_is_help=True
)


@study.command("info")
def study_info(study: StudyOption = "study.db", as_json: JsonOption = False, lang: LangOption = "") -> None:
    """Show the runs of a study and how many records it holds.

    Example:  cvalues study info
    """
    from cvalues.cli.study import info

    info(study, Output(as_json=as_json, language=lang))


@study.command("verify")
def study_verify(study: StudyOption = "study.db", as_json: JsonOption = False, lang: LangOption = "") -> None:
    """Check every hash and reference of a study; exits 1 when something does not hold.

    Example:  cvalues study verify
    """
    from cvalues.cli.study import check

    raise typer.Exit(check(study, Output(as_json=as_json, language=lang)))


@study.command("export")
def study_export(
    folder: Annotated[Path, typer.Argument(help="Folder to write.")],
    form: Annotated[str, typer.Option("--format", help="jsonl or parquet.")] = "jsonl",
    study: StudyOption = "study.db",
    as_json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Export a study to JSON Lines or Parquet, one file per table.

    Example:  cvalues study export backup-2026
    """
    from cvalues.cli.study import export

    export(folder, form, study, Output(as_json=as_json, language=lang))


@study.command("import")
def study_import(
    source: Annotated[Path, typer.Argument(help="A folder that `study export` wrote, or another study file.")],
    study: StudyOption = "study.db",
    as_json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Merge another study into this one by record id; repeating it changes nothing.

    Example:  cvalues study import backup-2026
    """
    from cvalues.cli.study import merge

    merge(source, study, Output(as_json=as_json, language=lang))


@study.command("backup")
def study_backup(
    path: Annotated[Path, typer.Argument(help="File to write.")],
    study: StudyOption = "study.db",
    as_json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Copy a SQLite study while it is in use; the copy is consistent.

    Example:  cvalues study backup study-2026.db
    """
    from cvalues.cli.study import back_up

    back_up(path, study, Output(as_json=as_json, language=lang))
