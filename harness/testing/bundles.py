"""The contract of suites: every task, split, setting and rubric that one names is there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from harness import plugins
from harness.contracts import Split, Suite, Task
from harness.errors import MissingData
from harness.plugins.host import Host
from harness.settings import effective

from .problems import Problems
from .task_suite import check_described

#: keys of `-T NAME.key` that the core answers for every task
_CORE = ("data", "judge")


def check_suite(suite: Suite, *, host: Host | None = None) -> None:
    """Whether a suite keeps its contract; raises NotConforming with everything that is wrong.

    Args:
        suite: the descriptor.
        host: offers its tasks and rubrics; None means the current one.
    """
    host = host or plugins.current()
    problems = Problems(f"suite {suite.name!r}")
    check_described(problems, "none needed", suite.description, ())
    problems.require(suite.tasks, "has no tasks")
    problems.require(len(set(suite.tasks)) == len(suite.tasks), "names a task twice")
    names = {task.name for task, _ in host.offers("tasks")}
    problems.require(suite.name not in names, "a task has its name")
    rubrics = set(suite.judges.values())
    for entry in suite.tasks:
        with problems.at(entry):
            rubrics |= _check_entry(problems, suite, entry, host)
    own = {*suite.tasks, *(entry.partition(":")[0] for entry in suite.tasks)}
    for name in (*suite.judges, *suite.mean):
        problems.require(name in own, f"{name!r} is not among its tasks")
    for key in suite.task_settings:
        name = key.partition(".")[0]
        problems.require(name in own or name in rubrics, f"{key!r} is of none of its tasks and rubrics")
    problems.settle()


def _check_entry(problems: Problems, suite: Suite, entry: str, host: Host) -> set[str]:
    """Check one of its tasks; the rubrics that its splits accept."""
    name, _, wanted = entry.partition(":")
    task = host.task(name)
    given = {key[len(name) + 1 :]: value for key, value in suite.task_settings.items() if key.startswith(f"{name}.")}
    rubrics = {setting.name for judge, _ in host.offers("judges") if judge.name == name for setting in judge.settings}
    own = {key: value for key, value in given.items() if key not in _CORE and key not in rubrics - _declared(task)}
    values = effective(task.settings, own, owner=f"task {name}")
    try:
        splits: Mapping[str, Split] = task.splits(values, Path(name)) if callable(task.splits) else task.splits
    except MissingData:  # upstream's words are the user's to fetch
        splits = task.splits(effective(task.settings, {}, owner=name), Path(name)) if callable(task.splits) else {}
    there = [splits[wanted]] if wanted else [split for split in splits.values() if split.selected and not split.parts]
    rubric = suite.rubric(entry)
    problems.require(there, "stands for no split")
    problems.require(entry not in suite.mean or len(there) == 1, "has a place in the mean, but several splits")
    for split in there if rubric else ():
        problems.require(rubric in split.judges, f"does not accept the rubric {rubric!r}")
    return {accepted for split in there for accepted in split.judges}


def _declared(task: Task) -> set[str]:
    return {setting.name for setting in task.settings}
