"""People: accounts under pseudonyms, roles and invitations (`sessions`: passwords, signing in, rate limits).

A person is never deleted. Who leaves is deactivated: leases are freed, roles revoked, sign-in closed; what they judged stays under the
pseudonym. Tokens (invitations, sessions) are 256 random bits of which only the hash is stored.
"""

from __future__ import annotations

import re
import secrets
import unicodedata
from collections.abc import Iterable, Sequence

import msgspec
import sqlalchemy as sa

from cvalues.people import queries
from cvalues.people.desk import Desk, Tx, begin_chain
from cvalues.people.errors import BadAnswer, NoSuch, NotAllowed, SignInFailed
from cvalues.people.forms import ROLES
from cvalues.people.sessions import hash_password, token_hash
from cvalues.schema import Record
from cvalues.study import tables

_HANDLE = re.compile(r"[\w][\w.@-]{1,63}")


class Account(Record, frozen=True, kw_only=True):
    """A person as managers see them."""

    person: str
    """Pseudonym, for example `a17`; the rater of their verdicts is `person:a17`."""
    handle: str
    name: str
    state: str
    locale: str
    created: str
    roles: tuple[tuple[str, str], ...] = ()
    """(campaign, role); an empty campaign is every campaign."""


class Offer(Record, frozen=True, kw_only=True):
    """What an invitation is to be for."""

    role: str
    campaign: str = ""
    """Empty: every campaign."""
    categories: tuple[str, ...] = ()
    uses: int = 1
    days: float = 14.0


class Invited(Record, frozen=True, kw_only=True):
    """What an invitation is for."""

    campaign: str
    role: str
    categories: tuple[str, ...]
    expires: float


# --- people -------------------------------------------------------------------------------------------------------------


def add_person(
    desk: Desk, handle: str, *, name: str = "", password: str | None = None, locale: str = "zh", actor: str = ""
) -> str:
    """Makes an account and returns its pseudonym.

    Raises:
        BadAnswer: the handle is taken or has other characters than letters, digits, `. - _ @`, or the password is too weak.
    """
    digest = hash_password(password, handle) if password is not None else None
    return desk.write(lambda tx: _add(tx, handle, name, digest, locale, actor))


def _add(tx: Tx, handle: str, name: str, digest: str | None, locale: str, actor: str) -> str:
    given = unicodedata.normalize("NFKC", handle).strip()
    if not _HANDLE.fullmatch(given):
        raise BadAnswer("the handle: expected 2 to 64 letters, digits, or . - _ @")
    if tx.first(sa.select(tables.person.c.id).where(tables.person.c.handle == given.casefold())) is not None:
        raise BadAnswer(f"the handle '{given}' is taken; choose another")
    begin_chain(tx)
    row = tx.first(sa.select(tables.desk.c.prefix, tables.desk.c.people).with_for_update())
    number, prefix = (row.people, row.prefix) if row is not None else (0, "a")
    while True:  # people who came with an import have pseudonyms too
        number += 1
        pseudonym = f"{prefix}{number}"
        if tx.first(sa.select(tables.person.c.id).where(tables.person.c.id == pseudonym)) is None:
            break
    tx.update(tables.desk, tables.desk.c.id == 1, people=number)
    tx.insert(
        tables.person, id=pseudonym, mark=secrets.token_hex(16), handle=given.casefold(), name=name[:200], password=digest,
        state="active", locale="en" if locale == "en" else "zh", created=tx.time,
    )  # fmt: skip
    tx.log(actor or pseudonym, "person", pseudonym)
    return pseudonym


def init_people(desk: Desk, prefix: str = "a") -> bool:
    """Prepares a study for people and returns whether that was new; `prefix` (letters) begins its pseudonyms.

    Two studies that are to be merged one day need different prefixes.

    Raises:
        BadAnswer: the prefix is not one to eight small letters.
    """
    if not re.fullmatch("[a-z]{1,8}", prefix):
        raise BadAnswer(f"'{prefix}' is no prefix of pseudonyms; expected one to eight small letters")

    def work(tx: Tx) -> bool:
        fresh = tx.first(sa.select(tables.desk.c.id)) is None
        begin_chain(tx, prefix)
        if fresh:
            tx.log("", "init", prefix)
        return fresh

    return desk.write(work)


def find_person(desk: Desk, who: str) -> str:
    """Returns the pseudonym of a handle or pseudonym; raises NoSuch."""
    p = tables.person.c
    with desk.glancing() as connection:
        found = (
            connection.execute(sa.select(p.id).where((p.id == who) | (p.handle == who.casefold()))).scalars().first()
        )
    if found is None:
        raise NoSuch(f"there is no person '{who}'; see  cvalues people status")
    return str(found)


def list_people(desk: Desk, campaign: str | None = None) -> list[Account]:
    """Returns all accounts by pseudonym, or those with a role in a campaign; empty for none."""
    g = tables.role_grant.c
    with desk.reading() as connection:
        grants = connection.execute(sa.select(g.person, g.campaign, g.role).where(g.revoked.is_(None))).all()
        rows = connection.execute(sa.select(tables.person)).all()
    roles: dict[str, list[tuple[str, str]]] = {}
    for grant in grants:
        roles.setdefault(grant.person, []).append((grant.campaign, grant.role))
    found = [
        Account(
            person=row.id, handle=row.handle or "", name=row.name, state=row.state, locale=row.locale, created=row.created,
            roles=tuple(sorted(roles.get(row.id, []))),
        )
        for row in rows
        if campaign is None or any(place in {"", campaign} for place, _ in roles.get(row.id, []))
    ]  # fmt: skip
    return sorted(found, key=lambda account: (len(account.person), account.person))


def set_person_state(desk: Desk, person: str, state: str, *, actor: str = "") -> None:
    """Makes a person `active`, `paused` or `deactivated`. Leases of who is not active are free at once; work stays.

    Raises:
        NoSuch: there is no such person.
        BadAnswer: there is no such state.
    """
    if state not in {"active", "paused", "deactivated"}:
        raise BadAnswer(f"there is no state '{state}' of a person; choose active, paused or deactivated")

    def work(tx: Tx) -> None:
        if not tx.update(tables.person, tables.person.c.id == person, state=state):
            raise NoSuch(f"there is no person '{person}'; see  cvalues people status")
        if state != "active":
            s = tables.slot.c
            held = tx.all(
                sa.select(s.task, s.n)
                .where(s.person == person, s.state == "leased", s.duty != "gold")
                .with_for_update()
            )
            for row in held:
                tx.update(tables.slot, (s.task == row.task) & (s.n == row.n), state="open", person=None, lease=None)
        if state == "deactivated":
            gone = tables.session.c.person == person
            tx.update(tables.session, gone & tables.session.c.revoked.is_(None), revoked=tx.now)
        tx.log(actor, f"person-{state}", person)

    desk.write(work)


def forget_person(desk: Desk, person: str, *, actor: str = "") -> None:
    """Deactivates a person and blanks handle, name and password; judgements stay under the pseudonym."""
    set_person_state(desk, person, "deactivated", actor=actor)

    def work(tx: Tx) -> None:
        tx.update(tables.person, tables.person.c.id == person, handle=None, name="", password=None)
        g = tables.role_grant.c
        tx.update(tables.role_grant, (g.person == person) & g.revoked.is_(None), revoked=tx.time)
        tx.log(actor, "forget", person)

    desk.write(work)


# --- roles ----------------------------------------------------------------------------------------------------------------


def check_role(role: str) -> None:
    """Raises BadAnswer when there is no such role."""
    if role not in ROLES:
        raise BadAnswer(f"there is no role '{role}'; choose {', '.join(ROLES)}")


def grant_role(
    desk: Desk, person: str, role: str, campaign: str = "", *, categories: Sequence[str] = (), actor: str = ""
) -> None:
    """Gives a person a role in a campaign (every campaign when empty), in some categories or all; may be repeated."""
    check_role(role)
    desk.write(lambda tx: _grant(tx, person, (campaign, role, tuple(categories)), actor))


def _grant(tx: Tx, person: str, what: tuple[str, str, tuple[str, ...]], actor: str) -> None:
    campaign, role, categories = what
    g = tables.role_grant.c
    values = {
        "categories": msgspec.json.encode(categories).decode(), "granted_by": actor, "granted": tx.time, "revoked": None,
    }  # fmt: skip
    key = (g.person == person) & (g.campaign == campaign) & (g.role == role)
    if not tx.update(tables.role_grant, key, **values):
        tx.insert(tables.role_grant, person=person, campaign=campaign, role=role, **values)
    tx.log(actor, "grant", person, role=role, campaign=campaign, categories=list(categories))


def revoke_role(desk: Desk, person: str, role: str, campaign: str = "", *, actor: str = "") -> None:
    """Takes a role away; work that was done with it stays."""
    g = tables.role_grant.c

    def work(tx: Tx) -> None:
        key = (g.person == person) & (g.campaign == campaign) & (g.role == role) & g.revoked.is_(None)
        if tx.update(tables.role_grant, key, revoked=tx.time):
            tx.log(actor, "revoke", person, role=role, campaign=campaign)

    desk.write(work)


def roles_in(connection: sa.Connection, person: str, campaign: str) -> dict[str, tuple[str, ...]]:
    """Returns the person's roles in a campaign, each with its categories (empty: all); empty without any."""
    return merged(connection.execute(queries.roles(), {"who": person, "campaign": campaign}))


def merged(grants: Iterable[sa.Row[tuple[object, ...]]]) -> dict[str, tuple[str, ...]]:
    """Returns roles with their categories (empty: all) from rows with `role` and `categories`; several grants of a role add up."""
    found: dict[str, tuple[str, ...]] = {}
    for row in grants:
        categories = tuple(msgspec.json.decode(row.categories))
        both = row.role in found and categories and found[row.role]
        found[row.role] = (*found[row.role], *categories) if both else () if row.role in found else categories
    return found


def has_role(desk: Desk, person: str, role: str, campaign: str = "") -> bool:
    """Returns whether an active person has a role in a campaign; a manager of every campaign is one of each."""
    with desk.glancing() as connection:
        state = connection.execute(sa.select(tables.person.c.state).where(tables.person.c.id == person)).scalar()
        return state == "active" and role in roles_in(connection, person, campaign)


def need_role(desk: Desk, person: str, role: str, campaign: str = "") -> None:
    """Raises NotAllowed when the person lacks a role."""
    if not has_role(desk, person, role, campaign):
        raise NotAllowed(f"this needs the role '{role}'; a manager can grant it")


def has_manager(desk: Desk) -> bool:
    """Returns whether some active person manages every campaign."""
    g, p = tables.role_grant.c, tables.person.c
    query = (
        sa.select(g.person)
        .join(tables.person, p.id == g.person)
        .where(g.role == "manager", g.campaign == "", g.revoked.is_(None), p.state == "active")
    )
    with desk.glancing() as connection:
        return connection.execute(query).first() is not None


# --- invitations ------------------------------------------------------------------------------------------------------------


def invite(desk: Desk, offer: Offer, *, actor: str = "") -> str:
    """Makes an invitation and returns its token, which is shown once: only its hash is stored.

    Raises:
        BadAnswer: there is no such role, or uses or days are not above 0.
        NoSuch: there is no such campaign.
    """
    check_role(offer.role)
    if offer.uses < 1 or offer.days <= 0:
        raise BadAnswer("an invitation: expected uses and days above 0")
    token = secrets.token_urlsafe(32)

    def work(tx: Tx) -> None:
        c = tables.campaign.c
        if offer.campaign and tx.first(sa.select(c.name).where(c.name == offer.campaign)) is None:
            raise NoSuch(f"there is no campaign '{offer.campaign}' to invite to")
        tx.insert(
            tables.invitation, id=token_hash(token), campaign=offer.campaign, role=offer.role, uses=0, most_uses=offer.uses,
            categories=msgspec.json.encode(offer.categories).decode(), expires=tx.now + 86400 * offer.days, made_by=actor, revoked=None,
        )  # fmt: skip
        tx.log(actor, "invite", token_hash(token)[:12], role=offer.role, campaign=offer.campaign, uses=offer.uses)

    desk.write(work)
    return token


def invitation(desk: Desk, token: str) -> Invited | None:
    """Returns what a token invites to, None when it is unknown, used up, revoked or expired."""
    with desk.glancing() as connection:
        row = connection.execute(
            sa.select(tables.invitation).where(tables.invitation.c.id == token_hash(token))
        ).first()
    return _invited(row, desk.now)


def _invited(row: sa.Row[tuple[object, ...]] | None, now: float) -> Invited | None:
    if row is None or row.revoked is not None or row.uses >= row.most_uses or row.expires <= now:
        return None
    return Invited(
        campaign=row.campaign, role=row.role, categories=tuple(msgspec.json.decode(row.categories)), expires=row.expires
    )


def revoke_invitation(desk: Desk, token: str, *, actor: str = "") -> None:
    """Makes an invitation void."""

    def work(tx: Tx) -> None:
        tx.update(tables.invitation, tables.invitation.c.id == token_hash(token), revoked=tx.time)
        tx.log(actor, "invitation-revoked", token_hash(token)[:12])

    desk.write(work)


def accept(desk: Desk, token: str, handle: str, password: str, *, name: str = "", locale: str = "zh") -> str:
    """Makes an account from an invitation and returns its pseudonym; a token makes as many accounts as it has uses.

    Raises:
        SignInFailed: the invitation is not valid any more.
        BadAnswer: handle or password cannot be taken; the invitation is not used up by that.
    """
    if invitation(desk, token) is None:
        raise SignInFailed("this invitation is unknown, used or expired; ask for a new one")
    digest = hash_password(password, handle)

    def work(tx: Tx) -> str:
        what = _use(tx, token)
        person = _add(tx, handle, name, digest, locale, "")
        _grant(tx, person, what, "invitation")
        return person

    return desk.write(work)


def accept_as(desk: Desk, token: str, person: str) -> None:
    """Uses an invitation for an account that exists; raises SignInFailed when it is not valid any more."""
    desk.write(lambda tx: _grant(tx, person, _use(tx, token), "invitation"))


def _use(tx: Tx, token: str) -> tuple[str, str, tuple[str, ...]]:
    i = tables.invitation.c
    row = tx.first(sa.select(tables.invitation).where(i.id == token_hash(token)).with_for_update())
    found = _invited(row, tx.now)
    if row is None or found is None:
        raise SignInFailed("this invitation is unknown, used or expired; ask for a new one")
    tx.update(tables.invitation, i.id == row.id, uses=row.uses + 1)
    return found.campaign, found.role, found.categories
