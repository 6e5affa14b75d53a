"""Whether evaluations of the size that `harness power` asks for do what was asked.

    python -m benchmarks.power [REPLICATES]

Each line plans a size, or says what a given size reaches, for a chance of 80%. Then it draws so many evaluations of
that size from the assumed truth, and lets the product's own intervals and tests decide them: `reached` is the share
that did what was asked. Above 80% is what the steps of exact tests leave; below 77% is marked.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from math import ceil, sqrt

import numpy as np

from benchmarks.interval_cases import Array, Case, Rng, paired_epochs, seed_pairs, units
from harness.stats.assess import assess
from harness.stats.matching import difference_test
from harness.stats.power import Goal, PowerModel, find_reach, plan_records, split_pairs
from harness.stats.seeds import compare_seeds
from harness.stats.units import Units

REPLICATES = 2000
WEAK = 0.77
RATES = (0.01, 0.03, 0.1, 0.3, 0.5)
SIZES = (10, 15, 22, 30, 50)
CORRELATIONS = (0.0, 0.4)
WANTED: tuple[tuple[Goal, float], ...] = (
    *(("detect", 0.03), ("detect", 0.1), ("detect", 0.3)),
    *(("margin", 0.03), ("margin", 0.1)),
    *(("width", 0.05), ("width", 0.2)),
)
EVERY: tuple[Goal, ...] = ("detect", "margin", "width")
SEEDED = ((2, 0.3, 0.08, 0.0), (3, 0.3, 0.05, 0.0), (3, 0.2, 0.1, 0.005), (5, 0.1, 0.04, 0.005), (5, 0.1, 0.08, 0.01))
EPOCHS = ((0.4, 0.3, 0.5, 3), (0.15, 0.1, 0.5, 3), (0.4, 0.3, 0.0, 5))
LARGE = 20_000  #: samples that tell how clusters hang together
CALIBRATION = 4_000_000  #: answers that tell the correlations of a drawn world


def draw_pairs(n: int, left: float, right: float, correlation: float) -> Callable[[Rng], Units]:
    cells = split_pairs(left, right, correlation)

    def draw(rng: Rng) -> Units:
        kind = rng.choice(4, size=n, p=np.array(cells) / sum(cells))
        hits = np.concatenate((kind <= 1, (kind == 0) | (kind == 2)))
        return units(hits, np.tile(np.arange(n), 2), stratum=np.repeat([0, 1], n), strata=2)

    return draw


def reach(model: PowerModel, goal: Goal, size: float, n: int, other: float, replicates: int, rng: Rng) -> float:
    """The share of drawn evaluations that do what was asked."""
    done = 0
    draw = draw_pairs(n, other, model.rate, model.correlation)
    for _ in range(replicates):
        if goal in ("detect", "margin"):
            data = draw(rng)
            estimates = assess(data, (1.0, -1.0)).estimates
            assert estimates is not None
            if goal == "detect":
                done += difference_test(data, estimates)[0] < 0.05
            else:
                done += estimates.interval()[1] <= size + 1e-9
            continue
        ends = assess(units(rng.random(n) < model.rate, np.arange(n))).ci95
        assert ends is not None
        done += (ends[1] <= size) if goal == "limit" else (ends[1] - ends[0] <= size + 1e-9)
    return done / replicates


def planned(replicates: int, rng: Rng) -> Iterator[tuple[str, int, float, float]]:
    """Sizes that were asked for."""
    for rate in RATES:
        for goal, size in WANTED:
            for correlation in CORRELATIONS if goal in ("detect", "margin") else (0.0,):
                model = PowerModel(rate=rate, correlation=correlation)
                plan = plan_records(model, goal, size)
                if plan.records is None or plan.records > 3000:
                    continue
                other = rate if plan.other_rate is None else plan.other_rate
                found = reach(model, goal, size, plan.records, other, replicates, rng)
                name = f"{goal} {100 * size:g} points, rate {100 * rate:g}%"
                yield name + (f", correlation {correlation:g}" if correlation else ""), plan.records, plan.power, found
        limit = rate * 2 if rate < 0.3 else rate + 0.1
        plan = plan_records(PowerModel(rate=rate), "limit", limit)
        assert plan.records is not None
        found = reach(PowerModel(rate=rate), "limit", limit, plan.records, rate, replicates, rng)
        yield f"limit {100 * limit:g}, rate {100 * rate:g}%", plan.records, plan.power, found


def reached(replicates: int, rng: Rng) -> Iterator[tuple[str, int, float, float]]:
    """What small evaluations are said to reach."""
    for n in SIZES:
        for rate in RATES:
            for goal in EVERY:
                model = PowerModel(rate=rate, correlation=0.3 if goal != "width" else 0.0)
                size = find_reach(model, goal, n)
                if size is None:
                    continue
                ends = (rate + size, rate - size) if goal == "detect" else (rate,)
                others = [other for other in ends if 0 <= other <= 1]
                found = min(reach(model, goal, size, n, other, replicates, rng) for other in others)
                yield f"n={n}: {goal} {100 * size:.1f} points, rate {100 * rate:g}%", n, 0.8, found


def clustered(replicates: int, rng: Rng) -> Iterator[tuple[str, int, float, float]]:
    """Several answers to each sample; the design effect and the correlation are those of a large draw."""
    for left, right, shared, k in EPOCHS:
        hits = paired_epochs(LARGE, left, right, shared, k).draw(rng).num.reshape(2, LARGE, k)
        means = hits.mean(axis=2)
        own, other, gap = (float(np.var(each)) / LARGE for each in (means[1], means[0], means[0] - means[1]))
        model = PowerModel(
            rate=right,
            design_effect=own * LARGE * k / (right * (1 - right)),
            correlation=(own + other - gap) / (2 * sqrt(own * other)),
        )
        plan = plan_records(model, "detect", left - right)
        assert plan.records is not None
        case = paired_epochs(ceil(plan.records / k), left, right, shared, k)
        found = 0
        for _ in range(replicates):
            data = case.draw(rng)
            estimates = assess(data, case.weights).estimates
            found += estimates is not None and difference_test(data, estimates)[0] < 0.05
        name = f"{k} epochs: detect {100 * (left - right):.0f} points, rate {100 * right:g}%"
        yield f"{name}, design effect {model.design_effect:.1f}", plan.records, plan.power, found / replicates


def seeded(replicates: int, rng: Rng) -> Iterator[tuple[str, int, float, float]]:
    """Means over seeds: the world's correlations and deviations are measured in a large draw of it."""
    for runs, rate, gap, between in SEEDED:
        model = measure_world(runs, rate, between, rng)
        plan = plan_records(model, "detect", gap)
        assert plan.records is not None
        case = seed_pairs(plan.records, (runs, runs), (plan.other_rate or rate, rate), 0.5, between)
        found = 0
        for _ in range(replicates):
            estimates = assess(case.draw(rng), case.weights).estimates
            found += estimates is not None and compare_seeds(estimates, runs, runs).p < 0.05
        name = f"{runs} seeds: detect {100 * gap:g} points, rate {100 * rate:g}%"
        yield f"{name}, {between:.1%} between", plan.records, plan.power, found / replicates


def measure_world(runs: int, rate: float, between: float, rng: Rng) -> PowerModel:
    """The correlations of answers, and how far seeds differ, in the world of `seed_pairs`."""
    n = 2000
    draws = CALIBRATION // (4 * n)
    case: Case = seed_pairs(n, (2, 2), (rate, rate), 0.5, between)
    same, models, spread = list[float](), list[float](), list[float]()
    for _ in range(draws):
        hits = case.draw(rng).num.reshape(4, n)
        table: Array = np.atleast_2d(np.asarray(np.corrcoef(hits), dtype=np.float64))
        same += [table[0, 1], table[2, 3]]
        models += [table[0, 2], table[1, 3]]
        spread += [float(np.var(hits[:2].mean(axis=1), ddof=1)), float(np.var(hits[2:].mean(axis=1), ddof=1))]
    within = float(np.mean(same))
    noise = (1 - within) * rate * (1 - rate) / n
    seed_sd = sqrt(max(0.0, float(np.mean(spread)) - noise))
    return PowerModel(rate=rate, correlation=float(np.mean(models)), within=within, seed_sd=seed_sd, seeds=runs)


def main() -> None:
    replicates = int(sys.argv[1]) if len(sys.argv) > 1 else REPLICATES
    rng, started = np.random.default_rng(20261201), time.perf_counter()
    print(f"{'asked: 80 of 100':56} {'samples':>8} {'said':>6} {'reached':>8}")
    shares: list[float] = []
    for lines in (planned, reached, clustered, seeded):
        for name, n, said, found in lines(replicates, rng):
            shares.append(found)
            print(f"{name:56} {n:8} {said:6.3f} {found:8.3f}{'  short' if found < WEAK else ''}", flush=True)
        print()
    print(f"least {min(shares):.3f}, mean {np.mean(shares):.3f}, most {max(shares):.3f}")
    error = sqrt(0.8 * 0.2 / replicates)
    print(f"{replicates} evaluations a line; one standard error is {error:.3f}. {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
