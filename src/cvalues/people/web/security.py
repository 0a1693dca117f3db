"""Who may come in, and what every answer carries.

Sessions live in the study; the cookie holds 256 random bits. A request that may change something needs a page of this site as its
origin (Sec-Fetch-Site, else Origin) and, with a session, its token. A route without `access` is refused to everybody.
"""

from __future__ import annotations

import hmac
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import anyio.to_thread
from litestar import Request
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from cvalues.people.accounts import has_role
from cvalues.people.desk import Desk
from cvalues.people.errors import NotAllowed, SignInFailed, TooMany
from cvalues.people.sessions import SessionState, session_of
from cvalues.people.web import words
from cvalues.people.web.settings import Settings

PUBLIC = "public"
SIGNED_IN = "signed-in"
MANAGER = "manager"
"""A manager of every campaign."""
CAMPAIGN_MANAGER = "campaign-manager"
"""A manager of the campaign that the path names."""
ANY_MANAGER = "any-manager"
"""A manager of some campaign."""
UNSAFE_METHODS = frozenset({"POST", "PUT", "PATCH", "DELETE"})

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "x-frame-options": "DENY",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
}
HSTS = "max-age=31536000"


class Visit(NamedTuple):
    """Who makes a request, and in which language."""

    token: str
    session: SessionState | None
    language: str

    @property
    def person(self) -> str:
        """The pseudonym; raises SignInFailed for who is not signed in."""
        if self.session is None:
            raise SignInFailed("you are not signed in; sign in and send it again")
        return self.session.person

    @property
    def csrf(self) -> str:
        """The session's token for forms, empty without a session."""
        return self.session.csrf if self.session is not None else ""


def cookie_name(settings: Settings) -> str:
    """Returns the name of the session's cookie; `__Host-` ties it to this host and to TLS."""
    return "__Host-cvalues" if settings.encrypted else "cvalues"


def address_of(request: Request[Any, Any, Any], settings: Settings) -> str:
    """Returns the client's address: behind a proxy what the proxy itself appended, which a client cannot choose."""
    if settings.behind_proxy:
        forwarded = request.headers.get("x-forwarded-for", "").rpartition(",")[2].strip()
        if forwarded:
            return forwarded
    return request.client.host if request.client is not None else ""


def same_origin(request: Request[Any, Any, Any]) -> bool:
    """Returns whether a page of this site made the request, by Sec-Fetch-Site where the browser sends it, else by Origin."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = request.headers.get("origin", "")
    return bool(origin) and origin.partition("://")[2].casefold() == request.headers.get("host", "").casefold()


def may(desk: Desk, access: str, person: str, campaign: str) -> bool:
    """Returns whether a person has what a route asks for."""
    if access == SIGNED_IN:
        return True
    if access == MANAGER:
        return has_role(desk, person, "manager")
    if access == CAMPAIGN_MANAGER:
        return bool(campaign) and has_role(desk, person, "manager", campaign)
    if access == ANY_MANAGER:
        from cvalues.people.web.reading import managed

        return bool(managed(desk, person))
    return False


class Gate:
    """The middleware that finds the session and refuses what the route does not allow."""

    def __init__(self, app: ASGIApp, desk: Desk, settings: Settings) -> None:
        self.app = app
        self.desk = desk
        self.settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request, or passes it on with who makes it."""
        if scope["type"] == ScopeType.WEBSOCKET:
            return
        request: Request[Any, Any, Any] = Request(scope)
        access = str(scope["route_handler"].opt.get("access", "nobody"))
        if access == PUBLIC and scope["route_handler"].opt.get("still"):
            await self.app(scope, receive, send)
            return
        campaign = str(scope.get("path_params", {}).get("campaign", ""))
        visit, allowed = await anyio.to_thread.run_sync(self._look, request, access, campaign)
        scope["state"]["visit"] = visit
        if access != PUBLIC and visit.session is None:
            raise SignInFailed("you are not signed in; sign in and send it again")
        if not allowed:
            raise NotAllowed("this page is not for your role; a manager can grant it")
        if scope["method"] in UNSAFE_METHODS and not same_origin(request):
            raise NotAllowed("the request did not come from a page of this site; open the page again and repeat it")
        if scope["method"] in UNSAFE_METHODS and not scope["route_handler"].opt.get("form"):
            check_token(visit, request.headers.get("x-csrf", ""))  # of a form: `rendering.read_form`
        await self.app(scope, receive, send)

    def _look(self, request: Request[Any, Any, Any], access: str, campaign: str) -> tuple[Visit, bool]:
        token = request.cookies.get(cookie_name(self.settings), "")
        session = session_of(self.desk, token) if token else None
        language = words.choose(
            request.cookies.get(words.COOKIE),
            session.locale if session else None,
            request.headers.get("accept-language", ""),
        )
        allowed = access == PUBLIC or (session is not None and may(self.desk, access, session.person, campaign))
        return Visit(token, session, language), allowed


def check_token(visit: Visit, given: str) -> None:
    """Raises NotAllowed when a signed-in visitor's form lacks the session's token."""
    if visit.session is not None and not hmac.compare_digest(given.encode(), visit.csrf.encode()):
        raise NotAllowed("the page is older than your session; open it again and repeat what you did")


def with_headers(settings: Settings) -> Callable[[Message, Scope], Any]:
    """Returns the hook that puts the security headers on every answer, refusals and unknown pages included."""
    fixed = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
    if settings.encrypted:
        fixed.append((b"strict-transport-security", HSTS.encode()))
    names = {name for name, _ in fixed}

    async def add(message: Message, _scope: Scope) -> None:
        if message["type"] != "http.response.start":
            return
        headers = [(name, value) for name, value in message.get("headers", []) if name.lower() not in names]
        if not any(name.lower() == b"cache-control" for name, _ in headers):
            headers.append((b"cache-control", b"no-store"))
        message["headers"] = [*headers, *fixed]

    return add


class Bucket:
    """A rate limit in this process, for what is too frequent to be counted in the study."""

    def __init__(self, per_minute: float, burst: float) -> None:
        self.rate = per_minute / 60
        self.burst = burst
        self._lock = threading.Lock()
        self._left: dict[str, tuple[float, float]] = {}

    def take(self, key: str) -> None:
        """Takes one token of a key; raises TooMany when there is none."""
        now = time.monotonic()
        with self._lock:
            if len(self._left) > 10_000:
                self._left = {
                    name: entry for name, entry in self._left.items() if now - entry[1] < self.burst / self.rate
                }
            tokens, before = self._left.get(key, (self.burst, now))
            tokens = min(self.burst, tokens + (now - before) * self.rate)
            self._left[key] = (tokens - 1 if tokens >= 1 else tokens, now)
        if tokens < 1:
            wait = (1 - tokens) / self.rate
            raise TooMany(f"too many tries; wait {wait:.0f} seconds", wait)
