"""Metric and Record: values only. The arithmetic is in `harness.stats`.

A metric is a ratio of two sums. `score` gives one record's numerator and denominator, (0, 0) when it does not count;
`possible` gives what an unresolved record could still have given. Intervals, exact bounds, pairing, macro averages
and breakdowns follow from these two and are written once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Literal, TypeGuard, cast

from harness.types import BLOCKED, Json, Outcome

Share = tuple[float, float]  #: numerator, denominator
Better = Literal["lower", "higher", "neither"]  #: which direction is good; a rate that describes has none
NOT_COUNTED: Share = (0.0, 0.0)
MIN_COVERAGE = 0.98  #: share of records that must be resolved, unless a run says otherwise


def is_share(given: object) -> TypeGuard[Share]:
    """Whether a value is two finite numbers; the metric of a plugin may give anything."""
    return (
        isinstance(given, tuple)
        and len(cast("tuple[object, ...]", given)) == 2
        and all(isinstance(each, int | float) and isfinite(each) for each in cast("tuple[object, ...]", given))
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What metrics see of one asked item.

    Attributes:
        item: task, split, sample id and epoch in one text.
        id: sample id.
        split: split of the sample.
        epoch: 0-based repetition.
        category: the task's category.
        tags: the task's tags.
        cluster: the unit that is resampled together; never empty.
        target: the task's target.
        outcome: how generation ended.
        flags: the response's flags.
        label: the label of the verdict, or the split's `blocked_as` or `empty_as`; None if unresolved.
        axes: the axes of the same verdict.
        unjudged: answered, but not seen by the judge; False if the judge saw it and gave no label.
    """

    item: str
    id: str
    split: str
    epoch: int = 0
    category: str = ""
    tags: Mapping[str, str] = field(default_factory=dict[str, str])
    cluster: str
    target: Json = None
    outcome: Outcome
    flags: frozenset[str] = frozenset()
    label: str | None = None
    axes: Mapping[str, str | float | bool] = field(default_factory=dict[str, str | float | bool])
    unjudged: bool = False

    @property
    def resolved(self) -> bool:
        """Scored, blocked or empty; everything else is outside the denominator and widens the bounds."""
        return self.label is not None

    @property
    def blocked(self) -> bool:
        """The provider's filter stopped the prompt or the answer."""
        return self.outcome in BLOCKED


def either(_: Record) -> tuple[Share, ...]:
    """The default of `Metric.possible`: the record counts, as a 0 or as a 1."""
    return ((0.0, 1.0), (1.0, 1.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A ratio of two sums over records.

    Attributes:
        name: as in results.json.
        score: numerator and denominator of one resolved record; (0, 0) is "not counted".
        possible: all that `score` could have given for an unresolved record.
        group: records with the same key score as one; None means each by itself.
        combine: how a group's shares become one: their sum, or 0/1 by all, any or the majority of members.
        cluster: what is resampled; None means the record's own cluster.
        stratum: the value is the equal-weight mean over strata; None means one pool.
        harmonic: this many strata in a row, in the order of `strata`, are first combined by their harmonic mean, which
            is near the smallest and 0 if one is 0; the value is the mean of these. 1 combines none.
        better: which direction is good; with `neither`, no report marks or ranks it.
        unit: "%" (0 to 100) or "0-1".
        main: the number a leaderboard ranks by.
        over_epochs: groups span the epochs of a sample.
        strata: names of all strata; an empty stratum makes the metric null.
        labels: the labels that `score` looks for; () if it looks at none, such as a share of blocks. None means
            unknown: then labels are checked only afterwards, by what counted.
        description: one sentence for readers of a report: what is counted, of what.
        unmeasured: set by the harness: why it has no value with this judge; else empty.
    """

    name: str
    score: Callable[[Record], Share]
    possible: Callable[[Record], tuple[Share, ...]] = either
    group: Callable[[Record], str] | None = None
    combine: Literal["sum", "all", "any", "majority"] = "sum"
    cluster: Callable[[Record], str] | None = None
    stratum: Callable[[Record], str] | None = None
    strata: tuple[str, ...] = ()
    harmonic: int = 1
    better: Better
    unit: Literal["%", "0-1"] = "%"
    main: bool = False
    over_epochs: bool = False
    labels: tuple[str, ...] | None = None
    description: str = ""
    unmeasured: str = ""


def rate(
    name: str,
    *labels: str,
    better: Better,
    main: bool = False,
    description: str = "",
    only: tuple[str, str] | None = None,
    stratum: Callable[[Record], str] | None = None,
    strata: tuple[str, ...] = (),
) -> Metric:
    """Share of resolved records whose label is one of `labels`, in percent. Raises ValueError without labels.

    Args:
        name: as in results.json.
        labels: that count.
        better: which direction is good.
        main: whether a leaderboard ranks by it.
        description: one sentence for readers of a report.
        only: a tag and its value; records with another value do not count.
        stratum: makes it the mean of the strata's shares, each counting alike; see `Metric`.
        strata: names that `stratum` must give.
    """
    if not labels:
        raise ValueError(f"rate({name!r}) looks for no label: name at least one")
    wanted = frozenset(labels)

    def counts(record: Record) -> bool:
        return only is None or record.tags[only[0]] == only[1]

    return Metric(
        name=name,
        score=lambda r: (float(r.label in wanted), 1.0) if counts(r) else NOT_COUNTED,
        possible=either if only is None else lambda r: either(r) if counts(r) else (NOT_COUNTED,),
        stratum=stratum,
        strata=strata,
        better=better,
        main=main,
        labels=labels,
        description=description or f"Share of the records with the label {' or '.join(labels)}.",
    )


def mean_rate(
    name: str,
    tag: str,
    labels: Mapping[str, tuple[str, ...]],
    *,
    better: Better,
    main: bool = False,
    description: str = "",
    harmonic: int = 1,
) -> Metric:
    """Mean of the shares of right answers, one share for each value of a tag: safe and unsafe questions, each in half.

    Args:
        name: as in results.json.
        tag: that tells the halves apart.
        labels: value of the tag -> the labels that count there.
        better: which direction is good.
        main: whether a leaderboard ranks by it.
        description: one sentence for readers of a report.
        harmonic: 2 for the harmonic mean of two shares, which is near the smaller one.
    """
    return Metric(
        name=name,
        score=lambda record: (float(record.label in labels[record.tags[tag]]), 1.0),
        stratum=lambda record: record.tags[tag],
        strata=tuple(labels),
        harmonic=harmonic,
        better=better,
        main=main,
        labels=tuple(dict.fromkeys(label for wanted in labels.values() for label in wanted)),
        description=description,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairing:
    """Two sides of one task whose records are compared pair by pair, such as MIS `real` against its synthetic twins.

    Attributes:
        name: key under `paired` in results.json.
        left: split whose records are the pairs.
        right: splits that hold their twins; a left record is compared with the mean of its twins.
        key: equal for twins.
        metric: name of the metric that is compared.
    """

    name: str
    left: str
    right: tuple[str, ...]
    key: Callable[[Record], str]
    metric: str
