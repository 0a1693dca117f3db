"""A manager's pages of people: accounts, roles, invitations, and the ledger of what everybody did."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request, Response, get, post

from cvalues.errors import CValuesError
from cvalues.people import accounts
from cvalues.people.campaigns import list_campaigns
from cvalues.people.errors import BadAnswer, NotAllowed
from cvalues.people.forms import ROLES
from cvalues.people.web import reading, words
from cvalues.people.web.pages_account import confirmed, to_confirm
from cvalues.people.web.rendering import TheForm, TheVisit, TheWeb, Web, go
from cvalues.people.web.security import ANY_MANAGER, MANAGER, Visit
from cvalues.people.web.threads import threaded


def _scope(web: Web, visit: Visit) -> list[str] | None:
    """Returns the campaigns whose people a manager sees; None for all."""
    names = reading.managed(web.desk, visit.person)
    return None if "" in names else names


@get("/people", opt={"access": ANY_MANAGER}, include_in_schema=False)
@threaded
def people(web: TheWeb, visit: TheVisit) -> Response[Any]:
    """Accounts with their roles, invitations, and the form to invite."""
    return _people(web, visit)


def _people(web: Web, visit: Visit, *, link: str = "", message: str = "", status: int = 200) -> Response[Any]:
    scope = _scope(web, visit)
    everybody = accounts.list_people(web.desk)
    if scope is not None:
        everybody = [
            msgspec.structs.replace(one, roles=tuple(role for role in one.roles if role[0] in scope))
            for one in everybody
            if any(place in {"", *scope} for place, _ in one.roles)
        ]
    return web.page(
        visit, "people.html.j2", status=status, people=everybody, links=reading.invitations(web.desk, scope), link=link, message=message,
        roles=ROLES, campaigns=[one.name for one in list_campaigns(web.desk) if scope is None or one.name in scope],
        everywhere=scope is None,
    )  # fmt: skip


def _may(web: Web, visit: Visit, campaign: str) -> None:
    accounts.need_role(web.desk, visit.person, "manager", campaign)


@post("/people/invite", opt={"access": ANY_MANAGER, "form": True}, include_in_schema=False)
@threaded
def invite(web: TheWeb, visit: TheVisit, form: TheForm) -> Response[Any]:
    """Makes an invitation, whose link is shown on this page once."""
    if not confirmed(web, visit):
        return to_confirm("/people")
    campaign = form.text("campaign")
    _may(web, visit, campaign)
    try:
        offer = accounts.Offer(
            role=form.text("role"), campaign=campaign, categories=tuple(form.text("categories").split()),
            uses=form.number("uses") or 1, days=float(form.number("days") or 14),
        )  # fmt: skip
        token = accounts.invite(web.desk, offer, actor=visit.person)
    except CValuesError as error:
        return _people(web, visit, message=web.ports.translate(str(error), visit.language), status=422)
    return _people(web, visit, link=f"/invite/{token}")


@post("/people/invitations", opt={"access": ANY_MANAGER, "form": True}, include_in_schema=False)
@threaded
def uninvite(web: TheWeb, visit: TheVisit, form: TheForm) -> Response[Any]:
    """Makes an invitation void."""
    if not reading.revoke_by_mark(web.desk, form.text("mark"), _scope(web, visit), actor=visit.person):
        raise BadAnswer("there is no such invitation any more")
    return go("/people")


@post("/people/roles", opt={"access": ANY_MANAGER, "form": True}, include_in_schema=False)
@threaded
def roles(web: TheWeb, visit: TheVisit, form: TheForm) -> Response[Any]:
    """Gives a role or takes it away."""
    if not confirmed(web, visit):
        return to_confirm("/people")
    campaign, person = form.text("campaign"), accounts.find_person(web.desk, form.text("person"))
    _may(web, visit, campaign)
    if form.text("step") == "revoke":
        if person == visit.person and form.text("role") == "manager":
            raise NotAllowed("you cannot take the role of manager from yourself; another manager can")
        accounts.revoke_role(web.desk, person, form.text("role"), campaign, actor=visit.person)
    else:
        accounts.grant_role(
            web.desk,
            person,
            form.text("role"),
            campaign,
            categories=form.text("categories").split(),
            actor=visit.person,
        )
    return go("/people")


@post("/people/state", opt={"access": MANAGER, "form": True}, include_in_schema=False)
@threaded
def state(web: TheWeb, visit: TheVisit, form: TheForm) -> Response[Any]:
    """Pauses, deactivates or brings back an account; what the person judged stays."""
    if not confirmed(web, visit):
        return to_confirm("/people")
    person = accounts.find_person(web.desk, form.text("person"))
    if person == visit.person:
        raise NotAllowed("you cannot change your own account's state; another manager can")
    if form.text("state") == "forgotten":
        accounts.forget_person(web.desk, person, actor=visit.person)
    else:
        accounts.set_person_state(web.desk, person, form.text("state"), actor=visit.person)
    return go("/people")


@get("/audit", opt={"access": MANAGER}, include_in_schema=False)
@threaded
def audit(web: TheWeb, visit: TheVisit, request: Request[Any, Any, Any]) -> Response[Any]:
    """The ledger: who did what to what, newest first; ids and counts, never texts."""
    before = request.query_params.get("before", "")
    lines = reading.deeds(web.desk, int(before) if before.isdigit() and len(before) < 18 else None)
    known = {key.removeprefix("deed.") for key in words.PAGES if key.startswith("deed.")}
    return web.page(visit, "audit.html.j2", lines=lines, known=known)


HANDLERS = [people, invite, uninvite, roles, state, audit]
