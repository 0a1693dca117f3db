"""How far the people of a campaign agree, and the sensitivity line beside the headline; a thin layer over `stats`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from cvalues.errors import NotEnoughData
from cvalues.people.campaigns import get_campaign
from cvalues.people.desk import Desk
from cvalues.people.forms import Campaign, Submission
from cvalues.people.progress import votes_by_task
from cvalues.people.submit import stored_value
from cvalues.schema import Estimate, Record

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from cvalues.stats.resampling import Resampling

CODES = {"safe": 0.0, "unsafe": 1.0, "unsure": 2.0}
PAIRS = 45
"""Pairs of people shown: all of ten people."""


class Recall(Record, frozen=True, kw_only=True):
    """How well one person tells unsafe from safe, by MAP Dawid–Skene: no gold is needed, and all errors are the model's guess."""

    person: str
    sensitivity: Estimate
    """Chance to call an unsafe reply unsafe."""
    specificity: Estimate
    """Chance to call a safe reply safe."""


class UnsafeRate(Record, frozen=True, kw_only=True):
    """How much is unsafe, by three methods side by side."""

    prevalence: Estimate
    """Share of `unsafe` among all votes."""
    majority: float | None
    """Share of items whose votes have a majority for `unsafe`, among those with a majority."""
    model: Estimate | None
    """The same by MAP Dawid–Skene: a sensitivity line, never the headline."""
    recalls: tuple[Recall, ...] = ()


class Without(Record, frozen=True, kw_only=True):
    """The mean of a campaign's points when one person is left out."""

    person: str
    ratings: int
    mean: Estimate
    shift: float | None
    """That mean minus the mean of all: above 0 the person is severe."""


class PairAgreement(Record, frozen=True, kw_only=True):
    """Two people on the items that both judged."""

    first: str
    second: str
    items: int
    raw: Estimate
    cohen: Estimate
    """Cohen's κ; of points with quadratic weights."""


class Agreement(Record, frozen=True, kw_only=True):
    """The coefficients of one campaign, each an estimate with its interval; `method` says why where one is undefined."""

    criterion: str
    items: int
    """With two votes or more."""
    people: int
    raw: Estimate
    alpha: Estimate
    """Krippendorff's: nominal for `safe`, ordinal for points."""
    fleiss: Estimate
    gwet: Estimate
    """AC1 for `safe`, AC2 with quadratic weights for points."""
    icc: Estimate | None = None
    """ICC(2,1), absolute agreement of one person's points; of points only."""
    icc_mean: Estimate | None = None
    """ICC(2,k) of the mean of an item's points; of points only."""
    best: Estimate | None = None
    """Krippendorff's α of which replies are best, as sets with MASI distance; of expert campaigns only."""
    unsafe: UnsafeRate | None = None
    """Of safety only."""
    mean: Estimate | None = None
    """Mean points of everybody; of points only."""
    without: tuple[Without, ...] = ()
    pairs: tuple[PairAgreement, ...] = ()
    """Pairs of people with items in common, most items first; at most `PAIRS` of them."""


def agreement(desk: Desk, campaign: str, *, seed: int = 0) -> Agreement:
    """Returns the agreement of a campaign's latest votes, surplus ones included, over items with two votes or more.

    With `third_on_disagreement` later votes are asked for only where the first differ, so only the first `overlap` votes of an item count:
    the others are selected cases.

    Raises:
        NoSuch: there is no such campaign.
        NotEnoughData: no item has two votes.
    """
    from cvalues.stats.agreement import Resampling, fleiss_kappa, gwet_ac, krippendorff_alpha, raw_agreement
    from cvalues.stats.ratings import rating_matrix

    found, _ = get_campaign(desk, campaign)
    votes = _overlapping(desk, found)
    items = [str(number) for number, group in enumerate(votes) for _ in group]
    raters = [vote.person for group in votes for vote, _ in group]
    values = [CODES[value] if isinstance(value, str) else float(value) for group in votes for _, value in group]
    if not items:
        raise NotEnoughData(f"campaign '{campaign}': no item has two votes yet")
    matrix, rows, columns = rating_matrix(items, raters, values)
    how = Resampling(seed=seed)
    nominal = found.criterion == "safe"
    people = tuple(str(column) for column in columns)
    plain = Agreement(
        criterion=found.criterion,
        items=len(rows),
        people=len(columns),
        raw=raw_agreement(matrix, resampling=how),
        alpha=krippendorff_alpha(matrix, level="nominal" if nominal else "ordinal", resampling=how),
        fleiss=fleiss_kappa(matrix, resampling=how),
        gwet=gwet_ac(matrix, weights="identity" if nominal else "quadratic", resampling=how),
        pairs=_pairs(matrix, people, how, nominal=nominal),
    )
    if nominal:
        return msgspec.structs.replace(plain, unsafe=_unsafe(matrix, people))
    return _of_points(plain, matrix, people, how, _best(votes, how) if found.criterion == "points_best_of" else None)


def _overlapping(desk: Desk, campaign: Campaign) -> list[list[tuple[Submission, str | int]]]:
    """Returns the votes with their values on each item that has two or more of those that count in agreement."""
    found = []
    for votes in votes_by_task(desk, campaign.name):
        group = [(vote, value) for vote in votes if (value := stored_value(campaign, vote)) is not None]
        group = group[: campaign.overlap] if campaign.third_on_disagreement else group
        if len(group) > 1:
            found.append(group)
    return found


def _of_points(
    plain: Agreement, matrix: npt.NDArray[np.float64], people: tuple[str, ...], how: Resampling, best: Estimate | None
) -> Agreement:
    """Returns the agreement with what only points have: ICC, mean and severity, and the sets of best replies."""
    from cvalues.stats.aggregation import mean_score
    from cvalues.stats.icc import icc

    score = mean_score(matrix)
    return msgspec.structs.replace(
        plain,
        icc=icc(matrix, resampling=how),
        icc_mean=icc(matrix, of="mean", resampling=how),
        best=best,
        mean=score.mean,
        without=tuple(
            Without(person=people[one.rater], ratings=one.ratings, mean=one.mean, shift=one.shift)
            for one in sorted(score.without, key=lambda one: (len(people[one.rater]), people[one.rater]))
        ),
    )


def _best(votes: Sequence[Sequence[tuple[Submission, str | int]]], how: Resampling) -> Estimate:
    """Returns α of the sets of best replies; each person saw the replies in an order of their own, so sets hold response ids."""
    from cvalues.stats.agreement import set_alpha

    people = sorted({vote.person for group in votes for vote, _ in group})
    place = {person: number for number, person in enumerate(people)}
    choices: list[list[frozenset[str] | None]] = []
    for group in votes:
        # Which replies an item has differs from item to item; as numbers the same sets are the same kind of answer.
        numbers = {response: str(number) for number, response in enumerate(sorted(group[0][0].shown))}
        row: list[frozenset[str] | None] = [None] * len(people)
        for vote, _ in group:
            row[place[vote.person]] = frozenset(
                numbers[vote.shown[position - 1]] for position in vote.answer.get("best", [])
            )
        choices.append(row)
    return set_alpha(choices, resampling=how)


def _pairs(
    matrix: npt.NDArray[np.float64], people: tuple[str, ...], how: Resampling, *, nominal: bool
) -> tuple[PairAgreement, ...]:
    import numpy as np

    from cvalues.stats.agreement import cohen_kappa, raw_agreement

    there = ~np.isnan(matrix)
    counts = there.T.astype(int) @ there.astype(int)
    pairs = [(one, other) for one in range(len(people)) for other in range(one + 1, len(people)) if counts[one, other]]
    pairs.sort(key=lambda pair: (-counts[pair], pair))
    found = []
    for one, other in pairs[:PAIRS]:
        both = matrix[:, [one, other]]
        kappa = cohen_kappa(both, weights="identity" if nominal else "quadratic", resampling=how)
        found.append(
            PairAgreement(
                first=people[one], second=people[other], items=int(counts[one, other]), raw=raw_agreement(both, resampling=how),
                cohen=kappa,
            )
        )  # fmt: skip
    return tuple(found)


def _unsafe(votes: npt.NDArray[np.float64], people: tuple[str, ...]) -> UnsafeRate:
    """Returns prevalence and the rate of `unsafe` by majority and by Dawid–Skene, with `unsure` left out of both rates."""
    import numpy as np

    from cvalues.stats.aggregation import majority
    from cvalues.stats.dawid_skene import dawid_skene
    from cvalues.stats.ratings import prevalence

    decided = [one.value for one in majority(votes, quorum=2, undecided=(CODES["unsure"],)) if one.status == "decided"]
    plain = np.where(votes == CODES["unsure"], np.nan, votes)
    kept = plain[~np.isnan(plain).all(axis=1)]
    fitted = dawid_skene(kept, values=(0.0, 1.0)) if len(kept) and len(people) > 1 else None
    return UnsafeRate(
        prevalence=prevalence(votes, CODES["unsafe"]),
        majority=sum(value == CODES["unsafe"] for value in decided) / len(decided) if decided else None,
        model=fitted.rates[1] if fitted else None,
        recalls=tuple(
            Recall(person=person, sensitivity=unsafe, specificity=safe)
            for person, (safe, unsafe) in zip(people, fitted.recall, strict=True)
        )
        if fitted
        else (),
    )
