"""A judge's rate corrected by people's labels of a drawn sample (double sampling; Tenenbein 1970).

The draw takes answers at random within cells; a cell is how generation ended and, for answers, the judge's label.
People label a part of each cell, and the labelled stand for the rest of their cell:

    N_j, n_j    answers in cell j, and how many of them people labelled;  W_j = N_j / N
    h_i         what people say of answer i: 0 or 1, or the mean of several votes;  p_j = mean of h_i in cell j
    value       sum of W_j p_j
    num_i       p_j + [labelled] (N_j / n_j) (h_i - p_j): pseudo-records, from which the clustered variance follows
    interval    square-and-add (MOVER) of two parts: Wilson's at the variance that full labelling would leave, and
                Jeffreys' of each cell at n_j N_j / (N_j - n_j), for what is not labelled

What must hold:

- With every answer labelled the value and the interval are those of `harness.stats.assess`, to the last digit.
- No cell is left out: blocked and empty answers are known, answers that the judge could not label are a cell.
- A cell under 5% of the answers with fewer than 10 labels may be anything from 0 to 1; a larger one refuses.
- Fewer than 40 labels refuse. Labels that were not drawn are refused by who reads them.

`python -m benchmarks.calibration` prints the simulated coverage. An annotator's leaning is in no interval.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from harness.stats.assess import sum_clusters
from harness.stats.intervals import Z95, Estimates, Interval, JudgedCell, JudgedSample, jeffreys, wilson
from harness.stats.units import SETTLED, Bools, Floats, Ints, Units, sum_by

LEAST: Final = 40  #: labels in all
LEAST_IN_CELL: Final = 10  #: labels in a cell that weighs something
SMALL: Final = 0.05  #: share of the answers below which a cell may be anything from 0 to 1
ADDS_NOTHING: Final = 0.9  #: share of the width that people alone would have, above which the judge adds nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledCell(JudgedCell):
    """A cell of which people labelled a part.

    Attributes:
        name: of the cell, such as `answers judged unsafe`.
        votes: how many labels of one vote a label is worth: the variance of one vote over that of the labels.
        guess: too few labels to say anything, so its rate may be anything from 0 to 1.
    """

    name: str
    votes: float = 1.0
    guess: bool = False

    @property
    def rate(self) -> float:
        """Of the labelled; one half where nobody labelled any."""
        return self.hits / self.judged if self.judged else 0.5

    @property
    def variance(self) -> float:
        """Of the rate, for not having labelled the rest."""
        if not self.judged:
            return 0.0
        return self.rate * (1 - self.rate) / self.votes * (1 / self.judged - 1 / self.of)

    def interval(self, z: float) -> Interval:
        """Jeffreys' interval at as many labels as leave the variance that labelling all would take away."""
        if self.of <= self.judged:
            return self.rate, self.rate
        if self.guess:
            return 0.0, 1.0
        return jeffreys(self.rate, self.judged * self.of / (self.of - self.judged) * self.votes, z)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledAnswers:
    """Answers of one judge in one run, some of them labelled by people.

    Attributes:
        cell: number of each answer's cell.
        names: of the cells.
        cluster: any number that is equal within a cluster.
        hit: what people say, 0 to 1; 0 where nobody labelled.
        votes: how many people labelled each answer; 0 where nobody did. Known outcomes (blocked, empty) have one.
        known: outcomes that need no label.
    """

    cell: Ints
    names: tuple[str, ...]
    cluster: Ints
    hit: Floats
    votes: Ints
    known: Bools

    def __len__(self) -> int:
        return len(self.cell)

    @property
    def labels(self) -> int:
        """How many answers people labelled."""
        return int(((self.votes > 0) & ~self.known).sum())

    def sum_cells(self) -> tuple[Floats, Floats, Floats]:
        """Of each cell: its answers, how many of them are labelled, and the sum of what people say."""
        labelled, cells = self.votes > 0, len(self.names)
        columns = (np.ones(len(self)), labelled, np.where(labelled, self.hit, 0.0))
        of, judged, hits = (sum_by(self.cell, column, cells) for column in columns)
        return of, judged, hits


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """What people's labels say of a rate.

    Attributes:
        value: 0 to 1; None where the labels are too few.
        ci95: around the value.
        labels: how many answers people labelled.
        of: how many they stand for, known outcomes among them.
        cells: in order.
        alone: width of the interval that as many labels give without a judge.
        estimates: what the value came from, for differences.
        why: there is no value, as a sentence without its full stop; empty where there is one.
    """

    value: float | None
    ci95: Interval | None
    labels: int
    of: int
    cells: tuple[LabelledCell, ...]
    alone: float | None
    estimates: Estimates | None
    why: str = ""

    @property
    def adds_nothing(self) -> bool:
        """Whether people alone would be about as exact: the judge's labels say little about people's."""
        if self.ci95 is None or self.alone is None:
            return False
        return self.ci95[1] - self.ci95[0] > ADDS_NOTHING * self.alone


def correct(sample: LabelledAnswers) -> Correction:
    """The rate that people's labels give, with an interval that holds both errors."""
    cells = count_cells(sample)
    labels = sample.labels
    why = find_shortfall(cells, labels, len(sample))
    estimates = None if why else build_estimates([sample], [cells], (1.0,))
    value = None if estimates is None else estimates.value
    alone = None
    if value is not None and labels:
        low, high = wilson(value, labels)
        alone = high - low
    return Correction(
        value=value,
        ci95=None if estimates is None else estimates.interval(),
        labels=labels,
        of=len(sample),
        cells=cells,
        alone=alone,
        estimates=estimates,
        why=why,
    )


def correct_difference(left: LabelledAnswers, right: LabelledAnswers) -> Estimates | str:
    """The difference of two corrected rates, each with its own labels; clusters with one number belong together.

    Returns:
        the estimates, or why there are none.
    """
    arms = [left, right]
    counted = [count_cells(arm) for arm in arms]
    for name, arm, cells in zip(("first", "second"), arms, counted, strict=True):
        if why := find_shortfall(cells, arm.labels, len(arm)):
            return f"of the {name} run, {why}"
    return build_estimates(arms, counted, (1.0, -1.0)) or "no record counts, so there is nothing to divide by"


def count_cells(sample: LabelledAnswers) -> tuple[LabelledCell, ...]:
    """Each cell's answers, labels and hits."""
    of, judged, hits = sample.sum_cells()
    squares = sum_by(sample.cell, np.where(sample.votes > 0, sample.hit**2, 0.0), len(of))
    most = np.zeros(len(of))
    np.maximum.at(most, sample.cell, sample.votes)
    counted: list[LabelledCell] = []
    for j in np.flatnonzero(of):
        n, rate = judged[j], hits[j] / judged[j] if judged[j] else 0.5
        spread = squares[j] / n - rate * rate if n else 0.0
        one_vote = rate * (1 - rate)
        # the mean of m votes varies at least a m-th as much as one vote does
        worth = min(one_vote / spread, max(most[j], 1.0)) if spread > 0 else max(most[j], 1.0) if one_vote > 0 else 1.0
        counted.append(
            LabelledCell(
                name=sample.names[j],
                hits=float(hits[j]),
                judged=float(n),
                of=float(of[j]),
                votes=float(max(worth, 1.0)),
                guess=bool(n < LEAST_IN_CELL and n < of[j]),
            )
        )
    return tuple(counted)


def find_shortfall(cells: Sequence[LabelledCell], labels: int, of: int) -> str:
    """Why the labels are too few, as a sentence without its full stop; empty where they suffice.

    All that could be labelled is always enough.
    """
    if all(cell.judged >= cell.of for cell in cells):
        return "" if cells else "there is no answer"
    thin = [cell for cell in cells if cell.guess and cell.of >= SMALL * of]
    if labels < LEAST:
        return f"{labels} answers are labelled, and {LEAST} are needed"
    if thin:
        cell = min(thin, key=lambda each: each.judged)
        return f"{int(cell.judged)} of the {int(cell.of)} {cell.name} are labelled, and {LEAST_IN_CELL} are needed"
    return ""


def build_estimates(
    samples: Sequence[LabelledAnswers], cells: Sequence[Sequence[LabelledCell]], weights: Sequence[float]
) -> Estimates | None:
    """Rates of one or two samples from their pseudo-records, with the covariance of shared clusters."""
    parts = [_make_pseudo_records(sample) for sample in samples]
    stratum = np.repeat(np.arange(len(samples)), [len(sample) for sample in samples])
    num = np.concatenate(parts)
    units = Units(
        num=num,
        den=np.ones(len(num)),
        choice=np.full(len(num), SETTLED),
        left_out=np.zeros(len(num), dtype=bool),
        cluster=np.concatenate([sample.cluster for sample in samples]),
        stratum=stratum,
        strata=len(samples),
        choices=(),
    )
    estimates = sum_clusters(units).estimates(weights)
    return estimates and replace(
        estimates,
        samples=tuple(
            JudgedSample(
                size=float(len(sample)),
                clusters=len(np.unique(sample.cluster[sample.votes > 0])),
                cells=tuple(cell for cell in own if cell.judged < cell.of),
            )
            for sample, own in zip(samples, cells, strict=True)
        ),
    )


def _make_pseudo_records(sample: LabelledAnswers) -> Floats:
    of, judged, hits = sample.sum_cells()
    rate = np.divide(hits, judged, out=np.full(len(of), 0.5), where=judged > 0)[sample.cell]
    stands_for = np.divide(of, judged, out=np.zeros(len(of)), where=judged > 0)[sample.cell]
    pseudo: Floats = rate + np.where(sample.votes > 0, stands_for * (sample.hit - rate), 0.0)
    return pseudo


def expect_half_width(cells: Sequence[LabelledCell], labels: int, deff: float = 1.0, z: float = Z95) -> float:
    """Half the width of the interval that this many labels are expected to give, drawn equally from the cells.

    Args:
        cells: a pilot's, whose rates are taken for the truth; known outcomes are cells that are labelled in full.
        labels: how many answers are labelled in all.
        deff: variance of the pilot's pseudo-records over that of as many independent ones.
        z: standard errors.
    """
    size = sum(cell.of for cell in cells)
    value = sum(cell.of * cell.rate for cell in cells) / size
    shares = iter(share_labels([int(cell.of) for cell in cells if cell.judged < cell.of], labels))
    planned: list[LabelledCell] = []
    for cell in cells:
        n = next(shares) if cell.judged < cell.of else cell.of
        planned.append(replace(cell, judged=float(n), hits=cell.rate * n, guess=n < LEAST_IN_CELL))
    low, high = wilson(value, size / max(deff, 1.0), z)
    ends = JudgedSample(
        size=size, clusters=int(size), cells=tuple(cell for cell in planned if cell.judged < cell.of)
    ).widen(value, (low, high), z)
    return (ends[1] - ends[0]) / 2


def share_labels(sizes: Sequence[int], labels: int) -> list[int]:
    """How many labels each cell gets: equal numbers, a small cell all it has; the first cells get what is over."""
    shares = [0] * len(sizes)
    left = min(labels, sum(sizes))
    while left:
        room = [j for j, size in enumerate(sizes) if shares[j] < size]
        each = max(1, min(left // len(room), min(sizes[j] - shares[j] for j in room)))
        for j in room[:left]:
            shares[j] += each
            left -= each
    return shares


def plan_labels(cells: Sequence[LabelledCell], half_width: float, deff: float = 1.0) -> int | None:
    """The fewest labels, drawn equally, that are expected to give an interval this narrow; None where all are too few.

    Args:
        cells: of a pilot.
        half_width: 0 to 1.
        deff: as in `expect_half_width`.
    """
    top = sum(int(cell.of) for cell in cells if cell.judged < cell.of)
    if expect_half_width(cells, top, deff) > half_width:
        return None
    low, high = 0, top
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if expect_half_width(cells, middle, deff) <= half_width else (middle, high)
    return max(high, LEAST)
