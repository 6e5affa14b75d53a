"""A number without a value says why, and one that is estimated says so, in every format that has numbers."""

from __future__ import annotations

import csv
import io
from html.parser import HTMLParser
from typing import Any

import pytest
from harness_csv import render as as_csv
from harness_html import render as as_html
from harness_latex import render as as_latex
from harness_markdown import render as as_markdown

from harness.board.tables import render_report_table as as_compact
from harness.board.tables import render_run_table as as_table
from harness.testing.results import Body, judged, results, split

JUDGE = "mis-openai-judge-1f3a9c2e"
THIN = "12 of the 510 answers of hard are labelled: an estimate needs 30"
GROUPS = "1452 answers are not judged, and groups score as one: an estimate of that has not been tested"


def emptied(body: Body, why: str) -> None:
    body.update(value=None, ci95=None, why=why)


def run(ref: str = "x/a", *, main: str = "", other: str = "", drawn: bool = True) -> Body:
    finding = judged({"unsafe": 57, "safe": 43}, main="unsafe", unjudged=1452)
    metrics: dict[str, Any] = finding["metrics"]
    metrics["unsafe"]["estimator"] = {"name": "post-stratified", "by": ["split", "outcome"], "judged": 100, "of": 1552}
    if main:
        emptied(metrics["unsafe"], main)
        del metrics["unsafe"]["estimator"]
    if other:
        emptied(metrics["safe"], other)
    finding["by"] = {}
    return results(ref, {"mis": {"test": split({**finding, "drawn": drawn}, judge=JUDGE)}})


class Text(HTMLParser):
    """What a reader of a page reads, hidden text for screen readers too."""

    def __init__(self) -> None:
        super().__init__()
        self.read = ""

    def handle_data(self, data: str) -> None:
        self.read += data


def page(runs: list[Body]) -> str:
    parser = Text()
    parser.feed(as_html(runs))
    return " ".join(parser.read.split())


def flat(text: str) -> str:
    """Across lines, and without what escapes a letter in Markdown or LaTeX."""
    return " ".join(text.replace("\\", "").split())


FORMATS = {
    "table": lambda runs: flat(as_table(runs)),
    "compact": lambda runs: flat(as_compact(runs)),
    "markdown": lambda runs: flat(as_markdown(runs)),
    "latex": lambda runs: flat(as_latex(runs)),
    "csv": as_csv,
    "html": page,
}


@pytest.mark.parametrize("name", FORMATS)
def test_a_number_without_a_value_says_why(name: str) -> None:
    assert THIN in FORMATS[name]([run(main=THIN)])
    shown = FORMATS[name]([run(other=GROUPS)])
    assert GROUPS in shown
    assert THIN not in shown


@pytest.mark.parametrize("name", sorted(set(FORMATS) - {"csv"}))
def test_a_number_that_is_estimated_says_from_how_many(name: str) -> None:
    shown = FORMATS[name]([run()])
    assert "estimated for 1552 answers from" in shown
    assert "100" in shown
    assert "estimated" not in FORMATS[name]([run(main=THIN)])


@pytest.mark.parametrize("name", sorted(set(FORMATS) - {"csv"}))
def test_a_judge_that_stopped_midway_is_flagged_as_not_drawn(name: str) -> None:
    told = "not drawn: the judge has read 100 of 1552 answers"
    assert told in FORMATS[name]([run(drawn=False)])
    assert "not drawn" not in FORMATS[name]([run()])


def test_a_sheet_has_columns_for_the_reason_and_for_what_the_value_rests_on() -> None:
    rows = [
        row
        for each in (run("x/a", drawn=False), run("x/b", main=THIN))
        for row in csv.DictReader(io.StringIO(as_csv([each])))
        if row["metric"] == "unsafe"
    ]
    found = [(row["why"], row["judged"], row["estimated_for"], row["drawn"], row["flags"]) for row in rows]
    assert found == [("", "100", "1552", "False", "not_drawn"), (THIN, "", "", "True", "")]
