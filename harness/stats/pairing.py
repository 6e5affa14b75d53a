"""Paired comparison: the same questions answered by two models, or a question and its twins.

    paired(metric, records_of_run_a, records_of_run_b)               # matched by item
    paired(metric, real, easy_and_hard, key=same_question)           # each left record against the mean of its twins
    paired_runs(metric, [seed_1, seed_2], [seed_1, seed_2, seed_3])  # means over runs that differ in a seed alone

The difference of the two ratios gets the same interval as everything else (`harness.stats.intervals`), with the
correlation that pairing brings. The p-value is that of `harness.stats.matching.difference_test`: test and interval
never disagree, except where McNemar's exact test applies. numpy is imported when the result is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.metrics import Metric, Record
from harness.stats.columns import Table
from harness.stats.tally import to_unit
from harness.types import Json

if TYPE_CHECKING:
    from harness.stats.intervals import Interval
    from harness.stats.matching import Test
    from harness.stats.seeds import SeedDifference


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedValues:
    """One metric in each run of the two sides, in its unit.

    Attributes:
        left: the value of each run of the left side.
        right: the value of each run of the right side.
        spreads: standard deviation between the runs of each side, left first; None for a single run.
        freedom: Satterthwaite's degrees of freedom of the difference.
    """

    left: tuple[float, ...]
    right: tuple[float, ...]
    spreads: tuple[float | None, float | None]
    freedom: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedResult:
    """Two sides of one metric, compared pair by pair; rates in the metric's unit, intervals as (low, high).

    Attributes:
        metric: its name.
        unit: "%" or "0-1".
        better: which direction is good.
        pairs: left units that have a partner.
        unmatched: left units without one.
        unmatched_right: right units without one.
        unresolved: pairs with an open side; outside the estimate, inside the bounds.
        clusters: that bear on the difference.
        denominators: what the left and the right side are divided by; of a mean over strata, summed.
        left: value of the left side over the resolved pairs; None where it has no denominator.
        right: the same of the right side.
        difference: left - right.
        ci95: of the difference.
        bounds: exact extremes of the difference over all completions.
        ci95_worst: the interval stretched over the bounds.
        p: that the difference is 0, two-sided; None where there is no difference to test.
        test: what gave p.
        why: reason for having no difference, a sentence without its full stop; empty for none.
        estimated: judged pairs, and all pairs that they stand for (themselves included); None where the value is plain.
        detectable: smallest difference that this many clusters would show in 4 of 5 evaluations, at 5% two-sided; None
            where they are too few to show any.
        seeds: what each run gave, where a side is several runs that differ in a seed alone; else None.
    """

    metric: str
    unit: str
    better: str
    pairs: int
    unmatched: int
    unmatched_right: int
    unresolved: int
    clusters: int
    denominators: tuple[float, float]
    left: float | None
    right: float | None
    difference: float | None
    ci95: Interval | None
    bounds: Interval | None
    ci95_worst: Interval | None
    p: float | None
    test: Test | None
    detectable: float | None
    why: str = ""
    estimated: tuple[int, int] | None = None
    seeds: SeedValues | None = None

    def as_json(self, left: str, right: str) -> dict[str, Json]:
        """As `paired` of results.json: {pairs, unmatched, <metric>: {<left>, <right>, difference, ci95, …}}."""
        return {
            "pairs": self.pairs,
            "unmatched": self.unmatched,
            self.metric: {
                left: self.left,
                right: self.right,
                "difference": self.difference,
                **({"why": self.why} if self.why else {}),
                "ci95": self.ci95 and list(self.ci95),
                "unresolved": self.unresolved,
                "bounds": self.bounds and list(self.bounds),
                "ci95_worst": self.ci95_worst and list(self.ci95_worst),
            },
        }


class Pairs:
    """Accumulates both sides of a comparison; a few bytes a record.

    Args:
        metric: what is compared.
        key: equal for twins; None pairs the same item, or the same group, of two runs.
    """

    def __init__(self, metric: Metric, key: Callable[[Record], str] | None = None) -> None:
        self.metric = metric
        self.left = Table([metric], key=key or unit_identity(metric))
        self.right = Table([metric], key=key or unit_identity(metric))

    def result(self) -> PairedResult:
        """Compare what was added to `left` and `right`."""
        from harness.stats.assess import assess, widen_to_hold
        from harness.stats.matching import detectable_difference, difference_test, match_pairs

        metric, match = self.metric, match_pairs(self.left, self.right)
        result = assess(match.units, match.weights)
        why = metric.unmeasured or match.why or result.why
        bounds, worst = (None, None) if metric.unmeasured else (result.bounds, result.worst)
        estimates = None if why else result.estimates
        value, ci95 = (estimates.value, result.ci95) if estimates else (None, None)
        p, test = difference_test(match.units, estimates) if estimates else (None, None)
        detectable = detectable_difference(match.units, estimates) if estimates else None
        half = len(result.strata) // 2  # the left strata come first
        denominators = [sum(part.den for part in side) for side in (result.strata[:half], result.strata[half:])]

        unit = metric.unit
        return PairedResult(
            metric=metric.name,
            unit=unit,
            better=metric.better,
            pairs=match.pairs,
            unmatched=match.unmatched,
            unmatched_right=match.unmatched_right,
            unresolved=0 if metric.unmeasured else match.unresolved,
            clusters=result.clusters,
            denominators=(denominators[0], denominators[1]),
            left=to_unit(estimates.side(1), unit) if estimates else None,
            right=to_unit(estimates.side(-1), unit) if estimates else None,
            difference=None if value is None else to_unit(value, unit),
            ci95=_scale_ends(ci95, unit),
            bounds=_scale_ends(widen_to_hold(bounds, None if value is None else (value, value)), unit),
            ci95_worst=_scale_ends(widen_to_hold(worst, ci95), unit),
            p=p,
            test=test,
            detectable=None if detectable is None else to_unit(detectable, unit),
            why=why,
            estimated=match.estimated if result.weighted and not result.weighted.plain and not why else None,
        )


def paired(
    metric: Metric, left: Iterable[Record], right: Iterable[Record], *, key: Callable[[Record], str] | None = None
) -> PairedResult:
    """Compare two sets of records pair by pair.

    Args:
        metric: what is compared.
        left: each of its units is one pair.
        right: their partners; several with one key count as their mean.
        key: equal for twins; None pairs the same item, or the same group, of two runs.
    """
    pairs = Pairs(metric, key)
    for record in left:
        pairs.left.add(record)
    for record in right:
        pairs.right.add(record)
    return pairs.result()


def paired_runs(metric: Metric, left: Sequence[Iterable[Record]], right: Sequence[Iterable[Record]]) -> PairedResult:
    """Compare the means of two sides of several runs, over the units that all runs have and resolved.

    Args:
        metric: what is compared.
        left: the records of each run of the left side, which differ in a seed alone.
        right: the same of the right side.
    """
    from harness.stats.assess import assess, widen_to_hold
    from harness.stats.matching import match_runs
    from harness.stats.seeds import compare_seeds

    sides = [[_fill_table(metric, records) for records in side] for side in (left, right)]
    match = match_runs(*sides)
    result = assess(match.units, match.weights)
    why = metric.unmeasured or match.why or result.why
    found = None if why or result.estimates is None else compare_seeds(result.estimates, len(left), len(right))
    bounds = None if metric.unmeasured else result.bounds
    half = len(result.strata) * len(left) // (len(left) + len(right))
    denominators = [sum(part.den for part in side) for side in (result.strata[:half], result.strata[half:])]

    value = None if found is None else found.estimates.value
    bounds = widen_to_hold(bounds, None if value is None else (value, value))
    worst: Interval | None = None
    if found is not None and value is not None and bounds is not None:
        ends = found.ci95
        worst = ends[0] - (value - bounds[0]), ends[1] + (bounds[1] - value)
    return PairedResult(
        metric=metric.name,
        unit=metric.unit,
        better=metric.better,
        pairs=match.shared,
        unmatched=match.unmatched,
        unmatched_right=match.unmatched_right,
        unresolved=0 if metric.unmeasured else match.unresolved,
        clusters=result.clusters,
        denominators=(denominators[0], denominators[1]),
        left=None if found is None else to_unit(found.estimates.side(1), metric.unit),
        right=None if found is None else to_unit(found.estimates.side(-1), metric.unit),
        difference=None if value is None else to_unit(value, metric.unit),
        ci95=None if found is None else _scale_ends(found.ci95, metric.unit),
        bounds=_scale_ends(bounds, metric.unit),
        ci95_worst=_scale_ends(worst, metric.unit),
        p=None if found is None else found.p,
        test=None if found is None else "interval",
        detectable=None if found is None else to_unit(found.detectable, metric.unit),
        why=why,
        seeds=None if found is None else _scale_seeds(found, metric.unit),
    )


def _scale_ends(ends: Interval | None, unit: str) -> Interval | None:
    """An interval in a metric's unit."""
    return None if ends is None else (to_unit(ends[0], unit), to_unit(ends[1], unit))


def _fill_table(metric: Metric, records: Iterable[Record]) -> Table:
    table = Table([metric], key=unit_identity(metric))
    for record in records:
        table.add(record)
    return table


def _scale_seeds(found: SeedDifference, unit: str) -> SeedValues:
    left, right = (None if spread is None else to_unit(spread, unit) for spread in found.spreads)
    return SeedValues(
        left=tuple(to_unit(value, unit) for value in found.left),
        right=tuple(to_unit(value, unit) for value in found.right),
        spreads=(left, right),
        freedom=round(found.freedom, 1),
    )


def unit_identity(metric: Metric) -> Callable[[Record], str]:
    """What two runs share of one unit: its sample or group, and the epoch unless units span the epochs."""
    group = metric.group

    def identity(record: Record) -> str:
        who = f"{record.split}/{record.id if group is None else group(record)}"
        return who if metric.over_epochs else f"{who}#{record.epoch}"

    return identity
