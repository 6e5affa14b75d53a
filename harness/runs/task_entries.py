"""Task files in run.json: a stored run is read by the file it was made with, and a changed file starts no other run."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, cast

from harness import plugins
from harness.errors import HarnessError, IdentityMismatch
from harness.evaluation.splits import SplitPlan
from harness.store.run_file import RunFile, TaskEntry
from harness.task_files import TaskFile, load_task
from harness.types import Json

RUN: Final = "run.json"
_NAMED: Final = 5  # differing keys that a message names


def offer_stored_task(entry: TaskEntry) -> None:
    """Offer the task of the file that run.json keeps, whatever the file says now. Nothing is done for other tasks.

    Raises HarnessError if what is kept cannot be read.
    """
    if not entry.file:
        return
    host = plugins.current()
    offered = {task.name: task for task, _ in host.offers("tasks")}
    there = offered.get(entry.task)
    if there is not None and there.version == entry.version:
        return
    try:
        host.offer_task(TaskFile.restore(entry.file).build())
    except (KeyError, TypeError, AttributeError) as error:
        raise HarnessError(
            f"the task file of {entry.task} in run.json cannot be read: {error}", remedy="restore run.json"
        ) from None


def offer_stored_tasks(folder: Path) -> None:
    """Offer the tasks of all task files of a run; a run without any, or one that cannot be read, offers none."""
    try:
        text = (folder / RUN).read_text(encoding="utf-8")
        run = RunFile.from_json(json.loads(text)) if '"templates"' in text else None
        for entry in run.tasks.values() if run else ():
            offer_stored_task(entry)
    except (OSError, ValueError, RecursionError, HarnessError):
        return  # whoever reads the run says what is wrong with it


def check_task_files(plans: Iterable[SplitPlan], run: RunFile | None, where: Path) -> None:
    """Refuse to go on with a run whose task file says something else now. Raises IdentityMismatch with what differs."""
    for plan in plans:
        entry = None if run is None else run.tasks.get(plan.display)
        if entry is None or entry.version == plan.task.version or not (entry.file or plan.task.file):
            continue
        found = list(_list_changes(entry.file, plan.task.file))
        more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
        raise IdentityMismatch(
            f"this folder holds answers of another task {plan.task.name}: {'; '.join(found[:_NAMED])}{more}",
            where=str(where),
            remedy="give --output another folder, or --fresh to move this one away; or restore the task file",
        )


def find_changed_file(entry: TaskEntry) -> str:
    """What the task file of a stored run says otherwise now, in one sentence; empty for nothing."""
    if not entry.file:
        return ""
    try:
        now = load_task(Path(str(entry.file["path"])))
    except HarnessError as error:
        return f"its task file cannot be read now: {error.what}"
    return "" if now.version == entry.version else "; ".join(list(_list_changes(entry.file, now.file))[:_NAMED])


def _list_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """What differs between two states of a task file: keys, and templates."""
    if not old or not new:
        yield "one is of a task file, the other of a plugin"
        return
    before, after = (TaskFile.restore(each) for each in (old, new))
    yield from _list_values("", dict(before.values), dict(after.values))
    for name in dict.fromkeys((*before.templates, *after.templates)):
        if before.templates.get(name) != after.templates.get(name):
            yield f"the text of {name}"


def _list_values(place: str, old: Json, new: Json) -> Iterator[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        one, other = cast("Mapping[str, Json]", old), cast("Mapping[str, Json]", new)
        for key in [*one, *(each for each in other if each not in one)]:
            yield from _list_values(f"{place}.{key}" if place else key, one.get(key), other.get(key))
    elif old != new:
        yield f"{place} was {_show(cast('object', old))}, now {_show(cast('object', new))}"


def _show(value: object) -> str:
    text = "not given" if value is None else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
