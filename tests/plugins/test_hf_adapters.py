"""LoRA adapters on `hf` models: put on, known by their files, and refused where they belong to another model."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import pytest

from harness import Generation
from harness.fingerprint import hash_folder
from tests.plugins.hf_asking import answer, asked, opened, refused
from tests.plugins.tiny.folders import Folders, make_once

pytestmark = pytest.mark.anyio
ASKED = asked("hello", settings=Generation(temperature=0.0, max_tokens=12))


@pytest.fixture
def vlm(tiny_vlm: str) -> Path:
    return Path(tiny_vlm)


@pytest.fixture
def adapter(vlm: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.plugins import tiny_models

    saved = make_once(tmp_path_factory, "adapter", lambda folder: tiny_models.save_adapter(folder, vlm))
    return Path(shutil.copytree(saved, tmp_path / "adapter"))


async def said(name: object, **settings: Any) -> str:
    async with opened(str(name), **settings) as model:
        return (await answer(model, ASKED)).text


class TestAnAdapter:
    async def test_changes_the_answers_and_the_fingerprint(self, vlm: Path, adapter: Path) -> None:
        plain, tuned = await said(vlm), await said(vlm, adapter=str(adapter))
        async with opened(vlm, adapter=adapter) as model:
            fingerprint = model.info.fingerprint

        assert tuned != plain
        assert fingerprint == {**hash_folder(vlm), "adapter": hash_folder(adapter)}

    async def test_answers_as_the_merged_model_does(self, vlm: Path, adapter: Path, tmp_path: Path) -> None:
        import peft
        import torch
        import transformers

        base = transformers.AutoModelForImageTextToText.from_pretrained(vlm, dtype=torch.float32)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # peft asks the model by an older name
            merged = peft.PeftModel.from_pretrained(base, str(adapter)).merge_and_unload()
        folder = shutil.copytree(vlm, tmp_path / "merged")
        merged.save_pretrained(folder)

        assert await said(folder) == await said(vlm, adapter=str(adapter))

    @pytest.mark.parametrize("family", ["internvl", "gemma3", "qwen3_vl"])
    @pytest.mark.parametrize("says", ["its class", "its base", "nothing"])
    async def test_of_another_architecture_is_refused_though_every_layer_fits(
        self, folders: Folders, vlm: Path, adapter: Path, family: str, says: str
    ) -> None:
        written = json.loads((adapter / "adapter_config.json").read_text())
        written["auto_mapping"] = written["auto_mapping"] if says == "its class" else None
        written["base_model_name_or_path"] = str(vlm) if says == "its base" else "someone/qwen2-vl"
        (adapter / "adapter_config.json").write_text(json.dumps(written))
        if says == "nothing":
            async with opened(folders[family], adapter=adapter) as model:
                assert model.info.notes == ("the adapter says that it was trained on qwen2-vl",)
            return
        error = await refused(folders[family], adapter=adapter)

        assert error.what.startswith("the adapter does not fit this model: it")
        assert "Qwen2VLForConditionalGeneration" in error.what or "qwen2_vl" in error.what
        assert error.remedy == "name the model it was trained on"

    async def test_of_a_larger_model_of_the_same_architecture_is_refused(
        self, vlm: Path, adapter: Path, tmp_path: Path
    ) -> None:
        from safetensors.torch import load_file, save_file

        weights = load_file(adapter / "adapter_model.safetensors")
        wider = {name: weight.repeat(1, 2) if "lora_A" in name else weight for name, weight in weights.items()}
        save_file(wider, adapter / "adapter_model.safetensors")
        error = await refused(vlm, adapter=adapter)

        assert error.what == "the adapter does not fit this model: its weights are of another size"

    async def test_with_layers_that_the_model_lacks_is_refused(self, vlm: Path, adapter: Path) -> None:
        from safetensors.torch import load_file, save_file

        weights = load_file(adapter / "adapter_model.safetensors")
        deeper = {**weights, **{name.replace("layers.1.", "layers.7."): each for name, each in weights.items()}}
        save_file({name: each.clone() for name, each in deeper.items()}, adapter / "adapter_model.safetensors")

        assert "layers.7." in (await refused(vlm, adapter=adapter)).what

    async def test_of_a_text_model_is_refused_on_another(self, adapter: Path, tiny_lm: str) -> None:
        assert "does not fit" in (await refused(tiny_lm, adapter=adapter)).what

    async def test_that_is_not_there_is_refused(self, tiny_lm: str, tmp_path: Path) -> None:
        assert "adapter_config.json" in (await refused(tiny_lm, adapter=tmp_path)).what

    async def test_that_is_a_whole_model_is_refused_with_how_to_run_that(self, vlm: Path, tiny_lm: str) -> None:
        error = await refused(vlm, adapter=tiny_lm)

        assert error.what == "this folder holds a whole model, not an adapter"
        assert error.remedy == f"--model hf/{tiny_lm}, without -M adapter"

    async def test_named_as_the_model_is_refused_with_the_setting_that_takes_it(self, adapter: Path) -> None:
        error = await refused(adapter)

        assert error.what == "this folder holds an adapter, not a model"
        assert f"-M adapter={adapter}" in error.remedy

    async def test_that_is_torn_is_refused_without_a_traceback(self, vlm: Path, adapter: Path) -> None:
        (adapter / "adapter_model.safetensors").write_bytes(b"torn")
        error = await refused(vlm, adapter=adapter)

        assert "\n" not in error.what
        assert str(adapter) in error.where

    async def test_whose_configuration_is_no_adapter_is_refused(self, vlm: Path, tmp_path: Path) -> None:
        (tmp_path / "adapter_config.json").write_text(json.dumps({"peft_type": "OF_NEXT_YEAR"}))

        assert "\n" not in (await refused(vlm, adapter=tmp_path)).what
