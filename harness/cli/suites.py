"""How suites are listed: below the tasks, by `harness tasks`."""

from __future__ import annotations

from collections.abc import Mapping

from harness import plugins
from harness.contracts import Suite
from harness.types import Json

from .listing import Listing
from .table import indented, table


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
    lines = [table(["TASK", "RUBRIC", "SETTINGS", "IN THE MEAN"], rows)]
    lines += [f"settings of rubrics: {' '.join(others)}"] if others else []
    models = [rubric for rubric in dict.fromkeys(suite.judges.values()) if _needs_model(rubric)]
    lines += [f"a model of its own: --judge {rubric}=SCHEME/NAME" for rubric in models]
    return indented("\n".join([*lines, *suite.notes]))


def _needs_model(rubric: str) -> bool:
    return any(judge.name == rubric and judge.needs is not None for judge, _ in plugins.current().offers("judges"))


def _task(name: str) -> str:
    return name.partition(":")[0]


SUITES = Listing(
    kind="suites",
    columns={"TASKS": lambda suite: " ".join(suite.tasks)},
    facts=_suite_facts,
    details=_suite_details,
    flag=lambda suite: f"--tasks {suite.name}",
    name="SUITE",
)
