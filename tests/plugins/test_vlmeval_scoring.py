"""What VLMEvalKit's scorer leaves undone: a judge_error of its sample that says why, never a wrong answer."""

import json
from pathlib import Path
from typing import Any

import pytest

from harness.runs.run import Run
from tests.plugins.vlmeval_asking import zoo
from tests.plugins.vlmeval_sets import choices, run, split, write

__all__ = ["zoo"]
pytestmark = pytest.mark.usefixtures("zoo")


def verdicts(found: Run, task: str) -> list[dict[str, Any]]:
    [file] = (found.folder / task).glob("verdicts-*.jsonl")
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


@pytest.mark.parametrize("word", ["crash", "die"])
def test_a_scorer_that_breaks_is_a_judge_error_and_no_crash_of_ours(word: str, tmp_path: Path) -> None:
    write(tmp_path / "data" / "mmstar" / "MMStar.tsv", choices(3))
    found = run(tmp_path, "mmstar:val", lambda _: word)
    assert split(found, "mmstar", "val")["verdicts"]["judge_error"] == 3
    assert found.exit_code == 3
    again = run(tmp_path, "mmstar:val", lambda _: "asked again")
    assert split(again, "mmstar", "val")["outcomes"]["answered"] == 3


def test_hits_count_where_only_their_table_of_categories_breaks(tmp_path: Path) -> None:
    write(tmp_path / "data" / "mmt-bench" / "MMT-Bench_VAL_MI.tsv", choices(4, **{"l2-category": lambda n: f"l{n}"}))
    found = run(tmp_path, "mmt-bench:val_mi", lambda text: "A" if text.endswith("0") else "late")
    assert split(found, "mmt-bench", "val_mi")["labels"] == {"right": 1, "none": 3}


def test_a_hit_that_is_no_number_is_a_judge_error_of_its_sample_and_not_a_wrong_answer(tmp_path: Path) -> None:
    write(tmp_path / "data" / "mmstar" / "MMStar.tsv", choices(5))
    said = ["A", "nan", "inf", "word", "A"]
    found = run(tmp_path, "mmstar:val", lambda text: said[int(text.split()[-1])])
    there = split(found, "mmstar", "val")
    assert (there["labels"], there["verdicts"]["judge_error"]) == ({"right": 2}, 3)
    assert there["metrics"]["accuracy"]["denominator"] == 2
    said_of = [line["reason"] for line in verdicts(found, "mmstar") if line["state"] == "judge_error"]
    assert len(said_of) == 3
    assert {"no number" in message for message in said_of} == {True}


def test_what_their_code_raised_is_said_of_each_answer_that_it_left_without_a_result(tmp_path: Path) -> None:
    write(tmp_path / "data" / "mmstar" / "MMStar.tsv", choices(3))
    found = run(tmp_path, "mmstar:val", lambda text: "lost" if text.endswith("1") else "A")
    there = split(found, "mmstar", "val")
    assert (there["labels"], there["verdicts"]["judge_error"]) == ({"right": 1, "wrong": 1}, 1)
    [message] = [line["reason"] for line in verdicts(found, "mmstar") if line["state"] == "judge_error"]
    assert "KeyError" in message
    assert "no such category: lost" in message
    assert "dataset/__init__.py" in message, "where it was raised"
