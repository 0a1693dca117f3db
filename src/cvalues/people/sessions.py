"""Signing in: passwords, sessions, and rate limits.

Passwords are argon2id hashes (19 MiB, 2 passes, 1 lane), at most two computed at once; an unknown account takes as long as a wrong
password. A session is 256 random bits in a cookie, of which only the hash is stored; it ends 12 h after its last use and after 7 days.
"""

from __future__ import annotations

import functools
import hashlib
import secrets
import threading
import unicodedata
from typing import TYPE_CHECKING

import sqlalchemy as sa

from cvalues.errors import MissingExtra
from cvalues.people.desk import Desk, Tx
from cvalues.people.errors import BadAnswer, SignInFailed, TooMany
from cvalues.schema import Record
from cvalues.study import tables

if TYPE_CHECKING:
    from argon2 import PasswordHasher

_PLAIN = (
    "password",
    "123456",
    "qwerty",
    "letmein",
    "iloveyou",
    "admin",
    "welcome",
    "abc123",
    "111111",
    "000000",
    "cvalues",
)
_HASHING = threading.Semaphore(2)
IDLE_SECONDS = 12 * 3600.0
WHOLE_SECONDS = 7 * 86400.0


class SessionState(Record, frozen=True, kw_only=True):
    """A session that is valid now."""

    person: str
    csrf: str
    confirmed: float
    """When the password was last given; ask for it again before exports, roles and unblinding."""
    locale: str


def token_hash(token: str) -> str:
    """Returns what is stored of a token."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


# --- passwords --------------------------------------------------------------------------------------------------------


@functools.cache
def _hasher() -> PasswordHasher:
    try:
        from argon2 import PasswordHasher
    except ModuleNotFoundError as error:
        raise MissingExtra("argon2-cffi", "people") from error
    return PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


def hash_password(password: str, handle: str = "") -> str:
    """Returns the argon2id hash of a password.

    Raises:
        BadAnswer: it is shorter than 12 characters, longer than 200, holds the handle, or is one that everybody tries first.
        MissingExtra: argon2-cffi is not installed.
    """
    text = unicodedata.normalize("NFKC", password)
    low = text.casefold()
    if not 12 <= len(text) <= 200:
        raise BadAnswer("the password: expected 12 to 200 characters; a sentence is easy to remember")
    if (
        len(set(text)) < 5
        or (handle and handle.casefold() in low)
        or any(low.replace(word, "") == "" for word in _PLAIN)
    ):
        raise BadAnswer("the password is one that others try first, or holds the handle; choose another")
    with _HASHING:
        return _hasher().hash(text)


@functools.cache
def _nobody() -> str:
    with _HASHING:
        return _hasher().hash(secrets.token_urlsafe(16))


def _fits(stored: str | None, password: str) -> bool:
    from argon2.exceptions import InvalidHashError, VerificationError

    digest = stored or _nobody()
    try:
        with _HASHING:
            _hasher().verify(digest, unicodedata.normalize("NFKC", password[:1000]))
    except (VerificationError, InvalidHashError, UnicodeEncodeError):
        return False
    return stored is not None


# --- sessions ------------------------------------------------------------------------------------------------------------


def sign_in(desk: Desk, handle: str, password: str) -> tuple[str, str]:
    """Checks a password and returns (pseudonym, session token).

    Call `take_token` for the account and the address first. A wrong account and a wrong password are the same error.

    Raises:
        SignInFailed: they do not fit, or the account is deactivated.
        MissingExtra: argon2-cffi is not installed.
    """
    p = tables.person.c
    given = unicodedata.normalize("NFKC", handle).strip().casefold()
    with desk.glancing() as connection:
        row = connection.execute(sa.select(p.id, p.password, p.state).where(p.handle == given)).first()
    fits = _fits(row.password if row is not None else None, password)
    if row is None or not fits or row.state == "deactivated":
        raise SignInFailed("handle and password do not fit")
    return row.id, open_session(desk, row.id)


def open_session(desk: Desk, person: str) -> str:
    """Opens a session and returns its token."""
    token = secrets.token_urlsafe(32)

    def work(tx: Tx) -> None:
        tx.insert(
            tables.session, id=token_hash(token), person=person, csrf=secrets.token_urlsafe(32), created=tx.now, seen=tx.now,
            confirmed=tx.now, revoked=None,
        )  # fmt: skip

    desk.write(work)
    return token


def session_of(desk: Desk, token: str) -> SessionState | None:
    """Returns the session of a token; None when it is unknown, ended, idle for 12 h, 7 days old, or its person is deactivated.

    The time of the last use is written at most once a minute.
    """
    s, p = tables.session.c, tables.person.c
    with desk.glancing() as connection:
        row = connection.execute(
            sa.select(tables.session, p.state, p.locale)
            .join(tables.person, p.id == s.person)
            .where(s.id == token_hash(token))
        ).first()
    now = desk.now
    if row is None or row.revoked is not None or row.state == "deactivated":
        return None
    if now - row.seen > IDLE_SECONDS or now - row.created > WHOLE_SECONDS:
        return None
    if now - row.seen > 60:
        desk.write(lambda tx: tx.update(tables.session, s.id == row.id, seen=tx.now))
    return SessionState(person=row.person, csrf=row.csrf, confirmed=row.confirmed, locale=row.locale)


def confirm_session(desk: Desk, token: str, password: str) -> None:
    """Takes the password again before something that matters; raises SignInFailed when it does not fit."""
    s, p = tables.session.c, tables.person.c
    with desk.glancing() as connection:
        stored = connection.execute(
            sa.select(p.password)
            .join(tables.session, p.id == s.person)
            .where(s.id == token_hash(token), s.revoked.is_(None))
        ).scalar()
    if not _fits(stored, password):
        raise SignInFailed("the password does not fit")
    desk.write(lambda tx: tx.update(tables.session, s.id == token_hash(token), confirmed=tx.now))


def close_session(desk: Desk, token: str) -> None:
    """Ends a session."""
    desk.write(lambda tx: tx.update(tables.session, tables.session.c.id == token_hash(token), revoked=tx.now))


def set_password(desk: Desk, person: str, password: str, *, actor: str = "") -> None:
    """Sets a password and ends all sessions of the person; errors as `hash_password`."""
    with desk.reading() as connection:
        handle = connection.execute(sa.select(tables.person.c.handle).where(tables.person.c.id == person)).scalar()
    digest = hash_password(password, handle or "")

    def work(tx: Tx) -> None:
        tx.update(tables.person, tables.person.c.id == person, password=digest)
        s = tables.session.c
        tx.update(tables.session, (s.person == person) & s.revoked.is_(None), revoked=tx.now)
        tx.log(actor or person, "password", person)

    desk.write(work)


def set_locale(desk: Desk, person: str, locale: str) -> None:
    """Keeps a person's language, `zh` or `en`."""
    desk.write(
        lambda tx: tx.update(tables.person, tables.person.c.id == person, locale="en" if locale == "en" else "zh")
    )


def take_token(desk: Desk, key: str, *, per_minute: float, burst: float, cost: float = 1.0) -> None:
    """Takes a token from the bucket of a key, for example `signin:HANDLE`; buckets refill evenly.

    Raises:
        TooMany: the bucket is empty; `retry_after` says for how many seconds.
    """
    b = tables.bucket.c
    name = token_hash(key)

    def work(tx: Tx) -> float:
        tx.add(tables.bucket, [{"key": name, "tokens": burst, "time": tx.now}])
        row = tx.connection.execute(sa.select(tables.bucket).where(b.key == name).with_for_update()).one()
        tokens = min(burst, row.tokens + max(0.0, tx.now - row.time) * per_minute / 60)
        left = tokens - cost
        tx.update(tables.bucket, b.key == name, tokens=max(left, 0.0) if left >= 0 else tokens, time=tx.now)
        return float(left)

    left: float = desk.write(work)
    if left < 0:
        wait = -left * 60 / per_minute
        raise TooMany(f"too many tries; wait {wait:.0f} seconds", wait)
