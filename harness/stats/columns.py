"""Stores of each record only what the arithmetic needs, as columns of numbers, and drops the record.

A split of 100,000 records and six metrics takes a few megabytes: texts that only have to be told apart (sample,
cluster, group) become 64-bit fingerprints, and a record's shares become the number of an entry in a short list, since
most metrics know only a handful of them. Fingerprints depend neither on the process nor on the order of records, so
neither do results: `harness.stats.units` sorts by them. This module does not import numpy, since a run fills tables
from its start.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import lru_cache
from hashlib import blake2b
from typing import Generic, TypeVar

from harness.metrics import Metric, Record, Share, is_share

Choices = tuple[Share, ...]  #: the shares that one record may have given; a resolved record has one
T = TypeVar("T")

RESOLVED = 1
ANSWERED = 2
BLOCKED = 4
UNJUDGED = 8


@lru_cache(maxsize=256)  # several judges see the same record one after the other
def fingerprint(text: str) -> int:
    """64 bits that stand for a text; equal on every machine."""
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big", signed=True)


def cluster_name(record: Record) -> str:
    """The record's cluster; where that is the sample itself, with the split, so that equal ids of two splits differ."""
    return record.cluster if record.cluster not in ("", record.id) else f"{record.split}/{record.id}"


class Codes(Generic[T]):
    """Numbers values in the order they first come."""

    def __init__(self, values: Iterable[T] = ()) -> None:
        self._codes = {value: code for code, value in enumerate(values)}

    def code(self, value: T) -> int:
        """The value's number; a new value gets the next one."""
        code = self._codes.get(value)
        if code is None:
            code = self._codes[value] = len(self._codes)
        return code

    def find(self, value: T) -> int | None:
        """The number of a value that has one; None for a new value, or one without a hash."""
        try:
            return self._codes.get(value)
        except TypeError:
            return None

    @property
    def values(self) -> list[T]:
        """All values, by their number."""
        return list(self._codes)

    def __contains__(self, value: T) -> bool:
        return value in self._codes

    def __len__(self) -> int:
        return len(self._codes)


class MetricColumns:
    """What one metric gives for each record."""

    def __init__(self, metric: Metric) -> None:
        self.metric = metric
        self.choices: Codes[Choices] = Codes()
        self.choice = array("I")  #: number of the record's choices
        self.group = array("q")  #: fingerprint of the group, where the metric has one
        self.cluster = array("q")  #: fingerprint of the cluster, where the metric has its own
        self.stratum = array("I")  #: number of the stratum, where the metric is stratified
        self.strata: Codes[str] = Codes(metric.strata)
        self.varies = False  #: a judged answer has a denominator that `possible` did not announce

    def add(self, record: Record) -> None:
        """Take in one record.

        Raises ValueError or TypeError where a share is not 0 <= numerator <= denominator, or a key is no text.
        """
        metric, resolved = self.metric, record.label is not None
        choices = (metric.score(record),) if resolved else tuple(metric.possible(record))
        code = self.choices.find(choices)
        if code is None:
            if not (choices and all(is_share(share) and 0 <= share[0] <= share[1] for share in choices)):
                raise ValueError(
                    f"metric {metric.name} gave {choices!r:.200} for {record.item}: need 0 <= numerator <= denominator"
                )
            code = self.choices.code(choices)
        if resolved and choices[0][1] != 1 and not self.varies and record.outcome == "answered":
            self.varies = _is_unannounced(choices[0][1], metric, record)
        self.choice.append(code)
        if metric.group is not None:
            self.group.append(fingerprint(_check_text(metric.group(record), "group", metric, record)))
        if metric.cluster is not None:
            self.cluster.append(fingerprint(_check_text(metric.cluster(record), "cluster", metric, record)))
        if metric.stratum is not None:
            self.stratum.append(self.strata.code(_check_text(metric.stratum(record), "stratum", metric, record)))


class Table:
    """The records of one split as one judge sees them.

    Args:
        metrics: the metrics to score the records by.
        by: `category` or names of tags; a record without that tag is in none of its parts.
        key: what pairs are matched by, where the table is one side of a comparison.
    """

    def __init__(
        self, metrics: Iterable[Metric], *, by: Iterable[str] = (), key: Callable[[Record], str] | None = None
    ) -> None:
        self.metrics = [MetricColumns(metric) for metric in metrics]
        self.by: dict[str, array[int]] = {name: array("I") for name in by}
        self.parts: dict[str, Codes[str]] = {name: Codes(("",)) for name in self.by}
        self.state = array("B")
        self.places: Codes[tuple[str, str]] = Codes()
        self.place = array("I")  #: number of the record's split and category
        self.epoch = array("I")
        self.sample = array("q")
        self.cluster = array("q")
        self.key = array("q")
        self._key = key

    def __len__(self) -> int:
        return len(self.state)

    def add(self, record: Record) -> None:
        """Take in one record; what a metric raises names the metric and the record."""
        for columns in self.metrics:
            try:
                columns.add(record)
            except Exception as error:
                error.add_note(f"in metric {columns.metric.name} of {record.item}")
                raise
        state = 0 if record.label is None else RESOLVED
        if record.outcome == "answered":
            state += ANSWERED
        elif record.blocked:
            state += BLOCKED
        self.state.append(state + UNJUDGED if record.unjudged else state)
        self.place.append(self.places.code((record.split, record.category)))
        self.epoch.append(record.epoch)
        name, cluster = f"{record.split}/{record.id}", cluster_name(record)
        sample = fingerprint(name)
        self.sample.append(sample)
        self.cluster.append(sample if cluster == name else fingerprint(cluster))
        for name, column in self.by.items():
            column.append(self.parts[name].code(record.category if name == "category" else record.tags.get(name, "")))
        if self._key is not None:
            self.key.append(fingerprint(self._key(record)))


def _is_unannounced(denominator: float, metric: Metric, record: Record) -> bool:
    """Whether `possible` gave no share of this denominator before the judge saw the answer."""
    try:
        choices = metric.possible(replace(record, label=None, axes={}, unjudged=True))
    except Exception:  # noqa: BLE001 - what it raises is reported where a record is unresolved
        return False
    return all(den != denominator for _, den in choices)


def _check_text(key: object, what: str, metric: Metric, record: Record) -> str:
    if not isinstance(key, str):
        raise TypeError(f"metric {metric.name} gave {key!r:.100} as the {what} of {record.item}, not a text")
    return key
