"""A stored run: its options and splits as run.json tells them, and which of its splits and judges some names mean."""

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
from harness.types import Json

Cards = Mapping[str, Mapping[str, Json]]  #: judge id -> what run.json says of it


def select_judge_ids(flag: str, names: Sequence[str], cards: Cards) -> tuple[str, ...]:
    """The ids of the judges that some names mean, in the run's order.

    A name is an id, or a rubric: then it means all judges of exactly that rubric. Else it is what an id begins with
    beyond its rubric, such as `mis-openai`.

    Args:
        flag: the names were given to.
        names: at least one.
        cards: of the run's judges.

    Raises:
        UnknownName: a name means none of them.
    """
    meant = {judge for name in names for judge in _find_judges(flag, name, cards)}
    return tuple(judge for judge in cards if judge in meant)


def _find_judges(flag: str, name: str, cards: Cards) -> list[str]:
    rubrics = {judge: str(card["rubric"]) for judge, card in cards.items()}
    found = [judge for judge, rubric in rubrics.items() if name in (judge, rubric)]
    found = found or [
        judge for judge, rubric in rubrics.items() if name.startswith(f"{rubric}-") and judge.startswith(f"{name}-")
    ]
    if not found:
        raise UnknownName(f"{flag} {name}: no judge of this run", remedy=nearest(name, {*cards, *rubrics.values()}))
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgingPlan:
    """What `harness judge` needs of an earlier run."""

    options: Options
    jobs: Sequence[SplitJob]
    digest: str


def plan_judging(folder: RunFolder, judging: JudgeOptions) -> JudgingPlan:
    """Read a run back. Raises HarnessError where there is none to judge, UnknownName for a task it does not have.

    Splits for which the judges that were named are not meant are left out.

    Args:
        folder: of the run.
        judging: judges and their settings as given now.
    """
    run, options, jobs = load_jobs(folder, judging)
    if run.redacted:
        raise HarnessError("a redacted export cannot be judged", where=str(folder.path), remedy="use the run itself")
    check_rubrics(options.judges, (job.plan.split for job in jobs))
    jobs = [_draw_clusters(folder, each, judging.judge_limit) if each.plan.judges else each for each in jobs]
    judged = [job for job in jobs if job.plan.judges]
    if not judged:
        raise HarnessError("no judge for these answers", where=str(folder.path), remedy="give --judge SCHEME/NAME")
    return JudgingPlan(
        options=replace(options, tasks=tuple(a.plan.title for a in judged)),
        jobs=judged if options.judges else jobs,
        digest=run.identity_digest,
    )


def load_jobs(folder: RunFolder, judging: JudgeOptions) -> tuple[RunFile, Options, list[SplitJob]]:
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
    return run, options, [_build_job(folder, entry, options) for entry in _select_entries(run, judging.tasks)]


def _draw_clusters(folder: RunFolder, job: SplitJob, limit: int | None) -> SplitJob:
    """With the samples of so many clusters, whatever came of them: the draw is the same for each model."""
    if limit is None:
        return job
    plan = job.plan
    listed = [(line["id"], line["cluster"]) for line in folder.task(plan.display).asked(plan.name)]
    taken = draw_clusters((cluster for _, cluster in listed), limit)
    within = frozenset(taken)
    return replace(
        job,
        asked=frozenset(sample for sample, cluster in listed if cluster in within),
        drawn=max(map(draw_order, taken), default=""),
    )


def load_split_job(folder: RunFolder, run: RunFile, title: str) -> SplitJob:
    """One split that run.json tells of, `task:split`, whoever judges it. Raises HarnessError as `stored`."""
    display, _, name = title.rpartition(":")
    task = run.tasks[display]
    entry = _Entry(display=display, name=name, task=task, split=task.splits[name], suites=_suites(run, title))
    return _build_job(folder, entry, _options(run, JudgeOptions()))


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


def _select_entries(run: RunFile, tasks: Sequence[str]) -> Iterator[_Entry]:
    """The splits that are wanted."""
    every = [
        _Entry(display=display, name=name, task=task, split=split, suites=_suites(run, f"{display}:{name}"))
        for display, task in run.tasks.items()
        for name, split in task.splits.items()
    ]
    known = {name for entry in every for name in entry.names}
    wanted = {name for task in tasks for name in _find_named(task, known)}
    yield from (entry for entry in every if not tasks or entry.names & wanted)


def _suites(run: RunFile, title: str) -> dict[str, SuiteEntry]:
    return {name: suite for name, suite in run.suites.items() if title in suite.rubrics}


def _find_named(task: str, known: Collection[str]) -> Collection[str]:
    """What of a run a name of `--tasks` means: a suite that was not asked as one means those of its tasks that were."""
    suite = None if task in known else find_suite(task)
    found = [name for name in (suite.tasks if suite else (task,)) if name in known]
    if not found:
        raise UnknownName(f"the run has no task {task!r}", remedy=nearest(task, known))
    return found


def _build_job(folder: RunFolder, entry: _Entry, options: Options) -> SplitJob:
    """The split as it was asked, judged as is wanted now: a task's settings are the run's, a rubric's may be new."""
    task = entry.task.task
    plugins.current().task(task)  # a plugin that is gone is named so, not by settings that nobody gave
    then = {f"{task}.{key}": value for key, value in entry.task.settings.items()}
    root = {} if entry.split.packaged else {f"{task}.data": str(_find_root(entry, options))}
    options = replace(options, data=_existing(entry.task.data.folder) or options.data)
    asked = replace(options, task_settings=then | root, judges=())
    planned = rebuild_split_plan(entry.display, f"{task}:{entry.name}", asked)
    if planned.display != entry.display:
        raise HarnessError(
            f"the run's {entry.display} would be {planned.display} now", remedy="run it again with this version"
        )
    now = _add_suite(entry, planned, replace(options, task_settings={**then, **options.task_settings, **root}))
    default = default_judge(planned.split, task, now)
    judges = choose_judges(planned.split, default, now)
    return SplitJob(
        plan=replace(planned, judges=judges, default=default, rubric=entry.rubric),
        epochs=entry.split.epochs,
        asked=frozenset(line["id"] for line in folder.task(entry.display).asked(entry.name)),
    )


def _add_suite(entry: _Entry, planned: SplitPlan, options: Options) -> Options:
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


def _find_root(entry: _Entry, options: Options) -> Path:
    """Where the data lies: as `-T` says now, else where it lay, else where a new run would look for it."""
    task = entry.task.task
    stored = Path(entry.task.data.root)
    return stored if "data" not in options.given(task) and _existing(str(stored.parent)) else options.root(task)


def _existing(folder: str) -> Path | None:
    return Path(folder) if Path(folder).exists() else None


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitSelection:
    """What is wanted of a run.

    Attributes:
        file: its run.json.
        plans: the splits that have to be read.
        titles: `task:split` of what was named, of pooled splits too; None for all that is read.
    """

    file: RunFile
    plans: tuple[SplitPlan, ...]
    titles: frozenset[str] | None

    def holds(self, title: str, parts: Sequence[str] = ()) -> bool:
        """Whether a split was named: itself, or all of its parts, by their titles."""
        return self.titles is None or title in self.titles or (bool(parts) and self.titles.issuperset(parts))


def select_splits(folder: RunFolder, tasks: Sequence[str]) -> SplitSelection:
    """What some names mean; none for all of the run.

    Raises:
        HarnessError: there is no run.
        UnknownName: it has no such task, or not all parts of a pooled split.
    """
    pooled = {name: found for name in tasks if (found := dict(_find_pooled(folder, name)))}
    parts = [title for found in pooled.values() for each in found.values() for title in each]
    others = tuple(name for name in tasks if name not in pooled)
    file, plans = _load_plans(folder, (*others, *parts))
    if not pooled:
        return SplitSelection(file=file, plans=plans, titles=None)
    named = {title for found in pooled.values() for title in found}
    if others:
        named |= {plan.title for plan in _load_plans(folder, others)[1]}
    return SplitSelection(file=file, plans=plans, titles=frozenset(named))


def _load_plans(folder: RunFolder, tasks: Sequence[str]) -> tuple[RunFile, tuple[SplitPlan, ...]]:
    file, _, jobs = load_jobs(folder, JudgeOptions(tasks=tuple(tasks)))
    return file, tuple(each.plan for each in jobs)


def _find_pooled(folder: RunFolder, name: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The titles of the pooled splits that a name means, each with those of its parts; none for any other name."""
    task, _, split = name.rpartition(":")
    file = folder.run
    for display, entry in file.tasks.items() if file else ():
        if task not in (display, entry.task) or split in entry.splits:
            continue
        splits = _load_plans(folder, (f"{display}:{next(iter(entry.splits))}",))[1][0].splits
        parts = splits[split].parts if split in splits else ()
        if missing := [part for part in parts if part not in entry.splits]:
            raise UnknownName(
                f"the run has not asked all of {name!r}",
                where=str(folder.path),
                remedy=f"{', '.join(missing)} is missing: harness run --tasks {display}:{missing[0]} … asks it",
            )
        if parts:
            yield f"{display}:{split}", tuple(f"{display}:{part}" for part in parts)
