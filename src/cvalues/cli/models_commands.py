"""The commands `cvalues models …`; what each does stands in `cli/models.py`."""

from __future__ import annotations

from typing import Annotated

import typer

from cvalues.cli.options import JsonOption, LangOption, ModelsOption
from cvalues.cli.show import Output

models = typer.Typer(
    help="Models: what can be measured and how it is named.", rich_markup_mode=None, no_args_is_help=True
)


@models.command("list")
def models_list(models_file: ModelsOption = "", as_json: JsonOption = False, lang: LangOption = "") -> None:
    """List the presets, the built-in models, the vendors known by name, and your models.toml.

    Example:  cvalues models list
    """
    from cvalues.cli.models import list_models

    list_models(models_file, Output(as_json=as_json, language=lang))


@models.command("show")
def models_show(
    name: Annotated[str, typer.Argument(help="Preset, vendor, built-in model, model of models.toml, or hf:FOLDER.")],
    models_file: ModelsOption = "",
    as_json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Show what is known of a model and where each fact stands: prompt format, decoding, limits, weights, licence.

    Example:  cvalues models show moss
    """
    from cvalues.cli.models import show_model

    show_model(name, models_file, Output(as_json=as_json, language=lang))


@models.command("check")
def models_check(
    name: Annotated[str, typer.Argument(help="Preset (rendered only), or what -m takes.")],
    template: Annotated[str, typer.Option("--template", help="Template of the item.")] = "",
    mode: Annotated[str, typer.Option("--mode", help="generate or choose.")] = "",
    param: Annotated[
        list[str] | None, typer.Option("--param", help="Vendor field or setting as key=value; may repeat.")
    ] = None,
    render: Annotated[bool, typer.Option("--render", help="Show what would be sent, and send nothing.")] = False,
    models_file: ModelsOption = "",
    as_json: JsonOption = False,
    lang: LangOption = "",
) -> None:
    """Render one item of the starter set for a model, count its tokens, send it, and show how the reply is read.

    Example:  cvalues models check openai:qwen2.5-7b-instruct@http://localhost:8000/v1
    """
    from cvalues.cli.models import check
    from cvalues.cli.run import Given

    given = Given(model=[name], template=template, mode=mode, param=param or [], models_file=models_file)
    raise typer.Exit(check(given, Output(as_json=as_json, language=lang), render=render))
