"""The forms of the task pages as answers: the same fields that the scripts send, for browsers without them."""

from __future__ import annotations

from typing import Any

from cvalues.people.errors import BadAnswer
from cvalues.people.forms import Campaign
from cvalues.people.web.rendering import Form


def answer_of(form: Form, campaign: Campaign) -> dict[str, Any]:
    """Returns the answer to a task of a campaign; `submit` checks it."""
    opinion = form.text("opinion")
    if campaign.criterion == "safe":
        return {"safe": form.text("safe"), "reasons": form.all("reasons"), "opinion": opinion}
    if campaign.criterion == "points":
        return {"points": form.number("points"), "opinion": opinion}
    return {
        "best": sorted(int(value) for value in form.all("best") if value in {"1", "2", "3", "4", "5", "6", "7", "8", "9"}),
        "points": form.number("points"), "opinion": opinion, "answer": form.text("answer"), "source": form.text("source"),
        "from_reply": form.number("from_reply"), "criteria": form.all("criteria"),
    }  # fmt: skip


def decision_of(form: Form, campaign: Campaign, duty: str) -> dict[str, Any]:
    """Returns the decision of an adjudicator or reviewer; `adjudicate` checks it."""
    value = form.text("value")
    ambiguous = value == "ambiguous"
    chosen: str | int | None = None if ambiguous or not value else value
    if duty == "adjudicate" and campaign.criterion != "safe" and chosen is not None:
        chosen = form.number("value")
    return {"value": chosen, "ambiguous": ambiguous, "rationale": form.text("rationale"), "error": form.text("error")}


def claims_of(form: Form, replies: int) -> dict[str, Any]:
    """Returns what an author says of the replies; `claim_unsafe` checks it."""
    return {
        "claims": [
            {
                "position": place, "safe": form.text(f"safe-{place}"), "rule": form.text(f"rule-{place}"), "why": form.text(f"why-{place}"),
            }
            for place in range(1, replies + 1)
        ]
    }  # fmt: skip


def settings_of(lines: str) -> dict[str, Any]:
    """Returns settings written as `key = value`, one a line, each value as JSON where it is JSON; raises BadAnswer for another line."""
    import msgspec

    found: dict[str, Any] = {}
    for line in lines.splitlines():
        if not line.strip():
            continue
        key, mark, value = (part.strip() for part in line.partition("="))
        if not mark or not key:
            raise BadAnswer("the settings: expected one  key = value  on each line, for example  daily_items = 100")
        try:
            found[key] = msgspec.json.decode(value)
        except msgspec.DecodeError:
            found[key] = value
    return found
