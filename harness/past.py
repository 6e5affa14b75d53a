"""A run that was: its options and splits as run.json tells them, for judging what is stored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from . import plan
from .errors import HarnessError, UnknownName
from .models import ModelSpec
from .options import Options
from .session import Assignment
from .settings import nearest
from .store import RunFolder


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What `harness judge` needs of an earlier run."""

    options: Options
    assignments: Sequence[Assignment]
    digest: str


def past(folder: RunFolder, options: Options, tasks: Sequence[str]) -> Past:
    """Read a run back. Raises HarnessError when the folder holds none, UnknownName for a task it does not have.

    Args:
        folder: of the run.
        options: judges and their settings as given now.
        tasks: `NAME` or `NAME:SPLIT`; empty is all.
    """
    run = folder.run
    if not run:
        raise HarnessError("there is no run here", where=str(folder.path), remedy="harness run … makes one")
    spec = ModelSpec(ref=run["model"]["ref"])
    options = replace(options, model=spec, generation=run["overrides"]["generation"], system=run["overrides"]["system"])
    entries = list(_entries(run, tasks))
    assignments = [_assignment(display, name, task, entry, options) for display, name, task, entry in entries]
    return Past(
        options=replace(options, tasks=tuple(a.plan.title for a in assignments)),
        assignments=assignments,
        digest=run["identity_digest"],
    )


def _entries(run: Mapping[str, Any], tasks: Sequence[str]) -> Iterator[tuple[str, str, Mapping[str, Any], Any]]:
    """(display, split, task, entry) of each split that is wanted."""
    known = {
        f"{display}:{name}": (display, name, task, entry)
        for display, task in run["tasks"].items()
        for name, entry in task["splits"].items()
    }
    for wanted in tasks:
        if not any(wanted in (title, title.partition(":")[0]) for title in known):
            raise UnknownName(f"the run has no task {wanted!r}", remedy=nearest(wanted, known))
    for title, found in known.items():
        if not tasks or title in tasks or title.partition(":")[0] in tasks:
            yield found


def _assignment(
    display: str, name: str, task: Mapping[str, Any], entry: Mapping[str, Any], options: Options
) -> Assignment:
    given = {f"{task['task']}.{key}": value for key, value in task["settings"].items() if value is not None}
    rubric = {key: value for key, value in options.task_settings.items() if key not in given}
    root = {} if entry["packaged"] else {f"{task['task']}.data": task["data"]["root"]}
    planned = plan.make(
        replace(
            options,
            tasks=(f"{task['task']}:{name}",),
            task_settings={**rubric, **given, **root},
            data=Path(task["data"]["folder"]),
        )
    )
    if planned[0].display != display:
        raise HarnessError(
            f"the run's {display} would be {planned[0].display} now", remedy="run it again with this version"
        )
    return Assignment(plan=planned[0], epochs=entry["epochs"])
