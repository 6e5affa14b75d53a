"""How often a gate lets through, or refuses, a model that lies exactly at a limit.

    python -m benchmarks.gates [REPLICATES]

A model at its limit is the hardest one: any model that breaks the rule passes less often, and any that keeps it fails
less often. `passed` should be 2.5% or less, since the rule is then let through by luck; `failed` too. `family` is the
share of gates in which any of several rules at their limits fails, with Holm's adjustment and without it: 5% or less is
promised, two-sided, so that about 2.5% is seen.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from math import sqrt

import numpy as np

from benchmarks.interval_cases import Case, Rng, epochs, f1, pairs, plain, situations
from harness.stats.assess import assess
from harness.stats.gates import ALPHA, LimitCheck, check_difference, check_rate
from harness.stats.matching import holm

REPLICATES = 4000
RATES = (0.01, 0.03, 0.05, 0.1, 0.2, 0.5, 0.9)
SIZES = (22, 50, 120, 500, 1675)
RULES = (1, 5, 20)
OTHERS = (
    epochs(100, 0.1, 0.5),
    epochs(400, 0.05, 0.5),
    situations(300, 0.9, 0.6, 0.3),
    f1(200, 0.85, 0.1, 0.3),
)
DIFFERENCES = (
    pairs(100, 0.2, 0.2, 0.6),
    pairs(500, 0.13, 0.1, 0.6),
    pairs(500, 0.08, 0.05, 0.6),
    pairs(1675, 0.08, 0.05, 0.6),
    pairs(120, 0.53, 0.5, 0.6),
)


def decide(case: Case, rng: Rng) -> LimitCheck | None:
    """One evaluation of a model at its limit: a rate's truth is the limit, a difference's the margin."""
    found = assess(case.draw(rng), case.weights)
    if found.worst is None or found.bounds is None:
        return None
    if case.weights is not None:
        return check_difference(found.worst, found.bounds, case.truth, lower_is_better=True)
    return check_rate(found.worst, found.bounds, case.truth, most=True)


def play(case: Case, replicates: int, rng: Rng) -> tuple[float, float]:
    """Shares of evaluations in which the rule passes and fails."""
    checks = [check for _ in range(replicates) if (check := decide(case, rng)) is not None]
    return sum(check.within for check in checks) / len(checks), sum(check.p < ALPHA for check in checks) / len(checks)


def families(replicates: int, rng: Rng) -> Iterator[str]:
    """The share of gates with a fail, where all rules are at their limits."""
    cases = (("n=500, p=0.05", plain(500, 0.05)), ("two strata, 300 records", situations(300, 0.9, 0.6, 0.3)))
    for name, case in cases:
        for rules in RULES:
            adjusted = bare = 0
            gates = max(replicates // rules, 200)
            for _ in range(gates):
                every = (decide(case, rng) for _ in range(rules))
                p = {str(place): check.p for place, check in enumerate(every) if check is not None}
                bare += min(p.values()) < ALPHA
                adjusted += min(holm(p).values()) < ALPHA
            yield f"{f'{rules} rules at their limits, {name}':52} {adjusted / gates:8.3f} {bare / gates:8.3f}"


def main() -> None:
    replicates = int(sys.argv[1]) if len(sys.argv) > 1 else REPLICATES
    rng, started = np.random.default_rng(20261201), time.perf_counter()
    print(f"{'model at its limit':52} {'passed':>8} {'failed':>8}")
    worst = [0.0, 0.0]
    cases = [plain(n, rate) for n in SIZES for rate in RATES]
    for case in (*cases, *OTHERS, *DIFFERENCES):
        passed, failed = play(case, replicates, rng)
        worst = [max(worst[0], passed), max(worst[1], failed)]
        print(f"{case.name:52} {passed:8.3f} {failed:8.3f}")
    print(f"\n{'most of all cases':52} {worst[0]:8.3f} {worst[1]:8.3f}")
    print(f"\n{'any fail in a family':52} {'Holm':>8} {'without':>8}")
    for line in families(replicates, rng):
        print(line)
    error = sqrt(0.025 * 0.975 / replicates)
    print(f"\n{replicates} evaluations a case; one standard error is {error:.4f}.")
    print(f"{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
