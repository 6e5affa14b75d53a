"""Which splits and judges of a stored run some names mean; and those splits planned again, as they were asked.

`harness judge` rebuilds each split from run.json: settings of the task are the run's, those of a rubric may be new.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness import plugins
from harness.errors import HarnessError, UnknownName
from harness.evaluation.options import JudgeOptions, Options
from harness.evaluation.plan import SplitJob, draw_clusters
from harness.evaluation.splits import (
    SplitPlan,
    check_rubrics,
    check_task_settings,
    choose_judges,
    default_judge,
    find_suite,
    rebuild_split_plan,
    select_judges,
)
from harness.keys import draw_order
from harness.models import ModelSpec
from harness.settings import nearest
from harness.store.folder import RunFolder
from harness.store.run_file import RunFile, SplitEntry, SuiteEntry, TaskEntry
from harness.types import Json


def select_judge_ids(flag: str, names: Sequence[str], cards: Mapping[str, Mapping[str, Json]]) -> tuple[str, ...]:
    """The ids of the judges that some names mean, in the run's order.

    A name is an id, or a rubric: then it means all judges of exactly that rubric. Else it is what an id begins with
    beyond its rubric, such as `mis-openai`.

    Args:
        flag: the names were given to.
        names: at least one.
        cards: judge id -> what run.json says of it.

    Raises:
        UnknownName: a name means none of them.
    """
    rubrics = {judge: str(card["rubric"]) for judge, card in cards.items()}
    chosen: set[str] = set()
    for name in names:
        found = [judge for judge, rubric in rubrics.items() if name in (judge, rubric)] or [
            judge for judge, rubric in rubrics.items() if name.startswith(f"{rubric}-") and judge.startswith(f"{name}-")
        ]
        if not found:
            remedy = nearest(name, {*cards, *rubrics.values()})
            raise UnknownName(f"{flag} {name}: no judge of this run", remedy=remedy)
        chosen.update(found)
    return tuple(judge for judge in cards if judge in chosen)


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgingPlan:
    """What `harness judge` needs of an earlier run; `digest` is of the model's identity."""

    options: Options
    jobs: Sequence[SplitJob]
    digest: str


def plan_judging(folder: RunFolder, judging: JudgeOptions) -> JudgingPlan:
    """Plan to judge the stored answers of a run.

    Splits that no named judge accepts are left out.

    Args:
        folder: of the run.
        judging: judges and their settings as given now.

    Raises:
        HarnessError: there is nothing to judge, or no judge for it.
        UnknownName: the run has no such task.
    """
    run, options, jobs = load_jobs(folder, judging)
    if run.redacted:
        raise HarnessError("a redacted export cannot be judged", where=str(folder.path), remedy="use the run itself")
    check_rubrics(options.judges, (job.plan.split for job in jobs))
    judged = [job for job in jobs if job.plan.judges]
    if not judged:
        raise HarnessError("no judge for these answers", where=str(folder.path), remedy="give --judge SCHEME/NAME")
    if judging.judge_limit is not None:
        jobs = [_limit_job(folder, job, judging.judge_limit) if job.plan.judges else job for job in jobs]
        judged = [job for job in jobs if job.plan.judges]
    return JudgingPlan(
        options=replace(options, tasks=tuple(job.plan.title for job in judged)),
        jobs=judged if options.judges else jobs,
        digest=run.identity_digest,
    )


def _limit_job(folder: RunFolder, job: SplitJob, limit: int) -> SplitJob:
    """The job with the samples of so many drawn clusters. The draw is the same for each model, whatever it answered."""
    plan = job.plan
    listed = [(line["id"], line["cluster"]) for line in folder.task(plan.display).read_asked(plan.name)]
    drawn = draw_clusters((cluster for _, cluster in listed), limit)
    within = frozenset(drawn)
    return replace(
        job,
        asked=frozenset(sample for sample, cluster in listed if cluster in within),
        drawn=max(map(draw_order, drawn), default=""),
    )


def load_jobs(folder: RunFolder, judging: JudgeOptions) -> tuple[RunFile, Options, list[SplitJob]]:
    """A run's file, its options, and the splits that are wanted, whoever judges them. Raises as `plan_judging`."""
    run = folder.load_run()
    if not run.tasks:
        raise HarnessError(
            "the run has not come to its end yet, so nothing says what there is to judge",
            where=str(folder.path),
            remedy="wait for it, or go on with it: the same `harness run` command resumes it",
        )
    options = _build_options(run, judging)
    check_task_settings(options.task_settings)
    entries = [_find_entry(run, f"{display}:{name}") for display, task in run.tasks.items() for name in task.splits]
    if judging.tasks:
        known = {name for entry in entries for name in entry.names}
        wanted = {name for task in judging.tasks for name in _find_named(task, known)}
        entries = [entry for entry in entries if entry.names & wanted]
    return run, options, [_build_job(folder, entry, options) for entry in entries]


def load_split_plan(folder: RunFolder, run: RunFile, title: str) -> SplitPlan:
    """The plan of one split in run.json, `task:split`. Raises HarnessError if its plugin is gone or has changed."""
    return _build_job(folder, _find_entry(run, title), _build_options(run, JudgeOptions())).plan


def _build_options(run: RunFile, judging: JudgeOptions) -> Options:
    return judging.of(ModelSpec(ref=run.model.ref), run.overrides.generation, run.overrides.system)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """One split in run.json.

    Attributes:
        names: what `--tasks` may call it: its suites, the displayed name or the task's, with or without the split.
        suite: it was asked as a part of; None for none.
        rubric: that its suite names for it; empty for none.
    """

    display: str
    name: str
    task: TaskEntry
    split: SplitEntry
    names: frozenset[str]
    suite: SuiteEntry | None
    rubric: str


def _find_entry(run: RunFile, title: str) -> _Entry:
    display, _, name = title.rpartition(":")
    task = run.tasks[display]
    suites = {name: suite for name, suite in run.suites.items() if title in suite.rubrics}
    suite = next(iter(suites.values()), None)
    whole = {display, task.task}
    return _Entry(
        display=display,
        name=name,
        task=task,
        split=task.splits[name],
        names=frozenset({*suites, *whole, *(f"{each}:{name}" for each in whole)}),
        suite=suite,
        rubric=suite.rubrics[title] if suite else "",
    )


def _find_named(task: str, known: Collection[str]) -> Collection[str]:
    """What of a run a name of `--tasks` means. A suite that was not asked as one means those of its tasks that were."""
    suite = None if task in known else find_suite(task)
    found = [name for name in (suite.tasks if suite else (task,)) if name in known]
    if not found:
        raise UnknownName(f"the run has no task {task!r}", remedy=nearest(task, known))
    return found


def _build_job(folder: RunFolder, entry: _Entry, options: Options) -> SplitJob:
    """The split as it was asked, to be judged as the options say."""
    task = entry.task.task
    plugins.current().task(task)  # a plugin that is gone is named so, not by settings that nobody gave
    then = {f"{task}.{key}": value for key, value in entry.task.settings.items()}
    data_folder, root = Path(entry.task.data.folder), Path(entry.task.data.root)
    if "data" in options.given(task) or not root.parent.exists():  # `-T` says where it is, or it was moved
        root = options.root(task)
    data = {} if entry.split.packaged else {f"{task}.data": str(root)}
    if data_folder.exists():
        options = replace(options, data=data_folder)
    planned = rebuild_split_plan(
        entry.display, f"{task}:{entry.name}", replace(options, task_settings=then | data, judges=())
    )
    if planned.display != entry.display:
        raise HarnessError(
            f"the run's {entry.display} would be {planned.display} now", remedy="run it again with this version"
        )
    now = replace(options, task_settings={**then, **options.task_settings, **data})
    now = _add_suite(entry, planned, now)
    default = default_judge(planned.split, task, now)
    judges = choose_judges(planned.split, default, now)
    return SplitJob(
        plan=replace(planned, judges=judges, default=default, rubric=entry.rubric),
        epochs=entry.split.epochs,
        asked=frozenset(line["id"] for line in folder.task(entry.display).read_asked(entry.name)),
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


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitSelection:
    """The splits of a run that some names mean.

    Attributes:
        plans: the splits that have to be read.
        titles: `task:split` of what was named, also of pooled splits; None for all that is read.
    """

    plans: tuple[SplitPlan, ...] = ()
    titles: frozenset[str] | None = None

    def holds(self, title: str, parts: Sequence[str] = ()) -> bool:
        """Whether a split was named: itself, or all of its parts, by their titles."""
        return self.titles is None or title in self.titles or (bool(parts) and self.titles.issuperset(parts))


def select_splits(folder: RunFolder, tasks: Sequence[str]) -> SplitSelection:
    """The splits that some names mean; no names mean all of the run.

    Raises:
        HarnessError: there is no run.
        UnknownName: it has no such task, or not all parts of a pooled split.
    """
    pooled = {name: found for name in tasks if (found := _find_pooled(folder, name))}
    parts = [title for found in pooled.values() for each in found.values() for title in each]
    others = tuple(name for name in tasks if name not in pooled)
    plans = _load_plans(folder, (*others, *parts))
    if not pooled:
        return SplitSelection(plans=plans)
    named = {title for found in pooled.values() for title in found}
    if others:
        named |= {plan.title for plan in _load_plans(folder, others)}
    return SplitSelection(plans=plans, titles=frozenset(named))


def _load_plans(folder: RunFolder, tasks: Sequence[str]) -> tuple[SplitPlan, ...]:
    return tuple(job.plan for job in load_jobs(folder, JudgeOptions(tasks=tuple(tasks)))[2])


def _find_pooled(folder: RunFolder, name: str) -> dict[str, tuple[str, ...]]:
    """The titles of the pooled splits that a name means, each with those of its parts; none for any other name."""
    task, _, split = name.rpartition(":")
    file = folder.run
    found: dict[str, tuple[str, ...]] = {}
    for display, entry in file.tasks.items() if file else ():
        if task not in (display, entry.task) or split in entry.splits:
            continue
        splits = _load_plans(folder, (f"{display}:{next(iter(entry.splits))}",))[0].splits
        parts = splits[split].parts if split in splits else ()
        if missing := [part for part in parts if part not in entry.splits]:
            raise UnknownName(
                f"the run has not asked all of {name!r}",
                where=str(folder.path),
                remedy=f"{', '.join(missing)} is missing: harness run --tasks {display}:{missing[0]} … asks it",
            )
        if parts:
            found[f"{display}:{split}"] = tuple(f"{display}:{part}" for part in parts)
    return found
