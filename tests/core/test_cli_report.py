from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from harness.cli import cli
from harness.errors import BadData, HarnessError, UnknownName
from harness.testing.results import judged, results, split

SEVERAL = """
from harness import Report, hookimpl

@hookimpl
def harness_reports():
    render = lambda results: {"index.html": b"<p>", "data/all.json": b"[]"}
    return [Report(name="site", description="several files", render=render)]
"""


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Two runs side by side, and a folder that is none."""
    for name, unsafe in (("a", 100), ("b", 900)):
        body = split(judged({"unsafe": unsafe, "safe": 1000 - unsafe}, main="unsafe"), judge="mis-j-1f3a9c2e")
        write(tmp_path / "runs" / name / "results.json", results(f"x/{name}", {"mis": {"easy": body}}))
    (tmp_path / "runs" / "notes").mkdir()
    return tmp_path / "runs"


def write(path: Path, value: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return path


def report(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["report", *map(str, arguments)])


def refused(*arguments: str | Path) -> HarnessError:
    error = report(*arguments).exception
    assert isinstance(error, HarnessError)
    return error


def test_several_runs_make_one_leaderboard_on_stdout(runs: Path) -> None:
    done = report(runs / "a", runs / "b")
    assert done.exit_code == 0, done.exception
    assert done.stdout.index("x/a") < done.stdout.index("x/b")
    assert done.stderr == ""


@pytest.mark.parametrize("ending", ["md", "csv"])
def test_two_runs_of_one_model_are_named_by_their_folders(runs: Path, tmp_path: Path, ending: str) -> None:
    for name in ("a", "b"):
        body = split(judged({"unsafe": 100, "safe": 900}, main="unsafe"), judge="mis-j-1f3a9c2e")
        write(runs / name / "results.json", results("x/one", {"mis": {"easy": body}}))
    report(runs / "a", runs / "b", "--output", tmp_path / f"out.{ending}")
    written = (tmp_path / f"out.{ending}").read_text("utf-8")
    assert ["x/one (folder a)" in written, "x/one (folder b)" in written] == [True, True]


def test_a_pattern_takes_the_runs_with_results_and_leaves_out_the_rest(runs: Path) -> None:
    assert report(runs / "*").stdout == report(runs / "a", runs / "b").stdout


def test_a_run_named_twice_is_one_row(runs: Path) -> None:
    assert report(runs / "a", runs / "a" / "results.json", runs / "*").stdout == report(runs / "*").stdout


def test_output_goes_to_a_file_and_stdout_stays_empty(runs: Path, tmp_path: Path) -> None:
    target = tmp_path / "new" / "board.md"
    done = report(runs / "*", "--output", target)
    assert done.stdout == ""
    assert str(target) in done.stderr
    assert target.read_text(encoding="utf-8") == report(runs / "*", "--format", "markdown").stdout


def test_an_output_with_an_unknown_suffix_is_refused_with_those_that_there_are(runs: Path, tmp_path: Path) -> None:
    error = refused(runs / "*", "--output", tmp_path / "board.pdf")
    assert error.what == "no format ends with .pdf"
    assert all(suffix in error.remedy for suffix in (".csv", ".html", ".md", ".tex", ".txt", ".xlsx"))
    assert not (tmp_path / "board.pdf").exists()


def test_a_format_by_name_may_be_written_under_any_suffix(runs: Path, tmp_path: Path) -> None:
    assert report(runs / "*", "--format", "markdown", "--output", tmp_path / "board.pdf").exit_code == 0


def test_a_table_for_people_is_written_to_a_text_file(runs: Path, tmp_path: Path) -> None:
    assert report(runs / "*", "--output", tmp_path / "board.txt").exit_code == 0
    assert (tmp_path / "board.txt").read_text(encoding="utf-8") == report(runs / "*").stdout


@pytest.mark.parametrize(("name", "begins"), [("markdown", "### mis:easy"), ("csv", "model,"), ("json", "{")])
def test_each_built_in_format_is_offered(runs: Path, name: str, begins: str) -> None:
    assert report(runs / "a", "--format", name).stdout.startswith(begins)


def test_a_misspelled_format_names_the_nearest(runs: Path) -> None:
    error = refused(runs / "a", "--format", "markdwon")
    assert isinstance(error, UnknownName)
    assert "markdown" in error.remedy


@pytest.mark.parametrize(
    ("place", "remedy"),
    [("notes", "folder of a run"), ("missing", "folder of a run"), ("", "harness report"), ("none*", "results.json")],
)
def test_a_place_without_results_is_refused_with_a_remedy(runs: Path, place: str, remedy: str) -> None:
    assert remedy in refused(runs / place).remedy


def test_a_run_that_has_not_ended_says_how_to_go_on(runs: Path) -> None:
    write(runs / "notes" / "run.json", {})
    remedy = refused(runs / "notes").remedy
    assert "harness run" in remedy
    assert "a pattern in quotes, such as 'runs/*', leaves it out" in remedy


WHOLE = results("x/a", {"mis": {"test": split(judged({"unsafe": 1, "safe": 9}, main="unsafe"), judge="r-1f3a9c2e")}})


@pytest.mark.parametrize(
    ("text", "told", "remedy"),
    [
        ('{"schema": ', "line 1", "whole copy"),
        ("[]", "no schema", "as `harness run` wrote it"),
        ('{"schema": "harness.results/0", "harness": "0.0.9"}', "harness.results/0", "vlm-safety-harness 0.0.9"),
        ('{"schema": "harness.results/1"}', "harness: Field required", "as `harness run` wrote it"),
        (json.dumps({**WHOLE, "model": {}}), "model.ref: Field required", "as `harness run` wrote it"),
        (json.dumps({**WHOLE, "wall_s": float("nan")}), "wall_s: ", "as `harness run` wrote it"),
    ],
)
def test_a_broken_results_file_is_named_with_its_fault_and_a_remedy(
    tmp_path: Path, text: str, told: str, remedy: str
) -> None:
    path = write(tmp_path / "results.json", text)
    error = refused(path)
    assert isinstance(error, BadData)
    assert str(path) in error.where
    assert told in str(error)
    assert remedy in error.remedy


def test_broken_results_of_a_run_are_made_again_from_its_lines(tmp_path: Path) -> None:
    path = write(tmp_path / "results.json", '{"schema": ')
    write(tmp_path / "run.json", {})
    write(tmp_path / "mis" / "responses.jsonl", "")
    assert "move it away: the same `harness run`" in refused(path).remedy


@pytest.mark.parametrize("value", [None, "zz", [], float("inf")])
@pytest.mark.parametrize(
    "where", [("n",), ("outcomes", "input_blocked"), ("metrics", "unsafe", "better"), ("metrics",)]
)
def test_a_number_that_is_none_is_refused_before_anything_is_drawn(
    tmp_path: Path, where: tuple[str, ...], value: object
) -> None:
    body = copy.deepcopy(WHOLE)
    holder = body["tasks"]["mis"]["splits"]["test"]
    for step in where[:-1]:
        holder = holder[step]
    holder[where[-1]] = value
    assert f"tasks.mis.splits.test.{where[0]}" in refused(write(tmp_path / "results.json", body)).where


def test_results_that_are_not_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_bytes(b"\xff\xfe{}")
    assert isinstance(refused(tmp_path), BadData)


def test_an_output_that_cannot_be_written_is_refused(runs: Path, tmp_path: Path) -> None:
    write(tmp_path / "file", "in the way")
    assert "--output" in refused(runs / "a", "--output", tmp_path / "file" / "board.md").remedy


def test_a_report_of_several_files_needs_a_folder_and_fills_it(runs: Path, tmp_path: Path) -> None:
    plugin = write(tmp_path / "site.py", SEVERAL)
    arguments = (runs / "a", "--format", "site", "--plugin", plugin)
    assert "--output FOLDER" in refused(*arguments).remedy
    done = report(*arguments, "--output", tmp_path / "out")
    assert done.exit_code == 0, done.exception
    assert (tmp_path / "out" / "data" / "all.json").read_bytes() == b"[]"


def test_a_report_needs_at_least_one_run() -> None:
    assert report().exit_code == 2
