"""From names to what will be done: which splits of which tasks, with which settings, judged by which rubrics.

Nothing is opened and nothing is spent here; every misspelling ends here with its nearest spelling.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from . import plugins, settings
from .contracts import Judge, Split, Task
from .data import data_folder, samples
from .errors import HarnessError, UnknownName
from .options import Options
from .types import Generation, Sample, Settings

#: `-T NAME.key` that the core answers for every task
CORE_KEYS = ("data", "judge")


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeChoice:
    """A rubric to use on a split, and the model that answers for it; a rule has none."""

    judge: Judge
    model: str = ""
    settings: Settings
    root: Path
    translation: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitPlan:
    """One split to run.

    Attributes:
        task: its task.
        display: the task's name with the settings that change the request.
        name: of the split.
        split: how it is scored.
        settings: of the task, complete.
        root: its data.
        generation: effective settings.
        judges: the first is the primary one; empty when the split needs a judge's model and none was named.
        default: the rubric that would judge it.
    """

    task: Task
    display: str
    name: str
    split: Split
    settings: Settings
    root: Path
    generation: Generation
    judges: tuple[JudgeChoice, ...]
    default: Judge

    @property
    def title(self) -> str:
        """Task and split, as `--tasks` takes them."""
        return f"{self.display}:{self.name}"

    def samples(self) -> Iterator[Sample]:
        """All samples of the split, lazily. Raises MissingData with how to get the data, or BadData."""
        return samples(self.task, self.root, self.name, self.settings)


def make(options: Options) -> tuple[SplitPlan, ...]:
    """Resolve all tasks, splits and judges of some options. Raises UnknownName or HarnessError."""
    _check_task_settings(options)
    planned = tuple(plan for name in options.tasks for plan in _splits(name, options))
    if not planned:
        raise HarnessError("no task to run", remedy="give --tasks NAME[,NAME]: see `harness tasks list`")
    _check_rubrics(options.judges, planned)
    unique = {(plan.display, plan.name): plan for plan in planned}
    return tuple(unique.values())


def task_splits(task: Task, values: Settings, root: Path) -> Mapping[str, Split]:
    """A task's splits under some settings."""
    return task.splits(values, root) if callable(task.splits) else task.splits


def task_root(options: Options, name: str) -> Path:
    """Where a task's data lies: DIR/<task>, unless `-T <task>.data` names another folder."""
    given = options.task_settings.get(f"{name}.data")
    return Path(str(given)).expanduser() if given else data_folder(options.data) / name


def display_name(task: Task, values: Settings) -> str:
    """A task's name with each identity setting that is not at its default."""
    changed = settings.changed(task.settings, values)
    return task.name + "".join(f"+{name}={value}" for name, value in changed.items())


def _splits(name: str, options: Options) -> Iterable[SplitPlan]:
    task_name, _, wanted = name.partition(":")
    task = plugins.current().task(task_name)
    values = settings.effective(task.settings, _own(options, task), owner=f"task {task.name}")
    root = task_root(options, task.name)
    splits = task_splits(task, values, root)
    for split_name in _names(task, splits, wanted):
        split = splits[split_name]
        judges, default = _judges(split, task, options)
        yield SplitPlan(
            task=task,
            display=display_name(task, values),
            name=split_name,
            split=split,
            settings=values,
            root=split.data or root,
            generation=replace(split.defaults, **options.generation),
            judges=judges,
            default=default,
        )


def _names(task: Task, splits: Mapping[str, Split], wanted: str) -> Sequence[str]:
    """The splits a name stands for; a derived one stands for its parts."""
    if not wanted:
        return [name for name, split in splits.items() if split.selected and not split.parts]
    if wanted not in splits:
        raise UnknownName(f"task {task.name} has no split {wanted!r}", remedy=settings.nearest(wanted, splits))
    return splits[wanted].parts or (wanted,)


def _own(options: Options, task: Task) -> dict[str, Any]:
    """The `-T` settings of a task that are the task's own."""
    declared = {setting.name for setting in task.settings}
    return {key: value for key, value in _given(options, task.name).items() if key in declared}


def _given(options: Options, name: str) -> dict[str, Any]:
    prefix = f"{name}."
    return {key[len(prefix) :]: value for key, value in options.task_settings.items() if key.startswith(prefix)}


def _check_task_settings(options: Options) -> None:
    """Each `-T NAME.key` must be a key of the task or of the rubric of that name."""
    host = plugins.current()
    tasks = {task.name: task for task, _ in host.offers("tasks")}
    judges = {judge.name: judge for judge, _ in host.offers("judges")}
    for full in options.task_settings:
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


def _judges(split: Split, task: Task, options: Options) -> tuple[tuple[JudgeChoice, ...], Judge]:
    host = plugins.current()
    default = host.judge(str(options.task_settings.get(f"{task.name}.judge") or next(iter(split.judges))))
    if default.name not in split.judges:
        raise HarnessError(
            f"{task.name} does not accept rubric {default.name!r}", remedy=f"it accepts: {', '.join(split.judges)}"
        )
    chosen = [pair for text in options.judges for pair in _picked(text, split, default, options.judges)]
    if not chosen and default.needs is None:
        chosen = [(default, "")]
    picks = tuple(
        JudgeChoice(
            judge=judge,
            model=model,
            settings=settings.effective(judge.settings, _rubric_settings(options, judge), owner=f"judge {judge.name}"),
            root=task_root(options, judge.name),
            translation=split.judges[judge.name],
        )
        for judge, model in dict.fromkeys(chosen)
    )
    return picks, default


def _rubric_settings(options: Options, judge: Judge) -> dict[str, Any]:
    declared = {setting.name for setting in judge.settings}
    return {key: value for key, value in _given(options, judge.name).items() if key in declared}


def _picked(text: str, split: Split, default: Judge, every: Sequence[str]) -> Iterable[tuple[Judge, str]]:
    """What one `--judge` means for one split."""
    rubric, model = split_judge(text)
    if not rubric:
        return [(default, model)] if default.needs is not None else []
    if rubric not in split.judges:
        return []
    judge = plugins.current().judge(rubric)
    if judge.needs is None or model:
        return [(judge, model if judge.needs is not None else "")]
    models = [other for other in every if not split_judge(other)[0]]
    if not models:
        raise HarnessError(f"rubric {rubric!r} needs a model", remedy=f"--judge {rubric}=SCHEME/NAME")
    return [(judge, split_judge(models[0])[1])]


def split_judge(text: str) -> tuple[str, str]:
    """`MODEL`, `RUBRIC` or `RUBRIC=MODEL` as (rubric, model), either of which may be empty."""
    head, equals, tail = text.partition("=")
    if equals and "/" not in head:
        return head, tail
    return ("", text) if "/" in text else (text, "")


def _check_rubrics(judges: Sequence[str], planned: Sequence[SplitPlan]) -> None:
    """A rubric that is named and accepted nowhere is a mistake."""
    accepted = {name for plan in planned for name in plan.split.judges}
    for text in judges:
        rubric, _ = split_judge(text)
        if rubric and rubric not in accepted:
            plugins.current().judge(rubric)
            raise HarnessError(
                f"no split of this run accepts rubric {rubric!r}", remedy=f"they accept: {', '.join(sorted(accepted))}"
            )
