"""A manager's pages of campaigns: the list, a new one, how one goes, its settings, its people, and export."""

from __future__ import annotations

import tempfile
import zipfile
from pathlib import Path
from typing import Any

import msgspec
from litestar import Request, Response, get, post
from litestar.background_tasks import BackgroundTask
from litestar.params import FromPath
from litestar.response import File

from cvalues.errors import CValuesError, NotEnoughData
from cvalues.people import holding
from cvalues.people.accounts import find_person
from cvalues.people.agreeing import Agreement, agreement
from cvalues.people.campaigns import (
    change_settings,
    get_campaign,
    list_campaigns,
    publish_guideline,
    set_state,
    templates,
)
from cvalues.people.errors import BadAnswer
from cvalues.people.explain import explain_person, stuck
from cvalues.people.export import export_campaign
from cvalues.people.forms import KINDS
from cvalues.people.importing import import_file
from cvalues.people.planner import Plan, tables
from cvalues.people.progress import counters, headline
from cvalues.people.quality import quality
from cvalues.people.rates import attack_rates
from cvalues.people.web import reading
from cvalues.people.web.forms import settings_of
from cvalues.people.web.pages_account import confirmed, to_confirm
from cvalues.people.web.rendering import TheForm, TheVisit, TheWeb, Web, go, place
from cvalues.people.web.security import ANY_MANAGER, CAMPAIGN_MANAGER, MANAGER, Visit
from cvalues.people.web.threads import threaded

UPLOAD_LIMIT = 64 * 1024 * 1024
_SHOWN = (
    "overlap", "third_on_disagreement", "most_votes", "order", "adjudicate", "consent", "sensitive", "daily_items", "daily_minutes",
    "daily_sensitive", "break_minutes", "utc_offset", "lease_minutes", "gold_share", "gold_gap", "gold_gate", "qualify_items",
    "qualify_pass", "contact",
)  # fmt: skip
_OF_KIND = {
    "attack": ("categories", "quotas", "models", "samples", "keep_unsafe", "mix_share"),
    "expert": (
        "categories",
        "quotas",
        "models",
        "samples",
        "double_share",
        "review",
        "rewrite_below",
        "spread",
        "gold_tolerance",
    ),
    "judge-responsibility": ("spread", "gold_tolerance"),
}
_PLAN = (
    ("items", "", "", ""), ("rate", 0, 1, 0.01), ("models", 2, 100, 1), ("discordance", 0, 1, 0.01), ("people", 1, 100_000, 1),
    ("votes", 1, 99, 1), ("accuracy", 0, 1, 0.01), ("seconds", 1, 86_400, 1),
)  # fmt: skip
"""Fields of the planner's form with their lowest and highest value and the step."""


@get("/manage", opt={"access": ANY_MANAGER}, include_in_schema=False)
@threaded
def overview(web: TheWeb, visit: TheVisit) -> Response[Any]:
    """All campaigns that the person manages."""
    names = reading.managed(web.desk, visit.person)
    rows = [one for one in list_campaigns(web.desk) if "" in names or one.name in names]
    shown = [(one, counters(web.desk, one.name)) for one in rows]
    return web.page(visit, "manage.html.j2", campaigns=shown, everywhere="" in names)


@get("/manage/new", opt={"access": MANAGER}, include_in_schema=False)
@threaded
def new_page(web: TheWeb, visit: TheVisit) -> Response[Any]:
    """The form for a campaign, with the fields of the command line."""
    return _new(web, visit, {})


def _new(web: Web, visit: Visit, given: dict[str, str], *, message: str = "", status: int = 200) -> Response[Any]:
    return web.page(
        visit, "new.html.j2", status=status, kinds=KINDS, templates=templates(), runs=web.ports.runs(), given=given, message=message,
        campaigns=list_campaigns(web.desk),
    )  # fmt: skip


@post("/manage/new", opt={"access": MANAGER, "form": True}, include_in_schema=False)
@threaded
def new(web: TheWeb, visit: TheVisit, form: TheForm) -> Response[Any]:
    """Makes a campaign and its tasks; sending it again adds nothing."""
    given = {
        name: form.text(name).strip()
        for name in (
            "kind",
            "name",
            "source",
            "sample",
            "overlap",
            "third",
            "seed",
            "models",
            "side_by_side",
            "settings",
        )
    }
    try:
        settings = settings_of(given["settings"])
        overlap = form.number("overlap")
        if overlap is not None:
            settings["overlap"] = overlap
        if given["third"]:
            settings = {"overlap": 2, **settings, "third_on_disagreement": True}
        if given["models"]:
            settings["models"] = given["models"].split()
        fields = {
            "kind": given["kind"], "name": given["name"], "source": given["source"], "sample": form.number("sample"),
            "seed": form.number("seed") or 0, "settings": settings, "side_by_side": given["side_by_side"] or "samples",
        }  # fmt: skip
        made = web.ports.new_campaign(web.desk, fields, visit.person)
    except (CValuesError, msgspec.ValidationError) as error:
        return _new(web, visit, given, message=web.ports.translate(str(error), visit.language), status=422)
    return go(place("manage", made.campaign.name))


def _plan_of(given: dict[str, str]) -> Plan:
    fields = {name: value for name, value in given.items() if value and name != "items"}
    try:
        sizes = tuple(int(part) for part in given["items"].replace(",", " ").split()[:20])
        return msgspec.convert({**fields, "items": sizes or Plan().items}, Plan, strict=False)
    except (ValueError, msgspec.ValidationError) as error:
        raise BadAnswer("the plan: expected numbers, for example 100 300 1300") from error


@get("/plan", opt={"access": ANY_MANAGER}, include_in_schema=False)
@threaded
def plan(web: TheWeb, visit: TheVisit, request: Request[Any, Any, Any]) -> Response[Any]:
    """How many items, people and votes a campaign needs; nothing is stored."""
    known = Plan()
    given = {name: request.query_params.get(name, "") for name, *_ in _PLAN}
    shown = {name: given[name] or getattr(known, name) for name in given}
    shown["items"] = given["items"] or " ".join(map(str, known.items))
    message, found = "", []
    try:
        found = tables(_plan_of(given), visit.language)
    except CValuesError as error:
        message = str(error)
    return web.page(
        visit, "plan.html.j2", status=422 if message else 200, given=shown, fields=_PLAN, tables=found,
        message=web.ports.translate(message, visit.language),
    )  # fmt: skip


@get("/manage/{campaign:str}", opt={"access": CAMPAIGN_MANAGER}, include_in_schema=False)
@threaded
def dashboard(web: TheWeb, visit: TheVisit, campaign: FromPath[str]) -> Response[Any]:
    """How a campaign goes: progress, scores, agreement with intervals, what is stuck and why."""
    found, _ = get_campaign(web.desk, campaign)
    progress = counters(web.desk, campaign)
    depends = (progress.submissions, tuple(sorted(progress.tasks.items())))
    return web.page(
        visit, "dashboard.html.j2", campaign=found, progress=progress, stuck=stuck(web.desk, campaign, 20),
        scores=web.keep(f"scores:{campaign}", depends, lambda: headline(web.desk, campaign)),
        agreement=web.keep(f"agreement:{campaign}", depends, lambda: _agreement(web, campaign)),
        rates=attack_rates(web.desk, campaign) if found.kind == "attack" else [], waiting=reading.waiting(web.desk, campaign, 20),
    )  # fmt: skip


def _agreement(web: Web, campaign: str) -> Agreement | None:
    try:
        return agreement(web.desk, campaign)
    except NotEnoughData:
        return None


@get("/manage/{campaign:str}/people", opt={"access": CAMPAIGN_MANAGER}, include_in_schema=False)
@threaded
def members(web: TheWeb, visit: TheVisit, campaign: FromPath[str], request: Request[Any, Any, Any]) -> Response[Any]:
    """Everybody's figures, and why one person gets what they get."""
    found, _ = get_campaign(web.desk, campaign)
    progress = counters(web.desk, campaign)
    figures = web.keep(
        f"quality:{campaign}",
        (progress.submissions, progress.skipped, progress.people),
        lambda: quality(web.desk, campaign),
    )
    who = request.query_params.get("person", "")
    reasons = explain_person(web.desk, campaign, who) if who else []
    return web.page(visit, "members.html.j2", campaign=found, figures=figures, who=who, reasons=reasons)


@post(
    "/manage/{campaign:str}/people",
    opt={"access": CAMPAIGN_MANAGER, "form": True},
    include_in_schema=False,
)
@threaded
def member_state(web: TheWeb, visit: TheVisit, campaign: FromPath[str], form: TheForm) -> Response[Any]:
    """Pauses a person in a campaign, or lets them work again."""
    person = find_person(web.desk, form.text("person"))
    holding.set_member_state(web.desk, campaign, person, form.text("state"), actor=visit.person, why=form.text("why"))
    web.kept.pop(f"quality:{campaign}", None)
    return go(place("manage", campaign, "people") + "?person=" + person)


@post(
    "/manage/{campaign:str}/state",
    opt={"access": CAMPAIGN_MANAGER, "form": True},
    include_in_schema=False,
)
@threaded
def state(web: TheWeb, visit: TheVisit, campaign: FromPath[str], form: TheForm) -> Response[Any]:
    """Opens, pauses or closes a campaign."""
    set_state(web.desk, campaign, form.text("state"), actor=visit.person)
    return go(place("manage", campaign))


@get("/manage/{campaign:str}/settings", opt={"access": CAMPAIGN_MANAGER}, include_in_schema=False)
@threaded
def settings_page(web: TheWeb, visit: TheVisit, campaign: FromPath[str]) -> Response[Any]:
    """The settings of a campaign, its guideline, and the form to add gold items from a file."""
    return _settings(web, visit, campaign)


def _settings(
    web: Web, visit: Visit, campaign: str, *, message: str = "", status: int = 200, note: str = ""
) -> Response[Any]:
    found, _ = get_campaign(web.desk, campaign)
    names = _SHOWN + _OF_KIND.get(found.kind, ())
    lines = "\n".join(f"{name} = {msgspec.json.encode(getattr(found, name)).decode()}" for name in names)
    return web.page(
        visit, "settings.html.j2", status=status, campaign=found, lines=lines, names=names, message=message, note=note
    )


@post(
    "/manage/{campaign:str}/settings",
    opt={"access": CAMPAIGN_MANAGER, "form": True},
    include_in_schema=False,
)
@threaded
def settings(web: TheWeb, visit: TheVisit, campaign: FromPath[str], form: TheForm) -> Response[Any]:
    """Changes settings of a campaign; votes that stand stay."""
    try:
        change_settings(web.desk, campaign, settings_of(form.text("settings")), actor=visit.person)
    except CValuesError as error:
        return _settings(web, visit, campaign, message=web.ports.translate(str(error), visit.language), status=422)
    return go(place("manage", campaign, "settings"))


@post(
    "/manage/{campaign:str}/guideline",
    opt={"access": CAMPAIGN_MANAGER, "form": True},
    include_in_schema=False,
)
@threaded
def guideline(web: TheWeb, visit: TheVisit, campaign: FromPath[str], form: TheForm) -> Response[Any]:
    """Publishes new guidelines."""
    texts = {"zh": form.text("zh"), "en": form.text("en")}
    publish_guideline(web.desk, campaign, texts, major=bool(form.text("major")), actor=visit.person)
    return go(place("manage", campaign, "settings"))


@post(
    "/manage/{campaign:str}/import", opt={"access": CAMPAIGN_MANAGER, "form": True}, include_in_schema=False,
    request_max_body_size=UPLOAD_LIMIT,
)  # fmt: skip
@threaded
def import_tasks(web: TheWeb, visit: TheVisit, campaign: FromPath[str], form: TheForm) -> Response[Any]:
    """Adds tasks, gold items and older judgements from an uploaded JSON Lines file."""
    given = form.file("file")
    if given is None or not given.filename:
        raise BadAnswer("the form is not complete; open the page again")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "upload.jsonl"
        path.write_bytes(given.file.read())
        try:
            found = import_file(web.desk, campaign, path, dry_run=bool(form.text("dry")))
        except CValuesError as error:
            message = web.ports.translate(str(error), visit.language).replace(str(path), given.filename)
            return _settings(web, visit, campaign, message=message, status=422)
    first = "; ".join(f"{one.line}: {web.ports.translate(one.why, visit.language)}" for one in found.rejects[:5])
    note = f"{found.rows} / {found.tasks} / {found.votes} / {found.rejected}" + (f" ({first})" if first else "")
    return _settings(web, visit, campaign, note=note)


@get("/manage/{campaign:str}/export", opt={"access": CAMPAIGN_MANAGER}, include_in_schema=False)
@threaded
def export(web: TheWeb, visit: TheVisit, campaign: FromPath[str]) -> Any:
    """Everything of a campaign as one zip file; asks for the password first."""
    if not confirmed(web, visit):
        return to_confirm(place("manage", campaign, "export"))
    folder = tempfile.TemporaryDirectory(prefix="cvalues-export-")
    room = Path(folder.name)
    export_campaign(web.desk, campaign, room / "files")
    with zipfile.ZipFile(room / "export.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted((room / "files").iterdir()):
            archive.write(path, path.name)
    web.desk.write(lambda tx: tx.log(visit.person, "export", campaign))
    return File(
        room / "export.zip", filename="export.zip", media_type="application/zip", background=BackgroundTask(folder.cleanup),
        content_disposition_type="attachment",
    )  # fmt: skip


HANDLERS = [
    overview, new_page, new, plan, dashboard, members, member_state, state, settings_page, settings, guideline, import_tasks, export,
]  # fmt: skip
