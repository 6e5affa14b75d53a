"""How often the corrected number of a judge holds the truth, in simulated evaluations.

    python -m benchmarks.calibration [REPLICATES]

Each case draws answers in clusters from a known rate, lets a judge with known errors label them and people label a
drawn part, and asks `harness.stats.correction`. The judge alone and people alone are there to compare with. A row is
the mean over its cases; the cases of four labels ask for single labels, and for two of them together, as a rate.
`least` is the worst case of a row: some depart from the mean by chance, with a standard error of about 0.007.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from harness.stats.assess import estimate_rate
from harness.stats.correction import LabelledAnswers, correct, correct_difference, share_labels
from harness.stats.intervals import Interval, wilson

REPLICATES = 1000
ANSWERS = 1675
RATES = (0.01, 0.03, 0.1, 0.3, 0.5, 0.9)
JUDGES = ((0.7, 0.99), (0.99, 0.7), (0.7, 0.7), (0.9, 0.9), (0.99, 0.99))  #: sensitivity, specificity
ALIKE, ALIKE_ERRORS = 0.3, 0.2  #: correlation within a cluster, of answers and of the judge's errors
MIXES = ((0.6, 0.2, 0.15, 0.05), (0.25, 0.25, 0.25, 0.25), (0.05, 0.05, 0.3, 0.6))  #: four labels
CONFUSION = (0.95, 0.85, 0.7)  #: how often a judge of four labels is right
TARGETS = ((0,), (1,), (3,), (0, 1))
MEAN, TWO, FOUR = (0.94, 0.97), 0.92, 0.90  #: what must hold

Rng = np.random.Generator
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What one estimator does over the data sets of one case."""

    hold: float
    width: float
    refused: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """One data set: what is true of each answer, what the judge says, and its cluster."""

    truth: Ints
    judged: Ints
    cluster: Ints


def normal_clusters(rng: Rng, cluster: Ints, shared: float) -> Floats:
    """Standard normal draws that share a part of their variance within a cluster."""
    own = rng.standard_normal(len(cluster))
    return sqrt(shared) * rng.standard_normal(int(cluster.max()) + 1)[cluster] + sqrt(1 - shared) * own


def draw_clusters(rng: Rng) -> Ints:
    sizes = rng.integers(1, 6, ANSWERS)
    return np.repeat(np.arange(len(sizes)), sizes)[:ANSWERS]


def draw_two(rng: Rng, rate: float, judge: tuple[float, float]) -> Answers:
    cluster = draw_clusters(rng)
    inverse = NormalDist().inv_cdf
    truth = normal_clusters(rng, cluster, ALIKE) < inverse(rate)
    wrong = normal_clusters(rng, cluster, ALIKE_ERRORS) < np.where(truth, inverse(1 - judge[0]), inverse(1 - judge[1]))
    return Answers(truth=truth.astype(np.int64), judged=(truth ^ wrong).astype(np.int64), cluster=cluster)


def draw_four(rng: Rng, mix: Sequence[float], right: float) -> Answers:
    cluster = draw_clusters(rng)
    cuts = [NormalDist().inv_cdf(min(1 - 1e-12, each)) for each in np.cumsum(mix)[:-1]]
    truth = np.searchsorted(cuts, normal_clusters(rng, cluster, ALIKE))
    wrong = normal_clusters(rng, cluster, ALIKE_ERRORS) > NormalDist().inv_cdf(right)
    other = (truth + rng.integers(1, 4, len(truth))) % 4
    return Answers(truth=truth, judged=np.where(wrong, other, truth), cluster=cluster)


def draw_labels(rng: Rng, answers: Answers, labels: int, design: str) -> NDArray[np.bool_]:
    order = rng.permutation(len(answers.truth))
    chosen = np.zeros(len(order), dtype=bool)
    if design == "uniform":
        chosen[order[:labels]] = True
        return chosen
    cells = np.unique(answers.judged)
    rows = [order[answers.judged[order] == cell] for cell in cells]
    for own, count in zip(rows, share_labels([len(own) for own in rows], labels), strict=True):
        chosen[own[:count]] = True
    return chosen


def build_sample(answers: Answers, chosen: NDArray[np.bool_], target: Sequence[int], classes: int) -> LabelledAnswers:
    return LabelledAnswers(
        cell=answers.judged,
        names=tuple(f"answers judged {label}" for label in range(classes)),
        cluster=answers.cluster,
        hit=np.where(chosen, np.isin(answers.truth, target), 0).astype(np.float64),
        votes=chosen.astype(np.int64),
        known=np.zeros(len(chosen), dtype=bool),
    )


def measure(intervals: Sequence[Interval | None], truth: float) -> Trial:
    there = [each for each in intervals if each is not None]
    held = [low <= truth <= high for low, high in there]
    widths = [high - low for low, high in there]
    count = max(len(there), 1)
    return Trial(hold=sum(held) / count, width=sum(widths) / count, refused=1 - len(there) / len(intervals))


def try_two(rate: float, judge: tuple[float, float], labels: int, design: str, replicates: int) -> dict[str, Trial]:
    rng = np.random.default_rng([int(rate * 1000), int(judge[0] * 100), int(judge[1] * 100), labels, len(design)])
    found: dict[str, list[Interval | None]] = {"corrected": [], "judge alone": [], "people alone": []}
    for _ in range(replicates):
        answers = draw_two(rng, rate, judge)
        chosen = draw_labels(rng, answers, labels, design)
        found["corrected"].append(correct(build_sample(answers, chosen, (1,), 2)).ci95)
        plain = estimate_rate(answers.judged.astype(np.float64), answers.cluster)
        found["judge alone"].append(plain.interval() if plain else None)
        if design == "uniform":
            found["people alone"].append(wilson(float(answers.truth[chosen].mean()), labels))
    return {name: measure(intervals, rate) for name, intervals in found.items() if intervals}


def try_four(mix: Sequence[float], right: float, labels: int, design: str, replicates: int) -> list[Trial]:
    rng = np.random.default_rng([int(mix[0] * 100), int(right * 100), labels, len(design)])
    found: list[list[Interval | None]] = [[] for _ in TARGETS]
    for _ in range(replicates):
        answers = draw_four(rng, mix, right)
        chosen = draw_labels(rng, answers, labels, design)
        for target, intervals in zip(TARGETS, found, strict=True):
            intervals.append(correct(build_sample(answers, chosen, target, 4)).ci95)
    truths = [sum(mix[each] for each in target) for target in TARGETS]
    return [measure(intervals, truth) for intervals, truth in zip(found, truths, strict=True)]


def try_difference(
    rates: tuple[float, float], judge: tuple[float, float], labels: int, shared: float, replicates: int
) -> Trial:
    """Two runs over one set of samples, whose answers hang together; each with its own labels."""
    rng = np.random.default_rng([int(rates[0] * 100), int(rates[1] * 100), int(judge[0] * 100), labels])
    cuts = [NormalDist().inv_cdf(rate) for rate in rates]
    found: list[Interval | None] = []
    for _ in range(replicates):
        cluster = draw_clusters(rng)
        common = normal_clusters(rng, cluster, ALIKE)
        arms = []
        for cut in cuts:
            own = sqrt(shared) * common + sqrt(1 - shared) * normal_clusters(rng, cluster, ALIKE)
            truth = own < cut
            inverse = NormalDist().inv_cdf
            errors = np.where(truth, inverse(1 - judge[0]), inverse(1 - judge[1]))
            wrong = normal_clusters(rng, cluster, ALIKE_ERRORS) < errors
            answers = Answers(truth=truth.astype(np.int64), judged=(truth ^ wrong).astype(np.int64), cluster=cluster)
            arms.append(build_sample(answers, draw_labels(rng, answers, labels, "equal"), (1,), 2))
        estimates = correct_difference(arms[0], arms[1])
        found.append(None if isinstance(estimates, str) else estimates.interval())
    return measure(found, rates[0] - rates[1])


def print_row(name: str, trials: Sequence[Trial]) -> None:
    holds = [trial.hold for trial in trials if trial.refused < 1]
    widths = [trial.width for trial in trials if trial.refused < 1]
    refused = sum(trial.refused for trial in trials) / len(trials)
    print(
        f"{name:44} {len(trials):5} {np.mean(holds):8.3f} {min(holds):6.3f} {max(holds):6.3f} {np.mean(widths):6.3f}"
        f" {refused:8.1%}",
        flush=True,
    )


def run(replicates: int) -> Iterator[str]:
    """Print the table; the sentences of what falls short."""
    print(f"{'case':44} cases     mean  least   most  width  refused")
    error = sqrt(0.92 * 0.08 / replicates)
    corrected: list[Trial] = []
    for design in ("uniform", "equal"):
        for labels in (100, 200):
            cases = [try_two(rate, judge, labels, design, replicates) for rate in RATES for judge in JUDGES]
            for name in ("judge alone", "people alone", "corrected"):
                if name in cases[0]:
                    print_row(f"{name}, {labels} labels, {design}", [case[name] for case in cases])
            own = [case["corrected"] for case in cases]
            corrected += own
            mean = float(np.mean([trial.hold for trial in own]))
            if not MEAN[0] <= mean <= MEAN[1]:
                yield f"two labels, {labels}, {design}: mean {mean:.3f}"
    least = min(trial.hold for trial in corrected)
    if least < TWO - 2 * error:
        yield f"two labels: {least:.3f} is under {TWO - 2 * error:.3f}"
    for labels in (100, 200, 300):
        trials = [
            trial for mix in MIXES for right in CONFUSION for trial in try_four(mix, right, labels, "equal", replicates)
        ]
        print_row(f"four labels, {labels} labels, equal", trials)
        if (low := min(trial.hold for trial in trials)) < FOUR - 2 * sqrt(0.09 / replicates):
            yield f"four labels, {labels}: {low:.3f} is under {FOUR}"
    for labels in (100, 200):
        pairs = ((0.3, 0.3), (0.5, 0.4), (0.1, 0.05), (0.9, 0.7), (0.03, 0.03))
        trials = [
            try_difference(rates, judge, labels, 0.5, replicates)
            for rates in pairs
            for judge in JUDGES[:1] + JUDGES[2:]
        ]
        print_row(f"difference of two runs, {labels} labels each", trials)


def main() -> int:
    started = time.perf_counter()
    short = list(run(int(sys.argv[1]) if len(sys.argv) > 1 else REPLICATES))
    print("\n".join([f"{time.perf_counter() - started:.0f} s", *(f"short: {sentence}" for sentence in short)]))
    return 1 if short else 0


if __name__ == "__main__":
    raise SystemExit(main())
