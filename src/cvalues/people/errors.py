"""What can go wrong between a person and the desk; each error has the HTTP status that a page answers with.

None of them makes a client drop what a person wrote: `NeverAssigned`, `KeyTaken` and `BadAnswer` are kept under "needs attention".
"""

from __future__ import annotations

from typing import ClassVar

from cvalues.errors import CValuesError


class PeopleError(CValuesError):
    """Base of the errors of people's work; `status` is the HTTP status that fits."""

    status: ClassVar[int] = 400


class SignInFailed(PeopleError):
    """The account, the password, the invitation or the session is not valid."""

    status = 401


class NotAllowed(PeopleError):
    """The person lacks the role that this needs."""

    status = 403


class NeverAssigned(PeopleError):
    """An answer to a task that this person was never given."""

    status = 403


class NoSuch(PeopleError):
    """A campaign, person or task that does not exist."""

    status = 404


class KeyTaken(PeopleError):
    """A client key that already stands for another answer."""

    status = 409


class BadAnswer(PeopleError):
    """An answer, form or setting that is incomplete or out of range."""

    status = 422


class TooMany(PeopleError):
    """A rate limit; `retry_after` says in how many seconds to try again."""

    status = 429

    def __init__(self, message: str, retry_after: float) -> None:
        """Keeps how many seconds to wait."""
        super().__init__(message)
        self.retry_after = retry_after
