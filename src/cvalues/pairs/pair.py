"""A comparison pair with where it came from, and its line in a file.

A line is a row of CValues-Comparison (`prompt`, `pos_resp`, `neg_resp`, `pos_type`, `neg_type`) with more fields behind, so every
tool that reads the public file reads ours, and `datasets` loads it as it loads any comparison. What has no field there (cluster,
margin, lineage, licence) stands in `tags`.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from cvalues.datasets.columns import GRADES as GRADE_NAMES
from cvalues.datasets.pairing import PAIR_TYPES, level_of, pair_hash
from cvalues.datasets.shapes import Comparison
from cvalues.records import content_hash
from cvalues.schema import Grade, Record

TYPES: dict[Grade, str] = {"responsible": "拒绝&正向建议", "safe": "拒绝为主", "unsafe": "风险回复"}
"""The types of CValues-Comparison for the three grades."""
UNGRADED = "ungraded"
"""The pair type of replies of which only the order is known."""
ORDER = ("safe/unsafe", "responsible/safe", "responsible/unsafe", UNGRADED)
"""Pair types in their order of display."""
CODES: dict[str, str] = {f"{better}/{worse}": code for code, (better, worse) in PAIR_TYPES.items()}
"""Pair type → its code in ids: `su`, `rs`, `ru`."""


class Lineage(Record, frozen=True, kw_only=True):
    """Where the two replies of a pair came from, and what put them in order."""

    chosen_from: str = ""
    """Origin of the better reply: a response id, `data:<set>`, or `rewrite:<template>@<model>`."""
    rejected_from: str = ""
    evidence: str = ""
    """The raters whose verdicts order the replies, joined by `, `; `set` where the set graded them."""
    parent: str = ""
    """Id of the prompt that this prompt was derived from."""


class Pair(Comparison, frozen=True, kw_only=True):
    """A better and a worse reply to one prompt. It is a `Comparison` that knows its cluster, margin, licence and lineage."""

    cluster: str = ""
    """Shared by pairs whose prompts are the same or near-duplicates: the unit of splitting and of resampling."""
    margin: float | None = None
    """How far the evidence holds the replies apart: grade steps, points or reward; None where it only orders them."""
    licence: str = ""
    lineage: Lineage = Lineage()

    @property
    def type(self) -> str:
        """`safe/unsafe`, `responsible/safe`, `responsible/unsafe`, or `ungraded`."""
        return pair_type(self.better.grade, self.worse.grade)


class Line(msgspec.Struct):
    """A line of a pair file as it is decoded: the public fields and ours; other fields are left alone."""

    prompt: str
    pos_resp: str
    neg_resp: str
    pos_type: str = ""
    neg_type: str = ""
    id: str | int = ""
    prompt_id: str = ""
    category: str = ""
    level: int | str | None = None
    difficulty: str = ""
    language: str = "zh"
    split: str = ""
    source: str = ""
    licence: str = ""
    tags: dict[str, str] = {}


def pair_type(better: Grade | None, worse: Grade | None) -> str:
    """Returns the pair type of two grades; `ungraded` where one is not known or they are no such pair."""
    name = f"{better}/{worse}"
    return name if name in CODES else UNGRADED


def prompt_key(set_name: str, text: str) -> str:
    """Returns the id of a prompt that its file gives none: the same text has the same id in one set."""
    return f"{set_name}/q-{content_hash(text)[3:19]}"


def grade_of(name: str) -> Grade | None:
    """Returns the grade that a type of the public set (or our word) names; None for an unknown or empty one."""
    return GRADE_NAMES.get(name.strip().replace("＆", "&"))


def pair_of(found: Comparison, *, licence: str = "") -> Pair:
    """Returns a comparison as a pair; what its tags say of cluster, margin, licence and lineage becomes fields again."""
    if isinstance(found, Pair):
        return found
    tags = dict(found.tags)
    margin = tags.pop("margin", "")
    fields = {name: getattr(found, name) for name in Comparison.__struct_fields__ if name != "tags"}
    return Pair(
        **fields,
        cluster=tags.pop("cluster", ""),
        margin=_number(margin),
        licence=tags.pop("licence", "") or licence,
        lineage=Lineage(**{name: tags.pop(name, "") for name in Lineage.__struct_fields__}),
        tags=tags,
    )


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if abs(value) < 1e300 else None


def public_row(pair: Comparison) -> dict[str, str]:
    """Returns the five fields of CValues-Comparison, in its order; a type is empty where the reply is not graded."""
    return {
        "prompt": pair.question,
        "pos_resp": pair.better.text,
        "neg_resp": pair.worse.text,
        "pos_type": TYPES[pair.better.grade] if pair.better.grade else "",
        "neg_type": TYPES[pair.worse.grade] if pair.worse.grade else "",
    }


def full_row(pair: Pair) -> dict[str, Any]:
    """Returns the line of a pair in our own files: the public fields, then ours where they are filled."""
    tags = dict(pair.tags)
    if pair.margin is not None:
        tags["margin"] = f"{pair.margin:.6g}"
    tags |= {"cluster": pair.cluster, "licence": pair.licence}
    tags |= {name: getattr(pair.lineage, name) for name in Lineage.__struct_fields__}
    row: dict[str, Any] = {
        "id": pair.id,
        "prompt_id": pair.prompt_id,
        **public_row(pair),
        "category": pair.category,
        "level": pair.level if pair.type == UNGRADED else None,
        "difficulty": pair.difficulty,
        "language": pair.language,
        "split": pair.split,
        "source": pair.source,
        "tags": {name: value for name, value in tags.items() if value},
    }
    return {name: value for name, value in row.items() if value not in ("", None, {})}


def encode_row(row: dict[str, Any]) -> bytes:
    """Returns a row as one line of JSON with its line end; keys keep their order."""
    return msgspec.json.encode(row) + b"\n"


def pair_id(set_name: str, question: str, better: str, worse: str) -> str:
    """Returns the id of a pair that its file gives none: it depends on question and replies alone."""
    return f"{set_name}/{pair_hash(question, better, worse)}"


def level_of_pair(better: Grade | None, worse: Grade | None, otherwise: int | None) -> Literal[1, 2]:
    """Returns the level of the question: from the grades, else as given, else 2; DataError when the grades do not rank."""
    return level_of(better, worse) or (1 if otherwise == 1 else 2)
