"""What notebooks show: records and lists of them as HTML, and as data frames of polars or pandas.

A record gives rows (`frame_rows`), a row is a dict from column to value. An estimate is one cell in HTML and the columns `x`, `x_low`,
`x_high` in a data frame. Texts come from models and files: in HTML all of them are escaped, hidden characters are written out, and
long ones are folded.
"""

from __future__ import annotations

import html
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, SupportsIndex, TypeVar, overload

import msgspec

from cvalues.errors import MissingExtra
from cvalues.phrases import Phrases
from cvalues.records import canonical, clean

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

__all__ = ["Rows", "Shown", "default_language", "visible", "word"]

SHOWN_ROWS = 20
"""Rows of an HTML table; a data frame has all."""
FOLD = 80
"""Characters of a text that stand open in a cell."""
_NAMED = ("verdict", "state", "outcome")
"""Columns whose values have words of their own in each language."""
_WIDEST = 1 << 63
_HIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200c\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff]"
)
_T = TypeVar("_T")


def default_language() -> str:
    """Returns `zh` or `en`: $CVALUES_LANG, else the locale of the environment, else `en`."""
    chosen = os.environ.get("CVALUES_LANG", "")
    if chosen in {"zh", "en"}:
        return chosen
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        value = os.environ.get(name, "")
        if value:
            return "zh" if value.lower().startswith("zh") else "en"
    return "en"


def visible(text: str) -> str:
    """Returns `text` with control, zero-width and direction characters written out, for example `⟨U+202E⟩`.

    Text of models and files can then neither hide in a table nor turn it around. The zero-width joiner of emoji stays.
    """
    return _HIDDEN.sub(lambda match: f"⟨U+{ord(match[0]):04X}⟩", clean(text))


_PHRASES = Phrases("words/notebook.toml")


def word(table: str, key: str, language: str = "", **values: object) -> str:
    """Returns a phrase of `data/words/notebook.toml` with its values; the key itself where there is none.

    Args:
        table: `title`, `column`, `value` or `note`.
        key: which phrase.
        language: `zh` or `en`; `default_language()` when empty.
        **values: what stands for `{name}` in the phrase.
    """
    name = f"{table}.{key}"
    return _PHRASES.say(name, language or default_language(), **values) if name in _PHRASES else key


class Shown:
    """What can be shown in a notebook and turned into a data frame: `_repr_html_`, `to_html`, `to_polars`, `to_pandas`."""

    __slots__ = ()

    def frame_rows(self) -> list[dict[str, Any]]:
        """Returns the rows of a table; a record is one row of its fields, nested ones joined by `_`, a field `group` without its name."""
        return [cells(self)]

    def frame_title(self, language: str) -> str:
        """Returns what stands above the table."""
        return word("title", type(self).__name__, language)

    def frame_notes(self, language: str) -> tuple[str, ...]:  # noqa: ARG002 - children say more
        """Returns what stands below the table."""
        return ()

    def to_html(self, language: str = "", *, limit: int = SHOWN_ROWS) -> str:
        """Returns an HTML table of at most `limit` rows, in `zh` or `en` (`default_language()` when empty)."""
        chosen = language or default_language()
        return html_table(
            self.frame_rows(),
            title=self.frame_title(chosen),
            notes=self.frame_notes(chosen),
            language=chosen,
            limit=limit,
        )

    def _repr_html_(self) -> str:
        """Returns what a notebook shows."""
        return self.to_html()

    def to_polars(self) -> pl.DataFrame:
        """Returns the rows as a data frame of polars; without rows it has no columns.

        Raises:
            MissingExtra: polars is not installed; the message has the line that installs it.
        """
        try:
            import polars as pl
        except ImportError as error:
            raise MissingExtra("polars", "notebook") from error
        return pl.DataFrame(columns(self.frame_rows()), strict=False)

    def to_pandas(self) -> pd.DataFrame:
        """Returns the rows as a data frame of pandas; without rows it has no columns.

        Raises:
            MissingExtra: pandas is not installed; the message has the line that installs it.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise MissingExtra("pandas", "notebook") from error
        return pd.DataFrame(columns(self.frame_rows()))


class Rows(list[_T], Shown):
    """A list of records that a notebook shows as a table."""

    __slots__ = ()

    def frame_rows(self) -> list[dict[str, Any]]:
        """Returns the rows of all records."""
        return [row for record in self for row in rows_of(record)]

    def frame_title(self, language: str) -> str:
        """Returns what the records are, and how many."""
        kind = word("title", type(self[0]).__name__, language) if self else ""
        return word("title", "rows", language, kind=kind, count=f"{len(self):,}").strip()

    @overload
    def __getitem__(self, key: SupportsIndex) -> _T: ...
    @overload
    def __getitem__(self, key: slice) -> Rows[_T]: ...
    def __getitem__(self, key: SupportsIndex | slice) -> _T | Rows[_T]:
        """Returns a record, or for a slice another list of this kind."""
        return Rows(super().__getitem__(key)) if isinstance(key, slice) else super().__getitem__(key)


class Estimated(Shown):
    """A number with its interval: one cell in HTML, three columns in a data frame. A child has its three fields."""

    __slots__ = ()
    if TYPE_CHECKING:
        value: float | None
        low: float | None
        high: float | None

    def frame_cells(self, name: str) -> dict[str, float | None]:
        """Returns `name`, `name_low` and `name_high`."""
        return {name: self.value, f"{name}_low": self.low, f"{name}_high": self.high}


def rows_of(record: object) -> list[dict[str, Any]]:
    """Returns the rows of one record, or of a plain value one row with the column `value`."""
    if isinstance(record, Shown) and not isinstance(record, Estimated):
        return record.frame_rows()
    return (
        [cells(record)]
        if isinstance(record, msgspec.Struct) and not isinstance(record, Estimated)
        else [{"value": record}]
    )


def cells(record: object, prefix: str = "") -> dict[str, Any]:
    """Returns the cells of one record by column; nested records are joined by `_`, dicts and lists become JSON, `group` is spread out."""
    found: dict[str, Any] = {}
    for name in getattr(record, "__struct_fields__", ()):
        value = getattr(record, name)
        if isinstance(value, msgspec.Struct) and not isinstance(value, Estimated):
            found |= cells(value, f"{prefix}{name}_")
        elif name == "group" and isinstance(value, Mapping):
            found |= {prefix + str(key): entry for key, entry in value.items()}
        else:
            found[prefix + name] = value
    return found


def _plain(value: Any) -> Any:
    """Returns a cell as text, number, truth value or None; what is nested as JSON, a number beyond 64 bits as text."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, int) and not isinstance(value, bool) and not -_WIDEST <= value < _WIDEST:
        return str(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    return clean(canonical(value).decode("utf-8", "replace"))


def columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Returns the columns of rows, in the order in which they first occur; one kind of value each, texts where kinds are mixed."""
    names: dict[str, None] = {}
    wide = []
    for row in rows:
        flat: dict[str, Any] = {}
        for name, value in row.items():
            flat |= value.frame_cells(name) if isinstance(value, Estimated) else {name: _plain(value)}
        wide.append(flat)
        names |= dict.fromkeys(flat)
    return {name: _alike([row.get(name) for row in wide]) for name in names}


def _alike(values: list[Any]) -> list[Any]:
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int, float} or len(kinds) == 1:
        return [float(value) if value is not None else None for value in values] if kinds == {int, float} else values
    return [None if value is None else str(value) for value in values]


def _cell_html(name: str, value: Any, language: str) -> str:
    """Returns the inside of a cell of a column; text is escaped and folded where it is long."""
    if isinstance(value, Estimated):
        number, low, high = value.frame_cells("").values()
        interval = f" <small>[{low:.3f}, {high:.3f}]</small>" if low is not None and high is not None else ""
        return "—" if number is None else f"{number:.3f}{interval}"
    value = _plain(value)
    if value is None:
        return "—"
    if isinstance(value, float):
        return f"{value:.4g}"
    text = visible(word("value", value, language) if name in _NAMED and isinstance(value, str) else str(value))
    if len(text) <= FOLD:
        return html.escape(text)
    return (
        f"<details><summary>{html.escape(text[:FOLD])}…</summary>"
        f'<div style="white-space:pre-wrap">{html.escape(text)}</div></details>'
    )


def html_table(
    rows: Sequence[Mapping[str, Any]],
    *,
    title: str = "",
    notes: Iterable[str] = (),
    language: str = "en",
    limit: int = SHOWN_ROWS,
) -> str:
    """Returns an HTML table of rows; columns without any value are left out, rows after `limit` are counted in a note."""
    shown = rows[: max(0, limit)]
    names = [
        name
        for name in dict.fromkeys(name for row in shown for name in row)
        if any(row.get(name) is not None and row.get(name) != "" for row in shown)
    ]
    head = "".join(f'<th dir="auto">{html.escape(visible(word("column", name, language)))}</th>' for name in names)
    body = "".join(
        "<tr>"
        + "".join(
            f'<td dir="auto" style="text-align:start">{_cell_html(name, row.get(name), language)}</td>'
            for name in names
        )
        + "</tr>"
        for row in shown
    )
    said = [*notes]
    if len(rows) > len(shown):
        said.append(word("note", "more", language, count=f"{len(rows) - len(shown):,}"))
    if not rows:
        said.append(word("note", "empty", language))
    caption = f'<caption dir="auto" style="text-align:start">{html.escape(visible(title))}</caption>' if title else ""
    below = "".join(f'<p dir="auto"><small>{html.escape(visible(note))}</small></p>' for note in said)
    table = f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="cvalues" lang="{"zh" if language == "zh" else "en"}">{table}{below}</div>'
