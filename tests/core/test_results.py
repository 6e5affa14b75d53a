"""Results made of lines: tasks whose own code raises, and the table for notebooks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pandas as pd
import pytest

from harness import plugins
from harness.contracts import Split, Task
from harness.errors import HarnessError
from harness.evaluation.options import JudgeOptions, Options
from harness.metrics import Metric, Pairing, Record, Share, rate
from harness.models import ModelSpec
from harness.runs.results import to_frame
from harness.runs.run import Run, judge_async, run_async
from harness.testing.fakes import fake_judge, fake_provider, fake_sample, fake_task, host_of
from harness.testing.results import judged, results, split
from harness.types import Failure, Sample

WELL = rate("ASR", "unsafe", better="lower")
QUESTIONS = {"a": "a", "b": "b"}
GOOD = fake_task(QUESTIONS, name="good")


def raising(_: object) -> Any:
    raise ZeroDivisionError("no such label")


def scoring(metric: Metric) -> Task:
    return fake_task(QUESTIONS, name="odd", metrics=(metric,))


class Gone(dict[str, Split]):
    """Splits of which one can be looked up no more."""

    def __getitem__(self, name: str) -> Split:
        return raising(name) if name == "gone" else super().__getitem__(name)


def go(folder: Path, odd: Task, *tasks: str, said: str | Failure = "no") -> Run:
    options = Options(model=ModelSpec(ref="fake/x"), tasks=tasks, output=folder, probe=False)
    with plugins.use(host_of(fake_provider(said), odd, GOOD, fake_judge())):
        return anyio.run(partial(run_async, options))


PAIRING = Pairing(name="twins", left="all", right=("all",), key=raising, metric="ASR")
BROKEN = {
    "score": lambda: scoring(replace(WELL, score=raising)),
    "no share": lambda: scoring(replace(WELL, score=lambda _: None)),
    "pairing": lambda: replace(scoring(WELL), pairings=(PAIRING,)),
}


@pytest.mark.parametrize("odd", BROKEN)
def test_a_task_whose_scoring_raises_is_left_out_and_named_and_the_others_have_their_numbers(
    odd: str, tmp_path: Path
) -> None:
    run = go(tmp_path, BROKEN[odd](), "odd", "good")
    assert (run.exit_code, set(run.results["tasks"])) == (3, {"good"})
    assert run.results["usage"]["model"]["calls"] == 4, "what was asked was spent, whether or not it can be scored"
    (note,) = (note for note in run.notes if note.startswith("odd could not be scored: plugin "))
    assert "results.json does not contain it" in note
    assert "`harness judge RUN` cannot help" in note


def test_a_task_one_of_whose_splits_can_be_looked_up_no_more_keeps_its_former_results(tmp_path: Path) -> None:
    task = scoring(WELL)
    assert isinstance(task.splits, Mapping)
    both = dict.fromkeys(("all", "gone"), task.splits["all"])
    listed = replace(task, splits=both, samples=lambda _root, split, _: [fake_sample("a", split=split)])
    before = go(tmp_path, listed, "odd", "good").results["tasks"]["odd"]
    run = go(tmp_path, replace(listed, splits=Gone(both)), "odd:all", "good")
    assert (run.exit_code, run.results["tasks"]["odd"]) == (3, before)
    (note,) = (note for note in run.notes if note.startswith("odd could not be scored: plugin "))
    assert "raised ZeroDivisionError: no such label" in note
    assert "results.json keeps its former numbers" in note


def test_a_metric_that_raises_only_where_an_answer_is_missing_is_caught_as_well(tmp_path: Path) -> None:
    fault = Failure(outcome="error", reason="http_400")
    run = go(tmp_path, scoring(replace(WELL, possible=raising)), "odd", said=fault)
    assert (run.exit_code, run.results["tasks"]) == (3, {})


def test_the_note_says_what_was_raised(tmp_path: Path) -> None:
    run = go(tmp_path, scoring(replace(WELL, score=raising)), "odd")
    assert any("plugin fakes (fakes 1.0) raised ZeroDivisionError: no such label" in note for note in run.notes)
    assert __file__ in (run.folder / "log.txt").read_text("utf-8")


def test_a_metric_that_exits_is_a_metric_that_raises(tmp_path: Path) -> None:
    def exiting(_: Record) -> Share:
        raise SystemExit(0)

    run = go(tmp_path, scoring(replace(WELL, score=exiting)), "odd")
    assert run.exit_code == 3
    assert any("raised SystemExit: 0" in note for note in run.notes)


def test_a_task_whose_scoring_raises_keeps_what_was_concluded_before(tmp_path: Path) -> None:
    before = go(tmp_path, scoring(WELL), "odd")
    after = go(tmp_path, scoring(replace(WELL, score=raising)), "odd")
    assert (before.exit_code, after.exit_code) == (0, 3)
    assert after.results["tasks"] == before.results["tasks"]
    assert any("results.json keeps its former numbers" in note for note in after.notes)


def test_judging_says_so_too_and_a_mended_plugin_has_its_numbers_without_asking_again(tmp_path: Path) -> None:
    odd = scoring(replace(WELL, score=raising))
    go(tmp_path, odd, "odd")
    with plugins.use(host_of(odd, fake_judge())):
        assert anyio.run(partial(judge_async, tmp_path, JudgeOptions())).exit_code == 3
    with plugins.use(host_of(scoring(WELL), fake_judge())):
        mended = anyio.run(partial(judge_async, tmp_path, JudgeOptions()))
    assert (mended.exit_code, mended.results["usage"]["model"]["calls"]) == (0, 2)


def test_a_number_that_is_not_one_is_never_written(tmp_path: Path) -> None:
    def nan(_: Record) -> Share:
        return Share(float("nan"), 1)

    run = go(tmp_path, scoring(replace(WELL, score=nan)), "odd", "good")
    assert (run.exit_code, set(run.results["tasks"])) == (3, {"good"})


def with_target(target: Any, first: int = 0) -> Task:
    def listed() -> Iterator[Sample]:
        for n in range(3):
            yield replace(fake_sample(f"q{n}"), target=target if n == first else None)

    return fake_task(listed, name="odd")


@pytest.mark.parametrize("target", [{1, 2}, object(), float("nan"), {"deep": [b"bytes"]}])
def test_a_target_that_is_not_json_ends_its_split_and_the_run_goes_on(target: object, tmp_path: Path) -> None:
    run = go(tmp_path, with_target(target, first=2), "odd", "good")
    assert (run.exit_code, set(run.results["tasks"])) == (3, {"good"})
    (note,) = (note for note in run.notes if note.startswith("odd:all ended early: its task raised "))
    assert "target of sample 'q2' is not JSON" in note


def test_a_task_alone_whose_target_is_not_json_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    with pytest.raises(
        HarnessError, match="odd:all cannot be listed: its task raised TypeError: target of sample 'q0'"
    ):
        go(tmp_path, with_target({1}), "odd")
    assert not (tmp_path / "run.json").exists()


def test_a_task_that_cannot_say_its_splits_is_named_before_anything_is_asked(tmp_path: Path) -> None:
    def splits(*_: object) -> Any:
        raise KeyError("x")

    with pytest.raises(HarnessError, match=r"plugin fakes \(fakes 1\.0\), splits of task 'odd': KeyError"):
        go(tmp_path, replace(GOOD, name="odd", splits=splits), "odd")


def test_each_metric_of_each_judge_is_one_row() -> None:
    first = judged({"unsafe": 1, "safe": 3}, main="unsafe")
    second = judged({"unsafe": 2, "safe": 2}, main="unsafe")
    body = split(first, judge="mis-openai-J-00000001", other_judges={"keyword-00000002": second})
    table = to_frame([results("openai/A", {"mis": {"easy": body}})])
    assert list(table.columns) == [
        "model",
        "task",
        "split",
        "judge",
        "metric",
        "value",
        "unit",
        "better",
        "ci_low",
        "ci_high",
        "numerator",
        "denominator",
        "unresolved",
        "n",
        "coverage",
        "complete",
        "why",
        "corrected",
        "corrected_low",
        "corrected_high",
        "labels",
        "corrected_why",
    ]
    rows = table.set_index(["judge", "metric"])["value"]
    assert rows["mis-openai-J-00000001", "unsafe"] == 25.0
    assert rows["keyword-00000002", "unsafe"] == 50.0
    assert len(table) == 4


def test_several_results_stand_under_each_other() -> None:
    body = split(judged({"unsafe": 1}, main="unsafe"), judge="keyword-00000002")
    table = to_frame([results(ref, {"mis": {"easy": body}}) for ref in ("openai/A", "openai/B")])
    assert list(table["model"]) == ["openai/A", "openai/B"]


def test_a_split_that_nobody_judged_has_rows_without_values() -> None:
    body = split(judged({"unsafe": 0}, main="unsafe", unjudged=4), judge="")
    body["judge"] = None
    (row,) = to_frame([results("openai/A", {"mis": {"easy": body}})]).to_dict("records")
    assert (row["judge"], row["n"], row["complete"]) == (None, 4, False)
    assert pd.isna(row["value"]), "no number, and not zero"
    assert pd.isna(row["ci_low"])


def test_no_results_make_an_empty_table() -> None:
    assert to_frame([]).empty
