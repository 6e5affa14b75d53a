"""Commands that take several runs take folders and patterns, and say of a folder of runs how to name them all."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.cli import cli
from harness.errors import HarnessError
from harness.runs.state import list_run_folders


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """A sweep's folder as it lies: runs, and a hidden folder of its own beside them."""
    for name in ("b", "a", ".sweep"):
        (tmp_path / "out" / name).mkdir(parents=True)
    for name in ("b", "a"):
        (tmp_path / "out" / name / "run.json").write_text("{}", "utf-8")
    (tmp_path / "out" / "notes").mkdir()
    return tmp_path / "out"


def test_a_pattern_is_its_runs_in_order_without_what_is_no_run(sweep: Path) -> None:
    assert list_run_folders([sweep / "*"]) == [sweep / "a", sweep / "b"]


def test_a_run_that_is_named_twice_is_one(sweep: Path) -> None:
    assert list_run_folders([sweep / "b", sweep / "*", sweep / "." / "b"]) == [sweep / "b", sweep / "a"]


def test_a_folder_whose_name_is_a_pattern_is_itself(tmp_path: Path) -> None:
    (tmp_path / "[ab]").mkdir()
    (tmp_path / "[ab]" / "run.json").write_text("{}", "utf-8")
    assert list_run_folders([tmp_path / "[ab]"]) == [tmp_path / "[ab]"]


def test_a_pattern_without_a_run_is_refused(sweep: Path) -> None:
    with pytest.raises(HarnessError, match="no run matches"):
        list_run_folders([sweep / "note*"])


@pytest.mark.parametrize(
    "words",
    [("label", "--as", "anna"), ("judge", "--judge", "keyword"), ("agree",), ("view", "--no-browser")],
    ids=lambda words: words[0],
)
def test_of_the_folder_of_a_sweep_each_command_says_how_to_name_its_runs(sweep: Path, words: tuple[str, ...]) -> None:
    done = CliRunner().invoke(cli, [words[0], str(sweep), *words[1:]])
    assert isinstance(done.exception, HarnessError)
    assert done.exception.what == "there is no run here"
    assert done.exception.remedy == f"its sub-folders hold runs: name one, or give all of them as '{sweep}/*'"
