"""A number of which neither direction is better: it is measured as any other, and never marked or ranked by."""

import json
import re
from pathlib import Path

import jsonschema
import pytest
from harness_csv import render as csv
from harness_markdown import render as markdown
from harness_vlmeval.scoring import YESNO

from harness.board.leaderboard import boards, means
from harness.board.tables import render_run_table as table
from harness.metrics import Better, rate
from harness.stats.summary import suite_results
from harness.testing.results import Body, judged, results, split
from tests.core.recorded import figures, record, tally

SCHEMA = json.loads((Path(__file__).parents[2] / "docs/results.schema.json").read_text(encoding="utf-8"))


def run(ref: str, yes: int) -> Body:
    finding = judged({"yes": yes, "no": 100 - yes}, main="yes", better="neither")
    return results(ref, {"asked": {"all": split(finding, judge="r-1f3a9c2e")}})


def test_the_share_of_yes_answers_has_no_better_direction() -> None:
    assert {metric.name: metric.better for metric in YESNO}["yes_rate"] == "neither"


@pytest.mark.parametrize("better", ["lower", "higher"])
def test_its_figures_are_those_of_a_metric_with_a_direction(better: Better) -> None:
    records = [record(n, "yes" if n % 3 else None, cluster=str(n // 2)) for n in range(20)]
    neither, other = (figures(rate("r", "yes", better=which), records) for which in ("neither", better))
    assert {**neither, "better": better} == other


def test_over_epochs_it_has_a_majority_and_no_worst() -> None:
    made = tally([rate("r", "yes", better="neither", main=True)], [], epochs=2)
    for number in range(8):
        made.add(record(number // 2, "yes" if number % 3 else "no", epoch=number % 2))
    assert list(made.results()["metrics"]) == ["r", "r_majority"]


def test_rows_stay_in_their_order_unranked_and_say_why() -> None:
    (made,) = boards([run("x/b", 80), run("x/a", 20), run("x/c", 50)])
    assert [(row.ref, row.rank) for row in made.rows] == [("x/b", None), ("x/a", None), ("x/c", None)]
    assert {row.unranked for row in made.rows} == {"neither direction of yes is better"}


def test_no_report_gives_it_an_arrow() -> None:
    run_ = run("x/a", 20)
    run_["suites"] = {"s": suite_results(("asked:all",), ("asked:all",), run_["tasks"])}
    assert means([run_])[0].better == "neither"
    for shown in (table(run_), markdown([run_])):
        assert re.search(r"yes %", shown)
        assert not re.search(r"(yes %|\]) *[↑↓]", shown)
        assert re.search(r"no % ↓", shown)
    assert "neither" in csv([run_])


def test_results_with_it_keep_the_schema() -> None:
    run_ = run("x/a", 20)
    run_["suites"] = {"s": suite_results(("asked:all",), ("asked:all",), run_["tasks"])}
    jsonschema.validate(run_, SCHEMA)
