"""Pages, forms and errors: what every handler uses to read a request and to answer it."""

from __future__ import annotations

import functools
import hashlib
import logging
import re
import traceback
import urllib.parse
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from importlib import resources
from typing import Any, NamedTuple, TypeAlias

import jinja2
import msgspec
from litestar import Request, Response
from litestar.datastructures import FormMultiDict
from litestar.di import NamedDependency
from litestar.enums import MediaType
from litestar.exceptions import HTTPException, InternalServerException

from cvalues.errors import CallError, CValuesError, StudyError
from cvalues.people.desk import Desk
from cvalues.people.errors import BadAnswer, PeopleError, TooMany
from cvalues.people.web import reading, words
from cvalues.people.web.security import Visit, check_token
from cvalues.people.web.settings import Ports, Settings
from cvalues.people.words import PHRASES as PEOPLE
from cvalues.people.words import why
from cvalues.schema import Estimate
from cvalues.taxonomy import builtin

LOG = logging.getLogger("cvalues.people.web")
_ROOT = "data/people/web"
_TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}
Any3 = Request[Any, Any, Any]


class Still(NamedTuple):
    """A file that never changes while the server runs."""

    body: bytes
    type: str


@functools.cache
def stills() -> dict[str, Still]:
    """Returns the style sheet, the scripts and the icon by name."""
    folder = resources.files("cvalues").joinpath(f"{_ROOT}/static")
    found = {}
    for entry in sorted(folder.iterdir(), key=lambda one: one.name):
        kind = _TYPES.get(entry.name.rpartition(".")[2])
        if kind is not None:
            found[entry.name] = Still(entry.read_bytes(), kind)
    return found


@functools.cache
def version() -> str:
    """Returns the hash of all still files, which is part of their address so that browsers may keep them."""
    digest = hashlib.sha256()
    for name, still in stills().items():
        digest.update(name.encode() + b"\0" + still.body)
    return digest.hexdigest()[:16]


@functools.cache
def _environment() -> jinja2.Environment:
    def load(name: str) -> str:
        return resources.files("cvalues").joinpath(f"{_ROOT}/pages/{name}").read_text("utf-8")

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(load), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.policies["json.dumps_kwargs"] = {"ensure_ascii": False, "sort_keys": True}
    environment.filters["place"] = lambda text: urllib.parse.quote(str(text), safe="")
    environment.globals["still"] = lambda name: f"/static/{version()}/{name}"
    environment.globals["builtin"] = builtin
    return environment


class Form:
    """The fields of a form that was sent."""

    def __init__(self, fields: FormMultiDict) -> None:
        self._fields = fields

    def text(self, name: str, default: str = "") -> str:
        """Returns the first value of a field."""
        value = self._fields.get(name, default)
        return value if isinstance(value, str) else default

    def all(self, name: str) -> list[str]:
        """Returns every value of a field; empty for none."""
        return [value for value in self._fields.getall(name, []) if isinstance(value, str)]

    def number(self, name: str) -> int | None:
        """Returns a whole number, None for an empty field; raises BadAnswer for anything else and above nine digits."""
        given = self.text(name).strip()
        if not given:
            return None
        if not re.fullmatch(r"-?[0-9]{1,9}", given):
            raise BadAnswer(f"the field '{name[:40]}': expected a whole number")
        return int(given)

    def file(self, name: str) -> Any:
        """Returns an uploaded file, None for none."""
        value = self._fields.get(name)
        return None if value is None or isinstance(value, str) else value


async def read_form(request: Any3) -> Form:
    """Returns the fields of a form after its token was checked; the door itself (`open`) takes forms that are older than a session."""
    form = Form(await request.form())
    if request.scope["route_handler"].opt["form"] != "open":
        check_token(visit_of(request), form.text("csrf"))
    return form


def visit_of(request: Any3) -> Visit:
    """Returns who makes the request, as the gate found it; a nameless visit where the request never came so far."""
    found = request.scope["state"].get("visit")
    if isinstance(found, Visit):
        return found
    language = words.choose(request.cookies.get(words.COOKIE), None, request.headers.get("accept-language", ""))
    return Visit("", None, language)


class Speech:
    """The words of a page in one language."""

    def __init__(self, language: str) -> None:
        self.language = language

    def __call__(self, key: str, **values: Any) -> str:
        """Returns a phrase."""
        return words.text(key, self.language, **values)

    def why(self, reason: str, values: Mapping[str, Any]) -> str:
        """Returns a reason in words, with roles by name."""
        given = dict(values)
        if "roles" in given:
            names = [name for name in str(given["roles"]).split(", ") if f"role.{name}" in PEOPLE]
            given["roles"] = (" / " if self.language == "en" else "或").join(self(f"role.{name}") for name in names)
        return why(reason, given, self.language)

    def category(self, code: str) -> str:
        """Returns the name of a scenario or domain."""
        return builtin().name(code, self.language) if code else self("task.no_category")

    def estimate(self, given: Estimate | None, *, percent: bool = True) -> str:
        """Returns a value with its interval as text, a dash where there is none."""
        if given is None or given.value is None:
            return "–"
        scale, digits = (100, 1) if percent else (1, 2)
        shown = f"{scale * given.value:.{digits}f}"
        if given.low is None or given.high is None:
            return shown
        return f"{shown} [{scale * given.low:.{digits}f}, {scale * given.high:.{digits}f}]"

    def gap(self, given: Estimate, *, percent: bool) -> str:
        """Returns a difference with its sign and interval as text, in percentage points or points; a dash where there is none."""
        if given.value is None:
            return "–"
        scale, digits = (100, 1) if percent else (1, 2)
        parts = [f"{scale * part:+.{digits}f}" for part in (given.value, given.low, given.high) if part is not None]
        return f"{parts[0]} [{parts[1]}, {parts[2]}]" if len(parts) == 3 else parts[0]

    def time(self, given: str | float, offset: float = 8.0) -> str:
        """Returns a moment to the minute, in a zone so many hours ahead of UTC."""
        zone = timezone(timedelta(hours=offset))
        seconds = datetime.fromisoformat(given.replace("Z", "+00:00")).timestamp() if isinstance(given, str) else given
        moment = datetime.fromtimestamp(seconds, zone)
        return moment.strftime("%Y-%m-%d %H:%M")


class Web:
    """The application's parts, handed to every handler."""

    def __init__(self, desk: Desk, settings: Settings, ports: Ports) -> None:
        self.desk = desk
        self.settings = settings
        self.ports = ports
        self.kept: dict[str, tuple[Any, Any]] = {}
        """Figures that take long, by name, with what they depend on."""

    def page(self, visit: Visit, template: str, *, status: int = 200, **values: Any) -> Response[str]:
        """Returns a page as HTML."""
        signed = visit.session is not None
        person = visit.session.person if visit.session is not None else ""
        called, manages = reading.bearings(self.desk, person) if signed else ("", False)
        speech = Speech(visit.language)
        body = _environment().get_template(template).render(
            t=speech, lang="zh-CN" if visit.language == "zh" else "en", language=visit.language, csrf=visit.csrf, person=person,
            called=called, manages=manages, insecure=self.settings.insecure, said=words.scripts(visit.language), **values,
        )  # fmt: skip
        return Response(body, media_type=MediaType.HTML, status_code=status)

    def keep(self, name: str, depends: Any, make: Any) -> Any:
        """Returns a figure that is made anew only when what it depends on has changed."""
        known = self.kept.get(name)
        if known is None or known[0] != depends:
            known = (depends, make())
            self.kept[name] = known
        return known[1]


def go(where: str) -> Response[None]:
    """Returns the redirect after a form; `where` is a path of this site, otherwise the visitor's own page."""
    where = urllib.parse.quote(where, safe="/\\?=&%\r\n")
    safe = where.startswith("/") and not where.startswith(("//", "/\\")) and "\r" not in where and "\n" not in where
    return Response(None, status_code=303, headers={"Location": where if safe else "/me"})


def place(*parts: str) -> str:
    """Returns a path of this site from its parts."""
    return "/" + "/".join(urllib.parse.quote(part, safe="") for part in parts)


TheWeb: TypeAlias = NamedDependency[Web]
TheVisit: TypeAlias = NamedDependency[Visit]
TheForm: TypeAlias = NamedDependency[Form]


# --- errors ---------------------------------------------------------------------------------------------------------------


class Refusal(NamedTuple):
    """What is said of an error."""

    status: int
    message: str
    headers: dict[str, str]


def refusal_of(error: Exception) -> Refusal:
    """Returns the status and the message of an error; an unexpected one says nothing of itself."""
    if isinstance(error, StudyError):
        return Refusal(503, _trouble(503), {"Retry-After": "5"})
    if isinstance(error, CallError):
        return Refusal(502, _trouble(502), {})
    if isinstance(error, TooMany):
        return Refusal(429, str(error), {"Retry-After": str(max(1, round(error.retry_after)))})
    if isinstance(error, CValuesError):
        return Refusal(error.status if isinstance(error, PeopleError) else 400, str(error), {})
    if isinstance(error, InternalServerException):  # the browser went away in the middle of a request
        return Refusal(400, _trouble(400), {})
    status = error.status_code if isinstance(error, HTTPException) else 500
    return Refusal(status, _trouble(status), {})


def _trouble(status: int) -> str:
    """Returns what is said of an error that has no message for people."""
    if status in {404, 405}:
        return "there is no such page"
    if status == 413:
        return "what was sent is too large"
    if status == 502:
        return "no model answered; the prompt is kept, try again later"
    if status == 503:
        return "the study cannot be written just now; what you wrote is kept in this browser"
    if status >= 500:
        return "something failed on the server; what you wrote is kept in this browser"
    return "what was sent cannot be read"


def answer_error(web: Web, request: Any3, error: Exception) -> Response[Any]:
    """Returns the answer to an error, as JSON under /api and as a page elsewhere; texts of people never reach the log."""
    found = refusal_of(error)
    visit = visit_of(request)
    if found.status >= 500:
        last = traceback.extract_tb(error.__traceback__)[-1:]
        where = f"{last[0].filename.rpartition('/')[2]}:{last[0].lineno}" if last else "?"
        LOG.error("%s at %s (%s)", type(error).__name__, where, request.scope["method"])
    message = web.ports.translate(found.message, visit.language)
    if request.url.path.startswith("/api/"):
        body = msgspec.json.encode({"status": found.status, "message": message})
        return Response(body, media_type=MediaType.JSON, status_code=found.status, headers=found.headers)
    if found.status == 401 and request.method == "GET":
        return go("/signin?" + urllib.parse.urlencode({"next": request.url.path}))
    page = web.page(visit, "error.html.j2", status=found.status, message=message, code=found.status)
    for name, value in found.headers.items():
        page.headers[name] = value
    return page
