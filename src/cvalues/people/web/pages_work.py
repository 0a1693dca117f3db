"""One's own page, the tasks, history, consent and guidelines."""

from __future__ import annotations

import uuid
from typing import Any

from litestar import Request, Response, get, post
from litestar.params import FromPath

from cvalues.people import assign, decide, holding, submit, writing
from cvalues.people.campaigns import get_campaign, kinds
from cvalues.people.errors import BadAnswer, NotAllowed
from cvalues.people.forms import SKIP_REASONS, Assignment, Campaign, Duty, Nothing
from cvalues.people.progress import history
from cvalues.people.web import reading
from cvalues.people.web.forms import answer_of, decision_of
from cvalues.people.web.rendering import TheForm, TheVisit, TheWeb, Web, go, place
from cvalues.people.web.security import SIGNED_IN, Visit
from cvalues.people.web.threads import threaded

DUTIES: tuple[Duty, ...] = ("work", "adjudicate", "review")
_PATHS = [f"/{duty}/{{campaign:str}}" for duty in DUTIES]


def _duty(request: Request[Any, Any, Any]) -> Duty:
    return next(duty for duty in DUTIES if request.url.path.startswith(f"/{duty}/"))


@get("/me", opt={"access": SIGNED_IN}, include_in_schema=False)
@threaded
def me(web: TheWeb, visit: TheVisit) -> Response[Any]:
    """Campaigns in which the person has something to do, and how today went."""
    places = reading.places_of(web.desk, visit.person)
    return web.page(visit, "me.html.j2", places=[(one, duties_of(one)) for one in places])


def duties_of(one: reading.Place) -> list[str]:
    """Returns what a person's roles let them do in a campaign, in the order of the page: work, write, adjudicate, review."""
    kind, roles = one.campaign.kind, set(one.roles)
    found = []
    if kind == "adjudicate":
        return ["adjudicate"] if "adjudicator" in roles else []
    if roles & set(assign.ROLES_FOR.get((kind, "work"), ())):
        found.append("work")
    if (kind == "attack" and "author" in roles) or (kind == "expert" and "expert" in roles and one.campaign.models):
        found.append("write")
    if "adjudicator" in roles and one.campaign.adjudicate != "never":
        found.append("adjudicate")
    if kind == "expert" and one.campaign.review and roles & set(assign.ROLES_FOR["expert", "review"]):
        found.append("review")
    return found


# --- tasks ------------------------------------------------------------------------------------------------------------------


@get(_PATHS, opt={"access": SIGNED_IN}, include_in_schema=False)
@threaded
def next_task(web: TheWeb, visit: TheVisit, campaign: FromPath[str], request: Request[Any, Any, Any]) -> Response[Any]:
    """The next task, or why there is none."""
    duty = _duty(request)
    given = assign.claim_next(web.desk, visit.person, campaign, duty)
    if isinstance(given, Nothing):
        if given.reason == "consent":
            return go(place("consent", campaign))
        found, _ = get_campaign(web.desk, campaign)
        return web.page(visit, "nothing.html.j2", campaign=found, given=given, duty=duty)
    return task_page(web, visit, given)


def task_page(web: Web, visit: Visit, given: Assignment) -> Response[Any]:
    """Returns the page of a task: what is to be judged, the form, and the guidelines beside it."""
    here = reading.place_of(web.desk, visit.person, given.campaign)
    campaign = here.campaign
    return web.page(
        visit, "task.html.j2", campaign=campaign, task=given, here=here, key=uuid.uuid4().hex, message="",
        guideline=guideline_of(campaign, visit.language), reasons=reasons_of(campaign, visit.language), skips=SKIP_REASONS,
        kind=campaign.kind if given.duty == "work" else given.duty,
    )  # fmt: skip


def guideline_of(campaign: Campaign, language: str) -> str:
    """Returns the guideline in a language, else in the other one."""
    return campaign.guideline.get(language) or campaign.guideline.get("zh") or campaign.guideline.get("en") or ""


def reasons_of(campaign: Campaign, language: str) -> dict[str, str]:
    """Returns what can be ticked in a campaign, code → words: reasons, or the criteria of a good answer."""
    kind = "judge-safety" if campaign.kind == "adjudicate" and campaign.criterion == "safe" else campaign.kind
    return {code: texts[language] for code, texts in kinds()[kind].reasons.items()}


@post(_PATHS, opt={"access": SIGNED_IN, "form": True}, include_in_schema=False)
@threaded
def send_task(
    web: TheWeb, visit: TheVisit, campaign: FromPath[str], form: TheForm, request: Request[Any, Any, Any]
) -> Response[Any]:
    """Takes an answer or decision from a browser without scripts."""
    duty, task = _duty(request), form.text("task")
    held, given = reading.task_campaign(web.desk, visit.person, task)
    found, _ = get_campaign(web.desk, campaign)
    if held != found.name:
        raise BadAnswer("the form is not complete; open the page again")
    if form.text("skip"):
        holding.skip(web.desk, visit.person, task, form.text("skip"), form.text("note"))
        return go(place(duty, campaign))
    sending = {"key": form.text("key"), "task": task}
    if given != "work":
        decide.adjudicate(web.desk, visit.person, {**sending, "answer": decision_of(form, found, given)})
        return go(place("decided", task))
    receipt = submit.submit(web.desk, visit.person, {**sending, "answer": answer_of(form, found)})
    if receipt.feedback is not None:
        return web.page(visit, "feedback.html.j2", campaign=found, feedback=receipt.feedback)
    return go(place(duty, campaign) + f"?sent={task}")


@get("/again/{task:str}", opt={"access": SIGNED_IN}, include_in_schema=False)
@threaded
def again(web: TheWeb, visit: TheVisit, task: FromPath[str]) -> Response[Any]:
    """A task that the person answered, to be corrected: the next answer is a new revision."""
    held, duty = reading.task_campaign(web.desk, visit.person, task)
    if not held:
        return go(place("write", writing.show_prompt(web.desk, visit.person, task).campaign, task))
    if duty != "work":
        return go(place("decided", task))
    return task_page(web, visit, assign.look_again(web.desk, visit.person, task))


@get("/decided/{task:str}", opt={"access": SIGNED_IN}, include_in_schema=False)
@threaded
def decided(web: TheWeb, visit: TheVisit, task: FromPath[str]) -> Response[Any]:
    """The votes on a task that the person has decided, the form to revise the decision, and the way to return it."""
    votes = decide.votes(web.desk, visit.person, task)
    given = assign.look_again(web.desk, visit.person, task)
    found, _ = get_campaign(web.desk, given.campaign)
    with web.desk.reading() as connection:
        rulings = decide.rulings_of(connection, task, visit.person)
    return web.page(
        visit, "decided.html.j2", campaign=found, task=given, votes=votes, rulings=rulings, key=uuid.uuid4().hex, kind=given.duty,
        others=reading.other_verdicts(web.desk, task, found.name), reasons=reasons_of(found, visit.language), message="",
        here=reading.place_of(web.desk, visit.person, found.name), guideline=guideline_of(found, visit.language), skips=SKIP_REASONS,
    )  # fmt: skip


@post("/return/{task:str}", opt={"access": SIGNED_IN, "form": True}, include_in_schema=False)
@threaded
def return_to(web: TheWeb, visit: TheVisit, task: FromPath[str], form: TheForm) -> Response[Any]:
    """Returns a task to who judged it; only for who has decided it."""
    campaign, duty = reading.task_campaign(web.desk, visit.person, task)
    if duty not in {"adjudicate", "review"}:
        raise NotAllowed("decide first: the votes come into view after the blind decision")
    decide.votes(web.desk, visit.person, task)
    holding.return_task(web.desk, task, form.text("person"), form.text("comment"), actor=visit.person)
    return go(place(duty, campaign))


# --- before and after work -----------------------------------------------------------------------------------------------------


@get("/history", opt={"access": SIGNED_IN}, include_in_schema=False)
@threaded
def past(web: TheWeb, visit: TheVisit) -> Response[Any]:
    """The person's latest answers, each open for correction."""
    known = {code: texts[visit.language] for kind in kinds().values() for code, texts in kind.reasons.items()}
    return web.page(visit, "history.html.j2", entries=history(web.desk, visit.person), reasons=known)


@get("/learn/{campaign:str}", opt={"access": SIGNED_IN}, include_in_schema=False)
@threaded
def learn(web: TheWeb, visit: TheVisit, campaign: FromPath[str]) -> Response[Any]:
    """The guidelines, and how far the person is with practice and qualification."""
    here = member_place(web, visit, campaign)
    return web.page(
        visit, "learn.html.j2", campaign=here.campaign, here=here, guideline=guideline_of(here.campaign, visit.language),
        duties=duties_of(here),
    )  # fmt: skip


@get("/consent/{campaign:str}", opt={"access": SIGNED_IN}, include_in_schema=False)
@threaded
def consent_page(web: TheWeb, visit: TheVisit, campaign: FromPath[str]) -> Response[Any]:
    """What somebody will meet in a campaign, and which scenarios they choose."""
    here = member_place(web, visit, campaign)
    return web.page(
        visit,
        "consent.html.j2",
        campaign=here.campaign,
        here=here,
        scenarios=reading.scenarios(web.desk, here.campaign),
    )


@post("/consent/{campaign:str}", opt={"access": SIGNED_IN, "form": True}, include_in_schema=False)
@threaded
def consent(web: TheWeb, visit: TheVisit, campaign: FromPath[str], form: TheForm) -> Response[Any]:
    """Notes the choice; it may be changed at any time."""
    here = member_place(web, visit, campaign)
    known = reading.scenarios(web.desk, here.campaign)
    chosen = [code for code in form.all("scenario") if code in known]
    holding.give_consent(web.desk, visit.person, campaign, None if len(chosen) == len(known) else chosen)
    duties = duties_of(here)
    return go(place(duties[0], campaign) if duties and chosen else "/me")


def member_place(web: Web, visit: Visit, campaign: str) -> reading.Place:
    """Returns how the person stands in a campaign; raises NotAllowed for who has no role in it."""
    here = reading.place_of(web.desk, visit.person, campaign)
    if not here.roles:
        raise NotAllowed("this page is not for your role; a manager can grant it")
    return here


@get("/outbox", opt={"access": SIGNED_IN}, include_in_schema=False)
@threaded
def outbox(web: TheWeb, visit: TheVisit) -> Response[Any]:
    """What this browser still keeps; the list is made by its script."""
    return web.page(visit, "outbox.html.j2")


HANDLERS = [me, next_task, send_task, again, decided, return_to, past, learn, consent_page, consent, outbox]
