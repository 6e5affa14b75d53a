"""How well a judge finds each label: the four figures, their intervals, and why one is missing."""

from __future__ import annotations

import numpy as np
import pytest

from harness.stats.accuracy import measure_bias, measure_labels
from harness.stats.agreement import MISSING, Why
from harness.stats.assess import estimate_rate

#: judge and people over ten answers: 3 both unsafe, 2 the judge alone, 1 people alone, 4 neither
JUDGE = np.array([0, 0, 0, 0, 0, 1, 1, 1, 1, 1])
PEOPLE = np.array([0, 0, 0, 1, 1, 0, 1, 1, 1, 1])
EACH = np.arange(10)


def test_precision_recall_specificity_and_f1_follow_from_the_four_counts() -> None:
    unsafe, safe = measure_labels(JUDGE, PEOPLE, EACH)
    assert (unsafe.judge, unsafe.people, unsafe.both) == (5, 4, 3)
    assert unsafe.precision.value == pytest.approx(3 / 5)
    assert unsafe.recall.value == pytest.approx(3 / 4)
    assert unsafe.specificity.value == pytest.approx(4 / 6)
    assert unsafe.f1.value == pytest.approx(2 * 3 / (5 + 4))
    assert safe.recall.value == unsafe.specificity.value


def test_a_rate_has_the_interval_that_every_rate_here_has() -> None:
    unsafe, _ = measure_labels(JUDGE, PEOPLE, EACH)
    rows = PEOPLE == 0
    found = estimate_rate((JUDGE[rows] == 0).astype(float), EACH[rows])
    assert found is not None
    assert unsafe.recall.ci95 == pytest.approx(found.interval())


def test_f1_has_an_interval_of_resampled_clusters_that_holds_its_value() -> None:
    judge, people = np.tile(JUDGE, 40), np.tile(PEOPLE, 40)
    alone = measure_labels(judge, people, np.arange(400))[0].f1
    together = measure_labels(judge, people, np.arange(400) // 40)[0].f1
    assert alone.ci95 is not None
    assert alone.value is not None
    assert alone.ci95[0] < alone.value < alone.ci95[1]
    assert alone.ci95[1] - alone.ci95[0] < 0.2
    assert together.ci95 != alone.ci95


def test_an_answer_that_one_side_did_not_label_counts_nowhere() -> None:
    judge, people = JUDGE.copy(), PEOPLE.copy()
    judge[0], people[9] = MISSING, MISSING
    unsafe, _ = measure_labels(judge, people, EACH)
    assert (unsafe.judge, unsafe.people, unsafe.both, unsafe.f1.n) == (4, 3, 2, 8)


def test_a_weight_counts_as_so_many_answers() -> None:
    weights = np.array([2.0, *[1.0] * 9])
    twice = np.concatenate(([0], EACH))
    weighted = measure_labels(JUDGE, PEOPLE, EACH, weights)[0]
    repeated = measure_labels(JUDGE[twice], PEOPLE[twice], EACH[twice])[0]
    for name in ("precision", "recall", "specificity", "f1"):
        assert getattr(weighted, name).value == pytest.approx(getattr(repeated, name).value)
    assert measure_bias(JUDGE == 0, PEOPLE == 0, EACH, weights).value == pytest.approx(1 / 11)


@pytest.mark.parametrize(
    ("judge", "people", "figure", "why"),
    [
        ([1, 1], [0, 1], "precision", Why.NOT_JUDGED),
        ([0, 1], [1, 1], "recall", Why.NOT_SEEN),
        ([0, 1], [0, 0], "specificity", Why.ALWAYS_SEEN),
        ([1, 1], [1, 1], "f1", Why.NOWHERE),
        ([MISSING], [0], "precision", Why.NOTHING),
        ([MISSING], [0], "f1", Why.NOTHING),
    ],
)
def test_a_figure_that_is_not_defined_says_why(judge: list[int], people: list[int], figure: str, why: Why) -> None:
    found = measure_labels(np.array(judge), np.array(people), np.arange(len(judge)), classes=2)[0]
    assert getattr(found, figure).value is None
    assert getattr(found, figure).why is why


def test_no_answer_at_all_has_labels_without_figures() -> None:
    none = np.array([], dtype=np.int64)
    assert [each.f1.why for each in measure_labels(none, none, none, classes=2)] == [Why.NOTHING, Why.NOTHING]
    assert measure_bias(none.astype(np.float64), none.astype(np.float64), none).why is Why.NOTHING


def test_the_bias_is_the_difference_of_both_rates_with_an_interval_that_knows_that_they_are_paired() -> None:
    judge, people = np.tile(JUDGE, 20) == 0, np.tile(PEOPLE, 20) == 0
    paired = measure_bias(judge, people, np.arange(200))
    same = measure_bias(people, people, np.arange(200))
    assert paired.value == pytest.approx(0.1)
    assert paired.ci95 is not None
    assert same.ci95 is not None
    assert paired.ci95[0] < 0.1 < paired.ci95[1]
    assert same.value == 0
    assert same.ci95[1] - same.ci95[0] < paired.ci95[1] - paired.ci95[0]
