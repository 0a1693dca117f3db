"""The first schema: items, requests, asked, responses, attempts, verdicts; runs and claims; triggers that keep facts as they are."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_FACTS = ("item", "request", "asked", "response", "attempt", "verdict", "audit")
_MESSAGE = "cvalues: facts are insert-only; write a new record instead"


def _text(name: str, *, null: bool = False, key: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String, nullable=null, primary_key=key)


def _body() -> sa.Column[str]:
    return sa.Column("body", sa.Text, nullable=False)


def protect(table: str) -> None:
    """Adds the triggers that refuse UPDATE and DELETE on a fact table."""
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{_MESSAGE}'); END"
            )
        return
    op.execute(
        f"CREATE TRIGGER {table}_insert_only BEFORE UPDATE OR DELETE ON {table} "
        "FOR EACH ROW EXECUTE FUNCTION cvalues_insert_only()"
    )


def upgrade() -> None:
    """Creates everything."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE OR REPLACE FUNCTION cvalues_insert_only() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN RAISE EXCEPTION '{_MESSAGE}'; END $$"
        )
    op.create_table("item", _text("hash", key=True), _text("kind"), _text("id"), _body())
    op.create_table("request", _text("id", key=True), _text("model"), _text("mode"), _body())
    op.create_table(
        "asked",
        _text("run", key=True),
        _text("model", key=True),
        _text("ask", key=True),
        sa.Column("position", sa.Integer, nullable=False),
        _text("item"),
        _text("subject"),
        _text("ord"),
        sa.Column("sample", sa.Integer, nullable=False),
        _text("template"),
        _text("request"),
    )
    op.create_index("asked_request", "asked", ["request"])
    op.create_table(
        "response",
        _text("id", key=True),
        sa.Column("origin", sa.String, nullable=False),
        sa.Column("request", sa.String, nullable=True, unique=True),
        _text("prompt_id"),
        _text("finish"),
        _text("model"),
        _text("time"),
        _body(),
        sa.Column("raw", sa.LargeBinary, nullable=True),
    )
    op.create_table(
        "attempt",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        _text("request"),
        _text("kind"),
        sa.Column("final", sa.Integer, nullable=False),
        _text("time"),
        _body(),
    )
    op.create_index("attempt_request", "attempt", ["request"])
    op.create_table(
        "verdict",
        _text("id", key=True),
        _text("criterion"),
        _text("subject"),
        _text("rater"),
        _text("value", null=True),
        _text("status"),
        _text("run"),
        _text("time"),
        _body(),
    )
    op.create_index("verdict_subject", "verdict", ["subject", "criterion"])
    op.create_table("audit", _text("id", key=True), _text("verb"), _text("object"), _text("time"), _body())
    op.create_table("run", _text("name", key=True), _text("state"), _text("start"), _text("end"), _body())
    op.create_table(
        "claim",
        _text("request", key=True),
        _text("run"),
        _text("host"),
        sa.Column("process", sa.Integer, nullable=False),
        _text("process_start"),
        sa.Column("heartbeat", sa.Float, nullable=False),
    )
    for table in _FACTS:
        protect(table)


def downgrade() -> None:
    """Is not offered: facts are never deleted; restore a backup instead."""
    raise RuntimeError("a study is never migrated backwards; restore a backup")
