"""`lm-eval:NAME`: their prompts and their scoring with our models, offline."""

from pathlib import Path
from typing import Any

import harness_lm_eval
import pytest

from harness import HarnessError, Image, Request, Response, UnknownName
from harness.images import open_image
from harness.types import Failure
from tests.zoos.lm_eval_tasks import CHOOSES, data, listed, question, run, split

__all__ = ["data"]


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
