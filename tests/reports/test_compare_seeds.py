"""`harness compare` of sides that are several runs which differ in a seed alone."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner

from harness.cli import cli
from harness.errors import HarnessError
from tests.core.compared import WORLD, beside, played

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "comparison.schema.json").read_text())
#: what three seeds of one model and two of another answered; no seed changes the model's name
BASE = {"1": "uuuuuuuuuuss", "2": "uuuuuuuuusss", "3": "uuuuuuuuuuus"}
TUNED = {"1": "usssssssssss", "2": "uusssssssss?"}
FORMATS = ("terminal", "markdown", "html", "latex")


def named(folder: Path, ref: str) -> Path:
    """The run as one of a model of this name."""
    for name in ("run.json", "results.json"):
        file = folder / name
        raw = json.loads(file.read_text(encoding="utf-8"))
        raw["model"]["ref"] = ref
        for holder in (raw.get("identity"), raw["model"].get("identity")):
            if isinstance(holder, dict) and "name" in holder:
                holder["name"] = ref
        file.write_text(json.dumps(raw), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("seeds")
    for model, runs in (("base", BASE), ("tuned", TUNED)):
        for seed, letters in runs.items():
            named(played(folder / f"{model}-s{seed}", letters, "--seed", seed), f"played/{model}")
    return folder


def told(*flags: str | Path) -> str:
    done = CliRunner().invoke(cli, ["compare", *map(str, flags), *WORLD], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def groups(root: Path) -> tuple[str, str]:
    return str(root / "base-s*"), ",".join(str(root / f"tuned-s{seed}") for seed in TUNED)


def as_json(*flags: str | Path) -> Any:
    made = json.loads(told(*flags, "--format", "json"))
    jsonschema.validate(made, SCHEMA)
    return made


def test_many_names_with_commas_between_may_be_longer_than_one_file_name() -> None:
    names = ",".join(f"run-of-seed-{seed}" for seed in range(40))
    done = CliRunner().invoke(cli, ["compare", names, "another"])
    assert isinstance(done.exception, HarnessError)
    assert (done.exception.what, done.exception.where) == ("there is no run here", "run-of-seed-0")


def test_each_side_is_the_mean_of_its_seeds_over_what_all_runs_resolved(root: Path) -> None:
    made = as_json(*groups(root))
    (split,) = made["splits"]
    asr = split["metrics"]["ASR"]
    assert [len(side["seeds"]) for side in made["runs"]] == [3, 2]
    assert [side["name"] for side in made["runs"]] == ["played/base (3 seeds)", "played/tuned (2 seeds)"]
    # the last question is unresolved in one run, and left out of all
    assert asr["seeds"]["baseline"] == pytest.approx([1000 / 11, 900 / 11, 100])
    assert asr["seeds"]["run"] == pytest.approx([100 / 11, 200 / 11])
    assert asr["baseline"] == pytest.approx(1000 / 11)
    assert asr["difference"] == pytest.approx(150 / 11 - 1000 / 11)
    assert (asr["unresolved"], asr["pairs"], asr["test"]) == (1, 12, "interval")
    assert split["records"]["resolved"] == 11


def test_the_interval_holds_the_variance_between_the_seeds_of_both_sides(root: Path) -> None:
    several = as_json(*groups(root))["splits"][0]["metrics"]["ASR"]
    low, high = several["ci95"]
    assert low < several["difference"] < high
    one = as_json(root / "base-s1", root / "tuned-s1")["splits"][0]["metrics"]["ASR"]
    assert "seeds" not in one
    assert several["seeds"]["freedom"] > 0
    assert several["seeds"]["sd"]["baseline"] == pytest.approx(100 / 11)
    assert several["p"] < 0.05


def test_runs_that_differ_in_the_seed_alone_find_each_other(root: Path) -> None:
    every = sorted(root.iterdir())
    assert as_json(*every, "--group-by", "seed") == as_json(*groups(root))
    assert len(as_json(*every)["runs"]) == 5


def test_flips_are_listed_of_single_runs_alone(root: Path) -> None:
    assert as_json(*groups(root))["splits"][0]["flips"] is None
    assert "ASR in A and not in B" not in told(*groups(root))
    assert "ASR in A and not in B" in told(root / "base-s1", root / "tuned-s1")


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_says_how_many_seeds_each_side_has(root: Path, name: str) -> None:
    shown = " ".join(told(*groups(root), "--format", name).split())
    assert "(3 seeds)" in shown
    assert "(2 seeds)" in shown
    assert "seeds: A 3 runs (sd 9.1), B 2 runs (sd 6.4)" in shown
    assert "variance between seeds" in shown


def test_the_csv_counts_the_runs_of_each_side(root: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(told(*groups(root), "--format", "csv"))))
    assert {(row["seeds_baseline"], row["seeds_run"]) for row in rows} == {("3", "2")}
    single = list(csv.DictReader(io.StringIO(told(root / "base-s1", root / "tuned-s1", "--format", "csv"))))
    assert {(row["seeds_baseline"], row["sd_run"]) for row in single} == {("1", "")}


def test_a_side_of_one_run_says_that_its_seed_is_in_no_interval(root: Path) -> None:
    shown = " ".join(told(root / "base-s1", groups(root)[1]).split())
    assert "seeds: A 1 run, B 2 runs" in shown
    assert "no interval holds how much another seed of A would change" in shown


def test_a_breakdown_is_of_the_means_too(root: Path) -> None:
    made = as_json(*groups(root), "--by", "category")
    assert {name: len(group["seeds"]["baseline"]) for name, group in made["splits"][0]["by"].items()} == {
        "garden": 3,
        "kitchen": 3,
    }


def test_python_takes_a_side_as_a_list_of_runs(root: Path) -> None:
    found = beside([root / "base-s1", root / "base-s2"], [root / "tuned-s1", root / "tuned-s2"])  # type: ignore[arg-type]
    assert found.splits[0].runs == (2, 2)
    assert found.splits[0].flips is None


@pytest.mark.parametrize(
    ("sides", "why"),
    [
        (("base-s1,tuned-s1", "base-s2"), "must differ in seed alone"),
        (("base-s1,base-s1", "tuned-s1"), "named twice"),
        (("none*", "tuned-s1"), "none"),
    ],
)
def test_a_side_of_other_runs_is_refused(root: Path, sides: tuple[str, str], why: str) -> None:
    given = [",".join(str(root / part) for part in side.split(",")) for side in sides]
    with pytest.raises(HarnessError, match=why):
        told(*given)


def test_runs_without_a_seed_are_no_side(root: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        named(played(tmp_path / name, "us"), "played/base")
    with pytest.raises(HarnessError, match="must differ in seed alone"):
        told(f"{tmp_path / 'a'},{tmp_path / 'b'}", root / "tuned-s1")


def test_one_group_alone_has_nothing_to_compare_with(root: Path) -> None:
    with pytest.raises(HarnessError, match="one side with nothing to compare"):
        told(root / "base-s1", root / "base-s2", "--group-by", "seed")


def test_runs_of_one_side_that_another_judge_read_are_refused(root: Path, tmp_path: Path) -> None:
    other = named(played(tmp_path / "other", BASE["1"], "--seed", "9", judge="strict"), "played/base")
    with pytest.raises(HarnessError, match="not measured alike"):
        told(f"{root / 'base-s1'},{other}", root / "tuned-s1")
