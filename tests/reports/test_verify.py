"""`harness verify`: what a person reads, what a script reads, and the exit codes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import Result

from harness.errors import HarnessError
from tests.reports.secret_run import change, command, run


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tmp_path_factory.mktemp("runs") / "any")


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "any"))


def code(done: Result) -> int:
    """What the command returned, which the program exits with."""
    returned = done.return_value
    assert isinstance(returned, int), done.exception
    return returned


def spoil(folder: Path) -> None:
    change(
        folder / "results.json", lambda body: body["tasks"]["told"]["splits"]["one"]["metrics"]["ASR"].update(value=1)
    )


def test_a_run_that_is_the_same_says_so_split_by_split(folder: Path) -> None:
    done = command("verify", folder)
    assert code(done) == 0
    head, *parts = done.stdout.splitlines()
    assert head == f"{folder}  said/any: same"
    assert [part.split() for part in parts] == [
        ["told:one", "same", "22", "records"],
        ["told:two", "same", "22", "records"],
        ["told:both", "same", "44", "records"],
    ]


def test_a_number_that_differs_is_shown_with_what_was_computed(folder: Path) -> None:
    spoil(folder)
    done = command("verify", folder)
    assert code(done) == 4
    assert "    metrics.ASR.value: 1 stored, 28.5714285714 computed" in done.stdout.splitlines()
    assert "ASR is 1, where 4/14 is given" in done.stdout


def test_many_differences_are_cut_short_for_a_person_and_whole_in_json(folder: Path) -> None:
    (folder / "told" / "asked.jsonl").write_text("", encoding="utf-8")
    assert " more: --json has all" in command("verify", folder).stdout
    (found,) = json.loads(command("verify", folder, "--json").stdout)["runs"]
    assert (found["state"], found["model"]) == ("differs", "said/any")
    one = next(part for part in found["parts"] if part["part"] == "told:one")
    assert {"path": ["records"], "stored": 22, "found": 0} in one["differences"]


def test_bare_results_are_not_verifiable(folder: Path, tmp_path: Path) -> None:
    bare = tmp_path / "results.json"
    shutil.copy(folder / "results.json", bare)
    done = command("verify", bare)
    assert code(done) == 3
    assert "not verifiable: these results come without the lines they count" in done.stdout
    assert "told:one   adds up" in done.stdout


def test_the_worst_of_several_runs_is_the_exit_code(folder: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(folder, tmp_path / "other"))
    (other / "results.json").unlink()
    assert code(command("verify", folder, other)) == 3
    spoil(folder)
    assert code(command("verify", folder, other)) == 4


def test_a_pattern_and_the_results_of_a_run_mean_its_folder(folder: Path) -> None:
    assert code(command("verify", folder.parent / "an*")) == 0
    assert command("verify", folder / "results.json").stdout == command("verify", folder).stdout


def test_a_place_without_a_run_is_refused_with_a_remedy(tmp_path: Path) -> None:
    error = command("verify", tmp_path / "none").exception
    assert isinstance(error, HarnessError)
    assert "harness run" in error.remedy


def test_names_of_strangers_do_not_reach_the_terminal_as_they_are(folder: Path) -> None:
    def evil(body: dict[str, object]) -> None:
        body["model"] = {**body["model"], "ref": "x/\x1b[2J\u202eevil"}  # type: ignore[dict-item]

    change(folder / "results.json", evil)
    done = command("verify", folder)
    assert code(done) == 4
    assert "\x1b" not in done.stdout
    assert "\u202e" not in done.stdout
