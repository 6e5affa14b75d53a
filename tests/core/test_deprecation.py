"""What is deprecated keeps working, warns once, and says what to use; the docs list it."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import pytest
from click.testing import CliRunner

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


def test_each_deprecated_name_stands_in_the_version_policy() -> None:
    page = (ROOT / "docs" / "version-policy.md").read_text("utf-8")
    files = [path for room in ("harness", "plugins", "reports") for path in (ROOT / room).rglob("*.py")]
    call = re.compile(r"\b(?:warn|describe)_deprecated\(\s*\"([^\"]+)\"")
    names = {name for path in files for name in call.findall(path.read_text("utf-8"))}
    assert names == {"Run.to_frame()", "--out"}
    for name in names:
        assert f"{name}" in page, name
