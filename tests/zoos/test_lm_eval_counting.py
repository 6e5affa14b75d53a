"""What of lm-eval's metrics and settings is counted and sent here, and what is left out rather than reported wrong."""

from pathlib import Path

import harness_lm_eval
import pytest

from harness import HarnessError, Request, Response
from harness.settings import effective
from harness.types import Failure
from tests.zoos.lm_eval_tasks import CHOOSES, SUMS, data, question, run, split

__all__ = ["data"]

PICKS = """\
task: picks{own}
dataset_path: json
dataset_kwargs:
  data_files:
    test: {data}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{question}}}}"
doc_to_choice: ["red", "blue"]
doc_to_target: 0
{scoring}
metric_list:
{metrics}
"""
GAPS = """\
task: gaps
dataset_path: json
dataset_kwargs:
  data_files:
    test: {data}
test_split: test
output_type: generate_until
doc_to_text: "Q: {{{{question}}}}\\nA:"
doc_to_target: "{{{{answer}}}}"
process_results: !function gaps.scored
generation_kwargs:
  until: ["\\n\\n"]
metric_list:
  - metric: overlap
    aggregation: nanmean
    higher_is_better: true
  - metric: loss
    aggregation: nanmean
    higher_is_better: false
"""
GAPS_CODE = """\
def scored(doc, results):
    counts = "?" not in results[0]
    return {"overlap": float(doc["answer"] in results[0]) if counts else float("nan"), "loss": 0.25}

def greedy(doc, results):
    return {"acc": float(bool(results[0][1]))}

def weights(doc, results):
    return {"acc": float(results[0][0] > results[1][0])}
"""
METRIC = "  - metric: {}\n    aggregation: mean\n    higher_is_better: true\n"


def picks(folder: Path, *metrics: str, scoring: str = "") -> str:
    """Write a task of two choices into a folder, scored by lm-eval or by a function of `gaps.py`; its name."""
    line = f"process_results: !function gaps.{scoring}" if scoring else ""
    (folder / "gaps.py").write_text(GAPS_CODE, encoding="utf-8")
    listed = "".join(METRIC.format(each) for each in metrics)
    text = PICKS.format(own=scoring, data=folder / "sums.json", scoring=line, metrics=listed)
    (folder / f"picks{scoring}.yaml").write_text(text, encoding="utf-8")
    return f"picks{scoring}"


def first_choice(request: Request) -> Response:
    return Response(text="red", choices=dict(zip(request.choices, (-1.0, -9.0), strict=True)))


def test_exact_match_of_choices_is_left_out_since_nobody_says_what_the_model_would_have_written(data: Path) -> None:
    found = run(data, picks(data, "exact_match", "acc"), first_choice, info=CHOOSES)
    assert {name: each["value"] for name, each in split(found, "picks")["metrics"].items()} == {"acc": 100.0}


def test_a_task_of_choices_that_has_exact_match_alone_is_refused(data: Path) -> None:
    with pytest.raises(HarnessError, match=r"no metric that can be counted .* exact_match"):
        run(data, picks(data, "exact_match"), first_choice, info=CHOOSES)


def test_scoring_of_a_tasks_own_that_asks_for_the_greedy_answer_has_no_verdict_instead_of_a_wrong_one(
    data: Path,
) -> None:
    found = run(data, picks(data, "acc", scoring="greedy"), first_choice, info=CHOOSES)
    assert split(found, "picksgreedy")["verdicts"]["judge_error"] == 6
    other = run(data, picks(data, "acc", scoring="weights"), first_choice, info=CHOOSES, fresh=True)
    assert split(other, "picksweights")["metrics"]["acc"]["value"] == 100.0


def test_a_document_whose_number_is_nan_by_design_is_not_counted_and_no_failure_of_the_judge(data: Path) -> None:
    said: dict[int, str | Failure] = {0: "0", 1: "?", 2: "seven", 3: "6"}
    said |= {4: Failure(outcome="input_blocked", reason="content_filter"), 5: "?"}
    (data / "gaps.py").write_text(GAPS_CODE, encoding="utf-8")
    (data / "gaps.yaml").write_text(GAPS.format(data=data / "sums.json"), encoding="utf-8")
    found = run(data, "gaps", lambda request: said[int(question(request).split("Q: ")[-1].split()[0])])
    there = split(found, "gaps")
    metrics = {name: (each["numerator"], each["denominator"]) for name, each in there["metrics"].items()}
    assert metrics == {"overlap": (2, 4), "loss": (0.25 * 5 + 1, 6)}, "a block is the worst of each"
    assert there["labels"] == {"right": 2, "wrong": 2, "uncounted": 2}
    assert there["verdicts"]["scored"] == 5
    assert (there["complete"], found.exit_code) == (True, 0)


def test_a_raw_context_never_drops_images(data: Path) -> None:
    with pytest.raises(HarnessError, match="shows 2 image") as refused:
        run(data, "drawn", lambda _: "", task_settings={"lm-eval.raw": True})
    assert "lm-eval.raw=false" in refused.value.remedy


@pytest.mark.parametrize(
    ("theirs", "temperature", "top_p"),
    [
        ("", 0.0, None),
        ("do_sample: false, temperature: 0.7, top_p: 0.9", 0.0, None),
        ("temperature: 0.7, top_p: 0.9", 0.7, 0.9),
        ("temperature: 0.0, top_p: 0.9", 0.0, None),
        ("do_sample: true", 1.0, None),
        ("do_sample: true, temperature: 0.3", 0.3, None),
    ],
)
def test_the_temperature_is_that_of_the_task_as_lm_eval_reads_it(
    theirs: str, temperature: float, top_p: float | None, data: Path
) -> None:
    text = SUMS.format(data=data / "sums.json").replace("task: sums", "task: warm")
    keys = "".join(f"  {each}\n" for each in theirs.split(", ") if each)
    text = text.replace("generation_kwargs:\n", f"generation_kwargs:\n{keys}")
    (data / "warm.yaml").write_text(text, encoding="utf-8")
    [task] = harness_lm_eval.harness_tasks()
    assert callable(task.splits)
    defaults = task.splits(effective(task.settings, {}, owner="task"), data)["warm"].defaults
    assert (defaults.temperature, defaults.top_p, defaults.max_tokens) == (temperature, top_p, 33)
