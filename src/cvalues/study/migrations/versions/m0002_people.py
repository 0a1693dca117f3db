"""People: accounts, campaigns, tasks and their slots, who met what, drafts; submissions, adjudications and a chained ledger as facts."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from cvalues.study.migrations.versions.m0001_initial import protect

revision = "0002"
down_revision = "0001"

_OPEN, _LEASED = "state = 'open'", "state = 'leased'"
_PENDING = "outcome in ('open', 'returned')"


def _text(name: str, *, null: bool = False, key: bool = False, refers: str = "") -> sa.Column[str]:
    keys = (sa.ForeignKey(refers),) if refers else ()
    return sa.Column(name, sa.String, *keys, nullable=null, primary_key=key)


def _long(name: str, *, null: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=null)


def _whole(name: str, *, null: bool = False, key: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, nullable=null, primary_key=key)


def _seconds(name: str, *, null: bool = False) -> sa.Column[float]:
    return sa.Column(name, sa.Float, nullable=null)


def _index(name: str, table: str, columns: list[str], where: str = "", *, unique: bool = False) -> None:
    only: dict[str, Any] = {"sqlite_where": sa.text(where), "postgresql_where": sa.text(where)} if where else {}
    op.create_index(name, table, columns, unique=unique, **only)


def upgrade() -> None:
    """Creates the tables of people's work."""
    _accounts()
    _campaigns()
    _work()
    _facts()
    for table in ("submission", "adjudication", "ledger"):
        protect(table)


def _accounts() -> None:
    op.create_table(
        "person",
        _text("id", key=True), _text("mark"), sa.Column("handle", sa.String, nullable=True, unique=True), _text("name"),
        _text("password", null=True), _text("state"), _text("locale"), _text("created"),
    )  # fmt: skip
    op.create_table(
        "role_grant",
        _text("person", key=True, refers="person.id"), _text("campaign", key=True), _text("role", key=True),
        _long("categories"), _text("granted_by"), _text("granted"), _text("revoked", null=True),
    )  # fmt: skip
    op.create_table(
        "invitation",
        _text("id", key=True), _text("campaign"), _text("role"), _long("categories"), _whole("uses"), _whole("most_uses"),
        _seconds("expires"), _text("made_by"), _text("revoked", null=True),
        sa.CheckConstraint("uses <= most_uses", name="invitation_uses"),
    )  # fmt: skip
    op.create_table(
        "session",
        _text("id", key=True), _text("person", refers="person.id"), _text("csrf"), _seconds("created"), _seconds("seen"),
        _seconds("confirmed"), _seconds("revoked", null=True),
    )  # fmt: skip
    _index("session_person", "session", ["person"])
    op.create_table("bucket", _text("key", key=True), _seconds("tokens"), _seconds("time"))
    op.create_table(
        "desk",
        _whole("id", key=True), _text("chain"), _whole("seq"), _text("head"), _text("prefix"), _whole("people"),
        sa.CheckConstraint("id = 1", name="desk_one"),
    )  # fmt: skip


def _campaigns() -> None:
    op.create_table("campaign", _text("name", key=True), _text("kind"), _text("state"), _text("created"), _long("body"))
    op.create_table(
        "membership",
        _text("campaign", key=True, refers="campaign.name"), _text("person", key=True, refers="person.id"), _text("state"),
        _text("consent", null=True), _long("scenarios", null=True), _whole("qualified"), _whole("attempt"), _whole("claimed"),
        _whole("submitted"), _whole("skipped"), _whole("gold_right"), _whole("gold_total"), _whole("since_gold"), _whole("place"),
        _text("day"), _whole("day_items"), _whole("day_sensitive"), _seconds("day_seconds"),
    )  # fmt: skip


def _work() -> None:
    op.create_table(
        "task",
        _text("id", key=True), _text("campaign", refers="campaign.name"), _text("key"), _text("kind"), _text("category"),
        _text("author"), _text("parent", null=True), _whole("rnd"), _whole("need"), _whole("done"), _text("state"), _long("body"),
        sa.UniqueConstraint("campaign", "key", name="task_key"),
        sa.UniqueConstraint("id", "author", name="task_author"),
    )  # fmt: skip
    _index("task_state", "task", ["campaign", "kind", "state", "category", "need", "done"])
    _index("task_parent", "task", ["parent"])
    op.create_table(
        "task_reply",
        _text("task", key=True, refers="task.id"), _whole("n", key=True), _text("response", refers="response.id"), _text("model"),
        sa.UniqueConstraint("task", "response", name="task_reply_once"),
    )  # fmt: skip
    _index("task_reply_response", "task_reply", ["response"])
    op.create_table(
        "slot",
        _text("task", key=True, refers="task.id"), _whole("n", key=True), _text("campaign"), _text("duty"), _text("category"),
        _text("author"), _whole("rnd"), _text("state"), _text("person", null=True, refers="person.id"), _seconds("lease", null=True),
        sa.UniqueConstraint("task", "person", name="slot_person"),
        sa.CheckConstraint("state not in ('leased', 'done') or person is not null", name="slot_held"),
    )  # fmt: skip
    _index("slot_open", "slot", ["campaign", "duty", "n", "rnd"], _OPEN)
    _index("slot_category", "slot", ["campaign", "duty", "category", "n", "rnd"], _OPEN)
    _index("slot_lease", "slot", ["campaign", "duty", "lease"], _LEASED)
    _index("slot_holder", "slot", ["person"], _LEASED)
    op.create_table(
        "exposure",
        _text("person", key=True, refers="person.id"), _text("task", key=True), _text("campaign"), _text("author"), _text("duty"),
        _whole("slot", null=True), _text("ord"), _text("guideline"), _seconds("claimed"), _seconds("opened", null=True),
        _seconds("revealed", null=True), _text("outcome"), _long("note"),
        sa.ForeignKeyConstraint(["task", "author"], ["task.id", "task.author"], name="exposure_task"),
        sa.CheckConstraint("person <> author", name="exposure_author"),
    )  # fmt: skip
    _index("exposure_pending", "exposure", ["campaign", "person"], _PENDING)
    _index("exposure_task_index", "exposure", ["task"])
    op.create_table(
        "draft",
        _text("person", key=True, refers="person.id"), _text("task", key=True, refers="task.id"), _whole("revision"),
        _seconds("updated"), _long("body"),
    )  # fmt: skip


def _facts() -> None:
    op.create_table(
        "submission",
        _text("id", key=True), _text("campaign"), _text("task", refers="task.id"), _text("person", refers="person.id"), _whole("rev"),
        _whole("slot", null=True), _text("received"), _long("body"),
        sa.UniqueConstraint("task", "person", "rev", name="submission_rev"),
        sa.ForeignKeyConstraint(["task", "slot"], ["slot.task", "slot.n"], name="submission_of_slot"),
    )  # fmt: skip
    _index("submission_slot", "submission", ["task", "slot"], "rev = 1", unique=True)
    _index("submission_campaign", "submission", ["campaign", "received", "id"])
    _index("submission_surplus", "submission", ["campaign"], "slot is null")
    _index("submission_person", "submission", ["person", "campaign", "received"])
    op.create_table(
        "adjudication",
        _text("id", key=True), _text("campaign"), _text("task", refers="task.id"), _text("person", refers="person.id"), _whole("rev"),
        _text("received"), _long("body"),
        sa.UniqueConstraint("task", "person", "rev", name="adjudication_rev"),
    )  # fmt: skip
    _index("adjudication_campaign", "adjudication", ["campaign", "received", "id"])
    op.create_table(
        "ledger",
        _text("chain", key=True), _whole("seq", key=True), _text("time"), _text("actor"), _text("verb"), _text("object"),
        _long("body"), _text("prev"), _text("hash"),
    )  # fmt: skip
    _index("ledger_object", "ledger", ["object"])


def downgrade() -> None:
    """Is not offered: facts are never deleted; restore a backup instead."""
    raise RuntimeError("a study is never migrated backwards; restore a backup")
