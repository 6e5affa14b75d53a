"""How often a difference under common errors holds the truth, and how often its tests reject, in simulated comparisons.

    python -m benchmarks.common_errors [REPLICATES]

Two runs answer the same questions, one judge reads both, and people label a drawn part of each, in equal numbers of the
judge's labels. In the first rows the judge errs alike on both runs; in the last its sensitivity differs. The estimate
with each run's own labels stands beside it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import sqrt
from statistics import NormalDist

import numpy as np

from benchmarks.calibration import (
    ALIKE,
    ALIKE_ERRORS,
    JUDGES,
    Answers,
    Rng,
    build_sample,
    draw_clusters,
    draw_labels,
    measure,
    normal_clusters,
)
from harness.stats.common_errors import CommonErrors, correct_by_common_errors
from harness.stats.correction import correct_difference
from harness.stats.intervals import Interval

REPLICATES = 300
RATES = ((0.3, 0.3), (0.5, 0.4), (0.1, 0.05), (0.9, 0.7), (0.03, 0.03))
UNEQUAL = (((0.9, 0.9), (0.8, 0.9)), ((0.9, 0.9), (0.6, 0.9)))  #: of each run: sensitivity, specificity
Judge = tuple[float, float]


@dataclass(slots=True)
class Found:
    """What the estimators gave in one case."""

    truth: float
    common: list[Interval | None] = field(default_factory=list["Interval | None"])
    own: list[Interval | None] = field(default_factory=list["Interval | None"])
    tests: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])

    def add(self, common: CommonErrors, own: Interval | None) -> None:
        """Keep one data set's."""
        self.common.append(common.ci95)
        self.own.append(own)
        pair = (common.sensitivity, common.specificity)
        p = [1.0 if errors is None or errors.p is None else errors.p for errors in pair]
        self.tests.append((p[0], p[1]))


def draw_runs(rng: Rng, rates: tuple[float, float], judges: tuple[Judge, Judge]) -> list[Answers]:
    """Both runs' answers; those to one question hang together, and so do those in one cluster."""
    cluster, inverse = draw_clusters(rng), NormalDist().inv_cdf
    shared = normal_clusters(rng, cluster, ALIKE)
    runs: list[Answers] = []
    for rate, (sensitivity, specificity) in zip(rates, judges, strict=True):
        truth = sqrt(0.5) * shared + sqrt(0.5) * normal_clusters(rng, cluster, ALIKE) < inverse(rate)
        errors = np.where(truth, inverse(1 - sensitivity), inverse(1 - specificity))
        wrong = normal_clusters(rng, cluster, ALIKE_ERRORS) < errors
        runs.append(Answers(truth=truth.astype(np.int64), judged=(truth ^ wrong).astype(np.int64), cluster=cluster))
    return runs


def try_case(rates: tuple[float, float], judges: tuple[Judge, Judge], labels: int, replicates: int) -> Found:
    rng = np.random.default_rng([int(1000 * each) for each in (*rates, *judges[0], *judges[1], labels / 1000)])
    found = Found(truth=rates[0] - rates[1])
    for _ in range(replicates):
        runs = draw_runs(rng, rates, judges)
        arms = [build_sample(run, draw_labels(rng, run, labels, "equal"), (1,), 2) for run in runs]
        own = correct_difference(arms[0], arms[1])
        common = correct_by_common_errors(
            arms[0], arms[1], (runs[0].judged.astype(np.float64), runs[1].judged.astype(np.float64))
        )
        found.add(common, None if isinstance(own, str) else own.interval())
    return found


def print_row(name: str, cases: Sequence[Found]) -> None:
    texts: list[str] = []
    for estimator in ("common", "own"):
        trials = [measure(getattr(case, estimator), case.truth) for case in cases]
        holds, widths = [trial.hold for trial in trials], [trial.width for trial in trials]
        refused = np.mean([trial.refused for trial in trials])
        texts.append(f"{np.mean(holds):.3f} {min(holds):.3f} {np.median(widths):.3f} {refused:6.1%}")
    rejected = np.array([np.mean(np.array(case.tests) < 0.05, axis=0) for case in cases])
    tests = " ".join(f"{mean:.3f} {most:.3f}" for mean, most in zip(rejected.mean(0), rejected.max(0), strict=True))
    print(f"{name:40} {len(cases):5}   {texts[0]}   {texts[1]}   {tests}", flush=True)


def main() -> int:
    started = time.perf_counter()
    replicates = int(sys.argv[1]) if len(sys.argv) > 1 else REPLICATES
    print(f"{'':46}   {'common errors':26}   {'own labels':26}   rejected at 5%")
    print(f"{'case':40} cases   mean  least width refused   mean  least width refused   se mean, most; sp mean, most")
    for labels in (100, 200):
        cases = [try_case(rates, (judge, judge), labels, replicates) for rates in RATES for judge in JUDGES]
        print_row(f"equal errors, {labels} labels each", cases)
    for judges in UNEQUAL:
        for labels in (100, 200):
            cases = [try_case(rates, judges, labels, replicates) for rates in RATES[:2]]
            print_row(f"sensitivity {judges[0][0]} and {judges[1][0]}, {labels} labels each", cases)
    print(f"{time.perf_counter() - started:.0f} s")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
