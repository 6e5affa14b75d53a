"""Suites: what they ask in a run, and what is refused."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from harness import plugins
from harness.contracts import Suite
from harness.errors import HarnessError, MissingData, UnknownName
from harness.evaluation.options import JudgeOptions
from harness.evaluation.plan import make_plan
from harness.runs.config import OwnSuite
from harness.runs.dry_run import dry_run
from harness.runs.run import Run, judge_async, run_async
from harness.testing.conformance import NotConforming, check_suite
from harness.testing.fakes import fake_provider, host_of
from tests.core.toy_suites import ALL_LOST, BOTH, JUDGES, TASKS, WITH_LOST, options


def go(folder: Path, *tasks: str, **fields: Any) -> Run:
    return anyio.run(partial(run_async, options(*tasks, output=folder, **fields)))


@pytest.fixture(autouse=True)
def offered() -> Iterator[None]:
    providers = (fake_provider("yes"), fake_provider("safe", scheme="safe"), fake_provider("unsafe", scheme="bad"))
    with plugins.use(host_of(*TASKS, *JUDGES, BOTH, WITH_LOST, ALL_LOST, *providers)):
        yield


def judges(*tasks: str, **fields: Any) -> dict[str, list[str]]:
    found = make_plan(options(*tasks, **fields)).splits
    return {each.title: [f"{choice.judge.name}={choice.model}" for choice in each.judges] for each in found}


def test_a_suite_stands_for_its_tasks_under_its_settings_and_leaves_those_of_others_alone() -> None:
    found = make_plan(options("both", "plain")).splits
    assert [each.title for each in found] == [
        "plain+asks=say yes:all", "guarded:all", "graded:easy", "graded:hard", "plain:all",
    ]  # fmt: skip


def test_the_users_settings_stand_over_a_suites_and_that_is_said(tmp_path: Path) -> None:
    run = go(tmp_path / "run", "both", task_settings={"plain.asks": "say no", "guarded.judge": "rule"})
    assert list(run.results["tasks"]) == ["plain", "guarded", "graded"]
    said = [note for note in run.notes if "overrides" in note]
    assert said == [
        "-T plain.asks=say no overrides plain.asks=say yes of the suite both",
        "-T guarded.judge=rule overrides guarded.judge=guard of the suite both",
    ]


def test_a_model_answers_the_rubrics_that_nobody_named_and_a_named_one_waits_for_its_own() -> None:
    assert judges("both", judges=("safe/g",)) == {
        "plain+asks=say yes:all": ["rule="],
        "guarded:all": [],
        "graded:easy": ["grader=safe/g"],
        "graded:hard": ["grader=safe/g"],
    }


def test_a_model_that_is_named_for_a_suites_rubric_reaches_only_the_tasks_it_is_named_for() -> None:
    found = judges("both", judges=("safe/g", "guard=bad/g"))
    assert (found["guarded:all"], found["graded:easy"]) == (["guard=bad/g"], ["grader=safe/g"])


def test_the_rubric_of_a_suite_is_opened_under_the_suites_settings() -> None:
    found = make_plan(options("both", judges=("guard=bad/g",))).splits
    (choice,) = next(each for each in found if each.title == "guarded:all").judges
    assert choice.settings == {"strict": True}


def test_a_split_that_is_asked_twice_is_asked_once_under_the_judges_of_both() -> None:
    found = judges("both", "guarded", judges=("safe/g", "guard=bad/g"))
    assert found["guarded:all"] == ["grader=safe/g", "guard=bad/g", "guard=bad/g"], (
        "the last is strict, as its suite is"
    )


def test_without_judges_answers_are_kept_and_one_command_names_every_judge_that_is_needed(tmp_path: Path) -> None:
    run = go(tmp_path / "run", "both")
    (note,) = (note for note in run.notes if "wait for a judge" in note)
    assert run.exit_code == 3
    assert "rubrics 'guard', 'grader' need a model each" in note
    assert note.endswith(f"harness judge {tmp_path / 'run'} --judge SCHEME/NAME --judge guard=SCHEME/NAME")


def test_judging_later_keeps_to_the_rubrics_and_settings_of_the_suite(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    go(folder, "both")
    run = anyio.run(partial(judge_async, folder, JudgeOptions(judges=("safe/g", "guard=bad/g"), probe=False)))
    assert run.exit_code == 0
    tasks = run.results["tasks"]
    rubrics = {
        f"{name}:{at}": [run.results["judges"][judge]["rubric"] for judge in (body["judge"], *body["other_judges"])]
        for name, about in tasks.items()
        for at, body in about["splits"].items()
        if not body.get("parts")
    }
    assert rubrics["guarded:all"] == ["guard"]
    assert rubrics["graded:easy"] == rubrics["graded:hard"] == ["grader"]
    guard = next(card for card in run.results["judges"].values() if card["rubric"] == "guard")
    assert guard["settings"]["strict"] is True


def test_judging_later_takes_a_suites_name_for_those_of_its_tasks_that_were_run(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    go(folder, "both", "up")
    asked = partial(judge_async, folder)
    run = anyio.run(asked, JudgeOptions(judges=("guard=bad/g",), tasks=("both",), probe=False))
    assert run.results["tasks"]["guarded"]["splits"]["all"]["labels"] == {"unsafe": 4}
    assert anyio.run(asked, JudgeOptions(tasks=("with-lost", "up"), judges=("rule",), probe=False)).exit_code == 0
    with pytest.raises(UnknownName, match="the run has no task 'all-lst'"):
        anyio.run(asked, JudgeOptions(tasks=("all-lst",), probe=False))


def test_what_of_a_suite_has_no_data_is_named_and_the_others_are_run(tmp_path: Path) -> None:
    run = go(tmp_path / "run", "with-lost")
    assert run.exit_code == 3
    assert run.notes[0] == "lost:all not run: the data of this is not on this machine; harness data fetch it"
    assert run.results["tasks"]["plain"]["splits"]["all"]["complete"]
    suite = run.results["suites"]["with-lost"]
    assert (suite["splits"], suite["missing"]) == (["plain:all", "lost:all"], ["lost:all"])
    assert (suite["mean"]["value"], suite["mean"]["missing"]) == (None, ["lost:all"])


def test_a_task_that_is_named_itself_is_not_left_out_for_being_in_a_suite_too(tmp_path: Path) -> None:
    with pytest.raises(MissingData):
        go(tmp_path / "run", "with-lost", "lost")


def test_a_suite_of_which_nothing_can_be_run_says_so_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="the data of this is not on this machine"):
        go(tmp_path / "run", "with-lost", task_settings={"plain.data": "/x/lost"})
    assert not (tmp_path / "run").exists()


def test_a_dry_run_shows_what_would_be_left_out() -> None:
    found = dry_run(options("with-lost"))
    assert [(load.task, load.samples, bool(load.left_out)) for load in found.loads] == [
        ("plain:all", 4, False), ("lost:all", 0, True),
    ]  # fmt: skip
    assert found.exit_code == 3


def test_a_dry_run_of_which_nothing_can_be_run_says_why_as_a_run_would() -> None:
    asked = options("with-lost", task_settings={"plain.data": "/x/lost"})
    with pytest.raises(HarnessError, match="none of these tasks can be run") as caught:
        dry_run(asked)
    assert "plain:all, lost:all not run: the data of this is not on this machine" in caught.value.remedy


def test_the_mean_is_of_the_main_numbers_of_its_parts_a_pooled_split_among_them(tmp_path: Path) -> None:
    run = go(tmp_path / "run", "both", judges=("safe/g", "guard=bad/g"))
    mean = run.results["suites"]["both"]["mean"]
    assert mean["of"] == {
        "plain+asks=say yes:all": {"metric": "ASR", "value": 100.0},
        "graded:test": {"metric": "ASR", "value": 0.0},
    }
    assert (mean["value"], mean["unit"], mean["better"], mean["complete"]) == (50.0, "%", "lower", True)


def test_the_mean_is_computed_anew_by_every_command_that_changes_a_part(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    go(folder, "both", "up")
    anyio.run(partial(judge_async, folder, JudgeOptions(judges=("bad/g",), probe=False)))
    run = go(folder, "plain")
    assert run.results["suites"]["both"]["mean"]["value"] == 100.0


def test_a_subset_is_marked_in_the_mean(tmp_path: Path) -> None:
    run = go(tmp_path / "run", "both", judges=("safe/g", "guard=bad/g"), limit=2)
    assert run.results["suites"]["both"]["mean"]["complete"] is False


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
        with pytest.raises(HarnessError, match="'up' is the name of a suite and of a task"):
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
