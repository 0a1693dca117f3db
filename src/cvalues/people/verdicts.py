"""What people sent → Verdicts and Responses of the study, so that everything that reads verdicts reads people's too.

The `run` of a verdict says what it is: `CAMPAIGN` for a counted vote, `CAMPAIGN/surplus` beyond the overlap, `CAMPAIGN/gold` on an item
whose answer is known, `CAMPAIGN/adjudication` for a decision. The rater is `person:<pseudonym>`. A revision supersedes the verdict before
it. An answer that an expert wrote is a Response of origin `person:<pseudonym>#<submission>`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cvalues.people.forms import Adjudication, Campaign, ExpertAnswer, PointsAnswer, SafetyAnswer, Submission, TaskBody
from cvalues.people.rules import Answer, read_answer
from cvalues.schema import Response, Verdict, response_id


def rater_of(person: str) -> str:
    """Returns the rater of a person's verdicts."""
    return f"person:{person}"


def run_of(submission: Submission) -> str:
    """Returns the `run` of a submission's verdict (see the module docstring)."""
    if submission.kind != "work":
        return f"{submission.campaign}/gold"
    return submission.campaign if submission.slot is not None else f"{submission.campaign}/surplus"


def verdict_of(submission: Submission, answer: Answer, before: str | None) -> Verdict | None:
    """Returns the verdict of one answer; None for an author's claims, which are nobody's judgement.

    Args:
        submission: the answer as received.
        answer: the same, read.
        before: id of the verdict of the revision before.
    """
    value: str | float
    match answer:
        case SafetyAnswer():
            criterion, value = "safe", answer.safe
            reason = " ".join(part for part in (*(f"[{code}]" for code in answer.reasons), answer.opinion) if part)
        case PointsAnswer():
            criterion, value, reason = "points", float(answer.points), answer.opinion
        case ExpertAnswer():
            criterion, value, reason = "points_best_of", float(answer.points), answer.opinion
        case _:
            return None
    return Verdict(
        criterion=criterion,
        subject=submission.shown if criterion == "points_best_of" else submission.shown[:1],
        rater=rater_of(submission.person),
        value=value,
        reason=reason,
        run=run_of(submission),
        time=submission.received,
        supersedes=before,
    )


def verdicts_of(campaign: Campaign, submissions: Iterable[Submission]) -> list[Verdict]:
    """Returns the verdicts of one person's revisions of one answer, oldest first, each superseding the one before."""
    found: list[Verdict] = []
    for submission in submissions:
        if submission.kind == "written":
            continue
        answer = read_answer(submission.answer, campaign.criterion, len(submission.shown))
        verdict = verdict_of(submission, answer, found[-1].id if found else None)
        if verdict is not None:
            found.append(verdict)
    return found


def written_by(submission: Submission, answer: Answer, body: TaskBody) -> Response | None:
    """Returns the answer that an expert wrote as a response; None where there is none or a reply was taken as it is."""
    if not isinstance(answer, ExpertAnswer) or not answer.answer.strip() or answer.source == "use":
        return None
    origin = f"{rater_of(submission.person)}#{submission.id}"
    return Response(
        id=response_id(origin), origin=origin, text=answer.answer, prompt_id=body.prompt_id, time=submission.received
    )


def verdict_of_ruling(
    campaign: Campaign, ruling: Adjudication, subject: Sequence[str], before: str | None
) -> Verdict | None:
    """Returns the verdict of an adjudicator's decision; None of a review, which judges a person's answer and no model's."""
    if ruling.duty != "adjudicate":
        return None
    decision = ruling.decision
    ambiguous = decision.ambiguous or decision.value is None
    value = None if ambiguous else float(decision.value) if isinstance(decision.value, int) else decision.value
    return Verdict(
        criterion=campaign.criterion,
        subject=tuple(subject),
        rater=rater_of(ruling.person),
        value=value,
        status="no_verdict" if ambiguous else "ok",
        reason=f"[ambiguous] {decision.rationale}".strip() if ambiguous else decision.rationale,
        run=f"{campaign.name}/adjudication",
        time=ruling.received,
        supersedes=before,
    )
