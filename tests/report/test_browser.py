"""The page in a real browser: nothing hostile runs, filters and search work, both languages are whole, it opens fast."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from measured import choices, measurement, outcome_of

from browser import Browser, browser
from cvalues.report import ReportInput, write
from cvalues.schema import Reply, Response
from cvalues.taxonomy import builtin

pytestmark = pytest.mark.browser

HOSTILE = (
    "</script><script>window.hit = 1</script><img src=x onerror='window.hit = 2'><svg onload='window.hit = 3'>"
    "<a href='javascript:window.hit=4'>x</a><iframe srcdoc='<script>parent.hit=5</script>'></iframe>\u202egnp.exe\u2028{{7*7}}${8*8}"
)
SENTINEL = "绝对不会出现的句子"


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser for the module."""
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        opened.size(1280, 1000)
        yield opened


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ReportInput]:
    """A report of 60 pairs and four models."""
    data = measurement(60)
    return write(tmp_path_factory.mktemp("report"), data), data


def cards(window: Browser) -> list[str]:
    """The ids of the pairs shown, in order."""
    found: list[str] = window.run(
        "return [...document.querySelectorAll('.item .facts a')].map(link => link.textContent)"
    )
    return found


def choose(window: Browser, **filters: str) -> None:
    """Sets filters as a user does and waits for the list."""
    for name, value in filters.items():
        window.run(
            "const field = document.getElementById('filter-' + arguments[0]); field.value = arguments[1];"
            "field.dispatchEvent(new Event(field.tagName === 'SELECT' ? 'change' : 'input', {bubbles: true}));",
            name, value,
        )  # fmt: skip
    if "q" in filters:
        window.run("window.asked = performance.now()")
        window.until(
            "return performance.now() - window.asked > 260 && !/搜索|Searching/.test(document.getElementById('item-count').textContent)"
        )


def total(window: Browser) -> int:
    """The number of pairs that fit, as the page says it."""
    text = window.run("return document.getElementById('item-count').textContent")
    found = re.search(r"(?:共|of) ([\d,]+)", text)
    return int(found[1].replace(",", "")) if found else 0


def test_opens_without_any_complaint(window: Browser, report: tuple[Path, ReportInput]) -> None:
    """The page loads, draws its list, and the console has no error and no violation of the policy."""
    window.log()
    window.open(report[0])
    assert window.run("return document.documentElement.dataset.ready") == "yes"
    assert len(cards(window)) == 20
    assert total(window) == 60
    assert window.log() == []


def test_policy_stops_other_scripts_and_requests(
    window: Browser, report: tuple[Path, ReportInput], tmp_path: Path
) -> None:
    """A script, a handler, an image and a request slipped into the file are refused by the page's own policy."""
    slipped = "<script>window.hit = 1</script><img src='http://127.0.0.1:9/x' onerror='window.hit = 2'><link rel=stylesheet href='x.css'>"
    path = tmp_path / "changed.html"
    path.write_text(report[0].read_text(encoding="utf-8").replace("</main>", slipped + "</main>"), encoding="utf-8")
    window.log()
    window.open(path)
    assert window.run("return window.hit === undefined && document.documentElement.dataset.ready === 'yes'")
    told = "\n".join(window.log())
    for directive in ("script-src", "img-src", "style-src"):
        assert directive in told


def test_hostile_texts_run_nothing(window: Browser, tmp_path: Path) -> None:
    """Scripts, handlers and frames in every text stay text; a direction override is written out; template signs are not evaluated."""
    items = {
        ident: msgspec.structs.replace(
            choice, question=HOSTILE, replies=(Reply(text=HOSTILE), Reply(text=HOSTILE + SENTINEL))
        )
        for ident, choice in choices(2).items()
    }
    outcomes = [outcome_of(item, HOSTILE, "1", "r", HOSTILE) for item in items.values()]
    outcomes.append(msgspec.structs.replace(outcomes[0], model="b" + HOSTILE, outcome=None, rule=HOSTILE))
    data = ReportInput(
        outcomes=outcomes, items=items, responses={"r": Response(id="r", origin="x", text=HOSTILE, reasoning=HOSTILE)},
        failures={("b" + HOSTILE, outcomes[0].choice): HOSTILE}, evidence={"r": HOSTILE[:20]}, templates={HOSTILE: HOSTILE},
        taxonomy=builtin(),
    )  # fmt: skip
    path = write(tmp_path, data)
    for fragment in ("", "item=" + HOSTILE.replace("#", ""), "q=%3Cscript%3E&model=" + HOSTILE[:9], "item=%E0%A4%A"):
        window.log()
        window.open(path, fragment)
        window.run(
            "document.getElementById('unfold').click(); document.querySelectorAll('details').forEach(each => { each.open = true; })"
        )
        window.until(
            "return document.querySelectorAll('.answer').length > 0 || document.querySelectorAll('.item').length === 0"
        )
        assert window.run("return window.hit") is None
        assert (
            window.run(
                "return document.querySelectorAll('main img, main iframe, main script, main a[href^=javascript]').length"
            )
            == 0
        )
        assert "\u202e" not in window.run("return document.querySelector('main').textContent")
        assert window.log() == []
    window.open(path)
    assert "U+202E" in window.run("return document.querySelector('.question').textContent")
    assert "{{7*7}}" in window.run("return document.querySelector('.question').textContent")


def test_harmful_reply_is_folded(window: Browser, tmp_path: Path) -> None:
    """An unsafe reply, and a worse one without grade, is not in the page until its button is pressed; a safe one is there."""
    items = {
        ident: msgspec.structs.replace(
            choice,
            replies=tuple(
                Reply(text=reply.text + SENTINEL if number + 1 != choice.better else reply.text, grade="unsafe" if ":su" in ident else None)
                for number, reply in enumerate(choice.replies)
            ),
        )
        for ident, choice in choices(2).items()
    }  # fmt: skip
    outcomes = [outcome_of(item, "m", "1", "", "s") for item in items.values()]
    window.open(write(tmp_path, ReportInput(outcomes=outcomes, items=items, taxonomy=builtin())))
    shown = "return document.getElementById('item-list').textContent.split(arguments[0]).length - 1"
    assert window.run(shown, SENTINEL) == 0
    assert window.run("return document.querySelectorAll('.fold[aria-expanded=false]').length") == 2
    window.run("document.querySelector('.fold').click()")
    assert window.run(shown, SENTINEL) == 1
    assert window.run("return document.activeElement.getAttribute('aria-expanded')") == "true"
    window.run("document.querySelector('.fold').click()")
    assert window.run(shown, SENTINEL) == 0
    window.run("document.getElementById('unfold').click()")
    assert window.run(shown, SENTINEL) == 2


def test_filters_agree_with_the_data(window: Browser, report: tuple[Path, ReportInput]) -> None:
    """Each filter, and two together, show exactly the pairs that the outcomes call for."""
    path, data = report
    window.open(path)

    def pairs(*wanted: Any) -> int:
        return len({each.pair for each in data.outcomes if all(test(each) for test in wanted)})

    choose(window, category="law")
    assert total(window) == pairs(lambda o: o.category == "law")
    choose(window, model="tiny-chat", right="wrong")
    wrong = lambda o: o.model == "tiny-chat" and o.outcome is not None and not o.correct  # noqa: E731
    assert total(window) == pairs(wrong, lambda o: o.category == "law")
    choose(window, category="")
    assert total(window) == pairs(wrong)
    choose(window, right="", outcome="refused")
    assert total(window) == pairs(lambda o: o.model == "tiny-chat" and o.outcome == "refused")
    choose(window, outcome="failed", model="")
    assert total(window) == pairs(lambda o: o.outcome is None)
    choose(window, outcome="", level="1", difficulty="easy")
    assert total(window) == pairs(lambda o: o.level == 1 and o.difficulty == "easy")
    window.run("document.getElementById('reset').click()")
    assert total(window) == 60


def test_consistency_filter_agrees_with_the_data(window: Browser, report: tuple[Path, ReportInput]) -> None:
    """Pairs are consistent when both orders name the same reply, inconsistent when not; unread orders are neither."""
    path, data = report
    readings: dict[str, list[bool]] = {}
    for each in data.outcomes:
        if each.model == "tiny-chat" and each.outcome in {"1", "2"}:
            readings.setdefault(each.pair, []).append(each.correct)
    both = [named for named in readings.values() if len(named) == 2]
    window.open(path)
    choose(window, model="tiny-chat", same="consistent")
    assert total(window) == sum(one == two for one, two in both)
    choose(window, same="inconsistent")
    assert total(window) == sum(one != two for one, two in both)


def test_search_finds_texts_and_ids(window: Browser, report: tuple[Path, ReportInput]) -> None:
    """A word of a question, a reply, an answer or an id finds its pair; words are combined; nonsense finds nothing."""
    path, _ = report
    window.open(path)
    choose(window, q="第17个问题")
    assert [card[-5:] for card in cards(window)] == ["00017"]
    choose(window, q="较差的回复 第17题")
    assert [card[-5:] for card in cards(window)] == ["00017"]
    choose(window, q="LAW-000")
    assert {card.split("/")[1][:4] for card in cards(window)} == {"law-"}
    choose(window, q=SENTINEL)
    assert cards(window) == []
    assert "没有" in window.run("return document.getElementById('item-count').textContent")


def test_filters_live_in_the_address(window: Browser, report: tuple[Path, ReportInput]) -> None:
    """A filter writes itself into the address, and opening that address shows the same pairs."""
    path, _ = report
    window.open(path)
    choose(window, category="law", right="wrong", model="tiny-chat")
    before, fragment = cards(window), window.run("return location.hash.slice(1)")
    assert before
    window.open(path, fragment)
    assert cards(window) == before
    assert window.run("return document.getElementById('filter-category').value") == "law"


def test_permalink_shows_its_pair(window: Browser, report: tuple[Path, ReportInput]) -> None:
    """#item= with a pair's or a choice's id turns to the right page and focuses the pair; an unknown id says so."""
    path, data = report
    pair = list(data.items.values())[2 * 47].pair_id
    for ident in (pair, pair + ":21"):
        window.open(path, "item=" + ident.replace("/", "%2F"))
        assert window.run("return document.activeElement.querySelector('.facts a').textContent") == pair
        assert window.run(
            "const top = document.activeElement.getBoundingClientRect().top; return top >= 0 && top < innerHeight"
        )
    window.open(path, "item=nowhere")
    assert "nowhere" in window.run("return document.getElementById('item-count').textContent")


def test_pages_turn(window: Browser, report: tuple[Path, ReportInput]) -> None:
    """Sixty pairs stand on three pages of twenty; the ends cannot be passed."""
    window.open(report[0])
    first = cards(window)
    assert window.run("return document.getElementById('previous').disabled")
    for _ in range(2):
        window.run("document.getElementById('next').click()")
    assert window.run("return document.getElementById('next').disabled")
    assert len(cards(window)) == 20
    assert not set(first) & set(cards(window))


def test_language_switch(window: Browser, report: tuple[Path, ReportInput]) -> None:
    """English shows no Chinese but the data's, keeps filters, and changes the page's language and title; Chinese comes back."""
    window.open(report[0])
    choose(window, category="law")
    before = cards(window)
    window.run("document.querySelector('[data-speak=en]').click()")
    parts = "[data-block=en], #item-form, #items-title, #warning, #item-count, .facts, .decisions th, .fold"
    visible = window.run(
        "return [...document.querySelectorAll(arguments[0])].map(each => each.innerText).join('\\n')", parts
    )
    assert re.findall("[一-鿿]+", visible.replace("下面给你一个问题两个回复", "").replace("回复", "")) == []
    assert cards(window) == before
    assert window.run("return [document.documentElement.lang, document.title]") == [
        "en",
        "Two-choice values report · CValues",
    ]
    assert window.run(
        "return document.querySelector('[data-block=zh]').hidden && !document.querySelector('[data-block=en]').hidden"
    )
    window.run("document.querySelector('[data-speak=zh]').click()")
    assert window.run("return document.documentElement.lang") == "zh-CN"
    assert window.run("return document.querySelector('[data-speak=zh]').getAttribute('aria-pressed')") == "true"


def test_keyboard_reaches_everything(window: Browser, report: tuple[Path, ReportInput]) -> None:
    """Tab goes from the skip link through the language switch and the contents; typing in the search box filters."""
    window.open(report[0])
    window.type("body", "\ue004")
    assert window.run("return document.activeElement.className") == "skip"
    names = []
    for _ in range(4):
        window.type(":focus", "\ue004")
        names.append(
            window.run("return document.activeElement.dataset.speak || document.activeElement.getAttribute('href')")
        )
    assert names == ["zh", "en", "#zh-limits", "#zh-leaderboard"]
    window.type("#filter-q", "第17个问题")
    window.until("return document.querySelectorAll('.item').length === 1")


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_no_sideways_scrolling(window: Browser, report: tuple[Path, ReportInput], width: int) -> None:
    """On a phone, a tablet and a desk the page itself never scrolls sideways, in either language."""
    window.size(width, 800)
    try:
        window.open(report[0])
        for language in ("zh", "en"):
            window.run("document.querySelector('[data-speak=' + arguments[0] + ']').click()", language)
            window.run("document.querySelectorAll('details').forEach(each => { each.open = true; })")
            assert window.run("return document.documentElement.scrollWidth") <= width
    finally:
        window.size(1280, 1000)


@pytest.mark.parametrize("models", [4, 9])
def test_paper(window: Browser, tmp_path: Path, models: int) -> None:
    """On A4 no table is wider than the page, the items are left out, a dark screen prints light, and a PDF comes out."""
    names = {f"model-number-{number}-instruct": 0.95 - number / 20 for number in range(models)}
    window.open(write(tmp_path, measurement(40, names)))
    window.size(703, 1000)  # A4 less the margins at 96 dpi
    dark = [{"name": "prefers-color-scheme", "value": "dark"}]
    window.command("Emulation.setEmulatedMedia", media="print", features=dark)
    try:
        wide = "return [...document.querySelectorAll('table')].filter(each => each.getBoundingClientRect().right > 704).length"
        assert window.run(wide) == 0
        assert window.run("return document.getElementById('item-list').offsetHeight") == 0
        assert window.run("return getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        printed = window.command("Page.printToPDF", printBackground=True, preferCSSPageSize=True)["data"]
        assert base64.b64decode(printed).startswith(b"%PDF")
    finally:
        window.command("Emulation.setEmulatedMedia", media="", features=[])
        window.size(1280, 1000)


def test_dark_mode_follows_the_system(window: Browser, report: tuple[Path, ReportInput]) -> None:
    """With a dark system the page's ground is dark and its text light."""
    window.command("Emulation.setEmulatedMedia", media="", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    try:
        window.open(report[0])
        ground, ink = window.run(
            "const style = getComputedStyle(document.body); return [style.backgroundColor, style.color]"
        )
        assert sum(json.loads(re.sub(r"rgb\((.*)\)", r"[\1]", ground))) < 120
        assert sum(json.loads(re.sub(r"rgb\((.*)\)", r"[\1]", ink))) > 600
    finally:
        window.command("Emulation.setEmulatedMedia", media="", features=[])


def test_huge_answer_is_folded_and_cut(window: Browser, tmp_path: Path) -> None:
    """An answer of ten million characters is shown as head and tail with its true length, and the page stays small."""
    data = measurement(1, {"m": 1.0})
    responses = {
        ident: msgspec.structs.replace(each, text="开头" + "长" * 9_999_996 + "结尾")
        for ident, each in data.responses.items()
    }
    path = write(tmp_path, msgspec.structs.replace(data, responses=responses))
    assert path.stat().st_size < 300_000
    window.open(path)
    assert "长" not in window.run("return document.getElementById('item-list').textContent")
    window.run("document.querySelector('.item details').open = true")
    window.until("return document.querySelectorAll('.answer').length === 2")
    shown = window.run("return document.querySelector('.answer .prose').textContent")
    assert shown.startswith("开头长")
    assert shown.endswith("长结尾")
    assert "10,000,000" in shown
    assert len(shown) < 5_000


def test_ten_thousand_items_open_in_time(window: Browser, tmp_path: Path) -> None:
    """10,000 items × 3 models: loaded and drawn in less than two seconds, few elements, search and filter answer."""
    data = measurement(5_000, {"a": 0.93, "b": 0.9, "longer": 0.6}, words=6)
    path = write(tmp_path, data)
    taken = []
    for _ in range(3):
        window.open(path)
        entry = "return performance.getEntriesByType('navigation')[0].loadEventEnd"
        taken.append(window.until(entry) / 1000)
        assert window.run("return document.documentElement.dataset.ready") == "yes"
    assert min(taken) < 2
    assert window.run("return document.querySelectorAll('*').length") < 6_000
    choose(window, q="第4321个问题")
    assert [card[-5:] for card in cards(window)] == ["04321"]
