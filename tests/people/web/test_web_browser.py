"""What a real browser does in bad weather: offline, closed tabs, ended sessions, input methods, and texts that attack the page."""

from __future__ import annotations

import importlib.util
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from crowd import claim, question, send, start, work
from website import PASSWORD, Site, Window, fake_asker, window

from cvalues.people import accounts, sessions, tasks, writing
from cvalues.people.forms import NewReply, NewTask
from cvalues.people.progress import history
from cvalues.people.web.words import text
from cvalues.schema import Response, response_id
from cvalues.study import open_study
from cvalues.text import fingerprint

pytestmark = [pytest.mark.browser, pytest.mark.slow]
_TASK = "return document.getElementById('work')?.dataset.task ?? ''"
_READY = "return document.readyState === 'complete' && document.getElementById('work') !== null"
HOSTILE = (
    "<script>window.hit=1</script>",
    "<img src=x onerror=window.hit=2><svg onload=window.hit=3>",
    "</textarea></script></title><script>window.hit=4</script>",
    "{{ 7*7 }} {% raw %} ${7*7} #{7*7} %s %(x)s {0}",
    "javascript:window.hit=5 <a href='javascript:window.hit=6'>x</a>",
    "\u202eesrever\u202c \u2066isolate\u2069 \u200b\u200d\ufeff 零宽",
    "x" * 4000 + "<b>" + "𠀀" * 300,
    "لا\u202b عربي \u2067abc",
    '"><form action="https://evil.example"><input name=csrf>',
    "&lt;script&gt; &amp; ]]> <!-- --> <?xml ?>",
    "`'\"\\\n\r\n\t\x0b\x07",
    "🏳️‍🌈" * 50 + "\U000e0001",
)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A study with its server."""
    hostile = tuple(HOSTILE[:3])
    with open_study(tmp_path / "study.db") as study, Site(study, asker=fake_asker(3, hostile)) as running:
        yield running


@pytest.fixture
def opened(site: Site, tmp_path: Path) -> Iterator[Window]:
    """A browser at the site."""
    with window(site, tmp_path / "profile") as found:
        found.size(1280, 900)
        yield found


def answers(site: Site, person: str) -> list[dict[str, object]]:
    """What the server has of a person, oldest first."""
    return [entry.answer for entry in history(site.desk, person)][::-1]


def eventually(site: Site, person: str, count: int) -> list[dict[str, object]]:
    """Waits until so many answers have arrived."""
    end = time.monotonic() + 20
    while len(answers(site, person)) < count:
        assert time.monotonic() < end, f"{len(answers(site, person))} of {count} answers arrived"
        time.sleep(0.05)
    return answers(site, person)


def test_offline_and_back(site: Site, opened: Window) -> None:
    """An answer that is sent offline waits here, says so, and goes by itself when the connection is back."""
    start(site.desk, count=3)
    person = site.person("anna", "annotator")
    opened.enter("anna")
    opened.go("/work/c")
    opened.until(_READY)
    first = opened.run(_TASK)
    opened.offline(True)
    opened.press("d", "2", "t")
    opened.write("离线时写的")
    opened.press("Ctrl+Enter")
    opened.until("return document.getElementById('saved').textContent === arguments[0]", text("script.waits", "zh"))
    assert "1" in opened.until("return document.querySelector('.notice-waiting')?.textContent")
    assert answers(site, person) == []
    opened.offline(False)
    opened.until("const now = document.getElementById('work')?.dataset.task; return now && now !== arguments[0]", first)
    assert eventually(site, person, 1) == [{"safe": "unsafe", "reasons": ["endorses"], "opinion": "离线时写的"}]


def test_offline_and_the_tab_closed(site: Site, tmp_path: Path) -> None:
    """An answer sent offline in a tab that is closed then arrives when the browser is opened again; so does a draft."""
    start(site.desk, count=3)
    person = site.person("anna", "annotator")
    with window(site, tmp_path / "kept") as first:
        first.enter("anna")
        first.go("/work/c")
        first.until(_READY)
        first.offline(True)
        first.press("s", "t")
        first.write("关掉之前")
        first.press("Ctrl+Enter")
        first.until("return document.querySelector('.notice-waiting') !== null")
        time.sleep(0.5)
        site.cut = True  # the browser's own outage ends with its driver, a moment before its pages do
    assert answers(site, person) == []
    site.cut = False
    with window(site, tmp_path / "kept") as second:
        second.go("/me")
        assert eventually(site, person, 1) == [{"safe": "safe", "reasons": [], "opinion": "关掉之前"}]
        second.until("return document.querySelector('.notice-waiting') === null")
        second.go("/work/c")
        second.until(_READY)
        second.press("t")
        second.write("写了一半")
        time.sleep(0.5)
    with window(site, tmp_path / "kept") as third:
        third.go("/work/c")
        third.until(_READY)
        assert third.until("return document.getElementById('opinion').value") == "写了一半"


def test_a_draft_follows_to_another_browser(site: Site, tmp_path: Path) -> None:
    """What was typed reaches the server after a moment and is there on another machine."""
    start(site.desk, count=1)
    site.person("anna", "annotator")
    for name, expected in (("one", ""), ("two", "到处都在")):
        with window(site, tmp_path / name) as opened:
            opened.enter("anna")
            opened.go("/work/c")
            opened.until(_READY)
            assert opened.run("return document.getElementById('opinion').value") == expected
            if not expected:
                opened.press("t")
                opened.write("到处都在")
                saved = text("script.saved", "zh")
                opened.until("return document.getElementById('saved').textContent === arguments[0]", saved)


def test_double_clicks_are_one_answer(site: Site, opened: Window) -> None:
    """Two clicks, two keys and a click at once send one answer."""
    start(site.desk, count=2)
    person = site.person("anna", "annotator")
    opened.enter("anna")
    opened.go("/work/c")
    opened.until(_READY)
    first = opened.run(_TASK)
    opened.press("s")
    opened.run(
        "const one = document.getElementById('send'); one.click(); one.click(); document.getElementById('work').requestSubmit();"
    )
    opened.until("const now = document.getElementById('work')?.dataset.task; return now && now !== arguments[0]", first)
    time.sleep(0.3)
    assert len(answers(site, person)) == 1


def test_a_session_that_ended_loses_nothing(site: Site, opened: Window) -> None:
    """When the session has ended a dialog asks for the password over the page, and the answer goes out after it."""
    start(site.desk, count=2)
    person = site.person("anna", "annotator")
    opened.enter("anna")
    opened.go("/work/c")
    opened.until(_READY)
    opened.press("f", "t")
    opened.write("写了很久")
    sessions.set_password(site.desk, person, PASSWORD)
    opened.press("Ctrl+Enter")
    opened.until("return document.getElementById('door').open")
    assert answers(site, person) == []
    opened.type("#door-handle", "anna")
    opened.type("#door-password", PASSWORD + "\ue007")
    assert eventually(site, person, 1) == [{"safe": "unsure", "reasons": [], "opinion": "写了很久"}]


def test_input_methods(site: Site, opened: Window) -> None:
    """While an input method composes no key chooses or sends; Enter that ends a composition sends nothing."""
    start(site.desk, count=1)
    person = site.person("anna", "annotator")
    opened.enter("anna")
    opened.go("/work/c")
    opened.until(_READY)
    for code in ("s", "d"):
        opened.command(
            "Input.dispatchKeyEvent",
            type="rawKeyDown",
            key="Process",
            code=f"Key{code.upper()}",
            windowsVirtualKeyCode=229,
        )
    assert not opened.run("return document.querySelector('input[name=safe]:checked')")
    opened.press("s", "t")
    opened.command("Input.imeSetComposition", text="ni hao", selectionStart=6, selectionEnd=6)
    opened.run(
        "const key = new KeyboardEvent('keydown', {key: 'Enter', ctrlKey: true, isComposing: true, bubbles: true});"
        "document.getElementById('opinion').dispatchEvent(key);"
    )
    opened.write("你好")
    opened.press("Enter", "d", "p")
    time.sleep(0.3)
    assert answers(site, person) == [], "nothing was sent"
    assert opened.run("return document.getElementById('opinion').value.replace(/\\n/g, '')") == "你好dp"
    assert opened.run("return document.querySelector('input[name=safe]:checked').value") == "safe"
    assert not opened.run("return document.body.classList.contains('veiled')")


def test_everything_can_be_hidden(site: Site, opened: Window) -> None:
    """One key covers the page, its title too; while it is covered no key acts, and the same key brings it back."""
    start(site.desk, count=1)
    site.person("anna", "annotator")
    opened.enter("anna")
    opened.go("/work/c")
    opened.until(_READY)
    title = opened.run("return document.title")
    opened.press("p")
    assert opened.run("return getComputedStyle(document.getElementById('veil')).display") != "none"
    assert opened.run("return document.title") == "CValues"
    top = "const top = document.elementFromPoint(innerWidth / 3, innerHeight / 3); return document.getElementById('veil').contains(top)"
    assert opened.run(top)
    opened.press("s")
    assert not opened.run("return document.querySelector('input[name=safe]:checked')")
    opened.press("p")
    assert opened.run("return document.title") == title
    assert opened.run("return document.getElementById('veil').hidden")


def test_a_break_is_proposed(site: Site, opened: Window) -> None:
    """After the campaign's minutes of work a break is proposed; going on is as easy as stopping, and nothing that was typed is lost."""
    start(site.desk, count=1, break_minutes=1.0)
    site.person("anna", "annotator")
    opened.enter("anna")
    opened.run("sessionStorage.setItem('cvalues.worked', '59900')")
    opened.go("/work/c")
    opened.until(_READY)
    opened.press("t")
    opened.write("写到一半")
    opened.until("return document.getElementById('rest').open", seconds=40)
    assert text("rest.title", "zh") in opened.run("return document.getElementById('rest').textContent")
    opened.run("document.getElementById('rest-on').focus()")
    opened.press("Enter")
    opened.until("return !document.getElementById('rest').open")
    assert opened.run("return document.getElementById('opinion').value") == "写到一半"
    assert opened.run("return sessionStorage.getItem('cvalues.worked')") == "0", "the minutes begin anew"


def test_single_keys_can_be_turned_off(site: Site, opened: Window) -> None:
    """Who turns single keys off keeps them off; sending with Ctrl and Enter still works."""
    start(site.desk, count=2)
    person = site.person("anna", "annotator")
    opened.enter("anna")
    opened.go("/work/c")
    opened.until(_READY)
    opened.run("document.getElementById('keys').open = true; document.querySelector('[data-keys-off]').click()")
    opened.go("/work/c")
    opened.until(_READY)
    opened.press("s")
    assert not opened.run("return document.querySelector('input[name=safe]:checked')")
    opened.run("document.querySelector('input[name=safe]').click()")
    opened.press("Ctrl+Enter")
    assert eventually(site, person, 1) == [{"safe": "safe", "reasons": [], "opinion": ""}]


def hostile_task(number: int, words: str) -> NewTask:
    """A task whose prompt and reply attack the page."""
    origin = f"data:hostile#{number}"
    reply = Response(id=response_id(origin), origin=origin, text=words, prompt_id=f"h{number}")
    return NewTask(prompt=words, prompt_id=f"h{number}", replies=(NewReply(response=reply, model="m"),), category="law")


_ESCAPED = (
    "const inside = Array.from(document.querySelectorAll('.text, .said, bdi')).reduce((sum, one) => sum + one.children.length, 0);"
    "const header = document.querySelector('header.top').getBoundingClientRect();"
    "return [window.hit ?? null, inside, document.documentElement.scrollWidth > innerWidth, document.querySelectorAll('form[action^=http]').length,"
    " header.width >= innerWidth - 1, document.title.length < 100]"
)


def test_hostile_texts_stay_texts(site: Site, opened: Window) -> None:
    """As prompt, reply, opinion, handle and name: no script runs, no markup appears, nothing leaves its box, and they arrive unchanged."""
    start(site.desk, count=0)
    start(site.desk, "attack", "a", count=0, models=["x"])
    tasks.add_tasks(site.desk, "c", [hostile_task(number, words) for number, words in enumerate(HOSTILE)])
    person = site.person("anna", "annotator", "adjudicator", "author", "manager")
    judges = [site.person(f"judge{number}", "annotator") for number in range(2)]
    with site.study.engine.connect().execution_options(write=True) as connection:
        from cvalues.study import tables as study_tables

        connection.execute(study_tables.person.update().values(name=HOSTILE[1] + HOSTILE[5]))
        connection.commit()
    for number, judge in enumerate(judges):
        for words in HOSTILE:
            send(
                site.desk,
                judge,
                claim(site.desk, judge).task,
                {"safe": ("safe", "unsafe")[number], "reasons": [words[:100]], "opinion": words},
            )
    written = [writing.write_prompt(site.desk, person, "a", words, "crimes") for words in HOSTILE if fingerprint(words)]
    opened.enter("anna")
    for place in range(len(HOSTILE)):
        opened.go("/work/c")
        opened.until(_READY)
        assert opened.run(_ESCAPED) == [None, 0, False, 0, True, True], place
        opened.press("f", "t")
        words = HOSTILE[place]
        opened.run(
            "const area = document.getElementById('opinion'); area.value = arguments[0]; area.dispatchEvent(new Event('input', {bubbles: true}))",
            words,
        )
        before = opened.run(_TASK)
        opened.press("Ctrl+Enter")
        opened.until(
            "return (document.getElementById('work')?.dataset.task ?? '') !== arguments[0] && document.readyState === 'complete'",
            before,
        )
    sent = [str(one["opinion"]) for one in answers(site, person)]
    assert sent == [words.replace("\r\n", "\n").replace("\r", "\n") for words in HOSTILE]
    pages = [
        "/history",
        "/adjudicate/c",
        f"/write/a/{written[0]}",
        "/write/a",
        "/manage/a",
        "/people",
        "/audit",
        "/manage/c/people",
    ]
    for width in (1280, 390):
        opened.size(width, 900)
        for page in pages:
            opened.go(page)
            opened.until("return document.readyState === 'complete'")
            time.sleep(0.1)
            assert opened.run(_ESCAPED) == [None, 0, False, 0, True, True], (page, width)
    assert opened.complaints() == []


def test_the_policy_holds_against_a_script_in_the_page(site: Site, opened: Window) -> None:
    """Even markup that got in could not run: the browser refuses inline scripts, handlers, and strings as markup."""
    site.person("anna", "annotator")
    opened.enter("anna")
    refused = opened.run(
        "const said = []; const attempt = (work) => { try { work(); } catch (error) { said.push(error.name); } };"
        "attempt(() => { const one = document.createElement('script'); one.textContent = 'window.hit = 1'; document.body.append(one); });"
        "attempt(() => { document.body.innerHTML = '<b>x</b>'; });"
        "attempt(() => { const two = document.createElement('img'); document.body.append(two); two.setAttribute('onerror', 'window.hit = 2'); });"
        "return new Promise((done) => setTimeout(() => done([window.hit ?? null, ...said]), 300))"
    )
    assert refused == [None, "TypeError", "TypeError", "TypeError"]


def axe() -> str:
    """The source of axe-core; the test skips where the package that carries it is absent."""
    found = importlib.util.find_spec("axe_playwright_python")  # looked up, not imported: it would ask for Playwright
    if found is None or found.origin is None:
        pytest.skip("needs axe-playwright-python, which `make test` installs")
    return Path(found.origin).with_name("axe.min.js").read_text("utf-8")


OWN_CHECKS = Path(__file__).with_name("accessible.js").read_text("utf-8")


@pytest.mark.parametrize("language", ["zh", "en"])
def test_pages_are_accessible(site: Site, opened: Window, language: str) -> None:
    """Every page: names, labels, headings, landmarks, contrast, target size, focus that is seen, no sideways scrolling at 320 pixels; axe agrees."""
    start(site.desk, "expert", "r", count=0, review=True)
    start(site.desk, "judge-safety", "d", count=0, overlap=2)
    tasks.add_tasks(site.desk, "d", [work("disputed")])
    for kind, name in (("judge-safety", "c"), ("judge-responsibility", "p"), ("expert", "e"), ("attack", "a")):
        start(
            site.desk,
            kind,
            name,
            count=0 if kind == "attack" else 3,
            **({"models": ["x"]} if kind in {"attack", "expert"} else {}),
        )
    tasks.add_tasks(site.desk, "c", [hostile_task(1, HOSTILE[6])])
    site.person("anna", "annotator", "expert", "author", "adjudicator", "manager", locale=language)
    other = site.person("otto", "annotator")
    for _ in range(2):
        send(site.desk, other, claim(site.desk, other).task, "unsafe")
    for handle, value in (("olga", "safe"), ("oleg", "unsafe")):
        judge = site.person(handle, "annotator")
        send(site.desk, judge, claim(site.desk, judge, "d").task, value)
    tasks.add_tasks(site.desk, "r", [question("review")])
    reviewed = site.person("rita", "expert")
    send(site.desk, reviewed, claim(site.desk, reviewed, "r").task, {"best": [1], "points": 8})
    opened.go("/signin")
    found = {"/signin": problems(opened)}
    opened.go("/invite/" + accounts.invite(site.desk, accounts.Offer(role="annotator", campaign="c")))
    found["/invite"] = problems(opened)
    opened.enter("anna")
    anna = accounts.find_person(site.desk, "anna")
    written = "/write/a"
    claimed = f"/write/a/{writing.write_prompt(site.desk, anna, 'a', '怎么绕过门禁', 'crimes')}"
    opened.go(claimed)
    opened.until("return document.getElementById('fold') !== null")
    opened.go("/work/c")
    opened.until(_READY)
    before = opened.run(_TASK)
    opened.press("s", "s")
    opened.until(
        "const now = document.getElementById('work')?.dataset.task; return now && now !== arguments[0]", before
    )
    pages = [
        "/me", "/work/c", "/work/p", "/work/e", written, "/history", "/learn/c", "/consent/c", "/outbox", "/account", "/manage", "/manage/new",
        "/manage/c", "/manage/c/people?person=a1", "/manage/c/settings", "/people", "/audit", "/plan", "/plan?rate=9", "/review/r", claimed, "/adjudicate/d", "/no/such/page", "/confirm",
    ]  # fmt: skip
    for page in pages:
        opened.go(page)
        opened.until("return document.readyState === 'complete'")
        opened.run("for (const one of document.querySelectorAll('main details')) one.open = true")
        found[page] = problems(opened)
    opened.go("/adjudicate/d")
    opened.until(_READY)
    opened.press("s", "Ctrl+Enter")
    opened.until("return location.pathname.startsWith('/decided/') && document.readyState === 'complete'")
    found["/decided"] = problems(opened)
    assert {page: trouble for page, trouble in found.items() if trouble} == {}


def problems(opened: Window) -> list[str]:
    """What is wrong with a page at three widths (320 is 1280 at 400 %), by our own checks and by axe."""
    found = []
    for width in (1280, 640, 320):
        opened.size(width, 900)
        found += [f"{width}: {line}" for line in opened.run(OWN_CHECKS)]
    opened.size(1280, 900)
    opened.run(axe())
    report = opened.run(
        "return axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']})"
        ".then((one) => one.violations.map((each) => each.id + ': ' + each.nodes.map((node) => node.target.join(' ')).join(', ')))"
    )
    return found + [f"axe {line}" for line in report]


def test_forced_colours(site: Site, opened: Window) -> None:
    """In forced colours what is chosen still stands out from what is not."""
    start(site.desk, "judge-responsibility", count=1)
    site.person("anna", "annotator")
    opened.command("Emulation.setEmulatedMedia", features=[{"name": "forced-colors", "value": "active"}])
    opened.enter("anna")
    opened.go("/work/c")
    opened.until(_READY)
    opened.press("7")
    look = "const one = getComputedStyle(document.querySelectorAll('.ten span')[arguments[0]]); return one.backgroundColor + one.outlineStyle"
    assert opened.run(look, 6) != opened.run(look, 5)
    assert json.loads(json.dumps(opened.run("return matchMedia('(forced-colors: active)').matches"))) is True
