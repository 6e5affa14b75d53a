"""All that an invocation asks for: the splits of its tasks and suites, each once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from harness.contracts import Suite
from harness.errors import HarnessError, MissingData
from harness.labels import check_labels
from harness.options import Options
from harness.plan.choosing import check_rubrics
from harness.plan.splits import SplitPlan, check_task_settings, split_plans
from harness.plan.suites import Entry, LeftOut, entries, place


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """All that some options ask for.

    Attributes:
        splits: to run.
        left_out: parts of suites whose splits cannot be told.
        suites: those that were named, with the titles of their parts.
    """

    splits: tuple[SplitPlan, ...]
    left_out: tuple[LeftOut, ...]
    suites: Mapping[str, Members]


@dataclass(frozen=True, slots=True, kw_only=True)
class Members:
    """A suite as it was asked.

    Attributes:
        suite: what it is.
        rubrics: title of each part -> the rubric that is named for it, empty for none.
        mean: titles whose main numbers have a mean.
    """

    suite: Suite
    rubrics: Mapping[str, str]
    mean: tuple[str, ...]


def planned(options: Options) -> Planned:
    """Resolve all tasks, suites, splits and judges of some options. Raises UnknownName or HarnessError."""
    check_task_settings(options.task_settings)
    splits: dict[tuple[str, str], SplitPlan] = {}
    left_out: list[LeftOut] = []
    asked: dict[str, list[tuple[Entry, tuple[SplitPlan, ...]]]] = {}
    for entry in entries(options):
        found: tuple[SplitPlan, ...] = ()
        try:
            found = tuple(_entered(entry))
        except MissingData as error:
            if entry.suite is None:
                raise
            left_out.append(LeftOut(title=entry.name, error=error))
        for plan in found:
            key = (plan.display, plan.name)
            splits[key] = _both(splits[key], plan) if key in splits else plan
        if entry.suite is not None:
            asked.setdefault(entry.suite.name, []).append((entry, found))
    if not splits and not left_out:
        raise HarnessError("no task to run", remedy="give --tasks NAME[,NAME]: see `harness tasks list`")
    check_rubrics(options.judges, (plan.split for plan in splits.values()))
    for plan in splits.values():
        check_plan(plan)
    suites = {name: _members(parts) for name, parts in asked.items()}
    return Planned(splits=tuple(splits.values()), left_out=tuple(left_out), suites=suites)


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


def _entered(entry: Entry) -> Iterator[SplitPlan]:
    """The splits of one entry; what is wrong with one of a suite says so."""
    name = entry.suite.name if entry.suite else ""
    try:
        if entry.suite is not None:
            check_task_settings(entry.suite.task_settings)
        for plan in split_plans(entry.name, entry.options):
            yield replace(plan, suite=name, rubric=entry.rubric)
    except HarnessError as error:
        if entry.suite is not None and not error.where:
            error.where = place(entry.suite)
        raise


def _both(one: SplitPlan, other: SplitPlan) -> SplitPlan:
    """A split that is asked for twice: named itself if it was once, under the judges of both."""
    first, second = (one, other) if one.suite in ("", other.suite) else (other, one)
    judges = (*first.judges, *(choice for choice in second.judges if choice not in first.judges))
    return replace(first, judges=judges)


def _members(parts: Sequence[tuple[Entry, tuple[SplitPlan, ...]]]) -> Members:
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
    return Members(suite=suite, rubrics=rubrics, mean=tuple(mean))


def _check_mean(suite: Suite, parts: Sequence[tuple[Entry, tuple[SplitPlan, ...]]]) -> None:
    """Refuse a mean that is none: of a task with several splits, or of numbers that are not of one kind."""
    kinds: dict[tuple[str, str], str] = {}
    for entry, plans in parts:
        if entry.name not in suite.mean:
            continue
        if len(plans) > 1 and ":" not in entry.name:
            names = ", ".join(plan.name for plan in plans)
            remedy = f"name one in tasks and in mean: {entry.name}:SPLIT"
            raise HarnessError(f"mean: {entry.name!r} has several splits: {names}", where=place(suite), remedy=remedy)
        for metrics in (plan.split.metrics for plan in plans[:1]):
            main = next((metric for metric in metrics if metric.main), metrics[0])
            kinds.setdefault((main.unit, main.better), f"{main.name} of {entry.name}")
    if len(kinds) > 1:
        told = ", ".join(f"{name} ({unit}, {better} is better)" for (unit, better), name in kinds.items())
        remedy = "name parts whose main numbers have one unit and one direction"
        raise HarnessError(f"mean: its numbers are not of one kind: {told}", where=place(suite), remedy=remedy)
