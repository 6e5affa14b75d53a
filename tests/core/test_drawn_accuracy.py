"""How well a judge finds each label, from labels drawn in unequal shares: by hand, and what is not defined."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import numpy as np
import pytest
from scipy.stats import beta

from harness.stats.agreement import MISSING, Why
from harness.stats.correction import LabelledAnswers, correct
from harness.stats.drawn_accuracy import JudgeAccuracy, divide_interval, measure_drawn, measure_given
from harness.stats.intervals import wilson
from harness.stats.units import Ints

Z = 1.959963984540054


def array(values: object) -> Ints:
    return np.array(values, dtype=np.int64)


def measure(judge: Ints, people: Ints, cell: Ints, cluster: Ints | None = None) -> JudgeAccuracy:
    own = np.arange(len(judge)) if cluster is None else cluster
    return measure_drawn(judge, people, own, cell, judge != MISSING, classes=2)


def drawn(cells: Sequence[tuple[int, int, int, int]]) -> tuple[Ints, Ints]:
    """Judge and people of cells that are the judge's labels.

    Args:
        cells: the judge's label, its answers, how many are labelled, and how many of these are 1 by people.
    """
    judge: list[int] = []
    people: list[int] = []
    for label, answers, labelled, ones in cells:
        judge += [label] * answers
        people += [1] * ones + [0] * (labelled - ones) + [MISSING] * (answers - labelled)
    return array(judge), array(people)


#: a judge that says 1 of 300 answers and 0 of 1,500; forty of each are labelled
CELLS = ((1, 300, 40, 34), (0, 1500, 40, 2))


def test_a_drawn_label_stands_for_the_answers_of_its_cell() -> None:
    """By hand: both 300 * 34/40 = 255, missed 1500 * 2/40 = 75, extra 45, neither 1425."""
    judge, people = drawn(CELLS)
    found = measure(judge, people, judge)
    one = found.labels[1]
    assert (found.n, found.of, found.left_out) == (80, 1800, 0)
    assert (one.judge, one.people, one.both) == (40, 36, 34)
    assert one.recall.value == pytest.approx(255 / 330)
    assert one.precision.value == pytest.approx(34 / 40)
    assert one.specificity.value == pytest.approx(1425 / 1470)
    assert one.f1.value == pytest.approx(2 * 255 / (300 + 330))
    assert found.people_shares[1].value == pytest.approx(330 / 1800)
    assert found.judge_shares[1].value == pytest.approx(300 / 1800)
    assert found.same.value == pytest.approx((255 + 1425) / 1800)
    assert measure_given(judge, people, judge, classes=2).labels[1].recall.value == pytest.approx(34 / 36)


def _limits_by_hand(cells: Sequence[tuple[int, int, int]]) -> tuple[float, float, float]:
    """A share of all answers with its limits, from the formulas: answers, labelled and hits of each open cell."""
    total = sum(CELLS[k][1] for k in (0, 1))
    value = sum(answers / total * hits / labelled for answers, labelled, hits in cells)
    low, high = wilson(value, total, Z)
    down, up = (value - low) ** 2, (high - value) ** 2
    for answers, labelled, hits in cells:
        n = labelled * answers / (answers - labelled)
        x = hits / labelled * n
        share, rate = answers / total, hits / labelled
        down += (share * (rate - (beta.ppf(0.025, x + 0.5, n - x + 0.5) if x else 0.0))) ** 2
        up += (share * ((beta.ppf(0.975, x + 0.5, n - x + 0.5) if x < n else 1.0) - rate)) ** 2
    return value, max(0.0, value - sqrt(down)), value + sqrt(up)


def test_the_interval_of_a_drawn_figure_is_that_of_the_formulas() -> None:
    """The sensitivity again: two shares, their correlation from pseudo-records, and the roots of a quadratic."""
    judge, people = drawn(CELLS)
    found = measure(judge, people, judge).labels[1].recall
    both, missed = _limits_by_hand([(300, 40, 34)]), _limits_by_hand([(1500, 40, 2)])
    records: list[tuple[float, float]] = []  # each answer's pseudo-record of both shares
    for label, answers, labelled, ones in CELLS:
        rate = ones / labelled
        for place in range(answers):
            hit = float(place < ones)
            value = rate + (answers / labelled * (hit - rate) if place < labelled else 0.0)
            records.append((value, 0.0) if label == 1 else (0.0, value))
    deviations = np.array(records) - [both[0], missed[0]]
    covariance = deviations.T @ deviations
    r = covariance[0, 1] / sqrt(covariance[0, 0] * covariance[1, 1])
    ends = []
    for sign in (1, -1):
        dx = both[0] - both[1] if sign > 0 else both[2] - both[0]
        dy = missed[2] - missed[0] if sign > 0 else missed[0] - missed[1]
        # ((1-t) x - t y)^2 = ((1-t) dx)^2 + (t dy)^2 - 2 r t (1-t) dx dy, with q = (1-t) / t
        a, b, c = both[0] ** 2 - dx**2, -2 * both[0] * missed[0] + 2 * r * dx * dy, missed[0] ** 2 - dy**2
        roots = [(-b + side * sqrt(b * b - 4 * a * c)) / (2 * a) for side in (1, -1)]
        ends.append(1 / (1 + max(roots)) if sign > 0 else 1 / (1 + min(roots)))
    assert found.ci95 is not None
    assert sorted(found.ci95) == pytest.approx(sorted(ends), abs=1e-9)


def test_a_mistake_that_no_label_shows_may_still_be_there() -> None:
    judge, people = drawn(((1, 300, 40, 38), (0, 1500, 40, 0)))
    recall = measure(judge, people, judge).labels[1].recall
    assert recall.value == 1
    assert recall.ci95 is not None
    assert recall.ci95[0] < 0.85  # one answer in forty of 1,500 is as many as an eighth of what was found
    assert recall.ci95[1] == 1


def test_peoples_share_is_the_corrected_rate() -> None:
    judge, people = drawn(CELLS)
    found = measure(judge, people, judge).people_shares[1]
    labelled = people != MISSING
    sample = LabelledAnswers(
        cell=judge,
        names=("answers judged 0", "answers judged 1"),
        cluster=np.arange(len(judge)),
        hit=np.where(labelled, people, 0).astype(float),
        votes=labelled.astype(np.int64),
        known=np.zeros(len(judge), dtype=bool),
    )
    corrected = correct(sample)
    assert found.value == pytest.approx(corrected.value)
    assert found.ci95 == pytest.approx(corrected.ci95)


def test_with_every_answer_labelled_a_figure_is_the_plain_one_and_its_interval_nearly_so() -> None:
    judge, people = drawn(((1, 60, 60, 50), (0, 140, 140, 9)))
    own = np.arange(200)
    whole, plain = measure(judge, people, judge), measure_given(judge, people, own, classes=2)
    for name in ("recall", "precision", "specificity", "f1"):
        left, right = (getattr(each.labels[1], name) for each in (whole, plain))
        assert left.value == pytest.approx(right.value)
        assert left.n == right.n
        assert left.ci95 == pytest.approx(right.ci95, abs=0.02)
    assert whole.same.ci95 == pytest.approx(plain.same.ci95)


def test_answers_of_one_cluster_make_the_interval_wider() -> None:
    rng = np.random.default_rng(3)
    truth = np.repeat(rng.integers(0, 2, 100), 4)
    judge = np.where(np.repeat(rng.random(100) < 0.85, 4), truth, 1 - truth)
    people = np.where(rng.random(400) < 0.5, truth, MISSING)
    alone, together = (measure(judge, people, judge, cluster).labels[1].f1 for cluster in (None, np.arange(400) // 4))
    assert alone.ci95 is not None
    assert together.ci95 is not None
    assert alone.value == pytest.approx(together.value)
    assert together.ci95[1] - together.ci95[0] > 1.3 * (alone.ci95[1] - alone.ci95[0])


def test_answers_that_the_judge_gave_no_label_and_cells_without_labels_are_left_out() -> None:
    judge, people = drawn((*CELLS, (1, 100, 0, 0)))
    cell = judge.copy()
    cell[-100:] = 2
    judge[0] = MISSING
    found = measure(judge, people, cell)
    assert (found.n, found.of, found.left_out) == (79, 1799, 100)


def test_a_person_is_measured_over_all_drawn_answers_though_he_labelled_a_few() -> None:
    judge, people = drawn(CELLS)
    person = people.copy()
    person[0] = 0
    found = measure_drawn(person, people, np.arange(1800), judge, np.ones(1800, dtype=bool), classes=2)
    assert (found.n, found.of) == (80, 1800)
    assert found.labels[1].recall.value == pytest.approx((330 - 7.5) / 330)
    assert found.judge_shares[1].value == pytest.approx((330 - 7.5) / 1800)


@pytest.mark.parametrize(
    ("judge", "people", "figure", "why"),
    [
        ([0, 0], [0, 1], "precision", Why.NOT_JUDGED),
        ([0, 1], [0, 0], "recall", Why.NOT_SEEN),
        ([0, 1], [1, 1], "specificity", Why.ALWAYS_SEEN),
        ([0, 0], [0, 0], "f1", Why.NOWHERE),
        ([0, 1], [MISSING, MISSING], "f1", Why.NOTHING),
        ([], [], "recall", Why.NOTHING),
    ],
)
def test_a_figure_without_answers_says_why(judge: list[int], people: list[int], figure: str, why: Why) -> None:
    codes = array(judge)
    found = getattr(measure(codes, array(people), codes).labels[1], figure)
    assert (found.value, found.why) == (None, why)


def test_a_quotient_of_equal_parts_is_a_half_with_an_interval_around_it() -> None:
    low, high = divide_interval((0.2, (0.1, 0.3)), (0.2, (0.1, 0.3)), 0.0)
    assert low == pytest.approx(1 - high)
    assert low < 0.5 < high
    assert divide_interval((0.0, (0.0, 0.1)), (0.2, (0.1, 0.3)), 0.0)[0] == pytest.approx(0.0, abs=1e-9)
