"""Writing prompts: attacks, whose replies the author judges, and experts' questions."""

from __future__ import annotations

import uuid
from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath

from cvalues.people import writing
from cvalues.people.errors import BadAnswer, NotAllowed
from cvalues.people.progress import counters
from cvalues.people.web import reading
from cvalues.people.web.api import ask_for
from cvalues.people.web.forms import claims_of
from cvalues.people.web.pages_work import duties_of, guideline_of, member_place, reasons_of
from cvalues.people.web.rendering import TheForm, TheVisit, TheWeb, Web, go, place
from cvalues.people.web.security import SIGNED_IN, Visit
from cvalues.people.web.threads import threaded


def _here(web: Web, visit: Visit, campaign: str) -> reading.Place:
    here = member_place(web, visit, campaign)
    if "write" not in duties_of(here):
        raise NotAllowed(
            "writing prompts needs the role author (in an attack campaign) or expert (in an expert campaign)"
        )
    return here


@get("/write/{campaign:str}", opt={"access": SIGNED_IN}, include_in_schema=False)
@threaded
def write_page(web: TheWeb, visit: TheVisit, campaign: FromPath[str]) -> Response[Any]:
    """The form for a prompt, what is still wanted, and one's own prompts so far."""
    here = _here(web, visit, campaign)
    if here.campaign.consent and not here.consented:
        return go(place("consent", campaign))
    return _form(web, visit, here, {"text": "", "category": "", "parent": ""})


def _form(
    web: Web, visit: Visit, here: reading.Place, given: dict[str, str], *, message: str = "", status: int = 200
) -> Response[Any]:
    campaign = here.campaign
    names = writing.category_names(campaign, visit.language)
    if here.scenarios is not None:
        names = {code: name for code, name in names.items() if code in here.scenarios}
    quotas = counters(web.desk, campaign.name).quotas if campaign.quotas else {}
    return web.page(
        visit, "write.html.j2", status=status, campaign=campaign, here=here, names=names, quotas=quotas, given=given, message=message,
        mine=writing.my_prompts(web.desk, visit.person, campaign.name), guideline=guideline_of(campaign, visit.language),
    )  # fmt: skip


@post("/write/{campaign:str}", opt={"access": SIGNED_IN, "form": True}, include_in_schema=False)
@threaded
def write(web: TheWeb, visit: TheVisit, campaign: FromPath[str], form: TheForm) -> Response[Any]:
    """Keeps a prompt; sending it again is the same prompt."""
    here = _here(web, visit, campaign)
    given = {name: form.text(name) for name in ("text", "category", "parent")}
    try:
        task = writing.write_prompt(
            web.desk, visit.person, campaign, given["text"], given["category"], parent=given["parent"] or None
        )
    except BadAnswer as error:
        return _form(web, visit, here, given, message=web.ports.translate(str(error), visit.language), status=422)
    return go(place("write", campaign, task))


@get("/write/{campaign:str}/{task:str}", opt={"access": SIGNED_IN}, include_in_schema=False)
@threaded
def claim_page(web: TheWeb, visit: TheVisit, campaign: FromPath[str], task: FromPath[str]) -> Response[Any]:
    """A prompt of one's own: its replies, what one says of them, and what became of it."""
    here = _here(web, visit, campaign)
    found = writing.show_prompt(web.desk, visit.person, task)
    if here.campaign.kind == "expert" and found.replies:
        return go(place("work", campaign))
    return web.page(
        visit, "claim.html.j2", campaign=here.campaign, here=here, written=found, key=uuid.uuid4().hex,
        reasons=reasons_of(here.campaign, visit.language), guideline=guideline_of(here.campaign, visit.language),
    )  # fmt: skip


@post(
    "/write/{campaign:str}/{task:str}",
    opt={"access": SIGNED_IN, "form": True},
    include_in_schema=False,
)
@threaded
def claim(web: TheWeb, visit: TheVisit, campaign: FromPath[str], task: FromPath[str], form: TheForm) -> Response[Any]:
    """From a browser without scripts: has the models answer, takes the claim, or takes the prompt back."""
    here = _here(web, visit, campaign)
    step = form.text("step")
    if step == "ask":
        ask_for(web, visit.person, task)
    elif step == "retract":
        writing.retract(web.desk, visit.person, task)
        return go(place("write", campaign))
    elif step == "edit":
        found = writing.show_prompt(web.desk, visit.person, task)
        return _form(web, visit, here, {"text": found.prompt, "category": found.category, "parent": task})
    else:
        found = writing.show_prompt(web.desk, visit.person, task)
        sending = {"key": form.text("key"), "task": task, "answer": claims_of(form, len(found.replies))}
        writing.claim_unsafe(web.desk, visit.person, sending)
    return go(place("write", campaign, task))


HANDLERS = [write_page, write, claim_page, claim]
