"""How often the 95% intervals of results.json hold the truth, in simulated evaluations.

    python -m benchmarks.intervals [REPLICATES]

Each case draws data sets from a known truth and asks `harness.stats.assess`, which computes
every interval the harness shows.
Beside it stand two usual ways: the percentile bootstrap over clusters, and Wilson over all records as if independent.
`above` is the share of intervals that lie above the truth, `below` of those below it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.stats.assess import assess
from harness.stats.intervals import Interval, wilson
from harness.stats.units import SETTLED, Units

REPLICATES = 1500
REFERENCES = 250  #: replicates on which the bootstrap is tried, which costs most of the time
RESAMPLES = 300
SHORT = 0.94
HEAD = f"{'case':46}   truth coverage  above  below  width  bootstrap Wilson"
Rng = np.random.Generator
Array = NDArray[np.float64]
#: samples per scenario of a benchmark that reports the mean of 13 scenarios
SCENARIOS = (97, 163, 44, 144, 122, 154, 109, 153, 130, 167, 109, 139, 149)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Data sets of one kind; `weights` as in `harness.stats.assess`, None for a mean over strata."""

    name: str
    truth: float
    draw: Callable[[Rng], Units]
    weights: tuple[float, ...] | None = None


def units(num: NDArray[Any], cluster: object, *, den: object = 1.0, stratum: object = 0, strata: int = 1) -> Units:
    return Units(
        num=num.astype(np.float64),
        den=np.array(np.broadcast_to(np.asarray(den, dtype=np.float64), num.shape)),
        choice=np.full(len(num), SETTLED),
        left_out=np.zeros(len(num), dtype=bool),
        cluster=np.asarray(cluster, dtype=np.int64),
        stratum=np.array(np.broadcast_to(np.asarray(stratum, dtype=np.int64), num.shape)),
        strata=strata,
        menus=(),
    )


def latent(rng: Rng, shape: tuple[int, int], shared: float) -> Array:
    """Normal draws whose rows share a part of their variance."""
    return sqrt(shared) * rng.standard_normal((shape[0], 1)) + sqrt(1 - shared) * rng.standard_normal(shape)


def cut(*rates: float) -> Array:
    return np.array([NormalDist().inv_cdf(rate) for rate in rates])


def plain(n: int, rate: float) -> Case:
    return Case(
        name=f"plain rate, n={n}, p={rate}", truth=rate, draw=lambda rng: units(rng.random(n) < rate, np.arange(n))
    )


def epochs(n: int, rate: float, alike: float, k: int = 5) -> Case:
    """Answers to one sample are alike: its own rate is drawn from a beta distribution."""
    a, b = rate * (1 - alike) / alike, (1 - rate) * (1 - alike) / alike

    def draw(rng: Rng) -> Units:
        hit = rng.random((n, k)) < rng.beta(a, b, (n, 1))
        return units(hit.ravel(), np.repeat(np.arange(n), k))

    return Case(name=f"{k} epochs, n={n}, p={rate}, alike={alike}", truth=rate, draw=draw)


def situations(records: int, safe: float, unsafe: float, r: float, queries: int = 2) -> Case:
    """Mean of two strata that share their clusters, as MSSBench's safe and unsafe situations do."""

    def draw(rng: Rng) -> Units:
        one, other = rng.standard_normal((2, records, 1))
        tendency = np.concatenate((one, r * one + sqrt(1 - r * r) * other), axis=1)
        noise = rng.standard_normal((records, queries, 2))
        hit = sqrt(0.8) * tendency[:, None, :] + sqrt(0.2) * noise < cut(safe, unsafe)
        cluster = np.repeat(np.arange(records), 2 * queries)
        return units(hit.ravel(), cluster, stratum=np.tile([0, 1], records * queries), strata=2)

    return Case(name=f"two strata, {records} records, {safe}/{unsafe}, r={r}", truth=(safe + unsafe) / 2, draw=draw)


def pairs(n: int, left: float, right: float, shared: float) -> Case:
    def draw(rng: Rng) -> Units:
        hit = latent(rng, (n, 2), shared) < cut(left, right)
        return units(hit.T.ravel(), np.tile(np.arange(n), 2), stratum=np.repeat([0, 1], n), strata=2)

    name = f"pairs, n={n}, {left} - {right}, shared={shared}"
    return Case(name=name, truth=left - right, draw=draw, weights=(1.0, -1.0))


def f1(images: int, hit: float, false: float, shared: float, questions: int = 6) -> Case:
    """Yes/no questions, half of them positive, several to an image."""

    def draw(rng: Rng) -> Units:
        positive = np.tile(np.arange(questions) % 2 == 0, (images, 1))
        yes = latent(rng, (images, questions), shared) < np.where(positive, *cut(hit, false))
        num = 2.0 * (positive & yes)
        den = num + (positive & ~yes) + (~positive & yes)
        return units(num.ravel(), np.repeat(np.arange(images), questions), den=den.ravel())

    truth = 2 * hit / (2 * hit + (1 - hit) + false)
    return Case(name=f"F1, {images} images x {questions}, {hit}/{false}", truth=truth, draw=draw)


def macro(name: str, rates: Array) -> Case:
    stratum = np.repeat(np.arange(len(SCENARIOS)), SCENARIOS)

    def draw(rng: Rng) -> Units:
        hit = rng.random(len(stratum)) < rates[stratum]
        return units(hit, np.arange(len(stratum)), stratum=stratum, strata=len(SCENARIOS))

    return Case(name=f"macro of {len(SCENARIOS)} strata, {name}", truth=float(rates.mean()), draw=draw)


CASES = (
    plain(1675, 0.8),
    plain(510, 0.018),
    plain(100, 0.42),
    plain(22, 0.03),
    plain(22, 0.1),
    pairs(2185, 0.8, 0.017, 0.3),
    pairs(100, 0.78, 0.85, 0.6),
    pairs(100, 0.02, 0.03, 0.6),
    pairs(22, 0.1, 0.2, 0.6),
    pairs(22, 0.5, 0.5, 0.95),
    situations(300, 0.9, 0.1, 0.8),
    situations(300, 0.6, 0.4, 0.0),
    situations(300, 0.6, 0.4, -0.95),
    situations(300, 0.99, 0.02, -0.5),
    situations(30, 0.9, 0.1, -0.5),
    epochs(100, 0.3, 0.5),
    epochs(100, 0.03, 0.5),
    epochs(22, 0.3, 0.8),
    epochs(22, 0.1, 0.5),
    f1(500, 0.85, 0.1, 0.1),
    f1(500, 0.995, 0.002, 0.1),
    f1(40, 0.85, 0.1, 0.1),
    f1(20, 0.5, 0.2, 0.3),
    macro("0.02 to 0.6", np.linspace(0.02, 0.6, 13)),
    macro("0.005 each", np.full(13, 0.005)),
    macro("0.97 each", np.full(13, 0.97)),
    macro("one of them 0.5, else 0", np.array([0.5] + [0.0] * 12)),
)


def ours(case: Case, data: Units, _: Rng) -> Interval | None:
    return assess(data, case.weights).ci95


def pooled_wilson(case: Case, data: Units, _: Rng) -> Interval | None:
    if case.weights is not None or not data.den.sum():
        return None
    return wilson(float(data.num.sum() / data.den.sum()), float(data.den.sum()))


def bootstrap(case: Case, data: Units, rng: Rng) -> Interval | None:
    """Percentiles over resampled clusters, as a multinomial over the distinct contributions of a cluster."""
    strata, clusters = data.strata, int(data.cluster.max()) + 1
    place = data.cluster * strata + data.stratum
    sums = [np.bincount(place, side, clusters * strata).reshape(clusters, strata) for side in (data.num, data.den)]
    kinds, counts = np.unique(np.concatenate(sums, axis=1), axis=0, return_counts=True)
    drawn = rng.multinomial(clusters, counts / clusters, RESAMPLES) @ kinds
    with np.errstate(invalid="ignore", divide="ignore"):
        rates = drawn[:, :strata] / drawn[:, strata:]
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
            f"{case.name:46} {case.truth:7.3f} {own.coverage:8.3f} {own.above / own.n:6.3f} {own.below / own.n:6.3f}"
            f" {own.width / own.n:6.3f}  {resampled.coverage:9.2f} {_shown(pooled.coverage):>6}{mark}"
        )
    error = sqrt(0.95 * 0.05 / replicates)
    print(
        f"\n{replicates} data sets a case (bootstrap {min(REFERENCES, replicates)}); one standard error is {error:.3f}."
    )
    print(f"Short of {SHORT}: {'; '.join(short) or 'none'}.")
    print(f"{time.perf_counter() - started:.0f} s")


def _shown(coverage: float) -> str:
    return "-" if coverage != coverage else f"{coverage:.2f}"


if __name__ == "__main__":
    main()
