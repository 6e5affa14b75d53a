"""The difference of two runs if the judge errs alike on both."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from harness.stats.common_errors import CommonErrors, correct_by_common_errors
from harness.stats.correction import LabelledAnswers, share_labels

from .common_errors_reference import Answer, by_hand, p_by_hand

ANSWERS = 200
NAMES = ("answers judged safe", "answers judged unsafe", "answers the judge could not label", "blocked")


def draw(
    seed: int, rates: tuple[float, float] = (0.5, 0.35), *, errors: float = 0.1, shift: float = 0.0, labels: int = 100
) -> list[list[Answer]]:
    """Two runs over the same questions; the judge errs in so many, in the first run in `shift` more of the unsafe."""
    rng = np.random.default_rng(seed)
    cluster = rng.integers(0, 50, ANSWERS)
    arms: list[list[Answer]] = []
    for arm, rate in enumerate(rates):
        truth = rng.random(ANSWERS) < rate
        wrong = rng.random(ANSWERS) < np.where(truth & (arm == 0), errors + shift, errors)
        cell = np.where(rng.random(ANSWERS) < 0.1, 3, np.where(rng.random(ANSWERS) < 0.1, 2, truth ^ wrong))
        truth &= cell != 3
        order = rng.permutation(ANSWERS)
        rows = [order[cell[order] == each] for each in range(3)]
        chosen = cell == 3
        for own, count in zip(rows, share_labels([len(own) for own in rows], labels), strict=True):
            chosen[own[:count]] = True
        arms.append(
            [
                (int(c), int(k), float(c) if c < 2 else None, float(t) if there else None)
                for c, k, t, there in zip(cell, cluster, truth, chosen, strict=True)
            ]
        )
    return arms


def sample(answers: list[Answer]) -> tuple[LabelledAnswers, Any]:
    cell, cluster, judged, said = zip(*answers, strict=True)
    there = np.asarray([each is not None for each in said])
    cells = np.asarray(cell, dtype=np.int64)
    labelled = LabelledAnswers(
        cell=cells,
        names=NAMES,
        cluster=np.asarray(cluster, dtype=np.int64),
        hit=np.asarray([each or 0.0 for each in said]),
        votes=there.astype(np.int64),
        known=cells == 3,
    )
    return labelled, np.asarray([np.nan if each is None else each for each in judged])


def estimate(arms: list[list[Answer]]) -> CommonErrors:
    (left, ours), (right, theirs) = map(sample, arms)
    return correct_by_common_errors(left, right, (ours, theirs))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("settings", [{}, {"errors": 0.3}, {"errors": 0.0}, {"labels": 150, "shift": 0.3}])
def test_value_limits_and_tests_are_those_of_the_formulas(seed: int, settings: dict[str, Any]) -> None:
    arms = draw(seed, **settings)
    found = estimate(arms)
    assert found.value is not None
    assert found.ci95 is not None
    assert found.sensitivity is not None
    assert found.specificity is not None
    assert (found.value, *found.ci95) == pytest.approx(by_hand(arms), abs=1e-6)
    assert found.sensitivity.p == pytest.approx(p_by_hand(arms, "hit"), abs=1e-6)
    assert found.specificity.p == pytest.approx(p_by_hand(arms, "other"), abs=1e-6)


def test_a_judge_that_never_errs_leaves_the_difference_of_its_own_rates() -> None:
    arms: list[list[Answer]] = []
    for hits in (60, 100):
        truth = [1] * hits + [0] * (200 - hits)
        arms.append([(t, i, float(t), float(t) if i % 2 else None) for i, t in enumerate(truth)])
    found = estimate(arms)
    assert found.value == pytest.approx(-0.2)
    assert found.sensitivity is not None
    assert (found.sensitivity.both, found.sensitivity.p) == (1.0, 1.0)


def test_a_judges_errors_shrink_a_difference_and_this_takes_that_back() -> None:
    # of each run 200 answers: truth .5 and .3, se .9, sp .8, all in exact numbers and all labelled
    arms: list[list[Answer]] = []
    for hits in (100, 60):
        found, false = hits * 9 // 10, (200 - hits) * 2 // 10
        truth = [1.0] * hits + [0.0] * (200 - hits)
        judged = [1] * found + [0] * (hits - found) + [1] * false + [0] * (200 - hits - false)
        arms.append([(j, i, float(j), t) for i, (j, t) in enumerate(zip(judged, truth, strict=True))])
    found_ = estimate(arms)
    assert found_.value == pytest.approx(0.2)
    judge = [sum(answer[2] or 0 for answer in answers) / 200 for answers in arms]
    assert judge[0] - judge[1] == pytest.approx(0.2 * 0.7)
    assert found_.sensitivity is not None
    assert (found_.sensitivity.first, found_.sensitivity.second) == pytest.approx((0.9, 0.9))
    assert found_.sensitivity.p == pytest.approx(1.0)


def test_unequal_errors_are_found_where_they_are_large() -> None:
    found = estimate(draw(1, shift=0.5, labels=200))
    assert found.sensitivity is not None
    assert found.sensitivity.p is not None
    assert found.sensitivity.p < 0.001
    assert found.sensitivity.first is not None
    assert found.sensitivity.second is not None
    assert found.sensitivity.first < found.sensitivity.second - 0.3


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (0.0, "people call no answer of either run a hit, so the judge's sensitivity is not known"),
        (1.0, "people call every answer of both runs a hit, so the judge's specificity is not known"),
    ],
)
def test_without_hits_or_without_others_there_is_a_reason_and_no_value(said: float, why: str) -> None:
    arms: list[list[Answer]] = [[(i % 2, i, float(i % 2), said) for i in range(100)] for _ in range(2)]
    found = estimate(arms)
    assert (found.value, found.ci95, found.why) == (None, None, why)


def test_a_judge_that_guesses_gives_no_difference_and_its_errors() -> None:
    arms: list[list[Answer]] = [
        [(i % 2, i, float(i % 2), float(i // 2 % 2) if i < 80 else None) for i in range(200)] for _ in range(2)
    ]
    found = estimate(arms)
    assert found.value is None
    assert found.why == "the judge's labels tell too little of people's: sensitivity 0.50, specificity 0.50"
    assert found.sensitivity is not None


def test_a_run_with_too_few_labels_is_named() -> None:
    arms = draw(0)
    arms[1] = [(c, k, j, s if i < 30 else None) for i, (c, k, j, s) in enumerate(arms[1])]
    arms[1] = [(c, k, j, 0.0 if c == 3 else s) for c, k, j, s in arms[1]]
    assert estimate(arms).why.startswith("of the second run, ")
