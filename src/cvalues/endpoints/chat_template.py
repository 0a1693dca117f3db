"""A tokenizer's chat template → the prompt text of messages, in a sandbox and on a given day.

The template is code that came with weights, so it runs in Jinja's sandbox. It gets the names that chat templates rely on (messages,
`add_generation_prompt`, the tokenizer's special tokens, `raise_exception`, `tojson`, `strftime_now`); the day is given, so that the same
messages make the same prompt tomorrow.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, NoReturn

import jinja2
import jinja2.ext
import jinja2.nodes
import jinja2.parser
import jinja2.sandbox

from cvalues.errors import CallError
from cvalues.schema import Message

_DETAIL = 200


class _Generation(jinja2.ext.Extension):
    """`{% generation %}…{% endgeneration %}` marks what a trainer learns from; here it is its content."""

    tags = {"generation"}

    def parse(self, parser: jinja2.parser.Parser) -> list[jinja2.nodes.Node]:
        """Returns the nodes between the tags."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _refuse(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)


def _tojson(value: Any, indent: int | None = None, **_more: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)


@functools.lru_cache(maxsize=16)
def _compiled(text: str) -> jinja2.Template:
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, jinja2.ext.loopcontrols]
    )
    environment.filters["tojson"] = _tojson
    environment.globals["raise_exception"] = _refuse
    return environment.from_string(text)


def render(
    template: str, messages: Sequence[Message], *, tokens: Mapping[str, str], day: date, options: Mapping[str, Any]
) -> str:
    """Returns the prompt text of messages, up to the mark that opens the model's turn.

    Args:
        template: Jinja text of the chat template.
        messages: the conversation.
        tokens: special tokens by their names, for example `bos_token`.
        day: what `strftime_now` is given.
        options: further names, for example `enable_thinking`.

    Raises:
        CallError: `rejected` when the template is not valid, or refuses the messages.
    """
    turns = [{"role": message.role, "content": message.content} for message in messages]
    known = {**tokens, **options, "messages": turns, "add_generation_prompt": True, "strftime_now": day.strftime}
    try:
        return _compiled(template).render(known)
    except (jinja2.TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
        reason = " ".join(str(error).split())[:_DETAIL]
        raise CallError("rejected", f"the chat template refuses these messages ({reason})", transient=False) from error
