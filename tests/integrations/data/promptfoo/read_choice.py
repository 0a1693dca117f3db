"""The assertion of the tests beside this file; made by  cvalues data export --format promptfoo. It needs cvalues."""

import json
from pathlib import Path

ITEMS = Path(__file__).with_name("items.jsonl").read_text(encoding="utf-8").splitlines()


def get_assert(output, context):
    """Passes where the rules of cvalues read the better reply; the reason says what was read, and by which rule."""
    from cvalues.integrations.items import outcome_of

    outcome = outcome_of(json.loads(ITEMS[int(context["vars"]["row"])]), str(output))
    return {"pass": outcome.correct, "score": float(outcome.correct), "reason": f"{outcome.outcome} ({outcome.rule})"}
