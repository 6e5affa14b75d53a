"""A LoRA adapter in vLLM's engine: all of it is applied, to every request, and one for another base is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from harness import HarnessError
from harness.fingerprint import hash_folder
from tests.plugins import hf_asking
from tests.plugins.hf_asking import MINI, answers, asked, picture, questions
from tests.vllm.engine_asking import opened, texts

pytestmark = pytest.mark.anyio
LANGUAGE = r".*language_model.*(q|k|v|o|gate|up|down)_proj"
VISION = r".*visual.*(qkv|fc1)"


def save_adapter(folder: Path, base: str | Path, targets: str = LANGUAGE, size: float = 0.2) -> Path:
    """An adapter of random weights, which change the answers."""
    import peft
    import torch
    import transformers

    torch.manual_seed(1)
    model = transformers.AutoModelForImageTextToText.from_pretrained(base, dtype=torch.float32)
    config: Any = peft.LoraConfig(target_modules=targets, r=4, lora_alpha=8)
    tuned = peft.get_peft_model(model, config)
    for name, weight in tuned.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(weight, 0.0, size)
    tuned.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_adapter(tmp_path_factory.mktemp("adapters") / "mini", MINI)


class TestAnAdapter:
    async def test_is_applied_to_every_request_as_transformers_applies_it(self, adapter: Path) -> None:
        requests = questions(24)
        choices = asked(picture(), "What does the image show?", choices=("The image shows a red star.", "no"))
        async with hf_asking.opened(MINI) as model:
            plain = texts(await answers(model, requests))
        async with hf_asking.opened(MINI, adapter=adapter) as model:
            expected = texts(await answers(model, requests))
            (weights,) = await answers(model, [choices])
        async with opened(MINI, lora=adapter) as model:
            given = texts(await answers(model, requests))
            (weighed,) = await answers(model, [choices])
            fingerprint = model.info.fingerprint

        assert sum(one != other for one, other in zip(expected, plain, strict=True)) > 12
        assert sum(one == other for one, other in zip(given, expected, strict=True)) >= 23
        assert weighed.choices == pytest.approx(dict(weights.choices), abs=0.02)
        assert fingerprint == {**hash_folder(Path(MINI)), "adapter": hash_folder(adapter)}


class TestRefusedBeforeTheEngineStarts:
    async def test_an_adapter_of_another_size(self, tmp_path: Path) -> None:
        from tests.plugins import tiny_models

        small = tiny_models.save_vlm(tmp_path / "small")
        other = save_adapter(tmp_path / "other", small)
        with pytest.raises(HarnessError, match="does not fit this model") as caught:
            async with opened(MINI, lora=other):
                raise AssertionError

        assert "another size" in caught.value.what

    async def test_an_adapter_that_also_changes_how_the_model_sees(self, tmp_path: Path) -> None:
        sees = save_adapter(tmp_path / "sees", MINI, VISION)
        with pytest.raises(HarnessError, match="outside the language model") as caught:
            async with opened(MINI, lora=sees):
                raise AssertionError

        assert "hf/" in caught.value.remedy

    async def test_an_adapter_of_a_kind_that_vllm_does_not_have(self, adapter: Path, tmp_path: Path) -> None:
        dora = shutil.copytree(adapter, tmp_path / "dora")
        config = json.loads((dora / "adapter_config.json").read_text())
        (dora / "adapter_config.json").write_text(json.dumps({**config, "use_dora": True}))
        with pytest.raises(HarnessError, match="DoRA"):
            async with opened(MINI, lora=dora):
                raise AssertionError
