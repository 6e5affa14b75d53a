"""From records to units: a unit is what scores as one, a record or a group of records.

The arithmetic works on units alone. A unit is settled (one share), open (one share of a menu), or left out of the point
estimate although its share is known (its twin in a pair is open).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from harness.metrics import Share
from harness.stats.columns import ANSWERED, BLOCKED, RESOLVED, UNJUDGED, Codes, Lane, Menu, Table

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Combine = Literal["sum", "all", "any", "majority"]

SETTLED = -1
#: how far a unit is judged: it never will be, needs no judge, is labelled, the judge failed on it, no judge has seen it
OUT, KNOWN, JUDGED, FAILED, WAITS = -1, 0, 1, 2, 3
KINDS = 3  #: answered, blocked, neither


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """Of which units the judged are a part; only where some are not judged.

    Attributes:
        status: OUT, KNOWN, JUDGED, FAILED or WAITS.
        cell: number of the unit's split and how its generation ended; of a pair, how both ended.
        category: number of its category.
        names: what is judged in each cell, such as `answers of hard`.
        opens: whether a unit leaves its cell open: nobody judged it, and it may give several shares; of a pair, whether
            one half does so and the other is judged or does so too.
        varies: a judged unit has a denominator that it could not have, as its metric said before it was judged.
    """

    status: Ints
    cell: Ints
    category: Ints
    names: tuple[str, ...]
    opens: Bools
    varies: bool = False

    def pick(self, rows: NDArray[Any]) -> Frame:
        """Of some of the units, by mask or index."""
        names = ("status", "cell", "category", "opens")
        return replace(self, **{name: getattr(self, name)[rows] for name in names})


@dataclass(frozen=True, slots=True, kw_only=True)
class Units:
    """Units as parallel arrays.

    Attributes:
        num: numerator of each settled unit, 0 for an open one.
        den: its denominator.
        choice: index into `menus` of an open unit, SETTLED otherwise.
        left_out: outside the point estimate; every open unit is.
        cluster: any number that is equal within a cluster.
        stratum: 0-based.
        strata: how many strata there are.
        menus: what open units may take.
        frame: where some units are not judged and each is one record or pair; else None.
    """

    num: Floats
    den: Floats
    choice: Ints
    left_out: Bools
    cluster: Ints
    stratum: Ints
    strata: int
    menus: tuple[Menu, ...]
    frame: Frame | None = None

    def __len__(self) -> int:
        return len(self.num)

    def pick(self, rows: NDArray[Any]) -> Units:
        """Some of the units, by mask or index."""
        names = ("num", "den", "choice", "left_out", "cluster", "stratum")
        frame = None if self.frame is None else self.frame.pick(rows)
        return replace(self, frame=frame, **{name: getattr(self, name)[rows] for name in names})


def has_unjudged(table: Table) -> bool:
    """Whether no judge has seen some answer of it."""
    return bool((np.asarray(table.state) & UNJUDGED).any())


def column(values: Any) -> Ints:
    """A column of integers as an array."""
    return np.asarray(values).astype(np.int64)


def sums(where: Ints, values: NDArray[Any], length: int) -> Floats:
    """Values added up by index."""
    return np.bincount(where, weights=values, minlength=length).astype(np.float64)


def order(table: Table) -> Ints:
    """Rows in an order that does not depend on how they arrived: by cluster, sample and epoch."""
    return np.lexsort((column(table.epoch), column(table.sample), column(table.cluster)))


def records(table: Table, lane: Lane, rows: Ints, *, framed: bool = False) -> Units:
    """One unit per record.

    Args:
        table: of the records.
        lane: of the metric.
        rows: which records.
        framed: with a frame also where all are judged.
    """
    menus = lane.menus.values
    first = np.array([menu[0] for menu in menus], dtype=np.float64).reshape(-1, 2)
    code = column(lane.choice)[rows]
    state = np.asarray(table.state)[rows]
    settled, waits = (state & RESOLVED) > 0, (state & UNJUDGED) > 0
    framed = framed or bool(waits.any())
    if framed:  # what an answer can give in one way only needs no judge
        settled |= waits & np.array([len(menu) == 1 for menu in menus], dtype=bool)[code]
    share = np.where(settled[:, None], first[code], 0.0)
    return Units(
        num=share[:, 0],
        den=share[:, 1],
        choice=np.where(settled, SETTLED, code),
        left_out=~settled,
        cluster=column(lane.cluster or table.cluster)[rows],
        stratum=column(lane.stratum)[rows] if lane.stratum else np.zeros(len(rows), dtype=np.int64),
        strata=len(lane.strata) if lane.metric.stratum is not None else 1,
        menus=tuple(menus),
        frame=_make_frame(table, rows, waits & ~settled, varies=lane.varies) if framed else None,
    )


def _make_frame(table: Table, rows: Ints, opens: Bools, *, varies: bool) -> Frame:
    state = column(table.state)[rows]
    answered, resolved, waits = ((state & bit) > 0 for bit in (ANSWERED, RESOLVED, UNJUDGED))
    status = np.select([waits, answered & resolved, answered, resolved], [WAITS, JUDGED, FAILED, KNOWN], OUT)
    kind = np.select([answered, (state & BLOCKED) > 0], [0, 1], 2)
    places, place = table.places.values, column(table.place)[rows]
    splits, categories = (Codes(dict.fromkeys(each[side] for each in places)) for side in (0, 1))
    numbers = np.array([[splits.code(split), categories.code(category)] for split, category in places]).reshape(-1, 2)
    names = [f"answers of {split}" if len(splits) > 1 else "answers" for split in splits.values for _ in range(KINDS)]
    return Frame(
        status=status.astype(np.int64),
        cell=numbers[place, 0] * KINDS + kind,
        category=numbers[place, 1],
        names=tuple(names),
        opens=opens,
        varies=varies,
    )


def lane_units(table: Table, lane: Lane, rows: Ints, *, framed: bool = False) -> Units:
    """The metric's units: its groups, each within one epoch unless the metric says otherwise."""
    units = records(table, lane, rows, framed=framed)
    if lane.metric.over_epochs:
        return combined(units, unit_key(table, lane, rows), lane.metric.combine)
    if lane.metric.group is not None:
        return combined(units, epoch_key(table, lane, rows), lane.metric.combine)
    return units


def folded(table: Table, lane: Lane, rows: Ints, combine: Combine) -> Units:
    """The metric's units of all epochs of one sample or group made one by `combine`."""
    first, _ = grouping(epoch_key(table, lane, rows))
    each = combined(records(table, lane, rows), epoch_key(table, lane, rows), lane.metric.combine)
    return combined(each, unit_key(table, lane, rows)[first], combine)


def unit_key(table: Table, lane: Lane, rows: Ints) -> Ints:
    """Fingerprint of each record's group; of its sample where the metric has no groups."""
    return column(lane.group or table.sample)[rows]


def epoch_key(table: Table, lane: Lane, rows: Ints) -> Ints:
    """A number for each record's group and epoch."""
    _, group = grouping(unit_key(table, lane, rows))
    epoch = column(table.epoch)[rows]
    return group * (int(epoch.max(initial=0)) + 1) + epoch


def grouping(key: Ints) -> tuple[Ints, Ints]:
    """Index of each group's first row, groups in the order of their keys, and each row's group."""
    _, first, group = np.unique(key, return_index=True, return_inverse=True)
    return first.astype(np.int64), group.astype(np.int64)


def combined(units: Units, key: Ints, how: Combine) -> Units:
    """Units with equal keys made one; cluster and stratum are the first one's."""
    first, group = grouping(key)
    settled = units.choice == SETTLED
    tally = _tally(units, settled, how)
    known = np.stack([sums(group, side, len(first)) for side in tally], axis=1)
    share = _shares(known, how)
    menus: Codes[Menu] = Codes()
    choice = np.full(len(first), SETTLED, dtype=np.int64)
    for index, members in _open_members(units.choice, group):
        menu = _menu((float(known[index, 0]), float(known[index, 1])), [units.menus[m] for m in members], how)
        choice[index] = menus.code(menu)
    is_open = choice != SETTLED
    share[is_open] = 0.0
    left_out = sums(group, units.left_out, len(first)) > 0
    return replace(
        units.pick(first),
        num=share[:, 0],
        den=share[:, 1],
        choice=choice,
        left_out=left_out,
        menus=tuple(menus.values),
        frame=None,
    )


def _tally(units: Units, settled: Bools, how: Combine) -> tuple[Floats, Floats]:
    """Per unit what adds up within its group: its share, or (hit, counted)."""
    if how == "sum":
        return units.num, units.den
    counted = settled & (units.den > 0)
    return (counted & (2 * units.num > units.den)).astype(np.float64), counted.astype(np.float64)


def _shares(tally: Floats, how: Combine) -> Floats:
    """Each group's share from its tally."""
    if how == "sum":
        return tally.copy()
    hits, counted = tally[:, 0], tally[:, 1]
    yes = {"all": hits == counted, "any": hits > 0, "majority": 2 * hits > counted}[how]
    some = counted > 0
    return np.stack((yes & some, some), axis=1).astype(np.float64)


def _open_members(choice: Ints, group: Ints) -> Iterable[tuple[int, list[int]]]:
    """Each group with open members, and their menus' numbers."""
    rows = np.flatnonzero(choice != SETTLED)
    rows = rows[np.argsort(group[rows], kind="stable")]
    starts = np.flatnonzero(np.diff(group[rows], prepend=-1))
    for part in np.split(rows, starts[1:]) if len(rows) else ():
        yield int(group[part[0]]), [int(code) for code in choice[part]]


def _menu(known: Share, members: Sequence[Menu], how: Combine) -> Menu:
    """All shares a group can reach from what is known and what its open members may take."""
    reached = {known}
    for menu in members:
        steps = {share if how == "sum" else _hit(share) for share in menu}
        reached = {(a + c, b + d) for a, b in reached for c, d in steps}
    shares = _shares(np.array(sorted(reached), dtype=np.float64), how)
    return tuple(sorted({(float(num), float(den)) for num, den in shares}))


def _hit(share: Share) -> Share:
    num, den = share
    return (0.0, 0.0) if den <= 0 else (float(2 * num > den), 1.0)
