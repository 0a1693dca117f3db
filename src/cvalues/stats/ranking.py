"""Which models cannot be told apart, and which ranks each may hold.

A mapping of p values names the better of the two first: `{("a", "b"): p}` says that a scored above b with adjusted p
value p. A pair that is not named is one that cannot be told apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from string import ascii_lowercase

from cvalues.errors import UsageError, unknown_name

PValues = Mapping[tuple[str, str], float | None]


def _significant(models: Sequence[str], p_values: PValues, alpha: float) -> list[tuple[str, str]]:
    if len(set(models)) != len(models):
        raise UsageError("models: expected each name once")
    known = set(models)
    for pair in p_values:
        for name in pair:
            if name not in known:
                raise unknown_name("model", name, known)
    return sorted(pair for pair, p in p_values.items() if p is not None and p < alpha)


def groups(models: Sequence[str], p_values: PValues, *, alpha: float = 0.05) -> list[tuple[str, ...]]:
    """Returns the largest groups of models no two of which differ significantly; a model may be in several.

    Insert-and-absorb (Piepho, Journal of Computational and Graphical Statistics 13, 2004): start with one group of
    all, split every group that holds a significantly different pair into two without one or the other, drop groups
    inside others. Groups and their members keep the order of `models` (best first). Pass p values after Holm's
    correction; no model gives no group.
    """
    if not models:
        return []
    place = {name: at for at, name in enumerate(models)}
    found: set[frozenset[str]] = {frozenset(models)}
    for one, two in _significant(models, p_values, alpha):
        split = {group for group in found if not (one in group and two in group)}
        halves = {group - {name} for group in found - split for name in (one, two)}
        found = split | {half for half in halves if not any(half < group for group in split | halves)}
    ordered = [tuple(sorted(group, key=place.__getitem__)) for group in found]
    return sorted(ordered, key=lambda group: [place[name] for name in group])


def letters(models: Sequence[str], found: Sequence[Sequence[str]]) -> dict[str, str]:
    """Returns for each model the letters of its groups, `a` for the first; models that share one cannot be told apart.

    After `z` come `aa`, `ab` …; then letters are separated by a space.
    """
    names = [_letter(at) for at in range(len(found))]
    glue = "" if len(found) <= len(ascii_lowercase) else " "
    return {
        model: glue.join(name for name, group in zip(names, found, strict=True) if model in group) for model in models
    }


def _letter(at: int) -> str:
    rest, last = divmod(at, len(ascii_lowercase))
    return (_letter(rest - 1) if rest else "") + ascii_lowercase[last]


def rank_range(models: Sequence[str], p_values: PValues, *, alpha: float = 0.05) -> dict[str, tuple[int, int]]:
    """Returns for each model the best and the worst rank (1 is best) that its significant differences allow.

    Best is 1 + the number of models significantly better; worst is the number of models − those significantly worse.
    """
    significant = _significant(models, p_values, alpha)
    above = dict.fromkeys(models, 0)
    below = dict.fromkeys(models, 0)
    for winner, loser in significant:
        above[loser] += 1
        below[winner] += 1
    return {model: (1 + above[model], len(models) - below[model]) for model in models}
