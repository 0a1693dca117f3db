"""The tables of a study: insert-only facts and updatable state.

Each fact is one canonical-JSON text column (`body`) plus typed columns for what is queried. A trigger refuses every UPDATE and
DELETE on a fact. State tables (`run`, `claim`, and those of people's work) may change and are checked against the facts by
`study verify` and `people verify`.
"""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData()
# Every index costs a random page write per record while a run goes on: only what is looked up has one.

item = Table(
    "item",
    metadata,
    Column("hash", String, primary_key=True),
    Column("kind", String, nullable=False),  # prompt | choice
    Column("id", String, nullable=False),
    Column("body", Text, nullable=False),
)
"""Prompts and choices by content, so that a run keeps what it asked even when the data file changes later."""

request = Table(
    "request",
    metadata,
    Column("id", String, primary_key=True),
    Column("model", String, nullable=False),
    Column("mode", String, nullable=False),
    Column("body", Text, nullable=False),
)

asked = Table(
    "asked",
    metadata,
    Column("run", String, primary_key=True),
    Column("model", String, primary_key=True),
    Column("ask", String, primary_key=True),
    Column("position", Integer, nullable=False),
    Column("item", String, nullable=False),
    Column("subject", String, nullable=False),
    Column("ord", String, nullable=False),
    Column("sample", Integer, nullable=False),
    Column("template", String, nullable=False),
    Column("request", String, nullable=False),
    Index("asked_request", "request"),
)
"""Which request serves which ask of which run; two runs may share a request and so its response."""

response = Table(
    "response",
    metadata,
    Column("id", String, primary_key=True),
    Column("origin", String, nullable=False),
    Column("request", String, nullable=True, unique=True),
    Column("prompt_id", String, nullable=False),
    Column("finish", String, nullable=False),
    Column("model", String, nullable=False),
    Column("time", String, nullable=False),
    Column("body", Text, nullable=False),
    Column("raw", LargeBinary, nullable=True),
)
"""`raw` keeps the bytes received where the text could not be stored as it came (NUL, lone surrogates)."""

attempt = Table(
    "attempt",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("request", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("final", Integer, nullable=False),
    Column("time", String, nullable=False),
    Column("body", Text, nullable=False),
    Index("attempt_request", "request"),
)

verdict = Table(
    "verdict",
    metadata,
    Column("id", String, primary_key=True),
    Column("criterion", String, nullable=False),
    Column("subject", String, nullable=False),
    Column("rater", String, nullable=False),
    Column("value", String, nullable=True),
    Column("status", String, nullable=False),
    Column("run", String, nullable=False),
    Column("time", String, nullable=False),
    Column("body", Text, nullable=False),
    Index("verdict_subject", "subject", "criterion"),
)
"""`subject` is the first response id; the whole tuple stands in `body`."""

audit = Table(
    "audit",
    metadata,
    Column("id", String, primary_key=True),
    Column("verb", String, nullable=False),
    Column("object", String, nullable=False),
    Column("time", String, nullable=False),
    Column("body", Text, nullable=False),
)
"""What was done that a reader of results must know, for example that held-back items were exported for training."""

run = Table(
    "run",
    metadata,
    Column("name", String, primary_key=True),
    Column("state", String, nullable=False),
    Column("start", String, nullable=False),
    Column("end", String, nullable=False),
    Column("body", Text, nullable=False),
)

claim = Table(
    "claim",
    metadata,
    Column("request", String, primary_key=True),
    Column("run", String, nullable=False),
    Column("host", String, nullable=False),
    Column("process", Integer, nullable=False),
    Column("process_start", String, nullable=False),
    Column("heartbeat", Float, nullable=False),
)

# --- people ---------------------------------------------------------------------------------------------------------------
# What must never happen is made impossible here and not in the code: every slot exists before it is taken and is counted once
# (`submission_slot`), a person meets a task once (keys of `exposure` and `slot`), and never one of their own (`exposure_author`).

person = Table(
    "person",
    metadata,
    Column("id", String, primary_key=True),
    Column("mark", String, nullable=False),
    Column("handle", String, nullable=True, unique=True),
    Column("name", String, nullable=False),
    Column("password", String, nullable=True),
    Column("state", String, nullable=False),  # active | paused | deactivated
    Column("locale", String, nullable=False),
    Column("created", String, nullable=False),
)
"""People by pseudonym (`a17`). `mark` tells two people apart who have one pseudonym in two studies; `handle`, `name` and `password`
never leave the study."""

role_grant = Table(
    "role_grant",
    metadata,
    Column("person", String, ForeignKey("person.id"), primary_key=True),
    Column("campaign", String, primary_key=True),  # empty: every campaign
    Column("role", String, primary_key=True),
    Column("categories", Text, nullable=False),  # JSON list; empty: all
    Column("granted_by", String, nullable=False),
    Column("granted", String, nullable=False),
    Column("revoked", String, nullable=True),
)

invitation = Table(
    "invitation",
    metadata,
    Column("id", String, primary_key=True),  # hash of the token
    Column("campaign", String, nullable=False),
    Column("role", String, nullable=False),
    Column("categories", Text, nullable=False),
    Column("uses", Integer, nullable=False),
    Column("most_uses", Integer, nullable=False),
    Column("expires", Float, nullable=False),
    Column("made_by", String, nullable=False),
    Column("revoked", String, nullable=True),
    CheckConstraint("uses <= most_uses", name="invitation_uses"),
)

session = Table(
    "session",
    metadata,
    Column("id", String, primary_key=True),  # hash of the token
    Column("person", String, ForeignKey("person.id"), nullable=False),
    Column("csrf", String, nullable=False),
    Column("created", Float, nullable=False),
    Column("seen", Float, nullable=False),
    Column("confirmed", Float, nullable=False),  # when the password was last given
    Column("revoked", Float, nullable=True),
    Index("session_person", "person"),
)

bucket = Table(
    "bucket",
    metadata,
    Column("key", String, primary_key=True),
    Column("tokens", Float, nullable=False),
    Column("time", Float, nullable=False),
)
"""Rate limits: token buckets."""

campaign = Table(
    "campaign",
    metadata,
    Column("name", String, primary_key=True),
    Column("kind", String, nullable=False),
    Column("state", String, nullable=False),  # draft | open | paused | closed
    Column("created", String, nullable=False),
    Column("body", Text, nullable=False),
)

membership = Table(
    "membership",
    metadata,
    Column("campaign", String, ForeignKey("campaign.name"), primary_key=True),
    Column("person", String, ForeignKey("person.id"), primary_key=True),
    Column("state", String, nullable=False),  # active | paused
    Column("consent", String, nullable=True),
    Column("scenarios", Text, nullable=True),  # JSON list of the categories chosen; NULL: all
    Column("qualified", Integer, nullable=False),  # major guideline version that was passed, 0 for none
    Column("attempt", Integer, nullable=False),
    Column("claimed", Integer, nullable=False),
    Column("submitted", Integer, nullable=False),
    Column("skipped", Integer, nullable=False),
    Column("gold_right", Integer, nullable=False),
    Column("gold_total", Integer, nullable=False),
    Column("since_gold", Integer, nullable=False),
    Column("place", Integer, nullable=False),  # where on the ring of tasks the person stands
    Column("day", String, nullable=False),
    Column("day_items", Integer, nullable=False),
    Column("day_sensitive", Integer, nullable=False),
    Column("day_seconds", Float, nullable=False),
)
"""One person in one campaign; its row lock keeps two tabs of one person apart."""

task = Table(
    "task",
    metadata,
    Column("id", String, primary_key=True),
    Column("campaign", String, ForeignKey("campaign.name"), nullable=False),
    Column("key", String, nullable=False),
    Column("kind", String, nullable=False),  # work | gold | qualify | train | written
    Column("category", String, nullable=False),
    Column("author", String, nullable=False),  # pseudonym, empty for nobody here
    Column("parent", String, nullable=True),
    Column("rnd", Integer, nullable=False),
    Column("need", Integer, nullable=False),
    Column("done", Integer, nullable=False),
    Column("state", String, nullable=False),
    Column("body", Text, nullable=False),
    UniqueConstraint("campaign", "key", name="task_key"),
    UniqueConstraint("id", "author", name="task_author"),
    Index("task_state", "campaign", "kind", "state", "category", "need", "done"),
    Index("task_parent", "parent"),
)

task_reply = Table(
    "task_reply",
    metadata,
    Column("task", String, ForeignKey("task.id"), primary_key=True),
    Column("n", Integer, primary_key=True),
    Column("response", String, ForeignKey("response.id"), nullable=False),
    Column("model", String, nullable=False),  # never shown before unblinding
    UniqueConstraint("task", "response", name="task_reply_once"),
    Index("task_reply_response", "response"),
)

slot = Table(
    "slot",
    metadata,
    Column("task", String, ForeignKey("task.id"), primary_key=True),
    Column("n", Integer, primary_key=True),  # from 0 for votes, -1 for the one who adjudicates or reviews
    Column("campaign", String, nullable=False),
    Column("duty", String, nullable=False),  # work | gold | adjudicate | review
    Column("category", String, nullable=False),
    Column("author", String, nullable=False),
    Column("rnd", Integer, nullable=False),
    Column("state", String, nullable=False),  # open | leased | done | void
    Column("person", String, ForeignKey("person.id"), nullable=True),
    Column("lease", Float, nullable=True),
    UniqueConstraint("task", "person", name="slot_person"),
    CheckConstraint("state not in ('leased', 'done') or person is not null", name="slot_held"),
    Index("slot_open", "campaign", "duty", "n", "rnd", sqlite_where=text("state = 'open'"), postgresql_where=text("state = 'open'")),
    Index(
        "slot_category", "campaign", "duty", "category", "n", "rnd",
        sqlite_where=text("state = 'open'"), postgresql_where=text("state = 'open'"),
    ),
    Index(
        "slot_lease", "campaign", "duty", "lease",
        sqlite_where=text("state = 'leased'"), postgresql_where=text("state = 'leased'"),
    ),
    Index("slot_holder", "person", sqlite_where=text("state = 'leased'"), postgresql_where=text("state = 'leased'")),
)  # fmt: skip

exposure = Table(
    "exposure",
    metadata,
    Column("person", String, ForeignKey("person.id"), primary_key=True),
    Column("task", String, primary_key=True),
    Column("campaign", String, nullable=False),
    Column("author", String, nullable=False),
    Column("duty", String, nullable=False),
    Column("slot", Integer, nullable=True),
    Column("ord", String, nullable=False),  # the replies in the order shown, JSON
    Column("guideline", String, nullable=False),
    Column("claimed", Float, nullable=False),
    Column("opened", Float, nullable=True),
    Column("revealed", Float, nullable=True),
    Column("outcome", String, nullable=False),  # open | judged | skipped | returned | barred
    Column("note", Text, nullable=False),  # why it was skipped, or what to do again
    ForeignKeyConstraint(["task", "author"], ["task.id", "task.author"], name="exposure_task"),
    CheckConstraint("person <> author", name="exposure_author"),
    Index(
        "exposure_pending", "campaign", "person",
        sqlite_where=text("outcome in ('open', 'returned')"), postgresql_where=text("outcome in ('open', 'returned')"),
    ),
    Index("exposure_task_index", "task"),
)  # fmt: skip
"""Who has met which task: the guarantee that nobody meets one twice, and nobody one of their own."""

draft = Table(
    "draft",
    metadata,
    Column("person", String, ForeignKey("person.id"), primary_key=True),
    Column("task", String, ForeignKey("task.id"), primary_key=True),
    Column("revision", Integer, nullable=False),
    Column("updated", Float, nullable=False),
    Column("body", Text, nullable=False),
)

desk = Table(
    "desk",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("chain", String, nullable=False),
    Column("seq", Integer, nullable=False),
    Column("head", String, nullable=False),
    Column("prefix", String, nullable=False),
    Column("people", Integer, nullable=False),
    CheckConstraint("id = 1", name="desk_one"),
)
"""One row: the end of this study's ledger, and how many pseudonyms were given."""

submission = Table(
    "submission",
    metadata,
    Column("id", String, primary_key=True),  # made by the client
    Column("campaign", String, nullable=False),
    Column("task", String, ForeignKey("task.id"), nullable=False),
    Column("person", String, ForeignKey("person.id"), nullable=False),
    Column("rev", Integer, nullable=False),
    Column("slot", Integer, nullable=True),  # NULL: beyond the overlap that was asked for
    Column("received", String, nullable=False),
    Column("body", Text, nullable=False),
    UniqueConstraint("task", "person", "rev", name="submission_rev"),
    ForeignKeyConstraint(["task", "slot"], ["slot.task", "slot.n"], name="submission_of_slot"),
    Index(
        "submission_slot", "task", "slot", unique=True, sqlite_where=text("rev = 1"), postgresql_where=text("rev = 1")
    ),
    Index("submission_campaign", "campaign", "received", "id"),
    Index("submission_person", "person", "campaign", "received"),
    Index("submission_surplus", "campaign", sqlite_where=text("slot is null"), postgresql_where=text("slot is null")),
)
"""What people sent, exactly; a correction is a new revision."""

adjudication = Table(
    "adjudication",
    metadata,
    Column("id", String, primary_key=True),
    Column("campaign", String, nullable=False),
    Column("task", String, ForeignKey("task.id"), nullable=False),
    Column("person", String, ForeignKey("person.id"), nullable=False),
    Column("rev", Integer, nullable=False),
    Column("received", String, nullable=False),
    Column("body", Text, nullable=False),
    UniqueConstraint("task", "person", "rev", name="adjudication_rev"),
    Index("adjudication_campaign", "campaign", "received", "id"),
)

ledger = Table(
    "ledger",
    metadata,
    Column("chain", String, primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column("time", String, nullable=False),
    Column("actor", String, nullable=False),
    Column("verb", String, nullable=False),
    Column("object", String, nullable=False),
    Column("body", Text, nullable=False),
    Column("prev", String, nullable=False),
    Column("hash", String, nullable=False),
    Index("ledger_object", "object"),
)
"""What people did, each row with the hash of the one before it; a study that took in another has several chains."""

FACTS = (item, request, asked, response, attempt, verdict, audit, submission, adjudication, ledger)
PEOPLE_STATE = (
    person, role_grant, invitation, session, bucket, campaign, membership, task, task_reply, slot, exposure, draft, desk,
)  # fmt: skip
STATE = (run, claim, *PEOPLE_STATE)
