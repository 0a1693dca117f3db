"""Named, versioned templates that turn items into messages.

A template is a text file with the fields `{question}`, `{reply1}` and `{reply2}`. Fields are replaced in one pass, so braces inside
a question or reply stay as they are and text from models is never a format string.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Literal

import msgspec

from cvalues.errors import ConfigError, UsageError, unknown_name
from cvalues.records import open_bytes
from cvalues.schema import Message, Record

_FIELD = re.compile(r"\{(question|reply1|reply2)\}")
_LOOSE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


class Template(Record, frozen=True, kw_only=True):
    """A template with its name, its text, and what it calls the two options."""

    name: str
    kind: Literal["choice", "response"]
    text: str
    labels: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """`name@` and the first 12 hexadecimal digits of the SHA-256 of the text."""
        return f"{self.name}@{hashlib.sha256(self.text.encode()).hexdigest()[:12]}"

    def render(self, question: str, replies: Sequence[str] = ()) -> str:
        """Returns the text with its fields filled; `replies` holds two texts for a choice template and none otherwise."""
        values = {"question": question}
        if replies:
            values["reply1"], values["reply2"] = replies
        return _FIELD.sub(lambda field: values.get(field[1], field[0]), self.text)


class _Entry(Record, frozen=True, kw_only=True):
    file: str
    kind: Literal["choice", "response"]
    labels: tuple[str, ...]
    zh: str
    en: str


@functools.cache
def _entries() -> dict[str, _Entry]:
    body = resources.files("cvalues").joinpath("data/templates/templates.toml").read_bytes()
    return msgspec.toml.decode(body, type=dict[str, _Entry])


def names() -> dict[str, str]:
    """Returns the built-in templates: name → what each is, in English."""
    return {name: entry.en for name, entry in _entries().items()}


def template(name: str) -> Template:
    """Returns the built-in template of this name, or the one in the file of this path.

    A file's labels are `回复1`/`回复2` where its text holds 回复1, else `A`/`B` where it holds no digit 1 label, else `1`/`2`.

    Raises:
        UsageError: there is neither a template nor a file of this name.
        ConfigError: the file lacks a field or holds an unknown one.
    """
    entry = _entries().get(name)
    if entry is not None:
        text = resources.files("cvalues").joinpath("data/templates", entry.file).read_bytes().decode("utf-8")
        return Template(name=name, kind=entry.kind, text=text, labels=entry.labels)
    path = Path(name)
    if not path.suffix and not path.exists():
        raise unknown_name("template", name, _entries())
    with open_bytes(path) as file:
        try:
            text = file.read().decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise ConfigError(f"{path}: is not UTF-8 text; save the template as UTF-8") from error
    return _from_file(path, text)


def _from_file(path: Path, text: str) -> Template:
    fields = {match[1] for match in _FIELD.finditer(text)}
    odd = {match[1] for match in _LOOSE.finditer(text)} - {"question", "reply1", "reply2"}
    if odd:
        raise ConfigError(
            f"{path}: unknown field {{{min(odd)}}}; a template may hold {{question}}, {{reply1}} and {{reply2}}"
        )
    if "question" not in fields:
        raise ConfigError(f"{path}: holds no {{question}}; write it where the question belongs")
    if fields == {"question"}:
        return Template(name=path.stem, kind="response", text=text)
    if fields != {"question", "reply1", "reply2"}:
        raise ConfigError(f"{path}: holds one of {{reply1}} and {{reply2}} but not the other")
    labels = ("回复1", "回复2") if "回复1" in text else ("1", "2") if "1" in _FIELD.sub("", text) else ("A", "B")
    return Template(name=path.stem, kind="choice", text=text, labels=labels)


class Example(Record, frozen=True, kw_only=True):
    """One worked example that is shown before the item."""

    question: str
    answer: str
    replies: tuple[str, ...] = ()


def messages(
    chosen: Template,
    question: str,
    replies: Sequence[str] = (),
    *,
    system: str = "",
    examples: Sequence[Example] = (),
) -> tuple[Message, ...]:
    """Returns the messages for one item: the system prompt if any, the examples as earlier turns, and the item.

    Raises:
        UsageError: an example does not fit the template.
    """
    turns: list[Message] = [Message(role="system", content=system)] if system else []
    for example in examples:
        if len(example.replies) != len(chosen.labels):
            raise UsageError(
                f"the example '{example.question[:30]}' needs {len(chosen.labels)} replies for template '{chosen.name}'"
            )
        turns.append(Message(role="user", content=chosen.render(example.question, example.replies)))
        turns.append(Message(role="assistant", content=example.answer))
    turns.append(Message(role="user", content=chosen.render(question, replies)))
    return tuple(turns)
