"""Help and usage errors in the language of the user: where the command line meets `cli/help_text.py`.

Nothing of it is read before a page of help or an error is to be shown, so commands start as fast as without it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperGroup

from cvalues.cli.options import LangOption
from cvalues.cli.show import language_of

# Some versions of typer carry a click of their own, others use the package; the class of all errors of usage is found
# through what typer exports in both.
_UsageErrors: type[Exception] = next(
    base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException" and issubclass(base, Exception)
)


class ChineseContext(typer.Context):
    """A context whose page of help is Chinese."""

    def get_help(self) -> str:
        """Returns the page of help."""
        from cvalues.cli.help_text import help_page

        return help_page(self)


class Group(TyperGroup):
    """The root of the command line: says help and usage errors in Chinese when Chinese is the language."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Runs the command line; without `standalone_mode` exceptions are left to the caller."""
        chinese = language_of(sys.argv[1:] if args is None else args) == "zh"
        if chinese:
            speak_chinese(self)
        if not chinese or not standalone_mode:
            return super().main(args, prog_name, complete_var, standalone_mode, windows_expand_args, **extra)
        try:
            code = super().main(args, prog_name, complete_var, False, windows_expand_args, **extra)
        except _UsageErrors as error:
            from cvalues.cli.help_text import usage_error

            typer.echo(usage_error(error), err=True)
            sys.exit(getattr(error, "exit_code", 2))
        except typer.Abort:
            from cvalues.cli.help_text import words

            typer.echo(words().frame["aborted"], err=True)
            sys.exit(1)
        sys.exit(code if isinstance(code, int) else 0)


def speak_chinese(command: Any) -> None:
    """Gives a command and those below it the Chinese context."""
    command.context_class = ChineseContext
    for child in getattr(command, "commands", {}).values():
        speak_chinese(child)


def hand_down(context: typer.Context, lang: LangOption = "") -> None:
    """Makes the `--lang` of a group the default of every command below it: `cvalues --lang zh run …`."""
    if lang:
        names = getattr(context.command, "commands", {})
        context.default_map = {name: {"lang": lang} for name in names}
