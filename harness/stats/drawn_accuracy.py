"""How well a judge finds each label, where people labelled answers that were drawn in unequal shares.

`harness.stats.accuracy` says what the figures are. Here the labelled answers stand for the others of their cell, as in
`harness.stats.correction`: N_j / n_j answers each. A judge's own labels are often the cells, and a label that it rarely
gives is drawn far more often than the others. Unweighted, each figure but precision would be that of the drawn answers.

    shares      of all answers: both give the label (b), only people (m), only the judge (e), neither (r). Each is a
                corrected rate with its interval: Wilson's at what full labelling would leave, Jeffreys' of the cells
    figure      recall b / (b + m), precision b / (b + e), specificity r / (r + e), F1 b / (b + (m + e) / 2)
    interval    of x / (x + y): all t for which the interval of (1 - t) x - t y, put together by square-and-add with the
                correlation of both shares, holds 0

A plain weighted interval sees nothing of a kind of mistake that no labelled answer shows, however many answers a label
of that cell stands for; here the cell's own limit says how common it may be. With every answer labelled the interval of
a rate is close to Wilson's. `python -m benchmarks.agreement` prints the simulated coverage.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Final

import numpy as np

from harness.stats.accuracy import LabelAccuracy, measure_labels
from harness.stats.agreement import MISSING, Agreement, Why, percent
from harness.stats.assess import ClusterSums, estimate_rate
from harness.stats.correction import LabelledCell
from harness.stats.intervals import Estimates, Interval, JudgedSample
from harness.stats.units import Bools, Ints, as_ints, sum_by

_STEPS: Final = 60  #: halvings of a search from 0 to 1


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeAccuracy:
    """What people's labels say of one judge.

    Attributes:
        labels: the accuracy of each label, in the order of codes.
        judge_shares: of each label, the share of the answers that the judge gives it.
        people_shares: of each label, the share that people give it.
        same: the share of answers that both label alike.
        n: answers that both have labelled.
        of: answers that these stand for.
        left_out: answers in cells of which both have labelled none.
    """

    labels: tuple[LabelAccuracy, ...]
    judge_shares: tuple[Agreement, ...]
    people_shares: tuple[Agreement, ...]
    same: Agreement
    n: int
    of: int
    left_out: int


def measure_given(judge: Ints, people: Ints, cluster: Ints, *, classes: int) -> JudgeAccuracy:
    """The accuracy of each label over the answers that both have labelled; each counts once."""
    both = (judge != MISSING) & (people != MISSING)
    judge, people, cluster = judge[both], people[both], cluster[both]
    return JudgeAccuracy(
        labels=measure_labels(judge, people, cluster, classes=classes),
        judge_shares=tuple(_estimate_share(judge == code, cluster) for code in range(classes)),
        people_shares=tuple(_estimate_share(people == code, cluster) for code in range(classes)),
        same=percent(judge, people, cluster),
        n=len(judge),
        of=len(judge),
        left_out=0,
    )


def measure_drawn(judge: Ints, people: Ints, cluster: Ints, cell: Ints, among: Bools, *, classes: int) -> JudgeAccuracy:
    """The accuracy of each label over more answers than people have labelled.

    Args:
        judge: the judge's label of each answer, MISSING where there is none.
        people: people's, MISSING where nobody labelled.
        cluster: equal for answers that belong together.
        cell: number of each answer's cell.
        among: the answers that the figures are about; all that the judge has labelled, or for a person all.
        classes: how many labels there are.
    """
    labelled = among & (judge != MISSING) & (people != MISSING)
    rows = among & (sum_by(cell, labelled, int(cell.max(initial=-1)) + 1)[cell] > 0)
    left_out = int(among.sum() - rows.sum())
    known = bool((judge[rows] != MISSING).all())  # a judge's labels are, those of a person are not
    judge, people, cluster, cell, labelled = judge[rows], people[rows], cluster[rows], cell[rows], labelled[rows]
    codes = np.arange(classes)
    said, true = judge[labelled, None] == codes, people[labelled, None] == codes
    differ = said != true
    targets = [said & true, true & differ, said & differ, ~said & ~true, differ, true, said]
    same = (judge == people)[labelled, None]
    names, cell = (as_ints(each) for each in np.unique(cell, return_inverse=True))
    # where the judge never gives a label, both cannot give it; no label is needed to know that
    always: Bools = np.ones((len(names), classes), dtype=bool)
    given = others = always
    if known:
        by_cell = np.bincount(cell * classes + judge, minlength=len(names) * classes).reshape(len(names), classes)
        given, others = by_cell > 0, by_cell < by_cell.sum(axis=1, keepdims=True)
    possible = np.concatenate([given, others, given, others, always, always, always, always[:, :1]], axis=1)
    shares = _Shares(np.concatenate([*targets, same], axis=1), possible, labelled, cluster, cell)
    n = int(labelled.sum())
    found: list[LabelAccuracy] = []
    for code in range(classes):
        both, missed, extra, neither, differs = (code + classes * kind for kind in range(5))
        counts = {"judge": int(said[:, code].sum()), "people": int(true[:, code].sum())}
        nothing = Why.NOTHING if n == 0 else None
        found.append(
            LabelAccuracy(
                label=code,
                both=int((said & true)[:, code].sum()),
                precision=shares.divide(counts["judge"], both, extra, nothing or Why.NOT_JUDGED),
                recall=shares.divide(counts["people"], both, missed, nothing or Why.NOT_SEEN),
                specificity=shares.divide(n - counts["people"], neither, extra, nothing or Why.ALWAYS_SEEN),
                f1=shares.divide(n, both, differs, nothing or Why.NOWHERE, part=0.5),
                **counts,
            )
        )
    return JudgeAccuracy(
        labels=tuple(found),
        judge_shares=tuple(
            _estimate_share(judge == code, cluster) if known else shares.estimate(n, code + classes * 6)
            for code in range(classes)
        ),
        people_shares=tuple(shares.estimate(n, code + classes * 5) for code in range(classes)),
        same=shares.estimate(n, classes * 7),
        n=n,
        of=len(judge),
        left_out=left_out,
    )


def _estimate_share(hits: Bools, cluster: Ints) -> Agreement:
    found = estimate_rate(hits.astype(np.float64), cluster)
    if found is None:
        return Agreement(n=0, why=Why.NOTHING)
    return Agreement(n=len(hits), value=found.value, ci95=found.interval())


class _Shares:
    """Shares of all answers, from the labelled ones.

    Args:
        hits: (labelled answers, shares), whether an answer counts for each share.
        possible: (cells, shares), whether an answer of the cell could.
        labelled: which answers are labelled.
        cluster: of all answers.
        cell: of all answers, from 0; each cell has a labelled one.
    """

    def __init__(self, hits: Bools, possible: Bools, labelled: Bools, cluster: Ints, cell: Ints) -> None:
        self._size = len(cell)
        self._ends: dict[int, Interval] = {}
        if not self._size:
            return
        _, where = np.unique(cluster, return_inverse=True)
        cells, clusters = len(possible), int(where.max()) + 1
        self._of = np.bincount(cell, minlength=cells).astype(np.float64)
        self._labels = np.bincount(cell[labelled], minlength=cells).astype(np.float64)
        self._hits = np.zeros((cells, hits.shape[1]))
        np.add.at(self._hits, cell[labelled], hits)
        rates = self._hits / self._labels[:, None]
        self._possible = possible
        # pseudo-records, summed within clusters: each answer counts as its cell's rate, a labelled one by its weight
        counts = np.bincount(where * cells + cell, minlength=clusters * cells).reshape(clusters, cells)
        self._rates = self._of @ rates / self._size
        gaps = rates - self._rates
        read, place = np.unique(where[labelled], return_inverse=True)
        residual = counts[read] @ gaps
        stands_for = (self._of / self._labels)[cell[labelled]]
        np.add.at(residual, place, stands_for[:, None] * (hits - rates[cell[labelled]]))
        unread = np.delete(counts, read, axis=0)
        squares = residual.T @ residual + gaps.T @ (unread.T @ unread) @ gaps
        units = counts.sum(axis=1).astype(np.float64)
        shrinkage = ClusterSums(
            stratum=np.zeros(clusters, dtype=np.int64),
            cluster=np.arange(clusters),
            num=units,
            den=units,
            units=units,
            strata=1,
        ).shrinkage()
        self._covariance = squares / (self._size**2 * shrinkage)
        self._clusters = clusters
        self._labelled_clusters = len(read)

    def estimate(self, n: int, share: int) -> Agreement:
        """One share."""
        if not self._size:
            return Agreement(n=0, why=Why.NOTHING)
        return Agreement(n=n, value=float(self._rates[share]), ci95=self._interval(share))

    def divide(self, n: int, left: int, right: int, undefined: Why, part: float = 1.0) -> Agreement:
        """The left share over the sum of it and a part of the right one."""
        if not self._size:
            return Agreement(n=0, why=undefined)
        x, y = float(self._rates[left]), float(self._rates[right]) * part
        if x + y <= 0:
            return Agreement(n=n, why=undefined)
        spread = float(self._covariance[left, left] * self._covariance[right, right])
        r = float(self._covariance[left, right]) / sqrt(spread) if spread > 0 else 0.0
        low, high = self._interval(right)
        ends = divide_interval((x, self._interval(left)), (y, (low * part, high * part)), r)
        return Agreement(n=n, value=x / (x + y), ci95=ends)

    def _interval(self, share: int) -> Interval:
        if share not in self._ends:
            columns = (self._hits[:, share], self._labels, self._of, self._possible[:, share])
            cells = [
                LabelledCell(name="", hits=hits, judged=n, of=of)
                for hits, n, of, possible in zip(*(column.tolist() for column in columns), strict=True)
                if n < of and possible
            ]
            sample = JudgedSample(
                size=float(self._size),
                clusters=self._labelled_clusters,
                cells=tuple(cells),
            )
            self._ends[share] = Estimates(
                rates=(float(self._rates[share]),),
                clusters=(self._clusters,),
                covariance=((float(self._covariance[share, share]),),),
                weights=(1.0,),
                samples=(sample,),
            ).interval()
        return self._ends[share]


Limits = tuple[float, Interval]  #: a value with its interval


def divide_interval(x: Limits, y: Limits, correlation: float) -> Interval:
    """The interval of x / (x + y), from those of x and y and the correlation of their errors."""
    ends: list[float] = []
    for sign in (1, -1):
        # the lower end is where (1 - t) x - t y could just be 0 if x were smaller and y larger; the upper likewise
        own, other = (x[0] - x[1][0], y[1][1] - y[0]) if sign > 0 else (x[1][1] - x[0], y[0] - y[1][0])
        low, high = 0.0, 1.0
        for _ in range(_STEPS):
            t = (low + high) / 2
            a, b = (1 - t) * own, t * other
            gap = (1 - t) * x[0] - t * y[0]
            if gap > sign * sqrt(max(0.0, a * a + b * b - 2 * correlation * a * b)):
                low = t
            else:
                high = t
        ends.append((low + high) / 2)
    value = x[0] / (x[0] + y[0])
    return min(ends[0], value), max(ends[1], value)
