"""`harness runs`: the runs under a folder, and `harness.list_runs` for Python."""

import errno
import fcntl
import json
import os
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import harness
from harness import plugins
from harness.cli import cli
from harness.errors import HarnessError
from harness.limits import Policy
from harness.runs.state import is_running
from harness.store.folder import RunFolder
from harness.testing.fakes import fake_judge, fake_provider, fake_task, host_of
from harness.types import Failure

HOST = host_of(fake_provider("yes"), fake_provider(Failure(outcome="error", reason="http_400"), scheme="down"),
               fake_task({f"q{n}": f"question {n}" for n in range(4)}), fake_task({"a": "a"}, name="other"),
               fake_judge())  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four runs: two complete ones, an incomplete one, and one that failed."""
    folder = tmp_path_factory.mktemp("made")
    with plugins.use(HOST):
        harness.run("fake/x", "fake", output=folder / "x")
        harness.run("fake/y", ["fake", "other"], output=folder / "deep" / "er" / "y")
        harness.run("down/x", "fake", output=folder / "short", probe=False, policy=Policy(breaker=100))
        with pytest.raises(HarnessError):
            harness.run("down/z", "fake", output=folder / "failed", probe=False, policy=Policy(breaker=2))
    return folder


@pytest.fixture
def runs(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "runs"))


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["runs", *map(str, arguments)])


def listed(*arguments: str | Path) -> list[dict[str, Any]]:
    done = call(*arguments, "--json")
    assert done.exit_code == 0, done.exception
    body = json.loads(done.stdout)
    assert body["schema"] == "harness.runs/1"
    return list(body["runs"])


def names(rows: list[dict[str, Any]]) -> list[str]:
    return [Path(row["folder"]).name for row in rows]


def test_each_run_has_its_state_its_model_and_its_main_numbers(runs: Path) -> None:
    rows = {Path(row["folder"]).name: row for row in listed(runs)}
    assert {name: row["state"] for name, row in rows.items()} == {
        "x": "complete",
        "y": "complete",
        "short": "incomplete",
        "failed": "failed",
    }
    assert rows["y"]["tasks"] == ["fake:all", "other:all"]
    (number,) = rows["x"]["numbers"]
    stored = json.loads((runs / "x" / "results.json").read_text())["tasks"]["fake"]["splits"]["all"]["metrics"]["ASR"]
    assert (number["metric"], number["value"], number["ci95"]) == ("ASR", stored["value"], stored["ci95"])
    assert rows["short"]["why"] == "fake:all: coverage 0.0%, error 4"
    assert "http_400" in rows["failed"]["why"]


def test_a_list_tells_runs_of_one_model_apart_by_strategy_and_attack(tmp_path: Path) -> None:
    words = ("run", "--model", "mini/base", "--tasks", "mis:mini", "--limit", "1", "--phases", "answers", "--no-probe")
    for name, more in (("plain", ()), ("both", ("--attack", "drop", "--strategy", "self-reminder"))):
        done = CliRunner().invoke(cli, [*words, *more, "--output", str(tmp_path / name)])
        assert done.exit_code == 0, done.exception
    shown = " ".join(call(tmp_path).stdout.split())
    assert "mini/base + self-reminder + attack drop" in shown
    rows = {Path(row["folder"]).name: (row["model"], row["name"]) for row in listed(tmp_path)}
    assert rows == {
        "plain": ("mini/base", "mini/base"),
        "both": ("mini/base", "mini/base + self-reminder + attack drop"),
    }
    assert names(listed(tmp_path, "--model", "attack drop")) == ["both"]


def test_dollars_that_nobody_knows_are_null_and_never_0(runs: Path) -> None:
    path = runs / "x" / "results.json"
    body = json.loads(path.read_text())
    body["usage"]["cost_usd"] = 1.25
    path.write_text(json.dumps(body))
    rows = {Path(row["folder"]).name: row["cost_usd"] for row in listed(runs, "--state", "complete")}
    assert rows == {"x": 1.25, "y": None}
    done = call(runs, "--state", "complete")
    assert "1.25" in done.stdout
    assert "?" in done.stdout
    assert "$1.25 in 1 of them, unknown in 1" in done.stderr
    assert "0.00" not in done.stdout


def test_dollars_of_calls_that_nobody_sells_are_not_sold_and_null_with_the_reason(runs: Path) -> None:
    path = runs / "x" / "results.json"
    body = json.loads(path.read_text())
    body["usage"] |= {"cost_usd": None, "cost_why": "not priced: nobody sells these calls"}
    path.write_text(json.dumps(body))
    (row,) = (row for row in listed(runs, "--state", "complete") if Path(row["folder"]).name == "x")
    assert (row["cost_usd"], row["cost_why"]) == (None, "not priced: nobody sells these calls")
    assert "not sold" in call(runs, "--state", "complete").stdout


def test_a_run_that_is_written_is_running(runs: Path) -> None:
    with (runs / "x" / ".writers.lock").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        assert names(listed(runs, "--state", "running")) == ["x"]


def test_broken_folders_are_rows_with_their_reason(runs: Path) -> None:
    for name, files in {
        "not-json": {"run.json": "{"},
        "not-ours": {"run.json": '{"schema": "other/1"}'},
        "no-run": {"fake/responses.jsonl": ""},
        "results-alone": {"results.json": (runs / "x" / "results.json").read_text()},
    }.items():
        for file, text in files.items():
            path = runs / name / file
            path.parent.mkdir(parents=True)
            path.write_text(text)
    (runs / "y-edited").mkdir()
    shutil.copytree(runs / "x", runs / "edited")
    (runs / "edited" / "results.json").write_text('{"schema": "harness.results/1"}')
    rows = {Path(row["folder"]).name: row for row in listed(runs)}
    assert {name for name, row in rows.items() if row["state"] == "unreadable"} == {
        "not-json",
        "not-ours",
        "no-run",
        "results-alone",
    }
    assert rows["not-json"]["why"].startswith("run.json: not JSON")
    assert "'other/1'" in rows["not-ours"]["why"]
    assert rows["results-alone"]["numbers"], "what can be read is there"
    assert rows["edited"]["state"] == "incomplete"
    assert len(rows) == 9, "an empty folder is none"
    assert call(runs).exit_code == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_folder_that_may_not_be_read_is_a_row(runs: Path) -> None:
    (runs / "x").chmod(0)
    try:
        assert "x" in names(listed(runs, "--state", "unreadable"))
    finally:
        (runs / "x").chmod(0o755)


def test_a_folder_inside_which_nobody_may_look_does_not_end_the_list(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = Path.stat

    def refuse(path: Path, **options: bool) -> os.stat_result:
        if path.parent == runs / "x":
            raise PermissionError(errno.EACCES, "Permission denied")
        return look(path, **options)

    monkeypatch.setattr(Path, "stat", refuse)
    rows = {Path(row["folder"]).name: row["why"] for row in listed(runs)}
    assert (len(rows), rows["x"]) == (4, "cannot be read: Permission denied")


def test_hidden_folders_links_and_what_is_too_deep_are_not_searched(runs: Path) -> None:
    (runs / "x").rename(runs / ".x.2026")
    (runs / "link").symlink_to(runs / "short")
    (runs / "loop").symlink_to(runs)
    assert sorted(names(listed(runs))) == ["failed", "short", "y"]
    assert sorted(names(listed(runs, "--depth", "1"))) == ["failed", "short"]
    assert names(listed(runs / "short")) == ["short"], "one run may be named itself"


@pytest.mark.parametrize(
    ("flags", "found"),
    [
        (("--model", "fake/*", "--sort", "folder"), ["y", "x"]),
        (("--model", "fake", "--sort", "folder", "--reverse"), ["x", "y"]),
        (("--model", "own/x"), ["short"]),
        (("--task", "other"), ["y"]),
        (("--task", "other:all"), ["y"]),
        (("--task", "other:none"), []),
        (("--state", "failed,incomplete", "--sort", "state"), ["short", "failed"]),
        (("--sort", "model", "--limit", "1"), ["short"]),
        (("--sort", "value", "--model", "fake/y"), ["y"]),
    ],
)
def test_filters_and_orders(runs: Path, flags: tuple[str, ...], found: list[str]) -> None:
    assert names(listed(runs, *flags)) == found


def test_a_named_task_shows_its_numbers_alone(runs: Path) -> None:
    (row,) = listed(runs, "--task", "other")
    assert [number["task"] for number in row["numbers"]] == ["other"]
    assert row["tasks"] == ["other:all"]


def test_the_table_has_a_line_for_each_run(runs: Path) -> None:
    done = call(runs)
    assert done.exit_code == 0
    for text in ("deep/er/y", "complete", "fake/x", "fake:all ASR % ↓ 100.0", "http_400"):
        assert text in done.stdout
    assert "4 runs: 2 complete, 1 incomplete, 1 failed" in done.stderr


def test_what_cannot_be_listed_is_said(runs: Path, tmp_path: Path) -> None:
    assert "no such folder" in str(call(tmp_path / "nowhere").exception)
    assert "did you mean 'failed'" in str(call(runs, "--state", "faild").exception)
    (tmp_path / "empty").mkdir()
    done = call(tmp_path / "empty")
    assert (done.exit_code, done.stdout) == (0, "")
    assert "no runs under" in done.stderr
    assert "none of the 4 runs" in call(runs, "--model", "nobody").stderr


def test_shards_that_are_not_merged_are_one_incomplete_run(tmp_path: Path) -> None:
    with plugins.use(HOST):
        harness.run("fake/x", "fake", output=tmp_path / "runs" / "z" / ".shards" / "0-of-2")
    (row,) = listed(tmp_path / "runs")
    assert (Path(row["folder"]).name, row["state"]) == ("z", "incomplete")
    assert "1 of 2 shards" in row["why"]


def test_python_has_the_same_list(runs: Path) -> None:
    found = harness.list_runs(runs)
    assert [str(run.folder) for run in found] == [row["folder"] for row in listed(runs)]
    assert {run.state for run in found} == {"complete", "incomplete", "failed"}
    with pytest.raises(HarnessError, match="no such folder"):
        harness.list_runs(runs / "nowhere")


def test_who_looks_whether_a_run_goes_on_stops_no_writer_that_starts_right_then(runs: Path) -> None:
    place, ended = RunFolder(runs / "x"), threading.Event()

    def look() -> None:
        while not ended.is_set():
            is_running(place.path)

    looking = threading.Thread(target=look)
    looking.start()
    try:
        for _ in range(300):
            place.task("fake").responses(write=True).close()
            with place.hold_alone():
                pass
            with place.hold_at_rest():
                pass
    finally:
        ended.set()
        looking.join()
