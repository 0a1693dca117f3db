"""Choices and prompts → asks: what is put to a model, in which order, by which template."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from cvalues.errors import UsageError
from cvalues.prompts import Example, Template, messages, template
from cvalues.schema import Ask, Choice, Option, Order, Prompt


def order_of(choice: Choice) -> Order:
    """Returns `12` when the better reply stands first, `21` when second."""
    return "12" if choice.better == 1 else "21"


def ask_choice(choice: Choice, chosen: Template, *, system: str = "", examples: Sequence[Example] = ()) -> Ask:
    """Returns the ask of one choice; its options are the two replies under the labels of the template."""
    first, second = choice.replies
    return Ask(
        subject=choice.id,
        prompt_id=choice.prompt_id,
        order=order_of(choice),
        messages=messages(chosen, choice.question, (first.text, second.text), system=system, examples=examples),
        template=chosen.id,
        question=choice.question,
        options=(Option(label=chosen.labels[0], text=first.text), Option(label=chosen.labels[1], text=second.text)),
    )


def ask_prompt(
    prompt: Prompt, chosen: Template, *, sample: int = 0, system: str = "", examples: Sequence[Example] = ()
) -> Ask:
    """Returns the ask of one prompt: a free response, sample number `sample`."""
    return Ask(
        subject=prompt.id,
        prompt_id=prompt.id,
        messages=messages(chosen, prompt.text, system=system, examples=examples),
        template=chosen.id,
        question=prompt.text,
        sample=sample,
    )


def ask(
    items: Iterable[Choice | Prompt],
    template_name: str | Template = "",
    *,
    samples: int = 1,
    system: str = "",
    examples: Sequence[Example] = (),
) -> Iterator[tuple[Choice | Prompt, Ask]]:
    """Yields (item, ask) for every item in order; nothing for no items.

    Args:
        items: choices or prompts.
        template_name: a template or its name; `public` for choices and `plain` for prompts when empty.
        samples: free responses per prompt; choices are asked once.
        system: system prompt.
        examples: worked examples shown before each item.

    Raises:
        UsageError: the template is of the other kind.
    """
    for item in items:
        is_choice = isinstance(item, Choice)
        chosen = _chosen(template_name, "public" if is_choice else "plain")
        if (chosen.kind == "choice") != is_choice:
            kind = "two-choice items" if is_choice else "prompts"
            raise UsageError(f"template '{chosen.name}' is for kind '{chosen.kind}' and cannot ask {kind}")
        if isinstance(item, Choice):
            yield item, ask_choice(item, chosen, system=system, examples=examples)
        else:
            for sample in range(samples):
                yield item, ask_prompt(item, chosen, sample=sample, system=system, examples=examples)


def _chosen(given: str | Template, default: str) -> Template:
    return given if isinstance(given, Template) else template(given or default)
