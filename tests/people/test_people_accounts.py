"""Accounts, roles, invitations, passwords, sessions, rate limits, and the ledger that notes them."""

from __future__ import annotations

import contextlib
import threading

import pytest
import sqlalchemy as sa
from crowd import make_desk, start
from hypothesis import given, settings
from hypothesis import strategies as st

from cvalues.people import accounts, sessions
from cvalues.people.accounts import Offer
from cvalues.people.desk import Desk
from cvalues.people.errors import BadAnswer, NoSuch, NotAllowed, SignInFailed, TooMany
from cvalues.study import Study, ledger, open_study, tables

PASSWORD = "一句很长很好记的话 2026"


def test_an_invitation_makes_one_account(study: Study) -> None:
    """A token makes as many accounts as it has uses, only its hash is stored, and a taken handle or weak password uses nothing up."""
    desk, _ = make_desk(study)
    start(desk, count=0)
    token = accounts.invite(desk, Offer(role="annotator", campaign="c", categories=("law",)))
    found = accounts.invitation(desk, token)
    assert found is not None
    assert (found.role, found.campaign, found.categories) == ("annotator", "c", ("law",))
    with study.reading() as connection:
        assert token not in str(connection.execute(sa.select(tables.invitation)).all())
    with pytest.raises(BadAnswer, match="12 to 200 characters"):
        accounts.accept(desk, token, "li", "short")
    person = accounts.accept(desk, token, "Li", PASSWORD, name="李")
    assert person == "a1"
    assert accounts.has_role(desk, person, "annotator", "c")
    with pytest.raises(SignInFailed, match="unknown, used or expired"):
        accounts.accept(desk, token, "wang", PASSWORD)
    other = accounts.invite(desk, Offer(role="manager", uses=2))
    with pytest.raises(BadAnswer, match="is taken"):
        accounts.accept(desk, other, "LI", PASSWORD)
    accounts.accept_as(desk, other, person)
    assert accounts.has_manager(desk)
    accounts.revoke_invitation(desk, other)
    assert accounts.invitation(desk, other) is None
    assert [account.roles for account in accounts.list_people(desk, "c")] == [(("", "manager"), ("c", "annotator"))]


def test_one_use_is_one_use_however_many_try(study: Study) -> None:
    """Eight people who use a one-time link in the same moment make one account."""
    desk = Desk(study)
    token = accounts.invite(desk, Offer(role="annotator"))
    made: list[str] = []
    barrier = threading.Barrier(8)

    def go(number: int) -> None:
        barrier.wait()
        with contextlib.suppress(SignInFailed):
            made.append(accounts.accept(desk, token, f"person{number}", PASSWORD))

    threads = [threading.Thread(target=go, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(made) == 1
    assert len(accounts.list_people(desk)) == 1


def test_invitations_expire(study: Study) -> None:
    """An invitation is void after its days, and cannot be made for an unknown role, campaign, or no use."""
    desk, clock = make_desk(study)
    token = accounts.invite(desk, Offer(role="expert", days=2))
    clock.tick(2 * 86_400 + 1)
    assert accounts.invitation(desk, token) is None
    for offer, error in (
        (Offer(role="boss"), BadAnswer),
        (Offer(role="expert", uses=0), BadAnswer),
        (Offer(role="expert", campaign="x"), NoSuch),
    ):
        with pytest.raises(error):
            accounts.invite(desk, offer)


def test_signing_in(study: Study) -> None:
    """The right password opens a session; a wrong one, an unknown account and a deactivated one are the same error."""
    desk, clock = make_desk(study)
    person = accounts.add_person(desk, "li.hua@x", password=PASSWORD)
    who, token = sessions.sign_in(desk, "LI.HUA@x ", PASSWORD)
    assert who == person
    state = sessions.session_of(desk, token)
    assert state is not None
    assert (state.person, len(state.csrf) >= 43) == (person, True)
    messages = set()
    for handle, password in (("li.hua@x", PASSWORD + "x"), ("nobody", PASSWORD), ("li.hua@x", ""), ("'; --", "\ud800")):
        with pytest.raises(SignInFailed) as caught:
            sessions.sign_in(desk, handle, password)
        messages.add(str(caught.value))
    assert len(messages) == 1
    clock.tick(3600)
    with pytest.raises(SignInFailed):
        sessions.confirm_session(desk, token, "wrong")
    sessions.confirm_session(desk, token, PASSWORD)
    again = sessions.session_of(desk, token)
    assert again is not None
    assert again.confirmed == state.confirmed + 3600
    clock.tick(12 * 3600 + 1)
    assert sessions.session_of(desk, token) is None
    fresh = sessions.open_session(desk, person)
    sessions.close_session(desk, fresh)
    assert sessions.session_of(desk, fresh) is None
    last = sessions.open_session(desk, person)
    sessions.set_password(desk, person, PASSWORD + "新")
    assert sessions.session_of(desk, last) is None
    last = sessions.open_session(desk, person)
    accounts.set_person_state(desk, person, "deactivated")
    assert sessions.session_of(desk, last) is None
    with pytest.raises(SignInFailed):
        sessions.sign_in(desk, "li.hua@x", PASSWORD + "新")


def test_a_session_ends_after_a_week(study: Study) -> None:
    """A session that is used every hour ends seven days after it began."""
    desk, clock = make_desk(study)
    token = sessions.open_session(desk, accounts.add_person(desk, "li"))
    hours = 0
    while sessions.session_of(desk, token) is not None:
        clock.tick(3600)
        hours += 1
    assert hours == 7 * 24 + 1


@pytest.mark.parametrize(
    "password", ["", "short", "aaaaaaaaaaaaaaaa", "123456123456", "li-hua-is-great", "x" * 201, "passwordpassword"]
)
def test_weak_passwords_are_refused(password: str) -> None:
    """Too short, too plain, or with the handle in it: refused with what to do."""
    with pytest.raises(BadAnswer, match="the password"):
        sessions.hash_password(password, "li-hua")


def test_hashes_are_argon2id() -> None:
    """Passwords are stored as argon2id with 19 MiB, two passes and one lane."""
    assert sessions.hash_password(PASSWORD).startswith("$argon2id$v=19$m=19456,t=2,p=1$")


def test_rate_limits(study: Study) -> None:
    """A bucket gives its burst, then as much as it refills, and says how long to wait; keys are kept as hashes."""
    desk, clock = make_desk(study)
    for _ in range(5):
        sessions.take_token(desk, "signin:li", per_minute=5, burst=5)
    with pytest.raises(TooMany) as caught:
        sessions.take_token(desk, "signin:li", per_minute=5, burst=5)
    assert caught.value.retry_after == pytest.approx(12)
    sessions.take_token(desk, "signin:wang", per_minute=5, burst=5)
    clock.tick(12.1)
    sessions.take_token(desk, "signin:li", per_minute=5, burst=5)
    with pytest.raises(TooMany):
        sessions.take_token(desk, "signin:li", per_minute=5, burst=5)
    with study.reading() as connection:
        assert "li" not in {row.key for row in connection.execute(sa.select(tables.bucket))}


def test_roles(study: Study) -> None:
    """Roles hold in one campaign or in all, may be limited to categories and taken away, and unknown ones are refused."""
    desk, _ = make_desk(study)
    person = accounts.add_person(desk, "li")
    accounts.grant_role(desk, person, "expert", "c", categories=["law"])
    accounts.grant_role(desk, person, "expert", "c", categories=["psychology"])
    with study.reading() as connection:
        assert accounts.roles_in(connection, person, "c") == {"expert": ("psychology",)}
    with pytest.raises(NotAllowed, match="needs the role 'manager'"):
        accounts.need_role(desk, person, "manager")
    accounts.grant_role(desk, person, "expert")
    with study.reading() as connection:
        assert accounts.roles_in(connection, person, "c") == {"expert": ()}
    accounts.revoke_role(desk, person, "expert")
    accounts.revoke_role(desk, person, "expert", "c")
    assert not accounts.has_role(desk, person, "expert", "c")
    with pytest.raises(BadAnswer, match="there is no role 'king'"):
        accounts.grant_role(desk, person, "king")


def test_a_forgotten_person_keeps_their_work(study: Study) -> None:
    """Handle, name and password are blanked, the pseudonym and everything under it stay."""
    desk, _ = make_desk(study)
    person = accounts.add_person(desk, "li", name="李华", password=PASSWORD)
    assert accounts.find_person(desk, "LI") == person
    accounts.forget_person(desk, person)
    account = accounts.list_people(desk)[0]
    assert (account.person, account.handle, account.name, account.state) == (person, "", "", "deactivated")
    with pytest.raises(NoSuch):
        accounts.find_person(desk, "li")
    with pytest.raises(NoSuch):
        accounts.set_person_state(desk, "a99", "paused")
    with pytest.raises(BadAnswer):
        accounts.set_person_state(desk, person, "gone")


def test_the_ledger_is_chained(study: Study) -> None:
    """Everything that managers do is a line with the hash of the line before, and no text of people stands in it."""
    desk, _ = make_desk(study)
    assert accounts.init_people(desk, "team")
    assert not accounts.init_people(desk, "other")
    person = accounts.add_person(desk, "li", name="李华", password=PASSWORD)
    assert person == "team1"
    accounts.grant_role(desk, person, "manager")
    with study.reading() as connection:
        assert list(ledger.breaks(connection)) == []
        rows = connection.execute(sa.select(tables.ledger)).all()
    assert [row.verb for row in rows] == ["init", "person", "grant"]
    assert "李华" not in str(rows)
    assert PASSWORD not in str(rows)
    with pytest.raises(BadAnswer, match="is no prefix"):
        accounts.init_people(desk, "A 1")


@given(st.text(max_size=80))
@settings(max_examples=60, deadline=None)
def test_any_handle_is_taken_or_refused(tmp_path_factory: pytest.TempPathFactory, handle: str) -> None:
    """Whatever somebody chooses as handle makes an account or a BadAnswer."""
    with open_study(tmp_path_factory.mktemp("s") / "s.db") as study:
        desk = Desk(study)
        try:
            person = accounts.add_person(desk, handle)
        except BadAnswer:
            return
        assert accounts.find_person(desk, person) == person
