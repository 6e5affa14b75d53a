"""What is wrong with a suite is said with its place and the nearest right name, before anything is asked."""

from collections.abc import Iterator
from typing import Any

import pytest

from harness import plugins
from harness.contracts import Suite
from harness.errors import HarnessError, UnknownName
from harness.evaluation.plan import make_plan
from harness.runs.config import OwnSuite
from harness.testing.conformance import NotConforming, check_suite
from harness.testing.fakes import fake_provider, host_of
from tests.core.toy_suites import ALL_LOST, BOTH, JUDGES, TASKS, WITH_LOST, options


@pytest.fixture(autouse=True)
def offered() -> Iterator[None]:
    with plugins.use(host_of(*TASKS, *JUDGES, BOTH, WITH_LOST, ALL_LOST, fake_provider())):
        yield


@pytest.mark.parametrize(
    ("suite", "said"),
    [
        (Suite(name="s", description="", tasks=("plan",)), "no task is called 'plan'"),
        (Suite(name="s", description="", tasks=("plain:al",)), "has no split 'al'"),
        (Suite(name="s", description="", tasks=()), "a suite needs tasks"),
        (Suite(name="s", description="", tasks=("both",)), "'both' is a suite"),
        (Suite(name="s", description="", tasks=("plain",), judges={"up": "rule"}), "'up' is not among its tasks"),
        (Suite(name="s", description="", tasks=("plain",), mean=("up",)), "'up' is not among its tasks"),
        (Suite(name="s", description="", tasks=("plain:all",), mean=("plain",)), "'plain' is not among its tasks"),
        (Suite(name="s", description="", tasks=("plain",), task_settings={"up.asks": 1}), "'up' is not among its"),
        (Suite(name="s", description="", tasks=("plain",), task_settings={"plain.ask": 1}), "no setting 'ask'"),
        (Suite(name="s", description="", tasks=("plain",), judges={"plain": "guard"}), "does not accept rubric"),
        (Suite(name="s", description="", tasks=("plain",), judges={"plain": "gard"}), "no rubric is called 'gard'"),
        (Suite(name="s", description="", tasks=("lost",), judges={"lost": "gard"}), "no rubric is called 'gard'"),
        (Suite(name="s", description="", tasks=("plain",), judges={"plain": "rule", "rule": "rule"}), "'rule' is not"),
    ],
)
def test_what_is_wrong_with_a_suite_ends_the_command_and_names_the_suite(suite: Suite, said: str) -> None:
    with plugins.use(host_of(*TASKS, *JUDGES, BOTH, suite, fake_provider())):
        with pytest.raises(HarnessError, match=said) as caught:
            make_plan(options("s"))
        assert caught.value.where == "suite s"


@pytest.mark.parametrize(
    ("fields", "remedy"),
    [
        ({"judges": {"guarded": "gard"}}, "did you mean 'guard'?"),
        ({"judges": {"guard": "guard"}}, "did you mean 'guarded'?"),
        ({"judges": {"plain:al": "rule"}}, "did you mean 'plain:all'?"),
        ({"mean": ("guardd",)}, "did you mean 'guarded'?"),
        ({"task_settings": {"guad.strict": True}}, "did you mean 'guard'?"),
    ],
)
def test_a_misspelled_name_in_a_suite_is_answered_with_the_nearest_of_its_kind(
    fields: dict[str, Any], remedy: str
) -> None:
    suite = Suite(**{"name": "s", "description": "", "tasks": ("guarded", "plain:all"), **fields})
    with plugins.use(host_of(*TASKS, *JUDGES, suite, fake_provider())), pytest.raises(UnknownName) as caught:
        make_plan(options("s"))
    assert caught.value.remedy == remedy


def test_a_suite_may_set_what_a_rubric_that_it_does_not_name_takes() -> None:
    suite = Suite(name="s", description="one", tasks=("graded:easy",), task_settings={"guard.strict": True})
    with plugins.use(host_of(*TASKS, *JUDGES, suite, fake_provider("safe", scheme="safe"), fake_provider())):
        (found,) = make_plan(options("s", judges=("guard=safe/x",))).splits
        check_suite(suite)
    (choice,) = found.judges
    assert choice.settings == {"strict": True}


def test_a_mistake_in_a_suite_of_the_users_own_names_the_file_and_the_row() -> None:
    own = OwnSuite.read("mine", {"tasks": ["guarded"], "judges": {"guarded": "gard"}}, "harness.yaml: suites.mine")
    host = host_of(*TASKS, *JUDGES, fake_provider())
    own.register(host)
    with plugins.use(host), pytest.raises(UnknownName) as caught:
        make_plan(options("mine"))
    assert (caught.value.where, caught.value.remedy) == ("harness.yaml: suites.mine", "did you mean 'guard'?")


@pytest.mark.parametrize("rubric", [None, 3, ["guard"]])
def test_what_is_no_name_of_a_rubric_is_refused_with_its_place(rubric: object) -> None:
    with pytest.raises(HarnessError, match="must be the name of a rubric") as caught:
        OwnSuite.read("mine", {"tasks": ["guarded"], "judges": {"guarded": rubric}}, "harness.yaml: suites.mine")
    assert caught.value.where == "harness.yaml: suites.mine.judges.guarded"


def test_a_name_that_a_task_and_a_suite_share_is_neithers() -> None:
    with plugins.use(host_of(*TASKS, *JUDGES, Suite(name="up", description="", tasks=("plain",)), fake_provider())):
        with pytest.raises(HarnessError, match="'up' is a suite and a task"):
            make_plan(options("up"))
        assert make_plan(options("up:all")).splits


def test_a_misspelled_suite_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownName) as caught:
        make_plan(options("with-lst"))
    assert caught.value.remedy == "did you mean 'with-lost'?"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, ""),
        ({"tasks": ("plain", "gone")}, "gone: raised UnknownName"),
        ({"tasks": ("plain:gone",)}, "raised KeyError"),
        ({"tasks": ("plain", "plain")}, "names a task twice"),
        ({"judges": {"plain": "guard"}}, "does not accept the rubric 'guard'"),
        ({"judges": {"up": "rule"}}, "'up' is not among its tasks"),
        ({"task_settings": {"plain.ask": "x"}}, "has no setting 'ask'"),
        ({"task_settings": {"up.asks": "x"}}, "'up.asks' is of none of its tasks"),
        ({"tasks": ("graded",), "mean": ("graded",)}, "has a place in the mean, but several splits"),
        ({"description": "two\nlines"}, "the description is not one line"),
    ],
)
def test_the_contract_of_suites_finds_what_is_not_there(fields: dict[str, Any], said: str) -> None:
    suite = Suite(**{"name": "s", "description": "one", "tasks": ("plain",), **fields})
    if not said:
        check_suite(suite)
        return
    with pytest.raises(NotConforming, match=said):
        check_suite(suite)


def test_what_is_no_task_or_no_split_in_a_suite_of_the_users_own_names_the_file_too() -> None:
    for tasks, settings in ((["plan"], {}), (["plain:al"], {}), (["plain"], {"plain.ask": 1})):
        row = {"tasks": tasks, "task_settings": settings}
        own = OwnSuite.read("mine", row, "harness.yaml: suites.mine")
        host = host_of(*TASKS, *JUDGES, fake_provider())
        own.register(host)
        with plugins.use(host), pytest.raises(UnknownName) as caught:
            make_plan(options("mine"))
        assert caught.value.where == "harness.yaml: suites.mine"


@pytest.mark.parametrize(
    ("tasks", "mean", "said"),
    [
        (("graded",), ("graded",), "mean: 'graded' has several splits: easy, hard"),
        (("plain", "up"), ("plain", "up"), "of one kind: ASR of plain .%, lower is better., ASR of up .%, higher"),
    ],
)
def test_a_mean_of_several_splits_or_of_unlike_numbers_is_refused_and_never_one_of_them(
    tasks: tuple[str, ...], mean: tuple[str, ...], said: str
) -> None:
    suite = Suite(name="s", description="", tasks=tasks, mean=mean)
    with plugins.use(host_of(*TASKS, *JUDGES, suite, fake_provider())):
        with pytest.raises(HarnessError, match=said) as caught:
            make_plan(options("s"))
        assert (caught.value.where, bool(caught.value.remedy)) == ("suite s", True)


def test_a_mean_takes_a_pooled_split_and_a_task_of_one() -> None:
    suite = Suite(name="s", description="", tasks=("graded:test", "plain"), mean=("graded:test", "plain"))
    with plugins.use(host_of(*TASKS, *JUDGES, suite, fake_provider())):
        assert make_plan(options("s")).suites["s"].mean == ("graded:test", "plain:all")
