"""From names to what will be done: which splits of which tasks, with which settings, judged by which rubrics.

Nothing is opened and nothing is spent here; every misspelling ends here with its nearest spelling.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness import plugins, settings
from harness.contracts import Judge, Split, Task
from harness.data.built import built, unpublished
from harness.data.places import samples
from harness.errors import HarnessError, MissingData, UnknownName
from harness.options import Options
from harness.plan.choosing import JudgeChoice, choose, default_judge
from harness.sources import BUILT
from harness.types import Generation, Sample, Settings

#: `-T NAME.key` that the core answers for every task
CORE_KEYS = ("data", "judge")


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitPlan:
    """One split to run.

    Attributes:
        task: its task.
        display: the task's name with the settings that change the request, and the set it is asked on if one was built.
        name: of the split.
        split: how it is scored.
        splits: all of the task under these settings, derived ones too.
        settings: of the task, complete.
        root: its data.
        generation: effective settings.
        judges: the first is the primary one; empty when the split needs a judge's model and none was named.
        default: the rubric that would judge it.
        suite: it is asked as a part of, and so left out where it cannot be run; empty where it was named itself.
        rubric: that its suite names for it, which needs a model by name; empty for none.
    """

    task: Task
    display: str
    name: str
    split: Split
    splits: Mapping[str, Split]
    settings: Settings
    root: Path
    generation: Generation
    judges: tuple[JudgeChoice, ...]
    default: Judge
    suite: str = ""
    rubric: str = ""

    @property
    def title(self) -> str:
        """Task and split, as `--tasks` takes them."""
        return f"{self.display}:{self.name}"

    def samples(self) -> Iterator[Sample]:
        """All samples of the split, lazily.

        Raises:
            MissingData: with how to get the data.
            BadData: as the task raises it.
            TypeError, ValueError: a sample cannot be kept in a line of JSON.
        """
        try:
            for sample in samples(self.task, self.root, self.name, self.settings):
                check_kept(sample)
                yield sample
        except MissingData:
            if BUILT not in self.display or built(self.root):
                raise
            what = f"the set that {self.title} was asked on is not there"
            remedy = f"say where it lies now: -T {self.task.name}.data=DIR"
            raise MissingData(what, where=str(self.root), remedy=remedy) from None


def check_kept(sample: Sample) -> None:
    """Refuse what a run folder cannot keep of a sample: what it is grouped and scored by must be JSON."""
    for name, value in (("category", sample.category), ("tags", dict(sample.tags)), ("target", sample.target)):
        if isinstance(value, str) or value is None:
            continue
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{name} of sample {sample.id!r} is not JSON: {error}") from None


def display_name(task: Task, values: Settings) -> str:
    """A task's name with each identity setting that is not at its default."""
    changed = settings.changed(task.settings, values)
    return task.name + "".join(f"+{name}={value}" for name, value in changed.items())


def split_plans(name: str, options: Options, mark: str | None = None) -> Iterator[SplitPlan]:
    """The splits that `NAME` or `NAME:SPLIT` stands for.

    Args:
        name: as `--tasks` takes it.
        options: of the run.
        mark: of the set that was built (`BuiltSet.mark`), empty for the benchmark's own data, as a run that was knows
            it; None for what lies in the data root now.

    Raises:
        UnknownName: a task, a setting, or a split that there is not.
        MissingData: a set that was built has no such split.
        HarnessError: the task cannot say its splits, or runs none by its bare name.
    """
    task_name, _, wanted = name.partition(":")
    task = plugins.current().task(task_name)
    values = settings.effective(task.settings, _own(options, task), owner=f"task {task.name}")
    root = options.root(task.name)
    there = built(root)
    if mark is None:
        mark = there.mark if there else ""
    splits = _offered(task, values, root, mark)
    if wanted and there and wanted not in splits:
        raise _not_in(there.name, task, splits, wanted, root)
    for split_name in _names(task, splits, wanted):
        split = splits[split_name]
        default = default_judge(split, task.name, options)
        yield SplitPlan(
            task=task,
            display=display_name(task, values) + (mark if split.data is None else ""),
            name=split_name,
            split=split,
            splits=splits,
            settings=values,
            root=split.data or root,
            generation=replace(split.defaults, **options.generation),
            judges=choose(split, default, options),
            default=default,
        )


def of_run(display: str, name: str, options: Options) -> SplitPlan:
    """One split as a run that was knows it, whatever lies in its data root now.

    Args:
        display: the task's displayed name in the run; `options` hold the settings that it tells.
        name: `NAME:SPLIT` of a split that is asked itself.
        options: of the run.

    Raises:
        UnknownName, HarnessError: as `split_plans` does; a setting is known no more.
    """
    check_task_settings(options.task_settings)
    _, built_mark, of = display.partition(BUILT)
    (plan,) = split_plans(name, options, built_mark + of)
    return plan


def _offered(task: Task, values: Settings, root: Path, mark: str) -> Mapping[str, Split]:
    splits = task.splits(values, root) if callable(task.splits) else task.splits
    return unpublished(splits) if mark else splits


def _not_in(name: str, task: Task, splits: Mapping[str, Split], wanted: str, root: Path) -> MissingData:
    """What of a set that was built is asked for in vain."""
    own = [each for each, split in splits.items() if split.selected]
    what = f"the set {name} has no split {wanted!r} of {task.name}"
    return MissingData(what, where=str(root), remedy=f"it has {', '.join(own)}")


def _names(task: Task, splits: Mapping[str, Split], wanted: str) -> Sequence[str]:
    """The splits a name stands for; a derived one stands for its parts."""
    if not wanted:
        own = [name for name, split in splits.items() if split.selected and not split.parts]
        if not own:
            raise HarnessError(f"{task.name} by itself runs nothing", remedy=f"name a split: --tasks {task.name}:NAME")
        return own
    if wanted not in splits:
        raise UnknownName(f"task {task.name} has no split {wanted!r}", remedy=settings.nearest(wanted, splits))
    return splits[wanted].parts or (wanted,)


def _own(options: Options, task: Task) -> dict[str, Any]:
    """The `-T` settings of a task that are the task's own."""
    declared = {setting.name for setting in task.settings}
    return {key: value for key, value in options.given(task.name).items() if key in declared}


def check_task_settings(given: Iterable[str]) -> None:
    """Each `-T NAME.key` must be a key of the task or of the rubric of that name."""
    host = plugins.current()
    tasks = {task.name: task for task, _ in host.offers("tasks")}
    judges = {judge.name: judge for judge, _ in host.offers("judges")}
    for full in given:
        name, _, key = full.partition(".")
        if name not in tasks and name not in judges:
            raise UnknownName(f"-T {full}: no task or judge {name!r}", remedy=settings.nearest(name, {*tasks, *judges}))
        declared = [
            *(tasks[name].settings if name in tasks else ()),
            *(judges[name].settings if name in judges else ()),
        ]
        known = {setting.name for setting in declared} | (set(CORE_KEYS) if name in tasks else set[str]())
        if key not in known:
            raise UnknownName(f"-T {full}: {name} has no setting {key!r}", remedy=settings.nearest(key, known))
