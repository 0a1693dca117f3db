"""How the application is run, and what it is handed from the layers above it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from cvalues.people.asking import Asker
from cvalues.people.desk import Desk
from cvalues.people.forms import Campaign

BODY_LIMIT = 256 * 1024
"""Most bytes of a request: three times the longest text that a person may send, in UTF-8, and some."""
CONFIRM_SECONDS = 900.0
"""How long a password that was given counts as just given, for exports and roles."""


class Settings(NamedTuple):
    """How the application is reached."""

    encrypted: bool = False
    """TLS here or at the proxy: cookies are Secure with the `__Host-` prefix, and HSTS is sent."""
    behind_proxy: bool = False
    """The last address of X-Forwarded-For is the client's."""
    insecure: bool = False
    """Plain HTTP on an address that others reach: a banner says so."""


class Made(NamedTuple):
    """A campaign that was made, and how many tasks it has."""

    campaign: Campaign
    tasks: int


class Ports(NamedTuple):
    """What the application needs of the layers above `people`; each is a plain function."""

    translate: Callable[[str, str], str]
    """(message, language) → message."""
    new_campaign: Callable[[Desk, dict[str, Any], str], Made]
    """(desk, fields of `workflows.people.NewCampaign`, actor) → campaign."""
    asker: Callable[[Campaign], Asker]
    """Campaign → who asks its models."""
    runs: Callable[[], list[str]]
    """Names of the runs of free responses, newest first."""
