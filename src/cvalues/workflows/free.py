"""Runs of free responses → outcomes with every verdict that stands, and what a report needs of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, cast

from cvalues.criteria import criteria, criterion
from cvalues.errors import UsageError
from cvalues.judging.card import JudgeCard, state
from cvalues.judging.embedded import EMBEDDED, SetError, measured
from cvalues.report.data import FreeInput
from cvalues.schema import Prompt, Response, Verdict
from cvalues.scoring.free import FreeOutcome, State, kind_of
from cvalues.scoring.preference import Preferred
from cvalues.scoring.readers import MEASURES, ReaderError
from cvalues.scoring.sources import errors_of_card
from cvalues.stats.prevalence import CardCounts
from cvalues.study import Asked, Study
from cvalues.workflows.calibrate import cards

_NOT_VOTES = ("/surplus", "/gold")
_RULING = "/adjudication"
_RESPONSE_CRITERIA = tuple(name for name in criteria() if name not in {"choice", "preference"})


def free_outcomes(study: Study, name: str) -> list[FreeOutcome]:
    """Returns one outcome per model, prompt and sample of a run of free responses, in plan order; empty for a two-choice run.

    Of a rater's verdicts on a response the latest with a value counts; what another verdict supersedes does not. People's votes
    beyond the overlap and on items whose answer was known do not count; an adjudicator's decision stands for all votes.
    """
    return free_input(study, name).outcomes


def free_input(study: Study, name: str) -> FreeInput:
    """Returns everything that a report needs of a run of free responses."""
    run = study.run(name)
    rows, items, responses = study.asked(run.name), study.items(run.name), study.responses(run.name)
    sets = ", ".join(ref.name for ref in run.sets)
    standing = _standing(study, run.name)
    found: list[FreeOutcome] = []
    prompts: dict[tuple[str, str], Prompt] = {}
    for row in rows:
        item = items[row.item]
        if isinstance(item, Prompt):
            outcome = _outcome(row, item, item.source or sets, responses.get(row.request), standing)
            found.append(outcome)
            prompts[outcome.cluster] = item
    attempts = study.failures(run.name)
    failures = {
        (row.model, row.subject, row.sample): f"{attempts[row.request].kind}: {attempts[row.request].detail}"
        for row in rows
        if row.request in attempts
    }
    return FreeInput(
        outcomes=found,
        prompts=prompts,
        verdicts=standing,
        preferred=_preferred(study, run.name, found),
        failures=failures,
        errors=measured_errors(),
        cards=tuple(cards(study)),
    )


def _standing(study: Study, name: str) -> dict[str, list[Verdict]]:
    """Returns by response id the verdicts that stand, oldest first."""
    found: dict[str, list[Verdict]] = {}
    for entry in _RESPONSE_CRITERIA:
        verdicts = {verdict.id: verdict for verdict in study.all_verdicts(name, entry)}
        superseded = {verdict.supersedes for verdict in verdicts.values() if verdict.supersedes}
        latest: dict[tuple[str, str, str], Verdict] = {}
        for key, verdict in verdicts.items():
            # A later "no verdict" of the same rater takes no value away.
            place = (verdict.subject[0], verdict.rater, verdict.run)
            if key not in superseded and (verdict.status == "ok" or place not in latest):
                latest[place] = verdict
        for verdict in latest.values():
            found.setdefault(verdict.subject[0], []).append(verdict)
    return found


def _outcome(
    row: Asked, item: Prompt, set_name: str, response: Response | None, standing: dict[str, list[Verdict]]
) -> FreeOutcome:
    verdicts: dict[str, dict[str, str | float]] = {}
    withheld: dict[str, tuple[str, ...]] = {}
    for name, group in _by_criterion(standing.get(response.id, []) if response is not None else []).items():
        valid = {
            verdict.rater: verdict.value for verdict in group if verdict.status == "ok" and verdict.value is not None
        }
        silent = tuple(dict.fromkeys(verdict.rater for verdict in group if verdict.rater not in valid))
        if valid:
            verdicts[name] = valid
        if silent:
            withheld[name] = silent
    return FreeOutcome(
        set=set_name,
        model=row.model,
        prompt=item.id,
        sample=row.sample,
        level=item.level,
        category=item.category,
        benign=item.benign,
        difficulty=item.difficulty,
        language=item.language,
        split=item.split,
        tags=item.tags,
        response=response.id if response is not None else "",
        finish=response.finish if response is not None else "",
        state=_state(response),
        verdicts=verdicts,
        withheld=withheld,
    )


def _by_criterion(verdicts: Sequence[Verdict]) -> dict[str, list[Verdict]]:
    """Returns the verdicts that count by criterion: an adjudicator's decision in the place of all votes of people."""
    grouped: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        if not verdict.run.endswith(_NOT_VOTES):
            grouped.setdefault(verdict.criterion, []).append(verdict)
    for name, group in grouped.items():
        rulings = [verdict for verdict in group if verdict.run.endswith(_RULING) and kind_of(verdict.rater) == "person"]
        if rulings:
            others = [verdict for verdict in group if kind_of(verdict.rater) != "person"]
            grouped[name] = [*others, rulings[-1]]
    return grouped


def _state(response: Response | None) -> State:
    if response is None:
        return "failed"
    if response.finish == "filter":
        return "blocked"
    return "answered" if response.text.strip() else "empty"


def _preferred(study: Study, name: str, outcomes: Sequence[FreeOutcome]) -> list[Preferred]:
    """Returns the latest valid preference of each rater on each pair in each order."""
    by_response = {outcome.response: outcome for outcome in outcomes if outcome.response}
    found: dict[tuple[str, tuple[str, ...]], Preferred] = {}
    for verdict in study.all_verdicts(name, "preference"):
        pair = [by_response.get(key) for key in verdict.subject]
        if verdict.status != "ok" or verdict.value not in {"1", "2", "tie"} or len(pair) != 2:
            continue
        first, second = pair
        if first is None or second is None:
            continue
        found[verdict.rater, verdict.subject] = Preferred(
            rater=verdict.rater,
            prompt=first.prompt,
            subject=(first.response, second.response),
            models=(first.model, second.model),
            value=cast("Literal['1', '2', 'tie']", verdict.value),
        )
    return list(found.values())


def measured_errors() -> tuple[ReaderError, ...]:
    """Returns the measured errors of the built-in readers that ship with the package, in domain before out of domain."""
    found: dict[tuple[str, str, str], ReaderError] = {}
    for name in EMBEDDED:
        known = measured(name)
        for entry in known.sets if known is not None else ():
            for measure, counts in _shares(entry):
                error = ReaderError(
                    rater=known.rater if known else "", measure=measure, card=counts, source=entry.set, in_domain=entry.domain == "in",
                )  # fmt: skip
                found.setdefault((error.rater, measure, entry.set), error)
    return tuple(sorted(found.values(), key=lambda error: not error.in_domain))


_DECISIONS = {"points": "acceptable", "preference": "preferred"}
"""Criterion → what the errors are called of readers whose numbers are no share: points from `ACCEPTABLE` up, the better of two replies."""


def _shares(entry: SetError) -> list[tuple[str, CardCounts]]:
    """Returns the counts of every share of a measurement by its name."""
    if entry.criterion in _DECISIONS:
        (one, *_), kinds = entry.positive, set(entry.confusion)
        other = next(iter(sorted(kinds - {one})), "")
        turned = (other, one) if entry.criterion == "points" else (one, other)
        return [(_DECISIONS[entry.criterion], _card(entry, *turned))]
    found = (
        (measure, _counts(entry, measure)) for measure, rule in MEASURES.items() if rule.criterion == entry.criterion
    )
    return [(measure, counts) for measure, counts in found if counts is not None]


def _card(entry: SetError, positive: str, negative: str) -> CardCounts:
    """The counts of two truths; a verdict that is neither of them decides nothing and is left out."""
    yes, no = entry.confusion.get(positive, {}), entry.confusion.get(negative, {})
    return CardCounts(
        true_positive=yes.get(positive, 0),
        false_negative=yes.get(negative, 0),
        true_negative=no.get(negative, 0),
        false_positive=no.get(positive, 0),
    )


def known_errors(study: Study, raters: Iterable[str]) -> tuple[ReaderError, ...]:
    """Returns what is known of the errors of some raters: from the study's judge cards, then as the built-in readers were measured.

    A card of another version of one of the raters is there too, as stale.
    """
    named = set(raters)
    stated = [(card, state(card, named)) for card in cards(study)]
    found = [
        error for card, told in stated if told != "unused" for error in errors_of_card(card, stale=told == "stale")
    ]
    return (*found, *(error for error in measured_errors() if error.rater in named))


def _counts(entry: SetError, measure: str) -> CardCounts | None:
    """Returns the counts of a share from a confusion; None where its truths or verdicts are not those of the share."""
    rule = MEASURES[measure]
    labels = {*entry.confusion, *(value for row in entry.confusion.values() for value in row)}
    if not labels <= set(criterion(entry.criterion).values):
        return None
    cells = {(True, True): 0, (True, False): 0, (False, False): 0, (False, True): 0}
    for truth, row in entry.confusion.items():
        for value, count in row.items():
            inside, read = rule.hit(truth), rule.hit(value)
            if inside is not None and read is not None:
                cells[inside, read] += count
    if not any(cells.values()):
        return None
    return CardCounts(
        true_positive=cells[True, True],
        false_negative=cells[True, False],
        true_negative=cells[False, False],
        false_positive=cells[False, True],
    )


class FreeParts:
    """The free responses of several runs put together."""

    def __init__(self) -> None:
        """Begins with nothing."""
        self._outcomes: list[FreeOutcome] = []
        self._prompts: dict[tuple[str, str], Prompt] = {}
        self._verdicts: dict[str, list[Verdict]] = {}
        self._preferred: list[Preferred] = []
        self._failures: dict[tuple[str, str, int], str] = {}
        self._errors: dict[ReaderError, None] = {}
        self._cards: dict[tuple[str, str, str], JudgeCard] = {}
        self._seen: set[tuple[str, str, str, int]] = set()

    def add(self, part: FreeInput) -> None:
        """Adds a run; raises UsageError when a model answered the same prompt in an earlier one."""
        keys = {(each.model, each.set, each.prompt, each.sample) for each in part.outcomes}
        twice = self._seen & keys
        if twice:
            model, _, prompt, _ = min(twice)
            raise UsageError(
                f"model '{model}' answered prompt '{prompt}' in two of these runs; report them apart, "
                "or give one of the models another name in models.toml"
            )
        self._seen |= keys
        self._outcomes += part.outcomes
        self._prompts.update(part.prompts)
        self._verdicts.update(part.verdicts)
        self._preferred += part.preferred
        self._failures.update(part.failures)
        self._errors.update(dict.fromkeys(part.errors))
        self._cards.update({(card.rater, card.reference, card.criterion): card for card in part.cards})

    def put_together(self, rater: str) -> FreeInput:
        """Returns all of it, with the headline rater that the user wants."""
        return FreeInput(
            outcomes=self._outcomes,
            prompts=self._prompts,
            verdicts=self._verdicts,
            preferred=self._preferred,
            failures=self._failures,
            errors=tuple(self._errors) or (measured_errors() if self._outcomes else ()),
            cards=tuple(self._cards.values()),
            rater=rater,
        )
