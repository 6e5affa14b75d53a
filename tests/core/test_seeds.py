"""The mean over runs that differ in a seed alone."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
from scipy.stats import t

from harness.stats.assess import assess
from harness.stats.seeds import SeedMean, average_seeds
from harness.stats.units import SETTLED, Units


def average(*runs: list[int]) -> SeedMean:
    """Runs over the same questions, each its own cluster."""
    n, m = len(runs[0]), len(runs)
    units = Units(
        num=np.array(runs, dtype=np.float64).ravel(),
        den=np.ones(n * m),
        choice=np.full(n * m, SETTLED),
        left_out=np.zeros(n * m, dtype=bool),
        cluster=np.tile(np.arange(n), m),
        stratum=np.repeat(np.arange(m), n),
        strata=m,
        choices=(),
    )
    estimates = assess(units).estimates
    assert estimates is not None
    return average_seeds(estimates, m)


def test_the_value_is_the_mean_of_the_runs_and_the_spread_is_their_standard_deviation() -> None:
    found = average([1, 1, 0, 0], [1, 0, 0, 0], [1, 1, 1, 0])
    assert found.values == pytest.approx((0.5, 0.25, 0.75))
    assert found.value == pytest.approx(0.5)
    assert found.spread == pytest.approx(0.25)


def test_the_interval_is_that_of_the_formulas() -> None:
    runs = np.array([[1, 1, 0, 0, 1, 0], [1, 0, 0, 0, 1, 0], [1, 1, 1, 0, 1, 0]])
    found = average(*runs.tolist())
    rates = runs.mean(axis=1)
    residual = (runs - rates[:, None]).mean(axis=0) / runs.shape[1]  # of each question, over the runs
    items, seeds = float(residual @ residual), float(rates.var(ddof=1)) / 3
    p, variance = rates.mean(), items + seeds
    freedom = variance**2 / (items**2 / 5 + seeds**2 / 2)
    z, n = t.ppf(0.975, freedom), p * (1 - p) / variance
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    assert found.freedom == pytest.approx(freedom)
    assert found.ci95 == pytest.approx((middle - half, middle + half))


def test_seeds_that_differ_widen_the_interval_although_the_questions_are_the_same() -> None:
    same = average([1, 0] * 50, [1, 0] * 50, [1, 0] * 50)
    differ = average([1, 0] * 50, [1, 1, 1, 0] * 25, [1, 0, 0, 0] * 25)
    assert differ.value == pytest.approx(same.value)
    assert differ.ci95[1] - differ.ci95[0] > 2 * (same.ci95[1] - same.ci95[0])


@pytest.mark.parametrize("hit", [0, 1])
def test_runs_that_never_differ_still_have_an_interval(hit: int) -> None:
    found = average([hit] * 20, [hit] * 20)
    assert found.value == hit
    assert found.spread == 0
    assert found.ci95[1] - found.ci95[0] > 0.1
