"""`harness tasks`: the benchmarks, their splits and what each takes; and the suites they are run in."""

from __future__ import annotations

from collections.abc import Mapping

from harness.contracts import DataSource, Split, Suite, Task
from harness.data.places import data_folder
from harness.settings import effective
from harness.terminal import one_line
from harness.types import Json

from .configured import suites_flag, with_suites
from .listing import Listing, list_command
from .table import indented, table


def _splits(task: Task) -> Mapping[str, Split] | str:
    """The splits at default settings, or why they cannot be told."""
    if not callable(task.splits):
        return task.splits
    try:
        return task.splits(effective(task.settings, {}, owner=f"task {task.name}"), data_folder() / task.name)
    except Exception as error:  # noqa: BLE001 - a plugin's code; a list shows the others all the same
        return f"unknown: {one_line(f'{type(error).__name__}: {error}')}"


def _names(task: Task) -> str:
    splits = _splits(task)
    try:
        return splits if isinstance(splits, str) else " ".join(splits)
    except Exception as error:  # noqa: BLE001 - a plugin's mapping
        return f"unknown: {type(error).__name__}"


def _facts(task: Task) -> Mapping[str, Json]:
    splits = _splits(task)
    return {
        "kind": "task",
        "version": task.version,
        "splits": splits if isinstance(splits, str) else {name: _split(split) for name, split in splits.items()},
        "data": _data(task.source) if task.source else None,
    }


def _split(split: Split) -> dict[str, Json]:
    return {
        "n": split.n,
        "images": split.images,
        "judges": list(split.judges),
        "metrics": [metric.name for metric in split.metrics],
        "main": _main(split),
        "by": list(split.by),
        "selected": split.selected,
        "mini": split.data is not None,
        "parts": list(split.parts),
    }


def _main(split: Split) -> str:
    main = [metric.name for metric in split.metrics if metric.main] or [metric.name for metric in split.metrics[:1]]
    return main[0] if main else ""


def _data(source: DataSource) -> dict[str, Json]:
    return {
        "hub": source.hub,
        "url": source.url,
        "revision": source.revision,
        "licence": source.licence,
        "size": source.size,
        "gated": source.gated,
    }


def _details(task: Task) -> str:
    splits = _splits(task)
    lines = [f"version {task.version}"]
    if task.source:
        where = task.source.hub or task.source.url
        facts = [where, task.source.size, task.source.licence, "gated" if task.source.gated else ""]
        lines.append(f"data {', '.join(fact for fact in facts if fact)}")
    if isinstance(splits, str):
        return indented("\n".join([*lines, f"splits {splits}"]))
    header = ["SPLIT", "SAMPLES", "IMAGES", "JUDGES", "METRICS", "BY", "SELECTED"]
    rows = [[name, *_cells(split)] for name, split in splits.items()]
    return indented("\n".join([*lines, "splits", indented(table(header, rows))]))


def _cells(split: Split) -> list[str]:
    selected = f"pooled from {' + '.join(split.parts)}" if split.parts else "yes" if split.selected else "by name"
    metrics = ", ".join(metric.name for metric in split.metrics)
    n = "?" if split.n is None else str(split.n)
    return [n, str(split.images), ", ".join(split.judges), metrics, ", ".join(split.by), selected]


def _suite_facts(suite: Suite) -> Mapping[str, Json]:
    return {
        "kind": "suite",
        "tasks": list(suite.tasks),
        "task_settings": {key: str(value) for key, value in suite.task_settings.items()},
        "judges": dict(suite.judges),
        "mean": list(suite.mean),
        "notes": list(suite.notes),
    }


def _suite_details(suite: Suite) -> str:
    given = {
        task: [f"{key}={value}" for key, value in suite.task_settings.items() if key.startswith(f"{_task(task)}.")]
        for task in suite.tasks
    }
    rows = [
        [task, suite.rubric(task), " ".join(given[task]), "yes" if task in suite.mean else ""] for task in suite.tasks
    ]
    others = [
        f"{key}={value}"
        for key, value in suite.task_settings.items()
        if key.split(".")[0] not in map(_task, suite.tasks)
    ]
    lines = [table(["TASK", "RUBRIC, WITH A MODEL OF ITS OWN", "SETTINGS", "IN THE MEAN"], rows)]
    lines += [f"settings of rubrics: {' '.join(others)}"] if others else []
    lines += [f"--judge {rubric}=SCHEME/NAME" for rubric in dict.fromkeys(suite.judges.values())]
    return indented("\n".join([*lines, *suite.notes]))


def _task(name: str) -> str:
    return name.partition(":")[0]


_SUITES = Listing(
    kind="suites",
    columns={"TASKS": lambda suite: " ".join(suite.tasks)},
    facts=_suite_facts,
    details=_suite_details,
    flag=lambda suite: f"--tasks {suite.name}",
    name="SUITE",
)
command = list_command(
    Listing(
        kind="tasks",
        columns={"VERSION": lambda task: task.version, "SPLITS": _names},
        facts=_facts,
        details=_details,
        flag=lambda task: f"-T {task.name}.KEY=VALUE",
        host=with_suites,
        flags=suites_flag,
        below=_SUITES,
    ),
    "List the tasks and suites, or show some in detail.",
)
