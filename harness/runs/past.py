"""A run that was: its options and splits as run.json tells them, for judging what is stored."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness import plugins
from harness.errors import HarnessError, UnknownName
from harness.evaluation.options import JudgeOptions, Options
from harness.evaluation.plan import SplitJob
from harness.evaluation.sampling import draw_clusters
from harness.evaluation.splits import (
    SplitPlan,
    check_rubrics,
    check_task_settings,
    choose_judges,
    default_judge,
    rebuild_split_plan,
)
from harness.evaluation.suites import find_suite, select_judges
from harness.keys import draw_order
from harness.models import ModelSpec
from harness.settings import nearest
from harness.store.folder import RunFolder
from harness.store.run_file import RunFile, SplitEntry, SuiteEntry, TaskEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What `harness judge` needs of an earlier run."""

    options: Options
    jobs: Sequence[SplitJob]
    digest: str


def past(folder: RunFolder, judging: JudgeOptions) -> Past:
    """Read a run back. Raises HarnessError where there is none to judge, UnknownName for a task it does not have.

    Splits for which the judges that were named are not meant are left out.

    Args:
        folder: of the run.
        judging: judges and their settings as given now.
    """
    run, options, assignments = stored(folder, judging)
    if run.redacted:
        raise HarnessError("a redacted export cannot be judged", where=str(folder.path), remedy="use the run itself")
    check_rubrics(options.judges, (assignment.plan.split for assignment in assignments))
    assignments = [_draw(folder, each, judging.judge_limit) if each.plan.judges else each for each in assignments]
    judged = [assignment for assignment in assignments if assignment.plan.judges]
    if not judged:
        raise HarnessError("no judge for these answers", where=str(folder.path), remedy="give --judge SCHEME/NAME")
    return Past(
        options=replace(options, tasks=tuple(a.plan.title for a in judged)),
        jobs=judged if options.judges else assignments,
        digest=run.identity_digest,
    )


def stored(folder: RunFolder, judging: JudgeOptions) -> tuple[RunFile, Options, list[SplitJob]]:
    """A run's file, its options and the splits that are wanted, whoever judges them. Raises as `past`."""
    run = folder.run
    if run is None:
        raise HarnessError("there is no run here", where=str(folder.path), remedy="harness run … makes one")
    if not run.tasks:
        raise HarnessError(
            "the run has not come to its end yet, so nothing says what there is to judge",
            where=str(folder.path),
            remedy="wait for it, or go on with it: the same `harness run` command resumes it",
        )
    options = _options(run, judging)
    check_task_settings(options.task_settings)
    return run, options, [_assignment(folder, entry, options) for entry in _entries(run, judging.tasks)]


def _draw(folder: RunFolder, assignment: SplitJob, limit: int | None) -> SplitJob:
    """With the samples of so many clusters, whatever came of them: the draw is the same for each model."""
    if limit is None:
        return assignment
    plan = assignment.plan
    listed = [(line["id"], line["cluster"]) for line in folder.task(plan.display).asked(plan.name)]
    taken = draw_clusters((cluster for _, cluster in listed), limit)
    within = frozenset(taken)
    return replace(
        assignment,
        asked=frozenset(sample for sample, cluster in listed if cluster in within),
        drawn=max(map(draw_order, taken), default=""),
    )


def stored_split(folder: RunFolder, run: RunFile, title: str) -> SplitJob:
    """One split that run.json tells of, `task:split`, whoever judges it. Raises HarnessError as `stored`."""
    display, _, name = title.rpartition(":")
    task = run.tasks[display]
    entry = _Entry(display=display, name=name, task=task, split=task.splits[name], suites=_suites(run, title))
    return _assignment(folder, entry, _options(run, JudgeOptions()))


def _options(run: RunFile, judging: JudgeOptions) -> Options:
    return judging.of(ModelSpec(ref=run.model.ref), run.overrides.generation, run.overrides.system)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """One split of run.json."""

    display: str
    name: str
    task: TaskEntry
    split: SplitEntry
    suites: Mapping[str, SuiteEntry]

    @property
    def names(self) -> frozenset[str]:
        """What `--tasks` may call it: its suites, the displayed name or the task's, with or without the split."""
        whole = {self.display, self.task.task}
        return frozenset({*self.suites, *whole, *(f"{task}:{self.name}" for task in whole)})

    @property
    def suite(self) -> SuiteEntry | None:
        """The suite it was asked as a part of; None for none."""
        return next(iter(self.suites.values()), None)

    @property
    def rubric(self) -> str:
        """The rubric that its suite names for it; empty for none."""
        return self.suite.rubrics[self.title] if self.suite else ""

    @property
    def title(self) -> str:
        """Task and split, as results have them."""
        return f"{self.display}:{self.name}"


def _entries(run: RunFile, tasks: Sequence[str]) -> Iterator[_Entry]:
    """The splits that are wanted."""
    every = [
        _Entry(display=display, name=name, task=task, split=split, suites=_suites(run, f"{display}:{name}"))
        for display, task in run.tasks.items()
        for name, split in task.splits.items()
    ]
    known = {name for entry in every for name in entry.names}
    wanted = {name for task in tasks for name in _named(task, known)}
    yield from (entry for entry in every if not tasks or entry.names & wanted)


def _suites(run: RunFile, title: str) -> dict[str, SuiteEntry]:
    return {name: suite for name, suite in run.suites.items() if title in suite.rubrics}


def _named(task: str, known: Collection[str]) -> Collection[str]:
    """What of a run a name of `--tasks` means: a suite that was not asked as one means those of its tasks that were."""
    suite = None if task in known else find_suite(task)
    found = [name for name in (suite.tasks if suite else (task,)) if name in known]
    if not found:
        raise UnknownName(f"the run has no task {task!r}", remedy=nearest(task, known))
    return found


def _assignment(folder: RunFolder, entry: _Entry, options: Options) -> SplitJob:
    """The split as it was asked, judged as is wanted now: a task's settings are the run's, a rubric's may be new."""
    task = entry.task.task
    plugins.current().task(task)  # a plugin that is gone is named so, not by settings that nobody gave
    then = {f"{task}.{key}": value for key, value in entry.task.settings.items()}
    root = {} if entry.split.packaged else {f"{task}.data": str(_root(entry, options))}
    options = replace(options, data=_still(entry.task.data.folder) or options.data)
    asked = replace(options, task_settings=then | root, judges=())
    planned = rebuild_split_plan(entry.display, f"{task}:{entry.name}", asked)
    if planned.display != entry.display:
        raise HarnessError(
            f"the run's {entry.display} would be {planned.display} now", remedy="run it again with this version"
        )
    now = _judged_now(entry, planned, replace(options, task_settings={**then, **options.task_settings, **root}))
    default = default_judge(planned.split, task, now)
    judges = choose_judges(planned.split, default, now)
    return SplitJob(
        plan=replace(planned, judges=judges, default=default, rubric=entry.rubric),
        epochs=entry.split.epochs,
        asked=frozenset(line["id"] for line in folder.task(entry.display).asked(entry.name)),
    )


def _judged_now(entry: _Entry, planned: SplitPlan, options: Options) -> Options:
    """The options with what the split's suite says of rubrics; its settings of tasks are in what was asked."""
    if entry.suite is None:
        return options
    task = entry.task.task
    asked = {f"{task}.{setting.name}" for setting in planned.task.settings}
    given = {key: value for key, value in entry.suite.settings.items() if key not in asked} | dict(
        options.task_settings
    )
    own = str(options.given(task).get("judge") or "")
    rubric = "" if own else entry.rubric
    named = {name for name in entry.suite.rubrics.values() if name}
    judges = select_judges(options.judges, own or rubric, named, bare=not rubric)
    return replace(options, judges=judges, task_settings={**given, **({f"{task}.judge": rubric} if rubric else {})})


def _root(entry: _Entry, options: Options) -> Path:
    """Where the data lies: as `-T` says now, else where it lay, else where a new run would look for it."""
    task = entry.task.task
    stored = Path(entry.task.data.root)
    return stored if "data" not in options.given(task) and _still(str(stored.parent)) else options.root(task)


def _still(folder: str) -> Path | None:
    return Path(folder) if Path(folder).exists() else None
