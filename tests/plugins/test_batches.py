"""`harness batches`: what it shows of a run folder, without asking anybody."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from harness.batches.log import BatchLog, BatchRecord
from tests.acceptance import commands


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A small run with one open batch of ten requests, of which four have a result."""
    folder = tmp_path / "run"
    ran = commands.harness_here(
        "run", "--model", "mini/base", "--tasks", "mis:mini", "--limit", "1", "--output", folder
    )
    assert ran.code == 0, ran.err
    log = BatchLog(folder)
    names = {f"{number:060x}": None for number in range(10)}
    log.announce(BatchRecord(part="p1", channel="c", model="openai/m", requests=10, submitted=time.time()), names)
    log.note_submitted("p1", "batch_abc")
    log.note_state("p1", done=4, said="in_progress")
    log.close()
    return folder


def test_a_batch_is_shown_with_its_state_and_what_to_do_next(run: Path) -> None:
    shown = commands.harness_here("batches", run)
    assert shown.code == 0, shown.err
    for word in ("openai/m", "batch_abc", "in_progress", "10 requests wait: give the run's command again"):
        assert word in shown.out + shown.err


def test_the_json_of_a_batch_has_its_counts(run: Path) -> None:
    (line,) = commands.harness_here("batches", run, "--json").out.splitlines()
    record = json.loads(line)
    assert (record["batch"], record["stage"], record["requests"], record["done"]) == ("batch_abc", "open", 10, 4)


def test_a_run_without_batches_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    assert (
        commands.harness_here(
            "run", "--model", "mini/base", "--tasks", "mis:mini", "--limit", "1", "--output", folder
        ).code
        == 0
    )
    shown = commands.harness_here("batches", folder)
    assert shown.code == 0
    assert "this run has submitted no batch" in shown.out + shown.err
