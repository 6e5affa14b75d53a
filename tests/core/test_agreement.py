"""Agreement beyond chance: the worked examples of its sources, a count of pairs, and what is not defined."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.stats.agreement import MISSING, Agreement, Why, cohen, confusion, fleiss, krippendorff, percent
from harness.stats.assess import assess
from harness.stats.units import SETTLED, Ints, Units

#: Fleiss 1971: thirty patients, six diagnoses each, 1 to 5
DIAGNOSES = """
    444444 222555 233335 555555 222444 113333 333355 113334 114444 555555
    144444 124444 222333 144444 224445 333335 111455 111112 224444 133555
    555555 244444 224555 114444 144445 222224 111155 224444 133333 555555
"""
#: Krippendorff 2011, section C: four observers, twelve units, some values missing
KRIPPENDORFF = """
    1 2 3 3 2 1 4 1 2 . . .
    1 2 3 3 2 2 4 1 2 5 . 3
    . 3 3 3 2 3 4 2 2 5 1 .
    1 2 3 3 2 4 4 1 2 5 1 .
"""
#: ibid., section A: two observers, ten units, two values
BINARY = "0 1 0 0 0 0 0 0 1 0", "1 1 1 0 0 1 0 0 0 0"


def array(rows: object) -> Ints:
    return np.array(rows, dtype=np.int64)


def own(ratings: Ints) -> Ints:
    """Each item a cluster of its own."""
    return np.arange(len(ratings), dtype=np.int64)


def pairs(table: tuple[tuple[int, ...], ...]) -> tuple[Ints, Ints]:
    """The items behind a table of two raters."""
    both = [
        (row, column) for row, counts in enumerate(table) for column, count in enumerate(counts) for _ in range(count)
    ]
    return array([left for left, _ in both]), array([right for _, right in both])


def test_cohens_kappa_is_that_of_a_worked_example() -> None:
    left, right = pairs(((20, 5), (10, 15)))
    found = cohen(left, right, own(left), 2)
    assert (found.n, found.value) == (50, pytest.approx(0.4))
    assert percent(left, right, own(left)).value == pytest.approx(0.7)
    assert confusion(left, right, 2).tolist() == [[20, 5], [10, 15]]


def test_cohens_kappa_has_an_interval_like_the_large_sample_one() -> None:
    """The standard error of this table by the formula of Fleiss, Cohen and Everitt 1969 is 0.0760."""
    left, right = pairs(((53, 5, 2), (11, 14, 5), (1, 6, 3)))
    found = cohen(left, right, own(left), 3)
    assert found.value == pytest.approx(3 / 7)
    assert found.ci95 is not None
    assert (found.ci95[1] - found.ci95[0]) / 2 / 1.96 == pytest.approx(0.0760, rel=0.05)


def test_fleiss_kappa_is_that_of_the_worked_example() -> None:
    ratings = array([[int(value) - 1 for value in row] for row in DIAGNOSES.split()])
    assert fleiss(ratings, own(ratings), 5).value == pytest.approx(0.430, abs=5e-4)


def test_krippendorffs_alpha_is_that_of_the_worked_examples() -> None:
    rows = [line.split() for line in KRIPPENDORFF.split("\n") if line.strip()]
    ratings = array([[MISSING if value == "." else int(value) - 1 for value in row] for row in rows]).T
    found = krippendorff(ratings, own(ratings), 5)
    assert (found.n, round(found.value or 0, 3)) == (11, 0.743)
    binary = array([[int(value) for value in row.split()] for row in BINARY]).T
    assert krippendorff(binary, own(binary), 2).value == pytest.approx(0.095, abs=5e-4)


def _alpha_by_pairs(ratings: Ints) -> float | None:
    """Krippendorff's definition, pair by pair: values of one unit against any two values of all units."""
    units = [[value for value in row if value != MISSING] for row in ratings.tolist()]
    units = [unit for unit in units if len(unit) >= 2]
    values = [value for unit in units for value in unit]
    seen = sum(sum(a != b for a, b in permutations(unit, 2)) / (len(unit) - 1) for unit in units) / max(len(values), 1)
    chance = [a != b for a, b in permutations(values, 2)]
    return 1 - seen / (sum(chance) / len(chance)) if any(chance) else None


def _fleiss_by_pairs(ratings: Ints) -> float | None:
    units = [row for row in ratings.tolist() if MISSING not in row]
    values = [value for unit in units for value in unit]
    chance = sum(a != b for a in values for b in values) / max(len(values) ** 2, 1)
    seen = [a != b for unit in units for a, b in permutations(unit, 2)]
    return 1 - sum(seen) / len(seen) / chance if chance else None


def _cohen_by_pairs(ratings: Ints) -> float | None:
    both = [(a, b) for a, b, *_ in ratings.tolist() if MISSING not in (a, b)]
    chance = sum(a != b for a, _ in both for _, b in both) / max(len(both) ** 2, 1)
    return 1 - sum(a != b for a, b in both) / len(both) / chance if chance else None


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(-1, 3), min_size=3, max_size=3), min_size=1, max_size=12))
def test_every_coefficient_is_what_a_count_of_pairs_gives(rows: list[list[int]]) -> None:
    ratings = array(rows)
    checks: list[tuple[Agreement, float | None]] = [
        (krippendorff(ratings, own(ratings), 4), _alpha_by_pairs(ratings)),
        (fleiss(ratings, own(ratings), 4), _fleiss_by_pairs(ratings)),
        (cohen(ratings[:, 0], ratings[:, 1], own(ratings), 4), _cohen_by_pairs(ratings)),
    ]
    for found, expected in checks:
        assert found.value == (expected if expected is None else pytest.approx(expected, abs=1e-9))
        if found.ci95 is not None:
            assert found.value is not None
            assert found.ci95[0] <= found.value <= found.ci95[1] <= 1


def test_an_interval_depends_neither_on_the_order_of_items_nor_on_who_comes_first() -> None:
    rng = np.random.default_rng(1)
    left = rng.integers(0, 3, 200)
    right = np.where(rng.random(200) < 0.7, left, rng.integers(0, 3, 200))
    cluster, order = np.arange(200) // 4, rng.permutation(200)
    first = cohen(left, right, cluster, 3)
    assert cohen(left[order], right[order], cluster[order], 3) == first
    swapped = cohen(right, left, cluster, 3)
    assert swapped.ci95 == pytest.approx(first.ci95, abs=0.02)


def test_items_of_one_cluster_count_as_what_they_are_and_not_as_so_many() -> None:
    rng = np.random.default_rng(2)
    left = rng.integers(0, 2, 60)
    right = np.where(rng.random(60) < 0.8, left, 1 - left)
    alone = cohen(left, right, np.arange(60), 2)
    copied = cohen(np.repeat(left, 5), np.repeat(right, 5), np.repeat(np.arange(60), 5), 2)
    assert copied.value == pytest.approx(alone.value)
    assert copied.ci95 == pytest.approx(alone.ci95)
    many, few = (
        percent(np.repeat(left, k), np.repeat(right, k), np.repeat(np.arange(60), k)).ci95 or (0, 0) for k in (5, 1)
    )
    assert many == pytest.approx(few, abs=0.005)
    assert many[1] - many[0] > few[1] - few[0]  # that clusters are alike is itself only seen in sixty of them


def test_perfect_agreement_is_not_certain_of_itself() -> None:
    left = array([0, 1] * 20)
    found = cohen(left, left, own(left), 2)
    assert found.value == 1
    assert found.ci95 == pytest.approx((1 - 1.96**2 / (40 + 1.96**2) / 0.5, 1), abs=1e-4)


@pytest.mark.parametrize(
    ("left", "right", "value", "why"),
    [
        ([], [], None, Why.NOTHING),
        ([0, MISSING], [MISSING, 1], None, Why.NOTHING),
        ([0, 0, 0], [0, 0, 0], None, Why.ONE_CLASS),
        ([0, 0, 0, 0], [0, 1, 0, 1], 0.0, Why.CONSTANT),
        ([0, 0], [1, 1], 0.0, Why.CONSTANT),
        ([*[0] * 30, 1], [*[0] * 29, 1, 1], pytest.approx(0.6517, abs=1e-3), Why.RARE),
    ],
)
def test_what_is_not_defined_is_null_and_says_why(left: list[int], right: list[int], value: object, why: Why) -> None:
    found = cohen(array(left), array(right), own(array(left)), 2)
    assert (found.value, found.ci95, found.why) == (value, None, why)


def test_one_cluster_has_no_interval() -> None:
    left, right = array([0, 1, 1]), array([0, 1, 0])
    assert cohen(left, right, array([7, 7, 7]), 2).why is Why.ONE_CLUSTER


def test_of_one_rater_alone_nothing_is_said() -> None:
    alone = fleiss(np.array([[0], [1], [1]]), np.arange(3), 2)
    assert (alone.value, alone.why) == (None, Why.NOTHING)


def test_the_interval_of_plain_agreement_is_that_of_any_rate_whose_clusters_are_as_few() -> None:
    """Truth 0.8 and alike within clusters: without the factor for few clusters 86% at 5 of them, 90% at 8."""
    rng = np.random.default_rng(7)
    for clusters, least in ((5, 0.93), (8, 0.93)):
        cluster = np.repeat(np.arange(clusters, dtype=np.int64), 20)
        held = 0
        for _ in range(1000):
            same = (rng.random(len(cluster)) < np.repeat(rng.beta(3.2, 0.8, clusters), 20)).astype(np.int64)
            found = percent(same, np.ones_like(same), cluster)
            assert found.ci95 is not None
            held += found.ci95[0] <= 0.8 <= found.ci95[1]
        assert held / 1000 >= least, (clusters, held)
        ordinary = assess(of_rate(same, cluster)).ci95
        assert found.ci95 == ordinary


def of_rate(hits: Ints, cluster: Ints) -> Units:
    """One unit for each item."""
    n = len(hits)
    return Units(
        num=hits.astype(np.float64),
        den=np.ones(n),
        choice=np.full(n, SETTLED),
        left_out=np.zeros(n, dtype=bool),
        cluster=cluster,
        stratum=np.zeros(n, dtype=np.int64),
        strata=1,
        choices=(),
    )
