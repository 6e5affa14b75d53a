"""Runs compared by people's labels: each run with its own."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner
from harness_compare.formats import describe_people, describe_tests, render_csv, render_latex, render_markdown
from harness_compare.formats import render_terminal as as_text

from harness import Comparison
from harness.board.leaderboard import boards
from harness.board.results import read_results
from harness.cli import cli
from harness.runs.comparing.comparison import PeopleChange, SplitComparison
from tests.core.labelled import WORLD, answered, beside, labelled

SCHEMA = Path(__file__).parents[2] / "docs" / "comparison.schema.json"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two runs with labels of their own: 100 and 80."""
    folder = tmp_path_factory.mktemp("labelled")
    return labelled(answered(folder / "a", "1-0.5-0.9"), 100), labelled(answered(folder / "b", "2-0.35-0.9"), 80)


@pytest.fixture(scope="module")
def found(runs: tuple[Path, Path]) -> Comparison:
    return beside(*runs, common_errors=True)


def people(found: Comparison, metric: str = "ASR") -> PeopleChange:
    (split,) = found.splits
    change = split.changes[metric].people
    assert change is not None
    return change


def told(found: Comparison) -> list[str]:
    (split,) = found.splits
    return list(describe_people(found, split))


def results(run: Path, metric: str = "ASR") -> dict[str, Any]:
    body = json.loads((run / "results.json").read_text())
    found: dict[str, Any] = body["tasks"]["drawn"]["splits"]["one"]["metrics"][metric]["corrected"]
    return found


def test_the_difference_by_people_is_that_of_the_two_corrected_numbers(
    runs: tuple[Path, Path], found: Comparison
) -> None:
    change = people(found)
    ours, theirs = (results(run)["value"] for run in runs)
    assert change.difference is not None
    assert (change.baseline, change.value) == (pytest.approx(ours), pytest.approx(theirs))
    assert change.difference == pytest.approx(theirs - ours)
    assert change.labels == (100, 80)
    assert change.ci95 is not None
    assert change.ci95[0] < change.difference < change.ci95[1]
    mirrored = people(found, "safe")
    assert mirrored.difference == pytest.approx(-change.difference)
    assert mirrored.ci95 == pytest.approx((-change.ci95[1], -change.ci95[0]))


def test_it_stands_below_the_ordinary_comparison_and_changes_nothing_there(
    runs: tuple[Path, Path], found: Comparison, tmp_path: Path
) -> None:
    plain = beside(answered(tmp_path / "a", "1-0.5-0.9"), answered(tmp_path / "b", "2-0.35-0.9"))
    assert plain.splits[0].main.people is None
    assert [each.paired for each in plain.splits[0].changes.values()] == [
        each.paired for each in found.splits[0].changes.values()
    ]
    assert "people" not in as_text(plain, {}, 0)
    assert "corrected" not in json.dumps(plain.as_json())


def test_one_run_without_labels_is_refused_with_the_reason_and_the_ordinary_comparison_stays(
    runs: tuple[Path, Path], tmp_path: Path
) -> None:
    bare = answered(tmp_path / "b", "2-0.35-0.9")
    for pair, labels, why in (
        ((runs[0], bare), (100, 0), "people labelled answers of A alone; `harness label` draws those of B"),
        ((bare, runs[0]), (0, 100), "people labelled answers of B alone; `harness label` draws those of A"),
    ):
        found = beside(*pair, common_errors=True)
        assert people(found) == PeopleChange(labels=labels, why=why)
        assert f"no difference by people of ASR, safe, pairs: {why}" in told(found)
        assert found.splits[0].main.paired.difference is not None


@pytest.mark.parametrize(
    ("n", "first", "why"),
    [(100, 30, "30 answers are labelled, and 40 are needed"), (60, 0, "")],
)
def test_too_few_labels_in_one_run_name_it(
    runs: tuple[Path, Path], tmp_path: Path, n: int, first: int, why: str
) -> None:
    other = labelled(answered(tmp_path / "b", "2-0.35-0.9"), n, first=first)
    assert people(beside(runs[0], other)).why == (f"of B, {why}" if why else "")


def test_labels_that_were_not_drawn_are_refused(runs: tuple[Path, Path], tmp_path: Path) -> None:
    chosen = labelled(answered(tmp_path / "b", "2-0.35-0.9"), 100, draw=False)
    assert people(beside(runs[0], chosen)).why.startswith("of B, the labelled answers were not drawn at random")


def test_a_metric_that_people_cannot_correct_says_why(found: Comparison) -> None:
    assert people(found, "pairs").why == (
        "of A, the metric scores several records as one, and the correction of that has not been tested"
    )


def test_a_comparison_under_a_persons_labels_is_peoples_already(runs: tuple[Path, Path]) -> None:
    found = beside(*runs, judge="human-anna", allow_mismatch=True)
    assert all(change.people is None for change in found.splits[0].changes.values())


def test_only_common_items_count_where_a_run_asked_a_part(runs: tuple[Path, Path], tmp_path: Path) -> None:
    part = labelled(answered(tmp_path / "b", "2-0.35-0.9", "--limit", "60"), 100)
    change = people(beside(runs[0], part))
    assert change.labels[1] == 100
    assert 40 <= change.labels[0] < 100
    assert change.difference is not None


def test_common_errors_are_given_only_by_name(runs: tuple[Path, Path], found: Comparison) -> None:
    assert people(beside(*runs)).common is None
    common = people(found).common
    assert common is not None
    assert common.value is not None
    assert common.sensitivity is not None
    assert common.sensitivity.p is not None
    lines = [line for line in told(found) if line.startswith("ASR")]
    assert lines[0] == f"ASR: by people {people(found).difference:.1f} [-21.8, 1.9] (100 and 80 labels)"
    assert lines[1].endswith(", which is wrong if the judge errs unlike on A and B")
    assert "few labels find only large differences" in lines[2]


def test_unequal_errors_are_said_to_forbid_it(runs: tuple[Path, Path], tmp_path: Path) -> None:
    blind = labelled(answered(tmp_path / "b", "2-0.5-0.3"), 100)
    found = beside(runs[0], blind, common_errors=True)
    (line,) = [line for line in told(found) if line.startswith("ASR: judge's errors")]
    assert line.endswith("the judge's sensitivity differs: use the difference by people")


def test_several_runs_are_each_compared_by_their_labels_and_a_split_is_read_once(
    runs: tuple[Path, Path], tmp_path: Path
) -> None:
    third = labelled(answered(tmp_path / "c", "3-0.4-0.9"), 60)
    found = beside(*runs, third)
    assert [(each.run, each.main.people and each.main.people.labels) for each in found.splits] == [
        ("B", (100, 80)),
        ("C", (100, 60)),
    ]


def test_a_pooled_split_needs_the_labels_of_each_part(tmp_path: Path) -> None:
    a, b = (
        labelled(answered(tmp_path / name, f"{name}-0.4-0.9", tasks="drawn:one,drawn:two"), 60) for name in ("1", "2")
    )
    splits: dict[str, SplitComparison] = {each.split: each for each in beside(a, b).splits}
    for name, labels in (("both", (120, 120)), ("one", (60, 60)), ("two", (60, 60))):
        change = splits[name].main.people
        assert change is not None
        assert (change.labels, change.why) == (labels, "")
    alone = beside(a, b, tasks="drawn:both").splits[0].main.people
    assert alone == splits["both"].main.people


def test_every_format_has_it(found: Comparison) -> None:
    line = "by people -10.3 [-21.8, 1.9] (100 and 80 labels)"
    assert line in as_text(found, {}, 0)
    assert line in render_markdown(found, {}, 0).replace("\\", "")
    latex = render_latex(found)
    assert r"by people (labels) & 100/80 & $50.2$ & $39.9$ & $-10.3$ & $[-21.8, 1.9]$ &  \\" in latex
    assert r"common errors ($0.40$, $0.38$) &  &  &  & $-11.1$ & $[-23.3, 0.6]$ &  \\" in latex
    assert "By people: from each run's own labels, without a test." in describe_tests(found)
    row = next(csv.DictReader(io.StringIO(render_csv(found))))
    assert (row["metric"], row["labels_baseline"], row["labels_run"]) == ("ASR", "100", "80")
    assert float(row["corrected"]) == pytest.approx(-10.295)
    assert float(row["common"]) == pytest.approx(-11.13, abs=0.01)
    assert float(row["p_sensitivity"]) == pytest.approx(0.397, abs=0.001)
    frame = found.to_frame()
    assert list(frame["corrected_why"])[:2] == ["", ""]


def test_the_json_keeps_to_its_schema(found: Comparison, runs: tuple[Path, Path], tmp_path: Path) -> None:
    schema = json.loads(SCHEMA.read_text())
    refused = beside(runs[0], answered(tmp_path / "b", "2-0.35-0.9"))
    for each in (found, refused):
        jsonschema.validate(json.loads(json.dumps(each.as_json())), schema)
    body = found.as_json()["splits"][0]["metrics"]["ASR"]["corrected"]
    assert body["labels"] == {"baseline": 100, "run": 80}
    assert set(body["common_errors"]) == {"difference", "ci95", "sensitivity", "specificity"}
    assert refused.as_json()["splits"][0]["metrics"]["ASR"]["corrected"]["difference"] is None


def test_the_command_takes_the_flag_and_says_where_it_has_no_effect(runs: tuple[Path, Path], tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, ["compare", *map(str, runs), "--common-errors", *WORLD])
    assert done.exit_code == 0, done.output
    assert "ASR: under common errors -11.1" in done.output
    plain = answered(tmp_path / "b", "2-0.35-0.9")
    done = CliRunner().invoke(cli, ["compare", str(runs[0]), str(plain), "--common-errors", "--format", "csv", *WORLD])
    assert done.exit_code == 0, done.output
    assert "note: --common-errors shows nothing: people's labels give no metric a number in both runs" in done.stderr
    assert done.stdout.startswith("model,run,task,split,group,metric,")


def test_reports_read_what_a_labelled_run_writes(runs: tuple[Path, Path]) -> None:
    (board,) = boards([read_results(run / "results.json") for run in runs])
    shown = {row.model: row.main.corrected for row in board.rows if row.main is not None}
    for name, run, labels in (("drawn/1-0.5-0.9", runs[0], 100), ("drawn/2-0.35-0.9", runs[1], 80)):
        found = shown[name]
        assert found is not None
        assert (found.value, found.labels, found.of) == (results(run)["value"], labels, 200)
        assert [(part.name, part.known) for part in found.parts] == [
            ("safe", False),
            ("unsafe", False),
            ("blocked", True),
        ]
