"""Signing in and out, invitations, language, and the files that never change."""

from __future__ import annotations

import urllib.parse
from typing import Any

from litestar import Request, Response, get, post
from litestar.datastructures import Cookie
from litestar.enums import MediaType
from litestar.params import FromPath

from cvalues.people import accounts, sessions
from cvalues.people.errors import BadAnswer, NoSuch, PeopleError, SignInFailed
from cvalues.people.progress import own_data
from cvalues.people.web import words
from cvalues.people.web.rendering import TheForm, TheVisit, TheWeb, Web, go, refusal_of, stills, version
from cvalues.people.web.security import PUBLIC, SIGNED_IN, Visit, address_of, cookie_name
from cvalues.people.web.settings import CONFIRM_SECONDS
from cvalues.people.web.threads import threaded

FOREVER = "public, max-age=31536000, immutable"


def session_cookie(web: Web, token: str) -> Cookie:
    """Returns the cookie of a session; of an empty token one that ends it."""
    return Cookie(
        key=cookie_name(web.settings), value=token, path="/", httponly=True, secure=web.settings.encrypted, samesite="lax",
        max_age=int(sessions.WHOLE_SECONDS) if token else 0,
    )  # fmt: skip


@get(
    "/static/{mark:str}/{name:str}",
    opt={"access": PUBLIC, "still": True},
    include_in_schema=False,
    sync_to_thread=False,
)
def static(mark: FromPath[str], name: FromPath[str]) -> Response[bytes]:
    """A style sheet, script or icon."""
    found = stills().get(name)
    if found is None:
        raise NoSuch("there is no such page")
    kept = FOREVER if mark == version() else "no-store"
    return Response(found.body, media_type=found.type, headers={"Cache-Control": kept})


@get("/health", opt={"access": PUBLIC, "still": True}, include_in_schema=False, sync_to_thread=False)
def health() -> Response[str]:
    """That the process answers."""
    return Response("ok\n", media_type=MediaType.TEXT)


@get("/ready", opt={"access": PUBLIC, "still": True}, include_in_schema=False)
@threaded
def ready(web: TheWeb) -> Response[str]:
    """That the study can be read."""
    accounts.has_manager(web.desk)
    return Response("ready\n", media_type=MediaType.TEXT)


@get("/", opt={"access": PUBLIC}, include_in_schema=False, sync_to_thread=False)
def root(visit: TheVisit) -> Response[None]:
    """To one's own page, or to the door."""
    return go("/me" if visit.session is not None else "/signin")


@get("/signin", opt={"access": PUBLIC}, include_in_schema=False)
@threaded
def sign_in_page(web: TheWeb, visit: TheVisit, request: Request[Any, Any, Any]) -> Response[Any]:
    """The door."""
    if visit.session is not None:
        return go("/me")
    return web.page(visit, "signin.html.j2", next=request.query_params.get("next", ""), message="", handle="")


@post("/signin", opt={"access": PUBLIC, "form": "open"}, include_in_schema=False)
@threaded
def sign_in(web: TheWeb, visit: TheVisit, form: TheForm, request: Request[Any, Any, Any]) -> Response[Any]:
    """Signs in with a new session; the one that the browser had before is closed."""
    try:
        token = enter(web, form.text("handle"), form.text("password"), request, visit)
    except PeopleError as error:
        found = refusal_of(error)
        page = web.page(
            visit, "signin.html.j2", status=found.status, next=form.text("next"), handle=form.text("handle"),
            message=web.ports.translate(found.message, visit.language),
        )  # fmt: skip
        page.headers.update(found.headers)
        return page
    answer = go(form.text("next") or "/me")
    answer.set_cookie(session_cookie(web, token))
    return answer


def enter(web: Web, handle: str, password: str, request: Request[Any, Any, Any], visit: Visit) -> str:
    """Returns the token of a new session, within the limits per account and per address."""
    sessions.take_token(web.desk, f"signin-from:{address_of(request, web.settings)}", per_minute=20, burst=20)
    sessions.take_token(web.desk, f"signin:{handle.casefold()[:100]}", per_minute=5, burst=5)
    _, token = sessions.sign_in(web.desk, handle[:200], password)
    if visit.session is not None:
        sessions.close_session(web.desk, visit.token)
    return token


@post("/signout", opt={"access": SIGNED_IN, "form": True}, include_in_schema=False)
@threaded
def sign_out(web: TheWeb, visit: TheVisit, form: TheForm) -> Response[None]:  # noqa: ARG001 -- reading the form checks its token
    """Ends the session."""
    sessions.close_session(web.desk, visit.token)
    answer = go("/signin")
    answer.set_cookie(session_cookie(web, ""))
    return answer


@post("/language", opt={"access": PUBLIC, "form": True}, include_in_schema=False)
@threaded
def language(web: TheWeb, visit: TheVisit, form: TheForm) -> Response[None]:
    """Changes the language of the pages."""
    chosen = "en" if form.text("language") == "en" else "zh"
    if visit.session is not None:
        sessions.set_locale(web.desk, visit.person, chosen)
    answer = go(form.text("next") or "/")
    answer.set_cookie(
        Cookie(
            key=words.COOKIE, value=chosen, path="/", max_age=31536000, samesite="lax", secure=web.settings.encrypted
        )
    )
    return answer


@get("/invite/{token:str}", opt={"access": PUBLIC}, include_in_schema=False)
@threaded
def invited(web: TheWeb, visit: TheVisit, token: FromPath[str], request: Request[Any, Any, Any]) -> Response[Any]:
    """What an invitation is for, and the form to take it."""
    sessions.take_token(web.desk, f"invite-from:{address_of(request, web.settings)}", per_minute=20, burst=20)
    found = accounts.invitation(web.desk, token)
    if found is None:
        raise SignInFailed("this invitation is unknown, used or expired; ask for a new one")
    return web.page(visit, "invite.html.j2", token=token, offer=found, message="", handle="", name="")


@post("/invite/{token:str}", opt={"access": PUBLIC, "form": True}, include_in_schema=False)
@threaded
def accept(
    web: TheWeb, visit: TheVisit, form: TheForm, token: FromPath[str], request: Request[Any, Any, Any]
) -> Response[Any]:
    """Makes an account, or adds the role to the one that is signed in."""
    sessions.take_token(web.desk, f"invite-from:{address_of(request, web.settings)}", per_minute=20, burst=20)
    if visit.session is not None:
        accounts.accept_as(web.desk, token, visit.person)
        return go("/me")
    try:
        if form.text("password") != form.text("again"):
            raise BadAnswer("the two passwords differ; type the same one twice")
        person = accounts.accept(
            web.desk,
            token,
            form.text("handle"),
            form.text("password"),
            name=form.text("name").strip(),
            locale=visit.language,
        )
    except BadAnswer as error:
        found = accounts.invitation(web.desk, token)
        if found is None:
            raise SignInFailed("this invitation is unknown, used or expired; ask for a new one") from error
        return web.page(
            visit, "invite.html.j2", status=422, token=token, offer=found, handle=form.text("handle"), name=form.text("name"),
            message=web.ports.translate(str(error), visit.language),
        )  # fmt: skip
    answer = go("/me")
    answer.set_cookie(session_cookie(web, sessions.open_session(web.desk, person)))
    return answer


@get("/confirm", opt={"access": SIGNED_IN}, include_in_schema=False)
@threaded
def confirm_page(web: TheWeb, visit: TheVisit, request: Request[Any, Any, Any]) -> Response[Any]:
    """Asks for the password again."""
    return web.page(visit, "confirm.html.j2", next=request.query_params.get("next", "/me"), message="")


@post("/confirm", opt={"access": SIGNED_IN, "form": True}, include_in_schema=False)
@threaded
def confirm(web: TheWeb, visit: TheVisit, form: TheForm) -> Response[Any]:
    """Takes the password again."""
    sessions.take_token(web.desk, f"confirm:{visit.person}", per_minute=5, burst=5)
    try:
        sessions.confirm_session(web.desk, visit.token, form.text("password"))
    except SignInFailed as error:
        message = web.ports.translate(str(error), visit.language)
        return web.page(visit, "confirm.html.j2", status=401, next=form.text("next"), message=message)
    return go(form.text("next"))


@get("/account", opt={"access": SIGNED_IN}, include_in_schema=False)
@threaded
def account(web: TheWeb, visit: TheVisit) -> Response[Any]:
    """One's own account: password, and everything one sent."""
    return web.page(visit, "account.html.j2", message="")


@post("/account/password", opt={"access": SIGNED_IN, "form": True}, include_in_schema=False)
@threaded
def password(web: TheWeb, visit: TheVisit, form: TheForm) -> Response[Any]:
    """Changes the password; every session ends, and this browser gets a new one."""
    sessions.take_token(web.desk, f"confirm:{visit.person}", per_minute=5, burst=5)
    try:
        sessions.confirm_session(web.desk, visit.token, form.text("old"))
        if form.text("password") != form.text("again"):
            raise BadAnswer("the two passwords differ; type the same one twice")
        sessions.set_password(web.desk, visit.person, form.text("password"))
    except (SignInFailed, BadAnswer) as error:
        message = web.ports.translate(str(error), visit.language)
        return web.page(visit, "account.html.j2", status=error.status, message=message)
    answer = go("/account")
    answer.set_cookie(session_cookie(web, sessions.open_session(web.desk, visit.person)))
    return answer


@get("/account/data", opt={"access": SIGNED_IN}, include_in_schema=False)
@threaded
def data(web: TheWeb, visit: TheVisit) -> Response[bytes]:
    """Everything that the person sent, as JSON Lines."""
    body = b"".join(own_data(web.desk, visit.person))
    return Response(
        body, media_type="application/jsonl", headers={"Content-Disposition": 'attachment; filename="my-answers.jsonl"'}
    )


def confirmed(web: Web, visit: Visit) -> bool:
    """Returns whether the password was given lately, as exports, roles and accounts ask for."""
    return visit.session is not None and web.desk.now - visit.session.confirmed <= CONFIRM_SECONDS


def to_confirm(where: str) -> Response[None]:
    """Returns the way to the page that asks for the password again, and from there to a page of this site."""
    return go("/confirm?" + urllib.parse.urlencode({"next": where}))


HANDLERS = [
    static, health, ready, root, sign_in_page, sign_in, sign_out, language, invited, accept, confirm_page, confirm, account, password, data,
]  # fmt: skip
