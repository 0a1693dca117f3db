"""What the pages of people's work need of the layers above them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from cvalues.endpoints.resolve import load_models
from cvalues.people.asking import Asker, asker
from cvalues.people.desk import Desk
from cvalues.people.forms import Campaign
from cvalues.people.web.settings import Made, Ports
from cvalues.study import Study
from cvalues.workflows.people import NewCampaign, new_campaign


def ports_of(study: Study, models_file: str, translate: Callable[[str, str], str] | None = None) -> Ports:
    """Returns the ports of an application over a study.

    Args:
        study: an open study.
        models_file: models by name; empty: `./models.toml` where it exists.
        translate: (message, language) → message; None shows messages in English.

    Raises:
        ConfigError: the models file is not valid.
    """
    default = Path("models.toml")
    entries = load_models(Path(models_file) if models_file else default if default.is_file() else None)

    def make(desk: Desk, fields: dict[str, Any], actor: str) -> Made:
        campaign, count = new_campaign(desk, msgspec.convert(fields, NewCampaign), actor=actor, files=False)
        return Made(campaign, count)

    def ask(campaign: Campaign) -> Asker:
        return asker(campaign.models, entries, samples=campaign.samples, seed=campaign.seed)

    def runs() -> list[str]:
        return [run.name for run in study.runs() if run.kind == "response"][::-1]

    return Ports(translate or (lambda message, _language: message), make, ask, runs)
