"""Records that data files hold besides Prompt and Choice: comparisons, graded prompts, recorded answers, and faults."""

from __future__ import annotations

from typing import Literal

from cvalues.schema import Choice, Grade, Prompt, Record, Reply

Kind = Literal["prompt", "choice", "comparison", "graded"]
KINDS: tuple[Kind, ...] = ("prompt", "choice", "comparison", "graded")
Severity = Literal["fault", "warning"]


class Comparison(Record, frozen=True, kw_only=True):
    """Two replies to one question of which one is better, before they are put in an order."""

    id: str
    """The pair id of the two choices that it makes."""
    prompt_id: str
    question: str
    better: Reply
    worse: Reply
    level: Literal[1, 2]
    category: str = ""
    """Empty where the set has no categories."""
    collection: Literal[1, 2] | None = None
    difficulty: str = ""
    language: str = "zh"
    split: str = ""
    source: str = ""
    tags: dict[str, str] = {}


class Twin(Record, frozen=True, kw_only=True):
    """A benign twin: the same alarming words with a harmless intent, on which refusing is the fault."""

    text: str
    helpful: str = ""
    """A good short answer."""
    refusal: str = ""
    """A needless refusal."""


class GradedPrompt(Record, frozen=True, kw_only=True):
    """A prompt with a reply of each grade: what choices are built from."""

    prompt: Prompt
    replies: dict[Grade, str]
    """Up to one reply of each grade; empty for a prompt whose replies are not written yet."""
    responsible_declines: bool | None = None
    """Whether the responsible reply declines too; None where the file does not say."""
    twin: Twin | None = None
    difficulty: dict[str, str] = {}
    """Difficulty (`easy` or `hard`) of each pair type: `su`, `rs`, `ru`."""


class BenignTwin(Record, frozen=True, kw_only=True):
    """A benign twin as a row of its own: the same alarming words with a harmless intent, and two replies to it."""

    id: str
    parent: str
    """Id of the alarming prompt."""
    text: str
    helpful: str
    """A good short answer."""
    refusal: str
    """A needless refusal, which is the fault here."""
    level: Literal[1, 2]
    category: str
    split: str = ""
    language: str = "zh"
    licence: str = ""


def twin_record(graded: GradedPrompt) -> BenignTwin | None:
    """Returns the benign twin of a graded prompt as a row of its own, None where it has none."""
    prompt, twin = graded.prompt, graded.twin
    if twin is None:
        return None
    return BenignTwin(
        id=f"{prompt.id}:twin",
        parent=prompt.id,
        text=twin.text,
        helpful=twin.helpful,
        refusal=twin.refusal,
        level=prompt.level,
        category=prompt.category,
        split=prompt.split,
        language=prompt.language,
        licence=prompt.licence,
    )


class Splits(Record, frozen=True, kw_only=True):
    """Which split each prompt of a set belongs to; a prompt's pairs, choices and twin go with it."""

    set: str
    rule: str
    """How the splits are drawn, in a sentence."""
    splits: dict[str, Literal["train", "dev", "heldout"]]
    """Prompt id → split."""


class CardFigure(Record, frozen=True, kw_only=True):
    """One figure of a data card."""

    name: str
    """Name of a shortcut, or `declines`."""
    pair: str = ""
    level: int = 0
    """Level of the prompts; 0 for all."""
    value: float | None = None
    """A share from 0 to 1; null where there is no data."""
    low: float | None = None
    """Limits of the 95 % interval."""
    high: float | None = None


class DataCard(Record, frozen=True, kw_only=True):
    """What a set is, how large it is, and what an audit measured of it."""

    name: str
    version: str
    licence: str
    language: str
    canary: str
    """A string that no other text holds: a model that can complete it has seen the set."""
    notice: str = ""
    prompts: int
    twins: int
    pairs: int
    categories: dict[str, int]
    """Prompts per category."""
    splits: dict[str, int]
    """Prompts per split."""
    authors: tuple[str, ...] = ()
    """Batch ids, never names."""
    figures: tuple[CardFigure, ...] = ()


Item = Prompt | Choice | Comparison | GradedPrompt


class Answered(Record, frozen=True, kw_only=True):
    """A choice of a file together with what the same row recorded of a model."""

    choice: Choice
    response: str | None
    """The model's reply; None where the row holds none (an empty reply is an empty string)."""
    pred: str | None = None
    """An outcome that the file already holds, as written."""
    line: int
    row: int
    """Number of the row from 1, headers and blank lines not counted."""


class Fault(Record, frozen=True, kw_only=True):
    """One thing wrong with a data file: where, what was expected, and what stands there."""

    file: str
    line: int
    """Physical line from 1; the row number for a Parquet file; 0 for the file as a whole."""
    code: str
    """Stable short name, a key of `CODES`."""
    field: str = ""
    expected: str = ""
    found: str = ""
    severity: Severity = "fault"

    def __str__(self) -> str:
        """`file:line: field: expected …, found … [code]`."""
        place = f"{self.file}:{self.line}" if self.line else self.file
        field = f"{self.field}: " if self.field else ""
        return f"{place}: {field}expected {self.expected}, found {self.found} [{self.code}]"


CODES: dict[str, str] = {
    "broken_json": "a line or element that is not JSON",
    "truncated": "the last row breaks off: the file was cut; get it again",
    "not_object": "JSON that is not an object",
    "encoding": "bytes that do not fit the encoding of the file",
    "quoting": "a CSV quote that is not closed or is followed by text",
    "columns": "a row with more or fewer cells than the header, or a repeated column",
    "format": "a file that fits no known format, or holds no rows",
    "missing": "a field that is needed and absent",
    "empty": "an empty prompt or question",
    "empty_reply": "an empty reply",
    "type": "a value of the wrong type",
    "value": "a value outside its list",
    "unknown_field": "a field whose name is nearly one that we know",
    "label": "a label that contradicts the order of the replies",
    "rank": "a better reply whose grade is not above the worse one's",
    "duplicate_id": "an id given twice",
    "control": "control characters, U+FFFD or lone surrogates in a text",
    "overlong": "a text longer than the limit",
    "unknown_category": "a category that the taxonomy does not hold",
    "duplicate_text": "a prompt that occurs twice",
    "duplicate_item": "a comparison or choice that occurs twice",
    "order_missing": "a pair that is shown in one order only",
    "count": "a number of rows that differs from the known one",
    "stray_space": "blanks around a label or text",
    "near_label": "two labels of one column that differ by one character or by blanks",
    "new_field": "a field that is no part of the format (it is kept as a tag)",
    "unfilled": "a row of the template that nobody filled in",
    "no_replies": "a graded prompt without replies",
    "label_balance": "right answers that stand mostly in one place",
    "prompt_text": "an instruction text that does not show the replies of the row",
    "level": "a level that is not the category's",
    "domain_name": "a Chinese name that is not the category's",
}
"""Every code of a fault or warning, with what it means."""

WARNINGS = frozenset(
    {
        "unknown_field",
        "stray_space",
        "near_label",
        "new_field",
        "unfilled",
        "no_replies",
        "label_balance",
        "prompt_text",
        "level",
        "domain_name",
    }
)
"""Codes that are warnings: they do not make a check fail."""


def abbreviate(value: object, limit: int = 40) -> str:
    """Returns a value for a message: at most `limit` characters in quotes, line ends shown; `nothing` for None."""
    if value is None:
        return "nothing"
    text = ascii_controls(str(value))
    return f"'{text}'" if len(text) <= limit else f"'{text[:limit]}…' ({len(text)} characters)"


def ascii_controls(text: str) -> str:
    """Returns `text` with control characters and surrogates written as escapes, so that a terminal can show it."""
    return "".join(
        char if char.isprintable() or char == " " else char.encode("unicode_escape", "surrogatepass").decode("ascii")
        for char in text
    )
