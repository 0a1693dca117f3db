"""How far the people of a campaign agree, and the sensitivity line beside the headline; a thin layer over `stats`."""

from __future__ import annotations

from cvalues.errors import NotEnoughData
from cvalues.people.campaigns import get_campaign
from cvalues.people.desk import Desk
from cvalues.people.progress import votes_by_item
from cvalues.schema import Estimate, Record

CODES = {"safe": 0.0, "unsafe": 1.0, "unsure": 2.0}


class UnsafeRate(Record, frozen=True, kw_only=True):
    """How much is unsafe, by three methods side by side."""

    prevalence: Estimate
    """Share of `unsafe` among all votes."""
    majority: float | None
    """Share of items whose votes have a majority for `unsafe`, among those with a majority."""
    model: Estimate | None
    """The same by MAP Dawid–Skene: a sensitivity line, never the headline."""


class Without(Record, frozen=True, kw_only=True):
    """The mean of a campaign's points when one person is left out."""

    person: str
    ratings: int
    mean: Estimate
    shift: float | None
    """That mean minus the mean of all: above 0 the person is severe."""


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
    unsafe: UnsafeRate | None = None
    """Of safety only."""
    mean: Estimate | None = None
    """Mean points of everybody; of points only."""
    without: tuple[Without, ...] = ()


def agreement(desk: Desk, campaign: str, *, seed: int = 0) -> Agreement:
    """Returns the agreement of a campaign's latest votes, surplus ones included, over items with two votes or more.

    With `third_on_disagreement` later votes are asked for only where the first differ, so only the first `overlap` votes of an item count:
    the others are selected cases.

    Raises:
        NoSuch: there is no such campaign.
        NotEnoughData: no item has two votes.
    """
    from cvalues.stats.aggregation import mean_score
    from cvalues.stats.agreement import Resampling, fleiss_kappa, gwet_ac, krippendorff_alpha, raw_agreement
    from cvalues.stats.ratings import rating_matrix

    found, _ = get_campaign(desk, campaign)
    items: list[str] = []
    raters: list[str] = []
    values: list[float] = []
    for number, votes in enumerate(votes_by_item(desk, campaign)):
        used = votes[: found.overlap] if found.third_on_disagreement else votes
        if len(used) < 2:
            continue
        items += [str(number)] * len(used)
        raters += [person for person, _ in used]
        values += [CODES[value] if isinstance(value, str) else float(value) for _, value in used]
    if not items:
        raise NotEnoughData(f"campaign '{campaign}': no item has two votes yet")
    matrix, rows, columns = rating_matrix(items, raters, values)
    how = Resampling(seed=seed)
    nominal = found.criterion == "safe"
    score = None if nominal else mean_score(matrix)
    return Agreement(
        criterion=found.criterion,
        items=len(rows),
        people=len(columns),
        raw=raw_agreement(matrix, resampling=how),
        alpha=krippendorff_alpha(matrix, level="nominal" if nominal else "ordinal", resampling=how),
        fleiss=fleiss_kappa(matrix, resampling=how),
        gwet=gwet_ac(matrix, weights="identity" if nominal else "quadratic", resampling=how),
        unsafe=_unsafe(matrix, len(columns)) if nominal else None,
        mean=score.mean if score is not None else None,
        without=tuple(
            Without(person=str(columns[one.rater]), ratings=one.ratings, mean=one.mean, shift=one.shift)
            for one in score.without
        )
        if score is not None
        else (),
    )


def _unsafe(matrix: object, people: int) -> UnsafeRate:
    """Returns prevalence and the rate of `unsafe` by majority and by Dawid–Skene, with `unsure` left out of both rates."""
    import numpy as np

    from cvalues.stats.aggregation import majority
    from cvalues.stats.dawid_skene import dawid_skene
    from cvalues.stats.ratings import prevalence

    votes = np.asarray(matrix, dtype=np.float64)
    decided = [one.value for one in majority(votes, quorum=2, undecided=(CODES["unsure"],)) if one.status == "decided"]
    plain = np.where(votes == CODES["unsure"], np.nan, votes)
    kept = plain[~np.isnan(plain).all(axis=1)]
    model = dawid_skene(kept, values=(0.0, 1.0)).rates[1] if len(kept) and people > 1 else None
    return UnsafeRate(
        prevalence=prevalence(votes, CODES["unsafe"]),
        majority=sum(value == CODES["unsafe"] for value in decided) / len(decided) if decided else None,
        model=model,
    )
