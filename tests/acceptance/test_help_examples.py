"""The examples of `--help`, typed one after the other into an empty folder, do what they say."""

import re
import shlex
from pathlib import Path

import pytest

from tests.acceptance.commands import harness_here
from tests.core.test_examples import find, list_examples

pytestmark = pytest.mark.slow


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def type_in(line: str) -> None:
    ended = harness_here(*shlex.split(line)[1:])
    assert ended.code == 0, f"{line}\n{ended.err}"


def test_from_the_first_run_to_the_gate_each_example_works_where_those_before_it_worked(empty: Path) -> None:
    type_in(list_examples(())[0])
    for name in ("rerun", "runs", "power", "gate"):
        for line in list_examples((name,)):
            type_in(line)
    assert (empty / "gate.xml").is_file()


def test_the_shards_that_the_help_of_merge_names_are_merged_by_its_examples(empty: Path) -> None:
    told = " ".join((find(("merge",))[0].help or "").split())
    first = re.search(r"`harness run … (--output \S+ --shard) 0/2`, and `1/2`", told)
    assert first is not None
    for shard in ("0/2", "1/2"):
        type_in(f"harness run --model mini/base --tasks mis:mini {first[1]} {shard}")
    for line in list_examples(("merge",)):
        type_in(line)
    assert (empty / "runs" / "big" / "results.json").is_file()


def test_the_file_that_the_help_of_sweep_shows_is_run_by_its_examples(empty: Path) -> None:
    told = re.search(r"`(\{models.*?\})`", " ".join((find(("sweep",))[0].help or "").split()))
    assert told is not None
    (empty / "sweep.yaml").write_text(told[1], "utf-8")
    for line in list_examples(("sweep",))[:2]:  # the third needs Slurm
        type_in(line)
    assert [path.parent.name for path in sorted(empty.glob("runs/sweep/*/results.json"))] == [
        "mini-base",
        "mini-mirage",
    ]
