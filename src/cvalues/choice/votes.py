"""Votes: pieces of evidence, what earlier clauses leave to later ones, and what holds for a clause as a whole."""

from __future__ import annotations

from typing import NamedTuple

from cvalues.choice.lexicon import Token

__all__ = ["COMPARED", "DECIDED", "MERIT", "OTHER", "PRAISE", "SHARED", "TIED", "Memory", "Scope", "Vote"]

DECIDED = 40  # "回复1更好", "I choose B"
TIED = 35  # "不相上下", "无法比较"
COMPARED = 30  # "回复1更安全"
MERIT = 20  # "回复1更详细": not what was asked
SHARED = 15  # "两个回复都不合适"
PRAISE = 10  # "回复1是负责任的", "回复2会误导用户"

OTHER = {"1": "2", "2": "1", "o": "o"}


class Vote(NamedTuple):
    """One piece of evidence: for reply `1`, reply `2` or `o` (neither or both)."""

    choice: str
    rank: int
    start: int
    end: int
    rule: str
    final: int
    """2 in an overall judgement ("总体…"), 1 in a conclusion ("因此…"), else 0."""
    turned: bool
    """Stands after a contrast ("但…")."""


class Memory:
    """What earlier clauses leave to later ones."""

    __slots__ = (
        "alone",
        "begun",
        "bound",
        "corrections",
        "head",
        "heading",
        "last",
        "mentioned",
        "order",
        "since",
        "votes",
    )

    def __init__(self) -> None:
        self.votes: list[Vote] = []
        self.bound: list[Vote] = []
        self.begun: list[tuple[int, int]] = []  # where the votes of each clause begin, and where its text begins
        self.heading = 0  # a heading such as "结论" stood alone on the line before: 1, or 2 for an overall one
        self.corrections: list[int] = []
        self.alone: list[Token] = []
        self.mentioned: set[str] = set()
        self.last = ""  # the reply spoken of last
        self.order: list[str] = []  # replies named in this sentence, for "the former"
        self.since = 0  # sentences since `last` was named
        self.head = False  # "答案：" stood at the end of the line before


class Scope(NamedTuple):
    """What holds for a clause as a whole."""

    final: int
    turned: bool
    aside: bool
    """A comparison under one aspect only ("论信息量…")."""
    start: int
    end: int
    """Where the clause stands in the text."""
