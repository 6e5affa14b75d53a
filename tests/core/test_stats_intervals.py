"""Intervals against formulas written out again here, and against known special cases."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, t

from harness.stats.assess import assess
from harness.stats.intervals import Z95, Estimates, wilson
from harness.stats.units import SETTLED, Units


def units(num: object, den: object, cluster: object, stratum: object = 0, strata: int = 1) -> Units:
    top = np.asarray(num, dtype=np.float64)
    return Units(
        num=top,
        den=np.broadcast_to(np.asarray(den, dtype=np.float64), top.shape),
        choice=np.full(len(top), SETTLED),
        left_out=np.zeros(len(top), dtype=bool),
        cluster=np.asarray(cluster),
        stratum=np.broadcast_to(np.asarray(stratum), top.shape),
        strata=strata,
        choices=(),
    )


@given(st.integers(1, 3000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_a_plain_rate_has_exactly_wilsons_interval(case: tuple[int, int]) -> None:
    hits, n = case
    found = assess(units([1.0] * hits + [0.0] * (n - hits), 1.0, range(n))).ci95
    expected = binomtest(hits, n).proportion_ci(method="wilson")
    assert found == pytest.approx((expected.low, expected.high), abs=1e-12)


@given(st.floats(0, 1), st.floats(0.5, 1e6))
def test_an_interval_stays_within_0_and_1_and_holds_its_rate(rate: float, n: float) -> None:
    low, high = wilson(rate, n)
    assert 0 <= low <= rate <= high <= 1


def test_clustered_records_count_as_many_as_their_variance_says() -> None:
    rng = np.random.default_rng(1)
    clusters, size = 40, 6
    hit = rng.random((clusters, size)) < rng.random((clusters, 1))
    found = assess(units(hit.ravel(), 1.0, np.repeat(np.arange(clusters), size))).ci95

    n, rate = hit.size, hit.mean()
    residual = hit.sum(axis=1) - rate * size
    variance = (residual**2).sum() / n**2
    few = (t.ppf(0.975, n - 1) / t.ppf(0.975, clusters - 1)) ** 2 * (1 - 1 / clusters) / (1 - 1 / n)
    assert found == pytest.approx(wilson(rate, few * rate * (1 - rate) / variance), abs=1e-12)


def test_denominators_may_differ_between_clusters() -> None:
    num, den = np.array([2.0, 0.0, 2.0, 2.0, 0.0]), np.array([2.0, 1.0, 3.0, 2.0, 1.0])
    found = assess(units(num, den, range(5)))
    rate = 6 / 9
    variance = ((num - rate * den) ** 2).sum() / 81
    assert found.value == pytest.approx(rate)
    assert found.ci95 == pytest.approx(wilson(rate, rate * (1 - rate) / variance), abs=1e-12)


@pytest.mark.parametrize("value", [0.0, 1.0, 0.5])
def test_where_no_cluster_departs_from_the_rate_the_clusters_are_counted(value: float) -> None:
    found = assess(units([value] * 60, 1.0, np.repeat(np.arange(12), 5)))
    assert found.ci95 == pytest.approx(wilson(value, 12), abs=1e-12)
    assert found.clusters == 12


def _two_strata(correlation: float) -> tuple[Units, np.ndarray]:
    rng = np.random.default_rng(5)
    z = rng.standard_normal((300, 2))
    z[:, 1] = correlation * z[:, 0] + sqrt(1 - correlation**2) * z[:, 1]
    hit = (z < (0.6, -0.3)).astype(float)
    return units(hit.ravel(), 1.0, np.repeat(np.arange(300), 2), np.tile([0, 1], 300), 2), hit


@pytest.mark.parametrize("correlation", [-0.9, 0.0, 0.7])
def test_strata_add_up_by_square_and_add_with_their_correlation(correlation: float) -> None:
    both, hit = _two_strata(correlation)
    found = assess(both).ci95
    rates = hit.mean(axis=0)
    r = np.corrcoef(hit.T)[0, 1]
    ends = [wilson(rate, 300) for rate in rates]
    down, up = ([abs(rate - end[side]) / 2 for rate, end in zip(rates, ends, strict=True)] for side in (0, 1))
    mean = rates.mean()
    low = mean - sqrt(down[0] ** 2 + down[1] ** 2 + 2 * r * down[0] * down[1])
    high = mean + sqrt(up[0] ** 2 + up[1] ** 2 + 2 * r * up[0] * up[1])
    whole = wilson(mean, mean * (1 - mean) / (hit.mean(axis=1).var() / 300))
    assert found == pytest.approx((min(low, whole[0]), max(high, whole[1])), abs=1e-12)


def test_many_strata_with_an_event_or_two_have_the_interval_of_their_mean() -> None:
    strata, n = 13, 120
    num = np.zeros((strata, n))
    num[:5, 0] = 1
    found = assess(units(num.ravel(), 1.0, np.arange(strata * n), np.repeat(np.arange(strata), n), strata)).ci95
    assert found is not None
    assert found[0] == pytest.approx(wilson(5 / num.size, num.size)[0], rel=0.01)


def test_a_mean_no_cluster_departs_from_still_has_an_interval() -> None:
    either = np.array([[1.0, 0.0], [0.0, 1.0]] * 60).ravel()
    low, high = assess(units(either, 1.0, np.repeat(np.arange(120), 2), np.tile([0, 1], 120), 2)).ci95 or (0, 0)
    unseen = Z95**2 / (120 + Z95**2)
    assert (low, high) == pytest.approx((0.5 - 0.5 * unseen, 0.5 + 0.5 * unseen), abs=1e-9)


def test_two_models_that_never_differ_still_have_an_interval_around_0() -> None:
    rates = Estimates(
        rates=(0.5, 0.5),
        clusters=(100, 100),
        covariance=((0.0025, 0.0025), (0.0025, 0.0025)),
        weights=(1.0, -1.0),
    )
    unseen = Z95**2 / (100 + Z95**2)
    assert rates.interval() == pytest.approx((-unseen, unseen))


def test_a_higher_level_gives_a_wider_interval() -> None:
    estimates = assess(_two_strata(0.7)[0]).estimates
    assert estimates is not None
    inner, outer = estimates.interval(1.0), estimates.interval(3.0)
    assert outer[0] < inner[0] < estimates.value < inner[1] < outer[1]
