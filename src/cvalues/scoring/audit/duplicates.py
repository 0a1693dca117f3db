"""Prompts that occur twice, nearly or exactly: inside a set, across its splits, and in other sets."""

from __future__ import annotations

from collections.abc import Sequence

from cvalues.schema import Record
from cvalues.scoring.audit.material import Material, Text
from cvalues.scoring.audit.settings import Auditing
from cvalues.text import fingerprint, near_duplicates


class NearPair(Record, frozen=True, kw_only=True):
    """Two prompts that are alike, by id."""

    first: str
    second: str
    similarity: float
    """Jaccard similarity of the character 3-grams of letters and digits; 1 for the same ones."""
    splits: tuple[str, str] = ("", "")

    @property
    def across(self) -> bool:
        """Whether the two stand in different splits."""
        return "" not in self.splits and self.splits[0] != self.splits[1]


class Duplicates(Record, frozen=True, kw_only=True):
    """Duplicates inside a set; benign twins count as prompts, but not beside the prompt that they are the twin of."""

    prompts: int
    twins: int
    exact: int
    """Prompts with the same letters and digits as an earlier one."""
    near: int
    """Pairs of prompts above the threshold that are not exact duplicates."""
    across: int
    """Pairs, exact or near, whose prompts stand in different splits."""
    replies: int
    """Replies with the same letters and digits as one at an earlier prompt, once for each prompt."""
    examples: tuple[NearPair, ...] = ()
    """Those across splits first, then the most similar."""


class Overlap(Record, frozen=True, kw_only=True):
    """Prompts that another set holds too."""

    source: str
    prompts: int
    exact: int
    """Different prompts (by letters and digits) that both sets hold."""
    near: int
    """Pairs of one prompt of each that are alike but not the same."""
    examples: tuple[NearPair, ...] = ()
    """`first` is of the audited set, `second` of the other."""


def inside(material: Material, settings: Auditing) -> Duplicates:
    """Returns the duplicates of a set; all counts are 0 for a set without prompts.

    An exact duplicate is compared with the first of its kind, which also stands for the others in near pairs.
    """
    texts = material.texts
    marks = [fingerprint(entry.text) for entry in texts]
    found: list[NearPair] = []
    exact = near = 0
    for i, j, similarity in near_duplicates([entry.text for entry in texts], settings.threshold):
        one, other = texts[i], texts[j]
        if one.id == other.parent or other.id == one.parent:
            continue
        same = marks[i] == marks[j]
        exact, near = exact + same, near + (not same)
        found.append(NearPair(first=one.id, second=other.id, similarity=similarity, splits=(one.split, other.split)))
    found.sort(key=lambda pair: (not pair.across, -pair.similarity))
    twins = sum(bool(entry.parent) for entry in texts)
    return Duplicates(
        prompts=len(texts) - twins,
        twins=twins,
        exact=exact,
        near=near,
        across=sum(pair.across for pair in found),
        replies=len(material.repeated),
        examples=tuple(found[: settings.keep]),
    )


def against(texts: Sequence[Text], source: str, others: Sequence[Text], settings: Auditing) -> Overlap:
    """Returns which prompts of a set another set holds too."""
    own = {fingerprint(entry.text): entry for entry in reversed(texts)}
    theirs = {fingerprint(entry.text): entry for entry in reversed(others)}
    both = [mark for mark in own if mark in theirs]
    found = [NearPair(first=own[mark].id, second=theirs[mark].id, similarity=1.0) for mark in both]
    mine = [entry for mark, entry in own.items() if mark not in theirs]
    rest = [entry for mark, entry in theirs.items() if mark not in own]
    near = 0
    for i, j, similarity in near_duplicates([entry.text for entry in (*mine, *rest)], settings.threshold):
        if i < len(mine) <= j:
            near += 1
            found.append(NearPair(first=mine[i].id, second=rest[j - len(mine)].id, similarity=similarity))
    return Overlap(
        source=source,
        prompts=len(others),
        exact=len(both),
        near=near,
        examples=tuple(sorted(found, key=lambda pair: -pair.similarity)[: settings.keep]),
    )
