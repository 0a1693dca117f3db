"""What the scripts of the pages send and ask: answers, decisions, claims, drafts, signs of life.

Every answer has a key that the browser made; sending it again is harmless. No error makes the browser drop what a person wrote.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import Request, Response, get, post, put
from litestar.params import FromPath, JSONBody, PathParameter

from cvalues.people import decide, holding, sessions, submit, writing
from cvalues.people.campaigns import get_campaign
from cvalues.people.errors import NeverAssigned
from cvalues.people.forms import Answer, Receipt, Sending, Vote
from cvalues.people.web import pages_account, reading
from cvalues.people.web.rendering import TheVisit, TheWeb, Web
from cvalues.people.web.security import PUBLIC, SIGNED_IN, Bucket
from cvalues.people.web.threads import threaded
from cvalues.schema import Record

Key = Annotated[str, PathParameter(pattern="^[A-Za-z0-9_-]{8,64}$", description="Made by the client, once per answer.")]
Task = Annotated[str, PathParameter(max_length=64)]
_SENDING = Bucket(per_minute=240, burst=120)
_TYPING = Bucket(per_minute=240, burst=120)


class Draft(Record, frozen=True, kw_only=True):
    """An unfinished answer."""

    body: dict[str, Any]
    revision: Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class Beat(Record, frozen=True, kw_only=True):
    """That a task is open in front of somebody."""

    opened: bool = False
    revealed: bool = False


class Held(Record, frozen=True, kw_only=True):
    """Until when a task is kept for somebody; None when it was given to somebody else meanwhile, which changes nothing for them."""

    until: float | None


class Skip(Record, frozen=True, kw_only=True):
    """Why somebody skips a task."""

    reason: Annotated[str, msgspec.Meta(max_length=40)]
    note: Annotated[str, msgspec.Meta(max_length=1000)] = ""


class Typing(Record, frozen=True, kw_only=True):
    """A prompt that is being written."""

    text: Annotated[str, msgspec.Meta(max_length=20_000)]


class Door(Record, frozen=True, kw_only=True):
    """Handle and password."""

    handle: Annotated[str, msgspec.Meta(max_length=200)]
    password: Annotated[str, msgspec.Meta(max_length=1000)]


class Entered(Record, frozen=True, kw_only=True):
    """A new session: who it is, and the token of its forms."""

    person: str
    csrf: str


class Done(Record, frozen=True, kw_only=True):
    """That it is done."""

    done: bool = True
    count: int = 0


def _sending(key: str, data: Answer) -> Sending:
    return Sending(
        key=key, task=data.task, answer=data.answer, active_ms=data.active_ms, wall_ms=data.wall_ms, confidence=data.confidence,
        sent=data.sent,
    )  # fmt: skip


@put("/api/v1/answers/{key:str}", opt={"access": SIGNED_IN}, status_code=200)
@threaded
def put_answer(web: TheWeb, visit: TheVisit, key: Key, data: JSONBody[Answer]) -> Receipt:
    """Stores an answer; the receipt has the hash of what was stored."""
    _SENDING.take(visit.person)
    return submit.submit(web.desk, visit.person, _sending(key, data))


@put("/api/v1/decisions/{key:str}", opt={"access": SIGNED_IN}, status_code=200)
@threaded
def put_decision(web: TheWeb, visit: TheVisit, key: Key, data: JSONBody[Answer]) -> decide.Ruled:
    """Stores a decision; what comes back are the votes, which may be seen now."""
    _SENDING.take(visit.person)
    return decide.adjudicate(web.desk, visit.person, _sending(key, data))


@put("/api/v1/claims/{key:str}", opt={"access": SIGNED_IN}, status_code=200)
@threaded
def put_claim(web: TheWeb, visit: TheVisit, key: Key, data: JSONBody[Answer]) -> Receipt:
    """Stores what the author of a prompt says of the replies."""
    _SENDING.take(visit.person)
    return writing.claim_unsafe(web.desk, visit.person, _sending(key, data))


@put("/api/v1/drafts/{task:str}", opt={"access": SIGNED_IN}, status_code=200)
@threaded
def put_draft(web: TheWeb, visit: TheVisit, task: Task, data: JSONBody[Draft]) -> Done:
    """Keeps an unfinished answer; `count` is the revision that is kept."""
    _TYPING.take(visit.person)
    return Done(count=holding.save_draft(web.desk, visit.person, task, data.body, data.revision))


@post("/api/v1/heartbeats/{task:str}", opt={"access": SIGNED_IN}, status_code=200)
@threaded
def beat(web: TheWeb, visit: TheVisit, task: Task, data: JSONBody[Beat]) -> Held:
    """Keeps a task for the person who has it open."""
    return Held(until=holding.heartbeat(web.desk, visit.person, task, opened=data.opened, revealed=data.revealed))


@post("/api/v1/releases/{task:str}", opt={"access": SIGNED_IN}, status_code=200)
@threaded
def release(web: TheWeb, visit: TheVisit, task: Task) -> Done:
    """Lets go of a task that was not touched."""
    return Done(done=holding.release(web.desk, visit.person, task))


@post("/api/v1/skips/{task:str}", opt={"access": SIGNED_IN}, status_code=200)
@threaded
def skip(web: TheWeb, visit: TheVisit, task: Task, data: JSONBody[Skip]) -> Done:
    """Skips a task; no figure of quality counts it."""
    holding.skip(web.desk, visit.person, task, data.reason, data.note)
    return Done()


@get("/api/v1/votes/{task:str}", opt={"access": SIGNED_IN})
@threaded
def votes(web: TheWeb, visit: TheVisit, task: Task) -> list[Vote]:
    """The votes on a task for who has decided it."""
    return decide.votes(web.desk, visit.person, task)


@post("/api/v1/near/{campaign:str}", opt={"access": SIGNED_IN}, status_code=200)
@threaded
def near(web: TheWeb, visit: TheVisit, campaign: FromPath[str], data: JSONBody[Typing]) -> list[writing.Near]:
    """Prompts of a campaign that are like what is being written."""
    _TYPING.take(visit.person)
    if not {"author", "expert"} & set(reading.place_of(web.desk, visit.person, campaign).roles):
        raise NeverAssigned(
            "writing prompts needs the role author (in an attack campaign) or expert (in an expert campaign)"
        )
    return writing.like_it(web.desk, visit.person, campaign, data.text)


@post("/api/v1/asks/{task:str}", opt={"access": SIGNED_IN}, status_code=200)
@threaded
def ask(web: TheWeb, visit: TheVisit, task: Task) -> Done:
    """Has the models of the campaign answer a prompt of the person's own; `count` replies came."""
    return Done(count=ask_for(web, visit.person, task))


def ask_for(web: Web, person: str, task: str) -> int:
    """Has the models answer a prompt of the person's own, at most 10 a minute and 300 a day, and returns how many replies came."""
    written = writing.show_prompt(web.desk, person, task)
    if written.replies:
        return len(written.replies)
    sessions.take_token(web.desk, f"ask:{person}", per_minute=10, burst=10)
    sessions.take_token(web.desk, f"ask-day:{person}", per_minute=300 / 1440, burst=300)
    campaign, _ = get_campaign(web.desk, written.campaign)
    return writing.ask_models(web.desk, task, web.ports.asker(campaign))


@post("/api/v1/session", opt={"access": PUBLIC, "form": "open"}, status_code=200)
@threaded
def session(web: TheWeb, visit: TheVisit, data: JSONBody[Door], request: Request[Any, Any, Any]) -> Response[Entered]:
    """Signs in without leaving the page, so that nothing that is being written is lost."""
    token = pages_account.enter(web, data.handle, data.password, request, visit)
    fresh = sessions.session_of(web.desk, token)
    found = Entered(person=fresh.person, csrf=fresh.csrf) if fresh is not None else Entered(person="", csrf="")
    answer = Response(found, status_code=200)
    answer.set_cookie(pages_account.session_cookie(web, token))
    return answer


HANDLERS = [put_answer, put_decision, put_claim, put_draft, beat, release, skip, votes, near, ask, session]
