"""Paired comparison: two runs item by item, and a split against its twins."""

from __future__ import annotations

import random
from math import comb, sqrt
from typing import Any

import pytest

from harness.metrics import Metric, Record, Share, rate
from harness.stats.intervals import wilson
from harness.stats.matching import holm, mcnemar
from harness.stats.pairing import paired
from tests.core.recorded import record

ASR = rate("ASR", "U", better="lower", main=True)


def run(labels: str, **more: Any) -> list[Record]:
    return [record(str(i), None if c == "?" else c, **more) for i, c in enumerate(labels)]


def test_the_difference_is_left_minus_right_over_the_pairs_resolved_on_both_sides() -> None:
    found = paired(ASR, run("UUSS?U"), run("USSSUU"))
    assert (found.pairs, found.unresolved, found.clusters) == (6, 1, 5)
    assert (found.left, found.right, found.difference) == (60.0, 40.0, 20.0)
    assert (found.unit, found.better, found.metric) == ("%", "lower", "ASR")


def test_an_unresolved_side_widens_the_bounds_and_the_known_side_stays_known() -> None:
    found = paired(ASR, run("UUSS?U"), run("USSSUU"))
    assert found.bounds == pytest.approx((0, 20))  # 0 or 1 of 6 by what the open side was, and 1 of 5 without the pair
    assert found.ci95_worst is not None
    assert found.ci95 is not None
    assert found.ci95_worst[0] < 0
    assert found.ci95_worst[1] >= found.ci95[1] > 20


def test_items_that_only_one_run_has_are_counted_and_left_out() -> None:
    left, right = run("UUSS"), run("USSSUU")[1:]
    found = paired(ASR, left, right)
    assert (found.pairs, found.unmatched, found.unmatched_right) == (3, 1, 2)
    assert (found.left, found.right) == pytest.approx((100 / 3, 0))


def test_without_a_pair_there_is_no_difference() -> None:
    found = paired(ASR, run("UU"), [])
    assert (found.pairs, found.unmatched, found.difference, found.ci95, found.p) == (0, 2, None, None, None)


def test_the_interval_is_newcombes_for_paired_proportions() -> None:
    rng = random.Random(2)
    left = "".join(rng.choice("UUUS") for _ in range(80))
    right = "".join(c if rng.random() < 0.6 else rng.choice("US") for c in left)
    found = paired(ASR, run(left), run(right))

    a, b = ([float(c == "U") for c in text] for text in (left, right))
    p, q = sum(a) / 80, sum(b) / 80
    cov = sum((x - p) * (y - q) for x, y in zip(a, b, strict=True)) / 80
    r = cov / sqrt(p * (1 - p) * q * (1 - q))
    (l1, u1), (l2, u2) = wilson(p, 80), wilson(q, 80)
    low = p - q - sqrt((p - l1) ** 2 + (u2 - q) ** 2 - 2 * r * (p - l1) * (u2 - q))
    high = p - q + sqrt((u1 - p) ** 2 + (q - l2) ** 2 - 2 * r * (u1 - p) * (q - l2))
    assert found.ci95 == pytest.approx((100 * low, 100 * high))


def test_pairing_makes_the_interval_narrower_than_two_separate_samples() -> None:
    rng = random.Random(4)
    left = [rng.choice("US") for _ in range(200)]
    right = [c if rng.random() < 0.9 else "S" for c in left]
    shuffled = right[:]
    rng.shuffle(shuffled)
    alike, apart = (paired(ASR, run("".join(left)), run("".join(other))).ci95 for other in (right, shuffled))
    assert alike is not None
    assert apart is not None
    assert alike[1] - alike[0] < 0.6 * (apart[1] - apart[0])


def test_where_each_cluster_gives_one_0_or_1_on_both_sides_p_is_mcnemars_exact_one() -> None:
    found = paired(ASR, run("UUUUUUUSSS"), run("SSSSSSUUSS"))
    only_left, only_right = 6, 1
    tail = sum(comb(7, k) for k in range(only_right + 1)) / 2**7
    assert found.test == "mcnemar"
    assert found.p == pytest.approx(2 * tail)
    assert mcnemar(only_left, only_right) == found.p


def test_no_discordant_pair_is_no_evidence() -> None:
    found = paired(ASR, run("UUSS"), run("UUSS"))
    assert (found.difference, found.p, found.test) == (0.0, 1.0, "mcnemar")


@pytest.mark.parametrize("shift", [0.0, 0.05, 0.12, 0.3])
def test_elsewhere_p_is_below_5_percent_exactly_when_the_interval_excludes_0(shift: float) -> None:
    rng = random.Random(6)
    left = [record(f"{i}", "U" if rng.random() < 0.4 + shift else "S", cluster=f"c{i % 60}") for i in range(240)]
    right = [record(f"{i}", "U" if rng.random() < 0.4 else "S", cluster=f"c{i % 60}") for i in range(240)]
    found = paired(ASR, left, right)
    assert found.test == "interval"
    assert found.ci95 is not None
    assert found.p is not None
    assert (found.p < 0.05) == (not found.ci95[0] <= 0 <= found.ci95[1])


def test_groups_are_paired_as_groups() -> None:
    metric = Metric(
        name="qAcc",
        score=lambda r: (float(r.label == "U"), 1.0),
        group=lambda r: r.tags["q"],
        combine="all",
        better="higher",
    )

    def groups(texts: list[str]) -> list[Record]:
        return [
            record(f"{q}.{i}", None if c == "?" else c, tags={"q": str(q)}, cluster=str(q))
            for q, text in enumerate(texts)
            for i, c in enumerate(text)
        ]

    found = paired(metric, groups(["UU", "US", "U?", "UU"]), groups(["UU", "UU", "UU", "SS"]))
    assert (found.pairs, found.unresolved) == (4, 1)
    assert (found.left, found.right) == pytest.approx((200 / 3, 200 / 3))


def test_stratified_metrics_compare_means_over_strata() -> None:
    metric = Metric(
        name="mean",
        score=lambda r: (float(r.label == "U"), 1.0),
        stratum=lambda r: r.tags["s"],
        strata=("a", "b"),
        better="higher",
    )

    def strata(a: str, b: str) -> list[Record]:
        return [
            record(f"{s}{i}", c, tags={"s": s}, cluster=str(i))
            for s, text in (("a", a), ("b", b))
            for i, c in enumerate(text)
        ]

    found = paired(metric, strata("UUUU", "SU"), strata("USSS", "SU"))
    assert (found.left, found.right, found.difference) == (75.0, 37.5, 37.5)
    assert found.test == "interval"


def test_a_stratified_metric_that_names_no_strata_has_no_difference_without_records() -> None:
    macro = Metric(name="macro", score=ASR.score, stratum=lambda r: r.tags["s"], better="lower")
    found = paired(macro, [], [])
    assert (found.pairs, found.difference, found.bounds, found.p) == (0, None, None, None)
    assert found.why == "no record counts, so there is nothing to divide by"


def twins() -> tuple[list[Record], list[Record]]:
    real = [record(f"r{q}", c, split="real", tags={"q": q}, cluster=q) for q, c in (("a", "U"), ("b", "S"), ("x", "U"))]
    made = [
        record(f"m{i}", c, split="easy", tags={"q": q}, cluster=q)
        for i, (q, c) in enumerate([("a", "U"), ("a", "U"), ("a", "S"), ("b", "U"), ("y", "U")])
    ]
    return real, made


def test_a_record_is_compared_with_the_mean_of_its_twins() -> None:
    real, made = twins()
    found = paired(ASR, real, made, key=lambda r: r.tags["q"])
    assert (found.pairs, found.unmatched) == (2, 1)
    assert (found.left, found.right) == pytest.approx((50, 100 * (2 / 3 + 1) / 2))
    assert found.test == "interval"


def test_a_pair_with_an_unresolved_twin_is_outside_the_estimate() -> None:
    real, made = twins()
    made.append(record("m9", None, split="hard", tags={"q": "a"}, cluster="a", outcome="error"))
    found = paired(ASR, real, made, key=lambda r: r.tags["q"])
    assert (found.pairs, found.unmatched, found.unresolved, found.left, found.right) == (2, 1, 1, 0.0, 100.0)
    # -37.5 or -25 by what the open twin was, and 0 - 100 over the one pair without it
    assert found.bounds == pytest.approx((-100, 100 * (1 / 2 - (2 / 4 + 1) / 2)))


def test_the_form_in_results_json_names_both_sides() -> None:
    real, made = twins()
    found = paired(ASR, real, made, key=lambda r: r.tags["q"]).as_json("real", "synthetic")
    assert list(found) == ["pairs", "unmatched", "ASR"]
    assert list(found["ASR"])[:4] == ["real", "synthetic", "difference", "ci95"]


def test_where_no_judge_scored_a_side_there_is_no_difference() -> None:
    blocked = [record("0", "blocked", outcome="input_blocked"), record("1", None)]
    found = paired(ASR, blocked, run("US"))
    assert (found.left, found.difference, found.ci95, found.p) == (None, None, None, None)
    assert found.bounds == (-50.0, 0.0)


def test_bounds_of_a_difference_equal_brute_force() -> None:
    def answered(r: Record) -> Share:
        return (0.0, 0.0) if r.label == "B" else (float(r.label == "U"), 1.0)

    metric = Metric(
        name="answered", score=answered, possible=lambda _: ((0.0, 0.0), (0.0, 1.0), (1.0, 1.0)), better="lower"
    )
    rng = random.Random(8)
    for _ in range(60):
        left, right = ("U" + "".join(rng.choice("USB?") for _ in range(4)) for _ in range(2))
        ends = [_extremes(text) for text in (left, right)]
        expected = (ends[0][0] - ends[1][1], ends[0][1] - ends[1][0])
        found = paired(metric, run(left), run(right))
        held = [100 * end for end in expected] + ([] if found.difference is None else [found.difference])
        assert found.bounds == pytest.approx((min(held), max(held))), (left, right)


def _extremes(text: str) -> tuple[float, float]:
    ratios = {(0.0, 0.0)}
    for c in text:
        steps = {"U": [(1, 1)], "S": [(0, 1)], "B": [(0, 0)], "?": [(0, 0), (0, 1), (1, 1)]}[c]
        ratios = {(a + x, b + y) for a, b in ratios for x, y in steps}
    values = [a / b for a, b in ratios if b]
    return min(values), max(values)


def test_holm_raises_each_p_by_the_tests_still_open_and_never_reorders() -> None:
    adjusted = holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.9})
    assert adjusted == {"a": pytest.approx(0.04), "b": pytest.approx(0.09), "c": pytest.approx(0.09), "d": 0.9}
    assert list(adjusted) == ["a", "b", "c", "d"]
    assert holm({}) == {}
