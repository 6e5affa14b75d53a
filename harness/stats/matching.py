"""Pairs as units: two tables joined by their keys, ready for the arithmetic of `harness.stats.assess`."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from harness.stats.columns import Codes, Menu, Table
from harness.stats.tally import explain_groups, explain_unscored
from harness.stats.units import (
    FAILED,
    JUDGED,
    KINDS,
    KNOWN,
    OUT,
    SETTLED,
    WAITS,
    Frame,
    Ints,
    Units,
    column,
    combined,
    epoch_key,
    grouping,
    has_unjudged,
    lane_units,
    order,
    unit_key,
)


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
        estimated: pairs judged on each side that needs it, and those that they stand for, themselves among them; None
            where all are judged.
        why: there can be no figures, as a sentence without its full stop; empty where both sides rest on verdicts.
    """

    units: Units
    weights: list[float]
    pairs: int
    unmatched: int
    unmatched_right: int
    unresolved: int
    estimated: tuple[int, int] | None
    why: str


def matched(left: Table, right: Table) -> Match:
    """Pair the units of two one-metric tables by their keys; right units with one key stand as their mean."""
    framed = has_unjudged(left) or has_unjudged(right)
    ours, our_key, our_why = _side(left, framed=framed)
    theirs, their_key, their_why = _side(right, framed=framed)
    alone = len(np.unique(their_key)) == len(their_key)
    if not alone:
        whys = (explain_groups(side, side.lanes[0], order(side), of="twins") for side in (left, right))
        their_why = their_why or next(filter(None, whys), "")
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
        estimated=_count_estimated(units.frame, pairs),
        why=our_why or their_why,
    )


def _side(table: Table, *, framed: bool) -> tuple[Units, Ints, str]:
    """A side's units, their keys, and why there can be no figures of it."""
    lane, rows = table.lanes[0], order(table)
    units, key = lane_units(table, lane, rows, framed=framed), column(table.key)[rows]
    if lane.metric.over_epochs:
        key = key[grouping(unit_key(table, lane, rows))[0]]
    elif lane.metric.group is not None:
        key = key[grouping(epoch_key(table, lane, rows))[0]]
    return units, key, explain_unscored(table, rows) or explain_groups(table, lane, rows)


def _means(units: Units, key: Ints) -> tuple[Units, Ints]:
    """Units with one key as their mean, in the order of the keys."""
    first, group = grouping(key)
    size = np.bincount(group, minlength=len(first))
    if size.max(initial=1) == 1:
        return units.pick(first), key[first]
    return _divided(combined(units, key, "sum"), size), key[first]


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
        frame=None if left.frame is None or right.frame is None else _pair_frames(left, left.frame, right, right.frame),
    )


def _count_estimated(frame: Frame | None, pairs: int) -> tuple[int, int] | None:
    """Judged pairs, and those and the unjudged together."""
    if frame is None:
        return None
    judged, waits = (int((frame.status[:pairs] == status).sum()) for status in (JUDGED, WAITS))
    return (judged, judged + waits) if waits else None


_HOW = ("answered", "blocked", "empty")  #: how a half's generation ended, by its number


def _pair_frames(left: Units, ours: Frame, right: Units, theirs: Frame) -> Frame:
    """Both halves of each pair stand where the pair does: judged where nothing of it is left to judge.

    The cell is the left half's, which names the split, and how the right half's generation ended. Where one half is
    judged and the other is not, both leave their cells open: else the one would be taken over all pairs and the other
    over some of them, which are other items.
    """
    both = np.stack((ours.status, theirs.status))
    status = np.select(
        [(both == OUT).any(axis=0), (both == WAITS).any(axis=0), (both == FAILED).any(axis=0)],
        [OUT, WAITS, FAILED],
        np.where((both == JUDGED).any(axis=0), JUDGED, KNOWN),
    )
    several = np.stack((left.choice, right.choice)) != SETTLED
    opens = (status == WAITS) & (several | (several.any(axis=0) & (both == JUDGED)))
    places = [name.replace("answers", "pairs", 1) for name in ours.names[::KINDS]]
    return Frame(
        status=np.tile(status, 2).astype(np.int64),
        cell=np.tile(ours.cell * KINDS + theirs.cell % KINDS, 2),
        category=np.tile(ours.category, 2),
        names=tuple(
            f"{where} {here} in both" if here == there else f"{where} {here} beside {there}"
            for where in places
            for here in _HOW
            for there in _HOW
        ),
        opens=opens.ravel(),
        varies=ours.varies or theirs.varies,
    )
