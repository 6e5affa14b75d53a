"""The mean over a suite: against the formula by hand, what makes it null, and how it is shown."""

import json
from collections.abc import Mapping
from math import sqrt
from pathlib import Path
from typing import Any

import pytest
from harness_json import render as as_json
from harness_markdown import render as as_markdown
from jsonschema import Draft202012Validator

from harness import Suite
from harness.board.leaderboard import boards
from harness.board.results import find_fault
from harness.board.suites import group_boards, means, name_suites
from harness.board.tables import render_report_table, render_run_table
from harness.stats.suites import suite_results
from harness.testing.results import judged, results, split

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "results.schema.json").read_text("utf-8"))
RIGHT = {"one": (70, 30), "two": (45, 55), "three": (9, 1)}


def tasks(**unjudged: int) -> dict[str, dict[str, Any]]:
    """Tasks with one split, by how many answers were right and wrong; some may have answers that nobody judged."""
    return {
        name: {
            "splits": {
                "all": split(
                    judged(
                        {"right": right, "wrong": wrong}, main="right", better="higher", unjudged=unjudged.get(name, 0)
                    ),
                    judge="fake",
                )
            }
        }
        for name, (right, wrong) in RIGHT.items()
    }


def of(titles: tuple[str, ...], found: dict[str, dict[str, Any]]) -> dict[str, Any]:
    mean: dict[str, Any] = suite_results(titles, titles, found)["mean"]
    return mean


TITLES = ("one:all", "two:all", "three:all")


def test_each_part_has_the_same_weight_whatever_its_size() -> None:
    assert of(TITLES, tasks())["value"] == pytest.approx((70 + 45 + 90) / 3)


def test_the_interval_squares_and_adds_those_of_the_parts() -> None:
    found = tasks()
    mean = of(TITLES, found)
    bodies = [about["splits"]["all"]["metrics"]["right"] for about in found.values()]
    below = sqrt(sum((body["value"] - body["ci95"][0]) ** 2 for body in bodies)) / 3
    above = sqrt(sum((body["ci95"][1] - body["value"]) ** 2 for body in bodies)) / 3
    assert mean["ci95"] == pytest.approx([mean["value"] - below, mean["value"] + above])
    assert mean["ci95"] == mean["ci95_worst"], "nothing is unresolved"


def test_what_is_unresolved_moves_the_bounds_and_stretches_the_worst_interval() -> None:
    mean = of(TITLES, tasks(three=10))
    least, most = mean["bounds"]
    assert (least, most) == (pytest.approx((70 + 45 + 45) / 3), pytest.approx((70 + 45 + 95) / 3))
    low, high = mean["ci95_worst"]
    assert low < min(least, mean["ci95"][0])
    assert max(most, mean["ci95"][1]) < high


@pytest.mark.parametrize("gone", ["four:all", "one:hard", "one+prompts=own:all"])
def test_a_missing_part_leaves_no_mean_at_all_and_is_named(gone: str) -> None:
    mean = of((*TITLES, gone), tasks())
    assert (mean["value"], mean["ci95"], mean["missing"], mean["complete"]) == (None, None, [gone], False)
    assert len(mean["of"]) == 3


def test_numbers_of_other_directions_have_no_mean() -> None:
    found = tasks()
    found["two"]["splits"]["all"]["metrics"]["right"]["better"] = "lower"
    mean = of(TITLES, found)
    assert (mean["value"], mean["better"], mean["missing"]) == (None, None, [])


def test_an_incomplete_part_is_marked() -> None:
    found = tasks()
    assert of(TITLES, found)["complete"] is True
    found["one"]["splits"]["all"]["complete"] = False
    assert of(TITLES, found)["complete"] is False


def test_a_part_of_another_size_than_is_published_is_marked() -> None:
    found = tasks()
    found["one"]["splits"]["all"]["n_expected"] = None
    assert of(TITLES, found)["complete"] is True
    found["two"]["splits"]["all"]["n_expected"] = 1500
    mean = of(TITLES, found)
    assert (mean["complete"], mean["value"] is None) == (False, False)


def test_a_suite_without_a_mean_has_its_parts_alone() -> None:
    assert suite_results(("one:all", "gone:all"), (), tasks()) == {
        "splits": ["one:all", "gone:all"],
        "missing": ["gone:all"],
        "mean": None,
    }


def whole(titles: tuple[str, ...]) -> dict[str, Any]:
    found = {name: {"all": about["splits"]["all"]} for name, about in tasks().items()}
    return {**results("fake/a", found), "suites": {"three|parts": suite_results(titles, titles, tasks())}}


def test_results_with_suites_are_valid_by_the_published_schema() -> None:
    for titles in (TITLES, (*TITLES, "four:all")):
        errors = Draft202012Validator(SCHEMA).iter_errors(whole(titles))
        assert [f"{error.json_path}: {error.message}" for error in errors] == []


def test_the_table_and_the_reports_show_the_mean_or_what_is_missing_of_it() -> None:
    there, short = whole(TITLES), whole((*TITLES, "four:all"))
    assert "three|parts: mean of 3, 68.3 [" in render_run_table(there)
    assert "three|parts: mean of 4, — ↑ (missing: four:all)" in render_run_table(short)
    page = as_markdown([there, short])
    assert "### Means over suites" in page
    assert "| fake/a | three&#124;parts | 68.3 [" in page
    assert "missing: four:all" in page
    first, second = json.loads(as_json([there, short]))["means"]
    assert first["of"]["one:all"] == ["right", 70.0]
    assert (second["value"], second["missing"]) == (None, ["four:all"])


def test_results_without_suites_have_no_means() -> None:
    plain = {key: value for key, value in whole(TITLES).items() if key != "suites"}
    assert means([plain]) == ()
    assert "Means over suites" not in as_markdown([plain])


def asked(**suites: list[str]) -> dict[str, Any]:
    body = results("x/a", {name: about["splits"] for name, about in tasks().items()})
    named = {name: {"splits": splits, "missing": [], "mean": None} for name, splits in suites.items()}
    return {**body, **({"suites": named} if suites else {})}


def group_names(*bodies: Mapping[str, Any]) -> dict[str, list[str]]:
    return {group.suite: [board.name for board in group.boards] for group in group_boards(boards(bodies), bodies)}


def test_the_boards_of_a_suite_stand_together_in_its_order_and_the_rest_last() -> None:
    body = asked(late=["three:all", "gone:all", "one:all"])
    assert group_names(body) == {"late": ["three", "one"], "": ["two"]}
    lines = render_report_table([body]).splitlines()
    assert [line for line in lines if line.split(" ")[0] in ("suite", "in", "one", "two", "three")] == [
        *("suite late", *(line for line in lines if line.startswith("three "))),
        *(line for line in lines if line.startswith("one ")),
        *("in no suite", *(line for line in lines if line.startswith("two "))),
    ]
    heads = [line for line in as_markdown([body]).splitlines() if line.startswith("#")]
    assert heads[:5] == ["## Suite late", "### three", "### one", "## In no suite", "### two"]


def test_a_board_of_two_suites_is_of_both_and_stands_under_the_first() -> None:
    body = asked(first=["one:all", "two:all"], second=["three:all", "two:all"])
    _, second = group_boards(boards([body]), [body])
    assert [board.name for board in second.boards] == ["three", "two"]
    assert [board.name for board in second.own] == ["three"]
    assert second.reference == "Also of this suite: two (under first)."
    for text in (render_report_table([body]), as_markdown([body])):
        assert second.reference in text


def test_a_suite_holds_what_any_of_the_runs_was_asked_as_it() -> None:
    assert group_names(asked(both=["two:all"]), asked(both=["one:all"]), asked()) == {
        "both": ["two", "one"],
        "": ["three"],
    }


def test_a_pooled_split_stands_in_the_suite_of_its_parts_before_them() -> None:
    part = split(judged({"right": 5, "wrong": 5}, main="right", better="higher"), judge="fake")
    splits = {"easy": part, "hard": part, "test": {**part, "parts": ["easy", "hard"]}}
    body = results("x/a", {"mis": splits, "other": {"all": part}})
    body["suites"] = {"harm": {"splits": ["other:all", "mis:hard", "mis:easy"], "missing": [], "mean": None}}
    assert group_names(body) == {"harm": ["other", "mis:test", "mis:hard", "mis:easy"]}


def test_results_without_a_suite_are_one_group_without_a_name_and_look_as_ever() -> None:
    body = asked()
    assert group_names(body) == {"": ["one", "two", "three"]}
    assert group_names({**body, "suites": {"empty": {"mean": None}}}) == {"": ["one", "two", "three"]}
    for text in (render_report_table([body]), as_markdown([body])):
        assert "suite" not in text.lower()


def test_a_user_names_suites_for_runs_that_were_not_asked_as_such() -> None:
    wanted = Suite(name="wanted", description="", tasks=("three", "one:all", "two:other"), mean=("one:all",))
    (named,) = name_suites([asked(known=["two:all"])], [wanted])
    assert group_names(named) == {"wanted": ["three", "one"], "known": ["two"]}
    assert named["suites"]["wanted"]["mean"] is None, "its settings and judges may not be those of the suite"
    plain = asked()
    assert name_suites([plain], [Suite(name="none", description="", tasks=("gone",))]) == [plain]


def test_a_suite_whose_splits_are_no_list_of_names_is_refused() -> None:
    body = asked(late=["one:all"])
    assert not find_fault(body)
    body["suites"]["late"]["splits"] = [3]
    assert find_fault(body).startswith("suites.late.splits.0")
