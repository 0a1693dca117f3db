"""Pages of help and usage errors in Chinese, from `data/words/help*.toml`.

The English of every command and option stands beside it in the source and is the key of its Chinese; paragraphs that begin
with `Example:` are kept. `[frame]`, `[pieces]`, `[types]` and `[extra]` are the words that the library of the command line
puts around them, `[[usage]]` its errors, written as in `errors.toml`; `{name:names}` are names in quotes, `{name:message}` is
another of its errors.
"""

from __future__ import annotations

import functools
import inspect
import re
import tomllib
from importlib import resources
from typing import TYPE_CHECKING, Any, NamedTuple

from cvalues.cli.messages import Wording, wording
from cvalues.cli.words import say
from cvalues.cli.wrapping import columns, fit, wrap

if TYPE_CHECKING:
    from typer import Context

_INDENT = "  "
_FIRST_COLUMN = 30
_EXAMPLE = "Example:"
_LIST = re.compile(r"list\[(.+)\]")
_TYPE = re.compile(r"<([^<>]+)>$")
_QUOTED = re.compile(r"'([^']*)'|\"([^\"]*)\"")


class Words(NamedTuple):
    """The Chinese of the command line."""

    frame: dict[str, str]
    """Headings and fixed sentences by name."""
    pieces: dict[str, str]
    """What stands in a line of usage."""
    types: dict[str, str]
    """Names of types of values."""
    extra: dict[str, str]
    """What the brackets after an option say."""
    texts: dict[str, str]
    """Help of commands and options by its English."""
    usage: tuple[Wording, ...]
    """Errors of usage: those that begin with a value last, and else those with most words of their own first."""


@functools.cache
def words() -> Words:
    """Returns the Chinese of the command line, as it stands in `data/words`."""
    first = _file("help.toml")
    texts = {key: text for area in (first, *map(_file, areas())) for key, text in area.get("zh", {}).items()}
    entries = [wording(entry["en"], entry["zh"]) for entry in first["usage"]]
    usage = tuple(sorted(entries, key=lambda entry: (not entry.literals[0], -sum(map(len, entry.literals)))))
    return Words(first["frame"], first["pieces"], first["types"], first["extra"], texts, usage)


def areas() -> list[str]:
    """Returns the files `help-AREA.toml`, each with the texts of one area of the command line."""
    folder = resources.files("cvalues").joinpath("data/words")
    return sorted(entry.name for entry in folder.iterdir() if entry.name.startswith("help-"))


def _file(name: str) -> Any:
    return tomllib.loads(resources.files("cvalues").joinpath(f"data/words/{name}").read_text(encoding="utf-8"))


def chinese(text: str) -> str:
    """Returns the Chinese of a text of help; the text itself where there is none."""
    key = " ".join(text.split())
    if key.startswith(_EXAMPLE):
        return words().frame["example"] + key.removeprefix(_EXAMPLE).lstrip()
    return words().texts.get(key, key)


def paragraphs(text: str | None) -> list[str]:
    """Returns the paragraphs of a command's English help, each in one line."""
    clean = inspect.cleandoc(text or "").partition("\f")[0]
    return [" ".join(part.split()) for part in clean.split("\n\n") if part.strip()]


def help_page(context: Context) -> str:
    """Returns the page of help of a command in Chinese: usage, what it does, arguments, options, commands."""
    command: Any = context.command
    width = context.make_formatter().width
    lines = [*_usage(context, width)]
    for part in paragraphs(command.help):
        lines += ["", *(_INDENT + line for line in wrap(chinese(part), width - len(_INDENT)))]
    records: dict[str, list[tuple[str, str]]] = {"argument": [], "option": []}
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None:
            records[parameter.param_type_name].append(_record(parameter, *record))
    for kind, rows in records.items():
        lines += _table(f"{kind}s", rows, width)
    return "\n".join([*lines, *_table("commands", _commands(context, width), width)])


def _usage(context: Context, width: int) -> list[str]:
    """Returns the line of usage, continued under its first word."""
    head = f"{words().frame['usage']}{context.command_path} "
    pieces = " ".join(words().pieces.get(piece, piece) for piece in context.command.collect_usage_pieces(context))
    first, *rest = wrap(head + pieces, width)
    indent = _INDENT * 2
    return [first, *(indent + line for line in (wrap(" ".join(rest), width - len(indent)) if rest else ()))]


def _record(parameter: Any, name: str, text: str) -> tuple[str, str]:
    """Returns the two columns of an argument or option: its name with its type, its help with what stands in brackets."""
    english = getattr(parameter, "help", None) or ""
    extra = text.removeprefix(english).strip().removeprefix("\\")
    shown = [chinese(english)] if english else []
    if extra.startswith("[") and extra.endswith("]"):
        shown.append("[" + "；".join(_extra(part) for part in extra[1:-1].split("; ")) + "]")
    elif extra:
        shown.append(extra)
    return _TYPE.sub(_type, name), " ".join(shown)


def _extra(part: str) -> str:
    """Returns one thing that stands in the brackets: `default: 3`, `required`, a range."""
    name, mark, value = part.partition(": ")
    return f"{words().extra.get(name, name)}{'：' if mark else ''}{value}"


def _type(found: re.Match[str]) -> str:
    inner = _LIST.fullmatch(found[1])
    name = (inner[1] if inner else found[1]).removesuffix(" range")
    return f"<{words().types.get(name, name)}{'…' if inner else ''}>"


def _commands(context: Context, width: int) -> list[tuple[str, str]]:
    """Returns the commands of a group, each with as much of its first sentence as stands in one line."""
    children = {name: child for name, child in getattr(context.command, "commands", {}).items() if not child.hidden}
    room = width - max(map(len, children), default=0) - 2 * len(_INDENT)
    return [
        (name, fit(chinese((paragraphs(child.short_help or child.help) or [""])[0]), room))
        for name, child in children.items()
    ]


def _table(heading: str, rows: list[tuple[str, str]], width: int) -> list[str]:
    """Returns a heading and its rows in two columns, the second wrapped."""
    if not rows:
        return []
    lines = ["", words().frame[heading]]
    column = min(max(columns(name) for name, _ in rows), _FIRST_COLUMN) + len(_INDENT)
    indent = _INDENT + " " * column
    for name, text in rows:
        start = _INDENT + name + " " * (column - columns(name))
        if columns(name) > column - len(_INDENT):
            lines.append(_INDENT + name)
            start = indent
        first, *rest = wrap(text, max(width - len(indent), 10)) or [""]
        lines += [(start + first).rstrip(), *(indent + line for line in rest)]
    return lines


def usage_error(error: Any) -> str:
    """Returns an error of usage in Chinese: the line of usage, where to find help, and what is wrong."""
    frame, context = words().frame, getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        return str(error.message)
    lines = []
    if context is not None:
        lines = _usage(context, context.make_formatter().width)
        if context.command.get_help_option(context) is not None:
            lines.append(f"{frame['try']}{context.command_path} {context.help_option_names[0]}")
        lines.append("")
    return "\n".join([*lines, f"{say('error', 'zh')}: {usage_message(error.format_message())}"])


def usage_message(text: str) -> str:
    """Returns what is wrong in Chinese, with names and values kept; the text itself where no wording fits."""
    for entry in words().usage:
        values = entry.values(text)
        if values is not None:
            named = dict(zip(entry.fields, values, strict=True))
            return "".join(before + (_value(named[name], what) if name else "") for before, name, what in entry.zh)
    return text


def _value(text: str, what: str) -> str:
    if what == "message":
        return usage_message(text)
    if what == "names":
        return _QUOTED.sub(_name, text).replace(", ", "、")
    return text


def _name(found: re.Match[str]) -> str:
    """Returns a quoted name in Chinese quotes; an option without any."""
    name = found[1] or found[2] or ""
    return name if name.startswith("-") else f"“{name}”"
