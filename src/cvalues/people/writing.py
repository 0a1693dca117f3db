"""Prompts that people write: attacks that look for unsafe replies, and experts' questions.

    task = write_prompt(desk, person, campaign, text, category)     # kept at once
    ask_models(desk, task, asker)                                   # the server asks; may be repeated until it works
    attack:  show_prompt → claim_unsafe → blind validators (claim_next as annotator) → accepted or rejected by the campaign's rule
    expert:  after ask_models the question is the writer's next task (claim_next as expert)

The author's claim is a submission and no verdict. Credit follows what the validators say.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
import sqlalchemy as sa

from cvalues.errors import CallError
from cvalues.people.accounts import roles_in
from cvalues.people.asking import Asker, Replies
from cvalues.people.assign import join_campaign
from cvalues.people.attack_rules import settle_attack
from cvalues.people.blinding import mask
from cvalues.people.campaigns import known_categories, load_campaign
from cvalues.people.desk import Desk, Tx
from cvalues.people.errors import BadAnswer, NeverAssigned, NotAllowed
from cvalues.people.exposures import expose
from cvalues.people.forms import (
    LONGEST,
    AttackAnswer,
    Campaign,
    NewReply,
    NewTask,
    Receipt,
    Sending,
    ShownReply,
    Submission,
)
from cvalues.people.rules import read_answer, shown_order
from cvalues.people.submit import read_sending, receipt, replay, revisions, store
from cvalues.people.tasks import add_in, add_responses, body_of, lock_task, replies_of, task_id
from cvalues.people.verdicts import rater_of
from cvalues.records import canonical, clean, content_hash, derive_seed
from cvalues.schema import Prompt, Record
from cvalues.study import Received, tables
from cvalues.study.rows import attempt_row, item_row, response_row
from cvalues.taxonomy import builtin
from cvalues.text import fingerprint, near_duplicates

NEAR = 0.5
"""Similarity from which a prompt is shown as a near-duplicate."""
_MOST_COMPARED = 5000


class Written(Record, frozen=True, kw_only=True):
    """A prompt as its author sees it."""

    task: str
    campaign: str
    category: str
    prompt: str
    state: str
    """asking, claiming, validating, accepted, rejected, unclaimed, retracted; of a question: asking, asked."""
    replies: tuple[ShownReply, ...] = ()
    claims: dict[str, Any] | None = None
    parent: str | None = None


class Near(Record, frozen=True, kw_only=True):
    """A prompt of the campaign that is like what is being written."""

    task: str
    prompt: str
    similarity: float
    own: bool


def write_prompt(desk: Desk, person: str, campaign: str, text: str, category: str, *, parent: str | None = None) -> str:
    """Keeps a prompt and returns its task; the same text of the same author is the same task.

    Args:
        desk: the desk.
        person: who writes; needs the role author (attack) or expert.
        campaign: an attack or expert campaign.
        text: the prompt.
        category: a scenario or domain of the campaign.
        parent: the task of the prompt that this one is an edit of.

    Raises:
        NotAllowed: the person lacks the role, or did not consent yet.
        BadAnswer: the text is empty or too long, the category is none of the campaign's, or the prompt exists already.
    """
    prompt = clean(text).strip()
    mark = fingerprint(prompt)
    if not prompt or not mark or len(prompt) > LONGEST:
        raise BadAnswer(f"the prompt: expected 1 to {LONGEST} characters, some of them letters or digits")
    return desk.write(lambda tx: _write(tx, person, campaign, (prompt, category, parent)))


def _write(tx: Tx, person: str, name: str, what: tuple[str, str, str | None]) -> str:
    prompt, category, parent = what
    campaign, _ = load_campaign(tx.connection, name)
    allowed_to_write(tx, campaign, person, category)
    key = "written:" + content_hash(fingerprint(prompt))[3:]
    identity = task_id(name, key)
    t = tables.task.c
    there = tx.first(sa.select(t.author, t.state).where(t.id == identity))
    if there is not None:
        if there.author != person:
            raise BadAnswer("this prompt stands in the campaign already; change what it asks")
        if there.state == "retracted":
            tx.update(
                tables.task, t.id == identity, state="claiming" if replies_of(tx.connection, identity) else "asking"
            )
        return identity
    level: Literal[1, 2] = 2 if campaign.kind == "expert" else 1
    before = tx.first(sa.select(t.author).where(t.id == parent, t.campaign == name)) if parent else None
    if parent and (before is None or before.author != person):
        raise BadAnswer("the prompt that this one is an edit of is not yours")
    record = Prompt(
        id=f"{name}/{identity}", text=prompt, level=level, category=category, source=name, author=rater_of(person),
        parent=f"{name}/{parent}" if parent else None,
    )  # fmt: skip
    tx.add(tables.item, [item_row(content_hash(record), record)])
    new = NewTask(
        prompt=prompt, prompt_id=record.id, replies=(), category=category, level=level, kind="written", author=person, parent=parent,
        key=key,
    )  # fmt: skip
    add_in(tx, campaign, [new], person)
    tx.update(tables.task, t.id == identity, state="asking")
    tx.log(person, "write", identity, category=category, parent=parent)
    return identity


def allowed_to_write(tx: Tx, campaign: Campaign, person: str, category: str) -> None:
    """Raises NotAllowed or BadAnswer when a person cannot write a prompt of this category."""
    role = {"attack": "author", "expert": "expert"}.get(campaign.kind, "")
    roles = roles_in(tx.connection, person, campaign.name)
    state = tx.connection.execute(sa.select(tables.person.c.state).where(tables.person.c.id == person)).scalar()
    if not role or role not in roles or state != "active":
        raise NotAllowed(
            "writing prompts needs the role author (in an attack campaign) or expert (in an expert campaign)"
        )
    scope = roles[role] or known_categories(campaign)
    if category not in scope:
        raise BadAnswer(f"there is no category '{category}' to write for here; choose {', '.join(scope)}")
    member = join_campaign(tx, campaign, person)
    if campaign.consent and member.consent is None:
        raise NotAllowed("read what this work is like and choose your scenarios first")
    if member.scenarios is not None and category not in msgspec.json.decode(member.scenarios, type=list[str]):
        raise BadAnswer(f"you opted out of '{category}'; change your choice first")


def ask_models(desk: Desk, task: str, ask: Asker) -> int:
    """Has the models answer a prompt, keeps what they say and returns how many replies there are; asks nobody a second time.

    The calls are made outside any transaction. Failed calls are kept as attempts.

    Raises:
        NoSuch: there is no such task.
        CallError: no model answered; the prompt is kept, and this may be repeated.
    """
    with desk.reading() as connection:
        row = connection.execute(sa.select(tables.task).where(tables.task.c.id == task)).one_or_none()
        known = len(replies_of(connection, task)) if row is not None else 0
    if row is None:
        desk.write(lambda tx: lock_task(tx, task))
    if row is None or known:
        return known
    replies = ask(body_of(row).prompt)
    count = desk.write(lambda tx: _keep(tx, task, replies))
    if not count:
        kind, detail = (
            (replies.failed[0][1].kind, replies.failed[0][1].detail) if replies.failed else ("missing", "no model")
        )
        raise CallError(kind, f"no model answered: {detail}", transient=True)
    return count


def _keep(tx: Tx, task: str, replies: Replies) -> int:
    row = lock_task(tx, task)
    known = len(replies_of(tx.connection, task))
    if known:
        return known
    requests = [entry.request for entry in replies.found] + [request for request, _ in replies.failed]
    tx.add(
        tables.request,
        [{"id": one.id, "model": one.model, "mode": one.mode, "body": canonical(one).decode()} for one in requests],
    )
    prompt_id = body_of(row).prompt_id
    for entry in replies.found:
        response = msgspec.structs.replace(entry.response, prompt_id=prompt_id)
        if response.origin.startswith("request:"):
            tx.add(tables.response, [response_row(Received(entry.request.id, response))])
        else:
            add_responses(tx, [response])
    tx.add(tables.attempt, [attempt_row(attempt) for _, attempt in replies.failed])
    unique = {entry.response.id: entry.model for entry in replies.found}
    rows = [
        {"task": task, "n": n, "response": response, "model": model}
        for n, (response, model) in enumerate(unique.items())
    ]
    if not rows:
        return 0
    tx.add(tables.task_reply, rows)
    campaign, _ = load_campaign(tx.connection, row.campaign)
    state = "claiming" if campaign.kind == "attack" else "asked"
    tx.update(tables.task, tables.task.c.id == task, state=state)
    if campaign.kind == "expert":
        _question(tx, campaign, row, unique)
    tx.log("", "replies", task, count=len(rows), failed=len(replies.failed))
    return len(rows)


def _question(tx: Tx, campaign: Campaign, row: sa.Row[Any], replies: dict[str, str]) -> None:
    """Makes an expert's question a task whose first vote is reserved for its writer."""
    body = body_of(row)
    key = f"question:{row.id}"
    new = NewTask(
        prompt=body.prompt, prompt_id=body.prompt_id, category=row.category, level=body.level, parent=row.id, key=key,
        replies=tuple(NewReply(response=response, model=model) for response, model in replies.items()),
    )  # fmt: skip
    add_in(tx, campaign, [new], row.author)
    identity = task_id(campaign.name, key)
    s, m = tables.slot.c, tables.membership.c
    slot = tx.connection.execute(sa.select(tables.slot).where(s.task == identity, s.n == 0)).one()
    member = join_campaign(tx, campaign, row.author)
    expose(tx, campaign, row.author, slot, list(replies), member.claimed)
    tx.update(
        tables.slot,
        (s.task == identity) & (s.n == 0),
        state="leased",
        person=row.author,
        lease=tx.now + 60 * campaign.lease_minutes,
    )
    tx.update(tables.membership, (m.campaign == campaign.name) & (m.person == row.author), claimed=member.claimed + 1)


def show_prompt(desk: Desk, person: str, task: str) -> Written:
    """Returns a prompt with its replies, models hidden and in an order of its own; raises NeverAssigned for another's prompt."""
    with desk.reading() as connection:
        row = connection.execute(
            sa.select(tables.task).where(tables.task.c.id == task, tables.task.c.author == person)
        ).first()
        if row is None or row.kind != "written":
            raise NeverAssigned(f"task '{task}' was never given to {person}")
        campaign, _ = load_campaign(connection, row.campaign)
        texts = {response.id: response.text for response, _ in replies_of(connection, task)}
        claims = revisions(connection, person, task)
    shown = []
    for position, response in enumerate(_shown(campaign, person, task, list(texts)), 1):
        text, masked = mask(texts[response])
        shown.append(ShownReply(position=position, text=text, masked=masked))
    return Written(
        task=task, campaign=row.campaign, category=row.category, prompt=body_of(row).prompt, state=row.state, replies=tuple(shown),
        claims=claims[-1].answer if claims else None, parent=row.parent,
    )  # fmt: skip


def _shown(campaign: Campaign, person: str, task: str, replies: list[str]) -> tuple[str, ...]:
    start = derive_seed("written", task) % 24
    return tuple(replies[place] for place in shown_order(campaign, person, task, len(replies), start))


def claim_unsafe(desk: Desk, person: str, sending: Sending | dict[str, Any]) -> Receipt:
    """Stores what the author says of the replies (`AttackAnswer`) and hands replies to the validators; returns the receipt.

    All replies of a prompt with an unsafe claim go to the validators, and a share of those of other prompts, so that a validator cannot
    infer the claim.

    Raises:
        NeverAssigned: the prompt is another's.
        KeyTaken: the key stands for another answer.
        BadAnswer: a reply is left out, or no model has answered yet.
    """
    given = read_sending(sending)
    return desk.write(lambda tx: _claim(tx, person, given))


def _claim(tx: Tx, person: str, given: Sending) -> Receipt:
    row = tx.first(sa.select(tables.task).where(tables.task.c.id == given.task).with_for_update(key_share=True))
    if row is None or row.author != person or row.kind != "written":
        raise NeverAssigned(f"task '{given.task}' was never given to {person}")
    again = replay(tx, person, given)
    if again is not None:
        return msgspec.structs.replace(again, counted=True)
    campaign, _ = load_campaign(tx.connection, row.campaign)
    replies = replies_of(tx.connection, row.id)
    if not replies or campaign.kind != "attack":
        raise BadAnswer("no model has answered this prompt yet")
    answer = read_answer(given.answer, "attack", len(replies), campaign)
    earlier = revisions(tx.connection, person, row.id)
    submission = Submission(
        id=given.key, campaign=campaign.name, task=row.id, kind="written", person=person, rev=len(earlier) + 1, answer=given.answer,
        shown=_shown(campaign, person, row.id, [response.id for response, _ in replies]), guideline=campaign.guideline_version,
        active_ms=given.active_ms, wall_ms=given.wall_ms, confidence=given.confidence, sent=given.sent,
        received=max([tx.time, *(one.received for one in earlier)]),
    )  # fmt: skip
    store(tx, submission)
    claimed = isinstance(answer, AttackAnswer) and any(claim.safe == "unsafe" for claim in answer.claims)
    mixed = derive_seed("mix", campaign.seed, row.id) < campaign.mix_share * 2**63
    if row.state in {"claiming", "unclaimed"}:
        state = "validating" if claimed else "unclaimed"
        tx.update(tables.task, tables.task.c.id == row.id, state=state)
        if claimed or mixed:
            add_in(tx, campaign, [_validation(row, response.id, model) for response, model in replies], person)
            settle_attack(tx, campaign, row.id)
    tx.log(person, "claim", submission.id, task=row.id, unsafe=claimed)
    return msgspec.structs.replace(receipt(submission), counted=True)


def _validation(row: sa.Row[Any], response: str, model: str) -> NewTask:
    body = body_of(row)
    return NewTask(
        prompt=body.prompt, prompt_id=body.prompt_id, category=row.category, author=row.author, parent=row.id,
        replies=(NewReply(response=response, model=model),), key=f"validate:{row.id}:{response}",
    )  # fmt: skip


def retract(desk: Desk, person: str, task: str) -> None:
    """Takes a prompt back: it is not kept, whatever the validators say; raises NeverAssigned for another's prompt."""

    def work(tx: Tx) -> None:
        row = lock_task(tx, task)
        if row.author != person or row.kind != "written":
            raise NeverAssigned(f"task '{task}' was never given to {person}")
        tx.update(tables.task, tables.task.c.id == task, state="retracted")
        tx.log(person, "retract", task)

    desk.write(work)


def my_prompts(desk: Desk, person: str, campaign: str, limit: int = 50) -> list[Written]:
    """Returns a person's prompts, latest first, without their replies; empty for none."""
    t = tables.task.c
    with desk.reading() as connection:
        rows = connection.execute(
            sa.select(tables.task, tables.ledger.c.time)
            .join(tables.ledger, sa.and_(tables.ledger.c.object == t.id, tables.ledger.c.verb == "write"))
            .where(t.campaign == campaign, t.author == person, t.kind == "written")
            .order_by(tables.ledger.c.time.desc(), t.id)
            .limit(limit)
        ).all()
    return [
        Written(
            task=row.id,
            campaign=row.campaign,
            category=row.category,
            prompt=body_of(row).prompt,
            state=row.state,
            parent=row.parent,
        )
        for row in rows
    ]


def like_it(desk: Desk, person: str, campaign: str, text: str, limit: int = 3) -> list[Near]:
    """Returns the prompts of a campaign that are most like a text, most alike first; empty for an empty text.

    Prompts of others are named by their similarity only: their text stays hidden.
    """
    if not fingerprint(text):
        return []
    t = tables.task.c
    query = (
        sa.select(tables.task)
        .where(t.campaign == campaign, t.kind == "written", t.state != "retracted")
        .order_by(t.id)
        .limit(_MOST_COMPARED)
    )
    with desk.reading() as connection:
        rows = connection.execute(query).all()
    texts = [body_of(row).prompt for row in rows]
    found = sorted(((score, i, j) for i, j, score in near_duplicates([text, *texts], NEAR) if i == 0), reverse=True)
    return [
        Near(
            task=rows[place - 1].id, similarity=score, own=rows[place - 1].author == person,
            prompt=texts[place - 1] if rows[place - 1].author == person else "",
        )
        for score, _, place in found[:limit]
    ]  # fmt: skip


def category_names(campaign: Campaign, language: str) -> dict[str, str]:
    """Returns the categories in which a campaign collects, code → name."""
    return {code: builtin().name(code, language) for code in known_categories(campaign)}
