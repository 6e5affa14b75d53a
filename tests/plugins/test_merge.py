"""`harness merge`, as a user runs it: what it prints, how it ends, and shards that were killed.

What a merge makes of shards is in tests/core/test_merging.py.
"""

import json
import shlex
import signal
from pathlib import Path
from typing import Any

import pytest

from harness.testing.server import ChatServer
from tests.acceptance import commands
from tests.acceptance.commands import harness_here
from tests.acceptance.test_kill import PATIENCE, Desk, comparable

MODEL = ("--model", "mini/base", "--tasks", "mis:mini", "--limit", "8")


def run_shards(folder: Path, *numbers: int, of: int = 3, more: tuple[object, ...] = ()) -> None:
    for number in numbers:
        assert harness_here("run", *MODEL, "--output", folder, "--shard", f"{number}/{of}", *more).code == 0


def test_it_prints_the_table_of_the_run_and_ends_with_0(tmp_path: Path) -> None:
    run_shards(tmp_path / "run", 0, 1, 2)
    ended = harness_here("merge", tmp_path / "run")
    assert ended.code == 0, ended.err
    assert "mis:mini  mini/base" in ended.out
    assert "shard" not in ended.out
    assert f"results: {tmp_path / 'run' / 'results.json'}" in ended.err
    assert json.loads(harness_here("merge", tmp_path / "run", "--json").out)["tasks"]["mis"]["splits"]["mini"]["n"] == 8


def test_a_missing_shard_ends_with_3_and_the_command_that_is_printed_completes_the_run(tmp_path: Path) -> None:
    run_shards(tmp_path / "run", 0, 2)
    ended = harness_here("merge", tmp_path / "run")
    assert ended.code == 3
    [line] = [line for line in ended.err.splitlines() if "has not begun" in line]
    words = shlex.split(line.partition("; run ")[2].partition(", then merge again")[0])
    assert harness_here(*words[1:]).code == 0
    assert harness_here("merge", tmp_path / "run").code == 0


def test_shards_that_do_not_belong_together_end_with_2_and_leave_no_run(tmp_path: Path) -> None:
    run_shards(tmp_path / "run", 0, of=2)
    run_shards(tmp_path / "run", 1, of=2, more=("--epochs", 2))
    ended = harness_here("merge", tmp_path / "run")
    assert (ended.code, ended.out) == (2, "")
    assert "--epochs was 1 and is 2" in ended.err
    assert "--shard 1/2" in ended.err
    assert not (tmp_path / "run" / "run.json").exists()


def test_reports_find_the_merged_run_and_no_shard(tmp_path: Path) -> None:
    run_shards(tmp_path / "runs" / "one", 0, 1, 2)
    harness_here("merge", tmp_path / "runs" / "one")
    found = json.loads(harness_here("report", tmp_path / "runs" / "*", "--format", "json").out)
    assert "0/3" not in json.dumps(found)


@pytest.mark.slow
def test_a_shard_that_was_killed_and_one_that_was_ended_by_slurm_go_on_and_merge_into_equal_results(
    tmp_path: Path,
) -> None:
    with ChatServer() as server:
        desk = Desk(tmp_path, server)

        def words(number: int) -> tuple[Any, ...]:
            return (*desk.words(tmp_path / "run"), "--shard", f"{number}/3")

        err = ""
        for number, (end, code) in enumerate([(signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, 130)]):
            desk.expect(6)
            with commands.started(*words(number)) as process:
                desk.wait()
                process.send_signal(end)
                _, err = process.communicate(timeout=PATIENCE)
            assert process.returncode == code, err
        assert "--shard 1/3" in err, "the message names the command that goes on"
        assert commands.harness_here(*words(2)).code in (0, 3), "a few unparsable verdicts weigh more in a shard"
        stopped = commands.harness_here("merge", tmp_path / "run", "--data", desk.layout.root)
        assert stopped.code == 3
        assert "shards 0-1 (--array=0-1) of 3 have not ended" in stopped.err
        for number in (0, 1):
            assert commands.harness_here(*words(number)).code in (0, 3)
        merged = commands.harness_here("merge", tmp_path / "run")
        assert merged.code == 0, merged.err
        assert commands.harness_here(*desk.words(tmp_path / "whole")).code == 0
        found, wanted = comparable(tmp_path / "run"), comparable(tmp_path / "whole")
        for results in (found, wanted):  # each answer says how often it was asked, and usage counts its words
            results.pop("usage")
        assert found == wanted
