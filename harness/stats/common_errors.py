"""The difference of two runs by people's labels, if the judge errs alike on both (Rogan and Gladen 1978).

A judge that finds a share `se` of what people call a hit and leaves alone a share `sp` of the rest shrinks every
difference by se + sp - 1. Where both runs have the same se and sp, the labels of both tell them together:

    t_i         p_j + [labelled] (N_j / n_j) (h_i - p_j), as in `harness.stats.correction`: each cell weighs as it was
                drawn
    se, sp      sum of J_i t_i / sum of t_i,  sum of (1 - J_i)(1 - t_i) / sum of (1 - t_i), over both runs; J_i is what
                the judge's label counts as, 0 or 1
    rate        (known and unscored: sum of t_i;  scored: sum of (J_i - 1 + sp) / (se + sp - 1)) / N
    interval    Fieller's, of the ratio that the difference is: it holds that se + sp - 1 is an estimate too

It is wrong if the errors differ: then it is biased, however many labels there are. So it is given only by name, beside
a test of equal se and of equal sp.

The test is a score test on sums in clusters. Fisher's exact test of the labelled answers would be wrong here: people
label unequal parts of the judge's labels, so their shares among the labelled are not se and sp, and answers to one
question hang together. With so few labels it finds only large differences.

`python -m benchmarks.common_errors` prints the simulated coverage, with equal errors and with unequal ones.

A cell without errors among its labels has no variance, yet the next label may be one. So its share of the variance is
that of (hits + 1/2) / (labels + 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist
from typing import Final

import numpy as np

from harness.stats.correction import LabelledAnswers, count_cells, find_shortfall
from harness.stats.intervals import Z95, Interval
from harness.stats.units import Bools, Floats, Ints, sum_by

_TAIL: Final = 0.975
_SIGNS: Final = (1.0, -1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorRate:
    """The judge's sensitivity or its specificity.

    Attributes:
        both: from the labels of both runs.
        first: from those of the first run; None where it has no such answer.
        second: from those of the second.
        p: that they are equal, two-sided; None where one run tells nothing.
    """

    both: float
    first: float | None
    second: float | None
    p: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CommonErrors:
    """A difference under common errors.

    Attributes:
        value: rate of the first run less that of the second, -1 to 1; None with a reason in `why`.
        ci95: around the value.
        sensitivity: share of people's hits that the judge calls one; None where there is none.
        specificity: share of the others that the judge calls none.
        why: there is no value, as a sentence without its full stop; empty where there is one.
    """

    value: float | None = None
    ci95: Interval | None = None
    sensitivity: ErrorRate | None = None
    specificity: ErrorRate | None = None
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Arm:
    """One run: its pseudo-records of people's labels and what the judge says.

    Attributes:
        truth: t_i.
        judged: J_i; 0 where the judge gave no label.
        scored: the judge gave a label.
        cluster: as in `LabelledAnswers`.
        cell: likewise.
        excess: of each cell: the variance that its rate has above what its labels show.
    """

    truth: Floats
    judged: Floats
    scored: Bools
    cluster: Ints
    cell: Ints
    excess: Floats

    @property
    def hits(self) -> float:
        """How many scored answers people call a hit."""
        return float(self.truth[self.scored].sum())

    @property
    def others(self) -> float:
        """How many scored answers people call none."""
        return float((1 - self.truth)[self.scored].sum())

    def rate_errors(self) -> tuple[float, float]:
        """How many hits the judge found, and how many others it left alone."""
        found, left = self.judged * self.truth, (1 - self.judged) * (1 - self.truth)
        return float(found[self.scored].sum()), float(left[self.scored].sum())


def correct_by_common_errors(
    left: LabelledAnswers, right: LabelledAnswers, judged: tuple[Floats, Floats]
) -> CommonErrors:
    """The difference of two rates with one sensitivity and one specificity; equal clusters belong together.

    Args:
        left: the first run.
        right: the second.
        judged: of each run: what the judge's label of each answer counts as, 0 or 1; NaN where it gave none.
    """
    samples = (left, right)
    for name, sample in zip(("first", "second"), samples, strict=True):
        if why := find_shortfall(count_cells(sample), sample.labels, len(sample)):
            return CommonErrors(why=f"of the {name} run, {why}")
    arms = [_build_arm(sample, said) for sample, said in zip(samples, judged, strict=True)]
    hits, others = sum(arm.hits for arm in arms), sum(arm.others for arm in arms)
    if hits <= 0:
        return CommonErrors(why="people call no answer of either run a hit, so the judge's sensitivity is not known")
    if others <= 0:
        return CommonErrors(why="people call every answer of both runs a hit, so the judge's specificity is not known")
    found, alone = (sum(counts) for counts in zip(*(arm.rate_errors() for arm in arms), strict=True))
    se, sp = found / hits, alone / others
    sensitivity, specificity = _compare_errors(arms, se, hit=True), _compare_errors(arms, sp, hit=False)
    value, ci95 = _estimate(arms, se, sp, hits, others)
    if ci95 is None:
        why = f"the judge's labels tell too little of people's: sensitivity {se:.2f}, specificity {sp:.2f}"
        return CommonErrors(sensitivity=sensitivity, specificity=specificity, why=why)
    return CommonErrors(value=value, ci95=ci95, sensitivity=sensitivity, specificity=specificity)


def _build_arm(sample: LabelledAnswers, judged: Floats) -> _Arm:
    of, labelled, hits = sample.sum_cells()
    rate = np.divide(hits, labelled, out=np.full(len(of), 0.5), where=labelled > 0)
    stands_for = np.divide(of, labelled, out=np.zeros(len(of)), where=labelled > 0)[sample.cell]
    own = rate[sample.cell]
    smooth = (hits + 0.5) / (labelled + 1)
    spread = np.maximum(smooth * (1 - smooth) - np.where(labelled > 0, rate * (1 - rate), 0.0), 0.0)
    part = np.where(labelled > 0, 1 / np.maximum(labelled, 1) - 1 / np.maximum(of, 1), 1.0)
    scored = ~np.isnan(judged) & ~sample.known
    return _Arm(
        truth=own + np.where(sample.votes > 0, stands_for * (sample.hit - own), 0.0),
        judged=np.where(scored, judged, 0.0),
        scored=scored,
        cluster=sample.cluster,
        cell=sample.cell,
        excess=np.where(of > 0, spread * part, 0.0),
    )


def _estimate(arms: Sequence[_Arm], se: float, sp: float, hits: float, others: float) -> tuple[float, Interval | None]:
    """The difference, and Fieller's interval of it; no interval where se + sp - 1 may be 0."""
    slope = se + sp - 1
    sizes = [len(arm.truth) for arm in arms]
    # both rates are a part that the judge did not score, and a scored part that is divided by the slope
    plain = [float(arm.truth[~arm.scored].sum()) / size for arm, size in zip(arms, sizes, strict=True)]
    scored = [float((arm.judged - 1 + sp)[arm.scored].sum()) / size for arm, size in zip(arms, sizes, strict=True)]
    apart, top = plain[0] - plain[1], scored[0] - scored[1]
    numerator = top + apart * slope
    open_share = sum(sign * arm.scored.mean() for sign, arm in zip(_SIGNS, arms, strict=True))
    rows: list[tuple[Floats, Floats]] = []
    extra = np.zeros(3)
    for sign, arm, size, own_plain, own_scored in zip(_SIGNS, arms, sizes, plain, scored, strict=True):
        wrong_hit = np.where(arm.scored, arm.judged - se, 0.0) / hits  # of se, by t_i
        wrong_other = np.where(arm.scored, 1 - arm.judged - sp, 0.0) / others  # of sp, by 1 - t_i
        by_sp = wrong_other * (1 - arm.truth)
        by_slope = wrong_hit * arm.truth + by_sp
        by_scored = sign * (np.where(arm.scored, arm.judged - 1 + sp, 0.0) - own_scored) / size + open_share * by_sp
        by_plain = sign * (np.where(arm.scored, 0.0, arm.truth) - own_plain) / size
        rows.append((by_scored + slope * by_plain + apart * by_slope, by_slope))
        # the same by the rate of a cell, for what its labels do not show
        of_slope = wrong_hit - wrong_other
        of_top = -open_share * wrong_other + slope * np.where(arm.scored, 0.0, sign / size) + apart * of_slope
        cells = len(arm.excess)
        tops, slopes = sum_by(arm.cell, of_top, cells), sum_by(arm.cell, of_slope, cells)
        extra += [(arm.excess * each).sum() for each in (tops * tops, tops * slopes, slopes * slopes)]
    cluster = np.concatenate([arm.cluster for arm in arms])
    u, v = (_sum_clusters(cluster, np.concatenate([row[place] for row in rows])) for place in (0, 1))
    weight = _weigh_few(len(u), max(sizes))
    uu, uv, vv = np.asarray([(u * u).sum(), (u * v).sum(), (v * v).sum()]) * weight + extra
    # all ratios r with (numerator - r slope)^2 <= z^2 (uu - 2 r uv + r^2 vv)
    a = slope * slope - Z95**2 * vv
    b = numerator * slope - Z95**2 * uv
    c = numerator * numerator - Z95**2 * uu
    value = numerator / slope if slope else 0.0
    if slope <= 0 or a <= 0:
        return value, None
    root = sqrt(max(0.0, b * b - a * c))
    ends = _clip((b - root) / a), _clip((b + root) / a)
    return _clip(value), ends


def _clip(value: float) -> float:
    return float(min(1.0, max(-1.0, value)))


def _compare_errors(arms: Sequence[_Arm], both: float, *, hit: bool) -> ErrorRate:
    """The judge's sensitivity (`hit`) or specificity in each run, and the score test that they are equal."""
    weights = [arm.truth if hit else 1 - arm.truth for arm in arms]
    says = [np.where(arm.scored, (arm.judged if hit else 1 - arm.judged) - both, 0.0) for arm in arms]
    totals = [float(weight[arm.scored].sum()) for weight, arm in zip(weights, arms, strict=True)]
    if min(totals) <= 0:
        own = [None if total <= 0 else both for total in totals]
        return ErrorRate(both=both, first=own[0], second=own[1], p=None)
    apart = [float((say * weight).sum()) / total for say, weight, total in zip(says, weights, totals, strict=True)]
    rows = [sign * say * weight / total for sign, say, weight, total in zip(_SIGNS, says, weights, totals, strict=True)]
    extra = 0.0
    for arm, say, total in zip(arms, says, totals, strict=True):
        by_cell = sum_by(arm.cell, say / total, len(arm.excess))
        extra += float((arm.excess * by_cell**2).sum())
    sums = _sum_clusters(np.concatenate([arm.cluster for arm in arms]), np.concatenate(rows))
    variance = float((sums * sums).sum()) * _weigh_few(len(sums), max(len(arm.truth) for arm in arms)) + extra
    return ErrorRate(
        both=both,
        first=both + apart[0],
        second=both + apart[1],
        p=2 * NormalDist().cdf(-abs(apart[0] - apart[1]) / sqrt(variance)) if variance > 0 else 1.0,
    )


def _sum_clusters(cluster: Ints, values: Floats) -> Floats:
    _, place = np.unique(cluster, return_inverse=True)
    return sum_by(place.astype(np.int64), values, int(place.max()) + 1)


def _weigh_few(clusters: int, answers: int) -> float:
    """What a variance from few clusters is multiplied by (Korn and Graubard 1998); 1 where each answer is one."""
    from scipy.special import stdtrit

    few, many = max(clusters, 2), max(answers, 2)
    if few >= many:
        return 1.0
    ratio = stdtrit(few - 1, _TAIL) / stdtrit(many - 1, _TAIL)
    return float(ratio**2 * (1 - 1 / many) / (1 - 1 / few))
