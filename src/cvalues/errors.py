"""Errors that a user can fix, each with the exit code that the command line gives for it.

Every message says what went wrong, where (file:line, id or address), what was expected and what to do. Anything that is not a
`CValuesError` is a fault of this package and keeps its traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import ClassVar


class CValuesError(Exception):
    """Base of all errors that a user can act on; `exit_code` is what the command line returns for it."""

    exit_code: ClassVar[int] = 2


class UsageError(CValuesError):
    """A name, option or combination that does not exist or makes no sense."""


class DataError(CValuesError):
    """A data file that cannot be used as it is: unreadable, malformed, or not what it claims to be."""


class ConfigError(CValuesError):
    """A configuration file (models.toml, run.toml, taxonomy, template) that cannot be used as it is."""


class MissingExtra(CValuesError):
    """An optional dependency that is not installed; the message names the extra."""

    def __init__(self, package: str, extra: str) -> None:
        """Keeps which `package` is missing and which `extra` brings it."""
        super().__init__(f"this needs the package '{package}': install it with  pip install 'cvalues[{extra}]'")


class StudyError(CValuesError):
    """The study database cannot be opened, read or written."""


class StudyBusy(StudyError):
    """Another process holds the study's write lock for longer than we wait."""


class StudyTooNew(StudyError):
    """The study was written by a newer version of this package."""


class ChangedData(StudyError):
    """A data file differs from the one that the run was started with."""


class PullError(CValuesError):
    """A public file could not be downloaded or is not the file it should be."""

    exit_code = 3


class CheckFailed(CValuesError):
    """A check ran to its end and found faults."""

    exit_code = 1


class NotEnoughData(CValuesError):
    """The data cannot decide the question that was asked."""

    exit_code = 4


class CallError(CValuesError):
    """One call to an endpoint that gave no response; `kind` is its short name in the attempt record.

    Attributes:
        kind: stable short name: `timeout`, `connection`, `rate_limited`, `server_error`, `bad_reply`, `too_large`, `rejected`,
            `unauthorised`, `not_found`, `missing`.
        transient: whether asking again may help.
        status: HTTP status, or 0.
        retry_after: seconds that the server asked us to wait, or None.
    """

    exit_code = 3

    def __init__(
        self, kind: str, detail: str, *, transient: bool, status: int = 0, retry_after: float | None = None
    ) -> None:
        """Keeps the facts of the failed call for the attempt record."""
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.transient = transient
        self.status = status
        self.retry_after = retry_after


def unknown_name(what: str, name: str, known: Iterable[str]) -> UsageError:
    """Returns the error for a name that does not exist: the nearest names first, then all of them."""
    names = sorted(known)
    if not names:
        return UsageError(f"unknown {what} '{name}'; there is none to choose from")
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    hint = f"; did you mean {' or '.join(near)}?" if near else "."
    return UsageError(f"unknown {what} '{name}'{hint} Available: {', '.join(names)}.")
