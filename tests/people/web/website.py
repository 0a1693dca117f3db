"""The application on 127.0.0.1 for a test: a server thread, people with passwords, and a browser that goes to addresses."""

from __future__ import annotations

import http.cookiejar
import json
import re
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn

from browser import Browser
from cvalues.cli.messages import translate
from cvalues.people import accounts, sessions
from cvalues.people.asking import Asker, Replied, Replies
from cvalues.people.desk import Desk
from cvalues.people.web.app import create_app
from cvalues.people.web.settings import Ports, Settings
from cvalues.schema import Message, Request, Response, response_id
from cvalues.study import Study
from cvalues.workflows.people_serve import ports_of

PASSWORD = "一句很长也很好记的话 2026"


def fake_asker(replies: int = 3, texts: tuple[str, ...] = ()) -> Asker:
    """Models that answer at once, each in its own words."""

    def ask(prompt: str) -> Replies:
        found = []
        for number in range(replies):
            request = Request(
                mode="generate", model=f"m{number}", messages=(Message(role="user", content=prompt),), sample=0
            )
            text = texts[number] if texts else f"模型{number}对“{prompt}”的回复"
            origin = f"request:{request.id}"
            found.append(Replied(f"m{number}", request, Response(id=response_id(origin), origin=origin, text=text)))
        return Replies(tuple(found))

    return ask


class Site:
    """A running application."""

    def __init__(self, study: Study, settings: Settings = Settings(), asker: Asker | None = None) -> None:
        self.study = study
        self.desk = Desk(study)
        ports = ports_of(study, "", translate)
        self.ports: Ports = ports._replace(asker=lambda _campaign: asker or fake_asker())
        self.app = create_app(self.desk, settings, self.ports)
        self.cut = False
        config = uvicorn.Config(
            self._reached,
            interface="asgi3",
            host="127.0.0.1",
            port=0,
            log_level="critical",
            access_log=False,
            timeout_keep_alive=5,
        )
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, daemon=True)
        self.url = ""

    def __enter__(self) -> Site:
        self.thread.start()
        end = time.monotonic() + 20
        while not self.server.started:
            assert time.monotonic() < end, "the server did not start"
            time.sleep(0.01)
        self.url = f"http://127.0.0.1:{self.server.servers[0].sockets[0].getsockname()[1]}"
        return self

    def __exit__(self, *_exc: object) -> None:
        self.server.should_exit = True
        self.server.force_exit = True
        self.thread.join(20)

    async def _reached(self, scope: Any, receive: Any, send: Any) -> None:
        """The application, or while `cut` what a dead machine behind a proxy gives."""
        if self.cut and scope["type"] == "http":
            await send({"type": "http.response.start", "status": 503, "headers": []})
            await send({"type": "http.response.body", "body": b""})
            return
        await self.app(scope, receive, send)

    def person(self, handle: str, *roles: str, campaign: str = "", locale: str = "zh", password: bool = True) -> str:
        """A person with roles."""
        person = accounts.add_person(self.desk, handle, password=PASSWORD if password else None, locale=locale)
        for role in roles:
            accounts.grant_role(self.desk, person, role, campaign)
        return person


class Answered:
    """What came back."""

    def __init__(self, status: int, headers: Any, body: bytes) -> None:
        self.status = status
        self.headers = {name.lower(): value for name, value in headers.items()}
        self.body = body

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_args: Any) -> None:
        return None


class Client:
    """A browser without scripts: cookies, forms with their token, no redirects unless asked for."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.jar = http.cookiejar.CookieJar()
        self.opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(self.jar), _Stay()
        )
        self.csrf = ""

    def call(self, method: str, path: str, data: Any = None, **headers: str) -> Answered:
        """One request; a dictionary goes as a form, anything in `json` as JSON."""
        given = {"Sec-Fetch-Site": "same-origin", **{name.replace("_", "-"): value for name, value in headers.items()}}
        given = {name: value for name, value in given.items() if value}
        body = None
        if isinstance(data, dict):
            body = urllib.parse.urlencode(data, doseq=True).encode()
        elif data is not None:
            body = data
        request = urllib.request.Request(
            self.site.url + urllib.parse.quote(path, safe="/?=&%"), body, given, method=method
        )
        try:
            with self.opener.open(request, timeout=30) as reply:
                return Answered(reply.status, reply.headers, reply.read())
        except urllib.error.HTTPError as error:
            return Answered(error.code, error.headers, error.read())

    def get(self, path: str, **headers: str) -> Answered:
        return self.call("GET", path, **headers)

    def form(self, path: str, **fields: Any) -> Answered:
        """Sends a form with this session's token."""
        return self.call("POST", path, {"csrf": self.csrf, **fields})

    def api(self, method: str, path: str, data: Any = None) -> Answered:
        """Sends JSON with this session's token."""
        body = b"" if data is None else json.dumps(data).encode()
        return self.call(method, path, body, X_CSRF=self.csrf, Content_Type="application/json")

    def enter(self, handle: str) -> Client:
        """Signs in."""
        answer = self.form("/signin", handle=handle, password=PASSWORD)
        assert answer.status == 303, answer.text
        found = re.search(r'data-csrf="([^"]+)"', self.get("/account").text)
        assert found is not None
        self.csrf = found[1]
        return self

    def session_token(self) -> str:
        """The session's cookie."""
        return next(cookie.value or "" for cookie in self.jar if cookie.name.endswith("cvalues"))


class Window(Browser):
    """A real browser that goes to addresses of a site."""

    site: Site

    def go(self, path: str) -> None:
        """Goes to a page and waits for its load event."""
        self._call("POST", f"{self._session}/url", {"url": self.site.url + path})

    @property
    def path(self) -> str:
        """Where it is."""
        return urllib.parse.urlparse(str(self._call("GET", f"{self._session}/url"))).path

    def press(self, *keys: str) -> None:
        """Presses keys one after the other, with real key events; `Ctrl+Enter` and the like hold a key down."""
        named = {"Enter": "\ue007", "Ctrl": "\ue009", "Escape": "\ue00c", "Space": " ", "Tab": "\ue004"}
        steps: list[dict[str, str]] = []
        for key in keys:
            *held, last = [named.get(part, part) for part in key.split("+")] if len(key) > 1 else [key]
            steps += [{"type": "keyDown", "value": one} for one in held]
            steps += [{"type": "keyDown", "value": last}, {"type": "keyUp", "value": last}]
            steps += [{"type": "keyUp", "value": one} for one in reversed(held)]
        body = {"actions": [{"type": "key", "id": "keyboard", "actions": steps}]}
        self._call("POST", f"{self._session}/actions", body)

    def write(self, text: str) -> None:
        """Puts text where the cursor is, as an input method does when it commits."""
        self.command("Input.insertText", text=text)

    def enter(self, handle: str) -> None:
        """Signs in through the page."""
        self.command("Network.clearBrowserCookies")
        self.go("/signin")
        self.type("#handle", handle)
        self.type("#password", PASSWORD + "\ue007")
        self.until("return location.pathname === '/me'")

    def enter_as(self, handle: str) -> None:
        """Signs in as somebody else."""
        self.enter(handle)

    def offline(self, on: bool) -> None:
        """Cuts the connection, or brings it back."""
        self._call(
            "POST", f"{self._session}/chromium/network_conditions",
            {"network_conditions": {"offline": on, "latency": 0, "download_throughput": -1, "upload_throughput": -1}},
        )  # fmt: skip
        if on:  # the command returns before the browser's network process knows of it: on a busy machine a request could still slip through
            self.until("return fetch('/health', {cache: 'no-store'}).then(() => false, () => true)")

    def complaints(self) -> list[str]:
        """Severe messages of the console that are not about the network."""
        return [
            line
            for line in self.log()
            if "favicon" not in line and "Failed to load resource" not in line and "ERR_INTERNET" not in line
        ]


@contextmanager
def window(site: Site, profile: Path, *flags: str) -> Iterator[Window]:
    """A browser at a site; the test skips where chromium is absent."""
    import shutil

    import pytest

    for program in ("chromium", "chromedriver"):
        if shutil.which(program) is None:
            pytest.skip(f"needs {program}, which is absent here")
    with Window(profile, "--no-proxy-server", "--lang=zh-CN", *flags) as opened:
        opened.site = site
        yield opened


def set_session(site: Site, person: str) -> str:
    """A session's token without its password, for tests that are not about signing in."""
    return sessions.open_session(site.desk, person)
