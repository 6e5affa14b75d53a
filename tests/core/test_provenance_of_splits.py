"""Source and licence belong to the split: a packaged one never bears the benchmark's, and says that it is a toy."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness import plugins
from harness.contracts import DataSource, Split
from harness.usual import TOY
from tests.acceptance.commands import harness_here

REPORTS = ("markdown", "csv", "latex", "html", "json")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("toy")
    tasks = "mis:mini,pope:mini"
    made = ("--limit", 3, "--no-probe", "--output", folder / "run")
    ended = harness_here("run", "--model", "mini/base", "--tasks", tasks, *made)
    assert ended.code == 0, ended.err
    return folder / "run"


def test_a_packaged_split_does_not_bear_the_source_of_its_benchmark(run: Path) -> None:
    tasks: dict[str, Any] = json.loads((run / "results.json").read_text())["tasks"]
    expected = {"source": "packaged", "revision": "", "licence": "Apache-2.0", "toy": True}
    for task in ("mis", "pope"):
        assert tasks[task]["splits"]["mini"]["data"] == expected
        assert {key: tasks[task]["data"][key] for key in expected} == expected


@pytest.mark.parametrize("report", REPORTS)
def test_every_report_says_that_toy_data_measure_nothing_and_none_names_the_benchmarks_source(
    run: Path, report: str
) -> None:
    suffix = {"markdown": "md", "latex": "tex"}.get(report, report)
    file = run.parent / f"board.{suffix}"
    ended = harness_here("report", run, "--format", report, "--output", file)
    assert ended.code == 0, ended.err
    text = file.read_text()
    assert (",toy," if report == "csv" else "toy data: shows the tool, measures nothing") in text
    assert "Tuwhy" not in text
    assert "COCO" not in text


def packaged() -> list[tuple[str, Split]]:
    found: list[tuple[str, Split]] = []
    for task, _ in plugins.current().offers("tasks"):
        if callable(task.splits):
            continue
        found += [(f"{task.name}:{name}", split) for name, split in task.splits.items() if split.data is not None]
    return found


@pytest.mark.parametrize("split", [split for _, split in packaged()], ids=[title for title, _ in packaged()])
def test_each_packaged_split_says_that_it_is_a_toy(split: Split) -> None:
    assert split.source == TOY


def test_a_packaged_split_without_a_source_of_its_own_is_still_none_of_the_tasks() -> None:
    from harness.runs.writer import build_own_data
    from harness.testing.fakes import fake_task

    task = fake_task()
    assert not callable(task.splits)
    assert build_own_data(task.splits["all"]) == {
        "source": "packaged",
        "revision": "",
        "licence": "",
        "toy": False,
    }
    assert DataSource().toy is False


def test_the_splits_of_a_task_whose_data_is_a_toy_say_so() -> None:
    from harness.runs.writer import build_own_data
    from harness.usual import ATTACK_RULE, attack

    toy = DataSource(url="https://example.org/drawn", licence="CC0-1.0", toy=True)
    expected = {"source": "https://example.org/drawn", "revision": "", "licence": "CC0-1.0", "toy": True}
    assert build_own_data(attack(ATTACK_RULE), toy) == expected
    assert build_own_data(attack(ATTACK_RULE), replace(toy, toy=False)) == {}


def test_a_comparison_on_toy_data_says_so_before_its_numbers(run: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(run, tmp_path / "other")
    ended = harness_here("compare", run, tmp_path / "other", "--task", "mis:mini")
    assert ended.code == 0, ended.err
    before, _, _ = ended.out.partition("ASR")
    assert "toy data: shows the tool, measures nothing: mis:mini" in before
