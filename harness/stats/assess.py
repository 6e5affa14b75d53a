"""From units to an estimate: value, interval, exact bounds, and the interval stretched over the bounds.

A weighted sum of ratios covers every case but one: one ratio, the mean over strata, the difference of two runs. (The
exception is the harmonic mean over strata, which is linear near the value: `stats.intervals`.) The variance of
each ratio comes from its residuals `num - ratio * den`, summed within clusters, and so does the correlation between
ratios whose clusters overlap.

Judged answers stand for those that no judge has read. Blocks and empty answers are known without a judge. If a judge
has read only a part of the answers, those blocks would count in full next to a few answers, so each judged answer
stands for several: post-stratification by what is known of every record before it is judged.

    cell        one split of a derived one x how generation ended (a pair: how both ended) x stratum of the metric, and
                x category where each category of the cell has ten judged answers
    tried       judged + those on which the judge failed; of what it will still read as large a share will fail
    N_c         judged x r,  r = 1 + unjudged / tried;  p_c = hits / judged;  p = sum of N_c p_c / sum of N_c
    num_i       p_c + [judged] r (y_i - p_c),  den_i = 1: pseudo-records, from which everything else follows as from
                records: value, clustered residuals, correlation with another stratum or run

What must hold:

- With nothing unjudged r is 1 and num_i is y_i: value and interval are those of the plain ratio, to the last bit.
- A record that can give one share only is settled for that metric, judged or not; weights touch what is open.
- A pair is judged where both halves that need a judge are judged: a judged half next to an unjudged one counts as
  unjudged.
- A judge's failure is outside the value and inside the bounds, whether or not anything is unjudged.
- A cell with open answers and fewer than 30 judged gives no value but a reason. So does a metric for which this was not
  simulated: of groups, over epochs, of several twins, or with a denominator that depends on the verdicts.

The judged must be a random part (`harness judge --sample`), which nothing here can see; the bounds assume nothing.
Double sampling as in Tenenbein 1970; `python -m benchmarks.intervals` prints the simulated coverage.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from harness.metrics import Share
from harness.stats.intervals import Estimates, Interval, JudgedCell, JudgedSample, find_extreme
from harness.stats.units import (
    FAILED,
    JUDGED,
    KNOWN,
    SETTLED,
    WAITS,
    Bools,
    Floats,
    Ints,
    SamplingFrame,
    Units,
    count_distinct,
    format_unjudged,
    sum_by,
)

LEAST: Final = 30  #: judged answers in a cell whose others are not judged
LEAST_BY_CATEGORY: Final = 10  #: judged answers in each category before categories are cells
_ROUNDING: Final = 1e-18  #: a residual variance below this, in units of the denominators, stands for zero


@dataclass(frozen=True, slots=True, kw_only=True)
class StratumSums:
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
        why: reason for having no value, a sentence without its full stop; empty for none.
    """

    value: float | None
    ci95: Interval | None
    bounds: Interval | None
    worst: Interval | None
    clusters: int
    strata: tuple[StratumSums, ...]
    estimates: Estimates | None
    weighted: WeightedUnits | None = None
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightedUnits:
    """Units with pseudo-records in place of those of partly judged cells.

    Attributes:
        units: all settled.
        samples: of each stratum, what its unjudged answers leave open; none where nothing is.
        judged: answers that were judged.
        of: answers that they stand for, themselves included.
        by_category: some cells are divided by category.
        plain: each unit still counts as it is, so the value is the plain ratio.
    """

    units: Units
    samples: tuple[JudgedSample, ...]
    judged: int
    of: int
    by_category: bool
    plain: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSums:
    """Sums within one stratum and cluster; `units` is how many were added up."""

    stratum: Ints
    cluster: Ints
    num: Floats
    den: Floats
    units: Floats
    strata: int
    block: int = 1

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
        flat = self._sum(residual**2) <= _ROUNDING * self._sum(self.den**2)
        residual = np.where(flat[self.stratum], 0.0, residual) / (den * np.sqrt(self.shrinkage()))[self.stratum]
        covariance: tuple[tuple[float, ...], ...]
        if self.strata == 1:
            covariance = ((float(np.sum(residual**2)),),)  # BLAS would start threads for this
        else:
            from scipy.sparse import coo_array

            _, cluster = np.unique(self.cluster, return_inverse=True)
            matrix = coo_array((residual, (self.stratum, cluster)), shape=(self.strata, int(cluster.max()) + 1)).tocsr()
            covariance = tuple(tuple(row) for row in (matrix @ matrix.T).toarray().tolist())
        return Estimates(
            rates=tuple(rates.tolist()),
            clusters=tuple(np.bincount(self.stratum, minlength=self.strata).tolist()),
            covariance=covariance,
            weights=tuple(weights),
            block=self.block,
        )

    def shrinkage(self) -> Floats:
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

    def _sum(self, values: Floats) -> Floats:
        return sum_by(self.stratum, values, self.strata)


def sum_clusters(units: Units) -> ClusterSums:
    """Sums of the counted units within stratum and cluster."""
    counted = units.pick(units.den > 0)
    _, cluster = np.unique(counted.cluster, return_inverse=True)
    cell, where = np.unique(cluster * units.strata + counted.stratum, return_inverse=True)
    return ClusterSums(
        stratum=(cell % units.strata).astype(np.int64),
        cluster=(cell // units.strata).astype(np.int64),
        num=sum_by(where, counted.num, len(cell)),
        den=sum_by(where, counted.den, len(cell)),
        units=sum_by(where, np.ones(len(counted)), len(cell)),
        strata=units.strata,
        block=units.block,
    )


def estimate_rate(hits: Floats, cluster: Ints) -> Estimates | None:
    """The mean of values from 0 to 1, each counted once; None where there are none."""
    _, where = np.unique(cluster, return_inverse=True)
    clusters = int(where.max(initial=-1)) + 1
    counts = sum_by(where, np.ones(len(hits)), clusters)
    return ClusterSums(
        stratum=np.zeros(clusters, dtype=np.int64),
        cluster=np.arange(clusters),
        num=sum_by(where, hits, clusters),
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
    point = sum_clusters(units.pick(~units.left_out))
    weighted = None if units.frame is None else weigh_units(units)
    why = ""
    if isinstance(weighted, str):
        estimates, why = None, weighted
    elif weighted is None:
        estimates = point.estimates(weights)
    else:
        estimates = sum_clusters(weighted.units.pick(~weighted.units.left_out)).estimates(weights)
        estimates = estimates and replace(estimates, samples=weighted.samples)
    if estimates is None and not why:
        why = "no record counts, so there is nothing to divide by"
    ci95 = estimates.interval() if estimates else None
    value = estimates.value if estimates else None
    if not (units.left_out.any() or isinstance(weighted, str)):
        bounds, worst = (None, None) if value is None else ((value, value), ci95)
    else:
        bounds, worst = _find_bounds(units, weights)
    matters = np.array([any(den > 0 for _, den in shares) for shares in units.choices] or [False])
    missing = (units.choice != SETTLED) & matters[units.choice]
    unresolved = np.bincount(units.stratum[missing], minlength=units.strata)
    totals = zip(*(side.tolist() for side in point.totals), unresolved.tolist(), strict=True)
    return Assessment(
        value=value,
        ci95=ci95,
        bounds=bounds,
        worst=worst,
        clusters=count_distinct(point.cluster),
        strata=tuple(StratumSums(num=num, den=den, unresolved=count) for num, den, count in totals),
        estimates=estimates,
        weighted=weighted if isinstance(weighted, WeightedUnits) else None,
        why=why,
    )


def widen_to_hold(outer: Interval | None, inner: Interval | None) -> Interval | None:
    """The outer interval, widened where it must be to hold the inner one.

    Bounds are over completions, and a value is over what is resolved. A unit that is left out may have a share that no
    completion takes away (a call that was no block, the known half of a pair), and so a value may lie outside them.
    """
    if outer is None or inner is None:
        return outer
    return min(outer[0], inner[0]), max(outer[1], inner[1])


def _find_bounds(units: Units, weights: Sequence[float]) -> tuple[Interval | None, Interval | None]:
    """Exact bounds, and the interval that reaches from the lower one's lower limit to the upper one's upper limit."""
    low, high = (_complete(units, [(w > 0) == lowest for w in weights]) for lowest in (True, False))
    if low is None or high is None:
        return None, None
    ends = [sum_clusters(side).estimates(weights) for side in (low, high)]
    lower, upper = (end for end in ends if end is not None)
    return (lower.value, upper.value), (lower.interval()[0], upper.interval()[1])


def _complete(units: Units, lowest: Sequence[bool]) -> Units | None:
    """All units settled so that each stratum is at its extreme; None where one can have no denominator."""
    num, den = (sum_by(units.stratum, side, units.strata) for side in (units.num, units.den))
    choices = units.choices or (((0.0, 0.0),),)
    is_open = units.choice != SETTLED
    where = units.stratum[is_open] * len(choices) + units.choice[is_open]
    counts = np.bincount(where, minlength=units.strata * len(choices)).reshape(units.strata, len(choices))
    picks: list[tuple[Share, ...]] = []
    for stratum, low in enumerate(lowest):
        known = float(num[stratum]), float(den[stratum])
        extreme = find_extreme(known, choices, [int(count) for count in counts[stratum]], lowest=low)
        if extreme is None:
            return None
        picks.append(extreme.picks)
    share = np.array(picks)[units.stratum, units.choice]
    return replace(units, num=np.where(is_open, share[:, 0], units.num), den=np.where(is_open, share[:, 1], units.den))


@dataclass(frozen=True, slots=True, kw_only=True)
class _CellCounts:
    """Of each cell: hits, and units that are judged, failed and unjudged, as far as they count."""

    hits: Floats
    judged: Floats
    failed: Floats
    unjudged: Floats

    @property
    def tried(self) -> Floats:
        return self.judged + self.failed

    @property
    def stands_for(self) -> Floats:
        """What one judged unit stands for."""
        return 1 + np.divide(self.unjudged, self.tried, out=np.zeros_like(self.tried), where=self.tried > 0)

    @property
    def success(self) -> Floats:
        """The share of what is tried that is judged; 1 where nothing has been judged yet."""
        return np.divide(self.judged, self.tried, out=np.ones_like(self.tried), where=self.judged > 0)


def weigh_units(units: Units) -> WeightedUnits | str:
    """The units with judged ones standing for those that are not, or why that gives no value."""
    frame = units.frame
    if frame is None:
        raise ValueError("units without a frame stand for themselves")
    waits = frame.opens & (units.choice != SETTLED)
    varies = np.array([{den for _, den in shares} != {1.0} for shares in units.choices], dtype=bool)
    if waits.any() and (frame.varies or varies[units.choice[waits]].any()):
        return f"{format_unjudged(int(waits.sum()))}, and what it is divided by depends on their verdicts"
    # what each unit adds to the denominator: its own, or that of an open one had it been judged
    largest = np.array([max(den for _, den in shares) for shares in units.choices] or [0.0])
    size = np.where(units.choice == SETTLED, units.den, largest[units.choice])
    size = np.where(frame.status >= 0, size, 0.0)
    counts_at = size > 0
    coarse = _number(frame.cell * units.strata + units.stratum)
    is_open = _mark_cells(coarse, frame.opens & counts_at)
    totals = _count_cells(coarse, units, frame, size)
    thin = np.flatnonzero(is_open & (totals.judged < LEAST))
    if len(thin):
        worst = int(thin[np.argmin(totals.judged[thin])])
        first = np.unique(coarse, return_index=True)[1].astype(np.int64)
        name = frame.names[int(frame.cell[first[worst]])]
        judged, of = int(totals.judged[worst]), int(totals.tried[worst] + totals.unjudged[worst])
        if not judged:
            return f"none of the {of} {name} is labelled"
        return f"{judged} of the {of} {name} {'is' if judged == 1 else 'are'} labelled: an estimate needs {LEAST}"
    cell, by_category = _split_cells(coarse, frame, counts_at, totals.unjudged > 0)
    is_open = _mark_cells(cell, is_open[coarse])
    counts = _count_cells(cell, units, frame, size)
    return WeightedUnits(
        units=_make_pseudo_records(units, frame, size, cell, is_open, counts),
        samples=_describe_samples(units, frame, cell, is_open, counts) if is_open.any() else (),
        judged=int(counts.judged.sum()),
        of=round(float((counts.judged + counts.success * counts.unjudged).sum())),
        by_category=by_category,
        plain=not bool((is_open | ((counts.unjudged > 0) & (counts.success < 1))).any()),
    )


def _number(key: Ints) -> Ints:
    return np.unique(key, return_inverse=True)[1].astype(np.int64)


def _mark_cells(cell: Ints, rows: Bools) -> Bools:
    return np.bincount(cell, weights=rows, minlength=int(cell.max(initial=-1)) + 1) > 0


def _count_cells(cell: Ints, units: Units, frame: SamplingFrame, size: Floats) -> _CellCounts:
    cells = int(cell.max(initial=-1)) + 1
    judged, failed, unjudged = (
        sum_by(cell, size * (frame.status == status), cells) for status in (JUDGED, FAILED, WAITS)
    )
    hits = sum_by(cell, units.num * (frame.status == JUDGED), cells)
    return _CellCounts(hits=hits, judged=judged, failed=failed, unjudged=unjudged)


def _split_cells(coarse: Ints, frame: SamplingFrame, counts_at: Bools, partly: Bools) -> tuple[Ints, bool]:
    """Cells by category where each category of a cell has enough judged; whether there are any.

    Whether a metric leaves the cell open has no say, so that shares of one whole are over the same records.
    """
    fine = _number(coarse * (int(frame.category.max(initial=0)) + 1) + frame.category)
    cells = int(fine.max(initial=-1)) + 1
    judged = sum_by(fine, (frame.status == JUDGED) & counts_at, cells)
    there = sum_by(fine, (frame.status >= 0) & counts_at, cells)
    poor = _mark_cells(coarse, ((judged < LEAST_BY_CATEGORY) & (there > 0))[fine])
    several = sum_by(coarse[np.unique(fine, return_index=True)[1]], there > 0, len(poor)) > 1
    splits = partly & ~poor & several
    return _number(np.where(splits[coarse], cells + fine, coarse)), bool(splits.any())


def _make_pseudo_records(
    units: Units, frame: SamplingFrame, size: Floats, cell: Ints, is_open: Bools, counts: _CellCounts
) -> Units:
    rate = np.divide(counts.hits, counts.judged, out=np.zeros_like(counts.hits), where=counts.judged > 0)
    expected, stands_for, success = (each[cell] for each in (rate, counts.stands_for, counts.success))
    opened, status = is_open[cell], frame.status
    num, den = units.num.copy(), units.den.copy()
    judged = opened & (status == JUDGED)
    num[judged] = (expected * den + stands_for * (num - expected * den))[judged]
    unjudged = status == WAITS
    num[unjudged] = (success * np.where(opened, expected * size, num))[unjudged]
    den[unjudged] = (success * size)[unjudged]
    out = (status < 0) | (status == FAILED)
    return replace(units, num=num, den=den, choice=np.full(len(units), SETTLED), left_out=out, choices=(), frame=None)


def _describe_samples(
    units: Units, frame: SamplingFrame, cell: Ints, is_open: Bools, counts: _CellCounts
) -> tuple[JudgedSample, ...]:
    stratum = units.stratum[np.unique(cell, return_index=True)[1]]
    known = sum_by(units.stratum, units.den * (frame.status == KNOWN), units.strata)
    whole = counts.judged * counts.stands_for
    # what cannot be open is tried as the rest is, and where nothing is judged it counts as it is
    whole = np.where(is_open | (counts.judged > 0), whole, counts.unjudged)
    sizes = known + sum_by(stratum, whole, units.strata)
    judged = (frame.status == JUDGED) & (units.den > 0) | (frame.status == KNOWN)
    return tuple(
        JudgedSample(
            size=float(sizes[each]),
            clusters=count_distinct(units.cluster[judged & (units.stratum == each)]),
            cells=tuple(
                JudgedCell(hits=float(counts.hits[k]), judged=float(counts.judged[k]), of=float(whole[k]))
                for k in np.flatnonzero(is_open & (stratum == each))
            ),
        )
        for each in range(units.strata)
    )
