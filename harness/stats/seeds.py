"""Metrics over runs that differ in a seed alone, with intervals that hold the variance between seeds.

One training or sampling seed is a draw, as the questions are. An interval over the questions of one run says nothing
of another seed. For M runs over the same questions:

    value      mean of the M rates, each run with equal weight
    V_items    variance of that mean for another draw of the questions: residuals of all runs, summed within clusters
    V_seeds    s^2 / M, where s^2 is the variance of the M rates: another draw of the seeds
    interval   Wilson's at V = V_items + V_seeds, with Student's quantile at Satterthwaite's degrees of freedom,
               V^2 / (V_items^2 / (clusters - 1) + V_seeds^2 / (M - 1))

The noise of one answer is in both variances, so the interval is a little too wide where answers vary much by
themselves. Two seeds say little of the variance between seeds: their intervals held the truth in 88% to 97% of the
simulated data sets, those of three seeds in 93% to 99% (`python -m benchmarks.intervals`). Satterthwaite 1946,
Biometrics Bulletin 2.

The difference of two such means, of A and B runs over the same questions, has

    V          V_items + s_A^2 / A + s_B^2 / B; V_items is that of the difference, of residuals summed within clusters
    interval   that of a paired difference (`stats.intervals`) at Student's quantile t, with t^2 (V - V_items) added to
               its squared distances; Satterthwaite's degrees of freedom as above, with a term for each side's seeds
    p          the level at which that interval touches 0

A side of one run has no variance between seeds that could be measured: none is added for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import hypot, sqrt
from statistics import stdev

from harness.stats.intervals import Estimates, Interval, wilson

_FARTHEST = 40.0  #: standard errors; beyond, p is 0 in floating point
_HALVINGS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedMean:
    """The mean over runs that differ in a seed alone; rates are 0 to 1.

    Attributes:
        value: the mean.
        ci95: its interval.
        values: of each run, in order.
        spread: standard deviation between the runs.
        freedom: degrees of freedom of the interval.
    """

    value: float
    ci95: Interval
    values: tuple[float, ...]
    spread: float
    freedom: float


def average_seeds(estimates: Estimates, runs: int) -> SeedMean:
    """The mean over runs.

    Args:
        estimates: the rates of all runs, those of each run together, with their covariance over shared clusters;
            each run's weights sum to 1 / runs.
        runs: how many; at least 2.
    """
    from scipy.special import stdtrit

    values = _list_values(estimates, (runs,))[0]
    value, spread = estimates.value, stdev(values)
    items, seeds = estimates.error**2, spread**2 / runs
    variance, clusters = items + seeds, max(estimates.clusters)
    if variance <= 0 or not 0 < value < 1:  # no run and no cluster departs, yet the next one may
        ends = estimates.interval()
        return SeedMean(value=value, ci95=ends, values=values, spread=spread, freedom=clusters - 1)
    freedom = variance**2 / (items**2 / max(clusters - 1, 1) + seeds**2 / (runs - 1))
    quantile = float(stdtrit(freedom, 0.975))
    ends = wilson(value, value * (1 - value) / variance, quantile)
    return SeedMean(value=value, ci95=ends, values=values, spread=spread, freedom=freedom)


def _list_values(estimates: Estimates, sizes: tuple[int, ...]) -> list[tuple[float, ...]]:
    """The rate of each run, side by side; the runs of each side have equal weight."""
    each = len(estimates.rates) // sum(sizes)
    found, start = list[tuple[float, ...]](), 0
    for size in sizes:
        places = [range(start + run * each, start + (run + 1) * each) for run in range(size)]
        values = [size * estimates.mean_of(place) for place in places]
        found.append(tuple(values))
        start += size * each
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedDifference:
    """The difference of two means over runs that differ in a seed alone; rates are 0 to 1.

    Attributes:
        estimates: the rates of all runs, those of the left side first.
        left: the value of each run of the left side.
        right: of the right side.
        items: variance of the difference for another draw of the questions.
        seeds: variance of the difference for other seeds.
        freedom: degrees of freedom of both together.
    """

    estimates: Estimates
    left: tuple[float, ...]
    right: tuple[float, ...]
    items: float
    seeds: float
    freedom: float

    @property
    def spreads(self) -> tuple[float | None, float | None]:
        """Standard deviation between the runs of each side; None for a single run."""
        left, right = (stdev(side) if len(side) > 1 else None for side in (self.left, self.right))
        return left, right

    @property
    def ci95(self) -> Interval:
        """The interval of the difference."""
        return self._interval(self._quantile(0.975))

    @property
    def p(self) -> float:
        """Two-sided, that the difference is 0."""
        from scipy.special import stdtr

        low, high = 0.0, _FARTHEST
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            ends = self._interval(middle)
            low, high = (low, middle) if ends[0] <= 0 <= ends[1] else (middle, high)
        return min(1.0, 2 * float(stdtr(self.freedom, -high)))

    @property
    def detectable(self) -> float:
        """The difference that a two-sided test at 5% finds with a power of 80%."""
        factor = self._quantile(0.975) + self._quantile(0.8)
        return max(factor * sqrt(self.items + self.seeds), factor**2 / (max(self.estimates.clusters) + factor**2))

    def _quantile(self, level: float) -> float:
        from scipy.special import stdtrit

        return float(stdtrit(self.freedom, level))

    def _interval(self, quantile: float) -> Interval:
        value, ends = self.estimates.value, self.estimates.interval(quantile)
        more = quantile * sqrt(self.seeds)
        return max(-1.0, value - hypot(value - ends[0], more)), min(1.0, value + hypot(ends[1] - value, more))


def compare_seeds(estimates: Estimates, left: int, right: int) -> SeedDifference:
    """The difference of two means over runs.

    Args:
        estimates: the rates of all runs, those of the left side first and those of each run together, with their
            covariance over shared clusters; the weights of a run of the left side sum to 1 / left, those of the right
            side to -1 / right.
        left: how many runs the left side has.
        right: how many the right side has.
    """
    sides = _list_values(estimates, (left, right))
    items, clusters = estimates.error**2, max(estimates.clusters)
    parts = [(stdev(side) ** 2 / len(side), len(side) - 1) for side in sides if len(side) > 1]
    parts.append((items, max(clusters - 1, 1)))
    total = sum(part for part, _ in parts)
    spread = sum(part**2 / free for part, free in parts)
    return SeedDifference(
        estimates=estimates,
        left=sides[0],
        right=sides[1],
        items=items,
        seeds=total - items,
        freedom=total**2 / spread if spread > 0 else max(clusters - 1, 1),
    )
