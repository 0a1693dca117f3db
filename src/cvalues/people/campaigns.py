"""Campaigns: made from a kind or a template, opened, paused and closed, their guidelines changed.

`kinds()` and `templates()` are data (`data/people/`): titles, guidelines and reasons per language, quotas of the two templates.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from importlib import resources
from typing import Any, Literal, cast

import msgspec
import sqlalchemy as sa

from cvalues.errors import UsageError
from cvalues.people import queries
from cvalues.people.desk import Desk, Tx, iso
from cvalues.people.errors import BadAnswer, NoSuch
from cvalues.people.forms import CRITERION, KINDS, Campaign, Criterion, Kind
from cvalues.records import canonical
from cvalues.schema import Record
from cvalues.study import tables
from cvalues.taxonomy import Taxonomy, builtin

State = Literal["draft", "open", "paused", "closed"]
_STATES = ("draft", "open", "paused", "closed")
_NAME = re.compile(r"[\w][\w.-]{0,63}")
_CAMPAIGN = msgspec.json.Decoder(Campaign)


class KindText(Record, frozen=True, kw_only=True):
    """What is said of a kind of campaign, per language."""

    title: dict[str, str]
    guideline: dict[str, str]
    reasons: dict[str, dict[str, str]] = {}
    """Reasons that an annotator can tick, code → language → words."""


class Template(Record, frozen=True, kw_only=True):
    """A campaign that is ready to be made: its kind, its words, and the settings that differ from the kind's."""

    kind: Kind
    title: dict[str, str]
    level: Literal[1, 2]
    quota: int
    """Prompts that are wanted in all, spread evenly over the categories of the level."""
    settings: dict[str, Any] = {}


class Listed(Record, frozen=True, kw_only=True):
    """A campaign as a list shows it."""

    name: str
    kind: str
    state: str
    title: str
    created: str


@functools.cache
def kinds() -> dict[str, KindText]:
    """Returns what is said of each kind of campaign."""
    body = resources.files("cvalues").joinpath("data/people/kinds.toml").read_bytes()
    return msgspec.toml.decode(body, type=dict[str, KindText])


@functools.cache
def templates() -> dict[str, Template]:
    """Returns the campaign templates by name."""
    body = resources.files("cvalues").joinpath("data/people/templates.toml").read_bytes()
    return msgspec.toml.decode(body, type=dict[str, Template])


def campaign_of(
    kind: str, name: str, settings: dict[str, Any] | None = None, taxonomy: Taxonomy | None = None
) -> Campaign:
    """Returns the campaign of a kind or template, with these settings over its own; writes nothing.

    Raises:
        UsageError: there is no such kind or template.
        BadAnswer: a setting does not exist or is out of range.
    """
    template = templates().get(kind)
    if template is None and kind not in KINDS:
        raise UsageError(f"there is no kind of campaign '{kind}'; choose {', '.join([*KINDS, *templates()])}")
    real = cast("Kind", template.kind if template else kind)
    known = taxonomy or builtin()
    fields: dict[str, Any] = {
        "criterion": CRITERION[real],
        "guideline": kinds()[real].guideline,
        "title": (template.title if template else kinds()[real].title)["zh"],
        "consent": real in {"attack", "judge-safety"},
        "sensitive": [entry.code for entry in known.categories if entry.level == 1 and entry.harm >= 5],
        "overlap": 1 if real in {"expert", "adjudicate"} else 3,
        **(_template_fields(template, known) if template else {}),
        **(settings or {}),
    }
    try:
        campaign = msgspec.convert({**fields, "name": name, "kind": real}, Campaign)
    except msgspec.ValidationError as error:
        raise BadAnswer(f"campaign '{name}': {error}") from error
    _check(campaign)
    return campaign


def _template_fields(template: Template, taxonomy: Taxonomy) -> dict[str, Any]:
    codes = [entry.code for entry in taxonomy.at(template.level)]
    each, rest = divmod(template.quota, max(1, len(codes)))
    quotas = {code: each + (place < rest) for place, code in enumerate(codes)}
    return {"categories": codes, "quotas": quotas, **template.settings}


def _check(campaign: Campaign) -> None:
    why = _trouble(campaign)
    if why is not None:
        raise BadAnswer(f"campaign '{campaign.name}': {why}")


def _trouble(campaign: Campaign) -> str | None:
    """Returns what is wrong with a campaign's settings, None for nothing."""
    gap = campaign.gold_gap
    if not _NAME.fullmatch(campaign.name):
        return "a name has letters, digits, - _ and . only, 64 at most"
    if not 1 <= campaign.overlap <= 20 or not campaign.overlap <= max(campaign.most_votes, campaign.overlap) <= 20:
        return "overlap and most_votes are from 1 to 20"
    if not re.fullmatch(r"[1-9]\d*(\.\d+)?", campaign.guideline_version):
        return "guideline_version is a number like 1.0"
    if (
        not 0 < gap[0] <= gap[1]
        or not 0 <= campaign.gold_share <= 0.5
        or campaign.qualify_pass > campaign.qualify_items
    ):
        return "gold_gap is two numbers in order above 0, gold_share at most 0.5, qualify_pass at most qualify_items"
    if campaign.lease_minutes <= 0 or campaign.daily_items < 1 or campaign.daily_minutes <= 0:
        return "lease and daily caps are above 0"
    return None


def create_campaign(desk: Desk, campaign: Campaign, *, actor: str = "", state: State = "open") -> Campaign:
    """Records a campaign and returns it; may be repeated with the same settings.

    Raises:
        UsageError: the name belongs to another campaign or to a run.
    """
    _check(campaign)

    def work(tx: Tx) -> Campaign:
        found = tx.first(sa.select(tables.campaign.c.body).where(tables.campaign.c.name == campaign.name))
        if found is not None:
            if _CAMPAIGN.decode(found.body) != campaign:
                raise UsageError(f"campaign '{campaign.name}' exists with other settings; choose another name")
            return campaign
        if tx.first(sa.select(tables.run.c.name).where(tables.run.c.name == campaign.name)) is not None:
            raise UsageError(f"'{campaign.name}' is the name of a run; choose another name for the campaign")
        tx.insert(
            tables.campaign, name=campaign.name, kind=campaign.kind, state=state, created=tx.time,
            body=canonical(campaign).decode(),
        )  # fmt: skip
        tx.log(actor, "campaign", campaign.name, kind=campaign.kind, state=state)
        return campaign

    return desk.write(work)


def load_campaign(connection: sa.Connection, name: str) -> tuple[Campaign, str]:
    """Returns (campaign, state); raises NoSuch with the names there are."""
    row = connection.execute(queries.campaign(), {"campaign": name}).first()
    if row is None:
        raise no_campaign(connection, name)
    return decode_campaign(row.body), row.state


def decode_campaign(body: str) -> Campaign:
    """Returns a campaign from its column."""
    return _CAMPAIGN.decode(body)


def no_campaign(connection: sa.Connection, name: str) -> NoSuch:
    """Returns the error that a campaign does not exist, with the names there are."""
    c = tables.campaign.c
    names = connection.execute(sa.select(c.name).order_by(c.name)).scalars().all()
    return NoSuch(f"there is no campaign '{name}'; there are: {', '.join(names or ['-'])}")


def get_campaign(desk: Desk, name: str) -> tuple[Campaign, str]:
    """Returns (campaign, state); raises NoSuch."""
    with desk.glancing() as connection:
        return load_campaign(connection, name)


def list_campaigns(desk: Desk) -> list[Listed]:
    """Returns all campaigns, oldest first; empty for none."""
    c = tables.campaign.c
    with desk.glancing() as connection:
        rows = connection.execute(sa.select(tables.campaign).order_by(c.created, c.name))
        return [
            Listed(
                name=row.name,
                kind=row.kind,
                state=row.state,
                title=_CAMPAIGN.decode(row.body).title,
                created=row.created,
            )
            for row in rows
        ]


def set_state(desk: Desk, name: str, state: str, *, actor: str = "") -> None:
    """Opens, pauses or closes a campaign. Nothing that people still send is refused in any state.

    Raises:
        NoSuch: there is no such campaign.
        UsageError: there is no such state.
    """
    if state not in _STATES:
        raise UsageError(f"there is no campaign state '{state}'; choose {', '.join(_STATES)}")

    def work(tx: Tx) -> None:
        load_campaign(tx.connection, name)
        tx.update(tables.campaign, tables.campaign.c.name == name, state=state)
        tx.log(actor, f"campaign-{state}", name)

    desk.write(work)


def change_settings(desk: Desk, name: str, settings: dict[str, Any], *, actor: str = "") -> Campaign:
    """Changes settings of a campaign at work (caps, quotas, guidelines, models, rules) and returns it; votes that stand stay.

    What gives a task its identity or order (name, kind, criterion, seed) cannot change.

    Raises:
        BadAnswer: a setting does not exist, is out of range, or cannot change.
    """
    fixed = sorted({"name", "kind", "criterion", "seed"} & set(settings))
    if fixed:
        raise BadAnswer(f"campaign '{name}': {', '.join(fixed)} cannot change; make another campaign")

    def work(tx: Tx) -> Campaign:
        before, _ = load_campaign(tx.connection, name)
        try:
            after = msgspec.convert({**msgspec.to_builtins(before), **settings}, Campaign)
        except msgspec.ValidationError as error:
            raise BadAnswer(f"campaign '{name}': {error}") from error
        _check(after)
        tx.update(tables.campaign, tables.campaign.c.name == name, body=canonical(after).decode())
        tx.log(actor, "settings", name, fields=sorted(settings), guideline=after.guideline_version)
        return after

    return desk.write(work)


def publish_guideline(desk: Desk, name: str, text: dict[str, str], *, major: bool, actor: str = "") -> Campaign:
    """Publishes new guidelines (text per language) and returns the campaign; `major` asks everybody to qualify again."""
    with desk.glancing() as connection:
        before, _ = load_campaign(connection, name)
    first, _, second = before.guideline_version.partition(".")
    version = f"{int(first) + 1}.0" if major else f"{first}.{int(second or 0) + 1}"
    return change_settings(desk, name, {"guideline": text, "guideline_version": version}, actor=actor)


def is_sensitive(campaign: Campaign, category: str) -> bool:
    """Returns whether replies of a category are folded and capped."""
    return category in campaign.sensitive


def day_of(campaign: Campaign, now: float) -> str:
    """Returns the campaign's local date, `2026-01-31`, at which the caps of a day are counted."""
    return iso(now + 3600 * campaign.utc_offset)[:10]


def criterion_of(campaign: Campaign) -> Criterion:
    """Returns the criterion of the votes of a campaign."""
    return campaign.criterion


def known_categories(campaign: Campaign, taxonomy: Taxonomy | None = None) -> Sequence[str]:
    """Returns the categories in which an attack or expert campaign collects: its own, or all of its level."""
    if campaign.categories:
        return campaign.categories
    level = 2 if campaign.kind == "expert" else 1
    return [entry.code for entry in (taxonomy or builtin()).at(level)]
