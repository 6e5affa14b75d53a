"""Judged answers that stand for those which nobody has judged.

Blocks and empty answers are known without a judge. Where a judge has read a part of the answers only, those blocks
would count in full beside a few answers, so each judged answer stands for several: post-stratification by what is
known of every record before it is judged.

    cell        one split of a derived one x how generation ended (a pair: how both ended) x stratum of the metric, and
                x category where each category of the cell has ten judged answers
    tried       judged + those on which the judge failed; of what it will still read as large a share will fail
    N_c         judged x r,  r = 1 + unjudged / tried;  p_c = hits / judged;  p = sum of N_c p_c / sum of N_c
    num_i       p_c + [judged] r (y_i - p_c),  den_i = 1: pseudo-records, from which everything else follows as from
                records: value, clustered residuals, correlation with another stratum or run

What must hold:

- With nothing unjudged r is 1 and num_i is y_i: value and interval are those of the plain ratio, to the last bit.
- A record that can give one share only is settled for that metric, judged or not; weights touch what is open.
- A pair is judged where both halves are that need it: a judged half beside one that waits counts like that one.
- A judge's failure is outside the value and inside the bounds, whether or not anything is unjudged.
- A cell with open answers and fewer than 30 judged gives no value, but a reason. So does a metric for which this was
  not simulated: of groups, over epochs, of several twins, and with a denominator that depends on the verdicts.

The judged must be a random part (`harness judge --judge-limit`), which nothing here can see; the bounds assume nothing.
Double sampling as in Tenenbein 1970; `python -m benchmarks.intervals` prints the simulated coverage.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from harness.stats.intervals import Opening, Sampled
from harness.stats.units import FAILED, JUDGED, KNOWN, SETTLED, WAITS, Bools, Floats, Frame, Ints, Units, sums

LEAST: Final = 30  #: judged answers in a cell whose others are not judged
LEAST_BY_CATEGORY: Final = 10  #: judged answers in each category before categories are cells


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighted:
    """Units with pseudo-records in place of those of partly judged cells.

    Attributes:
        units: all settled.
        openings: of each stratum, what its unjudged answers leave open; none where nothing is.
        judged: answers that were judged.
        of: answers that they stand for, themselves among them.
        by_category: categories are cells somewhere.
        plain: each unit still counts as it is, so that the value is the plain ratio.
    """

    units: Units
    openings: tuple[Opening, ...]
    judged: int
    of: int
    by_category: bool
    plain: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Counts:
    """Of each cell: hits, and units that are judged, failed and unjudged, as far as they count."""

    hits: Floats
    judged: Floats
    failed: Floats
    unjudged: Floats

    @property
    def tried(self) -> Floats:
        return self.judged + self.failed

    @property
    def stands_for(self) -> Floats:
        """What one judged unit stands for."""
        return 1 + np.divide(self.unjudged, self.tried, out=np.zeros_like(self.tried), where=self.tried > 0)

    @property
    def success(self) -> Floats:
        """The share of what is tried that is judged; 1 where nothing has been judged yet."""
        return np.divide(self.judged, self.tried, out=np.ones_like(self.tried), where=self.judged > 0)


def explain_varying(units: Units) -> str:
    """Why open units that nobody judged give no value; empty where they can be estimated."""
    frame = units.frame
    if frame is None:
        return ""
    waits = frame.opens & (units.choice != SETTLED)
    varies = np.array([{den for _, den in menu} != {1.0} for menu in units.menus], dtype=bool)
    if waits.any() and (frame.varies or varies[units.choice[waits]].any()):
        return f"{tell_unjudged(int(waits.sum()))}, and what it is divided by depends on their verdicts"
    return ""


def weigh(units: Units) -> Weighted | str:
    """The units with judged ones standing for those that are not, or why that gives no value."""
    frame = units.frame
    if frame is None:
        raise ValueError("units without a frame stand for themselves")
    why = explain_varying(units)
    if why:
        return why
    size = _measure_size(units, frame)
    counts_at = size > 0
    coarse = _number(frame.cell * units.strata + units.stratum)
    is_open = _mark_cells(coarse, frame.opens & counts_at)
    totals = _count(coarse, units, frame, size)
    thin = np.flatnonzero(is_open & (totals.judged < LEAST))
    if len(thin):
        return _explain_thin(totals, thin, _name_cells(coarse, frame))
    cell, by_category = _refine(coarse, frame, counts_at, totals.unjudged > 0)
    is_open = _mark_cells(cell, is_open[coarse])
    counts = _count(cell, units, frame, size)
    return Weighted(
        units=_make_pseudo(units, frame, size, cell, is_open, counts),
        openings=_describe_openings(units, frame, cell, is_open, counts) if is_open.any() else (),
        judged=int(counts.judged.sum()),
        of=round(float((counts.judged + counts.success * counts.unjudged).sum())),
        by_category=by_category,
        plain=not bool((is_open | ((counts.unjudged > 0) & (counts.success < 1))).any()),
    )


def _measure_size(units: Units, frame: Frame) -> Floats:
    """What each unit adds to the denominator: its own, or that of an open one had it been judged."""
    menus = np.array([max(den for _, den in menu) for menu in units.menus] or [0.0])
    size = np.where(units.choice == SETTLED, units.den, menus[units.choice])
    return np.where(frame.status >= 0, size, 0.0)


def _number(key: Ints) -> Ints:
    return np.unique(key, return_inverse=True)[1].astype(np.int64)


def _mark_cells(cell: Ints, rows: Bools) -> Bools:
    """Whether each cell has one of the rows."""
    return np.bincount(cell, weights=rows, minlength=int(cell.max(initial=-1)) + 1) > 0


def _count(cell: Ints, units: Units, frame: Frame, size: Floats) -> _Counts:
    cells = int(cell.max(initial=-1)) + 1
    judged, failed, unjudged = (
        sums(cell, size * (frame.status == status), cells) for status in (JUDGED, FAILED, WAITS)
    )
    return _Counts(
        hits=sums(cell, units.num * (frame.status == JUDGED), cells), judged=judged, failed=failed, unjudged=unjudged
    )


def _refine(coarse: Ints, frame: Frame, counts_at: Bools, partly: Bools) -> tuple[Ints, bool]:
    """Cells by category where each category of a cell has enough judged; whether there are any.

    Whether a metric leaves the cell open has no say, so that shares of one whole are over the same records.
    """
    fine = _number(coarse * (int(frame.category.max(initial=0)) + 1) + frame.category)
    cells = int(fine.max(initial=-1)) + 1
    judged = sums(fine, (frame.status == JUDGED) & counts_at, cells)
    there = sums(fine, (frame.status >= 0) & counts_at, cells)
    poor = _mark_cells(coarse, ((judged < LEAST_BY_CATEGORY) & (there > 0))[fine])
    several = sums(coarse[np.unique(fine, return_index=True)[1]], there > 0, len(poor)) > 1
    splits = partly & ~poor & several
    return _number(np.where(splits[coarse], cells + fine, coarse)), bool(splits.any())


def _make_pseudo(units: Units, frame: Frame, size: Floats, cell: Ints, is_open: Bools, counts: _Counts) -> Units:
    rate = np.divide(counts.hits, counts.judged, out=np.zeros_like(counts.hits), where=counts.judged > 0)
    expected, stands_for, success = (each[cell] for each in (rate, counts.stands_for, counts.success))
    opened, status = is_open[cell], frame.status
    num, den = units.num.copy(), units.den.copy()
    judged = opened & (status == JUDGED)
    num[judged] = (expected * den + stands_for * (num - expected * den))[judged]
    unjudged = status == WAITS
    num[unjudged] = (success * np.where(opened, expected * size, num))[unjudged]
    den[unjudged] = (success * size)[unjudged]
    out = (status < 0) | (status == FAILED)
    return replace(units, num=num, den=den, choice=np.full(len(units), SETTLED), left_out=out, menus=(), frame=None)


def _describe_openings(units: Units, frame: Frame, cell: Ints, is_open: Bools, counts: _Counts) -> tuple[Opening, ...]:
    first = np.unique(cell, return_index=True)[1]
    stratum = units.stratum[first]
    known = sums(units.stratum, units.den * (frame.status == KNOWN), units.strata)
    whole = counts.judged * counts.stands_for
    # what cannot be open is tried as the rest is, and where nothing is judged it counts as it is
    whole = np.where(is_open | (counts.judged > 0), whole, counts.unjudged)
    sizes = known + sums(stratum, whole, units.strata)
    judged = (frame.status == JUDGED) & (units.den > 0) | (frame.status == KNOWN)
    clusters = [len(np.unique(units.cluster[judged & (units.stratum == each)])) for each in range(units.strata)]
    return tuple(
        Opening(
            size=float(sizes[each]),
            clusters=clusters[each],
            cells=tuple(
                Sampled(hits=float(counts.hits[k]), judged=float(counts.judged[k]), of=float(whole[k]))
                for k in np.flatnonzero(is_open & (stratum == each))
            ),
        )
        for each in range(units.strata)
    )


def _name_cells(cell: Ints, frame: Frame) -> list[str]:
    """What is judged in each cell."""
    return [frame.names[number] for number in frame.cell[np.unique(cell, return_index=True)[1]]]


def _explain_thin(counts: _Counts, cells: Ints, names: list[str]) -> str:
    """Why some cells are not enough to estimate from, told of the worst."""
    worst = int(cells[np.argmin(counts.judged[cells])])
    judged, of = int(counts.judged[worst]), int(counts.tried[worst] + counts.unjudged[worst])
    if not judged:
        return f"none of the {of} {names[worst]} is labelled"
    return f"{judged} of the {of} {names[worst]} {'is' if judged == 1 else 'are'} labelled: an estimate needs {LEAST}"


def tell_unjudged(count: int) -> str:
    """How many answers no judge has seen, as the beginning of a sentence."""
    return "1 answer is not judged" if count == 1 else f"{count} answers are not judged"
