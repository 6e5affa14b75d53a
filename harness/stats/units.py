"""From records to units: a unit is what scores as one, a record or a group of records.

The arithmetic works on units alone. A unit is settled (one share), open (one of several shares), or left out of the
point estimate although its share is known (its twin in a pair is open).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from harness.metrics import Share
from harness.stats.columns import ANSWERED, BLOCKED, RESOLVED, UNJUDGED, Choices, Codes, MetricColumns, Table

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Combine = Literal["sum", "all", "any", "majority"]

SETTLED = -1
#: state of a unit: never to be judged, needs no judge, labelled, the judge failed on it, no judge has seen it
OUT, KNOWN, JUDGED, FAILED, WAITS = -1, 0, 1, 2, 3
KINDS = 3  #: how a generation ended: answered, blocked, neither


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingFrame:
    """The units that the judged ones are a sample of; used only where some are not judged.

    Attributes:
        status: OUT, KNOWN, JUDGED, FAILED or WAITS.
        cell: number of the unit's split and how its generation ended; of a pair, how both ended.
        category: number of its category.
        names: what is judged in each cell, such as `answers of hard`.
        opens: whether a unit leaves its cell open: it is not judged and may give several shares; of a pair, whether one
            half does so and the other is judged or does so too.
        varies: a judged unit has a denominator that its metric did not announce before the judgement.
    """

    status: Ints
    cell: Ints
    category: Ints
    names: tuple[str, ...]
    opens: Bools
    varies: bool = False

    def pick(self, rows: NDArray[Any]) -> SamplingFrame:
        """Of some of the units, by mask or index."""
        names = ("status", "cell", "category", "opens")
        return replace(self, **{name: getattr(self, name)[rows] for name in names})


@dataclass(frozen=True, slots=True, kw_only=True)
class Units:
    """Units as parallel arrays.

    Attributes:
        num: numerator of each settled unit, 0 for an open one.
        den: its denominator.
        choice: index into `choices` of an open unit, SETTLED otherwise.
        left_out: outside the point estimate; every open unit is.
        cluster: any number that is equal within a cluster.
        stratum: 0-based.
        strata: how many strata there are.
        choices: the shares that open units may take.
        frame: where some units are not judged and each is one record or pair; else None.
        block: so many strata in a row count as one, by the harmonic mean of their ratios; 1: each by itself.
    """

    num: Floats
    den: Floats
    choice: Ints
    left_out: Bools
    cluster: Ints
    stratum: Ints
    strata: int
    choices: tuple[Choices, ...]
    frame: SamplingFrame | None = None
    block: int = 1

    def __len__(self) -> int:
        return len(self.num)

    def pick(self, rows: NDArray[Any]) -> Units:
        """Some of the units, by mask or index."""
        names = ("num", "den", "choice", "left_out", "cluster", "stratum")
        frame = None if self.frame is None else self.frame.pick(rows)
        return replace(self, frame=frame, **{name: getattr(self, name)[rows] for name in names})


def as_ints(values: Any) -> Ints:
    """A column of integers as an array."""
    return np.asarray(values).astype(np.int64)


def count_distinct(values: Ints) -> int:
    """How many values there are. numpy's `unique` hashes, which takes four times as long for a million of them."""
    ordered = np.sort(values)
    return int(np.count_nonzero(ordered[1:] != ordered[:-1])) + 1 if len(ordered) else 0


def sum_by(where: Ints, values: NDArray[Any], length: int) -> Floats:
    """Values added up by index."""
    return np.bincount(where, weights=values, minlength=length).astype(np.float64)


def sort_rows(table: Table) -> Ints:
    """Rows in an order that does not depend on how they arrived: by cluster, sample and epoch."""
    return np.lexsort((as_ints(table.epoch), as_ints(table.sample), as_ints(table.cluster)))


def explain_unscored(table: Table, rows: Ints) -> str:
    """Why nothing can be estimated: the judge failed on all answers that it tried; empty where it did not."""
    state = np.asarray(table.state)[rows]
    answered = (state & ANSWERED) > 0
    labelled = (answered & ((state & RESOLVED) > 0)).any()
    failed = (answered & ((state & (RESOLVED | UNJUDGED)) == 0)).any()
    return f"none of the {int(answered.sum())} answers is labelled" if failed and not labelled else ""


def explain_groups(table: Table, columns: MetricColumns, rows: Ints, of: str = "") -> str:
    """Why groups cannot be estimated: a member is open and no judge has seen it; empty where they can.

    Args:
        table: of the records.
        columns: of the metric.
        rows: which records.
        of: what scores as one; by default what the metric says.
    """
    metric = columns.metric
    of = of or ("groups" if metric.group is not None else "epochs of a sample" if metric.over_epochs else "")
    units = record_units(table, columns, rows) if of else None
    if units is None or units.frame is None:
        return ""
    count = int(((units.frame.status == WAITS) & (units.choice != SETTLED)).sum())
    return f"{format_unjudged(count)}, and {of} score as one: an estimate of that has not been tested" if count else ""


def format_unjudged(count: int) -> str:
    """The number of answers that no judge has seen, as the beginning of a sentence."""
    return "1 answer is not judged" if count == 1 else f"{count} answers are not judged"


def record_units(table: Table, columns: MetricColumns, rows: Ints, *, framed: bool = False) -> Units:
    """One unit per record.

    Args:
        table: of the records.
        columns: of the metric.
        rows: which records.
        framed: add a frame also where all are judged.
    """
    choices = columns.choices.values
    first = np.array([shares[0] for shares in choices], dtype=np.float64).reshape(-1, 2)
    code = as_ints(columns.choice)[rows]
    state = np.asarray(table.state)[rows]
    settled, waits = (state & RESOLVED) > 0, (state & UNJUDGED) > 0
    # A record that cannot count, whatever its label, leaves nothing open: neither itself nor its group or pair.
    settled |= np.array([all(den <= 0 for _, den in shares) for shares in choices], dtype=bool)[code]
    framed = framed or bool(waits.any())
    if framed:  # what an answer can give in one way only needs no judge
        settled |= waits & np.array([len(shares) == 1 for shares in choices], dtype=bool)[code]
    share = np.where(settled[:, None], first[code], 0.0)
    metric = columns.metric
    strata = len(columns.strata) if metric.stratum is not None else 1
    if strata % metric.harmonic:
        what = f"metric {metric.name} takes the harmonic mean of {metric.harmonic} strata in a row"
        raise ValueError(f"{what}, and its records have {', '.join(columns.strata.values) or 'none'}")
    return Units(
        num=share[:, 0],
        den=share[:, 1],
        choice=np.where(settled, SETTLED, code),
        left_out=~settled,
        cluster=as_ints(columns.cluster or table.cluster)[rows],
        stratum=as_ints(columns.stratum)[rows] if columns.stratum else np.zeros(len(rows), dtype=np.int64),
        strata=strata,
        choices=tuple(choices),
        frame=_build_frame(table, rows, waits & ~settled, varies=columns.varies) if framed else None,
        block=metric.harmonic,
    )


def _build_frame(table: Table, rows: Ints, opens: Bools, *, varies: bool) -> SamplingFrame:
    state = as_ints(table.state)[rows]
    answered, resolved, waits = ((state & bit) > 0 for bit in (ANSWERED, RESOLVED, UNJUDGED))
    status = np.select([waits, answered & resolved, answered, resolved], [WAITS, JUDGED, FAILED, KNOWN], OUT)
    kind = np.select([answered, (state & BLOCKED) > 0], [0, 1], 2)
    places, place = table.places.values, as_ints(table.place)[rows]
    splits, categories = (Codes(dict.fromkeys(each[side] for each in places)) for side in (0, 1))
    numbers = np.array([[splits.code(split), categories.code(category)] for split, category in places]).reshape(-1, 2)
    names = [f"answers of {split}" if len(splits) > 1 else "answers" for split in splits.values for _ in range(KINDS)]
    return SamplingFrame(
        status=status.astype(np.int64),
        cell=numbers[place, 0] * KINDS + kind,
        category=numbers[place, 1],
        names=tuple(names),
        opens=opens,
        varies=varies,
    )


def metric_units(table: Table, columns: MetricColumns, rows: Ints, *, framed: bool = False) -> Units:
    """The metric's units: its groups, each within one epoch unless the metric says otherwise."""
    units, key = record_units(table, columns, rows, framed=framed), unit_key(table, columns, rows)
    return units if key is None else combine_units(units, key, columns.metric.combine)


def fold_epochs(table: Table, columns: MetricColumns, rows: Ints, combine: Combine) -> Units:
    """The metric's units of all epochs of one sample or group made one by `combine`."""
    by_epoch = _epoch_key(table, columns, rows)
    first, _ = group_rows(by_epoch)
    each = combine_units(record_units(table, columns, rows), by_epoch, columns.metric.combine)
    return combine_units(each, group_key(table, columns, rows)[first], combine)


def unit_key(table: Table, columns: MetricColumns, rows: Ints) -> Ints | None:
    """A number for each record's unit; None where each record is its own."""
    if columns.metric.over_epochs:
        return group_key(table, columns, rows)
    return None if columns.metric.group is None else _epoch_key(table, columns, rows)


def group_key(table: Table, columns: MetricColumns, rows: Ints) -> Ints:
    """Fingerprint of each record's group; of its sample where the metric has no groups."""
    return as_ints(columns.group or table.sample)[rows]


def _epoch_key(table: Table, columns: MetricColumns, rows: Ints) -> Ints:
    _, group = group_rows(group_key(table, columns, rows))
    epoch = as_ints(table.epoch)[rows]
    return group * (int(epoch.max(initial=0)) + 1) + epoch


def group_rows(key: Ints) -> tuple[Ints, Ints]:
    """Index of each group's first row, groups in the order of their keys, and each row's group."""
    _, first, group = np.unique(key, return_index=True, return_inverse=True)
    return first.astype(np.int64), group.astype(np.int64)


def combine_units(units: Units, key: Ints, how: Combine) -> Units:
    """Units with equal keys made one; cluster and stratum are the first one's."""
    first, group = group_rows(key)
    if how == "sum":
        num, den = units.num, units.den
    else:  # whether a unit is a hit, and whether it counts
        counts = (units.choice == SETTLED) & (units.den > 0)
        num, den = (counts & (2 * units.num > units.den)).astype(np.float64), counts.astype(np.float64)
    known = np.stack([sum_by(group, side, len(first)) for side in (num, den)], axis=1)
    share = _combine_sums(known, how)
    choices: Codes[Choices] = Codes()
    choice = np.full(len(first), SETTLED, dtype=np.int64)
    rows = np.flatnonzero(units.choice != SETTLED)
    rows = rows[np.argsort(group[rows], kind="stable")]
    starts = np.flatnonzero(np.diff(group[rows], prepend=-1))
    for members in np.split(rows, starts[1:]) if len(rows) else ():
        at = int(group[members[0]])
        # all sums that the group can reach from what is known and what its open members may take
        reached: set[Share] = {(float(known[at, 0]), float(known[at, 1]))}
        for shares in (units.choices[int(units.choice[member])] for member in members):
            if how != "sum":
                shares = tuple((0.0, 0.0) if b <= 0 else (float(2 * a > b), 1.0) for a, b in shares)
            reached = {(a + c, b + d) for a, b in reached for c, d in set(shares)}
        sums = _combine_sums(np.array(sorted(reached), dtype=np.float64), how)
        choice[at] = choices.code(tuple(sorted({(float(num), float(den)) for num, den in sums})))
    is_open = choice != SETTLED
    share[is_open] = 0.0
    return replace(
        units.pick(first),
        num=share[:, 0],
        den=share[:, 1],
        choice=choice,
        left_out=sum_by(group, units.left_out, len(first)) > 0,
        choices=tuple(choices.values),
        frame=None,
    )


def _combine_sums(sums: Floats, how: Combine) -> Floats:
    """Each group's share from its sums: of its shares, or of hits and of what counts."""
    if how == "sum":
        return sums.copy()
    hits, counted = sums[:, 0], sums[:, 1]
    yes = {"all": hits == counted, "any": hits > 0, "majority": 2 * hits > counted}[how]
    some = counted > 0
    return np.stack((yes & some, some), axis=1).astype(np.float64)
