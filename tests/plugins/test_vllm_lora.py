"""A LoRA adapter for `vllm/…` is compared with its base before the engine starts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from harness_vllm.adapter import check_adapter, read_adapter

from harness import HarnessError


class TestAnAdapter:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        return saved(tmp_path / "adapter", {"layers.0.self_attn.q_proj": (4, 8, 16)}, r=4)

    def test_is_given_the_least_rank_that_holds_it(self, folder: Path, tmp_path: Path) -> None:
        larger = saved(tmp_path / "larger", {"layers.0.up": (20, 8, 16)}, r=4, rank_pattern={"up": 20})

        assert read_adapter(folder).rank == 8
        assert read_adapter(larger).rank == 32

    def test_fits_a_base_of_its_shapes_whatever_stands_before_the_layer(self, folder: Path, tmp_path: Path) -> None:
        base = weights(tmp_path / "base", {"model.language_model.layers.0.self_attn.q_proj.weight": (16, 8)})

        check_adapter(read_adapter(folder), base)

    @pytest.mark.parametrize(
        ("weight", "shape", "why"),
        [
            ("layers.0.self_attn.q_proj.weight", (16, 4), "is of another size"),
            ("layers.0.self_attn.q_proj.weight", (8, 8), "is of another size"),
            ("layers.1.self_attn.q_proj.weight", (16, 8), "it has no model.layers.0.self_attn.q_proj"),
        ],
    )
    def test_of_another_base_is_refused(
        self, folder: Path, tmp_path: Path, weight: str, shape: tuple[int, int], why: str
    ) -> None:
        base = weights(tmp_path / "base", {f"model.{weight}": shape})
        with pytest.raises(HarnessError, match="does not fit this model") as caught:
            check_adapter(read_adapter(folder), base)

        assert why in caught.value.what

    def test_of_a_quantised_base_is_compared_by_name(self, folder: Path, tmp_path: Path) -> None:
        base = weights(tmp_path / "base", {"model.layers.0.self_attn.q_proj.scales": (3,)})

        check_adapter(read_adapter(folder), base)

    def test_whose_base_is_not_here_yet_waits_for_it(self, folder: Path, tmp_path: Path) -> None:
        check_adapter(read_adapter(folder), tmp_path)

    @pytest.mark.parametrize("module", ["visual.blocks.0.attn.qkv", "multi_modal_projector.linear_1", "vision_tower.x"])
    def test_that_also_changes_how_the_model_sees_is_refused(self, tmp_path: Path, module: str) -> None:
        folder = saved(tmp_path / "adapter", {module: (4, 8, 16)}, r=4)
        with pytest.raises(HarnessError, match="outside the language model"):
            check_adapter(read_adapter(folder), tmp_path)

    @pytest.mark.parametrize("text", ["", "[]", "{}", '{"r": "many"}', '{"r": 8, "rank_pattern": [1]}'])
    def test_whose_configuration_is_broken_is_refused_with_what_is_wrong(self, tmp_path: Path, text: str) -> None:
        folder = saved(tmp_path / "adapter", {"layers.0.up": (4, 8, 16)}, r=4)
        (folder / "adapter_config.json").write_text(text)
        with pytest.raises(HarnessError, match=r"the adapter cannot be read: adapter_config\.json"):
            read_adapter(folder)

    def test_whose_weights_are_broken_is_refused_with_what_is_wrong(self, tmp_path: Path) -> None:
        folder = saved(tmp_path / "adapter", {"layers.0.up": (4, 8, 16)}, r=4)
        (folder / "adapter_model.safetensors").write_bytes(b"torn")
        with pytest.raises(HarnessError, match=r"the adapter cannot be read: adapter_model\.safetensors"):
            check_adapter(read_adapter(folder), tmp_path)

    @pytest.mark.parametrize("missing", ["adapter_config.json", "adapter_model.safetensors"])
    def test_that_is_not_whole_is_refused(self, folder: Path, missing: str) -> None:
        (folder / missing).unlink()
        with pytest.raises(HarnessError, match=missing):
            read_adapter(folder)

    def test_of_a_rank_beyond_vllms_is_refused(self, tmp_path: Path) -> None:
        folder = saved(tmp_path / "adapter", {"layers.0.up": (600, 8, 16)}, r=600)
        with pytest.raises(HarnessError, match="rank is 600"):
            read_adapter(folder)


def saved(folder: Path, parts: dict[str, tuple[int, int, int]], **config: Any) -> Path:
    """An adapter as peft writes it: module -> rank, inputs, outputs."""
    shapes = {}
    for module, (rank, inputs, outputs) in parts.items():
        shapes[f"base_model.model.model.{module}.lora_A.weight"] = (rank, inputs)
        shapes[f"base_model.model.model.{module}.lora_B.weight"] = (outputs, rank)
    weights(folder, shapes, "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder


def weights(folder: Path, shapes: dict[str, tuple[int, ...]], file: str = "model.safetensors") -> Path:
    import numpy as np
    from safetensors.numpy import save_file

    folder.mkdir()
    save_file({name: np.zeros(shape, np.float32) for name, shape in shapes.items()}, folder / file)
    return folder
