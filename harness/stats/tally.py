"""The arithmetic of metrics: records go in one by one, the figures of results.json come out.

    tally = Tally(split.metrics, split.by)
    for record in records:
        tally.add(record)
    tally.results()     # {"metrics": {"ASR": {"value": ..., ...}}, "by": {"category": {"Violent": {"n", "metrics"}}}}

A value is a ratio of two sums over what is resolved; what is unresolved is counted next to it and gives the exact
bounds. Where a part of the answers was judged, those stand for the others (`harness.stats.assess`). A metric without a
value says why. Memory is a few bytes a record and metric (`harness.stats.columns`); numpy and scipy are imported when
results are asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Literal

from harness.metrics import Better, Metric, Record
from harness.stats.columns import MetricColumns, Table
from harness.types import Json

if TYPE_CHECKING:
    from harness.stats.units import Ints, Units

_DIGITS = 10  #: results are rounded here: far below any meaning, just above the rounding of floating point
FOLDS: tuple[Literal["worst", "majority"], ...] = ("worst", "majority")
#: the reading over epochs that is worst; there is none where neither direction is better
WORST: Mapping[Better, Literal["any", "all"]] = {"lower": "any", "higher": "all"}


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

    Attributes:
        table: what is kept of the records.
    """

    def __init__(self, metrics: Iterable[Metric], by: Iterable[str] = ("category",), *, epochs: int = 1) -> None:
        self.table = Table(metrics, by=by)
        self._main = main_metric([each.metric for each in self.table.metrics]) if self.table.metrics else None
        self._epochs = epochs

    def add(self, record: Record) -> None:
        """Count one record, resolved or not."""
        self.table.add(record)

    def __len__(self) -> int:
        return len(self.table)

    @property
    def samples(self) -> int:
        """Number of samples that the records belong to."""
        from harness.stats.units import as_ints, count_distinct

        return count_distinct(as_ints(self.table.sample))

    def results(self, *, not_random: str = "") -> dict[str, Json]:
        """`metrics` and `by` of results.json.

        Args:
            not_random: why the judged answers cannot stand for the others, a sentence without its full stop.
        """
        import numpy as np

        from harness.stats.units import as_ints, count_distinct, sort_rows

        table, rows = self.table, sort_rows(self.table)
        sample = as_ints(table.sample)[rows]
        breakdowns: dict[str, Json] = {}
        for name, column in table.by.items():
            code, groups = as_ints(column)[rows], dict[str, Json]()
            for group, number in sorted((text, number) for number, text in enumerate(table.parts[name].values) if text):
                part = np.flatnonzero(code == number)
                groups[group] = {"n": count_distinct(sample[part]), "metrics": self._metrics(rows[part], not_random)}
            breakdowns[name] = groups
        return {"metrics": self._metrics(rows, not_random), "by": breakdowns}

    def _metrics(self, rows: Ints, not_random: str) -> dict[str, Json]:
        from harness.stats.units import SETTLED, explain_unscored

        unscored, found = explain_unscored(self.table, rows), dict[str, Json]()
        for columns in self.table.metrics:
            for name, units, main, why in self._readings(columns, rows):
                is_open = bool(not_random) and bool((units.choice != SETTLED).any())
                reason = unscored or why or (not_random if is_open else "")
                found[name] = metric_json(columns.metric, units, main=main, why=reason, strata=columns.strata.values)
        return found

    def _readings(self, columns: MetricColumns, rows: Ints) -> Iterator[tuple[str, Units, bool, str]]:
        """The metric itself and, over epochs, its worst and majority readings; and why one cannot be computed."""
        from harness.stats.units import explain_groups, fold_epochs, metric_units

        table, metric = self.table, columns.metric
        main = metric is self._main
        yield metric.name, metric_units(table, columns, rows), main, explain_groups(table, columns, rows)
        # only a percentage whose every share is nothing, a 0 or a 1; groups stay so unless they are summed
        shares = {share for choices in columns.choices.values for share in choices}
        is_binary = metric.unit == "%" and shares <= {(0, 0), (0, 1), (1, 1)} and not metric.over_epochs
        if main and self._epochs > 1 and is_binary and (metric.group is None or metric.combine != "sum"):
            for fold in FOLDS:
                combine = fold if fold == "majority" else WORST.get(metric.better)
                if combine is not None:
                    why = explain_groups(table, columns, rows, of="epochs of a sample")
                    yield f"{metric.name}_{fold}", fold_epochs(table, columns, rows, combine), False, why


def metric_json(metric: Metric, units: Units, *, main: bool, why: str, strata: Sequence[str]) -> dict[str, Json]:
    """One metric of results.json.

    Args:
        metric: gives unit and direction.
        units: what it is computed from.
        main: whether it is the split's main metric.
        why: reason for having no value, a sentence without its full stop; sums and bounds stay. Empty for none.
        strata: their names, by number.
    """
    stratified = metric.stratum is not None
    about = {"unit": metric.unit, "better": metric.better}
    if metric.unmeasured:  # it cannot be computed at all: no sums and no bounds either
        return {
            "value": None,
            "why": metric.unmeasured,
            **about,
            **dict.fromkeys(("ci95", "numerator", "denominator")),
            "unresolved": 0,
            **dict.fromkeys(("bounds", "ci95_worst")),
            "clusters": 0,
            "main": main,
            **({"harmonic": metric.harmonic} if stratified and metric.harmonic > 1 else {}),
            **({"strata": {}} if stratified else {}),
        }
    from harness.stats.assess import assess, widen_to_hold

    result = assess(units)
    # a stratum's own ratio is a value also where another stratum has no denominator
    alone = not why and units.frame is None
    why = why or result.why
    value, ci95 = (None, None) if why else (result.value, result.ci95)
    estimator: dict[str, Json] = {}
    if not why and result.weighted is not None and not result.weighted.plain:
        by = ["split", "outcome", *(["category"] if result.weighted.by_category else [])]
        numbers = {"judged": result.weighted.judged, "of": result.weighted.of}
        estimator = {"estimator": {"name": "post-stratified", "by": by, **numbers}}
    by_stratum: dict[str, Json] = {}
    rates = result.estimates.rates if not why and result.estimates else (None,) * len(result.strata)
    for name, part, rate in (
        sorted(zip(strata, result.strata, rates, strict=True), key=itemgetter(0)) if stratified else ()
    ):
        ratio = part.num / part.den if rate is None and part.den and alone else rate
        by_stratum[name] = {
            "value": None if ratio is None else to_unit(ratio, metric.unit),
            "numerator": plain_number(part.num),
            "denominator": plain_number(part.den),
            "unresolved": part.unresolved,
        }

    def in_unit(pair: tuple[float, float] | None) -> list[float] | None:
        return None if pair is None else [to_unit(end, metric.unit) for end in pair]

    return {
        "value": None if value is None else to_unit(value, metric.unit),
        **({"why": why} if why else {}),
        **about,
        "ci95": in_unit(ci95),
        "numerator": None if stratified else plain_number(sum(part.num for part in result.strata)),
        "denominator": None if stratified else plain_number(sum(part.den for part in result.strata)),
        **estimator,
        "unresolved": sum(part.unresolved for part in result.strata),
        "bounds": in_unit(widen_to_hold(result.bounds, None if value is None else (value, value))),
        "ci95_worst": in_unit(widen_to_hold(result.worst, ci95)),
        "clusters": result.clusters,
        "main": main,
        **({"harmonic": metric.harmonic} if stratified and metric.harmonic > 1 else {}),
        **({"strata": by_stratum} if stratified else {}),
    }


def to_unit(rate: float, unit: str) -> float:
    """A rate in the metric's unit."""
    return round(rate * 100 if unit == "%" else rate, _DIGITS)


def plain_number(value: float) -> float | int:
    """A sum, as an integer where it is one."""
    return int(value) if value == int(value) else round(value, _DIGITS)
