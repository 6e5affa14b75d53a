"""`lm-eval:NAME`: their prompts and their scoring with our models, offline."""

from pathlib import Path
from typing import Any

import harness_lm_eval
import pytest

from harness import HarnessError, Image, Request, Response, UnknownName
from harness.images import open_image
from harness.settings import effective
from harness.types import Failure
from tests.zoos.lm_eval_tasks import CHOOSES, METRIC, SUMS, listed, question, run, split, write_task


def sums(request: Request) -> str | Failure:
    n = int(question(request).split("Q: ")[-1].split()[0])
    said: dict[int, str | Failure] = {
        0: "It is 0.\n\nQ: or is it 7?",
        1: "It is 2, and after that comes 3",
        2: "four",
        3: Failure(outcome="output_blocked", reason="content_filter"),
        4: " ",
        5: Failure(outcome="error", reason="http_500"),
    }
    return said[n]


def test_answers_are_cut_filtered_and_scored_by_lm_eval_and_what_failed_is_not_sent(data: Path) -> None:
    found = run(data, "sums", sums)
    there = split(found, "sums")
    assert there["verdicts"]["scored"] == 3
    metrics = {name: (each["numerator"], each["denominator"]) for name, each in there["metrics"].items()}
    assert metrics == {"exact_match,strict": (2, 5), "exact_match,loose": (1, 5)}
    assert there["labels"] == {"right": 2, "wrong": 3}
    assert there["settings"]["max_tokens"] == 33
    assert there["settings"]["temperature"] == 0.0


def test_our_mean_is_the_one_that_lm_eval_computes_of_the_same_answers(data: Path) -> None:
    import lm_eval
    from lm_eval.api.model import LM

    said = {n: f"It is {2 * n + n % 2}" for n in range(6)}

    class Script(LM):
        def generate_until(self, requests: Any, disable_tqdm: bool = False) -> list[str]:
            return [said[int(each.args[0].split("Q: ")[-1].split()[0])] for each in requests]

        def loglikelihood(self, requests: Any, disable_tqdm: bool = False) -> Any:
            raise NotImplementedError

        loglikelihood_rolling = loglikelihood

    manager = lm_eval.tasks.TaskManager(include_path=str(data), include_defaults=False)
    theirs = lm_eval.simple_evaluate(model=Script(), tasks=["sums"], task_manager=manager, bootstrap_iters=0)
    found = run(data, "sums", lambda request: said[int(question(request).split("Q: ")[-1].split()[0])])
    for name in ("strict", "loose"):
        ours = split(found, "sums")["metrics"][f"exact_match,{name}"]["value"]
        assert ours == pytest.approx(100 * theirs["results"]["sums"][f"exact_match,{name}"])


def test_images_stand_where_the_marks_are_and_keep_each_pixel(data: Path) -> None:
    first = listed(data, "drawn")[0]
    parts = first.request.messages[0].content
    assert [isinstance(part, Image) for part in parts] == [True, True, False]
    assert "<image>" not in question(first.request)
    one, two = (open_image(image).opened for image in first.request.images)
    assert one.mime == "image/png"
    assert one.sha256 != two.sha256


def test_a_task_with_images_is_scored_by_its_own_process_results(data: Path) -> None:
    found = run(data, "drawn", lambda _: "a blue square and more")
    assert split(found, "drawn")["metrics"]["acc"]["value"] == pytest.approx(100 / 3)
    assert found.exit_code == 0


def test_solved_examples_and_raw_contexts_make_another_task(data: Path) -> None:
    [plain, *_] = listed(data, "sums", num_fewshot=0)
    [raw, *_] = listed(data, "sums", raw=True)
    assert question(plain.request) == "Q: 0 + 0?\nA:"
    assert (raw.request.raw, plain.request.raw) == (True, False)
    [task] = harness_lm_eval.harness_tasks()
    assert {setting.name for setting in task.settings if setting.identity} == {"num_fewshot", "raw"}


def test_choices_are_weighed_where_the_model_can_and_refused_where_it_cannot(data: Path) -> None:
    def weigh(request: Request) -> Response:
        assert request.choices == ("red", "zzz qqq")
        weights = dict(zip(request.choices, (-1.0, -9.0), strict=True))
        return Response(text="red", choices=weights)

    found = run(data, "chosen", weigh, info=CHOOSES)
    assert split(found, "chosen")["metrics"]["acc"]["value"] == 100.0
    with pytest.raises(HarnessError, match="weighs no choices"):
        run(data, "chosen", lambda _: "red", fresh=True)


@pytest.mark.parametrize("name", ["sumz", "texts"])
def test_what_cannot_be_asked_is_refused_before_the_run(name: str, data: Path) -> None:
    with pytest.raises(HarnessError) as refused:
        run(data, name, lambda _: "")
    if name == "sumz":
        assert isinstance(refused.value, UnknownName)
        assert "did you mean" in refused.value.remedy
    else:
        assert "loglikelihood" in str(refused.value)


def test_process_results_that_raises_is_a_judge_error_of_its_sample(data: Path) -> None:
    utils = data / "utils.py"
    broken = 'if "square" in results[0]: raise KeyError("no such color")\n    return {"acc"'
    utils.write_text(utils.read_text("utf-8").replace('return {"acc"', broken), encoding="utf-8")
    found = run(data, "drawn", lambda _: "a blue square")
    assert split(found, "drawn")["verdicts"]["judge_error"] == 3
    assert found.exit_code == 3


PICKS = """\
output_type: multiple_choice
doc_to_text: "{{question}}"
doc_to_choice: ["red", "blue"]
doc_to_target: 0
"""
GAPS = """\
output_type: generate_until
doc_to_text: "Q: {{question}}\\nA:"
doc_to_target: "{{answer}}"
process_results: !function gaps.scored
generation_kwargs: {until: ["\\n\\n"]}
metric_list:
  - {metric: overlap, aggregation: nanmean, higher_is_better: true}
  - {metric: loss, aggregation: nanmean, higher_is_better: false}
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


def picks(folder: Path, *metrics: str, scoring: str = "") -> str:
    """Write a task of two choices into a folder, scored by lm-eval or by a function of `gaps.py`; its name."""
    (folder / "gaps.py").write_text(GAPS_CODE, encoding="utf-8")
    line = f"process_results: !function gaps.{scoring}\n" if scoring else ""
    listed = "".join(METRIC % each for each in metrics)
    write_task(folder, f"picks{scoring}", f"{PICKS}{line}metric_list:\n{listed}")
    return f"picks{scoring}"


def first_choice(request: Request) -> Response:
    return Response(text="red", choices=dict(zip(request.choices, (-1.0, -9.0), strict=True)))


def test_exact_match_of_choices_is_left_out_since_nobody_says_what_the_model_would_have_written(data: Path) -> None:
    found = run(data, picks(data, "exact_match", "acc"), first_choice, info=CHOOSES)
    assert {name: each["value"] for name, each in split(found, "picks")["metrics"].items()} == {"acc": 100.0}


def test_a_task_of_choices_that_has_exact_match_alone_is_refused(data: Path) -> None:
    with pytest.raises(HarnessError, match=r"can be counted sample by sample here: exact_match"):
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
    write_task(data, "gaps", GAPS)
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
    keys = "".join(f"  {each}\n" for each in theirs.split(", ") if each)
    write_task(data, "warm", SUMS.replace("generation_kwargs:\n", f"generation_kwargs:\n{keys}"))
    [task] = harness_lm_eval.harness_tasks()
    assert callable(task.splits)
    defaults = task.splits(effective(task.settings, {}, owner="task"), data)["warm"].defaults
    assert (defaults.temperature, defaults.top_p, defaults.max_tokens) == (temperature, top_p, 33)
