"""A split costs the same beside many others: the files of a task are read and replaced once, not once for each."""

import cProfile
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from harness import plugins
from harness.evaluation.options import JudgeOptions, Options
from harness.models import ModelSpec
from harness.runs.additions import combine_judges
from harness.runs.run import judge_async, run_async
from harness.runs.stored import open_run
from harness.runs.verification import verify_run
from harness.testing.fakes import fake_judge, fake_provider, fake_sample, fake_task, host_of
from harness.types import Sample

FEW, MANY, SAMPLES = 15, 120, 4


def host(splits: int) -> Any:
    plain = fake_task(judges={"fake": {}, "two": {}})
    assert not callable(plain.splits)
    only = replace(plain.splits["all"], data=None)

    def listed(_root: Path, split: str, _settings: object) -> Iterator[Sample]:
        yield from (fake_sample(f"q{number}", split=split) for number in range(SAMPLES))

    task = replace(plain, splits={f"s{number}": only for number in range(splits)}, samples=listed)
    return host_of(fake_provider("no"), task, fake_judge(), fake_judge(name="two"))


def calls_of(body: Callable[[], object]) -> int:
    """How many functions are called: a measure of work that no other process on the machine moves."""
    profile = cProfile.Profile()
    profile.runcall(body)
    return sum(entry.callcount for entry in profile.getstats())


def commands(folder: Path) -> dict[str, Callable[[], object]]:
    """What is done with a run, in order."""
    (folder / "data" / "fake").mkdir(parents=True)
    part = {"kind": "hub", "name": "a/b", "revision": "f" * 40, "fetched": "2026-01-01T00:00:00+00:00"}
    files = {f"{number}.png": {"bytes": 1, "sha256": "0"} for number in range(200)}
    record = {"schema": "harness.source/1", "task": "fake", "licence": "MIT", "parts": [{**part, "files": files}]}
    (folder / "data" / "fake" / ".source.json").write_text(json.dumps(record))
    run = folder / "run"
    asked = Options(model=ModelSpec(ref="fake/m"), tasks=("fake",), data=folder / "data", output=run, probe=False)

    def read() -> None:
        stored = open_run(run)
        assert all(list(stored.items(title)) for title in stored.splits)

    return {
        "run": lambda: anyio.run(run_async, asked),
        "run again": lambda: anyio.run(run_async, asked),
        "a lower limit": lambda: anyio.run(run_async, replace(asked, limit=1)),
        "judge": lambda: anyio.run(judge_async, run, JudgeOptions(judges=("two",), probe=False)),
        "combine": lambda: combine_judges(run, JudgeOptions(probe=False)),
        "verify": lambda: verify_run(run),
        "compare": lambda: list(open_run(run, ()).load_splits()),
        "show": read,
    }


@pytest.mark.slow
def test_a_split_costs_no_more_beside_many_others(tmp_path: Path) -> None:
    costs: dict[int, dict[str, float]] = {}
    for splits in (FEW, MANY):
        with plugins.use(host(splits)):
            made = commands(tmp_path / str(splits))
            costs[splits] = {name: calls_of(body) / splits for name, body in made.items()}
    dearer = {name: costs[MANY][name] / costs[FEW][name] for name in costs[FEW]}
    assert {name: round(ratio, 2) for name, ratio in dearer.items() if ratio > 1.15} == {}
