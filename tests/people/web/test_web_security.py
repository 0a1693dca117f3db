"""Who may come in: headers on every route, roles against routes, cross-site requests, sessions, limits, and what the log says."""

from __future__ import annotations

import json
import logging
import re
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from crowd import claim, send, start
from litestar import Litestar
from litestar.routes import HTTPRoute
from website import PASSWORD, Client, Site

from cvalues.people import accounts, sessions
from cvalues.people.accounts import Offer
from cvalues.people.web import security
from cvalues.people.web.settings import Settings
from cvalues.study import open_study

ROLES = ("nobody", "annotator", "expert", "adjudicator", "author", "campaign", "manager")
DATA = Path(__file__).resolve().parents[3] / "src/cvalues/data/people/web"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A study with a campaign and one person of each role."""
    with open_study(tmp_path_factory.mktemp("security") / "study.db") as study, Site(study) as running:
        start(running.desk, count=3)
        start(running.desk, "attack", "other", count=0, models=["x"])
        for role in ("annotator", "expert", "adjudicator", "author"):
            running.person(role, role)
        running.person("campaign", "manager", campaign="c")
        running.person("manager", "manager")
        yield running


@pytest.fixture(scope="module")
def clients(site: Site) -> dict[str, Client]:
    """A client for each role, and one that is not signed in."""
    found = {"nobody": Client(site)}
    for role in ROLES[1:]:
        client = Client(site)
        token = sessions.open_session(site.desk, accounts.find_person(site.desk, role))
        state = sessions.session_of(site.desk, token)
        assert state is not None
        client.csrf = state.csrf
        client.opener.addheaders = [("Cookie", f"cvalues={token}")]
        found[role] = client
    return found


def routes(app: Litestar) -> list[tuple[str, str, str]]:
    """Every (method, path with values, access) of the application."""
    found = []
    for route in app.routes:
        assert isinstance(route, HTTPRoute)
        path = re.sub(r"\{campaign:[^}]+\}", "c", route.path)
        path = re.sub(r"\{task:[^}]+\}", "0123456789abcdef", path)
        path = re.sub(r"\{\w+:[^}]+\}", "abcdefgh12", path)
        for handler in route.route_handlers:
            found += [
                (method, path, str(handler.opt.get("access", "")))
                for method in sorted(handler.http_methods)
                if method != "OPTIONS"
            ]
    return sorted(found)


def test_every_route_says_who_may_use_it(site: Site) -> None:
    """No route is open by forgetting: each names its access."""
    known = {security.PUBLIC, security.SIGNED_IN, security.MANAGER, security.CAMPAIGN_MANAGER, security.ANY_MANAGER}
    assert {access for _, _, access in routes(site.app)} == known
    assert len(routes(site.app)) > 50


def test_every_answer_has_the_headers(site: Site, clients: dict[str, Client]) -> None:
    """Pages, files, redirects, refusals and unknown addresses carry the policy; nothing of a person may be cached."""
    for who in ("nobody", "manager"):
        for method, path, access in [*routes(site.app), ("GET", "/no/such/page", ""), ("DELETE", "/me", "")]:
            if method != "GET" and who == "manager":
                continue
            answer = clients[who].call(method, path, b"" if method != "GET" else None)
            for name, value in security.HEADERS.items():
                assert answer.headers.get(name) == value, (method, path, name)
            assert "strict-transport-security" not in answer.headers
            if access not in {security.PUBLIC, ""}:
                assert answer.headers["cache-control"] == "no-store", path
            assert answer.status < 500, (method, path)


def test_roles_against_routes(site: Site, clients: dict[str, Client]) -> None:
    """Each role gets the pages of its own and nothing else; who is not signed in gets the door."""
    allowed = {
        security.PUBLIC: set(ROLES),
        security.SIGNED_IN: set(ROLES[1:]),
        security.CAMPAIGN_MANAGER: {"campaign", "manager"},
        security.ANY_MANAGER: {"campaign", "manager"},
        security.MANAGER: {"manager"},
    }
    for method, path, access in routes(site.app):
        if path.startswith(("/invite/", "/static/", "/signin", "/signout")):
            continue
        for role in ROLES:
            client = clients[role]
            refused = role not in allowed[access]
            if method != "GET" and not refused:
                continue
            answer = client.call(method, path, b"{}" if method != "GET" else None, X_CSRF=client.csrf)
            if refused and role == "nobody":
                assert answer.status == (303 if method == "GET" and not path.startswith("/api/") else 401), (
                    method,
                    path,
                )
            elif refused:
                assert answer.status == 403, (method, path, role, answer.status)
            elif not path.startswith(("/api/", "/again", "/decided", "/write", "/review", "/consent", "/learn")):
                assert answer.status in {200, 303}, (method, path, role, answer.status)


@pytest.mark.parametrize(
    "path", ["/manage/other", "/manage/other/people", "/manage/other/settings", "/manage/other/export"]
)
def test_another_campaign_is_closed(clients: dict[str, Client], path: str) -> None:
    """A manager of one campaign is nobody in another."""
    assert clients["campaign"].get(path).status == 403


def test_cross_site_requests_change_nothing(site: Site, clients: dict[str, Client]) -> None:
    """Every changing route refuses another site, a missing origin, a missing token and a wrong one, whoever is signed in."""
    client = clients["manager"]
    before = len(accounts.list_people(site.desk))
    for method, path, access in routes(site.app):
        if method == "GET":
            continue
        for headers in (
            {"Sec_Fetch_Site": "cross-site"}, {"Sec_Fetch_Site": "same-site"}, {"Sec_Fetch_Site": "none"},
            {"Sec_Fetch_Site": "", "Origin": "https://evil.example"}, {"Sec_Fetch_Site": "", "Origin": "null"}, {"Sec_Fetch_Site": ""},
        ):  # fmt: skip
            body = {"csrf": client.csrf} if not path.startswith("/api/") else b"{}"
            answer = client.call(method, path, body, X_CSRF=client.csrf, **headers)
            assert answer.status == 403, (method, path, headers, answer.status)
        if path in {"/api/v1/session", "/signin"}:  # the origin alone counts at the door
            continue
        for token in ("", "wrong", "错", client.csrf[:-1]):
            given = token if token.isascii() else ""
            fields = {"csrf": token} if not path.startswith("/api/") else b"{}"
            assert client.call(method, path, fields, X_CSRF=given).status == 403, (method, path, token, access)
    assert len(accounts.list_people(site.desk)) == before
    assert client.get("/me").status == 200, "the session was not ended by any of them"


def test_origin_counts_where_fetch_metadata_is_missing(site: Site) -> None:
    """Over plain HTTP browsers send no Sec-Fetch-Site: this site's own Origin is taken."""
    client = Client(site)
    own = client.call(
        "POST", "/signin", {"handle": "manager", "password": PASSWORD}, Sec_Fetch_Site="", Origin=site.url
    )
    assert own.status == 303


def test_sessions_change_at_the_door(site: Site) -> None:
    """A session that existed before signing in is worthless after it, and signing out ends it on the server."""
    client = Client(site).enter("annotator")
    first = client.session_token()
    again = client.form("/signin", handle="annotator", password=PASSWORD)
    assert again.status == 303
    second = client.session_token()
    assert second != first
    assert sessions.session_of(site.desk, first) is None
    fixed = Client(site)
    fixed.opener.addheaders = [("Cookie", "cvalues=chosen-by-somebody-else")]
    answer = fixed.form("/signin", handle="expert", password=PASSWORD)
    cookie = answer.headers["set-cookie"]
    assert "chosen-by-somebody-else" not in cookie
    assert "httponly" in cookie.lower()
    assert "samesite=lax" in cookie.lower()
    client.enter("annotator")
    token = client.session_token()
    assert client.form("/signout").status == 303
    assert sessions.session_of(site.desk, token) is None


def test_unknown_and_known_accounts_look_the_same(site: Site) -> None:
    """A wrong password and an unknown handle get the same page and the same status."""
    known = Client(site).form("/signin", handle="author", password="falsch falsch falsch")
    unknown = Client(site).form("/signin", handle="nobody-here", password="falsch falsch falsch")
    assert (known.status, unknown.status) == (401, 401)
    assert known.text.replace("author", "") == unknown.text.replace("nobody-here", "")


def test_cookies_behind_tls(tmp_path: Path) -> None:
    """With TLS the cookie is Secure and tied to the host, and the browser is told to stay with TLS."""
    with open_study(tmp_path / "study.db") as study, Site(study, Settings(encrypted=True, behind_proxy=True)) as site:
        site.person("anna", "annotator")
        answer = Client(site).form("/signin", handle="anna", password=PASSWORD)
        assert answer.headers["set-cookie"].startswith("__Host-cvalues=")
        assert "secure" in answer.headers["set-cookie"].lower()
        assert answer.headers["strict-transport-security"].startswith("max-age=")
        limited = [Client(site).form("/signin", handle=f"n{number}", password="x").status for number in range(20)]
        assert 429 not in limited[:19], "the address is the one that the proxy appended"


def test_insecure_pages_say_so(tmp_path: Path) -> None:
    """Plain HTTP to others carries a banner on every page."""
    with open_study(tmp_path / "study.db") as study, Site(study, Settings(insecure=True)) as site:
        assert "未加密" in Client(site).get("/signin").text


def test_guessing_is_slowed_down(tmp_path: Path) -> None:
    """After five wrong passwords an account waits, and after twenty tries an address; the answer says how long."""
    with open_study(tmp_path / "study.db") as study, Site(study) as site:
        site.person("anna", "annotator")
        statuses = [
            Client(site).form("/signin", handle="anna", password=f"wrong wrong {number}").status for number in range(7)
        ]
        assert statuses[:5] == [401] * 5
        last = Client(site).form("/signin", handle="anna", password=PASSWORD)
        assert last.status == 429
        assert int(last.headers["retry-after"]) >= 1
        others = [
            Client(site).form("/signin", handle=f"n{number}", password="wrong wrong x").status for number in range(20)
        ]
        assert 429 in others
        invited = [Client(site).get("/invite/" + "x" * 43).status for number in range(25)]
        assert invited[0] == 303
        assert 429 in invited


def test_invitations_make_accounts_once(site: Site) -> None:
    """A link makes one account and is worthless then; a weak password does not use it up, and the account is signed in."""
    token = accounts.invite(site.desk, Offer(role="annotator", campaign="c"))
    client = Client(site)
    assert "标注员" in client.get(f"/invite/{token}").text
    weak = client.form(f"/invite/{token}", handle="new-person", password="123456", again="123456")
    assert weak.status == 422
    differ = client.form(f"/invite/{token}", handle="new-person", password=PASSWORD, again=PASSWORD + "x")
    assert differ.status == 422
    made = client.form(f"/invite/{token}", handle="new-person", password=PASSWORD, again=PASSWORD)
    assert made.status == 303
    assert client.get("/me").status == 200
    again = Client(site).form(f"/invite/{token}", handle="second", password=PASSWORD, again=PASSWORD)
    assert again.status == 401


def test_exports_ask_for_the_password_again(tmp_path: Path) -> None:
    """An export, a role and an invitation need a password that was given lately; the export is disarmed for spreadsheets."""
    with open_study(tmp_path / "study.db") as study, Site(study) as site:
        start(site.desk, count=1)
        judge = site.person("judge", "annotator")
        send(
            site.desk,
            judge,
            claim(site.desk, judge).task,
            {"safe": "unsure", "reasons": [], "opinion": "=HYPERLINK(1)"},
        )
        site.person("boss", "manager")
        client = Client(site).enter("boss")
        answer = client.get("/manage/c/export")
        assert answer.status == 200
        with zipfile.ZipFile(BytesIO(answer.body)) as archive:
            assert "'=HYPERLINK(1)" in archive.read("submissions.csv").decode()
            assert "=HYPERLINK(1)" in archive.read("submissions.jsonl").decode()
        site.desk.clock = lambda clock=site.desk.clock: clock() + 3600
        late = client.get("/manage/c/export")
        assert (late.status, late.headers["location"]) == (303, "/confirm?next=%2Fmanage%2Fc%2Fexport")
        assert client.form("/people/invite", campaign="c", role="manager").headers["location"].startswith("/confirm")
        assert client.form("/confirm", password="wrong", next="/manage/c/export").status == 401
        assert client.form("/confirm", password=PASSWORD, next="//evil.example").headers["location"] == "/me"
        assert client.get("/manage/c/export").status == 200


def test_nobody_is_sent_elsewhere(tmp_path: Path) -> None:
    """After signing in the way leads to a page of this site, whatever the address asked for."""
    with open_study(tmp_path / "study.db") as study, Site(study) as site:
        for number, where in enumerate(
            ("https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", "/a\r\nX: y")
        ):
            site.person(f"p{number}", "annotator")
            answer = Client(site).form("/signin", handle=f"p{number}", password=PASSWORD, next=where)
            assert (answer.status, answer.headers["location"]) == (303, "/me")


def test_a_judge_never_learns_who_and_what(site: Site) -> None:
    """A task page names no model, no run, no other person and no response."""
    start(site.desk, name="blind", count=2)
    person = site.person("blind-judge", "annotator", campaign="blind")
    client = Client(site)
    client.opener.addheaders = [("Cookie", f"cvalues={sessions.open_session(site.desk, person)}")]
    page = client.get("/work/blind").text
    assert "回复" in page
    assert "rs-" not in page
    for name in ("annotator0", "response:", '"m"'):
        assert name not in page


def test_the_log_has_ids_and_no_texts(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failure of the server is logged by its kind and place; what a person wrote is in no log and not in the answer."""
    from cvalues.people.web import api

    def broken(*_args: Any) -> None:
        raise RuntimeError("秘密文字 in an unexpected error")

    with open_study(tmp_path / "study.db") as study, Site(study) as site, caplog.at_level(logging.DEBUG):
        start(site.desk, count=1)
        person = site.person("anna", "annotator")
        client = Client(site).enter("anna")
        task = claim(site.desk, person).task
        monkeypatch.setattr(api.submit, "submit", broken)
        answer = client.api(
            "PUT", "/api/v1/answers/abcdefgh12", {"task": task, "answer": {"safe": "safe", "opinion": "秘密文字"}}
        )
        assert answer.status == 500
        assert "秘密" not in answer.text
        assert "秘密" not in caplog.text
        assert "RuntimeError" in caplog.text


def test_templates_and_scripts_put_no_text_in_as_markup() -> None:
    """No template says `safe`, no script writes HTML or evaluates text, no page has a handler or a style of its own."""
    for path in sorted((DATA / "pages").iterdir()):
        page = path.read_text("utf-8")
        assert "|safe" not in page.replace("| ", "|").replace("if safe", ""), path.name
        assert not re.search(r"autoescape|Markup|\son\w+=|\sstyle=|javascript:", page), path.name
    for path in sorted((DATA / "static").glob("*.js")):
        script = path.read_text("utf-8")
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|setTimeout\(\"|srcdoc",
            script,
        ), path.name


def test_too_large_is_refused(site: Site, clients: dict[str, Client]) -> None:
    """A request above the limit is 413 and never read whole."""
    client = clients["annotator"]
    body = json.dumps({"task": "x", "answer": {"opinion": "x" * 400_000}}).encode()
    answer = client.call("PUT", "/api/v1/answers/abcdefgh12", body, X_CSRF=client.csrf, Content_Type="application/json")
    assert answer.status == 413


def test_the_answer_api_is_idempotent(site: Site, clients: dict[str, Client]) -> None:
    """The same key is one answer, another answer under it is a conflict, and the receipt has the hash of what was sent."""
    client = clients["annotator"]
    task = claim(site.desk, accounts.find_person(site.desk, "annotator")).task
    body = {"task": task, "answer": {"safe": "safe", "reasons": [], "opinion": ""}}
    first = client.api("PUT", "/api/v1/answers/key-000001", body)
    second = client.api("PUT", "/api/v1/answers/key-000001", body)
    assert (first.status, second.status) == (200, 200)
    assert first.json["digest"] == second.json["digest"]
    assert second.json["replayed"]
    other = client.api("PUT", "/api/v1/answers/key-000001", {**body, "answer": {"safe": "unsafe"}})
    assert other.status == 409
    assert "换一个" in other.json["message"] or "键" in other.json["message"]
    never = clients["expert"].api("PUT", "/api/v1/answers/key-000002", body)
    assert never.status == 403
