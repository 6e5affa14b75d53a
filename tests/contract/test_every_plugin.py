"""Each contract's suite over every plugin that is installed, built in or not."""

from collections.abc import Iterator

import pytest

from harness.contracts import Builder, Judge, Painter, Provider, Report, Split, Strategy, Suite, Task
from harness.plugins import Host
from harness.settings import effective
from harness.testing.conformance import (
    check_builder,
    check_judge,
    check_painter,
    check_provider,
    check_report,
    check_strategy,
    check_suite,
    check_task,
)
from harness.testing.fakes import fake_sample
from harness.types import Sample

HOST = Host.load(tell=lambda _: None)
ASKABLE = {"mini": "base"}  #: models that answer here, without a key or a network
PAINTABLE = {"mini": "painter"}  #: models that draw here, without a key or a network
TARGETS = {"yesno": {"answer": "yes"}}  #: what a judge compares with that no packaged split asks for


def offered(kind: str) -> list[object]:
    """The descriptors of a kind, as parameters named by their own name."""
    return [pytest.param(item, id=getattr(item, "name", None) or item.scheme) for item, _ in HOST.offers(kind)]


def test_every_installed_plugin_loads_and_keeps_its_offers_whole() -> None:
    assert [str(fault) for fault in HOST.check()] == []


def test_something_is_offered_of_each_kind_that_the_core_needs() -> None:
    assert [kind for kind in ("models", "tasks", "judges", "reports") if not HOST.offers(kind)] == []


@pytest.mark.parametrize("provider", offered("models"))
def test_a_provider_keeps_its_contract(provider: Provider) -> None:
    check_provider(provider, ASKABLE.get(provider.scheme, ""))


@pytest.mark.parametrize("task", offered("tasks"))
def test_a_task_keeps_its_contract(task: Task) -> None:
    check_task(task, host=HOST)


@pytest.mark.parametrize("suite", offered("suites"))
def test_a_suite_keeps_its_contract(suite: Suite) -> None:
    check_suite(suite, host=HOST)


@pytest.mark.parametrize("judge", offered("judges"))
def test_a_judge_keeps_its_contract(judge: Judge) -> None:
    check_judge(judge, samples_for(judge))


@pytest.mark.parametrize("strategy", offered("strategies"))
def test_a_strategy_keeps_its_contract(strategy: Strategy) -> None:
    check_strategy(strategy)


@pytest.mark.parametrize("report", offered("reports"))
def test_a_report_keeps_its_contract(report: Report) -> None:
    check_report(report)


@pytest.mark.parametrize("painter", offered("painters"))
def test_a_painter_keeps_its_contract(painter: Painter) -> None:
    check_painter(painter, PAINTABLE.get(painter.scheme, ""))


@pytest.mark.parametrize("builder", offered("builders"))
def test_a_builder_keeps_its_contract(builder: Builder) -> None:
    check_builder(builder)


def samples_for(judge: Judge) -> list[Sample]:
    """The first and the last samples of each packaged split that accepts a judge."""
    found = [fake_sample(images=1, target=TARGETS[judge.name])] if judge.name in TARGETS else []
    for task, _ in HOST.offers("tasks"):
        for name, split in packaged(task):
            if judge.name in split.judges:
                assert split.data is not None
                samples = list(task.samples(split.data, name, effective(task.settings, {}, owner=task.name)))
                found += [*samples[:5], *samples[-5:]]
    return found


def packaged(task: Task) -> Iterator[tuple[str, Split]]:
    """The splits whose data is in the package."""
    splits = task.splits
    if callable(splits):
        from pathlib import Path

        splits = splits(effective(task.settings, {}, owner=task.name), Path(task.name))
    return ((name, split) for name, split in splits.items() if split.data is not None)
