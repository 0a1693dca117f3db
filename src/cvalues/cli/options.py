"""Options that commands of several groups share."""

from __future__ import annotations

from typing import Annotated

import typer

StudyOption = Annotated[
    str, typer.Option("--study", help="Study: path of a SQLite file, or a PostgreSQL URL.", envvar="CVALUES_STUDY")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
LangOption = Annotated[
    str, typer.Option("--lang", help="Language of what is shown: zh or en. Default: from the environment.")
]
ModelsOption = Annotated[
    str, typer.Option("--models-file", help="Models by name. Default: ./models.toml when it exists.")
]
TaxonomyOption = Annotated[
    str, typer.Option("--taxonomy", help="A file that adds to or replaces the scenarios and domains.")
]
