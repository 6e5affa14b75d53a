"""How often the 95% intervals of results.json hold the truth, in simulated evaluations.

    python -m benchmarks.intervals [REPLICATES]

Each case draws data sets from a known truth and asks `harness.stats.assess`, which computes
every interval the harness shows: of rates, means over strata and paired differences, and of each where the judge has
read a part of the answers. Beside it stand two usual ways: the percentile bootstrap over clusters, and Wilson over all
records as if independent.
`above` is the share of intervals that lie above the truth, `below` of those below it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt

import numpy as np

from benchmarks.interval_cases import CASES, Case, Rng, pairs
from harness.stats.assess import assess
from harness.stats.intervals import Interval, wilson
from harness.stats.matching import detectable_difference, difference_test
from harness.stats.units import Units

REPLICATES = 1500
REFERENCES = 250  #: replicates on which the bootstrap is tried, which costs most of the time
RESAMPLES = 300
SHORT = 0.94
WEAK = 0.77
STEPS, TRIED = 8, 100  #: to find a difference that equals what is detectable at it
POWERS = (
    *((1000, 0.5, 0.6), (1000, 0.9, 0.9), (200, 0.5, 0.6), (100, 0.8, 0.9), (50, 0.5, 0.6), (30, 0.5, 0.6)),
    *((22, 0.6, 0.6), (15, 0.8, 0.6), (10, 0.95, 0.3)),
)
HEAD = f"{'case':53}   truth coverage  above  below  width  bootstrap Wilson"


def ours(case: Case, data: Units, _: Rng) -> Interval | None:
    return assess(data, case.weights).ci95 if case.estimate is None else case.estimate(data)


def pooled_wilson(case: Case, data: Units, _: Rng) -> Interval | None:
    if case.weights is not None or not data.den.sum():
        return None
    return wilson(float(data.num.sum() / data.den.sum()), float(data.den.sum()))


def bootstrap(case: Case, data: Units, rng: Rng) -> Interval | None:
    """Percentiles over resampled clusters, as a multinomial over the distinct contributions of a cluster.

    Not where a part is judged: its value would be that of the labelled records alone.
    """
    if data.frame is not None:
        return None
    strata, clusters = data.strata, int(data.cluster.max()) + 1
    place = data.cluster * strata + data.stratum
    sums = [np.bincount(place, side, clusters * strata).reshape(clusters, strata) for side in (data.num, data.den)]
    kinds, counts = np.unique(np.concatenate(sums, axis=1), axis=0, return_counts=True)
    drawn = rng.multinomial(clusters, counts / clusters, RESAMPLES) @ kinds
    with np.errstate(invalid="ignore", divide="ignore"):
        rates = drawn[:, :strata] / drawn[:, strata:]
    if data.block > 1:
        blocks = rates.reshape(len(rates), -1, data.block)
        rates = np.repeat(data.block / (1 / np.maximum(blocks, 1e-12)).sum(axis=2), data.block, axis=1)
    values = rates @ np.array(case.weights or [1 / strata] * strata)
    low, high = np.nanpercentile(values, (2.5, 97.5))
    return float(low), float(high)


@dataclass(slots=True)
class Score:
    """How one way did on one case."""

    held: int = 0
    above: int = 0
    below: int = 0
    width: float = 0.0

    def add(self, interval: Interval | None, truth: float) -> None:
        if interval is None:
            return
        low, high = interval
        self.above += low > truth + 1e-12
        self.below += high < truth - 1e-12
        self.held += low <= truth + 1e-12 and high >= truth - 1e-12
        self.width += high - low

    @property
    def n(self) -> int:
        return self.held + self.above + self.below

    @property
    def coverage(self) -> float:
        return self.held / self.n if self.n else float("nan")


def play(case: Case, replicates: int, rng: Rng) -> Iterator[Score]:
    ways = ((ours, replicates), (bootstrap, min(REFERENCES, replicates)), (pooled_wilson, replicates))
    scores = [Score() for _ in ways]
    for index in range(replicates):
        data = case.draw(rng)
        for score, (way, often) in zip(scores, ways, strict=True):
            if index < often:
                score.add(way(case, data, rng), case.truth)
    yield from scores


def main() -> None:
    replicates = int(sys.argv[1]) if len(sys.argv) > 1 else REPLICATES
    rng, started, short = np.random.default_rng(20261120), time.perf_counter(), list[str]()
    print(HEAD)
    for case in CASES:
        own, resampled, pooled = play(case, replicates, rng)
        mark = "  short" if own.coverage < SHORT else ""
        short += [f"{case.name}: {own.coverage:.3f}"] if mark else []
        print(
            f"{case.name:53} {case.truth:7.3f} {own.coverage:8.3f} {own.above / own.n:6.3f} {own.below / own.n:6.3f}"
            f" {own.width / own.n:6.3f}  {_shown(resampled.coverage):>9} {_shown(pooled.coverage):>6}{mark}"
        )
    error = sqrt(0.95 * 0.05 / replicates)
    print(
        f"\n{replicates} data sets a case (bootstrap {min(REFERENCES, replicates)}); one standard error is {error:.3f}."
    )
    print(f"Short of {SHORT}: {'; '.join(short) or 'none'}.")
    powers(replicates, rng)
    print(f"{time.perf_counter() - started:.0f} s")


def powers(replicates: int, rng: Rng) -> None:
    """How often a paired difference is found that is as large as the smallest one that is said to be detectable."""
    print(f"\n{'paired test at 5%, two-sided':40} {'detectable':>10} {'found':>6} {'found at 0':>10}")
    for n, rate, shared in POWERS:
        gap = 0.2
        for _ in range(STEPS):
            case = pairs(n, rate, rate - gap, shared)
            gap = min(rate - 0.001, float(np.mean([_detectable(case, case.draw(rng)) for _ in range(TRIED)])))
        power, size = (found_at(pairs(n, rate, rate - each, shared), replicates, rng) for each in (gap, 0.0))
        mark = "  short of 0.8" if power < WEAK else ""
        print(f"{f'n={n}, baseline {rate}, shared={shared}':40} {gap:10.3f} {power:6.2f} {size:10.3f}{mark}")


def _detectable(case: Case, data: Units) -> float:
    estimates = assess(data, case.weights).estimates
    found = None if estimates is None else detectable_difference(data, estimates)
    return 1.0 if found is None else found


def found_at(case: Case, replicates: int, rng: Rng) -> float:
    """Share of data sets whose difference has p below 0.05."""
    found = 0
    for _ in range(replicates):
        data = case.draw(rng)
        estimates = assess(data, case.weights).estimates
        found += estimates is not None and difference_test(data, estimates)[0] < 0.05
    return found / replicates


def _shown(coverage: float) -> str:
    return "-" if coverage != coverage else f"{coverage:.2f}"


if __name__ == "__main__":
    main()
