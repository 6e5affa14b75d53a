"""What the names of `--tasks` stand for: tasks, each with the options that hold for it.

A suite's settings and rubrics reach its own tasks alone, so that `--tasks SUITE,mssbench` asks MSSBench both ways.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from harness import plugins
from harness.contracts import Suite
from harness.errors import HarnessError, MissingData, UnknownName
from harness.evaluation.options import Options
from harness.evaluation.splits import split_judge
from harness.settings import nearest


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedTask:
    """A task, or one split of it, as an invocation asks for it.

    Attributes:
        name: `NAME` or `NAME:SPLIT`.
        options: that hold for it.
        suite: it is asked as a part of; None where it was named itself.
        rubric: that the suite names for it; empty for none, and where `-T NAME.judge` names another.
    """

    name: str
    options: Options
    suite: Suite | None = None
    rubric: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A part of a suite that cannot be run while others can: its data is missing, or what reads it.

    Attributes:
        title: task and split.
        error: why, and what mends it.
    """

    title: str
    error: HarnessError

    @property
    def why(self) -> str:
        """The fault and the first line of what mends it, alike for splits of one missing data set."""
        error = self.error
        what = error.what.partition(": ")[0] if isinstance(error, MissingData) else f"{error.what} ({error.where})"
        return "; ".join(text for text in (what.removesuffix(" ()"), error.remedy.partition("\n")[0]) if text)


def format_left_out(parts: Iterable[LeftOut]) -> list[str]:
    """One line for each fault, with all that it keeps from being run."""
    titles: dict[str, list[str]] = {}
    for part in parts:
        titles.setdefault(part.why, []).append(part.title)
    return [f"{', '.join(those)} not run: {why}" for why, those in titles.items()]


def list_asked_tasks(options: Options) -> Iterator[AskedTask]:
    """The tasks that are asked for. Raises HarnessError for a suite that cannot be meant."""
    for name in options.tasks:
        suite = find_suite(name)
        if suite is None:
            yield AskedTask(name=name, options=options)
        else:
            yield from (_ask_as_part(suite, task, options) for task in suite.tasks)


def find_suite(name: str) -> Suite | None:
    """The suite of that name; None where it is none. Raises HarnessError where a task has the name too."""
    host = plugins.current()
    suites = {suite.name for suite, _ in host.offers("suites")} | set(host.clashes("suites"))
    if name not in suites:
        return None
    tasks = {task.name: plugin for task, plugin in host.offers("tasks")}
    if name in tasks:
        raise HarnessError(
            f"{name!r} is a suite and a task",
            remedy=f"the task is of plugin {tasks[name]}: HARNESS_PLUGINS_BLOCK keeps one of them out",
        )
    suite = host.suite(name)
    check_suite(suite, tasks)
    return suite


def check_suite(suite: Suite, tasks: Collection[str]) -> None:
    """Refuse a suite that names what is not there or not its own.

    Args:
        suite: as it was offered.
        tasks: names of all tasks.

    Raises:
        HarnessError: it names no task, or another suite.
        UnknownName: a rubric that no judge offers, or a rubric, a mean or a setting for what is not among its tasks.
    """
    host = plugins.current()
    where = suite_place(suite)
    if not suite.tasks:
        raise HarnessError("a suite needs tasks", where=where)
    others = {other.name for other, _ in host.offers("suites")} - set(tasks)
    for task in suite.tasks:
        if task in others:
            raise HarnessError(f"{task!r} is a suite", where=where, remedy="a suite holds tasks: name those")
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
                raise UnknownName(what.format(name), where=where, remedy=nearest(name, those))


def suite_place(suite: Suite) -> str:
    """The file and the key of one of the user's own, else the suite's name."""
    host = plugins.current()
    source = next((host.source(plugin) for each, plugin in host.offers("suites") if each is suite), None)
    own = source is not None and source.distribution == "config"
    return f"{source.value}: {source.name}" if source and own else f"suite {suite.name}"


def select_judges(judges: Sequence[str], rubric: str, named: Collection[str], *, bare: bool) -> tuple[str, ...]:
    """The `--judge` flags that are meant for a part of a suite.

    Args:
        judges: all flags, `MODEL`, `RUBRIC` or `RUBRIC=MODEL`.
        rubric: that judges the part, where it is one that was named; else empty.
        named: rubrics that the suite names for any of its parts.
        bare: whether `MODEL` is meant for it.
    """

    def is_meant(given: str) -> bool:
        return given == rubric or given not in named if given else bare

    return tuple(text for text in judges if is_meant(split_judge(text)[0]))


def find_overrides(suite: Suite, options: Options) -> Iterator[str]:
    """What the user's own settings change about a suite."""
    named = {f"{task.partition(':')[0]}.judge": suite.rubric(task) for task in suite.tasks if suite.rubric(task)}
    for key, value in {**suite.task_settings, **named}.items():
        given = options.task_settings.get(key)
        if given is not None and str(given) != str(value):
            yield f"-T {key}={given} stands over {key}={value} of the suite {suite.name}"


def _ask_as_part(suite: Suite, name: str, options: Options) -> AskedTask:
    task = name.partition(":")[0]
    own = str(options.given(task).get("judge") or "")
    rubric = "" if own else suite.rubric(name)
    settings = {**suite.task_settings, **options.task_settings}
    if rubric:
        settings[f"{task}.judge"] = rubric
    judges = select_judges(options.judges, own or rubric, set(suite.judges.values()), bare=not rubric)
    return AskedTask(
        name=name, options=replace(options, task_settings=settings, judges=judges), suite=suite, rubric=rubric
    )
