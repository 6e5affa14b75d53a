"""A 95% interval for a coefficient that is computed from sums: clusters drawn anew, with replacement, many times.

The ends are the bias-corrected and accelerated ones (BCa; Efron 1987), since the plain percentiles of a coefficient
near 1 lie too high; the acceleration comes from leaving out each cluster once. Clusters with equal rows are
interchangeable, so a resample is one multinomial draw over the distinct rows. The generator starts from one fixed seed:
the same data give the same interval, whatever the order of its items.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import numpy as np

from harness.stats.intervals import Z95, Interval
from harness.stats.units import Floats, Ints, column

RESAMPLES: Final = 10_000
SEED: Final = 20_240_229
MOST_UNDEFINED: Final = 0.05  #: share of resamples that may have no value; more, and 95% of what may come is not seen
_CELLS: Final = 4_000_000  #: counts held at once
_DUST: Final = 1e-12
_LEAST: Final = 0.1  #: a divisor below this is an acceleration from too few clusters to be believed

#: sums (…, columns) -> observed and expected disagreement, each (…); without expected disagreement there is no value
Coefficient = Callable[[Floats], tuple[Floats, Floats]]


def unseen(clusters: int) -> float:
    """The largest share of clusters that may differ although none of these did: Wilson's upper limit of 0 of them."""
    return Z95**2 / (clusters + Z95**2)


def interval(clusters: Floats, coefficient: Coefficient) -> Interval | None:
    """Both ends; None where more than 5% of the resamples have no value.

    Args:
        clusters: (clusters, columns): what each contributes to the sums.
        coefficient: of sums; defined for the sum of all.
    """
    rows, several = np.unique(clusters, axis=0, return_counts=True)
    counts = column(several)
    drawn = np.concatenate([_values(sums, coefficient) for sums in _resampled(rows, counts)])
    known = drawn[~np.isnan(drawn)]
    if len(known) < (1 - MOST_UNDEFINED) * len(drawn):
        return None
    total = clusters.sum(axis=0)
    value = float(_values(total[None, :], coefficient)[0])
    levels = _levels(known, value, _acceleration(_values(total - rows, coefficient), counts))
    low, high = np.quantile(known, levels)
    return min(float(low), value), max(float(high), value)


def _resampled(rows: Floats, counts: Ints) -> Iterator[Floats]:
    """The sums of all resamples, some at a time."""
    generator = np.random.default_rng(SEED)
    clusters = int(counts.sum())
    step = max(1, _CELLS // len(rows))
    for begin in range(0, RESAMPLES, step):
        size = min(step, RESAMPLES - begin)
        yield generator.multinomial(clusters, counts / clusters, size=size) @ rows


def _values(sums: Floats, coefficient: Coefficient) -> Floats:
    """The coefficient of each row of sums; NaN where it is not defined."""
    with np.errstate(divide="ignore", invalid="ignore"):
        observed, expected = coefficient(sums)
        return np.where(expected > 0, 1 - observed / expected, np.nan)


def _acceleration(without: Floats, counts: Ints) -> float:
    """From the values without each cluster, and how many clusters each of them stands for."""
    known = ~np.isnan(without)
    values, weights = without[known], counts[known]
    if not len(values):
        return 0.0
    gaps = np.average(values, weights=weights) - values
    spread = float((weights * gaps**2).sum()) ** 1.5
    return float((weights * gaps**3).sum()) / (6 * spread) if spread > _DUST else 0.0


def _levels(drawn: Floats, value: float, acceleration: float) -> list[float]:
    """Which quantiles of the resamples are the ends."""
    from scipy.special import ndtr, ndtri

    below = np.count_nonzero(drawn < value - _DUST) + 0.5 * np.count_nonzero(np.abs(drawn - value) <= _DUST)
    bias = float(ndtri(np.clip(below, 1, len(drawn) - 1) / len(drawn)))
    steps = [bias + z for z in (-Z95, Z95)]
    return [float(ndtr(bias + step / max(1 - acceleration * step, _LEAST))) for step in steps]
