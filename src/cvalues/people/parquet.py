"""Answers and items of a campaign as Parquet: typed columns for whoever analyses them; needs the extra `parquet`."""

from __future__ import annotations

import io
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

from cvalues.errors import MissingExtra
from cvalues.records import write_atomically

_ROWS = 5000
ANSWERS = {
    "id": "text", "campaign": "text", "task": "text", "kind": "text", "person": "text", "rev": "int", "slot": "int", "value": "text",
    "best": "text", "opinion": "text", "answer": "text", "reasons": "text", "confidence": "int", "active_ms": "int", "wall_ms": "int",
    "guideline": "text", "sent": "text", "received": "text",
}  # fmt: skip
"""Columns of submissions.parquet: those of submissions.csv, texts as they were sent."""
ITEMS = {
    "task": "text", "category": "text", "prompt": "text", "prompt_id": "text", "replies": "replies", "label": "text", "how": "text",
    "votes": "texts",
}  # fmt: skip
"""Columns of items.parquet; labels and votes as text: `unsafe`, or points such as `7.5`."""


def write_parquet(path: Path, columns: dict[str, str], rows: Iterable[dict[str, Any]]) -> int:
    """Writes rows with these columns, some thousand at a time, and returns how many there were.

    Raises:
        MissingExtra: pyarrow is not installed.
        DataError: the file cannot be written.
    """
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ModuleNotFoundError as error:
        raise MissingExtra("pyarrow", "parquet") from error
    reply = pa.struct([("response", pa.string()), ("model", pa.string()), ("text", pa.string())])
    kinds = {"text": pa.string(), "int": pa.int64(), "texts": pa.list_(pa.string()), "replies": pa.list_(reply)}
    schema = pa.schema([(name, kinds[kind]) for name, kind in columns.items()])
    counts = [0]

    def work(file: io.BufferedWriter) -> None:
        source = iter(rows)
        with parquet.ParquetWriter(file, schema) as writer:
            while chunk := [_typed(row, columns) for row in islice(source, _ROWS)]:
                writer.write_table(pa.Table.from_pylist(chunk, schema=schema))
                counts[0] += len(chunk)

    write_atomically(path, work)
    return counts[0]


def _typed(row: dict[str, Any], columns: dict[str, str]) -> dict[str, Any]:
    def fit(value: Any, kind: str) -> Any:
        if kind == "texts":
            return [str(one) for one in value]
        return str(value) if kind == "text" and value is not None else value

    return {name: fit(row.get(name), kind) for name, kind in columns.items()}
