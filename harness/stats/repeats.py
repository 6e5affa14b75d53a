"""How much a judge's numbers move when the same judge judges the same answers again.

    repeats = RepeatTally(metrics, count=2)      # a judge and two more repeats of it
    for seen in records:                         # each record as every repeat labels it, the judge itself first
        repeats.add(seen)
    repeats.results(metrics_json)                # `repeats` of results.json; None where nothing was judged twice

A repeat that has read no answer of the split is not one of its repeats: a task's repeats share their files, its splits
need not have been judged equally often.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import sqrt
from typing import Any, Final

from harness.metrics import Metric, Record
from harness.stats.tally import Tally, main_metric, to_unit
from harness.types import Json

_DIGITS: Final = 10  #: as all results


class RepeatTally:
    """Accumulates the records of one split as each repeat of one judge labels them.

    Args:
        metrics: of the split, as the judge measures them; the main one is computed for each repeat.
        count: number of repeats besides the judge itself.
    """

    def __init__(self, metrics: Sequence[Metric], count: int) -> None:
        self._main = main_metric(metrics) if metrics else None
        self._tallies = [Tally([] if self._main is None else [self._main], ()) for _ in range(count)]
        self._unscored = [0] * (count + 1)
        self._unjudged = [0] * (count + 1)
        self._read = [0] * (count + 1)
        # of the answers that the first n repeats have labelled: how many, and with how many labels they agree
        self._labelled = [0] * (count + 1)
        self._same = [0] * (count + 1)
        # of the main metric, where it is a share of records: their number, and how often the first n repeats differ
        main = self._main
        self._is_share = main is not None and main.group is None and main.stratum is None and not main.over_epochs
        self._records = 0
        self._variance = [0.0] * (count + 1)

    def add(self, seen: Sequence[Record]) -> None:
        """Count one record, as the judge itself and then each other repeat labels it."""
        for tally, record in zip(self._tallies, seen[1:], strict=True):
            tally.add(record)
        if self._is_share:
            self._add_shares(seen)
        if seen[0].outcome != "answered":
            return
        labels: set[str | None] = set()
        for number, record in enumerate(seen):
            labels.add(record.label)
            self._read[number] += not record.unjudged
            self._unjudged[number] += record.unjudged
            self._unscored[number] += not record.unjudged and record.label is None
            if None not in labels:
                self._labelled[number] += 1
                self._same[number] += len(labels) == 1

    def _add_shares(self, seen: Sequence[Record]) -> None:
        """Count how far the repeats differ on one record: the variance of its zeros and ones."""
        assert self._main is not None
        hits = 0.0
        for before, record in enumerate(seen):
            if not record.resolved:
                break
            numerator, denominator = self._main.score(record)
            if denominator != 1 or numerator not in (0, 1):
                self._is_share = False
                return
            hits += numerator
            if before:
                self._variance[before] += hits * (before + 1 - hits) / ((before + 1) * before)
        self._records += seen[0].resolved

    def results(self, metrics: Mapping[str, Any]) -> dict[str, Json] | None:
        """`repeats` of results.json; None where no answer was judged a second time.

        Args:
            metrics: of the judge itself, as in results.json.
        """
        count = 1
        while count < len(self._read) and self._read[count]:
            count += 1
        if count == 1:
            return None
        labelled, same = self._labelled[count - 1], self._same[count - 1]
        compared: dict[str, Json] = {}  # the main number of each repeat, and how far these lie apart
        if self._main is not None:
            name = self._main.name
            others = [tally.results()["metrics"] for tally in self._tallies[: count - 1]]
            bodies: list[Mapping[str, Any]] = [metrics[name], *(each[name] for each in others)]
            values = [body["value"] for body in bodies]
            why = next((body["why"] for body in bodies if body["value"] is None), "")
            if not why and len(set(self._unjudged[:count])) > 1:
                why = "the repeats have not read the same answers"
            compared[name] = {
                "values": values,
                "sd": None if why else round(_find_deviation(values), _DIGITS),
                "sd_by_answers": None if why else self._expect(count),
                "range": None if why else [min(values), max(values)],
                **({"why": why} if why else {}),
            }
        return {
            "count": count,
            "answers": labelled,
            "agree": round(same / labelled, _DIGITS) if labelled else None,
            "unscored": list(self._unscored[:count]),
            "unjudged": list(self._unjudged[:count]),
            "metrics": compared,
        }

    def _expect(self, count: int) -> float | None:
        """The standard deviation of a repeat's number that the differences on single answers lead to.

        It takes the judge to err on each answer apart. None where the metric is no share of records, or where the
        answers that were read stand for others.
        """
        if self._main is None or not self._is_share or not self._records or any(self._unjudged[:count]):
            return None
        return to_unit(sqrt(self._variance[count - 1]) / self._records, self._main.unit)


def _find_deviation(values: Sequence[float]) -> float:
    """The standard deviation of two or more values; the module `statistics` takes 10 ms to import."""
    mean = sum(values) / len(values)
    return sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))
