"""Margins of pairs by calls: a server that scores both replies, or a judge that is asked in both orders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from cvalues.choice.ask import ask_choice
from cvalues.choice.read import read_response
from cvalues.datasets.pairing import both_orders
from cvalues.endpoints.resolve import ModelEntry, build, resolve
from cvalues.errors import UsageError
from cvalues.pairs.build import vote_of
from cvalues.pairs.pair import Pair
from cvalues.prompts import template
from cvalues.schema import Ask, Choice, Message, Option, Response
from cvalues.study import Study
from cvalues.workflows.pairs_ask import Put, Watch, answers, plan_of
from cvalues.workflows.plan import Plan

Floats = npt.NDArray[np.float64]
JUDGE = "judge:"
RATER = "rater:"
_LABELS = ("1", "2")


def score_ask(subject: str, prompt: str, replies: Sequence[str], *, prompt_id: str = "", sample: int = 0) -> Ask:
    """Returns the ask that has replies to one prompt scored; its options are labelled 1, 2 and so on."""
    return Ask(
        subject=subject,
        prompt_id=prompt_id,
        messages=(Message(role="user", content=prompt),),
        template="score@1",
        question=prompt,
        options=tuple(Option(label=str(number), text=reply) for number, reply in enumerate(replies, 1)),
        sample=sample,
    )


def calls_for(spec: str, pairs: Sequence[Pair], entries: Mapping[str, ModelEntry], source: str) -> Plan:
    """Returns the plan that a reward server (`reward:…`) or a judge (`judge:MODEL`) is asked by.

    A reward server scores both replies of a pair in one call. A judge is asked which reply is better by the public template, in
    both orders, and its answers are read by the rules that read every two-choice answer.

    Raises:
        UsageError: the model does not exist or cannot score.
    """
    if spec.startswith(JUDGE):
        chosen = template("public")
        puts = [Put(ask_choice(choice, chosen), choice) for pair in pairs for choice in both_orders(pair)]
        return plan_of(
            "judge", spec.removeprefix(JUDGE), puts, settings={"source": source, "template": chosen.id}, entries=entries,
            temperature=0.0,
        )  # fmt: skip
    endpoint = build(resolve(spec, dict(entries)))
    if "score" not in endpoint.modes:
        raise UsageError(
            f"'{spec}' scores no replies; name a reward model (reward:FILE, reward:NAME@URL), judge:{spec} to have it choose, "
            "or baseline:longer"
        )
    scored = [
        Put(score_ask(pair.id, pair.question, (pair.better.text, pair.worse.text)), both_orders(pair)[0])
        for pair in pairs
    ]
    return plan_of("score", spec, scored, settings={"source": source}, entries=entries)


def margins_by_calls(
    plan: Plan, pairs: Sequence[Pair], study: Study, *, watch: Watch | None = None
) -> tuple[Floats, int]:
    """Asks what is open and returns (score(better) − score(worse) of each pair, calls that failed for good).

    A judge's margin is the mean over both orders of 1 where it chose the better reply, −1 the worse one, 0 neither (refusals and
    unreadable answers too). A pair of which a call failed has no margin (NaN).
    """
    found = answers(plan, study, watch=watch)
    each = len(plan.entries) // max(1, len(pairs))
    margins = np.full(len(pairs), np.nan)
    for place in range(len(pairs)):
        got = [found.responses.get(place * each + turn) for turn in range(each)]
        values = [
            _margin(plan, place * each + turn, response) for turn, response in enumerate(got) if response is not None
        ]
        if len(values) == each:
            margins[place] = float(np.mean(values))
    return margins, found.progress.failed


def margins_by_verdicts(rater: str, pairs: Sequence[Pair], study: Study) -> Floats:
    """Returns the margins by what a rater's verdicts in the study say of the two responses of each pair; NaN where one is lacking.

    The criteria are tried in the order `grade`, `points`, `safe`; within one, grade steps or points are the values, and of several
    verdicts on a response the latest counts.

    Raises:
        UsageError: the rater has no verdict on any response of the pairs.
    """
    wanted = {origin for pair in pairs for origin in (pair.lineage.chosen_from, pair.lineage.rejected_from)}
    runs = [run.name for run in study.runs() if run.kind == "response"]
    for criterion in ("grade", "points", "safe"):
        values: dict[str, float] = {}
        for run in runs:
            for verdict in study.all_verdicts(run, criterion, rater):
                vote = vote_of(verdict) if verdict.subject[0] in wanted else None
                if vote is not None:
                    values[verdict.subject[0]] = vote.value
        if values:
            return np.array(
                [
                    values.get(pair.lineage.chosen_from, np.nan) - values.get(pair.lineage.rejected_from, np.nan)
                    for pair in pairs
                ]
            )
    raise UsageError(
        f"rater '{rater}' has no verdict on the replies of these pairs; pairs that  cvalues pairs build --from RUN  made know their "
        "responses"
    )


def _margin(plan: Plan, place: int, response: Response) -> float:
    entry = plan.entries[place]
    if entry.request.mode == "score":
        return response.option_scores[_LABELS[0]] - response.option_scores[_LABELS[1]]
    item = plan.items[entry.item]
    if not isinstance(item, Choice):
        return 0.0
    verdict = read_response(item, response, entry.request.options if response.option_scores else ())
    if verdict.value not in _LABELS:
        return 0.0
    return 1.0 if verdict.value == str(item.better) else -1.0
