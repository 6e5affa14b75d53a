"""How much a main number depends on its judge, in every report: the range over judges, and the repeats of one."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Any

import harness_csv
import harness_html
import harness_latex
import harness_markdown
import pytest

from harness.board.results import find_fault
from harness.board.tables import render_report_table, render_run_table
from harness.testing.results import Body, judged, results, split

FIRST, SECOND = "mis-openai-judge-1f3a9c2e", "mis-openai-other-00000000"
REPEATS: Body = {
    "count": 3,
    "answers": 1000,
    "agree": 0.955,
    "unscored": [0, 0, 0],
    "unjudged": [0, 0, 0],
    "metrics": {"ASR": {"values": [46.2, 45.1, 47.3], "sd": 1.1, "sd_by_answers": 0.62, "range": [45.1, 47.3]}},
}


def run(*others: tuple[str, int], **more: Any) -> Body:
    """A run with the number 46.2, and other judges with theirs."""
    found = {judge: judged({"ASR": hits, "RSR": 1000 - hits}, main="ASR") for judge, hits in others}
    own = judged({"ASR": 462, "RSR": 538}, main="ASR")
    return results("x/a", {"mis": {"test": split(own, judge=FIRST, other_judges=found, **more)}})


WRITERS: dict[str, Callable[[Body], Any]] = {
    "terminal": render_run_table,
    "table": lambda made: render_report_table([made]),
    "markdown": lambda made: harness_markdown.render([made]),
    "latex": lambda made: harness_latex.render([made]),
    "page": lambda made: harness_html.render([made]),
}


@pytest.mark.parametrize("name", WRITERS)
def test_each_report_gives_the_range_over_judges_and_nothing_for_one(name: str) -> None:
    said = " ".join(str(WRITERS[name](run((SECOND, 524), ("keyword-1a2b3c4d", 310)))).split())
    assert "31.0 to 52.4 over 3 judges" in said
    assert "over 1 judge" not in str(WRITERS[name](run()))
    assert "judges" not in str(WRITERS[name](run())).replace("judges-", "").partition("<script")[0] or name == "page"


@pytest.mark.parametrize("name", WRITERS)
def test_each_report_says_how_far_the_repeats_of_a_judge_lie_apart(name: str) -> None:
    made = run(repeats=REPEATS)
    assert find_fault(made) == ""
    said = " ".join(str(WRITERS[name](made)).split())
    assert "45.1 to 47.3 in 3 repeats of the judge, standard deviation 1.10" in said
    assert "repeats" not in " ".join(str(WRITERS[name](run())).split()).partition("<style")[0]


def test_the_columns_of_csv_hold_them_for_the_main_number_alone() -> None:
    text = str(harness_csv.render([run((SECOND, 524), repeats=REPEATS)]))
    lines = [line for line in csv.DictReader(io.StringIO(text)) if line["judge"] == FIRST and not line["by"]]
    names = ("judges", "judges_low", "judges_high", "repeats", "repeats_agree", "repeats_sd", "repeats_low")
    found = {line["metric"]: [line[name] for name in names] for line in lines}
    assert found == {"ASR": ["2", "46.2", "52.4", "3", "0.955", "1.1", "45.1"], "RSR": [""] * 7}
