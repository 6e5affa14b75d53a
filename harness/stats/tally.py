"""The arithmetic of metrics: records go in one by one, the figures of results.json come out.

    tally = Tally(split.metrics, split.by)
    for record in records:
        tally.add(record)
    tally.results()     # {"metrics": {"ASR": {"value": ..., ...}}, "by": {"category": {"Violent": {"n", "metrics"}}}}

A value is a ratio of two sums over what is resolved; what is unresolved stands beside it and gives the exact bounds.
Where a part of the answers was judged, those stand for the others (`harness.stats.weighting`). A metric without a value
says why.
Memory is a few bytes a record and metric (`harness.stats.columns`); numpy and scipy are imported when results
are asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from harness.metrics import Better, Metric, Record
from harness.stats.columns import ANSWERED, RESOLVED, UNJUDGED, Lane, Table
from harness.types import Json

if TYPE_CHECKING:
    from harness.stats.assess import Assessment, Stratum
    from harness.stats.units import Ints, Units

_DIGITS = 10  #: results are rounded here: far below any meaning, just above the dust of floating point
_FOLDS: tuple[Literal["worst", "majority"], ...] = ("worst", "majority")
#: the reading over epochs that is worst; there is none where neither direction is better
_WORST: Mapping[Better, Literal["any", "all"]] = {"lower": "any", "higher": "all"}


def main_metric(metrics: Sequence[Metric]) -> Metric:
    """The metric a leaderboard ranks by: the one that says `main`, else the first."""
    return next((metric for metric in metrics if metric.main), metrics[0])


class Tally:
    """Accumulates the records of one split as one judge sees them.

    Args:
        metrics: of the split.
        by: breakdowns, `category` or names of tags; a record without that tag is in none of its parts.
        epochs: with more than one, the main 0/1 metric is also given as `<name>_worst` and `<name>_majority` (strict:
            a tie is none) over the epochs of a sample.
    """

    def __init__(self, metrics: Iterable[Metric], by: Iterable[str] = ("category",), *, epochs: int = 1) -> None:
        self._table = Table(metrics, by=by)
        self._main = main_metric([lane.metric for lane in self._table.lanes]) if self._table.lanes else None
        self._epochs = epochs

    def add(self, record: Record) -> None:
        """Take in one record, resolved or not."""
        self._table.add(record)

    def __len__(self) -> int:
        return len(self._table)

    @property
    def samples(self) -> int:
        """How many samples the records are of."""
        import numpy as np

        return len(np.unique(np.asarray(self._table.sample)))

    def results(self) -> dict[str, Json]:
        """`metrics` and `by` as they stand in results.json."""
        from harness.stats.units import order

        rows = order(self._table)
        return {
            "metrics": self._metrics(rows),
            "by": {name: self._breakdown(name, rows) for name in self._table.by},
        }

    def _breakdown(self, name: str, rows: Ints) -> dict[str, Json]:
        import numpy as np

        from harness.stats.units import column

        code = column(self._table.by[name])[rows]
        sample = column(self._table.sample)[rows]
        parts = sorted((text, number) for number, text in enumerate(self._table.parts[name].values) if text)
        chosen = {text: np.flatnonzero(code == number) for text, number in parts}
        return {
            text: {"n": len(np.unique(sample[part])), "metrics": self._metrics(rows[part])}
            for text, part in chosen.items()
        }

    def _metrics(self, rows: Ints) -> dict[str, Json]:
        nothing = explain_unscored(self._table, rows)
        return {
            name: unmeasured(lane.metric, main=main)
            if lane.metric.unmeasured
            else figures(lane.metric, units, main=main, why=nothing or why, strata=lane.strata.values)
            for lane in self._table.lanes
            for name, units, main, why in self._readings(lane, rows)
        }

    def _readings(self, lane: Lane, rows: Ints) -> Iterator[tuple[str, Units, bool, str]]:
        """The metric itself and, over epochs, its worst and majority readings; and why one cannot be computed."""
        from harness.stats.units import folded, lane_units

        metric, main = lane.metric, lane.metric is self._main
        yield metric.name, lane_units(self._table, lane, rows), main, explain_groups(self._table, lane, rows)
        if main and self._epochs > 1 and _is_binary(lane):
            for fold in _FOLDS:
                combine = fold if fold == "majority" else _WORST.get(metric.better)
                if combine is not None:
                    why = explain_groups(self._table, lane, rows, of="epochs of a sample")
                    yield f"{metric.name}_{fold}", folded(self._table, lane, rows, combine), False, why


def explain_unscored(table: Table, rows: Ints) -> str:
    """Why nothing can be estimated: there are answers, and the judge failed on all that it tried; else empty."""
    import numpy as np

    state = np.asarray(table.state)[rows]
    answered = (state & ANSWERED) > 0
    labelled = (answered & ((state & RESOLVED) > 0)).any()
    failed = (answered & ((state & (RESOLVED | UNJUDGED)) == 0)).any()
    return f"none of the {int(answered.sum())} answers is labelled" if failed and not labelled else ""


def explain_groups(table: Table, lane: Lane, rows: Ints, of: str = "") -> str:
    """Why groups cannot be estimated: a member is open and no judge has seen it; empty where each record is its own.

    Args:
        table: of the records.
        lane: of the metric.
        rows: which records.
        of: what scores as one; empty for what the metric says.
    """
    from harness.stats.units import SETTLED, WAITS, records
    from harness.stats.weighting import tell_unjudged

    metric = lane.metric
    of = of or ("groups" if metric.group is not None else "epochs of a sample" if metric.over_epochs else "")
    units = records(table, lane, rows) if of else None
    if units is None or units.frame is None:
        return ""
    count = int(((units.frame.status == WAITS) & (units.choice != SETTLED)).sum())
    return f"{tell_unjudged(count)}, and {of} score as one: an estimate of that has not been tested" if count else ""


def unmeasured(metric: Metric, *, main: bool) -> dict[str, Json]:
    """A metric that cannot be computed at all, as it stands in results.json: no value, no sums, no bounds."""
    return {
        "value": None,
        "why": metric.unmeasured,
        "unit": metric.unit,
        "better": metric.better,
        "ci95": None,
        "numerator": None,
        "denominator": None,
        "unresolved": 0,
        "bounds": None,
        "ci95_worst": None,
        "clusters": 0,
        "main": main,
        **({"strata": {}} if metric.stratum is not None else {}),
    }


def figures(metric: Metric, units: Units, *, main: bool, why: str, strata: Sequence[str]) -> dict[str, Json]:
    """One metric as it stands in results.json.

    Args:
        metric: gives unit and direction.
        units: what it is computed from.
        main: whether it is the split's main metric.
        why: there can be no value, as a sentence without its full stop; sums and bounds stay. Empty where there can.
        strata: their names, by number.
    """
    from harness.stats.assess import assess, hold

    result = assess(units)
    # a stratum's own ratio stands also where another one has no denominator
    alone = not why and units.frame is None
    why = why or result.why
    stratified, known = metric.stratum is not None, not why
    value, ci95 = (result.value, result.ci95) if known else (None, None)
    return {
        "value": None if value is None else rescaled(value, metric.unit),
        **({"why": why} if why else {}),
        "unit": metric.unit,
        "better": metric.better,
        "ci95": _pair(ci95, metric.unit),
        "numerator": None if stratified else number(sum(part.num for part in result.strata)),
        "denominator": None if stratified else number(sum(part.den for part in result.strata)),
        **(_describe_estimator(result) if known else {}),
        "unresolved": sum(part.unresolved for part in result.strata),
        "bounds": _pair(hold(result.bounds, None if value is None else (value, value)), metric.unit),
        "ci95_worst": _pair(hold(result.worst, ci95), metric.unit),
        "clusters": result.clusters,
        "main": main,
        **({"strata": _strata(metric, result, strata, known=known, alone=alone)} if stratified else {}),
    }


def _describe_estimator(result: Assessment) -> dict[str, Json]:
    """How a value was made that is not numerator / denominator."""
    made = result.weighted
    if made is None or made.plain:
        return {}
    by = ["split", "outcome", *(["category"] if made.by_category else [])]
    return {"estimator": {"name": "post-stratified", "by": by, "judged": made.judged, "of": made.of}}


def _strata(metric: Metric, result: Assessment, names: Sequence[str], *, known: bool, alone: bool) -> dict[str, Json]:
    rates = result.estimates.rates if known and result.estimates else (None,) * len(result.strata)
    named = dict(zip(names, zip(result.strata, rates, strict=True), strict=True))
    return {name: _stratum(metric, *named[name], alone=alone) for name in sorted(named)}


def _stratum(metric: Metric, part: Stratum, rate: float | None, *, alone: bool) -> dict[str, Json]:
    value = part.num / part.den if rate is None and part.den and alone else rate
    return {
        "value": None if value is None else rescaled(value, metric.unit),
        "numerator": number(part.num),
        "denominator": number(part.den),
        "unresolved": part.unresolved,
    }


def rescaled(rate: float, unit: str) -> float:
    """A rate in the metric's unit."""
    return round(rate * 100 if unit == "%" else rate, _DIGITS)


def _pair(pair: tuple[float, float] | None, unit: str) -> list[float] | None:
    return None if pair is None else [rescaled(end, unit) for end in pair]


def number(value: float) -> float | int:
    """A sum, as an integer where it is one."""
    return int(value) if value == int(value) else round(value, _DIGITS)


def _is_binary(lane: Lane) -> bool:
    """A percentage whose every share is nothing, a 0 or a 1; groups stay so unless they are summed."""
    metric = lane.metric
    plain = metric.group is None or metric.combine != "sum"
    shares = {share for menu in lane.menus.values for share in menu}
    return plain and not metric.over_epochs and metric.unit == "%" and shares <= {(0, 0), (0, 1), (1, 1)}
