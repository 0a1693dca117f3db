"""`cvalues data export|import-log|card`: sets and results for other tools, and their logs for us."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cvalues.cli.show import Output

_JSON = typer.Option("--json", help="Print JSON instead of text.")
_LANG = typer.Option("--lang", help="Language of what is shown: zh or en. Default: from the environment.")

_WORDS = {
    "exported": ("{count} 个题目已写入 {path}", "{count} items written to {path}"),
    "imported": (
        "{count} 个回复已写入 {path}；下一步：cvalues run SET -m recorded:{path}",
        "{count} responses written to {path}; next:  cvalues run SET -m recorded:{path}",
    ),
    "card": ("{models} 的结果已写入 {path}", "results of {models} written to {path}"),
    "title": ("导出的文件", "Exported files"),
    "file": ("文件", "file"),
    "bytes": ("字节", "bytes"),
}


def _say(key: str, output: Output, **gaps: object) -> str:
    text = _WORDS[key][0 if output.language == "zh" else 1]
    for name, value in gaps.items():
        text = text.replace("{" + name + "}", str(value))
    return text


def data_export(
    name: Annotated[str, typer.Argument(help="Set by name, or a file.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder to write.")],
    form: Annotated[
        str, typer.Option("--format", help="inspect, lm-eval, opencompass, evalscope, promptfoo or hf.")
    ] = "hf",
    template: Annotated[str, typer.Option("--template", help="How items are put: a name or a file.")] = "public",
    split: Annotated[str, typer.Option("--split", help="Only items of this split: train, dev or heldout.")] = "",
    taxonomy: Annotated[str, typer.Option("--taxonomy", help="A file that adds to or replaces the categories.")] = "",
    as_json: Annotated[bool, _JSON] = False,
    lang: Annotated[str, _LANG] = "",
) -> None:
    """Write a set in the files that another evaluation tool runs.

    Example:  cvalues data export starter-choice --format lm-eval -o tasks
    """
    from cvalues.schema import Table
    from cvalues.taxonomy import load
    from cvalues.workflows.interop import export_set

    output = Output(as_json=as_json, language=lang)
    chosen = load(Path(taxonomy)) if taxonomy else None
    done = export_set(name, out, form, template_name=template, split=split, taxonomy=chosen)
    files = [file.relative_to(done.folder).as_posix() for file in done.files]
    output.json({"set": name, "format": form, "folder": str(out), "items": done.items, "files": files})
    rows = tuple((file, (done.folder / file).stat().st_size) for file in files)
    output.table(Table(title=_say("title", output), columns=(_say("file", output), _say("bytes", output)), rows=rows))
    output.line(_say("exported", output, count=done.items, path=out))


def data_import_log(
    log: Annotated[Path, typer.Argument(help="Log of Inspect AI, .eval or .json.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="File of responses to write.")] = Path("responses.jsonl"),
    as_json: Annotated[bool, _JSON] = False,
    lang: Annotated[str, _LANG] = "",
) -> None:
    """Take the responses out of a log of Inspect AI, so that they can be read and scored here without a call.

    Example:  cvalues data import-log logs/choice.json -o responses.jsonl
    """
    from cvalues.integrations.inspect_logs import import_log

    output = Output(as_json=as_json, language=lang)
    count = import_log(log, out)
    output.json({"log": str(log), "file": str(out), "responses": count})
    output.line(_say("imported", output, count=count, path=out))


def data_card(
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="Runs by name, latest, or a results.json.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="File to write.")] = Path("model-index.md"),
    study: Annotated[str, typer.Option("--study", help="Study of the runs.", envvar="CVALUES_STUDY")] = "study.db",
    as_json: Annotated[bool, _JSON] = False,
    lang: Annotated[str, _LANG] = "",
) -> None:
    """Write the results of runs as the model-index of a model card, for Hugging Face and ModelScope.

    Example:  cvalues data card latest -o model-index.md
    """
    from cvalues.workflows.interop import card_of

    output = Output(as_json=as_json, language=lang)
    models = card_of(runs, study, out)
    output.json({"runs": runs, "file": str(out), "models": models})
    output.line(_say("card", output, models=", ".join(models), path=out))
