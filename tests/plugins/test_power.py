"""`harness power` as a command: what it prints, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import click
import jsonschema
import pytest
from click.testing import CliRunner

from harness.cli import cli
from harness.errors import HarnessError
from tests.core.compared import WORLD, changed, played

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "power.schema.json").read_text(encoding="utf-8"))


def power(*flags: str | Path) -> str:
    """What it prints on stdout."""
    given = ["power", *map(str, flags), *WORLD]
    done = CliRunner().invoke(cli, given, catch_exceptions=False, standalone_mode=False)
    assert done.return_value == 0
    return done.stdout


def test_each_goal_has_a_line_with_what_it_needs_and_the_text_says_what_it_rests_on() -> None:
    told = power("--task", "mis:test", "--rate", "3", "--detect", "3", "--margin", "2", "--limit", "5", "--width", "4")
    assert "mis:test: ASR % ↓" in told
    assert "find a difference of 3 points, from 3.0 to 6.0" in told
    assert "show an equal model to be worse by at most 2 points" in told
    assert "show 3.0 to be at most 5" in told
    assert "have an interval at most 4 points wide" in told
    assert "of 2,185" in told
    assert "taken as unrelated" in told
    assert "dollars are not known" in told


def test_how_two_models_hang_together_is_said_only_where_two_runs_are_compared() -> None:
    assert "two models" not in power("--task", "mis:test", "--rate", "3", "--limit", "5", "--width", "4")
    assert "two models" in power("--task", "mis:test", "--rate", "3", "--limit", "5", "--margin", "4")


@pytest.mark.slow
def test_what_the_split_is_too_small_for_is_said_with_what_all_of_it_reaches() -> None:
    told = power("--task", "mis:test", "--rate", "30", "--detect", "1")
    assert "the split has fewer samples" in told
    assert "all 2,185 samples reach a difference of" in told


def test_costs_come_from_the_runs_usage(tmp_path: Path) -> None:
    run = played(tmp_path / "run", "us")
    changed(run, lambda results: results["usage"].update(cost_usd=12.0), "results.json")
    (plan,) = json.loads(power("--task", "played:one", "--against", run, "--width", "30", "--json"))["plans"]
    assert plan["cost_usd"] == pytest.approx(plan["calls"])
    assert f"{plan['cost_usd']:,.2f}" in power("--task", "played:one", "--against", run, "--width", "30")


@pytest.mark.parametrize("flag", ["--detect", "--rate", "--correlation", "--seed-sd", "--power"])
def test_what_is_no_number_is_refused(flag: str) -> None:
    with pytest.raises(click.BadParameter, match="'nan' is not a finite number"):
        power("--task", "mis:test", "--width", "4", "--rate", "3", flag, "nan")


def test_a_run_that_has_not_ended_is_refused_with_what_goes_on(tmp_path: Path) -> None:
    run = played(tmp_path / "run", "us")
    (run / "results.json").unlink()
    with pytest.raises(HarnessError, match="there are no results yet") as refused:
        power("--task", "played:one", "--against", run, "--width", "30")
    assert "the same `harness run` command continues" in refused.value.remedy


def test_seeds_are_listed_where_it_is_known_how_they_differ() -> None:
    flags = ("--task", "mis:test", "--rate", "20", "--detect", "10", "--json")
    assert [plan["seeds"] for plan in json.loads(power(*flags))["plans"]] == [1]
    assert [plan["seeds"] for plan in json.loads(power(*flags, "--seeds", "3"))["plans"]] == [3]
    assert [plan["seeds"] for plan in json.loads(power(*flags, "--seed-sd", "1"))["plans"]] == [1, 2, 3, 5]


def test_a_goal_is_needed_and_a_limit_that_the_rate_breaks_is_refused() -> None:
    with pytest.raises(click.UsageError, match="--detect"):
        power("--task", "mis:test", "--rate", "3")
    with pytest.raises(HarnessError, match="not below the limit"):
        power("--task", "mis:test", "--rate", "6", "--limit", "5")
    with pytest.raises(HarnessError, match="not above the limit"):
        power("--task", "mis:test", "--metric", "RSR", "--rate", "80", "--limit", "90")


@pytest.mark.parametrize(
    "flags",
    [
        ("mis:test", "--rate", "3", "--detect", "3", "--margin", "2", "--limit", "5", "--width", "4"),
        ("mis:test", "--rate", "20", "--detect", "10", "--seed-sd", "1", "--correlation", "0.5", "--power", "90"),
        ("mis:test", "--rate", "50", "--detect", "60"),
        ("mis:test", "--metric", "RSR", "--rate", "95", "--limit", "90"),
        ("played:one", "--rate", "0", "--width", "5"),
        ("played:one", "--rate", "100", "--detect", "1"),
    ],
    ids=[
        "every goal",
        "seeds",
        "out of reach",
        "a limit from below",
        "a split without a published size",
        "at the end of the scale",
    ],
)
def test_the_json_is_as_its_schema_says(flags: tuple[str, ...]) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(json.loads(power("--task", *flags, "--json")), SCHEMA)


def test_the_json_of_plans_from_runs_is_as_its_schema_says(tmp_path: Path) -> None:
    runs = [played(tmp_path / f"run{number}", answers) for number, answers in enumerate(("ussu", "usss"))]
    against = [word for run in runs for word in ("--against", str(run))]
    whole = json.loads(power("--task", "played:one", *against, "--width", "30", "--limit", "99", "--json"))
    jsonschema.validate(whole, SCHEMA)
    assert whole["basis"]["rate_ci95"] is not None
    changed(runs[0], lambda results: results["usage"].update(cost_usd=12.0), "results.json")
    jsonschema.validate(json.loads(power("--task", "played:one", *against, "--width", "30", "--json")), SCHEMA)


def test_the_schema_names_each_key_of_the_json_and_no_other() -> None:
    printed = json.loads(power("--task", "mis:test", "--rate", "3", "--detect", "3", "--json"))
    parts = SCHEMA["$defs"]
    assert set(printed) == set(SCHEMA["properties"])
    assert set(printed["plans"][0]) == set(parts["plan"]["properties"])
    assert set(printed["basis"]) == set(parts["basis"]["properties"]) - {"cost_why"}
