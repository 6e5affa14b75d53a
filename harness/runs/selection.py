"""Finds the splits and judges of a stored run by name, and plans these splits again as they were asked.

`harness judge` rebuilds each split from run.json: task settings come from the run, rubric settings may be new.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness import plugins
from harness.errors import HarnessError, UnknownName
from harness.evaluation.options import JudgeOptions, Options
from harness.evaluation.plan import SplitJob, defer_split_rubrics, draw_clusters
from harness.evaluation.splits import (
    SplitPlan,
    check_parts,
    check_task_settings,
    choose_judges,
    default_judge,
    find_suite,
    find_unmapped,
    rebuild_split_plan,
    select_judges,
    select_maps,
)
from harness.keys import draw_order
from harness.models import ModelSpec
from harness.runs.task_entries import offer_stored_task
from harness.settings import nearest
from harness.store.folder import RunFolder
from harness.store.run_file import RunFile, SplitEntry, SuiteEntry, TaskEntry
from harness.store.shards import find_base
from harness.task_files import drop_path
from harness.types import Json


def select_judge_ids(flag: str, names: Sequence[str], cards: Mapping[str, Mapping[str, Json]]) -> tuple[str, ...]:
    """The ids of the judges that some names mean, in the run's order.

    A name is an id; or a rubric, which means all judges of exactly that rubric; or the beginning of an id that is
    longer than the rubric, such as `mis-openai`.

    Args:
        flag: the flag that takes the names.
        names: at least one name.
        cards: judge id -> its entry in run.json.

    Raises:
        UnknownName: a name means no judge of the run.
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
    """What `harness judge` needs from an earlier run; `digest` is the hash of the model's identity."""

    options: Options
    jobs: Sequence[SplitJob]
    digest: str


def plan_judging(folder: RunFolder, judging: JudgeOptions) -> JudgingPlan:
    """Plan to judge the stored answers of a run.

    Leaves out splits that accept no named judge.

    Args:
        folder: the run folder.
        judging: judges and their settings as given now.

    Raises:
        HarnessError: there is nothing to judge, or no judge for it.
        UnknownName: the run has no such task.
    """
    judging = replace(judging, maps=select_maps(judging.maps, judging.judges))
    run, options, jobs = load_jobs(folder, judging)
    if run.redacted:
        raise HarnessError("a redacted export cannot be judged", where=str(folder.path), remedy="use the run itself")
    if unmapped := find_unmapped(options, (job.plan.split for job in jobs)):
        return plan_judging(folder, replace(judging, maps={**judging.maps, **unmapped}))
    jobs = [defer_split_rubrics(job, options.shard) for job in jobs] if options.shard else jobs
    judged = [job for job in jobs if job.plan.judges]
    for job in judged:
        check_parts(job.plan)
    if deferred := [choice.judge.name for job in jobs for choice in job.deferred if not judged]:
        base = shlex.quote(str(find_base(folder.path)))
        raise HarnessError(
            f"rubric {deferred[0]!r} scores all answers of a split at once, and this is a shard",
            where=str(folder.path),
            remedy=f"harness merge {base}, then harness judge {base} …",
        )
    if not judged:
        raise HarnessError("no judge for these answers", where=str(folder.path), remedy="give --judge SCHEME/NAME")
    for place, job in enumerate(jobs):
        if judging.judge_limit is None or not job.plan.judges:
            continue
        # only the samples of so many drawn clusters; the draw is the same for all models and answers
        listed = [(line["id"], line["cluster"]) for line in folder.task(job.plan.display).read_asked(job.plan.name)]
        drawn = frozenset(draw_clusters((cluster for _, cluster in listed), judging.judge_limit))
        jobs[place] = replace(
            job,
            asked=frozenset(sample for sample, cluster in listed if cluster in drawn),
            drawn=max(map(draw_order, drawn), default=""),
        )
    judged = [job for job in jobs if job.plan.judges]
    return JudgingPlan(
        options=replace(options, tasks=tuple(job.plan.title for job in judged)),
        jobs=judged if options.judges else jobs,
        digest=run.identity_digest,
    )


def load_jobs(folder: RunFolder, judging: JudgeOptions) -> tuple[RunFile, Options, list[SplitJob]]:
    """A run's file, its options, and the wanted splits with or without a judge. Raises as `plan_judging`."""
    run = folder.load_run()
    if not run.tasks:
        raise HarnessError(
            "the run has not ended yet, so its answers cannot be judged",
            where=str(folder.path),
            remedy="wait for it, or resume it with the same `harness run` command",
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
    """The plan of one split in run.json, `task:split`. Raises HarnessError if its plugin is missing or has changed."""
    return _build_job(folder, _find_entry(run, title), _build_options(run, JudgeOptions())).plan


def _build_options(run: RunFile, judging: JudgeOptions) -> Options:
    options = judging.of(ModelSpec(ref=run.model.ref), run.overrides.generation, run.overrides.system)
    return replace(options, shard=run.part)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """One split in run.json.

    Attributes:
        names: its names in `--tasks`: its suites, its displayed name or its task's, with or without the split.
        suite: the suite that it was part of; None for none.
        rubric: the rubric that its suite names; empty for none.
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
    """The parts of a run that a name of `--tasks` means. A suite that was not run means its tasks that were."""
    task = drop_path(task)
    suite = None if task in known else find_suite(task)
    found = [name for name in (suite.tasks if suite else (task,)) if name in known]
    if not found:
        raise UnknownName(f"the run has no task {task!r}", remedy=nearest(task, known))
    return found


def _build_job(folder: RunFolder, entry: _Entry, options: Options) -> SplitJob:
    """A job that judges the split, as it was asked, with these options."""
    task = entry.task.task
    offer_stored_task(entry.task)
    plugins.current().task(task)  # report a missing plugin first, not settings that the user did not give
    then = {f"{task}.{key}": value for key, value in entry.task.settings.items()}
    data_folder, root = Path(entry.task.data.folder), Path(entry.task.data.root)
    if "data" in options.given(task) or not root.parent.exists():  # `-T` names the folder, or it was moved
        root = options.root(task)
    data = {} if entry.split.packaged else {f"{task}.data": str(root)}
    if data_folder.exists():
        options = replace(options, data=data_folder)
    options = replace(options, maps={**entry.split.maps, **options.maps})
    planned = rebuild_split_plan(
        entry.display, f"{task}:{entry.name}", replace(options, task_settings=then | data, judges=())
    )
    if planned.display != entry.display:
        raise HarnessError(
            f"the run's {entry.display} is now {planned.display}", remedy="run it again with this version"
        )
    now = replace(options, task_settings={**then, **options.task_settings, **data})
    if entry.suite is not None:  # its task settings are in the stored split, those of its rubrics are not
        asked = {f"{task}.{setting.name}" for setting in planned.task.settings}
        given = {key: value for key, value in entry.suite.settings.items() if key not in asked}
        own = str(now.given(task).get("judge") or "")
        rubric = "" if own else entry.rubric
        named = {name for name in entry.suite.rubrics.values() if name}
        chosen = {f"{task}.judge": rubric} if rubric else {}
        now = replace(
            now,
            judges=select_judges(now.judges, own or rubric, named, bare=not rubric),
            task_settings={**given, **now.task_settings, **chosen},
        )
    default = default_judge(planned.split, task, now)
    judges = choose_judges(planned.split, default, now)
    return SplitJob(
        plan=replace(planned, judges=judges, default=default, rubric=entry.rubric),
        epochs=entry.split.epochs,
        asked=frozenset(line["id"] for line in folder.task(entry.display).read_asked(entry.name)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitSelection:
    """The splits of a run that some names mean.

    Attributes:
        plans: the splits to read.
        titles: `task:split` of each named split, pooled ones too; None for all.
    """

    plans: tuple[SplitPlan, ...] = ()
    titles: frozenset[str] | None = None

    def holds(self, title: str, parts: Sequence[str] = ()) -> bool:
        """Whether a split, or each of its parts, was named by its title."""
        return self.titles is None or title in self.titles or (bool(parts) and self.titles.issuperset(parts))


def select_splits(folder: RunFolder, tasks: Sequence[str]) -> SplitSelection:
    """The splits that some names mean; no names mean all of the run.

    Raises:
        HarnessError: there is no run.
        UnknownName: the run has no such task, or lacks parts of a pooled split.
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
    """The titles of the pooled splits that a name means, each with its parts' titles; empty for other names."""
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
