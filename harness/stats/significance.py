"""Tests of paired differences, and their adjustment for several at once."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import NormalDist
from typing import Literal

import numpy as np

from harness.stats.intervals import Estimates
from harness.stats.units import Units

Test = Literal["mcnemar", "interval"]
_POWER = 0.8
_FARTHEST = 40.0  #: standard errors; beyond, p is 0 in floating point
_HALVINGS = 60


def holm(p: Mapping[str, float]) -> dict[str, float]:
    """Adjusted p-values of one family of tests (Holm 1979), under the names they came with."""
    adjusted: dict[str, float] = {}
    least = 0.0
    for rank, name in enumerate(sorted(p, key=lambda name: p[name])):
        least = max(least, min(1.0, (len(p) - rank) * p[name]))
        adjusted[name] = least
    return {name: adjusted[name] for name in p}


def difference_test(units: Units, estimates: Estimates) -> tuple[float, Test]:
    """Two-sided p-value that a paired difference is 0, and which test gave it.

    Where judged pairs stand for others there is no exact test.

    Args:
        units: the pairs, as `harness.stats.matching` lays them out.
        estimates: of both sides.
    """
    discordant = None if estimates.openings else _discordant(units)
    if discordant is None:
        return _touching(estimates), "interval"
    return mcnemar(*discordant), "mcnemar"


def detectable(estimates: Estimates) -> float:
    """The difference that a two-sided test at 5% finds with a power of 80%, 0 to 1 (Bloom 1995).

    2.80 standard errors of the difference as observed; never below what as many clusters could show if all that change
    changed one way, whose variance d (1 - d) / m follows from the difference itself.
    """
    factor = NormalDist().inv_cdf(0.975) + NormalDist().inv_cdf(_POWER)
    clusters = max((each.clusters for each in estimates.openings), default=0) or max(estimates.clusters)
    return max(factor * estimates.error, factor**2 / (clusters + factor**2))


def mcnemar(only_left: int, only_right: int) -> float:
    """Exact two-sided p-value that discordant pairs fall to either side alike (McNemar 1947, binomial form)."""
    from scipy.stats import binomtest

    total = only_left + only_right
    return float(binomtest(only_left, total).pvalue) if total else 1.0


def _discordant(units: Units) -> tuple[int, int] | None:
    """Clusters that only the left, only the right side hits; None where a cluster is not one 0 or 1 on both sides."""
    half = len(units) // 2
    kept = ~units.left_out[:half] & ((units.den[:half] > 0) | (units.den[half:] > 0))
    left, right = units.num[:half][kept], units.num[half:][kept]
    shares = units.pick(np.tile(kept, 2))
    binary = bool(np.isin(shares.num, (0, 1)).all() and (shares.den == 1).all())
    cluster = units.cluster[:half][kept]
    if not binary or units.strata > 2 or len(np.unique(cluster)) < len(cluster):
        return None
    return int((left > right).sum()), int((left < right).sum())


def _touching(estimates: Estimates) -> float:
    """The level at which the interval of the difference just touches 0."""
    low, high = 0.0, _FARTHEST
    for _ in range(_HALVINGS):
        z = (low + high) / 2
        ends = estimates.interval(z)
        low, high = (low, z) if ends[0] <= 0 <= ends[1] else (z, high)
    return 2 * NormalDist().cdf(-high)
