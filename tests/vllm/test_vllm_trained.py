"""What `harness train` leaves is loaded by vLLM: a whole model, a merged adapter, and an adapter where it may be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from harness_mini.draw_training import draw_general, draw_mis, draw_text

from harness import HarnessError
from tests.plugins import hf_asking
from tests.plugins.hf_asking import MINI, answers, questions
from tests.training.trained import called, record
from tests.vllm.engine_asking import opened, texts

pytestmark = pytest.mark.anyio
#: as large a step as makes a few records change the answers
QUICK = ("--set", "batch=8", "--set", "epochs=1", "--set", "learning_rate=5e-3", "-S", "device=cpu")
LORA = ("--set", "tuning=lora")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    draw_mis(folder / "mis", 0)
    draw_general(folder / "general", 0)
    draw_text(folder / "text", 0)
    return folder


def trained(data: Path, out: Path, *more: str, method: str = "mirage") -> Path:
    """A folder that the command made of the mini model."""
    given = ("--data", str(data / ("text" if method == "textual-sft" else "mis")))
    if method == "mirage":
        given = (*given, "-S", "general_count=0")
    code, _, told = called(["train", method, "--model", "mini/base", *given, "--out", str(out), *QUICK, *more])
    assert code == 0, told
    return out


async def said(folder: str | Path, **settings: Any) -> list[str]:
    async with opened(folder, **settings) as model:
        return texts(await answers(model, questions(24)))


async def expected(folder: str | Path, **settings: Any) -> list[str]:
    """What transformers says."""
    async with hf_asking.opened(folder, **settings) as model:
        return texts(await answers(model, questions(24)))


def alike(one: list[str], other: list[str]) -> int:
    return sum(first == second for first, second in zip(one, other, strict=True))


@pytest.mark.parametrize(
    "more", [pytest.param((), id="all parameters"), pytest.param((*LORA, "-S", "merge=true"), id="a merged adapter")]
)
async def test_a_whole_model_answers_in_vllm_what_it_answers_in_transformers(
    data: Path, tmp_path: Path, more: tuple[str, ...]
) -> None:
    folder = trained(data, tmp_path / "tuned", *more)
    given, plain = await said(folder), await expected(MINI)

    assert record(folder)["kind"] == "model"
    assert alike(given, await expected(folder)) >= 23
    assert alike(given, plain) < 12


async def test_an_adapter_of_the_language_model_goes_onto_its_base(data: Path, tmp_path: Path) -> None:
    folder = trained(data, tmp_path / "tuned", *LORA, method="textual-sft")
    given, plain = await said(MINI, lora=folder), await expected(MINI)

    assert record(folder)["kind"] == "adapter"
    assert alike(given, await expected(MINI, adapter=folder)) >= 23
    assert alike(given, plain) < 24


async def test_an_adapter_that_learnt_in_the_projector_too_is_refused_with_the_way_round(
    data: Path, tmp_path: Path
) -> None:
    folder = trained(data, tmp_path / "tuned", *LORA)

    with pytest.raises(HarnessError) as caught:
        async with opened(MINI, lora=folder):
            pass
    assert "merge" in caught.value.remedy
