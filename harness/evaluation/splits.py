"""Resolves `--tasks`, `--judge` and `-T` to suites, tasks, splits, and the judges of each.

A suite's settings and rubrics apply only to its own tasks, so `--tasks SUITE,mssbench` asks MSSBench both ways. No
model is called here. Each misspelled name is refused with the nearest correct one.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness import plugins, settings
from harness.contracts import BUILT, Ability, Judge, Rubric, Split, Suite, Task
from harness.data.built import drop_published_sizes, find_built_set
from harness.data.places import read_samples
from harness.errors import HarnessError, MissingData, UnknownName
from harness.evaluation.options import Options
from harness.labels import OWN, is_own_share, map_rubrics
from harness.rubric.sees import ALSO, OPTIONAL, SEES, describe_part, find_parts
from harness.task_files import expand_folders, is_task_path, split_name
from harness.types import Generation, Sample, Settings

#: keys of `-T NAME.key` that every task has
CORE_KEYS = ("data", "judge")


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeChoice:
    """A rubric to use on a split, and its model; a rule has none.

    Attributes:
        judge: the judge's descriptor.
        model: `scheme/name`, or empty.
        settings: the rubric's complete settings.
        root: DIR/<rubric>, the rubric's data.
        translation: the rubric's labels -> the split's labels.
        images: most images in a sample of the split.
        sees: parts that the user's `-T RUBRIC.sees` names, of those that samples may lack.
    """

    judge: Judge
    model: str = ""
    settings: Settings
    root: Path
    translation: Mapping[str, str]
    images: int
    sees: tuple[str, ...] = ()

    def needs(self, rubric: Rubric | None = None) -> frozenset[Ability]:
        """Abilities its model must have under its settings; opens the rubric if none is given."""
        opened = rubric or self.judge.open(self.settings, self.root)
        return (self.judge.needs if opened.needs is None else opened.needs) or frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitPlan:
    """One split to run.

    Attributes:
        task: the split's task.
        display: the task's name with the settings that change the request, and the built set if one is used.
        name: the split's name.
        split: how the split is scored.
        splits: all splits of the task under these settings, derived ones too, without the user's maps.
        settings: the task's complete settings.
        root: the task's data folder.
        generation: the effective generation settings.
        judges: the primary judge first; empty if the split needs a judge's model and none was named.
        default: the default rubric.
        maps: rubric -> translation, of those that the user maps.
        suite: the suite that holds it, which leaves it out if it cannot run; empty if it was named itself.
        rubric: the rubric that its suite names and that needs a model; empty for none.
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
    maps: Mapping[str, Mapping[str, str]] = field(default_factory=dict[str, Mapping[str, str]])
    suite: str = ""
    rubric: str = ""

    @property
    def title(self) -> str:
        """Task and split, as written for `--tasks`."""
        return f"{self.display}:{self.name}"

    def samples(self) -> Iterator[Sample]:
        """All samples of the split, lazily.

        Raises:
            MissingData: the data is missing; the remedy says how to get it.
            BadData: the task found broken data.
            TypeError, ValueError: a sample cannot be stored as JSON.
        """
        try:
            for sample in read_samples(self.task, self.root, self.name, self.settings):
                check_json(sample)
                yield sample
        except MissingData:
            if BUILT not in self.display or find_built_set(self.root):
                raise
            what = f"the built set of {self.title} is missing"
            remedy = f"say where it is now: -T {self.task.name}.data=DIR"
            raise MissingData(what, where=str(self.root), remedy=remedy) from None


def check_json(sample: Sample) -> None:
    """Refuse a sample that a run folder cannot store: its category, tags and target must be JSON."""
    for name, value in (("category", sample.category), ("tags", dict(sample.tags)), ("target", sample.target)):
        if isinstance(value, str) or value is None:
            continue
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{name} of sample {sample.id!r} is not JSON: {error}") from None


def build_split_plans(name: str, options: Options, mark: str | None = None) -> Iterator[SplitPlan]:
    """The splits that `NAME` or `NAME:SPLIT` means; a derived split means its parts.

    Args:
        name: as written for `--tasks`.
        options: the run's options.
        mark: the mark (`BuiltSet.mark`) of an earlier run's built set, empty for the benchmark's own data; None takes
            what is in the data root now.

    Raises:
        UnknownName: there is no such task, setting or split.
        MissingData: a built set has no such split.
        HarnessError: the task cannot list its splits, or runs nothing by its name alone.
    """
    task_name, wanted = split_name(name)
    task = plugins.current().task(task_name)
    values = complete_settings("task", task, options)
    root = options.task_root(task)
    there = find_built_set(root)
    if mark is None:
        mark = there.mark if there else ""
    splits = task.splits(values, root) if callable(task.splits) else task.splits
    if mark:
        splits = drop_published_sizes(splits)
    if wanted and wanted not in splits:
        if not there:
            raise UnknownName(f"task {task.name} has no split {wanted!r}", remedy=settings.nearest(wanted, splits))
        names = ", ".join(each for each, split in splits.items() if split.selected)
        what = f"the set {there.name} has no split {wanted!r} of {task.name}"
        raise MissingData(what, where=str(root), remedy=f"it has {names}")
    chosen: Sequence[str] = splits[wanted].parts or (wanted,) if wanted else ()
    if not wanted:
        chosen = [each for each, split in splits.items() if split.selected and not split.parts]
    if not chosen:
        raise HarnessError(f"{task.name} has no default split", remedy=f"name a split: --tasks {task.name}:NAME")
    changed = settings.find_changed(task.settings, values)
    display = task.name + "".join(f"+{key}={value}" for key, value in changed.items())
    for each in chosen:
        maps = _find_maps(splits[each], options)
        split = map_rubrics(splits[each], maps)
        default = default_judge(split, task.name, options)
        yield SplitPlan(
            task=task,
            display=display + (mark if split.data is None else ""),
            name=each,
            split=split,
            splits=splits,
            settings=values,
            root=split.data or root,
            generation=replace(split.defaults, **options.generation),
            judges=choose_judges(split, default, options),
            default=default,
            maps=maps,
        )


class MappedSplits(Mapping[str, Split]):
    """A task's splits, each of which accepts some rubrics more; an open set answers any name."""

    def __init__(self, splits: Mapping[str, Split], maps: Mapping[str, Mapping[str, str]]) -> None:
        self._splits, self._maps = splits, maps

    def __getitem__(self, name: str) -> Split:
        return map_rubrics(self._splits[name], self._maps)

    def __iter__(self) -> Iterator[str]:
        return iter(self._splits)

    def __len__(self) -> int:
        return len(self._splits)


def _find_maps(split: Split, options: Options) -> dict[str, Mapping[str, str]]:
    """The user's maps of rubrics that fit a split: all their words are its own. An empty map fits a split without one.

    An empty map becomes one onto shares of the rubric's own labels, `RUBRIC:LABEL`.
    """
    known = split.vocabulary
    found: dict[str, Mapping[str, str]] = {}
    for rubric, translation in options.maps.items():
        if translation:
            words = (word for word in translation.values() if not is_own_share(rubric, word))
            if known is None or all(word in known for word in words):
                found[rubric] = translation
        elif rubric not in split.judges:
            judge = plugins.current().judge(rubric)
            opened = judge.open(complete_settings("judge", judge, options), options.root(rubric))
            found[rubric] = {label: f"{rubric}{OWN}{label}" for label in opened.labels}
    return found


def rebuild_split_plan(display: str, name: str, options: Options) -> SplitPlan:
    """Plan one split as an earlier run did, whatever is in its data root now.

    Args:
        display: the task's displayed name in the run; `options` hold the settings that it shows.
        name: `NAME:SPLIT`; not a derived split.
        options: the run's options.

    Raises:
        UnknownName, HarnessError: as `build_split_plans` does; also if a setting no longer exists.
    """
    check_task_settings(options.task_settings)
    _, built_mark, of = display.partition(BUILT)
    (plan,) = build_split_plans(name, options, built_mark + of)
    return plan


def check_task_settings(given: Iterable[str]) -> None:
    """Refuse a `-T NAME.key` if no task or rubric NAME has that key."""
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
        if key == SEES.name and name in judges and key not in known and judges[name].needs is None:
            what = f"-T {full}: {name} is a rule, which asks no model that could be shown more or less"
            raise UnknownName(what, remedy="give sees to a rubric that asks a model")
        if key not in known:
            raise UnknownName(f"-T {full}: {name} has no setting {key!r}", remedy=settings.nearest(key, known))


def default_judge(split: Split, task: str, options: Options) -> Judge:
    """The rubric that judges a split without `--judge`: `-T <task>.judge`, else the split's first."""
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
    named = {(judge.name, model): judge for judge, model in chosen}
    return tuple(
        JudgeChoice(
            judge=judge,
            model=model,
            settings=complete_settings("judge", judge, options),
            root=options.root(judge.name),
            translation=split.judges[judge.name],
            images=split.images or 0,
            sees=_find_named_parts(judge, options),
        )
        for (_, model), judge in named.items()
    )


def _find_named_parts(judge: Judge, options: Options) -> tuple[str, ...]:
    """The parts that `-T RUBRIC.sees` names, of those that samples may lack."""
    given = options.given(judge.name).get(SEES.name)
    if given is None or SEES not in judge.settings:
        return ()
    names = {name.strip() for name in str(given).split(",")}
    return tuple(part for part in OPTIONAL if part in names or ALSO.get(part) in names)


def check_parts(plan: SplitPlan) -> None:
    """Refuse a judge that is to show a part which no sample of a split holds. Lists samples until each part is found.

    Raises HarnessError. A task that fails in another way is reported when its split is run.
    """
    missing = {part: choice.judge.name for choice in plan.judges for part in choice.sees}
    try:
        for sample in plan.samples() if missing else ():
            for part in find_parts(sample) & missing.keys():
                del missing[part]
            if not missing:
                return
    except HarnessError:
        raise
    except Exception:  # noqa: BLE001 - a task is a plugin
        return
    for part, rubric in missing.items():
        raise HarnessError(
            f"rubric {rubric} is to show {describe_part(part)}, and no sample of {plan.title} has that",
            remedy=f"leave {part} out of -T {rubric}.sees",
        )


def select_maps(maps: Mapping[str, Mapping[str, str]], judges: Iterable[str]) -> dict[str, Mapping[str, str]]:
    """The maps of rubrics that `--judge` names, and all that are not empty: a config's maps outlive one run.

    Raises UnknownName for a map of a rubric that does not exist.
    """
    for rubric, translation in maps.items():
        if translation:
            plugins.current().judge(rubric)
    named = {split_judge(text)[0] for text in judges}
    return {rubric: translation for rubric, translation in maps.items() if translation or rubric in named}


def find_unmapped(options: Options, splits: Iterable[Split]) -> dict[str, Mapping[str, str]]:
    """Rubrics of `--judge` that no split accepts and no map names, each with an empty map for its own labels.

    Raises HarnessError for a map that fits no split, and for a `--judge` that names a model for a rule.
    """
    every = list(splits)
    accepted = {name for split in every for name in split.judges}
    unmapped: dict[str, Mapping[str, str]] = {}
    for text in options.judges:
        rubric, model = split_judge(text)
        if not rubric:
            continue
        if model and plugins.current().judge(rubric).needs is None:
            raise HarnessError(f"rubric {rubric!r} is a rule and asks no model", remedy=f"--judge {rubric}")
        given = options.maps.get(rubric)
        if given and not any(split.judges.get(rubric) == given for split in every):
            known = {word for split in every for word in split.vocabulary or ()}
            wrong = next((word for word in given.values() if word not in known), "")
            if wrong:
                what = f"--map {rubric}: no split of this run has the label {wrong!r}"
                raise HarnessError(what, remedy=settings.nearest(wrong, known))
            words = " and ".join(map(repr, dict.fromkeys(given.values())))
            has = "; ".join(dict.fromkeys(", ".join(split.vocabulary or ()) for split in every))
            what = f"--map {rubric}: no one split of this run has all of {words}"
            raise HarnessError(what, remedy=f"map onto the labels of one task; those of the splits are: {has}")
        if rubric not in accepted and rubric not in options.maps:
            plugins.current().judge(rubric)
            unmapped[rubric] = {}
    return unmapped


def find_unused_models(judges: Sequence[str], choices: Iterable[JudgeChoice]) -> list[str]:
    """A warning for each model of `--judge` that no rubric of these choices asks."""
    pairs = dict.fromkeys((choice.judge.name, choice.model) for choice in choices)
    asked, rules = {model for _, model in pairs}, [name for name, model in pairs if not model]
    why = f"no model is asked by the rule {', '.join(rules)}" if rules else "no rubric of this run asks it"
    bare = [text for text in dict.fromkeys(judges) if not split_judge(text)[0]]
    return [f"--judge {text} is not used: {why}" for text in bare if text not in asked]


def split_judge(text: str) -> tuple[str, str]:
    """Split `MODEL`, `RUBRIC` or `RUBRIC=MODEL` into (rubric, model); one may be empty."""
    head, equals, tail = text.partition("=")
    if equals and "/" not in head:
        return head, tail
    return ("", text) if "/" in text else (text, "")


def complete_settings(kind: str, offered: Task | Judge, options: Options) -> Settings:
    """The settings of a task or a rubric: its defaults, overridden by `-T NAME.key`; a rubric's in their one form."""
    declared = {setting.name for setting in offered.settings}
    own = {key: value for key, value in options.given(offered.name).items() if key in declared}
    values = settings.effective(offered.settings, own, owner=f"{kind} {offered.name}")
    normalize = offered.normalize if isinstance(offered, Judge) else None
    return values if normalize is None else normalize(values)


def _read_judge_flag(text: str, split: Split, default: Judge, every: Sequence[str]) -> Iterable[tuple[Judge, str]]:
    """The judges that one `--judge` means for one split."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedTask:
    """A task, or one of its splits, that an invocation names.

    Attributes:
        name: `NAME` or `NAME:SPLIT`.
        options: the options that apply to it.
        suite: the suite that holds it; None if it was named itself.
        rubric: the rubric that the suite names; empty for none, or if `-T NAME.judge` names another.
    """

    name: str
    options: Options
    suite: Suite | None = None
    rubric: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """What cannot run although others can: a part of a suite whose data, or a package that reads it, is missing.

    In a dry run also a task that the user names, whose data is missing.

    Attributes:
        title: task and split.
        error: why it cannot run, and how to fix it.
        named: whether the user names it, so that no run begins without it.
    """

    title: str
    error: HarnessError
    named: bool = False

    @property
    def why(self) -> str:
        """The fault and the first line of its remedy; equal for all splits of a missing data set."""
        error = self.error
        what = error.what.partition(": ")[0] if isinstance(error, MissingData) else f"{error.what} ({error.where})"
        return "; ".join(text for text in (what.removesuffix(" ()"), error.remedy.partition("\n")[0]) if text)


def format_left_out(parts: Iterable[LeftOut]) -> list[str]:
    """One line for each fault, with all parts that cannot run because of it."""
    titles: dict[str, list[str]] = {}
    for part in parts:
        titles.setdefault(part.why, []).append(part.title)
    return [f"{', '.join(those)} not run: {why}" for why, those in titles.items()]


def load_task_files(names: Iterable[str]) -> list[str]:
    """The names, a task file's as `NAME` or `NAME:SPLIT`; its task, and those of a suite, are offered from then on.

    Raises HarnessError for a file that is wrong.
    """
    host = plugins.current()
    found: list[str] = []
    for name in expand_folders(names):
        suite = next((each for each, _ in host.offers("suites") if each.name == name), None)
        for part in suite.tasks if suite else ():
            if is_task_path(part):
                host.task(split_name(part)[0])
        path, split = split_name(name)
        task = host.task(path).name if is_task_path(path) else path
        found.append(f"{task}:{split}" if split else task)
    return found


def list_asked_tasks(options: Options) -> Iterator[AskedTask]:
    """The tasks that the options name. Raises HarnessError for a suite that is wrongly defined."""
    for name in load_task_files(options.tasks):
        suite = find_suite(name)
        if suite is None:
            yield AskedTask(name=name, options=options)
            continue
        for part in suite.tasks:
            task = part.partition(":")[0]
            own = str(options.given(task).get("judge") or "")
            rubric = "" if own else suite.rubric(part)
            given = {**suite.task_settings, **options.task_settings}
            if rubric:
                given[f"{task}.judge"] = rubric
            judges = select_judges(options.judges, own or rubric, set(suite.judges.values()), bare=not rubric)
            yield AskedTask(
                name=part, options=replace(options, task_settings=given, judges=judges), suite=suite, rubric=rubric
            )


def find_suite(name: str) -> Suite | None:
    """The suite of that name; None if there is none. Raises HarnessError if a task has the same name."""
    host = plugins.current()
    suites = {suite.name for suite, _ in host.offers("suites")} | set(host.clashes("suites"))
    if name not in suites:
        return None
    tasks = {task.name: plugin for task, plugin in host.offers("tasks")}
    if name in tasks:
        raise HarnessError(
            f"{name!r} is the name of a suite and of a task",
            remedy=f"plugin {tasks[name]} offers the task: block one of the two with HARNESS_PLUGINS_BLOCK",
        )
    suite = host.suite(name)
    check_suite(suite, tasks)
    return suite


def check_suite(suite: Suite, tasks: Collection[str]) -> None:
    """Refuse a suite that names unknown things, or tasks that it does not hold.

    Args:
        suite: the offered suite.
        tasks: names of all tasks.

    Raises:
        HarnessError: it names no task, or another suite.
        UnknownName: it names an unknown rubric; or a rubric, a mean or a setting for a task that it does not hold.
    """
    host = plugins.current()
    where = suite_place(suite)
    if not suite.tasks:
        raise HarnessError("a suite needs tasks", where=where)
    others = {other.name for other, _ in host.offers("suites")} - set(tasks)
    for task in suite.tasks:
        if task in others:
            raise HarnessError(f"{task!r} is a suite", where=where, remedy="a suite can hold only tasks: name tasks")
    named = {task.partition(":")[0] for task in suite.tasks}
    rubrics = {judge.name for judge, _ in host.offers("judges")} | set(host.clashes("judges"))
    known: Iterable[tuple[str, Iterable[str], Collection[str]]] = (
        ("mean: {!r} is not among its tasks", suite.mean, suite.tasks),
        ("judges: {!r} is not among its tasks", suite.judges, {*suite.tasks, *named}),
        ("judges: no rubric is called {!r}", suite.judges.values(), rubrics),
        (
            "task_settings: {!r} is not among its tasks, and no rubric",
            (key.partition(".")[0] for key in suite.task_settings),
            named | rubrics,
        ),
    )
    for what, names, those in known:
        for name in names:
            if name not in those:
                raise UnknownName(what.format(name), where=where, remedy=settings.nearest(name, those))


def suite_place(suite: Suite) -> str:
    """Where a suite is defined: file and key of the user's config, else the suite's name."""
    host = plugins.current()
    source = next((host.source(plugin) for each, plugin in host.offers("suites") if each is suite), None)
    own = source is not None and source.distribution == "config"
    return f"{source.value}: {source.name}" if source and own else f"suite {suite.name}"


def select_judges(judges: Sequence[str], rubric: str, named: Collection[str], *, bare: bool) -> tuple[str, ...]:
    """The `--judge` flags that apply to a part of a suite.

    Args:
        judges: all flags, `MODEL`, `RUBRIC` or `RUBRIC=MODEL`.
        rubric: the rubric named for the part; empty for none.
        named: rubrics that the suite names for any part.
        bare: whether `MODEL` applies to the part.
    """
    given = [(text, split_judge(text)[0]) for text in judges]
    return tuple(text for text, name in given if (name == rubric or name not in named if name else bare))


def find_overrides(suite: Suite, options: Options) -> Iterator[str]:
    """A note for each of the user's settings that differs from the suite's."""
    named = {f"{task.partition(':')[0]}.judge": suite.rubric(task) for task in suite.tasks if suite.rubric(task)}
    for key, value in {**suite.task_settings, **named}.items():
        given = options.task_settings.get(key)
        if given is not None and str(given) != str(value):
            yield f"-T {key}={given} overrides {key}={value} of the suite {suite.name}"
