"""Which items each number of a split counts, for the links from a leaderboard."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from harness_view.item_states import count_split, describe_split

from harness import Metric, Record, rate
from harness.runs.stored import JudgedRecord, JudgedSplit
from harness.testing.fakes import fake_task
from harness.types import Outcome
from tests.reports.viewed import Told, stored

JUDGE = "fake-1"
ASR = rate("ASR", "unsafe", better="lower")


def record(name: str, label: str | None, *, outcome: Outcome = "answered", **fields: Any) -> Record:
    return Record(item=f"fake/all/{name}#0", id=name, split="all", cluster=name, outcome=outcome, label=label, **fields)


def loaded(*records: Record, metrics: tuple[Metric, ...] = (ASR,), by: tuple[str, ...] = ()) -> JudgedSplit:
    split: Any = fake_task(metrics=metrics, by=by).splits
    return JudgedSplit(
        display="fake",
        name="all",
        split=split["all"],
        epochs=1,
        judges=(JUDGE,),
        records=[
            JudgedRecord(record=replace(each, label=None), seen={JUDGE: each}, states={}, reasons={})
            for each in records
        ],
        gives={},
    )


def states(split: JudgedSplit, metric: str = "ASR") -> str:
    found: Any = describe_split(split, {})
    return str(found["judges"][JUDGE][metric])


RECORDS = (
    record("hit", "unsafe", category="a"),
    record("no-hit", "safe", category="b"),
    record("blocked", "blocked", outcome="input_blocked", category="a"),
    record("lost", None, outcome="error", category="a"),
    record("unread", None, unjudged=True, category="a"),
)


def test_each_item_hits_is_divided_by_or_is_open() -> None:
    assert states(loaded(*RECORDS)) == "21133"


def test_the_number_without_a_name_tells_blocked_resolved_and_unresolved_items() -> None:
    assert states(loaded(*RECORDS), "") == "11233"


def test_an_item_that_a_metric_leaves_out_counts_for_nothing() -> None:
    only_a = Metric(
        name="ASR of a",
        score=lambda r: (float(r.label == "unsafe"), 1.0) if r.category == "a" else (0.0, 0.0),
        possible=lambda r: ((0.0, 1.0), (1.0, 1.0)) if r.category == "a" else ((0.0, 0.0),),
        better="lower",
        labels=("unsafe",),
    )
    open_b = record("lost-b", None, outcome="error", category="b")
    assert states(loaded(*RECORDS, open_b, metrics=(only_a,)), "ASR of a") == "201330"


@pytest.mark.parametrize(("combine", "expected"), [("all", "1133"), ("any", "2233"), ("majority", "1133")])
def test_items_that_score_as_one_have_the_state_of_all_of_them(combine: Any, expected: str) -> None:
    def find_group(record: Record) -> str:
        return record.category

    grouped = replace(ASR, name="both", group=find_group, combine=combine)
    pairs = (
        record("1", "unsafe", category="one"),
        record("2", "safe", category="one"),
        record("3", "safe", category="two"),
        record("4", None, outcome="error", category="two"),
    )
    assert states(loaded(*pairs, metrics=(grouped,)), "both") == expected


def test_readings_over_epochs_give_all_epochs_of_a_sample_its_state() -> None:
    labels = {"a": ("unsafe", "safe", "safe"), "b": ("unsafe", "unsafe", "safe"), "c": ("safe", "safe", "safe")}
    asked = [
        replace(record(name, label), item=f"fake/all/{name}#{epoch}", epoch=epoch)
        for name, given in labels.items()
        for epoch, label in enumerate(given)
    ]
    found = loaded(*asked)
    assert states(found) == "211221111"
    assert states(found, "ASR_worst") == "222222111"
    assert states(found, "ASR_majority") == "111222111"


def test_each_breakdown_names_the_group_of_each_item() -> None:
    tagged = [replace(each, tags={"side": each.id[0]}) for each in RECORDS]
    found: Any = describe_split(loaded(*tagged, by=("category", "side")), {"fake/all/hit#0": 7})
    assert found["by"]["category"] == {"names": ["a", "b"], "of": [0, 1, 0, 0, 0]}
    assert found["by"]["side"]["names"] == ["h", "n", "b", "l", "u"]
    assert found["n"] == [7, -1, -1, -1, -1]


def test_a_metric_that_raises_takes_no_other_number_with_it() -> None:
    def fail(_: Record) -> tuple[float, float]:
        raise ZeroDivisionError

    broken: Callable[[Record], tuple[float, float]] = fail
    found: Any = describe_split(loaded(*RECORDS, metrics=(ASR, replace(ASR, name="broken", score=broken))), {})
    assert sorted(found["judges"][JUDGE]) == ["", "ASR"]


def test_a_split_whose_plugin_is_missing_says_why_nothing_is_known(tmp_path: Path) -> None:
    found = count_split(stored(tmp_path / "run", [Told(id="a")]), "drawn:all", {})
    assert list(found) == ["why", "remedy"]
