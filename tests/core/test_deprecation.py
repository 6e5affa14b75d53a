"""What is deprecated keeps working, warns once, and says what to use; the docs list it."""

from __future__ import annotations

import re
import tomllib
import warnings
from pathlib import Path

import pytest
from click.testing import CliRunner
from packaging.version import Version

from harness.cli import cli
from harness.deprecation import warn_deprecated
from harness.runs.run import Run

ROOT = Path(__file__).parents[2]


def old() -> int:
    """Stand for a name that will go."""
    warn_deprecated("old()", use="new()", goes="2.0.0")
    return 3


def test_a_deprecated_name_works_warns_once_on_a_line_and_says_what_to_use() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        assert [old() for _ in range(3)] == [3, 3, 3]
    (warning,) = caught
    assert str(warning.message) == "old() is deprecated and goes in 2.0.0: use new()"
    assert (warning.category, Path(warning.filename)) == (FutureWarning, Path(__file__))  # the user's line, not ours


def test_the_older_table_of_a_run_warns_and_is_what_it_was(tmp_path: Path) -> None:
    run = Run(folder=tmp_path, results={}, exit_code=0)
    with pytest.warns(
        FutureWarning, match=re.escape("Run.to_frame() is deprecated and goes in 1.0.0: use Run.metrics()")
    ):
        assert run.to_frame().empty


def test_the_older_flag_of_a_bench_says_what_to_write_and_stays_out_of_the_help(tmp_path: Path) -> None:
    runner = CliRunner()
    said = runner.invoke(cli, ["judges", "bench", "--out", str(tmp_path / "x"), "--judge", "no-such-judge"]).output
    assert "--out is deprecated and goes in 1.0.0: use --output" in said
    assert "--out " not in runner.invoke(cli, ["judges", "bench", "--help"]).output


def list_deprecated() -> dict[str, tuple[str, str]]:
    """Each deprecated name of the code -> what takes its place, and the release without it."""
    files = [
        path
        for room in ("harness", "plugins", "reports", "tasks", "judges", "training")
        for path in (ROOT / room).rglob("*.py")
    ]
    call = re.compile(r"\b(?:warn|describe)_deprecated\(\s*\"([^\"]+)\",\s*use=\"([^\"]+)\"(?:,\s*goes=\"([^\"]+)\")?")
    found = (each for path in files for each in call.findall(path.read_text("utf-8")))
    return {name: (use, goes or "1.0.0") for name, use, goes in found}


def test_the_version_policy_lists_the_deprecated_names_of_the_code_and_no_others() -> None:
    page = (ROOT / "docs" / "version-policy.md").read_text("utf-8")
    rows = re.findall(r"^\| `([^`]+)` \| `([^`]+)` \| ([\d.]+) \|$", page, re.MULTILINE)
    listed = {old: (use, goes) for old, use, goes in rows}
    assert list_deprecated().keys() == {"Run.to_frame()", "--out"}
    for name, (use, goes) in list_deprecated().items():
        (row,) = (row for old, row in listed.items() if re.search(rf"(^| ){re.escape(name)}( |$)", old))
        assert (use in row[0], goes) == (True, row[1]), name
    assert len(listed) == len(list_deprecated())


def test_a_deprecated_name_goes_in_a_major_release_and_is_not_overdue() -> None:
    today = Version(tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"])
    for name, (_, goes) in list_deprecated().items():
        assert Version(goes).release[1:] == (0, 0), f"{name} goes in {goes}, which is no major release"
        assert today < Version(goes), f"{name} was to go in {goes}: take it out, and its line of docs/version-policy.md"


def test_each_python_of_the_package_is_named_and_the_lowest_is_the_one_required() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    named = [each.rpartition(" ")[2] for each in project["classifiers"] if " :: Python :: 3." in each]
    assert project["requires-python"] == f">={named[0]}"
    assert named == [f"3.{minor}" for minor in range(11, 11 + len(named))]
