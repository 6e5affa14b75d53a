"""The `lm-eval` provider where lm-eval is not installed; with it, see tests/zoos."""

import sys
from pathlib import Path

import harness_lm_eval
import pytest

from harness import HarnessError
from harness.models import ModelSpec, open_model, resolve
from harness.settings import effective

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _without(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "harness_lm_eval" and name.count(".")]:
        monkeypatch.delitem(sys.modules, name)
    for name in ("lm_eval", "lm_eval.models"):
        monkeypatch.setitem(sys.modules, name, None)


async def test_without_the_extra_it_says_how_to_get_it() -> None:
    with pytest.raises(HarnessError, match="needs the extra `lm-eval`") as fault:
        async with open_model("lm-eval/hf-multimodal"):
            pass
    assert fault.value.remedy == "pip install 'vlm-safety-harness[lm-eval]'"


def test_a_task_of_theirs_says_how_to_get_the_extra(tmp_path: Path) -> None:
    [task] = harness_lm_eval.harness_tasks()
    assert callable(task.splits)
    splits = task.splits(effective(task.settings, {}, owner="task"), tmp_path)
    assert list(splits) == []
    with pytest.raises(HarnessError, match="needs the extra `lm-eval`"):
        splits["gsm8k"]


def test_their_arguments_make_another_model_and_how_many_at_once_does_not() -> None:
    found = resolve(
        ModelSpec(ref="lm-eval/hf", settings={"model_args": "pretrained=a", "batch_size": "2", "device": "cpu"})
    )
    assert found.overrides == {"model_args": "pretrained=a"}
    assert found.settings["batch_size"] == 2
