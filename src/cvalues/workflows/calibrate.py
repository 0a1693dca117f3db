"""Agreement between sources of verdicts, judge cards, and rates corrected by them.

A source is a rater or a pattern (`judge:gpt*`, `rule:safety@1`, `person:*`), a campaign of people, or a file of verdicts. Several raters
of one source are combined: labels by majority (a tie is no value), numbers by their mean. A campaign gives its own labels: an
adjudicator's decision before the majority, and nothing for what is open or truly ambiguous.
"""

from __future__ import annotations

import csv
import fnmatch
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np

from cvalues.criteria import criteria, criterion
from cvalues.errors import DataError, UsageError
from cvalues.judging.card import JudgeCard, Place, Value, cuts_of, make_card, positive, state
from cvalues.people.campaigns import get_campaign, list_campaigns
from cvalues.people.desk import Desk
from cvalues.people.progress import labels
from cvalues.records import detect_encoding, now, open_bytes, read_lines
from cvalues.schema import Audit, Estimate, Prompt, Record, Verdict
from cvalues.scoring.free import kind_of
from cvalues.stats.intervals import clustered_proportion
from cvalues.stats.prevalence import HumanSample, prediction_powered, rogan_gladen
from cvalues.study import Study

CARD = "judge-card"
"""Verb of the audit facts that keep judge cards in a study."""
ALIASES = {"baseline:grade": "rule:grade"}
"""Judges whose verdicts stand under another name than the one that `-j` takes."""
_FILES = frozenset({".csv", ".jsonl"})
_PERSON = "person:"
_MACHINES = frozenset({"judge", "rule", "panel", "baseline"})


class Source(Record, frozen=True, kw_only=True):
    """One source of verdicts on the responses of some runs, by one criterion."""

    name: str
    values: dict[str, Value]
    """By response id."""
    raters: tuple[str, ...]
    """The raters behind it; empty for a file and a campaign."""
    people: bool = False
    """True when people gave the verdicts."""


class Corrected(Record, frozen=True, kw_only=True):
    """A model's rate as a judge gives it, and as it is when the judge's errors are accounted for."""

    model: str
    cut: str
    judged: Estimate
    """Share that the judge calls positive."""
    rogan_gladen: Estimate
    """Corrected by sensitivity and specificity of the card."""
    prediction_powered: Estimate
    """From the judge on all responses and the reference on those of this model that it rated; NO_DATA without any."""


def standing(verdicts: Sequence[Verdict]) -> dict[str, dict[str, Verdict]]:
    """Returns by rater and response the verdicts that stand: the latest of each rater, without those that another supersedes."""
    superseded = {verdict.supersedes for verdict in verdicts if verdict.supersedes}
    found: dict[str, dict[str, Verdict]] = {}
    for verdict in verdicts:
        if verdict.id not in superseded and len(verdict.subject) == 1:
            found.setdefault(verdict.rater, {})[verdict.subject[0]] = verdict
    return found


def places(study: Study, runs: Sequence[str]) -> dict[str, Place]:
    """Returns prompt, category and model of every free response of the runs."""
    found: dict[str, Place] = {}
    for reference in runs:
        run = study.run(reference)
        items, responses = study.items(run.name), study.responses(run.name)
        for row in study.asked(run.name):
            item, response = items[row.item], responses.get(row.request)
            if response is not None and isinstance(item, Prompt):
                found[response.id] = Place(prompt=item.id, category=item.category, model=row.model)
    return found


def ratings(study: Study, runs: Sequence[str], name: str) -> dict[str, dict[str, Value]]:
    """Returns by rater and response the values that stand on one criterion; verdicts without a value are left out."""
    found: dict[str, dict[str, Value]] = {}
    for reference in runs:
        for rater, verdicts in standing(study.all_verdicts(study.run(reference).name, name)).items():
            values = {key: verdict.value for key, verdict in verdicts.items() if verdict.value is not None}
            if values:
                found.setdefault(rater, {}).update(values)
    return found


def source(spec: str, known: Mapping[str, Mapping[str, Value]], name: str) -> Source:
    """Returns the source that a rater, a pattern of raters, or a file of verdicts names.

    A file holds verdicts of people where it is given as `person:FILE`, or where every row names a rater that begins with `person:`;
    its name is then `person:` and the name of the file.

    Args:
        spec: what was given on the command line.
        known: values by rater and response.
        name: the criterion.

    Raises:
        UsageError: no rater fits, and there is no such file.
        DataError: the file cannot be read (`file_votes`).
    """
    raters = fitting(spec, known)
    if not raters and Path(spec).suffix.lower() in _FILES:
        return _of_file(spec, name)
    if not raters:
        listed = ", ".join(sorted(known)) or "none"
        raise UsageError(
            f"no rater fits '{spec}' on criterion '{name}'; raters here: {listed}. Give a rater, a pattern such as person:*, "
            "a campaign, or a .csv or .jsonl file"
        )
    people = all(kind_of(rater) == "person" for rater in raters)
    if len(raters) == 1:
        return Source(name=raters[0], values=dict(known[raters[0]]), raters=raters, people=people)
    return Source(name=spec, values=combined([known[rater] for rater in raters], name), raters=raters, people=people)


def _of_file(spec: str, name: str) -> Source:
    declared = spec.startswith(_PERSON)
    path = Path(spec.removeprefix(_PERSON))
    votes = file_votes(path, name)
    people = declared or (bool(votes) and all(rater.startswith(_PERSON) for rater in votes))
    for rater in votes if declared else ():
        if rater.partition(":")[0] in _MACHINES:
            raise DataError(
                f"{path}: rater '{rater}' is no person; leave its rows out, or give the file without --people"
            )
    title = f"{_PERSON}{path.name}" if people else path.name
    return Source(name=title, values=combined(list(votes.values()), name), raters=(), people=people)


def campaign_source(study: Study, spec: str, name: str) -> Source | None:
    """Returns the labels of the campaign that `spec` names, by response id; None where no campaign has this name.

    Raises:
        UsageError: its people judge by another criterion, or several replies at a time.
    """
    desk = Desk(study)
    found = next((one for one in list_campaigns(desk) if one.name == spec), None)
    if found is None:
        return None
    campaign, _ = get_campaign(desk, spec)
    if campaign.kind == "expert":
        raise UsageError(
            f"campaign '{spec}' judges the best of several replies, not one; give a campaign that judges single replies"
        )
    if campaign.criterion != name:
        raise UsageError(
            f"the people of campaign '{spec}' judge by '{campaign.criterion}', not by '{name}'; give theirs with --criterion"
        )
    values = {
        entry.responses[0]: entry.label
        for entry in labels(desk, spec)
        if entry.label is not None and len(entry.responses) == 1
    }
    return Source(name=f"{_PERSON}{spec}", values=values, raters=(), people=True)


def fitting(spec: str, raters: Iterable[str]) -> tuple[str, ...]:
    """Returns the raters that a name or a pattern fits, in their order."""
    named = ALIASES.get(spec, spec)
    patterns = (spec, f"{named}@*")
    return tuple(rater for rater in raters if any(fnmatch.fnmatchcase(rater, pattern) for pattern in patterns))


def combined(columns: Sequence[Mapping[str, Value]], name: str) -> dict[str, Value]:
    """Returns one value per response from several raters: the majority of labels (none on a tie), the mean of numbers."""
    votes: dict[str, list[Value]] = {}
    for column in columns:
        for key, value in column.items():
            votes.setdefault(key, []).append(value)
    if criterion(name).numeric:
        return {key: float(np.mean([float(value) for value in values])) for key, values in votes.items()}
    found: dict[str, Value] = {}
    for key, values in votes.items():
        ranked = Counter(values).most_common(2)
        if len(ranked) == 1 or ranked[0][1] > ranked[1][1]:
            found[key] = ranked[0][0]
    return found


def read_file(path: Path, name: str) -> dict[str, Value]:
    """Returns the values of a file by response id, several raters combined (`combined`); errors as `file_votes`."""
    return combined(list(file_votes(path, name).values()), name)


def file_votes(path: Path, name: str) -> dict[str, dict[str, Value]]:
    """Returns the values of a file by rater and response id; the rater is empty where a row names none.

    Columns or keys are `response` and `value`, `rater` where there are several, and `criterion` where the file holds several.

    Raises:
        DataError: a row lacks one of them, or its value is outside the criterion's scale; the message gives file:line.
    """
    scale = criterion(name)
    found: dict[str, dict[str, Value]] = {}
    for line, row in _rows(path):
        if str(row.get("criterion") or name) != name or row.get("status") == "no_verdict":
            continue
        response, given = row.get("response"), row.get("value")
        if not isinstance(response, str) or not response or given in {None, ""}:
            raise DataError(f"{path}:{line}: a verdict needs response (its id) and value")
        value: Value | None = None
        if scale.numeric:
            try:
                value = float(str(given))
            except ValueError:
                value = None
            if value is not None and not (scale.min or 0) <= value <= (scale.max or 0):
                value = None
        elif str(given) in scale.values:
            value = str(given)
        if value is None:
            allowed = f"{scale.min} to {scale.max}" if scale.numeric else ", ".join(scale.values)
            raise DataError(f"{path}:{line}: value '{str(given)[:40]}' is outside criterion '{name}': {allowed}")
        rater = str(row.get("rater") or "")
        if found.setdefault(rater, {}).setdefault(response, value) != value:
            raise DataError(
                f"{path}:{line}: response '{response}' has two values; give a file with one value for each, or name their raters"
            )
    return found


def _rows(path: Path) -> list[tuple[int, dict[str, object]]]:
    if path.suffix.lower() == ".csv":
        with open_bytes(path) as file:
            text = file.read().decode(detect_encoding(path))
        return [(number, dict(row)) for number, row in enumerate(csv.DictReader(io.StringIO(text, newline="")), 2)]
    rows: list[tuple[int, dict[str, object]]] = []
    for number, line in read_lines(path):
        try:
            rows.append((number, msgspec.json.decode(line, type=dict[str, object])))
        except msgspec.DecodeError as error:
            raise DataError(f"{path}:{number}: is no JSON object ({error})") from error
    return rows


def calibrate(
    study: Study, runs: Sequence[str], reference: str, judge: str, name: str, *, keep: bool = True
) -> JudgeCard:
    """Holds one source of verdicts against another and returns the card; the study keeps it.

    People are the reference whichever place they were given in. What people in a file said goes into the card, because the
    prediction-powered rate needs it and the study does not hold it.

    Args:
        study: the study of the runs.
        runs: runs of free responses.
        reference: the source that counts as true, for example `person:*`, a campaign, or `person:FILE`.
        judge: the source that is measured.
        name: the criterion.
        keep: whether the study keeps the card.

    Raises:
        UsageError: a source or the criterion does not exist, or the judge is among the reference.
        NotEnoughData: the two share no response.
    """
    criterion(name)
    known = ratings(study, runs, name)
    truth, judged = (campaign_source(study, spec, name) or source(spec, known, name) for spec in (reference, judge))
    if judged.people and not truth.people:
        truth, judged = judged, truth
    if len(judged.raters) > 1:
        raise UsageError(
            f"'{judged.name}' fits several judges: {', '.join(judged.raters)}; a card is of one, so name one of them"
        )
    if set(judged.raters) & set(truth.raters):
        raise UsageError(
            f"'{judged.name}' is among the reference '{truth.name}'; a judge agrees with itself, so name other raters as the reference"
        )
    where = places(study, runs)
    run = ", ".join(study.run(run).name for run in runs)
    card = make_card(judged.name, truth.name, name, (judged.values, truth.values), where, run=run)
    if truth.people and not truth.raters:
        told = {key: value for key, value in truth.values.items() if key in where}
        card = msgspec.structs.replace(card, people=told)
    if keep:
        detail = msgspec.to_builtins(card)
        study.note(Audit(verb=CARD, object=card.rater, detail=detail, time=now()))
    return card


def cards(study: Study) -> list[JudgeCard]:
    """Returns the cards that a study keeps, the latest of each rater, reference and criterion."""
    found: dict[tuple[str, str, str], JudgeCard] = {}
    for audit in study.audits():
        if audit.verb == CARD:
            card = msgspec.convert(audit.detail, JudgeCard)
            found[card.rater, card.reference, card.criterion] = card
    return list(found.values())


def cards_of(study: Study, runs: Sequence[str]) -> list[tuple[JudgeCard, str]]:
    """Returns the cards of the raters of some runs with their state, `valid` or `stale`."""
    raters = {
        rater
        for run in runs
        for name in criteria()
        for rater in standing(study.all_verdicts(study.run(run).name, name))
    }
    stated = [(card, state(card, raters)) for card in cards(study)]
    return [(card, found) for card, found in stated if found != "unused"]


def corrected(study: Study, runs: Sequence[str], card: JudgeCard) -> list[Corrected]:
    """Returns for every model and cut of a card's criterion the judge's rate and the two corrected ones.

    The prediction-powered rate rests on the runs' own raters that the card's reference names, or on what people in a file said.
    Empty where the judge was a file, whose verdicts the study does not hold.
    """
    known = ratings(study, runs, card.criterion)
    if not fitting(card.rater, known):
        return []
    judged = source(card.rater, known, card.criterion).values
    truth: Mapping[str, Value] = card.people
    if not truth and fitting(card.reference, known):
        truth = source(card.reference, known, card.criterion).values
    where = places(study, runs)
    found = []
    for model in dict.fromkeys(place.model for place in where.values()):
        for cut in cuts_of(card.criterion):
            found += [_corrected(card, cut, model, judged, truth, where)]
    return found


def _corrected(
    card: JudgeCard,
    cut: str,
    model: str,
    judged: Mapping[str, Value],
    truth: Mapping[str, Value],
    where: Mapping[str, Place],
) -> Corrected:
    name = card.criterion
    keys = [key for key, place in where.items() if place.model == model and key in judged]
    sides = {key: side for key in keys if (side := positive(name, cut, judged[key])) is not None}
    rated = {key: side for key in sides if key in truth and (side := positive(name, cut, truth[key])) is not None}
    values, clusters = [float(side) for side in sides.values()], [where[key].prompt for key in sides]
    found = card.cut(cut)
    rest = [key for key in sides if key not in rated]
    powered = Estimate(value=None)
    if rated:
        sample = HumanSample(
            human=tuple(float(side) for side in rated.values()),
            judge=tuple(float(sides[key]) for key in rated),
            clusters=tuple(where[key].prompt for key in rated),
        )
        powered = prediction_powered(
            sample, [float(sides[key]) for key in rest], [where[key].prompt for key in rest], share=True
        )
    return Corrected(
        model=model,
        cut=cut,
        judged=clustered_proportion(values, clusters, unit="prompt") if values else Estimate(value=None),
        rogan_gladen=rogan_gladen(values, found.counts, clusters) if values and found else Estimate(value=None),
        prediction_powered=powered,
    )
