"""The harmonic mean over strata: its value, interval and bounds, alone, between two runs and over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise, product

import numpy as np
import pytest

from harness.metrics import Metric, Record
from harness.stats import Tally
from harness.stats.assess import assess
from harness.stats.pairing import paired, paired_runs
from harness.stats.units import SETTLED, Units
from tests.core.recorded import record

CCR = Metric(
    name="CCR",
    score=lambda record: (float(record.label == "right"), 1.0),
    stratum=lambda record: record.tags["half"],
    strata=("safe", "unsafe"),
    harmonic=2,
    better="higher",
)


def harmonic(a: float, b: float) -> float:
    return 2 * a * b / (a + b) if a and b else 0.0


def half(name: str, *labels: bool | None) -> list[Record]:
    said = {True: "right", False: "wrong", None: None}
    return [
        record(f"{name}-{n}", said[label], tags={"half": name}, cluster=f"twin {n}") for n, label in enumerate(labels)
    ]


def told(records: Sequence[Record], metric: Metric = CCR) -> dict[str, object]:
    tally = Tally([metric], ())
    for each in records:
        tally.add(each)
    return tally.results()["metrics"][metric.name]  # type: ignore[index, return-value]  # JSON


def units(rates: Sequence[tuple[int, int]]) -> Units:
    num = np.concatenate([[1.0] * hits + [0.0] * (n - hits) for hits, n in rates])
    sizes = [n for _, n in rates]
    return Units(
        num=num,
        den=np.ones(len(num)),
        choice=np.full(len(num), SETTLED),
        left_out=np.zeros(len(num), dtype=bool),
        cluster=np.concatenate([np.arange(n) for n in sizes]),
        stratum=np.repeat(np.arange(len(sizes)), sizes),
        strata=len(sizes),
        choices=(),
        block=2,
    )


def test_the_value_is_two_ab_over_a_plus_b_and_results_say_so() -> None:
    found = told([*half("unsafe", True, False, False, False), *half("safe", True, True, True, False)])
    assert found["value"] == pytest.approx(100 * harmonic(0.25, 0.75))
    assert (found["harmonic"], found["numerator"]) == (2, None)
    assert {name: part["value"] for name, part in found["strata"].items()} == {"safe": 75.0, "unsafe": 25.0}  # type: ignore[attr-defined]


def test_a_part_of_0_makes_it_0_with_an_interval_that_reaches_up() -> None:
    for other in (True, False):
        found = assess(units([(0, 97), (97 * other, 97)]))
        assert found.value == 0
        assert found.ci95 is not None
        assert found.ci95[0] == 0
        assert 0.03 < found.ci95[1] < 0.15


def test_the_interval_holds_the_value_and_narrows_with_more_twins() -> None:
    widths: list[float] = []
    for n in (20, 80, 320, 1280):
        found = assess(units([(n // 4, n), (n - n // 20, n)]))
        assert found.value is not None
        assert found.ci95 is not None
        low, high = found.ci95
        assert 0 <= low < found.value < high <= 1
        widths.append(high - low)
    assert all(0.4 < later / sooner < 0.6 for sooner, later in pairwise(widths))


def test_twins_that_fall_together_leave_it_less_certain_than_twins_that_do_not() -> None:
    together = [*half("unsafe", *[True, False] * 40), *half("safe", *[True, False] * 40)]
    against = [*half("unsafe", *[True, False] * 40), *half("safe", *[False, True] * 40)]
    wide, narrow = (told(records)["ci95"] for records in (together, against))
    assert wide[1] - wide[0] > 1.2 * (narrow[1] - narrow[0])  # type: ignore[index]


def test_bounds_are_the_extremes_over_all_completions() -> None:
    unsafe, safe = (True, False, None, True), (True, None, None, False, True)
    found = told([*half("unsafe", *unsafe), *half("safe", *safe)])
    every: list[float] = []
    for filled in product((True, False), repeat=3):
        rest = iter(filled)
        sides = [[next(rest) if label is None else label for label in side] for side in (unsafe, safe)]
        every.append(100 * harmonic(*(sum(side) / len(side) for side in sides)))
    assert found["bounds"] == pytest.approx([min(every), max(every)])
    assert found["value"] == pytest.approx(100 * harmonic(2 / 3, 2 / 3))
    low, high = found["ci95_worst"]  # type: ignore[misc]
    assert low <= min(every) <= max(every) <= high


def test_several_blocks_count_by_the_mean_of_their_harmonic_means() -> None:
    rates = [(5, 20), (18, 20), (10, 50), (50, 50)]
    expected = (harmonic(0.25, 0.9) + harmonic(0.2, 1.0)) / 2
    assert assess(units(rates)).value == pytest.approx(expected)


def test_strata_that_are_no_whole_blocks_are_an_error_that_names_them() -> None:
    stray = record("x", "right", tags={"half": "other"})
    with pytest.raises(ValueError, match=r"harmonic mean of 2 strata in a row.* safe, unsafe, other"):
        told([*half("unsafe", True), *half("safe", True), stray])


def test_two_runs_differ_by_the_difference_of_their_harmonic_means_and_many_by_that_of_the_means() -> None:
    left = [*half("unsafe", *[True, False, False, False] * 20), *half("safe", *[True] * 80)]
    right = [*half("unsafe", *[True, True, False, False] * 20), *half("safe", *[True, True, True, False] * 20)]
    a, b = 100 * harmonic(0.25, 1.0), 100 * harmonic(0.5, 0.75)
    found = paired(CCR, left, right)
    assert (found.left, found.right, found.difference) == pytest.approx((a, b, a - b))
    assert found.ci95 is not None
    assert found.ci95[0] < a - b < found.ci95[1]
    runs = paired_runs(CCR, [left, right], [right])
    assert runs.difference == pytest.approx((a + b) / 2 - b)
