"""The statistics of a comparison against other ways of computing them: counting, enumerating, simulating."""

from __future__ import annotations

import random
from itertools import product
from math import comb, sqrt
from statistics import NormalDist

import pytest

from harness.metrics import Metric, Record
from harness.metrics import rate as share
from harness.stats.matching import mcnemar
from harness.stats.pairing import PairedResult, paired

ASR = share("ASR", "u", better="lower", main=True)


def records(letters: str, clusters: int = 0) -> list[Record]:
    return [
        Record(
            item=f"t/s/{place}#0",
            id=str(place),
            split="s",
            cluster=f"c{place % clusters}" if clusters else str(place),
            outcome="answered",
            label=None if letter == "?" else letter,
        )
        for place, letter in enumerate(letters)
    ]


def beside(run: str, baseline: str, metric: Metric = ASR, clusters: int = 0) -> PairedResult:
    return paired(metric, records(run, clusters), records(baseline, clusters))


def test_mcnemars_p_is_the_share_of_all_signings_as_lopsided_as_the_one_seen() -> None:
    for run, baseline in product(map("".join, product("us", repeat=5)), repeat=2):
        moved = [one == "u" for one, other in zip(run, baseline, strict=True) if one != other]
        seen = abs(2 * sum(moved) - len(moved))
        signings = list(product((-1, 1), repeat=len(moved)))
        expected = sum(abs(sum(signs)) >= seen for signs in signings) / len(signings)
        assert beside(run, baseline).p == pytest.approx(expected)


def test_mcnemars_p_of_many_pairs_is_a_sum_of_binomial_terms() -> None:
    for only_left, only_right in ((0, 6), (3, 17), (40, 61), (10, 10)):
        n, most = only_left + only_right, max(only_left, only_right)
        tail = sum(comb(n, k) for k in range(most, n + 1)) / 2**n
        assert mcnemar(only_left, only_right) == pytest.approx(min(1.0, 2 * tail))


def test_pairs_that_count_on_neither_side_leave_the_exact_test_in_place() -> None:
    kept = Metric(name="kept", score=lambda r: (float(r.label == "u"), float(r.label != "n")), better="lower")
    found = beside("uuuuuuusnn", "ssssssssnn", kept)
    assert (found.test, found.p, found.denominators) == ("mcnemar", pytest.approx(2 / 2**7), (8, 8))
    assert beside("uuuuuuusnn", "sssssssssn", kept).test == "interval"


def test_the_difference_and_its_bounds_are_those_of_every_completion() -> None:
    rng = random.Random(3)
    for _ in range(40):
        run, baseline = ("".join(rng.choice("us?") for _ in range(5)) for _ in range(2))
        found, both = beside(run, baseline), [p for p in zip(run, baseline, strict=True) if "?" not in p]
        if both:
            gap = [(one == "u") - (other == "u") for one, other in both]
            assert found.difference == pytest.approx(100 * sum(gap) / len(gap))
        whole = [
            100 * sum((one == "u") - (other == "u") for one, other in zip(left, right, strict=True)) / 5
            for left in completions(run)
            for right in completions(baseline)
        ]
        if "".join(run).strip("?") and "".join(baseline).strip("?"):
            held = [*whole, *([] if found.difference is None else [found.difference])]
            assert found.bounds == pytest.approx((min(held), max(held)))


def completions(letters: str) -> list[str]:
    return ["".join(each) for each in product(*("us" if letter == "?" else letter for letter in letters))]


def test_the_smallest_difference_is_2_8_standard_errors_of_the_clustered_difference() -> None:
    rng = random.Random(5)
    run, baseline = ("".join(rng.choice("uus") for _ in range(240)) for _ in range(2))
    found = beside(run, baseline, clusters=120)
    gaps = [(one == "u") - (other == "u") for one, other in zip(run, baseline, strict=True)]
    mean = sum(gaps) / len(gaps)
    sums: dict[int, float] = {}
    for place, gap in enumerate(gaps):
        sums[place % 120] = sums.get(place % 120, 0) + gap - mean
    error = sqrt(sum(value**2 for value in sums.values())) / len(gaps)
    factor = NormalDist().inv_cdf(0.975) + NormalDist().inv_cdf(0.8)
    assert found.detectable == pytest.approx(100 * factor * error, rel=0.02)


@pytest.mark.parametrize(
    ("run", "baseline"), [("us" * 11, "uu" * 11), ("u" * 9 + "s", "u" * 10), ("uus" * 40, "usu" * 40)]
)
def test_the_smallest_difference_of_single_items_is_what_mcnemars_test_finds_in_4_of_5_evaluations(
    run: str, baseline: str
) -> None:
    found = beside(run, baseline)
    assert found.detectable is not None
    n, at = len(run), found.detectable / 100
    differ = max(at, sum(one != other for one, other in zip(run, baseline, strict=True)) / n)
    one_way, other_way = (differ + at) / 2, (differ - at) / 2
    power = sum(
        comb(n, k) * comb(k, one) * one_way**one * other_way ** (k - one) * (1 - differ) ** (n - k)
        for k in range(n + 1)
        for one in range(k + 1)
        if mcnemar(one, k - one) < 0.05
    )
    assert power == pytest.approx(0.8, abs=0.001)


def test_too_few_items_could_show_no_difference_at_all() -> None:
    assert beside("sssss", "uuuuu").detectable is None
    assert beside("ssssss", "uuuuuu").detectable is not None


def test_without_a_flip_the_smallest_difference_is_what_so_many_flips_one_way_would_show() -> None:
    n, found = 120, beside("u" * 120, "u" * 120)
    assert found.detectable is not None
    least = next(k for k in range(1, n) if mcnemar(0, k) < 0.05)
    at = found.detectable / 100
    power = 1 - sum(comb(n, k) * at**k * (1 - at) ** (n - k) for k in range(least))
    assert 0.7 < power < 0.85


def test_more_items_show_smaller_differences() -> None:
    few, many = (beside("us" * n, "uu" * n).detectable for n in (20, 200))
    assert few is not None
    assert many is not None
    assert many < few / 2.5
