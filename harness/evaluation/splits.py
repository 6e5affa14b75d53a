"""The splits that are asked for, and the judges of each: from names and options to what will be done.

Nothing is opened and nothing is spent here; every misspelling ends here with its nearest spelling.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness import plugins, settings
from harness.contracts import BUILT, Ability, Judge, Rubric, Split, Task
from harness.data.built import drop_published_sizes, find_built_set
from harness.data.places import read_samples
from harness.errors import HarnessError, MissingData, UnknownName
from harness.evaluation.options import Options
from harness.types import Generation, Sample, Settings

#: `-T NAME.key` that the core answers for every task
CORE_KEYS = ("data", "judge")


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeChoice:
    """A rubric to use on a split, and the model that answers for it; a rule has none.

    Attributes:
        judge: the descriptor.
        model: `scheme/name`, or empty.
        settings: of the rubric, complete.
        root: DIR/<rubric>, where its data lies.
        translation: of its labels into those of the split.
        images: most images a sample of the split holds.
    """

    judge: Judge
    model: str = ""
    settings: Settings
    root: Path
    translation: Mapping[str, str]
    images: int

    def needs(self, rubric: Rubric | None = None) -> frozenset[Ability]:
        """Abilities its model must have under its settings; opens the rubric where it is not given."""
        opened = rubric or self.judge.open(self.settings, self.root)
        return (self.judge.needs if opened.needs is None else opened.needs) or frozenset()


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
            for sample in read_samples(self.task, self.root, self.name, self.settings):
                check_json(sample)
                yield sample
        except MissingData:
            if BUILT not in self.display or find_built_set(self.root):
                raise
            what = f"the set that {self.title} was asked on is not there"
            remedy = f"say where it lies now: -T {self.task.name}.data=DIR"
            raise MissingData(what, where=str(self.root), remedy=remedy) from None


def check_json(sample: Sample) -> None:
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
    changed = settings.find_changed(task.settings, values)
    return task.name + "".join(f"+{name}={value}" for name, value in changed.items())


def build_split_plans(name: str, options: Options, mark: str | None = None) -> Iterator[SplitPlan]:
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
    values = _complete_settings("task", task, options)
    root = options.root(task.name)
    there = find_built_set(root)
    if mark is None:
        mark = there.mark if there else ""
    splits = task.splits(values, root) if callable(task.splits) else task.splits
    if mark:
        splits = drop_published_sizes(splits)
    if wanted and there and wanted not in splits:
        names = ", ".join(each for each, split in splits.items() if split.selected)
        what = f"the set {there.name} has no split {wanted!r} of {task.name}"
        raise MissingData(what, where=str(root), remedy=f"it has {names}")
    for split_name in _select_splits(task, splits, wanted):
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
            judges=choose_judges(split, default, options),
            default=default,
        )


def rebuild_split_plan(display: str, name: str, options: Options) -> SplitPlan:
    """One split as a run that was knows it, whatever lies in its data root now.

    Args:
        display: the task's displayed name in the run; `options` hold the settings that it tells.
        name: `NAME:SPLIT` of a split that is asked itself.
        options: of the run.

    Raises:
        UnknownName, HarnessError: as `build_split_plans` does; a setting is known no more.
    """
    check_task_settings(options.task_settings)
    _, built_mark, of = display.partition(BUILT)
    (plan,) = build_split_plans(name, options, built_mark + of)
    return plan


def _select_splits(task: Task, splits: Mapping[str, Split], wanted: str) -> Sequence[str]:
    """The splits a name stands for; a derived one stands for its parts."""
    if not wanted:
        own = [name for name, split in splits.items() if split.selected and not split.parts]
        if not own:
            raise HarnessError(f"{task.name} by itself runs nothing", remedy=f"name a split: --tasks {task.name}:NAME")
        return own
    if wanted not in splits:
        raise UnknownName(f"task {task.name} has no split {wanted!r}", remedy=settings.nearest(wanted, splits))
    return splits[wanted].parts or (wanted,)


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


def default_judge(split: Split, task: str, options: Options) -> Judge:
    """The rubric that judges a split unless `--judge` says otherwise: the split's first, or `-T <task>.judge`."""
    default = plugins.current().judge(str(options.given(task).get("judge") or next(iter(split.judges))))
    if default.name not in split.judges:
        raise HarnessError(
            f"{task} does not accept rubric {default.name!r}", remedy=f"it accepts: {', '.join(split.judges)}"
        )
    return default


def choose_judges(split: Split, default: Judge, options: Options) -> tuple[JudgeChoice, ...]:
    """The judges of one split, the primary one first; none if it needs a model and none was named."""
    chosen = [pair for text in options.judges for pair in _read_judge_flag(text, split, default, options.judges)]
    if not chosen and default.needs is None:
        chosen = [(default, "")]
    return tuple(
        JudgeChoice(
            judge=judge,
            model=model,
            settings=_complete_settings("judge", judge, options),
            root=options.root(judge.name),
            translation=split.judges[judge.name],
            images=split.images or 0,
        )
        for judge, model in dict.fromkeys(chosen)
    )


def check_rubrics(judges: Sequence[str], splits: Iterable[Split]) -> None:
    """A rubric that is named and accepted nowhere is a mistake, and so is a model for a rule."""
    accepted = {name for split in splits for name in split.judges}
    for text in judges:
        rubric, model = split_judge(text)
        if not rubric:
            continue
        judge = plugins.current().judge(rubric)
        if rubric not in accepted:
            raise HarnessError(
                f"no split of this run accepts rubric {rubric!r}", remedy=f"they accept: {', '.join(sorted(accepted))}"
            )
        if model and judge.needs is None:
            raise HarnessError(f"rubric {rubric!r} is a rule and asks no model", remedy=f"--judge {rubric}")


def find_unused_models(judges: Sequence[str], choices: Iterable[JudgeChoice]) -> list[str]:
    """What to say of models that were named and that no rubric of these choices asks."""
    pairs = dict.fromkeys((choice.judge.name, choice.model) for choice in choices)
    asked, rules = {model for _, model in pairs}, [name for name, model in pairs if not model]
    why = f"no model is asked by the rule {', '.join(rules)}" if rules else "no rubric of this run asks it"
    bare = [text for text in dict.fromkeys(judges) if not split_judge(text)[0]]
    return [f"--judge {text} is not used: {why}" for text in bare if text not in asked]


def split_judge(text: str) -> tuple[str, str]:
    """`MODEL`, `RUBRIC` or `RUBRIC=MODEL` as (rubric, model), either of which may be empty."""
    head, equals, tail = text.partition("=")
    if equals and "/" not in head:
        return head, tail
    return ("", text) if "/" in text else (text, "")


def _complete_settings(kind: str, offered: Task | Judge, options: Options) -> Settings:
    """The settings of a task or a rubric: those of `-T NAME.key` that are its own, over its defaults."""
    declared = {setting.name for setting in offered.settings}
    own = {key: value for key, value in options.given(offered.name).items() if key in declared}
    return settings.effective(offered.settings, own, owner=f"{kind} {offered.name}")


def _read_judge_flag(text: str, split: Split, default: Judge, every: Sequence[str]) -> Iterable[tuple[Judge, str]]:
    """What one `--judge` means for one split."""
    rubric, model = split_judge(text)
    if not rubric:
        return [(default, model)] if default.needs is not None else []
    if rubric not in split.judges:
        return []
    judge = plugins.current().judge(rubric)
    if judge.needs is None or model:
        return [(judge, model)]
    models = [other for other in every if not split_judge(other)[0]]
    if not models:
        raise HarnessError(f"rubric {rubric!r} needs a model", remedy=f"--judge {rubric}=SCHEME/NAME")
    return [(judge, split_judge(models[0])[1])]
