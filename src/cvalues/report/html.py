"""The report as one HTML file that asks nothing of the network and runs no script but its own."""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Sequence
from importlib import metadata, resources

import jinja2
from markupsafe import Markup

from cvalues.records import canonical
from cvalues.report import free_sentences, sentences
from cvalues.report.draw import Draw
from cvalues.report.facts import Facts
from cvalues.report.free_items import reader
from cvalues.report.items import browser, embed
from cvalues.report.markdown import free_parts
from cvalues.report.words import Language, Words, phrases, visible

__all__ = ["SECTIONS", "policy", "render"]

SECTIONS = (
    "limits", "leaderboard", "cross", "heat", "outcomes", "position", "hard", "differences", "bounds", "items", "method"
)  # fmt: skip
"""Parts of the report of two-choice items in their order."""
_FREE_AFTER = "bounds"

_SETTING = 400


def render(facts: Facts, languages: Sequence[Language]) -> str:
    """Returns the page with all `languages` inside, the first one shown.

    Every text of a model, set or run is escaped by the template, or stands as JSON that cannot end its script element and is
    shown by `textContent`.
    """
    words = {language: Words(language, facts.data.taxonomy) for language in languages}
    script = _asset("report.js") + (_asset("free.js") if facts.free else "")
    parts = {language: free_parts(facts, words[language]) for language in languages}
    keys = section_keys(facts, [part.name for part in parts[languages[0]]])
    template = _environment().get_template("report.html.j2")
    return template.render(
        facts=facts,
        words=words,
        first=languages[0],
        sections=tuple(keys),
        keys=keys,
        parts=parts,
        choices=shows_choices(facts),
        tell=sentences,
        done=free_sentences,
        reader=reader(facts) if facts.free else None,
        draw=Draw(facts),
        browser=browser(facts.data),
        policy=policy(script),
        script=Markup(script),  # noqa: S704 - our own file
        css=Markup(_asset("report.css")),  # noqa: S704 - our own file
        script_words=embed(_script_words(facts, words)),
        version=metadata.version("cvalues"),
    ).lstrip()


def shows_choices(facts: Facts) -> bool:
    """Returns whether the report has the parts on two-choice items: it has, unless free responses alone were asked."""
    return bool(facts.outcomes) or not facts.free


def section_keys(facts: Facts, parts: Sequence[str]) -> dict[str, str]:
    """Returns the sections of the report in their order, each with the key of its title."""
    found: dict[str, str] = {}
    for name in SECTIONS:
        if shows_choices(facts) or name in {"limits", "method"}:
            found[name] = f"section.{name}"
        if name == _FREE_AFTER:
            found |= {part: f"part.{part}" for part in parts}
        if name == "items" and facts.free:
            found["responses"] = "part.responses"
    return found


def policy(script: str) -> str:
    """Returns the Content-Security-Policy that lets only this very script run and nothing be fetched."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _asset(name: str) -> str:
    return resources.files("cvalues").joinpath("data/report", name).read_text(encoding="utf-8")


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_asset),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["visible"] = visible
    environment.filters["setting"] = _setting
    return environment


def _setting(value: object) -> str:
    """A setting in one line: text as it is, anything else as JSON; what is very long is cut."""
    text = value if isinstance(value, str) else canonical(value).decode()
    text = visible(text)
    return text if len(text) <= _SETTING else f"{text[:_SETTING]}… ({len(text)})"


def _script_words(facts: Facts, words: dict[Language, Words]) -> dict[str, dict[Language, str]]:
    """The phrases that the script uses, in the languages of the page."""
    sections = ("js.", "outcome.", *(("js_free.", "measure.") if facts.free else ()))
    single = {"page.level1", "page.level2", "section.items", *(("part.responses",) if facts.free else ())}
    found = {
        key: {language: entry[language] for language in words}
        for key, entry in phrases().items()
        if key.startswith(sections) or key in single
    }
    titles: dict[Language, str] = {language: free_sentences.title(facts, w) for language, w in words.items()}
    return found | {"title": titles}
