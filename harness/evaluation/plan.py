"""The plan of an invocation: all splits of its tasks and suites, each once, and what of each is evaluated.

Nothing is opened and nothing is spent here. Each split is listed once, so that broken data costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NoReturn

from harness.contracts import Suite
from harness.errors import HarnessError, MissingData, PluginError
from harness.evaluation.options import Options
from harness.evaluation.samples import SamplesError
from harness.evaluation.sampling import Survey, survey_samples
from harness.evaluation.splits import SplitPlan, build_split_plans, check_rubrics, check_task_settings
from harness.evaluation.suites import AskedTask, LeftOut, format_left_out, list_asked_tasks, suite_place
from harness.labels import check_labels
from harness.store.run_file import RunFile
from harness.types import Sample

FailedSplit = tuple[SplitPlan, SamplesError]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlan:
    """All that some options ask for.

    Attributes:
        splits: to run.
        left_out: parts of suites whose splits cannot be told.
        suites: those that were named, with the titles of their parts.
    """

    splits: tuple[SplitPlan, ...]
    left_out: tuple[LeftOut, ...]
    suites: Mapping[str, SuiteMembers]


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteMembers:
    """A suite as it was asked.

    Attributes:
        suite: what it is.
        rubrics: title of each part -> the rubric that is named for it, empty for none.
        mean: titles whose main numbers have a mean.
    """

    suite: Suite
    rubrics: Mapping[str, str]
    mean: tuple[str, ...]


def make_plan(options: Options) -> RunPlan:
    """Resolve all tasks, suites, splits and judges of some options. Raises UnknownName or HarnessError."""
    check_task_settings(options.task_settings)
    splits: dict[tuple[str, str], SplitPlan] = {}
    left_out: list[LeftOut] = []
    asked: dict[str, list[tuple[AskedTask, tuple[SplitPlan, ...]]]] = {}
    for entry in list_asked_tasks(options):
        found: tuple[SplitPlan, ...] = ()
        try:
            found = tuple(_build_plans(entry))
        except MissingData as error:
            if entry.suite is None:
                raise
            left_out.append(LeftOut(title=entry.name, error=error))
        for plan in found:
            key = (plan.display, plan.name)
            splits[key] = _join(splits[key], plan) if key in splits else plan
        if entry.suite is not None:
            asked.setdefault(entry.suite.name, []).append((entry, found))
    if not splits and not left_out:
        raise HarnessError("no task to run", remedy="give --tasks NAME[,NAME]: see `harness tasks list`")
    check_rubrics(options.judges, (plan.split for plan in splits.values()))
    for plan in splits.values():
        check_plan(plan)
    suites = {name: _build_members(parts) for name, parts in asked.items()}
    return RunPlan(splits=tuple(splits.values()), left_out=tuple(left_out), suites=suites)


def check_plan(plan: SplitPlan) -> None:
    """Refuse a split one of whose labels no metric knows. Its rubrics are opened for it, which asks nobody anything.

    Raises HarnessError, as a rubric does that cannot be opened; a part of a suite is then left out when it is listed.
    """
    given: dict[str, tuple[str, ...]] = {}
    for choice in plan.judges:
        try:
            given[choice.judge.name] = choice.judge.open(choice.settings, choice.root).labels
        except HarnessError:
            if not plan.suite:
                raise
    check_labels(plan.title, plan.split, given)


def _build_plans(entry: AskedTask) -> Iterator[SplitPlan]:
    """The splits of one entry; what is wrong with one of a suite says so."""
    name = entry.suite.name if entry.suite else ""
    try:
        if entry.suite is not None:
            check_task_settings(entry.suite.task_settings)
        for plan in build_split_plans(entry.name, entry.options):
            yield replace(plan, suite=name, rubric=entry.rubric)
    except HarnessError as error:
        if entry.suite is not None and not error.where:
            error.where = suite_place(entry.suite)
        raise


def _join(one: SplitPlan, other: SplitPlan) -> SplitPlan:
    """A split that is asked for twice: named itself if it was once, under the judges of both."""
    first, second = (one, other) if one.suite in ("", other.suite) else (other, one)
    judges = (*first.judges, *(choice for choice in second.judges if choice not in first.judges))
    return replace(first, judges=judges)


def _build_members(parts: Sequence[tuple[AskedTask, tuple[SplitPlan, ...]]]) -> SuiteMembers:
    """A suite with the titles of its parts; one that was left out has the name it was asked by."""
    suite = parts[0][0].suite
    assert suite is not None
    rubrics: dict[str, str] = {}
    mean: list[str] = []
    _check_mean(suite, parts)
    for entry, plans in parts:
        titles = [plan.title for plan in plans] or [entry.name]
        rubrics.update(dict.fromkeys(titles, entry.rubric))
        if entry.name in suite.mean:
            _, colon, split = entry.name.partition(":")
            mean.append(f"{plans[0].display}{colon}{split}" if plans and colon else titles[0])
    return SuiteMembers(suite=suite, rubrics=rubrics, mean=tuple(mean))


def _check_mean(suite: Suite, parts: Sequence[tuple[AskedTask, tuple[SplitPlan, ...]]]) -> None:
    """Refuse a mean that cannot be taken: of a task with several splits, or of numbers that are not of one kind."""
    kinds: dict[tuple[str, str], str] = {}
    for entry, plans in parts:
        if entry.name not in suite.mean:
            continue
        if len(plans) > 1 and ":" not in entry.name:
            names = ", ".join(plan.name for plan in plans)
            raise HarnessError(
                f"mean: {entry.name!r} has several splits: {names}",
                where=suite_place(suite),
                remedy=f"name one in tasks and in mean: {entry.name}:SPLIT",
            )
        for metrics in (plan.split.metrics for plan in plans[:1]):
            main = next((metric for metric in metrics if metric.main), metrics[0])
            kinds.setdefault((main.unit, main.better), f"{main.name} of {entry.name}")
    if len(kinds) > 1:
        mixed = ", ".join(f"{name} ({unit}, {better} is better)" for (unit, better), name in kinds.items())
        remedy = "name parts whose main numbers have one unit and one direction"
        raise HarnessError(f"mean: its numbers are not of one kind: {mixed}", where=suite_place(suite), remedy=remedy)


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitJob:
    """One split of this invocation.

    Attributes:
        plan: what it is.
        epochs: answers for each sample.
        survey: what it holds and which samples are taken; None where only stored answers are judged.
        asked: ids of the samples that were asked, where only stored answers are judged.
        keep: an earlier listing asked for more, and stays.
        drawn: last place (`harness.keys.draw_order`) of the draw whose answers are to be judged; None where all are.
    """

    plan: SplitPlan
    epochs: int
    survey: Survey | None = None
    asked: frozenset[str] = frozenset()
    keep: bool = False
    drawn: str | None = None

    @property
    def total(self) -> int:
        """Records to evaluate."""
        return self.epochs * (len(self.asked) if self.survey is None else self.survey.samples)

    def samples(self) -> Iterator[Sample]:
        """The samples to evaluate, lazily."""
        for sample in self.plan.samples():
            if sample.id in self.asked if self.survey is None else self.survey.takes(sample):
                yield sample


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedSplits:
    """The splits of an invocation, listed once.

    Attributes:
        jobs: splits to evaluate.
        failed: those whose task raised.
        left_out: parts of suites that cannot be listed.
    """

    jobs: list[SplitJob]
    failed: list[FailedSplit]
    left_out: list[LeftOut]


def list_splits(
    plans: Sequence[SplitPlan], options: Options, run: RunFile | None, left_out: Iterable[LeftOut] = ()
) -> ListedSplits:
    """List each split once and choose its samples; a split whose task raises is kept apart, and the others go on.

    A part of a suite whose data is missing or broken, or which needs what is not installed, is left out as well; so is
    one whose rubric cannot be opened, since upstream's wording has not been fetched.

    Args:
        plans: the splits.
        options: as given.
        run: run.json of the folder; None where it is new.
        left_out: parts of suites whose splits could not be told.

    Raises:
        HarnessError: data is missing or broken, a rubric cannot be opened, nothing can be listed, or an earlier listing
            cannot be kept.
    """
    found = ListedSplits(jobs=[], failed=[], left_out=list(left_out))
    for plan in plans:
        try:
            listed = survey_samples(plan.samples(), options.limit)
        except PluginError as error:
            found.failed.append((plan, SamplesError(error)))
        except HarnessError as error:
            if not plan.suite:
                raise
            found.left_out.append(LeftOut(title=plan.title, error=error))
        except Exception as error:  # noqa: BLE001 - a task is a plugin
            found.failed.append((plan, SamplesError(error)))
        else:
            if _can_be_judged(plan, found):
                keep = _asked_more(plan, options, run)
                found.jobs.append(SplitJob(plan=plan, epochs=options.epochs, survey=listed, keep=keep))
    if not found.jobs:
        raise_nothing_listed(found)
    return found


def _can_be_judged(plan: SplitPlan, found: ListedSplits) -> bool:
    """Whether all rubrics of a split can be opened; a part of a suite for which they cannot is noted as left out."""
    try:
        for choice in plan.judges:
            choice.judge.open(choice.settings, choice.root)
    except HarnessError as error:
        if not plan.suite:
            raise
        found.left_out.append(LeftOut(title=plan.title, error=error))
        return False
    return True


def raise_nothing_listed(found: ListedSplits) -> NoReturn:
    """Say why none of what was asked can be run. Raises HarnessError."""
    if found.failed:
        plan, fault = found.failed[0]
        what, by = f"{plan.title} cannot be listed: its task {fault}", fault.error
        if by is None:
            raise HarnessError(what) from fault
        raise PluginError(what, where=f"plugin {by.plugin}", remedy=by.remedy, story=by.story) from fault
    if len(found.left_out) == 1:
        raise found.left_out[0].error
    raise HarnessError("nothing that was asked can be run", remedy="\n  ".join(format_left_out(found.left_out)))


def _asked_more(plan: SplitPlan, options: Options, run: RunFile | None) -> bool:
    """Whether the folder's listing of a split has a higher limit: a lower one never shrinks it."""
    task = None if run is None else run.tasks.get(plan.display)
    entry = None if task is None else task.splits.get(plan.name)
    if entry is None or options.limit is None or (entry.limit is not None and entry.limit <= options.limit):
        return False
    if entry.epochs != options.epochs:
        raise HarnessError(
            f"{plan.title} was asked with --epochs {entry.epochs} and a higher --limit, which a lower one keeps",
            remedy=f"give --epochs {entry.epochs}, or the higher --limit, or --fresh",
        )
    return True
