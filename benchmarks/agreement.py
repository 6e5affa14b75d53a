"""How often the 95% intervals of `harness agree` hold the truth, in simulated pairs of judges.

    python -m benchmarks.agreement [REPLICATES]

Each case is two judges who see the truth with a chance of `sharp` and else guess by the labels' shares, on clusters of
some answers. Its truth is what a very large set gives. `none` is the share of data sets without an interval.

Then a judge of two labels against people who label some drawn answers, equally many of each label of a judge: its own
(`own`) or another's. `weighted` is the plain interval of the same weighted answers, which sees no mistake that no label
shows.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.stats.accuracy import LabelAccuracy, measure_labels
from harness.stats.agreement import MISSING, Agreement, cohen, fleiss, krippendorff
from harness.stats.correction import share_labels
from harness.stats.drawn_accuracy import measure_drawn
from harness.stats.units import Floats, Ints

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


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnCase:
    """Answers of which people label a part, drawn by the labels of the judge itself or of another one.

    Attributes:
        answers: how many there are.
        rate: share of the label that is looked for, by people.
        sensitivity: of the judge.
        specificity: likewise.
        labels: how many are drawn.
        own: the judge's own labels are the cells; else those of a judge that is right nine times in ten.
        size: of the clusters; half of the answers of one share their luck.
    """

    answers: int = 1675
    rate: float
    sensitivity: float
    specificity: float
    labels: int
    own: bool = True
    size: int = 1

    def draw(self, rng: Rng) -> tuple[Ints, Ints, Ints, Ints, Floats]:
        """Judge, people, cluster, cell and weight of each answer."""
        cluster = np.arange(self.answers) // self.size
        luck = np.where(rng.random(self.answers) < 0.5, rng.random(self.answers)[cluster], rng.random(self.answers))
        truth = (luck < self.rate).astype(np.int64)
        judge = self._judge(rng, truth, self.sensitivity, self.specificity)
        cell = judge if self.own else self._judge(rng, truth, 0.9, 0.9)
        people, weight = np.full(self.answers, MISSING), np.zeros(self.answers)
        cells = [np.flatnonzero(cell == code) for code in (0, 1)]
        for rows, share in zip(cells, share_labels([len(rows) for rows in cells], self.labels), strict=True):
            drawn = rng.permutation(rows)[:share]
            people[drawn], weight[drawn] = truth[drawn], len(rows) / max(share, 1)
        return judge, people, cluster, cell, weight

    @property
    def truth(self) -> dict[str, float]:
        """The figures of the label, of all answers that there could be."""
        both, missed = self.rate * self.sensitivity, self.rate * (1 - self.sensitivity)
        extra = (1 - self.rate) * (1 - self.specificity)
        return {
            "recall": self.sensitivity,
            "specificity": self.specificity,
            "precision": both / (both + extra),
            "f1": 2 * both / (2 * both + missed + extra),
        }

    def _judge(self, rng: Rng, truth: Ints, sensitivity: float, specificity: float) -> Ints:
        luck = rng.random(self.answers)
        return np.where(truth == 1, luck < sensitivity, luck >= specificity).astype(np.int64)


DRAWN = (
    DrawnCase(rate=0.3, sensitivity=0.9, specificity=0.9, labels=100),
    DrawnCase(rate=0.3, sensitivity=0.99, specificity=0.99, labels=100),
    DrawnCase(rate=0.1, sensitivity=0.9, specificity=0.9, labels=100),
    DrawnCase(rate=0.1, sensitivity=0.7, specificity=0.99, labels=100),
    DrawnCase(rate=0.1, sensitivity=0.99, specificity=0.99, labels=200),
    DrawnCase(rate=0.5, sensitivity=0.7, specificity=0.7, labels=200),
    DrawnCase(rate=0.3, sensitivity=0.9, specificity=0.9, labels=100, own=False),
    DrawnCase(rate=0.1, sensitivity=0.9, specificity=0.95, labels=200, own=False),
    DrawnCase(rate=0.3, sensitivity=0.9, specificity=0.9, labels=200, size=5),
    DrawnCase(answers=20_000, rate=0.1, sensitivity=0.9, specificity=0.95, labels=300),
    DrawnCase(answers=300, rate=0.3, sensitivity=0.9, specificity=0.9, labels=300),
)


def simulate_drawn(replicates: int) -> None:
    """Print the coverage of the figures of a judge against people."""
    print(f"\n{'case':62} {'':12} truth coverage  width   weighted  width")
    for case in DRAWN:
        rng = np.random.default_rng(1)
        pairs: list[tuple[LabelAccuracy, LabelAccuracy]] = []
        for _ in range(replicates):
            judge, people, cluster, cell, weight = case.draw(rng)
            drawn = measure_drawn(judge, people, cluster, cell, judge != MISSING, classes=2)
            pairs.append((drawn.labels[1], measure_labels(judge, people, cluster, weight, classes=2)[1]))
        whose = "own" if case.own else "another"
        judge_of = f"{case.rate} x {case.sensitivity}/{case.specificity}"
        label = f"{case.answers} / {case.size}, {judge_of}, {case.labels} by {whose}"
        for name, true in case.truth.items():
            figures = ""
            for side in (0, 1):
                ends = [each for pair in pairs if (each := getattr(pair[side], name).ci95) is not None]
                held = np.mean([low <= true <= high for low, high in ends])
                figures += f" {held:8.3f} {np.mean([high - low for low, high in ends]):6.3f}  "
            print(f"{label:62} {name:12} {true:.3f}{figures}", flush=True)


def main() -> None:
    replicates = int(sys.argv[1]) if len(sys.argv) > 1 else REPLICATES
    simulate_drawn(replicates)
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
