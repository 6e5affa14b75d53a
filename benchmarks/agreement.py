"""How often the 95% intervals of `harness agree` hold the truth, in simulated pairs of judges.

    python -m benchmarks.agreement [REPLICATES]

Each case is two judges who see the truth with a chance of `sharp` and else guess by the labels' shares, on clusters of
some answers. Its truth is what a very large set gives. `none` is the share of data sets without an interval.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.stats.agreement import Agreement, cohen, fleiss, krippendorff
from harness.stats.units import Ints

REPLICATES = 1000
MANY = 200_000
Rng = np.random.Generator


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Clusters of `size` answers with labels in these shares."""

    clusters: int
    size: int
    shares: Sequence[float]
    sharp: float

    def draw(self, rng: Rng, clusters: int) -> tuple[Ints, Ints]:
        """Ratings of both judges and each answer's cluster."""
        classes, n = len(self.shares), clusters * self.size
        common = np.repeat(rng.choice(classes, clusters, p=self.shares), self.size)
        truth = np.where(rng.random(n) < 0.8, common, rng.choice(classes, n, p=self.shares))
        sides = [np.where(rng.random(n) < self.sharp, truth, rng.choice(classes, n, p=self.shares)) for _ in range(2)]
        return np.stack(sides, axis=1).astype(np.int64), np.arange(n) // self.size


CASES = (
    Case(clusters=30, size=1, shares=(0.5, 0.5), sharp=0.8),
    Case(clusters=50, size=1, shares=(0.1, 0.9), sharp=0.9),
    Case(clusters=100, size=1, shares=(0.1, 0.9), sharp=0.95),
    Case(clusters=100, size=1, shares=(0.6, 0.3, 0.1), sharp=0.8),
    Case(clusters=500, size=1, shares=(0.05, 0.95), sharp=0.95),
    Case(clusters=500, size=1, shares=(0.4, 0.3, 0.2, 0.1), sharp=0.7),
    Case(clusters=50, size=5, shares=(0.3, 0.7), sharp=0.8),
)


def measures(case: Case, rng: Rng, clusters: int) -> dict[str, Agreement]:
    ratings, cluster = case.draw(rng, clusters)
    classes = len(case.shares)
    return {
        "kappa": cohen(ratings[:, 0], ratings[:, 1], cluster, classes),
        "fleiss": fleiss(ratings, cluster, classes),
        "alpha": krippendorff(ratings, cluster, classes),
    }


def main() -> None:
    replicates = int(sys.argv[1]) if len(sys.argv) > 1 else REPLICATES
    print(f"{'case':48} {'':7} truth coverage  width  none")
    for case in CASES:
        rng = np.random.default_rng(1)
        truth = {name: found.value for name, found in measures(case, rng, MANY).items()}
        drawn = [measures(case, rng, case.clusters) for _ in range(replicates)]
        label = f"{case.clusters} x {case.size}, labels {case.shares}, sharp {case.sharp}"
        for name, true in truth.items():
            ends = [found[name].ci95 for found in drawn]
            known = [each for each in ends if each is not None]
            held = np.mean([low <= (true or 0) <= high for low, high in known])
            width = np.mean([high - low for low, high in known])
            print(
                f"{label:48} {name:7} {true:.3f} {held:8.3f} {width:6.3f} {1 - len(known) / len(ends):5.3f}", flush=True
            )


if __name__ == "__main__":
    main()
