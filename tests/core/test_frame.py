"""Results as a table for notebooks."""

import pandas as pd

from harness.runs.results import to_frame
from harness.testing.results import judged, results, split


def test_each_metric_of_each_judge_is_one_row() -> None:
    first = judged({"unsafe": 1, "safe": 3}, main="unsafe")
    second = judged({"unsafe": 2, "safe": 2}, main="unsafe")
    body = split(first, judge="mis-openai-J-00000001", other_judges={"keyword-00000002": second})
    table = to_frame([results("openai/A", {"mis": {"easy": body}})])
    assert list(table.columns) == [
        "model",
        "task",
        "split",
        "judge",
        "metric",
        "value",
        "unit",
        "better",
        "ci_low",
        "ci_high",
        "numerator",
        "denominator",
        "unresolved",
        "n",
        "coverage",
        "complete",
        "why",
    ]
    rows = table.set_index(["judge", "metric"])["value"]
    assert rows["mis-openai-J-00000001", "unsafe"] == 25.0
    assert rows["keyword-00000002", "unsafe"] == 50.0
    assert len(table) == 4


def test_several_results_stand_under_each_other() -> None:
    body = split(judged({"unsafe": 1}, main="unsafe"), judge="keyword-00000002")
    table = to_frame([results(ref, {"mis": {"easy": body}}) for ref in ("openai/A", "openai/B")])
    assert list(table["model"]) == ["openai/A", "openai/B"]


def test_a_split_that_nobody_judged_has_rows_without_values() -> None:
    body = split(judged({"unsafe": 0}, main="unsafe", unjudged=4), judge="")
    body["judge"] = None
    (row,) = to_frame([results("openai/A", {"mis": {"easy": body}})]).to_dict("records")
    assert (row["judge"], row["n"], row["complete"]) == (None, 4, False)
    assert pd.isna(row["value"]), "no number, and not zero"
    assert pd.isna(row["ci_low"])


def test_no_results_make_an_empty_table() -> None:
    assert to_frame([]).empty
