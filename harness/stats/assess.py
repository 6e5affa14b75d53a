"""From units to an estimate: value, interval, exact bounds, and the interval stretched over the bounds.

A weighted sum of ratios covers every case: one ratio, the mean over strata, the difference of two runs. The variance of
each ratio comes from its residuals `num - ratio * den`, summed within clusters, and so does the correlation between
ratios whose clusters overlap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from harness.stats.bounds import Extreme, extreme
from harness.stats.columns import Menu
from harness.stats.intervals import Estimates, Interval
from harness.stats.units import SETTLED, Floats, Ints, Units, sums
from harness.stats.weighting import Weighted, weigh

_NO_DENOMINATOR = "no record counts, so there is nothing to divide by"
_DUST = 1e-18  #: a residual variance below this, in units of the denominators, is rounding and stands for zero


@dataclass(frozen=True, slots=True, kw_only=True)
class Stratum:
    """One ratio: its sums over the settled units, and how many units it left open."""

    num: float
    den: float
    unresolved: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """What is known of a weighted sum of ratios, 0 to 1 (a difference: -1 to 1).

    Attributes:
        value: of the settled units; None where a stratum has no denominator or cannot be estimated.
        ci95: around the value.
        bounds: exact extremes over all completions of the open units; None where a stratum can have no denominator.
        worst: lower limit on the completion of the lower bound, upper limit on that of the upper.
        clusters: that bear on the value.
        strata: in order.
        estimates: what the value came from, for tests at other levels.
        weighted: the pseudo-records behind it, where a part of the answers was judged.
        why: there is no value, as a sentence without its full stop; empty where there is one.
    """

    value: float | None
    ci95: Interval | None
    bounds: Interval | None
    worst: Interval | None
    clusters: int
    strata: tuple[Stratum, ...]
    estimates: Estimates | None
    weighted: Weighted | None = None
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cells:
    """Sums within one stratum and cluster; `units` is how many were added up."""

    stratum: Ints
    cluster: Ints
    num: Floats
    den: Floats
    units: Floats
    strata: int

    @property
    def totals(self) -> tuple[Floats, Floats]:
        """Numerator and denominator of each stratum."""
        return self._sum(self.num), self._sum(self.den)

    def estimates(self, weights: Sequence[float]) -> Estimates | None:
        """Rates and the covariance of their errors; None where a stratum has no denominator."""
        num, den = self.totals
        if not (self.strata and den.all()):
            return None
        rates = num / den
        residual = self.num - rates[self.stratum] * self.den
        flat = self._sum(residual**2) <= _DUST * self._sum(self.den**2)
        residual = np.where(flat[self.stratum], 0.0, residual) / (den * np.sqrt(self._shrinkage()))[self.stratum]
        return Estimates(
            rates=tuple(rates.tolist()),
            clusters=tuple(np.bincount(self.stratum, minlength=self.strata).tolist()),
            covariance=self._products(residual),
            weights=tuple(weights),
        )

    def _shrinkage(self) -> Floats:
        """What a variance estimated from few clusters costs in effective observations (Korn and Graubard 1998).

        1 where every cluster is one unit: the variance of such a rate follows from the rate.
        """
        units = np.maximum(self._sum(self.units), 2)
        clusters = np.maximum(np.bincount(self.stratum, minlength=self.strata), 2)
        if (clusters == units).all():
            return np.ones(self.strata)
        from scipy.special import stdtrit

        quantiles = stdtrit(units - 1, 0.975) / stdtrit(clusters - 1, 0.975)
        return np.asarray(quantiles**2 * (1 - 1 / clusters) / (1 - 1 / units), dtype=np.float64)

    def _products(self, residual: Floats) -> tuple[tuple[float, ...], ...]:
        if self.strata == 1:
            return ((float(residual @ residual),),)
        from scipy.sparse import coo_array

        _, cluster = np.unique(self.cluster, return_inverse=True)
        matrix = coo_array((residual, (self.stratum, cluster)), shape=(self.strata, int(cluster.max()) + 1)).tocsr()
        return tuple(tuple(row) for row in (matrix @ matrix.T).toarray().tolist())

    def _sum(self, values: Floats) -> Floats:
        return sums(self.stratum, values, self.strata)


def cells(units: Units) -> Cells:
    """Sums of the counted units within stratum and cluster."""
    counted = units.pick(units.den > 0)
    _, cluster = np.unique(counted.cluster, return_inverse=True)
    cell, where = np.unique(cluster * units.strata + counted.stratum, return_inverse=True)
    return Cells(
        stratum=(cell % units.strata).astype(np.int64),
        cluster=(cell // units.strata).astype(np.int64),
        num=sums(where, counted.num, len(cell)),
        den=sums(where, counted.den, len(cell)),
        units=sums(where, np.ones(len(counted)), len(cell)),
        strata=units.strata,
    )


def estimate_rate(hits: Floats, cluster: Ints) -> Estimates | None:
    """The mean of values from 0 to 1, each counted once; None where there are none."""
    _, where = np.unique(cluster, return_inverse=True)
    clusters = int(where.max(initial=-1)) + 1
    counts = sums(where, np.ones(len(hits)), clusters)
    return Cells(
        stratum=np.zeros(clusters, dtype=np.int64),
        cluster=np.arange(clusters),
        num=sums(where, hits, clusters),
        den=counts,
        units=counts,
        strata=1,
    ).estimates((1.0,))


def assess(units: Units, weights: Sequence[float] | None = None) -> Assessment:
    """Everything about one weighted sum of ratios.

    Args:
        units: with `strata` the number of weights.
        weights: one per stratum; None is their equal-weight mean.
    """
    weights = [1 / max(units.strata, 1)] * units.strata if weights is None else weights
    point = cells(units.pick(~units.left_out))
    made = None if units.frame is None else weigh(units)
    estimates, why = _estimate(point, made, weights)
    ci95 = estimates.interval() if estimates else None
    value = estimates.value if estimates else None
    if not (units.left_out.any() or isinstance(made, str)):
        bounds, worst = (None, None) if value is None else ((value, value), ci95)
    else:
        bounds, worst = _bounds(units, weights)
    return Assessment(
        value=value,
        ci95=ci95,
        bounds=bounds,
        worst=worst,
        clusters=len(np.unique(point.cluster)),
        strata=_strata(point, units),
        estimates=estimates,
        weighted=made if isinstance(made, Weighted) else None,
        why=why,
    )


def _estimate(point: Cells, made: Weighted | str | None, weights: Sequence[float]) -> tuple[Estimates | None, str]:
    """The estimates, or why there are none."""
    if isinstance(made, str):
        return None, made
    if made is None:
        found = point.estimates(weights)
    else:
        found = cells(made.units.pick(~made.units.left_out)).estimates(weights)
        found = found and replace(found, openings=made.openings)
    return found, "" if found else _NO_DENOMINATOR


def hold(outer: Interval | None, inner: Interval | None) -> Interval | None:
    """The outer interval, stretched where it must be to hold the inner one.

    Bounds are over completions, and a value is over what is resolved. A unit that is left out may have a share that no
    completion takes away (a call that was no block, the known half of a pair), and so a value may lie outside them.
    """
    if outer is None or inner is None:
        return outer
    return min(outer[0], inner[0]), max(outer[1], inner[1])


def _strata(point: Cells, units: Units) -> tuple[Stratum, ...]:
    matters = np.array([any(den > 0 for _, den in menu) for menu in units.menus] or [False])
    missing = (units.choice != SETTLED) & matters[units.choice]
    unresolved = np.bincount(units.stratum[missing], minlength=units.strata)
    totals = zip(*(side.tolist() for side in point.totals), unresolved.tolist(), strict=True)
    return tuple(Stratum(num=num, den=den, unresolved=count) for num, den, count in totals)


def _bounds(units: Units, weights: Sequence[float]) -> tuple[Interval | None, Interval | None]:
    low, high = (_completed(units, [(w > 0) == lowest for w in weights]) for lowest in (True, False))
    if low is None or high is None:
        return None, None
    ends = [cells(side).estimates(weights) for side in (low, high)]
    lower, upper = (end for end in ends if end is not None)
    return (lower.value, upper.value), (lower.interval()[0], upper.interval()[1])


def _completed(units: Units, lowest: Sequence[bool]) -> Units | None:
    """All units settled so that each stratum is at its extreme; None where one can have no denominator."""
    known = [sums(units.stratum, side, units.strata) for side in (units.num, units.den)]
    menus = units.menus or (((0.0, 0.0),),)
    counts = _open_counts(units, len(menus))
    ends = [
        _end(stratum, (float(known[0][stratum]), float(known[1][stratum])), menus, counts, low)
        for stratum, low in enumerate(lowest)
    ]
    settled = [end for end in ends if end is not None]
    if len(settled) < len(ends):
        return None
    share = np.array([end.picks for end in settled])[units.stratum, units.choice]
    is_open = units.choice != SETTLED
    return replace(units, num=np.where(is_open, share[:, 0], units.num), den=np.where(is_open, share[:, 1], units.den))


def _open_counts(units: Units, menus: int) -> Ints:
    rows = units.choice != SETTLED
    where = units.stratum[rows] * menus + units.choice[rows]
    return np.bincount(where, minlength=units.strata * menus).reshape(units.strata, menus)


def _end(stratum: int, known: tuple[float, float], menus: Sequence[Menu], counts: Ints, low: bool) -> Extreme | None:
    return extreme(known, menus, [int(count) for count in counts[stratum]], lowest=low)
