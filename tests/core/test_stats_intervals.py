"""Intervals against their formulas, and bounds against every completion that the outcomes still allow."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import product
from math import sqrt
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, t

from harness.metrics import Metric, Record, Share, rate
from harness.stats import Tally
from harness.stats.assess import assess
from harness.stats.intervals import Z95, Estimates, find_extreme, wilson
from harness.stats.units import SETTLED, Units
from harness.types import Outcome
from tests.core.recorded import record


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


# -- Bounds ------------------------------------------------------------------------------------------------------------
COMBINES: tuple[Literal["sum", "all", "any", "majority"], ...] = ("sum", "all", "any", "majority")
OUTCOMES: tuple[Outcome, ...] = ("answered", "input_blocked", "empty", "error", "bad_sample")


# -- Metrics as task authors write them ------------------------------------------------------------------------------
def _blk(r: Record) -> Share:
    return (float(r.blocked), 1.0)


def _blk_possible(r: Record) -> tuple[Share, ...]:
    return ((0.0, 1.0),) if r.outcome == "answered" else ((0.0, 1.0), (1.0, 1.0))


def _answered(r: Record) -> Share:
    return (0.0, 0.0) if r.blocked else (float(r.label == "yes"), 1.0)


def _answered_possible(r: Record) -> tuple[Share, ...]:
    known = ((0.0, 1.0), (1.0, 1.0))
    return known if r.outcome == "answered" else ((0.0, 0.0), *known)


def _f1(r: Record) -> Share:
    positive = r.target == "yes"
    if r.label == "yes":
        return (2.0, 2.0) if positive else (0.0, 1.0)
    return (0.0, 1.0) if positive else (0.0, 0.0)


def _f1_possible(r: Record) -> tuple[Share, ...]:
    return ((2.0, 2.0), (0.0, 1.0)) if r.target == "yes" else ((0.0, 0.0), (0.0, 1.0))


def _hit(r: Record) -> Share:
    return (float(r.label == "yes"), 1.0)


METRICS = [
    rate("rate", "yes", better="lower"),
    Metric(name="BLK", score=_blk, possible=_blk_possible, better="lower"),
    Metric(name="ASR_answered", score=_answered, possible=_answered_possible, better="lower"),
    Metric(name="F1", score=_f1, possible=_f1_possible, better="higher"),
    *(Metric(name=how, score=_hit, group=lambda r: r.tags["group"], combine=how, better="higher") for how in COMBINES),
    Metric(
        name="all_answered",
        score=_answered,
        possible=_answered_possible,
        group=lambda r: r.tags["group"],
        combine="all",
        better="higher",
    ),
    Metric(name="macro", score=_hit, stratum=lambda r: r.tags["group"], better="higher"),
    Metric(
        name="macro_f1",
        score=_f1,
        possible=_f1_possible,
        stratum=lambda r: r.tags["group"],
        strata=("a", "b"),
        better="higher",
    ),
]


# -- The same, by brute force ----------------------------------------------------------------------------------------
def _grouped(metric: Metric, records: Sequence[Record], shares: Sequence[Share]) -> list[tuple[Record, Share]]:
    if metric.group is None:
        return list(zip(records, shares, strict=True))
    groups: dict[str, list[tuple[Record, Share]]] = {}
    for r, share in zip(records, shares, strict=True):
        groups.setdefault(metric.group(r), []).append((r, share))
    return [(members[0][0], _together(metric.combine, [s for _, s in members])) for members in groups.values()]


def _together(how: str, shares: Sequence[Share]) -> Share:
    if how == "sum":
        return sum(s[0] for s in shares), sum(s[1] for s in shares)
    votes = [s[0] / s[1] > 0.5 for s in shares if s[1]]
    ways: dict[str, Callable[[list[bool]], bool]] = {"all": all, "any": any, "majority": lambda v: sum(v) > len(v) / 2}
    return (float(ways[how](votes)), 1.0) if votes else (0.0, 0.0)


def _value(metric: Metric, units: Sequence[tuple[Record, Share]], names: Sequence[str]) -> Fraction | None:
    strata: dict[str, list[Share]] = {name: [] for name in names}
    for r, share in units:
        strata[metric.stratum(r) if metric.stratum else ""].append(share)
    ratios = []
    for shares in strata.values():
        den = sum(Fraction(s[1]) for s in shares)
        if not den:
            return None
        ratios.append(sum(Fraction(s[0]) for s in shares) / den)
    return sum(ratios, Fraction(0)) / len(ratios)


def _extremes(metric: Metric, records: Sequence[Record], names: Sequence[str]) -> tuple[Fraction, Fraction] | None:
    choices = [[metric.score(r)] if r.resolved else list(metric.possible(r)) for r in records]
    values = [_value(metric, _grouped(metric, records, shares), names) for shares in product(*choices)]
    known = [value for value in values if value is not None]
    return (min(known), max(known)) if known else None


def _names(metric: Metric, records: Sequence[Record]) -> list[str]:
    if metric.stratum is None:
        return [""]
    return sorted({metric.stratum(r) for r in records} | set(metric.strata))


def _draw(rng: random.Random) -> list[Record]:
    records = []
    for index in range(rng.randint(1, 8)):
        outcome = rng.choice(OUTCOMES)
        label = {"input_blocked": "blocked", "empty": "no"}.get(outcome)
        if outcome == "answered" and rng.random() < 0.5:
            label = rng.choice(("yes", "no"))
        tags = {"group": rng.choice("ab")}
        records.append(record(index, label, outcome=outcome, tags=tags, target=rng.choice(("yes", "no"))))
    return records


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_bounds_equal_the_extremes_over_all_that_the_outcomes_still_allow(metric: Metric) -> None:
    rng = random.Random(metric.name)
    for _ in range(80):
        records = _draw(rng)
        tally = Tally([metric], by=())
        for r in records:
            tally.add(r)
        found = tally.results()["metrics"][metric.name]
        bounds, expected = found["bounds"], _extremes(metric, records, _names(metric, records))
        assert (bounds is None) == (expected is None), records
        if expected is not None:
            ends = [float(100 * end) for end in expected]
            held = [*ends, ends[0] if found["value"] is None else found["value"]]
            assert bounds == pytest.approx([min(held), max(held)], abs=1e-8), records
            assert found["ci95"] is None or found["ci95_worst"][0] <= found["ci95"][0]
            assert found["ci95"] is None or found["ci95"][1] <= found["ci95_worst"][1]


menu = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 3)).map(lambda s: (float(min(s)), float(max(s)))),
    min_size=1,
    max_size=3,
).map(tuple)


@settings(max_examples=300, deadline=None)
@given(st.tuples(st.integers(0, 3), st.integers(3, 5)), st.lists(menu, max_size=5), st.booleans(), st.booleans())
def test_the_extreme_of_a_ratio_of_sums_is_exact_whatever_the_denominators(
    known: tuple[int, int], choices: list[tuple[Share, ...]], lowest: bool, nothing_known: bool
) -> None:
    known = (0, 0) if nothing_known else known
    found = find_extreme(known, choices, [1] * len(choices), lowest=lowest)
    ratios = [
        Fraction(known[0] + int(sum(s[0] for s in picks)), int(den))
        for picks in product(*choices)
        if (den := known[1] + sum(s[1] for s in picks)) > 0
    ]
    if not ratios:
        assert found is None
        return
    assert found is not None
    assert found.ratio == pytest.approx(float(min(ratios) if lowest else max(ratios)), abs=1e-12)
    assert all(pick in options for pick, options in zip(found.picks, choices, strict=True))


def test_an_answer_without_a_verdict_cannot_turn_out_to_have_been_a_block() -> None:
    tally = Tally([METRICS[1]], by=())
    tally.add(record(0, "yes"))
    tally.add(record(1, None))
    figures = tally.results()["metrics"]["BLK"]
    assert figures["bounds"] == [0.0, 0.0]
    assert figures["unresolved"] == 1


def test_the_share_of_blocks_keeps_the_denominator_of_the_other_shares_and_lies_within_its_bounds() -> None:
    """Ten blocks and 90 answers, one of which the judge could not label: 10 of 99 now, 10 of 100 whatever it was."""
    tally = Tally([METRICS[1], rate("yes", "yes", better="lower"), rate("no", "no", better="higher")])
    for index in range(100):
        label = ("yes", "no")[index % 2] if index < 89 else None
        outcome: Outcome = "answered" if index < 90 else "input_blocked"
        drawn = record(index, "blocked" if outcome == "input_blocked" else label, outcome=outcome, category="a")
        tally.add(drawn)
    found = tally.results()
    for metrics in (found["metrics"], found["by"]["category"]["a"]["metrics"]):
        assert metrics["BLK"]["value"] == pytest.approx(100 * 10 / 99)
        assert sum(metrics[name]["value"] for name in ("BLK", "yes", "no")) == pytest.approx(100)
        assert metrics["BLK"]["bounds"] == pytest.approx([10, 100 * 10 / 99])


def test_a_group_that_is_decided_whatever_its_open_member_gives_has_tight_bounds() -> None:
    metric = Metric(name="any", score=_hit, group=lambda _: "g", combine="any", better="lower")
    tally = Tally([metric], by=())
    tally.add(record(0, "yes"))
    tally.add(record(1, None, outcome="error"))
    figures = tally.results()["metrics"]["any"]
    assert (figures["value"], figures["unresolved"], figures["bounds"]) == (None, 1, [100.0, 100.0])
