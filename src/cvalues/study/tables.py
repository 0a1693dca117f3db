"""The tables of a study: insert-only facts and updatable state.

Each fact is one canonical-JSON text column (`body`) plus typed columns for what is queried. A trigger refuses every UPDATE and
DELETE on a fact. State tables (`run`, `claim`) may change and are checked against the facts by `study verify`.
"""

from __future__ import annotations

from sqlalchemy import Column, Float, Index, Integer, LargeBinary, MetaData, String, Table, Text

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

FACTS = (item, request, asked, response, attempt, verdict, audit)
STATE = (run, claim)
