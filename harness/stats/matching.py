"""Two tables joined by their keys as units for `harness.stats.assess`, and tests of paired differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from statistics import NormalDist
from typing import Final, Literal

import numpy as np

from harness.stats.columns import UNJUDGED, Choices, Codes, Table
from harness.stats.intervals import Estimates
from harness.stats.power import POWER, find_detectable
from harness.stats.units import (
    FAILED,
    JUDGED,
    KINDS,
    KNOWN,
    OUT,
    SETTLED,
    WAITS,
    Ints,
    SamplingFrame,
    Units,
    as_ints,
    combine_units,
    explain_groups,
    explain_unscored,
    group_rows,
    metric_units,
    sort_rows,
    unit_key,
)

Test = Literal["mcnemar", "interval"]
_ENDED: Final = ("answered", "blocked", "empty")  #: how a half's generation ended, by its number
_FARTHEST: Final = 40.0  #: standard errors; beyond, p is 0 in floating point
_HALVINGS: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchedPairs:
    """Matched pairs as units: the left halves, then the right halves, whose strata follow the left ones'.

    Attributes:
        units: two per pair; a pair with an open half is left out of the estimate.
        weights: of the strata: means of the left ones less means of the right ones.
        pairs: left units with a partner.
        unmatched: left units without one.
        unmatched_right: right units without one.
        unresolved: pairs with an open half.
        estimated: pairs that are judged on each side that needs it, and all pairs that they stand for (themselves
            included); None where all are judged.
        why: reason for having no figures, a sentence without its full stop; empty for none.
    """

    units: Units
    weights: list[float]
    pairs: int
    unmatched: int
    unmatched_right: int
    unresolved: int
    estimated: tuple[int, int] | None
    why: str


def match_pairs(left: Table, right: Table) -> MatchedPairs:
    """Pair the units of two one-metric tables by their keys; right units with one key count as their mean."""
    framed = any(bool((np.asarray(side.state) & UNJUDGED).any()) for side in (left, right))
    ours, our_key, our_why = _read_side(left, framed=framed)
    theirs, their_key, their_why = _read_side(right, framed=framed)
    if len(np.unique(their_key)) < len(their_key):
        whys = (explain_groups(side, side.metrics[0], sort_rows(side), of="twins") for side in (left, right))
        their_why = their_why or next(filter(None, whys), "")
    theirs, their_key = _average_by_key(theirs, their_key)
    found = np.isin(our_key, their_key)
    lefts, rights = ours.pick(found), theirs.pick(np.searchsorted(their_key, our_key[found]))
    moved = np.where(rights.choice == SETTLED, SETTLED, rights.choice + len(lefts.choices))
    frame = None
    if lefts.frame is not None and rights.frame is not None:
        frame = _join_frames(lefts, lefts.frame, rights, rights.frame)
    units = Units(
        num=np.concatenate((lefts.num, rights.num)),
        den=np.concatenate((lefts.den, rights.den)),
        choice=np.concatenate((lefts.choice, moved)),
        left_out=np.tile(lefts.left_out | rights.left_out, 2),
        cluster=np.tile(lefts.cluster, 2),
        stratum=np.concatenate((lefts.stratum, lefts.stratum + lefts.strata)),
        strata=2 * lefts.strata,
        choices=lefts.choices + rights.choices,
        frame=frame,
        block=lefts.block,
    )
    pairs = int(found.sum())
    estimated = None
    if units.frame is not None:
        judged, waits = (int((units.frame.status[:pairs] == status).sum()) for status in (JUDGED, WAITS))
        estimated = (judged, judged + waits) if waits else None
    return MatchedPairs(
        units=units,
        weights=[sign / max(ours.strata, 1) for sign in (1, -1) for _ in range(ours.strata)],
        pairs=pairs,
        unmatched=len(our_key) - pairs,
        unmatched_right=int((~np.isin(their_key, our_key)).sum()),
        unresolved=int(units.left_out[:pairs].sum()),
        estimated=estimated,
        why=our_why or their_why,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchedRuns:
    """Units that all runs of two sides share: those of each run follow those of the run before.

    Attributes:
        units: one per run and shared unit; what one run leaves open is left out of the estimate for all.
        weights: of the strata: means of the left runs less means of the right ones.
        shared: units that all runs have.
        unmatched: units that all left runs have, and not all right ones.
        unmatched_right: units that all right runs have, and not all left ones.
        unresolved: shared units that a run leaves open.
        why: reason for having no figures, a sentence without its full stop; empty for none.
    """

    units: Units
    weights: list[float]
    shared: int
    unmatched: int
    unmatched_right: int
    unresolved: int
    why: str


def match_runs(left: Sequence[Table], right: Sequence[Table]) -> MatchedRuns:
    """Match the units of several runs on each of two sides by their keys; clusters and strata are the first run's."""
    tables = (*left, *right)
    partly = any(bool((np.asarray(table.state) & UNJUDGED).any()) for table in tables)
    read = [_read_side(table, framed=False) for table in tables]
    every = [_average_by_key(units, key) for units, key, _ in read]
    why = "a judge has read only a part of the answers of one run" if partly else ""
    why = why or next((reason for _, _, reason in read if reason), "")
    ours, theirs = (
        reduce(np.intersect1d, [key for _, key in side]) for side in (every[: len(left)], every[len(left) :])
    )
    shared = np.intersect1d(ours, theirs)
    runs = [units.pick(np.searchsorted(key, shared)) for units, key in every]
    first, is_open = runs[0], np.any([units.left_out for units in runs], axis=0)
    choice, choices = list[Ints](), list[Choices]()
    for units in runs:
        choice.append(np.where(units.choice == SETTLED, SETTLED, units.choice + len(choices)))
        choices += units.choices
    joined = Units(
        num=np.concatenate([units.num for units in runs]),
        den=np.concatenate([units.den for units in runs]),
        choice=np.concatenate(choice),
        left_out=np.tile(is_open, len(runs)),
        cluster=np.tile(first.cluster, len(runs)),
        stratum=np.concatenate([first.stratum + run * first.strata for run in range(len(runs))]),
        strata=first.strata * len(runs),
        choices=tuple(choices),
        block=first.block,
    )
    strata = max(first.strata, 1)
    return MatchedRuns(
        units=joined,
        weights=[
            sign / (len(side) * strata) for sign, side in ((1, left), (-1, right)) for _ in side for _ in range(strata)
        ],
        shared=len(shared),
        unmatched=len(ours) - len(shared),
        unmatched_right=len(theirs) - len(shared),
        unresolved=int(is_open.sum()),
        why=why,
    )


def _read_side(table: Table, *, framed: bool) -> tuple[Units, Ints, str]:
    """A side's units, their keys, and the reason for having no figures; empty for none."""
    columns, rows = table.metrics[0], sort_rows(table)
    key, unit = as_ints(table.key)[rows], unit_key(table, columns, rows)
    if unit is not None:
        key = key[group_rows(unit)[0]]
    why = explain_unscored(table, rows) or explain_groups(table, columns, rows)
    return metric_units(table, columns, rows, framed=framed), key, why


def _average_by_key(units: Units, key: Ints) -> tuple[Units, Ints]:
    """Units with one key as their mean, in the order of the keys."""
    first, group = group_rows(key)
    size = np.bincount(group, minlength=len(first))
    if size.max(initial=1) == 1:
        return units.pick(first), key[first]
    sums = combine_units(units, key, "sum")
    choices: Codes[Choices] = Codes()
    choice = sums.choice.copy()
    for row in (choice != SETTLED).nonzero()[0]:
        shares = sums.choices[choice[row]]
        choice[row] = choices.code(tuple((num / int(size[row]), den / int(size[row])) for num, den in shares))
    means = replace(sums, num=sums.num / size, den=sums.den / size, choice=choice, choices=tuple(choices.values))
    return means, key[first]


def _join_frames(left: Units, ours: SamplingFrame, right: Units, theirs: SamplingFrame) -> SamplingFrame:
    """Both halves of each pair have the pair's status: judged where nothing of it is left to judge.

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
    return SamplingFrame(
        status=np.tile(status, 2).astype(np.int64),
        cell=np.tile(ours.cell * KINDS + theirs.cell % KINDS, 2),
        category=np.tile(ours.category, 2),
        names=tuple(
            f"{where} {here} in both" if here == there else f"{where} {here} beside {there}"
            for where in places
            for here in _ENDED
            for there in _ENDED
        ),
        opens=opens.ravel(),
        varies=ours.varies or theirs.varies,
    )


def holm(p: Mapping[str, float]) -> dict[str, float]:
    """Adjusted p-values of one family of tests (Holm 1979), under the names they came with."""
    adjusted: dict[str, float] = {}
    least = 0.0
    for rank, name in enumerate(sorted(p, key=lambda name: p[name])):
        least = max(least, min(1.0, (len(p) - rank) * p[name]))
        adjusted[name] = least
    return {name: adjusted[name] for name in p}


def difference_test(units: Units, estimates: Estimates) -> tuple[float, Test]:
    """Two-sided p-value that a paired difference is 0, and which test gave it.

    Where each cluster gives one 0 or 1 on both sides, that is McNemar's exact test; elsewhere it is the level at which
    the interval of the difference just touches 0. Where judged pairs stand for others there is no exact test.

    Args:
        units: the pairs, as `match_pairs` lays them out.
        estimates: of both sides.
    """
    flips = _count_flips(units, estimates)
    if flips is not None:
        return mcnemar(flips[0], flips[1]), "mcnemar"
    low, high = 0.0, _FARTHEST
    for _ in range(_HALVINGS):
        z = (low + high) / 2
        ends = estimates.interval(z)
        low, high = (low, z) if ends[0] <= 0 <= ends[1] else (z, high)
    return 2 * NormalDist().cdf(-high), "interval"


def _count_flips(units: Units, estimates: Estimates) -> tuple[int, int, int] | None:
    """Pairs that hit on the left alone, on the right alone, and all; None where McNemar's test does not apply."""
    half = len(units) // 2
    counted = ~units.left_out[:half] & ((units.den[:half] > 0) | (units.den[half:] > 0))
    left, right = units.num[:half][counted], units.num[half:][counted]
    shares = units.pick(np.tile(counted, 2))
    binary = bool(np.isin(shares.num, (0, 1)).all() and (shares.den == 1).all())
    cluster = units.cluster[:half][counted]
    if not binary or estimates.samples or units.strata > 2 or len(np.unique(cluster)) < len(cluster):
        return None
    return int((left > right).sum()), int((left < right).sum()), len(left)


def mcnemar(only_left: int, only_right: int) -> float:
    """Exact two-sided p-value that discordant pairs fall to either side alike (McNemar 1947, binomial form)."""
    from scipy.stats import binomtest

    total = only_left + only_right
    return float(binomtest(only_left, total).pvalue) if total else 1.0


def detectable_difference(units: Units, estimates: Estimates) -> float | None:
    """The difference that the test at 5%, two-sided, finds with a power of 80%, 0 to 1; None where it finds none.

    Where `difference_test` is McNemar's exact one, its exact power: of so many pairs as many differ as were seen, or as
    the difference itself needs (Connor 1987). Elsewhere 2.80 standard errors of the difference as observed (Bloom
    1995); never below what as many clusters could show if all that change changed one way, whose variance d (1 - d) / m
    follows from the difference itself.

    Args:
        units: the pairs, as `match_pairs` lays them out.
        estimates: of both sides.
    """
    flips = _count_flips(units, estimates)
    if flips is not None:
        return find_detectable(flips[2], (flips[0] + flips[1]) / max(flips[2], 1), POWER)
    factor = NormalDist().inv_cdf(0.975) + NormalDist().inv_cdf(POWER)
    clusters = max((sample.clusters for sample in estimates.samples), default=0) or max(estimates.clusters)
    return min(1.0, max(factor * estimates.error, factor**2 / (clusters + factor**2)))
