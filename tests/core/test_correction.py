"""A judge's rate corrected by people's labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from harness.stats.assess import estimate_rate
from harness.stats.correction import (
    LEAST,
    Correction,
    LabelledAnswers,
    LabelledCell,
    correct,
    correct_difference,
    count_cells,
    expect_half_width,
    plan_labels,
    share_labels,
)

from .correction_reference import correct_by_hand

NAMES = ("answers judged unsafe", "answers judged safe")


def draw(seed: int, answers: int = 600, *, rate: float = 0.3, labels: int = 120, clusters: int = 250) -> dict[str, Any]:
    """Answers with a judge that is right nine times of ten, and labels on equal numbers of each of its labels."""
    rng = np.random.default_rng(seed)
    cluster = rng.integers(0, clusters, answers)
    truth = (
        0.5 * rng.standard_normal(clusters)[cluster] + rng.standard_normal(answers) > np.sqrt(2) * (0.7 - rate)
    ) + 0
    judged = np.where(rng.random(answers) < 0.9, truth, 1 - truth)
    order = rng.permutation(answers)
    rows = [order[judged[order] == label] for label in (1, 0)]
    chosen = np.zeros(answers, dtype=bool)
    for own, count in zip(rows, share_labels([len(own) for own in rows], labels), strict=True):
        chosen[own[:count]] = True
    return {"cell": 1 - judged, "cluster": cluster, "truth": truth, "chosen": chosen}


def sample(drawn: dict[str, Any], **changes: Any) -> LabelledAnswers:
    chosen = drawn["chosen"]
    fields = {
        "cell": drawn["cell"],
        "names": NAMES,
        "cluster": drawn["cluster"],
        "hit": np.where(chosen, drawn["truth"], 0).astype(np.float64),
        "votes": chosen.astype(np.int64),
        "known": np.zeros(len(chosen), dtype=bool),
    }
    return LabelledAnswers(**(fields | changes))


def everything(correction: Correction) -> tuple[float, float, float]:
    assert correction.value is not None
    assert correction.ci95 is not None
    return correction.value, *correction.ci95


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(("labels", "clusters"), [(60, 250), (120, 250), (300, 40), (120, 100_000)])
def test_value_and_limits_are_those_of_the_formulas(seed: int, labels: int, clusters: int) -> None:
    drawn = draw(seed, labels=labels, clusters=clusters)
    given = [float(truth) if chosen else None for truth, chosen in zip(drawn["truth"], drawn["chosen"], strict=True)]
    expected = correct_by_hand(drawn["cell"].tolist(), drawn["cluster"].tolist(), given)
    assert everything(correct(sample(drawn))) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("clusters", [600, 40])
@pytest.mark.parametrize("votes", [1, 3])
def test_with_every_answer_labelled_it_is_the_ordinary_interval(clusters: int, votes: int) -> None:
    drawn = draw(3, clusters=clusters)
    rng = np.random.default_rng(0)
    hit = drawn["truth"].astype(np.float64) if votes == 1 else rng.integers(0, votes + 1, 600) / votes
    correction = correct(sample(drawn, hit=hit, votes=np.full(600, votes)))
    ordinary = estimate_rate(hit, drawn["cluster"])
    assert ordinary is not None
    assert everything(correction) == pytest.approx((ordinary.value, *ordinary.interval()), abs=1e-12)


def test_an_unlabelled_answer_counts_as_the_labelled_of_its_cell_do() -> None:
    cell = np.repeat([0, 1], [200, 800])
    hit, votes = np.zeros(1000), np.zeros(1000, dtype=np.int64)
    votes[[*range(50), *range(200, 250)]] = 1
    hit[:40] = 1
    hit[200:205] = 1
    drawn = {"cell": cell, "cluster": np.arange(1000), "truth": hit, "chosen": votes > 0}
    assert correct(sample(drawn)).value == pytest.approx(0.2 * 0.8 + 0.8 * 0.1)


def test_blocked_answers_count_as_they_are_known_to() -> None:
    drawn = draw(1)
    cells = np.concatenate([drawn["cell"], np.full(400, 2)])
    grown = sample(
        drawn,
        cell=cells,
        names=(*NAMES, "blocked"),
        cluster=np.arange(1000),
        hit=np.concatenate([np.where(drawn["chosen"], drawn["truth"], 0), np.zeros(400)]),
        votes=np.concatenate([drawn["chosen"], np.ones(400)]).astype(np.int64),
        known=np.repeat([False, True], [600, 400]),
    )
    alone, together = correct(sample(drawn)), correct(grown)
    assert alone.value is not None
    assert together.value == pytest.approx(0.6 * alone.value)
    assert together.labels == alone.labels == 120


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"labels": LEAST - 1}, "39 answers are labelled, and 40 are needed"),
        ({"labels": 0}, "0 answers are labelled, and 40 are needed"),
    ],
)
def test_too_few_labels_give_a_reason_and_no_value(changes: dict[str, int], why: str) -> None:
    correction = correct(sample(draw(0, **changes)))
    assert (correction.value, correction.ci95, correction.why) == (None, None, why)


def test_a_large_cell_with_few_labels_gives_a_reason_and_a_small_one_may_be_anything() -> None:
    drawn = draw(0, labels=200)
    cell, chosen = drawn["cell"].copy(), drawn["chosen"].copy()
    names = (*NAMES, "answers the judge could not label")
    cell[:40] = 2
    chosen[:40] = False
    large = correct(sample({**drawn, "cell": cell, "chosen": chosen}, names=names))
    assert large.why == "0 of the 40 answers the judge could not label are labelled, and 10 are needed"
    cell, chosen = drawn["cell"].copy(), drawn["chosen"].copy()
    cell[:20] = 2
    chosen[:20] = False
    small = correct(sample({**drawn, "cell": cell, "chosen": chosen}, names=names))
    without = correct(sample(drawn))
    assert small.ci95 is not None
    assert without.ci95 is not None
    assert small.ci95[1] - small.ci95[0] > without.ci95[1] - without.ci95[0]


def test_several_votes_make_a_label_worth_more_than_one() -> None:
    drawn = draw(5)
    rng = np.random.default_rng(5)
    means = np.clip(drawn["truth"] * 0.8 + 0.1 + rng.choice([-0.1, 0.0, 0.1], 600), 0, 1)
    one = correct(sample(drawn))
    three = correct(sample(drawn, hit=np.where(drawn["chosen"], means, 0), votes=drawn["chosen"] * 3))
    assert one.ci95 is not None
    assert three.ci95 is not None
    assert three.ci95[1] - three.ci95[0] < one.ci95[1] - one.ci95[0]
    assert all(1 <= cell.votes <= 3 for cell in three.cells)


@pytest.mark.parametrize(("right", "nothing"), [(0.95, False), (0.5, True)])
def test_a_judge_that_says_nothing_of_what_people_say_is_named(right: float, nothing: bool) -> None:
    drawn = draw(2, answers=4000)
    rng = np.random.default_rng(2)
    judged = np.where(rng.random(4000) < right, drawn["truth"], 1 - drawn["truth"])
    chosen = np.zeros(4000, dtype=bool)
    for label in (0, 1):
        chosen[np.flatnonzero(judged == label)[:100]] = True
    assert correct(sample({**drawn, "cell": 1 - judged, "chosen": chosen})).adds_nothing is nothing


def test_two_runs_with_the_same_answers_and_labels_do_not_differ() -> None:
    same = correct_difference(sample(draw(4)), sample(draw(4)))
    assert not isinstance(same, str)
    low, high = same.interval()
    assert same.value == 0
    assert low < 0 < high


def test_the_run_whose_labels_are_too_few_is_named() -> None:
    why = correct_difference(sample(draw(4)), sample(draw(4, labels=12)))
    assert why == "of the second run, 12 answers are labelled, and 40 are needed"


@pytest.mark.parametrize(
    ("sizes", "labels", "shares"),
    [([100, 100], 40, [20, 20]), ([100, 100], 41, [21, 20]), ([5, 100, 100], 45, [5, 20, 20]), ([3, 2], 50, [3, 2])],
)
def test_cells_share_labels_equally_and_a_small_one_gives_all_it_has(
    sizes: list[int], labels: int, shares: list[int]
) -> None:
    assert share_labels(sizes, labels) == shares


def pilot(rate_unsafe: float, rate_safe: float, unsafe: int = 500, safe: int = 1175) -> tuple[LabelledCell, ...]:
    return tuple(
        LabelledCell(name=name, hits=rate * 20, judged=20.0, of=float(of))
        for name, rate, of in zip(NAMES, (rate_unsafe, rate_safe), (unsafe, safe), strict=True)
    )


def test_the_planned_number_of_labels_gives_the_half_width_that_was_asked_for() -> None:
    cells = pilot(0.8, 0.1)
    labels = plan_labels(cells, 0.05)
    assert labels is not None
    assert expect_half_width(cells, labels) <= 0.05 < expect_half_width(cells, labels - 1)


def test_nothing_is_planned_where_all_labels_would_be_too_few() -> None:
    assert plan_labels(pilot(0.5, 0.5), 0.001) is None


def test_cells_without_answers_are_no_cells() -> None:
    drawn = draw(6)
    named = sample(drawn, names=(*NAMES, "empty"))
    assert [cell.name for cell in count_cells(named)] == list(NAMES)
