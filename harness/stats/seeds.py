"""The mean of one metric over runs that differ in a seed alone, with an interval that holds the variance between seeds.

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
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import stdev

from harness.stats.intervals import Estimates, Interval, wilson


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

    each = len(estimates.rates) // runs
    values = tuple(
        runs * sum(estimates.weights[i] * estimates.rates[i] for i in range(run * each, (run + 1) * each))
        for run in range(runs)
    )
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
