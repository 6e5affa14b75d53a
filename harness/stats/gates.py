"""Decides by its interval whether a number keeps a limit.

    pass       the 95% interval stretched over what is unresolved (`ci95_worst`) lies wholly within the limit
    fail       it lies wholly beyond, also after Holm's adjustment over all rules
    undecided  it holds the limit

A pass needs no adjustment. A gate passes only where all rules do, so its chance of passing a model that breaks one of
them is at most that rule's chance (intersection-union; Berger 1982, Technometrics 24). A rule passes a number that
lies exactly at its limit in at most 2.5% of the evaluations.

A fail needs one: with twenty rules kept, each by a hair, some interval lies beyond its limit by luck. So each rule has
a p, and fails where Holm's adjusted p is below 5%. p is the level, two-sided, at which the interval just touches the
limit. Only the interval at 95% is stored, so what it shows is carried to other levels:

    rate        Wilson's test with the effective number of observations that the stored end shows:
                n = z95^2 l (1 - l) / (r - l)^2, then z = (r - L) sqrt(n / (L (1 - L)))
    difference  distances grow with z: z = z95 (d - M) / (d - l)

with r or d the value at the bound that is nearest to the limit, l the stored end, L the limit and M the margin. For a
rate of clusters that is the interval's own formula; for a mean over strata and for a difference it is close
(`python -m benchmarks.gates`). In any case p is below 5% exactly where the stored interval lies wholly beyond.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, sqrt
from statistics import NormalDist
from typing import Final

from harness.stats.intervals import Z95, Interval

ALPHA: Final = 0.05  #: two-sided; a rule fails below it


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitCheck:
    """A number beside its limit.

    Attributes:
        within: the interval lies wholly within the limit.
        p: two-sided, that the number is at the limit; 1 where it is not beyond it.
    """

    within: bool
    p: float


def check_rate(worst: Interval, bounds: Interval, limit: float, *, most: bool) -> LimitCheck:
    """Compare a rate with the limit that it may not exceed (`most`), or not fall below; all from 0 to 1.

    Args:
        worst: the interval stretched over the bounds.
        bounds: the least and most that the rate could have been.
        limit: of the rate.
        most: the limit is the most; else the least.
    """
    if not most:
        mirrored = check_rate((1 - worst[1], 1 - worst[0]), (1 - bounds[1], 1 - bounds[0]), 1 - limit, most=True)
        return LimitCheck(within=worst[0] >= limit, p=mirrored.p)
    low, nearest = worst[0], bounds[0]
    if nearest <= limit or low <= 0:
        return LimitCheck(within=worst[1] <= limit, p=1.0)
    if limit <= 0 or low >= nearest:
        return LimitCheck(within=False, p=0.0 if limit < low else 1.0)
    observations = Z95**2 * low * (1 - low) / (nearest - low) ** 2
    z = (nearest - limit) * sqrt(observations / (limit * (1 - limit))) if limit < 1 else 0.0
    return LimitCheck(within=False, p=_two_sided(z))


def check_difference(worst: Interval, bounds: Interval, margin: float, *, lower_is_better: bool) -> LimitCheck:
    """Compare a difference (run less baseline) with the margin by which the run may be worse; all from -1 to 1."""
    if not lower_is_better:
        worst, bounds = (-worst[1], -worst[0]), (-bounds[1], -bounds[0])
    low, nearest = worst[0], bounds[0]
    if nearest <= margin:
        return LimitCheck(within=worst[1] <= margin, p=1.0)
    z = inf if nearest <= low else Z95 * (nearest - margin) / (nearest - low)
    return LimitCheck(within=False, p=_two_sided(z))


def _two_sided(z: float) -> float:
    return min(1.0, 2 * NormalDist().cdf(-z))
