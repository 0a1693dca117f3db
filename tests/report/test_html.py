"""The HTML file: self-contained, safe, bilingual, and well formed whatever the texts."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from measured import choices, measurement, outcome_of
from measured_free import free_measurements
from test_loop import looped

from cvalues.report import ModelFacts, ReportInput
from cvalues.report.facts import Facts
from cvalues.report.html import render
from cvalues.report.words import Language, Words, phrases
from cvalues.schema import Estimate, Reply, Response, Run, SetRef, Table, Verdict
from cvalues.scoring.free import STATES
from cvalues.taxonomy import builtin

BOTH: tuple[Language, ...] = ("zh", "en")
DATA = Path(str(resources.files("cvalues").joinpath("data/report")))
VOID = {"meta", "input", "br", "link", "img", "hr"}


class Page(HTMLParser):
    """Elements, attributes and text of a page; fails on a tag that is closed out of order."""

    def __init__(self, markup: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.text: list[str] = []
        self.feed(markup)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append((dict(attrs), ""))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            attributes, text = self.scripts[-1]
            self.scripts[-1] = (attributes, text + data)
        else:
            self.text.append(data)


def page(data: ReportInput, languages: tuple[Language, ...] = BOTH) -> tuple[str, Page]:
    """The markup and its parse."""
    markup = render(Facts(data), languages)
    return markup, Page(markup)


def embedded(parsed: Page) -> dict[str, Any]:
    """The JSON of the page by element id."""
    return {str(a["id"]): json.loads(text) for a, text in parsed.scripts if a.get("type") == "application/json"}


def test_page_is_self_contained() -> None:
    """No element loads anything, every link stays inside the file, and the only address in it is a namespace or model spec."""
    _, parsed = page(measurement(40))
    for tag, attributes in parsed.elements:
        assert tag not in {"link", "img", "iframe", "object", "embed", "base", "video", "audio", "source"}
        assert "src" not in attributes
        assert "style" not in attributes
        assert (attributes.get("href") or "#").startswith("#")
        assert not [name for name in attributes if name.startswith("on")]
    css = (DATA / "report.css").read_text(encoding="utf-8")
    assert "url(" not in css
    assert "@import" not in css


def test_policy_allows_exactly_the_pages_own_script() -> None:
    """The policy stands before everything that it governs and holds the hash of the one script that runs."""
    markup, parsed = page(measurement(10))
    policies = [a["content"] for tag, a in parsed.elements if tag == "meta" and a.get("http-equiv")]
    running = [text for attributes, text in parsed.scripts if not attributes]
    assert len(policies) == len(running) == 1
    digest = base64.b64encode(hashlib.sha256(running[0].encode()).digest()).decode()
    assert policies[0] is not None
    assert policies[0].startswith("default-src 'none'; ")
    assert f"script-src 'sha256-{digest}';" in policies[0]
    assert "unsafe-eval" not in markup
    assert markup.index("Content-Security-Policy") < markup.index("<style")


def test_sources_use_no_raw_markup() -> None:
    """The template switches escaping off nowhere, and the script makes no markup from text."""
    template = "".join(path.read_text(encoding="utf-8") for path in sorted(DATA.glob("*.j2")))
    script = "".join(path.read_text(encoding="utf-8") for path in sorted(DATA.glob("*.js")))
    assert "|safe" not in template.replace(" ", "")
    assert "autoescape" not in template
    for word in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "Function(",
        "fetch(",
        "XMLHttp",
    ):
        assert word not in script


def test_both_languages_are_whole() -> None:
    """Each language has its own block with every section; ids are unique; the first language is the one shown."""
    markup, parsed = page(measurement(20))
    ids = [a["id"] for _, a in parsed.elements if "id" in a]
    assert len(ids) == len(set(ids))
    for language in BOTH:
        for name in (
            "limits",
            "leaderboard",
            "cross",
            "heat",
            "outcomes",
            "position",
            "hard",
            "differences",
            "bounds",
            "method",
        ):
            assert f"{language}-{name}" in ids
    shown = {a["data-block"] for _, a in parsed.elements if "data-block" in a and "hidden" not in a}
    assert shown == {"zh"}
    assert markup.startswith('<!doctype html>\n<html lang="zh-CN" data-lang="zh">')
    assert '<html lang="en" data-lang="en">' in page(measurement(4), ("en",))[0]


def test_links_of_contents_lead_somewhere() -> None:
    """Every link to a part of the page has its target, every labelled region its label."""
    _, parsed = page(measurement(20))
    ids = {a["id"] for _, a in parsed.elements if "id" in a}
    links = {(a.get("href") or "#")[1:] for tag, a in parsed.elements if tag == "a"}
    assert {link for link in links if "=" not in link} <= ids
    assert {a["aria-labelledby"] for _, a in parsed.elements if "aria-labelledby" in a} <= ids


def test_charts_have_titles_and_descriptions() -> None:
    """Every chart says in words what it shows."""
    markup, _ = page(measurement(20))
    charts = re.findall(r"<svg.*?</svg>", markup, re.S)
    assert len(charts) > 40
    assert all(re.search(r'role="img".*?><title>[^<]+</title><desc>[^<]+</desc>', chart) for chart in charts)


def test_numbers_of_the_leaderboard_are_in_the_text() -> None:
    """Accuracy and interval of every model and level stand as text, not only as a bar."""
    data = measurement(60)
    _, parsed = page(data)
    text = "".join(parsed.text)
    words = Words("zh", builtin())
    for row in Facts(data).board:
        for level in (1, 2):
            assert words.percent(row.acc(level).value) in text
            assert words.interval(row.acc(level)) in text


def demonstrated(data: ReportInput) -> ReportInput:
    """A measurement with comparison pairs and the verdict of a simulated annotator, as `cvalues demo` makes one."""
    table = Table(
        title="Pairs", columns=("model", "accuracy", "pairs", "note"), rows=(("rm", Estimate(value=0.9), 10, None),)
    )
    made_up = Verdict(criterion="safe", subject=("x",), rater="person:simulated-1", value="safe")
    free = msgspec.structs.replace(data.free, verdicts={**data.free.verdicts, "x": [made_up]})
    return msgspec.structs.replace(data, pairs={"zh": (table,), "en": (table,)}, free=free)


def test_pairs_and_simulated_annotators_are_shown() -> None:
    """The report shows the tables of comparison pairs in both formats, and says of simulated annotators that they are made up."""
    from cvalues.report.markdown import render as markdown

    facts = Facts(demonstrated(free_measurements()[0]))
    page, text = render(facts, BOTH), markdown(facts, Words("en", builtin()))
    for shown in (page, text):
        assert "Comparison pairs and reward models" in shown
        assert "90.0" in shown
        assert "person:simulated" in shown


def test_every_phrase_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """No phrase of the table is dead: each is said by the report of some measurement, or named by the script."""
    from cvalues.report.markdown import render as markdown

    used: set[str] = set()
    said = Words.__call__

    def noting(self: Words, key: str, /, **gaps: object) -> str:
        used.add(key)
        return said(self, key, **gaps)

    monkeypatch.setattr(Words, "__call__", noting)
    full = measurement(270)
    odd = [
        msgspec.structs.replace(o, language="en", level=2, rule="judge:x", collection=None, category="x", tags={}) for o in full.outcomes
    ]  # fmt: skip
    runs = tuple(
        msgspec.structs.replace(full.runs[0], state=state, models=("silent",)) for state in ("running", "stopped", "failed", "done")
    )  # fmt: skip
    measurements = [
        full,
        measurement(60, {f"m{number}": 0.9 - number / 9 for number in range(8)}),
        measurement(30, {"good": 0.99, "bad": 0.4}, set_name="cvalues-responsibility-mc"),
        measurement(18 * 2),
        measurement(20, {"only": 0.9}, templates={}),
        measurement(9),
        measurement(13 * 9, {"first": 1.0}),
        msgspec.structs.replace(full, outcomes=[o for o in odd if o.order == "12"], runs=runs),
        msgspec.structs.replace(full, outcomes=[msgspec.structs.replace(o, outcome="1") for o in full.outcomes]),
        msgspec.structs.replace(full, outcomes=[msgspec.structs.replace(o, outcome="2") for o in full.outcomes]),
        msgspec.structs.replace(full, outcomes=[msgspec.structs.replace(o, outcome=None) for o in full.outcomes]),
        msgspec.structs.replace(
            full, outcomes=[msgspec.structs.replace(o, level=1 if o.outcome else 2) for o in full.outcomes]
        ),
        msgspec.structs.replace(
            full, outcomes=[o for o in full.outcomes if o.category != "law" or int(o.pair[-5:]) < 140]
        ),
        msgspec.structs.replace(full, outcomes=[o for o in full.outcomes if o.category == "law"]),
        ReportInput(taxonomy=builtin()),
        *free_measurements(),
        demonstrated(free_measurements()[0]),
        looped(),
    ]
    for data in measurements:
        facts = Facts(data)
        render(facts, BOTH)
        markdown(facts, Words("en", builtin()))
    script = (DATA / "report.js").read_text(encoding="utf-8") + (DATA / "free.js").read_text(encoding="utf-8")
    in_script = {key for key in phrases() if f'"{key}"' in script}
    in_script |= {key for key in phrases() if key.startswith("js_free.") and f'"{key.partition(".")[2]}"' in script}
    dynamic = {"js.grade_unsafe", "js.grade_safe", "js.grade_responsible", "js.easy", "js.hard", "outcome.open"}
    dynamic |= {"js_free.case_errs1", "js_free.case_errs2", *(f"js_free.{state}" for state in STATES)}
    dead = set(phrases()) - used - in_script - dynamic
    assert not dead, " ".join(sorted(dead))


TEXTS = st.text(max_size=40) | st.sampled_from([
    "</script><script>alert(1)</script>", "<!--<script>", "<img src=x onerror=alert(1)>", "{{ 7*7 }}", "\u202eevil", "]]>", "&amp;",
    "\u2028\u2029", "\x00\ud800", "</style>", '" onmouseover="alert(1)', "\r\n",
])  # fmt: skip


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(TEXTS, TEXTS, TEXTS, TEXTS, TEXTS)
def test_any_texts_give_a_well_formed_page(model: str, question: str, reply: str, answer: str, name: str) -> None:
    """Whatever stands in names, items, answers and settings, the page is well formed and its JSON holds the texts."""
    items = {
        ident: msgspec.structs.replace(
            choice,
            question=question,
            replies=(Reply(text=reply), Reply(text=reply + "2")),
            pair_id=name,
            category=name or "x",
        )
        for ident, choice in choices(1).items()
    }
    outcomes = [outcome_of(item, model, "1", "r", name) for item in items.values()]
    outcomes.append(msgspec.structs.replace(outcomes[0], model=model + "2", outcome=None, rule=name, response=""))
    run = Run(
        name=name, sets=(SetRef(name=name, hash=name, items=2),), models=(model,), settings={name: reply}, start=name
    )
    data = ReportInput(
        runs=(run,), outcomes=outcomes, items=items, failures={(model + "2", outcomes[0].choice): answer}, taxonomy=builtin(),
        responses={"r": Response(id="r", origin="request:r", text=answer, reasoning=reply)}, evidence={"r": answer[:5]},
        models={model: ModelFacts(spec=name, revision=reply, served=(answer,))}, templates={name: question},
    )  # fmt: skip
    markup, parsed = page(data, ("zh",))
    assert len([1 for attributes, _ in parsed.scripts if not attributes]) == 1
    assert markup.count("<script") == len(parsed.scripts)
    assert "\u202e" not in "".join(parsed.text)
    stored = embedded(parsed)
    clean = str.maketrans({"\x00": "\ufffd"})

    def kept(text: str) -> str:
        return re.sub("[\ud800-\udfff]", "\ufffd", text).translate(clean)

    entry = stored["data-texts-0"][0]
    assert entry["q"] == kept(question)
    assert entry["a"][0] == [kept(reply), ""]
    assert kept(answer) in entry["t"]
    assert stored["data-index"]["models"] == [kept(model), kept(model + "2")]


def luminance(colour: str) -> float:
    """Relative luminance of `#rrggbb` (WCAG 2.2)."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, two: str) -> float:
    """Contrast ratio of two colours (WCAG 2.2), from 1 to 21."""
    light, dark = sorted((luminance(one), luminance(two)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def palettes() -> list[dict[str, str]]:
    """The colours of the light and the dark page."""
    css = (DATA / "report.css").read_text(encoding="utf-8")
    light, dark = re.findall(r":root \{(.*?)\n *\}", css, re.S)[:2]
    first = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", light))
    return [first, first | dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", dark))]


@pytest.mark.parametrize("colours", palettes(), ids=["light", "dark"])
def test_text_contrast(colours: dict[str, str]) -> None:
    """All text meets WCAG AA (4.5 : 1) on its ground, in light and dark."""
    pairs = [(ink, ground) for ink in ("ink", "quiet", "link", "good", "bad") for ground in ("paper", "wash")]
    pairs += [("warn", "warn-wash"), ("ink", "mark"), ("paper", "ink")] + [(f"h{n}-ink", f"h{n}") for n in range(8)]
    weak = {pair: round(contrast(colours[pair[0]], colours[pair[1]]), 2) for pair in pairs}
    assert {pair: ratio for pair, ratio in weak.items() if ratio < 4.5} == {}


@pytest.mark.parametrize("colours", palettes(), ids=["light", "dark"])
def test_graphics_contrast(colours: dict[str, str]) -> None:
    """Marks that carry meaning stand out at 3 : 1 from the page, and neighbouring outcome colours differ in lightness."""
    for mark in ("whisker", "accent", "warn", "quiet", "o-1", "o-failed"):
        assert contrast(colours[mark], colours["paper"]) >= 3
    assert contrast(colours["o-1"], colours["o-2"]) >= 1.9
    blues = [luminance(colours[f"h{n}"]) for n in range(2, 8)]
    assert blues == sorted(blues) or blues == sorted(blues, reverse=True)
