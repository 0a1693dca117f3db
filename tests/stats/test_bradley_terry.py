"""Bradley and Terry with ties: direct maximisation as witness, planted strengths, separation, invariants."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import minimize

from cvalues.errors import UsageError
from cvalues.stats.bradley_terry import Comparison, bradley_terry
from cvalues.stats.resampling import Resampling

FAST = Resampling(draws=200)


def contest(seed: int, strengths: list[float], tie: float, count: int) -> list[Comparison]:
    """Comparisons drawn from Davidson's model."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        i, j = rng.choice(len(strengths), 2, replace=False).tolist()
        one, two = math.exp(strengths[i]), math.exp(strengths[j])
        weights = np.array([one, two, tie * math.sqrt(one * two)])
        winner = ("first", "second", "tie")[rng.choice(3, p=weights / weights.sum())]
        found.append(Comparison(first=f"m{i}", second=f"m{j}", winner=winner))  # type: ignore[arg-type]
    return found


@pytest.mark.parametrize(("seed", "tie", "prior"), [(1, 0.6, 5.0), (2, 0.0, 5.0), (3, 1.5, 1.0), (4, 0.4, math.inf)])
def test_witness_direct_maximisation(seed: int, tie: float, prior: float) -> None:
    """Strengths and ties are where scipy finds the highest penalised likelihood."""
    comparisons = contest(seed, [0.0, 0.5, 1.0, -0.7], tie, 200)
    names = ["m0", "m1", "m2", "m3"]

    def loss(x: np.ndarray) -> float:
        theta, nu = x[:4], math.exp(x[4]) if tie else 0.0
        total = 0.0 if math.isinf(prior) else float(((theta - theta.mean()) ** 2).sum()) / (2 * prior**2)
        for one in comparisons:
            p, q = (math.exp(theta[names.index(name)]) for name in (one.first, one.second))
            d = p + q + nu * math.sqrt(p * q)
            total -= math.log({"first": p, "second": q, "tie": nu * math.sqrt(p * q)}[one.winner] / d)
        return total + float(theta.mean()) ** 2

    best = minimize(loss, np.zeros(5), method="BFGS", options={"gtol": 1e-8}).x
    found = bradley_terry(comparisons, prior=prior, resampling=FAST)
    ours = {name: one.value for name, one in zip(found.models, found.strength, strict=True)}
    for at, name in enumerate(names):
        assert ours[name] == pytest.approx(best[at] - best[:4].mean(), abs=1e-4)
    assert found.tie.value == pytest.approx(math.exp(best[4]) if tie else 0.0, abs=1e-4)


def test_two_models_by_hand() -> None:
    """Without ties the difference of two strengths is the log-odds of the wins."""
    wins = [Comparison(first="a", second="b", winner="first")] * 30
    losses = [Comparison(first="b", second="a", winner="first")] * 10
    found = bradley_terry([*wins, *losses], prior=math.inf, resampling=FAST)
    assert found.models == ("a", "b")
    one, two = (one.value or 0.0 for one in found.strength)
    assert one - two == pytest.approx(math.log(3))
    assert found.tie.value == 0


def test_planted_strengths_are_covered() -> None:
    """Intervals of planted strengths hold them in at least 90 % of 40 contests of five models."""
    strengths = [-1.0, -0.4, 0.0, 0.5, 0.9]
    inside = []
    for seed in range(40):
        found = bradley_terry(contest(seed, strengths, 0.5, 300), resampling=FAST)
        for name, one in zip(found.models, found.strength, strict=True):
            inside.append(one.low <= strengths[int(name[1])] <= one.high)  # type: ignore[operator]
    assert np.mean(inside) > 0.9


def test_separation_and_order() -> None:
    """A model that won everything is first with a finite strength; order and side of comparisons do not matter."""
    comparisons = contest(5, [0.0, 0.3, -0.3], 0.3, 60)
    champion = [Comparison(first="z", second=f"m{at % 3}", winner="first") for at in range(12)]
    found = bradley_terry([*comparisons, *champion], resampling=FAST)
    assert found.models[0] == "z"
    assert 2 < found.strength[0].value < 20  # type: ignore[operator]
    turned = [
        Comparison(
            first=one.second,
            second=one.first,
            winner={"first": "second", "second": "first", "tie": "tie"}[one.winner],  # type: ignore[arg-type]
        )
        for one in reversed([*comparisons, *champion])
    ]
    again = bradley_terry(turned, resampling=FAST)
    assert again.models == found.models
    for one, other in zip(found.strength, again.strength, strict=True):
        assert one.value == pytest.approx(other.value, abs=1e-8)


def test_clusters_widen() -> None:
    """Eight copies of each comparison as one cluster give the interval of one copy each."""
    comparisons = contest(6, [0.0, 0.8], 0.4, 60)
    once = bradley_terry(comparisons)
    copies = bradley_terry(comparisons * 8, [at for _ in range(8) for at in range(60)])
    apart = bradley_terry(comparisons * 8)
    width = [one.strength[0].high - one.strength[0].low for one in (once, copies, apart)]  # type: ignore[operator]
    assert width[1] == pytest.approx(width[0], rel=0.15)
    assert width[2] < 0.5 * width[1]
    assert copies.strength[0].clusters == 60


def test_unlinked_and_empty() -> None:
    """Models that no comparisons link have no strengths, and no comparison gives no model."""
    found = bradley_terry(
        [Comparison(first="a", second="b", winner="tie"), Comparison(first="c", second="d", winner="first")]
    )
    assert {one.value for one in found.strength} == {None}
    assert found.strength[0].method == "undefined: comparisons do not link all models"
    assert bradley_terry([]).models == ()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bradley_terry([Comparison(first="a", second="a", winner="tie")]), "two different models"),
        (lambda: bradley_terry([], prior=0), "above 0"),
        (lambda: bradley_terry([], resampling=Resampling(over="items-and-raters")), "no raters to resample"),
    ],
)
def test_wrong_comparisons(call: object, message: str) -> None:
    """Input that makes no sense is refused with a message that says what was expected."""
    with pytest.raises(UsageError, match=message):
        call()  # type: ignore[operator]
