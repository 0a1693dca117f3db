"""People's work from the command line: campaigns made from runs, and their tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
import sqlalchemy as sa

from cvalues.errors import NotEnoughData, UsageError, unknown_name
from cvalues.people.agreeing import Agreement, agreement
from cvalues.people.campaigns import campaign_of, create_campaign, get_campaign, list_campaigns, templates
from cvalues.people.desk import Desk
from cvalues.people.forms import Campaign, NewReply, NewTask
from cvalues.people.progress import Headline, Progress, Why, counters, headline
from cvalues.people.quality import Quality, quality
from cvalues.people.rates import Rate, attack_rates
from cvalues.people.tasks import add_tasks, task_id, task_key
from cvalues.people.words import PHRASES, phrase, why
from cvalues.schema import Cell, Estimate, Prompt, Record, Table, Verdict
from cvalues.study import Study, tables
from cvalues.taxonomy import builtin
from cvalues.workflows.pairs_conflicts import conflict_tasks, criterion_of
from cvalues.workflows.people_source import find_source, prompt_of, stratified, units_of

_VERDICT = msgspec.json.Decoder(Verdict)


class NewCampaign(Record, frozen=True, kw_only=True):
    """What `cvalues people new` is told."""

    kind: str
    name: str = ""
    source: str = ""
    """A run of free responses, `FILE.db#RUN` of another study, or a data set or file whose rows hold replies; to adjudicate a
    campaign or a run with verdicts."""
    sample: int | None = None
    seed: int = 0
    side_by_side: Literal["samples", "models"] = "samples"
    """What an expert compares: samples of one model, or one reply each of several."""
    settings: dict[str, Any] = {}


def new_campaign(desk: Desk, given: NewCampaign, *, actor: str = "", files: bool = True) -> tuple[Campaign, int]:
    """Makes a campaign with its tasks and returns (campaign, tasks that were new); repeating it adds nothing.

    Args:
        desk: the desk.
        given: kind, source and settings.
        actor: who makes it.
        files: whether the source may be a file of this machine; not for who comes through the browser.

    Raises:
        UsageError: there is no such kind, run or set, or the source does not fit the kind.
        BadAnswer: a setting is out of range.
    """
    template = templates().get(given.kind)
    kind = template.kind if template else given.kind
    if kind == "adjudicate":
        return _adjudicating(desk, given, actor, files=files)
    if given.source and kind == "attack":
        raise UsageError("an attack campaign begins empty: its prompts are written by people; leave --from out")
    source = find_source(desk.study, given.source, files=files) if given.source else None
    place = source.name if source else ""
    name = given.name or "-".join(part for part in (given.kind, place.replace("/", "-")) if part)
    campaign = campaign_of(given.kind, name, {"seed": given.seed, "source": place, **given.settings})
    units = units_of(desk.study, source, campaign, given.side_by_side) if source else []
    create_campaign(desk, campaign, actor=actor)
    tasks = [unit.task for unit in stratified(units, given.sample, given.seed)]
    return campaign, add_tasks(desk, name, tasks, actor=actor)


def _adjudicating(desk: Desk, given: NewCampaign, actor: str, *, files: bool) -> tuple[Campaign, int]:
    if not given.source:
        raise UsageError("what to adjudicate is missing: name a campaign or a run with --from")
    conflicts = Path(given.source) if files and Path(given.source).is_file() else None
    source = conflicts.stem.replace(" ", "-") if conflicts else given.source
    name = given.name or "-".join((given.kind, source.replace("/", "-")))
    asked = {"criterion": criterion_of(conflicts)} if conflicts else {}
    campaign = campaign_of(given.kind, name, {"seed": given.seed, "source": source, **asked, **given.settings})
    tasks, barred = conflict_tasks(desk.study, campaign, conflicts) if conflicts else disputed(desk, campaign)
    create_campaign(desk, campaign, actor=actor)
    count = add_tasks(desk, name, tasks, actor=actor)
    _bar(desk, campaign, barred)
    return campaign, count


def disputed(desk: Desk, campaign: Campaign) -> tuple[list[NewTask], dict[str, set[str]]]:
    """Returns the replies on which raters of a campaign or run differ as tasks, and by task key who must not get them.

    Raises:
        UsageError: the source is neither a campaign nor a run.
    """
    v, r, t = tables.verdict.c, tables.response.c, tables.task.c
    source = campaign.source
    names = {listed.name for listed in list_campaigns(desk)}
    if source in names:
        where = v.run == source
    else:
        source = desk.study.run(source).name
        asked = sa.select(tables.asked.c.request).where(tables.asked.c.run == source)
        where = v.subject.in_(sa.select(r.id).where(r.request.in_(asked)))
    found: dict[str, dict[str, Verdict]] = {}
    with desk.reading() as connection:
        query = sa.select(v.body).where(v.criterion == campaign.criterion, v.status == "ok", where).order_by(v.time)
        for body in connection.execute(query).scalars():
            verdict = _VERDICT.decode(body)
            found.setdefault(verdict.subject[0], {})[verdict.rater] = verdict
        differing = {
            response: verdicts
            for response, verdicts in found.items()
            if len({verdict.value for verdict in verdicts.values()}) > 1
        }
        prompts: dict[str, tuple[str, str, str]] = {}
        tr = tables.task_reply.c
        known = sa.select(tr.response, t.body, t.category, tr.model).join(tables.task, t.id == tr.task)
        for row in connection.execute(known.where(tr.response.in_(list(differing)))):
            prompts[row.response] = (row.body, row.category, row.model)
    items = {} if source in names else _asked_prompts(desk.study, source)
    tasks, barred = [], {}
    for response, verdicts in sorted(differing.items()):
        if response in prompts:
            body, category, model = prompts[response]
            fields = msgspec.json.decode(body)
            new = NewTask(prompt=fields["prompt"], prompt_id=fields.get("prompt_id", ""), category=category,
                          replies=(NewReply(response=response, model=model),))  # fmt: skip
        elif response in items:
            prompt, model = items[response]
            new = NewTask(prompt=prompt.text, prompt_id=prompt.id, level=prompt.level, category=prompt.category,
                          replies=(NewReply(response=response, model=model),))  # fmt: skip
        else:
            continue
        tasks.append(new)
        people = {rater.removeprefix("person:") for rater in verdicts if rater.startswith("person:")}
        barred[task_id(campaign.name, task_key(new))] = people
    return tasks, barred


def _asked_prompts(study: Study, run: str) -> dict[str, tuple[Prompt, str]]:
    responses, items = study.responses(run), study.items(run)
    found = {}
    for row in study.asked(run):
        item, response = items[row.item], responses.get(row.request)
        if response is not None:
            found[response.id] = (prompt_of(item), row.model)
    return found


def _bar(desk: Desk, campaign: Campaign, barred: dict[str, set[str]]) -> None:
    """Makes it impossible that who judged a reply adjudicates it: as far as the database knows, they have met the task."""
    rows = [
        {
            "person": person, "task": task, "campaign": campaign.name, "author": "", "duty": "adjudicate", "slot": None, "ord": "[]",
            "guideline": campaign.guideline_version, "claimed": desk.now, "opened": None, "revealed": None, "outcome": "barred", "note": "",
        }
        for task, people in barred.items()
        for person in sorted(people)
    ]  # fmt: skip
    if rows:
        desk.write(lambda tx: tx.add(tables.exposure, rows))


# --- tables -------------------------------------------------------------------------------------------------------------------


class CampaignStatus(Record, frozen=True, kw_only=True):
    """Everything that `people status` says of a campaign."""

    progress: Progress
    headline: list[Headline]
    agreement: Agreement | None
    people: list[Quality]
    rates: list[Rate]


def status(desk: Desk, name: str) -> CampaignStatus:
    """Returns how a campaign goes; raises NoSuch."""
    campaign, _ = get_campaign(desk, name)
    return CampaignStatus(
        progress=counters(desk, name), headline=headline(desk, name), agreement=_agreement_or_none(desk, name), people=quality(desk, name),
        rates=attack_rates(desk, name) if campaign.kind == "attack" else [],
    )  # fmt: skip


def campaigns_named(study: Study, sources: Sequence[str]) -> list[str]:
    """Returns the campaigns that sources of agreement name; without sources all campaigns of a study that holds no run, else none.

    Raises:
        UsageError: the study holds campaigns and no run, and a source is none of them.
    """
    names = [one.name for one in list_campaigns(Desk(study))]
    found = [name for name in sources if name in names]
    if study.runs() or not names or found:
        return found
    if sources:
        raise unknown_name("campaign", sources[0], names)
    return names


def campaign_agreements(
    study: Study, names: Sequence[str], language: str
) -> tuple[list[Table], dict[str, Agreement | None]]:
    """Returns how far the people of each campaign agree: tables under the campaigns' names, and figures (None without a second vote).

    Raises:
        NotEnoughData: no campaign has an item with two votes.
    """
    desk = Desk(study)
    found = {name: _agreement_or_none(desk, name) for name in names}
    if not any(found.values()):
        agreement(desk, names[0])
    tables = [(name, table) for name, one in found.items() for table in _agreement_tables(one, language)]
    return [msgspec.structs.replace(table, title=f"{name} · {table.title}") for name, table in tables], found


def _agreement_or_none(desk: Desk, name: str) -> Agreement | None:
    try:
        return agreement(desk, name)
    except NotEnoughData:
        return None


def _table(
    name: str, columns: Iterable[str], rows: Iterable[tuple[Cell, ...]], language: str, notes: tuple[str, ...] = ()
) -> Table:
    heads = tuple(phrase(f"column.{column}", language) for column in columns)
    return Table(title=phrase(f"table.{name}", language), columns=heads, rows=tuple(rows), notes=notes)


def campaigns_table(desk: Desk, language: str) -> Table:
    """Returns all campaigns as a table."""
    rows = [(one.name, one.kind, phrase(f"state.{one.state}", language), one.title) for one in list_campaigns(desk)]
    return _table("campaigns", ("campaign", "kind", "state", "title"), rows, language)


def status_tables(found: CampaignStatus, language: str) -> list[Table]:
    """Returns the tables of a campaign: progress, scores, agreement, people, and of an attack campaign success and quotas."""
    safe = not found.headline or found.headline[0].criterion == "safe"
    parts = [_progress_table(found.progress, language)]
    if found.progress.quotas:
        rows = [
            (builtin().name(code, language), wanted, kept) for code, (wanted, kept) in found.progress.quotas.items()
        ]
        parts.append(_table("quotas", ("category", "wanted", "kept"), rows, language))
    if found.headline:
        scores = [
            (one.model, _score(one.score, safe=safe), one.labelled, one.undecided, one.open) for one in found.headline
        ]
        parts.append(_table("headline", ("model", "score", "labelled", "undecided", "open"), scores, language))
    parts += _agreement_tables(found.agreement, language)
    if found.people:
        parts.append(_people_table(found.people, language, safe=safe))
    if found.rates:
        rates = [(one.by, one.name, one.tries, one.kept, one.rate) for one in found.rates]
        parts.append(_table("rates", ("by", "name", "tries", "kept", "rate"), rates, language))
    return parts


def _agreement_tables(found: Agreement | None, language: str) -> list[Table]:
    """Returns coefficients, the mean without each person, pairs of people, and what Dawid–Skene infers of each, where there are any."""
    parts = [_agreement_table(found, language)]
    if found is None:
        return parts
    if found.without:
        shifts = [
            (one.person, one.ratings, _score(one.mean, safe=False), None if one.shift is None else f"{one.shift:+.2f}")
            for one in found.without
        ]
        parts.append(_table("without", ("person", "submitted", "mean-points", "shift"), shifts, language))
    if found.pairs:
        parts.append(_pairs_table(found, language))
    if found.unsafe is not None and found.unsafe.recalls:
        recalls = [
            (one.person, _score(one.sensitivity, safe=False), _score(one.specificity, safe=False))
            for one in found.unsafe.recalls
        ]
        notes = (phrase("quality.recalls", language),)
        parts.append(_table("recalls", ("person", "sensitivity", "specificity"), recalls, language, notes))
    return parts


def _score(estimate: Estimate, *, safe: bool) -> Cell:
    if safe or estimate.value is None:
        return estimate
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.2f}"
    return f"{estimate.value:.2f} [{estimate.low:.2f}, {estimate.high:.2f}]"


def _progress_table(found: Progress, language: str) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (phrase("progress.tasks", language, state=phrase(f"state.{state}", language)), count)
        for state, count in found.tasks.items()
    ]
    rows += [
        (phrase("progress.prompts", language, state=phrase(f"state.{state}", language)), count)
        for state, count in found.prompts.items()
    ]
    rows.append((phrase("progress.votes", language), f"{found.votes_done} / {found.votes_needed}"))
    for key, count in (
        ("adjudicate", found.waiting.get("adjudicate", 0)), ("review", found.waiting.get("review", 0)), ("surplus", found.surplus),
        ("submissions", found.submissions), ("skipped", found.skipped), ("people", found.people),
    ):  # fmt: skip
        rows.append((phrase(f"progress.{key}", language), count))
    return _table("progress", ("what", "count"), [(row[0], str(row[1])) for row in rows], language)


COEFFICIENTS = ("raw", "alpha", "fleiss", "gwet", "icc", "icc_mean", "best")


def _agreement_table(found: Agreement | None, language: str) -> Table:
    if found is None:
        return _table("agreement", ("measure", "value"), [], language, (phrase("agreement.none", language),))
    rows: list[tuple[Cell, ...]] = [(phrase("agreement.items", language), str(found.items))]
    rows += [
        (phrase(f"agreement.{key}", language), _score(estimate, safe=False))
        for key in COEFFICIENTS
        if (estimate := getattr(found, key)) is not None
    ]
    if found.unsafe is not None:
        rows.append((phrase("agreement.prevalence", language), _score(found.unsafe.prevalence, safe=False)))
        share = found.unsafe.majority
        rows.append((phrase("agreement.unsafe_majority", language), None if share is None else f"{share:.2f}"))
        if found.unsafe.model is not None:
            rows.append((phrase("agreement.unsafe_model", language), _score(found.unsafe.model, safe=False)))
    note = "note" if found.unsafe is not None else "note-points"
    return _table("agreement", ("measure", "value"), rows, language, (phrase(f"agreement.{note}", language),))


def _pairs_table(found: Agreement, language: str) -> Table:
    rows = [
        (one.first, one.second, one.items, _score(one.raw, safe=False), _score(one.cohen, safe=False))
        for one in found.pairs
    ]
    return _table("pairs", ("person", "other", "both", "raw", "cohen"), rows, language)


def _people_table(people: Sequence[Quality], language: str, *, safe: bool) -> Table:
    rows = []
    for one in people:
        mean = None if one.mean is None else f"{100 * one.mean:.1f}" if safe else f"{one.mean:.2f}"
        seconds = None if one.seconds is None else f"{one.seconds:.0f}"
        state = phrase(f"state.{one.state}", language)
        severity, drift = (_signed(estimate, safe=safe) for estimate in (one.severity, one.drift))
        rows.append(
            (
                one.person, state, one.submitted, one.skipped, one.gold, one.agreement, mean, severity, drift, one.longest, seconds,
                one.corrected,
            )
        )  # fmt: skip
    columns = (
        "person", "state", "submitted", "skipped", "gold", "agreement", "mean-safe" if safe else "mean-points",
        "severity-safe" if safe else "severity", "drift", "longest", "seconds", "corrected",
    )  # fmt: skip
    return _table("people", columns, rows, language, (phrase("quality.note", language),))


def _signed(estimate: Estimate, *, safe: bool) -> Cell:
    """Returns a difference with its sign: percentage points of `unsafe`, or points."""
    if estimate.value is None:
        return None
    scale, digits = (100, 1) if safe else (1, 2)
    value, low, high = (
        (None if part is None else f"{scale * part:+.{digits}f}")
        for part in (estimate.value, estimate.low, estimate.high)
    )
    return f"{value} [{low}, {high}]" if low is not None else f"{value}"


def why_table(title: str, reasons: Sequence[tuple[str, Sequence[Why]]], language: str) -> Table:
    """Returns reasons as a table of what they are about; `title` is a key of the section `table`."""
    rows = [(what, _why(one, language)) for what, whole in reasons for one in whole]
    return _table(title, ("task" if title == "stuck" else "what", "reason"), rows, language)


def _why(one: Why, language: str) -> str:
    values = dict(one.values)
    if "roles" in values:
        names = [name for name in str(values["roles"]).split(", ") if f"role.{name}" in PHRASES]
        values["roles"] = ", ".join(phrase(f"role.{name}", language) for name in names)
    return why(one.reason, values, language)
