"""A run that was: its options and splits as run.json tells them, for judging what is stored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.engine.assignment import Assignment
from harness.errors import HarnessError, UnknownName
from harness.models import ModelSpec
from harness.options import Judging, Options
from harness.plan import splits as plan
from harness.plan.choosing import check_rubrics, choose, default_judge
from harness.settings import nearest
from harness.store.folder import RunFolder
from harness.store.run_file import RunFile, SplitEntry, TaskEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What `harness judge` needs of an earlier run."""

    options: Options
    assignments: Sequence[Assignment]
    digest: str


def past(folder: RunFolder, judging: Judging) -> Past:
    """Read a run back. Raises HarnessError when the folder holds none, UnknownName for a task it does not have.

    Splits for which the judges that were named are not meant are left out.

    Args:
        folder: of the run.
        judging: judges and their settings as given now.
    """
    run = folder.run
    if run is None:
        raise HarnessError("there is no run here", where=str(folder.path), remedy="harness run … makes one")
    options = judging.of(ModelSpec(ref=run.model.ref), run.overrides.generation, run.overrides.system)
    plan.check_task_settings(options)
    assignments = [_assignment(folder, entry, options) for entry in _entries(run, judging.tasks)]
    check_rubrics(options.judges, (assignment.plan.split for assignment in assignments))
    judged = [assignment for assignment in assignments if assignment.plan.judges]
    if not judged:
        raise HarnessError("no judge for these answers", where=str(folder.path), remedy="give --judge SCHEME/NAME")
    return Past(
        options=replace(options, tasks=tuple(a.plan.title for a in judged)),
        assignments=judged if options.judges else assignments,
        digest=run.identity_digest,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """One split of run.json."""

    display: str
    name: str
    task: TaskEntry
    split: SplitEntry

    @property
    def names(self) -> frozenset[str]:
        """What `--tasks` may call it: by the displayed name or by the task's, with or without the split."""
        whole = {self.display, self.task.task}
        return frozenset({*whole, *(f"{task}:{self.name}" for task in whole)})


def _entries(run: RunFile, tasks: Sequence[str]) -> Iterator[_Entry]:
    """The splits that are wanted."""
    every = [
        _Entry(display=display, name=name, task=task, split=split)
        for display, task in run.tasks.items()
        for name, split in task.splits.items()
    ]
    known = {name for entry in every for name in entry.names}
    for wanted in tasks:
        if wanted not in known:
            raise UnknownName(f"the run has no task {wanted!r}", remedy=nearest(wanted, known))
    yield from (entry for entry in every if not tasks or entry.names & set(tasks))


def _assignment(folder: RunFolder, entry: _Entry, options: Options) -> Assignment:
    """The split as it was asked, judged as is wanted now: a task's settings are the run's, a rubric's may be new."""
    task = entry.task.task
    then = {f"{task}.{key}": value for key, value in entry.task.settings.items()}
    root = {} if entry.split.packaged else {f"{task}.data": str(_root(entry, options))}
    options = replace(options, data=_still(entry.task.data.folder) or options.data)
    (planned,) = plan.make(replace(options, tasks=(f"{task}:{entry.name}",), task_settings=then | root, judges=()))
    if planned.display != entry.display:
        raise HarnessError(
            f"the run's {entry.display} would be {planned.display} now", remedy="run it again with this version"
        )
    now = replace(options, task_settings={**then, **options.task_settings, **root})
    default = default_judge(planned.split, task, now)
    return Assignment(
        plan=replace(planned, judges=choose(planned.split, default, now), default=default),
        epochs=entry.split.epochs,
        asked=frozenset(line["id"] for line in folder.task(entry.display).asked(entry.name)),
    )


def _root(entry: _Entry, options: Options) -> Path:
    """Where the data lies: as `-T` says now, else where it lay, else where a new run would look for it."""
    task = entry.task.task
    stored = Path(entry.task.data.root)
    return stored if "data" not in options.given(task) and _still(str(stored.parent)) else options.root(task)


def _still(folder: str) -> Path | None:
    return Path(folder) if Path(folder).exists() else None
