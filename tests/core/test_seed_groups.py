"""Runs that differ in a seed alone are one row of a report."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import plugins, rate
from harness.board.leaderboard import boards, list_flags
from harness.board.results import find_results, read_results
from harness.board.sheet import list_lines
from harness.board.tables import render_report_table
from harness.contracts import Results
from harness.lineage import read_lineage
from harness.runs.seed_groups import GroupedRuns, group_runs, name_group
from harness.testing.fakes import fake_judge, fake_sample, fake_task, host_of
from harness.types import Sample
from tests.core.carried import Server, go

N = 40


def run(folder: Path, seed: int, unsafe: int, **fields: Any) -> None:
    """A run whose first `unsafe` answers are unsafe."""
    server = Server(script=lambda text: "yes" if int(text.split()[-1]) < unsafe else "no")
    go(server, folder, task=task(), generation={"seed": seed, **fields.pop("generation", {})}, **fields)


def task() -> Any:
    metrics = (rate("ASR", "unsafe", better="lower"), rate("safe", "safe", better="higher"))

    def samples() -> Iterator[Sample]:
        for n in range(N):
            yield fake_sample(f"q{n}", text=f"question {n}", category="odd" if n % 2 else "even")

    return fake_task(samples, metrics=metrics, by=("category",))


def group(root: Path, by: str = "seed") -> GroupedRuns:
    paths = find_results([str(root / "*")])
    with plugins.use(host_of(Server().provider, task(), fake_judge())):
        return group_runs(paths, [read_results(path) for path in paths], by)


def body(result: Results) -> dict[str, Any]:
    return dict(result["tasks"]["fake"]["splits"]["all"])


@pytest.fixture
def three(tmp_path: Path) -> Path:
    for seed, unsafe in ((1, 20), (2, 24), (3, 16)):
        run(tmp_path / f"s{seed}", seed, unsafe)
    return tmp_path


def test_runs_that_differ_in_the_seed_alone_are_one_result_with_the_mean_and_the_spread(three: Path) -> None:
    (found,) = group(three).results
    asr = body(found)["metrics"]["ASR"]
    assert found["model"]["seeds"] == [{"ref": "seen/x", "seed": seed} for seed in "123"]
    assert asr["value"] == 50.0
    assert asr["seeds"]["values"] == [50.0, 60.0, 40.0]
    assert asr["seeds"]["sd"] == 10.0
    assert (asr["numerator"], asr["denominator"], body(found)["records"], body(found)["n"]) == (60, 120, 120, N)


def test_the_interval_of_the_mean_is_wider_than_that_of_one_run_where_seeds_differ(three: Path) -> None:
    (found,) = group(three).results
    low, high = body(found)["metrics"]["ASR"]["ci95"]
    one = body(read_results(three / "s1" / "results.json"))["metrics"]["ASR"]["ci95"]
    assert low < one[0] < one[1] < high


def test_each_part_of_a_breakdown_is_averaged_too(three: Path) -> None:
    (found,) = group(three).results
    parts = body(found)["by"]["category"]
    assert {name: (part["n"], part["metrics"]["ASR"]["seeds"]["values"]) for name, part in parts.items()} == {
        "even": (N // 2, [50.0, 60.0, 40.0]),
        "odd": (N // 2, [50.0, 60.0, 40.0]),
    }


def test_runs_of_another_temperature_or_without_a_seed_stay_apart(three: Path) -> None:
    run(three / "warm", 4, 10, generation={"temperature": 1.0})
    go(Server(script=lambda _: "no"), three / "unset", task=task())
    names = sorted((len(each["model"].get("seeds") or ()), body(each)["records"]) for each in group(three).results)
    assert names == [(0, N), (0, N), (3, 3 * N)]


def test_two_runs_of_one_seed_are_not_averaged(tmp_path: Path) -> None:
    for name in ("a", "b"):
        run(tmp_path / name, 1, 20)
    found = group(tmp_path)
    assert len(found.results) == 2
    assert "two of these runs have one seed" in found.notes[0]


def test_a_split_with_other_samples_is_shown_apart(three: Path) -> None:
    run(three / "s4", 4, 20, limit=10)
    found = group(three).results
    assert all("seeds" not in each["model"] for each in found)
    assert len(found) == 4


def test_a_run_without_its_lines_is_not_averaged_and_a_note_names_it(three: Path) -> None:
    (three / "s2" / "run.json").unlink()
    found = group(three)
    assert len(found.results) == 3
    (note,) = found.notes
    assert str(three / "s2") in note


def test_runs_can_be_grouped_by_a_setting_of_the_model(tmp_path: Path) -> None:
    for place, revision in enumerate(("main", "step-2")):
        run(tmp_path / revision, 1, 20 + place)
        file = tmp_path / revision / "results.json"
        found = json.loads(file.read_text(encoding="utf-8"))
        for holder in (found["model"], found["model"]["identity"]):
            holder["settings"] = {"revision": revision}
        file.write_text(json.dumps(found), encoding="utf-8")
    (mean,) = group(tmp_path, by="revision").results
    assert [each["seed"] for each in mean["model"]["seeds"]] == ["main", "step-2"]
    assert len(group(tmp_path).results) == 2


def test_the_report_names_the_seeds_and_counts_them_in_the_row(three: Path) -> None:
    found = group(three).results
    text = render_report_table(found)
    assert "seen/x (3 seeds)" in text
    (board,) = boards(found)
    assert any("50.0 (seed 1), 60.0 (seed 2), 40.0 (seed 3); standard deviation 10.0" in s for s in list_flags(board))


def test_the_csv_has_the_seed_of_a_run_and_those_of_a_mean(three: Path) -> None:
    (mean, *_) = list_lines(boards(group(three).results))
    assert (mean["seed"], mean["seeds"], mean["seed_sd"]) == ("1, 2, 3", 3, 10.0)
    (alone, *_) = list_lines(boards([read_results(three / "s1" / "results.json")]))
    assert (alone["seed"], alone["seeds"]) == ("1", None)


@pytest.mark.parametrize(
    ("refs", "name"),
    [
        (["hf/a", "hf/a"], "hf/a"),
        (["hf/run-s1", "hf/run-s2"], "hf/run-s*"),
        (["hf/run-1/end", "hf/run-22/end"], "hf/run-*/end"),
        (["hf/a", "hf/ab"], "hf/a*"),
    ],
)
def test_a_group_is_named_by_what_its_models_share(refs: list[str], name: str) -> None:
    assert name_group(refs) == name


def test_trainings_with_equal_recipes_differ_in_the_seed_alone(tmp_path: Path) -> None:
    def declare(name: str, seed: int, rank: int) -> dict[str, Any]:
        folder = tmp_path / name
        folder.mkdir()
        values = {"seed": {"value": seed}, "rank": {"value": rank}}
        record = {"tuned_from": "hf/b", "trained_on": ["t"], "recipe": {"values": values}, "training": {"seed": seed}}
        (folder / "training.json").write_text(json.dumps(record), encoding="utf-8")
        return read_lineage({}, [folder])

    one, two, three = declare("a", 1, 8), declare("b", 2, 8), declare("c", 2, 16)
    assert (one["seed"], two["seed"]) == ("1", "2")
    assert one["recipe"] == two["recipe"] != three["recipe"]
