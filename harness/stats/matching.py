"""Pairs as units: two tables joined by their keys, ready for the arithmetic of `harness.stats.assess`."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from harness.stats.columns import Codes, Menu, Table
from harness.stats.tally import scored
from harness.stats.units import SETTLED, Ints, Units, column, combined, epoch_key, grouping, lane_units, order, unit_key


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """Matched pairs as units: the left halves, then the right halves, whose strata follow the left ones'.

    Attributes:
        units: two per pair; a pair with an open half is left out of the estimate.
        weights: of the strata: means of the left ones less means of the right ones.
        pairs: left units with a partner.
        unmatched: left units without one.
        unmatched_right: right units without one.
        unresolved: pairs with an open half.
        known: whether figures rest on verdicts at both sides.
    """

    units: Units
    weights: list[float]
    pairs: int
    unmatched: int
    unmatched_right: int
    unresolved: int
    known: bool


def matched(left: Table, right: Table) -> Match:
    """Pair the units of two one-metric tables by their keys; right units with one key stand as their mean."""
    ours, our_key, our_known = _side(left)
    theirs, their_key, their_known = _side(right)
    theirs, their_key = _means(theirs, their_key)
    found = np.isin(our_key, their_key)
    units = _joined(ours.pick(found), theirs.pick(np.searchsorted(their_key, our_key[found])))
    pairs = int(found.sum())
    return Match(
        units=units,
        weights=[1 / ours.strata] * ours.strata + [-1 / ours.strata] * ours.strata,
        pairs=pairs,
        unmatched=len(our_key) - pairs,
        unmatched_right=int((~np.isin(their_key, our_key)).sum()),
        unresolved=int(units.left_out[:pairs].sum()),
        known=our_known and their_known,
    )


def _side(table: Table) -> tuple[Units, Ints, bool]:
    """A side's units, their keys, and whether its figures rest on verdicts."""
    lane, rows = table.lanes[0], order(table)
    units, key = lane_units(table, lane, rows), column(table.key)[rows]
    if lane.metric.over_epochs:
        key = key[grouping(unit_key(table, lane, rows))[0]]
    elif lane.metric.group is not None:
        key = key[grouping(epoch_key(table, lane, rows))[0]]
    return units, key, scored(table, rows)


def _means(units: Units, key: Ints) -> tuple[Units, Ints]:
    """Units with one key as their mean, in the order of the keys."""
    first, group = grouping(key)
    total = combined(units, key, "sum")
    size = np.bincount(group, minlength=len(first))
    if size.max(initial=1) == 1:
        return total, key[first]
    return _divided(total, size), key[first]


def _divided(units: Units, size: Ints) -> Units:
    menus: Codes[Menu] = Codes()
    choice = units.choice.copy()
    for row in (choice != SETTLED).nonzero()[0]:
        share = units.menus[choice[row]]
        choice[row] = menus.code(tuple((num / int(size[row]), den / int(size[row])) for num, den in share))
    return replace(units, num=units.num / size, den=units.den / size, choice=choice, menus=tuple(menus.values))


def _joined(left: Units, right: Units) -> Units:
    """Both halves of each pair; a pair with an open half is left out of the estimate, and clusters are the left's."""
    moved = np.where(right.choice == SETTLED, SETTLED, right.choice + len(left.menus))
    return Units(
        num=np.concatenate((left.num, right.num)),
        den=np.concatenate((left.den, right.den)),
        choice=np.concatenate((left.choice, moved)),
        left_out=np.tile(left.left_out | right.left_out, 2),
        cluster=np.tile(left.cluster, 2),
        stratum=np.concatenate((left.stratum, left.stratum + left.strata)),
        strata=2 * left.strata,
        menus=left.menus + right.menus,
    )
