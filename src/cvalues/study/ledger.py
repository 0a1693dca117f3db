"""The ledger of people's work: one row per deed, each with the hash of the row before it.

A row that was changed or taken out afterwards breaks the chain there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import sqlalchemy as sa

from cvalues.records import canonical, content_hash
from cvalues.study import tables


class Break(NamedTuple):
    """A place where a chain does not hold."""

    place: str
    """`chain/seq`."""
    found: str
    expected: str


def line_hash(row: dict[str, Any]) -> str:
    """Returns the hash of a ledger row: the content hash of all its fields but `hash`."""
    return content_hash({key: value for key, value in row.items() if key != "hash"})


def append(connection: sa.Connection, rows: list[tuple[str, str, str, str, dict[str, Any]]]) -> bool:
    """Appends rows (time, actor, verb, object, detail) to this study's chain, inside the transaction that did what they say.

    The row of `desk` is locked until the end of the transaction, so call it last: writers wait for each other only here.
    Returns False, and appends nothing, where the study has no chain yet.
    """
    d = tables.desk.c
    end = connection.execute(sa.select(d.chain, d.seq, d.head).with_for_update()).one_or_none()
    if end is None:
        return False
    seq, head = end.seq, end.head
    lines = []
    for time, actor, verb, what, detail in rows:
        seq += 1
        line = {
            "chain": end.chain, "seq": seq, "time": time, "actor": actor, "verb": verb, "object": what,
            "body": canonical(detail).decode(), "prev": head,
        }  # fmt: skip
        head = line["hash"] = line_hash(line)
        lines.append(line)
    connection.execute(sa.insert(tables.ledger), lines)
    connection.execute(sa.update(tables.desk).values(seq=seq, head=head))
    return True


def breaks(connection: sa.Connection) -> Iterator[Break]:
    """Yields every place where a chain is broken: a changed row, a missing one, or an end that is not the desk's."""
    t = tables.ledger
    chain, head, seq = "", "", 0
    ends: dict[str, tuple[int, str]] = {}
    for found in connection.execution_options(yield_per=1000).execute(sa.select(t).order_by(t.c.chain, t.c.seq)):
        row = dict(found._mapping)  # noqa: SLF001 -- SQLAlchemy's documented name
        if row["chain"] != chain:
            chain, head, seq = row["chain"], "", 0
        place = f"{chain}/{row['seq']}"
        if row["seq"] != seq + 1:
            yield Break(place, f"number {row['seq']}", f"number {seq + 1}")
        elif row["prev"] != head:
            yield Break(place, row["prev"], head)
        if line_hash(row) != row["hash"]:
            yield Break(place, row["hash"], line_hash(row))
        seq, head = row["seq"], row["hash"]
        ends[chain] = (seq, head)
    end = connection.execute(sa.select(tables.desk.c.chain, tables.desk.c.seq, tables.desk.c.head)).one_or_none()
    if end is not None and ends.get(end.chain, (0, "")) != (end.seq, end.head):
        yield Break(f"{end.chain}/{end.seq}", str(ends.get(end.chain, (0, ""))), str((end.seq, end.head)))
